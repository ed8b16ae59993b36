"""Text files that go along with a question: `-f PATH`, `/file PATH`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gork.config.urls import printable
from gork.errors import UsageError
from gork.terminal.input import MOST_BYTES, check_characters
from gork.terminal.text_encoding import decoded
from gork.text.structure import in_fence


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file's name and its text."""

    name: str
    text: str


def read(given: str) -> TextFile:
    """Read a text file. Raises a `UsageError` for what is none, cannot be read, or is too large for any model."""
    if given in {"", "-"}:
        raise UsageError("give the path of a file (what is piped in is put before the question by itself)")
    shown = printable(given)
    try:
        path = Path(given).expanduser()
        if not path.is_file():
            raise UsageError(f"{shown} {_not_a_file(path)}")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{shown} cannot be read: {reason}") from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{shown} has more than {MOST_BYTES:,} bytes: too much for any model")
    text = check_characters(decoded(data, what=shown), what=shown)
    if not text.strip():
        raise UsageError(f"{shown} is empty")
    return TextFile(path.name, text)


def _not_a_file(path: Path) -> str:
    if path.is_dir():
        return "is a folder: attach its files one by one"
    if path.exists():
        return "is a pipe or a device, not a file: use it as standard input"
    return "does not exist"


def attached(files: Sequence[TextFile], prompt: str) -> str:
    r"""The prompt behind the files that it is about, each in a fence longer than any in it.

    >>> attached([TextFile("a.txt", "one\n")], "Summarise this")
    'a.txt:\n```\none\n```\n\nSummarise this'
    """
    return "\n\n".join([*(f"{file.name}:\n{in_fence(file.text)}" for file in files), *([prompt] if prompt.strip() else [])])
