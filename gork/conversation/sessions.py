"""Sessions on disk: each turn as it ends, found again by its session's id.

A record is a turn (`Turn.as_json` with the prompt), a conversation that was cleared, or a last turn that was taken back. Where nothing can
be written that is said once, and the session goes on in memory.
"""

from __future__ import annotations

import datetime as dt
import difflib
import errno
import os
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gork.config.folders import state_home
from gork.config.urls import printable, quoted
from gork.conversation import jsonl_import
from gork.conversation.store import LONGEST_RECORD, InUse, Record, Say, Store, add_record, make_private, parsed
from gork.conversation.thread import Conversation, Exchange
from gork.errors import UsageError
from gork.turn import Turn

if TYPE_CHECKING:
    import sqlite3

MOST_LISTED = 500
LARGEST_SESSION = 32 << 20
"""Bytes: of a larger session the newest records are read."""
_MOST_NOTICES = 5
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9]{3,6}")
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"

_RECORDS = """
    SELECT length(CAST(json AS BLOB)), CASE WHEN length(CAST(json AS BLOB)) <= ? THEN CAST(json AS BLOB) END
    FROM record WHERE session = ? ORDER BY number DESC
"""
_SESSIONS = """
    SELECT id, used, (
            SELECT coalesce(sum(turn - (json LIKE '{"kind":"retracted"%')), 0) FROM record WHERE session = id AND number >
                (SELECT coalesce(max(number), 0) FROM record WHERE session = id AND json LIKE '{"kind":"cleared"%')
        ),
        (SELECT CAST(json AS BLOB) FROM record WHERE session = id AND turn AND length(json) <= ? ORDER BY number LIMIT 1)
    FROM session ORDER BY used DESC, id DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """One session as a list shows it."""

    id: str
    used: dt.datetime
    turns: int
    """Of its conversation: without those that were taken back or cleared away."""
    first: str
    """The first question, on one line, without what a terminal would act on."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A session taken up again: where its next turns go, what was said in it, and notices for people."""

    log: SessionLog
    conversation: Conversation
    notices: tuple[str, ...]
    session: str | None = None
    """The id of the session that was taken up; None if there was none."""


class SessionLog:
    """Where the turns of one session go. It is saved from its first turn on; a disk that fails never fails a turn."""

    def __init__(self, folder: Path | None, say: Say, *, continued: tuple[str, int] | None = None, before: Sequence[Record] = ()) -> None:
        """Take the folder (None: nothing is saved), a session that goes on, with its hold, or records that this one begins with."""
        self.id = continued[0] if continued else _new_id()
        self.notice: str | None = None
        """Why nothing is saved any more; None while all is well."""
        self._store = Store(folder, say) if folder is not None else None
        self._say = say
        self._hold = continued[1] if continued else None
        self._before = tuple(before)

    def append(self, prompt: str, turn: Turn, *, kept: bool = True) -> None:
        """Save a turn that has ended; `kept` says whether it is part of the conversation."""
        self._save({"kind": "turn", "at": _now(), "prompt": prompt, "kept": kept, **turn.as_json()})

    def cleared(self) -> None:
        """Note that the conversation was cleared: what was said before is not continued."""
        self._before = ()
        if self._hold is not None:  # without a turn there is nothing to clear
            self._save({"kind": "cleared", "at": _now()})

    def retracted(self) -> None:
        """Note that the last turn is taken out of the conversation (another answer takes its place)."""
        if self._hold is not None or self._before:
            self._save({"kind": "retracted", "at": _now()})

    def close(self) -> None:
        """Let other processes continue the session."""
        if self._store is not None and self._hold is not None:
            self._store.release(self.id, self._hold)
        self._store = self._hold = None

    def _save(self, record: Record) -> None:
        if self._store is None or self.notice is not None:
            return
        try:
            begins = self._hold is None
            if self._hold is None:
                make_private(self._store.folder)
                self._hold = self._store.hold(self.id)
            self._store.write(lambda db: self._add(db, record, begins=begins))
        except OSError as error:
            self.notice = f"this session is no longer being saved: {_reason(error, self._store.path)}"
            self._say(self.notice)

    def _add(self, db: sqlite3.Connection, record: Record, *, begins: bool) -> None:
        """Add a record, and before it what a new session begins with."""
        db.execute("INSERT INTO session VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET used = excluded.used", (self.id, time.time()))
        if not all(add_record(db, self.id, each) for each in (*(self._before if begins else ()), record)):
            raise OSError(errno.EFBIG, "the turn is too large")


