"""Whatever a model server, a proxy or a network does wrong ends as one of our errors, soon, in the plain and in the streaming path.

One table of cases for every engine at servers; what only one kind of server does stands at the end.
"""

from __future__ import annotations

import gzip
import json
from contextlib import asynccontextmanager

import pytest

from gork.engines.http import HttpLimits
from gork.errors import BadReply, Busy, Died, ModelMissing, PromptTooLong, Refused, TimedOut, Unreachable
from gork.turn import Restarted, Token
from tests.support.fake_server import Reply
from tests.support.ollama_setup import MODEL, Talk
from tests.support.server_setup import OLLAMA, OPENAI, settled

LONG = "request (2100 tokens) exceeds the available context size (2048 tokens)"
NESTED = json.dumps({"error": {"code": 400, "message": LONG}})
RUNNER = "an error was encountered while running the model: unexpected EOF"
STOPPED = "model runner has unexpectedly stopped, this may be due to resource limitations"

ERRORS = [
    (400, "model is required", Refused),
    (400, "the input length exceeds the context length", PromptTooLong),
    (400, "request (2100 tokens) exceeds the available context size (2048 tokens), try increasing it", PromptTooLong),
    (404, "model 'tiny:1b' not found", ModelMissing),
    (499, "request canceled", Died),
    (500, "error loading model tensors", Refused),
    (500, "model requires more system memory (4 GiB) than is available (2 GiB)", Refused),
    (500, RUNNER, Died),
    (500, STOPPED, Died),
    (503, "server busy, please try again.  maximum pending requests exceeded", Busy),
]
OF_OLLAMA = [
    (400, "time: missing unit in duration", Refused),
    (400, "the prompt is longer than the context length currently available", PromptTooLong),
    (400, NESTED, PromptTooLong),
    (400, '"tiny:1b" does not support chat', Refused),
    (404, 'model "tiny:1b" not found, try pulling it first', ModelMissing),
    (500, 'option "temperature" must be of type float32', Refused),
    (500, "llama-server process has terminated: signal: killed", Died),
    (500, "llama runner process has terminated: exit status 2", Died),
    (500, "timed out waiting for llama-server to start - progress 0.1", TimedOut),
    (500, 'POST predict: Post "http://127.0.0.1:40123/completion": EOF', Died),
]
OF_OPENAI = [
    (400, "This model's maximum context length is 512 tokens. However, your request has 600 input tokens.", PromptTooLong),
    (400, {"message": "request (4031 tokens) is too large", "type": "exceed_context_size_error", "n_ctx": 2048}, PromptTooLong),
    (400, {"message": "Please reduce your prompt", "code": "context_length_exceeded"}, PromptTooLong),
    (401, "Invalid API Key", Refused),
    (402, {"message": "Insufficient credits", "code": 402}, Refused),
    (404, "The model `tiny:1b` does not exist.", ModelMissing),
    (404, {"message": "No such thing", "code": "model_not_found"}, ModelMissing),
    (404, "Not Found", BadReply),
    (429, "Rate limit reached for requests", Busy),
    (500, "EngineDeadError: engine core has died", Died),
    (503, "too many requests are waiting", Busy),
]
CASES = [(kind, *case) for kind, cases in ((OLLAMA, ERRORS + OF_OLLAMA), (OPENAI, ERRORS + OF_OPENAI)) for case in cases]


@pytest.fixture
async def server(kind):
    """A fake of that kind with one loaded model, which answers chats at once."""
    async with kind.fake() as fake:
        yield fake


@asynccontextmanager
async def talking(kind, server, **fields):
    """A talk with the one member of an engine."""
    async with kind.engine(server, **fields) as one:
        yield Talk(settled(one))


@pytest.mark.parametrize("call", ["chat", "choose"])
@pytest.mark.parametrize(
    ("kind", "told"), [(kind, told) for kind, *told in CASES], ids=[f"{kind.name} {status} {str(e)[:30]}" for kind, status, e, _ in CASES]
)
async def test_an_error_status_is_translated(kind, server, told, call):
    """Each error body that a server is known to send has its kind, in the streaming path (chat) and in the plain one (choose)."""
    status, error, means = told
    server.pages[server.chat_path] = Reply(
        status=status, raw=json.dumps({"error": error}).encode(), headers={"Content-Type": "application/json"}
    )
    async with talking(kind, server) as talk:
        with pytest.raises(means) as caught:
            await getattr(talk, call)()

    assert type(caught.value) is means
    assert str(caught.value).startswith(f"qwen at {kind.where(server)}: ")
    assert f"(HTTP {status})" in str(caught.value)
    assert "{" not in str(caught.value)


