"""OpenAI's HTTP dialect."""

from __future__ import annotations

from aiohttp import web

from gork.service.service import Service


def routes(service: Service) -> list[web.RouteDef]:
    """What it answers."""
    return []
