"""The folder of sessions: where it is, what their files are called, which one is meant, and the list of them."""

from __future__ import annotations

import datetime as dt
import difflib
import heapq
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gork.config.folders import state_home
from gork.config.urls import printable, quoted
from gork.conversation import journal
from gork.conversation.journal import Record
from gork.errors import UsageError

MOST_LISTED = 500
_NAME = re.compile(r"([0-9]{8}-[0-9]{6}-[a-z0-9]{3,6})\.jsonl")
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Listed:
    """One session as a list shows it."""

    id: str
    used: dt.datetime
    turns: int
    first: str
    """The first question, on one line, without what a terminal would act on."""


def default_folder(environ: Mapping[str, str]) -> Path | None:
    """Where sessions are kept: $XDG_STATE_HOME/gork/sessions, else ~/.local/state/gork/sessions; None without a home directory."""
    base = state_home(environ)
    return None if base is None else base / "sessions"


def new_id() -> str:
    """A name for a session: sortable by when it was made, safe as a file's name."""
    now = dt.datetime.now(dt.UTC)
    return f"{now:%Y%m%d-%H%M%S}-" + "".join(secrets.choice(_ALPHABET) for _ in range(6))


def make_private(folder: Path) -> None:
    """Make the folder, and ours above it, for their owner alone; one that is there stays as it is."""
    if folder.is_dir():
        return
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def _sessions(folder: Path | None) -> list[tuple[float, str]]:
    """When each session was used last, and its id; the newest first."""

    def found(folder: Path) -> Iterator[tuple[float, str]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (matched := _NAME.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False).st_mtime, matched[1]

    try:
        return [] if folder is None else heapq.nlargest(MOST_LISTED, found(folder))
    except OSError:
        return []


def find(wanted: str | None, folder: Path | None) -> str | None:
    """The id of the session that is meant; None if there is none at all and none was named."""
    ids = [session for _, session in _sessions(folder)]
    if wanted is None:
        return ids[0] if ids else None
    if folder is not None and _NAME.fullmatch(f"{wanted}.jsonl") and (folder / f"{wanted}.jsonl").is_file():
        return wanted  # however old it is
    matching = [session for session in ids if session.startswith(wanted)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        shown = ", ".join(matching[:5]) + (", ..." if len(matching) > 5 else "")
        raise UsageError(f"{quoted(wanted)} is the beginning of {len(matching)} sessions ({shown}): give more of it")
    near = difflib.get_close_matches(wanted, ids, n=3, cutoff=0.5) or ids[:3]
    there = f"near ones: {', '.join(near)}; --list shows all" if near else "there is none yet"
    raise UsageError(f"no session {quoted(wanted)} ({there})")


def listing(folder: Path | None) -> list[Listed]:
    """The sessions, those used last first; at most `MOST_LISTED`. What cannot be read is left out."""
    found = []
    for used, session in _sessions(folder):
        if folder is None:
            continue
        try:
            contents = journal.read(folder / f"{session}.jsonl")
        except OSError:
            continue
        prompts = [prompt for _, record in contents.records if (prompt := _prompt(record)) is not None]
        first = _one_line(prompts[0]) if prompts else ""
        found.append(Listed(session, dt.datetime.fromtimestamp(used, dt.UTC), len(prompts), first))
    return found


def _prompt(record: Record) -> str | None:
    prompt = record.get("prompt")
    return prompt if record.get("kind") == "turn" and isinstance(prompt, str) else None


def _one_line(text: str) -> str:
    return printable(" ".join(text[:2000].split()))
