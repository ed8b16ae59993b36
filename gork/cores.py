"""How many processor cores this process may really use.

llama.cpp's workers spin: one thread more than there are free cores makes them many times slower, and neither `os.cpu_count` nor the
affinity mask knows of the CPU quota that a container has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gork.cgroups import places, text


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
        for version, folder in places(root, "cpu")
        if (cores := _read_v2(root, folder) if version == 2 else _read_v1(root, folder)) is not None
    ]
    return min(quotas, key=lambda quota: quota[0], default=None)


def _read_v2(root: Path, folder: PurePosixPath) -> float | None:
    quota, _, period = text(root, folder / "cpu.max").strip().partition(" ")
    return _cores(quota, period)


def _read_v1(root: Path, folder: PurePosixPath) -> float | None:
    return _cores(text(root, folder / "cpu.cfs_quota_us").strip(), text(root, folder / "cpu.cfs_period_us").strip())


def _cores(quota: str, period: str) -> float | None:
    """Cores of a quota in microseconds a period; None for "max", -1 and what is no number."""
    if not (re.fullmatch(r"[0-9]{1,15}", quota) and re.fullmatch(r"[0-9]{1,15}", period)) or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)
