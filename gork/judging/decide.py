"""Choosing one answer: which ones are judged, whose is the favourite's, and what overrules it.

The favourite's answer is taken unless a reason that counts speaks against it (`gork/judging/objections.py`); which ones count is what was
measured (`gork/judging/rules.py`). Nothing that the judge writes is ever the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gork.errors import ModelError
from gork.judging.json_form import misfit
from gork.judging.objections import Contest, Reading, objections
from gork.judging.reading import JudgeSession, read, words_of
from gork.judging.rules import Rules
from gork.turn import (
    ANSWER_NOW,
    STOPPED,
    Answer,
    Failed,
    Failure,
    Fallback,
    MemberState,
    Notice,
    Objection,
    Question,
    Reason,
    Stage,
    StageStarted,
    State,
    Verdict,
)
from gork.waiting import unless

_REFUSAL = re.compile(
    r"^\W*(i'?m (very )?sorry( for [^.,]{0,40})?,? (but )?|sorry,? (but )?|unfortunately,? "
    r"|(but )?as an? (ai|language model|chatbot)[^.]{0,60}?,? )*"
    r"(i|we) ((can('|no)?t|can not|am unable to|'?m unable to|'?m not able to|won'?t) (\w+ ){0,2}?"
    r"(help|assist|answer|provide|comply|fulfil+|do that|respond|discuss|generate|create)"
    r"|(do not|don'?t) have (the|any) (cap)?abilit(y|ies)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The answers that are judged, and one line on each decision about the others."""

    answers: tuple[Answer, ...]
    notes: tuple[str, ...] = ()


def _is_empty(_: Question, text: str) -> bool:
    return not text.strip()


def _echoes(question: Question, text: str) -> bool:
    words = words_of(text)
    return words == words_of(question.text) or (question.rewrite is not None and words == words_of(question.rewrite))


def _refuses(_: Question, text: str) -> bool:
    return _REFUSAL.match(text[:300].replace("’", "'")) is not None


def _misses_its_form(question: Question, text: str) -> bool:
    return misfit(text, question.answer_format) is not None


_OUT: Mapping[str, Callable[[Question, str], bool]] = {
    "is empty": _is_empty,
    "does not have the form that was asked for": _misses_its_form,
    "only repeats the question": _echoes,
    "refuses to answer": _refuses,
}


def unusable(question: Question, answer: Answer) -> str | None:
    """Why an answer is not judged beside one of which nothing of the kind can be said; None if it is."""
    return next((reason for reason, is_out in _OUT.items() if is_out(question, answer.text)), None)


def shortlist(question: Question, answers: Sequence[Answer]) -> Shortlist:
    """Leave out what need not be judged: empty, refusing and prompt-echoing answers, and cut ones if two complete ones remain.

    At least one answer stays: when all of them would be out for the same reason, none is.
    """
    notes: list[str] = []
    kept = list(answers)
    for reason, is_out in _OUT.items():
        out = [a for a in kept if is_out(question, a.text)]
        if out and len(out) < len(kept):
            kept = [a for a in kept if a not in out]
            notes += [f"{a.member}'s answer {reason}: not judged" for a in out]
    fruitless = [a for a in kept if a.computed is not None and not a.ran]
    if fruitless and len(fruitless) < len(kept):
        kept = [a for a in kept if a not in fruitless]
        notes += [f"{a.member}'s program gave no answer ({_problem(a)}): not judged" for a in fruitless]
    complete = [a for a in kept if a.complete]
    stopped = [a for a in kept if a.stop == STOPPED] if complete else []
    if stopped:
        kept = [a for a in kept if a not in stopped]
        notes += [f"{a.member} had not finished: not judged" for a in stopped]
    if len(complete) >= 2:
        notes += [f"{a.member}'s answer was cut short: not judged" for a in kept if not a.complete]
        kept = complete
    elif len(complete) < len(kept) and len(kept) > 1:
        notes.append("fewer than two answers are complete: those that were cut short are judged too")
    return Shortlist(tuple(kept), tuple(notes))


