"""Ollama's dialect on a real port: its shapes, its words, what is shown while a turn runs and what comes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gork.config.ensemble import SamplingOptions
from gork.errors import Died, PromptTooLong, Refused
from gork.service.dialects.ollama_messages import OllamaSampling
from gork.service.service import ServiceLimits
from tests.support.scripted_service import ANSWERS, REWRITE, ScriptedServer, gated, scripted_service

MODEL = "gork-heavy-lite"
USER = {"role": "user", "content": "capital of france pls"}
LAST = ["model", "created_at", "message", "done", "done_reason", "total_duration", "load_duration", "prompt_eval_count"]
LAST += ["prompt_eval_duration", "eval_count", "eval_duration"]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """The service with instant models."""
    async with scripted_service() as running:
        yield running


async def lines_of(server: ScriptedServer, path: str, body: object, **headers: str) -> list[dict[str, Any]]:
    """The lines of a streamed reply."""
    async with server.post(path, body, **headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "application/x-ndjson"
        raw = await response.read()
    assert raw.endswith(b"\n")
    assert b"\n\n" not in raw
    return [json.loads(line) for line in raw.splitlines()]


def chat(*messages: dict[str, Any], **more: object) -> dict[str, Any]:
    """The body of a chat."""
    return {"model": MODEL, "messages": list(messages or (USER,)), **more}


async def test_a_streamed_chat_has_ollamas_shape(server):
    """Fields, their order, their types, as a real Ollama has them; the content is the chosen answer, byte for byte."""
    *lines, last = await lines_of(server, "/api/chat", chat())

    assert {("model", "created_at", "message", "done")} == {tuple(line) for line in lines}
    assert {(MODEL, False, "assistant")} == {(line["model"], line["done"], line["message"]["role"]) for line in lines}
    assert ANSWERS["qwen"] == "".join(line["message"]["content"] for line in lines)
    assert LAST == list(last)
    assert ({"role": "assistant", "content": ""}, True, "stop", 3) == (
        last["message"],
        last["done"],
        last["done_reason"],
        last["eval_count"],
    )
    assert all(type(last[name]) is int for name in LAST[5:])


async def test_a_streamed_generate_has_ollamas_shape(server):
    """The text is in `response`, the drafts in `thinking`."""
    *lines, last = await lines_of(server, "/api/generate", {"model": MODEL, "prompt": "capital of france pls"})

    assert ["model", "created_at", "response", "done"] == list(lines[-1])
    assert ANSWERS["qwen"] == "".join(line["response"] for line in lines)
    assert all(answer in "".join(line.get("thinking", "") for line in lines) for answer in ANSWERS.values())
    assert (["model", "created_at", "response", "done", "done_reason", "context", *LAST[5:]], True) == (list(last), last["done"])


async def test_a_reply_that_is_not_streamed_is_one_object(server):
    """The same fields at once, the thinking beside the content."""
    status, reply = await server.ask("/api/chat", chat(stream=False))

    assert (200, LAST, ANSWERS["qwen"]) == (status, list(reply), reply["message"]["content"])
    assert all(answer in reply["message"]["thinking"] for answer in ANSWERS.values())


async def test_the_thinking_channel_has_the_way_to_the_answer_before_the_answer(server):
    """The rewrite, each draft whole and under its model's name, the verdict; then, and only then, content."""
    lines = await lines_of(server, "/api/chat", chat())

    said = [line["message"]["thinking"] for line in lines if "thinking" in line["message"]]
    contents = [bool(line["message"]["content"]) for line in lines]
    assert f"asked as: {REWRITE}\n\n" == said[0]
    assert [f"**{name}** (" for name in ANSWERS] == [text[: len(name) + 6] for text, name in zip(said[1:], ANSWERS, strict=False)]
    assert all(text.endswith(f"\n\n{answer}\n\n") for text, answer in zip(said[1:], ANSWERS.values(), strict=False))
    assert said[4].startswith("chosen: qwen (")
    assert not any("thinking" in line["message"] for line in lines[contents.index(True) :])


