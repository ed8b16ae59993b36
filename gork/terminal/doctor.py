"""`doctor`: does everything work that a turn needs? Every member is asked for ten real tokens; each problem is shown with its fix."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gork.computing.sandbox import Sandbox
from gork.config.ensemble import Ensemble, Member
from gork.config.weights import LocalFile
from gork.engines.choose import Chosen, cache_of, cores_for, has_llama, ready_file
from gork.engines.footprint import memory_for
from gork.engines.model import Health, Model
from gork.engines.ollama import library
from gork.engines.weights import cache
from gork.engines.weights.progress import Lines
from gork.errors import ModelError, WeightsError
from gork.health import check, suffices
from gork.machine import Cores, Memory, free_memory
from gork.rewriting.prompt import rewrite_messages
from gork.terminal import program
from gork.turn import Event, MemberState, Message, Question, State

Say = Callable[[str], None]

EACH_S = 120.0
"""For one member's tokens, loading included."""
TOKENS = 10
FINE, STOPPED, DEGRADED = 0, 1, 3
_CHECK_S = 15.0
_NARROWEST = 12
"""Columns to which names are shortened before a column of the table is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberReport:
    """The result for one member."""

    member: str
    role: str
    model: str
    where: str
    server: str = ""
    """What answers for it."""
    reachable: bool = False
    version: str | None = None
    present: bool = False
    loaded: bool = False
    """Before it was asked for a token."""
    context: int | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    logprobs: bool | None = None
    """Whether it gives log-probabilities; None if it did not answer."""
    problem: str | None = None
    fix: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it gave tokens."""
        return self.problem is None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """The results for all members, and what the machine offers."""

    chosen: Chosen
    cores: Cores
    memory: Memory | None
    cache: Path | None
    findings: tuple[MemberReport, ...]
    programs: str
    """Whether programs of members are run here."""
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
            "engine": self.chosen.name,
            "why": self.chosen.why,
            "ensemble": settings.ensemble.name,
            "cores": {"count": self.cores.count, "why": self.cores.why},
            "gpus": list(self.chosen.gpus),
            "gpu_layers": self.chosen.settings.gpu_layers,
            "memory": None if memory is None else {"total": memory.total, "free": memory.free, "why": memory.why},
            "programs": self.programs,
            "cache": None if self.cache is None else str(self.cache),
            "members": [
                {
                    "member": finding.member,
                    "role": finding.role,
                    "model": finding.model,
                    "server": finding.server,
                    "where": finding.where,
                    "reachable": finding.reachable,
                    "version": finding.version,
                    "present": finding.present,
                    "loaded": finding.loaded,
                    "context": finding.context,
                    "first_token_s": finding.first_token_s,
                    "tokens_per_s": finding.tokens_per_s,
                    "logprobs": finding.logprobs,
                    "ok": finding.ok,
                    "problem": finding.problem,
                    "fix": finding.fix,
                }
                for finding in self.findings
            ],
            "warnings": list(self.warnings),
            "exit_code": self.exit_code,
        }


async def examine(chosen: Chosen, models: Mapping[str, Model], *, say: Say, each_s: float = EACH_S) -> DoctorReport:
    """Ask every member for a few tokens; `models` has those that can be asked at all (on the embedded engine, those with weights)."""
    ensemble = chosen.settings.ensemble
    healths = dict(zip(models, await asyncio.gather(*(check(model, _CHECK_S) for model in models.values())), strict=True))
    memory, cache, warnings = free_memory(), None, list[str]()
    if "embedded" in chosen.parts:
        cache = cache_of(chosen.settings)
    needed = await _needed(chosen, healths)
    if memory is not None and needed > memory.free:
        warnings.append(
            f"the models that are not loaded yet need about {needed / 1e9:.1f} GB of memory, {memory.free / 1e9:.1f} GB are free "
            f"({memory.why}): free some, raise the limit, or use smaller models"
        )
    programs, lacking = await _programs(compute=chosen.settings.compute)
    if lacking is not None:
        warnings.append(f"programs cannot be run here ({lacking}): questions that could be computed are answered in words")
    queues: dict[str, list[MemberReport]] = {}
    for member in ensemble.members:
        model = models.get(member.name)
        finding = _without_weights(member, ensemble, chosen) if model is None else _checked(model, healths[member.name], ensemble)
        # Members of one server take turns: together they would push each other out of a small machine's memory.
        queues.setdefault("" if chosen.engine_of(member) == "embedded" else finding.where, []).append(finding)
    asked = await asyncio.gather(*(_one_after_the_other(queue, models, each_s, say) for queue in queues.values()))
    by_name = {finding.member: finding for queue in asked for finding in queue}
    findings = tuple(by_name[member.name] for member in ensemble.members)
    return DoctorReport(
        chosen=chosen,
        cores=cores_for(chosen.settings),
        memory=memory,
        programs=programs,
        cache=cache,
        findings=findings,
        warnings=tuple(warnings),
    )


