"""One Ollama server as it is asked: requests out, checked JSON records in, every failure a `ModelError`.

Knows nothing of chats or models.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import aiohttp
from yarl import URL

from gork.engines.http import STANDARD_LIMITS, HttpClient, HttpLimits, LineSplitter, error_of, plain
from gork.engines.ollama.errors import Spot, from_text

Record = Mapping[str, object]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class OllamaClient:
    """One server, asked in the name of one member."""

    session: Callable[[], aiohttp.ClientSession]
    base: URL
    spot: Spot
    limits: HttpLimits = STANDARD_LIMITS
    brief_s: float = 10.0
    """For questions that a server answers at once, busy or not."""

    def about(self, tag: str) -> OllamaClient:
        """Give the same client with messages that name this model."""
        return replace(self, spot=replace(self.spot, tag=tag))

    async def ask(self, path: str, body: Mapping[str, object] | None = None, *, timeout_s: float | None, at_work: bool = False) -> Record:
        """Send a request that is answered by one record; a GET without a body."""
        return self._checked(await self._http.record(path, _encoded(body), timeout_s=timeout_s, at_work=at_work))

    async def stream(
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

    @property
    def _http(self) -> HttpClient:
        return HttpClient(session=self.session, base=self.base, translator=self.spot, limits=self.limits)

    def _checked(self, record: Record) -> Record:
        """The record; an `error` in it is raised."""
        if "error" in record:
            raise from_text(self.spot, error_of(record) or plain(str(record["error"])))
        return record


def _encoded(body: Mapping[str, object] | None) -> bytes | None:
    return None if body is None else json.dumps(body).encode()
