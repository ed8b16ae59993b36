"""HTTP to a running service: requests out, checked events in, every failure one line that names the service and what to do.

What comes in is bounded in size, and in time by the service's own heartbeats. The token goes to the service alone: no redirect is
followed. A proxy that the environment names is used as by other programs, but never for a service on this machine.
"""

from __future__ import annotations

import ipaddress
import os
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import msgspec
from yarl import URL

from gork.config.schema import Secret
from gork.config.urls import masked
from gork.engines.ollama.errors import error_field, plain
from gork.engines.ollama.wire import MAX_LINE, MAX_REPLY, LineSplitter
from gork.errors import GorkError
from gork.wire import BadEvent, WireEvent, decode

SILENCE_S = 60.0
"""Without a byte for this long, heartbeats included, the service is taken to be gone."""
_MOST_OF_AN_ERROR = 64 * 2**10
_T = TypeVar("_T")


class ServiceError(GorkError):
    """Raised when a running service does not do what it was asked; the message names its URL."""


class NoService(ServiceError):
    """Raised when there is no service of ours where one was said to be."""


class EventReader:
    r"""Cuts a stream of server-sent events into kinds and data; comments and other fields are left out.

    >>> reader = EventReader()
    >>> reader.feed(b": beat\n\nevent: token\nda"), reader.feed(b'ta: {"a":\ndata: 1}\r\n\n')
    ([], [('token', b'{"a":\n1}')])
    """

    def __init__(self) -> None:
        self._lines = LineSplitter(MAX_LINE)
        self._kind, self._data, self._size = "message", list[bytes](), 0

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """Take in a chunk and give the events that it completes; an `OverflowError` says that one is too long."""
        events = []
        for ended in self._lines.feed(chunk):
            line = ended.removesuffix(b"\r")
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if not line:
                if self._data:
                    events.append((self._kind, b"\n".join(self._data)))
                self._kind, self._data, self._size = "message", [], 0
            elif field == b"event":
                self._kind = value.decode("utf-8", "replace")
            elif field == b"data":
                self._data.append(value)
                self._size += len(value) + 1
                if self._size > MAX_LINE:
                    raise OverflowError(f"an event longer than {MAX_LINE} bytes")
        return events


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One service: where it is, and how it is asked."""

    url: str
    token: Secret | None
    connect_s: float
    again: str
    """What a person can do when a turn broke off."""

    def error(self, what: str, kind: type[ServiceError] = ServiceError) -> ServiceError:
        """Make an error about this service."""
        return kind(f"the service at {masked(self.url)} {what}")

    async def get(self, path: str, to: type[_T], *, within_s: float) -> _T:
        """Ask for a record. Raises a `ServiceError`, a `NoService` if what answers has nothing of the kind."""
        timeout = aiohttp.ClientTimeout(total=within_s, connect=self.connect_s)
        async with self._reply("GET", path, None, timeout) as reply:
            content = bytearray()
            while chunk := await self._chunk(reply):
                content += chunk
                if len(content) > MAX_LINE:
                    raise self._foreign(f"its reply is longer than {MAX_LINE} bytes")
        try:
            return msgspec.json.decode(bytes(content), type=to)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._foreign(f"its reply to {path} is another one: {plain(str(error))}") from None

    async def events(self, path: str, body: object, take: Callable[[WireEvent], _T | None]) -> _T:
        """Send a request that is answered by events, and give each to `take` until that returns something.

        Leaving it, however that happens, closes the connection, and the service stops what it does for it. Raises a `ServiceError`.
        """
        events, total = EventReader(), 0
        timeout = aiohttp.ClientTimeout(total=None, connect=self.connect_s, sock_read=SILENCE_S)
        async with self._reply("POST", path, msgspec.json.encode(body), timeout) as reply:
            if reply.content_type != "text/event-stream":
                raise self._foreign(f"its reply to {path} is {plain(reply.content_type)}")
            while chunk := await self._chunk(reply):
                total += len(chunk)
                try:
                    if total > MAX_REPLY:
                        raise OverflowError(f"more than {MAX_REPLY} bytes")
                    complete = events.feed(chunk)
                except OverflowError as error:
                    raise self.error(f"sent {error}: is it another program?") from None
                for kind, data in complete:
                    if (event := self._read(kind, data)) is not None and (result := take(event)) is not None:
                        return result
        raise self.error(f"went away before the turn had ended: {self.again}")

    def _read(self, kind: str, data: bytes) -> WireEvent | None:
        try:
            return decode(kind, data)
        except BadEvent as error:
            raise self.error(f"sent what is no {plain(kind)[:40]} event: {plain(str(error))}; is it another version?") from None

    @asynccontextmanager
    async def _reply(
        self, method: str, path: str, body: bytes | None, timeout: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and give its reply if the status is 200; leaving closes the connection."""
        url = URL(self.url) / path.lstrip("/")
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.reveal()}"
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            with self._translated():
                reply = await session.request(
                    method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False, proxy=self._proxy(url)
                )
            try:
                if reply.status != 200:
                    raise await self._refusal(reply)
                yield reply
            finally:
                reply.close()

    def _proxy(self, url: URL) -> str | None:
        """The proxy that the environment (or the system) names for this URL."""
        if _is_here(url.host or "") or urllib.request.proxy_bypass(url.host or ""):
            return None
        proxy = urllib.request.getproxies().get(url.scheme)
        if proxy is not None and not proxy.startswith(("http://", "https://")):
            raise self.error(f"would be asked through {masked(proxy)}, which is no HTTP proxy: put its host into NO_PROXY")
        return proxy

    async def _chunk(self, reply: aiohttp.ClientResponse) -> bytes:
        """Give what has come in; nothing at the end."""
        with self._translated():
            return await reply.content.readany()

    async def _refusal(self, reply: aiohttp.ClientResponse) -> ServiceError:
        """Make an error of a reply whose status is not 200."""
        start = bytearray()
        while len(start) < _MOST_OF_AN_ERROR and (chunk := await self._chunk(reply)):
            start += chunk
        said = error_field(bytes(start[:_MOST_OF_AN_ERROR]))
        words, status = plain(said or ""), reply.status
        if status == 401:
            refused = "does not accept the token that it was sent" if self.token is not None else "needs a token"
            return self.error(f"{refused} (HTTP 401): set GORK_TOKEN or GORK_TOKEN_FILE")
        if 300 <= status < 400:
            target = plain(masked(reply.headers.get("Location", "")))
            return self.error(
                f"redirects to {target or 'nowhere'} (HTTP {status}), which is not followed: give the URL it should be asked at"
            )
        if said is None:
            behind = "; is the service behind this proxy running?" if status in {502, 503, 504} else ""
            return self._foreign(f"it answers HTTP {status}{behind}")
        if status == 404:
            return self._foreign(f"it answers HTTP 404, {words}")
        if status == 503:
            after = reply.headers.get("Retry-After", "")
            soon = f"in {after} s" if after.isdecimal() and len(after) < 6 else "later"
            return self.error(f"is busy: {words}; {self.again} {soon}")
        return self.error(f"refused this (HTTP {status}): {words}")

    def _foreign(self, why: str) -> ServiceError:
        return self.error(f"is no service of this program ({why}): check the URL", NoService)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what aiohttp raises into our errors."""
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> ServiceError:
        match error:
            case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
                what = "cannot be reached through the proxy that the environment names: correct it or set NO_PROXY"
            case aiohttp.ConnectionTimeoutError():
                what = "cannot be reached: no connection in time"
            case aiohttp.ClientConnectorDNSError():
                what = "cannot be reached: its host name is not known"
            case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
                what = f"cannot be reached: no secure connection ({plain(str(error))})"
            case aiohttp.ClientConnectorError():
                number = error.os_error.errno
                what = f"cannot be reached: {(os.strerror(number) if number else 'no connection').lower()}"
            case aiohttp.SocketTimeoutError():
                what = f"has sent nothing for {SILENCE_S:g} s, it is gone or stuck: {self.again}"
            case TimeoutError():
                what = "does not reply in time: is it overloaded?"
            case aiohttp.ClientResponseError():
                return self._foreign(f"it does not speak HTTP: {plain(error.message)}")
            case _:
                what = f"went away: {self.again}"
        return self.error(what, NoService)


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
