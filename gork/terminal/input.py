"""What a person or a pipe types at the prompt: one `Line` after the other, whatever kind of terminal it comes from.

This module reads plainly: pipes, files, and terminals that cannot move their cursor. `editing.py` has the line editor.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TextIO, TypeVar

from gork.terminal.prompt_text import MOST_BYTES
from gork.terminal.tty_modes import forget_input

_T = TypeVar("_T")

PROMPT = "Enter your query (or 'exit' to quit): "
CONTINUED = "... "
FENCE = '"""'
_CANNOT_EDIT = frozenset({"", "dumb", "unknown"})


@dataclass(frozen=True, slots=True)
class Line:
    """One input, which may have several lines; a `literal` one is never taken for a command."""

    text: str
    literal: bool = False


@dataclass(frozen=True, slots=True)
class Cleared:
    """Ctrl-C at the prompt; whether it threw away something typed."""

    typed: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """No more input will come; `why` is for people, empty where they know."""

    why: str = ""


Input = Line | Cleared | Ended


class Reader(Protocol):
    """Where input comes from."""

    prefills: bool
    """Whether a text can be put at the prompt for further editing."""

    async def read(self, *, prefill: str = "") -> Input:
        """Show the prompt and wait for an input. Being cancelled leaves the terminal as it was."""

    def during_turn(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Keep what is typed while a turn runs for the next prompt; `stop` is called for a Ctrl-C that came as a key."""

    def forget_typed(self) -> None:
        """Throw away what was typed so far during a turn: it is being stopped."""


def can_edit(environ: Mapping[str, str], stdin: TextIO, shown: TextIO) -> bool:
    """Whether lines can be edited: a person at a terminal that says what it is and can move its cursor."""
    return stdin.isatty() and shown.isatty() and environ.get("TERM", "xterm" if sys.platform == "win32" else "") not in _CANNOT_EDIT


def shown_on() -> TextIO:
    """Where the prompt is shown: standard output is for answers, unless it is all that a person sees."""
    return sys.stdout if sys.stdout.isatty() and not sys.stderr.isatty() else sys.stderr


def is_open(text: str) -> bool:
    r'''Whether a fence was opened and not yet closed.

    >>> is_open('"""two'), is_open('"""two\nlines"""'), is_open('"""'), is_open('no """')
    (True, False, True, False)
    '''
    inner = text.strip()
    return inner.startswith(FENCE) and not (len(inner) >= 2 * len(FENCE) and inner.endswith(FENCE))


def unfenced(text: str) -> Line:
    r'''The input without its fences, if it has any.

    >>> unfenced('"""\n/two\nlines\n"""')
    Line(text='/two\nlines', literal=True)
    '''
    inner = text.strip()
    if inner.startswith(FENCE) and not is_open(inner):
        return Line(inner[len(FENCE) : -len(FENCE)].strip("\r\n"), literal=True)
    return Line(text)


class PlainReader:
    """Reads line by line, without any escape sequence.

    Ends a terminal's silence after `idle_s` seconds (0: never); a pipe may be silent.
    """

    prefills = False

    def __init__(self, stdin: BinaryIO, *, idle_s: float) -> None:
        self._fd, self._interactive = stdin.fileno(), stdin.isatty()
        self._bytes = _Bytes(self._fd)
        self._idle_s = idle_s if self._interactive and idle_s else None

    async def read(self, *, prefill: str = "") -> Input:
        """Show the prompt and wait for a line, or for all lines between two fences."""
        text, prompt = "", PROMPT
        while True:
            print(prompt, end="", file=shown_on(), flush=True)
            try:
                async with asyncio.timeout(self._idle_s):
                    line = await self._bytes.line()
            except TimeoutError:
                return Ended(idle(self._idle_s or 0))
            except _TooLong:
                return Ended(f"a line of more than {MOST_BYTES:,} bytes is too much for any of the models")
            if line is None:
                return Ended(f"the {FENCE} was never closed: what followed it was not asked" if text else "")
            text += line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            if not is_open(text):
                return unfenced(text)
            if len(text) > MOST_BYTES:
                return Ended(f"more than {MOST_BYTES:,} characters behind {FENCE} are too much for any of the models")
            text, prompt = text + "\n", CONTINUED

    def during_turn(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Leave what is typed where it is: the terminal keeps it."""
        return nullcontext()

    def forget_typed(self) -> None:
        """Throw away what the terminal keeps; what a pipe has sent is none of Ctrl-C's business."""
        if self._interactive:
            forget_input(self._fd)


def idle(seconds: float) -> str:
    """Why a session ended.

    >>> idle(5400)
    'nothing was typed for 1 h 30 min: leaving (idle_exit)'
    """
    hours, minutes = divmod(round(seconds / 60), 60)
    spelled = " ".join(part for part, value in ((f"{hours} h", hours), (f"{minutes} min", minutes)) if value) or f"{seconds:g} s"
    return f"nothing was typed for {spelled}: leaving (idle_exit)"


def _set(future: asyncio.Future[_T], value: _T) -> None:
    if not future.done():
        future.set_result(value)


class _TooLong(Exception):
    """Raised for a line without an end."""


class _Bytes:
    """The lines of a file descriptor, read when there is something to read, so that the loop goes on and a wait can be cancelled.

    The descriptor stays in blocking mode: it is shared with whoever else has the terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()
        self._ended = False
        self._thread: asyncio.Future[bytes] | None = None

    async def line(self) -> bytes | None:
        """The next line with its end; None at the end of it all."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0 and not self._ended:
            searched = len(self._buffer)
            if searched > MOST_BYTES:
                raise _TooLong
            data = await self._some()
            self._buffer += data
            self._ended = not data
        size = end + 1 if end >= 0 else len(self._buffer)
        line = bytes(self._buffer[:size])
        del self._buffer[:size]
        return line or None

    async def _some(self) -> bytes:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(self._fd, _set, ready, None)
        except PermissionError:  # a regular file: it never makes anybody wait
            return self._read()
        except NotImplementedError:  # Windows
            return await self._in_thread(loop)
        try:
            await ready
        finally:
            loop.remove_reader(self._fd)
        return self._read()

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 1 << 16)
        except OSError:  # the terminal is gone
            return b""

    async def _in_thread(self, loop: asyncio.AbstractEventLoop) -> bytes:
        """A read that nobody can interrupt, left to a thread; one that was given up on is the next one's."""
        if self._thread is None:
            future = self._thread = loop.create_future()

            def read() -> None:
                data = self._read()
                loop.call_soon_threadsafe(_set, future, data)

            threading.Thread(target=read, daemon=True, name="standard input").start()
        data = await asyncio.shield(self._thread)
        self._thread = None
        return data
