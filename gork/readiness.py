"""When what is there is enough to answer: one rule for waiting, for the doctor and for a service's readiness."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gork.config.ensemble import Ensemble
from gork.engines.model import Health, Model


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
        return Health(ok=False, detail=f"it does not reply within {within_s:g} s")
