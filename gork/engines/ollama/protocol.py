"""What Ollama's records say, checked: every field may be absent, of another type, or out of range."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Literal

from gork.engines.call import Completion, PartialCompletion
from gork.engines.http import plain
from gork.engines.labels import read_labels
from gork.engines.ollama.client import Record
from gork.engines.ollama.errors import Spot
from gork.errors import BadReply, Died

_REPEATS = 30
"""Ollama 0.32: the server ends a stream without a word when more than 30 tokens in a row are the same but for blanks around them."""
_FORCED = 1e-3
"""Left to each label that a schema-constrained reply did not take: how strongly is not known, and it has to have a logarithm."""


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
        raise spot.error(BadReply, f"its reply has no text as {key!r} but {plain(repr(value)[:60])}", "is it an Ollama server?")
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
    """Give the most likely tokens at one place of a reply."""
    pairs = [(other.get("token"), logprob(other)) for other in rows(row, "top_logprobs")]
    return [(token, value) for token, value in pairs if isinstance(token, str) and value is not None]


class ChatReader:
    """Takes the records of one streamed chat into a partial."""

    def __init__(self, partial: PartialCompletion, spot: Spot) -> None:
        self._partial, self._spot = partial, spot
        self._last, self._repeats = "", 0

    def take(self, record: Record) -> Completion | None:
        """Add a record to the partial; the completion, if it was the last one."""
        message = mapping(record, "message")
        done = record.get("done") is True
        if not message and not done:
            raise self._spot.error(BadReply, "its reply has a record without a message", "is it an Ollama server?")
        piece, thinking = text(message, "content", self._spot), text(message, "thinking", self._spot)
        values = [value for row in rows(record, "logprobs") if (value := logprob(row)) is not None]
        self._add(piece, thinking, values)
        if not done:
            return None
        return self._partial.completion(
            self._stop(record), tokens=count(record, "eval_count") or None, prompt_tokens=count(record, "prompt_eval_count")
        )

    def broken_off(self) -> Completion:
        """What a stream amounts to that ended without `done`: text that repeats itself, or a server that went away.

        Ollama stops a model that repeats itself without saying so; the text is kept, as one that is not complete.
        """
        if self._repeats >= _REPEATS and self._partial.text.strip():
            return self._partial.completion("repetition")
        raise self._spot.error(Died, "its reply ended before the model was done", "see the server's log")

    def _add(self, piece: str, thinking: str, values: Sequence[float]) -> None:
        first = values[0] if values else None
        if thinking:
            self._partial.add(thinking, logprob=None if piece else first, thinking=True)
        if piece:
            bare = piece.strip()
            self._last, self._repeats = bare, self._repeats + 1 if bare == self._last else 1
            self._partial.add(piece, logprob=first)
        for value in values[1 if piece or thinking else 0 :]:
            self._partial.add("", logprob=value)  # several tokens in one record

    def _stop(self, record: Record) -> Literal["stop", "length"]:
        reason = record.get("done_reason")
        if reason in ("load", "unload"):
            raise self._spot.error(BadReply, f"it answers {reason!r} instead of a text", "see the server's log")
        return "length" if reason == "length" else "stop"


def chosen_label(reply: Record, labels: Sequence[str], spot: Spot) -> tuple[dict[str, float], float]:
    """Read a reply that a schema forced to be one of the labels: (shares, mass).

    Ollama 0.32: log-probabilities are those before the grammar, so the ones right after the opening quote say how the model leans.
    """
    content = text(mapping(reply, "message"), "content", spot)
    tokens = rows(reply, "logprobs")
    if len(tokens) > 1 and tokens[0].get("token") == '"' and (found := read_labels(likely_tokens(tokens[1]), labels)) is not None:
        return found
    try:
        label = json.loads(content)
    except (ValueError, RecursionError):
        label = content.strip()
    if label not in list(labels):
        raise spot.error(BadReply, f"it chose none of {', '.join(labels)} but {plain(content[:60])!r}")
    return {other: 1 - _FORCED * (len(labels) - 1) if other == label else _FORCED for other in labels}, 1.0


def template(reply: Record) -> str | None:
    """Give the rendered prompt of a `_debug_render_only` reply (Ollama 0.11.5 and later); None where there is none."""
    rendered = mapping(reply, "_debug_info").get("rendered_template")
    return rendered if isinstance(rendered, str) and rendered else None
