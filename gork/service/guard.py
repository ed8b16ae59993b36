"""What every request goes through: who may ask, what a reply must say, and errors in the dialect of whoever asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from gork.errors import GorkError
from gork.service.replies import error_response, status_of
from gork.service.service import Service

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def middlewares(_service: Service) -> list[Middleware]:
    """The outermost first."""
    return [_errors]


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell of an error before anything was sent; afterwards a handler has to do it itself."""
    try:
        return await handler(request)
    except GorkError as error:
        return error_response(request, status_of(error), str(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return error_response(request, error.status, error.reason)
