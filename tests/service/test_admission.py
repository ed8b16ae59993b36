"""The admission queue and its jobs: which ones are let in when, and that a place is given back however its holder ends."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress

import pytest

from gork.errors import InternalError, QueueFull, Stopping
from gork.service.admission import AdmissionQueue
from gork.service.jobs import Heartbeat, Jobs
from gork.turn import Notice
from gork.wire import Queued


async def settle():
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Holder:
    """A client that enters a queue and stays until told to go."""

    def __init__(self, queue):
        self.heard: list[int] = []
        self.place = queue.enter(self.heard.append)
        self.go = asyncio.Event()
        self.inside = False
        self.task = asyncio.create_task(self._run())
        self.task.add_done_callback(lambda _: self.place.leave())  # it may be cancelled before its first step

    async def _run(self):
        async with self.place:
            self.inside = True
            await self.go.wait()
        self.inside = False

    async def cancel(self):
        """Be cancelled, and gone."""
        self.task.cancel()
        await asyncio.wait({self.task})


async def test_so_many_come_in_and_the_next_wait_in_order():
    """Two places: the third and fourth wait, and come in one after the other in the order they came."""
    queue = AdmissionQueue(2, 2)
    holders = [Holder(queue) for _ in range(4)]
    await settle()
    assert [holder.inside for holder in holders] == [True, True, False, False]
    assert (queue.inside, queue.waiting) == (2, 2)

    holders[1].go.set()
    await settle()
    assert [holder.inside for holder in holders] == [True, False, True, False]
    holders[0].go.set()
    await settle()
    assert holders[3].inside
    for holder in holders:
        holder.go.set()
        await holder.task
    assert (queue.inside, queue.waiting) == (0, 0)


async def test_who_comes_when_the_line_is_full_is_told_at_once():
    """Beyond the line there is an error, before anything is begun; with no line at all, as soon as all places are taken."""
    queue = AdmissionQueue(1, 1)
    holders = [Holder(queue) for _ in range(2)]
    with pytest.raises(QueueFull, match="1 running and 1 waiting"):
        queue.enter()
    strict = AdmissionQueue(1, 0)
    only = Holder(strict)
    with pytest.raises(QueueFull):
        strict.enter()
    for holder in (*holders, only):
        await holder.cancel()


async def test_nobody_overtakes_who_was_let_in_and_has_not_run_yet():
    """A place that falls free goes to the first in line at once: somebody who asks in the same moment stands behind."""
    queue = AdmissionQueue(1, 5)
    first, second = queue.enter(), queue.enter()
    first.leave()
    third = queue.enter()
    assert (second.admitted, third.admitted) == (True, False)
    second.leave()
    third.leave()
    assert (queue.inside, queue.waiting) == (0, 0)


async def test_positions_in_line_are_told_when_they_change_and_only_then():
    """Each hears how many are before it; who leaves behind somebody is nothing to that one."""
    queue = AdmissionQueue(1, 10)
    holders = [Holder(queue) for _ in range(5)]
    await settle()
    assert [holder.heard for holder in holders] == [[], [0], [1], [2], [3]]

    await holders[3].cancel()
    await settle()
    assert [holder.heard for holder in holders] == [[], [0], [1], [2], [3, 2]]
    holders[0].go.set()
    await settle()
    assert holders[1].inside
    assert [holder.heard for holder in holders] == [[], [0], [1, 0], [2], [3, 2, 1]]
    for holder in holders:
        await holder.cancel()


async def test_a_long_line_that_leaves_at_once_is_counted_once():
    """Thousands of clients behind one proxy that goes away: those who stay hear one number, not thousands."""
    queue = AdmissionQueue(1, 10_000)
    inside, first = queue.enter(), queue.enter()
    others = [queue.enter() for _ in range(5000)]
    heard: list[int] = []
    last = queue.enter(heard.append)
    for other in others:
        other.leave()
    await settle()
    assert heard == [5001, 1]
    for place in (first, last, inside):
        place.leave()
    assert (queue.inside, queue.waiting) == (0, 0)


async def test_a_place_is_given_back_once():
    """Leaving twice frees one place, not two."""
    queue = AdmissionQueue(2, 0)
    one, other = queue.enter(), queue.enter()
    one.leave()
    one.leave()
    queue.enter()
    with pytest.raises(QueueFull):
        queue.enter()
    assert other.admitted


async def test_cancelled_while_waiting_leaves_the_line():
    """Who stops waiting is no longer counted, and is not let in later."""
    queue = AdmissionQueue(1, 2)
    first, second, third = (Holder(queue) for _ in range(3))
    await settle()
    await second.cancel()
    assert queue.waiting == 1
    first.go.set()
    await settle()
    assert third.inside
    await third.cancel()
    assert (queue.inside, queue.waiting) == (0, 0)


async def test_cancelled_in_the_moment_of_being_let_in_passes_the_place_on():
    """Let in, and cancelled before it runs: the place goes to the next, it is not lost."""
    queue = AdmissionQueue(1, 2)
    first, second, third = (Holder(queue) for _ in range(3))
    await settle()
    first.place.leave()  # second is let in now, and does not know it yet
    second.task.cancel()
    await settle()
    assert not second.inside
    assert third.inside
    for holder in (first, third):
        await holder.cancel()
    assert (queue.inside, queue.waiting) == (0, 0)


async def test_closing_sends_away_who_comes_and_keeps_who_waits():
    """Everybody after it gets `Stopping`; the line goes on."""
    queue = AdmissionQueue(1, 3)
    inside, waiting = Holder(queue), Holder(queue)
    await settle()
    queue.close()
    with pytest.raises(Stopping):
        queue.enter()
    inside.go.set()
    await inside.task
    await settle()
    assert waiting.inside
    waiting.go.set()
    await waiting.task
    assert (queue.inside, queue.waiting) == (0, 0)


async def test_closing_twice_and_closing_an_empty_gate_does_no_harm():
    """Nothing is told twice."""
    queue = AdmissionQueue(1, 3)
    inside, waiting = Holder(queue), Holder(queue)
    queue.close()
    queue.close()
    await waiting.cancel()
    await inside.cancel()
    assert (queue.inside, queue.waiting) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_the_gate_keeps_count(seed):
    """Random arrivals, ends and cancellations: never more inside than may be, no place lost, first come first served."""
    rng = random.Random(seed)
    queue, holders, came_in = AdmissionQueue(rng.randint(1, 4), rng.randint(0, 6)), [], []
    for _ in range(300):
        match rng.choice(["enter", "go", "cancel", "run"]):
            case "enter":
                with suppress(QueueFull):
                    holders.append(Holder(queue))
            case "go" if holders:
                rng.choice(holders).go.set()
            case "cancel" if holders:
                rng.choice(holders).task.cancel()
            case "run":
                await asyncio.sleep(0)
        came_in += [number for number, holder in enumerate(holders) if holder.place.admitted and number not in came_in]
        assert queue.inside <= queue.at_once
        assert queue.waiting <= queue.most_waiting
        if queue.waiting:
            assert queue.inside == queue.at_once
    for holder in holders:
        holder.task.cancel()
    await asyncio.wait([holder.task for holder in holders])
    await settle()
    assert (queue.inside, queue.waiting) == (0, 0)
    assert came_in == sorted(came_in)
    assert len([queue.enter() for _ in range(queue.at_once)]) == queue.at_once


# --- work


class Job:
    """Work that tells and ends when a test says so."""

    def __init__(self):
        self.go = asyncio.Event()
        self.began = asyncio.Event()
        self.cancelled = False
        self.error: Exception | None = None

    async def __call__(self, on_event):
        self.began.set()
        on_event(Notice("begun"))
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        on_event(Notice("done"))
        return 42


async def test_events_come_in_order_and_then_the_result():
    """What happened is told to the last event, also if it was told before anybody listened."""
    work, job = Jobs(AdmissionQueue(1, 0), heartbeat_s=5.0), Job()
    job.go.set()
    async with work.begin(job) as running:
        await asyncio.wait({running.task})
        assert [event.text async for event in running] == ["begun", "done"]
        assert [event async for event in running] == []
        assert await running.result() == 42


async def test_a_quiet_while_is_a_beat():
    """Nothing for a while gives a `Heartbeat`, again and again, and the events after it are all there."""
    work, job = Jobs(AdmissionQueue(1, 0), heartbeat_s=0.01), Job()
    async with work.begin(job) as running:
        seen = []
        async for event in running:
            seen.append(event)
            if seen.count(Heartbeat()) == 3:
                job.go.set()
        assert [event for event in seen if event != Heartbeat()] == [Notice("begun"), Notice("done")]
        assert await running.result() == 42


async def test_leaving_the_block_stops_the_work_and_frees_the_place():
    """A client that goes away in the middle: the work is cancelled and over when the block is left."""
    work, job = Jobs(AdmissionQueue(1, 0), heartbeat_s=5.0), Job()
    async with work.begin(job):
        await job.began.wait()
        assert work.queue.inside == 1
    assert job.cancelled
    assert work.queue.inside == 0


async def test_work_that_never_ran_gives_its_place_back():
    """Cancelled before its first step, as when a client leaves at once: nothing of it runs, and the place is free."""
    work, job = Jobs(AdmissionQueue(1, 0), heartbeat_s=5.0), Job()
    async with work.begin(job):
        pass
    assert not job.began.is_set()
    assert work.queue.inside == 0


async def test_a_client_cancelled_twice_loses_no_place():
    """Cancelled again while its work is being ended: the place is given back when the work has ended, not before and not never."""
    work, lasts, ending = Jobs(AdmissionQueue(1, 0), heartbeat_s=5.0), asyncio.Event(), asyncio.Event()

    async def slow_to_end(_):
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await lasts.wait()

    async def client():
        async with work.begin(slow_to_end):
            await asyncio.Event().wait()

    task = asyncio.create_task(client())
    await settle()
    task.cancel()
    await ending.wait()
    task.cancel()
    await asyncio.wait({task})
    assert work.queue.inside == 1
    lasts.set()
    await settle()
    assert work.queue.inside == 0


async def test_a_client_in_line_hears_its_position_and_comes_in():
    """`Queued` with the number ahead comes first, then what the work tells."""
    work, first, second = Jobs(AdmissionQueue(1, 3), heartbeat_s=5.0), Job(), Job()
    async with work.begin(first), work.begin(second) as running:
        assert await anext(running) == Queued(0)
        assert not running.admitted
        first.go.set()
        assert await anext(running) == Notice("begun")
        assert running.admitted
        second.go.set()
        assert await running.result() == 42


async def test_a_client_that_leaves_the_line_is_not_worked_for():
    """Its work never begins, and those behind it move up."""
    work, first, second, third = Jobs(AdmissionQueue(1, 3), heartbeat_s=5.0), Job(), Job(), Job()
    async with work.begin(first), work.begin(third) as last:
        async with work.begin(second):
            await settle()
        first.go.set()
        await third.began.wait()
        assert not second.began.is_set()
        third.go.set()
        assert await last.result() == 42


async def test_who_waits_when_the_gate_closes_has_its_turn_within_the_time_that_is_left():
    """The work of those in line is done after that of those inside; who still waits when all is given up gets the reason."""
    work, first, second, third = Jobs(AdmissionQueue(1, 3), heartbeat_s=5.0), Job(), Job(), Job()
    async with work.begin(first) as inside, work.begin(second) as waiting, work.begin(third) as last:
        work.queue.close()
        first.go.set()
        assert await inside.result() == 42
        await second.began.wait()
        work.give_up(Stopping("the time is up"))
        for job in (waiting, last):
            with pytest.raises(Stopping, match="the time is up"):
                await job.result()
        assert (None, "the time is up") == (waiting.turned_away(), str(last.turned_away()))
        assert not third.began.is_set()


@pytest.mark.parametrize("when", ["before it runs", "while it runs", "when it is done"])
async def test_giving_up_tells_each_client_why(when):
    """What still runs is stopped and its client gets the reason; what was done is done."""
    work, job = Jobs(AdmissionQueue(1, 0), heartbeat_s=5.0), Job()
    async with work.begin(job) as running:
        if when != "before it runs":
            await job.began.wait()
        if when == "when it is done":
            job.go.set()
            await asyncio.wait({running.task})
        work.give_up(Stopping("restarted"))
        work.give_up(Stopping("again"))
        if when == "when it is done":
            assert await running.result() == 42
        else:
            with pytest.raises(Stopping, match="restarted"):
                await running.result()
    assert work.queue.inside == 0


async def test_work_that_is_cancelled_from_within_is_told_as_stopped():
    """A model whose engine is closed cancels what waits for it: that must not look as if the client itself had been cancelled."""

    async def cancelled(_):
        raise asyncio.CancelledError

    async with Jobs(AdmissionQueue(1, 0), heartbeat_s=5.0).begin(cancelled) as running:
        with pytest.raises(Stopping, match="were stopped"):
            await running.result()


async def test_a_mistake_of_the_programs_own_is_logged_and_told_in_one_line(caplog):
    """The client's error has nothing of it, the log has all of it."""
    work, job = Jobs(AdmissionQueue(1, 0), heartbeat_s=5.0), Job()
    job.error = ZeroDivisionError("inside")
    job.go.set()
    with caplog.at_level(logging.ERROR, "gork"):
        async with work.begin(job) as running:
            assert [event.text async for event in running] == ["begun"]
            with pytest.raises(InternalError) as told:
                await running.result()
    assert "inside" not in str(told.value)
    assert "ZeroDivisionError: inside" in caplog.text


