"""How long a candidate is waited for: until the turn is decided without it, or until the user wants the answer now.

The flow asks and gathers; what is cancelled here is neither an answer nor a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from gork.engines.call import RunningCall
from gork.turn import Answer, Failure, MemberState, Notice, NotNeeded, OnEvent, State

_T = TypeVar("_T")
Result = Answer | Failure | NotNeeded | None
"""What comes of asking one candidate, or of running the question's code, where there may be none."""
Settled = Callable[[Sequence[Answer], Collection[str]], str | None]
"""Says of the answers that are there and of who is still asked what decides the turn already; None while it is open."""
NOW = "you wanted the answer now"


class Asking(Protocol):
    """Asks one candidate, or runs the question's code."""

    def __call__(self, *, call: RunningCall) -> Awaitable[Answer | Failure | None]:
        """Begin; `call` is to be used for what the model is asked."""


@dataclass(slots=True)
class _Pending:
    """One candidate that is asked, or will be in a moment."""

    asking: Asking
    call: RunningCall = field(default_factory=RunningCall)
    scope: asyncio.Timeout | None = None
    stopped: str | None = None
    """Why it is not waited for any more."""

    def stop(self, why: str) -> None:
        """Wait for it no more."""
        self.stopped = why
        if self.scope is not None and not self.scope.expired():
            self.scope.reschedule(asyncio.get_running_loop().time())

    @property
    def is_ending(self) -> bool:
        """Whether it has written its text or been cut: a program that is being run comes to its end, which is near."""
        return self.call.over or self.call.was_cut


class WaitingRoom:
    """The candidates of one turn while they are asked at the same time."""

    def __init__(self, asked: Mapping[str, Asking], settled: Settled, answer_now: asyncio.Event, on_event: OnEvent) -> None:
        self._settled, self._answer_now, self._on_event = settled, answer_now, on_event
        self._pending = {member: _Pending(asking) for member, asking in asked.items()}
        self._answers: list[Answer] = []
        self._first_is_enough = False

    async def wait_for(self, member: str) -> Result:
        """What comes of asking this candidate; `NotNeeded` if it was not waited for."""
        pending = self._pending[member]
        try:
            result = NotNeeded(member) if pending.stopped else await self._result(member, pending)
        finally:
            del self._pending[member]
        if isinstance(result, NotNeeded):
            self._on_event(MemberState(member, State.NOT_NEEDED, pending.stopped or ""))
        else:
            self._look(result)
        return result

    async def _result(self, member: str, pending: _Pending) -> Result:
        pending.scope = scope = asyncio.timeout(None)
        try:
            async with scope:
                return await pending.asking(call=pending.call)
        except TimeoutError:
            if not scope.expired():
                raise
        return NotNeeded(member)

    async def heed(self) -> None:
        """End what can be ended whenever the user wants the answer now; a wish that finds nothing here is left to the next stage."""
        while True:
            await self._answer_now.wait()
            if all(pending.is_ending for pending in self._pending.values()):
                return
            self._answer_now.clear()
            if self._answers or any(pending.call.has_text for pending in self._pending.values()):
                self._end_now()
            elif not self._first_is_enough:
                self._first_is_enough = True
                self._on_event(Notice("nothing is written yet: the first answer will be taken"))

    def _look(self, result: Answer | Failure | None) -> None:
        """Stop everyone who is not needed after this."""
        if isinstance(result, Answer):
            self._answers.append(result)
        if not self._pending:
            return
        if (why := self._settled(self._answers, self._pending.keys())) is not None:
            self._stop(list(self._pending), why)
        elif self._first_is_enough and isinstance(result, Answer):
            self._end_now()

    def _end_now(self) -> None:
        """Take from everyone what is written."""
        for pending in self._pending.values():
            if pending.call.has_text:
                pending.call.cut()
        self._stop([name for name, pending in self._pending.items() if not pending.is_ending], NOW)

    def _stop(self, members: Sequence[str], why: str) -> None:
        going = [member for member in members if self._pending[member].stopped is None]
        for member in going:
            self._pending[member].stop(why)
        if going:
            self._on_event(Notice(f"{why}: {', '.join(going)} {'is' if len(going) == 1 else 'are'} not waited for", about_members=True))


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do some work while the block lasts; its end ends the work."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        if task.cancel():
            await asyncio.wait({task})
        failed = None if task.cancelled() else task.exception()
    if failed is not None:
        raise failed


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, _T]) -> _T | None:
    """The result of some work; None if the event comes before it, which ends the work."""
    if event.is_set():
        work.close()
        return None
    task, wish = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, wish}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        wish.cancel()
        if task.cancel():
            await asyncio.gather(task, return_exceptions=True)
