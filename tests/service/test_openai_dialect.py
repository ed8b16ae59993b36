"""OpenAI's dialect on a real port: its shapes, its errors with their places, what is shown while a turn runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gork.config.ensemble import Choosing
from gork.errors import Died, PromptTooLong, Refused
from gork.service.service import ServiceLimits
from tests.support.scripted_service import ANSWERS, REWRITE, ScriptedServer, gated, scripted_service

SOON = ServiceLimits(head_s=0.05)
PATH = "/v1/chat/completions"
MODEL = "gork-heavy-lite"
USER = {"role": "user", "content": "capital of france pls"}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """The service with instant models."""
    async with scripted_service() as running:
        yield running


def chat(*messages: dict[str, Any], **more: object) -> dict[str, Any]:
    """The body of a chat."""
    return {"model": MODEL, "messages": list(messages or (USER,)), **more}


async def events_of(server: ScriptedServer, body: object, **headers: str) -> list[Any]:
    """The data of a stream's events; the end mark is a text."""
    async with server.post(PATH, body, **headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        return [read(event) for event in (await response.text()).removesuffix("\n\n").split("\n\n")]


def read(event: str) -> Any:
    """The data of one event; a comment as it is."""
    if event.startswith(":"):
        return event
    field, _, data = event.partition(": ")
    assert "data" == field
    assert "\n" not in data
    return data if data == "[DONE]" else json.loads(data)


def deltas(events: list[Any]) -> list[dict[str, str]]:
    """What each chunk adds."""
    return [event["choices"][0]["delta"] for event in events if isinstance(event, dict) and event.get("choices")]


async def test_a_stream_has_openais_shape(server):
    """The role in the first chunk alone, the reason at the end in a chunk without a delta, then the end mark; one id, one time."""
    *chunks, last, done = await events_of(server, chat(stream=True))

    assert "[DONE]" == done
    assert ["id", "object", "created", "model", "system_fingerprint", "choices"] == list(chunks[0])
    assert 1 == len({(c["id"], c["created"], c["object"], c["model"], c["system_fingerprint"]) for c in [*chunks, last]})
    assert ("chat.completion.chunk", MODEL) == (last["object"], last["model"])
    assert {"role": "assistant", "content": ""} == deltas(chunks)[0]
    assert not any("role" in delta for delta in deltas(chunks)[1:])
    assert {None} == {chunk["choices"][0]["finish_reason"] for chunk in chunks}
    assert [{"index": 0, "delta": {}, "finish_reason": "stop"}] == last["choices"]
    assert ANSWERS["qwen"] == "".join(delta.get("content", "") for delta in deltas(chunks))


async def test_usage_comes_last_where_it_is_asked_for(server):
    """A chunk without choices before the end mark; the others say null. It counts the chosen answer alone."""
    *chunks, last, _ = await events_of(server, chat(stream=True, stream_options={"include_usage": True}))

    details = {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}
    assert ([], {"prompt_tokens": 0, "completion_tokens": 3, "total_tokens": 3, **details}) == (last["choices"], last["usage"])
    assert {None} == {chunk["usage"] for chunk in chunks}


async def test_a_reply_that_is_not_streamed_is_a_completion(server):
    """The answer in content, the drafts beside it, the turn's id in the header and in the id."""
    async with server.post(PATH, chat()) as response:
        reply = await response.json()
        turn = response.headers["X-Turn-Id"]

    choice = reply["choices"][0]
    assert ["id", "object", "created", "model", "system_fingerprint", "choices", "usage"] == list(reply)
    assert (f"chatcmpl-{turn}", "chat.completion") == (reply["id"], reply["object"])
    assert (0, "assistant", ANSWERS["qwen"], "stop") == (
        choice["index"],
        choice["message"]["role"],
        choice["message"]["content"],
        choice["finish_reason"],
    )
    assert all(answer in choice["message"]["reasoning_content"] for answer in ANSWERS.values())


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_drafts_and_verdict_come_before_the_content_in_one_field(field):
    """The rewrite, each draft whole, the verdict; no content before, no reasoning after, and nothing twice."""
    async with scripted_service(thinking_field=field) as server:
        added = deltas(await events_of(server, chat(stream=True)))
        _, whole = await server.ask(PATH, chat())

    said = [delta[field] for delta in added if field in delta]
    kinds = [field in delta for delta in added if delta.get("content") or field in delta]
    assert {"role", "content", field} == {name for delta in added for name in delta}
    assert {"role", "content", field} == set(whole["choices"][0]["message"])
    assert f"asked as: {REWRITE}\n\n" == said[0]
    assert all(text.endswith(f"\n\n{answer}\n\n") for text, answer in zip(said[1:], ANSWERS.values(), strict=False))
    assert said[4].startswith("chosen: qwen (")
    assert [True] * 5 + [False] == kinds


@pytest.mark.parametrize(
    ("wish", "shown"),
    [
        ({}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "low"}, True),
        ({"reasoning_effort": "wild"}, True),
        ({"think": False}, False),
        ({"think": True, "reasoning_effort": "none"}, True),
        ({"reasoning": {"effort": "none"}}, False),
        ({"reasoning": {"enabled": False}}, False),
        ({"reasoning": {"exclude": True, "effort": "high"}}, False),
        ({"reasoning": {}}, True),
        ({"reasoning_effort": None, "think": None, "reasoning": None}, True),
        ({"think": "none"}, False),
        ({"think": "high"}, True),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        ({"thinking": False}, False),
        ({"enable_thinking": False}, False),
        ({"include_reasoning": False}, False),
        ({"reasoning": {"max_tokens": 0}}, False),
        ({"chat_template_kwargs": {"enable_thinking": False}}, False),
        ({"chat_template_kwargs": {"thinking": False}}, False),
        ({"chat_template_kwargs": {}}, True),
        ({"thinking_budget": 0}, False),
        ({"reasoning_format": "hidden"}, False),
    ],
)
async def test_a_request_switches_drafts_off(server, wish, shown):
    """In OpenAI's word, in Ollama's, and in those of gateways and of other servers."""
    _, reply = await server.ask(PATH, chat(**wish))

    message = reply["choices"][0]["message"]
    assert (shown, ANSWERS["qwen"]) == ("reasoning_content" in message, message["content"])


