"""A model that nobody asks gives its memory back, and is there again when it is asked: embedded ones, and those of a local Ollama."""

from __future__ import annotations

import asyncio
import math

import aiohttp
import pytest
from msgspec.structs import replace

from gork.config.ensemble import Choosing, Ensemble, Member
from gork.config.settings import load_settings
from gork.engines.call import Deadlines
from gork.engines.choose import ollama_engine
from gork.engines.llama.engine import EmbeddedEngine
from gork.engines.model import MixedEngine
from gork.turn import Token
from tests.support.fake_ollama import FakeOllama
from tests.support.ollama_setup import MODEL, Talk
from tests.support.ollama_setup import engine as ollama_at
from tests.support.served import serving
from tests.support.tiny_models import write_tiny


@pytest.fixture
def file(tmp_path):
    """A tiny model that writes until it is stopped."""
    return write_tiny(tmp_path / "tiny.gguf", "qwen2")


def engine(file, *names, keep_s):
    """An engine whose members share one file."""
    members = [Member(name=name) for name in names or ("a",)]
    return EmbeddedEngine(members, files=dict.fromkeys(names or ("a",), file), context=1024, cores=1, deadlines=Deadlines(), keep_s=keep_s)


async def gone(child):
    """Until its process has ended."""
    async with asyncio.timeout(10):
        while child.pid is not None:
            await asyncio.sleep(0.01)


async def test_a_child_without_a_question_ends_and_comes_back(file):
    """Its health says so; the next question starts it again, which is shown as loading."""
    async with engine(file, keep_s=0.05) as one:
        talk = Talk(one.models["a"])
        await talk.chat(num_predict=2)
        first = talk.model.child.pid
        await gone(talk.model.child)
        health = await talk.model.check()
        talk.events.clear()
        completion = await talk.chat(num_predict=2)

        assert completion.tokens == 2
        assert talk.states()[0] == "loading"
        assert talk.model.child.pid != first
    assert (health.ok, health.loaded, "ended after 0.05 s without a question" in health.detail) == (True, False, True)


async def test_a_child_at_work_stays(file):
    """However long a request runs: its time without one begins after it."""
    async with engine(file, keep_s=0.02) as one:
        talk = Talk(one.models["a"])
        call = asyncio.create_task(talk.chat(num_predict=900))
        async with asyncio.timeout(30):
            while sum(isinstance(event, Token) for event in talk.events) < 3:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # several times as long as it may be idle: that is what is being tested
        assert talk.model.child.pid is not None
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await gone(talk.model.child)


async def test_a_question_that_comes_while_it_ends_is_answered(file):
    """The end is waited for, then it starts anew; nothing is lost or failed."""
    async with engine(file, keep_s=60) as one:
        talk = Talk(one.models["a"])
        for _ in range(3):
            assert (await talk.chat(num_predict=2)).tokens == 2
            talk.model.child.rest()


async def test_members_on_one_file_keep_it_together(file):
    """One that is asked keeps it for the other."""
    async with engine(file, "a", "b", keep_s=60) as one:
        await Talk(one.models["a"]).chat(num_predict=2)
        one.keep("b", 0)
        await gone(one.models["a"].child)


async def test_a_request_to_the_service_can_say_how_long(file):
    """keep_alive as Ollama has it: 0 gives the memory back, with a question and without; the next one is as usual."""
    ensemble = Ensemble(name="one", candidates=(Member(name="a", options={"num_predict": 16}),), choosing=Choosing())
    settings = load_settings({"port": "0", "optimize": False, "seed": 1}, {}).with_ensemble(ensemble)
    async with engine(file, keep_s=60) as one, serving(settings, one) as at, aiohttp.ClientSession() as client:
        child = one.models["a"].child

        async def ask(**more):
            body = {"model": "gork-heavy-lite", "stream": False, "messages": [{"role": "user", "content": "Hi"}], **more}
            async with client.post(f"{at.url}/api/chat", json=body) as reply:
                return (await reply.json())["done_reason"]

        await ask()
        assert child.pid is not None
        await ask(keep_alive=0)
        await gone(child)
        await ask(keep_alive="10m")
        assert (child.keep_s, child.pid is not None) == (600, True)
        await ask()
        assert child.keep_s == 60
        assert await ask(messages=[], keep_alive=0) == "unload"
        await gone(child)


