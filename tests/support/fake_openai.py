"""A scripted server with OpenAI's API on a real port, with the manners of the servers that really exist.

    async with FakeOpenAI("m", manners=VLLM) as server:
        server.say("m", "First answer.", Reply("half", cut=True))
        server.lean("m", {" A": -0.2, " B": -1.9})
        ... Member(name="a", api="openai", url=server.base, model="m") ...

What each does is in facts gathered from their sources and reports; `Manners` has what differs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.support.fake_server import Body, FakeServer, Reply

__all__ = ["LLAMA", "LM_STUDIO", "OPENAI", "OPENROUTER", "SGLANG", "VLLM", "FakeOpenAI", "Manners", "Reply"]


@dataclass(frozen=True)
class Manners:
    """How one kind of server behaves."""

    owner: str = ""
    row: Mapping[str, Any] = field(default_factory=dict)
    """More fields of a model in the list."""
    logprobs: Literal["true", "null", "zeros", "lone"] = "true"
    refuses: Mapping[str, str] = field(default_factory=dict)
    """Fields that are refused, with the words for it."""
    strict: str | None = None
    """Words with which every field that OpenAI does not have is refused; None where they are ignored."""
    constrains: bool = True
    """Whether response_format is honoured."""
    thinking: str = "reasoning_content"
    comments: bool = False
    """Whether comments come while nothing else does."""
    error_then_mark: bool = False
    """Whether the end mark follows an error in the middle of a stream."""
    error_inside_200: bool = False
    """Whether a status of 200 is sent with every error."""
    goes_on: str | None = None
    """The field without which a last message of the assistant's is not continued; "" for none needed, None if it never is."""


VLLM = Manners("vllm", {"max_model_len": 1024}, thinking="reasoning", error_then_mark=True, goes_on="continue_final_message")
SGLANG = Manners("sglang", {"max_model_len": 1024}, error_then_mark=True, goes_on="continue_final_message")
LLAMA = Manners("llamacpp", goes_on="")
LM_STUDIO = Manners(
    "organization_owner", logprobs="null", refuses={"json_object": "'response_format.type' must be 'json_schema' or 'text'"}
)
OPENROUTER = Manners("", {"context_length": 2048}, logprobs="null", comments=True, thinking="reasoning", error_inside_200=True)
OPENAI = Manners(
    "openai",
    refuses={"max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."},
    strict="Unrecognized request argument supplied: {}",
)

