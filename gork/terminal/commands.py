"""What can be typed besides questions: one table, which parsing, /help and completion are made from."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from gork.config.schema import suggestion
from gork.errors import UsageError
from gork.terminal import actions, set_command
from gork.terminal.actions import Outcome
from gork.terminal.session import Session

_FORM = re.compile(r"/(\?|[A-Za-z][A-Za-z0-9_-]*)(?:\s+(.*))?", re.DOTALL)
NOTES = '''\
Anything else is a question. So is a line that begins with a blank, and one whose first word only looks like a path (/etc/passwd).
Several lines: """ before the first and after the last of them, Alt-Enter for a new line, or paste them. Ctrl-G: your own editor.
Ctrl-C stops the answer and keeps the conversation; exit, quit or Ctrl-D leave. Tab completes commands.'''


def _none(_session: Session, _before: Sequence[str]) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command."""

    name: str
    help: str
    run: Callable[[Session, str], Coroutine[Any, Any, Outcome]]
    argument: str = ""
    """As /help shows it: in brackets if it may be left out, empty if there is none."""
    aliases: tuple[str, ...] = ()
    words: Callable[[Session, Sequence[str]], Sequence[str]] = _none
    """What the next word may be, after these words of the argument."""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.argument}".rstrip()

    def check(self, argument: str) -> str:
        """The argument; raises `UsageError` if one is missing or not wanted."""
        if argument and not self.argument:
            raise UsageError(f"/{self.name} takes nothing after it")
        if self.argument and not argument and not self.argument.startswith("["):
            raise UsageError(f"/{self.name} wants something after it: {self.usage}")
        return argument


async def _help(session: Session, _argument: str) -> Outcome:
    session.tell(help_text())
    return None


def _answers_of(session: Session, before: Sequence[str]) -> Sequence[str]:
    if before or session.last is None:
        return ()
    return [answer.member for answer in session.last.answers]


def _settings(_session: Session, before: Sequence[str]) -> Sequence[str]:
    return set_command.CHANGEABLE if not before else set_command.values(before[0]) if len(before) == 1 else ()


COMMANDS: tuple[Command, ...] = (
    Command(name="help", aliases=("?",), run=_help, help="This."),
    Command(name="models", run=actions.models, help="The members: role, model, where each is asked, whether it can answer."),
    Command(name="answers", run=actions.answers, help="All answers to the last question."),
    Command(name="show", argument="N|MEMBER", run=actions.show, words=_answers_of, help="One of them, by its number or its member."),
    Command(name="why", run=actions.why, help="Why that one was chosen: the numbers, then the judge in its own words."),
    Command(name="retry", run=actions.retry, help="The last question once more, with another seed."),
    Command(name="raw", argument="[TEXT]", run=actions.raw, help="Ask this, or the next question, in your own words (no rewrite)."),
    Command(
        name="edit", argument="[TEXT]", run=actions.edit, help="Write in your own editor ($VISUAL, $EDITOR); begins with the last question."
    ),
    Command(name="history", run=actions.history, help="The conversation so far, and what of it no longer fits."),
    Command(name="clear", run=actions.clear, help="Forget the conversation."),
    Command(
        name="save",
        argument="[--replace] FILE",
        run=actions.save,
        help="Save the conversation, with all answers: FILE ends in .md or .json.",
    ),
    Command(name="stats", run=actions.stats, help="This session: wins by member, failures, fallbacks, close calls, mean times."),
    Command(name="set", argument="[NAME [VALUE]]", run=actions.set_, words=_settings, help="Show or change settings for this session."),
    Command(name="bye", aliases=("exit", "quit"), run=actions.bye, help="Leave."),
)
BY_WORD = {word: command for command in COMMANDS for word in (command.name, *command.aliases)}


def read(text: str) -> tuple[Command, str] | None:
    """The command that was typed, with its argument; None for a question. Raises `UsageError` for an unknown one: it is never sent."""
    match = _FORM.fullmatch(text.rstrip())
    if match is None:
        return None
    name, argument = match[1].lower(), match[2] or ""
    if name not in BY_WORD:
        near = suggestion(f"/{name}", [f"/{word}" for word in BY_WORD])
        raise UsageError(f"there is no command /{name[:40]}{near} (/help lists them; begin with a blank to ask this as a question)")
    command = BY_WORD[name]
    return command, command.check(argument)


def help_text() -> str:
    """The table for people."""
    width = max(len(command.usage) for command in COMMANDS)
    rows = []
    for command in COMMANDS:
        also = f" Also: {', '.join('/' + alias for alias in command.aliases)}." if command.aliases else ""
        rows.append(f"  {command.usage:<{width}}  {command.help}{also}")
    return "\n".join([*rows, NOTES])


def words(session: Session, text: str) -> tuple[int, list[str]]:
    """What may stand at the end of `text`: how many of its characters are replaced, and by which words."""
    if "\n" in text or not text.startswith("/"):
        return 0, []
    first, *rest = re.split(r"\s+", text)
    if not rest:
        return len(text), [f"/{word}" for word in BY_WORD if word.startswith(first[1:].lower())]
    command = BY_WORD.get(first[1:].lower())
    if command is None:
        return 0, []
    *before, last = rest
    return len(last), [word for word in command.words(session, before) if word.startswith(last)]
