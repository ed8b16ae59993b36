"""The engine for OpenAI's API: what it asks, what it finds out about a server, and what it remembers."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gork.config.ensemble import Member
from gork.engines.call import Deadlines
from gork.engines.openai.engine import OpenAIEngine
from gork.errors import BadReply, Died, ModelMissing, Refused
from gork.turn import Notice
from tests.support.fake_openai import LLAMA, LM_STUDIO, OPENAI, OPENROUTER, SGLANG, VLLM, FakeOpenAI, Manners, Reply
from tests.support.ollama_setup import MODEL, SOON, Talk, asked

KEY = "sk-very-secret-0123456789"


def member(server, **more):
    """A member at the fake."""
    return Member(**{"name": "qwen", "api": "openai", "url": server.base, "model": MODEL, **more})


@asynccontextmanager
async def talking(manners=VLLM, *, environ=None, deadlines=SOON, key=None, **more):
    """A fake, and a talk with a member there."""
    async with (
        FakeOpenAI(MODEL, manners=manners, key=key) as server,
        OpenAIEngine([member(server, **more)], deadlines=deadlines, context=4096, environ=environ or {}) as engine,
    ):
        yield server, Talk(engine.models["qwen"])


def told(talk):
    """What the user was told."""
    return [event.text for event in talk.events if isinstance(event, Notice)]


# --- what is asked


async def test_the_body_of_a_chat_is_exactly_this():
    """Only what is set is sent, under the names of OpenAI's API, with what keeps a model from thinking."""
    async with talking() as (server, talk):
        await talk.chat("Hi?", num_predict=9, temperature=0.5, stop=("END",), seed=7, repeat_penalty=1.1)

    assert server.chats == [
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Hi?"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 9,
            "temperature": 0.5,
            "stop": ["END"],
            "seed": 7,
            "repetition_penalty": 1.1,
            "chat_template_kwargs": {"enable_thinking": False},
        }
    ]


async def test_a_chat_is_streamed_with_the_servers_own_counts():
    """Every chunk is one event; the usage that follows the finish reason counts."""
    async with talking() as (server, talk):
        server.say(MODEL, Reply(tokens=["Hel", "lo"], done={"completion_tokens": 4}))
        completion = await talk.chat()

    assert (completion.text, completion.stop, completion.tokens, completion.prompt_tokens) == ("Hello", "stop", 4, 17)


@pytest.mark.parametrize("manners", [VLLM, SGLANG, LLAMA, LM_STUDIO, OPENROUTER, OPENAI], ids=lambda manners: manners.owner or "openrouter")
async def test_every_kind_of_server_answers_and_chooses(manners):
    """A chat and a choice at each, with the sampling options of an ordinary member."""
    async with talking(manners) as (server, talk):
        server.say(MODEL, Reply("Fine.", thinking="Hmm"))
        completion = await talk.chat(temperature=0.3, top_k=20, num_predict=50, seed=1)
        choice = await talk.choose(("A", "B"))

    assert (completion.text, completion.thinking, completion.stop) == ("Fine.", "Hmm", "stop")
    assert sum(choice.probabilities.values()) == pytest.approx(1)


async def test_an_option_that_the_server_does_not_have_is_said_once():
    """An option that cannot be sent is not dropped in silence."""
    async with talking() as (_, talk):
        await talk.chat(num_keep=4)
        await talk.chat(num_keep=4)

    assert [text for text in told(talk) if "num_keep: not an option" in text] == told(talk)
    assert len(told(talk)) == 1


async def test_an_answer_format_is_sent_as_a_schema():
    """Also for "any JSON object": json_object is refused by some servers and ignored by others."""
    async with talking(LM_STUDIO) as (server, talk):
        await talk.model.chat(asked(), options={}, on_event=talk.events.append, answer_format="json")

    (body,) = server.chats
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}


# --- what a server refuses


