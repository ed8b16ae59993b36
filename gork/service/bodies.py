"""Requests' bodies: read within their limits, checked against the record that they are to be."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import web

from gork.service.replies import BadRequest

_T = TypeVar("_T")
DEEPEST = 64
"""Levels of nesting: more than any honest request has, fewer than anything behind us stumbles over."""


async def read_body(request: web.Request, form: type[_T]) -> _T:
    """The request's JSON as a record; what the record does not name is ignored. Raises `BadRequest` with the place of a mistake."""
    raw = await request.read()
    if not raw.strip():
        raise BadRequest("missing request body")
    _check_depth(raw)
    try:
        return msgspec.json.decode(raw, type=form)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is no JSON: {error}") from None


def _check_depth(raw: bytes) -> None:
    depth, quoted, escaped = 0, False, False
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return
    for byte in raw:
        if quoted:
            quoted, escaped = escaped or byte != 0x22, byte == 0x5C and not escaped
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            depth += 1
            if depth > DEEPEST:
                raise BadRequest(f"the body is nested more than {DEEPEST} deep")
        elif byte in b"]}":
            depth -= 1
