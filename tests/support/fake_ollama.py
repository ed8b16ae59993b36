"""A scripted Ollama on a real port, for what a real one cannot be made to do on demand.

    async with FakeOllama("qwen3:0.6b", "gemma3:1b") as server:
        server.say("qwen3:0.6b", "First answer.", Reply("half", cut=True))   # one after the other, the last one again and again
        server.lean("gemma3:1b", {" A": -0.2, " B": -1.9})                   # what it makes of labels
        ... engine(host=server.url) ...
        assert server.peak == 3                                              # chats that were being answered at the same time

Nothing in here sleeps: a reply that has to wait does so for an `asyncio.Event` of the test, and `until` waits for what the test names.
Every request is kept in `requests`. A chat that its client left before it was complete is in `cancelled`.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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


class FakeOllama:
    """An Ollama server with these models; what they say is scripted by `say`, `answer_with` and `lean`."""

    def __init__(self, *models: str, version: str = "0.32.15") -> None:
        self.models = list(models)
        self.version = version
        self.loaded: dict[str, int] = {}
        """Models in memory with their context; a chat or a preload puts them there."""
        self.load_gates: dict[str, asyncio.Event] = {}
        """A model with a gate loads when that is set."""
        self.renders = True
        """Whether `_debug_render_only` is known."""
        self.pulls: dict[str, Sequence[Mapping[str, Any]]] = {}
        self.pages: dict[str, Reply] = {}
        """Paths that are answered with a reply's `raw` or `error`, whatever they are asked."""
        self.requests: list[Request] = []
        self.cancelled: list[str] = []
        self.in_progress = 0
        self.peak = 0
        self._scripts: dict[str, Script] = {}
        self._leanings: dict[str, Callable[[str], Leaning]] = {}
        self._changed = asyncio.Condition()
        self._tellings: set[asyncio.Future[None]] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> FakeOllama:
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

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until the condition holds; looked at whenever a request comes, moves on or ends."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    def bodies(self, path: str) -> list[Body]:
        """The bodies of the requests to a path."""
        return [request.body for request in self.requests if request.path == path]

    @property
    def chats(self) -> list[Body]:
        """The chats that asked for text: no preloads, no renderings."""
        return [body for body in self.bodies("/api/chat") if body["messages"] and not body.get("_debug_render_only")]

    # --- the server

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _route(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read() or b"{}")
        assert request.transport is not None
        connection = request.transport.get_extra_info("peername")[1]
        self.requests.append(Request(request.path, body, dict(request.headers), connection))
        await self._tell()
        if request.path in self.pages:
            return await self._send(request, body, self.pages[request.path])
        match request.path:
            case "/api/version":
                return web.json_response({"version": self.version})
            case "/api/tags":
                return web.json_response({"models": [self._row(model) for model in self.models]})
            case "/api/ps":
                return web.json_response(
                    {"models": [{**self._row(model), "context_length": context} for model, context in self.loaded.items()]}
                )
            case "/api/chat" | "/api/generate" | "/api/pull":
                return await (self._pull if request.path == "/api/pull" else self._ask)(request, body)
        return web.Response(status=404, text="404 page not found")

    def _row(self, model: str) -> Body:
        return {"name": model, "model": model, "digest": f"{zlib.crc32(model.encode()):064x}", "size": 1, "details": {"format": "gguf"}}

    async def _ask(self, request: web.Request, body: Body) -> web.StreamResponse:
        model = body["model"]
        if model not in self.models:
            return web.json_response({"error": f"model '{model}' not found"}, status=404)
        try:
            if model not in self.loaded and model in self.load_gates:
                await self.load_gates[model].wait()
            self.loaded.setdefault(model, body["options"].get("num_ctx", 4096))
            if not body.get("messages", True):
                return web.json_response({**self._head(model), "done": True, "done_reason": "load"})
            if body.get("_debug_render_only") and self.renders:
                return web.json_response({"model": model, "done": False, "_debug_info": {"rendered_template": self._render(body)}})
            if body["stream"]:
                return await self._chat(request, body)
            return self._next_token(body)
        except asyncio.CancelledError:
            self.cancelled.append(model)
            raise
        finally:
            telling = asyncio.ensure_future(self._tell())  # not awaited: this task may be a cancelled one
            self._tellings.add(telling)
            telling.add_done_callback(self._tellings.discard)

    def _head(self, model: str) -> Body:
        return {"model": model, "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": ""}}

    def _render(self, body: Body) -> str:
        return "".join(f"<{message['role']}>{message['content']}\n" for message in body["messages"]) + "<assistant>"

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
            return web.json_response({"error": reply.error}, status=reply.status)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for record in await self._records(body, reply):
            if isinstance(record, asyncio.Event):
                await self._tell()
                await record.wait()
            else:
                await response.write(json.dumps(record).encode() + b"\n")
        if reply.cut:
            assert request.transport is not None
            request.transport.abort()
        return response

    async def _records(self, body: Body, reply: Reply) -> list[Body | asyncio.Event]:
        """What is sent, and in between what is waited for."""
        head = self._head(body.get("model", ""))
        records: list[Body | asyncio.Event] = []
        if reply.thinking:
            records.append({**head, "message": {"role": "assistant", "content": "", "thinking": reply.thinking}, "done": False})
        for index, piece in enumerate(reply.pieces):
            if index in reply.pauses:
                records.append(reply.pauses[index])
            record = {**head, "message": {"role": "assistant", "content": piece}, "done": False}
            if body.get("logprobs"):
                record["logprobs"] = [{"token": piece, "logprob": reply.logprob, "top_logprobs": []}]
            records.append(record)
        if len(reply.pieces) in reply.pauses:
            records.append(reply.pauses[len(reply.pieces)])
        if reply.error is not None:
            records.append({"error": reply.error})
        elif not (reply.cut or reply.unfinished):
            records.append({**head, "done": True, "done_reason": reply.done_reason, **self._counts(body, len(reply.pieces)), **reply.done})
        return records

    def _counts(self, body: Body, tokens: int) -> Body:
        prompt = sum(len(message["content"]) // 4 + 4 for message in body.get("messages", [])) or len(body.get("prompt", "")) // 4
        return {"total_duration": 9, "prompt_eval_count": prompt, "prompt_eval_duration": 3, "eval_count": tokens, "eval_duration": 5}

    def _next_token(self, body: Body) -> web.Response:
        """Answer what is not streamed: one token with its alternatives, or with a schema the likeliest label in quotes."""
        model = body["model"]
        prompt = body.get("prompt") or self._render(body)
        leaning = self._leanings.get(model, lambda _: {" A": -0.2, " B": -2.0, " C": -3.0})(prompt)
        likely = [{"token": token, "logprob": value} for token, value in sorted(leaning.items(), key=lambda pair: -pair[1])][:20]
        says = likely[0]["token"] if likely else "I"
        tokens = [{"token": says, "logprob": -1.0, "top_logprobs": likely}]
        if labels := (body.get("format") or {}).get("enum"):
            says = f'"{labels[-1]}"'
            tokens = [{"token": '"', "logprob": -9.0, "top_logprobs": []}, *tokens]
        reply = {**self._head(model), "done": True, "done_reason": "length", **self._counts(body, 1)}
        reply |= {"response": says} if "prompt" in body else {"message": {"role": "assistant", "content": says}}
        if body.get("logprobs") and likely:
            reply["logprobs"] = tokens
        return web.json_response(reply)

    async def _pull(self, request: web.Request, body: Body) -> web.StreamResponse:
        model = body["model"]
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for record in self.pulls.get(model, [{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}]):
            await response.write(json.dumps(record).encode() + b"\n")
            if record.get("status") == "success":
                self.models.append(model)
        return response
