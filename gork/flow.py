"""The flow as front ends receive it: terminals and the service ask it questions and know nothing of how it works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from gork.config.settings import Settings
from gork.engines.model import Engine
from gork.turn import OnEvent, Question, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds for each stage of a turn; loading a model is outside of them all."""

    rewrite: float = 20.0
    candidate: float = 180.0
    judge: float = 60.0
    """At least this for judging; more where the turn has more left."""
    turn: float = 300.0

    def within_turn(self) -> Limits:
        """The same limits, cut so that together they fit the turn, with a reserve for the judge."""
        rewrite = min(self.rewrite, self.turn / 6)
        reserve = min(self.judge, self.turn / 4)
        candidate = min(self.candidate, self.turn - rewrite - reserve)
        return replace(self, rewrite=rewrite, candidate=candidate, judge=self.turn - rewrite - candidate)


class Ask(Protocol):
    """The flow with everything but the question decided."""

    async def __call__(self, question: Question, on_event: OnEvent, how: Settings = ...) -> Turn:
        """Run one turn, as the program's settings say if `how` does not; raises `NoAnswer`."""


Assemble = Callable[[Settings, Engine], Ask]
"""Makes the flow of a turn for these settings on this engine."""

Explain = Callable[[Turn, OnEvent], Awaitable[str]]
"""Asks the judge why a turn ended as it did: in words, after the fact. Raises a `ModelError`."""
