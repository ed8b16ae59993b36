"""The product's own API: the events of a turn as they happen, for the page and for `--server`."""

from __future__ import annotations

from aiohttp import web

from gork.service.service import Service


def routes(service: Service) -> list[web.RouteDef]:
    """What it answers."""
    return []
