"""What can be typed besides questions: one table, from which parsing, /help and completion are made.

A new command is one entry of `COMMANDS` and the function it names. Commands show their output where everything but answers goes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gork.config.schema import suggestion
from gork.errors import UsageError
from gork.terminal.commands import answers, asking, conversation
from gork.terminal.commands.table import Command, Edited, Leave, Outcome
from gork.terminal.layout import paragraph, two_columns
from gork.terminal.session import Session

__all__ = ["BY_WORD", "COMMANDS", "Command", "Edited", "Leave", "Outcome", "help_text", "read", "words"]

_FORM = re.compile(r"/(\?|[A-Za-z][A-Za-z0-9_-]*)(?:\s+(.*))?", re.DOTALL)
NOTES = (
    "Anything else is a question; so is a line that starts with a space.",
    'Several lines: paste them, Alt-Enter for a new line, or """ before the first and after the last. Ctrl-G: your own editor.',
    "Enter while the models work: answer now, with what there is. Ctrl-C stops an answer.",
    "exit, quit or Ctrl-D to leave. Tab completes commands.",
)
_MOST_PATHS = 50


def read(text: str) -> tuple[Command, str] | None:
    """The command that was typed, with its argument; None for a question. Raises `UsageError` for an unknown command."""
    match = _FORM.fullmatch(text.rstrip())
    if match is None:
        return None
    name, argument = match[1].lower(), match[2] or ""
    if name not in BY_WORD:
        near = suggestion(f"/{name}", [f"/{word}" for word in BY_WORD])
        raise UsageError(f"there is no command /{name[:40]}{near} (/help lists them; start with a space to send it as a question)")
    command = BY_WORD[name]
    return command, command.check(argument)


def help_text(width: int) -> str:
    """The table as text for a window of this width, for /help."""
    room = max(width - 1, 20)
    rows = [(command.usage, command.help + _also(command)) for command in COMMANDS]
    return "\n".join([*two_columns(rows, room), *(line for note in NOTES for line in paragraph(note, room))])


def _also(command: Command) -> str:
    return f" Also: {', '.join('/' + alias for alias in command.aliases)}." if command.aliases else ""


def words(session: Session, text: str) -> tuple[int, list[str]]:
    """Completions of `text`: how many characters at its end are replaced, and the words that may replace them."""
    if "\n" in text or not text.startswith("/"):
        return 0, []
    first, *rest = re.split(r"\s+", text)
    if not rest:
        return len(text), [f"/{word}" for word in BY_WORD if word.startswith(first[1:].lower())]
    command = BY_WORD.get(first[1:].lower())
    if command is None:
        return 0, []
    if command.path:
        given = re.split(r"\s+", text, maxsplit=1)[1]
        return len(given), _paths(given)
    *before, last = rest
    return len(last), [word for word in command.words(session, before) if word.startswith(last)]


def _paths(given: str) -> list[str]:
    """The files and folders that a beginning of a path may mean."""
    folder, beginning = os.path.split(given)
    try:
        found = sorted(Path(folder or ".").expanduser().iterdir())[: 20 * _MOST_PATHS]
    except (OSError, RuntimeError, ValueError):
        return []
    names = [f"{one.name}/" if one.is_dir() else one.name for one in found if one.name.startswith(beginning)]
    shown = [name for name in names if beginning.startswith(".") or not name.startswith(".")]
    return [os.path.join(folder, name) for name in shown[:_MOST_PATHS]]  # noqa: PTH118 - as it was typed, ~ included


async def _help(session: Session, _argument: str) -> Outcome:
    session.tell(help_text(session.width()))
    return None


async def _bye(_session: Session, _argument: str) -> Outcome:
    """Leave."""
    return Leave.NOW


COMMANDS: tuple[Command, ...] = (
    Command(name="help", aliases=("?",), run=_help, help="Show this help."),
    Command(name="answers", run=answers.answers, help="Show all answers to the last question."),
    Command(
        name="show",
        argument="N|MEMBER",
        run=answers.show,
        words=answers.members_to_show,
        help="Show one of them; asks a member that was not waited for.",
    ),
    Command(
        name="use", argument="N|MEMBER", run=answers.use, words=answers.members, help="Use one of them as the answer, also after Ctrl-C."
    ),
    Command(name="copy", argument="[code] [N|MEMBER]", run=answers.copy, help="Copy the answer, or only its code, to the clipboard."),
    Command(name="why", run=answers.why, help="Show why that one was chosen, and the judge's explanation."),
    Command(name="retry", run=answers.retry, help="Ask the last question again, with another seed."),
    Command(name="raw", argument="[TEXT]", run=answers.raw, help="Ask this (or the next question) without rewriting."),
    Command(
        name="edit", argument="[TEXT]", run=answers.edit, help="Write in your editor ($VISUAL, $EDITOR), starting from the last question."
    ),
    Command(name="file", argument="[PATH]", run=asking.file, path=True, help="Attach a text file to the next question."),
    Command(name="system", argument="[TEXT|none]", run=asking.system, help="Set instructions for the candidates, until you leave."),
    Command(
        name="only", argument="[MEMBER|all]", run=asking.only, words=asking.candidates, help="Ask only one candidate, or everyone again."
    ),
    Command(
        name="watch",
        argument="[MEMBER|on|off]",
        run=asking.watch,
        words=asking.candidates,
        help="Show a draft while it is written, or stop showing it.",
    ),
    Command(
        name="set",
        argument="[NAME [VALUE]]",
        run=asking.set_,
        words=asking.settings,
        help="Show or change settings (timeout, seed, ...) and sampling (temperature, num_predict, ...), until you leave.",
    ),
    Command(name="models", run=asking.models, help="Show the members: role, model, address, and whether each can answer."),
    Command(name="history", run=conversation.history, help="Show the conversation and which turns no longer fit."),
    Command(name="undo", run=conversation.undo, help="Take the last turn back."),
    Command(name="clear", run=conversation.clear, help="Forget the conversation."),
    Command(
        name="save",
        argument="[--replace] [FILE]",
        run=conversation.save,
        help="Save the conversation with all answers, as Markdown (.md) or JSON (.json).",
    ),
    Command(name="sessions", run=conversation.sessions, help="List the saved sessions."),
    Command(name="load", argument="ID", run=conversation.load, words=conversation.ids, help="Continue a saved session."),
    Command(name="stats", run=conversation.stats, help="Show counts since the start: wins, failures, close calls, mean times."),
    Command(name="bye", aliases=("exit", "quit"), run=_bye, help="Leave."),
)
BY_WORD = {word: command for command in COMMANDS for word in (command.name, *command.aliases)}
