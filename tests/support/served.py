"""The service in a test's own process on a real port: real HTTP, with a flow and an engine of the test's choice.

async with serving(settings, engine) as served:
async with served.client.get(f"{served.url}/healthz") as reply: ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

import final_script
from gork.config.settings import Settings, load_settings
from gork.engines.choose import ollama_engine
from gork.engines.model import Engine
from gork.flow import Ask, Explain
from gork.judging.explain import explainer
from gork.service.app import create_app
from gork.service.serve import listening
from gork.service.service import Service, ServiceLimits
from tests.support.fake_ollama import FakeOllama

Routes = Callable[[Service], Sequence[web.RouteDef]]


@dataclass
class Served:
    """A running service, where it is, and a client of it."""

    service: Service
    url: str
    client: aiohttp.ClientSession


@asynccontextmanager
async def serving(
    settings: Settings,
    engine: Engine,
    *,
    ask: Ask | None = None,
    explain: Explain | None = None,
    limits: ServiceLimits | None = None,
    routes: Routes = lambda _: (),
) -> AsyncIterator[Served]:
    """Serve at the settings' port; the flow is the program's own if none is given, `routes` come on top of the service's own."""
    explain = explain or explainer(settings.ensemble, engine.models)
    service = Service(ask or final_script.assemble(settings, engine), engine, settings, explain=explain, limits=limits)
    app = create_app(service)
    app.add_routes(routes(service))
    async with listening(service, app) as url, aiohttp.ClientSession() as client:
        yield Served(service, url, client)


@asynccontextmanager
async def serving_fake(
    fake: FakeOllama, *, limits: ServiceLimits | None = None, explain: Explain | None = None, **flags: object
) -> AsyncIterator[Served]:
    """Serve the full ensemble on a fake Ollama."""
    settings = load_settings({"port": "0", **flags}, {"OLLAMA_HOST": fake.url})
    async with ollama_engine(settings) as engine, serving(settings, engine, limits=limits, explain=explain) as served:
        yield served


@dataclass
class Stream:
    """What came of one request for events."""

    status: int
    headers: Any
    raw: bytes

    @property
    def events(self) -> list[tuple[str, bytes]]:
        """The events by their kinds, comments left out; each has one line of data, as all of ours."""
        found = []
        for block in self.raw.split(b"\n\n"):
            lines = [line for line in block.split(b"\n") if not line.startswith(b":")]
            if lines and lines != [b""]:
                (kind, data) = lines
                found.append((kind.removeprefix(b"event: ").decode(), data.removeprefix(b"data: ")))
        return found


async def post(url: str, body: object = None, *, data: bytes | None = None) -> Stream:
    """Ask and read to the end."""
    async with aiohttp.ClientSession() as client, client.post(url, json=body if data is None else None, data=data) as reply:
        return Stream(reply.status, reply.headers, await reply.read())
