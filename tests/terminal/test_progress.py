"""Progress: what a person sees while the models work, and what is left of it."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import sys
import threading
from types import SimpleNamespace

import pexpect
import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wcwidth import wcswidth

from gork.config.ensemble import Ensemble, Member
from gork.rewriting.prompt import asked_as
from gork.terminal import screen
from gork.terminal.output import make_progress
from gork.terminal.progress import PlainProgress, Rows
from gork.turn import (
    Answer,
    Answered,
    Failed,
    Failure,
    Finished,
    Judged,
    MemberState,
    Notice,
    NotRewritten,
    Question,
    Restarted,
    Rewritten,
    Stage,
    StageStarted,
    State,
    Token,
    Verdict,
)
from tests.support.escape_sequences import ROWS, sequences
from tests.support.fake_ollama import Reply
from tests.support.heavy_lite import MODELS
from tests.support.paths import ROOT
from tests.support.terminals import Terminal

MEMBERS = ("rewrite", "qwen-small", "qwen", "llama", "judge")
ENSEMBLE = Ensemble(name="t", promptimizer=Member(name="p"), candidates=(Member(name="a"), Member(name="b")), judge=Member(name="j"))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    """A clock that only the test moves."""
    return Clock()


def texts(rows: Rows, width: int = 80, height: int = 24) -> list[str]:
    """The rows as text."""
    return [line.text for line in rows.lines(width, height)]


def test_every_member_has_its_row_before_anything_happens(clock):
    """Rewrite, candidates, judge, in this order, waiting; without an ensemble something is there all the same."""
    assert ["rewrite waiting", "a       waiting", "b       waiting", "judge   waiting"] == texts(Rows(ENSEMBLE, clock), 30)
    assert ["starting"] == texts(Rows(None, clock))


def test_a_row_shows_state_first_token_tokens_rate_and_seconds(clock):
    """Each in its column; the clock runs without any event; done has the answer's own numbers."""
    rows = Rows(ENSEMBLE, clock)
    rows.take(StageStarted(Stage.ANSWER, ("a", "b")))
    rows.take(MemberState("a", State.LOADING))
    clock.now += 75
    assert "a       loading                        75.0s" == texts(rows)[2]
    rows.take(MemberState("a", State.READING))
    clock.now += 2
    assert "a       reading                         2.0s" == texts(rows)[2]
    rows.take(MemberState("a", State.WRITING))
    for word in ("It", " is", " Paris"):
        rows.take(Token("a", word))
    clock.now += 0.5
    assert "a       writing    2.0s      3    4.0   2.5s  It is Paris" == texts(rows)[2]
    rows.take(Answered(Answer(member="a", model="m", text="x", tokens=9, first_token_s=1.9, seconds=3.1, tokens_per_s=6.7)))
    clock.now += 100
    assert [
        "                  first tokens  tok/s   time",
        "rewrite skipped",
        "a       done       1.9s      9    6.7   3.1s  It is Paris",
        "b       waiting                         178s",
        "judge   waiting",
    ] == texts(rows)


@pytest.mark.parametrize(
    ("kind", "why", "line"),
    [
        (NotRewritten.NOT_ASKED, "it is clear as it stands", None),
        (NotRewritten.REJECTED, "lost the number 3", "asked in your own words: the rewrite was rejected (lost the number 3)"),
        (NotRewritten.FAILED, "p: no connection", "asked in your own words: the rewrite failed (p: no connection)"),
        (NotRewritten.ANSWER_NOW, "you wanted the answer now", "asked in your own words: you wanted the answer now"),
    ],
)
def test_only_a_rewrite_that_was_written_is_said_to_be_rejected(kind, why, line):
    """Says why, in a sentence for each way of it; where nobody was asked nothing went amiss, and nothing is said."""
    assert asked_as(Question(text="q", rewrite_refused=why, not_rewritten=kind)) == line


