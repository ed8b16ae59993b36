"""Memory: one thread of turns that all models share, and how much of it still fits.

What is remembered is what the user wrote and the answer that was chosen, never a rewrite, never a draft.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gork.engines.call import estimate_prompt
from gork.turn import Message


@dataclass(frozen=True, slots=True)
class Exchange:
    """One remembered turn: the user's own words and the chosen answer, byte for byte."""

    user: str
    assistant: str
    program: str | None = None
    """What computed the answer, where it was computed."""

    @property
    def messages(self) -> tuple[Message, Message]:
        """The two messages that a model reads of it."""
        return {"role": "user", "content": self.user}, {"role": "assistant", "content": self.assistant}


@dataclass(frozen=True, slots=True)
class Kept:
    """The part of a conversation that fits a budget (oldest message first), and how many older turns do not."""

    messages: tuple[Message, ...]
    dropped: int


class Conversation:
    """The turns so far, in memory. What it hands out never changes afterwards."""

    def __init__(self, exchanges: Iterable[Exchange] = ()) -> None:
        self._exchanges = tuple(exchanges)

    def __len__(self) -> int:
        return len(self._exchanges)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every turn, oldest first, whether or not it still fits."""
        return self._exchanges

    @property
    def last_program(self) -> str | None:
        """The program that computed the last answer; None where it was not computed."""
        return self._exchanges[-1].program if self._exchanges else None

    def add(self, user: str, assistant: str, program: str | None = None) -> None:
        """Remember a turn that has ended."""
        self._exchanges = (*self._exchanges, Exchange(user, assistant, program))

    def clear(self) -> None:
        """Forget everything."""
        self._exchanges = ()

    def kept(self, budget_tokens: int) -> Kept:
        """The newest turns whose estimated tokens fit the budget, whole turns only, without a gap.

        The first turn that does not fit ends it, so that no model answers from a thread with a hole in it; a newest turn that is
        too large for itself leaves nothing.
        """
        messages: list[Message] = []
        left = budget_tokens
        for exchange in reversed(self._exchanges):
            left -= estimate_prompt(exchange.messages)
            if left < 0:
                break
            messages[:0] = exchange.messages
        return Kept(tuple(messages), len(self._exchanges) - len(messages) // 2)


def announce(kept: Kept) -> str | None:
    """One line for people when turns no longer fit; None when all do.

    >>> announce(Kept((), 2))
    'The 2 earlier turns did not fit and were left out: this question was asked without history.'
    """
    if not kept.dropped:
        return None
    number = "" if kept.dropped == 1 else f"{kept.dropped} "
    turns, were = ("turn", "was") if kept.dropped == 1 else ("turns", "were")
    if not kept.messages:
        return f"The {number}earlier {turns} did not fit and {were} left out: this question was asked without history."
    return f"The {number}oldest {turns} did not fit and {were} left out."
