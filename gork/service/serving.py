"""`serve`: the service from its start to its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from aiohttp import web

from gork import reasons
from gork.engines.selection import Selected
from gork.errors import EngineError
from gork.flow import Assemble
from gork.service.app import create_app
from gork.service.gate import Stopping
from gork.service.service import Service


async def run(selected: Selected, assemble: Assemble, say: Callable[[str], None]) -> int:
    """Open the engine and serve it; returns the exit code."""
    settings = selected.settings
    async with selected.open() as engine:
        explain = reasons.explainer(settings.ensemble, engine.models)
        return await serve(Service(assemble(settings, engine), engine, settings, explain=explain), say)


async def serve(service: Service, say: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises an `EngineError` when the port cannot be had."""
    settings, loop, stop = service.settings, asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(create_app(service), handle_signals=False, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise EngineError(f"{settings.host}:{settings.port} cannot be listened on: {error.strerror or error}") from None
        say(f"serving at {address(runner)}")
        await stop.wait()
        service.stop_taking()
        service.give_up(Stopping("the service is being stopped: ask again in a moment"))
    finally:
        await runner.cleanup()
    return 0


def address(runner: web.AppRunner) -> str:
    """Where the service is, as a URL."""
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