def test_a_failure_a_restart_a_rewrite_and_a_verdict_stand_in_the_tail(clock):
    """The row says what became of its member; text from before a restart does not count."""
    rows = Rows(ENSEMBLE, clock)
    rows.take(StageStarted(Stage.REWRITE, ("p",)))
    rows.take(MemberState("p", State.DONE))
    rows.take(Rewritten(Question(text="x", rewrite="What is x?")))
    rows.take(StageStarted(Stage.ANSWER, ("a", "b")))
    rows.take(Token("a", "gone"))
    rows.take(Restarted("a", "died"))
    rows.take(Failed(Failure(member="b", kind="error", message="out of luck")))
    rows.take(StageStarted(Stage.JUDGE, ("j",)))
    rows.take(MemberState("j", State.DONE))
    rows.take(Judged(Verdict(winner="a", policy="x", judge_calls=1)))

    assert ["What is x?", "retrying: died", "out of luck", "chose a"] == [line.split("  ")[-1].strip() for line in texts(rows)[1:]]
    assert ["done", "waiting", "failed", "done"] == [line.split()[1] for line in texts(rows)[1:]]


def test_a_judge_that_works_beside_the_candidates_has_its_own_clock(clock):
    """It runs from its first state to its end, before its stage begins; whom it chose is said only if it was heard."""
    rows = Rows(ENSEMBLE, clock)
    rows.take(StageStarted(Stage.ANSWER, ("a", "b")))
    clock.now += 1
    rows.take(MemberState("j", State.READING))
    clock.now += 2
    assert "judge   reading                         2.0s" == texts(rows)[4]
    rows.take(MemberState("j", State.DONE))
    clock.now += 9
    rows.take(StageStarted(Stage.JUDGE, ("j",)))
    assert ["a       waiting                        12.0s", "judge   done                            2.0s"] == texts(rows)[2::2]

    rows.take(Judged(Verdict(winner="a", policy="computed")))
    assert "judge   done                            2.0s" == texts(rows)[4]


def test_a_member_that_is_not_needed_says_why_and_shows_nothing_of_its_text(clock):
    """Its row ends; what it had written is gone, also where its draft is watched."""
    rows = Rows(ENSEMBLE, clock, watched="a")
    rows.take(StageStarted(Stage.ANSWER, ("a", "b")))
    rows.take(Token("a", "It is"))
    clock.now += 2
    rows.take(MemberState("a", State.NOT_NEEDED, "b's program was run"))
    clock.now += 5

    assert "a       unneeded             1          2.0s  b's program was run" == texts(rows)[2]
    assert [] == rows.draft(80, 20)


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (80, "a writing    1.0s      2    1.0   2.0s  that the capital of the French Republic"),
        (60, "a writing       2   2.0s  ...capital of the French Republic"),
        (40, "a writing    2.0s  ...e French Republic"),
        (20, "a writing    2.0s"),
        (8, "a writi"),
        (1, "a"),
    ],
)
def test_a_narrow_window_loses_columns_but_keeps_its_rows_whole(clock, width, row):
    """80 columns have them all, 40 the most important, and nothing is ever wrapped."""
    rows = Rows(None, clock)
    rows.take(StageStarted(Stage.ANSWER, ("a",)))
    rows.take(MemberState("a", State.READING))
    clock.now += 1
    rows.take(MemberState("a", State.WRITING))
    rows.take(Token("a", "that the capital of"))
    rows.take(Token("a", " the French Republic"))
    clock.now += 1

    assert row == texts(rows, width)[-1]


def test_a_low_window_keeps_the_rows_that_are_at_work(clock):
    """Eight candidates in ten lines: eight lines at most, the rest in one line of its own."""
    names = tuple("abcdefgh")
    rows = Rows(Ensemble(name="t", promptimizer=Member(name="p"), candidates=tuple(Member(name=n) for n in names)), clock)
    rows.take(StageStarted(Stage.ANSWER, names))
    for name in "abc":
        rows.take(Answered(Answer(member=name, model="m", text="x")))

    assert ["a", "b", "d", "e", "f", "g", "h", "and 2 more: 1 skipped, 1 done"] == [
        line if line.startswith("and") else line.split()[0] for line in texts(rows, 80, 10)
    ]
    assert ["and 9 more: 1 skipped, 3 done, 5 waiting"] == texts(rows, 80, 3)


