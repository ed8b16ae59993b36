"""Whether the service lives, whether it can answer, and its figures."""

from __future__ import annotations

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from gork.service.errors import json_response
from gork.service.service import Service


def routes(service: Service) -> list[web.RouteDef]:
    """`/livez` (also `/healthz`), `/readyz` and `/metrics`."""
    exposition = make_aiohttp_handler(service.metrics.registry)

    async def livez(_: web.Request) -> web.StreamResponse:
        """Answers as long as anything does here; no model is asked."""
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.StreamResponse:
        """200 when a turn would be answered, else 503; each member with what is known of it."""
        if not service.stopping:
            await service.healths.refreshed()
        ready = service.healths.suffice and not service.stopping
        known = service.healths.known
        members = {
            name: {
                "role": role,
                "ok": name in known and known[name].ok,
                "detail": known[name].detail if name in known else "not checked yet",
            }
            for name, role in service.roles.items()
        }
        return json_response({"ready": ready, "stopping": service.stopping, "members": members}, status=200 if ready else 503)

    async def metrics(request: web.Request) -> web.StreamResponse:
        """All figures, in the format that the scraper asks for."""
        await service.healths.refreshed()
        return await exposition(request)

    return [web.get("/livez", livez), web.get("/healthz", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]
