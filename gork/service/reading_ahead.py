"""What this service's models read for a conversation before its next question comes, for prompts that ask for it.

One history at a time, while no work is done for anybody. Whatever is asked ends it and waits until it has ended: a reading holds slots,
and stops at the end of a batch. So does the next history, its limit, and a client that leaves.
"""

from __future__ import annotations

import asyncio

from gork.config.ensemble import Ensemble
from gork.flow import ReadAhead
from gork.turn import Question


class ReadingAhead:
    """The one reading that may be under way."""

    def __init__(self, read: ReadAhead, *, limit_s: float) -> None:
        self._read, self._limit_s = read, limit_s
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def read(self, question: Question, ensemble: Ensemble) -> None:
        """Have this read; returns when it has been, or was given up. Cancelling it ends the reading."""
        while self._task is not None:  # another one may have begun while that one was ending
            await self.stop()
        if self._closed:
            return
        task = self._task = asyncio.create_task(self._bounded(question, ensemble), name="read ahead")
        try:
            await asyncio.wait({task})
        finally:
            await self._ended(task)
        if not task.cancelled():
            task.result()

    async def stop(self) -> None:
        """End what is being read; returns when it has ended."""
        if self._task is not None:
            await self._ended(self._task)

    def give_up(self) -> None:
        """Have what is being read end soon."""
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Read nothing any more."""
        self._closed = True
        self.give_up()

    async def _ended(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.wait({task})
        if self._task is task:
            self._task = None

    async def _bounded(self, question: Question, ensemble: Ensemble) -> None:
        limit = asyncio.timeout(self._limit_s)
        try:
            async with limit:
                await self._read(question, ensemble)
        except TimeoutError:
            if not limit.expired():
                raise
