"""Choosing one answer: what is judged, what its signals weigh, and what decides without a verdict.

A verdict is a choice among answers, never prose. Signals (`gork/judging/signals.py`) give each answer a number; a policy weighs them: one
signal alone, or several together with the weights of the ensemble file. Where the answers cannot be told apart, the configured order of
the candidates decides, and the verdict says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gork.config.ensemble import Choosing
from gork.config.signals import JUDGE_SIGNALS, SIGNALS
from gork.errors import ModelError
from gork.judging.json_form import misfit
from gork.judging.signals import SIGNAL_FUNCTIONS, Contest, JudgeSession, SignalResult, words_of
from gork.turn import (
    STOPPED,
    Answer,
    Failed,
    Failure,
    Fallback,
    FallbackKind,
    MemberState,
    Notice,
    Question,
    Stage,
    StageStarted,
    State,
    Verdict,
)

LEAST_MASS = 0.01
"""Below this share of the judge's probability on the labels, what it says of them is noise."""
_REFUSAL = re.compile(
    r"^\W*(i'?m (very )?sorry,? (but )?|sorry,? (but )?|unfortunately,? |as an? (ai|language model)[^.]{0,60}?,? )*"
    r"(i|we) (can('|no)?t|can not|am unable to|'?m unable to|'?m not able to|won'?t) (\w+ ){0,2}?"
    r"(help|assist|answer|provide|comply|fulfil+|do that|respond|discuss|generate|create)",
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
    return any(words == words_of(asked) for asked in (question.text, question.rewrite or question.text))


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


def prior_order(candidates: Sequence[str], choosing: Choosing) -> list[str]:
    """All candidates, the configured best first; those that the file's `prior` leaves out follow in the file's order."""
    ranked = [name for name in choosing.prior if name in candidates]
    return ranked + [name for name in candidates if name not in ranked]


def by_prior(answers: Sequence[Answer], prior: Sequence[str], fallback: Fallback | None, note: str | None = None) -> Verdict:
    """The verdict when nothing was judged, or the judge gave no usable reading: the configured order decides, and the verdict says why."""
    winner = min(answers, key=lambda answer: prior.index(answer.member))
    return Verdict(winner=winner.member, policy="prior", fallback=fallback, note=note)


def weights_of(choosing: Choosing) -> Mapping[str, float]:
    """The weight of each signal under the file's policy; those with weight 0 are left out.

    >>> weights_of(Choosing(policy="pairwise"))
    {'pairwise': 1.0}
    """
    weights = choosing.weights if choosing.policy == "combined" else {choosing.policy: 1.0}
    return {name: weight for name, weight in weights.items() if weight}


def asks_judge(choosing: Choosing) -> bool:
    """Whether the policy needs the judge at all."""
    return not JUDGE_SIGNALS.isdisjoint(weights_of(choosing))


def standardise(name: str, values: Sequence[float]) -> list[float]:
    """A signal's values as they are weighed: centred, divided by their spread plus the signal's scale where it has one.

    >>> [round(value, 2) for value in standardise("agreement", [0.2, 0.4, 0.6])], standardise("prior", [0.0, -1.0, -2.0])
    ([-0.94, 0.0, 0.94], [1.0, 0.0, -1.0])
    """
    mean = math.fsum(values) / len(values)
    scale = SIGNALS[name].scale
    spread = 1.0 if scale is None else math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)) + scale
    return [(value - mean) / spread for value in values]