async def test_for_ever_is_for_ever(file):
    """A negative keep_alive: no timer at all."""
    async with engine(file, keep_s=float("inf")) as one:
        talk = Talk(one.models["a"])
        await talk.chat(num_predict=2)

        assert talk.model.child._timer is None


# --- a local Ollama


@pytest.mark.parametrize(("seconds", "sent"), [(1800.0, 1800), (math.inf, -1), (0.5, 1), (0.0, 0)])
async def test_what_the_user_says_of_keeping_goes_with_every_request_to_a_local_ollama(seconds, sent):
    """As a number of seconds, since Ollama refuses "-1"; the preload too, else it would begin with another time."""
    async with FakeOllama(MODEL) as server, ollama_at(Member(name="a", model=MODEL), host=server.url, keep_s=seconds) as one:
        talk = Talk(one.models["a"])
        await talk.chat()
        await talk.choose()

    bodies = server.bodies("/api/chat") + server.bodies("/api/generate")
    assert [(body["keep_alive"], type(body["keep_alive"])) for body in bodies] == [(sent, int)] * 4


@pytest.mark.parametrize(("flags", "sent"), [({}, None), ({"keep_alive": "30m"}, 1800), ({"keep_alive": "-1"}, -1)])
async def test_a_laptops_ollama_keeps_its_own_default_unless_the_user_says_otherwise(flags, sent):
    """The setting's default is for embedded models: it says nothing of those of another program."""
    ensemble = Ensemble(name="one", candidates=(Member(name="a", model=MODEL),), choosing=Choosing())
    async with FakeOllama(MODEL) as server:
        settings = load_settings(flags, {"OLLAMA_HOST": server.url}).with_ensemble(ensemble)
        async with ollama_engine(settings) as one:
            await Talk(one.models["a"]).chat()

    assert {body.get("keep_alive") for body in server.bodies("/api/chat")} == {sent}


async def test_a_clients_keep_alive_reaches_a_local_ollama_and_no_other():
    """After the answer, for what is loaded: members at URLs are kept for everybody, and nothing is loaded only to be told."""
    near, far, idle = Member(name="near", model=MODEL), Member(name="far", model=MODEL), Member(name="idle", model="idle:1b")
    async with FakeOllama(MODEL, "idle:1b") as here, FakeOllama(MODEL) as there:
        ensemble = Ensemble(name="two", candidates=(near, replace(far, url=there.url)), choosing=Choosing())
        settings = load_settings({"port": "0", "optimize": False, "seed": 1}, {}).with_ensemble(ensemble)
        engines = MixedEngine([ollama_at(near, idle, host=here.url, num_thread=1), ollama_at(ensemble.candidates[1], host=there.url)])
        async with engines as both, serving(settings, both) as at, aiohttp.ClientSession() as client:

            async def ask(**more):
                body = {"model": "gork-heavy-lite", "stream": False, "messages": [{"role": "user", "content": "Hi"}], **more}
                async with client.post(f"{at.url}/api/chat", json=body) as reply:
                    assert reply.status == 200

            await ask(keep_alive="10m")
            await here.until(lambda: here.bodies("/api/chat")[-1].get("keep_alive") == 600)
            told = here.bodies("/api/chat")[-1]
            await ask(messages=[], keep_alive=0)
            await here.until(lambda: MODEL not in here.loaded)
            await ask()

    assert (told["messages"], told["options"]) == ([], {"num_ctx": 2048, "num_thread": 1})  # others would load it anew
    assert {body["keep_alive"] for body in there.bodies("/api/chat")} == {-1}
    assert "idle:1b" not in here.loaded
    assert "keep_alive" not in here.chats[-1]
    assert MODEL in here.loaded
