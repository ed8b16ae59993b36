"""The bodies of Ollama's dialect: requests, which are checked against these records (unknown fields are ignored), and replies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gork.config.ensemble import OllamaOptions, OptionValue
from gork.errors import BadRequest
from gork.service.dialects.json_schema import checked_schema
from gork.service.dialects.requests import checked_text
from gork.turn import AnswerFormat, Message

Count = Annotated[int, Meta(ge=0)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
DoneReason = Literal["stop", "length", "load", "unload"]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

LEVELS = ("high", "medium", "low", "max")
_DURATION = re.compile(r"[+-]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h))+)")


class OllamaSampling(OllamaOptions, frozen=True, kw_only=True):
    """`options`: how the candidates choose their tokens. Options that a model is loaded with are accepted and change nothing."""

    num_predict: Annotated[int, Meta(ge=-2, le=2**31 - 1)] | None = None
    """Most tokens of one answer; -1 and -2 leave it to the ensemble."""
    seed: int | None = None
    """-1 draws one."""


class OllamaMessage(msgspec.Struct):
    """One message."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    images: list[Any] | None = None
    tool_calls: list[Any] | None = None


class OllamaQuestion(msgspec.Struct):
    """The fields that `/api/chat` and `/api/generate` share."""

    model: str | None = None
    stream: bool | None = None
    think: bool | str | None = None
    """Whether drafts and verdict come in `thinking`; the service's settings if not given."""
    format: str | dict[str, Any] | None = None
    """`json`, or a JSON schema."""
    options: OllamaSampling | None = None
    keep_alive: float | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class OllamaChatRequest(OllamaQuestion):
    """The body of `POST /api/chat`."""

    messages: list[OllamaMessage] | None = None
    """None or an empty list: nothing is asked, and the reply says that the model is loaded."""
    tools: list[Any] | None = None


class OllamaGenerateRequest(OllamaQuestion):
    """The body of `POST /api/generate`."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    raw: bool | None = None
    images: list[Any] | None = None


class OllamaShowRequest(msgspec.Struct):
    """The body of `POST /api/show`."""

    model: str | None = None
    name: str | None = None
    """The old name of `model`; some clients still send it."""


class OllamaVersion(msgspec.Struct):
    """The version of Ollama whose API this is, and this program's own."""

    version: str
    gork_heavy_lite: str


class OllamaDetails(msgspec.Struct):
    """What is known of a model's file."""

    parent_model: str
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaListedDetails(OllamaDetails):
    """The same, as a list of models has it."""

    context_length: Count


class OllamaListedModel(msgspec.Struct):
    """One model of a list."""

    name: str
    model: str
    modified_at: Time
    size: Count
    digest: Digest
    details: OllamaListedDetails
    capabilities: list[str]


class OllamaTags(msgspec.Struct):
    """What `GET /api/tags` answers."""

    models: list[OllamaListedModel]


class OllamaLoadedModel(msgspec.Struct):
    """One model that is in memory."""

    name: str
    model: str
    size: Count
    digest: Digest
    details: OllamaDetails
    expires_at: Time
    size_vram: Count
    context_length: Count


class OllamaRunning(msgspec.Struct):
    """What `GET /api/ps` answers."""

    models: list[OllamaLoadedModel]


class OllamaShowReply(msgspec.Struct):
    """What `POST /api/show` answers."""

    modelfile: str
    parameters: str
    template: str
    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: Time


class OllamaAnswer(msgspec.Struct):
    """The message of an answer, or a piece of it."""

    role: Literal["assistant"]
    content: str
    thinking: str | UnsetType = UNSET


class OllamaChatReply(msgspec.Struct, kw_only=True):
    """What `POST /api/chat` answers; without streaming one, else one line for each piece, the figures in the last."""

    model: str
    created_at: Time
    message: OllamaAnswer
    done: bool
    done_reason: DoneReason | UnsetType = UNSET
    total_duration: Count | UnsetType = UNSET
    load_duration: Count | UnsetType = UNSET
    prompt_eval_count: Count | UnsetType = UNSET
    prompt_eval_duration: Count | UnsetType = UNSET
    eval_count: Count | UnsetType = UNSET
    eval_duration: Count | UnsetType = UNSET


