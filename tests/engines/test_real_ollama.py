"""The Ollama engine on a real Ollama: what only the server itself can prove."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gork.config.ensemble import Member
from gork.engines.call import Deadlines
from gork.engines.ollama import library
from gork.errors import Died, ModelMissing, PromptTooLong, Refused, Unreachable
from gork.turn import Restarted, Token
from tests.support.ollama_setup import Talk, engine
from tests.support.real_ollama import FIVE, STARTER, RealOllama

pytestmark = pytest.mark.ollama

PATIENT = Deadlines(connect=5.0, load=60.0, first_token=60.0, idle=30.0)
STORY = "Write a very long story about a ship, with every detail of its journey."


@asynccontextmanager
async def talking(server: RealOllama, tag: str | None = STARTER, deadlines: Deadlines = PATIENT, **member):
    """A talk with one member on a real server."""
    one = Member(name="qwen", model=tag, **member)
    async with engine(one, host=server.url, deadlines=deadlines, context=1024, num_thread=1) as made:
        yield Talk(made.models["qwen"])


async def eventually(condition, seconds: float) -> float:
    """Poll until the condition holds, and say how long that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not become true in time"
        await asyncio.sleep(0.02)
    return time.monotonic() - start


async def after_tokens(talk: Talk, number: int) -> None:
    """Wait until the model is writing."""
    await eventually(lambda: sum(isinstance(event, Token) for event in talk.events) >= number, 60.0)


async def test_a_real_model_answers(real_ollama):
    """Text, counts and confidence come from the model, its tokens one by one; the load is a stage of its own."""
    async with talking(real_ollama) as talk:
        completion = await talk.chat("What is the capital of France?", logprobs=True, num_predict=24, temperature=0, seed=1)

    assert "Paris" in completion.text
    assert completion.text == "".join(event.text for event in talk.events if isinstance(event, Token))
    assert 1 < completion.tokens <= 24
    assert completion.prompt_tokens > 10
    assert completion.confidence is not None
    assert -5 < completion.confidence < 0
    assert [state for state in talk.states() if state != "loading"] == ["reading", "writing"]


async def test_labels_have_more_of_the_mass_behind_a_lead_in(real_ollama):
    """Read behind the lead-in, labels have probabilities that sum to one, and more of the whole than without."""
    question = "Which of these is a fruit?\n\nA: an apple\n\nB: a hammer\n\nReply with A or B."
    async with talking(real_ollama) as talk:
        led = await talk.choose(("A", "B"), text=question, lead_in="Answer:")
        plain = await talk.choose(("A", "B"), text=question, lead_in="")

    assert led.method == plain.method == "logprobs"
    assert sum(led.probabilities.values()) == pytest.approx(1)
    assert all(0 < probability < 1 for probability in led.probabilities.values())
    assert led.mass > max(plain.mass, 0.3)
    assert led.prompt_tokens > 20


async def test_a_schema_forces_a_label_on_a_real_model(real_ollama):
    """Labels that no token spells are forced by a schema."""
    async with talking(real_ollama) as talk:
        choice = await talk.choose(("zebra crossing", "xylophone"), text="Say a word.")

    assert choice.method == "schema"
    assert sum(choice.probabilities.values()) == pytest.approx(1)


async def test_nothing_reloads_the_model_between_calls(real_ollama):
    """Chat, choice, priming and chat again are answered by one and the same process, without a load."""
    before = real_ollama.runners()
    async with talking(real_ollama) as talk:
        await talk.chat("Hello", num_predict=2, temperature=0)
        first = set(real_ollama.runners())
        await talk.choose(("A", "B"))
        await talk.model.prefill([{"role": "user", "content": "Hello"}], on_event=talk.events.append)
        await talk.chat("Hello", num_predict=2, temperature=1.5, top_k=3, seed=5)

        assert set(real_ollama.runners()) == first
        assert len(first - set(before)) <= 1
        assert (await talk.model.check()).loaded
        assert talk.model.context == 1024


async def test_the_only_model_of_a_server_is_found(lone_ollama):
    """A member without a tag takes what its server has, at a configured URL."""
    async with talking(lone_ollama, None, url=lone_ollama.url) as talk:
        completion = await talk.chat("Hello", num_predict=4)

        assert completion.tokens > 0
        assert talk.model.model == STARTER
        assert talk.model.context == 2048  # the server's own


async def test_a_member_without_a_tag_at_a_server_of_many_is_refused(real_ollama):
    """The models that are there are listed."""
    async with talking(real_ollama, None) as talk:
        with pytest.raises(Refused, match=r"6 models .*gemma3:1b"):
            await talk.chat()


