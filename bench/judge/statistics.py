"""The statistics of a comparison: exact tests on the deciding cases, bootstrapped intervals, corrections for several tests."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def mean(values: Sequence[float]) -> float:
    """The mean; NaN for no values."""
    return math.fsum(values) / len(values) if values else math.nan


def at_least(wins: int, losses: int) -> float:
    """How likely so many wins or more are by chance (one-sided exact test of a half).

    It is below 0.05 exactly where the lower one-sided 95 % Clopper-Pearson bound of the share of wins is above a half.

    >>> round(at_least(9, 1), 4), at_least(0, 0)
    (0.0107, 1.0)
    """
    cases = wins + losses
    return float(sum(math.comb(cases, count) for count in range(wins, cases + 1)) / 2**cases)


def mcnemar(wins: int, losses: int) -> float:
    """How likely a split at least as uneven as this one is by chance (two-sided exact McNemar test).

    >>> mcnemar(5, 5), round(mcnemar(9, 1), 4)
    (1.0, 0.0215)
    """
    return min(1.0, 2 * at_least(max(wins, losses), min(wins, losses)))


def holm(chances: Mapping[str, float], level: float = 0.05) -> set[str]:
    """The tests that pass together at this level, by Holm's step-down procedure.

    >>> sorted(holm({"a": 0.01, "b": 0.04, "c": 0.03}))
    ['a']
    """
    passed: set[str] = set()
    for number, name in enumerate(sorted(chances, key=lambda name: chances[name])):
        if chances[name] > level / (len(chances) - number):
            break
        passed.add(name)
    return passed


def paired_bootstrap(gains: Sequence[float], questions: Sequence[tuple[str, str]], *, seed: int = 1) -> Interval:
    """The mean of paired differences with its interval: questions (set, id) are drawn within their sets, all seeds of one together."""
    groups: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for gain, (within, name) in zip(gains, questions, strict=True):
        groups[within][name].append(gain)
    strata = [[(math.fsum(part), len(part)) for part in named.values()] for named in groups.values()]
    rng, draws = random.Random(seed), []
    for _ in range(DRAWS if gains else 0):
        drawn = [one for stratum in strata for one in rng.choices(stratum, k=len(stratum))]
        draws.append(math.fsum(total for total, _ in drawn) / sum(count for _, count in drawn))
    draws = sorted(draws) or [math.nan]
    return Interval(mean(gains), draws[int(0.025 * len(draws))], draws[min(int(0.975 * len(draws)), len(draws) - 1)])
