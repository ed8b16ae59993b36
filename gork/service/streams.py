"""A reply that is sent bit by bit: JSON of any text, a client that may be gone, errors when the status has been sent."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from gork.errors import GorkError

INTERNAL = "an internal error: the service's log has more"


class Stream:
    """One streamed reply."""

    def __init__(self, request: web.Request, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={"Content-Type": content_type, **(headers or {})})

    async def begin(self, first: bytes) -> None:
        """Send the head and the first bytes, so that the client knows at once that somebody is there."""
        await self._response.prepare(self._request)
        await self._response.write(first)

    async def write(self, data: bytes) -> None:
        """Send more."""
        await self._response.write(data)

    async def run(self, work: Callable[[], Awaitable[None]], error_bytes: Callable[[GorkError], bytes]) -> web.StreamResponse:
        """Do the work, which writes; what ends it early is told in the stream, since the status has been sent."""
        try:
            try:
                await work()
            except GorkError as error:
                await self._response.write(error_bytes(error))
            except ConnectionError:
                raise
            except Exception:
                await self._response.write(error_bytes(GorkError(INTERNAL)))
                raise
            await self._response.write_eof()
        except ConnectionError:  # the client has left: nobody is there to be told
            pass
        return self._response


def json_bytes(value: object) -> bytes:
    r"""A value as JSON, whatever text is in it: halves of characters, which UTF-8 cannot have, are escaped.

    >>> json_bytes({"a": "é\ud800"})
    b'{"a": "\\u00e9\\ud800"}'
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value)).encode()
