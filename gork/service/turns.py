"""Turns that have ended and that clients may come back to: bounded in number, in size and in minutes, in memory alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from gork.turn import Message

MOST: Final = 512
MOST_BYTES: Final = 16 << 20
KEPT_S: Final = 3600.0


class Kept(Protocol):
    """What can be kept."""

    @property
    def id(self) -> str:
        """The turn's."""

    @property
    def size(self) -> int:
        """Bytes that it takes."""


_T = TypeVar("_T", bound=Kept)


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """A turn that ended with an answer: the conversation up to and with it, instructions left out.

    Whoever knows its id may go on from it: ids are drawn at random, and everything else of the service needs the same token.
    """

    id: str
    messages: tuple[Message, ...]

    @property
    def answer(self) -> str:
        """The chosen answer, byte for byte."""
        return self.messages[-1]["content"]

    @property
    def size(self) -> int:
        """Bytes of its texts."""
        return sum(len(message["content"].encode("utf-8", "surrogatepass")) for message in self.messages)


class TurnStore(Generic[_T]):
    """The turns that ended last; the oldest go first."""

    def __init__(
        self, *, most: int = MOST, most_bytes: int = MOST_BYTES, kept_s: float = KEPT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._most_bytes, self._kept_s, self._clock = most, most_bytes, kept_s, clock
        self._turns: dict[str, tuple[_T, int, float]] = {}
        """Each with its size and with when it ended, by the clock."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, turn: _T) -> None:
        """Keep a turn that has ended."""
        self._drop(turn.id)
        size = turn.size
        self._turns[turn.id] = (turn, size, self._clock())
        self._bytes += size
        while self._turns and (len(self._turns) > self._most or self._bytes > self._most_bytes):
            self._drop(next(iter(self._turns)))
        self._forget_old()

    def find(self, turn_id: str) -> _T | None:
        """The turn of that id, if it is still kept."""
        self._forget_old()
        kept = self._turns.get(turn_id)
        return None if kept is None else kept[0]

    def _forget_old(self) -> None:
        while self._turns and next(iter(self._turns.values()))[2] < self._clock() - self._kept_s:
            self._drop(next(iter(self._turns)))

    def _drop(self, turn_id: str) -> None:
        if (kept := self._turns.pop(turn_id, None)) is not None:
            self._bytes -= kept[1]
