"""The language of llama.cpp's HTTP server: the options that it takes, the events and probabilities that it gives.

What it says is read with suspicion: sizes are bounded, shapes are checked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gork.config.ensemble import LOAD_TIME, OptionValue
from gork.engines.model import Options

_DEFAULTS: Mapping[str, OptionValue] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "seed": -1,
    "num_predict": -1,
    "stop": (),
}
"""What Ollama does when an option is not given, so that a member behaves alike on both engines."""
_RENAMED = {"num_predict": "n_predict", "num_keep": "n_keep"}

_GUIDANCE: Mapping[str, object] = {"x-guidance": {"lenient": True, "whitespace_flexible": False}}
"""How a schema is made a grammar: what is not known in it is passed over (else the whole schema would be, in silence), and between its
parts there is no white space, of which small models find no end."""
_LARGEST_INTEGER = 10**15 - 1
"""Without an end a small model may write digits until its limit; Ollama's grammar has sixteen of them at most."""
_NAMED_SCHEMAS = frozenset({"properties", "$defs", "definitions"})
_SCHEMA_LISTS = frozenset({"anyOf", "allOf", "prefixItems"})
_SCHEMAS = frozenset({"items", "additionalProperties"})

_FIELDS = ("content", "stop", "stop_type", "tokens_predicted", "tokens_evaluated", "timings")


def llama_options(options: Options) -> dict[str, Any]:
    """Translate Ollama's options, its defaults included; raises a ValueError that lists every one that cannot be had here.

    >>> llama_options({"num_predict": 5, "stop": "END"})["n_predict"], llama_options({"stop": "END"})["stop"]
    (5, ['END'])
    """
    mistakes = []
    for name in options:
        if name in LOAD_TIME:
            mistakes.append(f"option {name} is settled when the model loads: {LOAD_TIME[name]}")
        elif name not in _DEFAULTS and name not in _RENAMED:
            mistakes.append(f"option {name} is not known to the embedded engine: it has {', '.join(sorted({*_DEFAULTS, *_RENAMED}))}")
    for name, value in options.items():
        wanted = (str, tuple, list) if name == "stop" else (int, float)
        if isinstance(value, bool) or not isinstance(value, wanted):
            mistakes.append(f"option {name} is {value!r}: it must be {'a text or several' if name == 'stop' else 'a number'}")
    if mistakes:
        raise ValueError("; ".join(mistakes))
    translated: dict[str, Any] = {_RENAMED.get(name, name): value for name, value in {**_DEFAULTS, **options}.items()}
    stop = translated["stop"]
    translated["stop"] = [stop] if isinstance(stop, str) else list(stop)
    translated["n_predict"] = max(-1, translated["n_predict"])  # Ollama's -2, "until the context is full", is what -1 means here
    return translated


def grammar_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema as the server's grammar wants it: with its settings, and with an end to every integer.

    >>> grammar_schema({"type": "integer", "minimum": 0})["maximum"]
    999999999999999
    """
    return {**_with_ends(schema), **_GUIDANCE}


def _with_ends(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Every integer in a schema has a least and a most that is as long as numbers are in practice."""
    if not isinstance(schema, Mapping):
        return schema
    ended = dict(schema)
    for key, inner in schema.items():
        if key in _NAMED_SCHEMAS and isinstance(inner, Mapping):
            ended[key] = {name: _with_ends(one) for name, one in inner.items()}
        elif key in _SCHEMA_LISTS and isinstance(inner, list):
            ended[key] = [_with_ends(one) for one in inner]
        elif key in _SCHEMAS:
            ended[key] = _with_ends(inner)
    types = schema.get("type")
    if "integer" in (types if isinstance(types, list) else [types]) and not {"enum", "const"} & schema.keys():
        least, most = schema.get("minimum", schema.get("exclusiveMinimum", 0)), schema.get("maximum", schema.get("exclusiveMaximum", 0))
        if not {"minimum", "exclusiveMinimum"} & schema.keys() and most > -_LARGEST_INTEGER:
            ended["minimum"] = -_LARGEST_INTEGER
        if not {"maximum", "exclusiveMaximum"} & schema.keys() and least < _LARGEST_INTEGER:
            ended["maximum"] = _LARGEST_INTEGER
    return ended


def encoded(body: Mapping[str, object]) -> bytes:
    """A request's body."""
    return json.dumps(body).encode()


def on_slot(slot: int) -> dict[str, object]:
    """What every completion says: its slot, and that it streams, telling of its progress; the prompt is not repeated at the end."""
    return {"id_slot": slot, "cache_prompt": True, "stream": True, "return_progress": True, "response_fields": list(_FIELDS)}


def whole(value: object) -> int:
    """A count that the server gave, 0 if it is none."""
    return value if isinstance(value, int) else 0


def _probabilities(event: Mapping[str, Any]) -> dict[str, Any]:
    of_tokens = event.get("completion_probabilities")
    first = of_tokens[0] if isinstance(of_tokens, list) and of_tokens else None
    return first if isinstance(first, dict) else {}


def logprob_of(event: Mapping[str, Any]) -> float | None:
    """The log-probability of the token that an event brings."""
    value = _probabilities(event).get("logprob")
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def top_of(events: Sequence[Mapping[str, Any]], field: str) -> list[tuple[str, float]]:
    """The most probable first tokens and their log-probabilities."""
    top = []
    rows = _probabilities(events[0]).get(field) if events else None
    for row in rows if isinstance(rows, list) else ():
        match row:
            case {"token": str(token), "logprob": float(logprob)}:
                top.append((token, logprob))
            case {"token": str(token), "prob": float(prob)} if prob > 0:
                top.append((token, math.log(prob)))
    return top
