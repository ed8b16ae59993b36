"""`wait`: wait until the models can answer, for what must start after them (an init container)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gork.config.ensemble import Ensemble
from gork.engines.model import Health, Model
from gork.errors import EngineError
from gork.health import check, lacking, suffices

Say = Callable[[str], None]

DEADLINE_S = 900.0
READY, TERMINATED = 0, 143


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a member is asked, in seconds: quickly at first, then less often."""

    first: float = 0.5
    most: float = 5.0
    growth: float = 1.5
    reply: float = 5.0
    """Longest time for one check; a server that has not replied by then is asked again."""


@dataclass(slots=True)
class _Readiness:
    """What is known of each member, and whether all are ready; each change is shown as one line."""

    ensemble: Ensemble
    say: Say
    healths: dict[str, Health] = field(default_factory=dict)
    lines: dict[str, str] = field(default_factory=dict)
    all_ready: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, member: str, health: Health) -> bool:
        """Take in one check's result; returns whether the state has changed."""
        self.healths[member] = health
        line = state(health)
        changed = self.lines.get(member) != line
        if changed:
            self.lines[member] = line
            self.say(f"{member}: {line}")
        if all(one.name in self.healths and self.healths[one.name].ok for one in self.ensemble.members):
            self.all_ready.set()
        return changed


async def wait(models: Mapping[str, Model], ensemble: Ensemble, *, limit_s: float, say: Say, pace: Pace | None = None) -> int:
    """Ask all members again and again until all are ready; returns the exit code.

    If one candidate can answer at the deadline, the missing members are named and the code is 0; else an `EngineError` names each
    member. SIGTERM ends it at once, with 143.
    """
    say(f"waiting at most {limit_s:g} s for {len(models)} models: " + ", ".join(f"{m.name} at {m.where}" for m in models.values()))
    watch, stopped = _Readiness(ensemble, say), asyncio.Event()
    asking = [asyncio.create_task(_follow(model, watch, pace or Pace()), name=f"wait for {model.name}") for model in models.values()]
    ends = [asyncio.create_task(event.wait()) for event in (watch.all_ready, stopped)]
    try:
        with _on_sigterm(stopped.set):
            done, _ = await asyncio.wait([*asking, *ends], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a bug in a task is not a time-out
    finally:
        for task in (*asking, *ends):
            task.cancel()
        await asyncio.gather(*asking, *ends, return_exceptions=True)
    if stopped.is_set():
        say("ended by SIGTERM before all models were ready")
        return TERMINATED
    if watch.all_ready.is_set():
        say(f"all {len(models)} models are ready")
        return READY
    return _at_the_deadline(watch, limit_s)


def _at_the_deadline(watch: _Readiness, limit_s: float) -> int:
    missing = [f"  {name}: {why}" for name, why in lacking(watch.ensemble, watch.healths).items()]
    listed = "\n".join(missing)
    if suffices(watch.ensemble, watch.healths):
        watch.say(
            f"after {limit_s:g} s {len(missing)} of {len(watch.ensemble.members)} models are missing; continuing without them:\n{listed}"
        )
        return READY
    raise EngineError(f"after {limit_s:g} s no candidate can answer:\n{listed}")


async def _follow(model: Model, watch: _Readiness, pace: Pace) -> None:
    """Check one member again and again; after a change of its state the checks are quick again."""
    pause = pace.first
    while True:
        changed = watch.take(model.name, await check(model, pace.reply))
        pause = pace.first if changed else min(pace.most, pause * pace.growth)
        await asyncio.sleep(pause)


def state(health: Health) -> str:
    """A member's state in a few words.

    >>> state(Health(problem="connection refused", fix="is it running?"))
    'connection refused'
    >>> state(Health(problem="qwen3:0.6b is not installed", fix="get it with `ollama pull qwen3:0.6b`", version="0.32.15"))
    'running, but qwen3:0.6b is not installed'
    >>> state(Health(state="loaded", loaded=True, version="0.32.15"))
    'ready'
    """
    if health.problem is None:
        return "ready" if health.loaded else f"ready ({health.state})"
    return f"running, but {health.problem}" if health.version is not None else health.problem


@contextlib.contextmanager
def _on_sigterm(act: Callable[[], None]) -> Iterator[None]:
    """Do this on SIGTERM, which a process without a handler ignores when it is the first of its container."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGTERM, act)
    except (NotImplementedError, RuntimeError):  # Windows; a loop that is not in the main thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
