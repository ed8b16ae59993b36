"""The embedded engine on real llama.cpp, with tiny models of the five architectures."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest

from gork.config.ensemble import Member
from gork.engines.call import Deadlines
from gork.engines.llama.child import WORKER, Child
from gork.engines.llama.engine import EmbeddedEngine, EmbeddedModel
from gork.engines.loops import LEAST
from gork.errors import ConfigError, Died, EngineError, ModelError, ModelMissing, PromptTooLong, Refused, TimedOut
from gork.turn import Event, Message, Restarted, Token
from tests.support.paths import ROOT
from tests.support.processes import is_gone
from tests.support.tiny_models import ARCHITECTURES, write_tiny

QUESTION: list[Message] = [{"role": "user", "content": "What is A?"}]
ENDLESS = {"num_predict": -1, "temperature": 0.8}


def engine_on(files: dict[str, Path], **changes) -> EmbeddedEngine:
    """An engine with one member for each name."""
    settings = {"context": 16384, "cores": 1, "deadlines": Deadlines()} | changes
    parallel = settings.pop("parallel", 1)
    return EmbeddedEngine([Member(name=name, parallel=parallel) for name in files], files=files, **settings)


def nothing(event: Event) -> None:
    """Take an event and do nothing."""


async def until(condition: Callable[[], object], within_s: float = 10.0) -> float:
    """Wait for the condition (it may be a coroutine function) and return how long that took."""
    began = time.perf_counter()
    while True:
        met = condition()
        if asyncio.iscoroutine(met):
            met = await met
        if met:
            return time.perf_counter() - began
        assert time.perf_counter() - began < within_s, "it did not happen in time"
        await asyncio.sleep(0.005)


async def ask(child: Child, method: str, path: str, body: object = None) -> Any:
    """What the child's server replies."""
    async with aiohttp.ClientSession() as session, session.request(method, child.url + path, json=body, headers=child.headers) as reply:
        return await reply.json()


async def slots(model: EmbeddedModel) -> list[bool]:
    """Which slots of the model's child are at work, as the child says it."""
    return [slot["is_processing"] for slot in await ask(model.child, "GET", "/slots")]


def idle(model: EmbeddedModel) -> Callable[[], Awaitable[bool]]:
    """Tells whether none of the slots of the model's child is at work."""

    async def free() -> bool:
        return not any(await slots(model))

    return free


