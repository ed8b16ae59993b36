"""One model, whatever answers for it: the interface of every engine, and what all engines do alike.

What is alike: one request at a time per slot, loading as a task of the engine's own (no turn's deadline and no Ctrl-C aborts it),
deadlines that move from phase to phase, thinking taken out of the text, and one more try when the model's process went away in
mid-stream. An engine adds the transport: `_load`, `_stream`, `_choose`, `check`.
"""

from __future__ import annotations

import abc
import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Literal, Self, TypeVar

from gork.config.ensemble import Member, OptionValue
from gork.errors import Died, TimedOut, advised
from gork.turn import AnswerFormat, MemberState, Message, OnEvent, Restarted, State, Token

Options = Mapping[str, OptionValue]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long each phase of one call may take, in seconds."""

    connect: float = 5.0
    load: float = 600.0
    first_token: float = 60.0
    prefill_rate: float = 10.0
    """Prompt tokens a second that even a slow model reads: the first token's deadline grows with the prompt."""
    idle: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a call to `chat` ends with; the text that came before a deadline counts, marked `stop="deadline"`."""

    text: str
    stop: Literal["stop", "length", "deadline", "repetition"]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a call to `choose` ends with: a probability for each label (they sum to 1) and what they had of the whole."""

    probabilities: Mapping[str, float]
    mass: float
    """Probability of all labels together before normalising; 1.0 where a schema forced a label."""
    method: Literal["logprobs", "schema"]
    prompt_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a model can answer, and if not, why not and what to do.

    >>> Health(problem="connection refused", fix="is it running?").detail, Health(state="loaded", loaded=True).ok
    ('connection refused; is it running?', True)
    """

    problem: str | None = None
    """Why it cannot answer; None if it can."""
    fix: str | None = None
    """What to do about the problem."""
    state: str = ""
    """What a model that can answer is doing: "loaded", "starts when it is first asked"."""
    loaded: bool = False
    version: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it can answer."""
        return self.problem is None

    @property
    def detail(self) -> str:
        """Its state, or its problem and what to do about it, in one sentence."""
        return self.state if self.problem is None else advised(self.problem, self.fix)


def estimate_tokens(text: str) -> int:
    """A cautious count of the tokens of `text` without its tokenizer: one for three UTF-8 bytes, rounded up.

    >>> estimate_tokens(""), estimate_tokens("abcd")
    (0, 2)
    """
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / 3)


def estimate_prompt(messages: Sequence[Message]) -> int:
    """The same for a whole chat, with eight tokens a message for the template."""
    return sum(estimate_tokens(message["content"]) + 8 for message in messages)


class Patience:
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
            (phase, seconds) if phase_end < self._end or self._limit is None else (f"{phase} within its turn", self._limit)
        )
        self._scope.reschedule(self._when(phase_end))

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

    def token(self) -> None:
        """A token came: from now on the idle deadline counts. Cheap, since it is called for every token."""
        self._heard = self._clock()
        if self._watch is None:
            self.phase, self.allowed = "its next token within its turn", self._limit
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


class Draft:
    """A completion in the making: what has arrived so far, thinking kept apart from text."""

    _OPEN, _CLOSE = "<think>", "</think>"

    def __init__(self, member: str, patience: Patience, on_event: OnEvent) -> None:
        self._member, self._patience, self._on_event = member, patience, on_event
        self.begin()

    def begin(self) -> None:
        """Start (or start anew) with nothing."""
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
        self._patience.token()
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
        if piece:
            self._parts.append(piece)
            self._on_event(Token(self._member, piece))

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

    def completion(
        self, stop: Literal["stop", "length", "deadline", "repetition"], *, tokens: int | None = None, prompt_tokens: int = 0
    ) -> Completion:
        """The finished record; `tokens` is the server's own count where it gives one."""
        self.end()
        count = self.tokens if tokens is None else tokens
        first = self.first_token_at
        writing = self.last_token_at - first if first is not None else 0.0
        return Completion(
            text=self.text,
            stop=stop,
            tokens=count,
            prompt_tokens=prompt_tokens,
            first_token_s=None if first is None else first - self.started,
            seconds=self.last_token_at - self.started,
            tokens_per_s=(count - 1) / writing if count > 1 and writing > 0 else None,
            confidence=math.fsum(self.logprobs) / len(self.logprobs) if self.logprobs else None,
            thinking=self.thinking,
        )


