"""What an ensemble takes of this machine: memory, tokens a second of its candidates at once, seconds to the first answer.

    .venv/bin/python -m bench.footprint --ensemble starter
    .venv/bin/python -m bench.footprint --ensemble starter --download

Seconds and memory are those of the program as a user starts it, with one question, from its start to the first byte of its answer; the
weights must be there, else they are fetched first. `--download` does it once more with an empty cache, in a folder that is removed
afterwards. Memory is the largest sum that was seen of the program and all processes that it started: their resident sets and, in brackets,
the proportional ones, in which pages that several share are counted once. A server that was there before is not among them; `--with-pid`
adds it and what it started (that of `ollama serve`). Tokens a second are counted between the moment at which the last candidate begins to
write and the one at which the first has ended. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.processes import Memory, watched
from gork.config.settings import Settings, load_settings
from gork.engines import choose
from gork.engines.footprint import missing_bytes, size_of
from gork.engines.weights.progress import Lines
from gork.errors import GorkError
from gork.machine import free_cores
from gork.turn import Event, Message, Token

ROOT = Path(__file__).resolve().parent.parent
QUESTION = "What is quantum computing?"
STORY = "Tell a very long story about a ship, with every detail of its journey."


class Start(NamedTuple):
    """One start of the program."""

    seconds: float
    """To the first byte of the answer."""
    resident: float
    """MiB, of all its processes; the largest sum that was seen."""
    proportional: float


def start(arguments: Sequence[str], environ: Mapping[str, str], also: Sequence[int] = ()) -> Start:
    """Ask the program one question as a user does. Raises a `GorkError` if it gives no answer."""
    began = time.perf_counter()
    command = [sys.executable, str(ROOT / "final_script.py"), "--no-save", "--quiet", *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environ) as process:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        with watched(process.pid, *also) as looks:
            first = process.stdout.read(1)
            seconds = time.perf_counter() - began
            process.stdout.read()
    if process.returncode != 0 or not first:
        raise GorkError(f"the program ended with {process.returncode} and without an answer")
    return Start(seconds, *_largest(looks))


def _largest(looks: Sequence[Memory]) -> Memory:
    return Memory(max(look.resident for look in looks), max(look.proportional for look in looks))


def rate(moments: Sequence[Sequence[float]]) -> float | None:
    """Tokens a second of several streams together while all of them write; None if they never do.

    `moments` has, for each stream, when its tokens came.

    >>> rate([[0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 1.5, 2.0, 2.5, 3.0]])
    3.0
    """
    if not moments or not all(moments):
        return None
    first, last = max(stream[0] for stream in moments), min(stream[-1] for stream in moments)
    if last <= first:
        return None
    return sum(first < moment <= last for stream in moments for moment in stream) / (last - first)


async def write_together(settings: Settings, tokens: int) -> float | None:
    """Have all candidates write at the same time; their tokens a second, counted while all of them do."""
    selected = await choose.select(settings, choose.Frontend(say=_say, progress=lambda: Lines(_say)))
    moments: dict[str, list[float]] = {}

    def on_event(event: Event) -> None:
        if isinstance(event, Token):
            moments[event.member].append(time.perf_counter())

    async with selected.open() as engine:
        models = [engine.models[member.name] for member in selected.settings.ensemble.candidates]
        told: list[Message] = [{"role": "user", "content": STORY}]
        for amount in (1, tokens):  # the first round loads
            moments.update((model.name, []) for model in models)
            options = {"num_predict": amount, "temperature": 0.8, "seed": 1}
            await asyncio.gather(*(model.chat(told, options=options, on_event=on_event) for model in models))
    return rate(list(moments.values()))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensemble", help="a name or a file; the one that the program takes by itself if not given")
    parser.add_argument("--engine", choices=("auto", "ollama", "embedded"))
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--starts", type=int, default=3, help="starts of the program with its weights there; medians are printed (3)")
    parser.add_argument("--tokens", type=int, default=128, help="that each candidate writes at most when speed is measured (128)")
    parser.add_argument("--download", action="store_true", help="start it once with an empty cache too")
    parser.add_argument("--with-pid", type=int, action="append", default=[], help="count this process, and what it started, as well")
    given = parser.parse_args(arguments)
    try:
        _measure(given)
    except GorkError as error:
        _say(f"bench.footprint: {error}")
        return error.exit_code
    return 0


def _measure(given: argparse.Namespace) -> None:
    named = {name: value for name in ("ensemble", "engine") if (value := getattr(given, name)) is not None}
    flags = [word for name, value in named.items() for word in (f"--{name}", value)] + ["--seed", "1", given.question]
    chosen = asyncio.run(choose.choose(load_settings(named, os.environ)))
    settings, cores = chosen.settings, free_cores()
    print(f"{chosen.brief}; {cores.count} cores ({cores.why})")
    if chosen.engine == "embedded" and missing_bytes(settings.ensemble, choose.cache_of(settings)):
        _say("weights are fetched first; that start is not counted")
        start(flags, os.environ, given.with_pid)
    starts = [start(flags, os.environ, given.with_pid) for _ in range(given.starts)]
    seconds = [one.seconds for one in starts]
    print(f"seconds to the first answer:            {statistics.median(seconds):7.1f}   ({', '.join(f'{one:.1f}' for one in seconds)})")
    if given.download:
        _print_download(flags, size_of(settings.ensemble), given.with_pid)
    resident, proportional = max(one.resident for one in starts), max(one.proportional for one in starts)
    print(f"memory of all processes, at its peak:   {resident:7.0f} MiB   ({proportional:.0f} with shared pages counted once)")
    together = asyncio.run(write_together(load_settings(named, os.environ), given.tokens))
    count = len(settings.ensemble.candidates)
    print(f"tokens a second, {count} writing at once:      {'unknown' if together is None else f'{together:7.1f}'}")


def _print_download(flags: Sequence[str], size: int, also: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory(prefix="gork-footprint-") as empty:
        first = start(flags, {**os.environ, "GORK_CACHE": empty}, also)
    print(f"the same, {size / 1e6:7,.0f} MB downloaded first: {first.seconds:7.1f}   (memory {first.resident:.0f} MiB)")


if __name__ == "__main__":
    sys.exit(main())
