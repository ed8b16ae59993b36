"""The bodies of Ollama's dialect: requests, which are checked against these records (unknown fields are ignored), and replies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gork.config.durations import seconds_of
from gork.config.schema import Wrong
from gork.errors import BadRequest
from gork.service.dialects.generate_context import FOREIGN_CONTEXT, Remembered, read_context
from gork.service.dialects.json_schema import kept_schema
from gork.service.dialects.messages import ChatMessage, PlainMessages, checked_text
from gork.service.dialects.sampling import Number, Sampling, sampling_of
from gork.turn import AnswerFormat, Message, as_messages, instructions

Count = Annotated[int, Meta(ge=0)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
DoneReason = Literal["stop", "length", "load", "unload", "error"]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

LEVELS = ("high", "medium", "low", "max")


class OllamaSampling(msgspec.Struct, kw_only=True):
    """`options`: how the candidates choose their tokens. Any number is taken; options that are not here are ignored."""

    temperature: Number | None = None
    top_k: Number | None = None
    """0 and less: all tokens."""
    top_p: Number | None = None
    min_p: Number | None = None
    typical_p: Number | None = None
    num_predict: Number | None = None
    """Most tokens of one answer; 0 and less leave it to the ensemble."""
    num_keep: Number | None = None
    repeat_last_n: Number | None = None
    repeat_penalty: Number | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    seed: Number | None = None
    """Below 0 one is drawn."""
    stop: str | list[Any] | None = None
    optimize: bool | None = None
    """Our own: whether the question is rewritten before it is asked; here, since clients pass options on as they are."""


class OllamaQuestion(msgspec.Struct):
    """The fields that `/api/chat` and `/api/generate` share."""

    model: str | None = None
    stream: bool | None = None
    think: bool | str | None = None
    """Whether drafts and verdict come in `thinking`; the service's settings if not given."""
    format: str | dict[str, Any] | None = None
    """`json`, or a JSON schema."""
    options: OllamaSampling | None = None
    optimize: bool | None = None
    """Our own: the same as in `options`."""
    live_draft: bool | None = None
    """Our own: whether the favourite's draft comes as it is written; the service's settings if not given."""
    keep_alive: float | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class OllamaChatRequest(OllamaQuestion):
    """The body of `POST /api/chat`."""

    messages: list[ChatMessage] | None = None
    """None or an empty list: nothing is asked, and the reply says that the model is loaded."""
    tools: list[Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    """Not Ollama's own: some clients send OpenAI's."""


class OllamaGenerateRequest(OllamaQuestion):
    """The body of `POST /api/generate`."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    raw: bool | None = None
    images: list[Any] | None = None
    context: list[Any] | None = None
    """What an earlier reply gave as `context`: the conversation goes on."""


class OllamaPullRequest(msgspec.Struct):
    """The body of `POST /api/pull`."""

    model: str | None = None
    name: str | None = None
    """The old name of `model`."""
    stream: bool | None = None


class OllamaStatus(msgspec.Struct):
    """How far a pull is."""

    status: str


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
    """What `GET /api/ps` answers, and by this program's version that it is no Ollama."""

    models: list[OllamaLoadedModel]
    gork_heavy_lite: str


class OllamaShowReply(msgspec.Struct):
    """What `POST /api/show` answers."""

    modelfile: str
    parameters: str
    template: str
    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: Time
    system: str | UnsetType = UNSET


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
    error: str | UnsetType = UNSET
    """In the last line of a stream that failed."""


class OllamaGenerateReply(msgspec.Struct, kw_only=True):
    """What `POST /api/generate` answers: the same with the text and the thinking as two fields."""

    model: str
    created_at: Time
    response: str
    thinking: str | UnsetType = UNSET
    done: bool
    done_reason: DoneReason | UnsetType = UNSET
    context: list[int] | UnsetType = UNSET
    """The conversation so far, to be sent with the next prompt."""
    total_duration: Count | UnsetType = UNSET
    load_duration: Count | UnsetType = UNSET
    prompt_eval_count: Count | UnsetType = UNSET
    prompt_eval_duration: Count | UnsetType = UNSET
    eval_count: Count | UnsetType = UNSET
    eval_duration: Count | UnsetType = UNSET
    error: str | UnsetType = UNSET
    """In the last line of a stream that failed."""


def sampling_in(options: OllamaSampling | None, context: int) -> Sampling:
    """What candidates get of `options`; `context` bounds the answer's tokens."""
    given = msgspec.structs.asdict(options or OllamaSampling())
    stop = given.pop("stop")
    given.pop("optimize")
    return sampling_of(given, stop, context)


def format_of(raw: str | dict[str, Any] | None) -> tuple[AnswerFormat | None, tuple[str, ...]]:
    """The meaning of `format`, and a line for each part of a schema that is not kept. Raises `BadRequest` in Ollama's words."""
    if not raw and not isinstance(raw, dict):
        return None, ()
    if raw == "json":
        return "json", ()
    if isinstance(raw, dict):
        kept = kept_schema(raw, "format")
        return kept.schema, kept.notes
    raise BadRequest(f'invalid format: "{raw[:100]}"; expected "json" or a valid JSON Schema object', param="format")


def drafts_of(think: bool | str | None) -> bool | None:  # noqa: FBT001 - Ollama's field
    """Whether drafts are wanted; None if the request does not say. Raises `BadRequest` in Ollama's words."""
    if think is None or isinstance(think, bool):
        return think
    if think in LEVELS:
        return True
    raise BadRequest(f'invalid think value: "{think[:100]}" (must be "high", "medium", "low", "max", true, or false)', param="think")


def kept_for(keep_alive: float | str | None) -> float | None:
    """Seconds that a client wants the model kept in memory; None if it does not say. Raises `BadRequest` in Ollama's words.

    >>> kept_for(0), kept_for("0s"), kept_for("5m"), kept_for(-1), kept_for(None)
    (0.0, 0.0, 300.0, inf, None)
    """
    if keep_alive is None:
        return None
    try:
        return seconds_of(keep_alive)
    except Wrong:
        raise BadRequest(f'time: invalid duration "{str(keep_alive)[:100]}"', param="keep_alive") from None


def prompt_of(body: OllamaGenerateRequest) -> PlainMessages:
    """The prompt with its instructions and what was said before it; no messages if nothing is asked. Raises `BadRequest`."""
    if not body.prompt:
        return PlainMessages(())
    found = read_context(body.context) if body.context else Remembered()
    earlier = found or Remembered()
    notes = () if found is not None else (FOREIGN_CONTEXT,)
    system = checked_text(body.system or earlier.system, "system")
    asked: Message = {"role": "user", "content": checked_text(body.prompt, "prompt")}
    return PlainMessages((*instructions(system), *as_messages(earlier.exchanges), asked), notes)