def combine(signals: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> list[float]:
    """Add the standardised signals, each times its weight; rounded to nine places."""
    rows = [[weights.get(name, 0.0) * value for value in standardise(name, values)] for name, values in signals.items()]
    return [round(math.fsum(column), 9) for column in zip(*rows, strict=True)]


def contest_of(question: Question, answers: Sequence[Answer], prior: Sequence[str], *, share_weights: bool) -> Contest:
    """What is chosen among: one answer for each different text."""
    different = tuple(distinct(answers, prior))
    return Contest(question=question, answers=different, voters=tuple(answers), prior=tuple(prior), share_weights=share_weights)


async def decide(contest: Contest, session: JudgeSession) -> Verdict:
    """Choose one of the answers as the ensemble's policy says; if the judge fails at anything, the configured order decides."""
    answers, choosing = contest.answers, session.choosing
    if len(answers) == 1:
        note = "all answers are the same: nothing to judge" if len(contest.voters) > 1 else "one usable answer: nothing to judge"
        session.on_event(Notice(note, about_verdict=True))
        return by_prior(answers, contest.prior, fallback=None, note=note)
    if choosing.policy == "prior":
        return by_prior(answers, contest.prior, fallback=None, note="the configured order decides: the judge is not asked")
    asked = asks_judge(choosing)
    if asked and session.judge is None:
        return by_prior(answers, contest.prior, fallback=Fallback(FallbackKind.NO_JUDGE, "this ensemble has no judge"))
    if asked:
        session.on_event(StageStarted(Stage.JUDGE, (session.reader.name,)))
    try:
        said = {name: await SIGNAL_FUNCTIONS[name](contest, session) for name in weights_of(choosing)}
    except ModelError as error:
        session.on_event(Failed(Failure(member=session.reader.name, kind=error.kind, message=str(error))))
        return by_prior(answers, contest.prior, fallback=Fallback(error.kind, str(error)))
    if asked:
        session.on_event(MemberState(session.reader.name, State.DONE))
    verdict = weigh(contest, {name: signal for name, signal in said.items() if signal is not None}, choosing)
    return replace(verdict, judge_calls=session.usage.calls, judge_tokens=session.usage.tokens)


async def decide_without_judge(contest: Contest, session: JudgeSession) -> Verdict:
    """Choose as `decide` does where there is no judge: the user wants the answer now."""
    verdict = await decide(contest, replace(session, judge=None))
    if session.judge is None or verdict.fallback is None or verdict.fallback.kind != FallbackKind.NO_JUDGE:
        return verdict
    session.on_event(MemberState(session.reader.name, State.NOT_NEEDED))
    return replace(verdict, fallback=Fallback(FallbackKind.ANSWER_NOW, "you wanted the answer before the judge had read"))


def weigh(contest: Contest, said: Mapping[str, SignalResult], choosing: Choosing) -> Verdict:
    """Weigh what the signals said into a verdict."""
    masses = {name: signal.mass for name, signal in said.items() if signal.mass is not None}
    if masses and min(masses.values()) < LEAST_MASS:
        why = f"the judge put {min(masses.values()):.1%} of its probability on the labels"
        return by_prior(contest.answers, contest.prior, fallback=Fallback(FallbackKind.LABEL_MASS, why))
    if not said:
        why = f"the policy {choosing.policy} has nothing to go by here"
        return by_prior(contest.answers, contest.prior, fallback=Fallback(FallbackKind.NO_SIGNAL, why))
    scores = combine({name: signal.values for name, signal in said.items()}, weights_of(choosing))
    ranked = sorted(scores, reverse=True)
    margin = ranked[0] - ranked[1]
    if margin < 1e-6:
        return by_prior(contest.answers, contest.prior, fallback=Fallback(FallbackKind.TIED, "the best answers are tied"))
    names = [answer.member for answer in contest.answers]
    return Verdict(
        winner=names[scores.index(ranked[0])],
        policy=choosing.policy,
        scores=dict(zip(names, scores, strict=True)),
        margin=margin,
        orders=tuple(tuple(names[index] for index in order) for signal in said.values() for order in signal.orders),
        label_mass=math.fsum(masses.values()) / len(masses) if masses else None,
        close=margin < choosing.close,
        sure=choosing.sureness(margin),
    )


def distinct(answers: Sequence[Answer], prior: Sequence[str]) -> list[Answer]:
    """One answer for each different text (white space apart): the configured best member's. Equal answers need no judge between them."""
    best: dict[str, Answer] = {}
    for answer in sorted(answers, key=lambda answer: prior.index(answer.member)):
        best.setdefault(" ".join(answer.text.split()), answer)
    return [answer for answer in answers if answer in best.values()]
