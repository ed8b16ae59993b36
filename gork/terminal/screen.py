"""The terminal as a device: what a stream can show, its size, and what the terminal does by itself with keys and Ctrl-C."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TextIO

if sys.platform != "win32":
    import termios

INCAPABLE = frozenset({"", "dumb", "unknown"})
"""Values of TERM that promise nothing."""
_NO = frozenset({"", "0", "false"})


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one stream can show."""

    terminal: bool
    """It is a terminal: its output may be read while it is written."""
    moves: bool
    """The cursor can be moved: rows can be drawn over themselves."""
    colour: bool
    """Colours are understood and wanted."""

    @property
    def formatted(self) -> bool:
        """Whether an answer's markdown is laid out there; a dumb terminal gets it as it was written, like a pipe."""
        return self.terminal and (self.moves or self.colour)


def abilities(stream: TextIO | None, environ: Mapping[str, str]) -> Abilities:
    """What this stream can show.

    Without TERM nothing is known of the terminal, so nothing is assumed (rich would assume everything). `NO_COLOR` switches colours
    off, not rows; `FORCE_COLOR` switches colours on, in a pipe too, but never rows.
    """
    terminal = is_terminal(stream)
    known = environ.get("TERM", "").lower() not in INCAPABLE or (sys.platform == "win32" and "WT_SESSION" in environ)
    wanted = (terminal and known) or environ.get("FORCE_COLOR", "").lower() not in _NO
    return Abilities(terminal=terminal, moves=terminal and known, colour=wanted and not environ.get("NO_COLOR"))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; one that was closed when the program started is None."""
    return stream is not None and not stream.closed and stream.isatty()


def fill_closed() -> None:
    """Open the null device for each standard stream that was closed when the program started.

    Else the next file or socket that is opened would take its number, and what is meant for the stream would end up in there.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if fd == 0 else os.O_WRONLY)  # the lowest number that is free: this one


def is_ci(environ: Mapping[str, str]) -> bool:
    """Whether this is a build machine, whose terminal is a log."""
    return environ.get("CI", "").lower() not in _NO


def in_foreground(stream: TextIO) -> bool:
    """Whether the terminal belongs to this process group now: a background job must not draw over its shell."""
    if sys.platform == "win32":
        return True
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # not our controlling terminal, or not a terminal: no other program draws there
        return True


def width(stream: TextIO, environ: Mapping[str, str]) -> int:
    """Columns for text: `COLUMNS` if it is set, else the terminal's own, else 80."""
    asked = environ.get("COLUMNS", "")
    if asked.isascii() and asked.isdigit() and int(asked) > 0:
        return int(asked)
    return size(stream)[0]


def size(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of the terminal; 80 and 24 where it does not know them (a pty that was never given a size)."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        columns, lines = shutil.get_terminal_size(fallback=(80, 24))
    return columns or 80, lines or 24


@contextmanager
def without_echo(stream: TextIO) -> Iterator[None]:
    """Keep keys from being shown: an echoed newline would move rows that are drawn over themselves."""
    if sys.platform == "win32":
        yield
    else:
        with _local_mode(stream, termios.ECHO, on=False):
            yield


@contextmanager
def keeping_output(stream: TextIO) -> Iterator[None]:
    """Have the terminal keep its input and output at Ctrl-C.

    By itself it discards both a moment after it has told the program, so that what the program writes at once (a prompt, "stopped", the
    sequence that shows the cursor) may be lost. `forget_input` discards the input in its place.
    """
    if sys.platform == "win32":
        yield
    else:
        with _local_mode(stream, termios.NOFLSH, on=True):
            yield


def forget_input(fd: int) -> None:
    """Discard what was typed and not yet read."""
    if sys.platform != "win32":
        with suppress(termios.error):
            termios.tcflush(fd, termios.TCIFLUSH)


if sys.platform != "win32":

    @contextmanager
    def _local_mode(stream: TextIO, mode: int, *, on: bool) -> Iterator[None]:
        """Switch a local mode of a terminal, and put it back as it was; what is not a terminal is left alone."""
        try:
            fd = stream.fileno()
            before = set_local_mode(fd, mode, on=on)
        except (OSError, ValueError, termios.error):
            yield
            return
        try:
            yield
        finally:
            with suppress(termios.error):  # the terminal may be gone
                set_local_mode(fd, mode, on=before)

    def set_local_mode(fd: int, mode: int, *, on: bool) -> bool:
        """Switch one local mode (a flag of `termios`); returns how it was. Raises a `termios.error` for what is not a terminal."""
        modes = termios.tcgetattr(fd)
        before = bool(modes[3] & mode)
        modes[3] = modes[3] | mode if on else modes[3] & ~mode
        termios.tcsetattr(fd, termios.TCSANOW, modes)
        return before
