"""What the JSON records of model servers say, checked: every field may be absent, of another type, or out of range."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from gork.engines.http import plain
from gork.engines.labels import read_labels
from gork.engines.spot import Spot
from gork.errors import BadReply

Record = Mapping[str, object]
_FORCED = 1e-3
"""Left to each label that a schema-constrained reply did not take: how strongly is not known, and it has to have a logarithm."""
_ABSENT = -1000.0
"""Servers that write no infinity give the tokens that cannot come a number such as -1000 or -9999."""


def count(record: Record, key: str) -> int:
    """Give a whole number that is not negative; 0 where there is none (Ollama leaves zeros out).

    >>> count({"eval_count": 7}, "eval_count"), count({}, "eval_count"), count({"eval_count": -1}, "eval_count")
    (7, 0, 0)
    """
    value = record.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def text(record: Record, key: str, spot: Spot) -> str:
    """Give a text that can be encoded; empty where there is none, a `BadReply` where something else stands."""
    value = record.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise spot.error(BadReply, f"its reply has no text as {key!r} but {plain(repr(value)[:60])}", spot.server.question)
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # JSON escapes can be lone surrogates


def mapping(record: Record, key: str) -> Record:
    """Give an object; empty where there is none."""
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def rows(record: Record, key: str) -> list[Record]:
    """Give a list of objects, whatever else is in it left out."""
    value = record.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def logprob(row: Record) -> float | None:
    """Give a log-probability if it is one.

    >>> logprob({"logprob": -0.5}), logprob({"logprob": 0}), logprob({"logprob": float("nan")}), logprob({"logprob": "-1"})
    (-0.5, 0.0, None, None)
    """
    value = row.get("logprob")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(float(value), 0.0)


def likely_tokens(row: Record) -> list[tuple[str, float]]:
    """Give the most likely tokens at one place of a reply; those that cannot come there are left out."""
    pairs = [(other.get("token"), logprob(other)) for other in rows(row, "top_logprobs")]
    return [(token, value) for token, value in pairs if isinstance(token, str) and value is not None and value > _ABSENT]


def forced_label(content: str, places: Sequence[Record], labels: Sequence[str], spot: Spot) -> tuple[dict[str, float], float]:
    """Read a reply that a schema forced to be one of the labels, alone or as the only value of an object: (shares, mass).

    Where the server lists what was likely in the label's place, that says how the model leans: before the grammar (Ollama 0.32,
    llama-server) or after it (vLLM, SGLang), which makes no difference once only the labels are looked at.
    """
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        said = content.strip()
    label = next(iter(said.values())) if isinstance(said, dict) and len(said) == 1 else said
    place = _place_of(label, places) if isinstance(label, str) else None
    if place is not None and (found := read_labels(likely_tokens(place), labels)) is not None:
        return found
    if label not in list(labels):
        raise spot.error(BadReply, f"it chose none of {', '.join(labels)} but {plain(content[:60])!r}")
    return {other: 1 - _FORCED * (len(labels) - 1) if other == label else _FORCED for other in labels}, 1.0


def _place_of(label: str, places: Sequence[Record]) -> Record | None:
    """The place whose token begins the label, by what the tokens are together (llama-server lists one more than it sends)."""
    tokens = [token if isinstance(token := place.get("token"), str) else "" for place in places]
    start, at = "".join(tokens).rfind(f'"{label}"') + 1, 0
    for token, place in zip(tokens, places, strict=True):
        at += len(token)
        if 0 < start < at:
            return place
    return None
