"""What clients of OpenAI's dialect send: records that a body is checked against. What they do not name is ignored.

What is named and cannot be done is refused with its place: a client that asks for tools would wait for calls that never come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gork.config.ensemble import OptionValue
from gork.service.dialects.json_schema import checked_schema
from gork.service.dialects.requests import checked_text
from gork.service.errors import BadRequest
from gork.turn import AnswerFormat, Message

MOST_STOPS = 4
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Tokens = Annotated[int, Meta(ge=1)]
Stop = Annotated[str, Meta(min_length=1, max_length=200)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Part(msgspec.Struct):
    """A part of a message."""

    type: str
    text: str | None = None


class ChatMessage(msgspec.Struct):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    tool_calls: list[Any] | None = None
    function_call: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None


class StreamOptions(msgspec.Struct):
    """What a stream has besides the answer."""

    include_usage: bool | None = None


class JsonSchema(msgspec.Struct):
    """A schema by its name."""

    schema: dict[str, Any]
    name: str | None = None


class ResponseFormat(msgspec.Struct):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Reasoning(msgspec.Struct):
    """How much of the way to the answer is wanted, in the spelling of some gateways."""

    effort: Effort | None = None
    enabled: bool | None = None
    exclude: bool | None = None


class ChatRequest(msgspec.Struct):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    seed: int | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=MOST_STOPS)] | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    """`none` leaves drafts and verdict out; any other word wants them."""
    reasoning: Reasoning | None = None
    think: bool | None = None
    """The same in Ollama's word."""
    n: Annotated[int, Meta(ge=1)] | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: dict[str, Any] | None = None


def refuse_unsupported(body: ChatRequest) -> None:
    """Raise `BadRequest`, with its place, for what is asked for and cannot be had."""
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


def options_of(body: ChatRequest, context: int) -> dict[str, OptionValue]:
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


def format_of(wanted: ResponseFormat | None) -> AnswerFormat | None:
    """What `response_format` means. Raises `BadRequest`."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return "json"
    if wanted.json_schema is None:
        raise BadRequest("response_format.json_schema is missing", param="response_format.json_schema")
    return checked_schema(wanted.json_schema.schema, "response_format.json_schema.schema")


def drafts_of(body: ChatRequest) -> bool | None:
    """Whether drafts and verdict are wanted; None if nothing is said of it."""
    if body.think is not None:
        return body.think
    if body.reasoning_effort is not None:
        return body.reasoning_effort != "none"
    if body.reasoning is None:
        return None
    if body.reasoning.exclude or body.reasoning.enabled is False or body.reasoning.effort == "none":
        return False
    return True if body.reasoning.enabled or body.reasoning.effort is not None else None


def messages_of(given: Sequence[ChatMessage]) -> list[Message]:
    """The messages in plain form. Raises `BadRequest` for what no text can stand for."""
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


def _text_of(content: str | list[Part] | None, place: str) -> str:
    if content is None or isinstance(content, str):
        return checked_text(content or "", place)
    texts = []
    for index, part in enumerate(content):
        if part.type not in {"text", "input_text"} or part.text is None:
            raise BadRequest(f"{place}[{index}] must be text: images, sound and files are not supported", param=f"{place}[{index}]")
        texts.append(checked_text(part.text, f"{place}[{index}].text"))
    return "\n".join(texts)
