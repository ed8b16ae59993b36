"""Tokens a second under a CPU quota: llama.cpp's automatic number of threads, all the machine's cores, and what `gork/machine.py` finds.

    .venv/bin/python -m bench.threads --model FILE.gguf [--quota 0.9] [--pairs 5] [--tokens 32]

Puts itself and its children under a CPU quota of its own making (a cgroup; that needs root), asks the three in turn, round by round, and
prints the medians and the ratios of what each round measured. Where no quota can be set it takes an affinity mask instead and says so.
llama.cpp's workers spin while they wait for each other: a thread more than the quota allows burns what the others need.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from gork.config.ensemble import Member
from gork.engines.call import Deadlines
from gork.engines.llama.engine import EmbeddedEngine
from gork.machine import free_cores
from gork.turn import Event, Message

_PERIOD_US = 100_000
_TEXT = "The quick brown fox jumps over the lazy dog while the old clock strikes twelve. " * 12
AUTOMATIC = -1


@contextmanager
def limited(cores: float) -> Iterator[str]:
    """Run the block on this many cores; gives the means in words."""
    try:
        with _quota(cores) as folder:
            yield f"CPU quota {cores:g} ({folder})"
            return
    except OSError as error:
        reason = str(error)
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit(f"no CPU quota can be set here ({reason}), and there are no affinity masks either")
    before = os.sched_getaffinity(0)
    mask = sorted(before)[: max(1, int(cores))]
    os.sched_setaffinity(0, mask)
    try:
        yield f"NOT under a quota, which cannot be set here ({reason}); on the affinity mask {mask} instead"
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _quota(cores: float) -> Iterator[Path]:
    """Move this process into a new cgroup with a quota, version 2 or 1; back, and the cgroup away, at the end."""
    quota = int(cores * _PERIOD_US)
    modern = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    top = Path("/sys/fs/cgroup") if modern else Path("/sys/fs/cgroup/cpu")
    if modern:
        (top / "cgroup.subtree_control").write_text("+cpu")
    folder = top / f"gork-bench-{os.getpid()}"
    folder.mkdir()
    home = top / _own_place(modern=modern).lstrip("/")
    try:
        limits = {"cpu.max": f"{quota} {_PERIOD_US}"} if modern else {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota)}
        for name, value in limits.items():
            (folder / name).write_text(value)
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        yield folder
    finally:
        with contextlib.suppress(OSError):
            (home / "cgroup.procs").write_text(str(os.getpid()))
        folder.rmdir()


def _own_place(*, modern: bool) -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, place = line.split(":", 2)
        if (modern and number == "0") or (not modern and "cpu" in controllers.split(",")):
            return place
    return "/"


class Runner:
    """One model on one number of threads."""

    def __init__(self, name: str, model: Path, threads: int) -> None:
        self.name, self.threads = name, threads
        member = Member(name=name)
        self.engine = EmbeddedEngine([member], files={name: model}, context=2048, cores=1, deadlines=Deadlines(first_token=300, idle=120))
        for child in self.engine.children:
            child.threads = threads
        self.rounds: list[tuple[float, float]] = []
        """Prompt tokens and generated tokens a second, round by round."""

    async def measure(self, tokens: int) -> None:
        """Ask once; every round has a prompt that no cache knows."""
        prompt: list[Message] = [{"role": "user", "content": f"Round {len(self.rounds)} of {self.name}. {_TEXT}"}]
        options = {"num_predict": tokens, "temperature": 0.0}
        done = await self.engine.models[self.name].chat(prompt, options=options, on_event=_ignore)
        if done.first_token_s is None or done.tokens_per_s is None:
            raise SystemExit(f"{self.name}: the model said nothing; take another one")
        self.rounds.append((done.prompt_tokens / done.first_token_s, done.tokens_per_s))


def _ignore(event: Event) -> None:
    """Take an event and do nothing."""


async def _rounds(runners: list[Runner], pairs: int, tokens: int) -> None:
    async with AsyncExitStack() as stack:
        for runner in runners:
            await stack.enter_async_context(runner.engine)
            await runner.measure(2)  # loads, and touches every page
            runner.rounds.clear()
        for number in range(pairs):
            for runner in runners if number % 2 == 0 else reversed(runners):
                await runner.measure(tokens)


def _report(runners: list[Runner]) -> None:
    ours = runners[-1]
    print(f"{'':22} {'threads':>9} {'prompt tok/s':>13} {'answer tok/s':>13}   ours is faster by (median of the rounds' ratios)")
    for runner in runners:
        read, wrote = (statistics.median(column) for column in zip(*runner.rounds, strict=True))
        ratios = [statistics.median(our[n] / their[n] for our, their in zip(ours.rounds, runner.rounds, strict=True)) for n in range(2)]
        threads = "automatic" if runner.threads == AUTOMATIC else str(runner.threads)
        print(f"{runner.name:22} {threads:>9} {read:13.1f} {wrote:13.1f}   prompt x{ratios[0]:.2f}, answer x{ratios[1]:.2f}")


def main() -> None:
    """Measure under each quota that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--quota", type=float, nargs="+", default=[0.9], help="cores; several are measured one after the other")
    parser.add_argument("--pairs", type=int, default=5, help="rounds")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of each answer")
    arguments = parser.parse_args()
    for quota in arguments.quota:
        with limited(quota) as means:
            free, machine = free_cores(), os.cpu_count() or 1
            print(f"{means}; {arguments.model.name}; {arguments.pairs} rounds; gork/machine.py: {free.count} ({free.why})")
            runners = [
                Runner("llama.cpp's default", arguments.model, AUTOMATIC),
                Runner(f"all {machine} cores", arguments.model, machine),
                Runner("ours", arguments.model, free.count),
            ]
            asyncio.run(_rounds(runners, arguments.pairs, arguments.tokens))
            _report(runners)


if __name__ == "__main__":
    main()