FORMS = [
    (429, b"request dropped: pool saturated", Busy),
    (503, b"request expired in the queue", Busy),
    (429, b"", Busy),
    (503, {"object": "error", "message": "The request queue is full.", "type": "ServiceUnavailableError", "code": 503}, Busy),
    (400, {"object": "error", "message": "The prompt exceeds the model's context", "param": None, "code": 400}, PromptTooLong),
    (400, {"error": {"message": "You passed 900 tokens and 200 are wanted", "param": "input_tokens", "code": 400}}, PromptTooLong),
    (404, {"detail": "Not Found"}, BadReply),
    (400, {"detail": "Host not allowed"}, Refused),
    (422, {"error": {"message": "Request cancelled", "trace": "Traceback (most recent call last) ..."}}, Refused),
    (200, {"error": {"code": 429, "message": "Provider returned error", "metadata": {}}}, Busy),
    (200, {"error": {"code": 503, "message": "No provider is available"}}, Busy),
    (503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}, Busy),
]
"""Errors as llm-d (plain text), SGLang (flat), vLLM, text-generation-webui (`detail`), TabbyAPI, OpenRouter (in a 200) and llama-server
give them.
"""


@pytest.mark.parametrize("call", ["chat", "choose"])
@pytest.mark.parametrize(("kind", "told"), [(OPENAI, told) for told in FORMS], ids=[f"{status} {str(e)[:40]}" for status, e, _ in FORMS])
async def test_an_error_is_read_in_whatever_form_it_comes(kind, server, told, call):
    """Busy is told from gone, too long from refused, also by what stands beside the text or in it alone."""
    status, error, means = told
    raw, content = (error, "text/plain") if isinstance(error, bytes) else (json.dumps(error).encode(), "application/json")
    server.pages[server.chat_path] = Reply(status=status, raw=raw, headers={"Content-Type": content})
    async with talking(kind, server) as talk:
        with pytest.raises(means) as caught:
            await getattr(talk, call)()

    assert isinstance(caught.value, means)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("mark", [b"", b"data: [DONE]\n\n"], ids=["no end mark", "an end mark"])
@pytest.mark.parametrize(
    ("error", "means"),
    [
        ({"error": {"message": "EngineDeadError: engine core has died", "code": 500}}, Died),
        ({"error": {"message": "too many requests", "code": 429}}, Busy),
        ({"error": {"message": "CUDA error", "trace": "Traceback"}}, Refused),
        ({"error": "out of memory"}, Refused),
    ],
)
async def test_an_error_in_a_stream_counts_whether_or_not_the_end_mark_follows(error, means, mark):
    """VLLM and SGLang send the mark after it, llama-server and TabbyAPI do not: never is what came before an answer."""
    chunk = b'data: {"choices": [{"delta": {"content": "Half an"}}]}\n\n'
    async with OPENAI.fake() as server, talking(OPENAI, server) as talk:
        server.pages[server.chat_path] = Reply(raw=chunk + b"data: " + json.dumps(error).encode() + b"\n\n" + mark)
        with pytest.raises(means):
            await talk.chat()


@pytest.mark.parametrize(
    ("text", "means"), [(RUNNER, Died), (STOPPED, Died), (LONG, PromptTooLong), ("model 'x' not found", ModelMissing), ("what?", Refused)]
)
async def test_an_error_in_the_middle_of_a_stream_is_translated(kind, server, text, means):
    """A status of 200 does not make an error line a text."""
    server.say(MODEL, Reply("Some words already", error=text))
    async with talking(kind, server) as talk:
        with pytest.raises(means):
            await talk.chat()


@pytest.mark.parametrize(
    "fault",
    [Reply("Some words", error=RUNNER), Reply("Some words", cut=True), Reply("Some words", unfinished=True)],
    ids=["the runner died", "the connection was reset", "the stream ended without done"],
)
async def test_a_model_that_went_away_is_asked_once_more(kind, server, fault):
    """What had come before does not count, and the user's view is told to start anew."""
    server.say(MODEL, fault, "The whole answer.")
    async with talking(kind, server) as talk:
        completion = await talk.chat()

    assert (completion.text, completion.stop) == ("The whole answer.", "stop")
    assert len([event for event in talk.events if isinstance(event, Restarted)]) == 1
    assert len(server.chats) == 2


@pytest.mark.parametrize("fault", [Reply("Some words", cut=True), Reply("Some words", unfinished=True), Reply(tokens=[], cut=True)])
async def test_a_model_that_goes_away_twice_has_died(kind, server, fault):
    """A second death is a failure, and nobody is asked a third time."""
    server.say(MODEL, fault)
    async with talking(kind, server) as talk:
        with pytest.raises(Died, match=f"qwen at {kind.where(server)}: "):
            await talk.chat()

    assert len(server.chats) == 2


