"""The members of an engine, each with its role and whether it can answer: what `/models`, the page and the service's clients show."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gork.engines.model import Model
from gork.ensemble import Ensemble
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
    roles = roles_of(ensemble)
    asked = [models[name] for name in roles]
    healths = await asyncio.gather(*(check(model, CHECK_S) for model in asked))
    return [
        MemberRow(
            model.name,
            roles[model.name],
            model.model,
            "" if model.where.endswith(model.model) else model.where,  # a weights file is its own place
            health.detail if health.ok else f"cannot answer: {health.detail}",
        )
        for model, health in zip(asked, healths, strict=True)
    ]
