"""Calls: in the middle of a text, and in a piece of Python."""

from __future__ import annotations

import ast

_LONGEST = 1000
"""Characters of a call that are read."""


def balanced_call(text: str, start: int, opening: int) -> str | None:
    """A call from its name, at `start`, to the bracket that closes the one at `opening`, quotations skipped; None if it does not close.

    >>> balanced_call("see f(')', [1]) there", 4, 5)
    "f(')', [1])"
    """
    depth, quote, at = 0, "", opening
    while at < min(len(text), start + _LONGEST):
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        else:
            depth += (char in "([{") - (char in ")]}")
            if depth == 0:
                return text[start : at + 1]
        at += 1
    return None


def prints(tree: ast.AST) -> bool:
    """Whether `print` is called somewhere in a piece of Python."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Name) and called.id == "print" for called in calls)
