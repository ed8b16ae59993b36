"""A scripted Ollama on a real port.

async with FakeOllama("qwen3:0.6b", "gemma3:1b") as server:
    server.say("qwen3:0.6b", "First answer.", Reply("half", cut=True))   # one after the other, the last one again and again
    server.lean("gemma3:1b", {" A": -0.2, " B": -1.9})                   # what it makes of labels
    ... engine(host=server.url) ...
    assert server.peak == 3                                              # chats that were being answered at the same time
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from tests.support.fake_server import Body, FakeServer, Reply, Request

__all__ = ["FakeOllama", "Reply", "Request"]


def _only_read(body: Body) -> bool:
    """Whether a chat asks for one token that nobody looks at."""
    return body["options"].get("num_predict") == 1 and not body["stream"] and not body.get("logprobs")


class FakeOllama(FakeServer):
    """An Ollama server with these models."""

    chat_path = "/api/chat"
    content_type = "application/x-ndjson"

    def __init__(self, *models: str, version: str = "0.32.15") -> None:
        super().__init__(*models)
        self.version = version
        self.loaded: dict[str, int] = {}
        """Models in memory with their context; a chat or a preload puts them there."""
        self.size = 200_000_000
        """Bytes of each model."""
        self.renders = True
        """Whether `_debug_render_only` is known."""
        self.pulls: dict[str, Sequence[Mapping[str, Any]]] = {}

    @property
    def chats(self) -> list[Body]:
        """The chats that asked for text: no preloads, no renderings, nothing that was only read ahead."""
        return [
            body for body in self.bodies("/api/chat") if body["messages"] and not body.get("_debug_render_only") and not _only_read(body)
        ]

    @property
    def read_ahead(self) -> list[Body]:
        """The chats that asked for nothing but to be read."""
        return [body for body in self.bodies("/api/chat") if body["messages"] and _only_read(body)]

    async def _serve(self, request: web.Request, body: Body) -> web.StreamResponse:
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
        return {
            "name": model,
            "model": model,
            "digest": f"{zlib.crc32(model.encode()):064x}",
            "size": self.size,
            "details": {"format": "gguf"},
        }

    async def _answered(self, request: web.Request, body: Body) -> web.StreamResponse:
        model = body["model"]
        if model not in self.models:
            return web.json_response({"error": f"model '{model}' not found"}, status=404)
        if not body.get("messages", True) and body.get("keep_alive") == 0:
            self.loaded.pop(model, None)
            return web.json_response({**self._head(model), "done": True, "done_reason": "unload"})
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

    def _error(self, text: str | None) -> Body:
        return {"error": text}

    def _head(self, model: str) -> Body:
        return {"model": model, "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": ""}}

    def _render(self, body: Body) -> str:
        return "".join(f"<{message['role']}>{message['content']}\n" for message in body["messages"]) + "<assistant>"

    def _records(self, body: Body, reply: Reply) -> list[bytes | asyncio.Event]:
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
        return [record if isinstance(record, asyncio.Event) else json.dumps(record).encode() + b"\n" for record in records]

    def _counts(self, body: Body, tokens: int) -> Body:
        prompt = sum(len(message["content"]) // 4 + 4 for message in body.get("messages", [])) or len(body.get("prompt", "")) // 4
        return {"total_duration": 9, "prompt_eval_count": prompt, "prompt_eval_duration": 3, "eval_count": tokens, "eval_duration": 5}

    def _next_token(self, body: Body) -> web.Response:
        """Answer what is not streamed: one token with its alternatives, or with a schema the likeliest label in quotes."""
        model = body["model"]
        prompt = body.get("prompt") or self._render(body)
        leaning = self.leaning(model, prompt)
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
