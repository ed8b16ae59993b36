"""The queue for the models: a number of turns run at once, a number wait in line, and any more are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from gork.errors import QueueFull, Stopping


class AdmissionQueue:
    """Admits `at_once` holders; `waiting` more stand in line, first come, first served."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once, self.most_waiting = at_once, waiting
        self._inside = 0
        self._line: dict[Ticket, int] = {}
        """Those that wait, in order, each with the number ahead of it that it was last told."""
        self._closed = False
        self._counting: asyncio.Handle | None = None

    @property
    def inside(self) -> int:
        """How many are admitted and have not left."""
        return self._inside

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def close(self) -> None:
        """Let nobody in who is not in line yet."""
        self._closed = True

    def enter(self, on_ahead: Callable[[int], None] = lambda _: None) -> Ticket:
        """Enter, or join the line; `on_ahead` is told how many are before it, and again when that has changed.

        Raises `QueueFull` or `Stopping` at once, so that a client can be refused before anything is sent.
        """
        if self._closed:
            raise _stopping()
        ticket = Ticket(self, on_ahead)
        ahead = len(self._line)
        if self._inside < self.at_once:  # then the line is empty
            self._inside += 1
            ticket.admit()
        elif ahead >= self.most_waiting:
            raise QueueFull(f"{self._inside} running and {ahead} waiting, which is the limit; ask again later")
        else:
            self._line[ticket] = ahead
            ticket.tell(ahead)
        return ticket

    def _leave(self, ticket: Ticket) -> None:
        """Give a ticket back; the next in line is admitted."""
        if ticket in self._line:
            del self._line[ticket]
        elif ticket.admitted:
            self._inside -= 1
            if self._line:
                first = next(iter(self._line))
                del self._line[first]
                self._inside += 1
                first.admit()
        if self._line and self._counting is None:  # once for all that leave at the same moment: a line can be long
            self._counting = asyncio.get_running_loop().call_soon(self._count)

    def _count(self) -> None:
        self._counting = None
        for ahead, (ticket, told) in enumerate(list(self._line.items())):
            if ahead != told:
                self._line[ticket] = ahead
                ticket.tell(ahead)


class Ticket:
    """One holder's place, inside or in line: `async with ticket:` waits until it is admitted, and gives it back.

    A task that is cancelled before its first step never gets that far: the code that started it calls `leave` when it is done.
    """

    def __init__(self, queue: AdmissionQueue, on_ahead: Callable[[int], None]) -> None:
        self._queue, self.tell = queue, on_ahead
        self._turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = False

    @property
    def admitted(self) -> bool:
        """Whether its holder is inside, or was."""
        return self._turn.done() and not self._turn.cancelled()

    def admit(self) -> None:
        """Let its holder in."""
        self._turn.set_result(None)

    async def __aenter__(self) -> None:
        try:
            # Shielded, so that a holder that is cancelled while it is admitted is known to be inside, and gives its place back.
            await asyncio.shield(self._turn)
        except BaseException:
            self.leave()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()

    def leave(self) -> None:
        """Give the place back, whether it was waited for or not; calling it again does nothing."""
        if self._left:
            return
        self._left = True
        self._queue._leave(self)  # noqa: SLF001 - the two are one mechanism
        self._turn.cancel()  # which does nothing to one that was admitted


class PromptPlaces:
    """Places for the prompts beside a service: `most` of them, as many as want one if that is 0."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._holders: list[Callable[[], None]] = []
        self._none = asyncio.Event()
        self._none.set()
        self._closed = False

    @property
    def taken(self) -> int:
        """How many are held."""
        return len(self._holders)

    def close(self) -> None:
        """Give no more of them, and wake those who hold one."""
        self._closed = True
        for wake in self._holders:
            wake()

    @contextmanager
    def place(self, wake: Callable[[], None]) -> Iterator[None]:
        """Hold one; `wake` is called when they are closed. Raises `QueueFull` or `Stopping` at once."""
        if self._closed:
            raise _stopping()
        if self._most and self.taken >= self._most:
            open_here = "1 prompt is open here" if self.taken == 1 else f"{self.taken} prompts are open here"
            raise QueueFull(f"{open_here}, which is all that its memory holds: end one first")
        self._holders.append(wake)
        self._none.clear()
        try:
            yield
        finally:
            self._holders.remove(wake)
            if not self._holders:
                self._none.set()

    async def empty(self, within_s: float) -> None:
        """Wait until all are free, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._none.wait()


def _stopping() -> Stopping:
    return Stopping("the service is being stopped or restarted: ask again in a moment")
