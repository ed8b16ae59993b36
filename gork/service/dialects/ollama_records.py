"""What clients of Ollama's dialect send: records that a body is checked against. What they do not name is ignored, as Ollama does."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gork.config.ensemble import OllamaOptions, OptionValue
from gork.service.dialects.json_schema import checked_schema
from gork.service.errors import BadRequest
from gork.turn import AnswerFormat

LEVELS = ("high", "medium", "low", "max")
_DURATION = re.compile(r"[+-]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h))+)")


class Sampling(OllamaOptions, frozen=True, kw_only=True):
    """`options`: how the candidates draw their words. Options that a model is loaded with are accepted and change nothing."""

    num_predict: Annotated[int, Meta(ge=-2, le=2**31 - 1)] | None = None
    """Most tokens of one answer; -1 and -2 leave it to the ensemble."""
    seed: int | None = None
    """-1 draws one."""


class ChatMessage(msgspec.Struct):
    """One message."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    images: list[Any] | None = None
    tool_calls: list[Any] | None = None


class _Asking(msgspec.Struct):
    """What both ways of asking have."""

    model: str | None = None
    stream: bool | None = None
    think: bool | str | None = None
    """Whether drafts and verdict come in `thinking`; the service's settings if not given."""
    format: str | dict[str, Any] | None = None
    """`json`, or a JSON schema."""
    options: Sampling | None = None
    keep_alive: float | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class ChatRequest(_Asking):
    """The body of `POST /api/chat`."""

    messages: list[ChatMessage] | None = None
    """None or no messages: nothing is asked, the reply says that the model is there."""
    tools: list[Any] | None = None


class GenerateRequest(_Asking):
    """The body of `POST /api/generate`."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    raw: bool | None = None
    images: list[Any] | None = None


class ShowRequest(msgspec.Struct):
    """The body of `POST /api/show`."""

    model: str | None = None
    name: str | None = None
    """What `model` was called once; some clients still send it."""


def options_of(sampling: Sampling | None, context: int) -> tuple[dict[str, OptionValue], int | None]:
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
    """What `format` means. Raises `BadRequest` in Ollama's words."""
    if not raw and not isinstance(raw, dict):
        return None
    if raw == "json":
        return "json"
    if isinstance(raw, dict):
        return checked_schema(raw, "format")
    raise BadRequest(f'invalid format: "{raw[:100]}"; expected "json" or a valid JSON Schema object', param="format")


def drafts_of(think: bool | str | None) -> bool | None:  # noqa: FBT001 - Ollama's field
    """Whether drafts are wanted, None if nothing is said of it. Raises `BadRequest` in Ollama's words."""
    if think is None or isinstance(think, bool):
        return think
    if think in LEVELS:
        return True
    raise BadRequest(f'invalid think value: "{think[:100]}" (must be "high", "medium", "low", "max", true, or false)', param="think")


def unloads(keep_alive: float | str | None) -> bool:
    """Whether a client wants the model gone after the request. Raises `BadRequest` in Ollama's words.

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
