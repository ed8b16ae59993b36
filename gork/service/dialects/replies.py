"""An understood request being answered, by the ensemble or by one member: the same for both dialects, which only encode it.

A turn's answer comes whole when it is chosen; a member that answers alone writes it piece by piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec
from aiohttp import web

from gork.engines.call import Completion
from gork.errors import BadRequest, GorkError, NoAnswer, NotFound, PromptTooLong, Refused
from gork.judging.json_form import misfit
from gork.rewriting.prompt import asked_as
from gork.service.dialects.requests import UnderstoodRequest, messages_for_member
from gork.service.jobs import ClientJob, Heartbeat
from gork.service.request_context import current
from gork.service.responses import Stream, error_bytes
from gork.service.service import Service
from gork.text.structure import in_fence
from gork.turn import (
    Answer,
    Answered,
    Computed,
    Event,
    Failed,
    Judged,
    MemberState,
    Notice,
    Restarted,
    Rewritten,
    State,
    Token,
    Turn,
    Verdict,
)
from gork.wire import Queued, json_bytes

END = "\n\n"
"""After every paragraph."""
LONGEST_PIECE = 8192
"""Characters of one piece: some clients read their streams line by line, and no line of theirs may be longer than 64 or 128 KiB."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """More for the thinking channel."""

    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """The next part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Nothing to send for a while; the work goes on."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The answer starts again: the content so far does not count."""

    why: str


ReplyPart = Thinking | Content | KeepAlive | Restart


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResult:
    """The answer and its figures: counts and times are those of the model that wrote it."""

    text: str
    stop: Literal["stop", "length"]
    """Why it ended, in the words of both dialects."""
    tokens: int
    prompt_tokens: int
    load_s: float
    first_token_s: float
    seconds: float


class Encoder(Protocol):
    """One dialect's form of a reply."""

    content_type: str

    def begin(self) -> bytes:
        """The start of a stream."""

    def thinking(self, text: str) -> bytes:
        """A piece for the thinking channel."""

    def content(self, text: str) -> bytes:
        """A piece of the answer."""

    def keep_alive(self) -> bytes:
        """A sign of life that no client mistakes for content."""

    def end(self, result: ChatResult) -> bytes:
        """The end of a stream."""

    def error(self, error: GorkError, told: str) -> bytes:
        """The end of a stream that failed; `told` is what its client may read."""

    def whole(self, result: ChatResult, thinking: str) -> msgspec.Struct:
        """A reply that is not streamed."""


