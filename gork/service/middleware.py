"""What every request goes through: access checks, common headers, and errors in the dialect that was asked."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from gork.errors import BadRequest, GorkError, QueueFull, Stopping, TurnedAway, Unauthorized
from gork.service.access import AccessPolicy
from gork.service.bodies import BodyReader
from gork.service.connections import Connection
from gork.service.logs import note
from gork.service.request_context import RequestContext, context_of, current
from gork.service.responses import error_body, error_bytes, error_response, status_of
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
_ADDRESSES = (
    *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/models", "/v1/embeddings", "/v1/messages"),
    *("/api/chat", "/api/generate", "/api/tags", "/api/show", "/api/version", "/api/ps", "/api/pull", "/api/embed"),
)
"""What clients ask for, below whatever base URL they were given."""
_STREAMS = frozenset({"text/event-stream", "application/x-ndjson"})


def middlewares(service: Service) -> list[Middleware]:
    """The outermost first."""
    settings = service.settings
    access, bodies = AccessPolicy(settings), BodyReader(settings.body_limit, settings.request_timeout)

    @web.middleware
    async def contexts(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give a request its context; send an error in its dialect; log and count how it ends."""
        context = context_of(request)
        if isinstance(request.protocol, Connection):
            request.protocol.begun(context)
        current.set(context)
        reply = await _answered(service, context, request, handler)
        service.metrics.requests.labels(context.route, str(reply.status)).inc()
        note("request", level=logging.DEBUG, method=request.method, path=request.path[:200], client=context.client, status=reply.status)
        return reply

    @web.middleware
    async def checks(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check that the request may be made, and read its body."""
        try:
            access.check_host(request)
            if (preflight := access.preflight(request)) is not None:
                return preflight
            access.check_origin(request)
            access.check_token(request)
            if request.can_read_body and request.method not in {"GET", "HEAD"} and request.match_info.route.resource is not None:
                await bodies.read(request)
        except TurnedAway as error:
            service.metrics.refused.labels(error.reason).inc()
            note("refused", why=error.reason, path=request.path[:200], client=request.remote)
            raise
        return await handler(request)

    return [contexts, checks]


def on_prepare(service: Service) -> OnPrepare:
    """What is added to every reply before its head is sent."""
    access = AccessPolicy(service.settings)

    async def prepare(request: web.Request, reply: web.StreamResponse) -> None:
        for name, value in {**HEADERS, **access.cors_headers(request)}.items():
            reply.headers.setdefault(name, value)
        reply.headers["Server"] = NAME
        if reply.content_type in _STREAMS:
            reply.headers.setdefault("X-Accel-Buffering", "no")  # a proxy that buffers a stream defeats it
        if service.stopping:  # the next request should go to another instance
            reply.force_close()
            reply.headers["Connection"] = "close"
        if (context := current.get()) is not None:
            context.reply = reply
            reply.headers["X-Request-Id"] = context.id
            if context.turn is not None:
                reply.headers.setdefault("X-Turn-Id", context.turn)

    return prepare


async def _answered(service: Service, context: RequestContext, request: web.Request, handler: Handler) -> web.StreamResponse:
    """The reply of the handler, or one that describes its error."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        path = request.path[:200]
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        meant = meant_path(request.path) if error.status == 404 else None
        hint = "" if meant is None else f": the address is {meant}, so the base URL is {base_of(meant, path)}"
        message = f"{error.reason}: {request.method} {path}{hint}"
        reply = error_response(error.status, error_body(meant or request.path, error.status, message), allow)
    except GorkError as error:
        reply = _error_reply(request, error, service.told(str(error)))
    except Exception as error:  # the outermost edge: one request's bug is one request's
        if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            return context.reply or web.Response(status=499)  # the client has left
        note("something unexpected went wrong", level=logging.ERROR, route=context.route, error=error)
        message = f"something went wrong that should not; the log has it as request {context.id}"
        reply = error_response(500, error_body(request.path, 500, message))
    if context.reply is None:
        return reply
    # Another status cannot be sent any more. The connection is cut before the stream's proper end, so that no client believes it whole.
    if request.transport is not None:
        request.transport.close()
    return context.reply


def meant_path(path: str) -> str | None:
    """The address of the API that a client with a wrong base URL means; None if none is recognised.

    >>> meant_path("/chat/completions"), meant_path("/v1/api/chat"), meant_path("/v1/v1/models"), meant_path("/tags"), meant_path("/x.ico")
    ('/v1/chat/completions', '/api/chat', '/v1/models', '/api/tags', None)
    """
    for known in _ADDRESSES:
        if path != known and path.rstrip("/").endswith((known, known.removeprefix("/v1").removeprefix("/api"))):
            return known
    return None


def base_of(address: str, asked: str) -> str:
    """The base URL that a client needs that meant this address and asked for another: some of Ollama's have `/api` in it.

    >>> base_of("/v1/models", "/models"), base_of("/api/chat", "/v1/api/chat"), base_of("/api/chat", "/chat")
    ('http://HOST:PORT/v1', 'http://HOST:PORT', 'http://HOST:PORT/api')
    """
    if address.startswith("/v1/"):
        return "http://HOST:PORT/v1"
    return "http://HOST:PORT" if asked.rstrip("/").endswith(address) else "http://HOST:PORT/api"


def _error_reply(request: web.Request, error: GorkError, told: str) -> web.Response:
    status = status_of(error)
    headers = {"WWW-Authenticate": f'Bearer realm="{NAME}"'} if isinstance(error, Unauthorized) else None
    reply = error_response(status, error_bytes(request.path, error, told), headers)
    if isinstance(error, TurnedAway):
        reply.force_close()  # the rest of the request is not read
    if status >= 500 and not isinstance(error, QueueFull | Stopping):  # those two are logged already
        note("request failed", level=logging.WARNING, path=request.path[:200], status=status, why=str(error))
    elif isinstance(error, BadRequest):
        note("bad request", level=logging.DEBUG, path=request.path[:200], status=status, why=str(error))
    return reply
