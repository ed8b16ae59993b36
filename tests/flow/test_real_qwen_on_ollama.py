"""The member qwen of heavy-lite, its real weights, on a real Ollama: what the other tests, on tiny and random models, cannot show.

Slow: `pytest -m "ollama and slow" tests/flow/test_real_qwen_on_ollama.py`, with the file in the cache (`pull --engine embedded --ensemble
pocket`) and nothing else at work.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import jsonschema
import pytest
from msgspec.structs import replace

import final_script
from final_script import Team
from gork.computing.sandbox import Sandbox
from gork.config.ensemble import Ensemble, Member, load_ensemble
from gork.engines.call import Deadlines
from gork.engines.ollama.engine import OllamaEngine
from gork.turn import Question, Token
from tests.support.ollama_setup import Talk
from tests.support.program import Program
from tests.support.real_ollama import QWEN, RealOllama
from tests.support.turns import SCHEMA

pytestmark = [pytest.mark.ollama, pytest.mark.slow, pytest.mark.timeout(900)]

PATIENT = Deadlines(connect=5.0, load=300.0, first_token=300.0, idle=120.0)


def shipped_qwen() -> Member:
    """The member as heavy-lite has it."""
    return next(member for member in load_ensemble("heavy-lite").candidates if member.name == "qwen")


@asynccontextmanager
async def on(server: RealOllama, **changes: object) -> AsyncIterator[Talk]:
    """A talk with the member on the server, loaded as heavy-lite loads it."""
    member = replace(shipped_qwen(), **changes)
    load = {"num_ctx": 4096, "num_thread": 1}
    async with OllamaEngine([member], host=server.url, deadlines=PATIENT, load_options=load, context=4096) as engine:
        yield Talk(engine.models["qwen"])


async def rendered(server: RealOllama, *messages: dict[str, str]) -> str:
    """What the server would give its model to read."""
    body = {"model": QWEN, "messages": messages, "stream": False, "_debug_render_only": True}
    async with aiohttp.ClientSession() as client, client.post(f"{server.url}/api/chat", json=body) as reply:
        return str(json.loads(await reply.read())["_debug_info"]["rendered_template"])


async def test_its_chat_template_is_the_one_in_the_file(qwen_ollama):
    """Roles are marked as it was trained; our instructions stand in the place of its maker's."""
    system = shipped_qwen().system
    assert system is not None

    read = await rendered(qwen_ollama, {"role": "system", "content": system}, {"role": "user", "content": "Hi"})

    assert f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n" == read


async def test_it_stops_by_itself_and_shows_no_token_of_its_template(qwen_ollama):
    """An answer ends where its model ends it, well below the limit; its tokens come one by one."""
    async with on(qwen_ollama) as talk:
        done = await talk.chat("What is the capital of France? Answer in one sentence.", temperature=0, seed=1, num_predict=128)

    assert "Paris" in done.text
    assert ("stop", True) == (done.stop, done.tokens < 64)
    assert not any(mark in done.text for mark in ("<|", "im_end", "endoftext"))
    assert done.text == "".join(event.text for event in talk.events if isinstance(event, Token))


async def test_its_label_probabilities_follow_what_the_labels_stand_for(qwen_ollama):
    """Behind the lead-in nearly all of its probability is on the labels, and most of it on the right one, in either order."""
    async with on(qwen_ollama) as talk:
        for fruit, (first, second) in {"A": ("an apple", "a hammer"), "B": ("a hammer", "an apple")}.items():
            choice = await talk.choose(("A", "B"), text=f"Which of these is a fruit?\n\nA: {first}\n\nB: {second}\n\nReply with A or B.")

            assert "logprobs" == choice.method
            assert choice.mass > 0.5
            assert choice.probabilities[fruit] > 0.6


async def test_its_first_token_comes_sooner_when_it_has_read_the_beginning(qwen_ollama):
    """What two prompts begin with is read once."""
    text = "The old clock in the hall struck twelve while the ship lay in the harbour. " * 20
    async with on(qwen_ollama) as talk:
        first = await talk.chat(f"{text}\nWhere was the clock?", temperature=0, num_predict=4)
        second = await talk.chat(f"{text}\nWhere was the ship?", temperature=0, num_predict=4)

    assert first.prompt_tokens > 300
    assert second.first_token_s < first.first_token_s / 2


async def test_it_takes_the_memory_that_its_pod_is_given(qwen_ollama):
    """After a turn its process holds the weights and less than half a gigabyte more; the manifest's limit is 2 GiB."""
    async with on(qwen_ollama) as talk:
        await talk.chat("What is the capital of France?", num_predict=8)
        resident = max(map(_resident_mib, qwen_ollama.runners()))

    size = (shipped_qwen().weights.size or 0) / (1 << 20)
    assert size < resident < size + 512


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) / 1024


async def test_it_counts_letters_by_a_program(qwen_ollama):
    """In words it miscounts them; its program is run, and what that prints is the answer."""
    ensemble = Ensemble(name="qwen", candidates=(shipped_qwen(),), context=4096)
    load = {"num_ctx": 4096, "num_thread": 1}
    async with (
        OllamaEngine(ensemble.members, host=qwen_ollama.url, deadlines=PATIENT, load_options=load, context=4096) as engine,
        Sandbox() as sandbox,
    ):
        team = Team(
            engine=engine.name, ensemble=ensemble, promptimizer=None, candidates=(engine.models["qwen"],), judge=None, sandbox=sandbox
        )
        question = Question(text="How many times does the letter r occur in strawberry?")
        turn = await final_script.deliberate(question, team, lambda _: None, seed=1)

    assert "3" == turn.answer.strip()
    assert "qwen" == turn.verdict.computed_by
    assert turn.computed is not None
    assert "strawberry" in turn.computed.program


async def test_the_program_runs_heavy_lite_with_it(qwen_ollama, tmp_path):
    """From the command line, the starter's weights standing in for the other four: it computes, it decides, and that is the answer."""
    program = Program(tmp_path, qwen_ollama.url)
    flags = ("--json", "--seed", "1", "--timeout", "600", "--candidate-timeout", "500")
    process = await program.start(*flags, "How many times does the letter r occur in strawberry?")
    out, err = await process.communicate(b"")

    turn = json.loads(out)
    jsonschema.validate(turn, SCHEMA)
    assert (0, "ollama", "heavy-lite") == (process.returncode, turn["engine"], turn["ensemble"]), err
    assert ("3", "qwen") == (turn["answer"].strip(), turn["verdict"]["computed_by"])
