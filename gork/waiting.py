"""How long a candidate is waited for: until the turn is decided without it, or until the user wants the answer now.

The flow asks and gathers; what is cancelled here is neither an answer nor a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
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
    stopped: bool = False

    def stop(self) -> None:
        """It is not waited for any more."""
        self.stopped = True
        if self.scope is not None and not self.scope.expired():
            self.scope.reschedule(asyncio.get_running_loop().time())

    @property
    def can_be_stopped(self) -> bool:
        """Whether it has neither written its text nor been cut: a program that is being run comes to its end, which is near."""
        return not (self.call.over or self.call.was_cut)


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
        if pending.stopped:
            return NotNeeded(member)
        result: Result
        pending.scope = scope = asyncio.timeout(None)
        try:
            async with scope:
                result = await pending.asking(call=pending.call)
        except TimeoutError:
            if not scope.expired():
                raise
            result = NotNeeded(member)
        finally:
            del self._pending[member]
        self._look(result)
        return result

    async def heed(self) -> None:
        """End what can be ended whenever the user wants the answer now."""
        while True:
            await self._answer_now.wait()
            self._answer_now.clear()
            if self._answers or any(pending.call.has_text for pending in self._pending.values()):
                self._end_now()
            elif not self._first_is_enough:
                self._first_is_enough = True
                self._on_event(Notice("nothing is written yet that could be taken: the first answer ends the waiting"))

    def _look(self, result: Result) -> None:
        """Stop everyone who is not needed after this."""
        if isinstance(result, NotNeeded):
            return
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
        self._stop([name for name, pending in self._pending.items() if pending.can_be_stopped], NOW)

    def _stop(self, members: Sequence[str], why: str) -> None:
        if not members:
            return
        for member in members:
            self._pending[member].stop()
            self._on_event(MemberState(member, State.NOT_NEEDED, why))
        self._on_event(Notice(f"{why}: {', '.join(members)} {'is' if len(members) == 1 else 'are'} not waited for"))


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
        for one in (task, wish):
            one.cancel()
        await asyncio.gather(task, wish, return_exceptions=True)
