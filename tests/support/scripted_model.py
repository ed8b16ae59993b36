"""A `Model` whose replies a test writes: for the flow and for judging, where no transport is of interest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gork.config.ensemble import Member
from gork.engines.call import Completion, Deadlines, PartialCompletion
from gork.engines.model import Choice, Health, Model, Options
from gork.errors import ModelError
from gork.turn import AnswerFormat, Message

Reply = str | ModelError | Callable[[PartialCompletion], Awaitable[Completion]]
Letters = Callable[[list[Message], str], dict[str, float]]


class ScriptedModel(Model):
    """Answers `chat` with the given replies in turn (the last one for ever) and `choose` with what `letters` says of the prompt."""

    def __init__(
        self,
        name: str = "m",
        *,
        replies: Sequence[Reply] = ("an answer",),
        letters: Letters | None = None,
        weights: Path | None = None,
        **member: object,
    ) -> None:
        super().__init__(Member(name=name, **member), Deadlines())
        self.replies, self.letters, self._weights = list(replies), letters, weights
        self.asked: list[list[Message]] = []
        self.options: list[Options] = []
        self.formats: list[AnswerFormat | None] = []
        self.chosen_from: list[list[Message]] = []
        self.is_loaded = True
        self.reports_loaded = False
        self.loads = 0
        self.confidence: float | None = None
        self.context_size = 4096

    @property
    def model(self) -> str:
        return f"{self.name}:test"

    @property
    def where(self) -> str:
        return "a test"

    @property
    def context(self) -> int:
        return self.context_size

    @property
    def weights_file(self) -> Path | None:
        return self._weights

    async def _check(self) -> Health:
        return Health(state="scripted", loaded=self.reports_loaded)

    async def _is_loaded(self) -> bool:
        return self.is_loaded

    async def _load(self) -> None:
        self.loads += 1
        self.is_loaded = True

    async def _stream(
        self,
        messages: Sequence[Message],
        options: Options,
        partial: PartialCompletion,
        *,
        answer_format: AnswerFormat | None,
        logprobs: bool,
    ) -> Completion:
        self.asked.append(list(messages))
        self.formats.append(answer_format)
        self.options.append(options)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, ModelError):
            raise reply
        if not isinstance(reply, str):
            return await reply(partial)
        for word in reply.split(" "):
            partial.add(word if not partial.tokens else f" {word}", logprob=self.confidence if logprobs else None)
        return partial.completion("stop")

    async def _choose(self, messages: Sequence[Message], labels: Sequence[str], lead_in: str) -> Choice:
        self.chosen_from.append(list(messages))
        assert self.letters is not None
        raw = self.letters(list(messages), "".join(labels))
        mass = sum(raw.values())
        return Choice(
            probabilities={label: raw.get(label, 0.0) / mass for label in labels},
            mass=mass,
            method="logprobs",
            prompt_tokens=10,
            seconds=0.01,
        )

    async def _prefill(self, messages: Sequence[Message]) -> None:
        self.asked.append(list(messages))
