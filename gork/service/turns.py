"""Finished turns that clients may come back to: bounded in number, in size and in minutes, in memory alone.

Whoever knows a turn's id may go on from it: ids are drawn at random, and everything else of the service needs the same token.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gork.turn import Message

MOST: Final = 512
MOST_BYTES: Final = 16 << 20
KEPT_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """A turn that ended with an answer: the conversation up to and with it, instructions left out."""

    id: str
    messages: tuple[Message, ...]
    ended: float
    """By the store's clock, in seconds."""

    @property
    def answer(self) -> str:
        """The chosen answer, byte for byte."""
        return self.messages[-1]["content"]

    @property
    def size(self) -> int:
        """Bytes of its texts."""
        return sum(len(message["content"].encode("utf-8", "surrogatepass")) for message in self.messages)


class TurnStore:
    """The turns that ended last; the oldest go first."""

    def __init__(
        self, *, most: int = MOST, most_bytes: int = MOST_BYTES, kept_s: float = KEPT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._most_bytes, self._kept_s, self._clock = most, most_bytes, kept_s, clock
        self._turns: dict[str, KeptTurn] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, turn_id: str, messages: tuple[Message, ...]) -> None:
        """Keep a turn that has ended."""
        turn = KeptTurn(turn_id, messages, self._clock())
        self._drop(turn_id)
        self._turns[turn_id] = turn
        self._bytes += turn.size
        while self._turns and (len(self._turns) > self._most or self._bytes > self._most_bytes):
            self._drop(next(iter(self._turns)))
        self._forget_old()

    def find(self, turn_id: str) -> KeptTurn | None:
        """The turn of that id, if it is still kept."""
        self._forget_old()
        return self._turns.get(turn_id)

    def _forget_old(self) -> None:
        while self._turns and (oldest := next(iter(self._turns.values()))).ended < self._clock() - self._kept_s:
            self._drop(oldest.id)

    def _drop(self, turn_id: str) -> None:
        if (turn := self._turns.pop(turn_id, None)) is not None:
            self._bytes -= turn.size
