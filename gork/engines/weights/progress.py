"""How far things are that are being fetched: the one interface of all that shows it, and the plainest of those.

On a terminal `gork/terminal/progress_bars.py` draws bars in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol

_EVERY_S = 0.1

Say = Callable[[str], None]
"""Gets one line for each thing that happens."""


class Progress(Protocol):
    """Where it is shown how far several downloads are; each has a name of its own."""

    def say(self, line: str) -> None:
        """Show a line, above the bars where there are any."""

    def at(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` bytes are here; too many calls cost nothing. May raise `KeyboardInterrupt` to end the download."""

    def note(self, name: str, status: str) -> None:
        """Show what is being done for a download, beside its bytes."""

    def end(self, name: str) -> None:
        """Take a download's bar away."""

    def __enter__(self) -> Progress:
        """Begin to show."""

    def __exit__(self, *_: object) -> None:
        """Take everything off the screen that is not a line."""


class Lines:
    """Writes a line for each tenth of a download."""

    def __init__(self, say: Say) -> None:
        self._say, self._tenths, self._statuses = say, dict[str, int](), dict[str, str]()

    def say(self, line: str) -> None:
        """Write the line."""
        self._say(line)

    def at(self, name: str, done: int, total: int) -> None:
        """Write a line if another tenth is here."""
        tenth = min(10, 10 * done // total) if total > 0 else 0
        if tenth > self._tenths.get(name, 0):
            self._tenths[name] = tenth
            self._say(f"{name}: {10 * tenth} % of {total / 1e6:,.1f} MB")

    def note(self, name: str, status: str) -> None:
        """Write a line if the status is another one."""
        if self._statuses.get(name) != status:
            self._statuses[name] = status
            self._say(f"{name}: {status}")

    def end(self, name: str) -> None:
        """There is nothing on the screen that could be taken away."""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class RelayedProgress:
    """What a thread reports to: handed on in the thread of the event loop that made it.

    Once `stop` is set, it ends the download that reports to it, as Ctrl-C does.
    """

    def __init__(self, shown: Progress) -> None:
        self._shown, self._loop = shown, asyncio.get_running_loop()
        self.stop = threading.Event()
        self._told_at = 0.0

    def _tell(self, act: Callable[..., None], *arguments: object) -> None:
        """Have the loop do something; nothing once it is closed, since nothing waits any more."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act, *arguments)

    def say(self, line: str) -> None:
        """Hand on a line."""
        self._tell(self._shown.say, line)

    def at(self, name: str, done: int, total: int) -> None:
        """Hand on how far it is, some times a second."""
        if self.stop.is_set():
            raise KeyboardInterrupt
        now = time.monotonic()
        if now - self._told_at >= _EVERY_S or done >= total:
            self._told_at = now
            self._tell(self._shown.at, name, done, total)

    def note(self, name: str, status: str) -> None:
        """Hand on a status."""
        self._tell(self._shown.note, name, status)

    def end(self, name: str) -> None:
        """Hand on the end."""
        self._tell(self._shown.end, name)

    def __enter__(self) -> RelayedProgress:
        return self

    def __exit__(self, *_: object) -> None:
        pass