async def test_a_fallback_is_said_in_the_thinking_channel(server):
    """Without the judge the favourite decides, and the channel says why."""
    server.models["judge"].replies = [Refused("it will not", member="judge", where="a test")]

    lines = await lines_of(server, "/api/chat", chat())

    said = "".join(line["message"].get("thinking", "") for line in lines)
    assert "failed: judge at a test: it will not\n" in said
    assert "the judge had no say, the favourite decided: judge at a test: it will not\n" in said
    assert said.endswith("chosen: qwen (fallback)\n\n")


@pytest.mark.parametrize(("think", "shown"), [(None, True), (True, True), ("low", True), ("max", True), (False, False)])
async def test_drafts_are_shown_unless_the_request_says_no(server, think, shown):
    """`think` switches the channel for one request."""
    lines = await lines_of(server, "/api/chat", chat(think=think))

    assert shown == any("thinking" in line["message"] for line in lines)
    assert ANSWERS["qwen"] == "".join(line["message"]["content"] for line in lines)


@pytest.mark.parametrize(("think", "shown"), [(None, False), (True, True)])
async def test_the_settings_decide_where_a_request_says_nothing(think, shown):
    """With `drafts` off, thinking is there only for those who ask."""
    async with scripted_service(drafts=False) as server:
        _, reply = await server.ask("/api/chat", chat(think=think, stream=False))

    assert shown == ("thinking" in reply["message"])


async def test_while_nothing_happens_blanks_come_that_belong_to_the_next_line():
    """The head does not wait for ever, and what keeps the connection alive is no line of its own and no piece of an answer."""
    gate = asyncio.Event()
    async with (
        scripted_service(answers={"a": gated(gate, "Paris.")}, limits=ServiceLimits(heartbeat_s=0.05, head_s=0.05)) as server,
        server.post("/api/chat", chat(think=False)) as response,
    ):
        early = await response.content.readexactly(3)
        gate.set()
        rest = [json.loads(line) for line in (await response.read()).splitlines()]

    assert b"   " == early
    assert "Paris." == "".join(line["message"]["content"] for line in rest)


async def test_a_model_that_writes_for_long_does_not_leave_the_line_silent():
    """Tokens of drafts are not shown one by one, so while they come the line is kept alive all the same."""
    gate = asyncio.Event()

    async def writes(draft):
        while not gate.is_set():  # so often that it is never taken for silent
            draft.add("x")
            await asyncio.sleep(0.01)
        return draft.completion("stop")

    async with (
        scripted_service(answers={"a": writes}, limits=ServiceLimits(heartbeat_s=0.2)) as server,
        server.post("/api/chat", chat(think=False)) as response,
    ):
        blanks = await response.content.readexactly(4)
        gate.set()
        await response.read()

    assert b"    " == blanks


@pytest.mark.parametrize("name", [MODEL, f"{MODEL}:latest", "qwen", "qwen:latest", "promptimizer", "judge:latest"])
async def test_models_are_found_with_and_without_their_tag(server, name):
    """Whatever a client called it is what the reply calls it."""
    status, reply = await server.ask("/api/chat", {"model": name, "messages": [USER], "stream": False})

    assert (200, name) == (status, reply["model"])


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/api/chat", {"model": "x", "messages": [USER]}, 404, "model 'x' not found"),
        ("/api/chat", {"model": "qwen:7b", "messages": [USER]}, 404, "model 'qwen:7b' not found"),
        ("/api/generate", {"model": "x", "prompt": "hi"}, 404, "model 'x' not found"),
        ("/api/generate", {}, 404, "model '' not found"),
        ("/api/show", {"model": "x"}, 404, "model 'x:latest' not found"),
        ("/api/show", {}, 400, "model is required"),
        ("/api/chat", {}, 400, "model is required"),
        ("/api/chat", chat(tools=[{"type": "function"}], tool_choice="required"), 400, f'"{MODEL}" does not support tools'),
        ("/api/chat", chat({**USER, "images": ["aGk="]}), 400, f'"{MODEL}" does not support vision'),
        ("/api/chat", {"model": "qwen", "messages": [USER], "think": True}, 400, '"qwen" does not support thinking'),
        ("/api/generate", {"model": MODEL, "prompt": "a", "suffix": "b"}, 400, f'"{MODEL}" does not support insert'),
        (
            "/api/chat",
            chat(think="wild"),
            400,
            'invalid think value: "wild" (must be "high", "medium", "low", "max", true, or false)',
        ),
        ("/api/chat", chat(format="xml"), 400, 'invalid format: "xml"; expected "json" or a valid JSON Schema object'),
        ("/api/chat", chat(keep_alive="x"), 400, 'time: invalid duration "x"'),
        (
            "/api/pull",
            {"model": "nope"},
            404,
            "model 'nope' is not here, and this service fetches none: it has gork-heavy-lite, promptimizer, qwen-small, qwen, llama, judge",
        ),
    ],
)
async def test_errors_are_in_ollamas_words(server, path, body, status, error):
    """The status and the text that a real Ollama has for the same mistake, where it has one."""
    assert (status, {"error": error}) == await server.ask(path, body)