async def test_the_settings_decide_where_a_request_says_nothing():
    """With `drafts` off, reasoning is there only for those who ask."""
    async with scripted_service(drafts=False) as server:
        _, silent = await server.ask(PATH, chat())
        _, asked = await server.ask(PATH, chat(reasoning_effort="medium"))

    assert [False, True] == ["reasoning_content" in reply["choices"][0]["message"] for reply in (silent, asked)]


@pytest.mark.parametrize(("setting", "wish", "live"), [({}, {"live_draft": True}, True), ({"live_draft": True}, {}, True), ({}, {}, False)])
async def test_the_favourites_draft_comes_as_it_is_written_where_that_is_wanted(setting, wish, live):
    """Piece by piece, before it is done; what is done meanwhile waits for its end, and nothing is told twice."""
    seen_live, other_done = asyncio.Event(), asyncio.Event()
    answers = {
        **ANSWERS,
        "qwen-small": gated(seen_live, "It is Lyon.", then=other_done.set),
        "qwen": gated(other_done, " is **Paris**.\n", before="It"),
    }
    async with (
        asyncio.timeout(30),
        scripted_service(answers=answers, choosing=Choosing(prior=("qwen",)), **setting) as server,
        server.post(PATH, chat(stream=True, **wish)) as response,
    ):
        seen = ""
        while live and "It" not in seen.partition("**qwen**")[2]:
            seen += thought(await response.content.readuntil(b"\n\n"))
        seen_live.set()
        seen += "".join(map(thought, (await response.content.read()).split(b"\n\n")))

    assert (1, 1) == (seen.count("It is **Paris**.\n"), seen.count("It is Lyon."))
    assert live == (seen.index("It is **Paris**.\n") < seen.index("It is Lyon."))
    assert ("**qwen** (" not in seen) == live
    assert seen.rstrip().splitlines()[-1].startswith("chosen: qwen (")


