"""Bytes that a shell or a file hands in, as text: UTF-8 with or without a byte-order mark, UTF-16 as Windows writes and pipes it.

Lines may end as on any system: with a newline, a carriage return, or both.
"""

from __future__ import annotations

import codecs

from gork.errors import UsageError

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
MARK = "\ufeff"
_PLAIN = bytes({*b"\t\n\f\r\x1b", *range(32, 127), *range(128, 256)})
"""Bytes that texts in other encodings of one byte a letter have."""
_UNREADABLE = b"\xff"
"""Stands where a stream ends within a letter: no UTF-8 has it, so that it is not asked as if it had been typed."""


def encoding_of(beginning: bytes) -> str:
    r"""The encoding of a text that begins with these bytes; UTF-16 without a mark is known by its NULs.

    >>> encoding_of("hi".encode("utf-16")), encoding_of("hi".encode("utf-16-be")), encoding_of(b"h\0i\0"), encoding_of(b"hi")
    ('utf-16', 'utf-16-be', 'utf-16-le', 'utf-8-sig')
    """
    for mark, encoding in _MARKS:
        if beginning.startswith(mark):
            return encoding
    even, odd = beginning[0:256:2], beginning[1:256:2]
    for encoding, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros and 2 * zeros.count(0) > len(zeros) and 0 not in others:
            return encoding
    return "utf-8-sig"


def decoded(data: bytes, *, what: str) -> str:
    r"""The text, its lines ended by newlines alone. Raises a `UsageError` if it is none; `what` says where it came from.

    >>> decoded("one\r\ntwo\rthree".encode("utf-16"), what="a file")
    'one\ntwo\nthree'
    """
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding == "utf-8-sig" else "UTF-16"
        advice = "is it a binary file?" if _looks_binary(data) else "convert it to UTF-8 first, for example with iconv"
        raise UsageError(f"{what} is not {name} text (byte {error.start + 1}): {advice}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _looks_binary(data: bytes) -> bool:
    """Whether bytes that are no text of ours are hardly text in another encoding: those have neither NULs nor many control characters."""
    beginning = data[:4096]
    return 0 in beginning or 10 * len(beginning.translate(None, _PLAIN)) > len(beginning)


class ToUtf8:
    """Turns a stream that may be UTF-16 into UTF-8 without a mark, piece by piece, its lines ended by newlines alone."""

    def __init__(self) -> None:
        self._held = b""
        self._returned = False
        """Whether the last piece ended with a carriage return: a newline after it belongs to it."""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._as_it_is = False

    def take(self, data: bytes, *, ended: bool) -> bytes:
        """The UTF-8 of the next bytes; those that may be the beginning of a mark are held back until more have come."""
        made = self._converted(data, ended=ended)
        lines = made[1:] if self._returned and made.startswith(b"\n") else made
        self._returned = made.endswith(b"\r") if made else self._returned
        return lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _converted(self, data: bytes, *, ended: bool) -> bytes:
        if self._as_it_is:
            return data
        if self._decoder is None:
            self._held += data
            if not ended and any(mark.startswith(self._held) for mark, _ in _MARKS):
                return b""
            data, encoding = self._held, encoding_of(self._held)
            self._as_it_is = encoding == "utf-8-sig"
            if self._as_it_is:  # what is not valid UTF-8 is told later, with its place
                return data.removeprefix(codecs.BOM_UTF8)
            self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        made = self._decoder.decode(data).encode("utf-8", "surrogatepass")
        try:
            self._decoder.decode(b"", final=ended)
        except UnicodeDecodeError:
            made += _UNREADABLE
        return made
