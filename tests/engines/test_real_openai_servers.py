"""The engine for OpenAI's API on servers that are real: llama.cpp's own, and a service of this program."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from gork.config.ensemble import Member
from gork.engines.call import Deadlines
from gork.engines.openai.engine import OpenAIEngine
from gork.errors import PromptTooLong, Refused
from gork.turn import Notice, Token
from tests.support.llama_server import llama_server
from tests.support.ollama_setup import Talk
from tests.support.program import Program
from tests.support.scripted_service import ANSWERS, scripted_service

KEY = "a-key-of-a-real-server"
WHICH = "Which one is a fruit? A) an apple B) a car. Answer with the letter."


@pytest.fixture
async def server(starter_gguf):
    """llama-server on the smallest real weights, with a key."""
    async with llama_server(starter_gguf, context=1024, key=KEY, alias="smol") as url:
        yield url


def engine(url, **more):
    """An engine with one member there."""
    member = Member(**{"name": "smol", "api": "openai", "url": url, "key_env": "SMOL_KEY", **more})
    return OpenAIEngine([member], deadlines=Deadlines(), context=4096, environ={"SMOL_KEY": KEY})


async def test_a_member_on_llama_server_does_all_that_members_do(server):
    """Health, context, text with confidence, labels from log-probabilities and from a schema, JSON; cancelling frees the slot."""
    async with engine(server) as one:
        talk = Talk(one.models["smol"])
        health = await talk.model.check()
        answer = await talk.chat("What is the capital of France?", logprobs=True, temperature=0, num_predict=24, top_k=1, num_keep=0)
        label = await talk.choose(("A", "B"), text=WHICH)
        again = await talk.choose(("A", "B"), text=WHICH)
        talk.model._known.logprobs = False
        forced = await talk.choose(("A", "B"), text=WHICH)
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
        form = await talk.model.chat(
            [{"role": "user", "content": "A number?"}],
            options={"num_predict": 40, "temperature": 0},
            on_event=talk.events.append,
            answer_format=schema,
        )
        with pytest.raises(PromptTooLong, match=r"exceeds the available context size \(1024 tokens\)"):
            await talk.chat("word " * 3000)
        long = asyncio.create_task(talk.chat("Tell a very long story.", num_predict=800))
        await _writing(talk)
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        await _idle(server)

    assert (health.ok, health.loaded, talk.model.model, talk.model.context) == (True, True, "smol", 1024)
    assert (len(answer.text) > 20, answer.tokens, answer.stop) == (True, 24, "length")
    assert answer.confidence is not None
    assert answer.confidence < 0
    assert (label.method, forced.method) == ("logprobs", "schema")
    assert label.mass > 0.3  # the lead-in works
    assert label.probabilities == again.probabilities  # read afresh
    assert isinstance(json.loads(form.text)["n"], int)
    assert [event.text for event in talk.events if isinstance(event, Notice)] == [
        f"smol at {server}: it gives no log-probabilities: its choice is read from an answer that a schema holds to the labels"
    ]


async def _writing(talk):
    """Until a token has come."""
    seen = len(talk.events)
    async with asyncio.timeout(60):
        while not any(isinstance(event, Token) for event in talk.events[seen:]):
            await asyncio.sleep(0.02)


async def _idle(url):
    """Until llama-server works on nothing."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as client, asyncio.timeout(10):
        while True:
            async with client.get(f"{url.removesuffix('/v1')}/slots", headers={"Connection": "close"}) as reply:
                if not any(slot["is_processing"] for slot in await reply.json()):
                    return
            await asyncio.sleep(0.05)


async def test_a_wrong_key_is_told_without_it(server):
    """In health and in a call."""
    member = Member(name="smol", api="openai", url=server, model="smol", key_env="SMOL_KEY")
    async with OpenAIEngine([member], deadlines=Deadlines(), context=512, environ={"SMOL_KEY": "wrong-key-zzz"}) as one:
        with pytest.raises(Refused, match=r"Invalid API Key \(HTTP 401\); is the key in its variable right\?") as caught:
            await Talk(one.models["smol"]).chat()

    assert "zzz" not in str(caught.value)


async def test_a_turn_on_two_engines_at_once(server, starter_gguf, tmp_path):
    """From the command line: one candidate embedded, one on llama-server that also judges; the key is in no output."""
    ensemble = tmp_path / "two.yaml"
    ensemble.write_text(f"""
name: two
candidates:
  - {{name: here, api: embedded, path: {starter_gguf}, options: {{num_predict: 24, temperature: 0}}}}
  - {{name: there, api: openai, url: "{server}", key_env: SMOL_KEY, system: Answer in one word., options: {{num_predict: 24}}}}
judge: {{name: judge, api: openai, url: "{server}", key_env: SMOL_KEY}}
""")
    program = Program(tmp_path)
    told = ("--ensemble", str(ensemble), "--no-optimize")
    code, out, err = await program.run(*told, "--json", "--threads", "1", "What is the capital of France?", SMOL_KEY=KEY)
    _, config, _ = await program.run(*told, "--show-config", SMOL_KEY=KEY)
    turn = json.loads(out)

    assert (code, turn["engine"], turn["failures"], turn["verdict"]["fallback"]) == (0, "mixed", [], None)
    assert [answer["member"] for answer in turn["answers"]] == ["here", "there"]
    assert "engine: OpenAI API + embedded llama.cpp, ensemble two (as its members say)" in err
    assert KEY.encode() not in out + config + err.encode()


async def test_a_service_of_this_program_can_be_a_member():
    """An ensemble in an ensemble: whole turns there, without a probe that would be one; its choice is read from a schema."""
    async with scripted_service() as service:
        member = Member(name="inner", api="openai", url=f"{service.url}/v1", model="gork-heavy-lite")
        async with OpenAIEngine([member], deadlines=Deadlines(), context=2048, environ={}) as one:
            talk = Talk(one.models["inner"])
            health = await talk.model.check()
            completion = await talk.chat("what is teh capital of france", temperature=0.2, top_k=5, seed=3)
            asked = [len(model.asked) for model in service.models.values()]

    assert (health.ok, completion.text, completion.stop) == (True, ANSWERS["qwen"], "stop")
    assert asked[1:4] == [1, 1, 1]
