"""How many processor cores this process may really use.

llama.cpp's workers spin: one thread more than there are free cores makes them many times slower, and neither `os.cpu_count` nor the
affinity mask knows of the CPU quota that a container has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_LONGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Cores:
    """A number of cores, at least 1, and what limits it."""

    count: int
    why: str


def free_cores(root: Path = Path("/")) -> Cores:
    """The least of the machine's cores, the affinity mask and the CPU quota (rounded down); what cannot be read does not limit.

    `root` is where `/proc` and the cgroup file systems are looked for.
    """
    machine = os.cpu_count() or 1
    found = [Cores(machine, f"the machine has {machine}")]
    if (mask := _affinity()) is not None:
        found.append(Cores(mask, f"the affinity mask allows {mask}"))
    if (quota := _quota(root)) is not None:
        cores, folder = quota
        found.append(Cores(max(1, int(cores)), f"the CPU quota is {cores:.3g} ({folder})"))
    return min(found, key=lambda limit: limit.count)


def _affinity() -> int | None:
    """Cores in the affinity mask; None where there is no such thing (macOS, Windows)."""
    read: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    if read is None:
        return None
    try:
        return len(read(0)) or None
    except OSError:
        return None


def _quota(root: Path) -> tuple[float, str] | None:
    """The smallest CPU quota on the way from this process's cgroup to the top, in cores, and the folder that has it."""
    quotas = [
        (cores, str(folder))
        for version, top, inside in _places(root)
        for folder in _on_the_way(top, inside)
        if (cores := _read_v2(root, folder) if version == 2 else _read_v1(root, folder)) is not None
    ]
    return min(quotas, key=lambda quota: quota[0], default=None)


def _places(root: Path) -> Iterator[tuple[int, PurePosixPath, PurePosixPath]]:
    """For each hierarchy that can limit the CPU: its version, where it is mounted, this process's place below that."""
    own = dict(_own_cgroups(_text(root, PurePosixPath("/proc/self/cgroup"))))
    mounts: dict[int, list[tuple[str, str]]] = {1: [], 2: []}
    for line in _text(root, PurePosixPath("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) >= 5 and right[0] == "cgroup2":
            mounts[2].append((_unescaped(left[3]), _unescaped(left[4])))
        elif len(left) >= 5 and right[0] == "cgroup" and len(right) >= 3 and "cpu" in right[2].split(","):
            mounts[1].append((_unescaped(left[3]), _unescaped(left[4])))
    for version, places in mounts.items():
        if version in own and places:
            yield version, *_place(own[version], places)


def _own_cgroups(text: str) -> Iterator[tuple[int, str]]:
    """This process's path in the version 2 hierarchy, and in that of version 1 which has the CPU controller."""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield 2, path
        elif "cpu" in controllers.split(","):
            yield 1, path


def _place(own: str, mounts: list[tuple[str, str]]) -> tuple[PurePosixPath, PurePosixPath]:
    """The mount that shows the process's own cgroup, and the path of that below the mount.

    In a container the mount's root is often the container's own cgroup. Where no mount shows it (a namespace entered later, a path
    with "..") the first mount's top is the best there is.
    """
    for mounted_root, mount in mounts:
        path, top = PurePosixPath(own), PurePosixPath(mounted_root)
        if ".." not in path.parts and path.is_relative_to(top):
            return PurePosixPath(mount), path.relative_to(top)
    return PurePosixPath(mounts[0][1]), PurePosixPath()


def _on_the_way(top: PurePosixPath, inside: PurePosixPath) -> Iterator[PurePosixPath]:
    """The folders from a cgroup up to the top of its mount: a limit on any of them counts."""
    folder = top / inside
    yield folder
    while folder != top:
        folder = folder.parent
        yield folder


def _read_v2(root: Path, folder: PurePosixPath) -> float | None:
    quota, _, period = _text(root, folder / "cpu.max").strip().partition(" ")
    return _cores(quota, period)


def _read_v1(root: Path, folder: PurePosixPath) -> float | None:
    return _cores(_text(root, folder / "cpu.cfs_quota_us").strip(), _text(root, folder / "cpu.cfs_period_us").strip())


def _cores(quota: str, period: str) -> float | None:
    """Cores of a quota in microseconds a period; None for "max", -1 and what is no number."""
    if not (re.fullmatch(r"[0-9]{1,15}", quota) and re.fullmatch(r"[0-9]{1,15}", period)) or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


def _text(root: Path, path: PurePosixPath) -> str:
    """What is in a file, empty if it cannot be read."""
    try:
        with (root / str(path).lstrip("/")).open("rb") as file:
            return os.fsdecode(file.read(_LONGEST_FILE))
    except (OSError, ValueError):
        return ""


def _unescaped(path: str) -> str:
    """A path of mountinfo with its octal escapes (blank, tab, newline, backslash) undone."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
