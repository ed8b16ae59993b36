"""What a session at the prompt holds between two turns, and what it is given to work with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gork.config.settings import Settings
from gork.conversation.thread import Conversation
from gork.flow import Ask, Explain
from gork.health import MemberRow
from gork.terminal.oneshot import is_degraded
from gork.turn import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """What answers: the flow, and what can be asked about its models."""

    ask: Ask
    settings: Settings
    check: Callable[[], Awaitable[Sequence[MemberRow]]]
    """Says of every member whether it can answer."""
    explain: Explain | None = None
    """None where there is no judge to explain anything."""


def _nothing() -> None:
    """What is done where nobody wants to know."""


def _no_turn(_prompt: str, _turn: Turn) -> None:
    """What is done where nobody wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Told of what becomes of the conversation, at the moment it does; a saved session is kept by them."""

    on_turn: Callable[[str, Turn], None] = _no_turn
    """A turn ended and is remembered."""
    on_drop: Callable[[], None] = _nothing
    """The last turn is forgotten: what `on_turn` is told next stands in its place."""
    on_clear: Callable[[], None] = _nothing
    """All turns are forgotten."""


@dataclass(frozen=True, slots=True)
class Request:
    """A question to be asked now."""

    prompt: str
    optimize: bool | None = None
    """As the settings say, if None."""
    again: bool = False
    """Whether it is the last question once more: with another seed, and its answer in place of the last one."""


@dataclass(slots=True)
class Tally:
    """What this session's turns came to."""

    turns: int = 0
    stopped: int = 0
    unanswered: int = 0
    degraded: int = 0
    fallbacks: int = 0
    close: int = 0
    wins: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    """Of all turns together, by stage."""

    def add(self, turn: Turn) -> None:
        """Count a finished turn."""
        self.turns += 1
        self.degraded += is_degraded(turn)
        self.fallbacks += turn.verdict.fallback is not None
        self.close += turn.verdict.close
        self.wins[turn.winner.member] += 1
        self.answers.update(answer.member for answer in turn.answers)
        self.failures.update(failure.member for failure in turn.failures)
        for stage, seconds in turn.timings.items():
            self.seconds[stage] += seconds  # type: ignore[assignment] # a Counter of seconds


@dataclass(slots=True)
class Session:
    """One session: the conversation, the last turn, and the settings that may have been changed since the start."""

    backing: Backing
    say: Callable[[str], None]
    """Shows a line."""
    show_piece: Callable[[str], None]
    """Shows a piece of a text that is still being written."""
    environ: Mapping[str, str]
    interactive: bool
    """Whether a person sits at a terminal."""
    conversation: Conversation = field(default_factory=Conversation)
    hooks: Hooks = field(default_factory=Hooks)
    settings: Settings = field(init=False)
    turns: list[Turn | None] = field(init=False)
    """For each exchange of the conversation its turn; None for those of an earlier session."""
    last: Turn | None = None
    request: Request | None = None
    """The last question, whatever became of it."""
    remembered: bool = False
    """Whether the conversation's last turn is that question's."""
    raw_next: bool = False
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.settings = self.backing.settings
        self.turns = [None] * len(self.conversation)

    def tell(self, text: str) -> None:
        """Show a text of several lines."""
        for line in text.splitlines():
            self.say(line)

    def begin(self, request: Request) -> Conversation:
        """Take note of a question; returns the conversation before it."""
        if not request.again:
            self.remembered = False
        self.request = request
        return Conversation(self.conversation.exchanges[:-1]) if self.remembered else self.conversation

    def remember(self, prompt: str, turn: Turn) -> None:
        """A turn has ended: it is the last one now, and part of the conversation."""
        if self.remembered:
            self.conversation = Conversation(self.conversation.exchanges[:-1])
            self.turns.pop()
            self.hooks.on_drop()
        self.conversation.add(prompt, turn.answer)
        self.turns.append(turn)
        self.last, self.remembered = turn, True
        self.tally.add(turn)
        self.hooks.on_turn(prompt, turn)

    def clear(self) -> None:
        """Forget the conversation; the last turn can still be looked at."""
        self.conversation.clear()
        self.turns.clear()
        self.remembered = False
        self.hooks.on_clear()
