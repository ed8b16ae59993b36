"""Whether a turn is decided by the answers that are there, whatever the others will say: then nobody else need be waited for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gork.computing.examples import examples_in
from gork.judging.computed import Results
from gork.judging.decide import unusable
from gork.judging.objections import Contest, is_refuted, votes
from gork.judging.rules import Rules, place
from gork.turn import QUESTIONS_CODE, Answer, Kind, Question, Reason


def settled(
    question: Question,
    answers: Sequence[Answer],
    pending: Collection[str],
    *,
    rules: Rules,
    programs: Collection[str],
) -> str | None:
    """What decides the turn already, in words; None while something that is still to come can change what it says in the end.

    `pending` has who is still asked, `programs` who is asked for a program.
    """
    sure = tuple(answer for answer in answers if _is_sure_to_be_judged(question, answer))
    if not sure or QUESTIONS_CODE in pending:
        return None
    if rules.computed_decides:
        coming = [name for name in pending if name in programs]
        results = Results.of(question, sure, rules.ranking)
        if results is not None:
            return _told(results.best.member) if results.stands_against(coming) else None
        if coming:
            return None
    if rules.asks_always or (Reason.JUDGE in rules.may_overrule and rules.may_overrule[0] is not Reason.AGREEMENT):
        return None  # the judge's reading of all that differ is wanted, or may be for any of them
    if question.kind is Kind.CODE and examples_in(question.text):
        return None  # who passes them is known in the end
    contest = Contest.of(question, sure, rules.ranking)
    state = _State(contest, rules, frozenset(pending), unknown=len(pending) + len(answers) - len(sure))
    return state.by_favourite() or state.by_agreement()


def _is_sure_to_be_judged(question: Question, answer: Answer) -> bool:
    """Whether nothing that others say can leave this answer out."""
    return answer.complete and (answer.computed is None or answer.ran) and unusable(question, answer) is None


def _told(member: str) -> str:
    return "the code in the question was run" if member == QUESTIONS_CODE else f"{member}'s program was run"


@dataclass(frozen=True, slots=True)
class _State:
    """The answers that are sure to be judged, and how many there may still be."""

    contest: Contest
    rules: Rules
    pending: frozenset[str]
    unknown: int

    def by_favourite(self) -> str | None:
        """The favourite's answer is in, and nothing that may overrule it speaks against it or still can."""
        favourite, ranking = self.contest.favourite, self.rules.ranking
        above = any(ranking.index(name) < place(favourite.member, ranking) for name in self.pending)
        if above or any(self._can_arise(reason) for reason in self.rules.may_overrule):
            return None
        return f"{favourite.member} is the favourite here, and nothing that can still come would overrule it"

    def by_agreement(self) -> str | None:
        """All but the favourite say the same: what it says is theirs, or is overruled by them, and by nothing before that."""
        if self.rules.may_overrule[:1] != (Reason.AGREEMENT,) or self.unknown != 1 or len(self.pending) != 1:
            return None
        (last,), groups = self.pending, votes(self.contest, closed=False)
        if self.rules.ranking.index(last) > place(self.contest.favourite.member, self.rules.ranking):
            return None
        agreed = len(groups) == 1 and len(groups[0]) == len(self.contest.voters) >= 2
        return f"{' and '.join(groups[0])} say the same" if agreed else None

    def _can_arise(self, reason: Reason) -> bool:
        """Whether this reason speaks against the favourite's answer, or may do so yet."""
        match reason:
            case Reason.CHECKS | Reason.CHECKS_AND_JUDGE:
                return is_refuted(self.contest.question.text, self.contest.favourite.text)
            case Reason.AGREEMENT:
                return self._may_agree(closed=False)
            case Reason.AGREEMENT_AND_JUDGE:
                return self._may_agree(closed=True)
            case Reason.JUDGE:
                return True

    def _may_agree(self, *, closed: bool) -> bool:
        """Whether enough others can come to say the same against the favourite."""
        favourite = self.contest.favourite.member
        groups = votes(self.contest, closed=closed)
        with_it = max((len(group) for group in groups if favourite in group), default=0)
        largest = max((len(group) for group in groups if favourite not in group), default=0)
        return largest + self.unknown >= max(2, with_it + 1)
