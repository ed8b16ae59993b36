"""What every request goes through: who may ask, what a reply must say, and errors in the dialect of whoever asked."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from gork.errors import GorkError
from gork.service.access import Doors
from gork.service.admission import Full, Stopping
from gork.service.bodies import Intake
from gork.service.connections import Connection
from gork.service.errors import BadRequest, TurnedAway, Unauthorized, error_response, status_of
from gork.service.logs import note
from gork.service.request_context import Visit, current, visit_of
from gork.service.service import NAME, Service

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OnPrepare = Callable[[web.Request, web.StreamResponse], Awaitable[None]]

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every reply, unless a handler has set another value."""
_STREAMS = frozenset({"text/event-stream", "application/x-ndjson"})


def middlewares(service: Service) -> list[Middleware]:
    """The outermost first."""
    settings = service.settings
    doors, intake = Doors(settings), Intake(settings.body_limit, settings.request_timeout)

    @web.middleware
    async def visits(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give a request its id; tell of an error in its dialect; take note of how it ends."""
        if isinstance(request.protocol, Connection):
            request.protocol.begun()
        visit = visit_of(request)
        current.set(visit)
        reply = await _answered(service, visit, request, handler)
        service.metrics.requests.labels(visit.route, str(reply.status)).inc()
        note("request", level=logging.DEBUG, method=request.method, path=request.path[:200], client=visit.client, status=reply.status)
        return reply

    @web.middleware
    async def checks(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who may come in, and read the request's body."""
        try:
            doors.check_host(request)
            if (preflight := doors.preflight(request)) is not None:
                return preflight
            doors.check_origin(request)
            doors.check_token(request)
            if request.can_read_body and request.method not in {"GET", "HEAD"} and request.match_info.route.resource is not None:
                await intake.read(request)
        except TurnedAway as error:
            service.metrics.refused.labels(error.reason).inc()
            note("refused", why=error.reason, path=request.path[:200], client=request.remote)
            raise
        return await handler(request)

    return [visits, checks]


def on_prepare(service: Service) -> OnPrepare:
    """What is put to every reply before its head is sent."""
    doors = Doors(service.settings)

    async def prepare(request: web.Request, reply: web.StreamResponse) -> None:
        for name, value in {**HEADERS, **doors.cors_headers(request)}.items():
            reply.headers.setdefault(name, value)
        reply.headers["Server"] = NAME
        if reply.content_type in _STREAMS:
            reply.headers.setdefault("X-Accel-Buffering", "no")  # a proxy that collects a stream is no help to anybody
        if service.stopping:  # the next request is better sent to another one
            reply.force_close()
            reply.headers["Connection"] = "close"
        if (visit := current.get()) is not None:
            visit.reply = reply
            reply.headers["X-Request-Id"] = visit.id
            if visit.turn is not None:
                reply.headers.setdefault("X-Turn-Id", visit.turn)

    return prepare


async def _answered(service: Service, visit: Visit, request: web.Request, handler: Handler) -> web.StreamResponse:
    """The reply of the handler, or one that tells of its error."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        path = request.path[:200]
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        reply = error_response(request, error.status, f"{error.reason}: {request.method} {path}", allow)
    except GorkError as error:
        reply = _told(request, error)
    except Exception as error:  # the outermost edge: one request's bug is one request's
        if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            return visit.reply or web.Response(status=499)  # nobody is there to read it
        note("something unforeseen went wrong", level=logging.ERROR, route=visit.route, error=error)
        reply = error_response(request, 500, f"something went wrong that should not; the log has it as request {visit.id}")
    if visit.reply is None:
        return reply
    # Another status cannot be told any more. The stream ends without its end, which no client can take for one.
    if request.transport is not None:
        request.transport.close()
    return visit.reply


def _told(request: web.Request, error: GorkError) -> web.Response:
    status = status_of(error)
    headers = {"WWW-Authenticate": f'Bearer realm="{NAME}"'} if isinstance(error, Unauthorized) else None
    param, code = (error.param, error.code) if isinstance(error, BadRequest) else (None, None)
    reply = error_response(request, status, str(error), headers, param=param, code=code)
    if isinstance(error, TurnedAway):
        reply.force_close()  # the rest of the request is not waited for
    if status >= 500 and not isinstance(error, Full | Stopping):  # those two have been told
        note("request failed", level=logging.WARNING, path=request.path[:200], status=status, why=str(error))
    elif isinstance(error, BadRequest):
        note("bad request", level=logging.DEBUG, path=request.path[:200], status=status, why=str(error))
    return reply
