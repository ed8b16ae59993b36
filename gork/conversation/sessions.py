"""Sessions on the disk: each turn as it ends, one file for each session, found again by its id.

A file is a journal (`gork/conversation/journal.py`): a header, then one record for each turn (`Turn.as_json` with the prompt), and one
where the conversation was cleared. Where nothing can be written that is said once, and the session goes on in memory.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gork.conversation import journal
from gork.conversation.journal import Contents, InUse, Journal, Record
from gork.conversation.session_folder import find, make_private, new_id
from gork.conversation.thread import Conversation
from gork.errors import UsageError
from gork.turn import Turn

VERSION = 1
"""Of the records. A file of a newer version is read as far as it is understood, and never written to."""
_MOST_NOTICES = 5
_MARK = "gork_session"

Say = Callable[[str], None]
Before = tuple[str, tuple[Record, ...]]
"""The id of a session, and those of its records that make its conversation."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A session taken up again: where its next turns go, what was said in it, and what there is to tell."""

    log: SessionLog
    conversation: Conversation
    notices: tuple[str, ...]
    session: str | None = None
    """The id of the session that was taken up; None if there was none."""


class SessionLog:
    """Where the turns of one session go. Its file comes into being with the first turn; a disk that fails never fails a turn."""

    def __init__(
        self,
        folder: Path | None,
        *,
        ensemble: str,
        say: Say,
        continued: tuple[str, Journal] | None = None,
        before: Before | None = None,
    ) -> None:
        """Take the folder (None: nothing is saved), a session that goes on, or the records of another one that this one begins with."""
        self.id = continued[0] if continued else new_id()
        self.notice: str | None = None
        """Why nothing is saved any more; None while all is well."""
        self._folder, self._ensemble, self._say = folder, ensemble, say
        self._journal = continued[1] if continued else None
        self._before = before

    @property
    def path(self) -> Path | None:
        """The session's file; None before the first turn, and if nothing is saved."""
        return self._journal.path if self._journal is not None else None

    def append(self, prompt: str, turn: Turn, *, kept: bool = True) -> None:
        """Save a turn that has ended; `kept` says whether it is part of the conversation."""
        self._write({"kind": "turn", "at": _now(), "prompt": prompt, "kept": kept, **turn.as_json()})

    def cleared(self) -> None:
        """Note that the conversation begins anew: what was said before is not continued."""
        self._before = None
        if self._journal is not None:  # without a turn there is nothing to clear
            self._write({"kind": "cleared", "at": _now()})

    def retracted(self) -> None:
        """Note that the last turn is taken out of the conversation (another answer takes its place)."""
        if self._journal is not None or self._before is not None:
            self._write({"kind": "retracted", "at": _now()})

    def close(self) -> None:
        """Let other processes continue the session."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._folder = None

    def _write(self, record: Record) -> None:
        if self._folder is None or self.notice is not None:
            return
        try:
            if self._journal is None:
                self._journal = self._created(self._folder)
            self._journal.append(record)
        except OSError as error:
            self.notice = f"this session is not saved from here on: {_reason(error, self._folder)}"
            self._say(self.notice)

    def _created(self, folder: Path) -> Journal:
        """The session's file, with its header and what it begins with."""
        make_private(folder)
        made = self._unique(folder)
        header = {_MARK: VERSION, "id": self.id, "started": _now(), "ensemble": self._ensemble}
        made.append({**header, "continues": self._before[0] if self._before else None})
        for record in self._before[1] if self._before else ():
            made.append(record)
        return made

    def _unique(self, folder: Path) -> Journal:
        for _ in range(100):
            try:
                return Journal.create(folder / f"{self.id}.jsonl")
            except FileExistsError:
                self.id = new_id()
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))


def open_new(folder: Path | None, *, ensemble: str, say: Say, save: bool = True, before: Before | None = None) -> SessionLog:
    """A new session. Where nothing can be saved although it should be, `say` gets one line, at once."""
    if not save:
        return SessionLog(None, ensemble=ensemble, say=say)
    why = "there is no home directory to save it in (set XDG_STATE_HOME, or sessions in the settings)" if folder is None else None
    if folder is not None:
        try:
            make_private(folder)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        except OSError as error:
            why = _reason(error, folder)
    log = SessionLog(None if why else folder, ensemble=ensemble, say=say, before=before)
    if why:
        log.notice = f"this session is not saved: {why}"
        say(log.notice)
    return log


