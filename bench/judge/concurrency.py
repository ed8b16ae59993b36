"""Work that is done several pieces at once, in a bounded number of tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

_Given = TypeVar("_Given")
_Found = TypeVar("_Found")


async def each(
    work: Sequence[_Given], do: Callable[[_Given], Awaitable[_Found]], *, at_once: int, told: Callable[[int, int], None] = lambda *_: None
) -> list[_Found]:
    """What `do` gives for each piece of `work`, in its order, `at_once` of them at the same time; `told` hears how many are done.

    The first error is raised as it is, and the others are cancelled before it is.
    """
    waiting, found = iter(enumerate(work)), dict[int, _Found]()

    async def take() -> None:
        for number, piece in waiting:
            found[number] = await do(piece)
            told(len(found), len(work))

    tasks = [asyncio.create_task(take(), name=f"piece taker {number}") for number in range(min(at_once, len(work)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [found[number] for number in range(len(work))]
