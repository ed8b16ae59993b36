"""What was computed decides: a program that ran is right far more often than a number in words (docs/choosing.md)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gork.judging.rules import place
from gork.text.final_answer import FinalAnswer, final_answer, same
from gork.turn import QUESTIONS_CODE, Answer, Question, Verdict


@dataclass(frozen=True, slots=True)
class Results:
    """What programs gave, the configured best member's first; the question's own code stands above them all."""

    answers: tuple[Answer, ...]
    says: tuple[FinalAnswer | None, ...]
    """What each of them says; None for an output of several lines: which of them is the answer is not known."""
    ranking: Sequence[str]

    @classmethod
    def of(cls, question: Question, answers: Sequence[Answer], ranking: Sequence[str]) -> Results | None:
        """The results among these answers; None where no program ran."""
        ran = tuple(sorted((answer for answer in answers if answer.ran), key=lambda answer: place(answer.member, ranking)))
        return cls(ran, tuple(_single(answer, question) for answer in ran), ranking) if ran else None

    @property
    def _at(self) -> int:
        """Where the best stands: what most of them have, at a tie the best member's."""
        own = self.answers[0].member == QUESTIONS_CODE
        return 0 if own else max(range(len(self.answers)), key=lambda at: (self._votes(at), -at))

    @property
    def best(self) -> Answer:
        """The answer of the program that decides."""
        return self.answers[self._at]

    @property
    def result(self) -> FinalAnswer | None:
        """What it says."""
        return self.says[self._at]

    def stands_against(self, coming: Collection[str]) -> bool:
        """Whether the best result stays the best whatever the programs of the members that are still `coming` give."""
        if not coming or self.best.member == QUESTIONS_CODE:
            return True
        votes, rank = self._votes(self._at), place(self.best.member, self.ranking)
        others = [at for at, says in enumerate(self.says) if says is not None and at != self._at and not same(says, self.result)]
        # At worst all that come agree with one of the others, or among themselves.
        rivals = [
            (self._votes(at) + len(coming), min(place(self.answers[at].member, self.ranking), _first(coming, self.ranking)))
            for at in others
        ]
        rivals.append((len(coming) - 1, _first(coming, self.ranking)))
        return all((votes, -rank) > (most, -first) for most, first in rivals)

    def _votes(self, at: int) -> int:
        return sum(same(self.says[at], other) for number, other in enumerate(self.says) if number != at)


def by_computed(question: Question, answers: Sequence[Answer], ranking: Sequence[str]) -> Verdict | None:
    """The verdict where a program ran: its result, in the words of an answer that says the same, since that one explains it.

    The question's own code stands above programs that members wrote; among these the result that most of them have, at a tie the best
    member's. An output of several lines agrees with nothing. None where no program ran.
    """
    results = Results.of(question, answers, ranking)
    if results is None:
        return None
    winner, result = results.best, results.result
    agreeing = [answer for answer in answers if answer.computed is None and answer.complete and _says(answer, result, question)]
    where = "the code in the question was run" if winner.member == QUESTIONS_CODE else f"{winner.member}'s program was run"
    if not agreeing:
        return Verdict(winner=winner.member, policy="computed", computed_by=winner.member, note=f"{where}: its output is the answer")
    words = min(agreeing, key=lambda answer: place(answer.member, ranking))
    return Verdict(
        winner=words.member, policy="computed", computed_by=winner.member, note=f"{where}: {words.member}'s answer in words says the same"
    )


def _first(members: Collection[str], ranking: Sequence[str]) -> int:
    return min(place(member, ranking) for member in members)


def _single(answer: Answer, question: Question) -> FinalAnswer | None:
    """What a program computed, where that is one value."""
    return None if "\n" in answer.text.strip() else final_answer(answer.text, question.text, question.kind)


def _says(answer: Answer, result: FinalAnswer | None, question: Question) -> bool:
    return same(final_answer(answer.text, question.text, question.kind), result)