async def _programs(*, compute: bool) -> tuple[str, str | None]:
    """Whether programs are run here, and if they cannot be, why; the sandbox is tried by one."""
    if not compute:
        return "off (--no-compute)", None
    async with Sandbox() as sandbox:
        lacking = await sandbox.available()
    return "run in a sandbox" if lacking is None else "cannot be run", lacking


async def _one_after_the_other(queue: Sequence[MemberReport], models: Mapping[str, Model], each_s: float, say: Say) -> list[MemberReport]:
    return [finding if not finding.ok else await _tokens(finding, models[finding.member], each_s, say) for finding in queue]


async def _tokens(finding: MemberReport, model: Model, each_s: float, say: Say) -> MemberReport:
    """Have the model write a few tokens; the promptimizer as in a turn, so that its instructions stay in its cache."""
    state, request = State.WAITING, "Count from one to twenty."
    asked: list[Message] = [{"role": "user", "content": request}]
    if finding.role == "promptimizer":
        asked = rewrite_messages(Question(text=request), model.member)

    def on_event(event: Event) -> None:
        nonlocal state
        if isinstance(event, MemberState):
            state = event.state
            if state is State.LOADING:
                say(f"{finding.member}: loading its model")

    try:
        async with asyncio.timeout(each_s):
            completion = await model.chat(
                asked,
                options={**model.member.options, "num_predict": TOKENS},
                on_event=on_event,
                logprobs=True,
            )
    except ModelError as error:
        return replace(finding, problem=error.what, fix=error.fix)
    except TimeoutError:
        return replace(finding, problem=f"no token within {each_s:g} s (it was {state})", fix="give it longer with --timeout")
    if completion.first_token_s is None:
        return replace(finding, problem="it wrote nothing", fix="try another model")
    return replace(
        finding,
        model=model.model,
        server=model.server,
        context=model.context,
        first_token_s=round(completion.first_token_s, 3),
        tokens_per_s=completion.tokens_per_s and round(completion.tokens_per_s, 2),
        logprobs=completion.confidence is not None,
    )


def _checked(model: Model, health: Health, ensemble: Ensemble) -> MemberReport:
    return MemberReport(
        member=model.name,
        role=_role(model.name, ensemble),
        model=model.model,
        where=model.where,
        server=model.server,
        reachable=health.ok or health.version is not None,
        version=health.version,
        present=health.ok,
        loaded=health.loaded,
        problem=health.problem,
        fix=health.fix,
    )


def _without_weights(member: Member, ensemble: Ensemble, chosen: Chosen) -> MemberReport:
    """The report on a member of the embedded engine that cannot be opened, for lack of weights."""
    finding = MemberReport(member=member.name, role=_role(member.name, ensemble), model=member.model or "-", where="this machine")
    if not has_llama():
        problem = f"the embedded engine is not installed, and {chosen.why}"
        return replace(finding, problem=problem, fix="pip install xllamacpp")
    if member.weights is None:
        problem = "it names no weights for the embedded engine"
        return replace(finding, problem=problem, fix="give it weights in the ensemble file, or use an Ollama")
    if all(isinstance(source, LocalFile) for source in member.weights.sources):
        try:  # only looks at the file
            cache.fetch(member.weights, cache_of(chosen.settings), Lines(say=lambda line: None), offline=True)
        except WeightsError as error:
            return replace(finding, problem=str(error), fix="correct path in the ensemble file")
    places = " or ".join(dict.fromkeys(source.place for source in member.weights.sources))
    size = f"{member.weights.size / 1e6:,.0f} MB from " if member.weights.size else ""
    return replace(finding, problem=f"its weights ({size}{places}) are not in the cache", fix=program.pull(chosen.settings))


def _role(name: str, ensemble: Ensemble) -> str:
    if ensemble.promptimizer is not None and name == ensemble.promptimizer.name:
        return "promptimizer"
    return "judge" if ensemble.judge is not None and name == ensemble.judge.name else "candidate"