class OllamaGenerateReply(msgspec.Struct, kw_only=True):
    """What `POST /api/generate` answers: the same with the text and the thinking as two fields."""

    model: str
    created_at: Time
    response: str
    thinking: str | UnsetType = UNSET
    done: bool
    done_reason: DoneReason | UnsetType = UNSET
    total_duration: Count | UnsetType = UNSET
    load_duration: Count | UnsetType = UNSET
    prompt_eval_count: Count | UnsetType = UNSET
    prompt_eval_duration: Count | UnsetType = UNSET
    eval_count: Count | UnsetType = UNSET
    eval_duration: Count | UnsetType = UNSET


def options_of(sampling: OllamaSampling | None, context: int) -> tuple[dict[str, OptionValue], int | None]:
    """The options that candidates get, and the turn's seed. `context` bounds the answer's tokens. Raises `BadRequest`."""
    if sampling is None:
        return {}, None
    given = sampling.given()
    seed = given.pop("seed", None)
    most = given.pop("num_predict", None)
    if most == 0:
        raise BadRequest("options.num_predict must be at least 1, or -1 to leave it to the ensemble", param="options.num_predict")
    if isinstance(most, int) and most > 0:
        given["num_predict"] = min(most, context)
    if not given.get("stop", True):
        del given["stop"]
    return given, seed if isinstance(seed, int) and seed >= 0 else None


def format_of(raw: str | dict[str, Any] | None) -> AnswerFormat | None:
    """The meaning of `format`. Raises `BadRequest` in Ollama's words."""
    if not raw and not isinstance(raw, dict):
        return None
    if raw == "json":
        return "json"
    if isinstance(raw, dict):
        return checked_schema(raw, "format")
    raise BadRequest(f'invalid format: "{raw[:100]}"; expected "json" or a valid JSON Schema object', param="format")


def drafts_of(think: bool | str | None) -> bool | None:  # noqa: FBT001 - Ollama's field
    """Whether drafts are wanted; None if the request does not say. Raises `BadRequest` in Ollama's words."""
    if think is None or isinstance(think, bool):
        return think
    if think in LEVELS:
        return True
    raise BadRequest(f'invalid think value: "{think[:100]}" (must be "high", "medium", "low", "max", true, or false)', param="think")


def unloads(keep_alive: float | str | None) -> bool:
    """Whether a client wants the model unloaded after the request. Raises `BadRequest` in Ollama's words.

    >>> unloads(0), unloads("0s"), unloads("5m"), unloads(-1), unloads(None)
    (True, True, False, False, False)
    """
    if keep_alive is None:
        return False
    if isinstance(keep_alive, str):
        if not _DURATION.fullmatch(keep_alive):
            raise BadRequest(f'time: invalid duration "{keep_alive[:100]}"', param="keep_alive")
        return not re.search("[1-9]", keep_alive)
    return keep_alive == 0


def messages_of(given: Sequence[OllamaMessage], model: str | None) -> list[Message]:
    """The messages in plain form. Raises `BadRequest` for images and tools."""
    messages: list[Message] = []
    for index, message in enumerate(given):
        if message.images:
            raise lacks(model, "vision")
        if message.role == "tool" or message.tool_calls:
            raise lacks(model, "tools")
        messages.append({"role": message.role, "content": checked_text(message.content or "", f"messages[{index}].content")})
    return messages


def prompt_of(body: OllamaGenerateRequest) -> list[Message]:
    """The prompt and its instructions in plain form; an empty list if nothing is asked. Raises `BadRequest`."""
    if not body.prompt:
        return []
    messages: list[Message] = [{"role": "system", "content": checked_text(body.system, "system")}] if body.system else []
    return [*messages, {"role": "user", "content": checked_text(body.prompt, "prompt")}]


def lacks(model: str | None, capability: str) -> BadRequest:
    """The error for a capability that a model does not have, in Ollama's words."""
    return BadRequest(f'"{model}" does not support {capability}', param=capability)