def thought(event: bytes) -> str:
    """What an event of a stream adds to the thinking channel."""
    data = event.decode().strip().removeprefix("data: ")
    if not data.startswith("{"):
        return ""
    return "".join(choice["delta"].get("reasoning_content", "") for choice in json.loads(data)["choices"])


async def test_while_nothing_happens_empty_deltas_come():
    """The role chunk comes when the head has waited long enough; as long as the models are silent, chunks follow that add nothing."""
    gate = asyncio.Event()
    async with (
        scripted_service(answers={"a": gated(gate, "Paris.")}, limits=ServiceLimits(heartbeat_s=0.05, head_s=0.05)) as server,
        server.post(PATH, chat(stream=True, think=False)) as response,
    ):
        early = [json.loads((await response.content.readuntil(b"\n\n")).removeprefix(b"data: ")) for _ in range(3)]
        gate.set()
        rest = await response.text()

    assert [{"role": "assistant", "content": ""}, {}, {}] == deltas(early)
    assert '"content":"Paris."' in rest


async def test_models_are_listed_and_found(server):
    """The ensemble first, then its members; with or without a tag."""
    async with server.client.get(f"{server.url}/v1/models") as response:
        listed = await response.json()
    async with server.client.get(f"{server.url}/v1/models/{MODEL}:latest") as response:
        one = await response.json()

    assert ("list", [MODEL, "promptimizer", *ANSWERS, "judge"]) == (listed["object"], [model["id"] for model in listed["data"]])
    assert listed["data"][0] == one
    assert ({"id", "object", "created", "owned_by"}, "model") == (set(one), one["object"])


