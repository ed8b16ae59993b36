"""`pull`: bring the models that are missing, a few at a time, with one bar for each on a terminal and one line for each tenth elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from gork.config.ensemble import Member, Weights
from gork.config.settings import Settings
from gork.engines.choose import Chosen, cache_of, has_llama, ready_file, weights_of
from gork.engines.ollama import library
from gork.engines.weights import cache
from gork.engines.weights.progress import Bar
from gork.engines.weights.sources import source_of
from gork.errors import EngineError, GorkError, ModelError

AT_ONCE = 3
FETCHED, FAILED = 0, 1
_LEAVING_S = 3.0

Say = Callable[[str], None]
OnBytes = Callable[[int, int], None]
"""How many bytes are here, of how many."""


class Board(Protocol):
    """Where the progress of several jobs is shown."""

    def say(self, line: str) -> None:
        """Show a line above the bars."""

    def at(self, name: str, done: int, total: int) -> None:
        """Show how far a job is."""

    def note(self, name: str, status: str) -> None:
        """Show what is being done about a job, beside its bytes."""

    def end(self, name: str) -> None:
        """Take a job's bar away."""

    def __enter__(self) -> Board:
        """Begin to show."""

    def __exit__(self, *_: object) -> None:
        """Take everything off the screen that is not a line."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to bring."""

    name: str
    bring: Callable[[Board], Awaitable[None]]
    """Raises a `GorkError`. Cancelling it leaves nothing that counts."""


class Lines:
    """A board that writes one line for each tenth."""

    def __init__(self, say: Say) -> None:
        self._say, self._tenths, self._statuses = say, dict[str, int](), dict[str, str]()

    def say(self, line: str) -> None:
        """Write the line."""
        self._say(line)

    def at(self, name: str, done: int, total: int) -> None:
        """Write a line if another tenth is here."""
        tenth = min(10, 10 * done // total) if total > 0 else 0
        if tenth > self._tenths.get(name, 0):
            self._tenths[name] = tenth
            self._say(f"{name}: {10 * tenth} % of {total / 1e6:,.1f} MB")

    def note(self, name: str, status: str) -> None:
        """Write a line if it is another status."""
        if self._statuses.get(name) != status:
            self._statuses[name] = status
            self._say(f"{name}: {status}")

    def end(self, name: str) -> None:
        """Nothing is on the screen that could be taken away."""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass


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

    async def bring(board: Board) -> None:
        layers = Layers()

        def on_progress(pulled: library.PullProgress) -> None:
            if (known := layers.take(pulled)) is not None:
                board.at(name, *known)
            else:
                board.note(name, pulled.status)

        await library.pull(host, tag, on_progress)

    return Job(name, bring)


def from_source(wanted: Weights, settings: Settings) -> Job:
    """Fetch a weights file into the cache, in a thread: what fetches it is not asynchronous."""
    name = source_of(wanted).name

    async def bring(board: Board) -> None:
        stop, loop = threading.Event(), asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def tell(act: Callable[..., None], *arguments: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(act, *arguments)

        bar = _Relay(name, stop, lambda done, total: tell(board.at, name, done, total))

        def work() -> None:
            error: BaseException | None = None
            try:
                folder, say = cache_of(settings), partial(tell, board.say)
                cache.fetch(wanted, folder, say=say, progress=False, offline=settings.offline, bar=bar)
            except BaseException as raised:  # handed to the one who waits
                error = raised
            tell(_settle, ended, error)

        # A daemon: a download that hangs must not keep a program alive that was told to end.
        threading.Thread(target=work, name=f"fetch {name}", daemon=True).start()
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait({ended}, timeout=_LEAVING_S)
            if ended.done():
                ended.exception()  # looked at, so that nobody reports it as lost
            raise

    return Job(name, bring)


class _Relay(Bar):
    """A bar that hands on what it is told; once told to stop, it ends the download that reports to it, as Ctrl-C does."""

    def __init__(self, what: str, stop: threading.Event, on_bytes: OnBytes) -> None:
        super().__init__(what, shown=False)
        self._stop, self._on_bytes, self._told_at = stop, on_bytes, 0.0

    def at(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt
        now = time.monotonic()
        if now - self._told_at >= 0.1 or done >= total:
            self._told_at = now
            self._on_bytes(done, total)


def _settle(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if ended.done():
        return
    if isinstance(error, Exception):
        ended.set_exception(error)
    else:  # nothing, or the end that we asked for
        ended.set_result(None)


async def bring_all(jobs: Sequence[Job], board: Board, *, at_once: int = AT_ONCE) -> list[str]:
    """Do the jobs, a few at a time; one that fails is told and does not stop the others. Returns the names of those."""
    free, failed = asyncio.Semaphore(at_once), list[str]()

    async def bring(job: Job) -> None:
        async with free:
            started = time.monotonic()
            try:
                await job.bring(board)
            except GorkError as error:
                failed.append(job.name)
                board.say(f"{job.name}: {error.what if isinstance(error, ModelError) else error}")
            else:
                board.say(f"{job.name}: here, after {time.monotonic() - started:.1f} s")
            finally:
                board.end(job.name)

    with board:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(bring(job))
    return failed


async def pull(chosen: Chosen, board: Board) -> int:
    """Bring what the ensemble's members lack; returns the exit code. What is there already is said and left alone."""
    jobs, failed = await _missing_models(chosen.settings, board.say) if chosen.engine == "ollama" else _missing_weights(chosen, board.say)
    failed += await bring_all(jobs, board)
    if failed:
        board.say(f"could not be had: {', '.join(failed)}")
    return FAILED if failed else FETCHED


async def _missing_models(settings: Settings, say: Say) -> tuple[list[Job], list[str]]:
    """A job for each model that a server lacks; the servers that could not be asked."""
    wanted: dict[str, dict[str, str]] = {}
    for member in settings.ensemble.members:
        if member.model is None:
            say(f"{member.name}: names no model, so its server's only one is asked: nothing to pull")
        else:
            wanted.setdefault(member.url or settings.ollama_host, {}).setdefault(library.normal(member.model), member.model)
    jobs: list[Job] = []
    failed: list[str] = []
    found = await asyncio.gather(*(_installed(host, settings) for host in wanted))
    for (host, tags), there in zip(wanted.items(), found, strict=True):
        shown = library.server_url(host, "Ollama")[1]
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


def _missing_weights(chosen: Chosen, say: Say) -> tuple[list[Job], list[str]]:
    """A job for each weights file that is not in the cache, however many members share it."""
    if not has_llama():
        raise EngineError(f"{chosen.why}, and the embedded engine is not installed: pip install -r requirements.txt, or start an Ollama")
    settings, first = chosen.settings, dict[Weights, Member]()
    for member in settings.ensemble.members:
        first.setdefault(weights_of(member, settings), member)
    jobs = []
    for wanted, member in first.items():
        if (ready := ready_file(member, settings)) is not None:
            say(f"{source_of(wanted).name}: already there ({ready})")
        else:
            jobs.append(from_source(wanted, settings))
    return jobs, []


async def pull_tags(host: str, tags: Sequence[str], board: Board) -> None:
    """Have one server fetch these models. Raises an `EngineError` if one of them cannot be had."""
    failed = await bring_all([from_ollama(host, tag, tag) for tag in tags], board)
    if failed:
        raise EngineError(f"{', '.join(failed)} could not be pulled; try again (it goes on where it was): final_script.py pull")
