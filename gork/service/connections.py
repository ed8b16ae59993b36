"""Clients' connections: bounded in number, in how long a request's head may take, and in how long a client may stop reading.

aiohttp answers requests; the limits that it leaves to a proxy are here. A connection that waits for a request can be closed in favour of
a new one at any time, so a flood of idle ones (or of heads that never end) shuts out neither probes nor clients.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from gork.service.logs import note
from gork.service.metrics import Metrics
from gork.service.request_context import RequestContext
from gork.service.responses import RETRY_AFTER_S

if sys.platform != "win32":
    import resource

LINGER_S: Final = 2.0
"""Seconds for which the rest of a request that was answered early is still read, so that its client sees the answer."""
LOOKS_S: Final = (0.15, 0.4)
"""Seconds after a client said that it sends no more, at which it is looked again whether it is still there."""
UNANSWERED_S: Final = 0.6
"""Seconds after that for something to be sent."""
SILENT_S: Final = 30.0
"""Seconds after which a peer that acknowledges nothing counts as gone (where the system can tell)."""
_MOST: Final = 256
_LINGERING: Final = 64
_LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CROWDED = f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {RETRY_AFTER_S}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def most_connections(turns: int, queue: int) -> int:
    """The limit of connections: one for each turn and for each call of one member, and room for short requests.

    At most half of the files that the process may open: the models need theirs.
    """
    wanted = 2 * (turns + queue) + _MOST
    if sys.platform == "win32":
        return wanted
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if files == resource.RLIM_INFINITY else max(min(wanted, files // 2), 16)


class Connections:
    """All open connections, within their limits: `most` of them, and seconds for a head, a stalled client, the next request."""

    def __init__(self, metrics: Metrics, *, most: int, head_s: float, stall_s: float, idle_s: float) -> None:
        self.metrics, self.most = metrics, most
        self.head_s, self.stall_s, self.idle_s = head_s, stall_s, idle_s
        self._all: set[Connection] = set()
        self._idle: dict[Connection, None] = {}
        """Those that wait for a request, the longest-waiting first."""
        self._lingering: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._all)

    def opened(self, connection: Connection) -> bool:
        """Add a new connection; at the limit the one that has waited longest is closed for it. False when there is no room."""
        if len(self._all) >= self.most:
            if not self._idle:
                return False
            self.closed(oldest := next(iter(self._idle)))
            oldest.abort()
        self._all.add(connection)
        self._idle[connection] = None
        return True

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._all.discard(connection)
        self._idle.pop(connection, None)
        self._lingering.discard(connection)

    def may_linger(self, connection: Connection) -> bool:
        """Whether a connection that ends may stay open for a moment; it no longer counts, so only some may."""
        self.closed(connection)
        if len(self._lingering) >= _LINGERING:
            return False
        self._lingering.add(connection)
        return True

    def busy(self, connection: Connection) -> None:
        """A request is being answered on it."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """It waits for the next request."""
        if connection in self._all:
            self._idle[connection] = None

    def refused(self, reason: str, connection: Connection, why: str = "") -> None:
        """Count and log a connection that ends without a request."""
        self.metrics.refused.labels(reason).inc()
        peer = connection.peername
        note("refused", why=why or reason, client=peer[0] if isinstance(peer, tuple) else None, level=logging.INFO)


class Connection(web.RequestHandler):
    """One connection: aiohttp's, with deadlines."""

    __slots__ = ("_body", "_connections", "_context", "_half_closed", "_head_timer", "_is_idle", "_looks", "_stall_timer")

    def __init__(self, connections: Connections, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=connections.idle_s,
            lingering_time=LINGER_S,
            access_log=None,  # type: ignore[arg-type] # what turns it off
        )
        self._connections = connections
        self._is_idle = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._context: RequestContext | None = None
        self._body: StreamReader | None = None
        """Of the request that came last and has not been answered."""
        self._half_closed = False
        self._looks: list[asyncio.TimerHandle] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a connection beyond the limit gets a 503 and is closed."""
        super().connection_made(transport)
        _notice_silence(transport.get_extra_info("socket"))
        if not self._connections.opened(self):
            self._connections.refused("connections", self, f"there are {self._connections.most} connections, and all are at work")
            self._say(_CROWDED)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End, for whatever reason."""
        self._connections.closed(self)
        self._cancel_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; the first ones of a request start the deadline of its head."""
        if self._is_idle and data and self._head_timer is None:
            self._head_timer = self._loop.call_later(self._connections.head_s, self._late)
        super().data_received(data)
        if self._messages:
            self._body = self._messages[-1][1]

    def eof_received(self) -> bool:  # type: ignore[override] # aiohttp closes
        """The client sends no more: between requests that is its end; a client that waits for a reply may have left, or still read it.

        What is sent to one that has left comes back as a reset, which ends the next attempt to send: so something is sent soon, twice.
        Where nothing can be sent before all is done, the client counts as gone.
        """
        if self._body is None or not self._body.is_eof():
            return False
        self._half_closed = True
        self._look()
        self._looks = [self._loop.call_later(seconds, self._look) for seconds in LOOKS_S]
        self._looks.append(self._loop.call_later(UNANSWERED_S, self._give_up))
        return True

    def _give_up(self) -> None:
        if self._context is not None and self._context.reply is None:
            self.abort()

    def _look(self) -> None:
        if self._context is not None:
            self._context.shut()

    def begun(self, context: RequestContext) -> None:
        """A request's head is complete, and it is being answered."""
        self._context = context
        if self._half_closed:
            context.shut()
        self._is_idle = False
        self._connections.busy(self)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    async def finish_response(self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None) -> tuple[Any, bool]:
        """Send what is left of a reply; after it the connection waits for the next request."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            # What still comes of this request's body is not the head of another one.
            self._is_idle = bool(resp.keep_alive) and request.content.is_eof()
            self._context = None
            self._body = self._messages[-1][1] if self._messages else None
            self._connections.idle(self)
            if self._half_closed and not self._messages:
                self.close()  # no other request will come

    def pause_writing(self) -> None:
        """The client does not read what it is sent; it may do so for a while."""
        super().pause_writing()
        self._stall_timer = self._loop.call_later(self._connections.stall_s, self._stalled)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer bytes that are not HTTP: not a bug here, so they are worth a line but not a traceback."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        self._connections.refused("bad_http", self, f"not HTTP: {exc.message}")
        reply = web.Response(status=status, text="This is not an HTTP request that can be understood.\n")
        reply.force_close()
        return reply

    def log_exception(self, *_: object, **kw: object) -> None:
        """Log what went wrong in aiohttp itself."""
        error = kw.get("exc_info")
        note("something unexpected went wrong", level=logging.ERROR, error=error if isinstance(error, BaseException) else None)

    def abort(self) -> None:
        """End it at once."""
        if self.transport is not None:
            self.transport.abort()

    def _late(self) -> None:
        self._head_timer = None
        if self._is_idle:
            self._connections.refused("slow", self, f"the head of a request did not come within {self._connections.head_s:g} s")
            self._say(_LATE)

    def _stalled(self) -> None:
        self._stall_timer = None
        note("client reads nothing: dropped", level=logging.WARNING, seconds=self._connections.stall_s)
        self.abort()

    def _say(self, last_words: bytes) -> None:
        """Close it with these last words. What still comes in is read for a moment: a reset would discard the words."""
        self.close()
        if self.transport is not None:
            self.transport.write(last_words)
            if self._connections.may_linger(self):
                self.transport.write_eof()
                self._head_timer = self._loop.call_later(LINGER_S, self.abort)
            else:
                self.transport.close()

    def _cancel_timers(self) -> None:
        for timer in (self._head_timer, self._stall_timer, *self._looks):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._stall_timer = None
        self._looks.clear()


def _notice_silence(connection: socket.socket | None) -> None:
    """Have the system notice a peer that vanished (a laptop that was closed), whether or not anything is being sent to it."""
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    for name, value in (("TCP_KEEPIDLE", SILENT_S), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", SILENT_S * 1000)):
        if (option := getattr(socket, name, None)) is not None:
            try:
                connection.setsockopt(socket.IPPROTO_TCP, option, int(value))
            except OSError:  # a system that knows the name and does not do it
                continue
