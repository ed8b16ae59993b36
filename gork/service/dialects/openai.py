"""OpenAI's HTTP dialect: models and chat completions.

Unknown fields of requests are ignored; known ones that cannot be honoured are refused: a client that asks for tools would wait for
calls that never come. Drafts and verdict are in `reasoning` and, the same text, in `reasoning_content`: OpenAI has no field for it; the
first is what Ollama and OpenRouter send, the second what DeepSeek and vLLM do. Clients know one or the other, or take the first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from gork.config.ensemble import OptionValue
from gork.errors import BadRequest, GorkError, NotFound
from gork.service.bodies import read_body
from gork.service.dialects.json_schema import checked_schema
from gork.service.dialects.replies import ChatResult, absent, answering
from gork.service.dialects.requests import (
    TASK_HEADER,
    Catalogue,
    RequestOptions,
    ServedModel,
    checked_text,
    no_such_model,
    tagged,
    understand,
)
from gork.service.responses import error_bytes, json_response
from gork.service.service import Service
from gork.turn import AnswerFormat, Message
from gork.wire import json_bytes

ABSENT = {
    "completions": "this service answers chats: use /v1/chat/completions",
    "responses": "this service answers chats: use /v1/chat/completions",
    "embeddings": "this service answers questions, it makes no embeddings",
    "images/generations": "this service answers questions, it makes no images",
    "audio/{what:.*}": "this service answers questions in text alone",
    "moderations": "this service answers questions, it does not rate texts",
}
"""Parts of OpenAI's API that are not offered, each with the reason."""
MOST_STOPS = 4
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Count = Annotated[int, Meta(ge=0)]
_Tokens = Annotated[int, Meta(ge=1)]
Stop = Annotated[str, Meta(min_length=1, max_length=200)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class OpenAIContentPart(msgspec.Struct):
    """A part of a message."""

    type: str
    text: str | None = None


class OpenAIMessage(msgspec.Struct):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[OpenAIContentPart] | None = None
    tool_calls: list[Any] | None = None
    function_call: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None


class OpenAIStreamOptions(msgspec.Struct):
    """What a stream should have besides the answer."""

    include_usage: bool | None = None


class OpenAIJsonSchema(msgspec.Struct):
    """A schema by its name."""

    schema: dict[str, Any]
    name: str | None = None


class OpenAIResponseFormat(msgspec.Struct):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: OpenAIJsonSchema | None = None


class OpenAIReasoning(msgspec.Struct):
    """Whether drafts and verdict are wanted, in the spelling of some gateways."""

    effort: Effort | None = None
    enabled: bool | None = None
    exclude: bool | None = None


class OpenAIChatRequest(msgspec.Struct):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: Annotated[list[OpenAIMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: OpenAIStreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    seed: int | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=MOST_STOPS)] | None = None
    response_format: OpenAIResponseFormat | None = None
    reasoning_effort: Effort | None = None
    """`none` leaves drafts and verdict out; any other word asks for them."""
    reasoning: OpenAIReasoning | None = None
    think: bool | None = None
    """The same, in Ollama's word."""
    n: Annotated[int, Meta(ge=1)] | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: dict[str, Any] | None = None


class OpenAIModel(msgspec.Struct):
    """One model."""

    id: str
    object: Literal["model"]
    created: _Count
    owned_by: str


class OpenAIModels(msgspec.Struct):
    """What `GET /v1/models` answers."""

    object: Literal["list"]
    data: list[OpenAIModel]


class OpenAIUsage(msgspec.Struct):
    """The chosen answer's own tokens: what its model read and wrote. What the other members did is not part of it."""

    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: _Count


class OpenAIDelta(msgspec.Struct, kw_only=True):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET


class OpenAIAnswer(msgspec.Struct, kw_only=True):
    """A whole answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    reasoning: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET


class OpenAIChunkChoice(msgspec.Struct):
    """The one choice of a chunk."""

    index: _Count
    delta: OpenAIDelta
    finish_reason: Literal["stop", "length"] | None


class OpenAIChoice(msgspec.Struct):
    """The one choice of a completion."""

    index: _Count
    message: OpenAIAnswer
    finish_reason: Literal["stop", "length"]


class OpenAIChunk(msgspec.Struct, kw_only=True):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: _Count
    model: str
    system_fingerprint: str
    choices: list[OpenAIChunkChoice]
    usage: OpenAIUsage | UnsetType | None = UNSET


class OpenAICompletion(msgspec.Struct, kw_only=True):
    """What `POST /v1/chat/completions` answers without streaming."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: _Count
    model: str
    system_fingerprint: str
    choices: list[OpenAIChoice]
    usage: OpenAIUsage


def routes(service: Service) -> list[web.RouteDef]:
    """Everything below /v1."""
    api = OpenAIApi(service)
    return [
        web.get("/v1/models", api.models),
        web.get("/v1/models/{model:.+}", api.model),
        web.post("/v1/chat/completions", api.chat),
        *absent("/v1", ABSENT),
    ]


class OpenAIApi:
    """The routes of the dialect."""

    def __init__(self, service: Service) -> None:
        self._service, self._catalogue = service, Catalogue(service)

    async def models(self, _request: web.Request) -> web.Response:
        """List the models."""
        return json_response(OpenAIModels("list", [self._model(model) for model in self._catalogue.models]))

    async def model(self, request: web.Request) -> web.Response:
        """Describe one model."""
        name = request.match_info["model"]
        try:
            return json_response(self._model(self._catalogue.find(name)))
        except NotFound:
            raise no_such_model(tagged(name)) from None

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        body = await read_body(http, OpenAIChatRequest)
        model = self._catalogue.find(body.model)
        refuse_unsupported(body)
        options = RequestOptions(
            options=options_of(body, self._service.ensemble.context),
            seed=body.seed,
            answer_format=format_of(body.response_format),
            drafts=drafts_of(body),
        )
        request = understand(self._service, model.member, messages_of(body.messages), options, task=http.headers.get(TASK_HEADER))
        encoder = OpenAIEncoder(body, f"chatcmpl-{request.question.id}", f"fp_{model.digest[:10]}")
        async with answering(self._service, request) as pending:
            return await pending.send(http, encoder, stream=bool(body.stream))

    def _model(self, model: ServedModel) -> OpenAIModel:
        return OpenAIModel(model.name, "model", int(self._catalogue.since.timestamp()), "gork")


class OpenAIEncoder:
    """Replies in OpenAI's form: server-sent events, each one chunk of a completion."""

    content_type = "text/event-stream"

    def __init__(self, body: OpenAIChatRequest, reply_id: str, fingerprint: str) -> None:
        self._usage = None if body.stream_options is not None and body.stream_options.include_usage else UNSET
        self._head: dict[str, Any] = {"id": reply_id, "created": int(time.time()), "model": body.model, "system_fingerprint": fingerprint}

    def begin(self) -> bytes:
        """The role, which no later chunk repeats."""
        return self._chunk(OpenAIDelta(role="assistant", content=""))

    def thinking(self, text: str) -> bytes:
        """A chunk for the thinking channel, under both names that clients know."""
        return self._chunk(OpenAIDelta(reasoning=text, reasoning_content=text))

    def content(self, text: str) -> bytes:
        """A chunk of the answer."""
        return self._chunk(OpenAIDelta(content=text))

    def keep_alive(self) -> bytes:
        """A comment."""
        return b": beat\n\n"

    def end(self, result: ChatResult) -> bytes:
        """The reason of the end, the usage if it was asked for, and the end mark."""
        last = self._chunk(OpenAIDelta(), result.stop)
        if self._usage is None:
            last += _event(OpenAIChunk(**self._head, choices=[], usage=_usage(result)))
        return last + b"data: [DONE]\n\n"

    def error(self, error: GorkError) -> bytes:
        """The error as an event; no end mark follows it."""
        return b"data: " + error_bytes("/v1", error) + b"\n\n"

    def whole(self, result: ChatResult, thinking: str) -> OpenAICompletion:
        """A completion."""
        thought = thinking or UNSET
        answer = OpenAIAnswer(content=result.text, reasoning=thought, reasoning_content=thought)
        return OpenAICompletion(**self._head, choices=[OpenAIChoice(0, answer, result.stop)], usage=_usage(result))

    def _chunk(self, delta: OpenAIDelta, finish_reason: Literal["stop", "length"] | None = None) -> bytes:
        return _event(OpenAIChunk(**self._head, choices=[OpenAIChunkChoice(0, delta, finish_reason)], usage=self._usage))


def _event(chunk: OpenAIChunk) -> bytes:
    return b"data: " + json_bytes(chunk) + b"\n\n"


def _usage(result: ChatResult) -> OpenAIUsage:
    return OpenAIUsage(result.prompt_tokens, result.tokens, result.prompt_tokens + result.tokens)


def refuse_unsupported(body: OpenAIChatRequest) -> None:
    """Raise `BadRequest`, with its field, for what is asked for and not supported."""
    asked = {
        "tools": (body.tools, "tools are not supported: the models answer in words alone"),
        "functions": (body.functions, "functions are not supported: the models answer in words alone"),
        "n": (body.n is not None and body.n > 1, "n must be 1: one answer is chosen"),
        "audio": (body.audio, "audio is not supported"),
        "modalities": (set(body.modalities or ()) - {"text"}, "text is the only modality"),
        "logprobs": (body.logprobs or body.top_logprobs, "log-probabilities are not given here: leave out logprobs and top_logprobs"),
        "logit_bias": (body.logit_bias, "logit_bias is not supported: the models of an ensemble have different tokens"),
    }
    for param, (given, why) in asked.items():
        if given:
            raise BadRequest(why, param=param, code="unsupported_parameter")


def options_of(body: OpenAIChatRequest, context: int) -> dict[str, OptionValue]:
    """The options that candidates get; `context` bounds the answer's tokens."""
    most = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    given: dict[str, OptionValue | None] = {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "presence_penalty": body.presence_penalty,
        "frequency_penalty": body.frequency_penalty,
        "num_predict": None if most is None else min(most, context),
        "stop": stop or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def format_of(wanted: OpenAIResponseFormat | None) -> AnswerFormat | None:
    """The meaning of `response_format`. Raises `BadRequest`."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return "json"
    if wanted.json_schema is None:
        raise BadRequest("response_format.json_schema is missing", param="response_format.json_schema")
    return checked_schema(wanted.json_schema.schema, "response_format.json_schema.schema")


def drafts_of(body: OpenAIChatRequest) -> bool | None:
    """Whether drafts and verdict are wanted; None if the request does not say."""
    if body.think is not None:
        return body.think
    if body.reasoning_effort is not None:
        return body.reasoning_effort != "none"
    if body.reasoning is None:
        return None
    if body.reasoning.exclude or body.reasoning.enabled is False or body.reasoning.effort == "none":
        return False
    return True if body.reasoning.enabled or body.reasoning.effort is not None else None


def messages_of(given: Sequence[OpenAIMessage]) -> list[Message]:
    """The messages in plain form. Raises `BadRequest` for tools, images, sound and files."""
    messages: list[Message] = []
    for index, message in enumerate(given):
        place = f"messages[{index}]"
        if message.role in {"tool", "function"} or message.tool_calls or message.function_call:
            raise BadRequest(f"{place} is about a tool, and tools are not supported", param=place)
        if message.audio:
            raise BadRequest(f"{place} has audio, which is not supported", param=f"{place}.audio")
        role = message.role if message.role in {"user", "assistant"} else "system"
        messages.append({"role": role, "content": _text_of(message.content, f"{place}.content")})
    return messages


def _text_of(content: str | list[OpenAIContentPart] | None, place: str) -> str:
    if content is None or isinstance(content, str):
        return checked_text(content or "", place)
    texts = []
    for index, part in enumerate(content):
        if part.type not in {"text", "input_text"} or part.text is None:
            raise BadRequest(f"{place}[{index}] must be text: images, sound and files are not supported", param=f"{place}[{index}]")
        texts.append(checked_text(part.text, f"{place}[{index}].text"))
    return "\n".join(texts)
