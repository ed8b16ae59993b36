"""One progress bar for every way that weights come in: a line on stderr, drawn over itself."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import Self

_WIDTH = 24
_EVERY_S = 0.1


class Bar:
    """Shows how far a download or a conversion has come; gone from the screen when it is left."""

    def __init__(self, what: str, *, shown: bool) -> None:
        self._what, self._shown = what, shown
        self._drawn_at = -_EVERY_S
        self._length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.clear()

    def at(self, done: int, total: int) -> None:
        """Show `done` of `total` bytes; too many calls cost nothing."""
        now = time.monotonic()
        if not self._shown or (now - self._drawn_at < _EVERY_S and done < total):
            return
        self._drawn_at = now
        share = min(1.0, done / total) if total > 0 else 0.0
        full = int(share * _WIDTH)
        line = f"{self._what} [{'#' * full}{'.' * (_WIDTH - full)}] {done / 1e6:,.1f} of {total / 1e6:,.1f} MB"
        line = line[: shutil.get_terminal_size().columns - 1]  # a wrapped line cannot be drawn over
        sys.stderr.write("\r" + line.ljust(self._length))
        sys.stderr.flush()
        self._length = len(line)

    def clear(self) -> None:
        """Take the bar off the screen, so that a line of text can follow."""
        if self._length:
            sys.stderr.write("\r" + " " * self._length + "\r")
            sys.stderr.flush()
            self._length = 0
