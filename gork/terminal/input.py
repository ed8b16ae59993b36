"""What a user or a pipe hands in: standard input as a whole, or one `Line` after the other at the prompt, on whatever kind of terminal.

The prompt is read plainly here: from pipes, files, and terminals that cannot move their cursor. `line_editor.py` has the line editor.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TextIO, TypeVar

from gork.config.ensemble import LONGEST_TOKEN_BYTES
from gork.errors import UsageError
from gork.terminal import program
from gork.terminal.screen import INCAPABLE, forget_input, is_terminal
from gork.terminal.text_encoding import MARK, ToUtf8, decoded

_T = TypeVar("_T")

PROMPT = "Enter your query (or 'exit' to quit): "
CONTINUED = "... "
FENCE = '"""'
MOST_BYTES = 4 * 1024 * 1024
"""The most that is read as one prompt, from standard input, a line or an editor."""
SILENCE_S = 1.0
_UNUSABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


# --- prompts as a whole


def _described(character: str) -> str:
    if character == "\0":
        return "a NUL character: is it a binary file?"
    if "\ud800" <= character <= "\udfff":
        return "a byte that is not valid Unicode: use UTF-8"
    return f"the control character U+{ord(character):04X}: remove it and ask again"


def check_prompt(text: str, *, context: int, what: str = "the prompt") -> str:
    """Return the prompt unchanged; raises `UsageError` with one line for anything that no model can use.

    >>> check_prompt("What is this?", context=4096)
    'What is this?'
    """
    if not text.strip():
        raise UsageError(f'{what} is empty: ask something, for example: {program.call()} "What is quantum computing?"')
    size = len(check_characters(text, what=what).encode())
    if size > context * LONGEST_TOKEN_BYTES:
        raise UsageError(
            f"{what} has {size:,} bytes, far more than the models' context of {context:,} tokens holds"
            f" (about {context * 4:,} characters): shorten it"
        )
    return text


def check_characters(text: str, *, what: str) -> str:
    """Return the text unchanged; raises a `UsageError` for a character that is no part of a text."""
    if (bad := _UNUSABLE.search(text)) is not None:
        raise UsageError(f"character {bad.start() + 1:,} of {what} is {_described(bad[0])}")
    return text


def from_stdin(stream: BinaryIO, say: Callable[[str], None]) -> str:
    """All of standard input, decoded; a pipe that stays silent for a second is mentioned, since it may never end."""
    if _is_silent(stream):
        say("waiting for standard input (end it with Ctrl-D, or use </dev/null)")
    data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UsageError(f"standard input has more than {MOST_BYTES:,} bytes: too much for any model: send less")
    return decoded(data, what="standard input")


def _is_silent(stream: BinaryIO) -> bool:
    if sys.platform == "win32":
        return False  # select works on sockets only there
    try:
        return not select.select([stream], [], [], SILENCE_S)[0]
    except (OSError, ValueError):
        return False


def join(piped: str, words: Sequence[str]) -> str:
    r"""Standard input first, then the argument.

    >>> join("some text\n", ["summarise", "this"])
    'some text\n\nsummarise this'
    """
    return "\n\n".join(part for part in (piped.strip("\r\n"), " ".join(words).lstrip(MARK)) if part.strip())


# --- line by line


@dataclass(frozen=True, slots=True)
class Line:
    """One input, which may have several lines; a `literal` one is a question even if it looks like a command."""

    text: str
    literal: bool = False


