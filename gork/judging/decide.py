"""Choosing one answer: what is judged, what its signals weigh, and what decides without a verdict.

A verdict is a choice among answers, never prose. Signals (`gork/judging/signals.py`) say something of each answer; a policy weighs them:
one signal alone, or several together with the weights of the ensemble file. Where nothing can be told apart, the configured order of the
candidates decides, and the verdict says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gork.config.ensemble import JUDGE_SIGNALS, Choosing
from gork.errors import ModelError
from gork.judging.signals import SIGNALS, Desk, Rivals, Said, words_of
from gork.turn import Answer, Failed, Failure, Fallback, FallbackKind, MemberState, Notice, Question, Stage, StageStarted, State, Verdict

LEAST_MASS = 0.01
"""Below this share of the judge's probability on the labels, what it says of them is noise."""
SCALES: Mapping[str, float] = {
    "listwise": 0.05,
    "pairwise": 0.05,
    "pointwise": 0.1,
    "reference": 0.1,
    "agreement": 0.05,
    "confidence": 0.1,
    "brevity": 0.2,
}
"""Differences much smaller than these (nats, shares, nats a token) hardly count: they are added to the spread that values are divided
by. A signal that is not among them (`checks`, `prior`) has a scale of its own and is only centred."""


_REFUSAL = re.compile(
    r"^\W*(i'?m (very )?sorry,? (but )?|sorry,? (but )?|unfortunately,? |as an? (ai|language model)[^.]{0,60}?,? )*"
    r"(i|we) (can('|no)?t|can not|am unable to|'?m unable to|'?m not able to|won'?t) (\w+ ){0,2}?"
    r"(help|assist|answer|provide|comply|fulfil+|do that|respond|discuss|generate|create)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Field:
    """The answers that are judged among themselves, and one line on each thing that was decided about the others."""

    answers: tuple[Answer, ...]
    notes: tuple[str, ...] = ()


def _is_empty(_: Question, text: str) -> bool:
    return not text.strip()


def _echoes(question: Question, text: str) -> bool:
    words = words_of(text)
    return any(words == words_of(asked) for asked in (question.text, question.rewrite or question.text))


def _refuses(_: Question, text: str) -> bool:
    return _REFUSAL.match(text[:300].replace("’", "'")) is not None


_OUT: Mapping[str, Callable[[Question, str], bool]] = {
    "is empty": _is_empty,
    "only repeats the question": _echoes,
    "refuses to answer": _refuses,
}


def select(question: Question, answers: Sequence[Answer]) -> Field:
    """Leave out what need not be judged: empty, refusing and prompt-echoing answers, and cut ones if two complete ones remain.

    Never leaves nothing: when every answer is out for the same kind of reason, they stay.
    """
    notes: list[str] = []
    kept = list(answers)
    for reason, is_out in _OUT.items():
        out = [a for a in kept if is_out(question, a.text)]
        if out and len(out) < len(kept):
            kept = [a for a in kept if a not in out]
            notes += [f"{a.member}'s answer {reason}: not judged" for a in out]
    complete = [a for a in kept if a.complete]
    if len(complete) >= 2:
        notes += [f"{a.member}'s answer was cut short: not judged" for a in kept if not a.complete]
        kept = complete
    elif len(complete) < len(kept) and len(kept) > 1:
        notes.append("fewer than two answers are complete: those that were cut short are judged too")
    return Field(tuple(kept), tuple(notes))


def prior_order(candidates: Sequence[str], choosing: Choosing) -> list[str]:
    """All candidates, the configured best first; those that the file's `prior` leaves out follow in the file's order."""
    ranked = [name for name in choosing.prior if name in candidates]
    return ranked + [name for name in candidates if name not in ranked]


def by_prior(answers: Sequence[Answer], prior: Sequence[str], fallback: Fallback | None, note: str | None = None) -> Verdict:
    """The verdict when nothing was judged or nothing can be read from the judge: the configured order decides, and it says why."""
    winner = min(answers, key=lambda answer: prior.index(answer.member))
    return Verdict(winner=winner.member, policy="prior", fallback=fallback, note=note)


def weights_of(choosing: Choosing) -> Mapping[str, float]:
    """What each signal weighs under the file's policy; those that weigh nothing are left out.

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
    scale = SCALES.get(name)
    spread = 1.0 if scale is None else math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)) + scale
    return [(value - mean) / spread for value in values]


def combine(signals: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> list[float]:
    """Add the standardised signals, each times its weight; rounded to nine places."""
    rows = [[weights.get(name, 0.0) * value for value in standardise(name, values)] for name, values in signals.items()]
    return [round(math.fsum(column), 9) for column in zip(*rows, strict=True)]


def rivals_of(question: Question, answers: Sequence[Answer], prior: Sequence[str], *, share_weights: bool) -> Rivals:
    """What is chosen among: one answer for each different text."""
    rivals = tuple(distinct(answers, prior))
    return Rivals(question=question, answers=rivals, voters=tuple(answers), prior=tuple(prior), share_weights=share_weights)


async def decide(rivals: Rivals, desk: Desk) -> Verdict:
    """Choose one of the rivals as the ensemble's policy says; whatever the judge fails at makes the configured order decide."""
    answers, choosing = rivals.answers, desk.choosing
    if len(answers) == 1:
        note = "all answers are the same: nothing to judge" if len(rivals.voters) > 1 else "one usable answer: nothing to judge"
        desk.on_event(Notice(note, about_verdict=True))
        return by_prior(answers, rivals.prior, fallback=None, note=note)
    if choosing.policy == "prior":
        return by_prior(answers, rivals.prior, fallback=None, note="the configured order decides: the judge is not asked")
    asked = asks_judge(choosing)
    if asked and desk.judge is None:
        return by_prior(answers, rivals.prior, fallback=Fallback(FallbackKind.NO_JUDGE, "this ensemble has no judge"))
    if asked:
        desk.on_event(StageStarted(Stage.JUDGE, (desk.reader.name,)))
    try:
        said = {name: await SIGNALS[name](rivals, desk) for name in weights_of(choosing)}
    except ModelError as error:
        desk.on_event(Failed(Failure(member=desk.reader.name, kind=error.kind, message=str(error))))
        return by_prior(answers, rivals.prior, fallback=Fallback(error.kind, str(error)))
    if asked:
        desk.on_event(MemberState(desk.reader.name, State.DONE))
    verdict = weigh(rivals, {name: signal for name, signal in said.items() if signal is not None}, choosing)
    return replace(verdict, judge_calls=desk.spent.calls, judge_tokens=desk.spent.tokens)


def weigh(rivals: Rivals, said: Mapping[str, Said], choosing: Choosing) -> Verdict:
    """Weigh what the signals said into a verdict."""
    masses = {name: signal.mass for name, signal in said.items() if signal.mass is not None}
    if masses and min(masses.values()) < LEAST_MASS:
        why = f"the judge put {min(masses.values()):.1%} of its probability on the labels"
        return by_prior(rivals.answers, rivals.prior, fallback=Fallback(FallbackKind.LABEL_MASS, why))
    if not said:
        why = f"the policy {choosing.policy} has nothing to go by here"
        return by_prior(rivals.answers, rivals.prior, fallback=Fallback(FallbackKind.NO_SIGNAL, why))
    scores = combine({name: signal.values for name, signal in said.items()}, weights_of(choosing))
    ranked = sorted(scores, reverse=True)
    margin = ranked[0] - ranked[1]
    if margin < 1e-6:
        return by_prior(rivals.answers, rivals.prior, fallback=Fallback(FallbackKind.TIED, "the best answers are tied"))
    names = [answer.member for answer in rivals.answers]
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
