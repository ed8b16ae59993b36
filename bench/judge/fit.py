"""Weights for a combination of signals, and what its margins are worth: fitted on the development half, never on the other.

The weights are those of a conditional logit model: the chance that a right answer is chosen grows with its weighted, standardised
signals. They are kept at 0 or above and small (an L2 penalty), since a few dozen cases teach little.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.judge.cases import Case
from final_script import Team
from gork.config.ensemble import Calibration
from gork.judging import decide
from gork.judging.signals import SIGNAL_FUNCTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One case as the fit sees it: for each rival its standardised signals, and whether it is right."""

    id: str
    rows: tuple[Mapping[str, float], ...]
    right: tuple[bool, ...]


async def examples(team: Team, cases: Sequence[Case], names: Sequence[str]) -> list[Example]:
    """What the signals say in each case whose usable, different answers differ in truth."""
    found = []
    for case in cases:
        usable = decide.shortlist(case.question, case.answers)
        contest = team.contest(case.question, usable.answers)
        right = tuple(case.right[answer.member] for answer in contest.answers)
        if len(set(right)) < 2:
            continue
        session = team.judge_session(lambda _: None, seed=case.seed)
        said = {name: await SIGNAL_FUNCTIONS[name](contest, session) for name in names}
        columns = {name: decide.standardise(name, signal.values) for name, signal in said.items() if signal is not None}
        rows = tuple({name: column[index] for name, column in columns.items()} for index in range(len(right)))
        found.append(Example(id=f"{case.item.set}/{case.item.id}", rows=rows, right=right))
    return found


def _scores(example: Example, weights: Mapping[str, float]) -> list[float]:
    return [math.fsum(weights[name] * row.get(name, 0.0) for name in weights) for row in example.rows]


def _shares(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    raised = [math.exp(score - top) for score in scores]
    whole = math.fsum(raised)
    return [value / whole for value in raised]


def fit_weights(found: Sequence[Example], names: Sequence[str], *, penalty: float = 0.5, rounds: int = 400) -> dict[str, float]:
    """The weights of the signals, by gradient ascent on the log-chance of the right answers."""
    weights = dict.fromkeys(names, 0.1)
    for number in range(rounds):
        slopes = {name: -2 * penalty * weights[name] for name in names}
        for example in found:
            shares = _shares(_scores(example, weights))
            good = math.fsum(share for share, right in zip(shares, example.right, strict=True) if right)
            for share, right, row in zip(shares, example.right, example.rows, strict=True):
                pull = share * ((1 / good if right else 0.0) - 1)
                for name, value in row.items():
                    if name in slopes:
                        slopes[name] += pull * value
        step = 2.0 / (len(found) + 10) / (1 + number / 200)
        weights = {name: max(0.0, weights[name] + step * slopes[name]) for name in names}
    return {name: round(weight, 2) for name, weight in weights.items()}


def accuracy(found: Sequence[Example], weights: Mapping[str, float]) -> float:
    """How often the best-weighted rival is right; ties count in parts."""
    total = 0.0
    for example in found:
        scores = _scores(example, weights)
        best = [right for score, right in zip(scores, example.right, strict=True) if score >= max(scores) - 1e-9]
        total += sum(best) / len(best)
    return total / len(found) if found else math.nan


def cross_validated(found: Sequence[Example], names: Sequence[str], *, parts: int = 10, penalty: float = 0.5) -> float:
    """Accuracy on questions that the weights were not fitted on."""
    ids = sorted({example.id for example in found})
    random.Random(1).shuffle(ids)
    part_of = {name: number % parts for number, name in enumerate(ids)}
    total = 0.0
    for part in range(parts):
        held = [example for example in found if part_of[example.id] == part]
        weights = fit_weights([example for example in found if part_of[example.id] != part], names, penalty=penalty)
        total += accuracy(held, weights) * len(held) if held else 0.0
    return total / len(found) if found else math.nan


def calibrate(margins: Sequence[float], right: Sequence[bool], *, penalty: float = 0.01) -> Calibration:
    """The logistic curve from margins to how often such verdicts are right (Newton's method); its slope is at least 0."""
    offset, slope = 0.0, 0.0
    for _ in range(50):
        g0, g1, h00, h01, h11 = -penalty * offset, -penalty * slope, penalty, 0.0, penalty
        for margin, was in zip(margins, right, strict=True):
            chance = 1 / (1 + math.exp(-(offset + slope * margin)))
            weight = chance * (1 - chance)
            g0, g1 = g0 + was - chance, g1 + (was - chance) * margin
            h00, h01, h11 = h00 + weight, h01 + weight * margin, h11 + weight * margin * margin
        det = h00 * h11 - h01 * h01
        offset, slope = offset + (h11 * g0 - h01 * g1) / det, slope + (h00 * g1 - h01 * g0) / det
    if slope < 0:
        share = (sum(right) + 1) / (len(right) + 2)
        return Calibration(offset=round(math.log(share / (1 - share)), 2), slope=0.0)
    return Calibration(offset=round(offset, 2), slope=round(slope, 2))
