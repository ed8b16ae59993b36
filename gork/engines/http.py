"""HTTP to one server, for every engine and for a running service: requests out, bounded replies in, every fault translated once.

Knows nothing of chats, models or dialects. What aiohttp raises becomes a `Fault` in one place (`fault_of`); the caller says what a fault
and a refusal mean to its users (`Translator`). Replies are bounded in size here, and in time by the caller: streams by the
deadlines of a call or by `idle_s`, everything else by `timeout_s`.
"""

from __future__ import annotations

import ipaddress
import json
import os
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Protocol, TypeVar

import aiohttp
import msgspec
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from gork.machine import in_pod

MAX_LINE = 16 * 2**20
"""Bytes of one record. aiohttp's own line reader stops at 128 KiB, which a record with many log-probabilities can pass."""
MAX_REPLY = 64 * 2**20
"""Bytes of one whole stream."""
MAX_REFUSAL = 64 * 2**10
"""Bytes of a reply's body that are read when its status says no."""
_SHOWN = 300
"""Characters of a server's own words that a message quotes."""
# A proxy that compresses a stream holds its tokens back.
_HEADERS = {"Accept-Encoding": "identity", "Content-Type": "application/json"}

_T = TypeVar("_T")
_R = TypeVar("_R")
_T_co = TypeVar("_T_co", covariant=True)


class FaultKind(Enum):
    """What can go wrong between two programs that speak HTTP."""

    NO_CONNECTION_IN_TIME = auto()
    UNKNOWN_HOST = auto()
    NOT_SECURE = auto()
    """TLS failed; `detail` says how."""
    NO_CONNECTION = auto()
    """`detail` is the system's reason ("connection refused")."""
    PROXY = auto()
    """The proxy that the environment names cannot be used."""
    SILENT = auto()
    """Nothing came within the time that is allowed between two chunks."""
    LATE = auto()
    """The whole reply took longer than it may."""
    NOT_HTTP = auto()
    """What answers there does not speak HTTP; `detail` quotes the parser."""
    BAD_URL = auto()
    UNREADABLE = auto()
    """The reply is compressed in a way that cannot be undone."""
    TOO_LONG = auto()
    """`detail` says what is longer than what."""
    NOT_JSON = auto()
    """The reply is not one JSON object; `detail` quotes its start."""
    BROKEN = auto()
    """The connection broke before the reply was complete."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a request has no reply. `at_work`: a model had been asked, so that asking once more may help."""

    kind: FaultKind
    detail: str = ""
    at_work: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A reply whose status is not 200, with the start of its body."""

    status: int
    body: bytes
    content_type: str
    location: str | None = None
    retry_after: str | None = None

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which a server that turns requests away (429, 503) asks to be asked again; None if it does not.

        >>> Refusal(status=503, body=b"", content_type="", retry_after="5").retry_after_s
        5.0
        >>> Refusal(status=429, body=b"", content_type="", retry_after="Thu, 01 Jan 1970 00:00:00 GMT").retry_after_s
        0.0
        >>> Refusal(status=503, body=b"", content_type="", retry_after="soon").retry_after_s
        >>> Refusal(status=301, body=b"", content_type="", retry_after="5").retry_after_s
        """
        told = (self.retry_after or "").strip()
        if self.status not in {429, 503} or not told:
            return None
        if told.isdecimal() and len(told) < 10:
            return float(told)
        try:
            return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None


class Translator(Protocol):
    """What faults and refusals of a server mean to those who asked: an error of ours for each."""

    def broken(self, fault: Fault) -> Exception:
        """The error for a request without a reply."""

    def refused(self, refusal: Refusal) -> Exception:
        """The error for a reply that says no."""


class Cutter(Protocol[_T_co]):
    """Cuts the chunks of a stream into pieces."""

    def feed(self, chunk: bytes) -> Sequence[_T_co]:
        """Take in a chunk and give the pieces that it completes; an `OverflowError` says that one is too long."""

    def rest(self) -> Sequence[_T_co]:
        """Give what the end of the stream completes."""