@pytest.mark.parametrize("name", ["nope", "a/b:c", "%00", "x" * 300])
async def test_a_model_that_is_not_there_is_not_found(server, name):
    """In OpenAI's shape, whatever the name."""
    async with server.client.get(f"{server.url}/v1/models/{name}") as response:
        error = (await response.json())["error"]

    assert response.status in {400, 404}
    assert ({"message", "type", "param", "code"}, "model") == (set(error), error["param"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [USER]}, "model"),
        (chat(model=""), "model"),
        (chat(model=3), "model"),
        ({"model": MODEL}, "messages"),
        ({"model": MODEL, "messages": []}, "messages"),
        (chat({"role": "user", "content": 1}), "messages[0].content"),
        (chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}), "messages[0].content[0]"),
        (chat({"role": "user", "content": [{"type": "input_audio"}]}), "messages[0].content[0]"),
        (chat({"role": "user", "content": [{"type": "text"}]}), "messages[0].content[0]"),
        (chat({"role": "user", "content": "a\0"}), "messages[0].content"),
        (chat({"role": "user", "content": []}), "messages"),
        (chat({"role": "user", "content": None}), "messages"),
        (chat(n=2), "n"),
        (chat(tools=[{"type": "function", "function": {"name": "f"}}], tool_choice="required"), "tool_choice"),
        (chat(functions=[{"name": "f"}], function_call={"name": "f"}), "tool_choice"),
        (chat(modalities=["text", "audio"]), "modalities"),
        (chat(audio={"voice": "x"}), "audio"),
        (chat(logprobs=True), "logprobs"),
        (chat(logit_bias={"5": 1}), "logit_bias"),
        (chat(top_p="x"), "top_p"),
        (chat(stop=3), "stop"),
        (chat(seed="x"), "seed"),
        (chat(stream="yes"), "stream"),
        (chat(response_format={"type": "xml"}), "response_format.type"),
        (chat(response_format={"type": "json_schema"}), "response_format.json_schema"),
        (chat(response_format={"type": "json_schema", "json_schema": {"name": "x"}}), "response_format.json_schema.schema"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_its_place(server, body, param):
    """400, `invalid_request_error`, and `param` says where; no model is asked."""
    status, reply = await server.ask(PATH, body)

    assert (400, "invalid_request_error", param) == (status, reply["error"]["type"], reply["error"]["param"]), reply
    assert not any(model.asked for model in server.models.values())


async def test_what_asks_for_nothing_is_no_mistake(server):
    """Empty lists, nulls and ones, as clients send them without meaning anything; what is not known is ignored."""
    empty = {"tools": [], "functions": None, "n": 1, "modalities": ["text"], "logprobs": False, "top_logprobs": 0, "logit_bias": {}}
    more = {"stream_options": None, "stop": None, "response_format": {"type": "text"}, "user": "u", "store": False, "warp": {"a": 1}}
    status, _ = await server.ask(PATH, chat(**empty, **more, tool_choice="auto", parallel_tool_calls=True))

    assert 200 == status


async def test_an_unknown_model_is_a_404_in_openais_shape(server):
    """With the words of Ollama's own OpenAI dialect and the code of OpenAI's."""
    status, reply = await server.ask(PATH, {**chat(), "model": "gpt-4o"})

    message = "model 'gpt-4o' not found"
    assert (404, {"error": {"message": message, "type": "not_found_error", "param": "model", "code": "model_not_found"}}) == (status, reply)


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/audio/speech", "/v1/images/generations"])
async def test_what_is_not_offered_says_so(server, path):
    """A clear 404 in OpenAI's shape."""
    status, reply = await server.ask(path, {})

    assert (404, "not_found_error") == (status, reply["error"]["type"])
    assert "this service" in reply["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATH, {**chat(), "optimize": False}),
        ("/v1/completions", {"model": MODEL, "prompt": "hi", "optimize": False}),
        ("/v1/responses", {"model": MODEL, "input": "hi", "optimize": False}),
        ("/api/chat", {**chat(), "optimize": False}),
        ("/api/chat", {**chat(), "options": {"optimize": False}}),
        ("/api/generate", {"model": MODEL, "prompt": "hi", "options": {"optimize": False}}),
    ],
)
async def test_a_request_can_do_without_the_rewrite(server, path, body):
    """For programs that write prompts by rule: the promptimizer is not asked, and the candidates get the words as they are."""
    async with server.post(path, body) as reply:
        assert 200 == reply.status
        await reply.read()

    assert [] == server.models["promptimizer"].asked
    assert 1 == len(server.models["qwen"].asked)


async def test_what_a_client_says_reaches_the_candidates(server):
    """Its instructions whatever they are called, parts of a text as one, sampling under its names, the schema."""
    messages = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]}]
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    sampling = {"temperature": 0, "top_p": 0.5, "max_tokens": 9, "max_completion_tokens": 5, "seed": 2**31 + 6, "stop": "END"}
    await server.ask(PATH, chat(*messages, **sampling, presence_penalty=1, frequency_penalty=-1, response_format=form))

    qwen = server.models["qwen"]
    wanted = {
        "temperature": 0,
        "top_p": 0.5,
        "num_predict": 5,
        "seed": 6 + 1,
        "stop": ("END",),
        "presence_penalty": 1,
        "frequency_penalty": -1,
    }
    assert "You are qwen.\n\nBe kind." == qwen.asked[0][0]["content"]
    assert "a\nb" == server.models["promptimizer"].asked[0][-1]["content"]
    assert ({**wanted, "seed": 6 + 1}, [schema]) == (qwen.options[0], qwen.formats)


