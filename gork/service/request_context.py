"""What is known of a request while it is worked on: for log lines, the reply's headers and the metrics."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import web

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNMATCHED = "unmatched"


@dataclass(slots=True)
class RequestContext:
    """One request, from its arrival to the end of its reply."""

    id: str
    route: str
    """The pattern of the route that answers ("/v1/models/{model}"), or "unmatched": a bounded set."""
    client: str
    """The address that it came from; a proxy's, if there is one."""
    near: bool = True
    """Whether it came from this machine, and not through a proxy."""
    turn: str | None = None
    """The id of the turn that it asked for, once that is known."""
    reply: web.StreamResponse | None = None
    """The reply that has begun to be sent; from then on no other status can be sent."""
    half_closed: bool = False
    """Whether the client has said that it sends no more. It may still read, or be gone: only sending something tells."""
    wake: Callable[[], None] | None = None
    """Has something sent soon, where work for this request can do that."""

    def shut(self) -> None:
        """Take in that the client sends no more, or that it is time to look again whether it is there."""
        self.half_closed = True
        if self.wake is not None:
            self.wake()


current: ContextVar[RequestContext | None] = ContextVar("request", default=None)
"""The request that the running task works for; tasks that a handler starts inherit it."""


def context_of(request: web.Request) -> RequestContext:
    """The context of a new request; the client's own X-Request-Id is kept if it is a plain word of at most 64 characters."""
    given = request.headers.get("X-Request-Id", "")
    resource = request.match_info.route.resource
    return RequestContext(
        id=given if _ID.fullmatch(given) else secrets.token_hex(6),
        route=UNMATCHED if resource is None else resource.canonical,
        client=request.remote or "unknown",
        near=_is_near(request),
    )


def _is_near(request: web.Request) -> bool:
    if any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP")):
        return False
    try:
        return request.remote is None or ipaddress.ip_address(request.remote.partition("%")[0]).is_loopback
    except ValueError:
        return False