async def test_a_line_of_a_megabyte_is_read(kind, server):
    """The line reader of aiohttp gives up at 128 KiB."""
    word = "x" * 2**20
    server.say(MODEL, Reply(tokens=[word]))
    async with talking(kind, server) as talk:
        assert (await talk.chat()).text == word


async def test_a_reply_without_an_end_is_cut_off(kind, server):
    """A stream may not fill the memory, whether its lines are short or it has none."""
    server.say(MODEL, Reply(tokens=[f"word{n} " for n in range(2000)]))
    async with talking(kind, server, limits=HttpLimits(reply=100_000)) as talk:
        with pytest.raises(BadReply, match="longer than 100000 bytes"):
            await talk.chat()
    async with talking(kind, server) as talk:
        server.pages[server.chat_path] = Reply(raw=b"x" * (17 * 2**20))
        with pytest.raises(BadReply, match="longer than 16777216 bytes"):
            await talk.chat()
        with pytest.raises(BadReply, match="longer than 16777216 bytes"):
            await talk.choose()


FOREIGN = [
    b"<html><body>Welcome to our portal</body></html>",
    b"[1, 2]\n",
    b"null\n",
    b'"done"\n',
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b"1" * 10_000,
    b'{"response": "for another endpoint", "done": false}\n',
]
FOREIGN_TO = {
    OLLAMA: [
        b'data: {"message": {"content": "x"}}\n\n',
        b'{"message": {"content": 7}, "done": false}\n',
        b'{"message": {"content": ["x"]}, "done": true}\n',
        b'{"done": false}\n',
        b'{"message": "text", "done": false}\n',
        b'{"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "load"}\n',
    ],
    OPENAI: [
        b'{"message": {"content": "Hi"}, "done": true}\n',
        b"data: nonsense\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        b'data: {"choices": 3}\n\n',
        b'{"choices": [{"message": {"content": ["x"]}, "finish_reason": "stop"}]}',
    ],
}


@pytest.mark.parametrize(("kind", "raw"), [(kind, raw) for kind in FOREIGN_TO for raw in FOREIGN + FOREIGN_TO[kind]])
async def test_a_reply_of_another_kind_is_named_as_such(kind, server, raw):
    """What is not the protocol is a `BadReply`, whatever it is, and is not asked for twice."""
    server.pages[server.chat_path] = Reply(raw=raw, headers={"Content-Type": "text/html"})
    async with talking(kind, server) as talk:
        with pytest.raises(BadReply, match=f"qwen at {kind.where(server)}: "):
            await talk.chat()

    assert len(server.bodies(server.chat_path)) == 1


ODD = {
    OLLAMA: [
        b"",
        b'{"message": {"content": "Fi", "thinking": null}, "logprobs": [{"logprob": "x"}, 3, {"logprob": NaN}]}',
        b'{"message": {"content": "ne \\ud800"}, "logprobs": {"a": 1}, "done": "yes"}',
        b'{"done": true, "eval_count": -5, "prompt_eval_count": "many", "done_reason": ["?"], "message": null}',
    ],
    OPENAI: [
        b'{"choices": [], "prompt_filter_results": []}',
        b'{"choices": [3, {"delta": {"content": "Fi", "reasoning": null}, "logprobs": {"content": [{"logprob": "x"}, 3]}}]}',
        b'{"choices": [{"delta": {}, "logprobs": {"content": [{"logprob": NaN}]}}]}',
        b'{"choices": [{"index": 1, "delta": {"content": "of another"}}], "usage": null}',
        b'{"choices": [{"delta": {"content": "ne \\ud800"}, "logprobs": [1], "finish_reason": 7}]}',
        b'{"choices": [{"delta": null, "finish_reason": "eos"}], "usage": {"completion_tokens": -5, "prompt_tokens": "many"}}',
    ],
}


async def test_odd_fields_do_no_harm(kind, server):
    """Missing or absurd counts, log-probabilities of other types, blank lines and a last line without its end are all read."""
    server.pages[server.chat_path] = Reply(raw=kind.framed(*ODD[kind]))
    async with talking(kind, server) as talk:
        completion = await talk.chat(logprobs=True)

    assert (completion.text, completion.stop, completion.tokens, completion.prompt_tokens) == ("Fine \ufffd", "stop", 2, 0)
    assert completion.confidence is None


@pytest.mark.parametrize(
    "raw",
    [b"{}", b'{"models": 3}', b'{"models": [1, {"model": 2}, null]}', b"no", b'{"version": {}}', b'{"data": [1, {"id": 2}, {"id": "x"}]}'],
)
async def test_odd_lists_do_no_harm(kind, server, raw):
    """Health is told whatever the server's lists look like."""
    server.pages |= dict.fromkeys(kind.lists, Reply(raw=raw))
    async with talking(kind, server) as talk:
        health = await talk.model.check()

    assert isinstance(health.detail, str)
    assert health.detail