async def test_a_limit_beyond_the_context_is_the_context(server):
    """Clients that always ask for a great deal are served."""
    await server.ask(PATH, chat(max_tokens=10**12))

    assert 4096 == server.models["qwen"].options[0]["num_predict"]


async def test_json_is_asked_of_the_candidates(server):
    """`json_object` is any JSON."""
    await server.ask(PATH, chat(response_format={"type": "json_object"}))

    assert ["json"] == server.models["qwen"].formats


async def test_a_cut_answer_says_length(server):
    """`finish_reason` tells whether the model itself ended its text."""

    async def cut(draft):
        draft.add("Paris is")
        return draft.completion("length")

    server.models["qwen"].replies = [cut]
    _, reply = await server.ask(PATH, {**chat(), "model": "qwen"})
    *_, last, _ = await events_of(server, {**chat(stream=True), "model": "qwen"})

    assert ["length", "length"] == [reply["choices"][0]["finish_reason"], last["choices"][0]["finish_reason"]]


async def test_a_member_alone_writes_as_it_goes(server):
    """Its tokens come one by one, without reasoning."""
    events = await events_of(server, {**chat(stream=True), "model": "qwen"})

    assert [{"role": "assistant", "content": ""}, *({"content": text} for text in ("It", " is", " **Paris**.\n")), {}] == deltas(events)


async def test_a_side_call_of_open_webui_is_answered_by_one_small_model(server):
    """With the header set the last candidate of the order answers alone."""
    _, reply = await server.ask(PATH, chat(), **{"X-OpenWebUI-Task": "tags_generation"})

    assert (ANSWERS["llama"], []) == (reply["choices"][0]["message"]["content"], server.models["qwen"].asked)


async def test_a_turn_that_fails_at_once_has_its_status():
    """Streaming or not: a status is what every client shows."""
    failing = {name: Refused("out of luck", member=name, where="a test") for name in ("a", "b")}
    async with scripted_service(answers=failing) as server:
        streamed, whole = [await server.ask(PATH, chat(stream=stream)) for stream in (True, False)]

    assert streamed == whole
    assert (502, "api_error") == (whole[0], whole[1]["error"]["type"])
    assert "a at a test: out of luck" in whole[1]["error"]["message"]


async def test_a_prompt_too_long_for_all_has_openais_code():
    """Clients that shorten their history look for it."""
    failing = {name: PromptTooLong("it has 9000 tokens", member=name, where="a test") for name in ("a", "b")}
    async with scripted_service(answers=failing) as server:
        for stream in (True, False):
            status, reply = await server.ask(PATH, chat(stream=stream))
            assert (400, "context_length_exceeded") == (status, reply["error"]["code"])


