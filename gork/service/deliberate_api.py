"""The product's own API: the events of a turn as they happen, for the page and for `--server`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from aiohttp import web

from gork import __version__
from gork.conversation import Kept, announce
from gork.engines.model import estimate_prompt
from gork.ensemble import MOST_CANDIDATES
from gork.errors import GorkError, NoAnswer
from gork.kinds import Kind, Wrong, suggestion, text
from gork.members import LOAD_TIME, MOST_STOPS, OPTIONS, OptionValue
from gork.roster import member_rows
from gork.service.bodies import read_body
from gork.service.gate import Full, Stopping
from gork.service.replies import BadRequest, NotFound, json_response
from gork.service.service import NAME, Service
from gork.service.work import Beat, Running
from gork.settings import Settings
from gork.turn import Finished, Message, Notice, OnEvent, Question, Turn
from gork.urls import quoted
from gork.wire import Accepted, BadEvent, Broken, Explained, WireEvent, encode, turn_of

_T = TypeVar("_T")
BEAT: Final = b": beat\n\n"
"""A comment between events: nothing happened, and the connection is in use."""
LONGEST_TOKEN_BYTES = 16
"""No tokenizer makes fewer tokens of ordinary text than one for this many bytes."""
_SEEDS = msgspec.Meta(ge=0, le=2**31 - 1)

Seconds = Annotated[float, msgspec.Meta(ge=0.1)]
Options = dict[str, str | int | float | bool | list[str] | None]


class Said(msgspec.Struct):
    """One message of the conversation before the question."""

    role: Literal["user", "assistant"]
    content: str


class DeliberateRequest(msgspec.Struct):
    """The body of `POST /api/deliberate`. Timeouts can shorten the service's own, not lengthen them."""

    question: str
    history: list[Said] = []
    system: str | None = None
    optimize: bool | None = None
    seed: Annotated[int, _SEEDS] | None = None
    options: Options = {}
    """Sampling options of the candidates, under the names that Ollama gives them."""
    timeout: Seconds | None = None
    rewrite_timeout: Seconds | None = None
    candidate_timeout: Seconds | None = None
    judge_timeout: Seconds | None = None


class ExplainRequest(msgspec.Struct):
    """The body of `POST /api/explain`: a turn as `/api/deliberate` and `--json` give it."""

    turn: dict[str, Any]


def routes(service: Service) -> list[web.RouteDef]:
    """What it answers."""
    api = _Api(service)
    return [
        web.post("/api/deliberate", api.deliberate),
        web.get("/api/members", api.members),
        web.post("/api/explain", api.explain),
    ]


