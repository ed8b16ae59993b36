"""A session at the prompt: what it is given, what it keeps between two turns, and who is told of its changes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gork.config.ensemble import OptionValue, SamplingOptions
from gork.config.settings import Settings
from gork.conversation.thread import Conversation, Exchange, Kept
from gork.flow import Ask, Explain, ReadAhead
from gork.health import MemberRow
from gork.judging.rules import ranking_of
from gork.terminal.attachments import TextFile
from gork.terminal.drafts import Drafts, by_hand
from gork.terminal.output import is_degraded
from gork.turn import Answer, Turn

if TYPE_CHECKING:
    from gork.terminal.session_options import SavedSessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What answers the questions: models of this process, or a service."""

    ask: Ask
    settings: Settings
    check: Callable[[], Awaitable[Sequence[MemberRow]]]
    """Asks every member whether it can answer."""
    explain: Explain | None = None
    """None without a judge."""
    read_ahead: ReadAhead | None = None
    """None where models read nothing before they are asked."""
    engine: str = "embedded"
    stopped: asyncio.Task[bool] | None = None
    """Ends with True when what answers is being stopped and this process with it; None where that cannot be."""


def sampling(options: Mapping[str, object]) -> Mapping[str, OptionValue]:
    """Sampling options in the form that a question has them."""
    return SamplingOptions(**options).given()  # type: ignore[arg-type] # each was read as the option's own kind


def favourite(settings: Settings) -> str:
    """The candidate that is the favourite of all questions."""
    return ranking_of(settings.ensemble)[0]


def _ignore() -> None:
    """No-op default hook."""


def _ignore_turn(_prompt: str, _turn: Turn) -> None:
    """No-op default hook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationHooks:
    """Called at each change of the conversation; they keep a saved session up to date."""

    on_turn: Callable[[str, Turn], None] = _ignore_turn
    """A turn ended and is remembered."""
    on_drop: Callable[[], None] = _ignore
    """The last turn is forgotten; the next call of `on_turn` replaces it."""
    on_clear: Callable[[], None] = _ignore
    """All turns are forgotten."""


@dataclass(frozen=True, slots=True)
class Request:
    """A question to be asked now."""

    prompt: str
    optimize: bool | None = None
    """As the settings say, if None."""
    again: bool = False
    """Ask the last question once more: with another seed, and its answer replaces the last one."""


@dataclass(slots=True)
class SessionStats:
    """Counts of a session's turns, for /stats."""

    turns: int = 0
    stopped: int = 0
    unanswered: int = 0
    degraded: int = 0
    fallbacks: int = 0
    close: int = 0
    wins: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    not_needed: Counter[str] = field(default_factory=Counter)
    """How often a member was not waited for."""
    seconds: Counter[str] = field(default_factory=Counter)
    """Sums over all turns, by stage."""

    def add(self, turn: Turn) -> None:
        """Count a finished turn."""
        self.turns += 1
        self.degraded += is_degraded(turn)
        self.fallbacks += turn.verdict.fallback is not None
        self.close += turn.verdict.close
        self.wins[turn.winner.member] += 1
        self.answers.update(answer.member for answer in turn.answers)
        self.failures.update(failure.member for failure in turn.failures)
        self.not_needed.update(turn.not_needed)
        for stage, seconds in turn.timings.items():
            self.seconds[stage] += seconds  # type: ignore[assignment] # a Counter of seconds