async def test_idle_is_when_every_client_has_been_told():
    """Work that has ended counts until its client's block is left: what is told there must not be cut off."""
    work, job = Jobs(AdmissionQueue(1, 0), heartbeat_s=5.0), Job()
    await work.idle()
    async with work.begin(job) as running:
        job.go.set()
        await running.result()
        waiting = asyncio.create_task(work.idle())
        await settle()
        assert not waiting.done()
    await waiting


@pytest.mark.parametrize("seed", range(10))
async def test_clients_that_come_and_go_at_random_leave_nothing_behind(seed):
    """Cancelled at any step of their way, in line, inside or at the end: all places are free afterwards and nothing runs."""
    rng, work = random.Random(seed), Jobs(AdmissionQueue(2, 5), heartbeat_s=0.001)
    running = 0

    async def do(on_event):
        nonlocal running
        running += 1
        try:
            for number in range(rng.randint(0, 5)):
                on_event(Notice(str(number)))
                await asyncio.sleep(0)
        finally:
            running -= 1

    async def client():
        with suppress(QueueFull, Stopping):
            async with work.begin(do) as work_of_mine:
                async for _ in work_of_mine:
                    await asyncio.sleep(0)
                await work_of_mine.result()

    tasks = set()
    for step in range(200):
        tasks.add(asyncio.create_task(client()))
        for _ in range(rng.randint(0, 3)):
            await asyncio.sleep(0)
        rng.choice(list(tasks)).cancel()
        if step == 150:
            work.give_up(Stopping("now"))
    await asyncio.wait(tasks)
    assert (running, work.queue.inside, work.queue.waiting) == (0, 0, 0)
    for task in tasks:
        assert task.cancelled() or task.exception() is None
