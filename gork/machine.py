"""What this machine gives this process: cores and memory, within the limits of its control groups, and why; and if it is a pod.

llama.cpp's workers spin: one thread more than there are free cores makes them many times slower, and neither `os.cpu_count` nor the
affinity mask knows of the CPU quota that a container has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_NO_LIMIT = 1 << 60
"""Version 1 writes a number near the largest there is where nothing is limited."""
_LONGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Cores:
    """A number of cores, at least 1, and what limits it (a clause: "the machine has 2 cores")."""

    count: int
    why: str


def free_cores(root: Path = Path("/")) -> Cores:
    """The least of the machine's cores, the affinity mask and the CPU quota (rounded down); what cannot be read does not limit.

    `root` is where `/proc` and the cgroup file systems are looked for.
    """
    machine = os.cpu_count() or 1
    found = [Cores(machine, f"the machine has {_cores_in_words(machine)}")]
    if (mask := _affinity()) is not None:
        found.append(Cores(mask, f"the affinity mask allows {_cores_in_words(mask)}"))
    if (quota := _quota(root)) is not None:
        cores, folder = quota
        found.append(Cores(max(1, int(cores)), f"the CPU quota is {cores:.3g} cores ({folder})"))
    return min(found, key=lambda limit: limit.count)


def in_pod(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is in a pod of a Kubernetes cluster, where servers are pods."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST"))


def _cores_in_words(count: int) -> str:
    return f"{count} core{'' if count == 1 else 's'}"


def _affinity() -> int | None:
    """Cores in the affinity mask; None on systems without one (macOS, Windows)."""
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
        for version, folder in _places(root, "cpu")
        if (cores := _read_v2(root, folder) if version == 2 else _read_v1(root, folder)) is not None
    ]
    return min(quotas, key=lambda quota: quota[0], default=None)


def _read_v2(root: Path, folder: PurePosixPath) -> float | None:
    quota, _, period = _text(root, folder / "cpu.max").strip().partition(" ")
    return _cores(quota, period)


def _read_v1(root: Path, folder: PurePosixPath) -> float | None:
    return _cores(_text(root, folder / "cpu.cfs_quota_us").strip(), _text(root, folder / "cpu.cfs_period_us").strip())


def _cores(quota: str, period: str) -> float | None:
    """Cores of a quota in microseconds a period; None for "max", -1 and anything but a number."""
    if not (re.fullmatch(r"[0-9]{1,15}", quota) and re.fullmatch(r"[0-9]{1,15}", period)) or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


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
    sizes = dict(re.findall(r"^(\w+): +([0-9]{1,15}) kB$", _text(root, PurePosixPath("/proc/meminfo")), re.MULTILINE))
    if "MemTotal" not in sizes or "MemAvailable" not in sizes:
        return None
    return Memory(int(sizes["MemTotal"]) << 10, int(sizes["MemAvailable"]) << 10, "the machine")


def _limits(root: Path) -> list[Memory | None]:
    return [_limit(root, version, folder) for version, folder in _places(root, "memory")]


def _limit(root: Path, version: int, folder: PurePosixPath) -> Memory | None:
    """What one control group leaves; files that were read once (the page cache) count as used there, and can be had back."""
    limit_file, used_file = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limit, used = (_number(_text(root, folder / name)) for name in (limit_file, used_file))
    if limit is None or used is None or limit >= _NO_LIMIT:
        return None
    key = "inactive_file" if version == 2 else "total_inactive_file"
    cache = re.search(rf"^{key} ([0-9]{{1,18}})$", _text(root, folder / "memory.stat"), re.MULTILINE)
    return Memory(limit, max(0, limit - used + (int(cache[1]) if cache else 0)), f"the limit of {folder}")


def _number(written: str) -> int | None:
    return int(written) if re.fullmatch(r"[0-9]{1,20}", written.strip()) else None


class _CgroupFolder(NamedTuple):
    """A folder of a hierarchy that can limit this process."""

    version: int
    folder: PurePosixPath


def _places(root: Path, controller: str) -> Iterator[_CgroupFolder]:
    """The folders from this process's own control group up to the top, for each hierarchy that has the controller.

    A limit on any of them counts. `root` is where `/proc` and the cgroup file systems are looked for.
    """
    own = dict(_own_cgroups(_text(root, PurePosixPath("/proc/self/cgroup")), controller))
    mounts: dict[int, list[tuple[str, str]]] = {1: [], 2: []}
    for line in _text(root, PurePosixPath("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) >= 5 and right[0] == "cgroup2":
            mounts[2].append((_unescaped(left[3]), _unescaped(left[4])))
        elif len(left) >= 5 and right[0] == "cgroup" and len(right) >= 3 and controller in right[2].split(","):
            mounts[1].append((_unescaped(left[3]), _unescaped(left[4])))
    for version, found in mounts.items():
        if version in own and found:
            top, inside = _mount_of(own[version], found)
            for folder in _on_the_way(top, inside):
                yield _CgroupFolder(version, folder)


def _text(root: Path, path: PurePosixPath) -> str:
    """What is in a file, empty if it cannot be read."""
    try:
        with (root / str(path).lstrip("/")).open("rb") as file:
            return os.fsdecode(file.read(_LONGEST_FILE))
    except (OSError, ValueError):
        return ""


def _own_cgroups(listed: str, controller: str) -> Iterator[tuple[int, str]]:
    """This process's path in the version 2 hierarchy, and in that of version 1 which has the controller."""
    for line in listed.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield 2, path
        elif controller in controllers.split(","):
            yield 1, path


def _mount_of(own: str, mounts: list[tuple[str, str]]) -> tuple[PurePosixPath, PurePosixPath]:
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
    """The folders from a cgroup up to the top of its mount."""
    folder = top / inside
    yield folder
    while folder != top:
        folder = folder.parent
        yield folder


def _unescaped(path: str) -> str:
    """A path of mountinfo with its octal escapes (blank, tab, newline, backslash) undone."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