NAMES = st.sampled_from("abcdefghij")
EVENTS = st.one_of(
    st.builds(StageStarted, st.sampled_from(list(Stage)), st.lists(NAMES, min_size=1, max_size=8, unique=True).map(tuple)),
    st.builds(MemberState, NAMES, st.sampled_from(list(State))),
    st.builds(Token, NAMES, st.text(max_size=40)),
    st.builds(
        Token,
        NAMES,
        st.sampled_from(["日本語" * 20, "👨‍👩‍👧" * 9, "e\u0301" * 30, "\x1b[31m", "ﷺ", "नमस्ते", "🇫🇷🫨", "\ud800", "\u202e", "☎️"]),
    ),
    st.builds(Restarted, NAMES, st.text(max_size=20)),
    st.builds(lambda member, message: Failed(Failure(member=member, kind="error", message=message)), NAMES, st.text(max_size=80)),
    st.builds(lambda member: Answered(Answer(member=member, model="m", text="x", tokens=10**6, tokens_per_s=1e6, seconds=1e5)), NAMES),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=40), st.integers(1, 120), st.integers(1, 30))
def test_no_row_is_ever_wider_and_no_frame_higher_than_the_window(events, width, height):
    """Whatever arrives, in whatever order: a row that wraps, or a frame that scrolls, could not be drawn over."""
    rows, own = Rows(), Clock()
    rows = Rows(None, own)
    for event in events:
        own.now += 1.7
        rows.take(event)

    lines = texts(rows, width, height)
    assert 1 <= len(lines) <= max(1, height - 2)
    for line in lines:
        assert line.isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f]", line)
        assert wcswidth(line) <= max(1, width - 1)


# --- plain lines


def plainly(*events: object, colour: bool = False) -> list[str]:
    """What plain progress writes about these events."""
    out = io.StringIO()
    progress = PlainProgress(out, colour=colour)
    with progress.turn():
        for event in events:
            progress(event)
    return out.getvalue().splitlines()


def test_plain_progress_is_one_line_for_each_change():
    """States that matter, answers, failures, notices; nothing for tokens."""
    lines = plainly(
        StageStarted(Stage.ANSWER, ("a", "b")),
        MemberState("a", State.LOADING),
        MemberState("a", State.READING),
        MemberState("a", State.WRITING),
        *[Token("a", "x")] * 50,
        MemberState("b", State.WAITING),
        Answered(Answer(member="a", model="m", text="x", tokens=50, seconds=2.0, complete=False, stop="length")),
        Failed(Failure(member="b", kind="error", message="out of\nluck\x1b[2J")),
        Restarted("a", "it died"),
        Notice("cut"),
    )

    assert [
        "answer: a, b",
        "  a: loading its model",
        "  a: loaded in 0.0 s",
        "  a: first token after 0.0 s",
        "  b: waiting for a free slot",
        "  a: 50 tokens in 2.0 s, cut short (length)",
        "  failed: out of luck",
        "  a: retrying (it died)",
        "  cut",
    ] == lines


def test_plain_progress_is_coloured_only_where_that_is_forced():
    """FORCE_COLOR in a pipe: the failure is red, and nothing moves a cursor."""
    failed = Failed(Failure(member="b", kind="error", message="out of luck\x1b[2J"))

    assert ["\x1b[31m  failed: out of luck\x1b[0m"] == plainly(failed, colour=True)
    assert ["  failed: out of luck"] == plainly(failed)


def test_a_stream_that_breaks_does_not_break_the_turn():
    """Nobody reads standard error any more: the turn goes on."""

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    progress = make_progress(Broken(), {"TERM": "xterm"})
    progress.say("hello")
    progress(Notice("hello"))


def test_a_pipe_does_without_rich():
    """Its import is paid for only where rows are drawn or answers formatted."""
    code = (
        "import io, sys; import final_script; from gork.terminal.output import make_progress;"
        "make_progress(io.StringIO(), {'TERM': 'xterm'}); print([m for m in ('rich', 'prompt_toolkit', 'pygments') if m in sys.modules])"
    )
    child = pexpect.spawn(sys.executable, ["-c", code], cwd=str(ROOT), timeout=30)

    child.expect_exact("[]")
    child.close()


# --- rows on a pty of our own


@pytest.fixture
def pty_pair():
    """A terminal of 80 x 24, its screen, and what came out so far."""
    master, slave = os.openpty()
    mark = "\x05"  # means nothing to a terminal that has no name
    stream = os.fdopen(slave, "w", encoding="utf-8")
    emulated = pyte.Screen(80, 24)
    feed = pyte.ByteStream(emulated)
    import fcntl
    import struct
    import termios

    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def lines() -> list[str]:
        stream.write(mark)  # what was written comes out a little later; when this has come, all before it has
        stream.flush()
        data = b""
        while mark.encode() not in data:
            data += os.read(master, 1 << 20)
        feed.feed(data)
        return [line.rstrip() for line in emulated.display if line.strip()]

    yield SimpleNamespace(stream=stream, lines=lines, screen=emulated, master=master)
    stream.close()
    os.close(master)