@dataclass(slots=True)
class Session:
    """One session: the conversation, the last turn, and the settings, which `/set` may have changed."""

    backend: Backend
    say: Callable[[str], None]
    """Shows a line."""
    show_piece: Callable[[str], None]
    """Shows a part of a text that is still being written."""
    environ: Mapping[str, str]
    interactive: bool
    """Whether the input is a terminal."""
    conversation: Conversation = field(default_factory=Conversation)
    hooks: ConversationHooks = field(default_factory=ConversationHooks)
    width: Callable[[], int] = lambda: 80
    """Columns of the window."""
    show_answer: Callable[[str], None] = field(init=False)
    """Shows an answer that was not chosen; line by line if nothing better is put here."""
    copy: Callable[[str], None] | None = None
    """Writes to the terminal what makes it copy; None where there is none that could."""
    saved: SavedSessions | None = None
    """The sessions on disk."""
    settings: Settings = field(init=False)
    system: str = ""
    """Instructions for the candidates, besides their own."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Sampling options of the candidates, above their own."""
    files: list[TextFile] = field(default_factory=list)
    """They go along with the next question."""
    only: str | None = None
    """The one candidate that is asked; None for all."""
    watched: str | None = None
    """Whose draft is shown while it is written; the favourite's if None."""
    stopped: Drafts | None = None
    """What was written for the last question, if its turn was stopped or failed."""
    turns: list[Turn | None] = field(init=False)
    """For each exchange of the conversation its turn; None for those of an earlier session."""
    last: Turn | None = None
    request: Request | None = None
    """The last question, answered or not."""
    remembered: bool = False
    """Whether the conversation ends with the answer to that question."""
    raw_next: bool = False
    """Whether the next question is asked without a rewrite."""
    stats: SessionStats = field(default_factory=SessionStats)

    def __post_init__(self) -> None:
        self.settings = self.backend.settings
        self.turns = [None] * len(self.conversation)
        self.show_answer = self.tell

    def tell(self, text: str) -> None:
        """Show a text of several lines."""
        for line in text.splitlines():
            self.say(line)

    def begin(self, request: Request) -> Conversation:
        """Note a question that is about to be asked; returns the conversation before it."""
        if not request.again:
            self.remembered = False
        self.request, self.stopped = request, None
        return self._earlier

    @property
    def _earlier(self) -> Conversation:
        """The conversation before the last question."""
        return Conversation(self.conversation.exchanges[:-1]) if self.remembered else self.conversation

    def remember(self, prompt: str, turn: Turn) -> None:
        """Add a finished turn to the conversation."""
        self._put(prompt, turn)
        self.stats.add(turn)

    def _put(self, prompt: str, turn: Turn) -> None:
        if self.remembered:
            self._drop()
        self.conversation.add(prompt, turn.answer, None if turn.computed is None else turn.computed.program)
        self.turns.append(turn)
        self.last, self.remembered, self.stopped = turn, True, None
        self.hooks.on_turn(prompt, turn)

    def _drop(self) -> Exchange:
        taken = self.conversation.exchanges[-1]
        self.conversation = Conversation(self.conversation.exchanges[:-1])
        self.turns.pop()
        self.hooks.on_drop()
        return taken

    def use(self, answer: Answer) -> None:
        """Make this answer to the last question the conversation's."""
        if self.stopped is not None and self.request is not None:
            settings = self.settings
            turn = self.stopped.turn(answer, engine=self.backend.engine, ensemble=settings.ensemble.name, seed=settings.seed or 0)
            self._put(self.request.prompt, turn)
        elif self.last is not None:
            turn = replace(self.last, winner=answer, verdict=by_hand(answer.member, self.last.verdict))
            self._put(turn.question.text, turn)

    def add_answer(self, answer: Answer) -> None:
        """Add the answer of a member that was not waited for to the last turn."""
        if self.last is None:
            return
        others = tuple(name for name in self.last.not_needed if name != answer.member)
        turn = replace(self.last, answers=(*self.last.answers, answer), not_needed=others)
        if self.remembered:
            self._put(turn.question.text, turn)
        else:
            self.last = turn

    def before(self, turn: Turn) -> Kept:
        """What the models saw of the conversation before the last turn."""
        return self._earlier.kept_beside(turn.question.text, self.settings)

    def undo(self) -> Exchange:
        """Take the last turn out of the conversation, which has one; it can still be looked at."""
        self.remembered = False
        return self._drop()

    def replace(self, hooks: ConversationHooks, conversation: Conversation) -> None:
        """Go on with another conversation."""
        self.hooks, self.conversation = hooks, conversation
        self.turns = [None] * len(conversation)
        self.remembered, self.last, self.stopped, self.request = False, None, None, None

    @property
    def favourite(self) -> str:
        """The candidate whose draft is worth watching."""
        return self.only or self.watched or favourite(self.settings)

    def clear(self) -> None:
        """Forget the conversation; the last turn can still be looked at."""
        self.conversation.clear()
        self.turns.clear()
        self.remembered = False
        self.hooks.on_clear()
