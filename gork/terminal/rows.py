"""The rows of a turn: what each member is doing, kept from events and laid out for a width and a height. Draws nothing itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gork.config.ensemble import Ensemble
from gork.terminal.safe_text import columns_of, head, tail
from gork.turn import Answered, Event, Failed, Judged, MemberState, Restarted, Rewritten, Stage, StageStarted, State, Token

_KEPT = 1000
"""Characters of a member's text that are kept for its tail."""
SKIPPED = "skipped"
_LABELS = {Stage.REWRITE: "rewrite", Stage.JUDGE: "judge"}
_WIDE, _MEDIUM = 70, 50
_LONGEST_LABEL = 16


class Line(NamedTuple):
    """One row of text, and the state that gives it its colour ("head" for the columns' names)."""

    text: str
    state: str


@dataclass(slots=True)
class Row:
    """One member in one stage."""

    stage: Stage
    member: str
    state: State = State.WAITING
    stage_since: float | None = None
    started: float | None = None
    """When what its seconds count began: the stage, or the load, or the end of the load."""
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
        """What stands in front: the candidate's name, or what the others are there for."""
        return _LABELS.get(self.stage, self.member)

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come of it."""
        return self.skipped or self.state in {State.DONE, State.FAILED}

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
    """All rows of one turn, in their order; the same row for the same member from its first frame to its last."""

    def __init__(self, ensemble: Ensemble | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rows: list[Row] = []
        self._now: dict[str, Row] = {}
        if ensemble is not None:
            self._rows += [Row(Stage.REWRITE, ensemble.promptimizer.name)] if ensemble.promptimizer else []
            self._rows += [Row(Stage.ANSWER, member.name) for member in ensemble.candidates]
            self._rows += [Row(Stage.JUDGE, ensemble.judge.name)] if ensemble.judge else []

    def take(self, event: Event) -> None:
        """Take in one event."""
        now = self._clock()
        match event:
            case StageStarted(stage, members):
                self._start(stage, members, now)
            case MemberState(member, state):
                self._change(self._row(member), state, now)
            case Token(member, text):
                row = self._row(member)
                row.tokens += 1
                row.text = (row.text + text)[-_KEPT:]
            case Restarted(member, why):
                row = self._row(member)
                row.reading_since, row.first_s, row.tokens, row.text = None, None, 0, f"asked again: {why}"
            case Answered(answer):
                row = self._row(answer.member)
                row.end(State.DONE, now)
                row.first_s, row.tokens, row.rate, row.seconds = answer.first_token_s, answer.tokens, answer.tokens_per_s, answer.seconds
            case Failed(failure):
                row = self._row(failure.member)
                row.end(State.FAILED, now)
                row.text = failure.message
            case Rewritten(question):
                for row in self._of(Stage.REWRITE):
                    row.text = question.rewrite or f"refused: {question.rewrite_refused}"
            case Judged(verdict):
                for row in self._of(Stage.JUDGE):
                    row.text = f"chose {verdict.winner}" if row.state is State.DONE else row.text
            case _:
                pass

    def _of(self, stage: Stage) -> list[Row]:
        return [row for row in self._rows if row.stage is stage]

    def _row(self, member: str) -> Row:
        if member not in self._now:
            self._now[member] = Row(Stage.ANSWER, member)
            self._rows.append(self._now[member])
        return self._now[member]

    def _start(self, stage: Stage, members: tuple[str, ...], now: float) -> None:
        for row in self._rows:
            if list(Stage).index(row.stage) < list(Stage).index(stage) and row.started is None:
                row.skipped = True
        for member in members:
            row = next((row for row in self._of(stage) if row.member == member), Row(stage, member))
            if row not in self._rows:
                self._rows.append(row)
            row.started = row.stage_since = now
            self._now[member] = row

    def _change(self, row: Row, state: State, now: float) -> None:
        if state in {State.DONE, State.FAILED}:
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

    def lines(self, width: int, height: int) -> list[Line]:
        """The rows for a window of this size: never wider than it is less one column, at least two lines less than it has."""
        now, columns, room = self._clock(), max(width - 1, 1), max(height - 2, 1)
        rows, more = _chosen(self._rows, room)
        label = min(max((len(row.label) for row in self._rows), default=1), _LONGEST_LABEL if columns >= _MEDIUM else 10)
        lines = [Line(_clip(_laid_out(row, label, columns, now), columns), SKIPPED if row.skipped else row.state) for row in rows]
        if more:
            lines.append(Line(_clip(_summed_up(more), columns), "head"))
        elif columns >= _WIDE and rows and len(rows) < room:
            lines.insert(0, Line(f"{'':<{label}} {'':<8} {'first':>6} {'tokens':>6} {'tok/s':>6} {'time':>6}", "head"))
        return lines or [Line(_clip("starting", columns), "head")]


def _chosen(rows: list[Row], room: int) -> tuple[list[Row], list[Row]]:
    """The rows that are shown, and those for which there is no room: the skipped first, then those that have ended, then those to come."""
    if len(rows) <= room:
        return list(rows), []

    def weight(row: Row) -> int:
        return 3 if row.skipped else 2 if row.ended else 1 if row.started is None else 0

    kept = sorted(range(len(rows)), key=lambda index: (weight(rows[index]), index))[: room - 1]
    return [rows[index] for index in sorted(kept)], [row for index, row in enumerate(rows) if index not in kept]


def _summed_up(rows: list[Row]) -> str:
    states = Counter(SKIPPED if row.skipped else str(row.state) for row in rows)
    return f"and {len(rows)} more: " + ", ".join(f"{count} {state}" for state, count in states.items())


def _laid_out(row: Row, label: int, columns: int, now: float) -> str:
    state = SKIPPED if row.skipped else row.state
    cells = [f"{head(row.label, label):<{label}}", f"{state:<8}"]
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