class PendingReply:
    """The work on one request, and the parts of its reply as they come."""

    def __init__(self, request: UnderstoodRequest, job: ClientJob[Turn] | ClientJob[Completion], service: Service) -> None:
        self._request, self._job, self._told = request, job, service.told
        limits = service.limits
        self._clock = asyncio.get_running_loop().time
        self._sent = self._clock()
        self._limits = limits
        self._head_until = self._sent + limits.head_s
        self._quiet_s = limits.heartbeat_s / 2
        job.heartbeat_s = min(limits.heartbeat_s, limits.head_s)
        self._channel = ThinkingChannel(self._told, live=request.live_draft)
        self._candidates = {member.name for member in request.settings.ensemble.candidates}
        self._loading: dict[str, float] = {}
        self._loaded: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._heard = False
        self._result: ChatResult | None = None

    async def send(self, http: web.Request, encoder: Encoder, *, stream: bool) -> web.StreamResponse:
        """Send the reply, bit by bit or whole. Raises the `GorkError` that ended the work if nothing has been sent."""
        return await (self._stream(http, encoder) if stream else self._whole(http, encoder))

    async def _whole(self, http: web.Request, encoder: Encoder) -> web.StreamResponse:
        reply = Stream(http, "application/json; charset=utf-8")
        thinking: list[str] = []

        async def work() -> None:
            async with aclosing(self._parts()) as parts:
                async for part in parts:
                    if isinstance(part, Thinking):
                        thinking.append(part.text)
                    elif isinstance(part, KeepAlive) and _half_closed():
                        await reply.write(b" ")  # blanks may stand before JSON: whether it comes back tells whether the client has left
            await reply.finish(json_bytes(encoder.whole(self.result, "".join(thinking).rstrip())))

        return await reply.run(work, lambda error: error_bytes(http.path, error, self._told(str(error))))

    @property
    def result(self) -> ChatResult:
        """The result, once all parts have come."""
        if self._result is None:
            raise RuntimeError("the work has not ended")
        return self._result

    async def _stream(self, http: web.Request, encoder: Encoder) -> web.StreamResponse:
        stream = Stream(http, encoder.content_type)
        early = bytearray(encoder.begin())  # what is said before the head is sent

        async def write(data: bytes) -> None:
            if stream.begun:
                await stream.write(data)
                return
            early.extend(data)
            if self._heard or self._clock() >= self._head_until or _half_closed():
                self._job.heartbeat_s = self._limits.heartbeat_s
                await stream.write(bytes(early) or encoder.keep_alive())

        async def work() -> None:
            answered = False
            async with aclosing(self._parts()) as parts:
                async for part in parts:
                    match part:
                        case Thinking(text):
                            await write(encoder.thinking(text))
                        case Content(text):
                            answered = True
                            await write(encoder.content(text))
                        case KeepAlive():
                            await write(encoder.keep_alive() if stream.begun else b"")
                        case Restart(why) if answered and stream.begun:
                            raise GorkError(f"{why}, after a part of its answer had been sent: ask again")
                        case Restart():
                            early[:] = encoder.begin()
                            answered = False
            await stream.write((b"" if stream.begun else bytes(early)) + encoder.end(self.result))

        return await stream.run(work, lambda error: encoder.error(error, self._told(str(error))))

    async def _parts(self) -> AsyncGenerator[ReplyPart, None]:
        """All parts of the reply; afterwards there is a result. Raises the `GorkError` that ended the work."""
        if self._request.drafts:
            for note in self._request.notes:
                yield Thinking(note + END)
        async for item in self._job:
            for part in self._parts_of(item):
                self._sent = self._clock()
                yield part
        try:
            result = await self._job.result()
        except (NoAnswer, PromptTooLong) as error:
            raise self._blamed(error) from None
        if isinstance(result, Completion):
            self._check_form(result)
            self._result = self._figures(result, self._request.member or "")
            return
        for text in cut(result.answer):
            yield Content(text)
        self._result = self._figures(result.winner, result.winner.member)

    def _parts_of(self, item: Event | Queued | Heartbeat) -> Iterator[ReplyPart]:
        first_word = self._take_in(item)
        if self._request.member is not None and isinstance(item, Token):
            yield Content(item.text)
        elif self._request.member is not None and isinstance(item, Restarted):
            yield Restart(item.why)
        elif self._request.drafts and not isinstance(item, Heartbeat) and (text := self._channel.of(item)):
            yield from map(Thinking, cut(text))
        elif first_word or self._clock() - self._sent > self._quiet_s or (isinstance(item, Heartbeat) and _half_closed()):
            yield KeepAlive()

    def _take_in(self, item: Event | Queued | Heartbeat) -> bool:
        """Note what the reply will need of an event; whether it is the first word of an answer."""
        if isinstance(item, MemberState):
            self._time_loads(item)
        elif isinstance(item, Failed):
            self._failed[item.failure.member] = item.failure.kind
        elif isinstance(item, Token) and not self._heard:
            self._heard = item.member in self._candidates or self._request.member is not None
            return self._heard
        return False

    def _check_form(self, answer: Completion) -> None:
        """See that one member's answer has the form that was asked for; one that the client's own limit cut is given as it is."""
        if answer.stop == "length" and "num_predict" in self._request.options.options:
            return
        if (why := misfit(answer.text, self._request.options.answer_format)) is not None:
            raise NoAnswer([f"{self._request.member}: its answer does not count: {why}"])

    def _time_loads(self, state: MemberState) -> None:
        if state.state is State.LOADING:
            self._loading.setdefault(state.member, self._clock())
        elif state.member in self._loading:
            self._loaded[state.member] = self._loaded.get(state.member, 0.0) + self._clock() - self._loading.pop(state.member)

    def _figures(self, answer: Answer | Completion, member: str) -> ChatResult:
        return ChatResult(
            text=answer.text,
            stop="stop" if answer.stop == "stop" else "length",
            tokens=answer.tokens,
            prompt_tokens=answer.prompt_tokens,
            load_s=self._loaded.get(member, 0.0),
            first_token_s=answer.first_token_s or 0.0,
            seconds=answer.seconds,
        )

    def _blamed(self, error: GorkError) -> GorkError:
        """The error as the client's own mistake, where the models' failures say that it is."""
        kinds = {self._failed.get(name) for name in self._candidates} if isinstance(error, NoAnswer) else {PromptTooLong.kind}
        if kinds == {PromptTooLong.kind}:
            return BadRequest(str(error), param="messages", code="context_length_exceeded")
        if kinds == {Refused.kind} and isinstance(self._request.options.answer_format, dict):
            return BadRequest(f"the answer's format: {error}", param="response_format")
        return error


