"""Memory: one thread of turns that all models share, and how much of it still fits.

What is remembered is what the user wrote and the answer that was chosen, never a rewrite, never a draft.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gork.config.ensemble import ANSWER_TOKENS, Member
from gork.config.settings import Settings
from gork.engines.call import estimate_prompt
from gork.turn import Message, as_messages


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
    set_tokens: int | None = None
    """The budget where the settings say it; None where it is what the models' context leaves."""


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

    def kept_beside(self, question: str, settings: Settings) -> Kept:
        """What fits beside a question for the ensemble's candidates; less if the settings say so."""
        return self.kept(room_for_history(settings, settings.ensemble.candidates, question), settings.history_tokens)

    def kept(self, room: int, set_tokens: int | None = None) -> Kept:
        """The newest turns whose estimated tokens fit the room, and `set_tokens` if given; whole turns only, without a gap.

        The first turn that does not fit ends it, so that no model answers from a thread with a hole in it; a newest turn that is
        too large for itself leaves nothing.
        """
        messages: list[Message] = []
        limited = set_tokens is not None and set_tokens < room
        left = set_tokens if set_tokens is not None and limited else room
        for exchange in reversed(self._exchanges):
            left -= estimate_prompt(exchange.messages)
            if left < 0:
                break
            messages[:0] = exchange.messages
        return Kept(tuple(messages), len(self._exchanges) - len(messages) // 2, set_tokens if limited else None)


def room_for_history(settings: Settings, members: Iterable[Member], question: str, *, system: str = "", context: int | None = None) -> int:
    """Tokens of earlier turns that fit beside a question, by a cautious estimate, whichever of the members reads them.

    What is left of the `context` (the ensemble's if not given) without the members' own instructions and examples, the client's
    instructions, the question, and an answer of the usual length.
    """
    ensemble = settings.ensemble
    asked = 2 if ensemble.candidates_see == "both" else 1

    def used(member: Member) -> int:
        instructions: Message = {"role": "system", "content": f"{member.system or ''}{system}"}
        return estimate_prompt([instructions, *as_messages(member.examples), *asked * [Message(role="user", content=question)]])

    room = settings.ensemble.context if context is None else context
    return max(0, room - min(ANSWER_TOKENS, room // 2) - max(map(used, members), default=0))


def announce(kept: Kept) -> str | None:
    """One line for people when turns are left out; None when all fit.

    >>> announce(Kept((), 2))
    "The 2 earlier turns did not fit the models' context and were left out: this question was asked without history."
    >>> announce(Kept(({"role": "user", "content": "x"},), 1, 100))
    'The oldest turn did not fit history_tokens (100) and was left out.'
    """
    if not kept.dropped:
        return None
    number = "" if kept.dropped == 1 else f"{kept.dropped} "
    turns, were = ("turn", "was") if kept.dropped == 1 else ("turns", "were")
    what = "the models' context" if kept.set_tokens is None else f"history_tokens ({kept.set_tokens:,})"
    if not kept.messages:
        return f"The {number}earlier {turns} did not fit {what} and {were} left out: this question was asked without history."
    return f"The {number}oldest {turns} did not fit {what} and {were} left out."
