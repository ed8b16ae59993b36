"""The Ollama engine asks as Ollama wants to be asked: requests, tags, loading, slots, labels."""

from __future__ import annotations

import asyncio
import json
import math
from unittest.mock import Mock

import pytest
from aiohttp import ClientResponse
from aioresponses import CallbackResult, aioresponses

from gork.config.ensemble import LOAD_TIME, Member
from gork.engines.call import Deadlines
from gork.errors import BadReply, ConfigError, ModelMissing, Refused
from gork.turn import Token
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.ollama_setup import MODEL, Talk, asked, engine

LOCAL = Member(name="qwen", model=MODEL)


@pytest.fixture
async def server():
    """A fake Ollama with one model."""
    async with FakeOllama(MODEL) as fake:
        yield fake


async def test_a_chat_is_streamed_token_by_token(server):
    """Each record of the stream is one event, and together they are the text, with the server's own counts."""
    server.say(MODEL, Reply(tokens=["Hel", "lo", " you"], done={"eval_count": 4, "prompt_eval_count": 17}))
    async with engine(LOCAL, host=server.url) as one:
        talk = Talk(one.models["qwen"])
        completion = await talk.chat()

    assert [event.text for event in talk.events if isinstance(event, Token)] == ["Hel", "lo", " you"]
    assert (completion.text, completion.stop, completion.complete) == ("Hello you", "stop", True)
    assert (completion.tokens, completion.prompt_tokens) == (4, 17)


async def test_a_local_model_gets_the_same_load_options_in_every_request(server):
    """A load-time option that differs from call to call, or is missing in one, would reload the model."""
    async with engine(LOCAL, host=server.url, context=1024, num_thread=2) as one:
        talk = Talk(one.models["qwen"])
        await talk.chat(temperature=0.7, num_ctx=9999)
        await talk.choose()
        await one.models["qwen"].prefill(asked(), on_event=talk.events.append)

    bodies = server.bodies("/api/chat") + server.bodies("/api/generate")
    assert len(bodies) == 5  # preload, chat, rendering, label, prefill
    assert {(body["options"]["num_ctx"], body["options"]["num_thread"]) for body in bodies} == {(1024, 2)}
    assert all("keep_alive" not in body for body in bodies)


async def test_a_model_at_a_url_gets_no_load_options_and_stays_loaded(server):
    """A pod sets its own load-time options; `keep_alive` goes there as the number -1, since the string is refused."""
    async with engine(Member(name="qwen", url=server.url, model=MODEL), host="http://127.0.0.1:1", num_thread=2) as one:
        talk = Talk(one.models["qwen"])
        await talk.chat(temperature=0.7, num_ctx=9999)
        await talk.choose()

    bodies = server.bodies("/api/chat") + server.bodies("/api/generate")
    assert [set(body["options"]) & LOAD_TIME.keys() for body in bodies] == [set()] * 4
    assert [(body["keep_alive"], type(body["keep_alive"])) for body in bodies] == [(-1, int)] * 4


async def test_no_request_thinks_truncates_or_shifts(server):
    """Without `think: false` a model may think its tokens away, without `truncate: false` a question is cut in silence."""
    server.lean(MODEL, {})
    async with engine(LOCAL, host=server.url) as one:
        talk = Talk(one.models["qwen"])
        await talk.chat()
        await talk.choose()  # by schema: every kind of request
        await one.models["qwen"].prefill(asked(), on_event=talk.events.append)

    bodies = server.bodies("/api/chat") + server.bodies("/api/generate")
    assert len(bodies) == 6
    assert {(body["think"], body["truncate"], "shift" in body) for body in bodies} == {(False, False, False)}


async def test_the_body_of_a_chat_is_exactly_this():
    """What goes over the wire for one chat, byte order of fields aside."""
    bodies = []

    async def chat(_url, **request):
        bodies.append(json.loads(request["data"]))
        return CallbackResult(payload={"message": {"content": "Hi"}, "done": True}, response_class=Response)

    class Response(ClientResponse):
        """aioresponses 0.7.9 does not give what aiohttp 3.14 wants."""

        def __init__(self, *args, **fields):
            super().__init__(*args, **{"stream_writer": Mock(output_size=0), **fields})

    with aioresponses() as mock:
        mock.get("http://here:1/api/ps", payload={"models": [{"model": MODEL, "context_length": 512}]}, response_class=Response)
        mock.post("http://here:1/api/chat", callback=chat)
        async with engine(LOCAL, host="http://here:1", context=512, num_thread=1) as one:
            await Talk(one.models["qwen"]).chat("Hi?", stop=("\n", "END"), seed=7)

    assert bodies == [
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Hi?"}],
            "stream": True,
            "think": False,
            "truncate": False,
            "options": {"stop": ["\n", "END"], "seed": 7, "num_ctx": 512, "num_thread": 1},
        }
    ]


