"""One piece of work for one client: run behind a gate, watched through its events, stopped when the client goes away.

A handler enters `Work.begin(...)` and iterates over what happens; a `Beat` comes when nothing else did for a while, so that something
can be sent before a client or a proxy gives up. Leaving the block stops the work, whatever it is at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from gork.errors import GorkError
from gork.service.admission import Gate, Place, Stopping
from gork.service.logs import note
from gork.turn import Event, OnEvent
from gork.wire import Queued

T = TypeVar("T")

BEAT_S = 5.0
"""Seconds without an event after which there is a `Beat`: clients and proxies wait for half a minute and more."""


class Unforeseen(GorkError):
    """Raised in place of a mistake of the program's own: the log has it, its client gets one line."""


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
        self.inside = False
        """Whether it came through the gate."""

    def on_event(self, event: Event | Queued) -> None:
        """Take in what happened."""
        self._events.put_nowait(event)

    def end(self, _: object = None) -> None:
        """Let the iteration end once everything that happened is told."""
        self._events.put_nowait(_End())

    def give_up(self, error: GorkError) -> None:
        """Stop the work; its client gets `error`."""
        if self._given_up is None:
            self._given_up = error
        if self.task is not None:
            self.task.cancel()

    def turned_away(self) -> GorkError | None:
        """Why it was not let in after it had stood in line, if that is so."""
        if self.inside or self.task is None or not self.task.done() or self.task.cancelled():
            return None
        error = self.task.exception()
        return error if isinstance(error, GorkError) else None

    @property
    def at_hand(self) -> bool:
        """Whether the iteration goes on at once: who sends events can send those of one burst in one piece."""
        return not self._events.empty()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Queued | Beat:
        if self._ended:
            raise StopAsyncIteration
        if self._events.empty():
            try:
                async with asyncio.timeout(self._beat_s):
                    event = await self._events.get()
            except TimeoutError:
                return Beat()
        else:
            event = self._events.get_nowait()  # a timer for each of many tokens would cost more than the token
        if isinstance(event, _End):
            self._ended = True
            raise StopAsyncIteration
        return event

    async def result(self) -> T:
        """What came of the work. Raises the `GorkError` that ended it."""
        if self.task is None:
            raise RuntimeError("the work has not begun")
        await asyncio.wait({self.task})
        if self.task.cancelled():  # not by its client: that one would not be here
            raise self._given_up or Stopping("the models were stopped while they worked on this: ask again")
        return self.task.result()


class Work:
    """All work behind one gate."""

    def __init__(self, gate: Gate, *, beat_s: float = BEAT_S) -> None:
        self.gate = gate
        self.beat_s = beat_s
        self._running: set[Running[object]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def begin(self, do: Callable[[OnEvent], Awaitable[T]]) -> AsyncIterator[Running[T]]:
        """Run `do`, now or when it is its turn; leaving the block stops it and waits for its end.

        Raises `Full` or `Stopping` before anything began.
        """
        running: Running[T] = Running(self.beat_s)
        place = self.gate.enter(lambda ahead: running.on_event(Queued(ahead)))
        running.task = asyncio.create_task(_inside(place, do, running))
        # A task that is cancelled before its first step runs nothing of itself, and nobody may ever ask what another one ended with.
        running.task.add_done_callback(lambda _: place.leave())
        running.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        running.task.add_done_callback(running.end)
        self._running.add(running)  # type: ignore[arg-type] # what comes of it is of no interest here
        self._idle.clear()
        try:
            yield running
        finally:
            running.task.cancel()
            try:
                await asyncio.wait({running.task})
            finally:
                self._running.discard(running)
                if not self._running:
                    self._idle.set()

    async def idle(self) -> None:
        """Wait until no work is left and every client has been told what came of its own."""
        await self._idle.wait()

    def give_up(self, error: GorkError) -> None:
        """Stop everything; each client gets `error`."""
        for running in list(self._running):
            running.give_up(error)


async def _inside(place: Place, do: Callable[[OnEvent], Awaitable[T]], running: Running[T]) -> T:
    async with place:
        running.inside = True
        try:
            return await do(running.on_event)
        except GorkError:
            raise
        except Exception as error:  # the edge of what is done for one client: others go on, and this one is told
            note("something unforeseen went wrong", level=logging.ERROR, error=error)
            raise Unforeseen("something went wrong that should not; whoever runs the service finds it in the log") from None
