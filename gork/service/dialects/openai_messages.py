"""The bodies of OpenAI's chats: requests, which are checked against these records (unknown fields are ignored), and replies.

What is here serves `/v1/completions` and `/v1/responses` too, as far as they ask for the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gork.errors import BadRequest
from gork.service.dialects.json_schema import kept_schema
from gork.service.dialects.messages import ChatMessage
from gork.service.dialects.replies import ChatResult
from gork.service.dialects.sampling import Number, Sampling, sampling_of
from gork.turn import AnswerFormat
from gork.wire import json_bytes

Count = Annotated[int, Meta(ge=0)]
FinishReason = Literal["stop", "length"]
END_MARK: Final = b"data: [DONE]\n\n"
_SAMPLING: Final = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty", "seed")
_OFF: Final = frozenset({"none", "disabled", "off", "hidden", "false"})
_OPEN: Final = frozenset({"", "default", "auto"})
"""Words that leave it to the service."""


class OpenAIStreamOptions(msgspec.Struct):
    """What a stream should have besides the answer."""

    include_usage: bool | None = None


class OpenAIJsonSchema(msgspec.Struct):
    """A schema by its name."""

    schema: dict[str, Any] | None = None
    name: str | None = None


class OpenAIResponseFormat(msgspec.Struct):
    """The form of the answer. The schema may also stand beside the type, as llama.cpp's own server and `/v1/responses` have it."""

    type: str
    """`text`, `json_object` or `json_schema`, in any case."""
    json_schema: OpenAIJsonSchema | None = None
    schema: dict[str, Any] | None = None


class OpenAIReasoning(msgspec.Struct):
    """Whether drafts and verdict are wanted, in the spelling of some gateways."""

    effort: str | None = None
    enabled: bool | None = None
    exclude: bool | None = None
    max_tokens: Number | None = None


class OpenAIThinking(msgspec.Struct):
    """The switches by which clients turn a model's thinking, and so drafts and verdict, off or on."""

    reasoning_effort: str | None = None
    """`none` leaves drafts and verdict out; any other word asks for them."""
    reasoning: OpenAIReasoning | bool | str | None = None
    think: bool | str | None = None
    """The same, in Ollama's word."""
    thinking: bool | str | dict[str, Any] | None = None
    """In that of Anthropic and DeepSeek: `{"type": "disabled"}`."""
    enable_thinking: bool | None = None
    """In Qwen's."""
    include_reasoning: bool | None = None
    thinking_budget: Number | None = None
    reasoning_budget: Number | None = None
    reasoning_format: str | None = None
    """In Groq's: `hidden`."""
    chat_template_kwargs: dict[str, Any] | None = None
    """In that of vLLM and llama.cpp: `{"enable_thinking": false}`."""


class OpenAISampling(OpenAIThinking):
    """How the candidates choose their tokens; any number is taken."""

    temperature: Number | None = None
    top_p: Number | None = None
    top_k: Number | None = None
    """This and the next two are not OpenAI's own."""
    min_p: Number | None = None
    repeat_penalty: Number | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    seed: Number | None = None
    stop: str | list[Any] | None = None
    optimize: bool | None = None
    """Our own: whether the question is rewritten before it is asked; the service's settings if not given."""
    live_draft: bool | None = None
    """Our own: whether the favourite's draft comes as it is written; the service's settings if not given."""


