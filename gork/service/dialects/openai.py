"""OpenAI's HTTP dialect: models and chat completions.

Drafts and verdict are in `reasoning` and, the same text, in `reasoning_content`: OpenAI has no field for it, the first is what Ollama and
OpenRouter send, the second what DeepSeek and vLLM do. Clients know one or the other; those that know both take the first they find.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gork.errors import GorkError
from gork.service.bodies import read_body
from gork.service.dialects.catalogue import Catalogue, Served, tagged
from gork.service.dialects.openai_records import ChatRequest, drafts_of, format_of, messages_of, options_of, refuse_unsupported
from gork.service.dialects.replies import Anew, Answering, Part, Piece, Pulse, Reply, Thought, begun
from gork.service.dialects.requests import TASK_HEADER, Asked, Wishes, understand
from gork.service.errors import BadRequest, NotFound, error_body, json_response, status_of
from gork.service.service import Service
from gork.service.streams import Stream, json_bytes

Record = dict[str, Any]
BEAT = b": beat\n\n"
DONE = b"data: [DONE]\n\n"
ABSENT = {
    "completions": "this service answers chats: use /v1/chat/completions",
    "responses": "this service answers chats: use /v1/chat/completions",
    "embeddings": "this service answers questions, it makes no embeddings",
    "images/generations": "this service answers questions, it makes no images",
    "audio/{what:.*}": "this service answers questions in text alone",
    "moderations": "this service answers questions, it does not rate texts",
}
"""Parts of OpenAI's API that are not here, each with the reason."""
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")


def routes(service: Service) -> list[web.RouteDef]:
    """What it answers."""
    api = _Api(service, Catalogue(service))
    return [
        web.get("/v1/models", api.models),
        web.get("/v1/models/{model:.+}", api.model),
        web.post("/v1/chat/completions", api.chat),
        *(web.route("*", f"/v1/{path}", _absent(why)) for path, why in ABSENT.items()),
    ]


def _absent(why: str) -> Any:  # noqa: ANN401 - aiohttp's own handlers
    async def handler(_request: web.Request) -> web.Response:
        raise NotFound(why)

    return handler


class _Api:
    """The three routes."""

    def __init__(self, service: Service, catalogue: Catalogue) -> None:
        self._service, self._catalogue = service, catalogue

    async def models(self, _request: web.Request) -> web.Response:
        """List the models."""
        return json_response({"object": "list", "data": [self._model(model) for model in self._catalogue.models]})

    async def model(self, request: web.Request) -> web.Response:
        """Describe one model."""
        name = request.match_info["model"]
        try:
            return json_response(self._model(self._catalogue.find(name)))
        except NotFound:
            raise NotFound(f"model '{tagged(name)}' not found", param="model", code="model_not_found") from None

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        body = await _body(request)
        model = self._catalogue.find(body.model)
        refuse_unsupported(body)
        wishes = Wishes(
            options=options_of(body, self._service.ensemble.context),
            seed=body.seed,
            answer_format=format_of(body.response_format),
            drafts=drafts_of(body),
        )
        task = request.headers.get(TASK_HEADER)
        asked = understand(self._service, model.member, messages_of(body.messages), wishes, task=task)
        writer = _Writer(request, asked, body, f"fp_{model.digest[:10]}")
        async with begun(self._service, asked) as answering:
            return await (writer.stream if body.stream else writer.whole)(answering)

    def _model(self, model: Served) -> Record:
        return {"id": model.name, "object": "model", "created": int(self._catalogue.since.timestamp()), "owned_by": "gork"}


async def _body(request: web.Request) -> ChatRequest:
    """The request's body; a mistake names its place in `param`."""
    try:
        return await read_body(request, ChatRequest)
    except BadRequest as error:
        place = _PLACE.search(str(error))
        missing = re.search("missing required field `([^`]*)`", str(error))
        parts = [part for part in (place and place[1], missing and missing[1]) if part]
        raise BadRequest(str(error), param=".".join(parts) or None) from None


class _Writer:
    """Writes one reply."""

    def __init__(self, request: web.Request, asked: Asked, body: ChatRequest, fingerprint: str) -> None:
        self._request, self._body, self._fingerprint = request, body, fingerprint
        self._id, self._created = f"chatcmpl-{asked.question.id}", int(time.time())
        self._usage_wanted = body.stream_options is not None and bool(body.stream_options.include_usage)
        self._told = False

    async def whole(self, answering: Answering) -> web.Response:
        """Send one object, when all is over."""
        thoughts: list[str] = []

        async def tell(part: Part) -> None:
            if isinstance(part, Thought):
                thoughts.append(part.text)

        reply = await answering.follow(tell)
        message = {"role": "assistant", "content": reply.text, **_reasoning("".join(thoughts).rstrip())}
        choice = {"index": 0, "message": message, "finish_reason": reply.stop}
        body = json_bytes({**self._head("chat.completion"), "choices": [choice], "usage": _usage(reply)})
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    async def stream(self, answering: Answering) -> web.StreamResponse:
        """Send an event for everything that happens."""
        stream = Stream(self._request, "text/event-stream")

        async def tell(part: Part) -> None:
            match part:
                case Thought(text):
                    await stream.write(self._chunk(_reasoning(text)))
                case Piece(text):
                    self._told = True
                    await stream.write(self._chunk({"content": text}))
                case Pulse():
                    await stream.write(BEAT)
                case Anew(why) if self._told:
                    raise GorkError(f"{why}, after a part of its answer had been sent: ask again")
                case Anew():
                    pass

        async def work() -> None:
            reply = await answering.follow(tell)
            await stream.write(self._chunk({}, reply.stop))
            if self._usage_wanted:
                await stream.write(_event({**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(reply)}))
            await stream.write(DONE)

        await stream.begin(self._chunk({"role": "assistant", "content": ""}))
        return await stream.run(work, self._error)

    def _head(self, kind: str) -> Record:
        model = self._body.model
        return {"id": self._id, "object": kind, "created": self._created, "model": model, "system_fingerprint": self._fingerprint}

    def _chunk(self, delta: Mapping[str, str], finish_reason: str | None = None) -> bytes:
        usage = {"usage": None} if self._usage_wanted else {}
        choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        return _event({**self._head("chat.completion.chunk"), "choices": choices, **usage})

    def _error(self, error: GorkError) -> bytes:
        place = (error.param, error.code) if isinstance(error, BadRequest) else (None, None)
        return b"data: " + error_body(self._request.path, status_of(error), str(error), param=place[0], code=place[1]) + b"\n\n"


def _event(record: Record) -> bytes:
    return b"data: " + json_bytes(record) + b"\n\n"


def _reasoning(text: str) -> dict[str, str]:
    return {"reasoning": text, "reasoning_content": text} if text else {}


def _usage(reply: Reply) -> Record:
    """The chosen answer's own tokens: what its model read and wrote. What the other members did is no part of it."""
    total = reply.prompt_tokens + reply.tokens
    return {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.tokens, "total_tokens": total}