async def stop(*tasks: asyncio.Task) -> None:
    """Cancel the tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Callable[..., Path]:
    """Writes a tiny model under a name, once for the module."""
    folder = tmp_path_factory.mktemp("models")

    def write(name: str = "tiny", arch: str = "qwen2", **more) -> Path:
        path = folder / f"{name}.gguf"
        return path if path.exists() else write_tiny(path, arch, **more)

    return write


class TestAnswers:
    @pytest.mark.parametrize("arch", ARCHITECTURES)
    async def test_each_architecture_loads_and_streams(self, tiny, arch):
        """A file of each of the five architectures answers, and its tokens are the text."""
        events: list[Event] = []
        async with engine_on({"a": tiny(arch, arch)}) as engine:
            done = await engine.models["a"].chat(QUESTION, options={"num_predict": 20, "seed": 1}, on_event=events.append, logprobs=True)

        assert done.text
        assert done.text == "".join(event.text for event in events if isinstance(event, Token))
        assert (done.stop, done.tokens, done.complete) == ("length", 20, False)
        assert done.prompt_tokens > 5
        assert done.confidence is not None
        assert done.confidence < 0

    async def test_characters_split_over_tokens_arrive_whole(self, tiny):
        """A character of several tokens is never cut: what streams is its bytes, and half a one at the end is left out."""
        path = tiny("party", cycle=[bytes([byte]) for byte in "é🎉".encode()])
        async with engine_on({"a": path}) as engine:
            done = await engine.models["a"].chat(QUESTION, options={"num_predict": 15, "temperature": 0}, on_event=nothing)

        assert done.text == "é🎉é🎉é"

    async def test_a_loop_is_ended_and_what_was_written_is_kept(self, tiny):
        """The model would go on until its limit; its slot is free for the next question."""
        path = tiny("loop", cycle=[bytes([byte]) for byte in b"so it"])
        async with engine_on({"a": path}) as engine:
            model = engine.models["a"]
            done = await model.chat(QUESTION, options={"num_predict": 4000, "temperature": 0}, on_event=nothing)
            await until(idle(model))

        assert (done.stop, done.complete) == ("repetition", False)
        assert done.text.startswith("so itso itso it")
        assert LEAST <= len(done.text) < 2 * LEAST

    async def test_a_model_that_ends_at_once_gives_an_empty_complete_text(self, tiny):
        """An end token as the first one is an answer without text, not an error."""
        async with engine_on({"a": tiny("silent", bias={"<|im_end|>": 60})}) as engine:
            done = await engine.models["a"].chat(QUESTION, options={}, on_event=nothing)

        assert (done.text, done.stop) == ("", "stop")

    async def test_the_file_s_own_template_renders_the_chat_without_thinking(self, tiny):
        """The prompt is what the template in the file makes, with an empty thought where the model knows thinking."""
        async with engine_on({"a": tiny("qwen3", "qwen3")}) as engine:
            model = engine.models["a"]
            await model.child.ensure()
            closed, prompt = await model.render(QUESTION), await model.render([*QUESTION, {"role": "assistant", "content": "Answer: "}])

        assert (
            closed + "Answer: "
            == prompt
            == "<|im_start|>user\nWhat is A?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nAnswer: "
        )

    async def test_the_starter_answers_sensibly(self, starter_gguf):
        """Real weights give real language, the same on two members of one child."""
        prompt: list[Message] = [{"role": "user", "content": "What is the capital of France? One short sentence."}]
        async with engine_on({"a": starter_gguf, "b": starter_gguf}, context=1024) as engine:
            options = {"temperature": 0, "num_predict": 24}
            both = await asyncio.gather(*(engine.models[n].chat(prompt, options=options, on_event=nothing) for n in "ab"))

        assert all("Paris" in done.text for done in both)


class TestOptions:
    async def test_a_seed_makes_the_text_reproducible(self, tiny):
        """The same seed gives the same text at any temperature, another one another text."""
        async with engine_on({"a": tiny()}) as engine:

            async def text(seed: int) -> str:
                options = {"seed": seed, "temperature": 1.2, "num_predict": 30}
                return (await engine.models["a"].chat(QUESTION, options=options, on_event=nothing)).text

            assert await text(1) == await text(1) != await text(2)

    async def test_temperature_is_applied(self, tiny):
        """Without heat the seed does not matter."""
        async with engine_on({"a": tiny()}) as engine:
            texts = [
                (await engine.models["a"].chat(QUESTION, options={"seed": s, "temperature": 0, "num_predict": 30}, on_event=nothing)).text
                for s in (1, 2)
            ]

        assert texts[0] == texts[1]

    @pytest.mark.parametrize("given", ["d", ("x", "d")])
    async def test_a_stop_text_ends_the_answer_before_it(self, tiny, given):
        """One stop text or several: the first that comes ends the answer and is not part of it."""
        path = tiny("abc", cycle=[bytes([byte]) for byte in b"abcdef"])
        async with engine_on({"a": path}) as engine:
            done = await engine.models["a"].chat(QUESTION, options={"stop": given, "temperature": 0}, on_event=nothing)

        assert (done.text, done.stop) == ("abc", "stop")

    async def test_a_context_that_is_full_ends_the_answer_as_length(self, tiny):
        """Without a cap a text ends where the context does, and says so."""
        async with engine_on({"a": tiny()}, context=256) as engine:
            done = await engine.models["a"].chat(QUESTION, options={"num_predict": -2}, on_event=nothing)

        assert done.stop == "length"
        assert done.tokens + done.prompt_tokens == pytest.approx(256, abs=2)

    async def test_an_option_that_cannot_be_had_is_refused_by_name(self, tiny):
        """Nothing that was asked for is left out silently: neither in a file's members nor in a call."""
        members = [
            Member(name="a", options={"temprature": 1.0}),
            Member(name="b", options={"num_ctx": 99, "top_k": "many"}),
            Member(name="c"),
        ]
        with pytest.raises(ConfigError) as caught:
            EmbeddedEngine(members, files={"a": tiny(), "b": tiny()}, context=512, cores=1, deadlines=Deadlines())
        text = "\n".join(caught.value.mistakes)
        assert all(word in text for word in ("temprature", "num_ctx", '"context"', "top_k", "member c"))

        async with engine_on({"a": tiny()}) as engine:
            with pytest.raises(Refused, match="temprature"):
                await engine.models["a"].chat(QUESTION, options={"temprature": 1.0}, on_event=nothing)


