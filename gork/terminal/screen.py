"""What a stream can show: colours, rows that are drawn over themselves, and how wide it is."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

_INCAPABLE = frozenset({"", "dumb", "unknown"})
_NO = frozenset({"", "0", "false"})


@dataclass(frozen=True, slots=True)
class Screen:
    """The abilities of one stream."""

    terminal: bool
    """A person may be reading it as it comes."""
    moves: bool
    """The cursor can be moved: rows can be drawn over themselves."""
    colour: bool
    """Colours are understood and wanted."""

    @property
    def formatted(self) -> bool:
        """Whether an answer's markdown is rendered there; a dumb terminal gets it as it was written, like a pipe."""
        return self.terminal and (self.moves or self.colour)


def look(stream: TextIO | None, environ: Mapping[str, str]) -> Screen:
    """What this stream can show.

    Without TERM nothing is known of the terminal, so nothing is assumed (rich would assume everything). `NO_COLOR` takes colours
    away, not rows; `FORCE_COLOR` brings colours, never rows, also into a pipe.
    """
    terminal = stream is not None and not stream.closed and stream.isatty()
    known = environ.get("TERM", "").lower() not in _INCAPABLE or (sys.platform == "win32" and "WT_SESSION" in environ)
    wanted = (terminal and known) or environ.get("FORCE_COLOR", "").lower() not in _NO
    return Screen(terminal=terminal, moves=terminal and known, colour=wanted and not environ.get("NO_COLOR"))


def is_ci(environ: Mapping[str, str]) -> bool:
    """Whether this is a build machine, whose terminal is a log."""
    return environ.get("CI", "").lower() not in _NO


def in_foreground(stream: TextIO) -> bool:
    """Whether we are the ones the terminal belongs to just now: a job in the background must not draw over its shell."""
    if sys.platform == "win32":
        return True
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # not our controlling terminal, or none at all: nobody else draws there
        return True


def width(stream: TextIO, environ: Mapping[str, str]) -> int:
    """Columns for text: `COLUMNS` if it is set, else the terminal's own, else 80."""
    asked = environ.get("COLUMNS", "")
    if asked.isascii() and asked.isdigit() and int(asked) > 0:
        return int(asked)
    return size(stream)[0]


def size(stream: TextIO) -> tuple[int, int]:
    """Columns and lines that the terminal says it has; 80 and 24 where it does not know (a pty whose size never came)."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        columns, lines = shutil.get_terminal_size(fallback=(80, 24))
    return columns or 80, lines or 24
