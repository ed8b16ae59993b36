"""`serve`: the service from its start to its graceful end."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web

from gork import __version__
from gork.config.settings import Settings
from gork.engines.choose import Selected
from gork.errors import EngineError, Stopping
from gork.flow import Assemble
from gork.judging.explain import explainer
from gork.service.app import create_app
from gork.service.connections import Connection, Connections, most_connections
from gork.service.logs import note
from gork.service.priming import primed
from gork.service.service import Service

_BACKLOG = 128
_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, None})
"""A machine without an address of this family; asyncio names no number where none could be bound at all."""


async def run(selected: Selected, assemble: Assemble, say: Callable[[str], None]) -> int:
    """Open the engine and serve it; returns the exit code."""
    settings = selected.settings
    async with selected.open() as engine:
        explain = explainer(settings.ensemble, engine.models)
        return await serve(Service(assemble(settings, engine), engine, settings, explain=explain), say)


async def serve(service: Service, say: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT, then finish what runs; returns the exit code. Raises an `EngineError` when the port is not free.

    The port stays open meanwhile: probes and clients learn that the service is being stopped. A second signal ends it at once.
    """
    settings = service.settings
    with _signals() as signals:
        await service.healths.refreshed()  # a probe that comes first would be told that nobody has been asked yet
        async with listening(service) as url, primed(service):
            say(f"serving at {url}")
            note(
                "service started",
                version=__version__,
                engine=service.engine.name,
                ensemble=settings.ensemble.name,
                url=url,
                turns=settings.turns,
                queue=settings.queue,
            )
            first = await signals.get()
            note(
                "service stops",
                signal=first.name,
                turns=service.turns.queue.inside,
                waiting=service.turns.queue.waiting,
                seconds=settings.drain_timeout,
            )
            second = await _drained(service, signals)
        note("service stopped", signal=second and second.name)
    return 0 if second is None else 128 + second


async def _drained(service: Service, signals: asyncio.Queue[signal.Signals]) -> signal.Signals | None:
    """Let what runs end within its time, then stop the rest; returns the second signal if one came."""
    service.stop_taking()
    last_words_s = service.limits.last_words_s
    idle, second = asyncio.create_task(service.idle()), asyncio.create_task(signals.get())
    try:
        await asyncio.wait({idle, second}, timeout=service.settings.drain_timeout, return_when=asyncio.FIRST_COMPLETED)
        if not idle.done():
            service.give_up(Stopping("the service was stopped or restarted before this was finished: ask again in a moment"))
            await asyncio.wait({idle, second}, timeout=last_words_s, return_when=asyncio.FIRST_COMPLETED)
            if second.done() and not idle.done():
                await asyncio.wait({idle}, timeout=last_words_s / 10)
        return second.result() if second.done() else None
    finally:
        idle.cancel()
        second.cancel()


@asynccontextmanager
async def listening(service: Service, app: web.Application | None = None) -> AsyncIterator[str]:
    """Answer requests at the settings' host and port while the block lasts; gives the URL. Raises an `EngineError`."""
    settings, limits, loop = service.settings, service.limits, asyncio.get_running_loop()
    connections = Connections(
        service.metrics,
        most=most_connections(settings.turns, settings.queue) if limits.connections is None else limits.connections,
        head_s=settings.request_timeout,
        stall_s=settings.request_timeout,
        idle_s=limits.idle_s,
    )
    runner = web.AppRunner(app or create_app(service), handle_signals=False, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        http = runner.server
        if http is None:
            raise RuntimeError("the runner has no server")
        servers = await _bound(settings, lambda: Connection(connections, http, loop))
        try:
            host, port = servers[0].sockets[0].getsockname()[:2]
            yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        finally:
            for server in servers:
                server.close()
    finally:
        await runner.cleanup()


async def _bound(settings: Settings, protocol: Callable[[], asyncio.BaseProtocol]) -> list[asyncio.Server]:
    """Listen at every address, all at one port. Raises an `EngineError`.

    A machine may lack IPv6 or IPv4: of several addresses, one that it does not have is left out and said.
    """
    servers, port = list[asyncio.Server](), settings.port
    try:
        for host in settings.host:
            try:
                server = await asyncio.get_running_loop().create_server(protocol, host, port, backlog=_BACKLOG)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise EngineError(f"port {port} of {host} is in use", fix="choose another with --port") from None
                if (host == settings.host[-1] and not servers) or error.errno not in _NOT_HERE:
                    raise EngineError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None
                note("address left out", level=logging.WARNING, address=host, why=error.strerror or str(error))
            else:
                servers.append(server)
                port = server.sockets[0].getsockname()[1]
    except BaseException:
        for server in servers:
            server.close()
        raise
    return servers


@contextmanager
def _signals() -> Iterator[asyncio.Queue[signal.Signals]]:
    """SIGTERM and SIGINT as they come; where handlers are not supported (Windows), Ctrl-C raises `KeyboardInterrupt` as usual."""
    loop, come, handled = asyncio.get_running_loop(), asyncio.Queue[signal.Signals](), []
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, come.put_nowait, number)
        except (NotImplementedError, RuntimeError):  # RuntimeError: not in the main thread
            continue
        handled.append(number)
    try:
        yield come
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
