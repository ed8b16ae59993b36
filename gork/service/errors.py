"""Errors as each dialect has them: a status and a body that its clients understand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from aiohttp import web

from gork.errors import GorkError, ModelError, NoAnswer
from gork.service.admission import Full, Stopping
from gork.service.deadline import OutOfTime

RETRY_AFTER_S = 5
LONGEST = 4000
"""Characters of a message: it may quote what a client sent."""


class BadRequest(GorkError):
    """Raised when a request cannot be understood or asks for what there is not; `param` is the place, `code` a word for programs."""

    status: ClassVar[int] = 400

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        self.param, self.code = param, code
        super().__init__(message)


class NotFound(BadRequest):
    """Raised when a request names a model or a thing that is not there."""

    status = 404


class TurnedAway(BadRequest):
    """Raised when a request is refused before anybody looked at what it asks; `reason` is one of a few words."""

    status = 403
    reason: ClassVar[str]


class Unauthorized(TurnedAway):
    """Raised when a request has not the token that it needs."""

    status, reason = 401, "unauthorized"


class WrongHost(TurnedAway):
    """Raised when a request asks for the service by a name that is not its own."""

    reason = "host"


class WrongOrigin(TurnedAway):
    """Raised when a web page of a foreign origin asks."""

    reason = "origin"


class TooSlow(TurnedAway):
    """Raised when a request's body does not come in time."""

    status, reason = 408, "slow"


class TooLarge(TurnedAway):
    """Raised when a request's body is larger than what is read."""

    status, reason = 413, "too_large"


def status_of(error: GorkError) -> int:
    """The status that tells a client of an error."""
    match error:
        case BadRequest():
            return error.status
        case Full() | Stopping():
            return 503
        case OutOfTime():
            return 504
        case NoAnswer() | ModelError():
            return 502
        case _:
            return 500


def error_body(path: str, status: int, message: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """The body of an error in the dialect of a path: OpenAI's below /v1, else Ollama's, which has neither `param` nor `code`."""
    message = message if len(message) <= LONGEST else message[: LONGEST - 3] + "..."
    if path == "/v1" or path.startswith("/v1/"):
        kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
        kind = kinds.get(status, "invalid_request_error" if status < 500 else "api_error")
        return _json({"error": {"message": message, "type": kind, "param": param, "code": code}})
    return _json({"error": message})


def error_response(
    request: web.Request,
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    *,
    param: str | None = None,
    code: str | None = None,
) -> web.Response:
    """An error for whoever sent `request`. Asking again at once is never right: a turn is expensive, and what failed has been retried."""
    more = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {"x-should-retry": "false"}
    body = error_body(request.path, status, message, param=param, code=code)
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8", headers={**more, **(headers or {})})


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON body."""
    return web.Response(status=status, body=_json(value), content_type="application/json", charset="utf-8", headers=headers)


def _json(value: object) -> bytes:
    """JSON, whatever stands in its texts: halves of characters cannot be sent."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return _json(_whole(value))


def _whole(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_whole(key): _whole(item) for key, item in value.items()}
        case list() | tuple():
            return [_whole(item) for item in value]
        case _:
            return value