class LineSplitter:
    r"""Cuts chunks into lines of any length up to a bound.

    >>> lines = LineSplitter(max_line=8)
    >>> lines.feed(b"ab"), lines.feed(b"c\n\nd"), lines.rest()
    ([], [b'abc', b''], [b'd'])
    >>> lines.feed(b"123456789")
    Traceback (most recent call last):
    OverflowError: a line longer than 8 bytes
    """

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max, self._pending = max_line, bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take in a chunk and give the lines that it completes; an `OverflowError` says that one is too long."""
        first, *others = chunk.split(b"\n")
        self._pending += first
        lines = []
        if others:
            lines = [bytes(self._pending), *others[:-1]]
            self._pending = bytearray(others[-1])
        if len(self._pending) > self._max or any(len(line) > self._max for line in lines):
            raise OverflowError(f"a line longer than {self._max} bytes")
        return lines

    def rest(self) -> list[bytes]:
        """Give what came after the last line's end."""
        return [bytes(self._pending)] if self._pending else []


class EventReader:
    r"""Cuts a stream of server-sent events into kinds and data; comments and other fields are left out.

    llama.cpp's server has sent errors as a field of that name: such a line is an event of kind "error".

    >>> reader = EventReader()
    >>> reader.feed(b": beat\n\nevent: token\nda"), reader.feed(b'ta: {"a":\ndata: 1}\r\n\n')
    ([], [('token', b'{"a":\n1}')])
    """

    def __init__(self, max_event: int = MAX_LINE) -> None:
        self._lines, self._max = LineSplitter(max_event), max_event
        self._kind, self._data, self._size = "message", list[bytes](), 0

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """Take in a chunk and give the events that it completes; an `OverflowError` says that one is too long."""
        events = []
        for ended in self._lines.feed(chunk):
            line = ended.removesuffix(b"\r")
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if not line:
                if self._data:
                    events.append((self._kind, b"\n".join(self._data)))
                self._kind, self._data, self._size = "message", [], 0
            elif name == b"event":
                self._kind = value.decode("utf-8", "replace")
            elif name in (b"data", b"error"):
                self._kind = "error" if name == b"error" else self._kind
                self._data.append(value)
                self._size += len(value) + 1
                if self._size > self._max:
                    raise OverflowError(f"an event longer than {self._max} bytes")
        return events

    def rest(self) -> list[tuple[str, bytes]]:
        """Nothing: an event without its end does not count."""
        return []


def open_session(connect_s: float) -> aiohttp.ClientSession:
    """Open the session that all requests of an engine go through.

    Every request has a connection of its own: a kept one would bind a member to one replica of its Service, would occupy one of
    llama.cpp's threads, and may have been closed by the server just when it is used again. Names are looked up each time likewise.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Bytes of one record and of one whole stream."""

    line: int = MAX_LINE
    reply: int = MAX_REPLY


STANDARD_LIMITS = HttpLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpClient:
    """One server, asked over a session that others share. No redirect is followed; a credential goes to this server alone."""

    session: Callable[[], aiohttp.ClientSession]
    base: URL
    translator: Translator
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = None
    limits: HttpLimits = STANDARD_LIMITS

    @asynccontextmanager
    async def reply(
        self,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        idle_s: float | None = None,
        at_work: bool = False,
    ) -> AsyncIterator[Reply]:
        """Send a request (GET without a body) and give its reply if the status is 200, or 204; leaving closes the connection.

        Only what is awaited of aiohttp is translated: an error that a listener raises is its own.
        """
        session = self.session()
        try:
            response = await session.request(
                "GET" if body is None else "POST",
                self.base / path.lstrip("/"),
                data=body,
                headers={**self.headers, **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=session.timeout.connect, sock_read=idle_s),
                allow_redirects=False,
                proxy=self.proxy,
            )
        except _FAULTS as error:
            raise self.translator.broken(fault_of(error, at_work=at_work)) from None
        reply = Reply(response, self, at_work=at_work)
        try:
            if response.status not in {200, 204}:
                raise self.translator.refused(await reply.refusal())
            yield reply
        finally:
            response.close()

    async def record(
        self, path: str, body: bytes | None = None, *, timeout_s: float | None = None, at_work: bool = False
    ) -> dict[str, object]:
        """Ask for one JSON object."""
        async with self.reply(path, body, timeout_s=timeout_s, at_work=at_work) as reply:
            return self.object_of(await reply.read(), reply.content_type)

    def object_of(self, data: bytes, content_type: str = "") -> dict[str, object]:
        """Read one JSON object."""
        try:
            record = _decoded(data)
        except (ValueError, RecursionError):
            shown = plain(data[:100].decode("utf-8", "replace"))
            detail = f"{plain(content_type)}: {shown!r}" if content_type else f"{shown!r}"
            raise self.translator.broken(Fault(FaultKind.NOT_JSON, f"is not JSON ({detail})")) from None
        if not isinstance(record, dict):
            raise self.translator.broken(Fault(FaultKind.NOT_JSON, f"is JSON but not an object ({plain(str(record)[:100])!r})"))
        return record


