"""Reads what every rewrite begins with into the promptimizer's cache before anybody asks.

On one processor a thousand tokens of instructions and examples take a quarter of a minute, which is most of what a rewrite may take;
a model that has them in its cache begins after a tenth of a second. Another request to it (somebody's own, past this service) throws
them out, so they are read again in idle time: where they still are, that costs next to nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gork.errors import ModelError
from gork.rewriting.prompt import fixed_prefix
from gork.service.logs import note
from gork.service.service import Service
from gork.waiting import meanwhile

AGAIN_S = 60.0
_LOOK_S = 2.0
"""Until it is there for the first time."""


@asynccontextmanager
async def primed(service: Service, *, again_s: float = AGAIN_S) -> AsyncIterator[None]:
    """Keep it read while the block lasts, where the model stays in memory anyway."""
    member = service.ensemble.promptimizer
    model = None if member is None else service.models[member.name]
    if member is None or model is None or not model.resident:
        yield
        return
    prefix = fixed_prefix(member)

    async def keep() -> None:
        known = False
        while True:
            if not service.busy:
                try:
                    await model.prefill(prefix, on_event=lambda _: None)
                    known = True
                except ModelError as error:
                    note("nothing read ahead", level=logging.DEBUG, member=model.name, why=str(error))
                    known = False
            await asyncio.sleep(again_s if known else min(_LOOK_S, again_s))

    async with meanwhile(keep()):
        yield