class TestTogether:
    async def test_members_that_share_a_file_share_one_child_and_decode_at_once(self, tiny):
        """Three members, one process, three slots at work at the same moment."""
        path = tiny()
        async with engine_on({"a": path, "b": path.parent / "." / path.name, "c": path}) as engine:
            chats = [asyncio.create_task(model.chat(QUESTION, options=ENDLESS, on_event=nothing)) for model in engine.models.values()]
            model = engine.models["a"]
            await until(lambda: model.child.up or any(chat.done() for chat in chats))

            async def three_at_once() -> bool:
                return await slots(model) == [True, True, True]

            await until(three_at_once)
            assert not any(chat.done() for chat in chats)
            assert len(engine.children) == 1
            await stop(*chats)

    async def test_members_on_distinct_files_decode_at_once(self, tiny):
        """Three files, three processes, all at work at the same moment."""
        async with engine_on({name: tiny(f"own-{name}") for name in "abc"}) as engine:
            models = list(engine.models.values())
            chats = [asyncio.create_task(model.chat(QUESTION, options=ENDLESS, on_event=nothing)) for model in models]
            await until(lambda: all(model.child.up for model in models) or any(chat.done() for chat in chats))

            async def three_at_once() -> bool:
                return await asyncio.gather(*map(slots, models)) == [[True]] * 3

            await until(three_at_once)
            assert not any(chat.done() for chat in chats)
            assert len({model.child.pid for model in models}) == 3
            await stop(*chats)

    async def test_a_member_s_prompt_cache_is_its_own(self, tiny):
        """What another member reads meanwhile takes nothing out of a member's cache."""
        async with engine_on({"a": tiny(), "b": tiny()}) as engine:
            a, b = engine.models["a"], engine.models["b"]
            long: list[Message] = [{"role": "user", "content": "The cat is in the rain. " * 20}]
            first = await a.chat(long, options={"num_predict": 4}, on_event=nothing)
            await b.chat([{"role": "user", "content": "The cat is in the sky! " * 20}], options={"num_predict": 4}, on_event=nothing)
            assert b.reused_tokens < 60
            await a.chat([*long, {"role": "assistant", "content": first.text}, *QUESTION], options={"num_predict": 4}, on_event=nothing)

        assert a.reused_tokens >= first.prompt_tokens - 1

    async def test_a_prefill_is_reused_by_the_prompt_that_goes_on(self, tiny):
        """What was prefilled is not read again, on a model with a sliding window too, even if the next prompt parts from it late."""
        long: Message = {"role": "user", "content": "The cat is in the rain. " * 80}
        async with engine_on({"a": tiny("gemma3", "gemma3")}) as engine:
            model = engine.models["a"]
            await model.prefill([long], on_event=nothing)
            done = await model.chat(
                [long, {"role": "assistant", "content": "Yes"}, *QUESTION], options={"num_predict": 1}, on_event=nothing
            )
            assert model.reused_tokens > done.prompt_tokens - 60
            parting: list[Message] = [{"role": "user", "content": "The cat is in the rain. " * 40 + "No"}]
            await model.chat(parting, options={"num_predict": 1}, on_event=nothing)
            assert model.reused_tokens > done.prompt_tokens / 3

    async def test_parallel_requests_of_one_member_have_slots_of_their_own(self, tiny):
        """A member with two slots answers two requests at once, the third waits."""
        async with engine_on({"a": tiny(), "b": tiny()}, parallel=2) as engine:
            model = engine.models["a"]
            chats = [asyncio.create_task(model.chat(QUESTION, options=ENDLESS, on_event=nothing)) for _ in range(3)]
            await until(lambda: model.child.up)

            async def two_at_once() -> bool:
                return await slots(model) == [True, True, False, False]

            await until(two_at_once)
            await stop(*chats)

    def test_threads_are_divided_among_the_children_that_run_at_once(self, tiny):
        """Children of the members that work together share the cores; one that works alone has them all; none has less than one."""
        files = {"a": tiny("own-a"), "b": tiny("own-b"), "c": tiny("own-b"), "judge": tiny("own-c")}

        def threads(**changes) -> list[int]:
            return [child.threads for child in engine_on(files, **changes).children]

        assert threads(cores=6, together="abc") == [3, 3, 6]
        assert threads(cores=6) == [2, 2, 2]
        assert threads(cores=1, together="abc") == [1, 1, 1]


