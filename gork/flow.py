"""The flow as front ends receive it: terminals and the service ask it questions and know nothing of how it works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from gork.config.ensemble import Ensemble
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

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings give."""
        return cls(
            rewrite=settings.rewrite_timeout, candidate=settings.candidate_timeout, judge=settings.judge_timeout, turn=settings.timeout
        )

    def within_turn(self) -> Limits:
        """The same limits, cut so that together they fit the turn, with a reserve for the judge."""
        rewrite = min(self.rewrite, self.turn / 6)
        reserve = min(self.judge, self.turn / 4)
        candidate = min(self.candidate, self.turn - rewrite - reserve)
        return replace(self, rewrite=rewrite, candidate=candidate, judge=self.turn - rewrite - candidate)


class Ask(Protocol):
    """The flow with everything but the question decided."""

    async def __call__(
        self, question: Question, on_event: OnEvent, how: Settings = ..., *, answer_now: asyncio.Event | None = None
    ) -> Turn:
        """Run one turn, as the program's settings say if `how` does not; raises `NoAnswer`.

        Set `answer_now` while it runs, and it ends as soon as it can: a rewrite is dropped, what candidates have finished is judged at
        once (what they have written, where none has finished), the judge is not waited for. The flow clears it when it has done what it
        says; it may be set again, for the stage that follows.
        """


Assemble = Callable[[Settings, Engine], Ask]
"""Makes the flow of a turn for these settings on this engine."""

ReadAhead = Callable[[Question, Ensemble], Awaitable[None]]
"""Has the members of an ensemble read what stands before a question, its history and instructions, before it is asked. Fails silently."""

Explain = Callable[[Turn, OnEvent], Awaitable[str]]
"""Asks the judge why a turn ended as it did: in words, after the fact. Raises a `ModelError`."""
