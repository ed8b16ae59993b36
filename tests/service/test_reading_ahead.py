"""What models of a service read before they are asked: for prompts that run their turns there, and in nobody's way."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import pytest

from gork.config.ensemble import Ensemble, Member
from gork.service.reading_ahead import ReadingAhead
from gork.turn import Question
from tests.support.heavy_lite import MODELS, heavy_lite
from tests.support.scripted_service import scripted_service
from tests.support.served import serving_fake

HISTORY = [{"role": "user", "content": "capital of italy"}, {"role": "assistant", "content": "Rome."}]
ENSEMBLE = Ensemble(name="one", candidates=(Member(name="a"),))


class Reads:
    """In place of models: notes what it is to read, and reads until it is let go."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.ended = 0
        self.began, self.gate = asyncio.Event(), asyncio.Event()

    async def __call__(self, question: Question, ensemble: Ensemble) -> None:
        self.asked.append(question)
        self.began.set()
        try:
            await self.gate.wait()
        finally:
            self.ended += 1


@asynccontextmanager
async def reading(reads, served):
    """A service that has begun to read for a client; gives the client's request."""
    served.service.reading_ahead._read = reads
    async with aiohttp.ClientSession() as client:

        async def ask() -> int:
            async with client.post(f"{served.url}/api/read-ahead", json={"history": HISTORY, "system": "Be brief."}) as reply:
                return reply.status

        task = asyncio.create_task(ask())
        await reads.began.wait()
        yield task
        task.cancel()
        await asyncio.wait({task})


async def test_the_next_turn_begins_with_what_was_read():
    """History and the client's instructions, as each member gets them."""
    async with heavy_lite() as fake, serving_fake(fake) as served, aiohttp.ClientSession() as client:
        fake.loaded |= dict.fromkeys(MODELS, 4096)
        said = {"history": HISTORY, "system": "Be brief."}
        async with client.post(f"{served.url}/api/read-ahead", json=said) as reply:
            assert reply.status == 204
        read = {body["model"]: body["messages"] for body in fake.read_ahead}
        async with client.post(f"{served.url}/api/deliberate", json={"question": "and of spain", "optimize": False, **said}) as reply:
            await reply.read()

    chats = {body["model"]: body["messages"] for body in fake.chats}
    assert set(read) == set(MODELS)
    for model in ("qwen3:0.6b", "qwen2.5-coder:1.5b", "llama3.2:1b"):
        assert read[model] == chats[model][:-1]
        assert read[model][-2:] == HISTORY


@pytest.mark.parametrize("path", ["/api/deliberate", "/api/chat", "member", "/api/explain"])
async def test_whatever_is_asked_ends_it_first(path):
    """A turn, one member alone, an explanation: none waits for a slot that a reading holds."""
    reads = Reads()
    async with scripted_service() as served, reading(reads, served) as client:
        asked = {"messages": [{"role": "user", "content": "q"}], "question": "q", "stream": False}
        if path == "/api/explain":
            asked = {"turn": (await _turn(served))}
            reads.began.clear()
            again = asyncio.create_task(served.service.reading_ahead.read(Question(text=""), served.service.ensemble))
            await reads.began.wait()
        before = reads.ended
        model = {"model": "qwen"} if path == "member" else {"model": "gork-heavy-lite"}
        route = "/api/chat" if path == "member" else path
        async with served.post(route, asked | ({} if "turn" in asked else model if route == "/api/chat" else {})) as reply:
            await reply.read()
            assert reply.status == 200, await reply.text()

        assert reads.ended == before + 1
        assert await client == 204
        if path == "/api/explain":
            await again


async def _turn(served):
    """A turn that has ended, as JSON."""
    async with served.post("/api/deliberate", {"question": "capital of france pls"}) as reply:
        raw = await reply.read()
    return json.loads(raw.rsplit(b"data: ", 1)[1])


async def test_a_client_that_leaves_ends_it():
    """That is how a prompt says that the next question comes."""
    reads = Reads()
    async with scripted_service() as served, reading(reads, served) as client:
        client.cancel()
        async with asyncio.timeout(10):
            while not reads.ended:
                await asyncio.sleep(0.01)

    assert [(question.text, len(question.history), question.system) for question in reads.asked] == [("", 2, "Be brief.")]


async def test_nothing_is_read_while_a_turn_runs():
    """The client is told at once that it is over."""
    reads = Reads()
    async with scripted_service() as served:
        served.service.reading_ahead._read = reads
        with served_busy(served):
            async with served.post("/api/read-ahead", {"history": HISTORY}) as reply:
                assert reply.status == 204

    assert reads.asked == []


@contextmanager
def served_busy(served):
    """A place in the queue of turns, held."""
    ticket = served.service.turns.queue.enter()
    try:
        yield
    finally:
        ticket.leave()


async def test_what_cannot_be_understood_is_refused():
    """As with a turn."""
    async with scripted_service() as served:
        async with served.post("/api/read-ahead", {"history": [{"role": "tool", "content": "x"}]}) as reply:
            assert reply.status == 400
        async with served.post("/api/read-ahead", {"members": ["nobody"]}) as reply:
            assert reply.status == 400


async def test_a_service_that_is_stopped_reads_no_more():
    """Its end does not wait for a reading."""
    reads = Reads()
    async with scripted_service() as served, reading(reads, served) as client:
        served.service.stop_taking()

        assert await client == 204
        async with served.post("/api/read-ahead", {"history": HISTORY}) as reply:
            assert reply.status == 204
    assert (len(reads.asked), reads.ended) == (1, 1)


async def test_of_two_histories_the_newer_one_is_read():
    """One at a time: each takes the slots of all members."""
    reads = Reads()
    ahead = ReadingAhead(reads, limit_s=60)
    first = asyncio.create_task(ahead.read(Question(text="1"), ENSEMBLE))
    await reads.began.wait()
    second = asyncio.create_task(ahead.read(Question(text="2"), ENSEMBLE))
    await first
    assert [question.text for question in reads.asked] == ["1", "2"]
    assert not second.done()
    reads.gate.set()
    await second


async def test_a_reading_has_a_limit():
    """However long a model takes."""
    reads = Reads()
    async with asyncio.timeout(10):
        await ReadingAhead(reads, limit_s=0.01).read(Question(text=""), ENSEMBLE)

    assert reads.ended == 1


async def test_what_goes_wrong_in_it_is_no_secret():
    """A mistake of ours is not swallowed, and does not stand in the way of the next one."""

    async def fails(question, ensemble):
        raise KeyError("a")

    ahead = ReadingAhead(fails, limit_s=60)
    for _ in range(2):
        with pytest.raises(KeyError):
            await ahead.read(Question(text=""), ENSEMBLE)
