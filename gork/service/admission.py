"""The door to the models: so many turns at once, so many waiting in line, nobody beyond."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from gork.errors import GorkError


class Full(GorkError):
    """Raised when the line is as long as it may be."""


class Stopping(GorkError):
    """Raised when the service takes nothing new, or gave up what it was at, because it is being stopped."""


class Gate:
    """Lets in `at_once` holders; `waiting` more stand in line, first come, first served."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once, self.most_waiting = at_once, waiting
        self._inside = 0
        self._line: dict[Place, int] = {}
        """Who waits, in order, each with the number ahead of it that it was last told."""
        self._closed = False
        self._counting: asyncio.Handle | None = None

    @property
    def inside(self) -> int:
        """How many hold a place."""
        return self._inside

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def close(self) -> None:
        """Let nobody else in, not even those in line."""
        self._closed = True
        line, self._line = list(self._line), {}
        for place in line:
            place.refuse(_stopping())

    def enter(self, on_ahead: Callable[[int], None] = lambda _: None) -> Place:
        """Take a place inside or in line; `on_ahead` is told how many are before it, and again when that has changed.

        Raises `Full` or `Stopping` at once, so that a client can be refused before anything is sent.
        """
        if self._closed:
            raise _stopping()
        place = Place(self, on_ahead)
        ahead = len(self._line)
        if self._inside < self.at_once:  # then nobody is in line
            self._inside += 1
            place.admit()
        elif ahead >= self.most_waiting:
            raise Full(f"{self._inside} running and {ahead} waiting, which is as many as there may be; ask again later")
        else:
            self._line[place] = ahead
            place.tell(ahead)
        return place

    def _leave(self, place: Place) -> None:
        """Give a place back; who is next in line comes in."""
        if place in self._line:
            del self._line[place]
        elif place.admitted:
            self._inside -= 1
            if self._line:
                first = next(iter(self._line))
                del self._line[first]
                self._inside += 1
                first.admit()
        if self._line and self._counting is None:  # once for all who leave at the same moment: a line can be long
            self._counting = asyncio.get_running_loop().call_soon(self._count)

    def _count(self) -> None:
        self._counting = None
        for ahead, (place, told) in enumerate(list(self._line.items())):
            if ahead != told:
                self._line[place] = ahead
                place.tell(ahead)


class Place:
    """One holder's place: `async with place:` waits until it is inside, and gives it back.

    A task that is cancelled before its first step never comes to that: whoever started it calls `leave` when it is done.
    """

    def __init__(self, gate: Gate, on_ahead: Callable[[int], None]) -> None:
        self._gate, self.tell = gate, on_ahead
        self._turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = False

    @property
    def admitted(self) -> bool:
        """Whether it is inside, or was."""
        return self._turn.done() and not self._turn.cancelled() and self._turn.exception() is None

    def admit(self) -> None:
        """Let it in."""
        self._turn.set_result(None)

    def refuse(self, error: GorkError) -> None:
        """Send it away."""
        self._turn.set_exception(error)

    async def __aenter__(self) -> None:
        try:
            # Shielded: who stops waiting is told apart from who was let in at the same moment, and gives the place back.
            await asyncio.shield(self._turn)
        except BaseException:
            self.leave()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()

    def leave(self) -> None:
        """Give the place back, waited for or not; more than once does no harm."""
        if self._left:
            return
        self._left = True
        self._gate._leave(self)  # noqa: SLF001 - the two are one mechanism
        if not self._turn.done():
            self._turn.cancel()
        elif not self._turn.cancelled():
            self._turn.exception()  # nobody may have waited for it


def _stopping() -> Stopping:
    return Stopping("the service is being stopped or restarted: ask again in a moment")
