"""What the kernel says of processes and their memory (Linux alone): who started whom, and how much each takes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """MiB in memory: the resident set, and the proportional one, in which pages are divided among all processes that share them."""

    resident: float
    proportional: float


def memory_of(pid: int) -> Memory | None:
    """What a process takes now; None where that is not known, or the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = {name: int(rest.split()[0]) / 1024 for name, _, rest in (line.partition(":") for line in lines) if name in {"Rss", "Pss"}}
    return Memory(sizes["Rss"], sizes["Pss"]) if len(sizes) == 2 else None


def started_by(*pids: int) -> list[int]:
    """The processes that these started and that are still there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) in pids:
                found.append(int(stat.parent.name))
    return found


def family_of(pid: int) -> list[int]:
    """A process and all that it started, and they, down to the last."""
    family, youngest = [pid], [pid]
    while youngest := started_by(*youngest):
        family += youngest
    return family


@contextlib.contextmanager
def watched(*pids: int, every_s: float = 0.1) -> Iterator[list[Memory]]:
    """While the block runs, look at these processes and all that they started; gives a list with the sum of each look."""
    looks: list[Memory] = []
    ended = threading.Event()

    def look() -> None:
        while True:
            sizes = [size for pid in pids for one in family_of(pid) if (size := memory_of(one)) is not None]
            looks.append(Memory(sum(size.resident for size in sizes), sum(size.proportional for size in sizes)))
            if ended.wait(every_s):
                return

    looking = threading.Thread(target=look, name="memory", daemon=True)
    looking.start()
    try:
        yield looks
    finally:
        ended.set()
        looking.join()
