"""What a turn comes to for its user: the answer on standard output, and the lines about it and the progress on standard error.

An answer is laid out for a terminal, and byte for byte what the model wrote for everything else. Only this module imports what draws
with rich, and only where it is needed: rich takes long to import.
"""

from __future__ import annotations

import errno
import os
import sys
import textwrap
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

from gork.config.ensemble import Ensemble
from gork.terminal import screen
from gork.terminal.progress import PlainProgress, TurnProgress
from gork.terminal.safe_text import counted, one_line, shown, tell
from gork.turn import ANSWER_NOW, STOPPED, Answer, Computed, Turn, Verdict

READER_LEFT = 141
"""The exit code when the reader of a pipe has left, as a shell has it for programs that SIGPIPE ends."""
LONGEST_FORMATTED = 64 * 1024
"""Characters; the layout of a longer answer takes seconds."""


class OutputGone(OSError):
    """Raised when standard output takes nothing: it was closed, its reader has left, the disk is full."""

    @property
    def left(self) -> bool:
        """Whether its reader has left, which is nothing to complain about."""
        return self.errno in {errno.EPIPE, errno.EIO, errno.ENXIO}


def make_progress(
    stream: TextIO | None, environ: Mapping[str, str], ensemble: Ensemble | None = None, *, quiet: bool = False
) -> TurnProgress:
    """The progress that suits this stream: rows on a capable terminal, else lines; the ensemble's members have rows from the start.

    A quiet one shows nothing of a turn.
    """
    able = screen.abilities(stream, environ)
    if quiet:
        return PlainProgress(stream, colour=able.colour, quiet=True)
    if stream is None or not able.moves or screen.is_ci(environ) or not screen.in_foreground(stream):
        return PlainProgress(stream, colour=able.colour)
    from gork.terminal.live import LiveProgress  # noqa: PLC0415 - rich

    return LiveProgress(stream, colour=able.colour, ensemble=ensemble)


def show_turn(turn: Turn, progress: TurnProgress, *, prefix: str = "", markdown: bool, quiet: bool = False) -> None:
    """Show what a turn came to: what was missing in it, the answer, and one line about who won.

    If it is to be quiet: the answer alone, and that it is cut if it is.
    """
    if not quiet and (missing := shortfall(turn)) is not None:
        progress.say(missing)
    # What a program printed is no Markdown.
    show_answer(turn.answer, prefix=prefix, markdown=markdown and not turn.winner.ran)
    if (end := cut(turn.winner)) is not None:  # even if it is to be quiet: it would pass for a whole answer
        progress.say(end)
    if not quiet:
        if turn.computed is not None:
            for line in computed(turn.computed).splitlines():
                progress.say(line)
        progress.say(summary(turn))


def show_other(text: str, *, markdown: bool) -> None:
    """Write an answer that was not chosen where everything but chosen answers goes, laid out like one."""
    if sys.stderr is not None:
        able = screen.abilities(sys.stderr, os.environ)
        made = _laid_out(text, "", sys.stderr, colour=able.colour) if markdown and able.formatted else None
        tell(sys.stderr, shown(text) if made is None else made.removesuffix("\n"), clean=made is not None)


def show_answer(text: str, *, prefix: str = "", markdown: bool) -> None:
    """Write an answer to stdout: laid out on a capable terminal if `markdown` says so, else as `write` does."""
    able = screen.abilities(sys.stdout, os.environ)
    if not (markdown and able.formatted):
        write(prefix + text)
        return
    made = _laid_out(text, prefix, sys.stdout, colour=able.colour)
    if made is None:
        tell(sys.stderr, "the answer is too long or too deeply nested to be formatted: showing it as written")
        write(prefix + text)
    else:
        _print(made)


def _laid_out(text: str, prefix: str, stream: TextIO, *, colour: bool) -> str | None:
    """An answer laid out for a stream's width; None if it is too long or too deeply nested for that."""
    if len(text) > LONGEST_FORMATTED:
        return None
    from gork.terminal.markdown import formatted  # noqa: PLC0415 - rich

    return formatted(text, prefix=prefix, width=screen.width(stream, os.environ), colour=colour)


def write(text: str) -> None:
    """Print to stdout as UTF-8 whatever the locale says; on a terminal without the characters that could drive it.

    Raises an `OutputGone`.
    """
    if screen.is_terminal(sys.stdout):
        _print(shown(text) + "\n")
    else:
        _write(text.encode("utf-8", "surrogatepass") + b"\n")


def _print(text: str) -> None:
    """Print cleaned text in the terminal's own encoding: in another one, letters could come out as control bytes."""
    _write(text.encode(sys.stdout.encoding, "replace"))


def _write(data: bytes) -> None:
    if sys.stdout is None:
        raise OutputGone(errno.EBADF, "it is closed")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise OutputGone(error.errno, error.strerror) from None


def discard(*fds: int) -> None:
    """Discard what is still written there: by what is being stopped, and by the interpreter at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    for fd in fds:
        with suppress(OSError):
            os.dup2(null, fd)


def computed(said: Computed) -> str:
    """The program behind an answer, and what it printed when it was run; or why there is no output."""
    if said.output is None:
        return f"this program gave no answer ({said.problem}):\n{_indented(said.program)}"
    return f"computed by this program:\n{_indented(said.program)}\nit printed:\n{_indented(said.output)}"


def _indented(text: str) -> str:
    return textwrap.indent(text.strip("\n"), "    ")


def cut(answer: Answer) -> str | None:
    """The line below an answer that its model did not bring to an end; None for a whole one.

    >>> cut(Answer(member="a", model="m", text="x", tokens=512, complete=False, stop="length"))
    'this answer is cut off: it reached its length limit (512 tokens)'
    """
    if answer.complete:
        return None
    reasons = {
        "length": f"it reached its length limit ({counted(answer.tokens, 'token')})",
        "deadline": "it ran out of time",
        "repetition": "its model had started to repeat itself",
        STOPPED: "it was stopped",
    }
    return f"this answer is cut off: {reasons.get(answer.stop, answer.stop)}"


def is_degraded(turn: Turn) -> bool:
    """Whether a model failed, an answer was cut short by a deadline, the chosen one by anything, or there was no verdict.

    What its user wanted so does not count.
    """
    fallback = turn.verdict.fallback
    no_verdict = fallback is not None and fallback.kind != ANSWER_NOW
    late = any(answer.stop == "deadline" for answer in turn.answers)
    return bool(turn.failures) or no_verdict or late or turn.winner.stop not in {"stop", STOPPED}


def shortfall(turn: Turn) -> str | None:
    """The line above the answer of a degraded turn; None for any other."""
    if not is_degraded(turn):
        return None
    asked = len(turn.answers) + len(turn.failures) + len(turn.not_needed)
    parts = [f"{len(turn.answers)} of {asked} models answered"] if turn.failures else []
    parts += [f"failed: {failure.message}" for failure in turn.failures]
    parts += [f"{answer.member} was cut short by its deadline" for answer in turn.answers if answer.stop == "deadline"]
    return one_line("; ".join(parts)) or None  # of a missing verdict the line below the answer tells


def summary(turn: Turn) -> str:
    """Who won, how clearly, and how long each stage took."""
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in turn.timings.items() if seconds >= 0.05 or stage == "total")
    return one_line(f"{_who(turn.winner.member, turn.verdict)}; {stages}")


def _who(winner: str, verdict: Verdict) -> str:
    if verdict.fallback is not None:
        return f"chosen: {winner}, the favourite, without the judge ({verdict.fallback.text})"
    return f"chosen: {winner} ({verdict.clarity if verdict.note is None else verdict.note})"
