"""A running service in place of models here: the flow, the members and the judge's reasons, asked over the service's own API.

What a turn goes by travels as far as the user has said it: seed, rewriting and timeouts. The conversation is kept here and sent along.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import structs

from gork.config.ensemble import MOST_CANDIDATES, Choosing, Ensemble, Member, with_candidates
from gork.config.settings import SETTINGS, Layer, Origin, Settings
from gork.engines.http import STANDARD_LIMITS, HttpLimits, plain
from gork.errors import NoAnswer, NoService, ServiceError
from gork.health import MemberRow, roles_of
from gork.judging.explain import LIMIT_S
from gork.service_client import SILENCE_S, ServiceClient
from gork.turn import (
    QUESTIONS_CODE,
    Answered,
    Event,
    Failed,
    Finished,
    MemberState,
    Notice,
    OnEvent,
    Question,
    Restarted,
    StageStarted,
    Token,
    Turn,
)
from gork.wire import Accepted, Broken, Explained, Held, Queued, WireEvent

_T = TypeVar("_T")
READ_AHEAD_S: Final = 1200.0
"""For reading a conversation, loading the models included; the service has limits of its own."""
REPLY_S: Final = 10.0
"""For what a service knows of itself, once it is connected to."""
_MOST_MEMBERS = MOST_CANDIDATES + 2
_MOST_REASONS = 2 * _MOST_MEMBERS
_TIMEOUTS: Final = ("timeout", "rewrite_timeout", "candidate_timeout", "judge_timeout")
_USED: Final = {"server", "seed", "optimize", "compute", "connect_timeout", "load_timeout", "token", *_TIMEOUTS} | {
    *("strict", "markdown", "watch", "quiet", "history_tokens", "save", "sessions", "history", "idle_exit"),  # by the terminal
}
_ENGINES: Final = {"ollama": "Ollama", "openai": "OpenAI API", "embedded": "embedded llama.cpp", "mixed": "several engines"}
_NAME = "^[a-z0-9][a-z0-9-]{0,62}$"


class _Row(msgspec.Struct):
    member: Annotated[str, msgspec.Meta(pattern=_NAME)]
    role: Literal["promptimizer", "candidate", "judge"]
    model: str
    where: str
    state: str
    ok: bool | None = None


class _Members(msgspec.Struct):
    """What `GET /api/members` answers."""

    version: str
    engine: str
    ensemble: Annotated[str, msgspec.Meta(pattern=_NAME)]
    members: Annotated[list[_Row], msgspec.Meta(max_length=_MOST_MEMBERS)]
    description: str = ""
    context: Annotated[int, msgspec.Meta(ge=512, le=1_048_576)] = 4096
    prior: Annotated[list[str], msgspec.Meta(max_length=_MOST_MEMBERS)] = []


async def reach(
    settings: Settings,
    *,
    again: str = "ask again",
    limits: HttpLimits = STANDARD_LIMITS,
    silence_s: float = SILENCE_S,
) -> Remote:
    """The service at `settings.server`, which has told who answers there; `again` is what a person can do when a turn broke off.

    Raises a `ServiceError`, a `NoService` if nothing of ours answers there.
    """
    if settings.server is None:
        raise ValueError("no service is given")
    client = ServiceClient(
        url=settings.server, token=settings.token, connect_s=settings.connect_timeout, again="try again", limits=limits, silence_s=silence_s
    )
    said = await _members(client)
    origins = {**settings.origins, "ensemble": Origin(Layer.SERVICE, f"the service at {settings.server}")}
    engine = plain(_ENGINES.get(said.engine, said.engine))
    line = f"engine: {engine}, ensemble {said.ensemble} (the service at {client.url}, version {plain(said.version)})"
    return Remote(client, structs.replace(settings, ensemble=_ensemble(said, client), origins=origins), line, again, said.engine)


def unused_flags(settings: Settings) -> list[str]:
    """The flags that were given and say nothing to a service, which has its own models."""
    return [one.flag for name, one in SETTINGS.items() if name not in _USED and settings.origins[name].layer is Layer.FLAG]


class Remote:
    """A running service; nothing is kept open between its turns."""

    def __init__(self, client: ServiceClient, settings: Settings, line: str, again: str, engine: str) -> None:
        self._client, self._again, self.engine = client, again, engine
        self.settings = settings
        """The user's, with the service's ensemble."""
        self.line = line
        """Who answers there, for people."""

    async def check(self) -> Sequence[MemberRow]:
        """One row for each member there. Raises a `ServiceError`."""
        return [MemberRow(row.member, row.role, row.model, row.where, row.state, row.ok) for row in (await _members(self._client)).members]

    @asynccontextmanager
    async def place(self) -> AsyncIterator[asyncio.Task[bool]]:
        """Hold a place for a prompt beside the service; the task ends with True when the service is being stopped.

        Entering raises a `ServiceError` when there is no place left, a `NoService` where the service knows of none.
        """
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def take(event: WireEvent) -> bool | None:
            if isinstance(event, Held) and not held.done():
                held.set_result(None)
            return event.kind == "stopped" if isinstance(event, Broken) else None

        async def hold() -> bool:
            try:
                return await self._client.events("/api/prompt", None, take)
            except ServiceError:
                if not held.done():
                    raise
                return False  # it went away without a word: the next question finds out

        task = asyncio.create_task(hold(), name="hold a place beside the service")
        try:
            waited: tuple[asyncio.Future[Any], ...] = (task, held)
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not held.done():
                task.result()
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def ask(
        self, question: Question, on_event: OnEvent, how: Settings | None = None, *, answer_now: asyncio.Event | None = None
    ) -> Turn:
        """Run one turn there. Raises `NoAnswer`, or a `ServiceError` when the service cannot be asked or breaks off."""
        how = how or self.settings
        client = replace(self._client, again=self._again)
        asked = {member.name for member in how.ensemble.candidates}
        sink = _EventSink(client, on_event, roles_of(with_candidates(self.settings.ensemble, asked)))
        body = _body(question, how, self.settings.ensemble)
        passing_on = asyncio.create_task(sink.pass_on_wishes(answer_now or asyncio.Event()), name="pass on that the answer is wanted now")
        try:
            return await _follow(client, "/api/deliberate", body, sink.turn, limit_s=how.timeout + how.load_timeout)
        finally:
            passing_on.cancel()
            await asyncio.wait({passing_on})

    async def read_ahead(self, question: Question, ensemble: Ensemble) -> None:
        """Have the models there read what stands before a question; leaving it ends that. Fails silently, as with models here."""
        body = {name: value for name, value in _conversation(question, ensemble, self.settings.ensemble).items() if name != "question"}
        with suppress(ServiceError):
            await self._client.post("/api/read-ahead", body, within_s=READ_AHEAD_S)

    async def explain(self, turn: Turn, on_event: OnEvent) -> str:
        """Have the judge there say why a turn ended as it did. Raises a `ServiceError`."""
        sink = _EventSink(self._client, on_event)
        return await _follow(
            self._client, "/api/explain", {"turn": turn.as_json()}, sink.reason, limit_s=LIMIT_S + self.settings.load_timeout
        )


async def _follow(client: ServiceClient, path: str, body: object, take: Callable[[WireEvent], _T | None], *, limit_s: float) -> _T:
    """Follow events to the end; time in the service's line does not count."""
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(limit_s) as scope:

            def heard(event: WireEvent) -> _T | None:
                if isinstance(event, Queued):
                    scope.reschedule(None)
                elif scope.when() is None:
                    scope.reschedule(clock() + limit_s)
                return take(event)

            return await client.events(path, body, heard)
    except TimeoutError:
        raise client.error(f"did not finish within {limit_s:g} s: {client.again}, or allow it more (--timeout)") from None


