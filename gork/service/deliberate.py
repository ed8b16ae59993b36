"""The product's own API: the events of a turn as they happen, for the page and for `--server`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec.structs import replace

from gork import __version__
from gork.config.ensemble import LOAD_TIME, MOST_CANDIDATES, OptionValue, SamplingOptions
from gork.config.schema import Wrong, fields_of, read_value, suggestion
from gork.config.settings import Settings
from gork.config.urls import quoted
from gork.errors import BadRequest, GorkError, NoAnswer, NotFound, QueueFull, Stopping
from gork.health import MemberRow, rows_of
from gork.judging.rules import ranking_of
from gork.service.bodies import read_body
from gork.service.dialects.messages import PlainMessages, checked_text
from gork.service.dialects.requests import RequestOptions, understand
from gork.service.jobs import ClientJob, Heartbeat
from gork.service.responses import Stream, json_response
from gork.service.service import NAME, Service
from gork.turn import Finished, Message, Notice, Question, Turn, instructions
from gork.wire import Accepted, BadEvent, Broken, BrokenKind, Explained, WireEvent, encode, turn_of

_T = TypeVar("_T")
_BURST: Final = 32 * 1024
"""Most bytes of events that are sent in one piece."""
HEARTBEAT: Final = b": beat\n\n"
"""A comment between events: nothing happened, and the connection is still in use."""
_SEEDS = msgspec.Meta(ge=0, le=2**31 - 1)

Seconds = Annotated[float, msgspec.Meta(ge=0.1)]
Options = dict[str, str | int | float | bool | list[str] | None]


class HistoryMessage(msgspec.Struct):
    """One message of the conversation before the question."""

    role: Literal["user", "assistant"]
    content: str


class DeliberateRequest(msgspec.Struct):
    """The body of `POST /api/deliberate`. Timeouts can shorten the service's own, not lengthen them."""

    question: str
    history: list[HistoryMessage] = []
    system: str | None = None
    optimize: bool | None = None
    compute: bool = True
    """Whether members may answer by a program; a service that runs none does not begin to."""
    program: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None
    """The program that computed the last answer, for a question that goes on with it."""
    seed: Annotated[int, _SEEDS] | None = None
    options: Options = {}
    """Sampling options of the candidates, under the names that Ollama gives them."""
    timeout: Seconds | None = None
    rewrite_timeout: Seconds | None = None
    candidate_timeout: Seconds | None = None
    judge_timeout: Seconds | None = None


class MemberList(msgspec.Struct):
    """What `GET /api/members` answers."""

    name: str
    version: str
    engine: str
    ensemble: str
    description: str
    context: Annotated[int, msgspec.Meta(ge=0)]
    members: list[MemberRow]
    prior: list[str]
    """The candidates, the configured best first: whose draft is worth reading while a turn runs."""


class ExplainRequest(msgspec.Struct):
    """The body of `POST /api/explain`: a turn as `/api/deliberate` and `--json` give it."""

    turn: dict[str, Any]


def routes(service: Service) -> list[web.RouteDef]:
    """`/api/deliberate`, `/api/members` and `/api/explain`."""
    api = DeliberateApi(service)
    return [
        web.post("/api/deliberate", api.deliberate),
        web.get("/api/members", api.members),
        web.post("/api/explain", api.explain),
    ]


