"""Requests' bodies: read within their limits, checked against the record that they are to be."""

from __future__ import annotations

import asyncio
import re
from itertools import accumulate
from typing import TypeVar

import msgspec
from aiohttp import web

from gork.service.errors import BadRequest, TooLarge, TooSlow

_T = TypeVar("_T")
DEEPEST = 64
"""Levels of nesting: more than any honest request has, fewer than anything behind us stumbles over."""
SMALL = 64 * 1024
"""Bytes of a body that is read at once, whatever else is being read."""
_LARGE_AT_ONCE = 8
_OTHER = re.compile(rb'\\.|[^][{}"\\]+|\\', re.DOTALL)
_TEXTS = re.compile(rb'"[^"]*"?')
_STEPS = {**dict.fromkeys(b"[{", 1), **dict.fromkeys(b"]}", -1)}


class Intake:
    """Reads bodies, each within its size and its time; large ones only some at once, so that together they are bounded too."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def read(self, request: web.Request) -> None:
        """Read the body, which the request then has. Raises `TooLarge`, `TooSlow` or `BadRequest`."""
        length = request.content_length
        if length is not None and length > self._most:
            raise TooLarge(f"the body has {length} bytes, and {self._most} are read at most")
        compressed = "Content-Encoding" in request.headers
        if length is not None and length <= SMALL and not compressed:
            await self._read(request)
            return
        async with self._large:
            await self._read(request)

    async def _read(self, request: web.Request) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await request.read()
        except TimeoutError:
            raise TooSlow(f"the body did not come within {self._seconds:g} s") from None
        except web.HTTPRequestEntityTooLarge:
            raise TooLarge(f"the body has more than {self._most} bytes, which are read at most") from None
        except web.RequestPayloadError as error:
            raise BadRequest(f"the body cannot be read: {error}") from None


async def read_body(request: web.Request, form: type[_T]) -> _T:
    """The request's JSON as a record; what the record does not name is ignored. Raises `BadRequest` with the place of a mistake."""
    raw = await request.read()
    if not raw.strip():
        raise BadRequest("missing request body")
    if too_deep(raw):
        raise BadRequest(f"the body is nested more than {DEEPEST} deep")
    try:
        return msgspec.json.decode(raw, type=form)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is no JSON: {error}") from None


def too_deep(raw: bytes) -> bool:
    r"""Whether JSON is nested more than `DEEPEST` deep; brackets in its texts do not count.

    >>> too_deep(b"[" * 65), too_deep(b"[]" * 65), too_deep(b'["' + b'\\"[' * 65 + b'"]')
    (True, False, False)
    """
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return False
    bare = _TEXTS.sub(b"", _OTHER.sub(b"", raw))
    return max(accumulate(map(_STEPS.__getitem__, bare)), default=0) > DEEPEST