class TestChoosing:
    async def test_the_shares_follow_the_model_s_probabilities(self, tiny):
        """Labels get what the model gives them, spellings with a space included; asked twice, it says the same."""
        path = tiny("chooser", bias={"A": 14, " A": 13, "B": 14, "C": 9, " B": -60, " C": -60})
        async with engine_on({"judge": path}) as engine:
            model = engine.models["judge"]
            await model.child.ensure()
            prompt = await model.render([*QUESTION, {"role": "assistant", "content": "Answer:"}])
            raw = await ask(model.child, "POST", "/completion", {"prompt": prompt, "n_predict": 1, "n_probs": 400, "temperature": 0.0})
            probability = {row["token"]: 2.718281828459045 ** row["logprob"] for row in raw["completion_probabilities"][0]["top_logprobs"]}
            first, second = [await model.choose(QUESTION, "ABC", lead_in="Answer:", on_event=nothing) for _ in range(2)]

        expected = {"A": probability["A"] + probability[" A"], "B": probability["B"], "C": probability["C"]}
        mass = sum(expected.values())
        assert first.mass == pytest.approx(mass, abs=1e-3)
        assert {label: p * mass for label, p in first.probabilities.items()} == pytest.approx(expected, abs=1e-3)
        assert sum(first.probabilities.values()) == pytest.approx(1.0)
        assert first.method == "logprobs"
        assert first.probabilities == pytest.approx(second.probabilities, abs=1e-6)

    async def test_labels_that_the_model_does_not_think_of_are_forced_by_a_grammar(self, tiny):
        """Absent labels are not guessed: a grammar leaves nothing else, and the method says so."""
        path = tiny("stubborn", bias={" A": -60, " B": -60, " C": -60, "A": -44, "B": -40, "C": -60})
        async with engine_on({"judge": path}) as engine:
            choice = await engine.models["judge"].choose(QUESTION, "ABC", lead_in="Answer:", on_event=nothing)

        assert (choice.method, choice.mass) == ("schema", 1.0)
        assert sum(choice.probabilities.values()) == pytest.approx(1.0)
        assert max(choice.probabilities, key=choice.probabilities.__getitem__) == "B"

    async def test_an_empty_lead_in_opens_the_assistant_s_turn_all_the_same(self, tiny):
        """Without a lead-in the choice is the first token of the assistant's turn, not of some other text."""
        async with engine_on({"judge": tiny("chooser2", bias={"A": 14, "B": 14})}) as engine:
            choice = await engine.models["judge"].choose(QUESTION, "AB", lead_in="", on_event=nothing)
            done = await engine.models["judge"].chat(QUESTION, options={"num_predict": 1}, on_event=nothing)

        assert choice.prompt_tokens == done.prompt_tokens


class TestCancelling:
    async def test_a_cancel_while_it_writes_frees_the_slot_within_a_second(self, tiny):
        """Generation stops in the child, not only here."""
        events: list[Event] = []
        async with engine_on({"a": tiny()}) as engine:
            model = engine.models["a"]
            chat = asyncio.create_task(model.chat(QUESTION, options=ENDLESS, on_event=events.append))
            await until(lambda: any(isinstance(event, Token) for event in events))
            assert await slots(model) == [True]
            await stop(chat)

            assert await until(idle(model)) < 1.0

    @pytest.mark.parametrize("call", ["chat", "choose", "prefill"])
    async def test_a_cancel_while_it_reads_frees_the_slot_at_the_end_of_the_batch(self, tiny, call):
        """A long prompt is not read to its end for nobody."""
        async with engine_on({"a": tiny("deep", layers=12)}, context=60000) as engine:
            model = engine.models["a"]
            await model.child.ensure()
            long: list[Message] = [{"role": "user", "content": "The cat is in the rain. " * 2500}]
            calls = {
                "chat": lambda: model.chat(long, options={}, on_event=nothing),
                "choose": lambda: model.choose(long, "AB", lead_in="Answer:", on_event=nothing),
                "prefill": lambda: model.prefill(long, on_event=nothing),
            }
            reading = asyncio.create_task(calls[call]())

            async def busy() -> bool:
                return await slots(model) == [True]

            await until(busy)
            assert not reading.done()
            await stop(reading)

            async def free() -> bool:
                return not await busy()

            assert await until(free) < 1.0
            done = await model.chat(QUESTION, options={"num_predict": 3}, on_event=nothing)
            assert done.tokens == 3

    async def test_a_deadline_keeps_what_came(self, tiny):
        """A limit that passes in mid-stream ends the text, and frees the slot."""
        async with engine_on({"a": tiny()}) as engine:
            done = await engine.models["a"].chat(QUESTION, options=ENDLESS, on_event=nothing, limit_s=0.5)
            assert done.stop == "deadline"
            assert done.text
            assert await until(idle(engine.models["a"])) < 1.0


