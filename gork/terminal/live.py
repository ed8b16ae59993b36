"""How a running turn is drawn on a terminal: a fixed row for each member, drawn over itself by rich, and removed afterwards."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.style import Style
from rich.text import Text

from gork.config.ensemble import Ensemble
from gork.rewriting.prompt import asked_as
from gork.terminal.progress import SKIPPED, PlainProgress, Rows
from gork.terminal.safe_text import one_line
from gork.terminal.screen import size, without_echo
from gork.turn import Event, Notice, Restarted, Rewritten, StageStarted, State

_REFRESHES = 8
"""Frames a second at most; the seconds tick with them while nothing arrives."""
_STYLES = {
    "head": Style(dim=True),
    SKIPPED: Style(dim=True),
    State.WAITING: Style(dim=True),
    State.LOADING: Style(color="yellow"),
    State.READING: Style(color="cyan"),
    State.WRITING: Style(color="cyan"),
    State.DONE: Style(color="green"),
    State.FAILED: Style(color="red"),
    State.NOT_NEEDED: Style(dim=True),
}


class _Console(Console):
    """A console that never hides the cursor, so that even kill -9 leaves it visible."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: FBT001, FBT002  (rich's own signature)
        return False


class _Live(Live):
    """A display that drops its frames when the terminal is gone."""

    def refresh(self) -> None:
        with suppress(OSError):
            super().refresh()


class LiveProgress(PlainProgress):
    """Rows while a turn runs, lines above them for what should stay, plain lines between turns."""

    def __init__(self, stream: TextIO, *, colour: bool, ensemble: Ensemble | None = None) -> None:
        super().__init__(stream, colour=colour)
        self._terminal, self._ensemble = stream, ensemble
        # `abilities` has read the environment; with all of this given, rich reads none of it.
        self._console = _Console(
            file=stream,
            force_terminal=True,
            force_interactive=True,
            force_jupyter=False,
            color_system="standard" if colour else None,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False if sys.platform != "win32" else None,
            no_color=not colour,
            width=80,
            height=24,
        )
        self._rows: Rows | None = None
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """Write one line; above the rows while there are any."""
        if self._live is None:
            super().say(text)
            return
        with suppress(OSError):  # the terminal is gone
            self._console.print(Text(self._printable(one_line(text))))

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if self._rows is None or self._live is None:
            super().__call__(event)
            return
        self._rows.take(event)
        match event:
            case StageStarted():
                self._live.refresh()
            case Rewritten(question):
                if (line := asked_as(question)) is not None:
                    self.say(line)
            case Notice(text, about_verdict=False):
                self.say(text)
            case Restarted(member, why):
                self.say(f"{member}: retrying ({why})")
            case _:
                pass  # the rows show it

    @contextmanager
    def turn(self, ensemble: Ensemble | None = None, watched: str | None = None, hint: str = "") -> Iterator[None]:
        """Show rows, and remove them however the turn ends; what is typed meanwhile is not shown, and read later."""
        self._rows = Rows(ensemble or self._ensemble, watched=watched, hint=hint)
        live = _Live(
            console=self._console,
            get_renderable=self._frame,
            transient=True,
            refresh_per_second=_REFRESHES,
            redirect_stdout=False,  # stdout is for the answer
            vertical_overflow="crop",
        )
        with without_echo(self._terminal):
            try:
                self._live = live
                with suppress(OSError):
                    live.start(refresh=True)
                yield
            finally:
                with _uninterrupted():
                    self._live = None
                    with suppress(OSError):
                        live.stop()

    def _frame(self) -> Text:
        self._console.size = ConsoleDimensions(*size(self._terminal))
        width, height = self._console.size
        rows = self._rows if self._rows is not None else Rows()
        text = Text(no_wrap=True, overflow="crop", end="")
        lines = rows.lines(width, height)
        for written in rows.draft(width, height - len(lines) - 2):
            text.append(f"{self._printable(written)}\n", _STYLES["head"])
        for number, line in enumerate(lines):
            text.append("\n" if number else "")
            text.append(self._printable(line.text), _STYLES[line.state])
        return text

    def _printable(self, text: str) -> str:
        """Replace what the stream's encoding cannot express, which would come out as several characters."""
        encoding = self._terminal.encoding or "utf-8"
        return text.encode(encoding, "replace").decode(encoding)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C until the screen is clean: a second one must not leave half of the rows."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def keep(number: int, _: FrameType | None) -> None:
        received.append(number)

    before = signal.signal(signal.SIGINT, keep)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
        if received:
            signal.raise_signal(signal.SIGINT)