class Reply:
    """A reply that is being read."""

    def __init__(self, response: aiohttp.ClientResponse, client: HttpClient, *, at_work: bool) -> None:
        self._response, self._client, self._at_work = response, client, at_work
        self.content_type = response.content_type

    async def read(self) -> bytes:
        """Read the whole body; one longer than a record may be is a fault."""
        content, most = bytearray(), self._client.limits.line
        while chunk := await self._chunk():
            content += chunk
            if len(content) > most:
                raise self._too_long(f"longer than {most} bytes")
        return bytes(content)

    async def follow(self, cutter: Cutter[_T], take: Callable[[_T], _R | None]) -> _R | None:
        """Give each piece of a stream to `take` until that returns something; None if the stream ended without it."""
        total, most = 0, self._client.limits.reply
        while chunk := await self._chunk():
            total += len(chunk)
            if total > most:
                raise self._too_long(f"longer than {most} bytes")
            try:
                pieces = cutter.feed(chunk)
            except OverflowError as error:
                raise self._too_long(f"longer than it may be: {error}") from None
            for piece in pieces:
                if (result := take(piece)) is not None:
                    return result
        return next((result for piece in cutter.rest() if (result := take(piece)) is not None), None)

    async def refusal(self) -> Refusal:
        """Read the start of a reply that says no."""
        start = bytearray()
        while len(start) < MAX_REFUSAL and (chunk := await self._chunk()):
            start += chunk
        headers = self._response.headers
        return Refusal(
            status=self._response.status,
            body=bytes(start[:MAX_REFUSAL]),
            content_type=self.content_type,
            location=headers.get("Location"),
            retry_after=headers.get("Retry-After"),
        )

    async def _chunk(self) -> bytes:
        """Give what has come in; nothing at the end."""
        try:
            return await self._response.content.readany()
        except _FAULTS as error:
            raise self._client.translator.broken(fault_of(error, at_work=self._at_work)) from None

    def _too_long(self, detail: str) -> Exception:
        return self._client.translator.broken(Fault(FaultKind.TOO_LONG, detail, self._at_work))


_FAULTS = (aiohttp.ClientError, OSError)
"""What aiohttp raises for a request without a reply; `TimeoutError` is an `OSError`."""


