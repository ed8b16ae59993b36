"""One request of one client, as its log lines, its reply's headers and the metrics name it."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp import web

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNMATCHED = "unmatched"


@dataclass(slots=True)
class Visit:
    """A request from its arrival to the end of its reply."""

    id: str
    route: str
    """The pattern of the route that answers ("/v1/models/{model}"), or "unmatched": there are only so many."""
    client: str
    """The address that it came from; a proxy's, if there is one."""
    turn: str | None = None
    """The id of the turn that it asked for, as soon as there is one."""
    reply: web.StreamResponse | None = None
    """What was begun to be sent; from then on no other status can be told."""


current: ContextVar[Visit | None] = ContextVar("visit", default=None)
"""The request that the running task works for: everything that a handler starts inherits it."""


def visit_of(request: web.Request) -> Visit:
    """A new request's record; the client's own X-Request-Id is kept if it is a plain one."""
    given = request.headers.get("X-Request-Id", "")
    resource = request.match_info.route.resource
    return Visit(
        id=given if _ID.fullmatch(given) else secrets.token_hex(6),
        route=UNMATCHED if resource is None else resource.canonical,
        client=request.remote or "unknown",
    )
