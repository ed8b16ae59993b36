"""Whether the members can answer, as of a moment ago: asked on demand, kept for some seconds.

Every check is bounded, and no request waits long for it: a probe that a hanging model holds up would have the whole service restarted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from gork.config.ensemble import Ensemble
from gork.engines.model import Health, Model
from gork.health import check, suffices
from gork.service.logs import note
from gork.service.metrics import Metrics


class Healths:
    """What is known of the members."""

    def __init__(
        self, ensemble: Ensemble, models: Mapping[str, Model], metrics: Metrics, *, fresh_s: float, check_s: float, wait_s: float
    ) -> None:
        self._ensemble, self._models, self._metrics = ensemble, models, metrics
        self.known: dict[str, Health] = {}
        """By member's name; empty until the first answers are there."""
        self._fresh_s, self._check_s, self._wait_s = fresh_s, check_s, wait_s
        self._asked_at = -float("inf")
        self._asking: asyncio.Task[None] | None = None

    @property
    def suffice(self) -> bool:
        """Whether a turn would be answered, as far as is known."""
        return suffices(self._ensemble, self.known)

    async def refreshed(self) -> Mapping[str, Health]:
        """What is known of the members, asked again if it is old; what is not known in time stays as it was."""
        if self._asking is None and time.monotonic() - self._asked_at >= self._fresh_s:
            self._asking = asyncio.create_task(self._ask(), name="check the members")
            self._asking.add_done_callback(self._asked)
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=self._wait_s)
        return self.known

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self) -> None:
        async with asyncio.TaskGroup() as group:
            for model in self._models.values():
                group.create_task(self._ask_one(model))

    async def _ask_one(self, model: Model) -> None:
        health = await check(model, self._check_s)
        before = self.known.get(model.name)
        self.known[model.name] = health
        self._metrics.member_up.labels(model.name).set(health.ok)
        if before is None or before.ok != health.ok:
            level = logging.INFO if health.ok else logging.WARNING
            note("member can answer" if health.ok else "member cannot answer", level=level, member=model.name, detail=health.detail)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking, self._asked_at = None, time.monotonic()
        if not task.cancelled() and (error := task.exception()) is not None:
            note("checking the members failed", level=logging.ERROR, error=error)