@asynccontextmanager
async def answering(service: Service, request: UnderstoodRequest) -> AsyncIterator[PendingReply]:
    """Begin to answer; leaving stops all models. Raises `QueueFull` or `Stopping` before anything is done."""
    if request.member is None:
        async with service.turn(request.question, request.settings) as turn:
            yield PendingReply(request, turn, service)
        return
    options = dict(request.options.options)
    if request.options.seed is not None and request.settings.seed is not None:
        options["seed"] = request.settings.seed
    messages = messages_for_member(service, request)
    async with service.call(request.member, messages, options=options, answer_format=request.options.answer_format) as call:
        yield PendingReply(request, call, service)


def _half_closed() -> bool:
    """Whether the client has shut its side of the connection: it may be gone, or wait for the reply."""
    context = current.get()
    return context is not None and context.half_closed


def cut(text: str) -> Iterator[str]:
    """The text in pieces that every client can read."""
    for start in range(0, len(text), LONGEST_PIECE):
        yield text[start : start + LONGEST_PIECE]


def absent(prefix: str, reasons: Mapping[str, str]) -> list[web.RouteDef]:
    """Routes for the parts of a dialect that are not offered: a 404 with the reason, by path below `prefix`."""

    def refuse(why: str) -> Callable[[web.Request], Any]:
        async def handler(_request: web.Request) -> web.Response:
            raise NotFound(why)

        return handler

    return [web.route("*", f"{prefix}/{path}", refuse(why)) for path, why in reasons.items()]