def default_folder(environ: Mapping[str, str]) -> Path | None:
    """Where sessions are kept if no setting says so; None without a home directory."""
    state = state_home(environ)
    return None if state is None else state / "sessions"


def open_new(folder: Path | None, say: Say, *, save: bool = True, before: Sequence[Record] = ()) -> SessionLog:
    """A new session. Where nothing can be saved although it should be, `say` gets one line, at once."""
    if not save:
        return SessionLog(None, say)
    why = "there is no home directory to save it in (set XDG_STATE_HOME, or sessions in the settings)" if folder is None else None
    if folder is not None:
        try:
            make_private(folder)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        except OSError as error:
            why = _reason(error, folder)
    log = SessionLog(None if why else folder, say, before=before)
    if why:
        log.notice = f"this session is not being saved: {why}"
        say(log.notice)
    return log


def resume(wanted: str | None, folder: Path | None, say: Say, *, save: bool = True, largest: int = LARGEST_SESSION) -> Resumed:
    """Take up the session whose id begins with `wanted`, or the one that was used last; at most `largest` bytes of it are read.

    A session that another process is using, or that cannot be written to, goes on as a new one that begins with the same turns. Raises a
    `UsageError` for an unknown id, or one in a database that cannot be read.
    """
    store = Store(folder, say) if folder is not None else None
    try:
        session = _find(wanted, _ids(store, say))
    except OSError as error:
        if wanted is not None:
            raise UsageError(f"no session can be continued: {_reason(error, folder)}") from None
        session, why = None, f"no session can be continued: {_reason(error, folder)}"
    else:
        why = "there is no session to continue yet: starting a new one"
    if session is None or store is None:
        return Resumed(open_new(folder, say, save=save), Conversation(), (why,))
    hold, notices = _hold(store, session) if save else (None, [])
    try:
        history = store.read(lambda db: _History(session).read(db, largest), _History(session))
    except OSError as error:
        raise UsageError(f"session {session} cannot be read: {_reason(error, store.path)}") from None
    notices += history.notices()
    if hold is not None:
        log = SessionLog(folder, say, continued=(session, hold))
    else:
        log = open_new(folder, say, save=save, before=history.records)
        if save and log.notice is None:
            notices.append(f"from here on it is saved as a new session, {log.id}, with the same {len(history.exchanges)} turns")
    return Resumed(log, Conversation(history.exchanges), tuple(notices), session)


def listing(folder: Path | None, say: Say) -> list[Listed]:
    """The sessions, those used last first; at most `MOST_LISTED`. Raises a `UsageError` if they cannot be read."""
    if folder is None:
        return []
    store = Store(folder, say)
    jsonl_import.take_over(store, say)
    try:
        return store.read(_listed, [])
    except OSError as error:
        raise UsageError(f"the saved sessions cannot be read: {_reason(error, store.path)}") from None


def find(wanted: str, folder: Path | None, say: Say) -> str:
    """The id of the session whose id begins with `wanted`. Raises a `UsageError` if there is none, or several."""
    try:
        found = _find(wanted, _ids(Store(folder, say) if folder is not None else None, say))
    except OSError as error:
        raise UsageError(f"no session can be continued: {_reason(error, folder)}") from None
    assert found is not None  # noqa: S101 - only without a wish there may be none
    return found


