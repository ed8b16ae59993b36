"""One model, whatever answers for it: the interface of every engine, and what all engines do alike.

What is alike: one request at a time per slot, loading as a task of the engine's own (no turn's deadline and no Ctrl-C aborts it),
deadlines that move from phase to phase, thinking taken out of the text, and more tries where that may help (`gork/engines/retries.py`).
An engine adds the transport: `_load`, `_stream`, `_choose`, `_check`.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self, TypeVar

from gork.config.ensemble import Member, OptionValue
from gork.engines.call import CallDeadline, Completion, Deadlines, PartialCompletion, RunningCall, Slot, estimate_prompt
from gork.engines.loops import wants_repetition
from gork.engines.retries import Retries
from gork.errors import Died, ModelError, TimedOut, advised
from gork.turn import Answer, AnswerFormat, MemberState, Message, Notice, OnEvent, Restarted, State

Options = Mapping[str, OptionValue]
_T = TypeVar("_T")


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


class Model(abc.ABC):
    """One member's model. Calls wait for a free slot; what fails is a `ModelError`; cancelling a call frees the slot."""

    def __init__(self, member: Member, deadlines: Deadlines, slots: asyncio.Semaphore | None = None) -> None:
        self.member, self.deadlines = member, deadlines
        self._slots = slots if slots is not None else asyncio.Semaphore(member.parallel)
        self._load_task: asyncio.Task[None] | None = None
        self._well_at: float | None = None
        """When it was last known to answer."""
        self.untold: list[str] = []
        """What an engine found out that the user should know: the next call tells it."""

    @property
    def name(self) -> str:
        """The member's name."""
        return self.member.name

    @property
    @abc.abstractmethod
    def model(self) -> str:
        """The model's own name: its tag, or its file's name."""

    @property
    def server(self) -> str:
        """What answers for it, for people: "Ollama", "llama-server"."""
        return ""

    @property
    @abc.abstractmethod
    def where(self) -> str:
        """Where it is asked: a URL or a file, fit for messages (no secrets)."""

    @property
    @abc.abstractmethod
    def context(self) -> int:
        """Tokens of prompt and completion together that one request can use."""

    @property
    def weights_file(self) -> Path | None:
        """The file that its weights are read from, symbolic links resolved; None where a server has them."""
        return None

    @property
    def machine(self) -> str:
        """Equal for models that share processors, as far as their addresses tell: "" is this machine."""
        return ""

    one_machine = False
    """Whether it shares this machine's processors whatever its address says: the user's word for it (`--one-machine`)."""

    @property
    def resident(self) -> bool:
        """Whether it stays in memory whether it is asked or not, so that reading ahead takes nothing from anybody."""
        return False

    def answer(self, completion: Completion) -> Answer:
        """What it wrote, as a candidate's answer."""
        return Answer(
            member=self.name,
            model=self.model,
            text=completion.text,
            complete=completion.complete,
            stop=completion.stop,
            tokens=completion.tokens,
            prompt_tokens=completion.prompt_tokens,
            first_token_s=completion.first_token_s,
            seconds=completion.seconds,
            tokens_per_s=completion.tokens_per_s,
        )

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        options: Options,
        on_event: OnEvent,
        limit_s: float | None = None,
        answer_format: AnswerFormat | None = None,
        logprobs: bool = False,
        call: RunningCall | None = None,
    ) -> Completion:
        """Stream a completion of `messages`; tokens and states go to `on_event`.

        `limit_s` bounds the whole call, waiting for a slot included and loading excluded. A deadline that passes after text has come
        ends the completion (`stop="deadline"`); before that it is a `TimedOut`. `answer_format` makes the text JSON.
        A text that says the same over and over is ended there (`stop="repetition"`), unless the prompt may want that or a form is asked
        for. `logprobs` asks for `Completion.confidence`. `call` lets the caller end it early: what was written by then is the completion
        (`stop="stopped"`).
        """
        call = call or RunningCall()
        deadline = CallDeadline(self.deadlines, limit_s)
        partial = PartialCompletion(self.name, deadline, on_event, may_loop=answer_format is not None or wants_repetition(messages))

        async def stream() -> Completion:
            partial.begin()
            deadline.reading(estimate_prompt(messages))
            on_event(MemberState(self.name, State.READING))
            return await self._stream(messages, options, partial, answer_format=answer_format, logprobs=logprobs)

        def again(error: ModelError) -> None:
            if isinstance(error, Died) or partial.tokens:
                on_event(Restarted(self.name, error.what))
            partial.begin()

        try:
            async with deadline, self._slot(on_event):
                call.begin(partial, deadline)
                return await self._tried(stream, deadline, on_event, again)
        except TimeoutError:
            partial.end()
            if partial.text.strip():
                return partial.completion("stopped" if call.was_cut else "deadline")
            raise self._late(deadline) from None
        finally:
            call.end()

    async def choose(
        self, messages: Sequence[Message], labels: Sequence[str], *, lead_in: str, on_event: OnEvent, limit_s: float | None = None
    ) -> Choice:
        """Read `messages` and give each of `labels` its probability as the next token after `lead_in`.

        `lead_in` opens the assistant's turn where the engine allows it, so that the labels hold most of the mass. Nothing that the
        model would write is read as prose. Raises a `ModelError`, `BadReply` when no label can be read.
        """
        deadline = CallDeadline(self.deadlines, limit_s)

        async def read() -> Choice:
            deadline.reading(estimate_prompt(messages))
            on_event(MemberState(self.name, State.READING))
            return await self._choose(messages, labels, lead_in)

        try:
            async with deadline, self._slot(on_event):
                return await self._tried(read, deadline, on_event, lambda error: None)
        except TimeoutError:
            raise self._late(deadline) from None

    async def reads_ahead(self) -> bool:
        """Whether it can be had to read something nobody has asked yet: where that takes nobody's memory and nobody's money."""
        return True

    @property
    def busy(self) -> bool:
        """Whether all its slots are taken."""
        return self._slots.locked()

    async def load(self) -> None:
        """Bring it into memory if it is not there. Raises a `ModelError`."""
        await self._loaded(None, lambda _: None)

    async def prefill(self, messages: Sequence[Message], *, on_event: OnEvent) -> None:
        """Read `messages` into the model's prompt cache, so that a later prompt that begins with them is read faster."""
        async with self._slot(on_event):
            await self._loaded(None, on_event)
            await self._prefill(messages)

    async def check(self) -> Health:
        """Whether the model can answer, without making it generate; never raises a `ModelError`."""
        health = await self._check()
        if health.ok:
            self._well_at = time.monotonic()
        return health

    @abc.abstractmethod
    async def _check(self) -> Health:
        """Find that out; never raises a `ModelError`."""

    @abc.abstractmethod
    async def _is_loaded(self) -> bool:
        """Whether a request would start at once. Raises a `ModelError`."""

    @abc.abstractmethod
    async def _load(self) -> None:
        """Bring the model into memory. Raises a `ModelError`."""

    @abc.abstractmethod
    async def _stream(
        self,
        messages: Sequence[Message],
        options: Options,
        partial: PartialCompletion,
        *,
        answer_format: AnswerFormat | None,
        logprobs: bool,
    ) -> Completion:
        """Send one chat request and add what comes to `partial`; raises a `ModelError`, `Died` when asking again may help."""

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

    def _slot(self, on_event: OnEvent) -> Slot:
        return Slot(self._slots, lambda: on_event(MemberState(self.name, State.WAITING)))

    async def _tried(
        self, attempt: Callable[[], Awaitable[_T]], deadline: CallDeadline, on_event: OnEvent, again: Callable[[ModelError], None]
    ) -> _T:
        """Make the attempt with the model loaded, and again while that may help; `again` is told why."""
        retries = Retries(patience_s=self.deadlines.patience)
        try:
            while True:
                asked = False
                try:
                    await self._loaded(deadline, on_event)
                    asked = True
                    result = await attempt()
                except ModelError as error:
                    pause = self._pause(error, retries, deadline, asked=asked)
                    if pause is None:
                        raise retries.told(error) from None
                    deadline.pausing()
                    again(error)
                    if pause:
                        on_event(MemberState(self.name, State.WAITING, f"asked again in {pause:.0f} s: {error.what}"))
                        await asyncio.sleep(pause)
                else:
                    self._well_at = time.monotonic()
                    return result
        finally:
            while self.untold:
                on_event(Notice(self.untold.pop(0)))

    def _pause(self, error: ModelError, retries: Retries, deadline: CallDeadline, *, asked: bool) -> float | None:
        """Seconds until the next attempt; None if there is none. A load that failed is not made again: another would fail likewise."""
        if isinstance(error, Died):
            if not asked:
                return None
            self._well_at = time.monotonic()  # it was at work
        return retries.pause(error, well_at=self._well_at, left_s=deadline.left_s)

    async def _loaded(self, deadline: CallDeadline | None, on_event: OnEvent) -> None:
        """Wait until the model is in memory. The load belongs to the engine: giving up the wait does not abort it."""
        if self._load_task is None or self._load_task.done():
            if await self._is_loaded():
                return
            self._load_task = asyncio.create_task(self._load(), name=f"load {self.name}")
            self._load_task.add_done_callback(lambda task: task.cancelled() or task.exception())  # its result may have no reader left
        if deadline is not None:
            deadline.loading()
        on_event(MemberState(self.name, State.LOADING))
        await asyncio.wait({self._load_task})
        if deadline is not None:
            deadline.loaded()
        self._load_task.result()

    def _late(self, deadline: CallDeadline) -> TimedOut:
        allowed = "" if deadline.allowed is None else f" ({deadline.allowed:g} s)"
        return TimedOut(f"waited too long for {deadline.phase}{allowed}", member=self.name, where=self.where)


class Engine(abc.ABC):
    """Where models answer. An async context manager: what it started (sessions, processes) is gone when it is left."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        """By member name."""
        self.companions = AsyncExitStack()
        """What lives as long as the engine: closed before its models are."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.companions.aclose()
        finally:
            await self.close()

    def keep(self, member: str | None, seconds: float) -> None:  # noqa: B027 - most engines' models are in the memory of others
        """Keep the models (a member's, or all) in memory for so long without a question, until the next one; 0 gives it back at once."""

    async def close(self) -> None:
        """Give up loads, then release what the engine holds."""
        for model in self.models.values():
            await model.close()


class MixedEngine(Engine):
    """Several engines, each with members of its own."""

    name = "mixed"

    def __init__(self, engines: Sequence[Engine]) -> None:
        super().__init__()
        self._engines = engines
        self.models = {name: model for engine in engines for name, model in engine.models.items()}

    def keep(self, member: str | None, seconds: float) -> None:
        """Each engine knows its own members."""
        for engine in self._engines:
            engine.keep(member, seconds)

    async def close(self) -> None:
        """Close all of them, also if one of them fails at that."""
        results = await asyncio.gather(*(engine.close() for engine in self._engines), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