class _Api:
    """The three routes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def deliberate(self, request: web.Request) -> web.StreamResponse:
        """Run a turn and send its events."""
        service = self._service
        asked = await read_body(request, DeliberateRequest)
        question, cut = _question(asked, service.settings)
        async with service.turn(question, _how(asked, service.settings)) as running:
            stream = _Stream(request, {"X-Turn-Id": question.id})
            await stream.begin()
            await stream.send(Accepted(question.id, service.engine.name, service.ensemble.name, service.roles))
            if cut is not None:
                await stream.send(Notice(cut))
            if (turn := await stream.follow(running)) is not None:
                await stream.send(Finished(turn))
            return await stream.end()

    async def members(self, _request: web.Request) -> web.Response:
        """Say who answers here, and whether each member can."""
        service = self._service
        rows = await member_rows(service.ensemble, service.models)
        return json_response(
            {
                "name": NAME,
                "version": __version__,
                "engine": service.engine.name,
                "ensemble": service.ensemble.name,
                "description": service.ensemble.description,
                "context": service.ensemble.context,
                "members": rows,
            }
        )

    async def explain(self, request: web.Request) -> web.StreamResponse:
        """Have the judge say why a turn ended as it did, and send its words as they come."""
        explain = self._service.explain
        if explain is None:
            raise NotFound("this ensemble has no judge that could explain anything")
        turn = _turn((await read_body(request, ExplainRequest)).turn)

        async def do(on_event: OnEvent) -> str:
            return await explain(turn, on_event)

        async with self._service.calls.begin(do) as running:
            stream = _Stream(request, {})
            await stream.begin()
            if (text := await stream.follow(running)) is not None:
                await stream.send(Explained(text))
            return await stream.end()


class _Stream:
    """A reply of server-sent events."""

    def __init__(self, request: web.Request, headers: Mapping[str, str]) -> None:
        self._request = request
        # A proxy that collects what it passes on would hold the events back.
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers}
        self._response = web.StreamResponse(headers=headers)

    async def begin(self) -> None:
        """Let the client know at once that somebody is there."""
        await self._response.prepare(self._request)
        await self._response.write(BEAT)

    async def send(self, event: WireEvent) -> None:
        """Send one event."""
        kind, data = encode(event)
        await self._response.write(b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n")

    async def follow(self, running: Running[_T]) -> _T | None:
        """Send what happens and return what comes of it; None, with the reason sent, if nothing does."""
        try:
            async for item in running:
                if isinstance(item, Beat):
                    await self._response.write(BEAT)
                elif not isinstance(item, Finished):  # the last event of all comes when the turn has really ended
                    await self.send(item)
            return await running.result()
        except GorkError as error:
            await self.send(Broken(_kind(error), str(error)))
            return None
        except ConnectionError:
            raise  # nobody is left to be told
        except Exception:
            await self.send(Broken("error", "an internal error: the service's log has more"))
            raise

    async def end(self) -> web.StreamResponse:
        """Nothing more will come."""
        await self._response.write_eof()
        return self._response


def _kind(error: GorkError) -> str:
    match error:
        case NoAnswer():
            return "no_answer"
        case Stopping():
            return "stopped"
        case Full() | BadRequest():
            return "refused"
        case _:
            return "error"


def _question(asked: DeliberateRequest, settings: Settings) -> tuple[Question, str | None]:
    """The question, and a line about earlier turns that were left out. Raises `BadRequest`."""
    if not asked.question.strip():
        raise BadRequest("the question is empty")
    size, context = len(asked.question.encode()), settings.ensemble.context
    if size > context * LONGEST_TOKEN_BYTES:
        raise BadRequest(f"the question has {size:,} bytes, far more than the models' context of {context:,} tokens holds: shorten it")
    kept = _kept([{"role": said.role, "content": said.content} for said in asked.history], settings.history_tokens)
    options = read_options(asked.options)
    question = Question(text=asked.question, history=kept.messages, system=asked.system or "", options=options)
    return question, announce(kept)


def _kept(history: Sequence[Message], budget_tokens: int) -> Kept:
    """The newest turns that fit the budget, whole turns only: each begins with a message of the user's."""
    begin, left = len(history), budget_tokens
    for at in range(len(history) - 1, -1, -1):
        left -= estimate_prompt(history[at : at + 1])
        if left < 0:
            break
        if history[at]["role"] == "user" or at == 0:
            begin = at
    return Kept(tuple(history[begin:]), sum(message["role"] == "user" for message in history[:begin]))


def read_options(given: Mapping[str, object]) -> dict[str, OptionValue]:
    """Sampling options as an ensemble file could have them; null is as if it were not there. Raises `BadRequest` with the place."""
    options: dict[str, OptionValue] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name in LOAD_TIME:
            raise BadRequest(f"options.{name}: a model is loaded with it, so it cannot differ from request to request")
        if name not in OPTIONS:
            raise BadRequest(f"options: there is no option {quoted(name)}{suggestion(name, OPTIONS)}")
        try:
            kind = OPTIONS[name].read
            options[name] = kind.check(value) if isinstance(kind, Kind) else _stops(value)
        except Wrong as wrong:
            raise BadRequest(f"options.{name} {wrong}") from None
    return options


def _stops(value: object) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    if len(given) > MOST_STOPS:
        raise Wrong(f"must be at most {MOST_STOPS} texts")
    one = text(longest=200)
    return tuple(one.check(stop) for stop in given)


def _how(asked: DeliberateRequest, settings: Settings) -> Settings:
    """The service's settings as this request changes them."""

    def shorter(own: float, wanted: float | None) -> float:
        return own if wanted is None else min(own, wanted)

    return replace(
        settings,
        optimize=settings.optimize if asked.optimize is None else asked.optimize,
        seed=settings.seed if asked.seed is None else asked.seed,
        turn=shorter(settings.turn, asked.timeout),
        rewrite=shorter(settings.rewrite, asked.rewrite_timeout),
        candidate=shorter(settings.candidate, asked.candidate_timeout),
        judge=shorter(settings.judge, asked.judge_timeout),
    )


def _turn(raw: Mapping[str, object]) -> Turn:
    """A client's turn, within what any turn of ours is. Raises `BadRequest`."""
    try:
        turn = turn_of(raw)
    except BadEvent as error:
        raise BadRequest(f"turn: {error}") from None
    if len(turn.answers) > MOST_CANDIDATES or len({answer.member for answer in turn.answers}) < len(turn.answers):
        raise BadRequest(f"turn: answers: there must be at most {MOST_CANDIDATES}, each of another member")
    if not 0 <= turn.seed < 2**31:
        raise BadRequest("turn: seed: it must be a whole number from 0 to 2147483647")
    return turn
