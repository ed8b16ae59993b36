"""The database of sessions: one SQLite file in a private folder, opened for each transaction and closed after it.

Table `session` has a row for each session, table `record` what happened in it, in order. Records are JSON in ASCII: SQLite's texts
cannot hold lone surrogates.

SQLite's rollback journal is used, not its write-ahead log: that needs memory shared by all who open the file, so it does not work in a
home folder on a network, and not in a folder that can only be read.
"""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gork.config.urls import printable

if TYPE_CHECKING:
    import sqlite3

if sys.platform != "win32":
    import fcntl

VERSION = 1
"""Of the tables. A database of another version is neither read nor written."""
FILE = "sessions.db"
_TABLES = (
    "CREATE TABLE session (id TEXT PRIMARY KEY, used REAL NOT NULL)",
    "CREATE TABLE record (number INTEGER PRIMARY KEY, session TEXT NOT NULL, turn INTEGER NOT NULL, json TEXT NOT NULL)",
    "CREATE INDEX record_of_session ON record (session, number)",
    f"PRAGMA user_version = {VERSION}",
)
_BUSY_S = 10.0
"""Seconds that a transaction waits for those of other processes."""
_DAMAGE = frozenset({1, 11, 24, 26})
"""SQLite's codes for a file that does not hold what it must: ERROR (a table is missing), CORRUPT, FORMAT, NOTADB."""

LONGEST_RECORD = 8 << 20
"""Bytes of one record: longer ones are not written, and skipped when read."""

T = TypeVar("T")
Record = Mapping[str, object]
Say = Callable[[str], None]


class InUse(OSError):
    """Raised when another process holds the session."""


class Store:
    """The sessions of one folder. A failure of SQLite is raised as an `OSError` whose `strerror` says what happened."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder, self.path = folder, folder / FILE
        self._say = say

    def write(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Do `act` in one transaction, in a database that is made if there is none; it is on the disk when this returns.

        Raises an `OSError`; then nothing is changed.
        """
        return self._transaction(act, "BEGIN IMMEDIATE")

    def read(self, act: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        """What `act` finds; `nothing` if there is no database. Raises an `OSError`."""
        return self._transaction(act, "BEGIN") if self.path.exists() else nothing

    def hold(self, session: str) -> int:
        """Make sure that no other process continues the session until `release`; ends with the process. Raises `InUse` or an `OSError`."""
        path = self._lock_file(session)
        while True:
            handle = open_plain(path, os.O_RDWR | os.O_CREAT)
            try:
                lock(handle)
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
            except FileNotFoundError:  # its holder released it meanwhile
                pass
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def release(self, session: str, handle: int) -> None:
        """Let other processes continue the session."""
        with suppress(OSError):
            self._lock_file(session).unlink()
        os.close(handle)

    def _lock_file(self, session: str) -> Path:
        return self.folder / f"{session}.lock"

    def _transaction(self, act: Callable[[sqlite3.Connection], T], begin: str) -> T:
        try:
            import sqlite3  # noqa: PLC0415 - what is not saved does not wait for its import
        except ImportError:
            raise OSError(errno.ENOSYS, "this Python was built without sqlite3", str(self.path)) from None
        for again in (True, False):
            address, file = self._opened()
            try:
                with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None)) as db:
                    self._prepare(db)
                    db.execute(begin)
                    result = act(db)
                    db.execute("COMMIT")
                    return result
            except sqlite3.Error as error:
                damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE
                if not (damaged and again):
                    raise OSError(errno.EIO, str(error), str(self.path)) from error
                self._set_aside(file, str(error))
        raise AssertionError("a second failure was raised")

    def _opened(self) -> tuple[str, os.stat_result]:
        """SQLite's address of the file, and which file it is now; made first if need be, so that its owner alone can read it."""
        address, mode = self.path.absolute().as_uri(), "rw"
        try:
            handle = open_plain(self.path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EROFS} or not self.path.exists():
                raise
            handle, mode = open_plain(self.path, os.O_RDONLY), "ro"
        try:
            return f"{address}?mode={mode}", os.fstat(handle)
        finally:
            os.close(handle)

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.text_factory = lambda data: data.decode("utf-8", "replace")  # whatever is in a damaged file
        db.execute("PRAGMA synchronous = EXTRA")  # also the folder, so that no committed turn is rolled back after a power cut
        if _version(db) == 0:
            db.execute("BEGIN IMMEDIATE")
            if _version(db) == 0:  # no other process was faster
                for statement in _TABLES:
                    db.execute(statement)
            db.execute("COMMIT")
        if (version := _version(db)) != VERSION:
            raise OSError(errno.EINVAL, f"it has version {version}, this program knows {VERSION}: a newer program wrote it", str(self.path))

    def _set_aside(self, damaged: os.stat_result, why: str) -> None:
        """Give a damaged database another name, so that a new one can be made. Nothing is deleted."""
        try:
            if not os.path.samestat(damaged, self.path.stat()):
                return  # another process has done it
            aside = self.path.with_name(f"{FILE}.damaged-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S-%f}")
            self.path.rename(aside)
            with suppress(FileNotFoundError):
                self.path.with_name(f"{FILE}-journal").rename(f"{aside}-journal")
        except OSError as error:
            raise OSError(errno.EIO, f"it is damaged ({why}) and cannot be set aside ({error.strerror})", str(self.path)) from error
        self._say(f"{printable(str(self.path))} is damaged ({why}): it is kept as {aside.name}, and a new one begins")


def add_record(db: sqlite3.Connection, session: str, record: Record) -> bool:
    """Add what happened in a session; False if the record is too long."""
    text = json.dumps(record, ensure_ascii=True, separators=(",", ":"))
    if len(text) > LONGEST_RECORD:
        return False
    db.execute("INSERT INTO record (session, turn, json) VALUES (?, ?, ?)", (session, record.get("kind") == "turn", text))
    return True


def parsed(data: bytes) -> Record:
    """A record; an empty one if it is damaged."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def make_private(folder: Path) -> None:
    """Make the folder, and ours above it, for their owner alone; one that is there stays as it is. Raises an `OSError`."""
    if folder.is_dir():
        return
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def open_plain(path: Path, flags: int) -> int:
    """Open a plain file, made for its owner alone; anything else (a pipe would wait for its other end) is an `OSError`."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    handle = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return handle


def lock(handle: int) -> None:
    """Take the file's lock; where there are none (Windows, some file systems) it goes without. Raises `InUse`."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUse from None
    except OSError as error:
        if error.errno not in {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}:
            raise


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)
