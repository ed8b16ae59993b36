"""Which engine answers, with which ensemble, and why: one line for people, nothing silent.

Configured URLs -> Ollama there. Else a local Ollama that answers (`OLLAMA_HOST`) -> that, with the full ensemble. Else the embedded
engine: the full ensemble if its weights are in the cache, else the starter. `engine` and `ensemble` in the settings decide it by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gork.cores import free_cores
from gork.engines import ollama, weights
from gork.engines.model import Deadlines, Engine
from gork.ensemble import Ensemble, load_ensemble
from gork.errors import EngineError, WeightsError
from gork.settings import Settings

FULL, STARTER = "heavy-lite", "starter"

Answer = Literal["pull", "starter", "quit"]
AskMissing = Callable[[str, list[str]], Answer]
"""Asks a person what to do about models that a local Ollama lacks (host, tags); None where there is nobody to ask."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What was chosen: settings with their final ensemble, a way to open the engine, and the line that says why."""

    settings: Settings
    open: Callable[[], Engine]
    why: str


def select(
    settings: Settings,
    *,
    say: Callable[[str], None],
    progress: bool,
    ask_missing: AskMissing | None,
    run: Callable[..., object] = asyncio.run,
) -> Selected:
    """Choose the engine; fetches weights and pulls models where that was asked for. Raises `EngineError` or `WeightsError`."""
    given = settings.ensemble if settings.ensemble_given else None
    if settings.engine != "embedded":
        everywhere = given or load_ensemble(FULL)
        with_members = settings.with_ensemble(everywhere)
        if any(member.url for member in with_members.ensemble.members):
            return _ollama(with_members, f"{_count_urls(with_members.ensemble)} of its members have a URL")
        version = asyncio.run(ollama.answers(settings.host, settings.connect))
        if version is not None:
            return _local_ollama(with_members, version, say=say, progress=progress, ask_missing=ask_missing)
        if settings.engine == "ollama":
            raise EngineError(
                f"no Ollama answers at {settings.host}: start it (ollama serve), set OLLAMA_HOST, or leave out --engine ollama"
            )
        if settings.host_given:
            say(f"no Ollama answers at {settings.host}, which OLLAMA_HOST names: using the embedded engine")
    return _embedded(settings, given, say=say, progress=progress)
