"""The limit of a whole turn, after all deadlines of its stages: nothing runs for ever, and loading a model is not counted."""

from __future__ import annotations

import asyncio

import pytest

from gork.errors import TurnTimedOut
from gork.service.jobs import within
from gork.service.service import ServiceLimits
from gork.turn import Failed, Failure, MemberState, State
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.service_setup import MODELS, kinds, lines, serving

LOAD_S = 0.5


async def hang(_):
    """A flow that lost its way."""
    await asyncio.Event().wait()


async def test_what_does_not_end_is_ended():
    """An error that names the limit, in place of a client that waits for ever."""
    with pytest.raises(TurnTimedOut, match=r"within 0\.1 s"):
        await within(hang, lambda _: None, limit_s=0.1, load_s=LOAD_S, grace_s=0.0)


async def test_what_ends_in_time_is_as_it_would_be_without():
    """Its result and its events."""
    seen = []

    async def fine(told):
        told(MemberState("a", State.READING))
        return 42

    assert await within(fine, seen.append, limit_s=5.0, load_s=LOAD_S, grace_s=5.0) == 42
    assert seen == [MemberState("a", State.READING)]


async def test_a_time_limit_of_its_own_is_not_mistaken_for_this_one():
    """A `TimeoutError` from inside stays what it is."""

    async def late(_):
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await within(late, lambda _: None, limit_s=5.0, load_s=LOAD_S, grace_s=5.0)


@pytest.mark.parametrize("end", [MemberState("a", State.READING), Failed(Failure(member="a", kind="died", message="gone"))])
async def test_loading_does_not_count_and_ends_with_the_load(end):
    """The clock stands while any member loads; afterwards what was left of the limit is left still, and no more."""
    loop, marks = asyncio.get_running_loop(), []

    async def loads(told):
        told(MemberState("a", State.LOADING))
        told(MemberState("b", State.LOADING))
        told(MemberState("b", State.READING))
        await asyncio.sleep(0.3)
        told(end)
        marks.append(loop.time())
        await hang(told)

    with pytest.raises(TurnTimedOut):
        await within(loads, lambda _: None, limit_s=0.15, load_s=3.0, grace_s=0.0)
    assert 0.1 < loop.time() - marks[0] < 0.5


async def test_a_load_that_never_ends_is_ended_too():
    """The engine's own deadline for a load ends it; should that fail, this one does."""

    async def loads(told):
        told(MemberState("a", State.LOADING))
        await hang(told)

    began = asyncio.get_running_loop().time()
    with pytest.raises(TurnTimedOut):
        await within(loads, lambda _: None, limit_s=0.1, load_s=LOAD_S, grace_s=0.0)
    assert 0.45 < asyncio.get_running_loop().time() - began < 0.8


async def test_a_turn_whose_models_hang_ends_with_what_each_was_waited_for():
    """The flow's own deadlines come first: no answer, and why, not much later than the turn's limit."""
    async with FakeOllama(*MODELS) as ollama:
        for model in "abc":
            ollama.say(model, Reply("never", gate=asyncio.Event()))
        async with serving(ollama, timeout=0.6) as at, at.ask() as reply:
            events = [event async for event in lines(reply)]
            assert events[-1][0] == "error"
            assert events[-1][1].count("waited too long") == 3
        await ollama.until(lambda: len(ollama.cancelled) == 3)
        assert sorted(ollama.cancelled) == ["a", "b", "c"]


async def test_a_flow_that_ignores_its_own_limits_is_ended_for_its_client():
    """504 in place of a connection that stays open; the next client finds its place free."""
    limits = ServiceLimits(grace_s=0.0)
    async with FakeOllama(*MODELS) as ollama, serving(ollama, limits=limits, timeout=1.0, turns=1) as at:
        ask = at.service.ask

        async def stuck(question, on_event, how=None, **_):
            await hang(on_event)

        at.service.ask = stuck
        async with at.client.post(f"{at.url}/v1/test", json={"question": "x", "stream": False}) as reply:
            assert reply.status == 504
            assert "within 1 s" in (await reply.json())["error"]["message"]
        at.service.ask = ask
        assert (await at.metrics())["gork_turns_total{outcome=timeout}"] == 1
        async with at.ask() as reply:
            assert (await kinds(reply))[-1] == "finished"
