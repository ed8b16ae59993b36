"""The table of signals: what can be said of an answer, and what each costs.

A signal gives every answer a number, and a policy weighs the numbers (`gork/judging/decide.py`). A new signal is a row here and the
function of the same name in `gork/judging/signals.py`: settings, policies and the bench take it from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SignalKind:
    """One row of the table."""

    help: str
    asks_judge: bool = False
    scale: float | None = None
    """Differences much smaller than this (nats, shares, nats a token) hardly count: it is added to the spread that values are divided by.
    None for a signal whose values have a scale of their own and are only centred."""


SIGNALS: Final[Mapping[str, SignalKind]] = {
    "listwise": SignalKind("What the judge says when it reads all answers together.", asks_judge=True, scale=0.05),
    "pairwise": SignalKind("What the judge says when it reads every two answers, in both orders.", asks_judge=True, scale=0.05),
    "pointwise": SignalKind("Whether the judge calls an answer right when it reads it alone.", asks_judge=True, scale=0.1),
    "reference": SignalKind("How much an answer says the same as the judge's own short answer.", asks_judge=True, scale=0.1),
    "agreement": SignalKind("How far an answer agrees with the others.", scale=0.05),
    "confidence": SignalKind("How sure its model was; comparable only between members that share weights.", scale=0.1),
    "brevity": SignalKind("How short an answer is.", scale=0.2),
    "checks": SignalKind("What plain code finds: false equations, code that does not parse, a stated form that is broken."),
    "prior": SignalKind("Where its member stands in the prior order."),
}
JUDGE_SIGNALS: Final = frozenset(name for name, kind in SIGNALS.items() if kind.asks_judge)
"""The signals that ask the judge."""
