"""OpenAI's HTTP dialect: models, chats, and the older and newer ways to ask for the same.

Unknown fields of requests are ignored; known ones that cannot be honoured are refused. Drafts and verdict come in `reasoning_content`, for
which OpenAI has no field: it is what DeepSeek and vLLM send, and what was seen to serve every client; `reasoning`, Ollama's and
OpenRouter's, is there by setting. One of them alone: programs that know both show each piece twice.
"""

from __future__ import annotations

import time
from typing import Any, Literal

from aiohttp import web
from msgspec import UNSET

from gork.errors import GorkError, NotFound
from gork.service.bodies import read_body
from gork.service.dialects import openai_completions, openai_responses
from gork.service.dialects.messages import lacks, offered_tools, plain_messages
from gork.service.dialects.openai_messages import (
    END_MARK,
    FinishReason,
    OpenAIAnswer,
    OpenAIChatRequest,
    OpenAIChoice,
    OpenAIChunk,
    OpenAIChunkChoice,
    OpenAICompletion,
    OpenAIDelta,
    OpenAIEmbeddingsRequest,
    OpenAIModel,
    OpenAIModels,
    OpenAIUsage,
    drafts_of,
    event_of,
    format_of,
    no_voice,
    refuse,
    sampling_in,
)
from gork.service.dialects.replies import ChatResult, absent, answering
from gork.service.dialects.requests import TASK_HEADER, Catalogue, RequestOptions, ServedModel, no_such_model, tagged, understand
from gork.service.responses import error_bytes, json_response
from gork.service.service import Service

ABSENT = {
    "messages": "Anthropic's API is not spoken here: use OpenAI's, /v1/chat/completions",
    "images/generations": "this service answers questions, it makes no images",
    "audio/{what:.*}": "this service answers questions in text alone",
    "moderations": "this service answers questions, it does not rate texts",
}
"""Parts of OpenAI's API that are not offered, each with the reason."""
NO_LOGPROBS = "log-probabilities are not given here: leave out logprobs and top_logprobs"


def routes(service: Service) -> list[web.RouteDef]:
    """Everything below /v1."""
    api = OpenAIApi(service)
    return [
        web.get("/v1/models", api.models),
        web.get("/v1/models/{model:.+}", api.model),
        web.post("/v1/chat/completions", api.chat),
        web.post("/v1/embeddings", api.embed),
        *openai_completions.routes(service),
        *openai_responses.routes(service),
        *absent("/v1", ABSENT),
    ]


class OpenAIApi:
    """The routes of models and chats."""

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

    async def embed(self, http: web.Request) -> web.StreamResponse:
        """Refuse, in the words of an Ollama whose model makes no embeddings."""
        body = await read_body(http, OpenAIEmbeddingsRequest)
        self._catalogue.find(body.model)
        raise lacks(body.model, "embeddings")

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        body = await read_body(http, OpenAIChatRequest)
        model = self._catalogue.find(body.model)
        options = self._options(body)
        said = plain_messages(body.messages, body.model)
        request = understand(self._service, model.member, said, options, task=http.headers.get(TASK_HEADER))
        encoder = OpenAIEncoder(body, f"chatcmpl-{request.question.id}", f"fp_{model.digest[:10]}", self._service.settings.thinking_field)
        async with answering(self._service, request) as pending:
            return await pending.send(http, encoder, stream=bool(body.stream))

    def _options(self, body: OpenAIChatRequest) -> RequestOptions:
        """What the request says besides its messages. Raises `BadRequest`."""
        refuse(
            {
                "n": (body.n is not None and body.n > 1, "n must be 1: one answer is chosen"),
                "audio": (body.audio, "audio is not supported"),
                "modalities": (no_voice(body.modalities), "text is the only modality"),
                "logprobs": (
                    body.logprobs or body.top_logprobs,
                    "log-probabilities are not given here: leave out logprobs and top_logprobs",
                ),
                "logit_bias": (body.logit_bias, "logit_bias is not supported: the models of an ensemble have different tokens"),
            }
        )
        settings = self._service.settings
        tools = offered_tools(settings, body.model, body.tools, body.tool_choice)
        tools += offered_tools(settings, body.model, body.functions, body.function_call)
        most = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
        sampling = sampling_in(body, most, settings.ensemble.context)
        form, unkept = format_of(body.response_format)
        return RequestOptions(
            options=sampling.options,
            seed=sampling.seed,
            answer_format=form,
            drafts=drafts_of(body),
            optimize=body.optimize,
            live_draft=body.live_draft,
            notes=(*tools, *sampling.notes, *unkept),
        )

    def _model(self, model: ServedModel) -> OpenAIModel:
        return OpenAIModel(model.name, "model", int(self._catalogue.since.timestamp()), "gork")


class OpenAIEncoder:
    """Replies in OpenAI's form: server-sent events, each one chunk of a completion."""

    content_type = "text/event-stream"

    def __init__(
        self, body: OpenAIChatRequest, reply_id: str, fingerprint: str, thinking_field: Literal["reasoning_content", "reasoning"]
    ) -> None:
        self._usage = None if body.stream_options is not None and body.stream_options.include_usage else UNSET
        self._head: dict[str, Any] = {"id": reply_id, "created": int(time.time()), "model": body.model, "system_fingerprint": fingerprint}
        self._field = thinking_field

    def begin(self) -> bytes:
        """The role, which no later chunk repeats."""
        return self._chunk(OpenAIDelta(role="assistant", content=""))

    def thinking(self, text: str) -> bytes:
        """A chunk for the thinking channel."""
        delta = OpenAIDelta()
        setattr(delta, self._field, text)
        return self._chunk(delta)

    def content(self, text: str) -> bytes:
        """A chunk of the answer."""
        return self._chunk(OpenAIDelta(content=text))

    def keep_alive(self) -> bytes:
        """A chunk without anything in it: comments are legal, and break clients that take every line for data."""
        return self._chunk(OpenAIDelta())

    def end(self, result: ChatResult) -> bytes:
        """The reason of the end, the usage if it was asked for, and the end mark."""
        last = self._chunk(OpenAIDelta(), result.stop)
        if self._usage is None:
            last += event_of(OpenAIChunk(**self._head, choices=[], usage=OpenAIUsage.of(result)))
        return last + END_MARK

    def error(self, error: GorkError, told: str) -> bytes:
        """The error as an event; no end mark follows it."""
        return b"data: " + error_bytes("/v1", error, told) + b"\n\n"

    def whole(self, result: ChatResult, thinking: str) -> OpenAICompletion:
        """A completion."""
        answer = OpenAIAnswer(content=result.text)
        setattr(answer, self._field, thinking or UNSET)
        return OpenAICompletion(**self._head, choices=[OpenAIChoice(0, answer, result.stop)], usage=OpenAIUsage.of(result))

    def _chunk(self, delta: OpenAIDelta, finish_reason: FinishReason | None = None) -> bytes:
        return event_of(OpenAIChunk(**self._head, choices=[OpenAIChunkChoice(0, delta, finish_reason)], usage=self._usage))
