"""`context` of Ollama's `/api/generate`: a conversation as a list of numbers that a client keeps and sends back.

A real Ollama gives its model's tokens; here several models answer, each with tokens of its own. So the list is the conversation itself,
three bytes to a number, with a mark and a checksum before it: nothing is kept for a client, and a list from elsewhere is known as one.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from gork.wire import json_bytes

FOREIGN_CONTEXT: Final = "the context of this request is not from this service: it is ignored"
LARGEST: Final = 256 << 10
"""Bytes of a conversation; beyond, the oldest turns are forgotten."""
_MARK: Final = 0x67_6F_72  # "gor"
_NUMBER: Final = 3


class Remembered(msgspec.Struct, array_like=True):
    """What a list holds: a client's instructions, and what was said (user, assistant)."""

    system: str = ""
    exchanges: list[tuple[str, str]] = []


def write_context(remembered: Remembered) -> list[int]:
    """The numbers that hold a conversation."""
    while len(data := json_bytes(remembered)) > LARGEST and remembered.exchanges:
        remembered = Remembered(remembered.system, remembered.exchanges[1:])
    check = zlib.crc32(data)
    padded = data + b" " * (-len(data) % _NUMBER)
    numbers = (int.from_bytes(padded[start : start + _NUMBER], "big") for start in range(0, len(padded), _NUMBER))
    return [_MARK, check >> 16, check & 0xFFFF, *numbers]


def read_context(numbers: Sequence[object]) -> Remembered | None:
    """The conversation that a list holds; None if it is not one of ours, whole.

    >>> read_context(write_context(Remembered("", [("I am Ada.", "Hello.")]))).exchanges, read_context([1, 2, 3])
    ([('I am Ada.', 'Hello.')], None)
    """
    match numbers:
        case [int(mark), int(high), int(low), *rest] if mark == _MARK:
            if not all(type(number) is int and 0 <= number < 1 << 8 * _NUMBER for number in rest):
                return None
            data = b"".join(number.to_bytes(_NUMBER, "big") for number in rest if isinstance(number, int))
            data = data.rstrip(b" ")
            if zlib.crc32(data) != high << 16 | low:
                return None
            try:
                return msgspec.json.decode(data, type=Remembered)
            except (msgspec.DecodeError, UnicodeDecodeError):
                return None
    return None
