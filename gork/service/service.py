"""What all routes of the service share: the flow, the models, and the gates before them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from gork.engines.model import Completion, Engine, Model, Options
from gork.ensemble import Ensemble
from gork.errors import GorkError
from gork.flow import Ask, Explain
from gork.roster import roles_of
from gork.service.gate import Full, Gate, Stopping
from gork.service.watch import Watch
from gork.service.work import BEAT_S, Running, Work
from gork.settings import Settings
from gork.turn import AnswerFormat, Message, OnEvent, Question, Turn

NAME = "gork-heavy-lite"
"""The ensemble, as a model's name; members have their own."""


class Service:
    """The ensemble and its members, for many clients at once."""

    def __init__(self, ask: Ask, engine: Engine, settings: Settings, *, explain: Explain | None = None, beat_s: float = BEAT_S) -> None:
        self.ask, self.engine, self.settings, self.explain = ask, engine, settings, explain
        self.turns = Work(Gate(settings.turns, settings.queue), beat_s=beat_s)
        self.calls = Work(Gate(settings.turns, settings.queue), beat_s=beat_s)
        """Work of one member alone: a title for a chat does not stand in line behind whole turns."""
        self.watch = Watch(self.turns.gate, settings)
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
        """Run a turn for a client; entering raises `Full` or `Stopping` before anything is done."""

        async def do(on_event: OnEvent) -> Turn:
            return await self.watch.turn(question, lambda told: self.ask(question, told, how or self.settings), on_event)

        async with AsyncExitStack() as stack:
            try:
                running = await stack.enter_async_context(self.turns.begin(do))
            except (Full, Stopping) as refused:
                self.watch.refused(question, refused)
                raise
            yield running

    def call(
        self, member: str, messages: Sequence[Message], *, options: Options, answer_format: AnswerFormat | None = None
    ) -> AbstractAsyncContextManager[Running[Completion]]:
        """Have one member answer alone, with its own options below the client's; entering raises `Full` or `Stopping`."""
        model = self.models[member]

        async def do(on_event: OnEvent) -> Completion:
            return await model.chat(
                messages,
                options={"num_predict": 512, **model.member.options, **options},
                on_event=on_event,
                limit_s=self.settings.candidate,
                answer_format=answer_format,
            )

        return self.calls.begin(do)

    def stop_taking(self) -> None:
        """Take nothing new; what runs goes on."""
        self.stopping = True
        self.turns.gate.close()
        self.calls.gate.close()

    def give_up(self, error: GorkError) -> None:
        """Stop what still runs; its clients get `error`."""
        self.turns.give_up(error)
        self.calls.give_up(error)
