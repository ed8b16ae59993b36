"""How much memory this process can still get: what the machine has free, or what its control group's limit leaves of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gork.cgroups import places, text

_NO_LIMIT = 1 << 60
"""Version 1 writes a number near the largest there is where nothing is limited."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that are there in all, bytes that can still be had, and what limits them."""

    total: int
    free: int
    why: str


def free_memory(root: Path = Path("/")) -> Memory | None:
    """The least of the machine's free memory and what each limit leaves; None where neither can be read (macOS, Windows)."""
    found = [memory for memory in (_machine(root), *_limits(root)) if memory is not None]
    return min(found, key=lambda memory: memory.free, default=None)


def _machine(root: Path) -> Memory | None:
    sizes = dict(re.findall(r"^(\w+): +([0-9]{1,15}) kB$", text(root, PurePosixPath("/proc/meminfo")), re.MULTILINE))
    if "MemTotal" not in sizes or "MemAvailable" not in sizes:
        return None
    return Memory(int(sizes["MemTotal"]) << 10, int(sizes["MemAvailable"]) << 10, "the machine")


def _limits(root: Path) -> list[Memory | None]:
    return [_limit(root, version, folder) for version, folder in places(root, "memory")]


def _limit(root: Path, version: int, folder: PurePosixPath) -> Memory | None:
    """What one control group leaves; files that were read once (the page cache) count as used there, and can be had back."""
    limit_file, used_file = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limit, used = (_number(text(root, folder / name)) for name in (limit_file, used_file))
    if limit is None or used is None or limit >= _NO_LIMIT:
        return None
    key = "inactive_file" if version == 2 else "total_inactive_file"
    cache = re.search(rf"^{key} ([0-9]{{1,18}})$", text(root, folder / "memory.stat"), re.MULTILINE)
    return Memory(limit, max(0, limit - used + (int(cache[1]) if cache else 0)), f"the limit of {folder}")


def _number(written: str) -> int | None:
    return int(written) if re.fullmatch(r"[0-9]{1,20}", written.strip()) else None
