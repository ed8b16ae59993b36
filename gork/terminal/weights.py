"""`weights`: what is in the cache, how large it is and which ensembles use it; `weights path NAME` and `weights remove NAME`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gork.config.ensemble import Ensemble, load_ensemble, shipped_ensembles
from gork.config.settings import Settings
from gork.config.urls import printable
from gork.engines.choose import cache_of
from gork.engines.weights import cache
from gork.errors import UsageError
from gork.terminal import output, program


def run(words: Sequence[str], settings: Settings, say: Callable[[str], None]) -> int:
    """Do what the words after `weights` say; returns the exit code. Raises a `GorkError`."""
    folder = cache_of(settings)
    if not words:
        output.write(table(folder, settings.ensemble))
        return 0
    action, name = words
    entry = _named(name, folder)
    if action == "path":
        output.write(str(entry.file))
        return 0
    cache.remove(entry)
    say(f"removed {entry.file} ({_size(entry.size)})")
    return 0


def table(folder: Path, chosen: Ensemble) -> str:
    """A row for each file in the cache, largest total last; `chosen` is counted beside the shipped ensembles."""
    users = _users(folder, chosen)
    found = cache.entries(folder)
    rows = [(entry.name, _size(entry.size), ", ".join(users.get(entry.file, ())) or "-") for entry in found]
    if waiting := cache.unfinished_bytes(folder):
        rows.append(("(unfinished downloads)", _size(waiting), "resume with pull"))
    if not rows:
        return f"There are no weights in {folder}."
    rows = [("file", "size", "used by"), *rows]
    first, second = (max(len(row[at]) for row in rows) for at in range(2))
    lines = [f"{name:<{first}}  {size:>{second}}  {users}" for name, size, users in rows]
    total = _size(sum(entry.size for entry in found) + waiting)
    return "\n".join([*map(printable, lines), "", f"{total} in {folder}"])


def _users(folder: Path, chosen: Ensemble) -> dict[Path, list[str]]:
    """The ensembles that use each file, by where it lies in the cache."""
    ensembles = {name: load_ensemble(name) for name in shipped_ensembles()} | {chosen.name: chosen}
    users: dict[Path, list[str]] = {}
    for name, ensemble in ensembles.items():
        for place in {cache.place_in(member.weights, folder) for member in ensemble.members if member.weights is not None}:
            users.setdefault(place, []).append(name)
    return users


def _named(name: str, folder: Path) -> cache.Entry:
    """The file in the cache that a person means by a name. Raises a `UsageError`."""
    found = cache.entries(folder)
    meant = [entry for entry in found if name.removesuffix(".gguf") in {entry.name.removesuffix(".gguf"), entry.file.stem}]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise UsageError(f"{name} matches {len(meant)} files in {folder}: choose {' or '.join(entry.file.name for entry in meant)}")
    names = ", ".join(entry.name for entry in found) or "nothing"
    raise UsageError(
        f"there is no {printable(name)} in {folder} (there is {names})", fix=f"fetch it with: {program.call()} pull --ensemble NAME"
    )


def _size(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