def live(pair: SimpleNamespace, **env: str):
    """Live progress on that terminal."""
    return make_progress(pair.stream, {"TERM": "xterm", **env}, ENSEMBLE)


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, RuntimeError])
def test_rows_are_gone_however_a_turn_ends(pty_pair, error):
    """Nothing of them is on the screen, what was said stays, the cursor is at the start of a line, threads are gone, echo is back."""
    import termios

    before, threads = termios.tcgetattr(pty_pair.stream.fileno()), set(threading.enumerate())
    progress = live(pty_pair)

    def failing() -> None:
        with progress.turn():
            progress(StageStarted(Stage.REWRITE, ("p",)))
            assert "rewrite" in pty_pair.lines()[1]
            assert not termios.tcgetattr(pty_pair.stream.fileno())[3] & termios.ECHO
            progress.say("one")
            progress(Notice("two"))
            raise error

    with pytest.raises(error):
        failing()

    assert ["one", "two"] == pty_pair.lines()
    assert (0, 2, False) == (pty_pair.screen.cursor.x, pty_pair.screen.cursor.y, pty_pair.screen.cursor.hidden)
    assert before == termios.tcgetattr(pty_pair.stream.fileno())
    for thread in set(threading.enumerate()) - threads:
        thread.join(2)
        assert not thread.is_alive()


class Interrupting(io.TextIOWrapper):
    """A stream at whose next write, once armed, Ctrl-C is pressed."""

    armed = False

    def write(self, text: str) -> int:
        if self.armed:
            self.armed = False
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


def test_a_ctrl_c_while_the_rows_are_taken_away_leaves_a_clean_screen(pty_pair):
    """The second of two: it counts, but only after the last row is gone."""
    stream = Interrupting(pty_pair.stream.buffer, encoding="utf-8")
    progress = make_progress(stream, {"TERM": "xterm"}, ENSEMBLE)

    def turn() -> None:
        with progress.turn():
            stream.armed = True

    with pytest.raises(KeyboardInterrupt):
        turn()
    stream.detach()
    assert [] == pty_pair.lines()


def test_a_terminal_that_goes_away_does_not_break_the_turn():
    """As when the window is closed, or `kubectl exec` loses its connection."""
    master, slave = os.openpty()
    stream = os.fdopen(slave, "w", encoding="utf-8")
    progress = make_progress(stream, {"TERM": "xterm"}, ENSEMBLE)
    with progress.turn():
        os.close(master)
        progress.say("hello")
        progress(StageStarted(Stage.REWRITE, ("p",)))
    progress.say("hello")
    with pytest.raises(OSError, match="Input/output"):
        stream.close()


def test_text_of_a_turn_that_is_over_is_in_no_row_of_the_next(pty_pair):
    """Every turn begins with fresh rows."""
    progress = live(pty_pair)
    with progress.turn():
        progress(StageStarted(Stage.ANSWER, ("a",)))
        progress(Token("a", "remembered"))
        progress(StageStarted(Stage.JUDGE, ("j",)))
        assert "remembered" in "".join(pty_pair.lines())
    with progress.turn():
        assert "remembered" not in "".join(pty_pair.lines())


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"TERM": "xterm"}, "LiveProgress"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "LiveProgress"),
        ({"TERM": "xterm", "CI": "false"}, "LiveProgress"),
        ({"TERM": "xterm", "CI": "true"}, "PlainProgress"),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, "PlainProgress"),
        ({}, "PlainProgress"),
    ],
)
def test_rows_are_only_drawn_where_they_can_be(pty_pair, environ, kind):
    """A capable terminal that nobody's log is."""
    assert kind == type(make_progress(pty_pair.stream, environ)).__name__


def test_a_job_in_the_background_does_not_draw_over_its_shell(pty_pair, monkeypatch):
    """The terminal belongs to another process group: plain lines."""
    monkeypatch.setattr(screen.os, "tcgetpgrp", lambda _: os.getpgrp() + 1)

    assert type(live(pty_pair)) is PlainProgress


# --- the program


