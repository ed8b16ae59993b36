"""What a check says of an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that plain code found in an answer: a reason in one line, and how much it says."""

    what: str
    weight: float
    """Negative: speaks against the answer; positive: speaks for it."""


def shown(text: str) -> str:
    """A piece of a text as it can stand in a one-line reason: printable, at most 40 characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[:200]).split())
    return line if len(line) <= 40 else f"{line[:39]}…"
