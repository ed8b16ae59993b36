"""What is shown of a turn while it runs: a line for each change, or a row for each member, both made from the turn's events.

`PlainProgress` writes its lines itself; `Rows` only lays out text for a width and a height, and `live.py` draws it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TextIO, assert_never

from gork.config.ensemble import Ensemble
from gork.rewriting.prompt import asked_as
from gork.terminal.safe_text import columns_of, counted, head, one_line, shown, tail, tell, wrapped
from gork.turn import (
    Answer,
    Answered,
    Event,
    Failed,
    Finished,
    Judged,
    MemberState,
    Notice,
    Restarted,
    Rewritten,
    Stage,
    StageStarted,
    State,
    Token,
)

_RED, _YELLOW = "\x1b[31m", "\x1b[33m"
_KEPT = 1000
"""Characters of a member's text that are kept for its tail."""
_KEPT_DRAFT = 6000
"""Characters that are kept of the draft which is watched: more than any window shows."""
_LEAST_DRAFT = 4
"""Lines; in fewer a draft cannot be read."""
SKIPPED, NOT_NEEDED = "skipped", "unneeded"
_ENDED = frozenset({State.DONE, State.FAILED, State.NOT_NEEDED})
_LABELS = {Stage.REWRITE: "rewrite", Stage.JUDGE: "judge"}
_WIDE, _MEDIUM = 70, 50
_LONGEST_LABEL = 16


class TurnProgress(Protocol):
    """An `on_event` that shows the events of a turn, and a place for other lines."""

    def __call__(self, event: Event) -> None:
        """Take in one event of a turn."""

    def say(self, text: str) -> None:
        """Write one line; while there are rows, above them."""

    def turn(self, ensemble: Ensemble | None = None, watched: str | None = None, hint: str = "") -> AbstractContextManager[None]:
        """Surround one turn: what was drawn for it is removed at its end, whatever ends it.

        `ensemble` has the members that take part, those of the program's ensemble if it is None; the draft of the one that is `watched`
        is shown while it is written, and the `hint` says which keys do something: both only where there are rows.
        """


class PlainProgress:
    """One line for each change worth knowing, none for tokens."""

    def __init__(self, stream: TextIO | None, *, colour: bool = False, quiet: bool = False) -> None:
        self._stream, self._colour, self._quiet = stream, colour, quiet
        self._since: dict[str, tuple[State, float]] = {}

    def say(self, text: str) -> None:
        """Write one line with its blanks, since tables are written line by line; on a terminal it is broken at words."""
        tell(self._stream, " ".join(shown(text).splitlines()))

    def turn(self, ensemble: Ensemble | None = None, watched: str | None = None, hint: str = "") -> AbstractContextManager[None]:
        """Forget the states of the last turn; nothing is drawn that would have to be removed."""
        self._since.clear()
        return nullcontext()

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if self._quiet:
            return
        match event:
            case StageStarted(stage, members):
                self._line(f"{stage}: {', '.join(members)}")
            case MemberState(_, State.NOT_NEEDED):
                pass  # a notice says it of all of them
            case MemberState(member, state, detail):
                self._changed(member, state, detail)
            case Restarted(member, why):
                self._line(f"  {member}: retrying ({why})", _YELLOW)
            case Rewritten(question):
                if (line := asked_as(question)) is not None:
                    self._line(f"  {line}")
            case Answered(answer):
                cut = "" if answer.complete else f", cut short ({answer.stop})"
                self._line(f"  {answer.member}: {counted(answer.tokens, 'token')} in {answer.seconds:.1f} s{cut}{_ran(answer)}")
            case Failed(failure):
                self._line(f"  failed: {failure.message}", _RED)
            case Notice(text, about_verdict=False):
                self._line(f"  {text}", _YELLOW)
            case Notice() | Token() | Judged() | Finished():
                pass  # the line below the answer has the verdict
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
        tell(self._stream, indent + one_line(text), colour=colour if self._colour else "")


def _ran(answer: Answer) -> str:
    """What came of an answer's program; empty for an answer in words."""
    if answer.computed is None:
        return ""
    return f", its program printed {answer.text}" if answer.ran else f", its program gave no answer ({answer.computed.problem})"


class RowLine(NamedTuple):
    """One row of text, and the state that decides its colour ("head" for the columns' names)."""

    text: str
    state: str