class Model(abc.ABC):
    """One member's model. Calls wait for a free slot; what fails is a `ModelError`; cancelling a call frees the slot."""

    def __init__(self, member: Member, deadlines: Deadlines, slots: asyncio.Semaphore | None = None) -> None:
        self.member, self.deadlines = member, deadlines
        self._slots = slots if slots is not None else asyncio.Semaphore(member.parallel)
        self._load_task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The member's name."""
        return self.member.name

    @property
    @abc.abstractmethod
    def model(self) -> str:
        """The model's own name: its tag, or its file's name."""

    @property
    @abc.abstractmethod
    def where(self) -> str:
        """Where it is asked: a URL or a file, fit for messages (no secrets)."""

    @property
    @abc.abstractmethod
    def context(self) -> int:
        """Tokens of prompt and completion together that one request can use."""

    @property
    @abc.abstractmethod
    def weights_id(self) -> str:
        """Equal for models that run on the same weights (their confidences can be compared)."""

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        options: Options,
        on_event: OnEvent,
        limit_s: float | None = None,
        answer_format: AnswerFormat | None = None,
        logprobs: bool = False,
    ) -> Completion:
        """Stream a completion of `messages`; tokens and states go to `on_event`.

        `limit_s` bounds the whole call, waiting for a slot included and loading excluded. A deadline that passes after text has come
        ends the completion (`stop="deadline"`); before that it is a `TimedOut`. `answer_format` makes the text JSON.
        `logprobs` asks for `Completion.confidence`.
        """
        patience = Patience(self.deadlines, limit_s)
        draft = Draft(self.name, patience, on_event)

        async def stream() -> Completion:
            draft.begin()
            patience.reading(estimate_prompt(messages))
            on_event(MemberState(self.name, State.READING))
            return await self._stream(messages, options, draft, answer_format=answer_format, logprobs=logprobs)

        def again(error: Died) -> None:
            draft.begin()
            on_event(Restarted(self.name, error.what))

        try:
            async with patience, self._slot(on_event):
                return await self._twice(stream, patience, on_event, again)
        except TimeoutError:
            draft.end()
            if draft.text.strip():
                return draft.completion("deadline")
            raise self._late(patience) from None

    async def choose(
        self, messages: Sequence[Message], labels: Sequence[str], *, lead_in: str, on_event: OnEvent, limit_s: float | None = None
    ) -> Choice:
        """Read `messages` and give each of `labels` its probability as the next token after `lead_in`.

        `lead_in` opens the assistant's turn where the engine allows it, so that the labels hold most of the mass. Nothing that the
        model would write is read as prose. Raises a `ModelError`, `BadReply` when no label can be read.
        """
        patience = Patience(self.deadlines, limit_s)

        async def read() -> Choice:
            patience.reading(estimate_prompt(messages))
            on_event(MemberState(self.name, State.READING))
            return await self._choose(messages, labels, lead_in)

        try:
            async with patience, self._slot(on_event):
                return await self._twice(read, patience, on_event, lambda error: None)
        except TimeoutError:
            raise self._late(patience) from None

    async def prefill(self, messages: Sequence[Message], *, on_event: OnEvent) -> None:
        """Read `messages` into the model's prompt cache, so that a later prompt that begins with them is read faster."""
        async with self._slot(on_event):
            await self._loaded(None, on_event)
            await self._prefill(messages)

    @abc.abstractmethod
    async def check(self) -> Health:
        """Whether the model can answer, without making it generate; never raises a `ModelError`."""

    @abc.abstractmethod
    async def _is_loaded(self) -> bool:
        """Whether a request would start at once. Raises a `ModelError`."""

    @abc.abstractmethod
    async def _load(self) -> None:
        """Bring the model into memory. Raises a `ModelError`."""

    @abc.abstractmethod
    async def _stream(
        self, messages: Sequence[Message], options: Options, draft: Draft, *, answer_format: AnswerFormat | None, logprobs: bool
    ) -> Completion:
        """Send one chat request and add what comes to `draft`; raises a `ModelError`, `Died` when asking again may help."""

    @abc.abstractmethod
    async def _choose(self, messages: Sequence[Message], labels: Sequence[str], lead_in: str) -> Choice:
        """Read the labels' probabilities; raises a `ModelError`."""

    @abc.abstractmethod
    async def _prefill(self, messages: Sequence[Message]) -> None:
        """Read `messages` into the prompt cache."""

    async def close(self) -> None:
        """Give up a load that is under way."""
        if self._load_task is not None and not self._load_task.done():
            self._load_task.cancel()
            await asyncio.wait({self._load_task})

    def _slot(self, on_event: OnEvent) -> _Slot:
        return _Slot(self._slots, lambda: on_event(MemberState(self.name, State.WAITING)))

    async def _twice(
        self, attempt: Callable[[], Awaitable[_T]], patience: Patience, on_event: OnEvent, again: Callable[[Died], None]
    ) -> _T:
        """Make the attempt with the model loaded; once more if the model's process went away."""
        await self._loaded(patience, on_event)
        try:
            return await attempt()
        except Died as error:
            again(error)
        await self._loaded(patience, on_event)
        return await attempt()

    async def _loaded(self, patience: Patience | None, on_event: OnEvent) -> None:
        """Wait until the model is in memory. The load belongs to the engine: giving up the wait does not abort it."""
        if self._load_task is None or self._load_task.done():
            if await self._is_loaded():
                return
            self._load_task = asyncio.create_task(self._load(), name=f"load {self.name}")
            self._load_task.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may be waiting any more
        if patience is not None:
            patience.loading()
        on_event(MemberState(self.name, State.LOADING))
        await asyncio.wait({self._load_task})
        if patience is not None:
            patience.loaded()
        self._load_task.result()

    def _late(self, patience: Patience) -> TimedOut:
        allowed = "" if patience.allowed is None else f" ({patience.allowed:g} s)"
        return TimedOut(f"waited too long for {patience.phase}{allowed}", member=self.name, where=self.where)


class _Slot:
    """A slot of the member's server, held for one request; says so when it has to wait."""

    def __init__(self, slots: asyncio.Semaphore, waiting: Callable[[], None]) -> None:
        self._slots, self._waiting = slots, waiting

    async def __aenter__(self) -> None:
        if self._slots.locked():
            self._waiting()
        await self._slots.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._slots.release()


class Engine(abc.ABC):
    """Where models answer. An async context manager: what it started (sessions, processes) is gone when it is left."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        """By member name."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up loads, then release what the engine holds."""
        for model in self.models.values():
            await model.close()
