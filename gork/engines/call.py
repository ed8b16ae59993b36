"""One call to a model while it runs: its deadlines, what has arrived so far, and the slot that it holds.

The same for every engine: deadlines that move from phase to phase, thinking taken out of the text.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from gork.engines.loops import WINDOW, in_a_loop
from gork.turn import MemberState, Message, OnEvent, State, Token

StopReason = Literal["stop", "length", "deadline", "repetition", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long each phase of one call may take, in seconds."""

    connect: float = 5.0
    brief: float = 10.0
    """For a question that a server answers at once, busy or not."""
    load: float = 600.0
    first_token: float = 60.0
    prefill_rate: float = 10.0
    """Prompt tokens a second that even a slow model reads: the first token's deadline grows with the prompt."""
    idle: float = 30.0
    patience: float = 60.0
    """How long a server that was well a moment ago is asked again while it is gone (`gork/engines/retries.py`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a call to `chat` ends with; the text that came before a deadline counts, marked `stop="deadline"`."""

    text: str
    stop: StopReason
    tokens: int
    prompt_tokens: int
    first_token_s: float | None
    seconds: float
    """From the request's start (slot and loaded model at hand) to the last token."""
    tokens_per_s: float | None
    confidence: float | None = None
    thinking: str = ""

    @property
    def complete(self) -> bool:
        """Whether the model itself ended its text."""
        return self.stop == "stop"


def estimate_tokens(text: str) -> int:
    """A cautious count of the tokens of `text` without its tokenizer: one for three UTF-8 bytes, rounded up.

    >>> estimate_tokens(""), estimate_tokens("abcd")
    (0, 2)
    """
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / 3)


def estimate_prompt(messages: Sequence[Message]) -> int:
    """A cautious count of the tokens of a chat: eight a message for the template, besides its text."""
    return sum(estimate_tokens(message["content"]) + 8 for message in messages)


class CallDeadline:
    """The deadlines of one call: one `asyncio.timeout`, moved as the call goes from phase to phase.

    The limit of the whole call stands still while the model loads.
    """

    def __init__(self, deadlines: Deadlines, limit_s: float | None) -> None:
        self._deadlines, self._limit = deadlines, limit_s
        self._clock = asyncio.get_running_loop().time
        self._end = math.inf if limit_s is None else self._clock() + limit_s
        self._scope = asyncio.timeout_at(self._when(math.inf))
        self._heard = self._clock()
        self._watch: asyncio.TimerHandle | None = None
        self.phase = "a free slot"
        self.allowed = limit_s

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._unwatch()
        await self._scope.__aexit__(kind, error, trace)

    def _when(self, phase_end: float) -> float | None:
        when = min(self._end, phase_end)
        return None if when == math.inf else when

    def _move(self, phase: str, seconds: float) -> None:
        phase_end = self._clock() + seconds
        self.phase, self.allowed = (
            (phase, seconds) if phase_end < self._end or self._limit is None else (f"{phase} within its time limit", self._limit)
        )
        self._scope.reschedule(self._when(phase_end))

    @property
    def left_s(self) -> float | None:
        """Seconds that the call has left; None without a limit."""
        return None if self._limit is None else self._end - self._clock()

    def pausing(self) -> None:
        """Nothing is asked for a while: only the limit of the whole call counts."""
        self._unwatch()
        self.phase, self.allowed = "its server to take requests again", self._limit
        self._scope.reschedule(self._when(math.inf))

    def loading(self) -> None:
        """From here on only the load's own deadline counts."""
        self._unwatch()
        self.phase, self.allowed, self._loading_since = "its model to load", self._deadlines.load, self._clock()
        self._scope.reschedule(self._loading_since + self._deadlines.load)

    def loaded(self) -> None:
        """The model is there: the limit of the whole call goes on where it stood."""
        self._end += self._clock() - self._loading_since

    def reading(self, prompt_tokens: int) -> None:
        """The request is on its way: the first token's deadline counts."""
        self._unwatch()
        self._move("its first token", self._deadlines.first_token + prompt_tokens / self._deadlines.prefill_rate)

    def cut(self) -> None:
        """The call ends now, as if its whole limit had passed."""
        self._end = self._clock()
        if not self._scope.expired():
            self._scope.reschedule(self._end)

    def token(self) -> None:
        """A token came: from now on the idle deadline counts. Cheap, since it is called for every token."""
        self._heard = self._clock()
        if self._watch is None:
            self.phase, self.allowed = "its next token within its time limit", self._limit
            self._scope.reschedule(self._when(math.inf))
            self._watch = asyncio.get_running_loop().call_later(self._deadlines.idle, self._look)

    def _look(self) -> None:
        quiet = self._clock() - self._heard
        if quiet < self._deadlines.idle:
            self._watch = asyncio.get_running_loop().call_later(self._deadlines.idle - quiet, self._look)
            return
        self.phase, self.allowed = "its next token", self._deadlines.idle
        if not self._scope.expired():
            self._scope.reschedule(self._clock())

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