async def test_a_schema_that_no_engine_takes_is_the_clients_mistake():
    """All candidates refuse, and the format is why."""
    failing = {name: Refused("bad schema", member=name, where="a test") for name in ("a", "b")}
    async with scripted_service(answers=failing) as server:
        status, reply = await server.ask(PATH, chat(response_format={"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}))

    assert (400, "response_format") == (status, reply["error"]["param"])


async def test_a_bug_in_mid_stream_ends_it_with_an_error_and_no_traceback():
    """The client learns that it was not its fault, and nothing of our insides."""

    async def broken(draft):
        draft.add("so")
        await asyncio.sleep(0.05)  # the head is out
        raise RuntimeError("secret inside")

    async with scripted_service(answers={"a": broken}) as server:
        events = await events_of(server, chat(stream=True))
        status, reply = await server.ask(PATH, chat())

    assert (500, "api_error") == (status, reply["error"]["type"])
    assert reply == events[-1]
    assert "secret" not in reply["error"]["message"]


async def test_a_client_that_leaves_stops_all_models():
    """Each candidate's call is cancelled, streaming or not."""
    gate, reached, cancelled = asyncio.Event(), asyncio.Event(), []

    async def waits(draft):
        reached.set()
        try:
            await gate.wait()
        except asyncio.CancelledError:
            cancelled.append(draft)
            raise

    async with scripted_service(answers={"a": waits, "b": waits}) as server:
        for stream in (True, False):
            reached.clear()
            asking = asyncio.ensure_future(server.ask(PATH, chat(stream=stream)))
            await asyncio.wait_for(reached.wait(), 5)
            asking.cancel()
            async with asyncio.timeout(2):
                while server.service.turns.queue.inside:
                    await asyncio.sleep(0.01)

    assert 4 == len(cancelled)


async def test_a_full_service_refuses_before_a_stream_begins():
    """503 with Retry-After instead of a stream that says so."""
    gate, reached = asyncio.Event(), asyncio.Event()
    async with scripted_service(answers={"a": gated(gate, "Paris.", reached=reached.set)}, turns=1, queue=0) as server:
        first = asyncio.ensure_future(server.ask(PATH, chat()))
        await asyncio.wait_for(reached.wait(), 5)
        async with server.post(PATH, chat(stream=True)) as response:
            status, after, error = response.status, response.headers.get("Retry-After"), (await response.json())["error"]
        gate.set()
        assert 200 == (await first)[0]

    assert (503, "api_error", True) == (status, error["type"], after is not None)


async def test_waiting_in_line_is_said():
    """The reasoning channel tells how many are before a turn."""
    gate, reached = asyncio.Event(), asyncio.Event()
    async with scripted_service(answers={"a": gated(gate, "Paris.", reached=reached.set)}, turns=1, queue=5, limits=SOON) as server:
        first = asyncio.ensure_future(server.ask(PATH, chat()))
        await asyncio.wait_for(reached.wait(), 5)
        async with server.post(PATH, chat(stream=True)) as response:
            await response.content.readuntil(b"\n\n")
            waiting = await response.content.readuntil(b"\n\n")
            gate.set()
            await response.read()
        await first

    assert b"waiting: this turn is the next" in waiting


async def test_a_member_whose_process_dies_twice_is_an_error():
    """Named, with what to blame."""
    died = Died("its process died", member="a", where="a test")
    async with scripted_service(answers={"a": died}) as server:
        status, reply = await server.ask(PATH, {**chat(), "model": "a"})

    assert (502, "a at a test: its process died") == (status, reply["error"]["message"])


@pytest.mark.parametrize(("headers", "told"), [({}, True), ({"X-Forwarded-For": "203.0.113.7"}, False)])
async def test_clients_from_elsewhere_are_told_no_folder_of_ours(headers, told):
    """A file of weights that is at fault is named to them without it."""
    failing = Refused("it is damaged", member="a", where="a test", fix="delete /home/me/weights/a.gguf and fetch it again")
    async with scripted_service(answers={"a": failing}) as server:
        server.models["a"]._weights = Path("/home/me/weights/a.gguf")
        _, reply = await server.ask(PATH, {**chat(), "model": "a"}, **headers)

    assert (True, told) == ("a.gguf" in reply["error"]["message"], "/home/me" in reply["error"]["message"])


@pytest.mark.parametrize(("headers", "told"), [({}, True), ({"X-Forwarded-For": "203.0.113.7"}, False)])
async def test_clients_from_elsewhere_are_told_no_address_of_ours(headers, told):
    """In errors and in the thinking channel; the log has them."""
    failing = Refused("out of luck", member="a", where="a test")
    async with scripted_service(answers={"a": failing}) as server:
        _, alone = await server.ask(PATH, {**chat(), "model": "a"}, **headers)
        _, whole = await server.ask(PATH, chat(), **headers)
    async with scripted_service(answers={"a": failing, "b": "Paris."}) as server:
        _, reply = await server.ask(PATH, chat(), **headers)

    said = [alone["error"]["message"], whole["error"]["message"], reply["choices"][0]["message"]["reasoning_content"]]
    assert [told] * 3 == ["a test" in text for text in said]
    assert all("out of luck" in text for text in said)
