"""What the service costs besides its models: turns a second and memory at 1, 10, 50 and 100 streaming clients at once.

    .venv/bin/python -m bench.service
    .venv/bin/python -m bench.service --computed

Three processes: a fake Ollama that answers at once (the one of `bench.overhead`), the service as `final_script.py serve` runs it, and
the clients here, each of which reads the events of a whole turn and asks the next one. A turn that does not end with its answer is lost.
With --computed a candidate writes a program each time, which the service's sandbox runs. Memory is the service's own resident set (the
peak since the level began, from /proc), and beside it the sum of the service and the processes that it started, shared pages counted once.
CPU time is the service's alone: with three processes on a few processors, turns a second are as much the fake's and the clients' as the
service's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench.overhead import CANDIDATES, PROGRAM_REQUEST
from bench.processes import watched

ROOT = Path(__file__).resolve().parent.parent
LEVELS = (1, 10, 50, 100)
AIM_MIB, LIMIT_MIB = 128, 384
IN_WORDS, COMPUTED = ("What is it?", " "), ("What is 12 times 8?", "96")
"""A question, and how its answer begins."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Level:
    """One number of clients at once."""

    clients: int
    turns: int = 0
    lost: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_mib: float = 0.0
    with_workers_mib: float = 0.0
    events: int = 0
    first_byte_s: float = 0.0
    """The longest wait for a turn's first event."""


def ensemble_file(folder: Path, url: str, tokens: int) -> Path:
    """Five members at the fake's address, written for `serve`; the first candidate computes."""
    options = {"num_predict": tokens}
    members = [{"name": name, "url": url, "model": name, "parallel": 64, "options": options} for name in CANDIDATES]
    rewriter = {"name": "promptimizer", "url": url, "model": "promptimizer", "parallel": 64, "options": {"num_predict": 10}}
    members[0] |= {"answers": {"arithmetic": "program"}, "program": {"system": "You write programs.", "request": PROGRAM_REQUEST}}
    judge = {"name": "judge", "url": url, "model": "judge", "parallel": 64}
    ensemble = {"name": "bench", "promptimizer": rewriter, "candidates": members, "judge": judge, "choosing": {"judge": "always"}}
    path = folder / "bench.yaml"
    path.write_text(json.dumps(ensemble), encoding="utf-8")
    return path


@contextmanager
def running(*arguments: str, ready: str, stream: str) -> Iterator[tuple[int, str]]:
    """Run a process until the block is left: its id, and the word after `ready` in what it printed."""
    pipe = {"stdin": subprocess.PIPE, stream: subprocess.PIPE}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GORK_")}
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, text=True, env=environ, **pipe) as process:  # type: ignore[call-overload]
        said = getattr(process, stream)
        for line in said:
            if match := re.search(rf"{ready}(\S+)", line):
                break
        else:
            raise RuntimeError(f"{arguments[0]} ended: {line}")
        try:
            yield process.pid, match[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


def peak_mib(pid: int) -> float:
    """The largest resident set since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def forget_peak(pid: int) -> None:
    """Reset the peak, where the system allows it."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def cpu_s(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def turn(client: aiohttp.ClientSession, url: str, level: Level, asked: tuple[str, str]) -> None:
    """One turn, read to its end as it comes."""
    question, beginning = asked
    began, last = time.perf_counter(), b""
    try:
        async with client.post(f"{url}/api/deliberate", json={"question": question}) as reply:
            if reply.status != 200:
                level.lost.append(f"status {reply.status}: {(await reply.text())[:200]}")
                return
            async for chunk in reply.content.iter_any():
                if not last:
                    level.first_byte_s = max(level.first_byte_s, time.perf_counter() - began)
                level.events += chunk.count(b"event: ")
                last = (last + chunk)[-200_000:]
    except aiohttp.ClientError as error:
        level.lost.append(repr(error))
        return
    _, found, data = last.rpartition(b"event: finished\ndata: ")
    if found and json.loads(data)["answer"].startswith(beginning):
        level.turns += 1
    else:
        level.lost.append(f"it ended with {last[-200:]!r}")


async def finished(client: aiohttp.ClientSession, url: str, asked: Mapping[str, object]) -> dict[str, Any]:
    """The turn that answers one request, when it is over. Raises if it has no answer."""
    async with client.post(f"{url}/api/deliberate", json=asked) as reply:
        events = await reply.read()
    _, found, data = events.rpartition(b"event: finished\ndata: ")
    turn: dict[str, Any] = json.loads(data) if found else {}
    if not turn.get("answer"):
        raise RuntimeError(f"{asked['question']!r} was not answered (status {reply.status}): {events[-300:]!r}")
    return turn


async def measure(url: str, pid: int, clients: int, seconds: float, asked: tuple[str, str]) -> Level:
    """Have `clients` clients ask one turn after the other for `seconds`."""
    level = Level(clients)

    async def ask(client: aiohttp.ClientSession) -> None:
        while time.perf_counter() < until:
            await turn(client, url, level, asked)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        forget_peak(pid)
        began, cpu = time.perf_counter(), cpu_s(pid)
        until = began + seconds
        with watched(pid, every_s=0.5) as looks:
            await asyncio.gather(*(ask(client) for _ in range(clients)))
        level.seconds, level.cpu_s = time.perf_counter() - began, cpu_s(pid) - cpu
    level.peak_mib, level.with_workers_mib = peak_mib(pid), max(look.proportional for look in looks)
    return level


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if a turn was lost or the pod's memory was exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=100, help="tokens of each answer (100)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each level (5)")
    parser.add_argument("--computed", action="store_true", help="ask what a program answers")
    given = parser.parse_args(arguments)
    levels = []
    asked = COMPUTED if given.computed else IN_WORDS
    with (
        tempfile.TemporaryDirectory() as folder,
        running("-m", "bench.overhead", "--serve", ready="^", stream="stdout") as (_, port),
    ):
        ensemble = ensemble_file(Path(folder), f"http://127.0.0.1:{port}", given.tokens)
        limits = ("--turns", "100", "--queue", "100", "--log-level", "warning")
        start = ("final_script.py", "serve", "--port", "0", "--ensemble", str(ensemble), *limits)
        with running(*start, ready="serving at ", stream="stderr") as (pid, url):
            print(f"idle: {peak_mib(pid):.1f} MiB")
            print("clients  turns  lost  turns/s  CPU/turn  CPU/event  first byte  peak RSS  with its processes")
            for clients in LEVELS:
                levels.append(level := asyncio.run(measure(url, pid, clients, given.seconds, asked)))
                print(
                    f"{clients:7d}  {level.turns:5d}  {len(level.lost):4d}  {level.turns / level.seconds:7.1f}  "
                    f"{level.cpu_s / max(level.turns, 1) * 1e3:5.1f} ms  {level.cpu_s / max(level.events, 1) * 1e6:6.1f} µs  "
                    f"{level.first_byte_s:8.2f} s  {level.peak_mib:5.1f} MiB  {level.with_workers_mib:14.1f} MiB",
                    flush=True,
                )
    print(f"aims: 0 lost, at most {AIM_MIB} MiB at 100 clients (the pod has {LIMIT_MIB})")
    for reason in {reason for level in levels for reason in level.lost}:
        print(f"lost: {reason}")
    return int(any(level.lost for level in levels) or max(level.with_workers_mib for level in levels) > LIMIT_MIB)


if __name__ == "__main__":
    sys.exit(main())
