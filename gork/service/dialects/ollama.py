"""Ollama's HTTP dialect: chat and generate, answered by the ensemble or by one member.

`/api/version` gives the version of Ollama whose API this follows, not this program's: clients compare it with the least that they need.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gork.errors import GorkError
from gork.service.bodies import read_body
from gork.service.dialects import ollama_catalogue
from gork.service.dialects.catalogue import Catalogue, Served
from gork.service.dialects.ollama_records import ChatMessage, ChatRequest, GenerateRequest, drafts_of, format_of, options_of, unloads
from gork.service.dialects.replies import Anew, Answering, Part, Piece, Pulse, Reply, Thought, begun
from gork.service.dialects.requests import TASK_HEADER, Asked, Wishes, checked_text, understand
from gork.service.errors import BadRequest, NotFound
from gork.service.service import Service
from gork.service.streams import Stream, json_bytes
from gork.turn import Message

Record = dict[str, Any]
Form = Callable[[str, str], Record]
"""What carries the answer's text and the thinking: a message for chat, two fields for generate."""

ABSENT = {
    "pull": "models are not fetched through this service: /api/tags lists those that it has",
    "push": "models are not published by this service",
    "create": "models are not made by this service: write an ensemble file",
    "copy": "models are not copied by this service",
    "delete": "models are not deleted by this service",
    "embed": "this service answers questions, it makes no embeddings",
    "embeddings": "this service answers questions, it makes no embeddings",
    "blobs/{digest}": "this service keeps no blobs",
}
"""Parts of Ollama's API that are not here, each with the reason."""


def routes(service: Service) -> list[web.RouteDef]:
    """What it answers."""
    catalogue = Catalogue(service)
    api = _Api(service, catalogue)
    return [
        *ollama_catalogue.routes(service, catalogue),
        web.post("/api/chat", api.chat),
        web.post("/api/generate", api.generate),
        *(web.route("*", f"/api/{path}", _absent(why)) for path, why in ABSENT.items()),
    ]


def _absent(why: str) -> Callable[[web.Request], Any]:
    async def handler(_request: web.Request) -> web.Response:
        raise NotFound(why)

    return handler


class _Api:
    """The two routes that answer."""

    def __init__(self, service: Service, catalogue: Catalogue) -> None:
        self._service, self._catalogue = service, catalogue

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        body = await read_body(request, ChatRequest)
        model = self._catalogue.find(body.model)
        wishes = self._wishes(model, body)
        if body.tools:
            raise _lacks(body.model, "tools")
        messages = messages_of(body.messages or (), body.model)
        return await self._answer(request, model, body, wishes, messages) if messages else _nothing_asked(body, as_message)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """Answer a prompt."""
        body = await read_body(request, GenerateRequest)
        if not body.model:
            raise NotFound("model '' not found", param="model")
        model = self._catalogue.find(body.model)
        wishes = self._wishes(model, body)
        if body.suffix:
            raise _lacks(body.model, "insert")
        if body.images:
            raise _lacks(body.model, "vision")
        if body.raw or body.template:
            raise BadRequest("raw prompts and templates are one model's own: the members of an ensemble each have another")
        messages = prompt_of(body)
        return await self._answer(request, model, body, wishes, messages) if messages else _nothing_asked(body, as_response)

    def _wishes(self, model: Served, body: ChatRequest | GenerateRequest) -> Wishes:
        """What the request says besides its messages, checked even where nothing is asked."""
        unloads(body.keep_alive)
        if body.logprobs or body.top_logprobs:
            raise BadRequest("log-probabilities are not given here: leave out logprobs and top_logprobs", param="logprobs")
        drafts = drafts_of(body.think)
        if drafts and "thinking" not in model.capabilities:
            raise _lacks(body.model, "thinking")
        options, seed = options_of(body.options, self._service.ensemble.context)
        return Wishes(options=options, seed=seed, answer_format=format_of(body.format), drafts=drafts)

    async def _answer(
        self, request: web.Request, model: Served, body: ChatRequest | GenerateRequest, wishes: Wishes, messages: Sequence[Message]
    ) -> web.StreamResponse:
        asked = understand(self._service, model.member, messages, wishes, task=request.headers.get(TASK_HEADER))
        writer = _Writer(request, asked, body.model or "", as_message if isinstance(body, ChatRequest) else as_response)
        async with begun(self._service, asked) as answering:
            return await (writer.whole if body.stream is False else writer.stream)(answering)


