"""What the sandbox costs: seconds until it is warm, a program, a cancelled and a hostile one, programs at once; memory of its processes.

    .venv/bin/python -m bench.sandbox

Times are this process's own clock around `Sandbox.run`, medians and the slowest. Memory is what the kernel counts for a worker and the
interpreter that it keeps while a program runs (Linux alone): the resident set, and in brackets the proportional one, in which pages are
divided among all processes of the machine that share them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial

from bench.processes import memory_of, started_by
from gork.computing.sandbox import Limits, Sandbox

_ORDINARY = """
price = 80
discounts = [0.25, 0.1]
for discount in discounts:
    price *= 1 - discount
print(round(price, 2))
"""
PROGRAMS = {
    "an ordinary program": _ORDINARY,
    "dates": "from datetime import date\nprint((date(2026, 12, 24) - date.today()).days)",
    "a million additions": "print(sum(i for i in range(1_000_000)))",
    "endless loop": "while True: pass",
    "endless output": "while True: print('x')",
    "all memory": "x = []\nwhile True: x.append('a' * 1000)",
    "a huge power": "9 ** 9 ** 9",
    "deep recursion": "def f(n): return f(n + 1)\nf(0)",
    "an exploding pattern": "import re\nprint(bool(re.match('(a+)+$', 'a' * 40 + 'b')))",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="of each program (the endless ones: three)")
    parser.add_argument("--clients", type=int, default=100, help="programs that are wanted at the same time")
    asked = parser.parse_args()
    asyncio.run(_measure(asked.runs, asked.clients))


async def _measure(runs: int, clients: int) -> None:
    starts = [await _timed(_started_and_ended) for _ in range(5)]
    print(f"{'start of a worker, and its end':32} {_spread(starts)}")
    async with Sandbox() as sandbox:
        await sandbox.warm()
        print(f"{'memory, first program':32} {await _memory(sandbox)}")
        for name, source in PROGRAMS.items():
            times = 3 if name == "endless loop" else runs
            ends = [await _timed(partial(sandbox.run, source)) for _ in range(times)]
            print(f"{name:32} {_spread(ends)}")
        print(f"{'memory, after these':32} {await _memory(sandbox)}")
        print(f"{'giving up an endless loop':32} {_spread([await _given_up(sandbox) for _ in range(5)])}")
        print(f"{'the program after that':32} {_spread([await _timed(lambda: sandbox.run(_ORDINARY)) for _ in range(1)])}")
        together = await _timed(lambda: asyncio.gather(*(sandbox.run(_ORDINARY) for _ in range(clients))))
        print(f"{f'{clients} programs at once':32} {together * 1000:8.1f} ms together, {Limits().at_once} workers")


async def _started_and_ended() -> None:
    async with Sandbox() as sandbox:
        await sandbox.warm()


async def _given_up(sandbox: Sandbox) -> float:
    running = asyncio.create_task(sandbox.run("while True: pass"))
    await asyncio.sleep(0.1)
    started = time.perf_counter()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return time.perf_counter() - started


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:8.1f} ms, at most {max(seconds) * 1000:.1f}"


async def _memory(sandbox: Sandbox) -> str:
    """Of each worker and the interpreter that it has started, in the middle of a program."""
    running = asyncio.create_task(sandbox.run("while True: pass"))
    await asyncio.sleep(0.3)
    sizes = [f"{_size(worker)} and {', '.join(map(_size, started_by(worker)))}" for worker in started_by(os.getpid())]
    await running
    return "; ".join(sizes) or "not known here"


def _size(pid: int) -> str:
    memory = memory_of(pid)
    return "?" if memory is None else f"{memory.resident:.0f} MB ({memory.proportional:.0f})"


if __name__ == "__main__":
    main()