def gated(server, gate: asyncio.Event) -> None:
    """One candidate is in mid-text, one reads, one loads; all go on when the gate opens."""
    server.say("qwen3:0.6b", Reply("It is Lyon, 日本語 👨‍👩‍👧 e\u0301 " + "and more words " * 9, pauses={30: gate}))
    server.say("qwen2.5-coder:1.5b", Reply("It is Paris.", gate=gate))
    server.load_gates["llama3.2:1b"] = gate


def states(terminal: Terminal) -> dict[str, str]:
    """The state that each row shows, of those rows that begin where rows begin; times in a line of a summary ("judge 0.1 s") are none."""
    rows = [line.split() for line in terminal.lines]
    return {row[0]: row[1] for row in rows if len(row) > 1 and row[0] in MEMBERS and row[1].isalpha()}


WORKING = {"rewrite": "done", "qwen-small": "writing", "qwen": "reading", "llama": "loading", "judge": "waiting"}


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}])
async def test_a_row_for_every_member_while_they_work_and_none_afterwards(start, server, columns, env):
    """Rewrite, three candidates, judge; seconds tick while nothing arrives; what was said stays above; the cursor is never hidden."""
    gate = asyncio.Event()
    gated(server, gate)
    async with Terminal(columns, 24) as terminal:
        start(terminal, "capital of france pls", **env)
        await terminal.until(lambda: states(terminal) == WORKING)
        rows = [line for line in terminal.lines if line.split()[0] in MEMBERS]
        assert list(MEMBERS) == [row.split()[0] for row in rows]
        assert terminal.lines[-5:] == rows
        assert all(len(row) < columns for row in rows)
        assert rows[1].endswith("d more words and more words" if columns == 80 else "...re words")
        first = {row.split()[0]: re.findall(r"(\d+\.\d)s", row) for row in rows}
        await terminal.until(lambda: len({*re.findall(r"loading +(\d+\.\d)s", terminal.raw.decode())}) > 3)
        assert states(terminal) == WORKING
        assert first["rewrite"] == re.findall(r"(\d+\.\d)s", next(line for line in terminal.lines if line.startswith("rewrite")))
        gate.set()
        assert 0 == await terminal.exit_code()

        assert {} == states(terminal)
        assert 1 == terminal.text.count("asked as: What is the capital")
        assert "It is Paris." in terminal.lines
        assert not terminal.screen.cursor.hidden
        assert all(ROWS.fullmatch(sequence) for sequence in sequences(terminal.raw))
        assert ("m" in {sequence[-1] for sequence in sequences(terminal.raw)}) is not bool(env)


@pytest.mark.parametrize(("term", "env"), [("dumb", {}), (None, {}), ("xterm", {"CI": "1"})])
async def test_without_a_capable_terminal_progress_is_plain_lines(start, server, term, env):
    """TERM=dumb, no TERM, CI: one line for each change, no row, no cursor movement."""
    async with Terminal(80, 40) as terminal:
        start(terminal, "capital of france pls", term=term, **env)
        assert 0 == await terminal.exit_code()

        for line in ("rewrite: promptimizer", "answer: qwen-small, qwen, llama", "judge: judge"):
            assert line in terminal.lines
        assert "first token after" in terminal.text
        assert not [sequence for sequence in sequences(terminal.raw) if not sequence.endswith("m")]


async def test_ctrl_c_in_mid_turn_leaves_a_clean_screen(start, server):
    """No row, no ^C, the cursor visible at the start of a line; every model has been stopped."""
    gated(server, asyncio.Event())
    async with Terminal(80, 24) as terminal:
        start(terminal, "capital of france pls")
        await terminal.until(lambda: states(terminal) == WORKING)
        terminal.type("\x03")

        assert 130 == await terminal.exit_code()
        assert {} == states(terminal)
        assert "^C" not in terminal.text
        assert "final_script.py: interrupted" == terminal.lines[-1]
        assert (0, False) == (terminal.screen.cursor.x, terminal.screen.cursor.hidden)


async def test_a_killed_program_leaves_the_cursor(start, server):
    """Even kill -9: it was never hidden."""
    gated(server, asyncio.Event())
    async with Terminal(80, 24) as terminal:
        start(terminal, "capital of france pls")
        await terminal.until(lambda: states(terminal) == WORKING)
        terminal.kill(signal.SIGKILL)

        assert -signal.SIGKILL == await terminal.exit_code()
        assert not terminal.screen.cursor.hidden
        assert b"\x1b[?25l" not in terminal.raw


