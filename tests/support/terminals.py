"""A terminal for tests: the program on a real pty, and the screen that a person would see (an emulated one)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pexpect
import pyte


class Terminal:
    """A window of this size with a program in it; everything that the program wrote is in `raw`.

    async with Terminal(80, 24) as terminal:
        terminal.start([sys.executable, "final_script.py"], env)
        await terminal.until(lambda: "Enter your query" in terminal.text)
    """

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.ended = False
        self._changed = asyncio.Condition()
        self._tellings: set[asyncio.Task[None]] = set()
        self._child: pexpect.spawn | None = None

    async def __aenter__(self) -> Terminal:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._child is not None:
            if not self.ended:
                asyncio.get_running_loop().remove_reader(self._child.child_fd)
            await asyncio.to_thread(self._child.close, force=True)
        await asyncio.gather(*self._tellings)

    def start(self, command: list[str], env: dict[str, str], cwd: Path | None = None) -> None:
        """Start the program; it is the session's leader, as in a terminal window or under `kubectl exec -it`."""
        self._child = pexpect.spawn(command[0], command[1:], env=env, cwd=cwd, dimensions=(self.screen.lines, self.screen.columns))
        self._child.delaybeforesend = None
        asyncio.get_running_loop().add_reader(self._child.child_fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._child.child_fd, 65536)
        except OSError:  # nobody has the other end open any more
            data = b""
        if data:
            self.raw += data
            self._stream.feed(data)
        else:
            self.ended = True
            asyncio.get_running_loop().remove_reader(self._child.child_fd)
        task = asyncio.ensure_future(self._tell())
        self._tellings.add(task)
        task.add_done_callback(self._tellings.discard)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until the condition holds; looked at whenever the program writes."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"not seen within {seconds} s:\n{self.text}") from None

    async def exit_code(self) -> int:
        """Wait for the program's end."""
        await self.until(lambda: self.ended)
        await asyncio.to_thread(self._child.wait)
        return self._child.exitstatus if self._child.exitstatus is not None else -self._child.signalstatus

    def type(self, keys: str) -> None:
        """Press keys; Enter is a carriage return."""
        os.write(self._child.child_fd, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Change the window's size."""
        self.screen.resize(lines, columns)
        self._child.setwinsize(lines, columns)

    def kill(self, number: int) -> None:
        """Send a signal to the program."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child.pid, number)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, without blanks at their ends, up to the last one with something in it."""
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(self.lines)
