"""What each command does. What is shown goes where everything but answers goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

from gork.config.schema import suggestion
from gork.config.urls import printable
from gork.errors import UsageError
from gork.judging.explain import letters_of
from gork.terminal import set_command, views
from gork.terminal.editor import edit as edit_text
from gork.terminal.session import Request, Session
from gork.turn import Event, MemberState, Restarted, State, Token, Turn

REPLACE = "--replace"


@dataclass(frozen=True, slots=True)
class Edited:
    """A text that the user wrote elsewhere, to be asked once the user has seen it at the prompt."""

    text: str


class Leave(Enum):
    """The session is to end."""

    NOW = auto()


Outcome = Request | Edited | Leave | None


def _last(session: Session) -> Turn:
    if session.last is None:
        raise UsageError("nothing has been answered yet in this session")
    return session.last


async def models(session: Session, _argument: str) -> Outcome:
    """Show the members and whether each can answer."""
    session.tell(views.members(await session.backing.check()))
    return None


async def answers(session: Session, _argument: str) -> Outcome:
    """Show all answers of the last turn."""
    session.tell(views.answers(_last(session)))
    return None


async def show(session: Session, argument: str) -> Outcome:
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


async def why(session: Session, _argument: str) -> Outcome:
    """Say why the last turn ended as it did: by its numbers, then in the judge's words, which change nothing."""
    turn = _last(session)
    session.tell(views.verdict(turn))
    if not turn.verdict.orders:
        session.say("the judge read nothing for this verdict: there is nothing it could explain")
        return None
    if session.backing.explain is None:
        session.say("there is no judge here that could be asked")
        return None
    legend = ", ".join(f"{letter} is {member}" for member, letter in letters_of(turn).items())
    session.say(f"in the judge's own words, after the fact ({legend}):")

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
        reason = await session.backing.explain(turn, on_event)
    finally:
        session.show_piece("\n")
    if not reason:
        session.say("it said nothing")
    return None


async def retry(session: Session, _argument: str) -> Outcome:
    """Ask the last question once more."""
    if session.request is None:
        raise UsageError("nothing has been asked yet in this session")
    return replace(session.request, again=True)


async def raw(session: Session, argument: str) -> Outcome:
    """Ask this, or the next question, without a rewrite."""
    if argument.strip():
        return Request(argument, optimize=False)
    session.raw_next = True
    session.say("the next question is asked in your own words")
    return None


async def edit(session: Session, argument: str) -> Outcome:
    """Write in the user's own editor."""
    if not session.interactive:
        raise UsageError("/edit needs a terminal")
    before = argument or (session.request.prompt if session.request is not None else "")
    text = await edit_text(before, session.environ)
    if not text.strip():
        session.say("nothing was written: nothing is asked")
        return None
    return Edited(text)


async def history(session: Session, _argument: str) -> Outcome:
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


async def clear(session: Session, _argument: str) -> Outcome:
    """Forget the conversation."""
    session.clear()
    session.say("the conversation is forgotten")
    return None


async def save(session: Session, argument: str) -> Outcome:
    """Save the conversation in a file."""
    replacing = argument.startswith(f"{REPLACE} ")
    path = Path(argument.removeprefix(f"{REPLACE} ").strip().strip("'\""))
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
            f"{printable(str(path))} is there already: choose another name, or /save {REPLACE} {printable(str(path))}"
        ) from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{printable(str(path))} cannot be saved: {reason}") from None


async def stats(session: Session, _argument: str) -> Outcome:
    """Show what the session's turns came to."""
    session.tell(views.stats(session.tally))
    return None


async def set_(session: Session, argument: str) -> Outcome:
    """Show or change settings."""
    name, _, value = argument.strip().partition(" ")
    if not name:
        for known in set_command.CHANGEABLE:
            session.say(set_command.shown(session.settings, set_command.field_of(known)))
        return None
    field = set_command.field_of(name)
    if value.strip():
        session.settings = set_command.change(session.settings, field, value.strip())
    session.say(set_command.shown(session.settings, field))
    return None


async def bye(_session: Session, _argument: str) -> Outcome:
    """Leave."""
    return Leave.NOW