class _Writer:
    """Writes one reply."""

    def __init__(self, request: web.Request, asked: Asked, model: str, form: Form) -> None:
        self._request, self._model, self._form = request, model, form
        self._began = time.perf_counter_ns()
        self._told = False

    async def whole(self, answering: Answering) -> web.Response:
        """Send one object, when all is over."""
        thoughts: list[str] = []

        async def tell(part: Part) -> None:
            if isinstance(part, Thought):
                thoughts.append(part.text)

        reply = await answering.follow(tell)
        body = json_bytes(self._last(reply, reply.text, "".join(thoughts).rstrip()))
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    async def stream(self, answering: Answering) -> web.StreamResponse:
        """Send a line for everything that happens."""
        stream = Stream(self._request, "application/x-ndjson")

        async def tell(part: Part) -> None:
            match part:
                case Thought(text):
                    await stream.write(self._line("", text))
                case Piece(text):
                    self._told = True
                    await stream.write(self._line(text, ""))
                case Pulse():
                    await stream.write(self._line("", ""))
                case Anew(why) if self._told:
                    raise GorkError(f"{why}, after a part of its answer had been sent: ask again")
                case Anew():
                    pass

        async def work() -> None:
            await stream.write(json_bytes(self._last(await answering.follow(tell), "", "")) + b"\n")

        await stream.begin(self._line("", ""))
        return await stream.run(work, lambda error: json_bytes({"error": str(error)}) + b"\n")

    def _line(self, text: str, thinking: str) -> bytes:
        return json_bytes({"model": self._model, "created_at": now(), **self._form(text, thinking), "done": False}) + b"\n"

    def _last(self, reply: Reply, text: str, thinking: str) -> Record:
        return {
            "model": self._model,
            "created_at": now(),
            **self._form(text, thinking),
            "done": True,
            "done_reason": reply.stop,
            "total_duration": time.perf_counter_ns() - self._began,
            "load_duration": _ns(reply.load_s),
            "prompt_eval_count": reply.prompt_tokens,
            "prompt_eval_duration": _ns(reply.first_token_s),
            "eval_count": reply.tokens,
            "eval_duration": _ns(max(reply.seconds - reply.first_token_s, 0.0)),
        }


def as_message(text: str, thinking: str) -> Record:
    """The form of `/api/chat`."""
    return {"message": {"role": "assistant", "content": text, **({"thinking": thinking} if thinking else {})}}


def as_response(text: str, thinking: str) -> Record:
    """The form of `/api/generate`."""
    return {"response": text, **({"thinking": thinking} if thinking else {})}


def messages_of(given: Sequence[ChatMessage], model: str | None) -> list[Message]:
    """The messages in plain form. Raises `BadRequest` for what no text can stand for."""
    messages: list[Message] = []
    for index, message in enumerate(given):
        if message.images:
            raise _lacks(model, "vision")
        if message.role == "tool" or message.tool_calls:
            raise _lacks(model, "tools")
        messages.append({"role": message.role, "content": checked_text(message.content or "", f"messages[{index}].content")})
    return messages


def prompt_of(body: GenerateRequest) -> list[Message]:
    """The prompt and its instructions in plain form; nothing if nothing is asked. Raises `BadRequest`."""
    if not body.prompt:
        return []
    messages: list[Message] = [{"role": "system", "content": checked_text(body.system, "system")}] if body.system else []
    return [*messages, {"role": "user", "content": checked_text(body.prompt, "prompt")}]


def now() -> str:
    """The time as Ollama writes it.

    >>> len(now()), now()[-1]
    (27, 'Z')
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _nothing_asked(body: ChatRequest | GenerateRequest, form: Form) -> web.Response:
    """Nothing is asked: clients do so to have a model loaded or unloaded. Both are the ensemble's own affair, so it only says so."""
    reason = "unload" if unloads(body.keep_alive) else "load"
    record = {"model": body.model, "created_at": now(), **form("", ""), "done": True, "done_reason": reason}
    return web.Response(body=json_bytes(record), content_type="application/json", charset="utf-8")


def _lacks(model: str | None, capability: str) -> BadRequest:
    return BadRequest(f'"{model}" does not support {capability}', param=capability)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
