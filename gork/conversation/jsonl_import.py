"""Sessions in the form of earlier versions: a file of JSON lines for each, taken over into the database once.

A file has a header, then one record for each turn and for each time the conversation was cleared or a turn taken back. The files stay as
they are: a session that the database has is not taken over again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gork.config.urls import printable
from gork.conversation.store import LONGEST_RECORD, InUse, Record, Say, Store, add_record, lock, open_plain, parsed

if TYPE_CHECKING:
    import sqlite3

_NAME = re.compile(r"([0-9]{8}-[0-9]{6}-[a-z0-9]{3,6})\.jsonl")
_BATCH = 50
"""Files of one transaction: no other process waits longer for its own."""
_HEADER = "gork_session"
"""The key that only a header has."""


def take_over(store: Store, say: Say) -> None:
    """Put every session of the folder that the database does not have yet into it. What cannot be read now is tried again next time."""
    counts: list[int | None] = []
    try:
        files = _files(store.folder)
        new = sorted(files.keys() - store.read(_ids, set[str]())) if files else []
        for at in range(0, len(new), _BATCH):
            counts += store.write(partial(_insert_all, files={session: files[session] for session in new[at : at + _BATCH]}))
    except OSError as error:
        say(f"sessions of an earlier version cannot be imported into {printable(str(store.path))}: {error.strerror}")
    if taken := [skipped for skipped in counts if skipped is not None]:
        lost = f" ({sum(taken)} damaged lines left out)" if any(taken) else ""
        say(f"imported sessions of an earlier version into {store.path.name}: {len(taken)}{lost}; their files stay as they are")


def _files(folder: Path) -> dict[str, Path]:
    """The files of sessions, by id."""
    try:
        with os.scandir(folder) as entries:
            matches = [(_NAME.fullmatch(entry.name), entry) for entry in entries]
            return {found[1]: Path(entry.path) for found, entry in matches if found and entry.is_file(follow_symlinks=False)}
    except FileNotFoundError:
        return {}


def _ids(db: sqlite3.Connection) -> set[str]:
    return {session for (session,) in db.execute("SELECT id FROM session")}


def _insert_all(db: sqlite3.Connection, files: dict[str, Path]) -> list[int | None]:
    return [_insert(db, session, path) for session, path in files.items()]


def _insert(db: sqlite3.Connection, session: str, path: Path) -> int | None:
    """Take over one file; returns how many damaged lines were left out, None if it cannot be read now or the database has it."""
    if db.execute("SELECT 1 FROM session WHERE id = ?", (session,)).fetchone():
        return None  # another process was faster
    try:
        file = open(open_plain(path, os.O_RDONLY), "rb")  # noqa: PTH123, SIM115 - a handle, not a path; closed below
    except OSError:
        return None
    with file:
        try:
            lock(file.fileno())
        except InUse:  # a program of an earlier version still writes to it
            return None
        db.execute("INSERT INTO session VALUES (?, ?)", (session, os.fstat(file.fileno()).st_mtime))
        return sum(not (record and add_record(db, session, record)) for record in _records(file) if _HEADER not in record)


def _records(file: BinaryIO) -> Iterator[Record]:
    """The record of each line; an empty one if it is damaged, or longer than a record can be."""
    while line := file.readline(LONGEST_RECORD):
        whole = line.endswith(b"\n") or len(line) < LONGEST_RECORD
        while not whole and line and not line.endswith(b"\n"):
            line = file.readline(LONGEST_RECORD)
        if line.strip() or not whole:
            yield parsed(line) if whole else {}