class DeliberateApi:
    """The routes of the product's own API."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def deliberate(self, request: web.Request) -> web.StreamResponse:
        """Run a turn and send its events."""
        service = self._service
        question, how, notes = _understood(service, await read_body(request, DeliberateRequest))
        async with service.turn(question, how) as job:
            stream = Stream(request, "text/event-stream", {"X-Turn-Id": question.id})

            async def send() -> None:
                await stream.write(_event(Accepted(question.id, service.engine.name, service.ensemble.name, service.roles)))
                for note in notes:
                    await stream.write(_event(Notice(note)))
                await stream.write(_event(Finished(await _followed(job, stream))))

            await stream.write(HEARTBEAT)
            return await stream.run(send, lambda error: _broken(error, service.told(str(error))))

    async def members(self, _request: web.Request) -> web.Response:
        """List the members, and whether each can answer, as far as is known: a member that hangs holds up no reply."""
        service = self._service
        members = MemberList(
            name=NAME,
            version=__version__,
            engine=service.engine.name,
            ensemble=service.ensemble.name,
            description=service.ensemble.description,
            context=service.ensemble.context,
            members=list(rows_of(service.ensemble, service.models, await service.healths.refreshed())),
            prior=list(ranking_of(service.ensemble)),
        )
        return json_response(members)

    async def explain(self, request: web.Request) -> web.StreamResponse:
        """Have the judge say why a turn ended as it did, and send its words as they come."""
        explain = self._service.explain
        if explain is None:
            raise NotFound("this ensemble has no judge that could explain anything")
        turn = _turn((await read_body(request, ExplainRequest)).turn)
        async with self._service.calls.begin(lambda on_event: explain(turn, on_event)) as job:
            stream = Stream(request, "text/event-stream", {})

            async def send() -> None:
                await stream.write(_event(Explained(await _followed(job, stream))))

            await stream.write(HEARTBEAT)
            return await stream.run(send, lambda error: _broken(error, self._service.told(str(error))))


async def _followed(job: ClientJob[_T], stream: Stream) -> _T:
    """Send the events of a job and return its result. Raises the `GorkError` that ended it."""
    burst = bytearray()
    async for item in job:
        if isinstance(item, Heartbeat):
            burst += HEARTBEAT
        elif not isinstance(item, Finished):  # the last event of all comes when the turn has really ended
            burst += _event(item)
        if burst and (not job.at_hand or len(burst) > _BURST):
            await stream.write(bytes(burst))
            burst.clear()
    if burst:
        await stream.write(bytes(burst))
    return await job.result()


def _event(event: WireEvent) -> bytes:
    kind, data = encode(event)
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _broken(error: GorkError, told: str) -> bytes:
    kind: BrokenKind
    match error:
        case NoAnswer():
            kind = "no_answer"
        case Stopping():
            kind = "stopped"
        case QueueFull() | BadRequest():
            kind = "refused"
        case _:
            kind = "error"
    return _event(Broken(kind, told))


def _understood(service: Service, asked: DeliberateRequest) -> tuple[Question, Settings, tuple[str, ...]]:
    """The question, the settings of its turn, and lines about what was left out of it. Raises `BadRequest`."""
    if not asked.question.strip():
        raise BadRequest("the question is empty", param="question")
    system = instructions(checked_text(asked.system or "", "system"))
    history: list[Message] = [
        {"role": said.role, "content": checked_text(said.content, f"history[{index}].content")} for index, said in enumerate(asked.history)
    ]
    messages: list[Message] = [*system, *history, {"role": "user", "content": checked_text(asked.question, "question")}]
    understood = understand(
        service, None, PlainMessages(tuple(messages)), RequestOptions(options=read_options(asked.options), seed=asked.seed)
    )
    return dataclasses.replace(understood.question, program=asked.program), _settings(asked, understood.settings), understood.notes


def read_options(given: Mapping[str, object]) -> dict[str, OptionValue]:
    """Sampling options as an ensemble file could have them; null counts as absent. Raises `BadRequest` with the option."""
    known, options = fields_of(SamplingOptions), {}
    for name, value in given.items():
        if value is None:
            continue
        if name in LOAD_TIME:
            raise BadRequest(f"options.{name}: a model is loaded with it, so it cannot differ from request to request")
        if name not in known:
            raise BadRequest(f"options: there is no option {quoted(name)}{suggestion(name, known)}")
        try:
            options[name] = read_value(known[name].kind, value)
        except Wrong as wrong:
            raise BadRequest(f"options.{name}{wrong.inside}{':' if wrong.inside else ''} {wrong.what}") from None
    return SamplingOptions(**options).given()


def _settings(asked: DeliberateRequest, settings: Settings) -> Settings:
    """The service's settings as this request changes them."""

    def shorter(own: float, wanted: float | None) -> float:
        return own if wanted is None else min(own, wanted)

    return replace(
        settings,
        optimize=settings.optimize if asked.optimize is None else asked.optimize,
        compute=settings.compute and asked.compute,
        timeout=shorter(settings.timeout, asked.timeout),
        rewrite_timeout=shorter(settings.rewrite_timeout, asked.rewrite_timeout),
        candidate_timeout=shorter(settings.candidate_timeout, asked.candidate_timeout),
        judge_timeout=shorter(settings.judge_timeout, asked.judge_timeout),
    )


def _turn(raw: Mapping[str, object]) -> Turn:
    """A client's turn, checked against the bounds of any turn of this program. Raises `BadRequest`."""
    try:
        turn = turn_of(raw)
    except BadEvent as error:
        raise BadRequest(f"turn: {error}") from None
    if len(turn.answers) > MOST_CANDIDATES or len({answer.member for answer in turn.answers}) < len(turn.answers):
        raise BadRequest(f"turn: answers: there must be at most {MOST_CANDIDATES}, each of another member")
    if not 0 <= turn.seed < 2**31:
        raise BadRequest("turn: seed: it must be a whole number from 0 to 2147483647")
    return turn