@dataclass(slots=True)
class MemberProgress:
    """One member in one stage."""

    stage: Stage
    member: str
    state: State = State.WAITING
    stage_since: float | None = None
    started: float | None = None
    """When the period began that its seconds count: the stage, the load, or the time after the load."""
    reading_since: float | None = None
    first_s: float | None = None
    tokens: int = 0
    rate: float | None = None
    seconds: float | None = None
    """Known when it has ended."""
    text: str = ""
    skipped: bool = False

    @property
    def label(self) -> str:
        """The first column: a candidate's name, or the task of the others."""
        return _LABELS.get(self.stage, self.member)

    @property
    def shown_state(self) -> str:
        """The second column."""
        return SKIPPED if self.skipped else NOT_NEEDED if self.state is State.NOT_NEEDED else self.state

    @property
    def ended(self) -> bool:
        """Whether it has finished, failed, was skipped, or is not waited for."""
        return self.skipped or self.state in _ENDED

    def end(self, state: State, now: float) -> None:
        """Stop its clock."""
        if not self.ended:
            since = self.stage_since if state is State.FAILED else self.started
            self.seconds = None if since is None else now - since
        self.state = state

    def elapsed(self, now: float) -> float | None:
        """Its seconds so far; None before its stage."""
        return self.seconds if self.ended or self.started is None else now - self.started

    def speed(self, now: float) -> float | None:
        """Tokens a second so far."""
        if self.ended or self.reading_since is None or self.first_s is None:
            return self.rate
        writing = now - self.reading_since - self.first_s
        return (self.tokens - 1) / writing if self.tokens > 1 and writing > 0.2 else None


class Rows:
    """All rows of one turn, in order; a member keeps its row from the first frame to the last."""

    def __init__(
        self, ensemble: Ensemble | None = None, clock: Callable[[], float] = time.monotonic, *, watched: str | None = None, hint: str = ""
    ) -> None:
        self._clock, self._watched, self._draft, self._hint = clock, watched, "", hint
        self._rows: list[MemberProgress] = []
        self._now: dict[str, MemberProgress] = {}
        if ensemble is not None:
            self._rows += [MemberProgress(Stage.REWRITE, ensemble.promptimizer.name)] if ensemble.promptimizer else []
            self._rows += [MemberProgress(Stage.ANSWER, member.name) for member in ensemble.candidates]
            self._rows += [MemberProgress(Stage.JUDGE, ensemble.judge.name)] if ensemble.judge else []

    def take(self, event: Event) -> None:
        """Take in one event."""
        now = self._clock()
        match event:
            case StageStarted(stage, members):
                self._start(stage, members, now)
            case MemberState(member):
                self._change(self._row(member), event, now)
            case Token(member, text):
                row = self._row(member)
                row.tokens += 1
                row.text = (row.text + text)[-_KEPT:]
                if member == self._watched and row.stage is Stage.ANSWER:
                    self._draft = (self._draft + text)[-_KEPT_DRAFT:]
            case Restarted(member, why):
                row = self._row(member)
                row.reading_since, row.first_s, row.tokens, row.text = None, None, 0, f"retrying: {why}"
                self._drop_draft(member)
            case Answered(answer):
                row = self._row(answer.member)
                row.end(State.DONE, now)
                row.first_s, row.tokens, row.rate, row.seconds = answer.first_token_s, answer.tokens, answer.tokens_per_s, answer.seconds
                self._replace(row, answer)
            case Failed(failure):
                row = self._row(failure.member)
                row.end(State.FAILED, now)
                row.text = failure.message
                self._drop_draft(failure.member)
            case Rewritten(question):
                for row in self._of(Stage.REWRITE):
                    row.text = question.rewrite or question.rewrite_refused or ""
            case Judged(verdict):
                for row in self._of(Stage.JUDGE):
                    row.text = f"chose {verdict.winner}" if row.state is State.DONE and verdict.judge_calls else row.text
            case _:
                pass

    def _replace(self, row: MemberProgress, answer: Answer) -> None:
        """What a program printed stands where its source was written."""
        if answer.computed is not None:
            row.text = _ran(answer).removeprefix(", ")
            self._drop_draft(answer.member)

    def _drop_draft(self, member: str) -> None:
        if member == self._watched:
            self._draft = ""

    def _of(self, stage: Stage) -> list[MemberProgress]:
        return [row for row in self._rows if row.stage is stage]

    def _row(self, member: str) -> MemberProgress:
        """The member's row. One whose stage is still to come works ahead: its clock runs from here on."""
        if member not in self._now:
            row = next((row for row in self._rows if row.member == member), None)
            if row is None:
                row = MemberProgress(Stage.ANSWER, member)
                self._rows.append(row)
            elif row.started is None:
                row.started = row.stage_since = self._clock()
            self._now[member] = row
        return self._now[member]

    def _start(self, stage: Stage, members: tuple[str, ...], now: float) -> None:
        for row in self._rows:
            if list(Stage).index(row.stage) < list(Stage).index(stage) and row.started is None:
                row.skipped = True
        for member in members:
            row = next((row for row in self._of(stage) if row.member == member), MemberProgress(stage, member))
            if row not in self._rows:
                self._rows.append(row)
            if row.started is None:
                row.started = row.stage_since = now
            self._now[member] = row

    def _change(self, row: MemberProgress, event: MemberState, now: float) -> None:
        state = event.state
        if state is State.NOT_NEEDED:
            row.text = event.detail
            self._drop_draft(row.member)
        if state in _ENDED:
            row.end(state, now)
            return
        if state is not row.state and State.LOADING in {state, row.state}:
            row.started = now
        if state is State.READING and row.reading_since is None:
            row.reading_since = now
        if state is State.WRITING and row.reading_since is not None:
            row.first_s = now - row.reading_since
        row.state = state

    # --- layout

    def draft(self, width: int, height: int) -> list[str]:
        """The newest lines of the watched draft that fit this many lines, and the member's name above them; none if there is no room."""
        if not self._draft.strip() or height < _LEAST_DRAFT or self._watched is None:
            return []
        columns = max(width - 1, 1)
        lines = [part for line in shown(self._draft).expandtabs(4).splitlines() for part in _folded(line, columns)]
        return [_clip(f"{self._watched} writes:", columns), *lines[-(height - 1) :]]

    def lines(self, width: int, height: int) -> list[RowLine]:
        """The rows for a window of this size: at most `width` - 1 columns and `height` - 2 lines."""
        now, columns, room = self._clock(), max(width - 1, 1), max(height - 2, 1)
        rows, more = _chosen(self._rows, room)
        label = min(max((len(row.label) for row in self._rows), default=1), _LONGEST_LABEL if columns >= _MEDIUM else 10)
        lines = [RowLine(_clip(_laid_out(row, label, columns, now), columns), SKIPPED if row.skipped else row.state) for row in rows]
        if more:
            lines.append(RowLine(_clip(_summed_up(more), columns), "head"))
        elif rows and len(rows) < room and (columns >= _WIDE or self._hint):
            titles = f"{'':<{label}} {'':<8} {'first':>6} {'tokens':>6} {'tok/s':>6} {'time':>6}  " if columns >= _WIDE else ""
            lines.insert(0, RowLine(_clip(f"{titles}{self._hint}", columns), "head"))
        return lines or [RowLine(_clip("starting", columns), "head")]