async def test_every_request_has_a_connection_of_its_own(server):
    """Replicas behind one Service share the load only if no connection is kept."""
    async with engine(LOCAL, host=server.url) as one:
        for _ in range(3):
            await Talk(one.models["qwen"]).chat()

    assert len({request.connection for request in server.requests}) == len(server.requests)


async def test_the_only_model_there_is_found(server):
    """A member without a tag takes the only model of its server, and asks for the list once."""
    async with engine(Member(name="qwen", url=server.url), host=server.url) as one:
        talk = Talk(one.models["qwen"])
        await talk.chat()
        await talk.chat()

        assert talk.model.model == MODEL
    assert [body["model"] for body in server.chats] == [MODEL, MODEL]
    assert len(server.bodies("/api/tags")) == 1


async def test_several_models_and_no_tag_is_an_error_that_lists_them(server):
    """The engine does not pick one of several models by itself."""
    server.models.append("other:2b")
    async with engine(Member(name="qwen", url=server.url), host=server.url) as one:
        with pytest.raises(Refused, match=r"qwen at http://127.0.0.1:\d+: .*2 models \(tiny:1b, other:2b\)"):
            await Talk(one.models["qwen"]).chat()


async def test_a_server_without_a_model_is_an_error(server):
    """No model and no tag: the message says how to get one."""
    server.models.clear()
    async with engine(Member(name="qwen", url=server.url), host=server.url) as one:
        with pytest.raises(ModelMissing, match="ollama pull"):
            await Talk(one.models["qwen"]).chat()


@pytest.mark.parametrize("fresh", [True, False])
async def test_an_exchanged_model_is_found_again(server, fresh):
    """A pod that comes back with another model answers the next question, whether the engine still believes in the old one or not."""
    async with engine(Member(name="qwen", url=server.url), host=server.url) as one:
        talk = Talk(one.models["qwen"])
        await talk.chat()
        server.models[:] = ["new:3b"]
        server.loaded.clear()
        if not fresh:
            talk.model._fresh_until = 0.0
        await talk.chat()

        assert talk.model.model == "new:3b"
    assert [body["model"] for body in server.chats] == [MODEL, *[MODEL] * fresh, "new:3b"]


async def test_a_configured_tag_that_is_missing_is_named_with_its_remedy(server):
    """The message names member, URL, tag and the command that fetches it."""
    async with engine(Member(name="qwen", model="gone:1b"), host=server.url) as one:
        with pytest.raises(ModelMissing) as caught:
            await Talk(one.models["qwen"]).chat()

    assert str(caught.value).startswith(f"qwen at {server.url}: model 'gone:1b' not found")
    assert "`ollama pull gone:1b`" in str(caught.value)


async def test_loading_is_its_own_stage(server):
    """While a model loads the member says so, and neither the first token's deadline nor the call's limit runs."""
    server.load_gates[MODEL] = asyncio.Event()
    quick = Deadlines(connect=2.0, load=5.0, first_token=0.1, idle=0.1, prefill_rate=1000.0)
    async with engine(LOCAL, host=server.url, deadlines=quick) as one:
        talk = Talk(one.models["qwen"])
        call = asyncio.create_task(talk.chat(limit_s=0.2))
        await server.until(lambda: len(server.bodies("/api/chat")) == 1)
        await asyncio.sleep(0.3)  # longer than every deadline but the load's: that is what is being tested
        server.load_gates[MODEL].set()
        completion = await call

    assert completion.complete
    assert talk.states() == ["loading", "reading", "writing"]


