"""Bytes that a shell or a file hands in, as text: UTF-8 with or without a byte-order mark, UTF-16 as Windows writes and pipes it."""

from __future__ import annotations

import codecs

from gork.errors import UsageError

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
MARK = "\ufeff"


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

    >>> decoded("one\r\ntwo".encode("utf-16"), what="a file")
    'one\ntwo'
    """
    try:
        text = data.decode(encoding_of(data))
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} is not UTF-8 text (byte {error.start + 1}): is it a binary file?") from None
    return text.replace("\r\n", "\n")


class ToUtf8:
    """Turns a stream that may be UTF-16 into UTF-8 without a mark, piece by piece."""

    def __init__(self) -> None:
        self._held = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._as_it_is = False

    def take(self, data: bytes, *, ended: bool) -> bytes:
        """The UTF-8 of the next bytes; those that may be the beginning of a mark are held back until more have come."""
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
            self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        return self._decoder.decode(data, final=ended).encode("utf-8", "surrogatepass")
