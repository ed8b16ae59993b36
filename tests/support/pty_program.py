"""The program on a real pseudo-terminal, as a person has it before them: what is waited for is what the screen shows.

    async with on_terminal(program, "--no-optimize") as terminal:
        await terminal.prompt()
        await terminal.ask("capital of france pls")      # types, presses Enter, waits until the prompt is back
        assert "Response: It is Paris." in terminal.text

Nothing in here waits for time to pass.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pexpect
import pyte

from tests.support.paths import ROOT
from tests.support.program import Program

PROMPT = "Enter your query (or 'exit' to quit): "
UP, ALT_ENTER, CTRL_C, CTRL_D, CTRL_G = "\x1b[A", "\x1b\r", "\x03", "\x04", "\x07"
PATIENCE_S = 20.0


class Terminal:
    """A program and the screen that it draws on."""

    def __init__(self, child: Any, rows: int, columns: int) -> None:
        self.child = child
        self.raw = b""
        self.ended = False
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=0.1)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = asyncio.Condition()
        self._mark = 0
        self.reading = asyncio.create_task(self.read())

    async def read(self) -> None:
        """Take in what the program writes until it has closed the terminal."""
        loop, fd = asyncio.get_running_loop(), self.child.child_fd
        while not self.ended:
            ready = loop.create_future()
            loop.add_reader(fd, lambda ready=ready: ready.done() or ready.set_result(None))
            try:
                await ready
            finally:
                loop.remove_reader(fd)
            try:
                data = os.read(fd, 1 << 16)
            except OSError:
                data = b""
            async with self._changed:
                self.raw += data
                self._stream.feed(data)
                self.ended = not data
                self._changed.notify_all()

    @property
    def lines(self) -> list[str]:
        """All lines so far, those that scrolled away included; without the empty ones below the cursor."""
        gone = ["".join(row[x].data for x in range(self._screen.columns)) for row in self._screen.history.top]
        return [line.rstrip() for line in [*gone, *self._screen.display[: self._screen.cursor.y + 1]]]

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    @property
    def new(self) -> str:
        """What came since the last `ask` or `seen`."""
        return self.text[self._mark :]

    @property
    def at_prompt(self) -> bool:
        """Whether the cursor stands behind an empty prompt."""
        row = "".join(self.lines[-max(1, -(-len(PROMPT) // self._screen.columns)) :]) + " "
        return row.endswith(PROMPT) and not self._screen.cursor.hidden

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Wait until the condition holds; looked at whenever the screen changes."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._changed:
                await self._changed.wait_for(lambda: condition() or self.ended)
            assert condition(), f"it ended without {what}"
        except (TimeoutError, AssertionError) as error:
            raise AssertionError(f"{error!r}: waited for {what or condition}; on the screen:\n{self.text}\n{self.raw[-300:]!r}") from None

    async def see(self, text: str) -> None:
        """Wait until the text is among what is new, whatever a narrow screen's edges do to it."""
        await self.until(lambda: "".join(text.split()) in "".join(self.new.split()), repr(text))

    async def typed(self, text: str) -> None:
        """Wait until this stands at the prompt, and the cursor behind it."""
        lines = f"{PROMPT}{text}".split("\n")
        await self.until(lambda: self.lines[-len(lines) :] == lines, f"{text!r} at the prompt")

    async def prompt(self) -> None:
        """Wait for an empty prompt."""
        await self.until(lambda: self.at_prompt, "the prompt")

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self.child.child_fd, keys.encode())

    async def type(self, text: str) -> None:
        """Press keys at the prompt and wait until they are shown; what comes from here on is new."""
        self._mark = len(self.text)
        self.press(text)
        await self.see(text.strip())

    async def enter(self, text: str) -> None:
        """Type a line and press Enter."""
        await self.type(text)
        self._mark += len(text)
        self.press("\r")

    async def ask(self, text: str) -> str:
        """Enter a line and wait until the prompt is back; returns what was shown in between."""
        await self.enter(text)
        await self.prompt()
        return self.new

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        os.kill(self.child.pid, number)

    async def hang_up(self) -> None:
        """Close the terminal's window."""
        await self.close()
        self.child.ptyproc.fileobj.close()
        self.child.child_fd = -1

    async def close(self) -> None:
        """Look no longer."""
        self.reading.cancel()
        with suppress(asyncio.CancelledError):
            await self.reading

    async def gone(self) -> None:
        """Wait until the program is gone, and see that it did not spend its time in a loop."""
        before = os.times().children_user
        await asyncio.wait_for(asyncio.to_thread(os.waitpid, self.child.pid, 0), PATIENCE_S)
        assert os.times().children_user - before < 5

    async def end(self) -> int:
        """Wait for the program's end; returns its exit code, a signal's number negative. Nothing may look like a crash."""
        await self.until(lambda: self.ended, "its end")
        await asyncio.to_thread(self.child.wait)
        for sign in ("Traceback", "Exception", "never retrieved", "never awaited"):
            assert sign not in self.text, self.text
        return self.child.exitstatus if self.child.exitstatus is not None else -self.child.signalstatus


@asynccontextmanager
async def on_terminal(
    program: Program,
    *arguments: str,
    rows: int = 40,
    columns: int = 160,
    stdout: Path | None = None,
    hears_hangup: bool = True,
    **env: str | None,
) -> AsyncIterator[Terminal]:
    """Start the program on a terminal; a variable that is None is not set. It is gone afterwards."""

    def prepare() -> None:
        if stdout is not None:
            os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT), 1)

    given = {"TERM": "xterm", **program.env, **env}
    child = pexpect.spawn(
        sys.executable,
        [str(ROOT / "final_script.py"), *arguments],
        env={name: value for name, value in given.items() if value is not None},
        cwd=str(program.home),
        dimensions=(rows, columns),
        preexec_fn=prepare,
        ignore_sighup=not hears_hangup,
    )
    terminal = Terminal(child, rows, columns)
    try:
        yield terminal
    finally:
        await terminal.close()
        if child.child_fd >= 0:
            await asyncio.to_thread(child.close, force=True)


def descendants(pid: int) -> list[int]:
    """The processes below a process."""
    below = [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    return below + [deeper for child in below for deeper in descendants(child)]
