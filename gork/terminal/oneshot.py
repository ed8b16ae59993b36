"""One question from the command line: the answer on stdout, everything else on stderr, an exit code that means something."""

from __future__ import annotations

import json
import sys
from typing import Protocol

from gork.errors import NoAnswer
from gork.settings import Settings
from gork.terminal.progress import PlainProgress
from gork.turn import OnEvent, Question, Turn


class Ask(Protocol):
    """The flow with everything but the question decided: what a front end gets."""

    async def __call__(self, question: Question, on_event: OnEvent, how: Settings = ...) -> Turn:
        """Run one turn, as the program's settings say if `how` does not; raises `NoAnswer`."""


ANSWERED, NO_ANSWER, DEGRADED = 0, 1, 3


async def run(ask: Ask, prompt: str, *, as_json: bool, strict: bool) -> int:
    """Ask once and print; returns the exit code."""
    progress = PlainProgress(sys.stderr)
    try:
        turn = await ask(Question(text=prompt), progress)
    except NoAnswer as error:
        print(f"final_script.py: {error}", file=sys.stderr)
        return NO_ANSWER
    write(json.dumps(turn.as_json(), ensure_ascii=False, allow_nan=False) if as_json else turn.answer)
    return DEGRADED if strict and is_degraded(turn) else ANSWERED


def write(text: str) -> None:
    """Print to stdout as UTF-8 whatever the locale says; on a terminal without the characters that could drive it."""
    if sys.stdout.isatty():
        text = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass") + b"\n")
    sys.stdout.buffer.flush()


def is_degraded(turn: Turn) -> bool:
    """Whether the turn is less than a whole one: a model failed, an answer was cut short by a deadline, or nobody gave a verdict."""
    return bool(turn.failures) or turn.verdict.fallback is not None or any(a.stop == "deadline" for a in turn.answers)
