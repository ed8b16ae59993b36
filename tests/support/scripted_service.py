"""The real service on a real port, with models whose replies a test writes.

async with scripted_service() as server:
    async with server.post("/api/chat", {...}) as response: ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

import aiohttp

from gork.config.ensemble import Choosing, Ensemble, Member
from gork.config.settings import load_settings
from gork.engines.call import Completion, PartialCompletion
from gork.engines.model import Engine
from gork.service.service import ServiceLimits
from tests.support.scripted_model import Reply, ScriptedModel
from tests.support.served import Served, serving

REWRITE = "What is the capital of France?"
ANSWERS = {"qwen-small": "It is Lyon.", "qwen": "It is **Paris**.\n", "llama": "It might be Nice."}
"""The candidates' answers; the one with Paris in it is the best."""


class ScriptedEngine(Engine):
    """An engine with these models."""

    name: ClassVar[str] = "scripted"

    def __init__(self, models: Sequence[ScriptedModel]) -> None:
        super().__init__()
        self.models = {model.name: model for model in models}


class ScriptedServer(Served):
    """A running service on scripted models."""

    @property
    def models(self) -> dict[str, ScriptedModel]:
        """The scripted models by their members' names."""
        return self.service.engine.models

    def post(self, path: str, body: object, **headers: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Send JSON."""
        return self.client.post(self.url + path, json=body, headers=headers)

    async def ask(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        """Send JSON, and the status and JSON of the reply."""
        async with self.post(path, body, **headers) as response:
            return response.status, await response.json(content_type=None)


@asynccontextmanager
async def scripted_service(
    *, answers: dict[str, Reply] | None = None, limits: ServiceLimits | None = None, choosing: Choosing | None = None, **settings: object
) -> AsyncIterator[ScriptedServer]:
    """Serve an ensemble of five scripted members; `settings` are as flags."""
    members = [Member(name=name, system=f"You are {name}.") for name in (answers or ANSWERS)]
    best_first = Choosing(prior=tuple(sorted(answers or ANSWERS, key=lambda name: "Paris" not in str((answers or ANSWERS)[name]))))
    promptimizer, judge = Member(name="promptimizer", options={"temperature": 0}), Member(name="judge", system="Judge.")
    ensemble = Ensemble(name="scripted", promptimizer=promptimizer, candidates=tuple(members), judge=judge, choosing=choosing or best_first)
    models = [ScriptedModel("promptimizer", replies=[REWRITE], options={"temperature": 0})]
    models += [
        ScriptedModel(member.name, replies=[reply], system=member.system)
        for member, reply in zip(members, (answers or ANSWERS).values(), strict=True)
    ]
    models.append(ScriptedModel("judge", replies=["It is right."], system="Judge."))
    made = load_settings({"port": "0", **settings}, {}).with_ensemble(ensemble)
    async with serving(made, ScriptedEngine(models), limits=limits) as served:
        yield ScriptedServer(served.service, served.url, served.client)


def gated(
    gate: asyncio.Event,
    text: str,
    *,
    before: str = "",
    reached: Callable[[], object] = lambda: None,
    then: Callable[[], object] = lambda: None,
) -> Reply:
    """A reply that writes `before`, waits for the gate, then writes `text`; it calls what is given when it waits, and at its end."""

    async def reply(draft: PartialCompletion) -> Completion:
        if before:
            draft.add(before)
        reached()
        await gate.wait()
        draft.add(text)
        then()
        return draft.completion("stop")

    return reply
