"""The metrics of a comparison: accuracy, recovery, flips, costs, and the reliability of margins."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.judge.cases import Case
from bench.judge.policies import Outcome

DRAWS = 2000
"""How often a bootstrap draws."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the middle 95 % of its bootstrap draws."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Rounded, for the file."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def random_choice(case: Case) -> float:
    """How often an answer that is drawn at random is right: what a policy without knowledge achieves."""
    return sum(case.truths) / len(case.truths)


def oracle(case: Case) -> float:
    """Whether any answer is right: the best that choosing can do."""
    return float(any(case.truths))


def bootstrap(cases: Sequence[Case], figure: Callable[[Sequence[int]], float], *, seed: int = 1) -> Interval:
    """A figure of cases (given by their indexes) with its interval; questions are drawn, with all seeds that they were asked with."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, case in enumerate(cases):
        groups[f"{case.item.set}/{case.item.id}"].append(index)
    names, rng = sorted(groups), random.Random(seed)
    draws = sorted(figure([index for name in rng.choices(names, k=len(names)) for index in groups[name]]) for _ in range(DRAWS))
    draws = [draw for draw in draws if math.isfinite(draw)] or [math.nan]
    return Interval(figure(range(len(cases))), draws[int(0.025 * len(draws))], draws[min(int(0.975 * len(draws)), len(draws) - 1)])


def mean(values: Sequence[float]) -> float:
    """The mean; NaN for no values."""
    return math.fsum(values) / len(values) if values else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy's figures over the cases whose answers differ in truth."""

    name: str
    accuracy: Interval
    recovery: Interval
    """(accuracy - random) / (oracle - random): 0 is as good as drawing at random, 1 is the best that choosing can do."""
    over_best: Interval
    """Accuracy minus that of the best single member."""
    flips: float
    by_member: Mapping[str, float]
    by_slot: Mapping[str, float]
    """Of the judge's own first places, how many each slot had."""
    mass: float | None
    fallbacks: float
    calls: float
    read: float
    wrote: float
    seconds: float

    def as_json(self) -> dict[str, object]:
        """For the file."""
        return {
            "policy": self.name,
            "accuracy": self.accuracy.as_json(),
            "recovery": self.recovery.as_json(),
            "over_best_single": self.over_best.as_json(),
            "flip_rate": round(self.flips, 4),
            "wins_by_member": {name: round(share, 4) for name, share in self.by_member.items()},
            "judge_first_places_by_slot": {name: round(share, 4) for name, share in self.by_slot.items()},
            "label_mass": None if self.mass is None else round(self.mass, 4),
            "fallback_rate": round(self.fallbacks, 4),
            "judge_calls": round(self.calls, 2),
            "judge_tokens_read": round(self.read, 1),
            "judge_tokens_written": round(self.wrote, 1),
            "judge_seconds": round(self.seconds, 3),
        }


