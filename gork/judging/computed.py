"""What was computed decides: a program that ran is right far more often than a number in words (docs/choosing.md)."""

from __future__ import annotations

from collections.abc import Sequence

from gork.text.final_answer import FinalAnswer, final_answer, same
from gork.turn import QUESTIONS_CODE, Answer, Question, Verdict


def by_computed(question: Question, answers: Sequence[Answer], ranking: Sequence[str]) -> Verdict | None:
    """The verdict where a program ran: its result, in the words of an answer that says the same, since that one explains it.

    The question's own code stands above programs that members wrote; among these the result that most of them have, at a tie the best
    member's. An output of several lines agrees with nothing: which of them is the answer is not known. None where no program ran.
    """
    ran = sorted((answer for answer in answers if answer.ran), key=lambda answer: _rank(answer, ranking))
    if not ran:
        return None
    results = [_single(answer, question) for answer in ran]
    own = ran[0].member == QUESTIONS_CODE
    best = 0 if own else max(range(len(ran)), key=lambda at: (_votes(results, at), -at))
    winner, result = ran[best], results[best]
    agreeing = [answer for answer in answers if answer.computed is None and answer.complete and _says(answer, result, question)]
    where = "the code in the question was run" if own else f"{winner.member}'s program was run"
    if not agreeing:
        return Verdict(winner=winner.member, policy="computed", computed_by=winner.member, note=f"{where}: its output is the answer")
    words = min(agreeing, key=lambda answer: _rank(answer, ranking))
    return Verdict(
        winner=words.member, policy="computed", computed_by=winner.member, note=f"{where}: {words.member}'s answer in words says the same"
    )


def _rank(answer: Answer, ranking: Sequence[str]) -> int:
    return -1 if answer.member == QUESTIONS_CODE else ranking.index(answer.member)


def _single(answer: Answer, question: Question) -> FinalAnswer | None:
    """What a program computed, where that is one value."""
    return None if "\n" in answer.text.strip() else final_answer(answer.text, question.text, question.kind)


def _votes(results: Sequence[FinalAnswer | None], at: int) -> int:
    return sum(_same(results[at], other) for number, other in enumerate(results) if number != at)


def _same(one: FinalAnswer | None, other: FinalAnswer | None) -> bool:
    return one is not None and other is not None and same(one, other)


def _says(answer: Answer, result: FinalAnswer | None, question: Question) -> bool:
    return _same(final_answer(answer.text, question.text, question.kind), result)
