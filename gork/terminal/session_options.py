"""Sessions on the command line: `--continue`, `--list`, `--no-save`."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gork.config.settings import Settings
from gork.conversation.thread import Conversation, announce
from gork.errors import UsageError
from gork.flow import Ask
from gork.terminal import output
from gork.terminal.safe_text import counted, head
from gork.terminal.screen import is_terminal
from gork.terminal.session import ConversationHooks
from gork.turn import OnEvent, Question, Turn

if TYPE_CHECKING:
    from gork.conversation.sessions import Listed, SessionLog

LATEST = ""
"""What `--continue` without an id stands for."""
_ID = re.compile(r"[0-9a-z-]{1,32}")
_PIPE_WIDTH = 200
_LEAST_BESIDE = 60
"""Columns of a window from which on a session's first question stands beside its id."""

Say = Callable[[str], None]


def split_session_id(wanted: str | None, words: Sequence[str]) -> tuple[str | None, list[str]]:
    """What follows --continue is a session's id if it looks like one, else the beginning of the question.

    >>> split_session_id("20261123-001519-k3f", ["and", "in", "Go?"])
    ('20261123-001519-k3f', ['and', 'in', 'Go?'])
    >>> split_session_id("and in Go?", []), split_session_id("and", ["in", "Go?"]), split_session_id("nope", [])
    (('', ['and in Go?']), ('', ['and', 'in', 'Go?']), ('nope', []))
    """
    if wanted is None or wanted == LATEST or (_ID.fullmatch(wanted) and (wanted[0].isdigit() or not words)):
        return wanted, list(words)
    return LATEST, [wanted, *words]


class SavedSessions:
    """The sessions on disk, and the one of them that is going on."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings, self._say = settings, say
        self._log: SessionLog | None = None

    def begin(self, wanted: str | None) -> tuple[SessionLog, Conversation]:
        """A new one, or the one that is to go on (see `begin`); the one before is let go."""
        log, conversation = begin(self._settings, wanted, self._say)
        self.close()
        self._log = log
        return log, conversation

    def load(self, wanted: str) -> tuple[ConversationHooks, Conversation]:
        """Go on with another one; returns what keeps it up to date, and what was said in it. Raises a `UsageError` for an unknown id."""
        from gork.conversation import sessions  # noqa: PLC0415 - same

        found = sessions.find(wanted, _folder(self._settings), self._say)
        if self._log is not None and found == self._log.id:
            raise UsageError(f"{found} is the current session")
        log, conversation = self.begin(found)
        return hooks_of(log), conversation

    def listing(self) -> list[Listed]:
        """All of them, those used last first."""
        from gork.conversation import sessions  # noqa: PLC0415 - same

        return sessions.listing(_folder(self._settings), self._say)

    @property
    def id(self) -> str | None:
        """The one that is going on, if it is being saved."""
        return None if self._log is None else self._log.id

    def close(self) -> None:
        """Let other processes continue the one that was going on."""
        if self._log is not None:
            self._log.close()
            self._log = None


def hooks_of(log: SessionLog) -> ConversationHooks:
    """What keeps a saved session up to date."""
    return ConversationHooks(on_turn=log.append, on_drop=log.retracted, on_clear=log.cleared)


def begin(settings: Settings, wanted: str | None, say: Say) -> tuple[SessionLog, Conversation]:
    """A new session, or the one that is to go on; notices about it are said. Raises a `UsageError` for an unknown id."""
    from gork.conversation import sessions  # noqa: PLC0415 - a question without a session starts without sqlite3

    folder = _folder(settings)
    if wanted is None:
        return sessions.open_new(folder, say, save=settings.save), Conversation()
    resumed = sessions.resume(wanted or None, folder, say, save=settings.save)
    for notice in resumed.notices:
        say(notice)
    if resumed.session is not None:
        say(f"continuing session {resumed.session} after {counted(len(resumed.conversation), 'turn')}")
    return resumed.log, resumed.conversation


def remembered(ask: Ask, log: SessionLog, conversation: Conversation, settings: Settings, say: Say) -> Ask:
    """The flow for one question that belongs to a session: with what was said before, and saved afterwards."""

    async def ask_on(question: Question, on_event: OnEvent, how: Settings = settings, *, answer_now: asyncio.Event | None = None) -> Turn:
        kept = conversation.kept_beside(question.text, how)
        if (cut := announce(kept)) is not None:
            say(cut)
        turn = await ask(replace(question, history=kept.messages, program=conversation.last_program), on_event, how, answer_now=answer_now)
        log.append(question.text, turn)
        return turn

    return ask_on


def print_list(settings: Settings, say: Say) -> int:
    """Print the saved sessions, one line each; returns the exit code."""
    from gork.conversation import sessions  # noqa: PLC0415 - same

    folder = _folder(settings)
    found = sessions.listing(folder, say)
    if not found:
        say(f"there are no saved sessions{'' if folder is None else f' in {folder}'}")
        return 0
    width = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else _PIPE_WIDTH
    for session in found:
        output.write("\n".join(listed(session, width)))
    return 0


def listed(session: Listed, width: int) -> list[str]:
    """A saved session: its id, when it was used last, how many turns it has, its first question; beside or below."""
    about = f"{session.id}  {session.used.astimezone():%Y-%m-%d %H:%M}  {session.turns:>3}"
    if width >= _LEAST_BESIDE:
        return [f"{about}  {head(session.first, width - len(about) - 2)}"]
    return [session.id, f"  {head(session.first, width - 2)}"]


def _folder(settings: Settings) -> Path | None:
    from gork.conversation.sessions import default_folder  # noqa: PLC0415 - same

    return settings.sessions or (default_folder(os.environ) if settings.data is None else settings.data / "sessions")
