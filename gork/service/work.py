"""One piece of work for one client: run behind a gate, watched through its events, stopped when the client goes away.

A handler enters `Work.begin(...)` and iterates over what happens; a `Beat` comes when nothing else did for a while, so that something
can be sent before a client or a proxy gives up. Leaving the block stops the work, whatever it is at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from gork.errors import GorkError
from gork.service.gate import Gate, Place
from gork.turn import Event, OnEvent
from gork.wire import Queued

T = TypeVar("T")

BEAT_S = 5.0
"""Seconds without an event after which there is a `Beat`: clients and proxies wait for half a minute and more."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing happened for a while; the work goes on."""


@dataclass(frozen=True, slots=True)
class _End:
    """No more events will come."""


class Running(Generic[T]):
    """Work that has begun or waits in line: `async for` gives its events, `result()` what came of it."""

    def __init__(self, beat_s: float) -> None:
        self._beat_s = beat_s
        # Bounded by the work itself: a turn's events are its tokens, and every model's tokens are limited.
        self._events: asyncio.Queue[Event | Queued | _End] = asyncio.Queue()
        self._ended = False
        self._given_up: GorkError | None = None
        self.task: asyncio.Task[T] | None = None

    def on_event(self, event: Event | Queued) -> None:
        """Take in what happened."""
        self._events.put_nowait(event)

    def end(self, _: object = None) -> None:
        """Let the iteration end once everything that happened is told."""
        self._events.put_nowait(_End())

    def give_up(self, error: GorkError) -> None:
        """Stop the work; its client gets `error`."""
        self._given_up = error
        if self.task is not None:
            self.task.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Queued | Beat:
        if self._ended:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout(self._beat_s):
                event = await self._events.get()
        except TimeoutError:
            return Beat()
        if isinstance(event, _End):
            self._ended = True
            raise StopAsyncIteration
        return event

    async def result(self) -> T:
        """What came of the work. Raises the `GorkError` that ended it."""
        if self.task is None:
            raise RuntimeError("the work has not begun")
        await asyncio.wait({self.task})
        if self._given_up is not None and self.task.cancelled():
            raise self._given_up
        return self.task.result()


class Work:
    """All work behind one gate."""

    def __init__(self, gate: Gate, *, beat_s: float = BEAT_S) -> None:
        self.gate = gate
        self.beat_s = beat_s
        self._running: set[Running[object]] = set()

    @asynccontextmanager
    async def begin(self, do: Callable[[OnEvent], Awaitable[T]]) -> AsyncIterator[Running[T]]:
        """Run `do`, now or when it is its turn; leaving the block stops it and waits for its end.

        Raises `Full` or `Stopping` before anything began.
        """
        running: Running[T] = Running(self.beat_s)
        place = self.gate.enter(lambda ahead: running.on_event(Queued(ahead)))
        running.task = asyncio.create_task(_inside(place, do, running.on_event))
        running.task.add_done_callback(running.end)
        self._running.add(running)  # type: ignore[arg-type] # what comes of it is of no interest here
        try:
            yield running
        finally:
            self._running.discard(running)
            running.task.cancel()
            await _over(running.task)
            place.leave()

    def give_up(self, error: GorkError) -> None:
        """Stop everything; each client gets `error`."""
        for running in list(self._running):
            running.give_up(error)


async def _inside(place: Place, do: Callable[[OnEvent], Awaitable[T]], on_event: OnEvent) -> T:
    async with place:
        return await do(on_event)


async def _over(task: asyncio.Task[T]) -> None:
    """Wait until a task that was cancelled has ended; what it ended with has been told, or is of no interest any more."""
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