async def test_giving_up_a_call_does_not_abort_the_load(server):
    """Ollama aborts a load when its client leaves, so that an impatient client would never get its model."""
    server.load_gates[MODEL] = asyncio.Event()
    async with engine(LOCAL, host=server.url) as one:
        talk = Talk(one.models["qwen"])
        call = asyncio.create_task(talk.chat())
        await server.until(lambda: len(server.bodies("/api/chat")) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        again = asyncio.create_task(talk.chat())
        server.load_gates[MODEL].set()
        completion = await again

    assert completion.complete
    assert server.cancelled == []
    assert [bool(body["messages"]) for body in server.bodies("/api/chat")] == [False, True]


async def test_a_loaded_model_is_not_preloaded(server):
    """A model that /api/ps lists, under any spelling of its name, is asked at once."""
    server.models.append("other:latest")
    server.loaded["other:latest"] = 2048
    async with engine(Member(name="qwen", model="Other"), host=server.url) as one:
        assert await one.models["qwen"]._is_loaded()


async def test_a_model_loaded_with_another_context_is_loaded_anew(server):
    """Somebody else's context would be replaced in our first request: that is a load, and is shown as one."""
    server.loaded[MODEL] = 512
    async with engine(LOCAL, host=server.url, context=2048) as one:
        talk = Talk(one.models["qwen"])
        await talk.chat()

    assert talk.states()[0] == "loading"


async def test_the_context_is_what_the_server_gives(server):
    """A pod that was set up with a smaller context says so, and the model passes it on."""
    server.loaded[MODEL] = 512
    members = [Member(name=name, url=server.url, model=MODEL) for name in ("one", "two")]
    async with engine(*members, host=server.url, context=4096) as both:
        assert both.models["one"].context == 4096
        for model in both.models.values():
            await Talk(model).chat()

        assert [model.context for model in both.models.values()] == [512, 512]


@pytest.mark.parametrize(("parallel", "peak"), [(1, 1), (2, 2)])
async def test_members_of_one_model_share_its_slots(server, parallel, peak):
    """Three members on one model never have more requests under way there than it has slots."""
    gate = asyncio.Event()
    server.answer_with(MODEL, lambda _: Reply("Done.", gate=gate))
    members = [Member(name=name, model=MODEL, parallel=parallel) for name in ("a", "b", "c")]
    async with engine(*members, host=server.url) as one:
        talks = [Talk(model) for model in one.models.values()]
        calls = [asyncio.create_task(talk.chat()) for talk in talks]
        await server.until(lambda: server.in_progress == peak)
        gate.set()
        await asyncio.gather(*calls)

    assert server.peak == peak
    assert sum("waiting" in talk.states() for talk in talks) == 3 - peak


@pytest.mark.parametrize("url", ["ftp://host:1", "host:11434", "http://", "http://host:notaport", ""])
async def test_a_url_that_is_none_is_a_mistake_in_the_configuration(url):
    """The message names the member and the form that is wanted, not the URL: it may hold a password."""
    with pytest.raises(ConfigError, match=r"qwen: its URL .*http://HOST:PORT"):
        engine(Member(name="qwen", model="m"), host=url)


async def test_credentials_are_sent_and_never_shown(server):
    """A URL's user and password go into the request; no message, name or identity has them."""
    server.pages["/api/chat"] = Reply(raw=b"no", status=401)
    url = server.url.replace("http://", "http://me:hunter2@") + "/"
    async with engine(Member(name="qwen", url=url, model=MODEL), host=server.url) as one:
        model = one.models["qwen"]
        with pytest.raises(Refused) as caught:
            await Talk(model).chat()

        assert "hunter2" not in f"{caught.value} {model.where} {model.model}"
    assert server.requests[-1].headers["Authorization"].startswith("Basic ")


async def test_a_cancelled_chat_ends_on_the_server(server):
    """Cancelling closes the connection: the server stops the model, and the slot is free at once."""
    server.say(MODEL, Reply(tokens=["a", "b"], pauses={1: asyncio.Event()}), "Next.")
    async with engine(LOCAL, host=server.url) as one:
        talk = Talk(one.models["qwen"])
        call = asyncio.create_task(talk.chat())
        await server.until(lambda: server.in_progress == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.until(lambda: server.cancelled == [MODEL])

        assert (await talk.chat()).text == "Next."


async def test_a_deadline_keeps_the_text_that_came(server):
    """A model that falls silent in the middle ends as an incomplete text, and its connection is closed."""
    server.say(MODEL, Reply(tokens=["Half", " way"], pauses={2: asyncio.Event()}))
    hasty = Deadlines(connect=2.0, load=5.0, first_token=5.0, idle=0.2)
    async with engine(LOCAL, host=server.url, deadlines=hasty) as one:
        completion = await Talk(one.models["qwen"]).chat()
        await server.until(lambda: server.cancelled == [MODEL])

    assert (completion.text, completion.stop) == ("Half way", "deadline")


async def test_confidence_is_the_mean_log_probability(server):
    """`logprobs` asks for them, and only then there is a confidence."""
    server.say(MODEL, Reply("Two words", logprob=-0.25))
    async with engine(LOCAL, host=server.url) as one:
        talk = Talk(one.models["qwen"])

        assert (await talk.chat()).confidence is None
        assert (await talk.chat(logprobs=True)).confidence == pytest.approx(-0.25)


async def test_thinking_is_kept_apart(server):
    """What a server marks as thinking is not text."""
    server.say(MODEL, Reply("Yes.", thinking="Hmm"))
    async with engine(LOCAL, host=server.url) as one:
        completion = await Talk(one.models["qwen"]).chat()

    assert (completion.text, completion.thinking) == ("Yes.", "Hmm")


async def test_labels_are_read_behind_the_lead_in(server):
    """The prompt is rendered by the server, opened with the lead-in, and read for one token; spellings of a label are summed."""
    prompts = []

    def leaning(prompt):
        prompts.append(prompt)
        return {" A": math.log(0.2), "A": math.log(0.1), " B": math.log(0.1), " The": math.log(0.5)}

    server.lean(MODEL, leaning)
    async with engine(LOCAL, host=server.url) as one:
        choice = await Talk(one.models["qwen"]).choose(("A", "B"), text="Which?", lead_in="Answer:")

    assert prompts == ["<user>Which?\n<assistant>Answer:"]
    assert (choice.method, choice.mass) == ("logprobs", pytest.approx(0.4))
    assert choice.probabilities == pytest.approx({"A": 0.75, "B": 0.25})
    (body,) = server.bodies("/api/generate")
    assert (body["raw"], body["logprobs"], body["top_logprobs"]) == (True, True, 20)
    assert (body["options"]["num_predict"], body["options"]["temperature"]) == (1, 0)


async def test_labels_are_read_from_a_chat_where_the_prompt_is_not_shown(server):
    """A server that does not know `_debug_render_only` answers that very request with the token that is wanted."""
    server.renders = False
    async with engine(LOCAL, host=server.url) as one:
        choice = await Talk(one.models["qwen"]).choose(("A", "B"))

    assert (choice.method, server.bodies("/api/generate")) == ("logprobs", [])
    assert choice.probabilities["A"] > choice.probabilities["B"]
    assert server.bodies("/api/chat")[-1]["options"]["num_predict"] == 1


@pytest.mark.parametrize("leaning", [{}, {"The": -0.1, "I": -3.0}], ids=["no log-probabilities", "no label among them"])
async def test_a_schema_forces_a_label_where_none_can_be_read(server, leaning):
    """Without label probabilities the label itself is asked for, held by a schema; it is marked as such."""
    server.lean(MODEL, leaning)
    async with engine(LOCAL, host=server.url) as one:
        choice = await Talk(one.models["qwen"]).choose(("A", "B"))

    assert (choice.method, choice.mass) == ("schema", 1.0)
    assert choice.probabilities["B"] > 0.99  # the fake takes the last one
    assert choice.probabilities["A"] > 0
    assert sum(choice.probabilities.values()) == pytest.approx(1)


async def test_prose_in_place_of_a_forced_label_is_no_verdict(server):
    """A server that ignores the schema is not read for opinions."""
    prose = b'{"message": {"content": "I think A is best, B is worse"}, "done": true}'
    server.lean(MODEL, {})
    async with engine(LOCAL, host=server.url) as one:
        talk = Talk(one.models["qwen"])
        await talk.chat()
        server.pages["/api/chat"] = Reply(raw=prose)
        with pytest.raises(BadReply, match="chose none of A, B but 'I think A is best"):
            await talk.choose(("A", "B"))
