"""One model server as it is asked: requests out, checked JSON records in, every failure a `ModelError`.

Knows nothing of chats or models.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import aiohttp
from yarl import URL

from gork.config.schema import Secret
from gork.config.urls import masked
from gork.engines.http import STANDARD_LIMITS, Cutter, EventReader, HttpClient, HttpLimits, LineSplitter, error_of, proxy_for
from gork.engines.records import Record
from gork.engines.spot import ServerKind, Spot
from gork.errors import ConfigError, Unreachable

_T = TypeVar("_T")


def server_url(text: str, asked_by: str) -> tuple[URL, str]:
    """Give a server's URL, and the form of it that can be shown (without credentials).

    >>> server_url("http://me:secret@host:11434/", "qwen")[1]
    'http://host:11434'
    """
    try:
        url = URL(text.rstrip("/"))
        port = url.port
    except ValueError:
        raise ConfigError([f"{asked_by}: its URL cannot be read; write it as http://HOST:PORT"]) from None
    if url.scheme not in {"http", "https"} or not url.host or not port:
        raise ConfigError([f"{asked_by}: its URL has no http:// or https://, no host or no port; write it as http://HOST:PORT"])
    url = url.with_query(None).with_fragment(None)
    return url, str(url.with_user(None)).rstrip("/")


@dataclass(frozen=True, slots=True)
class ServerClient:
    """One server, asked in the name of one member."""

    session: Callable[[], aiohttp.ClientSession]
    base: URL
    spot: Spot
    limits: HttpLimits = STANDARD_LIMITS
    brief_s: float = 10.0
    """For questions that a server answers at once, busy or not."""
    proxied: bool = False
    """Whether a proxy that the environment names is used: for servers of other people, not for the machines of a cluster."""

    @classmethod
    def of(
        cls,
        url: str,
        asked_by: str,
        server: ServerKind,
        session: Callable[[], aiohttp.ClientSession],
        *,
        limits: HttpLimits = STANDARD_LIMITS,
        brief_s: float = 10.0,
        key: Secret | None = None,
        proxied: bool = False,
    ) -> ServerClient:
        """The client of the server at a URL; `key` goes there and nowhere else. Raises a `ConfigError` for a URL that is none."""
        base, shown = server_url(url, asked_by)
        return cls(session, base, Spot(asked_by, shown, server, key=key), limits, brief_s, proxied)

    def about(self, tag: str) -> ServerClient:
        """Give the same client with messages that name this model."""
        return self if tag == self.spot.tag else replace(self, spot=replace(self.spot, tag=tag))

    @property
    def root(self) -> ServerClient:
        """Give the same client without the last part of its path: what a server has beside its /v1."""
        return replace(self, base=self.base.parent)

    async def ask(self, path: str, body: Mapping[str, object] | None = None, *, timeout_s: float | None, at_work: bool = False) -> Record:
        """Send a request that is answered by one record; a GET without a body."""
        return self._checked(await self._http.record(path, _encoded(body), timeout_s=timeout_s, at_work=at_work))

    async def lines(
        self, path: str, body: Mapping[str, object], take: Callable[[Record], _T | None], *, idle_s: float | None = None
    ) -> _T | None:
        """Send a request that is answered by lines, and give each record to `take` until that returns something.

        None means that the stream ended without it. `idle_s` bounds the wait for each chunk, for callers without a deadline of their own.
        """
        http = self._http
        async with http.reply(path, _encoded(body), idle_s=idle_s, at_work=True) as reply:

            def read(line: bytes) -> _T | None:
                return take(self._checked(http.object_of(line, reply.content_type))) if line.strip() else None

            return await reply.follow(LineSplitter(self.limits.line), read)

    async def events(self, path: str, body: Mapping[str, object], take: Callable[[Record | None], _T | None]) -> _T | None:
        """Send a request that is answered by server-sent events, and give each record to `take` until that returns something.

        `take` gets None for the end mark ([DONE]). A server that does not stream answers with one record: that is taken likewise.
        """
        http = self._http
        async with http.reply(path, _encoded(body), at_work=True) as reply:

            def read(event: tuple[str, bytes]) -> _T | None:
                kind, data = event
                if data.strip() == b"[DONE]":
                    return take(None)
                record = http.object_of(data, reply.content_type)
                return take(self._checked({"error": record} if kind == "error" and "error" not in record else record))

            return await reply.follow(EventsOrWhole(self.limits.line), read)

    @property
    def _http(self) -> HttpClient:
        proxy = proxy_for(self.base) if self.proxied else None
        if proxy is not None and not proxy.startswith(("http://", "https://")):
            raise self.spot.error(
                Unreachable, f"the environment names {masked(proxy)}, which is no HTTP proxy", "put its host into NO_PROXY"
            )
        key = self.spot.key
        headers = {} if key is None else {"Authorization": f"Bearer {key.reveal()}"}
        return HttpClient(session=self.session, base=self.base, translator=self.spot, headers=headers, proxy=proxy, limits=self.limits)

    def _checked(self, record: Record) -> Record:
        """The record; an error in it is raised."""
        if record.get("error") is not None or (record.get("object") == "error" and error_of(record) is not None):
            raise self.spot.told(record)
        return record


class EventsOrWhole:
    r"""Cuts a reply into server-sent events, or, if it does not begin as a stream of events does, takes it as one whole.

    >>> whole = EventsOrWhole()
    >>> whole.feed(b' {"a":'), whole.feed(b"1}"), whole.rest()
    ([], [], [('message', b' {"a":1}')])
    >>> EventsOrWhole().feed(b"data: 1\n\n")
    [('message', b'1')]
    """

    _FIELDS = (b"data", b"event", b"id", b"retry", b"error", b":")

    def __init__(self, most: int = STANDARD_LIMITS.line) -> None:
        self._most, self._start = most, bytearray()
        self._cutter: Cutter[tuple[str, bytes]] | None = None

    def feed(self, chunk: bytes) -> Sequence[tuple[str, bytes]]:
        """Take in a chunk and give the events that it completes; an `OverflowError` says that one is too long."""
        if self._cutter is not None:
            return self._cutter.feed(chunk)
        self._start += chunk
        if len(self._start) > self._most:
            raise OverflowError(f"a record longer than {self._most} bytes")
        if self._start.lstrip().startswith(self._FIELDS):
            self._cutter = EventReader(self._most)
            return self._cutter.feed(bytes(self._start))
        return []

    def rest(self) -> Sequence[tuple[str, bytes]]:
        """Give the whole, if it was one."""
        return [("message", bytes(self._start))] if self._cutter is None and self._start.strip() else []


def _encoded(body: Mapping[str, object] | None) -> bytes | None:
    return None if body is None else json.dumps(body).encode()
