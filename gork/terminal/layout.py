"""Text in two columns for a window: side by side where there is room, else one below the other."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

LEAST_BESIDE = 60
"""Columns of a window from which on the two stand side by side."""


def two_columns(rows: Iterable[tuple[str, str]], width: int, *, gap: int = 2) -> list[str]:
    r"""Lines of at most this width: what is typed, indented, and what is said of it.

    >>> print("\n".join(two_columns([("pull", "download models"), ("serve", "answer")], 60)))
      pull   download models
      serve  answer
    >>> print("\n".join(two_columns([("pull", "download models that are missing")], 30)))
      pull
        download models that are
        missing
    """
    rows = list(rows)
    first = max((len(typed) for typed, _ in rows), default=0) + 2 + gap
    lines = list[str]()
    for typed, said in rows:
        if width >= LEAST_BESIDE:
            lines += paragraph(said, width, first=f"  {typed}".ljust(first), indent=" " * first)
        else:
            lines += [*paragraph(typed, width, first="  ", indent="    "), *paragraph(said, width, first="    ", indent="    ")]
    return lines


def paragraph(text: str, width: int, *, first: str = "", indent: str = "") -> list[str]:
    """A paragraph broken at words; words stay whole, so that paths and addresses can be copied."""
    wrapper = textwrap.TextWrapper(
        max(width, len(indent) + 1), initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return wrapper.wrap(text) or [first.rstrip()]
