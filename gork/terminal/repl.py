"""A plain prompt that keeps the conversation: on a terminal, and with `-i` line by line from a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from gork.conversation import Conversation, announce
from gork.ensemble import Ensemble
from gork.errors import NoAnswer, UsageError
from gork.terminal import oneshot
from gork.terminal.progress import Progress, make_progress
from gork.terminal.prompts import check_prompt
from gork.terminal.render import show_turn
from gork.terminal.untrusted import tell
from gork.turn import Question, Turn

PROMPT = "Enter your query (or 'exit' to quit): "
LEAVING = frozenset({"exit", "quit", "/exit", "/quit", "/bye"})


def run(
    runner: asyncio.Runner,
    ask: oneshot.Ask,
    *,
    context: int,
    history_tokens: int,
    conversation: Conversation,
    on_turn: Callable[[str, Turn], None],
    markdown: bool,
    ensemble: Ensemble,
) -> int:
    """Read, ask, print, remember, until the input ends or says so; Ctrl-C stops the turn and keeps the session.

    `conversation` is what was said before; `on_turn` gets each turn that ended, with its prompt.
    """
    progress = make_progress(sys.stderr, os.environ, ensemble)
    while (line := _read(progress)) is not None:
        if line.strip().lower() in LEAVING:
            break
        if not line.strip():
            continue
        try:
            prompt = check_prompt(line, context=context)
            kept = conversation.kept(history_tokens)
            if (cut := announce(kept)) is not None:
                progress.say(cut)
            turn = runner.run(_ask(ask, Question(text=prompt, history=kept.messages), progress))
        except (NoAnswer, UsageError) as error:
            tell(sys.stderr, str(error))
            continue
        except KeyboardInterrupt:
            progress.say("stopped: this question is not part of the conversation (exit, quit or Ctrl-D leave)")
            continue
        conversation.add(prompt, turn.answer)
        on_turn(prompt, turn)
        show_turn(turn, progress, prefix="Response: ", markdown=markdown)
    return oneshot.ANSWERED


async def _ask(ask: oneshot.Ask, question: Question, progress: Progress) -> Turn:
    with progress.turn():
        return await ask(question, progress)


def _read(progress: Progress) -> str | None:
    """The next line, None at the end of the input; the prompt goes to stdout only where a person sees it there."""
    while True:
        try:
            if sys.stdin.isatty() and sys.stdout.isatty():
                return input(PROMPT)
            print(PROMPT, end="", file=sys.stderr, flush=True)
            line = sys.stdin.buffer.readline()
        except EOFError:
            return None
        except KeyboardInterrupt:
            progress.say("\nexit, quit or Ctrl-D leave")
            continue
        return line.decode("utf-8", "surrogateescape").rstrip("\r\n") if line else None