async def test_fields_that_a_server_refuses_are_left_out_the_second_time_and_remembered():
    """Each refused once: max_tokens goes under its other name, what OpenAI does not have is left out; the next call asks once."""
    async with talking(OPENAI) as (server, talk):
        await talk.chat(num_predict=9, top_k=3)
        first = len(server.bodies(server.chat_path))
        await talk.chat(num_predict=9, top_k=3)

    last = server.chats[-1]
    assert len(server.bodies(server.chat_path)) == first + 1
    assert (last["max_completion_tokens"], last.keys() & {"max_tokens", "top_k", "chat_template_kwargs"}) == (9, set())
    assert told(talk) == [f"qwen at {server.base}: it refuses top_k: left out from now on"]


async def test_a_refusal_that_names_no_field_drops_what_is_not_openais_own():
    """FastAPI's `Extra inputs are not permitted` without a place, say; nothing standard is lost."""
    async with talking(replace(OPENAI, refuses={}, strict="Extra inputs are not permitted")) as (server, talk):
        completion = await talk.chat(num_predict=9, top_k=3, min_p=0.1)

    assert completion.stop == "stop"
    assert server.chats[-1]["max_tokens"] == 9


async def test_a_request_that_is_refused_for_another_reason_fails_soon():
    """Leaving out fields does not go on without end, and nothing is remembered of it."""
    async with talking() as (server, talk):
        server.pages[server.chat_path] = Reply(status=400, error="the weather is bad")
        with pytest.raises(Refused, match="the weather is bad"):
            await talk.chat(top_k=3)

        assert len(server.bodies(server.chat_path)) <= 4
        assert talk.model._known.refused == set()


# --- log-probabilities


@pytest.mark.parametrize(("logprobs", "method"), [("true", "logprobs"), ("null", "schema"), ("zeros", "schema"), ("lone", "schema")])
async def test_only_true_log_probabilities_are_read(logprobs, method):
    """A probe at the start tells: null, zeros and the drawn token alone are none. Then a schema holds the answer, and that is said once."""
    async with talking(Manners(owner="vllm", logprobs=logprobs, goes_on="continue_final_message")) as (_, talk):
        choices = [await talk.choose(("A", "B")) for _ in range(2)]

    assert {choice.method for choice in choices} == {method}
    assert [bool("no log-probabilities" in text) for text in told(talk)] == [True] * (method == "schema")


async def test_a_server_that_refuses_log_probabilities_is_not_asked_for_them_again():
    """As a service of this program does, and OpenAI's reasoning models."""
    words = "logprobs is not supported with this model"
    async with talking(Manners(refuses={"logprobs": words, "top_logprobs": words})) as (server, talk):
        choice = await talk.choose(("A", "B"))
        await talk.chat(logprobs=True)
        await talk.choose(("A", "B"))

    assert choice.method == "schema"
    assert sum("logprobs" in body for body in server.bodies(server.chat_path)) == 1


async def test_a_server_that_gives_neither_probabilities_nor_constrained_answers_makes_no_choice():
    """Prose is not read for opinions: the favourite decides then."""
    async with talking(Manners(logprobs="null", constrains=False)) as (_, talk):
        with pytest.raises(BadReply, match="chose none of A, B but 'I think A'"):
            await talk.choose(("A", "B"))


async def test_a_label_that_is_not_likely_is_forced():
    """True probabilities without any label among them."""
    async with talking() as (server, talk):
        server.lean(MODEL, {"The": -0.1, "I": -3.0})
        choice = await talk.choose(("A", "B"))

    assert (choice.method, choice.probabilities["B"] > 0.9) == ("schema", True)


@pytest.mark.parametrize(
    ("manners", "going_on"),
    [(VLLM, {"continue_final_message": True, "add_generation_prompt": False}), (SGLANG, {"continue_final_message": True}), (LLAMA, {})],
)
async def test_the_lead_in_opens_the_answer_where_the_server_can(manners, going_on):
    """Each in its own words; elsewhere a last message of the assistant's would be taken for a turn that is over."""
    async with talking(manners) as (server, talk):
        await talk.choose(("A", "B"), lead_in="Answer:")

    body = server.bodies(server.chat_path)[-1]
    assert body["messages"][-1] == {"role": "assistant", "content": "Answer:"}
    assert {key: body.get(key) for key in going_on} == going_on