def row(name: str, outcomes: Sequence[Outcome], best: str) -> Row:
    """The figures of one policy; `best` is the member that it is compared with. The outcomes are of cases that differ in truth."""
    cases = [outcome.case for outcome in outcomes]
    rights = [outcome.right for outcome in outcomes]
    lots = [random_choice(case) for case in cases]
    bests = [float(case.right[best]) if best in case.right else lot for case, lot in zip(cases, lots, strict=True)]

    def recovery(at: Sequence[int]) -> float:
        lot = math.fsum(lots[index] for index in at)
        room = len(at) - lot  # the oracle is right in every case that differs
        return (math.fsum(rights[index] for index in at) - lot) / room if room > 0 else math.nan

    wins: Counter[str] = Counter()
    for outcome in outcomes:
        wins.update(dict(outcome.chances))  # shares add up as counts do
    slots = Counter(call.slot for outcome in outcomes for call in outcome.calls if call.slots > 1)
    calls = [call for outcome in outcomes for call in outcome.calls]
    members = sorted({answer.member for case in cases for answer in case.answers})
    return Row(
        name=name,
        accuracy=bootstrap(cases, lambda at: mean([rights[index] for index in at])),
        recovery=bootstrap(cases, recovery),
        over_best=bootstrap(cases, lambda at: mean([rights[index] - bests[index] for index in at])),
        flips=mean([outcome.flips for outcome in outcomes]),
        by_member={member: wins[member] / max(len(outcomes), 1) for member in members},
        by_slot={chr(ord("A") + slot): count / slots.total() for slot, count in sorted(slots.items())},
        mass=mean([call.mass for call in calls]) if calls else None,
        fallbacks=mean([float(outcome.verdict.fallback is not None) for outcome in outcomes]),
        calls=mean([float(outcome.verdict.judge_calls) for outcome in outcomes]),
        read=mean([float(outcome.read) for outcome in outcomes]),
        wrote=mean([float(outcome.wrote) for outcome in outcomes]),
        seconds=mean([outcome.seconds for outcome in outcomes]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Verdicts of similar margins: how sure they said they were, and how often they were right."""

    least: float
    most: float
    count: int
    sure: float | None
    right: float


def reliability(outcomes: Sequence[Outcome], bins: int = 4) -> list[Bin]:
    """Verdicts in bins of equal size by their margin; without those that the configured order decided."""
    said = sorted((outcome for outcome in outcomes if outcome.verdict.scores), key=lambda outcome: outcome.verdict.margin)
    found = []
    for number in range(bins):
        part = said[number * len(said) // bins : (number + 1) * len(said) // bins]
        if part:
            sures = [outcome.verdict.sure for outcome in part if outcome.verdict.sure is not None]
            found.append(
                Bin(
                    least=part[0].verdict.margin,
                    most=part[-1].verdict.margin,
                    count=len(part),
                    sure=mean(sures) if sures else None,
                    right=mean([float(outcome.case.right[outcome.verdict.winner]) for outcome in part]),
                )
            )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """How often each member alone, a random choice and the best possible choice are right, over all cases."""

    by_member: Mapping[str, float]
    lot: float
    oracle: float
    by_kind: Mapping[str, Mapping[str, float]]
    by_set: Mapping[str, Mapping[str, float]]
    cases: int
    differing: int

    def as_json(self) -> dict[str, object]:
        """For the file."""
        return {
            "cases": self.cases,
            "cases_that_differ_in_truth": self.differing,
            "accuracy_by_member": {name: round(share, 4) for name, share in self.by_member.items()},
            "random": round(self.lot, 4),
            "oracle": round(self.oracle, 4),
            "by_kind": _rounded(self.by_kind),
            "by_set": _rounded(self.by_set),
        }


def _rounded(parts: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {part: {name: round(share, 4) for name, share in shares.items()} for part, shares in parts.items()}


def members(cases: Sequence[Case], names: Sequence[str], outcomes: Sequence[Outcome] = ()) -> Members:
    """Each member's accuracy; one that gave no answer was not right. With outcomes, the accuracy of that choice beside them."""
    right = {(outcome.case.item.set, outcome.case.item.id, outcome.case.seed): outcome.right for outcome in outcomes}

    def choice(part: Sequence[Case]) -> dict[str, float]:
        return {"choice": mean([right[case.item.set, case.item.id, case.seed] for case in part])} if right else {}

    def accuracy(part: Sequence[Case]) -> dict[str, float]:
        return {name: mean([float(case.right.get(name, False)) for case in part]) for name in names}

    def parts(name_of: Callable[[Case], str]) -> dict[str, dict[str, float]]:
        found: dict[str, list[Case]] = defaultdict(list)
        for case in cases:
            found[name_of(case)].append(case)
        return {
            name: {
                "cases": float(len(part)),
                **accuracy(part),
                "random": mean([*map(random_choice, part)]),
                "oracle": mean([*map(oracle, part)]),
                **choice(part),
            }
            for name, part in sorted(found.items())
        }

    return Members(
        by_member=accuracy(cases),
        lot=mean([random_choice(case) for case in cases]),
        oracle=mean([oracle(case) for case in cases]),
        by_kind=parts(lambda case: case.item.kind),
        by_set=parts(lambda case: case.item.set),
        cases=len(cases),
        differing=sum(case.differs for case in cases),
    )
