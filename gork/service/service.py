"""What all routes of the service share: the flow, the models, and the gates before them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from gork.config.ensemble import Ensemble
from gork.config.settings import Settings
from gork.engines.call import Completion
from gork.engines.model import Engine, Model, Options
from gork.errors import GorkError
from gork.flow import Ask, Explain
from gork.health import roles_of
from gork.service.admission import Full, Gate, Stopping
from gork.service.deadline import within
from gork.service.health import Healths
from gork.service.jobs import BEAT_S, Running, Work
from gork.service.metrics import Metrics
from gork.service.observe import Watch
from gork.service.request_context import current
from gork.turn import AnswerFormat, Message, OnEvent, Question, Turn

NAME = "gork-heavy-lite"
"""The ensemble, as a model's name; members have their own."""

_T = TypeVar("_T")


class Service:
    """The ensemble and its members, for many clients at once."""

    def __init__(self, ask: Ask, engine: Engine, settings: Settings, *, explain: Explain | None = None, beat_s: float = BEAT_S) -> None:
        self.ask, self.engine, self.settings, self.explain = ask, engine, settings, explain
        self.turns = Work(Gate(settings.turns, settings.queue), beat_s=beat_s)
        self.calls = Work(Gate(settings.turns, settings.queue), beat_s=beat_s)
        """Work of one member alone: a title for a chat does not stand in line behind whole turns."""
        self.metrics = Metrics(
            self.roles, turns=self.turns.gate, calls=self.calls.gate, engine=engine.name, ensemble=settings.ensemble.name
        )
        self.watch = Watch(self.metrics, settings)
        self.healths = Healths(settings.ensemble, engine.models, self.metrics)
        self.stopping = False

    @property
    def ensemble(self) -> Ensemble:
        """Who takes which role."""
        return self.settings.ensemble

    @property
    def models(self) -> Mapping[str, Model]:
        """The members' models by name."""
        return self.engine.models

    @property
    def roles(self) -> Mapping[str, str]:
        """Each member's role by its name."""
        return roles_of(self.ensemble)

    @asynccontextmanager
    async def turn(self, question: Question, how: Settings | None = None) -> AsyncIterator[Running[Turn]]:
        """Run a turn for a client; entering raises `Full` or `Stopping` before anything is done.

        From here on the request's log lines and its reply's headers have the turn's id.
        """
        chosen = how or self.settings
        if (visit := current.get()) is not None:
            visit.turn = question.id

        async def bounded(told: OnEvent) -> Turn:
            return await within(chosen, chosen.timeout, lambda on_event: self.ask(question, on_event, chosen), told)

        async with self._begun(self.turns, lambda on_event: self.watch.turn(question, bounded, on_event), self.watch.left) as running:
            yield running

    @asynccontextmanager
    async def call(
        self, member: str, messages: Sequence[Message], *, options: Options, answer_format: AnswerFormat | None = None
    ) -> AsyncIterator[Running[Completion]]:
        """Have one member answer alone, with its own options below the client's; entering raises `Full` or `Stopping`."""
        model, limit_s = self.models[member], self.settings.candidate_timeout

        async def chat(on_event: OnEvent) -> Completion:
            return await model.chat(
                messages,
                options={"num_predict": 512, **model.member.options, **options},
                on_event=on_event,
                limit_s=limit_s,
                answer_format=answer_format,
            )

        async def bounded(told: OnEvent) -> Completion:
            return await within(self.settings, limit_s, chat, told)

        watched, left = (lambda on_event: self.watch.call(member, bounded, on_event)), (lambda: self.watch.left(member))
        async with self._begun(self.calls, watched, left) as running:
            yield running

    @asynccontextmanager
    async def _begun(self, work: Work, do: Callable[[OnEvent], Awaitable[_T]], left: Callable[[], None]) -> AsyncIterator[Running[_T]]:
        """Begin work; take note of it if it never comes through the gate, by its own will (`left`) or not."""
        async with AsyncExitStack() as stack:
            try:
                running = await stack.enter_async_context(work.begin(do))
            except (Full, Stopping) as error:
                self.watch.refused(error)
                raise
            try:
                yield running
            finally:
                if (refused := running.turned_away()) is not None:
                    self.watch.refused(refused)
                elif not running.inside:
                    left()

    def stop_taking(self) -> None:
        """Take nothing new; what runs goes on."""
        self.stopping = True
        self.turns.gate.close()
        self.calls.gate.close()

    def give_up(self, error: GorkError) -> None:
        """Stop what still runs; its clients get `error`."""
        self.watch.given_up = True
        self.turns.give_up(error)
        self.calls.give_up(error)

    async def idle(self) -> None:
        """Wait until no work is left."""
        await self.turns.idle()
        await self.calls.idle()