class PartialCompletion:
    """A completion in the making: what has arrived so far, thinking kept apart from text."""

    _OPEN, _CLOSE = "<think>", "</think>"
    _LOOK_EVERY = 32
    """Pieces of text between two looks for a loop."""

    def __init__(self, member: str, deadline: CallDeadline, on_event: OnEvent, *, may_loop: bool = True) -> None:
        """`may_loop` leaves a text alone that says the same over and over; else the call is cut there."""
        self._member, self._deadline, self._on_event, self._may_loop = member, deadline, on_event, may_loop
        self.begin()

    def begin(self) -> None:
        """Start (or restart) with nothing."""
        self.started = time.perf_counter()
        self.first_token_at: float | None = None
        self.last_token_at = self.started
        self.tokens = 0
        self.logprobs: list[float] = []
        self._parts: list[str] = []
        self._thinking: list[str] = []
        self._held: str | None = ""
        """Text not yet known to be thinking or answer; None once the answer has begun."""
        self._in_thought = False
        self._in_a_loop = False
        self._tail = ""

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return "".join(self._parts)

    @property
    def thinking(self) -> str:
        """What the model thought aloud so far."""
        return "".join(self._thinking)

    def add(self, piece: str, *, logprob: float | None = None, thinking: bool = False) -> None:
        """Take in what arrived: one token's text (it may be empty), the log-probability of it where the engine gives one."""
        self.last_token_at = time.perf_counter()
        if self.first_token_at is None:
            self.first_token_at = self.last_token_at
            self._on_event(MemberState(self._member, State.WRITING))
        self.tokens += 1
        self._deadline.token()
        if logprob is not None:
            self.logprobs.append(logprob)
        if thinking:
            self._thinking.append(piece)
        elif self._held is None:
            self._emit(piece)
        else:
            self._sort(piece)

    def end(self) -> None:
        """No more will come: what was held back is text, unless it is an unclosed thought."""
        if self._held is not None and not self._in_thought:
            self._emit(self._held)
        elif self._held:
            self._thinking.append(self._held)
        self._held = None

    def _emit(self, piece: str) -> None:
        if not piece or self._in_a_loop:
            return
        self._parts.append(piece)
        self._on_event(Token(self._member, piece))
        if not self._may_loop:
            self._tail = (self._tail + piece)[-WINDOW:]
            if len(self._parts) % self._LOOK_EVERY == 0 and in_a_loop(self._tail):
                self._in_a_loop = True
                self._deadline.cut()

    def _sort(self, piece: str) -> None:
        """Decide, at the very start of a text, whether it opens with a thought."""
        self._held = (self._held or "") + piece
        if not self._in_thought:
            start = self._held.lstrip()
            if start.startswith(self._OPEN):
                self._in_thought, self._held = True, start[len(self._OPEN) :]
            elif not self._OPEN.startswith(start):
                held, self._held = self._held, None
                self._emit(held)
        if self._in_thought and self._held is not None and self._CLOSE in self._held:
            thought, _, rest = self._held.partition(self._CLOSE)
            self._thinking.append(thought)
            self._in_thought, self._held = False, None
            self._emit(rest.lstrip("\n"))

    def completion(self, stop: StopReason, *, tokens: int | None = None, prompt_tokens: int = 0) -> Completion:
        """The finished record; `tokens` is the server's own count where it gives one. Of a text in a loop it always says that."""
        self.end()
        count = self.tokens if tokens is None else tokens
        first = self.first_token_at
        writing = self.last_token_at - first if first is not None else 0.0
        return Completion(
            text=self.text,
            stop="repetition" if self._in_a_loop else stop,
            tokens=count,
            prompt_tokens=prompt_tokens,
            first_token_s=None if first is None else first - self.started,
            seconds=self.last_token_at - self.started,
            tokens_per_s=(count - 1) / writing if count > 1 and writing > 0 else None,
            confidence=math.fsum(self.logprobs) / len(self.logprobs) if self.logprobs else None,
            thinking=self.thinking,
        )


class RunningCall:
    """A call for whoever asked: whether it has written anything, and its end at any time, with what it has written."""

    def __init__(self) -> None:
        self._partial: PartialCompletion | None = None
        self._deadline: CallDeadline | None = None
        self.whole = False
        """Whether its text is of use only as a whole."""
        self.over = False
        self.was_cut = False

    def begin(self, partial: PartialCompletion, deadline: CallDeadline) -> None:
        """The call is on its way, or one that follows it."""
        self._partial, self._deadline, self.over = partial, deadline, False

    def end(self) -> None:
        """The call is over."""
        self._deadline, self.over = None, True

    @property
    def has_text(self) -> bool:
        """Whether there is something that can be taken as it stands."""
        return not self.whole and self._partial is not None and bool(self._partial.text.strip())

    def cut(self) -> None:
        """End it: what it has written is its completion. Does nothing to a call that is not on its way."""
        if self._deadline is not None:
            self.was_cut = True
            self._deadline.cut()


class Slot:
    """A slot of the member's server, held for one request; says so when it has to wait."""

    def __init__(self, slots: asyncio.Semaphore, waiting: Callable[[], None]) -> None:
        self._slots, self._waiting = slots, waiting

    async def __aenter__(self) -> None:
        if self._slots.locked():
            self._waiting()
        await self._slots.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._slots.release()