class _EventSink:
    """Takes in what a service tells: passes on what is an event of a turn, ends at its last one."""

    def __init__(self, client: ServiceClient, on_event: OnEvent, roles: dict[str, str] | None = None) -> None:
        """`roles` has the members that are known; None lets every name pass."""
        self._client, self._on_event, self._roles = client, on_event, roles
        self._id: str | None = None
        self._token = ""
        self._begun = asyncio.Event()

    def turn(self, event: WireEvent) -> Turn | None:
        """Take in an event of a turn; returns what the last one brings."""
        if isinstance(event, Accepted):
            self._begin(event)
        elif self._id is None and not isinstance(event, Broken):
            raise self._client.error("does not answer a question as it should: is it another version?")
        elif isinstance(event, Finished):
            self._check(event.turn)
            self._on_event(event)
            return event.turn
        else:
            self._pass_on(event)
        return None

    def reason(self, event: WireEvent) -> str | None:
        """Take in an event of an explanation; returns the whole of it at its end."""
        if isinstance(event, Explained):
            return event.text
        self._pass_on(event)
        return None

    async def pass_on_wishes(self, answer_now: asyncio.Event) -> None:
        """Tell the service whenever the user wants the answer now; what comes of it, or why nothing does, goes to `on_event`."""
        await self._begun.wait()
        while True:
            await answer_now.wait()
            answer_now.clear()
            try:
                await self._client.tell(f"/api/deliberate/{self._id}/answer-now", {"X-Turn-Token": self._token}, within_s=REPLY_S)
            except ServiceError as error:
                self._on_event(Notice(f"the answer is not to be had now: {error}"))

    def _begin(self, accepted: Accepted) -> None:
        if len(accepted.members) > _MOST_MEMBERS or not re.fullmatch("[0-9a-f]{12}", accepted.id):
            raise self._client.error("sent an impossible start of a turn: is it another version?")
        if self._roles is not None and accepted.members != self._roles:
            self._on_event(Notice(f"the service has another ensemble now: {plain(accepted.ensemble)}"))
        self._id, self._token, self._roles = accepted.id, accepted.token, dict(accepted.members)
        self._begun.set()

    def _check(self, turn: Turn) -> None:
        names = [*(answer.member for answer in turn.answers), *(failure.member for failure in turn.failures), *turn.not_needed]
        if turn.id != self._id or len(set(names)) < len(names) or not set(names) <= {*(self._roles or ()), QUESTIONS_CODE}:
            raise self._client.error("sent a different turn from the one it started: is it another version?")

    def _pass_on(self, event: WireEvent) -> None:
        match event:
            case Broken():
                raise self._broken(event)
            case Queued(ahead):
                more = f", after {ahead} other{'' if ahead == 1 else 's'}" if ahead else ""
                self._on_event(Notice(f"the service is busy with another turn: this one waits in line{more}"))
            case Accepted() | Explained() | Finished() | Held():
                pass  # not of this request
            case _:
                if self._roles is None or all(name in self._roles or name == QUESTIONS_CODE for name in _names(event)):
                    self._on_event(event)

    def _broken(self, broken: Broken) -> NoAnswer | ServiceError:
        if broken.kind == "no_answer":
            lines = [plain(line) for line in broken.message.splitlines()[: _MOST_REASONS + 1]]
            return NoAnswer(lines[1:] or lines)
        if broken.kind == "stopped":
            return self._client.error(f"is being stopped: {self._client.again} in a moment")
        return self._client.error(f"gave up: {plain(broken.message)}")


