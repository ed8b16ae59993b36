"""Turns as their clients read them: the events so far, each with its number, for readers that come and go.

A turn ends when its client leaves, unless the client asked for it to be kept: then it goes on for a while without a reader, and whoever
holds its secret token reads on from the event that came last, also for some minutes after the turn's end.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from operator import attrgetter
from typing import Final, NamedTuple, Protocol, Self

from gork.config.settings import Settings
from gork.errors import BadRequest, GorkError, NoAnswer, NotFound, QueueFull, Stopping, TurnStopped
from gork.service.jobs import ClientJob, Heartbeat
from gork.service.logs import note
from gork.service.turns import TurnStore
from gork.turn import Answered, Finished, MemberState, Question, Restarted, State, Token, Turn
from gork.wire import Broken, BrokenKind, WireEvent, encode

HEARTBEAT: Final = b": beat\n\n"
"""A comment between events: nothing happened, and the connection is still in use."""
MOST_UNATTENDED: Final = 8
"""Turns that go on without a reader at the same time: each takes a place that somebody else could have."""
MOST_ENDED: Final = 64
MOST_BYTES: Final = 16 << 20
KEPT_S: Final = 600.0
CLOSING_S: Final = 0.5
_BURST: Final = 32 * 1024
"""Bytes after which what is sent in one piece ends."""


def new_token() -> str:
    """A secret for a turn."""
    return secrets.token_urlsafe(24)


def frame(event: WireEvent, number: int | None = None) -> bytes:
    """An event as it is sent; with its number, if readers may come back for what follows it."""
    kind, data = encode(event)
    numbered = b"" if number is None else b"id: %d\n" % number
    return numbered + b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def broken(error: GorkError, told: str) -> Broken:
    """The last event of what ended with an error; `told` is what its client may know of it."""
    kind: BrokenKind
    match error:
        case NoAnswer():
            kind = "no_answer"
        case Stopping():
            kind = "stopped"
        case TurnStopped():
            kind = "cancelled"
        case QueueFull() | BadRequest():
            kind = "refused"
        case _:
            kind = "error"
    return Broken(kind, told)


class _Logged(NamedTuple):
    number: int
    data: bytes
    writer: str | None
    """Whose piece of text it is; None for any other event."""


class EventLog:
    """A turn's events in order.

    One that is kept has all that a reader needs who comes later: pieces of a text go when the whole of it has come, or counts no more.
    One that is not has what its only reader has not been given yet.
    """

    def __init__(self, *, kept: bool) -> None:
        self.kept, self.ended = kept, False
        self._events: list[_Logged] = []
        self._count = 0
        self._news: set[asyncio.Event] = set()

    @property
    def size(self) -> int:
        """Bytes of all events that are there."""
        return sum(len(event.data) for event in self._events)

    def add(self, event: WireEvent) -> None:
        """Take in what happened."""
        self._count += 1
        if self.kept and (writer := _needs_no_pieces(event)) is not None:
            self._events = [logged for logged in self._events if logged.writer != writer]
        number = self._count if self.kept else None
        self._events.append(_Logged(self._count, frame(event, number), event.member if type(event) is Token else None))
        self._tell()

    def end(self, last: WireEvent) -> None:
        """Take in the last event of all."""
        self.add(last)
        self.ended = True

    def after(self, number: int) -> tuple[int, bytes]:
        """What follows an event, up to a burst of it, and the number of the last event in it."""
        start, size = bisect_right(self._events, number, key=attrgetter("number")), 0
        pieces = []
        for event in self._events[start:] if start else self._events:
            pieces.append(event.data)
            number, size = event.number, size + len(event.data)
            if size > _BURST:
                break
        if not self.kept:
            del self._events[: start + len(pieces)]
        return number, b"".join(pieces)

    def watch(self, news: asyncio.Event) -> None:
        """Have an event set whenever there is more."""
        self._news.add(news)

    def unwatch(self, news: asyncio.Event) -> None:
        """Take that back."""
        self._news.discard(news)

    def _tell(self) -> None:
        for news in self._news:
            news.set()


class Reader:
    """One client of a turn: `async for` gives what is to be sent, a sign of life among it when nothing happened for a while."""

    def __init__(self, log: EventLog, after: int, heartbeat_s: float) -> None:
        self._log, self._after, self._heartbeat_s = log, after, heartbeat_s
        self.news = asyncio.Event()
        self._woken = False

    def wake(self) -> None:
        """Have a sign of life sent at once, to learn whether the client is still there."""
        self._woken = True
        self.news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            self.news.clear()
            self._after, data = self._log.after(self._after)
            if data or self._woken:
                self._woken = False
                return data or HEARTBEAT
            if self._log.ended:
                raise StopAsyncIteration
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await self.news.wait()
            except TimeoutError:
                return HEARTBEAT


class LiveTurn:
    """One turn: its job, its events so far, and who reads them."""

    def __init__(self, turn_id: str, token: str, job: ClientJob[Turn], turns: LiveTurns, *, answer_now: asyncio.Event, kept: bool) -> None:
        self.id, self.token, self.job = turn_id, token, job
        self.answer_now = answer_now
        """Set when its user wants the answer now."""
        self.log = EventLog(kept=kept)
        self._turns = turns
        self._readers: set[Reader] = set()
        self._unread, self._over = asyncio.Event(), asyncio.Event()
        self._unread.set()
        self._timer: asyncio.TimerHandle | None = None
        """While nobody reads it: when that has lasted too long."""

    @property
    def running(self) -> bool:
        """Whether more events will come."""
        return not self.log.ended

    @property
    def size(self) -> int:
        """Bytes of its events."""
        return self.log.size

    def stop(self) -> None:
        """Stop all models at once."""
        self.job.give_up(TurnStopped("this turn was stopped"))

    @asynccontextmanager
    async def reader(self, after: int = 0) -> AsyncIterator[Reader]:
        """Read what follows the event of this number."""
        reader = Reader(self.log, after, self._turns.heartbeat_s)
        self._readers.add(reader)
        self._unread.clear()
        self.log.watch(reader.news)
        self._attend()
        try:
            yield reader
        finally:
            self.log.unwatch(reader.news)
            self._readers.discard(reader)
            if not self._readers:
                self._unread.set()
                if self.running:
                    await self._left()

    @property
    def ends(self) -> float | None:
        """When it is given up if nobody comes back for it, by the loop's clock; None while somebody reads it."""
        return None if self._timer is None else self._timer.when()

    def _attend(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            note("somebody came back for the turn")

    async def _left(self) -> None:
        if not self.log.kept:
            self.stop()
            await self._over.wait()
            return
        note("turn goes on without a reader", seconds=self._turns.unattended_s)
        self._timer = asyncio.get_running_loop().call_later(self._turns.unattended_s, self.give_up)
        self._turns.left()

    def give_up(self) -> None:
        """Stop it, since nobody came back for it."""
        self.job.give_up(TurnStopped("nobody was reading this turn any more, so it was stopped"))

    async def run(self, stack: AsyncExitStack, told: Callable[[GorkError], str]) -> None:
        """Log what happens until the turn is over; it counts as running until its readers have been given all."""
        last: WireEvent = Broken("error", "an internal error: the service's log has more")
        try:
            async with stack:
                try:
                    async for item in self.job:
                        if not isinstance(item, Heartbeat | Finished):  # the last event of all comes when the turn has really ended
                            self.log.add(item)
                    last = Finished(await self.job.result())
                except GorkError as error:
                    last = broken(error, told(error))
                finally:
                    self.log.end(last)
                    self._turns.ended(self)
                await self._unread.wait()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._over.set()


def _needs_no_pieces(event: WireEvent) -> str | None:
    """The member whose pieces of text are worth nothing from this event on: they have come as a whole, or count no more."""
    match event:
        case Answered(answer):
            return answer.member
        case Restarted(member) | MemberState(member, State.NOT_NEEDED):
            return member
        case _:
            return None


class Begin(Protocol):
    """What runs a turn."""

    def __call__(self, question: Question, how: Settings, /, *, answer_now: asyncio.Event) -> AbstractAsyncContextManager[ClientJob[Turn]]:
        """Run a turn while the block lasts; entering raises `QueueFull` or `Stopping` before anything is done."""


class LiveTurns:
    """All turns that are read, and those that ended just now and were to be kept."""

    def __init__(self, begin: Begin, told: Callable[[GorkError], str], *, heartbeat_s: float, unattended_s: float) -> None:
        self._begin, self._told = begin, told
        self.heartbeat_s, self.unattended_s = heartbeat_s, unattended_s
        self._running: dict[str, LiveTurn] = {}
        self._ended = TurnStore[LiveTurn](most=MOST_ENDED, most_bytes=MOST_BYTES, kept_s=KEPT_S)
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, question: Question, how: Settings, token: str, opening: Sequence[WireEvent], *, kept: bool) -> LiveTurn:
        """Run a turn, whose first events are `opening`. Raises `QueueFull` or `Stopping` before anything is done."""
        stack = AsyncExitStack()
        answer_now = asyncio.Event()
        job = await stack.enter_async_context(self._begin(question, how, answer_now=answer_now))
        turn = LiveTurn(question.id, token, job, self, answer_now=answer_now, kept=kept)
        for event in opening:
            turn.log.add(event)
        self._running[turn.id] = turn
        task = asyncio.create_task(turn.run(stack, self._told), name=f"log turn {turn.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return turn

    def find(self, turn_id: str, token: str) -> LiveTurn:
        """The turn of that id, for whoever holds its token. Raises `NotFound`."""
        turn = self._running.get(turn_id) or self._ended.find(turn_id)
        if turn is None or not hmac.compare_digest(turn.token.encode(), token.encode("utf-8", "surrogateescape")):
            raise NotFound("no turn of that id and token is running, or ended in the last minutes")
        return turn

    def left(self) -> None:
        """Take in that nobody reads one of them; beyond the bound those that have waited longest are given up."""
        waiting = sorted((ends, turn.id) for turn in self._running.values() if (ends := turn.ends) is not None)
        for _, turn_id in waiting[:-MOST_UNATTENDED]:
            self._running[turn_id].give_up()

    def ended(self, turn: LiveTurn) -> None:
        """Take in that a turn has had its last event."""
        self._running.pop(turn.id, None)
        if turn.log.kept:
            self._ended.add(turn)

    async def close(self) -> None:
        """Stop all of them; a model that cannot be stopped is not waited for."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING_S)
