"""The page for browsers."""

from __future__ import annotations

from aiohttp import web

from gork.service.service import Service


def routes(service: Service) -> list[web.RouteDef]:
    """What it answers."""
    return []


async def index(request: web.Request) -> web.Response:
    """The page, for whoever asks `/` for HTML."""
    del request
    return web.Response(text="Ollama is running")