def _names(event: Event) -> Sequence[str]:
    """The members that an event is about."""
    match event:
        case StageStarted(_, members):
            return members
        case MemberState(member) | Token(member) | Restarted(member):
            return (member,)
        case Answered(answer):
            return (answer.member,)
        case Failed(failure):
            return (failure.member,)
        case _:
            return ()


async def _members(client: ServiceClient) -> _Members:
    return await client.get("/api/members", _Members, within_s=client.connect_s + REPLY_S)


def _ensemble(said: _Members, client: ServiceClient) -> Ensemble:
    """The members in their roles; how the service chooses among their answers is its own affair."""
    of: dict[str, list[Member]] = {"promptimizer": [], "candidate": [], "judge": []}
    for row in said.members:
        of[row.role].append(Member(name=row.member, model=row.model))
    twice = len({row.member for row in said.members}) < len(said.members)
    if twice or not of["candidate"] or len(of["promptimizer"]) > 1 or len(of["judge"]) > 1:
        raise client.error("describes members that make no ensemble: is it another version?", NoService)
    return Ensemble(
        name=said.ensemble,
        candidates=tuple(of["candidate"]),
        promptimizer=next(iter(of["promptimizer"]), None),
        judge=next(iter(of["judge"]), None),
        choosing=Choosing(prior=tuple(name for name in said.prior if name in {member.name for member in of["candidate"]})),
        context=said.context,
        description=said.description,
    )


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # a session's file may hold lone surrogates


def _conversation(question: Question, ensemble: Ensemble, there: Ensemble) -> dict[str, Any]:
    """What the members that take part read."""
    history = [{"role": message["role"], "content": _whole(message["content"])} for message in question.history]
    body: dict[str, Any] = {"question": _whole(question.text), "history": history}
    if question.system:
        body["system"] = _whole(question.system)
    if (asked := [member.name for member in ensemble.candidates]) != [member.name for member in there.candidates]:
        body["members"] = asked
    return body


def _body(question: Question, how: Settings, there: Ensemble) -> dict[str, Any]:
    """The request for a turn: of the settings only what was said, since the service has its own; of its members those that take part."""
    body = _conversation(question, how.ensemble, there)
    if question.options:
        body["options"] = dict(question.options)
    if how.seed is not None:
        body["seed"] = how.seed
    optimize = how.optimize and (how.ensemble.promptimizer is not None or there.promptimizer is None)
    if not optimize or how.origins["optimize"].layer is not Layer.DEFAULT:
        body["optimize"] = optimize
    if not how.compute:
        body["compute"] = False
    if question.program is not None:
        body["program"] = _whole(question.program)
    body |= {name: getattr(how, name) for name in _TIMEOUTS if how.origins[name].layer is not Layer.DEFAULT}
    return body