@pytest.mark.parametrize("manners", [LM_STUDIO, OPENAI, OPENROUTER])
async def test_there_is_no_lead_in_elsewhere(manners):
    """The last message is the user's."""
    async with talking(manners) as (server, talk):
        await talk.choose(("A", "B"), lead_in="Answer:")

    assert {body["messages"][-1]["role"] for body in server.bodies(server.chat_path)} == {"user"}


async def test_a_lead_in_that_is_refused_is_left_out():
    """llama-server: "Assistant response prefill is incompatible with enable_thinking"."""
    async with talking(replace(VLLM, refuses={"continue_final_message": "prefill is not possible here"})) as (_, talk):
        choice = await talk.choose(("A", "B"), lead_in="Answer:")

    assert choice.method == "logprobs"


async def test_what_is_likely_is_asked_for_at_temperature_1():
    """SGLang gives log-probabilities as they are after the temperature: at 0 there would be none to compare."""
    async with talking(SGLANG) as (server, talk):
        await talk.choose(("A", "B"))

    body = server.bodies(server.chat_path)[-1]
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["top_logprobs"]) == (1.0, 1.0, 1, 20)


async def test_confidence_is_given_where_log_probabilities_are_true():
    """And asked for only there."""
    async with talking() as (server, talk):
        server.say(MODEL, Reply("Two words", logprob=-0.25))
        assert (await talk.chat(logprobs=True)).confidence == pytest.approx(-0.25)
    async with talking(LM_STUDIO) as (server, talk):
        assert (await talk.chat(logprobs=True)).confidence is None
        assert "logprobs" not in server.chats[-1]


async def test_a_gateway_that_loses_the_end_where_log_probabilities_are_is_asked_without_them():
    """LiteLLM: the finish reason is not there in streams with log-probabilities. The answer is asked for once more, and counts."""
    async with talking() as (server, talk):
        server.loses_reasons = True
        first = await talk.chat(logprobs=True)
        second = await talk.chat(logprobs=True)
        choice = await talk.choose(("A", "B"))

    assert (first.stop, second.stop, choice.method) == ("stop", "stop", "logprobs")
    assert ["logprobs" in body for body in server.chats] == [True, False, False]


# --- how streams end


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply("Some", done_reason="abort"), Died),
        (Reply("Some", done_reason="error"), Died),
        (Reply("Some", done_reason="content_filter"), Refused),
        (Reply(raw=b'data: {"choices": [{"delta": {"content": "Some"}}]}\n\ndata: [DONE]\n\n'), Died),
    ],
    ids=["abort", "error", "content_filter", "an end mark without a reason"],
)
async def test_an_end_that_is_none_is_a_failure(reply, error):
    """Only a finish reason proves a whole answer; an end mark follows errors and cuts too."""
    async with talking() as (server, talk):
        server.say(MODEL, reply)
        with pytest.raises(error):
            await talk.chat()


@pytest.mark.parametrize(("reason", "stop"), [("stop", "stop"), ("length", "length"), ("repetition", "repetition"), ("eos", "stop")])
async def test_the_reason_of_an_end_is_told(reason, stop):
    """VLLM stops a model that repeats itself, and says so."""
    async with talking() as (server, talk):
        server.say(MODEL, Reply("Some", done_reason=reason))
        assert (await talk.chat()).stop == stop


async def test_a_stream_without_usage_and_end_mark_is_whole_with_its_reason():
    """As text-generation-webui ends one; tokens are counted as they come."""
    async with talking() as (server, talk):
        chunks = [b'{"choices": [{"delta": {"content": "A"}}]}', b'{"choices": [{"delta": {"content": "B"}, "finish_reason": "stop"}]}']
        server.pages[server.chat_path] = Reply(raw=b"".join(b"data: " + chunk + b"\r\n\r\n" for chunk in chunks))
        completion = await talk.chat()

    assert (completion.text, completion.stop, completion.tokens) == ("AB", "stop", 2)


