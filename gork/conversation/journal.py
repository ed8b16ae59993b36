"""A file of JSON records, one a line, that is only ever appended to: safe against a process that is killed at any byte.

A record is one `write` and is on the disk before `append` returns. A last line without its end is what a killed process leaves: it is
dropped by whoever reads next, and cut off by whoever appends next, so that no record is ever glued to it. One process at a time appends
to a file, by a lock that ends with the process.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

if sys.platform != "win32":
    import fcntl

LONGEST_LINE = 8 << 20
"""Bytes of one record: longer ones are not written, and skipped when read."""
LARGEST_FILE = 32 << 20
"""Of a larger file the newest part is read."""
_BLOCK = 1 << 16

Record = Mapping[str, object]


class InUse(OSError):
    """Raised when another process appends to the file."""


@dataclass(slots=True)
class Contents:
    """What is in a journal: its records with their line numbers, and the lines that are none, each with the reason."""

    records: list[tuple[int, Record]] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    torn: bool = False
    """The last line has no end and is no record: a process was killed while it wrote."""
    shortened: bool = False
    """The file is too large: its oldest records were not read (line numbers count from the first that was)."""


class Journal:
    """A file that is open for appending, by this process alone."""

    def __init__(self, path: Path, handle: int, *, mended: bool = False) -> None:
        self.path, self._handle = path, handle
        self.mended = mended
        """A torn last line was cut off when the file was opened."""

    @classmethod
    def create(cls, path: Path) -> Journal:
        """Make a new file that only its owner can read. Raises an `OSError`, `FileExistsError` if it is there."""
        handle = os.open(path, _flags("O_RDWR", "O_APPEND", "O_CREAT", "O_EXCL", "O_NOFOLLOW", "O_BINARY"), 0o600)
        try:
            _lock(handle)
            _sync_folder(path.parent)
        except BaseException:
            os.close(handle)
            raise
        return cls(path, handle)

    @classmethod
    def reopen(cls, path: Path) -> Journal:
        """Open a file that is there, and make sure that it ends with a whole line. Raises `InUse` or an `OSError`."""
        handle = _open(path, "O_RDWR", "O_APPEND")
        try:
            _lock(handle)
            mended = _mend(handle)
        except BaseException:
            os.close(handle)
            raise
        return cls(path, handle, mended=mended)

    def append(self, record: Record) -> None:
        """Write one record and wait until it is on the disk. Raises an `OSError`; then nothing of the record is left in the file."""
        # ASCII: half a character, or one that some reader takes for the end of a line, is escaped.
        line = json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        if len(line) > LONGEST_LINE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(self.path))
        end = os.fstat(self._handle).st_size
        try:
            written = os.write(self._handle, line)
            if written < len(line):  # the disk is full; the next write would say so
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            _sync(self._handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, end)
            raise

    def close(self) -> None:
        """Let others append."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def read(path: Path) -> Contents:
    """Everything that can be read of a journal, whatever is in it. Raises an `OSError` if it cannot be read at all."""
    found = Contents()
    handle = _open(path, "O_RDONLY")
    with open(handle, "rb") as file:  # noqa: PTH123 - a handle, not a path
        size = os.fstat(handle).st_size
        if size > LARGEST_FILE:
            found.shortened = True
            file.seek(size - LARGEST_FILE)
            file.readline(LONGEST_LINE)
        for number, (line, ended) in enumerate(_lines(file.read(LARGEST_FILE)), 1):
            record, why = _parse(line)
            if record is not None:
                found.records.append((number, record))
            elif not ended:
                found.torn = True
            elif why:
                found.bad.append((number, why))
    return found


def _lines(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """Lines without their ends, and whether each had one."""
    *whole, last = data.split(b"\n")
    for line in whole:
        yield line, True
    if last:
        yield last, False


def _parse(line: bytes) -> tuple[Record | None, str]:
    """A line's record, or what is wrong with it; neither for an empty line."""
    if not line.strip():
        return None, ""
    if len(line) > LONGEST_LINE:
        return None, "it is too long"
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None, "it is damaged"
    return (record, "") if isinstance(record, dict) else (None, "it is no record")


def _mend(handle: int) -> bool:
    """Give a last line that is a whole record its end; cut off one that is not, and say so."""
    size = os.fstat(handle).st_size
    start = _start_of_last_line(handle, size)
    if start == size:
        return False
    last = b""
    if size - start <= LONGEST_LINE:
        os.lseek(handle, start, os.SEEK_SET)
        last = os.read(handle, size - start)
    whole = _parse(last)[0] is not None
    if whole:
        os.write(handle, b"\n")
    else:
        os.ftruncate(handle, start)
    _sync(handle)
    return not whole


def _start_of_last_line(handle: int, end: int) -> int:
    """Where the text behind the last end of a line begins: at the file's end, if there is none."""
    while end > 0:
        start = max(0, end - _BLOCK)
        os.lseek(handle, start, os.SEEK_SET)
        at = os.read(handle, end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def _flags(*names: str) -> int:
    """Flags of `os.open`, those that this system has."""
    flags = 0
    for name in names:
        flags |= getattr(os, name, 0)
    return flags


def _open(path: Path, *flags: str) -> int:
    """Open a plain file; anything else (a pipe would wait for its other end) is an `OSError`."""
    handle = os.open(path, _flags(*flags, "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return handle


def _lock(handle: int) -> None:
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


def _sync(handle: int) -> None:
    """Wait until a file is on the disk; a file system that cannot do this (EINVAL) is taken as it is."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            _sync(handle)
        finally:
            os.close(handle)