def kill(model: EmbeddedModel) -> int:
    """Kill the model's child and return which process that was."""
    pid = model.child.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def killer(model: EmbeddedModel, events: list[Event], *, times: int) -> Callable[[Event], None]:
    """Collect events and kill the model's child at the tenth token of its first `times` tries."""
    killed_in: set[int] = set()

    def on_event(event: Event) -> None:
        events.append(event)
        own = [e for e in events if isinstance(e, Token | Restarted) and e.member == model.name]
        tries = sum(isinstance(e, Restarted) for e in own)
        tokens = len(own) - 1 - max((n for n, e in enumerate(own) if isinstance(e, Restarted)), default=-1)
        if tokens == 10 and tries < times and tries not in killed_in:
            killed_in.add(tries)
            kill(model)

    return on_event


class TestDying:
    OPTIONS: ClassVar = {"temperature": 0, "num_predict": 2000}

    async def test_a_child_killed_in_mid_stream_is_started_anew_and_asked_again(self, tiny):
        """The second try gives the full text; what had come of the first is announced as void."""
        events: list[Event] = []
        async with engine_on({"a": tiny()}) as engine:
            whole = await engine.models["a"].chat(QUESTION, options=self.OPTIONS, on_event=nothing)
            first = engine.models["a"].child.pid
            done = await engine.models["a"].chat(QUESTION, options=self.OPTIONS, on_event=killer(engine.models["a"], events, times=1))
            assert engine.models["a"].child.pid != first

        assert done.text == whole.text
        restarts = [n for n, event in enumerate(events) if isinstance(event, Restarted)]
        assert len(restarts) == 1
        assert "SIGKILL" in events[restarts[0]].why
        assert "".join(event.text for event in events[restarts[0] :] if isinstance(event, Token)) == done.text

    async def test_a_second_death_is_a_failure_that_names_the_file(self, tiny):
        """It is asked again once, not for ever."""
        events: list[Event] = []
        async with engine_on({"a": tiny()}) as engine:
            with pytest.raises(Died, match=r"SIGKILL") as caught:
                await engine.models["a"].chat(QUESTION, options=self.OPTIONS, on_event=killer(engine.models["a"], events, times=2))

        assert tiny().name in str(caught.value)
        assert caught.value.member == "a"

    async def test_the_death_of_a_shared_child_costs_each_member_one_restart(self, tiny):
        """All members of a child are asked again, on one new process."""
        events: list[Event] = []
        async with engine_on({"a": tiny(), "b": tiny(), "c": tiny()}) as engine:
            on_event = killer(engine.models["a"], events, times=1)
            done = await asyncio.gather(
                *(model.chat(QUESTION, options=self.OPTIONS, on_event=on_event) for model in engine.models.values())
            )

        assert [completion.tokens for completion in done] == [2000] * 3
        assert sorted(event.member for event in events if isinstance(event, Restarted)) == ["a", "b", "c"]

    async def test_the_death_of_one_child_does_not_touch_the_others(self, tiny):
        """Members on other files go on as if nothing had happened."""
        events: list[Event] = []
        async with engine_on({name: tiny(f"own-{name}") for name in "abc"}) as engine:
            victim = engine.models["b"]
            takers = {"a": events.append, "b": killer(victim, events, times=1), "c": events.append}
            done = await asyncio.gather(
                *(model.chat(QUESTION, options=self.OPTIONS, on_event=takers[name]) for name, model in engine.models.items())
            )

        assert [completion.tokens for completion in done] == [2000] * 3
        assert [event.member for event in events if isinstance(event, Restarted)] == ["b"]

    async def test_a_child_that_died_idle_is_started_anew_without_a_word(self, tiny):
        """Between two requests a death costs a load, not a try."""
        events: list[Event] = []
        async with engine_on({"a": tiny()}) as engine:
            model = engine.models["a"]
            await model.prefill(QUESTION, on_event=nothing)
            kill(model)
            await until(lambda: not model.child.up)
            await model.chat(QUESTION, options={"num_predict": 3}, on_event=events.append)

        assert not any(isinstance(event, Restarted) for event in events)

    async def test_a_death_while_it_chooses_is_asked_again(self, tiny):
        """A choice survives the death of the process as a chat does."""
        async with engine_on({"a": tiny("deep", layers=12)}, context=60000) as engine:
            model = engine.models["a"]
            await model.child.ensure()
            long: list[Message] = [{"role": "user", "content": "The cat is in the rain. " * 300}]
            choosing = asyncio.create_task(model.choose(long, "AB", lead_in="Answer:", on_event=nothing))

            async def busy() -> bool:
                return await slots(model) == [True]

            await until(busy)
            first = kill(model)
            choice = await choosing
            assert model.child.pid != first

        assert sum(choice.probabilities.values()) == pytest.approx(1.0)


