"""The product's own API: the events of a turn as they happen, for the page and for `--server`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec.structs import replace

from gork import __version__
from gork.computing.asking import asks_program, kind_in_thread
from gork.config.ensemble import LOAD_TIME, MOST_CANDIDATES, Ensemble, OptionValue, SamplingOptions, with_candidates
from gork.config.schema import Wrong, fields_of, read_value, suggestion
from gork.config.settings import Settings
from gork.config.urls import quoted
from gork.errors import BadRequest, ConfigError, NotFound
from gork.health import MemberRow, roles_of, rows_of
from gork.judging.rules import ranking_of, rules_for
from gork.service.bodies import read_body
from gork.service.dialects.messages import PlainMessages, checked_text
from gork.service.dialects.requests import RequestOptions, understand
from gork.service.jobs import Heartbeat
from gork.service.live_turns import HEARTBEAT, LiveTurn, broken, frame, new_token
from gork.service.request_context import current
from gork.service.responses import Stream, json_response
from gork.service.service import NAME, Service
from gork.turn import Message, Notice, Question, Turn, instructions
from gork.wire import Accepted, BadEvent, Explained, turn_of

TURN_HEADER: Final = "X-Turn-Token"
"""The header with a turn's secret; an address would stand in logs."""
LAST_EVENT: Final = "Last-Event-ID"
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
    members: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_CANDIDATES)] | None = None
    """The candidates that take part; all of them if not given."""
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
    keep: bool = False
    """Whether the turn goes on for a while when its client leaves, and can be read from any of its events on; each then has an `id`."""


class ReadAheadRequest(msgspec.Struct):
    """The body of `POST /api/read-ahead`: what stands before the next question, as it will be sent with it."""

    history: list[HistoryMessage] = []
    system: str | None = None
    members: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_CANDIDATES)] | None = None


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
    """`/api/deliberate` and what belongs to one of its turns, `/api/members` and `/api/explain`."""
    api = DeliberateApi(service)
    return [
        web.post("/api/deliberate", api.deliberate),
        web.get("/api/deliberate/{turn}", api.read_on),
        web.post("/api/deliberate/{turn}/stop", api.stop),
        web.post("/api/deliberate/{turn}/answer-now", api.answer_now),
        web.post("/api/read-ahead", api.read_ahead),
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
        asked = await read_body(request, DeliberateRequest)
        question, how, notes = _understood(service, asked)
        token = new_token()
        accepted = Accepted(question.id, service.engine.name, how.ensemble.name, roles_of(how.ensemble), token, _likely(question, how))
        turn = await service.live.begin(question, how, token, (accepted, *map(Notice, notes)), kept=asked.keep)
        return await _sent(request, turn)

    async def read_on(self, request: web.Request) -> web.StreamResponse:
        """Send the events of a turn that was to be kept, from the one after `Last-Event-ID` on."""
        turn = self._live(request)
        if not turn.log.kept:
            raise NotFound("this turn was not asked to be kept, so nobody else can read it")
        last = request.headers.get(LAST_EVENT, "0")
        if not re.fullmatch("[0-9]{1,9}", last):
            raise BadRequest(f"{LAST_EVENT}: it must be the number of an event", param=LAST_EVENT)
        return await _sent(request, turn, after=int(last))

    async def stop(self, request: web.Request) -> web.Response:
        """Stop a turn; one that has ended stays as it is."""
        self._live(request).stop()
        return web.Response(status=204)

    async def answer_now(self, request: web.Request) -> web.Response:
        """Have a turn end as soon as it can, with what is written; one that has ended stays as it is."""
        self._live(request).answer_now.set()
        return web.Response(status=204)

    def _live(self, request: web.Request) -> LiveTurn:
        """The turn that a request is about. Raises `NotFound`, also if its token is another one."""
        turn = self._service.live.find(request.match_info["turn"], request.headers.get(TURN_HEADER, ""))
        if (context := current.get()) is not None:
            context.turn = turn.id
        return turn

    async def read_ahead(self, request: web.Request) -> web.Response:
        """Have the models read a conversation before its next question comes, if there is nothing else to do.

        Replies when they have, or when something is asked; what fails is told by the question that meets it.
        """
        service = self._service
        asked = await read_body(request, ReadAheadRequest)
        coming = DeliberateRequest("?", asked.history, asked.system, members=asked.members)
        question, how, _ = _understood(service, coming)
        context = current.get()
        if not (service.busy or service.stopping or (context is not None and context.half_closed)):
            if context is not None:
                context.wake = service.reading_ahead.give_up  # a half-closed connection: here nothing is sent that would tell
            await service.reading_ahead.read(dataclasses.replace(question, text=""), how.ensemble)
        return web.Response(status=204)

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
            raise NotFound("this ensemble has no judge to explain anything")
        turn = _turn((await read_body(request, ExplainRequest)).turn)
        async with self._service.calls.begin(lambda on_event: explain(turn, on_event)) as job:
            stream = Stream(request, "text/event-stream", {})

            async def send() -> None:
                async for item in job:
                    await stream.write(HEARTBEAT if isinstance(item, Heartbeat) else frame(item))
                await stream.write(frame(Explained(await job.result())))

            await stream.write(HEARTBEAT)
            return await stream.run(send, lambda error: frame(broken(error, self._service.told(str(error)))))


async def _sent(request: web.Request, turn: LiveTurn, *, after: int = 0) -> web.StreamResponse:
    """Send a turn's events, from the one after that number on, until its end or until the client leaves."""
    stream = Stream(request, "text/event-stream", {"X-Turn-Id": turn.id})
    async with turn.reader(after) as reader:
        if (context := current.get()) is not None:
            context.wake = reader.wake
            if context.half_closed:
                reader.wake()

        async def send() -> None:
            async for data in reader:
                await stream.write(data)

        await stream.write(HEARTBEAT)
        return await stream.run(send, lambda error: frame(broken(error, str(error))))


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


def _likely(question: Question, how: Settings) -> tuple[str, ...]:
    """The candidates, whoever will most likely be chosen first: the favourite, but before it who is asked for a program that decides."""
    question = dataclasses.replace(question, kind=kind_in_thread(question))
    rules = rules_for(question, how.ensemble)
    decides = how.compute and rules.computed_decides
    by_program = [member.name for member in how.ensemble.candidates if decides and asks_program(member, question)]
    return tuple(dict.fromkeys((*by_program, *rules.ranking)))


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
        ensemble=_taking_part(settings.ensemble, asked.members),
        optimize=settings.optimize if asked.optimize is None else asked.optimize,
        compute=settings.compute and asked.compute,
        timeout=shorter(settings.timeout, asked.timeout),
        rewrite_timeout=shorter(settings.rewrite_timeout, asked.rewrite_timeout),
        candidate_timeout=shorter(settings.candidate_timeout, asked.candidate_timeout),
        judge_timeout=shorter(settings.judge_timeout, asked.judge_timeout),
    )


def _taking_part(ensemble: Ensemble, members: Sequence[str] | None) -> Ensemble:
    try:
        return ensemble if members is None else with_candidates(ensemble, members)
    except ConfigError as error:
        raise BadRequest(f"members: {error}", param="members") from None


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
