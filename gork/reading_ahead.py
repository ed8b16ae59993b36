"""What models read before they are asked: what their next prompt begins with, whatever the question will be.

Between two turns all of them do, since nobody waits for a processor then. In a turn, while the promptimizer writes, those candidates do
that share no processor with it. Reading costs the same whenever it is done: on shared cores it would delay the rewrite.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gork.computing.asking import word_messages
from gork.config.ensemble import Ensemble
from gork.engines.model import Model
from gork.errors import ModelError
from gork.flow import ReadAhead
from gork.judging.prompts import own_messages
from gork.rewriting.prompt import fixed_prefix
from gork.turn import Message, Question


def beginnings(question: Question, ensemble: Ensemble) -> dict[str, list[Message]]:
    """By member what its prompt begins with; of `question` only what stands before it counts: history and instructions."""
    found = {member.name: word_messages(member, question, ensemble)[:-1] for member in ensemble.candidates}
    if ensemble.promptimizer is not None:
        found[ensemble.promptimizer.name] = fixed_prefix(ensemble.promptimizer)
    if ensemble.judge is not None:
        found[ensemble.judge.name] = own_messages("", 0, ensemble.judge.examples)[:-1]
    return found


async def read_ahead(model: Model, messages: Sequence[Message]) -> None:
    """Have a model loaded and these messages read, where that is at nobody's cost and it has nothing else to do.

    What fails is told by the question that meets it.
    """
    with suppress(ModelError):
        if not model.busy and await model.reads_ahead():
            await (model.prefill(messages, on_event=lambda _: None) if messages else model.load())


async def get_ready(candidates: Sequence[tuple[Model, Sequence[Message]]], *, writer: Model | None) -> None:
    """While the promptimizer writes: have all candidates loaded at once, and those read that share no processor with it.

    What stands before the question comes with each of them.
    """

    async def load(model: Model) -> None:
        with suppress(ModelError):
            await model.load()

    if writer is not None:
        await asyncio.gather(
            *(load(model) if model.machine == writer.machine else read_ahead(model, messages) for model, messages in candidates)
        )


def reader_ahead(models: Mapping[str, Model]) -> ReadAhead:
    """A function that has these models read what the next question begins with, all at once."""

    async def read(question: Question, ensemble: Ensemble) -> None:
        await asyncio.gather(*(read_ahead(models[name], messages) for name, messages in beginnings(question, ensemble).items()))

    return read