async def test_a_server_that_does_not_stream_is_read_as_well():
    """One record in place of a stream."""
    async with talking() as (server, talk):
        whole = {"choices": [{"message": {"content": "All at once."}, "finish_reason": "stop"}], "usage": {"completion_tokens": 3}}
        server.pages[server.chat_path] = Reply(raw=json.dumps(whole).encode(), headers={"Content-Type": "application/json"})
        completion = await talk.chat()

    assert (completion.text, completion.tokens) == ("All at once.", 3)


async def test_an_error_inside_a_200_has_the_status_that_it_names():
    """OpenRouter answers 200 and says in the body that there is no more credit."""
    async with talking() as (server, talk):
        told = {"error": {"code": 402, "message": "Insufficient credits"}}
        server.pages[server.chat_path] = Reply(raw=json.dumps(told).encode(), headers={"Content-Type": "application/json"})
        with pytest.raises(Refused, match=r"Insufficient credits \(HTTP 402\)"):
            await talk.chat()


async def test_tokens_that_were_all_spent_on_thinking_are_named():
    """An empty answer is explained."""
    async with talking() as (server, talk):
        server.say(MODEL, Reply("", thinking="Hmm, well", done_reason="length"))
        with pytest.raises(BadReply, match="spent all its tokens on thinking"):
            await talk.chat()


