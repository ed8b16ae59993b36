"""The user's own editor for a longer text: $VISUAL or $EDITOR on a private file that is gone afterwards."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gork.config.urls import printable
from gork.errors import UsageError
from gork.terminal.input import MOST_BYTES
from gork.terminal.text_encoding import decoded

_USUAL = ("editor", "nano", "vi")


def editor_command(environ: Mapping[str, str]) -> list[str]:
    """The editor with its arguments; raises `UsageError` if none can be found."""
    for name in ("VISUAL", "EDITOR"):
        given = environ.get(name, "").strip()
        if not given:
            continue
        try:
            command = shlex.split(given)
        except ValueError as error:
            raise UsageError(f"${name} cannot be understood ({error}): {printable(given)}") from None
        if shutil.which(command[0], path=environ.get("PATH")) is None:
            raise UsageError(f"${name} names an editor that does not exist: {printable(command[0])}")
        return command
    for name in _USUAL:
        if (found := shutil.which(name, path=environ.get("PATH"))) is not None:
            return [found]
    raise UsageError("no editor was found: set $EDITOR")


async def edit(text: str, environ: Mapping[str, str]) -> str:
    """Let the user edit `text`; returns what was saved, without the newline at its end. Raises `UsageError`."""
    command = editor_command(environ)
    try:
        fd, name = tempfile.mkstemp(prefix="gork-", suffix=".md")  # mode 0600
    except OSError as error:
        raise UsageError(f"no file to edit in can be made: {error.strerror or error}") from None
    path = Path(name)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{text}\n" if text else "")
        process = await asyncio.create_subprocess_exec(*command, name)
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        if code:
            raise UsageError(f"the editor {printable(command[0])} ended with code {code}: nothing was changed")
        return _saved(path)
    except OSError as error:
        raise UsageError(f"editing with {printable(command[0])} failed: {error.strerror or error}") from None
    finally:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - one small file


def _saved(path: Path) -> str:
    if path.stat().st_size > MOST_BYTES:
        raise UsageError(f"the edited text has more than {MOST_BYTES:,} bytes: too much for any of the models")
    return decoded(path.read_bytes(), what="the edited text").rstrip("\n")
