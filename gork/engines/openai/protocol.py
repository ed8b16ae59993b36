"""The language of OpenAI's chat completions as servers speak it: the fields of a request, and what the chunks of a reply say."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from gork.engines.model import Options
from gork.engines.records import Record, count, likely_tokens, logprob, mapping, rows, text
from gork.engines.spot import Spot
from gork.errors import BadReply, Died, Refused
from gork.turn import AnswerFormat

Stop = Literal["stop", "length", "repetition"]
_STOPS: Final[Mapping[str, Stop]] = {"length": "length", "max_tokens": "length", "repetition": "repetition"}
"""Why a text ended; every reason that is not listed here or below means that the model had said all."""
_BREAKS: Final = frozenset({"abort", "error"})


class Sink(Protocol):
    """Takes what arrives; `PartialCompletion` is one."""

    def add(self, piece: str, *, logprob: float | None = None, thinking: bool = False) -> None:
        """Take in a token's text."""


class Nowhere:
    """A sink for replies of which only the probabilities and the whole text count."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, piece: str, *, logprob: float | None = None, thinking: bool = False) -> None:
        """Keep the text."""
        if not thinking:
            self.text += piece


@dataclass(frozen=True, slots=True)
class Ended:
    """How a reply ended; counts are 0 where the server gives none."""

    stop: Stop
    tokens: int
    prompt_tokens: int


class ChunkReader:
    """Takes the chunks of one streamed chat into a sink. Only a finish reason proves that the answer is whole: errors and cuts too may
    be followed by the end mark.
    """

    def __init__(self, sink: Sink, spot: Spot) -> None:
        self._sink, self._spot = sink, spot
        self.places: list[Record] = []
        """What the server says of the probabilities, token by token."""
        self.marked = False
        """Whether the end mark has come."""
        self._reason: str | None = None
        self._usage: Record | None = None

    def take(self, chunk: Record | None) -> Ended | None:
        """Add a chunk; what it amounts to, if it was the last one. None is the end mark."""
        if chunk is None:
            self.marked = True
            return self._ended()
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage
        elif not isinstance(chunk.get("choices"), list):
            raise self._spot.error(BadReply, "its reply has a record without choices", self._spot.server.question)
        for choice in rows(chunk, "choices"):
            if choice.get("index", 0) == 0:
                self._choice(choice)
        # The usage comes last, and often after the reason; a server that gives none is read to its end mark.
        return self._ended() if isinstance(chunk.get("usage"), dict) else None

    def broken_off(self) -> Ended:
        """What a stream amounts to that ended without the end mark."""
        if (ended := self._ended()) is not None:
            return ended
        raise self._spot.error(Died, "its reply ended before the model was done", "see the server's log")

    def _ended(self) -> Ended | None:
        if self._reason is None:
            return None
        if self._reason in _BREAKS:
            raise self._spot.error(Died, f"it broke off ({self._reason!r})", "see the server's log")
        if self._reason == "content_filter":
            raise self._spot.error(Refused, "its content filter stopped the answer")
        usage = self._usage or {}
        return Ended(_STOPS.get(self._reason, "stop"), count(usage, "completion_tokens"), count(usage, "prompt_tokens"))

    def _choice(self, choice: Record) -> None:
        said = mapping(choice, "delta") or mapping(choice, "message")
        piece = text(said, "content", self._spot)
        thinking = text(said, "reasoning_content", self._spot) or text(said, "reasoning", self._spot)
        places = rows(mapping(choice, "logprobs"), "content")
        self.places += places
        values = [value for place in places if (value := logprob(place)) is not None]
        if thinking:
            self._sink.add(thinking, logprob=None, thinking=True)
        if piece:
            self._sink.add(piece, logprob=values[0] if values else None)
            for value in values[1:]:
                self._sink.add("", logprob=value)  # several tokens in one chunk
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._reason = reason


def are_true(place: Record) -> bool:
    """Whether these are real probabilities of next tokens. Servers that have none send null, nothing, zeros, or the one drawn token.

    >>> are_true({"top_logprobs": [{"token": "A", "logprob": -0.5}, {"token": "B", "logprob": -1.2}]})
    True
    >>> are_true({"top_logprobs": [{"token": "A", "logprob": 0.0}, {"token": "B", "logprob": 0.0}]})
    False
    >>> are_true({"top_logprobs": [{"token": "A", "logprob": -0.5}]}), are_true({"top_logprobs": None}), are_true({})
    (False, False, False)
    """
    likely = dict(likely_tokens(place))
    whole = math.fsum(math.exp(value) for value in likely.values())
    return len(likely) > 1 and 0 < whole < 1.02


# --- requests

_SAME: Final = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")
_BEYOND: Final[Mapping[str, str]] = {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"}
"""Options that OpenAI does not have, under the names of vLLM, SGLang and others."""
_LLAMA: Final = {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repeat_penalty", "typical_p": "typical_p"}
_LLAMA_MORE: Final = {"repeat_last_n": "repeat_last_n", "num_keep": "n_keep"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """What tells one kind of server from another, where that matters."""

    title: str
    options: Mapping[str, str]
    """Its own sampling options, by the names that ensemble files have."""
    no_thinking: Mapping[str, Any]
    """What keeps a model from thinking aloud."""
    going_on: Mapping[str, Any] | None = None
    """What makes it go on with a last message of the assistant's; None if it cannot."""
    afresh: Mapping[str, Any] = field(default_factory=dict)
    """What has a prompt read from its start: a cached prefix moves log-probabilities by as much as a small judge's opinion does."""
    resident: bool = False
    """Its list has what is in memory, and that stays."""
    ensemble: bool = False
    """A whole turn stands behind each question, and no probabilities do: it is not asked for a token beforehand."""


