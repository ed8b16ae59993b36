"""The escape sequences in what a program wrote to its terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

ROWS = re.compile(r"\x1b\[1A|\x1b\[2K|\x1b\[[0-9;]*m")
"""Rows that are drawn over themselves need one line up, erase line and colours; nothing else."""


def sequences(raw: bytes) -> Iterator[str]:
    """The escape sequences and control characters in what came, without the ends of lines."""
    text = raw.decode()
    for match in re.finditer(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b.|[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]", text, re.DOTALL):
        yield match[0]
