"""HTTP to one Ollama server: requests out, checked JSON records in, every failure a `ModelError`.

Knows nothing of chats or models. What comes in is bounded in size here and in time by the callers: streams by the deadlines of a call,
everything else by `timeout_s`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import aiohttp
from yarl import URL

from gork.engines.ollama.errors import Spot, error_field, from_status, from_text, plain, translated
from gork.errors import BadReply

MAX_LINE = 16 * 2**20
"""Bytes of one record. aiohttp's own line reader stops at 128 KiB, which a record with many log-probabilities can pass."""
MAX_REPLY = 64 * 2**20
"""Bytes of one whole stream."""
_MAX_ERROR = 64 * 2**10
_HEADERS = {"Accept-Encoding": "identity"}  # a proxy that compresses a stream holds its tokens back

Record = Mapping[str, object]
_T = TypeVar("_T")


def open_session(connect_s: float) -> aiohttp.ClientSession:
    """Open the session that all requests of an engine go through.

    Every request has a connection of its own: a kept one would bind a member to one replica behind its Service, and may have been
    closed by the server just when it is used again. Names are looked up each time for the same reason.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
    )


class LineSplitter:
    r"""Cuts chunks into lines of any length up to a bound.

    >>> lines = LineSplitter(max_line=8)
    >>> lines.feed(b"ab"), lines.feed(b"c\n\nd"), lines.rest()
    ([], [b'abc', b''], b'd')
    >>> lines.feed(b"123456789")
    Traceback (most recent call last):
    OverflowError: a line longer than 8 bytes
    """

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max, self._pending = max_line, bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take in a chunk and give the lines that it completes; an `OverflowError` says that one is too long."""
        *ends, rest = chunk.split(b"\n")
        lines = []
        for end in ends:
            self._grow(end)
            lines.append(bytes(self._pending))
            self._pending.clear()
        self._grow(rest)
        return lines

    def rest(self) -> bytes:
        """Give what came after the last line's end."""
        return bytes(self._pending)

    def _grow(self, piece: bytes) -> None:
        if len(self._pending) + len(piece) > self._max:
            raise OverflowError(f"a line longer than {self._max} bytes")
        self._pending += piece


@dataclass(frozen=True, slots=True)
class Wire:
    """One server, asked in the name of one member."""

    session: Callable[[], aiohttp.ClientSession]
    base: URL
    spot: Spot

    def about(self, tag: str) -> Wire:
        """Give the same wire with messages that name this model."""
        return replace(self, spot=replace(self.spot, tag=tag))

    async def ask(self, path: str, body: Record | None = None, *, timeout_s: float | None, at_work: bool = False) -> Record:
        """Send a request that is answered by one record; a GET without a body."""
        async with self._reply(path, body, timeout_s=timeout_s, at_work=at_work) as response:
            content = bytearray()
            while chunk := await self._chunk(response, at_work=at_work):
                content += chunk
                if len(content) > MAX_LINE:
                    raise self.spot.error(BadReply, f"its reply is longer than {MAX_LINE} bytes", "is it an Ollama server?")
        return self._record(bytes(content), response.content_type)

    async def stream(self, path: str, body: Record, take: Callable[[Record], _T | None], *, idle_s: float | None = None) -> _T | None:
        """Send a request that is answered by lines, and give each record to `take` until that returns something.

        None means that the stream ended without it. `idle_s` bounds the wait for each chunk, for callers without a deadline of their own.
        """
        lines, total = LineSplitter(), 0
        async with self._reply(path, body, idle_s=idle_s, at_work=True) as response:
            while chunk := await self._chunk(response, at_work=True):
                total += len(chunk)
                if total > MAX_REPLY:
                    raise self.spot.error(BadReply, f"its reply is longer than {MAX_REPLY} bytes", "is it an Ollama server?")
                try:
                    complete = lines.feed(chunk)
                except OverflowError as error:
                    raise self.spot.error(BadReply, f"its reply has {error}", "is it an Ollama server?") from None
                for line in complete:
                    if line.strip() and (result := take(self._record(line, response.content_type))) is not None:
                        return result
        last = lines.rest()
        return take(self._record(last, response.content_type)) if last.strip() else None

    @asynccontextmanager
    async def _reply(
        self, path: str, body: Record | None, *, timeout_s: float | None = None, idle_s: float | None = None, at_work: bool
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and give its reply if the status is 200; leaving closes the connection, which stops the model.

        Only what is awaited of aiohttp is translated: an error that a listener raises is its own.
        """
        session = self.session()
        with translated(self.spot, at_work=at_work):
            response = await session.request(
                "GET" if body is None else "POST",
                self.base / path.lstrip("/"),
                json=body,
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=session.timeout.connect, sock_read=idle_s),
                allow_redirects=False,
            )
        try:
            if response.status != 200:
                start = bytearray()
                while len(start) < _MAX_ERROR and (chunk := await self._chunk(response, at_work=at_work)):
                    start += chunk
                location = response.headers.get("Location")
                raise from_status(self.spot, response.status, bytes(start[:_MAX_ERROR]), response.content_type, location)
            yield response
        finally:
            response.close()

    async def _chunk(self, response: aiohttp.ClientResponse, *, at_work: bool) -> bytes:
        """Give what has come in; nothing at the end."""
        with translated(self.spot, at_work=at_work):
            return await response.content.readany()

    def _record(self, line: bytes, content_type: str) -> Record:
        """Read one JSON object; an `error` in it is raised."""
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            shown = plain(line[:100].decode("utf-8", "replace"))
            raise self.spot.error(BadReply, f"its reply is no JSON ({plain(content_type)}: {shown!r})", "is it an Ollama server?") from None
        if not isinstance(record, dict):
            raise self.spot.error(BadReply, f"its reply is JSON but no object ({plain(str(record)[:100])!r})", "is it an Ollama server?")
        if "error" in record:
            raise from_text(self.spot, error_field(line) or plain(str(record["error"])))
        return record
