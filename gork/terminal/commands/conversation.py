"""Commands about the conversation: to look back, take back, save, and go on with another one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from gork.config.urls import printable
from gork.errors import UsageError
from gork.terminal import session_options, views
from gork.terminal.commands.table import Outcome
from gork.terminal.safe_text import counted, head
from gork.terminal.session import Session

_REPLACE = "--replace"
_FORMS = {".md": views.as_markdown, ".markdown": views.as_markdown, ".json": views.as_json}
_LISTED = 20


async def history(session: Session, _argument: str) -> Outcome:
    """Show the conversation."""
    if not session.turns:
        session.say("the conversation is empty")
        return None
    dropped = session.conversation.kept_beside("", session.settings).dropped
    for number, (exchange, turn) in enumerate(zip(session.conversation.exchanges, session.turns, strict=True), 1):
        asked, answered = f"{number}. ", f"   {turn.winner.member if turn else 'earlier'}: "
        gone = " (no longer fits)" if number <= dropped else ""
        session.say(f"{asked}{head(exchange.user, session.width() - len(asked) - len(gone) - 1)}{gone}")
        session.say(f"{answered}{head(exchange.assistant, session.width() - len(answered) - 1)}")
    return None


async def clear(session: Session, _argument: str) -> Outcome:
    """Forget the conversation."""
    session.clear()
    session.say("the conversation was cleared")
    return None


async def undo(session: Session, _argument: str) -> Outcome:
    """Take the last turn back."""
    if not session.turns:
        raise UsageError("the conversation is empty: there is nothing to take back")
    taken = session.undo()
    left = counted(len(session.turns), "turn")
    session.say(f"taken back: {head(taken.user, max(20, session.width() - 40))} ({left} left)")
    return None


async def save(session: Session, argument: str) -> Outcome:
    """Save the conversation in a file."""
    replacing = argument.startswith(_REPLACE)
    given = argument.removeprefix(_REPLACE).strip().strip("'\"")
    path = Path(given or f"gork-{dt.datetime.now().astimezone():%Y%m%d-%H%M%S}.md")
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"/save writes Markdown (.md) and JSON (.json): {printable(path.name)} ends in neither")
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


async def sessions(session: Session, _argument: str) -> Outcome:
    """List the saved sessions."""
    found = _saved(session).listing()
    for one in found[:_LISTED]:
        for line in session_options.listed(one, session.width() - 1):
            session.say(line)
    if len(found) > _LISTED:
        session.say(f"and {len(found) - _LISTED} older ones")
    session.say("/load ID continues one of them." if found else "there are no saved sessions yet")
    return None


async def load(session: Session, argument: str) -> Outcome:
    """Go on with a saved session in place of this one, which stays saved."""
    hooks, conversation = _saved(session).load(argument.strip())
    session.replace(hooks, conversation)
    return None


def _saved(session: Session) -> session_options.SavedSessions:
    if session.saved is None:
        raise UsageError("sessions are not saved here")
    return session.saved


def ids(session: Session, before: Sequence[str]) -> Sequence[str]:
    """Completions: the saved sessions."""
    if before or session.saved is None:
        return ()
    return [one.id for one in session.saved.listing()[:_LISTED]]


async def stats(session: Session, _argument: str) -> Outcome:
    """Show the session's counts and times."""
    session.tell(views.stats(session.stats, session.width()))
    return None
