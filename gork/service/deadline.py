"""The whole turn's deadline: a stop behind the deadlines of its stages, so that nothing runs for ever. Loading does not count."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gork.config.settings import Settings
from gork.errors import GorkError
from gork.turn import Event, Failed, MemberState, OnEvent, State

T = TypeVar("T")

GRACE_S = 5.0
"""Seconds beyond a limit: the flow's own deadlines end first, and keep what was written by then."""


class OutOfTime(GorkError):
    """Raised when a turn did not come to its end in its time."""


async def within(
    settings: Settings, limit_s: float, do: Callable[[OnEvent], Awaitable[T]], on_event: OnEvent, *, grace_s: float | None = None
) -> T:
    """Do it within the limit, which stands still while a model is loading; one load has its own deadline. Raises `OutOfTime`."""
    grace_s = GRACE_S if grace_s is None else grace_s
    clock = _Clock(limit_s + grace_s, settings.load_timeout + grace_s)

    def told(event: Event) -> None:
        if type(event) is MemberState:
            clock.state(event)
        elif type(event) is Failed:
            clock.over(event.failure.member)
        on_event(event)

    try:
        async with clock.scope:
            return await do(told)
    except TimeoutError:
        if not clock.scope.expired():
            raise
        raise OutOfTime(
            f"it did not come to an end within {limit_s:g} s, which is all that a turn may take here; ask less at once"
        ) from None


class _Clock:
    """One `asyncio.timeout`, moved when a member begins to load its model and when the last one has."""

    def __init__(self, limit_s: float, load_s: float) -> None:
        self._time = asyncio.get_running_loop().time
        self._end, self._load_s = self._time() + limit_s, load_s
        self._loading: set[str] = set()
        self._since = 0.0
        self.scope = asyncio.timeout_at(self._end)

    def state(self, event: MemberState) -> None:
        """Take in what a member is doing."""
        if self.scope.expired():
            return
        if event.state is State.LOADING:
            if not self._loading:
                self._since = self._time()
            self._loading.add(event.member)
            self.scope.reschedule(self._time() + self._load_s)
        else:
            self.over(event.member)

    def over(self, member: str) -> None:
        """Take in that a member is not loading, whether it was or not."""
        if member not in self._loading or self.scope.expired():
            return
        self._loading.discard(member)
        if not self._loading:
            self._end += self._time() - self._since
            self.scope.reschedule(self._end)