class _History:
    """The turns that a session's records give, in order, the records that say so, and what could not be read."""

    def __init__(self, session: str) -> None:
        self.exchanges: list[Exchange] = []
        self.records: list[Record] = []
        self._session = session
        self._skipped: list[str] = []
        self._shortened = False

    def read(self, db: sqlite3.Connection, largest: int) -> _History:
        """Take in the session's newest records, `largest` bytes at most."""
        newest: list[bytes | None] = []
        for size, data in db.execute(_RECORDS, (LONGEST_RECORD, self._session)):
            largest -= size
            self._shortened = largest < 0
            if self._shortened:
                break
            newest.append(data)
        for number, data in enumerate(reversed(newest), 1):
            if (why := self._take(data)) is not None:
                self._skipped.append(f"record {number} is skipped: {why}")
        return self

    def notices(self) -> list[str]:
        """What people should know of how it was read."""
        told = ["it is very large; its oldest turns are left out"] if self._shortened else []
        told += self._skipped[:_MOST_NOTICES]
        if len(self._skipped) > _MOST_NOTICES:
            told.append(f"{len(self._skipped) - _MOST_NOTICES} more records are skipped")
        return [f"session {self._session}: {notice}" for notice in told]

    def _take(self, data: bytes | None) -> str | None:
        """Take in one record; returns why it cannot be used, if it cannot."""
        if data is None:
            return "it is too long"
        record = parsed(data)
        match record.get("kind"):
            case "turn":
                prompt, answer = record.get("prompt"), record.get("answer")
                if not isinstance(prompt, str) or not isinstance(answer, str):
                    return "a turn without a prompt or an answer"
                if record.get("kept") is True:
                    self.exchanges.append(Exchange(_sound(prompt), _sound(answer), _program_of(record)))
                    self.records.append(record)
            case "cleared":
                self.exchanges.clear()
                self.records.clear()
            case "retracted":
                del self.exchanges[-1:], self.records[-1:]
            case _:
                return "it is damaged or of an unknown kind"
        return None


def _hold(store: Store, session: str) -> tuple[int | None, list[str]]:
    """The hold on a session, or why it cannot be written to."""
    try:
        return store.hold(session), []
    except InUse:
        return None, [f"session {session} is in use by another process"]
    except OSError as error:
        return None, [f"session {session} cannot be written to: {error.strerror}"]


def _ids(store: Store | None, say: Say) -> list[str]:
    """The ids of all sessions, those used last first. Raises an `OSError`."""
    if store is None:
        return []
    jsonl_import.take_over(store, say)
    rows: list[tuple[object]] = store.read(lambda db: db.execute("SELECT id FROM session ORDER BY used DESC, id DESC").fetchall(), [])
    return [session for (session,) in rows if isinstance(session, str) and _ID.fullmatch(session)]


def _find(wanted: str | None, ids: list[str]) -> str | None:
    """The id of the session that is meant; None if there is none at all and none was named. Raises a `UsageError`."""
    if wanted is None:
        return ids[0] if ids else None
    if wanted in ids:
        return wanted
    matching = [session for session in ids if session.startswith(wanted)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        shown = ", ".join(matching[:5]) + (", ..." if len(matching) > 5 else "")
        raise UsageError(f"{quoted(wanted)} matches {len(matching)} sessions ({shown}): type more of it")
    newest = ids[:MOST_LISTED]
    near = difflib.get_close_matches(wanted, newest, n=3, cutoff=0.5)
    there = f"{'similar' if near else 'the last ones'}: {', '.join(near or ids[:3])}; --list and /sessions show all"
    there = there if ids else "there are none yet"
    raise UsageError(f"no session {quoted(wanted)} ({there})")


def _listed(db: sqlite3.Connection) -> list[Listed]:
    found = []
    for session, used, turns, data in db.execute(_SESSIONS, (LONGEST_RECORD, MOST_LISTED)):
        prompt = parsed(data).get("prompt") if data is not None else None
        first = printable(" ".join(prompt[:2000].split())) if isinstance(prompt, str) else ""
        try:
            when, left = dt.datetime.fromtimestamp(used, dt.UTC), max(0, int(turns))
        except (TypeError, ValueError, OverflowError, OSError):  # the database is damaged
            continue
        if isinstance(session, str) and _ID.fullmatch(session):
            found.append(Listed(session, when, left, first))
    return found


def _new_id() -> str:
    """A name for a session: sortable by when it was made, safe as a file's name."""
    now = dt.datetime.now(dt.UTC)
    return f"{now:%Y%m%d-%H%M%S}-" + "".join(secrets.choice(_ALPHABET) for _ in range(6))


def _program_of(record: Record) -> str | None:
    """The program that computed a turn's answer; None where it was not computed, or the record is of another form."""
    match record:
        case {"verdict": {"computed_by": str(member)}, "answers": list(answers)}:
            return next((_sound(program) for answer in answers if (program := _program_in(answer, member)) is not None), None)
        case _:
            return None


def _program_in(answer: object, member: str) -> str | None:
    match answer:
        case {"member": str(name), "computed": {"program": str(program)}} if name == member:
            return program
        case _:
            return None


def _sound(text: str) -> str:
    """The text without lone surrogates, which no model can be sent."""
    return text.encode("utf-8", "replace").decode()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _reason(error: OSError, path: Path | None) -> str:
    return f"{path}: {error.strerror or error}"
