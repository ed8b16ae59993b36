"""What can be typed besides questions: one table, from which parsing, /help and completion are made, and what each command does.

A new command is one entry of `COMMANDS` and the function it names. Commands show their output where everything but answers goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from msgspec import structs

from gork.config.schema import Wrong, parse_value, suggestion
from gork.config.settings import SETTINGS, Layer, Origin, Setting, Settings
from gork.config.urls import printable
from gork.errors import UsageError
from gork.judging.explain import letters_of
from gork.terminal import views
from gork.terminal.editor import edit as edit_text
from gork.terminal.session import Request, Session
from gork.turn import Event, MemberState, Restarted, State, Token, Turn

_FORM = re.compile(r"/(\?|[A-Za-z][A-Za-z0-9_-]*)(?:\s+(.*))?", re.DOTALL)
NOTES = '''\
Anything else is a question. So is a line that begins with a blank, and one whose first word only looks like a path (/etc/passwd).
Several lines: """ before the first and after the last of them, Alt-Enter for a new line, or paste them. Ctrl-G: your own editor.
Ctrl-C stops the answer and keeps the conversation; exit, quit or Ctrl-D leave. Tab completes commands.'''
_REPLACE = "--replace"
_CHANGEABLE = ("optimize", "seed", "timeout", "rewrite_timeout", "candidate_timeout", "judge_timeout", "history_tokens", "strict")
_UNSET = "none"
"""Clears a setting that may be without a value."""
_SET_ORIGIN = Origin(Layer.COMMAND, "/set")
"""Where a value that was changed here comes from."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A text from the user's editor, to be put at the prompt before it is asked."""

    text: str


class Leave(Enum):
    """The session ends."""

    NOW = auto()


Outcome = Request | Edited | Leave | None


def _none(_session: Session, _before: Sequence[str]) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command."""

    name: str
    help: str
    run: Callable[[Session, str], Coroutine[Any, Any, Outcome]]
    argument: str = ""
    """As /help shows it: in brackets if it is optional, empty if the command takes none."""
    aliases: tuple[str, ...] = ()
    words: Callable[[Session, Sequence[str]], Sequence[str]] = _none
    """Completions of the argument's next word, given the words before it."""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.argument}".rstrip()

    def check(self, argument: str) -> str:
        """Return the argument; raises `UsageError` if it is missing, or if the command takes none."""
        if argument and not self.argument:
            raise UsageError(f"/{self.name} takes nothing after it")
        if self.argument and not argument and not self.argument.startswith("["):
            raise UsageError(f"/{self.name} wants something after it: {self.usage}")
        return argument


def read(text: str) -> tuple[Command, str] | None:
    """The command that was typed, with its argument; None for a question. Raises `UsageError` for an unknown command."""
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
    """The table as text, for /help."""
    width = max(len(command.usage) for command in COMMANDS)
    rows = []
    for command in COMMANDS:
        also = f" Also: {', '.join('/' + alias for alias in command.aliases)}." if command.aliases else ""
        rows.append(f"  {command.usage:<{width}}  {command.help}{also}")
    return "\n".join([*rows, NOTES])


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
    *before, last = rest
    return len(last), [word for word in command.words(session, before) if word.startswith(last)]


# --- what each command does


async def _help(session: Session, _argument: str) -> Outcome:
    session.tell(help_text())
    return None


def _last(session: Session) -> Turn:
    if session.last is None:
        raise UsageError("nothing has been answered yet in this session")
    return session.last


async def _models(session: Session, _argument: str) -> Outcome:
    """Show the members and whether each can answer."""
    session.tell(views.members(await session.backend.check()))
    return None


async def _answers(session: Session, _argument: str) -> Outcome:
    """Show all answers of the last turn."""
    session.tell(views.answers(_last(session)))
    return None


async def _show(session: Session, argument: str) -> Outcome:
    """Show one answer of the last turn."""
    turn = _last(session)
    found = views.find(turn, argument)
    if found is None:
        known = [answer.member for answer in turn.answers]
        numbered = ", ".join(f"{number} {name}" for number, name in enumerate(known, 1))
        raise UsageError(f"there is no answer {argument[:40]}{suggestion(argument, known)} (there are: {numbered})")
    number, answer = found
    session.tell(f"{views.heading(number, answer, turn)}\n{answer.text}")
    return None


async def _why(session: Session, _argument: str) -> Outcome:
    """Say why the last turn's answer was chosen: the numbers, then the judge's words, which change nothing."""
    turn = _last(session)
    session.tell(views.verdict(turn))
    if not turn.verdict.orders:
        session.say("the judge was not asked for this verdict: there is nothing it could explain")
        return None
    if session.backend.explain is None:
        session.say("this ensemble has no judge that could explain it")
        return None
    legend = ", ".join(f"{letter} is {member}" for member, letter in letters_of(turn).items())
    session.say(f"in the judge's own words, after the verdict ({legend}):")

    def on_event(event: Event) -> None:
        match event:
            case Token(_, text):
                session.show_piece(text)
            case MemberState(member, State.LOADING | State.WAITING as state, _):
                session.say(f"  {member}: {state}")
            case Restarted(member, reason):
                session.say(f"\n  {member}: asked again ({reason})")
            case _:
                pass

    try:
        reason = await session.backend.explain(turn, on_event)
    finally:
        session.show_piece("\n")
    if not reason:
        session.say("the judge said nothing")
    return None


async def _retry(session: Session, _argument: str) -> Outcome:
    """Ask the last question once more."""
    if session.request is None:
        raise UsageError("nothing has been asked yet in this session")
    return replace(session.request, again=True)


async def _raw(session: Session, argument: str) -> Outcome:
    """Ask this, or the next question, without a rewrite."""
    if argument.strip():
        return Request(argument, optimize=False)
    session.raw_next = True
    session.say("the next question is asked in your own words")
    return None


async def _edit(session: Session, argument: str) -> Outcome:
    """Write in the user's own editor."""
    if not session.interactive:
        raise UsageError("/edit needs a terminal: ask the question here")
    before = argument or (session.request.prompt if session.request is not None else "")
    text = await edit_text(before, session.environ)
    if not text.strip():
        session.say("the text is empty: nothing is asked")
        return None
    return Edited(text)


async def _history(session: Session, _argument: str) -> Outcome:
    """Show the conversation."""
    if not session.turns:
        session.say("the conversation is empty")
        return None
    dropped = session.conversation.kept(session.settings.history_tokens).dropped
    for number, (exchange, turn) in enumerate(zip(session.conversation.exchanges, session.turns, strict=True), 1):
        gone = " (no longer fits)" if number <= dropped else ""
        session.say(f"{number}. {views.first_line(exchange.user)}{gone}")
        session.say(f"   {turn.winner.member if turn else 'earlier'}: {views.first_line(exchange.assistant)}")
    return None


async def _clear(session: Session, _argument: str) -> Outcome:
    """Forget the conversation."""
    session.clear()
    session.say("the conversation is forgotten")
    return None


async def _save(session: Session, argument: str) -> Outcome:
    """Save the conversation in a file."""
    replacing = argument.startswith(f"{_REPLACE} ")
    path = Path(argument.removeprefix(f"{_REPLACE} ").strip().strip("'\""))
    forms = {".md": views.as_markdown, ".markdown": views.as_markdown, ".json": views.as_json}
    form = forms.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"/save knows two forms, by the file's name: .md (or .markdown) and .json, not {printable(path.name)}")
    if not session.turns:
        raise UsageError("the conversation is empty: there is nothing to save")
    _write(path, form(session.conversation.exchanges, session.turns), replacing=replacing)
    session.say(f"saved: {printable(str(path))}")
    return None


def _write(path: Path, text: str, *, replacing: bool) -> None:
    try:
        with path.expanduser().open("wb" if replacing else "xb") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
    except FileExistsError:
        raise UsageError(
            f"{printable(str(path))} already exists: choose another name, or /save {_REPLACE} {printable(str(path))}"
        ) from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{printable(str(path))} cannot be saved: {reason}") from None


async def _stats(session: Session, _argument: str) -> Outcome:
    """Show the session's counts and times."""
    session.tell(views.stats(session.stats))
    return None


async def _set(session: Session, argument: str) -> Outcome:
    """Show or change settings."""
    name, _, value = argument.strip().partition(" ")
    if not name:
        for known in _CHANGEABLE:
            session.say(_setting_line(session.settings, _setting(known)))
        return None
    field = _setting(name)
    if value.strip():
        session.settings = _changed(session.settings, field, value.strip())
    session.say(_setting_line(session.settings, field))
    return None


def _setting(name: str) -> Setting:
    """The setting with this name (as it is, or spelled like its flag); raises `UsageError` if it cannot be changed here."""
    name = name.lower().removeprefix("--").replace("-", "_")
    if name in _CHANGEABLE:
        return SETTINGS[name]
    if name in SETTINGS:
        raise UsageError(f"{name} is decided when the program starts ({SETTINGS[name].flag}); here you can set {', '.join(_CHANGEABLE)}")
    raise UsageError(f"there is no setting {name[:40]}{suggestion(name, _CHANGEABLE)}; you can set {', '.join(_CHANGEABLE)}")


def _setting_line(settings: Settings, field: Setting) -> str:
    """A setting with its value and its origin."""
    value = getattr(settings, field.field)
    spelled = str(value).lower() if isinstance(value, bool) else _UNSET if value is None else f"{value:g}"
    return f"{field.name} = {spelled}  ({settings.origins[field.name]})"


def _changed(settings: Settings, field: Setting, text: str) -> Settings:
    """The settings with a new value for this one; raises `UsageError` if the value does not fit."""
    if field.default is None and text.lower() == _UNSET:
        value: object = None
    else:
        try:
            value = parse_value(field.kind, text)
        except Wrong as wrong:
            unset = f" (or {_UNSET})" if field.default is None else ""
            raise UsageError(f"{field.name} {wrong}{unset}") from None
    changes = {field.field: value, "origins": {**settings.origins, field.name: _SET_ORIGIN}}
    return structs.replace(settings, **changes)


def _setting_values(name: str) -> Sequence[str]:
    """Completions of a setting's value."""
    if name not in _CHANGEABLE:
        return ()
    if isinstance(SETTINGS[name].default, bool):
        return "true", "false"
    return (_UNSET,) if SETTINGS[name].default is None else ()


async def _bye(_session: Session, _argument: str) -> Outcome:
    """Leave."""
    return Leave.NOW


# --- the table


def _answers_of(session: Session, before: Sequence[str]) -> Sequence[str]:
    if before or session.last is None:
        return ()
    return [answer.member for answer in session.last.answers]


def _settings(_session: Session, before: Sequence[str]) -> Sequence[str]:
    return _CHANGEABLE if not before else _setting_values(before[0]) if len(before) == 1 else ()


COMMANDS: tuple[Command, ...] = (
    Command(name="help", aliases=("?",), run=_help, help="This."),
    Command(name="models", run=_models, help="The members: role, model, where each is asked, whether it can answer."),
    Command(name="answers", run=_answers, help="All answers to the last question."),
    Command(name="show", argument="N|MEMBER", run=_show, words=_answers_of, help="One of them, by its number or its member."),
    Command(name="why", run=_why, help="Why that one was chosen: the numbers, then the judge in its own words."),
    Command(name="retry", run=_retry, help="The last question once more, with another seed."),
    Command(name="raw", argument="[TEXT]", run=_raw, help="Ask this, or the next question, in your own words (no rewrite)."),
    Command(name="edit", argument="[TEXT]", run=_edit, help="Write in your own editor ($VISUAL, $EDITOR); begins with the last question."),
    Command(name="history", run=_history, help="The conversation so far, and what of it no longer fits."),
    Command(name="clear", run=_clear, help="Forget the conversation."),
    Command(
        name="save",
        argument="[--replace] FILE",
        run=_save,
        help="Save the conversation, with all answers: FILE ends in .md or .json.",
    ),
    Command(name="stats", run=_stats, help="This session: wins by member, failures, fallbacks, close calls, mean times."),
    Command(name="set", argument="[NAME [VALUE]]", run=_set, words=_settings, help="Show or change settings for this session."),
    Command(name="bye", aliases=("exit", "quit"), run=_bye, help="Leave."),
)
BY_WORD = {word: command for command in COMMANDS for word in (command.name, *command.aliases)}