async def test_a_missing_model_is_named(real_ollama):
    """The real server's words for it are understood; so is its list."""
    async with talking(real_ollama, "no-such:1b") as talk:
        with pytest.raises(ModelMissing, match="ollama pull no-such:1b"):
            await talk.chat()
        assert "ollama pull no-such:1b" in (await talk.model.check()).detail

    wanted = [Member(name=tag, model=tag) for tag in (*FIVE, "no-such:1b")]
    assert await library.missing(wanted, real_ollama.url) == ["no-such:1b"]
    assert await library.answers(real_ollama.url, 5.0)


async def test_a_prompt_that_does_not_fit_is_an_error(real_ollama):
    """Chat and choice are refused by the server; nothing is cut in silence."""
    async with talking(real_ollama) as talk:
        for call in (talk.chat("word " * 3000), talk.choose(("A", "B"), text="word " * 3000)):
            with pytest.raises(PromptTooLong, match="exceeds the available context size"):
                await call


async def test_a_cancelled_model_stops_within_a_second(real_ollama):
    """Its process uses no more CPU, and the slot answers the next question."""
    async with talking(real_ollama, FIVE[0]) as talk:
        await talk.chat("Hello", num_predict=1)
        call = asyncio.create_task(talk.chat(STORY, num_predict=5000, temperature=1.0))
        await after_tokens(talk, 5)
        stopped = real_ollama.log.read_text().count("stop processing")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: real_ollama.log.read_text().count("stop processing") > stopped, 1.0)

        completion = await talk.chat("Hello", num_predict=1)
        assert completion.tokens == 1
        assert completion.seconds < 5


async def test_three_models_are_at_work_at_the_same_time(real_ollama):
    """When the first of three is done, the processes of all three have been computing for it."""
    members = [Member(name=tag, model=tag) for tag in FIVE[:3]]
    async with engine(*members, host=real_ollama.url, deadlines=PATIENT, context=1024, num_thread=1) as made:
        talks = [Talk(model) for model in made.models.values()]
        for talk in talks:
            await talk.chat("Hello", num_predict=1)
        before = real_ollama.runners()
        calls = [asyncio.create_task(talk.chat(STORY, num_predict=60, temperature=0, seed=1)) for talk in talks]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        after = real_ollama.runners()
        await asyncio.gather(*calls)

    busy = [pid for pid, seconds in after.items() if seconds - before[pid] >= 0.1]
    assert len(busy) == 3


async def test_a_killed_runner_is_asked_again(real_ollama):
    """The process that runs a model is killed in mid-stream: Ollama starts another, and the second try answers."""
    async with talking(real_ollama, FIVE[4]) as talk:
        others = set(real_ollama.runners())
        await talk.chat("Hello", num_predict=1)
        (runner,) = set(real_ollama.runners()) - others
        call = asyncio.create_task(talk.chat(STORY, num_predict=60, temperature=0))
        await after_tokens(talk, 5)
        os.kill(runner, signal.SIGKILL)
        completion = await call

        assert completion.tokens == 60
        assert sum(isinstance(event, Restarted) for event in talk.events) == 1
        assert runner not in real_ollama.runners()


async def test_a_model_that_repeats_itself_is_cut_short(real_ollama):
    """Ollama ends such a text without a word; it is kept and marked, and not asked for again."""
    async with talking(real_ollama) as talk:
        again = {"presence_penalty": -2.0, "frequency_penalty": -2.0}  # a reward: what has been said is said again
        completion = await talk.chat("ha ha ha ha ha", num_predict=200, temperature=0, **again)

    assert completion.stop == "repetition"
    assert completion.text.strip()
    assert not any(isinstance(event, Restarted) for event in talk.events)


async def test_a_killed_server_is_a_failure_soon(lone_ollama):
    """The server itself is killed in mid-stream and does not come back: the failure names it, and comes when patience ends."""
    async with talking(lone_ollama, deadlines=replace(PATIENT, patience=1.0)) as talk:
        call = asyncio.create_task(talk.chat(STORY, num_predict=2000))
        await after_tokens(talk, 3)
        lone_ollama.stop()
        async with asyncio.timeout(5.0):
            with pytest.raises((Unreachable, Died), match=lone_ollama.url):
                await call


async def test_the_five_names_are_there_and_sound(real_ollama):
    """The ensemble of five finds its models on this server."""
    members = [Member(name=tag, model=tag) for tag in FIVE]
    async with engine(*members, host=real_ollama.url, deadlines=PATIENT) as made:
        health = [await model.check() for model in made.models.values()]

    assert [one.ok for one in health] == [True] * 5