def resume(wanted: str | None, folder: Path | None, *, ensemble: str, say: Say, save: bool = True) -> Resumed:
    """Take up the session whose id begins with `wanted`, or the one that was used last. Raises a `UsageError` for an unknown id.

    A session that another process is using, or that cannot be written to, goes on as a new one that begins with the same turns.
    """
    session = find(wanted, folder)
    if session is None or folder is None:
        log = open_new(folder, ensemble=ensemble, say=say, save=save)
        return Resumed(log, Conversation(), ("there is no session to continue yet: a new one begins",))
    path = folder / f"{session}.jsonl"
    contents, notices, held = _opened(path, save=save)
    history, newer = _History(), _is_newer(contents)
    for number, record in contents.records:
        if (why := history.take(record)) is not None:
            contents.bad.append((number, why))
    notices += _told(session, contents)
    if held is not None and newer:
        held.close()
        held = None
        notices.append(f"session {session} was written by a newer version of this program")
    if held is not None:
        log = SessionLog(folder, ensemble=ensemble, say=say, continued=(session, held))
    else:
        log = open_new(folder, ensemble=ensemble, say=say, save=save, before=(session, tuple(history.records)))
        if save and log.notice is None:
            notices.append(f"what follows is saved as a new session, {log.id}, which begins with the same {len(history.exchanges)} turns")
    conversation = Conversation()
    for user, assistant in history.exchanges:
        conversation.add(user, assistant)
    return Resumed(log, conversation, tuple(notices), session)


class _History:
    """The turns that a session's records give, in order, and the records that say so."""

    def __init__(self) -> None:
        self.exchanges: list[tuple[str, str]] = []
        self.records: list[Record] = []

    def take(self, record: Record) -> str | None:
        """Take in one record; returns why it cannot be used, if it cannot."""
        if _MARK in record:
            return None
        match record.get("kind"):
            case "turn":
                prompt, answer = record.get("prompt"), record.get("answer")
                if not isinstance(prompt, str) or not isinstance(answer, str):
                    return "a turn without a prompt or an answer"
                if record.get("kept") is True:
                    self.exchanges.append((_sound(prompt), _sound(answer)))
                    self.records.append(record)
            case "cleared":
                self.exchanges.clear()
                self.records.clear()
            case "retracted":
                del self.exchanges[-1:], self.records[-1:]
            case _:
                return "it is of an unknown kind"
        return None


def _opened(path: Path, *, save: bool) -> tuple[Contents, list[str], Journal | None]:
    """What a session holds, what there is to tell, and its journal if this process may append to it.

    Read with the lock held, so that a line that is being written does not pass for a torn one.
    """
    try:
        if not save:
            return journal.read(path), [], None
        held, notices = _held(path)
        try:
            contents = journal.read(path)
        except BaseException:
            if held is not None:
                held.close()
            raise
    except OSError as error:
        raise UsageError(f"session {path.stem} cannot be read: {error.strerror} ({path})") from None
    contents.torn = held.mended if held is not None else contents.torn and not notices
    return contents, notices, held


def _held(path: Path) -> tuple[Journal | None, list[str]]:
    """The session's journal, or why it cannot be written to."""
    try:
        return Journal.reopen(path), []
    except InUse:
        return None, [f"session {path.stem} is in use by another process"]
    except OSError as error:
        return None, [f"session {path.stem} cannot be written to: {error.strerror}"]


def _told(session: str, contents: Contents) -> list[str]:
    """What people should know of how a session was read."""
    told = []
    if contents.torn:
        told.append(f"session {session}: its last line was torn (the program was killed while it saved); it is dropped, the rest is kept")
    if contents.shortened:
        told.append(f"session {session}: it is very large; its oldest turns are left out")
    bad = sorted(contents.bad)
    told += [f"session {session}: line {number} is skipped: {why}" for number, why in bad[:_MOST_NOTICES]]
    if len(bad) > _MOST_NOTICES:
        told.append(f"session {session}: {len(bad) - _MOST_NOTICES} more lines are skipped")
    return told


def _is_newer(contents: Contents) -> bool:
    versions = (record[_MARK] for _, record in contents.records if _MARK in record)
    return any(not isinstance(version, int) or version > VERSION for version in versions)


def _sound(text: str) -> str:
    """The text without halves of characters, which no model can be sent."""
    return text.encode("utf-8", "replace").decode()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _reason(error: OSError, folder: Path) -> str:
    return f"{folder}: {error.strerror or error}"
