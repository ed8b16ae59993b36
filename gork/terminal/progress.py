"""Progress on stderr: rows that are drawn over themselves where a person looks at a capable terminal, else one line for each change."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TextIO, assert_never

from gork.config.ensemble import Ensemble
from gork.terminal import screen
from gork.terminal.safe_text import one_line, shown, tell
from gork.turn import Answered, Event, Failed, Finished, Judged, MemberState, Notice, Restarted, Rewritten, StageStarted, State, Token

_RED, _YELLOW = "\x1b[31m", "\x1b[33m"


class Progress(Protocol):
    """An `on_event` that shows what it hears, and a place for lines besides."""

    def __call__(self, event: Event) -> None:
        """Take in one event of a turn."""

    def say(self, text: str) -> None:
        """Write one line; above the rows while there are any."""

    def turn(self) -> AbstractContextManager[None]:
        """Surround one turn: what was drawn for it is gone when it is left, however it is left."""


def make_progress(stream: TextIO | None, environ: Mapping[str, str], ensemble: Ensemble | None = None) -> Progress:
    """The progress that suits this stream; with the ensemble its members have their rows from the start."""
    able = screen.look(stream, environ)
    if stream is None or not able.moves or screen.is_ci(environ) or not screen.in_foreground(stream):
        return PlainProgress(stream, colour=able.colour)
    from gork.terminal.live import LiveProgress  # noqa: PLC0415  (rich takes its time, and a pipe has no use for it)

    return LiveProgress(stream, colour=able.colour, ensemble=ensemble)


class PlainProgress:
    """One line for each change that a person would want to know, nothing for tokens."""

    def __init__(self, stream: TextIO | None, *, colour: bool = False) -> None:
        self._stream, self._colour = stream, colour
        self._since: dict[str, tuple[State, float]] = {}

    def say(self, text: str) -> None:
        """Write one line, its blanks as they are: tables are written line by line."""
        tell(self._stream, " ".join(shown(text).splitlines()))

    def turn(self) -> AbstractContextManager[None]:
        """Nothing is drawn, so nothing has to go."""
        self._since.clear()
        return nullcontext()

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case StageStarted(stage, members):
                self._line(f"{stage}: {', '.join(members)}")
            case MemberState(member, state, detail):
                self._changed(member, state, detail)
            case Restarted(member, why):
                self._line(f"  {member}: asked again ({why})", _YELLOW)
            case Rewritten():
                if (line := asked_as(event)) is not None:
                    self._line(f"  {line}")
            case Answered(answer):
                cut = "" if answer.complete else f", cut short ({answer.stop})"
                self._line(f"  {answer.member}: {answer.tokens} tokens in {answer.seconds:.1f} s{cut}")
            case Failed(failure):
                self._line(f"  {failure.member} failed: {failure.message}", _RED)
            case Notice(text):
                self._line(f"  {text}", _YELLOW)
            case Token() | Judged() | Finished():
                pass  # the verdict stands in the line below the answer
            case _:
                assert_never(event)

    def _changed(self, member: str, state: State, detail: str) -> None:
        now = time.monotonic()
        before, since = self._since.get(member, (None, now))
        self._since[member] = (state, now)
        if before is State.LOADING and state is not State.LOADING:
            self._line(f"  {member}: loaded in {now - since:.1f} s")
        if state is State.LOADING:
            self._line(f"  {member}: {detail or 'loading its model'}")
        elif state is State.WAITING:
            self._line(f"  {member}: {detail or 'waiting for a free slot'}")
        elif state is State.WRITING:
            self._line(f"  {member}: first token after {now - since:.1f} s")

    def _line(self, text: str, colour: str = "") -> None:
        indent = " " * (len(text) - len(text.lstrip(" ")))
        line = indent + one_line(text)
        tell(self._stream, line, colour=colour if self._colour else "")


def asked_as(event: Rewritten) -> str | None:
    """What the candidates are asked, where that is not simply the question."""
    question = event.question
    if question.rewrite is not None:
        return f"asked as: {question.rewrite}"
    if question.rewrite_refused is not None:
        return f"asked in your own words (rewrite refused: {question.rewrite_refused})"
    return None
