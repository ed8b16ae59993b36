"""Blocking work beside the event loop, in a thread that can be told to end and never keeps the program alive."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

_T = TypeVar("_T")


async def in_background(work: Callable[[threading.Event], _T], *, name: str, leave_s: float = 3.0) -> _T:
    """Run `work` in a daemon thread; returns its result or raises its exception.

    When this is cancelled, the event that `work` was given is set, and at most `leave_s` seconds are waited for the thread to end: a
    download that hangs must not keep a program alive that was told to end.
    """
    stop, loop = threading.Event(), asyncio.get_running_loop()
    ended: asyncio.Future[_T] = loop.create_future()
    ended.add_done_callback(asyncio.Future.exception)  # retrieved, so that asyncio does not report it as lost

    def settle(act: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the caller is gone
            loop.call_soon_threadsafe(act)

    def run() -> None:
        try:
            result = work(stop)
        except BaseException as error:  # handed to the caller
            settle(partial(ended.set_exception, error))
        else:
            settle(partial(ended.set_result, result))

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({ended}, timeout=leave_s)
        raise