async def test_a_cancelled_chat_ends_on_the_server():
    """Cancelling closes the connection, and the slot is free at once."""
    async with talking() as (server, talk):
        server.say(MODEL, Reply(tokens=["a", "b"], pauses={1: asyncio.Event()}), "Next.")
        call = asyncio.create_task(talk.chat())
        await server.until(lambda: server.in_progress == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.until(lambda: server.cancelled == [MODEL])

        assert (await talk.chat()).text == "Next."


async def test_a_deadline_keeps_the_text_that_came():
    """A model that falls silent in the middle ends as an incomplete text."""
    async with talking(deadlines=replace(SOON, idle=0.2)) as (server, talk):
        server.say(MODEL, Reply(tokens=["Half", " way"], pauses={2: asyncio.Event()}))
        completion = await talk.chat()

    assert (completion.text, completion.stop) == ("Half way", "deadline")


# --- loading and health


async def test_loading_is_its_own_stage():
    """A server that loads on demand sends nothing until it has: the first token's deadline and the call's limit stand still."""
    quick = Deadlines(connect=2.0, load=5.0, first_token=0.1, idle=0.1, prefill_rate=1000.0)
    async with talking(LM_STUDIO, deadlines=quick) as (server, talk):
        server.load_gates[MODEL] = asyncio.Event()
        call = asyncio.create_task(talk.chat(limit_s=0.2))
        await server.until(lambda: len(server.bodies(server.chat_path)) == 1)
        await asyncio.sleep(0.3)  # longer than every deadline but the load's: that is what is being tested
        server.load_gates[MODEL].set()
        completion = await call

    assert completion.complete
    assert talk.states() == ["loading", "reading", "writing"]


async def test_a_server_that_says_that_it_is_loading_is_waited_for(monkeypatch):
    """llama-server answers 503 to everything until its model is there."""
    monkeypatch.setattr("gork.engines.openai.engine._LOOK_AGAIN_S", 0.01)
    async with talking(LLAMA) as (server, talk):
        server.loading = 3
        assert (await talk.chat()).complete


async def test_a_model_that_has_just_answered_is_not_asked_for_a_token_again():
    """One probe in front of the first question, none in front of the second: overhead a turn."""
    async with talking() as (server, talk):
        for _ in range(3):
            await talk.chat()

    assert len(server.bodies(server.chat_path)) == 1 + 3


@pytest.mark.parametrize(("manners", "context"), [(VLLM, 1024), (OPENROUTER, 2048), (LM_STUDIO, 4096)])
async def test_the_context_is_what_the_server_says(manners, context):
    """In whichever field; the ensemble's where it says nothing."""
    async with talking(manners) as (_, talk):
        await talk.model.check()

        assert talk.model.context == context


async def test_a_name_that_the_server_does_not_list_is_a_problem_with_a_fix():
    """LM Studio would run another model that happens to be loaded."""
    async with talking(model="other") as (_, talk):
        health = await talk.model.check()

    assert (health.problem, health.fix) == ("it has no other", f"it has {MODEL}: name one of them")


@pytest.mark.parametrize(("listed", "name"), [("openai/*", "openai/gpt-x"), ("base", "base:lora"), ("Qwen/Q", "qwen/q")])
async def test_patterns_and_adapters_in_a_list_count(listed, name):
    """Gateways list patterns, SGLang the base of an adapter."""
    async with talking(model=name) as (server, talk):
        server.models[:] = [listed]

        assert (await talk.model.check()).ok


async def test_a_server_without_a_list_is_asked_whether_it_takes_chats():
    """An empty chat, which nobody answers with text: refused where chats are taken, not found at a wrong URL."""
    async with talking() as (server, talk):
        server.pages["/v1/models"] = Reply(status=404, raw=b"404")
        assert (await talk.model.check()).ok
    async with FakeOpenAI(MODEL) as server, OpenAIEngine([member(server, url=f"{server.url}/v2")], deadlines=SOON, context=512) as engine:
        health = await engine.models["qwen"].check()

        assert "It usually ends in /v1" in health.detail


async def test_the_only_model_there_is_found_and_found_again():
    """A member without a name takes the only model of its server; another one after that was exchanged."""
    async with talking(model=None) as (server, talk):
        await talk.chat()
        server.models[:] = ["new"]
        await talk.chat()

        assert talk.model.model == "new"


async def test_several_models_and_no_name_is_an_error_that_lists_them():
    """The engine does not pick one of several models by itself."""
    async with talking(model=None) as (server, talk):
        server.models.append("other")
        with pytest.raises(Refused, match=rf"2 models \({MODEL}, other\)"):
            await talk.chat()


async def test_a_missing_model_is_missing():
    """Whatever the list says."""
    async with talking(model="gone") as (_, talk):
        with pytest.raises(ModelMissing, match="`gone` does not exist"):
            await talk.chat()


@pytest.mark.parametrize(("parallel", "peak"), [(1, 1), (2, 2)])
async def test_members_of_one_model_share_its_slots(parallel, peak):
    """And what is found out about it: one probe for three members."""
    gate = asyncio.Event()
    async with FakeOpenAI(MODEL) as server:
        server.answer_with(MODEL, lambda _: Reply("Done.", gate=gate))
        members = [member(server, name=name, parallel=parallel) for name in ("a", "b", "c")]
        async with OpenAIEngine(members, deadlines=SOON, context=512) as engine:
            calls = [asyncio.create_task(Talk(model).chat()) for model in engine.models.values()]
            await server.until(lambda: server.in_progress == peak)
            gate.set()
            await asyncio.gather(*calls)

    assert server.peak == peak


# --- the key


async def test_the_key_is_sent_and_never_shown():
    """It goes into the request; a server that repeats it in its error does not bring it into ours."""
    environ = {"MY_KEY": KEY}
    async with talking(key=KEY, key_env="MY_KEY", environ=environ) as (server, talk):
        await talk.chat()
        server.key = "another"
        server.pages["/v1/models"] = Reply(status=401, error=f"Incorrect API key provided: {KEY}. " + "x" * 300)
        health = await talk.model.check()
        with pytest.raises(Refused) as caught:
            await talk.chat()

    model = talk.model
    shown = f"{caught.value} {caught.value!r} {health} {model.where} {model.model} {model.member!r} {vars(model)!r}"
    assert (KEY in shown, "is the key in its variable right?" in shown) == (False, True)
    assert KEY[:12] not in shown


@pytest.mark.parametrize("value", [None, "", "two words", "schlüssel"])
async def test_a_key_that_is_not_there_is_named_by_its_variable(value):
    """Nothing is sent without it."""
    async with talking(key_env="MY_KEY", environ={} if value is None else {"MY_KEY": value}) as (server, talk):
        health = await talk.model.check()
        with pytest.raises(Refused, match="the variable MY_KEY"):
            await talk.chat()

    assert "MY_KEY" in health.detail
    assert server.requests == []