class ThinkingChannel:
    """A turn in words, paragraph by paragraph: which of its events clients are shown besides the answer.

    Drafts come whole, under their models' names, when they are finished: three texts at once would be unreadable as one stream. One of
    them may be `live` and come as it is written; what else there is to say waits until it ends. What is ours to say is `told`, which
    keeps addresses from clients elsewhere; what models write is passed on as it is.
    """

    def __init__(self, told: Callable[[str], str] = str, *, live: str | None = None) -> None:
        self._told, self._live = told, live
        self._is_writing = False
        """Whether the live draft has begun and not ended."""
        self._waiting: list[str] = []
        """Paragraphs that come after it."""
        self._loading: set[str] = set()
        self._verdict_told = False

    def of(self, event: Event | Queued) -> str:
        """What to show of an event; empty if nothing."""
        if isinstance(event, Token):
            return self._piece(event) if event.member == self._live else ""
        if self._is_writing and self._ends_draft(event):
            return self._end(event)
        said = self._paragraph(event)
        if said is not None and self._is_writing:
            self._waiting.append(said)
            return ""
        return said or ""

    def _piece(self, token: Token) -> str:
        begun, self._is_writing = self._is_writing, True
        return token.text if begun else f"**{token.member}**{END}{token.text}"

    def _ends_draft(self, event: Event | Queued) -> bool:
        match event:
            case Answered(answer):
                return answer.member == self._live
            case Failed(failure):
                return failure.member == self._live
            case MemberState(member, State.NOT_NEEDED) | Restarted(member):
                return member == self._live
            case _:
                return False

    def _end(self, event: Event | Queued) -> str:
        """What follows the live draft: how it ended, where that does not go without saying, and what has waited."""
        match event:
            case Answered(answer):
                last = _epilogue(answer)
            case Failed() | Restarted():
                last = self._told(self._of_member(event) or "")
            case _:
                last = "(not waited for)"
        waited, self._waiting, self._is_writing = self._waiting, [], False
        return "".join([END, *([last, END] if last else []), *waited])

    def _paragraph(self, event: Event | Queued) -> str | None:
        if isinstance(event, Answered):
            return f"{heading(event.answer)}{END}{draft(event.answer)}{END}"
        said = self._of_member(event) if isinstance(event, MemberState | Failed | Restarted) else self._of_turn(event)
        return None if said is None else self._told(said) + END

    def _of_member(self, event: MemberState | Failed | Restarted) -> str | None:
        match event:
            case MemberState(member, State.LOADING) if member not in self._loading:
                self._loading.add(member)
                return f"{member}: loading its model"
            case MemberState():
                return None
            case Failed(failure):
                return f"failed: {failure.message}"
            case Restarted(member, why):
                return f"{member} is asked again: {why}"

    def _of_turn(self, event: Event | Queued) -> str | None:
        match event:
            case Queued(ahead):
                return f"waiting: {ahead} before this turn" if ahead else "waiting: this turn is the next"
            case Rewritten(question):
                return asked_as(question)
            case Judged(verdict):
                return chosen(verdict, told=self._verdict_told)
            case Notice(text, about_verdict):
                self._verdict_told |= about_verdict
                return text
            case _:
                return None


def heading(answer: Answer) -> str:
    """The heading of a draft.

    >>> heading(Answer(member="qwen", model="m", text="x", tokens=12, seconds=0.94))
    '**qwen** (12 tokens in 0.9 s)'
    """
    cut = "" if answer.complete else f", cut: {answer.stop}"
    return f"**{answer.member}** ({answer.tokens} tokens in {answer.seconds:.1f} s{cut})"


def draft(answer: Answer) -> str:
    """A finished draft: its text, or its program and what that printed."""
    if answer.computed is None:
        return answer.text
    return f"{in_fence(answer.computed.program, 'python')}{END}{_run(answer.computed)}"


def _run(computed: Computed) -> str:
    """What came of running a program."""
    if computed.output is None:
        return f"not run to a result: {computed.problem}"
    return f"printed when it was run:{END}{in_fence(computed.output, 'text')}"


def _epilogue(answer: Answer) -> str | None:
    """What is to be said after a draft that has been seen as it was written."""
    said = [*([] if answer.computed is None else [_run(answer.computed)]), *([] if answer.complete else [f"(cut: {answer.stop})"])]
    return END.join(said) or None


def chosen(verdict: Verdict, *, told: bool = False) -> str:
    """Who won, and how clearly; `told`: a notice has already said how the verdict came about.

    >>> chosen(Verdict(winner="qwen", policy="agreement", favourite="llama"))
    'chosen: qwen (two agree against llama)'
    >>> chosen(Verdict(winner="qwen", policy="prior", note="one usable answer: nothing to judge"), told=True)
    'chosen: qwen'
    """
    how = _how(verdict, told=told)
    return f"chosen: {verdict.winner} ({how})" if how else f"chosen: {verdict.winner}"


def _how(verdict: Verdict, *, told: bool) -> str:
    if verdict.fallback is not None:
        return "fallback" if told else f"fallback, the favourite decided: {verdict.fallback.text}"
    if verdict.note is not None:
        return "" if told else verdict.note
    return verdict.clarity
