"""What a check of an answer is, and what it raises when it is the check that is broken."""

from __future__ import annotations

from typing import Protocol

from gork.errors import GorkError


class CheckFailed(GorkError):
    """Raised when a checker itself cannot do its work; it says nothing about the answer."""


class NotASchema(CheckFailed):
    """Raised for what is given as a JSON schema and is not one."""


class Check(Protocol):
    """One stated truth about an answer."""

    def holds(self, answer: str, question: str) -> bool:
        """Whether the answer to this question is right. Raises a `CheckFailed` where that cannot be found out."""
        ...