def _problem(answer: Answer) -> str:
    return "" if answer.computed is None else answer.computed.problem or ""


async def decide(contest: Contest, rules: Rules, session: JudgeSession) -> Verdict:
    """Choose one of the answers by the rules; the judge is asked where its word is wanted."""
    verdict = weigh(contest, rules, None)
    if verdict.note is not None:
        session.on_event(Notice(verdict.note, about_verdict=True))
        return verdict
    if session.judge is None or not asks_judge(verdict, rules):
        return verdict
    reading = await _reading(contest, session)
    if isinstance(reading, Fallback):
        missed = rules.hears_judge and _decisive(verdict.objections) is None
        verdict = replace(verdict, fallback=reading if missed else None)
    else:
        verdict = weigh(contest, rules, reading)
    used = session.usage
    return replace(verdict, judge_calls=used.calls, judge_tokens=used.tokens, judge_seconds=round(used.seconds, 3))


def weigh(contest: Contest, rules: Rules, reading: Reading | None) -> Verdict:
    """The favourite's answer, unless a reason that counts speaks for another one; the first such reason decides."""
    favourite = contest.favourite.member
    found = objections(contest, reading, rules.may_overrule)
    said = _decisive(found)
    winner = favourite if said is None else said.member
    first, second = (0.0, 0.0) if reading is None else sorted(reading.scores.values(), reverse=True)[:2]
    return Verdict(
        winner=winner,
        policy=("favourite" if rules.measured else "prior") if said is None else str(said.reason),
        favourite=favourite,
        favourite_kind=rules.kind,
        measured=rules.measured,
        unmeasured=rules.unmeasured,
        sure=rules.sure,
        objections=found,
        scores={} if reading is None else reading.scores,
        margin=first - second,
        judge_answer=None if reading is None else reading.own,
        close=any(one.member != winner for one in found),
        note=_nothing_to_choose(contest),
    )


def _nothing_to_choose(contest: Contest) -> str | None:
    """Why there is nothing to choose, for people; None where there is."""
    if len(contest.answers) == 1:
        return "all answers are the same: nothing to judge" if len(contest.voters) > 1 else "one usable answer: nothing to judge"
    return "all answers say the same in the end: nothing to judge" if contest.all_same else None


def _decisive(found: Sequence[Objection]) -> Objection | None:
    return next((one for one in found if one.counts), None)


def asks_judge(verdict: Verdict, rules: Rules) -> bool:
    """Whether the judge is asked: always, or only where a reason that needs its word stands above what has decided without it."""
    if rules.asks_always:
        return True
    said = _decisive(verdict.objections)
    stronger = rules.may_overrule if said is None else rules.may_overrule[: rules.may_overrule.index(said.reason)]
    heard = {one.reason for one in verdict.objections}
    return any(reason.asks_judge and (_NEEDS.get(reason) is None or _NEEDS[reason] in heard) for reason in stronger)


_NEEDS: Final[Mapping[Reason, Reason]] = {Reason.CHECKS_AND_JUDGE: Reason.CHECKS}
"""What must speak before the judge's word can join it. (Agreement joins it on closed questions too, where alone it says nothing.)"""


async def _reading(contest: Contest, session: JudgeSession) -> Reading | Fallback:
    """What the judge says of the answers, or why that is missing."""
    session.on_event(StageStarted(Stage.JUDGE, (session.reader.name,)))
    try:
        reading = await unless(session.answer_now, read(contest, session))
    except ModelError as error:
        session.on_event(Failed(Failure(member=session.reader.name, kind=error.kind, message=str(error))))
        return Fallback(error.kind, str(error))
    if reading is None:
        session.on_event(MemberState(session.reader.name, State.NOT_NEEDED))
        return Fallback(ANSWER_NOW, "you wanted the answer before the judge had read")
    return reading
