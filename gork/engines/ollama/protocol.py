"""What the records of a streamed chat of Ollama's say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from gork.engines.call import Completion, PartialCompletion
from gork.engines.records import Record, count, logprob, mapping, rows, text
from gork.engines.spot import Spot
from gork.errors import BadReply, Died

_REPEATS = 30
"""Ollama 0.32: the server ends a stream without a word when more than 30 tokens in a row are the same but for blanks around them."""


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
            raise self._spot.error(BadReply, "its reply has a record without a message", self._spot.server.question)
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


def template(reply: Record) -> str | None:
    """Give the rendered prompt of a `_debug_render_only` reply (Ollama 0.11.5 and later); None where there is none."""
    rendered = mapping(reply, "_debug_info").get("rendered_template")
    return rendered if isinstance(rendered, str) and rendered else None