_KNOWN = {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed"}
_KNOWN |= {"logprobs", "top_logprobs", "response_format", "presence_penalty", "frequency_penalty"}


class FakeOpenAI(FakeServer):
    """A server with OpenAI's API and these models."""

    chat_path = "/v1/chat/completions"
    content_type = "text/event-stream"

    def __init__(self, *models: str, manners: Manners = VLLM, key: str | None = None) -> None:
        super().__init__(*models)
        self.manners, self.key = manners, key
        self.loading = 0
        """So many requests are told that the model is still loading."""
        self.loses_reasons = False
        """Whether streams with log-probabilities have no finish reason, as behind some gateways."""

    @property
    def base(self) -> str:
        """The URL that members are given."""
        return f"{self.url}/v1"

    @property
    def chats(self) -> list[Body]:
        """The chats that asked for an answer: not for one token, not for a label."""
        return [body for body in self.bodies(self.chat_path) if body and not _one_token(body)]

    async def _serve(self, request: web.Request, body: Body) -> web.StreamResponse:
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
            return web.json_response({"error": {"message": f"Incorrect API key provided: {sent}", "code": "invalid_api_key"}}, status=401)
        match request.path:
            case "/v1/models":
                rows = [{"id": model, "object": "model", "owned_by": self.manners.owner, **self.manners.row} for model in self.models]
                return web.json_response({"object": "list", "data": rows})
            case "/version" if self.manners is VLLM:
                return web.json_response({"version": "0.33.0"})
            case self.chat_path:
                return await self._ask(request, body)
        return web.json_response({"detail": "Not Found"}, status=404)

    async def _answered(self, request: web.Request, body: Body) -> web.StreamResponse:
        if "messages" not in body:
            return web.json_response(self._error("field required: messages"), status=400)
        if self.loading:
            self.loading -= 1
            return web.json_response({"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}, status=503)
        if (refusal := self._refusal(body)) is not None:
            return web.json_response(self._error(refusal), status=400)
        if body["model"] not in self.models:
            return web.json_response({"error": {"message": f"The model `{body['model']}` does not exist.", "code": 404}}, status=404)
        if body["model"] in self.load_gates:
            await self.load_gates[body["model"]].wait()
        if _one_token(body):
            return await self._send(request, body, self._label(body))
        return await self._chat(request, body)

    def _refusal(self, body: Body) -> str | None:
        for name, words in self.manners.refuses.items():
            if name in body or (name == "json_object" and body.get("response_format", {}).get("type") == name):
                return words
        unknown = sorted(body.keys() - _KNOWN)
        return self.manners.strict.format(unknown[0]) if unknown and self.manners.strict is not None else None

    def _label(self, body: Body) -> Reply:
        """What stands for one token, or for a label that a schema forces."""
        prompt = "".join(f"<{message['role']}>{message['content']}\n" for message in body["messages"])
        if "response_format" in body:
            labels = body["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"]
            return Reply(tokens=['{"answer": "', labels[-1], '"}'] if self.manners.constrains else ["I", " think A"])
        likely = self.leaning(body["model"], prompt)
        return Reply(tokens=[max(likely, key=likely.__getitem__, default="I")], done_reason="length")

    def _error(self, text: str | None) -> Body:
        return {"error": {"message": text, "type": "invalid_request_error"}}

    def _records(self, body: Body, reply: Reply) -> list[bytes | asyncio.Event]:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": body.get("model", "")}
        records: list[Body | bytes | asyncio.Event] = [b": PROCESSING\n\n"] if self.manners.comments else []

        def chunk(delta: Body, reason: str | None = None, **more: Any) -> Body:
            return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason, **more}]}

        records.append(chunk({"role": "assistant", "content": ""}))
        if reply.thinking:
            records.append(chunk({self.manners.thinking: reply.thinking}))
        for index, piece in enumerate(reply.pieces):
            if index in reply.pauses:
                records.append(reply.pauses[index])
            records.append(chunk({"content": piece}, logprobs=self._logprobs(body, piece, reply.logprob)))
        if len(reply.pieces) in reply.pauses:
            records.append(reply.pauses[len(reply.pieces)])
        if reply.error is not None:
            records.append({"error": {"message": reply.error, "code": 500}})
            records += [b"data: [DONE]\n\n"] if self.manners.error_then_mark else []
        elif not (reply.cut or reply.unfinished):
            if not (self.loses_reasons and body.get("logprobs")):
                records.append(chunk({}, reply.done_reason))
            if body.get("stream_options", {}).get("include_usage"):
                usage = {"prompt_tokens": 17, "completion_tokens": len(reply.pieces), **reply.done}
                records.append({**head, "choices": [], "usage": usage})
            records.append(b"data: [DONE]\n\n")
        return [b"data: " + json.dumps(one).encode() + b"\n\n" if isinstance(one, dict) else one for one in records]

    def _logprobs(self, body: Body, piece: str, logprob: float) -> Body | None:
        if not body.get("logprobs") or self.manners.logprobs == "null":
            return None
        prompt = "".join(f"<{message['role']}>{message['content']}\n" for message in body["messages"])
        likely = self.leaning(body["model"], prompt) if body.get("top_logprobs") else {}
        top = [{"token": token, "logprob": 0.0 if self.manners.logprobs == "zeros" else value} for token, value in likely.items()]
        if self.manners.logprobs == "lone":
            top = top[:1]
        return {"content": [{"token": piece, "logprob": logprob, "bytes": list(piece.encode()), "top_logprobs": top}]}


def _one_token(body: Body) -> bool:
    return body.get("max_tokens", body.get("max_completion_tokens")) in {1, 32}