@pytest.mark.parametrize("path", ["push", "create", "copy"])
async def test_what_is_not_offered_says_so(server, path):
    """A clear 404 in Ollama's shape, no HTML."""
    status, reply = await server.ask(f"/api/{path}", {})

    assert (404, ["error"]) == (status, list(reply))
    assert "service" in reply["error"]


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings"])
async def test_embeddings_are_refused_in_ollamas_words(server, path):
    """By the name that was asked for; a model that is not there is a 404."""
    assert (400, {"error": '"qwen" does not support embeddings'}) == await server.ask(path, {"model": "qwen", "input": "hi"})
    assert 404 == (await server.ask(path, {"model": "nope", "input": "hi"}))[0]


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/api/chat", {"messages": []}, "load"),
        ("/api/chat", {}, "load"),
        ("/api/chat", {"messages": [], "keep_alive": -1}, "load"),
        ("/api/chat", {"messages": [], "keep_alive": 0}, "unload"),
        ("/api/generate", {}, "load"),
        ("/api/generate", {"prompt": "", "keep_alive": "0s"}, "unload"),
    ],
)
async def test_nothing_asked_is_a_load(server, path, body, reason):
    """One object even where a stream was asked for, as Ollama has it; no model is asked."""
    status, reply = await server.ask(path, {"model": MODEL, **body})

    assert (200, True, reason) == (status, reply["done"], reply["done_reason"])
    assert not any(model.asked for model in server.models.values())


async def test_what_a_client_says_reaches_the_candidates(server):
    """Its instructions after theirs, wherever they stood; its history; its sampling and its format."""
    messages = [
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hi."},
        {"role": "system", "content": "Be kind."},
        USER,
    ]
    options = {"temperature": 0.1, "num_predict": 7, "stop": ["END"], "num_ctx": 99, "seed": -1, "top_k": None, "mirostat": 1}
    await server.ask("/api/chat", chat(*messages, options=options, format={"type": "object"}, stream=False))

    qwen = server.models["qwen"]
    assert [{"role": "system", "content": "You are qwen.\n\nBe kind."}, *messages[:2], {"role": "user", "content": REWRITE}] == qwen.asked[
        0
    ]
    assert {"temperature": 0.1, "num_predict": 7, "stop": ("END",)} == {k: v for k, v in qwen.options[0].items() if k != "seed"}
    assert [{"type": "object"}] == qwen.formats
    assert {"temperature": 0} == {k: v for k, v in server.models["promptimizer"].options[0].items() if k != "seed"}


async def test_the_same_seed_draws_the_same_way(server):
    """A seed is the whole turn's: the candidates get it, each its own from it."""
    for _ in range(2):
        await server.ask("/api/chat", chat(options={"seed": 7}, stream=False))

    assert [8, 8] == [options["seed"] for options in server.models["qwen"].options]


@pytest.mark.parametrize("most", [-1, -2, -3, 0])
async def test_a_limit_left_to_the_model_is_the_ensembles_own(server, most):
    """0 and less mean no limit to Ollama; here the ensemble's stands."""
    await server.ask("/api/chat", chat(options={"num_predict": most}, stream=False))

    assert 512 == server.models["qwen"].options[0]["num_predict"]


