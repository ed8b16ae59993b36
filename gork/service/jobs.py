"""One piece of work for one client: queued, bounded in time, watched through its events, stopped when the client goes away.

A handler enters `Jobs.begin(...)` and iterates over what happens; a `Heartbeat` comes when nothing else did for a while, so that
something can be sent before a client or a proxy gives up. Leaving the block stops the work at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from gork.errors import GorkError, InternalError, Stopping, TurnTimedOut
from gork.service.admission import AdmissionQueue, Ticket
from gork.service.logs import note
from gork.turn import Event, Failed, MemberState, OnEvent, State
from gork.wire import Queued

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened for a while; the work goes on."""


@dataclass(frozen=True, slots=True)
class _EndOfEvents:
    """No more events will come."""


class ClientJob(Generic[T]):
    """Work that runs or waits in line: `async for` gives its events, `result()` its result."""

    def __init__(self, heartbeat_s: float) -> None:
        self.heartbeat_s = heartbeat_s
        """Seconds without an event after which there is a `Heartbeat`."""
        # Bounded by the work itself: a turn's events are its tokens, and every model's tokens are limited.
        self._events: asyncio.Queue[Event | Queued | Heartbeat | _EndOfEvents] = asyncio.Queue()
        self._ended = False
        self._given_up: GorkError | None = None
        self.task: asyncio.Task[T] | None = None
        self.admitted = False
        """Whether it got through the queue."""

    def on_event(self, event: Event | Queued) -> None:
        """Take in what happened."""
        self._events.put_nowait(event)

    def wake(self) -> None:
        """Have a `Heartbeat` at once: something should be sent now, to learn whether the client is still there."""
        self._events.put_nowait(Heartbeat())

    def end(self, _: object = None) -> None:
        """Let the iteration end once it has given all events."""
        self._events.put_nowait(_EndOfEvents())

    def give_up(self, error: GorkError) -> None:
        """Stop the work; its client gets `error`."""
        if self._given_up is None:
            self._given_up = error
        if self.task is not None:
            self.task.cancel()

    def turned_away(self) -> GorkError | None:
        """Why it was given up while it stood in line; None if it was not."""
        return None if self.admitted else self._given_up

    @property
    def at_hand(self) -> bool:
        """Whether the next event is there already, so that the events of one burst can be sent in one piece."""
        return not self._events.empty()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Queued | Heartbeat:
        if self._ended:
            raise StopAsyncIteration
        if self._events.empty():
            try:
                async with asyncio.timeout(self.heartbeat_s):
                    event = await self._events.get()
            except TimeoutError:
                return Heartbeat()
        else:
            event = self._events.get_nowait()  # a timer for each of many tokens would cost more than the token
        if isinstance(event, _EndOfEvents):
            self._ended = True
            raise StopAsyncIteration
        return event

    async def result(self) -> T:
        """The result of the work. Raises the `GorkError` that ended it."""
        if self.task is None:
            raise RuntimeError("the work has not begun")
        await asyncio.wait({self.task})
        if self.task.cancelled():  # not by its client: that one would not be here
            raise self._given_up or Stopping("the models were stopped while they worked on this: ask again")
        return self.task.result()


class Jobs:
    """All work that goes through one queue."""

    def __init__(self, queue: AdmissionQueue, *, heartbeat_s: float, first: Callable[[], Awaitable[None]] | None = None) -> None:
        """`first` is done before any of them begins."""
        self.queue, self._first = queue, first
        self.heartbeat_s = heartbeat_s
        """Seconds without an event after which there is a `Heartbeat`."""
        self._running: set[ClientJob[object]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def begin(self, do: Callable[[OnEvent], Awaitable[T]]) -> AsyncIterator[ClientJob[T]]:
        """Run `do`, now or when it is its turn; leaving the block stops it and waits for its end.

        Raises `QueueFull` or `Stopping` before anything began.
        """
        job: ClientJob[T] = ClientJob(self.heartbeat_s)
        if self._first is not None:
            await self._first()
        ticket = self.queue.enter(lambda ahead: job.on_event(Queued(ahead)))
        job.task = asyncio.create_task(_admitted(ticket, do, job))
        # A task that is cancelled before its first step runs nothing of itself, and the exception of another may never be asked for.
        job.task.add_done_callback(lambda _: ticket.leave())
        job.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        job.task.add_done_callback(job.end)
        self._running.add(job)  # type: ignore[arg-type] # its result is of no interest here
        self._idle.clear()
        try:
            yield job
        finally:
            job.task.cancel()
            try:
                await asyncio.wait({job.task})
            finally:
                self._running.discard(job)
                if not self._running:
                    self._idle.set()

    async def idle(self) -> None:
        """Wait until no work is left and every client has its result."""
        await self._idle.wait()

    def give_up(self, error: GorkError) -> None:
        """Stop everything; each client gets `error`."""
        for job in list(self._running):
            job.give_up(error)


async def _admitted(ticket: Ticket, do: Callable[[OnEvent], Awaitable[T]], job: ClientJob[T]) -> T:
    async with ticket:
        job.admitted = True
        try:
            return await do(job.on_event)
        except GorkError:
            raise
        except Exception as error:  # the edge of what is done for one client: others go on, and this one is told
            note("something unexpected went wrong", level=logging.ERROR, error=error)
            raise InternalError("something unexpected went wrong; see the log of the service") from None


async def within(do: Callable[[OnEvent], Awaitable[T]], on_event: OnEvent, *, limit_s: float, load_s: float, grace_s: float) -> T:
    """Do it within the limit, so that nothing runs for ever. Raises `TurnTimedOut`.

    The limit stands still while a model is loading; each load has its own, `load_s`. Both end `grace_s` later than the flow's own
    deadlines, which keep what was written by then.
    """
    clock = _Clock(limit_s + grace_s, load_s + grace_s)

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
        raise TurnTimedOut(f"it did not finish within {limit_s:g} s, which is all that a turn may take here; ask less at once") from None


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
