"""An understood request being answered, by the ensemble or by one member: the same parts for both dialects, which only give them a form.

A turn's answer comes whole when it is chosen; a member that answers alone writes it piece by piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gork.engines.call import Completion
from gork.errors import GorkError, NoAnswer, PromptTooLong
from gork.service.dialects.requests import Asked, messages_for_member
from gork.service.dialects.thinking import END, Thinking
from gork.service.errors import BadRequest
from gork.service.jobs import Beat, Running
from gork.service.service import Service
from gork.turn import Answer, Event, Failed, MemberState, Restarted, State, Token, Turn
from gork.wire import Queued

LONGEST_PIECE = 8192
"""Characters of one piece: some clients read their streams line by line, and no line of theirs may be longer than 64 or 128 KiB."""


@dataclass(frozen=True, slots=True)
class Thought:
    """Something for the thinking channel."""

    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """The next part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Pulse:
    """Nothing new to tell for a while; the work goes on."""


@dataclass(frozen=True, slots=True)
class Anew:
    """The answer starts anew: the pieces so far do not count."""

    why: str


Part = Thought | Piece | Pulse | Anew
Tell = Callable[[Part], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer and what is known of how it came about. Counts and times are the answer's own model's; `total_s` is everything's."""

    text: str
    complete: bool
    tokens: int
    prompt_tokens: int
    total_s: float
    load_s: float
    first_token_s: float
    seconds: float

    @property
    def stop(self) -> str:
        """Why it ended, in the words that both dialects have for it."""
        return "stop" if self.complete else "length"


class Answering:
    """The work on one request, under way."""

    def __init__(self, asked: Asked, running: Running[Turn] | Running[Completion], beat_s: float) -> None:
        self._asked, self._running = asked, running
        self._clock = asyncio.get_running_loop().time
        self._began = self._told = self._clock()
        self._quiet_s = beat_s / 2
        self._thinking = Thinking()
        self._loading: dict[str, float] = {}
        self._loaded: dict[str, float] = {}
        self._failed: dict[str, str] = {}

    async def follow(self, tell: Tell) -> Reply:
        """Tell of all that happens, and return what came of it. Raises the `GorkError` that ended it."""
        if self._asked.drafts:
            for note in self._asked.notes:
                await tell(Thought(note + END))
        async for item in self._running:
            for part in self._parts(item):
                self._told = self._clock()
                await tell(part)
        try:
            result = await self._running.result()
        except (NoAnswer, PromptTooLong) as error:
            raise self._blamed(error) from None
        if isinstance(result, Completion):
            return self._reply(result, self._asked.member or "")
        for text in cut(result.answer):
            await tell(Piece(text))
        return self._reply(result.winner, result.winner.member)

    def _parts(self, item: Event | Queued | Beat) -> Iterator[Part]:
        if isinstance(item, MemberState):
            self._time_loads(item)
        elif isinstance(item, Failed):
            self._failed[item.failure.member] = item.failure.kind
        if self._asked.member is not None and isinstance(item, Token):
            yield Piece(item.text)
        elif self._asked.member is not None and isinstance(item, Restarted):
            yield Anew(item.why)
        elif self._asked.drafts and not isinstance(item, Beat) and (said := self._thinking.of(item)) is not None:
            yield from map(Thought, cut(said))
        elif self._clock() - self._told > self._quiet_s:
            yield Pulse()

    def _time_loads(self, state: MemberState) -> None:
        if state.state is State.LOADING:
            self._loading.setdefault(state.member, self._clock())
        elif state.member in self._loading:
            self._loaded[state.member] = self._loaded.get(state.member, 0.0) + self._clock() - self._loading.pop(state.member)

    def _reply(self, answer: Answer | Completion, member: str) -> Reply:
        return Reply(
            text=answer.text,
            complete=answer.stop == "stop",
            tokens=answer.tokens,
            prompt_tokens=answer.prompt_tokens,
            total_s=self._clock() - self._began,
            load_s=self._loaded.get(member, 0.0),
            first_token_s=answer.first_token_s or 0.0,
            seconds=answer.seconds,
        )

    def _blamed(self, error: GorkError) -> GorkError:
        """The error as the client's own mistake, where the models say that it is."""
        candidates = [member.name for member in self._asked.how.ensemble.candidates]
        kinds = {self._failed.get(name) for name in candidates} if isinstance(error, NoAnswer) else {PromptTooLong.kind}
        if kinds == {PromptTooLong.kind}:
            return BadRequest(str(error), param="messages", code="context_length_exceeded")
        if kinds == {"refused"} and isinstance(self._asked.wishes.answer_format, dict):
            return BadRequest(f"the answer's format: {error}", param="response_format")
        return error


@asynccontextmanager
async def begun(service: Service, asked: Asked) -> AsyncIterator[Answering]:
    """Begin to answer; leaving stops all models. Raises `Full` or `Stopping` before anything is done."""
    if asked.member is None:
        async with service.turn(asked.question, asked.how) as turn:
            yield Answering(asked, turn, service.turns.beat_s)
        return
    options = dict(asked.wishes.options)
    if asked.wishes.seed is not None and asked.how.seed is not None:
        options["seed"] = asked.how.seed
    messages = messages_for_member(service, asked)
    async with service.call(asked.member, messages, options=options, answer_format=asked.wishes.answer_format) as call:
        yield Answering(asked, call, service.calls.beat_s)


def cut(text: str) -> Iterator[str]:
    """The text in pieces that every client can read."""
    for start in range(0, len(text), LONGEST_PIECE):
        yield text[start : start + LONGEST_PIECE]
