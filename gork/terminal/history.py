"""What was typed, for the next time: one JSON string a line, mode 0600, bounded, and safe for several programs at once.

Appending is one `write` under a lock on the file; when the file has grown to twice its bound, the newest half replaces it by a rename.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prompt_toolkit.history import History, InMemoryHistory

from gork.config.folders import state_home
from gork.config.urls import printable

MOST_ENTRIES = 1000
LONGEST_ENTRY = 100_000
"""Characters; a longer input is not kept in the file."""
_MOST_BYTES = 4 << 20
_BINARY = getattr(os, "O_BINARY", 0)


def history_path(environ: Mapping[str, str]) -> Path | None:
    """Where it is kept: $XDG_STATE_HOME/gork/history, else ~/.local/state/gork/history; None without a home."""
    base = state_home(environ)
    return None if base is None else base / "history"


def open_history(environ: Mapping[str, str], *, wanted: bool) -> tuple[History, str | None]:
    """The history, and a line for people if it is kept in memory although a file was wanted."""
    if not wanted:
        return InMemoryHistory(), None
    path = history_path(environ)
    if path is None:
        return InMemoryHistory(), "what you type is kept in memory only: there is no home folder (XDG_STATE_HOME or HOME)"
    history = FileHistory(path)
    try:
        history.probe()
    except OSError as error:
        return InMemoryHistory(), f"what you type is kept in memory only: {printable(str(path))}: {error.strerror}"
    return history, None


class FileHistory(History):
    """A history in a file. Whatever goes wrong with the file later leaves it in memory, silently: the probe has told by then."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def probe(self) -> None:
        """Make sure that the file can be written; raises an `OSError`."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            pass

    def load_history_strings(self) -> list[str]:
        """The newest entries, the newest first."""
        try:
            with self._locked() as fd:
                entries = _entries(fd)
                if len(entries) > 2 * MOST_ENTRIES or os.fstat(fd).st_size > _MOST_BYTES // 2:
                    with contextlib.suppress(OSError):
                        self._replace(entries[-MOST_ENTRIES:])
        except OSError:
            return []
        return entries[: -MOST_ENTRIES - 1 : -1]

    def store_string(self, string: str) -> None:
        """Append one entry."""
        if len(string) > LONGEST_ENTRY:
            return
        try:
            with self._locked() as fd:
                os.write(fd, ("" if _ends_a_line(fd) else "\n").encode() + _line(string))
        except OSError:
            return

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, open and ours alone; it may have been replaced between opening and locking it."""
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY, 0o600)
            try:
                _lock(fd)
                if not _same(fd, self._path):
                    continue
                os.chmod(self._path, 0o600)  # noqa: PTH101 - it may have been made by something else
                yield fd
                return
            finally:
                os.close(fd)

    def _replace(self, entries: list[str]) -> None:
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, 0o600)
        try:
            os.write(fd, b"".join(map(_line, entries)))
        finally:
            os.close(fd)
        fresh.replace(self._path)


def _line(entry: str) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _ends_a_line(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return not size or _tail(fd, 1) == b"\n"


def _tail(fd: int, most: int) -> bytes:
    os.lseek(fd, max(0, os.fstat(fd).st_size - most), os.SEEK_SET)
    return os.read(fd, most)


def _entries(fd: int) -> list[str]:
    """What can be read of the end of the file; a line that is torn or not ours is passed over."""
    entries = []
    for line in _tail(fd, _MOST_BYTES).splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, str) and len(entry) <= LONGEST_ENTRY:
            entries.append(entry)
    return entries


def _same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _lock(fd: int) -> None:
    try:
        import fcntl  # noqa: PLC0415 - Windows has none: there the single write has to do
    except ImportError:
        return
    fcntl.flock(fd, fcntl.LOCK_EX)