@pytest.mark.parametrize("call", ["chat", "choose"])
@pytest.mark.parametrize(
    "told",
    [
        (301, BadReply, "it redirects to http://elsewhere/"),
        (401, Refused, "credentials|key_env"),
        (403, Refused, "HTTP 403"),
        (404, BadReply, "is the URL "),
        (405, BadReply, "is the URL "),
        (413, Refused, "HTTP 413"),
        (429, Busy, "try again later"),
        (500, Refused, "HTTP 500"),
        (502, Unreachable, r"HTTP 502 \(Bad luck\); this is a proxy's answer"),
        (503, Unreachable, "HTTP 503"),
        (504, Unreachable, "HTTP 504"),
    ],
)
async def test_a_proxys_page_is_translated(kind, server, told, call):
    """A proxy answers in HTML: its status decides, its title is quoted, and a redirection is not followed."""
    status, means, words = told
    page = b"<html><head><title>Bad luck</title></head><body>" + b"<p>nothing</p>" * 10_000
    server.pages[server.chat_path] = Reply(status=status, raw=page, headers={"Content-Type": "text/html", "Location": "http://elsewhere/"})
    async with talking(kind, server) as talk:
        with pytest.raises(means, match=words) as caught:
            await getattr(talk, call)()

    assert type(caught.value) is means
    assert "<" not in str(caught.value)


async def test_a_compressed_reply_is_read(kind, server):
    """A proxy may compress although it was asked not to."""
    records = {
        OLLAMA: b'{"message": {"content": "Small"}, "done": false}\n{"done": true}\n',
        OPENAI: b'data: {"choices": [{"delta": {"content": "Small"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n',
    }[kind]
    server.pages[server.chat_path] = Reply(raw=gzip.compress(records), headers={"Content-Encoding": "gzip"})
    async with talking(kind, server) as talk:
        assert (await talk.chat()).text == "Small"


async def test_a_reply_that_is_only_said_to_be_compressed_is_named(kind, server):
    """Bytes that cannot be unpacked are a `BadReply`, not a death: asking again would not help."""
    server.pages[server.chat_path] = Reply(raw=b"\x00\x01 no gzip", headers={"Content-Encoding": "gzip"})
    async with talking(kind, server) as talk:
        with pytest.raises(BadReply, match="compressed"):
            await talk.chat()


async def test_a_servers_words_cannot_play_tricks_on_a_terminal(kind, server):
    """Control characters and length of an error text are tamed."""
    server.pages[server.chat_path] = Reply(status=409, error="bad\x1b]0;title\x07\r\n" + "long " * 1000)
    async with talking(kind, server) as talk:
        with pytest.raises(Refused) as caught:
            await talk.chat()

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


async def test_an_error_of_a_listener_is_its_own(kind, server):
    """A front end whose output is gone is not mistaken for a server that is gone: nothing is asked again."""

    def listen(event):
        if isinstance(event, Token):
            raise BrokenPipeError("nobody reads")

    async with talking(kind, server) as talk:
        with pytest.raises(BrokenPipeError, match="nobody reads"):
            await talk.model.chat([{"role": "user", "content": "Hi"}], options={}, on_event=listen)
        await server.until(lambda: server.in_progress == 0)

    assert len(server.chats) == 1


# --- what only one kind of server does


def only(kind):
    """Run a test on this kind of server alone."""
    return pytest.mark.parametrize("kind", [kind], ids=[kind.name])


@only(OLLAMA)
async def test_after_a_death_the_model_is_loaded_before_it_is_asked_again(kind, server):
    """/api/ps may still list a model whose process is gone: its reload belongs to the load's deadline, not to the first token's."""
    server.say(MODEL, Reply("Some words", error=RUNNER), "The whole answer.")
    async with talking(kind, server) as talk:
        await talk.chat()

    assert [bool(body["messages"]) for body in server.bodies(server.chat_path)] == [True, False, True]


@only(OLLAMA)
@pytest.mark.parametrize("token", ["ha", " ha"])
async def test_a_repetition_that_ollama_stops_is_a_truncated_answer(kind, server, token):
    """Ollama ends a stream without `done` after more than 30 equal tokens: the text is kept, not asked for again."""
    server.say(MODEL, Reply(tokens=["So", " funny", *[token] * 31], unfinished=True))
    async with talking(kind, server) as talk:
        completion = await talk.chat()

    assert (completion.text, completion.stop) == ("So funny" + token * 31, "repetition")
    assert len(server.chats) == 1


@only(OLLAMA)
async def test_a_short_repetition_without_an_end_is_a_death(kind, server):
    """Fewer equal tokens are not what Ollama stops for: the server went away."""
    server.say(MODEL, Reply(tokens=["ha"] * 20, unfinished=True))
    async with talking(kind, server) as talk:
        with pytest.raises(Died):
            await talk.chat()
