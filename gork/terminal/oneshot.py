"""One question from the command line: the answer on stdout, everything else on stderr, an exit code that means something."""

from __future__ import annotations

import json
import os
import sys

from gork.config.settings import Settings
from gork.errors import NoAnswer
from gork.flow import Ask
from gork.terminal import program
from gork.terminal.output import cut, is_degraded, make_progress, shortfall, show_turn, summary, write
from gork.terminal.safe_text import tell
from gork.terminal.session import favourite
from gork.turn import Question

ANSWERED, NO_ANSWER, DEGRADED = 0, 1, 3


async def run(ask: Ask, question: Question, settings: Settings, *, as_json: bool) -> int:
    """Ask once and print; returns the exit code."""
    progress = make_progress(sys.stderr, os.environ, settings.ensemble, quiet=settings.quiet)
    try:
        with progress.turn(settings.ensemble, favourite(settings) if settings.watch else None):
            turn = await ask(question, progress, settings)
    except NoAnswer as error:
        tell(sys.stderr, f"{program.name()}: {error}")
        return NO_ANSWER
    if as_json:
        if not settings.quiet and (missing := shortfall(turn)) is not None:
            progress.say(missing)
        write(json.dumps(turn.as_json(), ensure_ascii=False, allow_nan=False))
        if (end := cut(turn.winner)) is not None:
            progress.say(end)
        if not settings.quiet:
            progress.say(summary(turn))
    else:
        show_turn(turn, progress, markdown=settings.markdown, quiet=settings.quiet)
    return DEGRADED if settings.strict and is_degraded(turn) else ANSWERED
