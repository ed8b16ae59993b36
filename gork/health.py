"""Who the members are, whether each can answer, and whether that is enough for a turn.

One rule for `wait`, `doctor`, `/models`, the page and a service's readiness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gork.config.ensemble import Ensemble
from gork.engines.model import Health, Model

CHECK_S = 10.0
"""For one member's reply: one that hangs is shown as what it is, beside the others."""


def suffices(ensemble: Ensemble, healths: Mapping[str, Health]) -> bool:
    """Whether a turn would be answered: one candidate is enough.

    Without its promptimizer a turn uses the user's own words; without its judge the configured order of the candidates decides.
    """
    return any(member.name in healths and healths[member.name].ok for member in ensemble.candidates)


def lacking(ensemble: Ensemble, healths: Mapping[str, Health]) -> dict[str, str]:
    """The members that cannot answer, each with the reason and what a turn does without it."""
    without = {member.name: "the other candidates answer" for member in ensemble.candidates}
    if ensemble.promptimizer is not None:
        without[ensemble.promptimizer.name] = "questions are not rewritten"
    if ensemble.judge is not None:
        without[ensemble.judge.name] = "the configured order chooses"
    missing = {}
    for name, effect in without.items():
        health = healths.get(name)
        if health is None or not health.ok:
            reason = "not asked yet" if health is None else health.detail
            missing[name] = f"{reason} (without it {effect})" if suffices(ensemble, healths) else reason
    return missing


async def check(model: Model, within_s: float) -> Health:
    """The model's health, or that it did not say in time."""
    try:
        async with asyncio.timeout(within_s):
            return await model.check()
    except TimeoutError:
        return Health(problem=f"it does not reply within {within_s:g} s")


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One member as it is shown."""

    member: str
    role: str
    model: str
    where: str
    state: str
    ok: bool | None = None
    """Whether it can answer; None while it has not replied."""


def roles_of(ensemble: Ensemble) -> dict[str, str]:
    """Each member's role by its name, in the order of a turn."""
    first = {} if ensemble.promptimizer is None else {ensemble.promptimizer.name: "promptimizer"}
    last = {} if ensemble.judge is None else {ensemble.judge.name: "judge"}
    return {**first, **{candidate.name: "candidate" for candidate in ensemble.candidates}, **last}


async def member_rows(ensemble: Ensemble, models: Mapping[str, Model]) -> Sequence[MemberRow]:
    """One row for each member, all asked at the same time whether they can answer."""
    names = list(roles_of(ensemble))
    healths = await asyncio.gather(*(check(models[name], CHECK_S) for name in names))
    return rows_of(ensemble, models, dict(zip(names, healths, strict=True)))


def rows_of(ensemble: Ensemble, models: Mapping[str, Model], healths: Mapping[str, Health]) -> Sequence[MemberRow]:
    """One row for each member, with what is known of it."""
    return [_row(models[name], role, healths.get(name)) for name, role in roles_of(ensemble).items()]


def _row(model: Model, role: str, health: Health | None) -> MemberRow:
    where = "" if model.where.endswith(model.model) else model.where  # a weights file is its own place
    if health is None:
        return MemberRow(model.name, role, model.model, where, "it has not replied yet")
    state = health.detail if health.ok else f"cannot answer: {health.detail}"
    return MemberRow(model.name, role, model.model, where, state, health.ok)
