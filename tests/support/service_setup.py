"""What the tests of the service have in common: the real service on a real port, its ensemble at a scripted Ollama, and a route for tests.

    async with FakeOllama(*MODELS) as ollama, serving(ollama) as at:
        async with at.ask("What is up?") as reply: ...       # a streaming turn: one line of JSON for each event

The route is a dialect of the plainest kind: what it shows holds for all of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from msgspec.structs import replace

from gork.config.ensemble import Choosing, Ensemble, Member
from gork.config.settings import Settings, load_settings
from gork.engines.choose import deadlines_of
from gork.engines.model import Options
from gork.engines.ollama.engine import OllamaEngine
from gork.errors import GorkError
from gork.service.bodies import read_body
from gork.service.jobs import Heartbeat
from gork.service.service import Service, ServiceLimits
from gork.turn import Question
from gork.wire import encode
from tests.support import served
from tests.support.fake_ollama import FakeOllama
from tests.support.served import Served

MODELS = ("rewriter", "a", "b", "c", "judge")


def ensemble_at(url: str, *, parallel: int = 8) -> Ensemble:
    """A promptimizer, three candidates and a judge at one server."""
    members = {name: Member(name=name, url=url, model=name, parallel=parallel) for name in MODELS}
    return Ensemble(
        name="test",
        promptimizer=members["rewriter"],
        candidates=tuple(members[name] for name in ("a", "b", "c")),
        judge=members["judge"],
        choosing=Choosing(judge="always"),
    )


def settings_for(ensemble: Ensemble, **changes: Any) -> Settings:
    """Defaults, but for a free port and what a test changes."""
    return replace(load_settings({}, {}), ensemble=ensemble, **{"port": 0, "optimize": False, **changes})


def engine_for(settings: Settings, load_options: Options | None = None) -> OllamaEngine:
    """The ensemble's engine."""
    members, deadlines = settings.ensemble.members, deadlines_of(settings)
    return OllamaEngine(members, host=settings.ollama_host, deadlines=deadlines, load_options=load_options or {}, context=4096)


class At(Served):
    """A running service with the test route."""

    def ask(self, text: str = "What is up?", **more: Any) -> Any:
        """Ask for a turn as a stream of lines."""
        return self.client.post(f"{self.url}/api/test", json={"question": text}, **more)

    async def metrics(self) -> dict[str, float]:
        """All samples by their names and labels, as `/metrics` has them."""
        return samples(await self.text("/metrics"))

    async def text(self, path: str) -> str:
        """The body of a reply."""
        async with self.client.get(f"{self.url}{path}") as reply:
            return await reply.text()


def samples(exposition: str) -> dict[str, float]:
    """Samples by `name{label=value}`, as Prometheus' own parser reads them."""
    from prometheus_client.parser import text_string_to_metric_families

    found = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@asynccontextmanager
async def serving(ollama: FakeOllama, *, limits: ServiceLimits | None = None, parallel: int = 8, **changes: Any) -> AsyncIterator[At]:
    """The service with its test route, on a free port."""
    settings = settings_for(ensemble_at(ollama.url, parallel=parallel), **changes)
    async with engine_for(settings) as engine, served.serving(settings, engine, limits=limits, routes=test_routes) as at:
        yield At(at.service, at.url, at.client)


@dataclass
class TestBody:
    """What the test route reads."""

    __test__ = False
    question: str
    stream: bool = True


def test_routes(service: Service) -> list[web.RouteDef]:
    """`POST /api/test` and `/v1/test`: a turn, its events as lines; `/api/bug` and `/api/bug_in_stream`: handlers with a mistake."""

    async def ask(request: web.Request) -> web.StreamResponse:
        asked = await read_body(request, TestBody)
        async with service.turn(Question(text=asked.question)) as running:
            if not asked.stream:
                turn = await running.result()
                return web.json_response(turn.as_json())
            reply = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
            await reply.prepare(request)
            try:
                async for event in running:
                    kind, data = ("beat", b"{}") if isinstance(event, Heartbeat) else encode(event)
                    await reply.write(b'{"kind":"%s","data":%s}\n' % (kind.encode(), data))
                await running.result()
            except GorkError as error:
                await reply.write(json.dumps({"kind": "error", "data": str(error)}).encode() + b"\n")
            return reply

    async def call(request: web.Request) -> web.StreamResponse:
        member = request.query["member"]
        async with service.call(member, [{"role": "user", "content": "Hi"}], options={}) as running:
            return web.json_response({"text": (await running.result()).text})

    async def bug(_: web.Request) -> web.StreamResponse:
        raise ZeroDivisionError("a secret of the program's own")

    async def bug_in_stream(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        await reply.write(b"so far")
        raise ZeroDivisionError("a secret of the program's own")

    async def gone(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        assert request.transport is not None
        request.transport.close()
        await reply.write(b"too late")
        return reply

    paths = {
        "/api/test": ask,
        "/v1/test": ask,
        "/api/call": call,
        "/api/bug": bug,
        "/api/gone": gone,
        "/v1/bug": bug,
        "/api/bug_in_stream": bug_in_stream,
    }
    return [web.post(path, handler) for path, handler in paths.items()]


test_routes.__test__ = False


async def lines(reply: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """The events of a stream as they come."""
    async for line in reply.content:
        event = json.loads(line)
        yield event["kind"], event["data"]


async def kinds(reply: aiohttp.ClientResponse) -> list[str]:
    """The kinds of all events of a stream."""
    return [kind async for kind, _ in lines(reply)]
