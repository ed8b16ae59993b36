"""OpenAI's older `/v1/completions`: a prompt in, a text out. There is no thinking channel."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from gork.errors import BadRequest, GorkError
from gork.service.bodies import read_body
from gork.service.dialects.messages import PlainMessages, checked_text, lacks
from gork.service.dialects.openai_messages import (
    END_MARK,
    Count,
    FinishReason,
    OpenAIResponseFormat,
    OpenAISampling,
    OpenAIStreamOptions,
    OpenAIUsage,
    event_of,
    format_of,
    refuse,
    sampling_in,
)
from gork.service.dialects.replies import ChatResult, answering
from gork.service.dialects.requests import TASK_HEADER, Catalogue, RequestOptions, understand
from gork.service.dialects.sampling import Number
from gork.service.responses import error_bytes
from gork.service.service import Service
from gork.turn import Message


class OpenAITextRequest(OpenAISampling, kw_only=True):
    """The body of `POST /v1/completions`."""

    model: str
    prompt: str | list[Any] | None = None
    """A text, or a list of one."""
    suffix: str | None = None
    stream: bool | None = None
    stream_options: OpenAIStreamOptions | None = None
    max_tokens: Number | None = None
    response_format: OpenAIResponseFormat | None = None
    """Not OpenAI's own."""
    echo: bool | None = None
    n: Number | None = None
    best_of: Number | None = None
    logprobs: bool | Number | None = None
    logit_bias: dict[str, Any] | None = None


class OpenAITextChoice(msgspec.Struct):
    """The one choice."""

    text: str
    index: Count
    logprobs: None
    finish_reason: FinishReason | None


class OpenAIText(msgspec.Struct, kw_only=True):
    """What `POST /v1/completions` answers, whole or as one event of a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: Count
    model: str
    system_fingerprint: str
    choices: list[OpenAITextChoice]
    usage: OpenAIUsage | UnsetType | None = UNSET


def routes(service: Service) -> list[web.RouteDef]:
    """`/v1/completions`."""
    catalogue = Catalogue(service)

    async def complete(http: web.Request) -> web.StreamResponse:
        """Answer a prompt."""
        body = await read_body(http, OpenAITextRequest)
        model = catalogue.find(body.model)
        if body.suffix:
            raise lacks(body.model, "insert", "suffix")
        refuse(
            {
                "n": (body.n is not None and body.n > 1, "n must be 1: one answer is chosen"),
                "best_of": (body.best_of is not None and body.best_of > 1, "best_of must be 1: the best of several models is given anyway"),
                "logprobs": (body.logprobs, "log-probabilities are not given here: leave out logprobs"),
                "logit_bias": (body.logit_bias, "logit_bias is not supported: the models of an ensemble have different tokens"),
            }
        )
        sampling = sampling_in(body, body.max_tokens, service.ensemble.context)
        form, unkept = format_of(body.response_format)
        options = RequestOptions(
            options=sampling.options,
            seed=sampling.seed,
            answer_format=form,
            drafts=False,
            optimize=body.optimize,
            notes=(*sampling.notes, *unkept),
        )
        said: tuple[Message, ...] = ({"role": "user", "content": _prompt_of(body.prompt)},)
        request = understand(service, model.member, PlainMessages(said), options, task=http.headers.get(TASK_HEADER))
        encoder = TextEncoder(body, f"cmpl-{request.question.id}", f"fp_{model.digest[:10]}", request.question.text if body.echo else "")
        async with answering(service, request) as pending:
            return await pending.send(http, encoder, stream=bool(body.stream))

    return [web.post("/v1/completions", complete)]


def _prompt_of(prompt: str | list[Any] | None) -> str:
    match prompt:
        case str(text) | [str(text)]:
            return checked_text(text, "prompt")
        case _:
            raise BadRequest("prompt must be one text: neither several nor numbers of tokens are read here", param="prompt")


class TextEncoder:
    """Replies in the form of text completions."""

    content_type = "text/event-stream"

    def __init__(self, body: OpenAITextRequest, reply_id: str, fingerprint: str, echo: str) -> None:
        self._usage = None if body.stream_options is not None and body.stream_options.include_usage else UNSET
        self._head: dict[str, Any] = {"id": reply_id, "created": int(time.time()), "model": body.model, "system_fingerprint": fingerprint}
        self._echo = echo

    def begin(self) -> bytes:
        """The prompt, where it is to be repeated."""
        return self._chunk(self._echo) if self._echo else b""

    def thinking(self, _text: str) -> bytes:
        """Nothing: there is no field for it."""
        return b""

    def content(self, text: str) -> bytes:
        """A piece of the answer."""
        return self._chunk(text)

    def keep_alive(self) -> bytes:
        """A chunk without text."""
        return self._chunk("")

    def end(self, result: ChatResult) -> bytes:
        """The reason of the end, the usage if it was asked for, and the end mark."""
        last = self._chunk("", result.stop)
        if self._usage is None:
            last += event_of(OpenAIText(**self._head, choices=[], usage=OpenAIUsage.of(result)))
        return last + END_MARK

    def error(self, error: GorkError, told: str) -> bytes:
        """The error as an event; no end mark follows it."""
        return b"data: " + error_bytes("/v1", error, told) + b"\n\n"

    def whole(self, result: ChatResult, _thinking: str) -> OpenAIText:
        """A completion."""
        choice = OpenAITextChoice(self._echo + result.text, 0, None, result.stop)
        return OpenAIText(**self._head, choices=[choice], usage=OpenAIUsage.of(result))

    def _chunk(self, text: str, finish_reason: FinishReason | None = None) -> bytes:
        choice = OpenAITextChoice(text, 0, None, finish_reason)
        return event_of(OpenAIText(**self._head, choices=[choice], usage=self._usage))
