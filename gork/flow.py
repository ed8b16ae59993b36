"""The flow as front ends receive it: terminals and the service ask it questions and know nothing of how it works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from gork.config.settings import Settings
from gork.engines.model import Engine
from gork.turn import OnEvent, Question, Turn


class Ask(Protocol):
    """The flow with everything but the question decided."""

    async def __call__(self, question: Question, on_event: OnEvent, how: Settings = ...) -> Turn:
        """Run one turn, as the program's settings say if `how` does not; raises `NoAnswer`."""


Assemble = Callable[[Settings, Engine], Ask]
"""Makes the flow of a turn for these settings on this engine."""

Explain = Callable[[Turn, OnEvent], Awaitable[str]]
"""Asks the judge why a turn ended as it did: in words, after the fact. Raises a `ModelError`."""
