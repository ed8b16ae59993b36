"""A scripted model server on a real port, for what a real one cannot be made to do on demand: `FakeOllama`, `FakeOpenAI`.

Nothing in here sleeps: a reply that has to wait does so for an `asyncio.Event` of the test, and `until` waits for what the test names.
Every request is kept in `requests`. A chat that its client left before it was complete is in `cancelled`.
"""

from __future__ import annotations

import abc
import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

Body = dict[str, Any]


@dataclass
class Reply:
    """One answer to a chat. A plain text is cut into words; `tokens` are sent as they are."""

    text: str = ""
    tokens: Sequence[str] | None = None
    thinking: str = ""
    gate: asyncio.Event | None = None
    """Waited for before anything is sent, the status included (as while a prompt is being read)."""
    pauses: Mapping[int, asyncio.Event] = field(default_factory=dict)
    """Waited for before the token with this index, or (with the number of tokens as index) before the end."""
    status: int = 200
    error: str | None = None
    """The error of a status other than 200; else a line in place of the end of the stream."""
    cut: bool = False
    """Reset the connection in place of the end."""
    unfinished: bool = False
    """End without `done: true`."""
    done_reason: str = "stop"
    done: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the last record that differ from what a real server says."""
    logprob: float = -0.5
    raw: bytes | None = None
    """Sent in place of everything above, with `headers`."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def pieces(self) -> Sequence[str]:
        """The text as the tokens that are streamed."""
        return self.tokens if self.tokens is not None else re.findall(r"\s*\S+|\s+$", self.text)


@dataclass
class Request:
    """One request that came in; `connection` is the client's port."""

    path: str
    body: Body
    headers: Mapping[str, str]
    connection: int


Script = Callable[[Body], Reply | str]
Leaning = Mapping[str, float]
"""Tokens with the log-probabilities that they have as the next one."""


class FakeServer(abc.ABC):
    """A server with these models; what they say is scripted by `say`, `answer_with` and `lean`."""

    chat_path: str
    """Where chats are sent, as the server sees it."""
    content_type: str
    """Of a stream."""

    def __init__(self, *models: str) -> None:
        self.models = list(models)
        self.load_gates: dict[str, asyncio.Event] = {}
        """A model with a gate loads when that is set."""
        self.pages: dict[str, Reply] = {}
        """Paths that are answered with a reply's `raw` or `error`, whatever they are asked."""
        self.away = 0
        """So many connections more are broken before anything is answered, as those to a server that is being restarted."""
        self.requests: list[Request] = []
        self.cancelled: list[str] = []
        self.in_progress = 0
        self.peak = 0
        self._scripts: dict[str, Script] = {}
        self._leanings: dict[str, Callable[[str], Leaning]] = {}
        self._changed = asyncio.Condition()
        self._tellings: set[asyncio.Future[None]] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._route)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    # --- the script

    def say(self, model: str, *replies: Reply | str) -> None:
        """Answer chats with these, one after the other; the last one again and again."""
        left = list(replies)
        self.answer_with(model, lambda _: left.pop(0) if len(left) > 1 else left[0])

    def answer_with(self, model: str, script: Script) -> None:
        """Answer chats with what the function makes of the request."""
        self._scripts[model] = script

    def lean(self, model: str, leaning: Leaning | Callable[[str], Leaning]) -> None:
        """Give next tokens these log-probabilities, or what the function makes of the prompt; {} stands for a server without any."""
        self._leanings[model] = leaning if callable(leaning) else lambda _: leaning

    def leaning(self, model: str, prompt: str) -> Leaning:
        """The log-probabilities of the next token."""
        return self._leanings.get(model, lambda _: {" A": -0.2, " B": -2.0, " C": -3.0})(prompt)

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until the condition holds; looked at whenever a request comes, moves on or ends."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    def bodies(self, path: str) -> list[Body]:
        """The bodies of the requests to a path."""
        return [request.body for request in self.requests if request.path == path]

    @property
    @abc.abstractmethod
    def chats(self) -> list[Body]:
        """The chats that asked for an answer."""

    # --- the server

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _route(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read() or b"{}")
        assert request.transport is not None
        if self.away:
            self.away -= 1
            request.transport.abort()
            return web.Response()
        connection = request.transport.get_extra_info("peername")[1]
        self.requests.append(Request(request.path, body, dict(request.headers), connection))
        await self._tell()
        if request.path in self.pages:
            return await self._send(request, body, self.pages[request.path])
        return await self._serve(request, body)

    @abc.abstractmethod
    async def _serve(self, request: web.Request, body: Body) -> web.StreamResponse:
        """Answer a request that is no page of the test's."""

    @abc.abstractmethod
    async def _answered(self, request: web.Request, body: Body) -> web.StreamResponse:
        """Answer a chat that names a model which is there."""

    @abc.abstractmethod
    def _records(self, body: Body, reply: Reply) -> list[bytes | asyncio.Event]:
        """What is sent, and in between what is waited for."""

    @abc.abstractmethod
    def _error(self, text: str | None) -> Body:
        """The record of an error."""

    async def _ask(self, request: web.Request, body: Body) -> web.StreamResponse:
        try:
            return await self._answered(request, body)
        except asyncio.CancelledError:
            self.cancelled.append(body["model"])
            raise
        finally:
            telling = asyncio.ensure_future(self._tell())  # not awaited: this task may be a cancelled one
            self._tellings.add(telling)
            telling.add_done_callback(self._tellings.discard)

    async def _chat(self, request: web.Request, body: Body) -> web.StreamResponse:
        self.in_progress += 1
        self.peak = max(self.peak, self.in_progress)
        await self._tell()
        try:
            reply = self._scripts.get(body["model"], lambda _: "Hello there.")(body)
            return await self._send(request, body, Reply(reply) if isinstance(reply, str) else reply)
        finally:
            self.in_progress -= 1

    async def _send(self, request: web.Request, body: Body, reply: Reply) -> web.StreamResponse:
        if reply.gate is not None:
            await reply.gate.wait()
        if reply.raw is not None:
            return web.Response(status=reply.status, body=reply.raw, headers=reply.headers)
        if reply.status != 200:
            return web.json_response(self._error(reply.error), status=reply.status, headers=reply.headers)
        response = web.StreamResponse(headers={"Content-Type": self.content_type})
        await response.prepare(request)
        for record in self._records(body, reply):
            if isinstance(record, asyncio.Event):
                await self._tell()
                await record.wait()
            else:
                await response.write(record)
        if reply.cut:
            assert request.transport is not None
            request.transport.abort()
        return response