@dataclass(frozen=True, slots=True)
class Cleared:
    """Ctrl-C at the prompt; `typed` if it discarded an input that was begun."""

    typed: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of the input; `why` is a line for the user, empty if the user ended it."""

    why: str = ""


Input = Line | Cleared | Ended


class Reader(Protocol):
    """Where input comes from."""

    prefills: bool
    """Whether a text can be put at the prompt for further editing."""
    hears_keys: bool
    """Whether single keys are heard while a turn runs."""

    async def read(self, *, prefill: str = "") -> Input:
        """Show the prompt and wait for an input. Being cancelled leaves the terminal as it was."""

    def during_turn(self, stop: Callable[[], None], hurry: Callable[[], None]) -> AbstractContextManager[None]:
        """Keep what is typed while a turn runs for the next prompt.

        `stop` is called for a Ctrl-C that arrives as a key, `hurry` for an Enter before which nothing was typed.
        """

    def forget_typed(self) -> None:
        """Discard what was typed so far during a turn: the turn is being stopped."""


def show(text: str) -> None:
    """Write where the prompt is, as it is; nothing happens where that is closed, so that a pipe's questions are answered nevertheless.

    A terminal that is gone raises an `OSError`.
    """
    stream = shown_on()
    if stream is None:
        return
    with nullcontext() if is_terminal(stream) else suppress(OSError):
        stream.write(text)
        stream.flush()


def can_edit(environ: Mapping[str, str], stdin: TextIO, shown: TextIO) -> bool:
    """Whether there is a line editor: standard input and the prompt are on a terminal that says what it is and can move its cursor."""
    return stdin.isatty() and is_terminal(shown) and environ.get("TERM", "xterm" if sys.platform == "win32" else "") not in INCAPABLE


def shown_on() -> TextIO | None:
    """The stream for the prompt: standard error, since standard output is for answers, unless only standard output is a terminal.

    None if there is neither.
    """
    return sys.stdout if is_terminal(sys.stdout) and not is_terminal(sys.stderr) else sys.stderr


def is_open(text: str) -> bool:
    r'''Whether a fence was opened and not yet closed.

    >>> is_open('"""two'), is_open('"""two\nlines"""'), is_open('"""'), is_open('no """')
    (True, False, True, False)
    '''
    inner = text.lstrip(MARK).strip()
    return inner.startswith(FENCE) and not (len(inner) >= 2 * len(FENCE) and inner.endswith(FENCE))


def unfenced(text: str) -> Line:
    r'''The input without its fences, if it has any.

    >>> unfenced('"""\n/two\nlines\n"""')
    Line(text='/two\nlines', literal=True)
    '''
    text = text.lstrip(MARK)  # pasted, or of a pipe that was put together from files
    inner = text.strip()
    if inner.startswith(FENCE) and not is_open(inner):
        return Line(inner[len(FENCE) : -len(FENCE)].strip("\r\n"), literal=True)
    return Line(text)


class PlainReader:
    """Reads line by line, without any escape sequence.

    On a terminal, ends the input after `idle_s` seconds without any (0: never); a pipe may stay silent.
    """

    prefills = False
    hears_keys = False

    def __init__(self, stdin: BinaryIO, *, idle_s: float) -> None:
        self._fd, self._interactive = stdin.fileno(), stdin.isatty()
        self._bytes = _Bytes(self._fd)
        self._idle_s = idle_s if self._interactive and idle_s else None

    async def read(self, *, prefill: str = "") -> Input:
        """Show the prompt and wait for a line, or for all lines between two fences."""
        text, prompt = "", PROMPT
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    line = await self._prompted(prompt)
            except TimeoutError:
                return Ended(idle(self._idle_s or 0))
            except _TooLong:
                return Ended(f"a line of more than {MOST_BYTES:,} bytes is too long for any model: leaving")
            if line is None:
                return Ended(f"the {FENCE} was never closed: what came after it was not asked" if text else "")
            text += line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            if not is_open(text):
                return unfenced(text)
            if len(text) > MOST_BYTES:
                return Ended(f"more than {MOST_BYTES:,} characters after {FENCE} are too many for any model: leaving")
            text, prompt = text + "\n", CONTINUED

    async def ask(self, prompt: str) -> str | None:
        """The answer to a question of ours, without the blanks around it; None at the end of the input."""
        line = await self._prompted(prompt)
        return None if line is None else line.decode("utf-8", "replace").strip()

    async def _prompted(self, prompt: str) -> bytes | None:
        show(prompt)
        return await self._bytes.line()

    def during_turn(self, stop: Callable[[], None], hurry: Callable[[], None]) -> AbstractContextManager[None]:
        """Leave what is typed to the terminal, which keeps it."""
        return nullcontext()

    def forget_typed(self) -> None:
        """Discard what the terminal keeps; what a pipe has sent stays."""
        if self._interactive:
            forget_input(self._fd)


def idle(seconds: float) -> str:
    """Why a session ended, for people.

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
    """Raised for a line of more than `MOST_BYTES`."""


class _Bytes:
    """The lines of a file descriptor, read when there is something to read, so that the loop goes on and a wait can be cancelled.

    The descriptor stays in blocking mode: other programs on the same terminal share it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()
        self._utf8 = ToUtf8()
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
            self._ended = not data
            self._buffer += self._utf8.take(data, ended=self._ended)
        size = end + 1 if end >= 0 else len(self._buffer)
        line = bytes(self._buffer[:size])
        del self._buffer[:size]
        return line or None

    async def _some(self) -> bytes:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(self._fd, _set, ready, None)
        except PermissionError:  # a regular file: reading it does not block
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
        """Read in a thread, since the read cannot be interrupted; the result of an abandoned read goes to the next one."""
        if self._thread is None:
            future = self._thread = loop.create_future()

            def read() -> None:
                data = self._read()
                loop.call_soon_threadsafe(_set, future, data)

            threading.Thread(target=read, daemon=True, name="standard input").start()
        data = await asyncio.shield(self._thread)
        self._thread = None
        return data