def _decoded(data: bytes) -> object:
    """What JSON says. Servers write what is none, too, and Python takes it: NaN, lone surrogates, numbers beyond all bounds."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return json.loads(data)


def fault_of(error: Exception, *, at_work: bool) -> Fault:
    """What an exception of aiohttp or of the system means."""
    match error:
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            kind, detail = FaultKind.PROXY, ""
        case aiohttp.ConnectionTimeoutError():
            kind, detail = FaultKind.NO_CONNECTION_IN_TIME, ""
        case aiohttp.ClientConnectorDNSError():
            kind, detail = FaultKind.UNKNOWN_HOST, ""
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            kind, detail = FaultKind.NOT_SECURE, plain(str(error))
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno  # asyncio's own text for it ("Connect call failed (...)") says less than the system's
            kind, detail = (
                FaultKind.NO_CONNECTION,
                plain(os.strerror(number) if number else error.os_error.strerror or "no connection").lower(),
            )
        case aiohttp.SocketTimeoutError():
            kind, detail = FaultKind.SILENT, ""
        case TimeoutError():
            kind, detail = FaultKind.LATE, ""
        case aiohttp.ClientResponseError():
            kind, detail = FaultKind.NOT_HTTP, plain(error.message)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            kind, detail = FaultKind.BAD_URL, ""
        case aiohttp.ClientPayloadError() if isinstance(error.__cause__, ContentEncodingError):
            kind, detail = FaultKind.UNREADABLE, ""
        case _:
            kind, detail = FaultKind.BROKEN, ""
    return Fault(kind, detail, at_work)


def plain(text: str) -> str:
    r"""Make a server's words fit for one line of a message.

    >>> plain("a\x1b[31m \n\n b" + "c" * 1000)[:12]
    'a [31m bcccc'
    """
    head = text[: 4 * _SHOWN]
    line = " ".join("".join(char if char.isprintable() else " " for char in head).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


def error_text(body: bytes) -> str | None:
    """Give the `error` text of a JSON body: Ollama's own form, or the object of an OpenAI-like server; None if there is none."""
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return error_of(record) if isinstance(record, dict) else None


def error_of(record: Mapping[str, object]) -> str | None:
    """The same of a record that has been decoded; also in the forms of servers that have no `error` in it.

    >>> error_of({"error": "no such model"}), error_of({"error": {"message": "busy"}}), error_of({"error": 3})
    ('no such model', 'busy', None)
    >>> error_of({"object": "error", "message": "too long"}), error_of({"message": {"content": "Hi"}})
    ('too long', None)
    >>> error_of({"detail": "Not Found"}), error_of({"detail": [{"loc": ["body", "top_k"], "msg": "Extra inputs are not permitted"}]})
    ('Not Found', 'body.top_k: Extra inputs are not permitted')
    """
    error = record.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    elif error is None and record.get("object") == "error":
        error = record.get("message")
    elif error is None and isinstance(detail := record.get("detail"), list):  # FastAPI's own refusal of a request
        error = "; ".join(_of_field(one) for one in detail[:8] if isinstance(one, dict)) or None
    elif error is None:
        error = record.get("detail")
    return error if isinstance(error, str) else None


def _of_field(detail: Mapping[str, object]) -> str:
    place = detail.get("loc")
    return f"{'.'.join(map(str, place)) if isinstance(place, list) else ''}: {detail.get('msg')}"


def proxy_for(url: URL) -> str | None:
    """The proxy that the environment (or the system) names for this URL; never one for a server on this machine."""
    if is_here(url.host or "") or urllib.request.proxy_bypass(url.host or ""):
        return None
    return urllib.request.getproxies().get(url.scheme)


def is_here(host: str) -> bool:
    """Whether an address or a name means this machine alone.

    >>> is_here("127.0.0.1"), is_here("localhost"), is_here("::1"), is_here("tauri.localhost")
    (True, True, True, True)
    >>> is_here("0.0.0.0"), is_here("127.0.0.1.evil.org"), is_here("models.example")
    (False, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def when_down(where: str, here: str, environ: Mapping[str, str] = os.environ) -> str:
    """What to do when nothing answers at a URL; `here` is what to do about a server of this machine.

    >>> when_down("http://127.0.0.1:11434", "is it running? (`ollama serve`)", {})
    'is it running? (`ollama serve`)'
    >>> when_down("http://10.0.0.7:11434", "is it running? (`ollama serve`)", {})
    'is a server running at that address?'
    >>> when_down("http://qwen:11434", "is it running? (`ollama serve`)", {"KUBERNETES_SERVICE_HOST": "10.43.0.1"})
    'is its pod running? (`kubectl get pods`)'
    """
    if is_here(URL(where).host or ""):
        return here
    return "is its pod running? (`kubectl get pods`)" if in_pod(environ) else "is a server running at that address?"