async def test_a_limit_beyond_the_context_is_the_context(server):
    """Clients that always ask for a great deal are served."""
    await server.ask("/api/chat", chat(options={"num_predict": 100_000}, stream=False))

    assert 4096 == server.models["qwen"].options[0]["num_predict"]


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"num_predict": "5"}, "num_predict"),
        ({"temperature": "hot"}, "temperature"),
        ([], "options"),
    ],
)
async def test_wrong_options_are_refused_with_their_place(server, options, place):
    """400, and no model is asked."""
    status, reply = await server.ask("/api/chat", chat(options=options))

    assert 400 == status
    assert place in reply["error"]
    assert not any(model.asked for model in server.models.values())


def test_options_are_those_of_ensemble_files():
    """What the service takes from a client is what an ensemble file could say; `optimize` is about the turn, not about sampling."""
    assert set(SamplingOptions.__struct_fields__) | {"optimize"} == set(OllamaSampling.__struct_fields__)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"top_k": -1}, {"top_k": 0}),
        ({"temperature": -1, "top_p": 1.5, "top_k": 1.5}, {"temperature": 0, "top_p": 1, "top_k": 1}),
        ({"repeat_penalty": 99}, {"repeat_penalty": 10}),
        ({"stop": ["", "END", "END"]}, {"stop": ("END",)}),
        ({"stop": ""}, {}),
        ({"stop": [1, "END", None]}, {"stop": ("END",)}),
        ({"num_ctx": "big", "useMLock": True, "min_p": None}, {}),
        ({"num_predict": 1e30, "repeat_last_n": -1}, {"num_predict": 4096, "repeat_last_n": -1}),
    ],
)
async def test_any_number_is_brought_within_what_engines_know(server, given, kept):
    """No number of a client's is a reason to refuse a question."""
    status, _ = await server.ask("/api/chat", {"model": "qwen", "messages": [USER], "options": given, "stream": False})

    options = server.models["qwen"].options[0]
    assert (200, kept) == (status, {name: options[name] for name in kept})
    assert {"num_predict", "seed", *kept} >= set(options)


async def test_older_turns_that_do_not_fit_are_left_out_and_it_says_so():
    """Whole turns go, the oldest first; the thinking channel says how many."""
    old = [{"role": "user", "content": "x" * 300}, {"role": "assistant", "content": "y" * 300}]
    new = [{"role": "user", "content": "I am Ada."}, {"role": "assistant", "content": "Hi."}]
    async with scripted_service(history_tokens=100) as server:
        lines = await lines_of(server, "/api/chat", chat(*old, *old, *new, USER))

        assert new == server.models["qwen"].asked[0][1:-1]
        _, silent = await server.ask("/api/chat", chat(*old, *old, *new, USER, think=False, stream=False))
    assert "2 oldest turns did not fit" in lines[0]["message"]["thinking"]
    assert "thinking" not in silent["message"]


async def test_messages_of_the_same_role_are_joined(server):
    """Chat templates that want roles to alternate get what they want; nothing is lost but a greeting, and that is said."""
    talk = [
        {"role": role, "content": text} for role, text in zip(("assistant", "user", "user", "assistant", "assistant"), "habcd", strict=True)
    ]
    _, reply = await server.ask("/api/chat", chat(*talk, {"role": "user", "content": "What is"}, USER, stream=False))

    asked = server.models["qwen"].asked[0]
    assert [("user", "a\n\nb"), ("assistant", "c\n\nd")] == [(m["role"], m["content"]) for m in asked[1:-1]]
    assert "began with a message of the assistant's" in reply["message"]["thinking"]
    assert server.models["promptimizer"].asked[0][-1]["content"].endswith("What is\n\ncapital of france pls")


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": " "}],
        [{"role": "user"}],
        [{"role": "user", "content": "a\0b"}],
        [{"role": "user", "content": "x" * 70_000}],
        [{"role": "user", "content": 1}],
        ["x"],
        "x",
    ],
)
async def test_conversations_that_cannot_be_answered_are_refused(server, messages):
    """Nothing in it, NUL, too much, no text: 400 each, and no model is asked."""
    status, reply = await server.ask("/api/chat", {"model": MODEL, "messages": messages})

    assert (400, ["error"]) == (status, list(reply))
    assert not any(model.asked for model in server.models.values())


