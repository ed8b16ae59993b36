"""`pull`: bring the models that are missing, a few at a time, with one bar for each on a terminal and one line for each tenth elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gork.config.ensemble import Member
from gork.config.settings import Settings
from gork.config.weights import Weights
from gork.engines.choose import Chosen, cache_of, has_llama, weights_of
from gork.engines.client import server_url
from gork.engines.ollama import library
from gork.engines.weights import cache
from gork.engines.weights.progress import Progress, Say
from gork.errors import EngineError, GorkError, ModelError
from gork.terminal import program

AT_ONCE = 3
FETCHED, FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to bring."""

    name: str
    bring: Callable[[Progress], Awaitable[None]]
    """Raises a `GorkError`. Cancelling it leaves nothing that counts."""


@dataclass(slots=True)
class Layers:
    """The bytes of a model that comes in several files, one after the other."""

    _of: dict[str, tuple[int, int]] = field(default_factory=dict)

    def take(self, pulled: library.PullProgress) -> tuple[int, int] | None:
        """Take in a report; returns bytes and total of all files known so far, None if it tells of no file."""
        if not pulled.total:
            return None
        self._of[pulled.status] = (min(pulled.completed or 0, pulled.total), pulled.total)
        return sum(done for done, _ in self._of.values()), sum(total for _, total in self._of.values())


def from_ollama(host: str, tag: str, name: str) -> Job:
    """Have the Ollama at `host` fetch a model; it goes on where an earlier attempt ended."""

    async def bring(progress: Progress) -> None:
        layers = Layers()

        def on_progress(pulled: library.PullProgress) -> None:
            if (known := layers.take(pulled)) is not None:
                progress.at(name, *known)
            else:
                progress.note(name, pulled.status)

        await library.pull(host, tag, on_progress)

    return Job(name, bring)


def from_source(wanted: Weights, settings: Settings) -> Job:
    """Fetch a weights file into the cache."""

    async def bring(progress: Progress) -> None:
        await cache.fetch_in_background(wanted, cache_of(settings), progress, offline=settings.offline)

    return Job(wanted.file, bring)


async def bring_all(jobs: Sequence[Job], progress: Progress, *, at_once: int = AT_ONCE) -> list[str]:
    """Do the jobs, a few at a time; one that fails is told and does not stop the others. Returns the names of those."""
    free, failed = asyncio.Semaphore(at_once), list[str]()

    async def bring(job: Job) -> None:
        async with free:
            started = time.monotonic()
            try:
                await job.bring(progress)
            except GorkError as error:
                failed.append(job.name)
                progress.say(f"{job.name}: {error.what if isinstance(error, ModelError) else error}")
            else:
                progress.say(f"{job.name}: done in {time.monotonic() - started:.1f} s")
            finally:
                progress.end(job.name)

    with progress:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(bring(job))
    return failed


async def pull(chosen: Chosen, progress: Progress) -> int:
    """Bring what the ensemble's members lack; returns the exit code. What is there already is said and left alone."""
    jobs, failed, parts = list[Job](), list[str](), chosen.parts
    if "ollama" in parts:
        jobs, failed = await _missing_models(chosen.settings, parts["ollama"], progress.say)
    if "embedded" in parts:
        jobs += _missing_weights(chosen, parts["embedded"], progress.say)
    for member in parts.get("openai", ()):
        progress.say(f"{member.name}: its server has its own models: nothing to pull")
    failed += await bring_all(jobs, progress)
    if failed:
        progress.say(f"failed: {', '.join(failed)}")
    return FAILED if failed else FETCHED


async def _missing_models(settings: Settings, members: Sequence[Member], say: Say) -> tuple[list[Job], list[str]]:
    """A job for each model that a server lacks; the servers that could not be asked."""
    wanted: dict[str, dict[str, str]] = {}
    for member in members:
        if member.model is None:
            say(f"{member.name}: names no model, so its server's only one is used: nothing to pull")
        else:
            wanted.setdefault(member.url or settings.ollama_host, {}).setdefault(library.normal(member.model), member.model)
    jobs: list[Job] = []
    failed: list[str] = []
    found = await asyncio.gather(*(_installed(host, settings) for host in wanted))
    for (host, tags), there in zip(wanted.items(), found, strict=True):
        shown = server_url(host, "Ollama")[1]
        for normal, tag in tags.items():
            name = tag if len(wanted) == 1 else f"{tag} at {shown}"
            if isinstance(there, ModelError):
                failed.append(name)
                say(f"{name}: {there.what}")
            elif normal in there:
                say(f"{name}: already there")
            else:
                jobs.append(from_ollama(host, tag, name))
    return jobs, failed


async def _installed(host: str, settings: Settings) -> set[str] | ModelError:
    try:
        return {library.normal(tag) for tag in await library.installed(host, settings.connect_timeout)}
    except ModelError as error:
        return error


def _missing_weights(chosen: Chosen, members: Sequence[Member], say: Say) -> list[Job]:
    """A job for each weights file that is not in the cache, however many members share it."""
    if not has_llama():
        raise EngineError(f"{chosen.why}, and the embedded engine is not installed: pip install xllamacpp, or start an Ollama")
    settings, jobs = chosen.settings, list[Job]()
    folder = cache_of(settings)
    named = [weights_of(member, settings) for member in members]
    wanted = {cache.place_in(weights, folder): weights for weights in named}
    for weights in wanted.values():
        if (ready := cache.cached(weights, folder)) is not None:
            say(f"{weights.file}: already there ({ready})")
        else:
            jobs.append(from_source(weights, settings))
    return jobs


async def pull_tags(host: str, tags: Sequence[str], progress: Progress) -> None:
    """Have one server fetch these models. Raises an `EngineError` if one of them cannot be had."""
    failed = await bring_all([from_ollama(host, tag, tag) for tag in tags], progress)
    if failed:
        raise EngineError(f"{', '.join(failed)} could not be pulled; to resume: {program.call()} pull")
