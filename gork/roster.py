"""The members of an engine, each with its role and whether it can answer: what `/models`, the page and the service's clients show."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gork.config.ensemble import Ensemble
from gork.engines.model import Health, Model
from gork.readiness import check

CHECK_S = 10.0
"""For one member's reply: one that hangs is shown as what it is, beside the others."""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One member as it is shown."""

    member: str
    role: str
    model: str
    where: str
    state: str


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
    return MemberRow(model.name, role, model.model, where, state)
