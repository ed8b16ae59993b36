"""Errors as each dialect has them: a status and a body that its clients understand."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web

from gork.errors import GorkError, ModelError, NoAnswer
from gork.service.gate import Full, Stopping

RETRY_AFTER_S = 5


class BadRequest(GorkError):
    """Raised when a request cannot be understood or asks for what there is not."""

    status = 400


class NotFound(BadRequest):
    """Raised when a request names a model or a thing that is not there."""

    status = 404


def status_of(error: GorkError) -> int:
    """The status that tells a client of an error."""
    match error:
        case BadRequest():
            return error.status
        case Full() | Stopping():
            return 503
        case NoAnswer() | ModelError():
            return 502
        case _:
            return 500


def error_body(path: str, status: int, message: str) -> bytes:
    """The body of an error in the dialect of a path: OpenAI's below /v1, else Ollama's."""
    if path == "/v1" or path.startswith("/v1/"):
        kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
        kind = kinds.get(status, "invalid_request_error" if status < 500 else "api_error")
        return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": None}})
    return msgspec.json.encode({"error": message})


def error_response(request: web.Request, status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error for whoever sent `request`. Asking again at once is never right: a turn is expensive, and what failed has been retried."""
    more = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {"x-should-retry": "false"}
    body = error_body(request.path, status, message)
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8", headers={**more, **(headers or {})})


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON body."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json", charset="utf-8", headers=headers)