_NO_THINKING: Final = {"chat_template_kwargs": {"enable_thinking": False}}
UNKNOWN: Final = Flavour(title="OpenAI API", options=_BEYOND, no_thinking=_NO_THINKING)
FLAVOURS: Final[Mapping[str, Flavour]] = {
    "llamacpp": Flavour(
        title="llama-server",
        options={**_LLAMA, **_LLAMA_MORE},
        no_thinking=_NO_THINKING,
        going_on={},
        afresh={"cache_prompt": False},
        resident=True,
    ),
    "vllm": Flavour(
        title="vLLM",
        options=_BEYOND,
        no_thinking=_NO_THINKING,
        going_on={"continue_final_message": True, "add_generation_prompt": False},
        resident=True,
    ),
    "sglang": Flavour(title="SGLang", options=_BEYOND, no_thinking=_NO_THINKING, going_on={"continue_final_message": True}, resident=True),
    "library": Flavour(title="Ollama", options={}, no_thinking={"reasoning_effort": "none"}),
    "organization_owner": Flavour(title="LM Studio", options=_LLAMA, no_thinking=_NO_THINKING),
    "gork": Flavour(title="Gork Heavy-Lite", options={**_BEYOND, "repeat_penalty": "repeat_penalty"}, no_thinking={}, ensemble=True),
}
"""By what a server says in `owned_by` of the models that it lists."""

ASKED_FOR: Final = frozenset({*_SAME, *_BEYOND.values(), *_LLAMA.values(), *_LLAMA_MORE.values(), "stop", "response_format"} - {"seed"})
"""Fields that say what somebody wants: if a server refuses one of them, that is said."""
STANDARD: Final = frozenset({"model", "messages", "stream", *_SAME, "stop", "max_tokens", "max_completion_tokens", "response_format"})
"""Fields that every server should know: they are left out only if its refusal names them."""
_TOGETHER: Final = (
    frozenset({"logprobs", "top_logprobs"}),
    frozenset({"continue_final_message", "add_generation_prompt"}),
)


def fields_of(options: Options, flavour: Flavour) -> tuple[dict[str, Any], list[str]]:
    """Sampling options as fields of a request, and the names of those that this kind of server does not have.

    >>> fields_of({"num_predict": 5, "stop": ("END",), "top_k": 3, "num_keep": 4}, UNKNOWN)
    ({'max_tokens': 5, 'stop': ['END'], 'top_k': 3}, ['num_keep'])
    """
    fields: dict[str, Any] = {}
    unknown = []
    for name, value in options.items():
        if name == "num_predict":
            fields |= {"max_tokens": value} if isinstance(value, int) and value > 0 else {}
        elif name == "stop":
            fields["stop"] = [value] if isinstance(value, str) else list(value) if isinstance(value, tuple | list) else value
        elif name in _SAME:
            fields[name] = value
        elif name in flavour.options:
            fields[flavour.options[name]] = value
        else:
            unknown.append(name)
    return fields, unknown


def response_format(form: AnswerFormat) -> dict[str, Any]:
    """What holds a reply to a form: a schema in both cases, since "any JSON object" is refused by some and ignored by others."""
    schema: Mapping[str, object] = {"type": "object"} if form == "json" else form
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}


def label_format(labels: Sequence[str]) -> dict[str, Any]:
    """What holds a reply to one of the labels, in the form that most servers honour."""
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(labels)}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def refused_fields(said: str, body: Record) -> frozenset[str]:
    """The fields of a request that a refusal is about: those that it names, else all that are not OpenAI's own.

    >>> sorted(refused_fields("Unsupported parameter: 'logprobs' is not supported", {"logprobs": True, "top_logprobs": 5, "top_k": 1}))
    ['logprobs', 'top_logprobs']
    >>> sorted(refused_fields("Extra inputs are not permitted", {"model": "m", "top_k": 1, "temperature": 0}))
    ['top_k']
    """
    may_go = body.keys() - {"model", "messages", "stream"}
    named = {name for name in may_go if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", said)}
    found = named or (may_go - STANDARD)
    for group in _TOGETHER:
        found |= group & may_go if group & found else set()
    return frozenset(found)
