"""Answers on stdout: rendered for a person at a terminal, byte for byte for everything else."""

from __future__ import annotations

import os
import sys

from gork.terminal import screen
from gork.terminal.progress import Progress
from gork.terminal.safe_text import shown, tell
from gork.terminal.summary import shortfall, summary
from gork.turn import Turn

LONGEST_RENDERED = 64 * 1024
"""Characters; laying out more than this takes longer than anybody waits."""


def show_turn(turn: Turn, progress: Progress, *, prefix: str = "", markdown: bool) -> None:
    """Show what a turn came to: what was missing in it, the answer, and one line about who won."""
    if (missing := shortfall(turn)) is not None:
        progress.say(missing)
    show_answer(turn.answer, prefix=prefix, markdown=markdown)
    progress.say(summary(turn))


def show_answer(text: str, *, prefix: str = "", markdown: bool) -> None:
    """Write an answer to stdout: as formatted text on a capable terminal if `markdown` says so, else as `write` does."""
    able = screen.look(sys.stdout, os.environ)
    if not (markdown and able.formatted):
        write(prefix + text)
        return
    made = None
    if len(text) <= LONGEST_RENDERED:
        from gork.terminal.markdown import formatted  # noqa: PLC0415  (rich takes its time, and a pipe has no use for it)

        made = formatted(text, prefix=prefix, width=screen.width(sys.stdout, os.environ), colour=able.colour)
    if made is None:
        tell(sys.stderr, "the answer is too long or too deeply nested to be formatted: it is shown as it was written")
        write(prefix + text)
    else:
        _print(made)


def write(text: str) -> None:
    """Print to stdout as UTF-8 whatever the locale says; on a terminal without the characters that could drive it."""
    if sys.stdout.isatty():
        _print(shown(text) + "\n")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass") + b"\n")
    sys.stdout.buffer.flush()


def _print(text: str) -> None:
    """Print what has been made harmless, in the terminal's own encoding: in another one, letters can come out as control bytes."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding, "replace"))
    sys.stdout.buffer.flush()