def _folded(line: str, columns: int) -> list[str]:
    """A line broken at words, and within words that are wider than the window."""
    parts: list[str] = []
    for part in wrapped(line, columns):
        rest = part
        while rest:
            beginning = _clip(rest, columns) or rest[:1]
            parts.append(beginning)
            rest = rest[len(beginning) :].lstrip(" ")
    return parts or [""]


def _chosen(rows: list[MemberProgress], room: int) -> tuple[list[MemberProgress], list[MemberProgress]]:
    """The rows that are shown, and those without room: first the skipped ones, then those that have ended, then those not started."""
    if len(rows) <= room:
        return list(rows), []

    def weight(row: MemberProgress) -> int:
        return 3 if row.skipped else 2 if row.ended else 1 if row.started is None else 0

    kept = sorted(range(len(rows)), key=lambda index: (weight(rows[index]), index))[: room - 1]
    return [rows[index] for index in sorted(kept)], [row for index, row in enumerate(rows) if index not in kept]


def _summed_up(rows: list[MemberProgress]) -> str:
    states = Counter(row.shown_state for row in rows)
    return f"and {len(rows)} more: " + ", ".join(f"{count} {state}" for state, count in states.items())


def _laid_out(row: MemberProgress, label: int, columns: int, now: float) -> str:
    cells = [f"{head(row.label, label):<{label}}", f"{row.shown_state:<8}"]
    if columns >= _WIDE:
        cells.append(f"{_seconds(row.first_s):>6}")
    if columns >= _MEDIUM:
        cells.append(f"{row.tokens or '':>6}")
    if columns >= _WIDE:
        cells.append(f"{_rate(row.speed(now)):>6}")
    cells.append(f"{_seconds(row.elapsed(now)):>6}")
    line = " ".join(cells)
    left = columns - len(line) - 2
    return f"{line}  {tail(row.text, left)}" if left >= 4 else line


def _seconds(seconds: float | None) -> str:
    """Four to six characters.

    >>> _seconds(9.84), _seconds(123.4), _seconds(754), _seconds(None)
    ('9.8s', '123s', '12m34', '')
    """
    if seconds is None:
        return ""
    if seconds < 99.95:
        return f"{seconds:.1f}s"
    return f"{seconds:.0f}s" if seconds < 600 else f"{seconds // 60:.0f}m{seconds % 60:02.0f}"


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1f}" if rate < 1000 else f"{rate:.0f}"


def _clip(line: str, columns: int) -> str:
    while sum(map(columns_of, line)) > columns:
        line = line[:-1]
    return line.rstrip()
