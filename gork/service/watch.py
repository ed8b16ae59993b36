"""Watches turns for whoever runs the service: one place that sees every event, the end, and what was refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gork.errors import GorkError
from gork.service.gate import Gate
from gork.settings import Settings
from gork.turn import Event, OnEvent, Question, Turn


class Watch:
    """Sees turns go by."""

    def __init__(self, gate: Gate, settings: Settings) -> None:
        self._gate, self._settings = gate, settings

    async def turn(self, question: Question, run: Callable[[OnEvent], Awaitable[Turn]], on_event: OnEvent) -> Turn:
        """Run a turn and take note of how it goes and ends."""

        def told(event: Event) -> None:
            on_event(event)

        return await run(told)

    def refused(self, question: Question, why: GorkError) -> None:
        """Take note of a turn that is not even begun."""
