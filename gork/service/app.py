"""The service's application: all routes, probes and metrics among them, and what every request goes through."""

from __future__ import annotations

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from gork.service import deliberate, openapi, page, prompts
from gork.service.dialects import ollama, openai
from gork.service.middleware import middlewares, on_prepare
from gork.service.responses import json_response
from gork.service.service import Service


def create_app(service: Service) -> web.Application:
    """The application for a service; it holds nothing of its own."""
    app = web.Application(middlewares=middlewares(service), client_max_size=service.settings.body_limit)
    app.on_response_prepare.append(on_prepare(service))
    for routes in (ollama.routes, openai.routes, deliberate.routes, prompts.routes, openapi.routes, probes, page.routes):
        app.add_routes(routes(service))

    async def close(_: web.Application) -> None:
        await service.live.close()
        await service.healths.close()

    app.on_cleanup.append(close)
    return app


def probes(service: Service) -> list[web.RouteDef]:
    """`/livez` (also `/healthz`), `/readyz` and `/metrics`."""
    exposition = make_aiohttp_handler(service.metrics.registry)

    async def livez(_: web.Request) -> web.StreamResponse:
        """200 as long as the process answers at all; no model is asked."""
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.StreamResponse:
        """200 when a turn would be answered, else 503; with what is known of each member."""
        if not service.stopping:
            await service.healths.refreshed()
        readiness = service.readiness()
        return json_response(readiness, status=200 if readiness.ready else 503)

    async def metrics(request: web.Request) -> web.StreamResponse:
        """All figures, in the format that the scraper asks for."""
        await service.healths.refreshed()
        return await exposition(request)

    return [web.get("/livez", livez), web.get("/healthz", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]
