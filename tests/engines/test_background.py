"""Blocking work beside the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gork.engines.background import in_background


async def test_work_gives_its_result_or_raises_its_error():
    """As if it had been called, while the loop goes on."""
    loop_goes_on = threading.Event()
    asyncio.get_running_loop().call_soon(loop_goes_on.set)

    assert await in_background(lambda _: loop_goes_on.wait(20), name="work")
    with pytest.raises(ZeroDivisionError):
        await in_background(lambda _: 1 / 0, name="work")


async def test_a_cancelled_wait_tells_the_work_to_stop_and_waits_for_its_end():
    """What the work does last is done when the cancellation arrives."""
    begun, ended = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def work(stop: threading.Event) -> None:
        loop.call_soon_threadsafe(begun.set)
        stop.wait(20)
        ended.append(True)
        raise KeyboardInterrupt  # as a download ends that was told to

    task = asyncio.create_task(in_background(work, name="work"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [True] == ended


async def test_work_that_does_not_stop_is_left_behind():
    """It holds up neither the caller nor, being a daemon, the end of the program."""
    begun, release, threads = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def work(_: threading.Event) -> None:
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(begun.set)
        release.wait(20)

    task = asyncio.create_task(in_background(work, name="work", leave_s=0))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert threads[0].is_alive()
    assert threads[0].daemon
    release.set()
    await asyncio.to_thread(threads[0].join, 20)
