"""What is sent to clients: JSON, streams, and errors in the shape of the dialect that was asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from gork.errors import (
    BadRequest,
    GorkError,
    InternalError,
    ModelError,
    NoAnswer,
    NotFound,
    QueueFull,
    Stopping,
    TooLarge,
    TooSlow,
    TurnedAway,
    TurnTimedOut,
    Unauthorized,
)
from gork.wire import json_bytes

RETRY_AFTER_S = 5
LONGEST = 4000
"""Characters of a message: it may quote what a client sent."""
_STATUSES: Mapping[type[GorkError], int] = {
    BadRequest: 400,
    Unauthorized: 401,
    TurnedAway: 403,
    NotFound: 404,
    TooSlow: 408,
    TooLarge: 413,
    NoAnswer: 502,
    ModelError: 502,
    QueueFull: 503,
    Stopping: 503,
    TurnTimedOut: 504,
}
"""By the nearest class of an error; anything else is a 500."""
_KINDS: Mapping[int, str] = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}


class OllamaError(msgspec.Struct):
    """An error below /api."""

    error: str


class OpenAIErrorDetails(msgspec.Struct):
    """What is wrong: `param` is the field, `code` a word for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(msgspec.Struct):
    """An error below /v1."""

    error: OpenAIErrorDetails


def status_of(error: GorkError) -> int:
    """The status that tells a client of an error.

    >>> status_of(NotFound("no such model")), status_of(GorkError("?"))
    (404, 500)
    """
    return next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), 500)


def error_body(path: str, status: int, message: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """The body of an error in the dialect of a path: OpenAI's below /v1, else Ollama's, which has neither `param` nor `code`."""
    message = message if len(message) <= LONGEST else message[: LONGEST - 3] + "..."
    if path == "/v1" or path.startswith("/v1/"):
        kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
        return json_bytes(OpenAIError(OpenAIErrorDetails(message, kind, param, code)))
    return json_bytes(OllamaError(message))


def error_bytes(path: str, error: GorkError, told: str | None = None) -> bytes:
    """The body that tells of an error, in the dialect of a path; `told` in place of its own words."""
    param, code = (error.param, error.code) if isinstance(error, BadRequest) else (None, None)
    return error_body(path, status_of(error), str(error) if told is None else told, param=param, code=code)


def error_response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    """A reply that is an error. Asking again at once is never right: a turn is expensive, and what failed has been retried."""
    retry = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {"x-should-retry": "false"}
    return raw_json_response(body, status=status, headers={**retry, **(headers or {})})


def json_response(value: object, *, status: int = 200) -> web.Response:
    """A reply that is a record as JSON."""
    return raw_json_response(json_bytes(value), status=status)


def raw_json_response(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A reply that is JSON already."""
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8", headers=headers)


class Stream:
    """A reply that is sent bit by bit, to a client that may leave at any time. Its head goes out with its first bytes."""

    def __init__(self, request: web.Request, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={"Content-Type": content_type, **(headers or {})})

    @property
    def begun(self) -> bool:
        """Whether the head has been sent, and so the status."""
        return self._response.prepared

    async def write(self, data: bytes) -> None:
        """Send more."""
        if not self._response.prepared:
            await self._response.prepare(self._request)
        await self._response.write(data)

    async def finish(self, data: bytes) -> None:
        """Send the last bytes; where they are all, the head says how many."""
        if not self._response.prepared:
            self._response.content_length = len(data)
        await self.write(data)

    async def run(self, work: Callable[[], Awaitable[None]], error_bytes: Callable[[GorkError], bytes]) -> web.StreamResponse:
        """Do the work, which writes; an error that ends it once the status has been sent is sent in the stream, any other is raised."""
        try:
            try:
                await work()
            except GorkError as error:
                if not self.begun:
                    raise
                await self._response.write(error_bytes(error))
            except ConnectionError:
                raise
            except Exception:
                if self.begun:
                    await self._response.write(error_bytes(InternalError("an internal error: the service's log has more")))
                raise
            await self._response.write_eof()
        except ConnectionError:  # the client has left
            pass
        return self._response
