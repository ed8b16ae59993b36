"""What all routes of the service share: the flow, the models, and the queues before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from gork.config.ensemble import ANSWER_TOKENS, Ensemble
from gork.config.settings import Settings
from gork.engines.call import Completion
from gork.engines.model import Engine, Model, Options
from gork.errors import GorkError, QueueFull, Stopping
from gork.flow import Ask, Explain
from gork.health import roles_of
from gork.reading_ahead import reader_ahead
from gork.service.admission import AdmissionQueue, PromptPlaces
from gork.service.health import Healths
from gork.service.jobs import ClientJob, Jobs, within
from gork.service.live_turns import LiveTurns
from gork.service.metrics import Metrics
from gork.service.observe import TurnObserver
from gork.service.reading_ahead import ReadingAhead
from gork.service.request_context import current
from gork.service.turns import KeptTurn, TurnStore
from gork.turn import AnswerFormat, Message, OnEvent, Question, Turn

NAME = "gork-heavy-lite"
"""The ensemble, as a model's name; members have their own."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """Limits that the user has no setting for."""

    heartbeat_s: float = 5.0
    """Seconds without an event after which a sign of life is sent: clients and proxies wait for half a minute and more."""
    head_s: float = 3.0
    """Seconds that a stream's head waits for the first word of a model, so that what fails at once fails with its status."""
    grace_s: float = 5.0
    """Seconds beyond a turn's limit: the flow's own deadlines end first, and keep what was written by then."""
    idle_s: float = 75.0
    """Seconds that a connection may wait for its next request; proxies keep theirs for a minute."""
    unattended_s: float = 180.0
    """Seconds that a turn goes on without a reader, where its client asked for that: a page is reloaded, a laptop changes its network."""
    read_ahead_s: float = 300.0
    """Seconds for what models read before a question: loading them excluded, more than a full context takes on one processor."""
    last_words_s: float = 3.0
    """Seconds in which clients are told that their turn was given up, and prompts leave, when the service stops."""
    health_fresh_s: float = 5.0
    """Seconds for which it is kept what is known of a member's health."""
    health_check_s: float = 3.0
    """Seconds for one member's check."""
    health_wait_s: float = 0.8
    """Seconds that a request waits for fresh checks: a kubelet gives a probe one second by default."""
    connections: int | None = None
    """At the same time; None derives the number from the settings and from the files that the process may open."""


class MemberReadiness(msgspec.Struct):
    """Whether one member can answer, as far as is known."""

    role: str
    ok: bool
    detail: str


class Readiness(msgspec.Struct):
    """What `GET /readyz` answers."""

    ready: bool
    stopping: bool
    members: dict[str, MemberReadiness]