async def test_rows_follow_the_windows_size(start, server):
    """Narrower and wider in mid-turn: the next frame fits, and the rows are gone in the end."""
    gate = asyncio.Event()
    gated(server, gate)
    async with Terminal(80, 24) as terminal:
        start(terminal, "capital of france pls")
        await terminal.until(lambda: states(terminal) == WORKING)
        for columns in (40, 100, 60):
            terminal.resize(columns, 24)
            seen = len(terminal.raw)
            # two whole frames of the new size
            await terminal.until(lambda seen=seen: terminal.raw[seen:].count(b"judge ") > 2)
            assert states(terminal) == WORKING
            rows = [line for line in terminal.lines if line.split()[0] in MEMBERS]
            assert ("first" in terminal.text, True) == (columns >= 71, max(map(len, rows)) < columns)
        gate.set()
        assert 0 == await terminal.exit_code()
        assert {} == states(terminal)


async def test_eight_candidates_fit_a_window_of_ten_lines(start, server, program):
    """Bounded rows: nothing scrolls away and nothing is left."""
    gate = asyncio.Event()
    for model in MODELS[1:4]:
        server.say(model, Reply("It is Paris.", pauses={1: gate}))

    def member(number: int, name: str = "") -> str:
        return f"{{name: {name or f'x{number}'}, model: '{MODELS[number]}', parallel: 8}}"

    candidates = "".join(f"  - {member(1 + n % 3, f'm{n}')}\n" for n in range(8))
    (program.home / "eight.yaml").write_text(f"name: eight\npromptimizer: {member(0)}\njudge: {member(4)}\ncandidates:\n{candidates}")
    async with Terminal(80, 10) as terminal:
        start(terminal, "--ensemble", "./eight.yaml", "capital of france pls")
        await terminal.until(lambda: terminal.text.count(" writing ") == 7 and "and 3 more: 1 done, 1 writing, 1 waiting" in terminal.text)
        frames = len(terminal.raw)
        await terminal.until(lambda: terminal.raw[frames:].count(b"and 3 more") > 2)
        assert ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "and"] == [line.split()[0] for line in terminal.lines[-8:]]
        gate.set()
        assert 0 == await terminal.exit_code()

        assert "writing" not in terminal.text
        assert "writing" not in str(list(terminal.screen.history.top))
        assert "It is Paris." in terminal.text


async def test_only_the_answer_is_on_stdout_while_rows_are_on_the_terminal(start, server, program):
    """`… > answer.txt` in a terminal: the file has the answer's bytes, the screen has everything else."""
    out = program.home / "answer.txt"
    async with Terminal(80, 24) as terminal:
        env = {**program.env, "TERM": "xterm"}
        command = f'exec "{sys.executable}" "{ROOT}/final_script.py" "capital of france pls" > "{out}"'
        terminal.start(["/bin/sh", "-c", command], env, program.home)
        assert 0 == await terminal.exit_code()

        assert b"It is Paris.\n" == out.read_bytes()
        assert "It is Paris." not in terminal.lines
        assert "chosen: qwen" in terminal.text


async def test_a_closed_standard_error_puts_nothing_on_stdout(server, program):
    """`2>&-`: what has no place to go, goes nowhere."""
    command = f'exec "{sys.executable}" "{ROOT}/final_script.py" "capital of france pls" 2>&- </dev/null'
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", command, stdout=asyncio.subprocess.PIPE, env=program.env, cwd=program.home
    )
    out, _ = await process.communicate()

    assert (0, b"It is Paris.\n") == (process.returncode, out.removeprefix(b"capital of france pls"))


async def test_what_is_typed_during_a_turn_does_not_move_the_rows(start, server):
    """Enter, pressed by an impatient person, leaves no trace between the rows."""
    gate = asyncio.Event()
    gated(server, gate)
    async with Terminal(80, 24) as terminal:
        start(terminal, "capital of france pls")
        await terminal.until(lambda: states(terminal) == WORKING)
        before = [line.split()[0] for line in terminal.lines]
        terminal.type("hello\r\r\r")
        seen = len(terminal.raw)
        await terminal.until(lambda: terminal.raw[seen:].count(b"judge ") > 2)
        assert before == [line.split()[0] for line in terminal.lines]
        gate.set()
        assert 0 == await terminal.exit_code()
        assert {} == states(terminal)
        assert "hello" not in terminal.text