async def test_a_candidate_alone_writes_as_it_goes_with_its_own_instructions(server):
    """Its tokens come one by one; neither rewrite nor judge is asked."""
    lines = await lines_of(server, "/api/chat", {"model": "qwen", "messages": [{"role": "system", "content": "Be kind."}, USER]})

    assert ["It", " is", " **Paris**.\n", ""] == [line["message"]["content"] for line in lines]
    assert [{"role": "system", "content": "You are qwen.\n\nBe kind."}, USER] == server.models["qwen"].asked[0]
    assert [] == server.models["promptimizer"].asked + server.models["judge"].asked


async def test_promptimizer_and_judge_alone_have_no_instructions_but_the_clients(server):
    """Theirs are for their part in a turn."""
    await server.ask("/api/chat", {"model": "judge", "messages": [{"role": "system", "content": "Be kind."}, USER], "stream": False})

    assert [{"role": "system", "content": "Be kind."}, USER] == server.models["judge"].asked[0]


@pytest.mark.parametrize(("header", "turn"), [("title_generation", False), ("", True), (" ", True)])
async def test_a_side_call_of_open_webui_is_answered_by_one_small_model(server, header, turn):
    """With the header set and not empty the last candidate of the order answers, without instructions of its own, nobody else."""
    headers = {"X-OpenWebUI-Task": header}
    _, reply = await server.ask("/api/chat", chat(stream=False), **headers)

    assert turn == bool(server.models["qwen"].asked)
    assert (ANSWERS["qwen"] if turn else ANSWERS["llama"]) == reply["message"]["content"]
    assert turn or server.models["llama"].asked == [[USER]]


async def test_a_turn_that_fails_at_once_has_its_status():
    """The head of a stream waits for the first word, so that a client learns what real servers say with a status."""
    failing = {name: Refused("out of luck", member=name, where="a test") for name in ("a", "b")}
    async with scripted_service(answers=failing) as server:
        streamed, whole = [await server.ask("/api/chat", chat(stream=stream)) for stream in (True, False)]

    assert streamed == whole
    assert (502, ["error"], True) == (whole[0], list(whole[1]), "a at a test: out of luck" in whole[1]["error"])


async def test_a_turn_that_fails_later_is_told_in_the_stream():
    """The last line is the error, with the fields that every line has, for clients that read those first."""
    gate = asyncio.Event()

    async def fails(_draft):
        await gate.wait()
        raise Refused("out of luck", member="a", where="a test")

    limits = ServiceLimits(heartbeat_s=0.05, head_s=0.05)
    async with scripted_service(answers={"a": fails}, limits=limits) as server, server.post("/api/chat", chat(think=False)) as response:
        await response.content.readexactly(1)
        gate.set()
        (line,) = (await response.read()).splitlines()

    last = json.loads(line)
    assert ["model", "created_at", "message", "done", "done_reason", "error"] == list(last)
    assert (True, "error", True) == (last["done"], last["done_reason"], "out of luck" in last["error"])


async def test_a_prompt_too_long_for_all_is_the_clients_mistake():
    """400 where models are broken would be 502."""
    failing = {name: PromptTooLong("it has 9000 tokens", member=name, where="a test") for name in ("a", "b")}
    async with scripted_service(answers=failing) as server:
        status, _ = await server.ask("/api/chat", chat(stream=False))
        alone, _ = await server.ask("/api/chat", {"model": "a", "messages": [USER], "stream": False})

    assert (400, 400) == (status, alone)


async def test_a_member_that_starts_anew_after_it_was_heard_ends_with_an_error():
    """What has been sent cannot be taken back; a reply that is not streamed has the second try."""

    async def dies(draft):
        draft.add("It")
        draft.add(" is")
        raise Died("its process died", member="a", where="a test")

    async with scripted_service(answers={"a": dies}) as server:
        model = server.models["a"]
        model.replies = [dies, "It is Paris.", dies, "It is Paris."]
        lines = await lines_of(server, "/api/chat", {"model": "a", "messages": [USER]})
        _, reply = await server.ask("/api/chat", {"model": "a", "messages": [USER], "stream": False})

    assert "after a part of its answer had been sent" in lines[-1]["error"]
    assert "It is Paris." == reply["message"]["content"]


