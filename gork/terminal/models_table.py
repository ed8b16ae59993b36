"""The members of an engine as `/models` shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from gork.engines.model import Model
from gork.ensemble import Ensemble
from gork.terminal.session_state import MemberRow


async def member_rows(ensemble: Ensemble, models: Mapping[str, Model]) -> Sequence[MemberRow]:
    """One row for each member, all asked at the same time whether they can answer."""
    roles = {candidate.name: "candidate" for candidate in ensemble.candidates}
    if ensemble.promptimizer is not None:
        roles = {ensemble.promptimizer.name: "promptimizer", **roles}
    if ensemble.judge is not None:
        roles[ensemble.judge.name] = "judge"
    asked = [models[name] for name in roles]
    healths = await asyncio.gather(*(model.check() for model in asked))
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