async def _needed(chosen: Chosen, healths: Mapping[str, Health]) -> int:
    """Bytes of memory that models on this machine will still take; models on other machines do not count."""
    settings = chosen.settings
    waiting = [member for member in settings.ensemble.members if member.name in healths and not healths[member.name].loaded]
    files: dict[str, int] = {}
    for member in waiting:
        if chosen.engine_of(member) == "embedded" and (file := ready_file(member, settings)) is not None:
            files[str(file)] = file.stat().st_size
    if chosen.local and chosen.version is not None and urlsplit(settings.ollama_host).hostname in {"127.0.0.1", "localhost", "::1"}:
        try:
            there = await library.sizes(settings.ollama_host, settings.connect_timeout)
        except ModelError:
            return 0
        local = [member for member in waiting if chosen.engine_of(member) == "ollama" and member.url is None]
        tags = {library.normal(member.model) for member in local if member.model is not None}
        files |= {tag: size for tag, size in there.items() if tag in tags}
    return memory_for(files.values())


# --- the report as text


class _Column(NamedTuple):
    title: str
    of: Callable[[MemberReport], str]
    right: bool = False
    dropped: int = 0
    """Columns with the highest number go first where the terminal is narrow; 0 stays."""


_COLUMNS = (
    _Column("member", lambda finding: finding.member),
    _Column("model", lambda finding: finding.model, dropped=2),
    _Column("on", lambda finding: f"{finding.server} {finding.version or ''}".strip() or "-", dropped=5),
    _Column("at", lambda finding: finding.where if "://" in finding.where else "this machine", dropped=7),
    _Column("loaded", lambda finding: "yes" if finding.loaded else "no", dropped=4),
    _Column("context", lambda finding: f"{finding.context:,}" if finding.context else "-", right=True, dropped=6),
    _Column("logprobs", lambda finding: "-" if finding.logprobs is None else "yes" if finding.logprobs else "no", dropped=8),
    _Column("tok/s", lambda finding: f"{finding.tokens_per_s:.1f}" if finding.tokens_per_s else "-", right=True, dropped=3),
    _Column(
        "first token", lambda finding: "-" if finding.first_token_s is None else f"{finding.first_token_s:.2f} s", right=True, dropped=1
    ),
    _Column("", lambda finding: "ok" if finding.ok else "FAILED"),
)


def as_text(report: DoctorReport, width: int) -> str:
    """The report as text, its table no wider than `width` columns."""
    chosen, memory = report.chosen, report.memory
    lines = [
        f"engine    {chosen.title} ({chosen.why})",
        f"ensemble  {chosen.settings.ensemble.name}",
        f"cores     {report.cores.count} ({report.cores.why})",
    ]
    if "embedded" in chosen.parts:
        lines.append(
            f"gpu       {chosen.gpu or ('not used (--gpu-layers 0)' if chosen.settings.gpu_layers == 0 else 'llama.cpp reports none')}"
        )
    if memory is not None:
        lines.append(f"memory    {memory.free / 1e9:.1f} of {memory.total / 1e9:.1f} GB free ({memory.why})")
    lines.append(f"programs  {report.programs}")
    if report.cache is not None:
        lines.append(f"weights   {report.cache}")
    lines += ["", *_table(report.findings, width)]
    problems = [finding for finding in report.findings if not finding.ok]
    if problems or report.warnings:
        lines.append("")
    for finding in problems:
        lines.append(f"{finding.member} at {finding.where}: {finding.problem}")
        if finding.fix:
            lines.append(f"  fix: {finding.fix}")
    lines += [f"warning: {warning}" for warning in report.warnings]
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in [*lines, "", _conclusion(report)])


def _conclusion(report: DoctorReport) -> str:
    answering, members = sum(finding.ok for finding in report.findings), len(report.findings)
    if report.exit_code == FINE:
        return f"All {members} models work."
    if report.exit_code == DEGRADED:
        others = "one" if members - answering == 1 else members - answering
        return f"{answering} of {members} models work; questions are answered without the other {others}."
    return f"{answering} of {members} models work, but no candidate: no question can be answered."


def _table(findings: tuple[MemberReport, ...], width: int) -> list[str]:
    columns = list(_COLUMNS)
    while True:
        cells = [[column.title for column in columns], *([column.of(finding) for column in columns] for finding in findings)]
        widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
        over = sum(widths) + 2 * (len(columns) - 1) - width
        names = [at for at, column in enumerate(columns) if column.title in {"model", "member", "at"}]
        widest = max(names, key=lambda at: widths[at])
        if over > 0 and widths[widest] - over >= _NARROWEST:  # a long file name is shortened before anything is left out
            widths[widest] -= over
            over = 0
        droppable = [column for column in columns if column.dropped]
        if over <= 0 or not droppable:
            break
        columns.remove(max(droppable, key=lambda column: column.dropped))
    return [
        "  ".join(_cell(text, size, right=column.right) for text, size, column in zip(row, widths, columns, strict=True)).rstrip()
        for row in cells
    ]


def _cell(text: str, size: int, *, right: bool) -> str:
    shown = text if len(text) <= size else text[: size - 3] + "..."
    return shown.rjust(size) if right else shown.ljust(size)
