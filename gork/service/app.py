"""The service's application: all routes, and what every request goes through."""

from __future__ import annotations

from aiohttp import web

from gork.service import deliberate, openapi, page, probes
from gork.service.dialects import ollama, openai
from gork.service.middleware import middlewares, on_prepare
from gork.service.service import Service


def create_app(service: Service) -> web.Application:
    """The application for a service; it holds nothing of its own."""
    app = web.Application(middlewares=middlewares(service), client_max_size=service.settings.body_limit)
    app.on_response_prepare.append(on_prepare(service))
    for routes in (ollama.routes, openai.routes, deliberate.routes, openapi.routes, probes.routes, page.routes):
        app.add_routes(routes(service))

    async def close(_: web.Application) -> None:
        await service.healths.close()

    app.on_cleanup.append(close)
    return app
