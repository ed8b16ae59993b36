"""Whether a turn is decided by the answers that are there, whatever the others will say: then nobody else need be waited for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gork.judging.computed import Results
from gork.judging.decide import unusable
from gork.turn import QUESTIONS_CODE, Answer, Question


def settled(
    question: Question, answers: Sequence[Answer], pending: Collection[str], *, prior: Sequence[str], programs: Collection[str]
) -> str | None:
    """What decides the turn already, in words; None while something that is still to come can change what it says in the end.

    `pending` has who is still asked, `programs` who is asked for a program; `prior` is the order that decides between programs of which
    no result has more votes.
    """
    return _by_computed(question, answers, pending, prior=prior, programs=programs)


def _by_computed(
    question: Question, answers: Sequence[Answer], pending: Collection[str], *, prior: Sequence[str], programs: Collection[str]
) -> str | None:
    """Words never stand against what was computed, so only programs that are still to come do."""
    results = Results.of(question, [answer for answer in answers if answer.complete and unusable(question, answer) is None], prior)
    if results is None or QUESTIONS_CODE in pending:
        return None
    best = results.best
    if best.member == QUESTIONS_CODE:
        return "the code in the question was run"
    coming = [name for name in pending if name in programs]
    return f"{best.member}'s program was run" if results.stands_against(coming) else None