async def test_a_client_that_leaves_stops_all_models():
    """Each candidate's call is cancelled, and the next question is answered."""
    gate, reached, cancelled = asyncio.Event(), asyncio.Event(), []

    def waits(name):
        async def reply(draft):
            draft.add("so")
            reached.set()
            try:
                await gate.wait()
            except asyncio.CancelledError:
                cancelled.append(name)
                raise
            return draft.completion("stop")

        return reply

    async with scripted_service(answers={name: waits(name) for name in ("a", "b")}) as server:
        response = await server.client.post(f"{server.url}/api/chat", json=chat())
        await asyncio.wait_for(reached.wait(), 5)
        response.close()
        async with asyncio.timeout(2):
            while server.service.turns.queue.inside:
                await asyncio.sleep(0.01)
        assert ["a", "b"] == sorted(cancelled)
        gate.set()
        status, _ = await server.ask("/api/chat", chat(stream=False))

    assert 200 == status


async def test_a_long_answer_comes_in_lines_that_every_client_can_read(server):
    """A candidate's long text is cut into pieces, in thinking and in content, and is the same when put together."""
    text = "Paris " + "ä" * 40_000
    server.models["qwen"].replies = [text]
    lines = await lines_of(server, "/api/chat", chat())

    assert text == "".join(line["message"]["content"] for line in lines)
    assert text in "".join(line["message"].get("thinking", "") for line in lines)
    assert max(len(json.dumps(line, ensure_ascii=False).encode()) for line in lines) < 64 * 1024


async def test_a_lone_surrogate_from_a_model_is_sent_as_a_replacement_character(server):
    """UTF-8 has no lone surrogates."""
    server.models["qwen"].replies = ["Paris \ud83d"]
    lines = await lines_of(server, "/api/chat", chat())

    assert "Paris \ufffd" == "".join(line["message"]["content"] for line in lines)


async def test_show_tags_ps_and_version_have_what_clients_read(server):
    """The fields of a real Ollama: tags have name and model, show has capabilities and a context, the version parses as integers."""
    _, show = await server.ask("/api/show", {"name": MODEL})
    async with server.client.get(f"{server.url}/api/tags") as response:
        tags = (await response.json())["models"]
    async with server.client.get(f"{server.url}/api/version") as response:
        version = (await response.json())["version"]

    assert (["completion", "thinking"], 4096) == (show["capabilities"], show["model_info"]["gork.context_length"])
    assert "gork" == show["model_info"]["general.architecture"]
    assert [f"{name}:latest" for name in (MODEL, "promptimizer", *ANSWERS, "judge")] == [tag["name"] for tag in tags]
    assert all(tag["name"] == tag["model"] and len(bytes.fromhex(tag["digest"])) == 32 for tag in tags)
    assert [int(part) for part in version.split(".")] > [0, 6, 4]


async def test_ps_lists_what_is_loaded():
    """A member is listed when its model is in memory, the ensemble when all candidates are."""
    async with scripted_service(limits=ServiceLimits(health_fresh_s=0.0)) as server:
        assert [] == await _running(server)
        for name in ANSWERS:
            server.models[name].reports_loaded = True
        assert [MODEL, *ANSWERS] == [name.removesuffix(":latest") for name in await _running(server)]


async def _running(server):
    async with server.client.get(f"{server.url}/api/ps") as response:
        return [row["model"] for row in (await response.json())["models"]]


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
async def test_the_root_says_that_an_ollama_is_running(server, accept):
    """To everyone but browsers, in GET and HEAD."""
    async with server.client.get(server.url, headers={"Accept": accept}) as response:
        assert (200, "Ollama is running") == (response.status, await response.text())
    async with server.client.head(server.url, headers={"Accept": accept}) as response:
        assert (200, "17") == (response.status, response.headers["Content-Length"])


async def test_the_root_gives_browsers_the_page(server):
    """Whoever asks for HTML gets it, at the same address."""
    async with server.client.get(server.url, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}) as response:
        assert (200, "text/html") == (response.status, response.content_type)
        assert "Accept" in response.headers["Vary"]


async def test_unknown_fields_are_ignored(server):
    """Clients are newer than their servers."""
    status, _ = await server.ask("/api/chat", chat(stream=False, colour="red", options={"warp": 9}))

    assert 200 == status
