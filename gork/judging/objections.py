"""What speaks against the favourite's answer: one small function for each reason, all with the same interface.

Each names the member whose answer it is for, or nobody. Whether a reason counts is not its business (`gork/judging/rules.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gork.judging.rules import place
from gork.text.final_answer import FinalAnswer, OptionAnswer, TruthAnswer, final_answer, same
from gork.turn import Answer, Kind, Objection, Question, Reason

REFUTED: Final = -1.0
"""Findings that come to this or less refute an answer."""
LEAST_LEAD: Final = 0.25
"""So far ahead of the favourite's answer (0 to 1) the judge's reading must be: a word or two that it shares with it say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the judge says of each answer."""

    scores: Mapping[str, float]
    """By member."""
    own: str | None = None
    """Its own short answer, where it gave one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """A question and the answers among which one is chosen: the best-ranked member's first, all different."""

    question: Question
    answers: tuple[Answer, ...]
    voters: tuple[Answer, ...]
    """These answers and those that are equal to one of them: what agreement is counted among."""
    finals: Mapping[str, FinalAnswer | None] = field(default_factory=dict)
    """By member what its answer says in the end."""

    @classmethod
    def of(cls, question: Question, answers: tuple[Answer, ...], ranking: tuple[str, ...]) -> Contest:
        """The answers in the order of the ranking; of equal ones (white space apart) the best-ranked member's."""
        voters = tuple(sorted(answers, key=lambda answer: place(answer.member, ranking)))
        different: dict[str, Answer] = {}
        for answer in voters:
            different.setdefault(" ".join(answer.text.split()), answer)
        finals = {answer.member: final_answer(answer.text, question.text, question.kind) for answer in voters}
        return cls(question=question, answers=tuple(different.values()), voters=voters, finals=finals)

    @property
    def favourite(self) -> Answer:
        """The best-ranked member's answer."""
        return self.answers[0]

    @property
    def others(self) -> tuple[Answer, ...]:
        """All but the favourite's."""
        return self.answers[1:]

    def same(self, one: str, other: str) -> bool:
        """Whether two members' answers say the same in the end."""
        return same(self.finals[one], self.finals[other])

    @property
    def all_same(self) -> bool:
        """Whether there is nothing to choose: all say the same in the end."""
        return all(self.same(self.favourite.member, other.member) for other in self.others)


class Found(NamedTuple):
    """For whom a reason speaks, and what was found, for people."""

    member: str
    detail: str | None = None


@functools.lru_cache(maxsize=64)
def soundness_of(question: str, answer: str) -> tuple[float, str | None]:
    """What the checks come to (`gork/judging/checks/table.py`), and the finding that weighs most against the answer."""
    from gork.judging.checks.table import findings, sum_of  # noqa: PLC0415 - its patterns take 30 ms to compile; the start does not wait for that

    found = findings(question, answer)
    worst = min(found, key=lambda finding: finding.weight, default=None)
    return sum_of(found), None if worst is None or worst.weight >= 0 else worst.what


def is_refuted(question: str, answer: str) -> bool:
    """Whether plain code refutes an answer."""
    return soundness_of(question, answer)[0] <= REFUTED


def checks(contest: Contest, _: Reading | None) -> Found | None:
    """Plain code refutes the favourite's answer and finds nothing against another."""
    asked = contest.question.text
    if not is_refuted(asked, contest.favourite.text):
        return None
    why = soundness_of(asked, contest.favourite.text)[1]
    sound = [answer for answer in contest.others if soundness_of(asked, answer.text)[0] >= 0]
    best = max(sound, key=lambda answer: soundness_of(asked, answer.text)[0], default=None)
    return None if best is None else Found(best.member, why)


def votes(contest: Contest, *, closed: bool) -> list[list[str]]:
    """The members that give the same final answer, group by group; answers of a closed list only if `closed`."""
    groups: list[list[str]] = []
    for voter in contest.voters:
        final = contest.finals[voter.member]
        if final is None or (not closed and (contest.question.kind is Kind.CHOICE or isinstance(final, OptionAnswer | TruthAnswer))):
            continue
        for group in groups:
            if contest.same(group[0], voter.member):
                group.append(voter.member)
                break
        else:
            groups.append([voter.member])
    return groups


def agreement(contest: Contest, _: Reading | None, *, closed: bool = False) -> Found | None:
    """Two others or more, and more than are with the favourite, give the same final answer; not one of a closed list."""
    favourite, groups = contest.favourite.member, votes(contest, closed=closed)
    with_favourite = max((len(group) for group in groups if favourite in group), default=0)
    against = [group for group in groups if favourite not in group and len(group) >= max(2, with_favourite + 1)]
    if not against:
        return None
    largest = max(against, key=len)
    standing = next(answer.member for answer in contest.answers if answer.member in largest)
    return Found(standing, f"{' and '.join(largest)} say the same")


def judge(contest: Contest, reading: Reading | None) -> Found | None:
    """The judge's reading puts another answer first that plain code does not refute, and that does not say the same as the favourite's."""
    if reading is None:
        return None
    favourite, asked = contest.favourite.member, contest.question.text
    standing = [answer for answer in contest.answers if answer.member == favourite or not is_refuted(asked, answer.text)]
    best = max(standing, key=lambda answer: reading.scores.get(answer.member, 0.0))
    lead = reading.scores.get(best.member, 0.0) - reading.scores.get(favourite, 0.0)
    return Found(best.member) if lead >= LEAST_LEAD and not contest.same(best.member, favourite) else None


def _both(contest: Contest, one: Found | None, reading: Reading | None) -> Found | None:
    """The first reason's answer, where the judge is for it too."""
    said = None if one is None else judge(contest, reading)
    if one is None or said is None or not (said.member == one.member or contest.same(said.member, one.member)):
        return None
    return one


_REASONS: Final[Mapping[Reason, Callable[[Contest, Reading | None], Found | None]]] = {
    Reason.CHECKS: checks,
    Reason.AGREEMENT: agreement,
    Reason.JUDGE: judge,
    Reason.CHECKS_AND_JUDGE: lambda contest, reading: _both(contest, checks(contest, reading), reading),
    Reason.AGREEMENT_AND_JUDGE: lambda contest, reading: _both(contest, agreement(contest, reading, closed=True), reading),
}


def objections(contest: Contest, reading: Reading | None, counting: tuple[Reason, ...]) -> tuple[Objection, ...]:
    """Everything that speaks against the favourite's answer, the reasons that count first, the strongest of them first."""
    order = [*counting, *(reason for reason in Reason if reason not in counting)]
    found = {reason: _REASONS[reason](contest, reading) for reason in order}
    return tuple(
        Objection(reason=reason, member=said.member, counts=reason in counting, detail=said.detail)
        for reason, said in found.items()
        if said is not None
    )
