"""What the kernel knows of other processes (Linux alone): whether they are there, which are whose, and whether they work."""

from __future__ import annotations

import time
from pathlib import Path


def _fields(pid: int | str) -> list[str]:
    """What `/proc/<pid>/stat` has after the name: the state first, then the parent."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that only waits for its parent to take note counts as ended."""
    try:
        return _fields(pid)[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def worker_of(pid: int) -> int:
    """The program's llama.cpp process."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = _fields(process.name)
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            return int(process.name)
    raise AssertionError("it has no child")


def cpu_of(pid: int) -> int:
    """Clock ticks of CPU that a process has used."""
    fields = _fields(pid)
    return int(fields[11]) + int(fields[12])


def seconds_until_idle(pid: int) -> float:
    """How long a process went on working: until it uses no CPU for a fifth of a second."""
    began = time.monotonic()
    while time.monotonic() - began < 10:
        since, before = time.monotonic(), cpu_of(pid)
        time.sleep(0.2)
        if cpu_of(pid) - before <= 1:
            return since - began
    raise AssertionError("it works on")