async def test_closing_the_engine_ends_what_is_under_way(tiny):
    """A request that is still running when the engine is left fails at once, and does not bring its process back."""
    events: list[Event] = []
    async with engine_on({"a": tiny()}) as engine:
        model = engine.models["a"]
        chat = asyncio.create_task(model.chat(QUESTION, options=ENDLESS, on_event=events.append))
        await until(lambda: any(isinstance(event, Token) for event in events))
        pid = model.child.pid
    assert pid is not None
    assert is_gone(pid)
    with pytest.raises(ModelError, match="the engine was closed"):
        await chat

    assert model.child.pid is None


class TestNotStarting:
    async def failure(self, path: Path, **changes) -> Exception:
        async with engine_on({"a": path}, **changes) as engine:
            with pytest.raises((ModelError, EngineError)) as caught:
                await engine.models["a"].chat(QUESTION, options={}, on_event=nothing)
            await until(lambda: engine.models["a"].child.pid is None)
        return caught.value

    async def test_a_missing_file_is_named(self, tmp_path):
        """No file: the error says which one."""
        error = await self.failure(tmp_path / "absent.gguf")

        assert isinstance(error, ModelMissing)
        assert str(tmp_path / "absent.gguf") in str(error)

    @pytest.mark.parametrize("content", ["torn", "empty", "text"])
    async def test_a_torn_file_is_named(self, tiny, tmp_path, content):
        """A file that llama.cpp cannot load: the error says which one, and what to do."""
        path = tmp_path / f"{content}.gguf"
        path.write_bytes({"torn": tiny().read_bytes()[:200_000], "empty": b"", "text": b"not a model\n" * 99}[content])
        error = await self.failure(path)

        assert isinstance(error, Refused)
        assert str(path) in str(error)
        assert "fetch it again" in str(error)

    async def test_a_missing_xllamacpp_says_how_to_get_it(self, tiny, tmp_path, monkeypatch):
        """Where no wheel is installed the error gives the command and the other engine."""
        (tmp_path / "xllamacpp.py").write_text("raise ImportError('no wheel here')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        error = await self.failure(tiny())

        assert isinstance(error, EngineError)
        assert "pip install xllamacpp" in str(error)
        assert "--engine ollama" in str(error)

    async def test_a_processor_that_cannot_run_the_wheel_is_named_as_the_reason(self, tiny, tmp_path):
        """A child that ends by SIGILL says what that means."""
        worker = tmp_path / "worker.py"
        worker.write_text("import os, signal, sys\nprint('last words', file=sys.stderr, flush=True)\nos.kill(os.getpid(), signal.SIGILL)")
        error = await self.failure(tiny(), worker=worker)

        assert isinstance(error, Died)
        assert all(word in str(error) for word in ("SIGILL", "--engine ollama", tiny().name))

    @pytest.mark.parametrize("says", ["'x' * 100_000", "'no json'", "'[1]'", '\'{"url": "http://example.org"}\''])
    async def test_a_child_that_says_something_else_than_its_address_is_not_believed(self, tiny, tmp_path, says):
        """Whatever the child prints, it ends in a named failure."""
        worker = tmp_path / "worker.py"
        worker.write_text(f"import sys\nprint({says}, flush=True)\nsys.stdin.read()")

        assert isinstance(await self.failure(tiny(), worker=worker), Died)

    async def test_a_load_that_takes_too_long_is_given_up(self, tiny):
        """The load's deadline ends the child too."""
        error = await self.failure(tiny(), deadlines=Deadlines(load=0.01))

        assert isinstance(error, TimedOut)

    async def test_a_failed_start_is_tried_again_when_it_is_next_asked(self, tiny, tmp_path):
        """A file that appears later is found."""
        path = tmp_path / "late.gguf"
        async with engine_on({"a": path}) as engine:
            with pytest.raises(ModelMissing):
                await engine.models["a"].chat(QUESTION, options={}, on_event=nothing)
            path.write_bytes(tiny().read_bytes())
            done = await engine.models["a"].chat(QUESTION, options={"num_predict": 3}, on_event=nothing)

        assert done.tokens == 3

    async def test_a_prompt_that_does_not_fit_says_how_long_it_is(self, tiny):
        """Overflow is an error with numbers, not a silent cut; it names member and file, not the folder."""
        async with engine_on({"a": tiny()}, context=256) as engine:
            with pytest.raises(PromptTooLong, match=rf"^a at {tiny().name}: the prompt has \d{{3,}} tokens, its context 256"):
                await engine.models["a"].chat([{"role": "user", "content": "The cat. " * 300}], options={}, on_event=nothing)


class TestChecking:
    async def test_a_check_starts_nothing_and_tells_what_is_there(self, tiny, tmp_path):
        """Before, while and without: what a check says, and that it loads nothing."""
        async with engine_on({"a": tiny(), "b": tmp_path / "absent.gguf"}) as engine:
            model = engine.models["a"]
            before = await model.check()
            assert (before.ok, before.loaded, model.child.pid) == (True, False, None)
            await model.prefill(QUESTION, on_event=nothing)
            after = await model.check()
            assert (after.ok, after.loaded) == (True, True)
            absent = await engine.models["b"].check()
            assert not absent.ok
            assert "absent.gguf" in absent.detail

    async def test_a_child_that_hangs_is_not_called_healthy(self, tiny):
        """A process that is stopped fails its check in bounded time."""
        async with engine_on({"a": tiny()}, deadlines=Deadlines(connect=0.3)) as engine:
            model = engine.models["a"]
            await model.prefill(QUESTION, on_event=nothing)
            assert model.child.pid is not None
            os.kill(model.child.pid, signal.SIGSTOP)

            async def sick() -> bool:
                return not (await model.check()).ok

            await until(sick)


ROUTES = [
    *(("GET", path) for path in ("/slots", "/props", "/metrics", "/models", "/v1/models", "/lora-adapters", "/api/tags")),
    *(("POST", f"/{path}") for path in ("completion", "completions", "v1/completions", "infill", "embedding", "v1/embeddings", "rerank")),
    *(("POST", f"/{path}") for path in ("chat/completions", "v1/chat/completions", "api/chat", "v1/messages", "v1/responses")),
    *(("POST", f"/{path}") for path in ("tokenize", "detokenize", "apply-template", "slots/0?action=erase", "lora-adapters")),
]


async def test_the_port_answers_nobody_without_the_key(tiny):
    """Every route but the health check is closed to other users of the machine, and the key is in no argument or environment."""
    async with engine_on({"a": tiny()}) as engine, aiohttp.ClientSession() as session:
        model = engine.models["a"]
        await model.child.ensure()
        statuses = {}
        for headers in ({}, {"Authorization": "Bearer guess"}, {"X-Api-Key": ""}):
            for method, path in ROUTES:
                body = {"prompt": "x", "content": "x", "messages": QUESTION}
                async with session.request(method, model.child.url + path, json=body, headers=headers) as response:
                    statuses[method, path, *headers.values()] = response.status
        async with session.get(model.child.url + "/metrics", headers=model.child.headers) as response:
            assert response.status == 501
        child = Path(f"/proc/{model.child.pid}")
        if child.exists():
            assert model.child.key.encode() not in (child / "cmdline").read_bytes() + (child / "environ").read_bytes()

    assert {key: status for key, status in statuses.items() if status != 401} == {}


PARENT = """
import asyncio, json, os, signal, sys
from pathlib import Path
from gork.engines.llama.engine import EmbeddedEngine
from gork.engines.call import Deadlines
from gork.config.ensemble import Member
from gork.errors import ModelError
from gork.turn import Token

files = {name: Path(path) for name, path in json.loads(sys.argv[1]).items()}
what = sys.argv[2]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
question = [{"role": "user", "content": "What is A?"}]

async def main():
    engine = EmbeddedEngine([Member(name=n) for n in files], files=files, context=16384, cores=2, deadlines=Deadlines())
    wrote = set()
    async with engine:
        for_ever = [asyncio.create_task(m.chat(question, options={}, on_event=lambda e: isinstance(e, Token) and wrote.add(e.member)))
                    for m in engine.models.values()]
        while len(wrote) < len(files):
            await asyncio.sleep(0.005)
        print(json.dumps([child.pid for child in engine.children]), flush=True)
        if what == "leave":
            for task in for_ever:
                task.cancel()
            return
        if what == "abandon":
            os._exit(3)
        await asyncio.gather(*for_ever)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(130)
"""


LOADS_FOR_LONG = """
import ctypes
from pathlib import Path
from types import SimpleNamespace

common_reasoning_format = SimpleNamespace(COMMON_REASONING_FORMAT_NONE=0)

def CommonParams():
    return SimpleNamespace(model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace())

def get_device_info():
    return []

def Server(params):
    Path("loading").touch()
    ctypes.PyDLL(None).sleep(60)  # with the GIL held
"""


class TestThePlaceOfTheParent:
    def run(self, files: dict[str, Path], what: str, cwd: Path) -> subprocess.Popen:
        arguments = [sys.executable, "-W", "error", "-c", PARENT, json.dumps({n: str(p) for n, p in files.items()}), what]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            arguments, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    @pytest.mark.parametrize(
        ("what", "code"),
        [(signal.SIGKILL, -9), (signal.SIGTERM, -15), (signal.SIGINT, 130), ("leave", 0), ("abandon", 3)],
        ids=["kill -9", "SIGTERM", "Ctrl-C", "leaving", "os._exit"],
    )
    async def test_children_are_gone_within_a_second_of_their_parent(self, tiny, tmp_path, what, code):
        """However the parent ends in mid-stream, no child outlives it for a second, and none has printed anything."""
        parent = self.run({"a": tiny("own-a"), "b": tiny("own-a"), "c": tiny("own-b")}, str(what), tmp_path)
        line = await asyncio.to_thread(parent.stdout.readline)
        pids = json.loads(line or parent.stderr.read())
        assert len(pids) == 2
        if isinstance(what, signal.Signals):
            os.killpg(parent.pid, what)  # as a terminal does: to the whole foreground group
        code_seen = await asyncio.to_thread(parent.wait)
        took = await until(lambda: all(map(is_gone, pids)))
        rest = await asyncio.to_thread(parent.communicate)

        assert code_seen == code
        assert took < 1.0
        assert rest == ("", "")

    @pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help at the end of a pipe is Linux's")
    async def test_a_child_that_is_loading_goes_with_its_parent_too(self, tmp_path):
        """llama.cpp keeps Python from running while it loads; the end of stdin ends the child all the same."""
        (tmp_path / "xllamacpp.py").write_text(LOADS_FOR_LONG)
        worker = subprocess.Popen(
            [sys.executable, "-P", WORKER],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            request = {"path": "x", "key": "k", "slots": 1, "context": 512, "threads": 1, "batch": 64, "checkpoints": 0}
            worker.stdin.write(json.dumps(request).encode() + b"\n")
            worker.stdin.flush()
            await until((tmp_path / "loading").exists)
            assert worker.poll() is None
            worker.stdin.close()
            took = await until(lambda: worker.poll() is not None)
        finally:
            worker.kill()
            worker.wait()
            worker.stdout.close()
            said = worker.stderr.read()
            worker.stderr.close()

        assert took < 1.0
        assert said == b""

    async def test_a_worker_without_a_parent_from_the_start_ends(self):
        """A parent that died before it said anything leaves no child."""
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-P", WORKER], input=b"", capture_output=True, timeout=10, check=False
        )

        assert (done.stdout, done.stderr) == (b"", b"")

    def test_the_parent_does_not_import_llama_cpp(self):
        """The 100 MB library is the children's alone."""
        code = "import sys, gork.engines.llama.engine; print('xllamacpp' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

        assert done.stdout == "False\n"
