"""Checks: what plain code finds out about an answer without asking a model.

A check is a function of the question and the answer that yields findings. A finding is right nearly always: what a check does not
understand entirely it says nothing about. `gork/judging/checks/table.py` has the table of all checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found in an answer: a reason in one line, and its weight."""

    what: str
    weight: float
    """Negative: speaks against the answer; positive: speaks for it."""


Check = Callable[[str, str], Iterator[Finding]]
"""Takes the question and the answer."""
