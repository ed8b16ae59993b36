"""The prompts that run beside this service, in its container: they end with it, and share its memory.

Each holds a stream open for as long as it lasts. It is told on it when the service is being stopped, so that it can say so and how to
come back; and there are only so many, since one more than the memory holds would have the kernel end another.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from gork.errors import NotFound
from gork.service.live_turns import HEARTBEAT, frame
from gork.service.request_context import current
from gork.service.responses import Stream
from gork.service.service import Service
from gork.wire import Broken, Held

_LOOKS_S = 0.2
"""Between two looks whether a prompt that has been told has left."""


def routes(service: Service) -> list[web.RouteDef]:
    """`/api/prompt`."""

    async def prompt(request: web.Request) -> web.StreamResponse:
        """Hold a place for a prompt of this machine until it leaves or the service is stopped."""
        context = current.get()
        if context is not None and not context.near:
            raise NotFound("places are for the prompts of this machine")
        woken = asyncio.Event()
        with service.prompts.place(woken.set):
            stream = Stream(request, "text/event-stream")
            if context is not None:
                context.wake = woken.set  # also when the client may have left: what is sent then shows it

            async def send() -> None:
                await stream.write(frame(Held()))
                while not service.stopping:
                    await stream.write(HEARTBEAT)
                    await _within(service.limits.heartbeat_s, woken)
                await stream.write(frame(Broken("stopped", "the service is being stopped")))
                while True:  # until it has said so and left, or the service ends
                    await _within(_LOOKS_S, woken)
                    await stream.write(HEARTBEAT)

            return await stream.run(send, lambda error: frame(Broken("error", str(error))))

    return [web.get("/api/prompt", prompt)]


async def _within(seconds: float, woken: asyncio.Event) -> None:
    """Wait until woken, or for so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()
    woken.clear()