class OpenAIChatRequest(OpenAISampling, kw_only=True):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: OpenAIStreamOptions | None = None
    max_tokens: Number | None = None
    """0 and less leave it to the ensemble."""
    max_completion_tokens: Number | None = None
    response_format: OpenAIResponseFormat | None = None
    n: Number | None = None
    tools: list[Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    functions: list[Any] | None = None
    function_call: str | dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    logprobs: bool | Number | None = None
    top_logprobs: Number | None = None
    logit_bias: dict[str, Any] | None = None


class OpenAIEmbeddingsRequest(msgspec.Struct):
    """The body of `POST /v1/embeddings`, which is refused: only the model is looked at."""

    model: str


class OpenAIModel(msgspec.Struct):
    """One model."""

    id: str
    object: Literal["model"]
    created: Count
    owned_by: str


class OpenAIModels(msgspec.Struct):
    """What `GET /v1/models` answers."""

    object: Literal["list"]
    data: list[OpenAIModel]


class OpenAIPromptDetails(msgspec.Struct):
    """Of the tokens that were read."""

    cached_tokens: Count = 0


class OpenAICompletionDetails(msgspec.Struct):
    """Of the tokens that were written: the chosen answer has none of the drafts' in it."""

    reasoning_tokens: Count = 0


class OpenAIUsage(msgspec.Struct):
    """The chosen answer's own tokens: what its model read and wrote. What the other members did is not part of it."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: OpenAIPromptDetails
    completion_tokens_details: OpenAICompletionDetails

    @classmethod
    def of(cls, result: ChatResult) -> OpenAIUsage:
        """The usage of an answer."""
        total = result.prompt_tokens + result.tokens
        return cls(result.prompt_tokens, result.tokens, total, OpenAIPromptDetails(), OpenAICompletionDetails())


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

    index: Count
    delta: OpenAIDelta
    finish_reason: FinishReason | None


class OpenAIChoice(msgspec.Struct):
    """The one choice of a completion."""

    index: Count
    message: OpenAIAnswer
    finish_reason: FinishReason


class OpenAIChunk(msgspec.Struct, kw_only=True):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: Count
    model: str
    system_fingerprint: str
    choices: list[OpenAIChunkChoice]
    usage: OpenAIUsage | UnsetType | None = UNSET


class OpenAICompletion(msgspec.Struct, kw_only=True):
    """What `POST /v1/chat/completions` answers without streaming."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: Count
    model: str
    system_fingerprint: str
    choices: list[OpenAIChoice]
    usage: OpenAIUsage


def event_of(record: object, kind: str | None = None) -> bytes:
    """A server-sent event with a record, and its kind where the dialect names one."""
    name = b"" if kind is None else b"event: " + kind.encode() + b"\n"
    return name + b"data: " + json_bytes(record) + b"\n\n"


def refuse(asked: Mapping[str, tuple[object, str]]) -> None:
    """Raise `BadRequest` with its field for what is asked for (true) and cannot be done (why)."""
    for param, (given, why) in asked.items():
        if given:
            raise BadRequest(why, param=param, code="unsupported_parameter")


def sampling_in(body: OpenAISampling, most: Number | None, context: int) -> Sampling:
    """What candidates get of a request's sampling; `most` is its limit of tokens, `context` bounds it."""
    given = {name: getattr(body, name) for name in _SAMPLING}
    return sampling_of({**given, "num_predict": most}, body.stop, context)


def format_of(wanted: OpenAIResponseFormat | None, place: str = "response_format") -> tuple[AnswerFormat | None, tuple[str, ...]]:
    """The form of the answer, and a line for each part of a schema that is not kept. Raises `BadRequest`."""
    kind = "text" if wanted is None else wanted.type.strip().lower()
    if wanted is None or kind == "text":
        return None, ()
    if kind not in {"json_object", "json_schema"}:
        raise BadRequest(f"{place}.type must be text, json_object or json_schema, not {wanted.type[:40]!r}", param=f"{place}.type")
    named = wanted.json_schema
    where, schema = (f"{place}.json_schema.schema", named.schema) if named is not None else (f"{place}.schema", wanted.schema)
    if schema is not None:
        kept = kept_schema(schema, where)
        return kept.schema, kept.notes
    if kind == "json_object":
        return "json", ()
    missing = f"{place}.json_schema" if named is None else where
    raise BadRequest(f"{missing} is missing", param=missing)


def drafts_of(body: OpenAIThinking) -> bool | None:
    """Whether drafts and verdict are wanted; None if the request does not say. Of several switches the first that says something counts."""
    said = (
        _on(body.think),
        _on(body.reasoning_effort),
        _reasoning(body.reasoning),
        _on(body.thinking.get("type") if isinstance(body.thinking, dict) else body.thinking),
        body.enable_thinking,
        body.include_reasoning,
        *(_on(body.chat_template_kwargs.get(key)) for key in ("enable_thinking", "thinking") if body.chat_template_kwargs),
        *(False for budget in (body.thinking_budget, body.reasoning_budget) if budget == 0),
        False if body.reasoning_format == "hidden" else None,
    )
    return next((wanted for wanted in said if wanted is not None), None)


def _on(switch: object) -> bool | None:
    """What a switch says: a word, or a truth; None where it leaves it open.

    >>> _on("none"), _on("low"), _on(""), _on(False), _on(None)
    (False, True, None, False, None)
    """
    if isinstance(switch, str):
        word = switch.strip().lower()
        return None if word in _OPEN else word not in _OFF
    return switch if isinstance(switch, bool) else None


def _reasoning(wanted: OpenAIReasoning | bool | str | None) -> bool | None:  # noqa: FBT001 - clients' field
    if not isinstance(wanted, OpenAIReasoning):
        return _on(wanted)
    if wanted.exclude or wanted.enabled is False or wanted.max_tokens == 0:
        return False
    return True if wanted.enabled else _on(wanted.effort)


def no_voice(modalities: Sequence[str] | None) -> bool:
    """Whether anything but text is asked for."""
    return bool(set(modalities or ()) - {"text"})
