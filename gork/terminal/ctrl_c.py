"""Ctrl-C, hang-up and termination during a session: they stop what is running, and say whether the session goes on afterwards.

The handlers are installed once for a whole session and every prompt is told to leave them alone: a line editor that brings handlers of
its own removes them when a line is entered, and Ctrl-C in the turn that follows would hit nothing.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from functools import partial
from types import FrameType
from typing import Any, Self, TypeVar

_T = TypeVar("_T")
REPEATED_S = 2.0
"""A second Ctrl-C within this time is ignored: cancelling again would only disturb the clean-up that the first one began."""
_ENDING = ("SIGTERM", "SIGHUP")


class Stopped(Exception):
    """Raised when a signal stopped something before its end."""


class InterruptHandler:
    """A context manager; within it, signals stop what `run` is running."""

    def __init__(self, on_stop: Callable[[], object] = lambda: None) -> None:
        """`on_stop` is called right before something is stopped."""
        self._on_stop = on_stop
        self.ending: signal.Signals | None = None
        """The signal that ends the session, once it has arrived."""
        self._stop: Callable[[], object] | None = None
        self._asked_at: float | None = None
        self._early = False
        """Whether a signal came between two things that are run, as right after a question was entered: it is for the second one."""
        self._restore: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._listen(signal.SIGINT, self.stop)
        for name in _ENDING:
            if hasattr(signal, name):  # Windows has no SIGHUP
                self._listen(signal.Signals[name], partial(self.end, signal.Signals[name]))
        return self

    def __exit__(self, *_: object) -> None:
        for restore in self._restore:
            restore()

    def _listen(self, number: signal.Signals, act: Callable[[], None]) -> None:
        before = signal.getsignal(number)
        if before is signal.SIG_IGN and number is not signal.SIGINT:
            return  # nohup: the signal is to be ignored
        try:
            self._loop.add_signal_handler(number, act)
        except NotImplementedError:  # Windows

            def handler(_number: int, _frame: FrameType | None) -> None:
                self._loop.call_soon_threadsafe(act)

            signal.signal(number, handler)
        else:
            self._restore.append(partial(self._loop.remove_signal_handler, number))
        if before is not None:  # else it was not set from Python and cannot be put back
            self._restore.append(partial(signal.signal, number, before))

    def stop(self) -> None:
        """Stop what is running, or will be in a moment, and nothing more than that."""
        now = self._loop.time()
        if self._asked_at is not None and now - self._asked_at < REPEATED_S:
            return
        self._asked_at = now
        if self._stop is None:
            self._early = True
            return
        self._on_stop()
        self._stop()

    def end(self, number: signal.Signals) -> None:
        """Stop what is running, and everything that would be run afterwards."""
        self.ending = number
        if self._asked_at is None:
            self.stop()

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run `work` to its end. Raises `Stopped` when a signal stopped it; by then its clean-up is done too."""
        early, self._early = self._early, False
        if self.ending is not None or early:
            work.close()
            raise Stopped
        self._asked_at = None
        task = asyncio.create_task(work, name="what Ctrl-C stops")
        self._stop = task.cancel
        try:
            await asyncio.wait({task})
        finally:
            self._stop = None
            if not task.done():  # we ourselves were cancelled
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled() and self._asked_at is not None:
            raise Stopped
        return task.result()
