"""Requests' bodies: read within their limits, and checked against the record that they should be."""

from __future__ import annotations

import asyncio
import codecs
import re
from itertools import accumulate
from typing import TypeVar

import msgspec
from aiohttp import web

from gork.errors import BadRequest, TooLarge, TooSlow

_T = TypeVar("_T")
DEEPEST = 64
"""Levels of nesting: more than any honest request has, fewer than any parser of ours or of an engine fails at."""
SMALL = 64 * 1024
"""Bytes of a body that is read at once, however many others are being read."""
_LARGE_AT_ONCE = 8
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_OTHER = re.compile(rb'\\.|[^][{}"\\]+|\\', re.DOTALL)
_TEXTS = re.compile(rb'"[^"]*"?')
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape, a pair of them that is one character among them."""
_STEPS = {**dict.fromkeys(b"[{", 1), **dict.fromkeys(b"]}", -1)}


class BodyReader:
    """Reads bodies, each within `most` bytes and `seconds`; only some large ones at once, so that together they are bounded too."""

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
    """The request's JSON as a record; unknown fields are ignored. Raises `BadRequest` with the field that is wrong."""
    raw = (await request.read()).removeprefix(codecs.BOM_UTF8)
    if not raw.strip():
        raise BadRequest("missing request body")
    if too_deep(raw):
        raise BadRequest(f"the body is nested more than {DEEPEST} deep")
    try:
        try:
            return msgspec.json.decode(raw, type=form)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(whole_characters(raw), type=form)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error), param=field_of(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None


def whole_characters(raw: bytes) -> bytes:
    r"""JSON with U+FFFD in place of halves of characters: clients in JavaScript cut texts anywhere, others send another encoding.

    Grammatical JSON all the same (RFC 8259, 8.2), and what Go, and so Ollama, makes of it.

    >>> whole_characters(rb'"\ud83d \ud83d\ude00 \\ud83d"'), whole_characters(b'"\xe9"').decode()
    (b'"\\ufffd \\ud83d\\ude00 \\\\ud83d"', '"\ufffd"')
    """
    text = raw if _is_utf8(raw) else raw.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], text)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def field_of(error: msgspec.ValidationError) -> str | None:
    """The path of the field that is wrong; None for the whole body.

    msgspec has it in its message alone ("... - at `$.messages[0].role`"), so this one function takes it from there.

    >>> field_of(msgspec.ValidationError("Expected `str`, got `int` - at `$.messages[0].role`"))
    'messages[0].role'
    """
    place = _PLACE.search(str(error))
    missing = _MISSING.match(str(error))
    return ".".join(found[1] for found in (place, missing) if found and found[1]) or None


def too_deep(raw: bytes) -> bool:
    r"""Whether JSON is nested more than `DEEPEST` deep; brackets within strings do not count.

    >>> too_deep(b"[" * 65), too_deep(b"[]" * 65), too_deep(b'["' + b'\\"[' * 65 + b'"]')
    (True, False, False)
    """
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return False
    bare = _TEXTS.sub(b"", _OTHER.sub(b"", raw))
    return max(accumulate(map(_STEPS.__getitem__, bare)), default=0) > DEEPEST