async def test_a_degraded_turn_says_so_above_the_answer(start, server):
    """Who failed and why; below the answer who won."""
    server.say("llama3.2:1b", Reply(status=500, error="out of luck"))
    async with Terminal(100, 24) as terminal:
        start(terminal, "capital of france pls")
        assert 0 == await terminal.exit_code()

        text = terminal.text
        assert text.index("2 of 3 models answered; failed: llama") < text.index("It is Paris.\n") < text.index("chosen: qwen (")


async def test_a_turn_without_a_verdict_says_so_below_the_answer(start, server):
    """The judge fails: the favourite is taken without it, and the reason is there."""
    server.say("gemma3:1b", Reply(status=500, error="out of order"))
    async with Terminal(100, 24) as terminal:
        start(terminal, "capital of france pls")
        assert 0 == await terminal.exit_code()

        below = terminal.text.partition("It is Lyon.\n")[2] or terminal.text.partition("It is Paris.\n")[2]
        assert re.match(r"chosen: qwen, the favourite, without the judge \(.+\); ", below, re.DOTALL)


async def test_rows_are_on_the_screen_within_a_tenth_of_a_second_after_enter(start, server, record_property):
    """The first turn of a prompt, whose models never begin; the best of three, since other programs may be running."""
    gated(server, asyncio.Event())
    server.say("granite4:350m", Reply("late", gate=asyncio.Event()))
    loop, took = asyncio.get_running_loop(), []
    for _ in range(3):
        async with Terminal(80, 24) as terminal:
            start(terminal)
            await terminal.until(lambda terminal=terminal: "Enter your query" in terminal.text)
            terminal.type("capital of france pls")
            await terminal.until(lambda terminal=terminal: "pls" in terminal.text)
            pressed = loop.time()
            terminal.type("\r")
            await terminal.until(lambda terminal=terminal: "rewrite " in terminal.text)
            took.append(loop.time() - pressed)
            assert set(MEMBERS) == set(states(terminal))
    record_property("seconds", took)
    print(took)

    assert min(took) < 0.1


def test_the_events_of_a_turn_all_have_their_place(pty_pair):
    """No event of a finished turn breaks the rows, and the verdict leaves nothing on the screen before its line is due."""
    progress = live(pty_pair)
    with progress.turn():
        for event in (StageStarted(Stage.REWRITE, ("p",)), Rewritten(Question(text="x")), Judged(Verdict(winner="a", policy="x"))):
            progress(event)
        progress(Finished(SimpleNamespace()))

    assert [] == pty_pair.lines()


def test_the_watched_draft_fits_its_window_and_is_the_newest_text(clock):
    """Words stay whole, lines too long are folded; a restart or a failure takes it away; nobody else's text is in it."""
    rows = Rows(clock=clock, watched="a")
    for event in (
        StageStarted(Stage.ANSWER, ("a", "b")),
        Token("a", "one two three\n\n" + "x" * 50 + "\n" * 30 + "the end"),
        Token("b", "other"),
    ):
        rows.take(event)

    shown = rows.draft(20, 8)
    assert ("a writes:", "the end", 8) == (shown[0], shown[-1], len(shown))
    assert ["a writes:", "one two three", "", "x" * 19, "x" * 19, "x" * 12] == rows.draft(20, 60)[:6]
    assert [] == rows.draft(20, 3)
    rows.take(Restarted("a", "died"))
    assert [] == rows.draft(20, 20)
    rows.take(Token("a", "again"))
    assert ["a writes:", "again"] == rows.draft(20, 20)
    rows.take(Failed(Failure(member="a", kind="died", message="a died")))
    assert [] == rows.draft(20, 20)


@pytest.mark.parametrize("state", State)
def test_rows_can_be_drawn_in_every_state(pty_pair, state):
    """One that the drawing did not know would end the turn."""
    progress = live(pty_pair)
    with progress.turn():
        progress(StageStarted(Stage.ANSWER, ("a", "b")))
        progress(MemberState("a", state, "why"))
        progress(StageStarted(Stage.JUDGE, ("j",)))
        shown = "".join(pty_pair.lines())

    assert ("unneeded" if state is State.NOT_NEEDED else state) in shown
