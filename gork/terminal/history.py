"""What was typed, for the next time: prompt_toolkit's own file, for its owner alone, cut to its newest half when it is too large."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from gork.config.folders import state_home
from gork.config.urls import printable

MOST_BYTES = 4_000_000
_MARK = b"\n# "
"""How an entry begins."""
_OLD = re.compile(rb'^".*\n?', re.MULTILINE)


def open_history(
    environ: Mapping[str, str], *, wanted: bool, folder: Path | None = None, most_bytes: int = MOST_BYTES
) -> tuple[History, str | None]:
    """The history, in this folder or the user's own, and a line for people if it is kept in memory although a file was wanted."""
    if not wanted:
        return InMemoryHistory(), None
    folder = folder or state_home(environ)
    if folder is None:
        return InMemoryHistory(), "your input history is kept in memory only: there is no home folder (XDG_STATE_HOME or HOME)"
    path = folder / "history"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _tidy(path, most_bytes)
    except OSError as error:
        return InMemoryHistory(), f"your input history is kept in memory only: {printable(str(path))}: {error.strerror}"
    return _TypedHistory(path), None


class _TypedHistory(FileHistory):
    """A disk that is full later leaves an entry in memory, and does not end the prompt."""

    def store_string(self, string: str) -> None:
        with contextlib.suppress(OSError):
            super().store_string(string)


def _tidy(path: Path, most_bytes: int) -> None:
    """Make the file private, small enough, and free of the lines of earlier versions (a JSON string for each entry)."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:  # noqa: PTH123 - a handle, not a path
        os.chmod(path, 0o600)  # noqa: PTH101 - something else may have made it
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - most_bytes))
        before = file.read(most_bytes)
    content = _OLD.sub(_converted, before)
    if size > most_bytes:
        _, mark, newest = content[-most_bytes // 2 :].partition(_MARK)
        content = mark + newest
    if content != before:
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - same
            file.write(content)
        fresh.replace(path)


def _converted(line: re.Match[bytes]) -> bytes:
    """An entry of an earlier version in prompt_toolkit's form; nothing of a line that is torn."""
    try:
        entry = json.loads(line[0])
    except ValueError:
        return b""
    return _MARK + b"\n" + "".join(f"+{part}\n" for part in entry.split("\n")).encode("utf-8", "replace")