class Service:
    """The ensemble and its members, for many clients at once."""

    def __init__(
        self, ask: Ask, engine: Engine, settings: Settings, *, explain: Explain | None = None, limits: ServiceLimits | None = None
    ) -> None:
        self.ask, self.engine, self.settings, self.explain = ask, engine, settings, explain
        self.limits = limits or ServiceLimits()
        self.reading_ahead = ReadingAhead(reader_ahead(engine.models), limit_s=self.limits.read_ahead_s)
        """What models read for a prompt until somebody asks something."""
        turns, calls = (AdmissionQueue(settings.turns, settings.queue) for _ in range(2))
        self.turns = Jobs(turns, heartbeat_s=self.limits.heartbeat_s, first=self.reading_ahead.stop)
        self.calls = Jobs(calls, heartbeat_s=self.limits.heartbeat_s, first=self.reading_ahead.stop)
        """Calls of one member alone: a title for a chat does not wait for whole turns."""
        self.prompts = PromptPlaces(settings.prompts)
        self.metrics = Metrics(
            self.roles, turns=turns, calls=calls, prompts=self.prompts, engine=engine.name, ensemble=settings.ensemble.name
        )
        self.observer = TurnObserver(self.metrics, settings)
        self.healths = Healths(
            settings.ensemble,
            engine.models,
            self.metrics,
            fresh_s=self.limits.health_fresh_s,
            check_s=self.limits.health_check_s,
            wait_s=self.limits.health_wait_s,
        )
        self.finished = TurnStore[KeptTurn]()
        """Turns that ended, for clients that go on from one by its id."""
        self.live = LiveTurns(
            self.turn, lambda error: self.told(str(error)), heartbeat_s=self.limits.heartbeat_s, unattended_s=self.limits.unattended_s
        )
        """Turns that run or ended just now, for clients that read their events."""
        self.stopping = False
        """Whether it takes nothing new."""

    @property
    def ensemble(self) -> Ensemble:
        """The members in their roles."""
        return self.settings.ensemble

    @property
    def models(self) -> Mapping[str, Model]:
        """The members' models by name."""
        return self.engine.models

    @property
    def roles(self) -> Mapping[str, str]:
        """Each member's role by its name."""
        return roles_of(self.ensemble)

    def told(self, text: str) -> str:
        """A line about the models as the client of the running request may read it: from elsewhere, without addresses and paths of ours."""
        context = current.get()
        if context is None or context.near:
            return text
        for model in self.models.values():
            for place in (
                f" at {model.where}",
                model.where,
                "" if model.weights_file is None else str(model.weights_file.parent),
            ):
                text = text.replace(place, "") if place else text
        return text

    @asynccontextmanager
    async def turn(
        self, question: Question, how: Settings | None = None, answer_now: asyncio.Event | None = None
    ) -> AsyncIterator[ClientJob[Turn]]:
        """Run a turn for a client, who may want the answer now; entering raises `QueueFull` or `Stopping` before anything is done.

        From here on the request's log lines and its reply's headers have the turn's id.
        """
        chosen = how or self.settings
        if (request := current.get()) is not None:
            request.turn = question.id

        async def bounded(told: OnEvent) -> Turn:
            return await self._within(
                chosen, chosen.timeout, lambda on_event: self.ask(question, on_event, chosen, answer_now=answer_now), told
            )

        async with self._begun(self.turns, lambda on_event: self.observer.turn(question, bounded, on_event), self.observer.left) as job:
            yield job

    @asynccontextmanager
    async def call(
        self, member: str, messages: Sequence[Message], *, options: Options, answer_format: AnswerFormat | None = None
    ) -> AsyncIterator[ClientJob[Completion]]:
        """Have one member answer alone; the client's options override its own. Entering raises `QueueFull` or `Stopping`."""
        model, limit_s = self.models[member], self.settings.candidate_timeout

        async def chat(on_event: OnEvent) -> Completion:
            return await model.chat(
                messages,
                options={"num_predict": ANSWER_TOKENS, **model.member.options, **options},
                on_event=on_event,
                limit_s=limit_s,
                answer_format=answer_format,
            )

        async def bounded(told: OnEvent) -> Completion:
            return await self._within(self.settings, limit_s, chat, told)

        observed, left = (lambda on_event: self.observer.call(member, bounded, on_event)), (lambda: self.observer.left(member))
        async with self._begun(self.calls, observed, left) as job:
            yield job

    async def _within(self, settings: Settings, limit_s: float, do: Callable[[OnEvent], Awaitable[_T]], on_event: OnEvent) -> _T:
        return await within(do, on_event, limit_s=limit_s, load_s=settings.load_timeout, grace_s=self.limits.grace_s)

    @asynccontextmanager
    async def _begun(self, jobs: Jobs, do: Callable[[OnEvent], Awaitable[_T]], left: Callable[[], None]) -> AsyncIterator[ClientJob[_T]]:
        """Begin a job; record it if it never gets through the queue, because it was refused or because its client left (`left`)."""
        async with AsyncExitStack() as stack:
            try:
                job = await stack.enter_async_context(jobs.begin(do))
            except (QueueFull, Stopping) as error:
                self.observer.refused(error)
                raise
            if (request := current.get()) is not None:
                request.wake = job.wake
                if request.half_closed:
                    job.wake()
            try:
                yield job
            finally:
                if (refused := job.turned_away()) is not None:
                    self.observer.refused(refused)
                elif not job.admitted:
                    left()

    def readiness(self) -> Readiness:
        """Whether a turn would be answered, and what is known of each member."""
        known = self.healths.known
        members = {
            name: MemberReadiness(role, known[name].ok, known[name].detail)
            if name in known
            else MemberReadiness(role, ok=False, detail="not checked yet")
            for name, role in self.roles.items()
        }
        return Readiness(self.healths.suffice and not self.stopping, self.stopping, members)

    def stop_taking(self) -> None:
        """Accept nothing new; what runs goes on."""
        self.stopping = True
        self.prompts.close()
        self.reading_ahead.close()
        self.turns.queue.close()
        self.calls.queue.close()

    def give_up(self, error: GorkError) -> None:
        """Stop what still runs; its clients get `error`."""
        self.observer.given_up = True
        self.turns.give_up(error)
        self.calls.give_up(error)

    @property
    def busy(self) -> bool:
        """Whether any work is done."""
        return bool(self.turns.queue.inside or self.calls.queue.inside)

    async def idle(self) -> None:
        """Wait until no work is left."""
        await self.turns.idle()
        await self.calls.idle()
        await self.prompts.empty(self.limits.last_words_s)
