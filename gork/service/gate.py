"""The door to the models: so many turns at once, so many waiting in line, nobody beyond."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType

from gork.errors import GorkError

NOBODY_AHEAD = 0


class Full(GorkError):
    """Raised when the line is as long as it may be."""


class Stopping(GorkError):
    """Raised when the service takes nothing new, or gave up what it was at, because it is being stopped."""


class Gate:
    """Lets in `at_once` holders; `waiting` more stand in line, first come, first served."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once, self.most_waiting = at_once, waiting
        self._inside = 0
        self._line: deque[Place] = deque()
        self._closed = False

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
        for place in list(self._line):
            place.refuse(Stopping("the service is being stopped: ask again in a moment"))

    def enter(self, on_ahead: Callable[[int], None] = lambda _: None) -> Place:
        """Take a place inside or in line; `on_ahead` is told how many are before it whenever that changes.

        Raises `Full` or `Stopping` at once, so that a client can be refused before anything is sent.
        """
        if self._closed:
            raise Stopping("the service is being stopped: ask again in a moment")
        place = Place(self, on_ahead)
        if self._inside < self.at_once and not self._line:
            self._inside += 1
            place.admit()
        elif len(self._line) >= self.most_waiting:
            raise Full(f"{self._inside} turns are running and {len(self._line)} are waiting, which is as many as there may be")
        else:
            self._line.append(place)
            on_ahead(len(self._line) - 1)
        return place

    def _leave(self, place: Place) -> None:
        """Give a place back; who is next in line comes in."""
        if place in self._line:
            self._line.remove(place)
        elif place.admitted:
            self._inside -= 1
            if self._line and not self._closed:
                self._inside += 1
                self._line.popleft().admit()
        for ahead, other in enumerate(self._line):
            other.tell(ahead)


class Place:
    """One holder's place: `async with place:` waits until it is inside, and gives it back."""

    def __init__(self, gate: Gate, on_ahead: Callable[[int], None]) -> None:
        self._gate, self.tell = gate, on_ahead
        self._turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = False

    @property
    def admitted(self) -> bool:
        """Whether it is inside."""
        return self._turn.done() and not self._turn.cancelled() and self._turn.exception() is None

    def admit(self) -> None:
        """Let it in."""
        if not self._turn.done():
            self._turn.set_result(None)

    def refuse(self, error: GorkError) -> None:
        """Send it away."""
        if not self._turn.done():
            self._turn.set_exception(error)

    async def __aenter__(self) -> None:
        try:
            await asyncio.shield(self._turn)
        except BaseException:
            self.leave()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()

    def leave(self) -> None:
        """Give the place back, waited for or not; more than once does no harm."""
        if not self._left:
            self._left = True
            self._gate._leave(self)  # noqa: SLF001 - the two are one mechanism
            if not self._turn.done():
                self._turn.cancel()
            elif not self._turn.cancelled():
                self._turn.exception()  # nobody may have waited for it
