"""Whatever an Ollama server, a proxy or a network does wrong ends as one of our errors, soon, in the plain and in the streaming path."""

from __future__ import annotations

import gzip
import json
from contextlib import asynccontextmanager

import pytest

from gork.config.ensemble import Member
from gork.engines.http import HttpLimits
from gork.errors import BadReply, Busy, Died, ModelMissing, PromptTooLong, Refused, TimedOut, Unreachable
from gork.turn import Restarted, Token
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.ollama_setup import MODEL, Talk, engine

LOCAL = Member(name="qwen", model=MODEL)
NESTED = json.dumps({"error": {"code": 400, "message": "request (2100 tokens) exceeds the available context size (2048 tokens)"}})
RUNNER = "an error was encountered while running the model: unexpected EOF"
STOPPED = "model runner has unexpectedly stopped, this may be due to resource limitations"

ERRORS = [
    (400, "model is required", Refused),
    (400, "time: missing unit in duration", Refused),
    (400, "the input length exceeds the context length", PromptTooLong),
    (400, "the prompt is longer than the context length currently available", PromptTooLong),
    (400, NESTED, PromptTooLong),
    (400, '"tiny:1b" does not support chat', Refused),
    (404, "model 'tiny:1b' not found", ModelMissing),
    (404, 'model "tiny:1b" not found, try pulling it first', ModelMissing),
    (499, "request canceled", Died),
    (500, 'option "temperature" must be of type float32', Refused),
    (500, "llama-server process has terminated: signal: killed", Died),
    (500, "llama runner process has terminated: exit status 2", Died),
    (500, "timed out waiting for llama-server to start - progress 0.1", TimedOut),
    (500, "error loading model tensors", Refused),
    (500, "model requires more system memory (4 GiB) than is available (2 GiB)", Refused),
    (500, RUNNER, Died),
    (500, STOPPED, Died),
    (500, 'POST predict: Post "http://127.0.0.1:40123/completion": EOF', Died),
    (503, "server busy, please try again.  maximum pending requests exceeded", Busy),
]


@pytest.fixture
async def server():
    """A fake Ollama with one loaded model, which answers chats at once."""
    async with FakeOllama(MODEL) as fake:
        fake.loaded[MODEL] = 2048
        yield fake


@asynccontextmanager
async def talking(server, **fields):
    """A talk with the one member of an engine."""
    async with engine(LOCAL, host=server.url, **fields) as one:
        yield Talk(one.models["qwen"])


@pytest.mark.parametrize("call", ["chat", "choose"])
@pytest.mark.parametrize(("status", "text", "kind"), ERRORS, ids=[f"{status} {text[:30]}" for status, text, _ in ERRORS])
async def test_an_error_status_is_translated(server, status, text, kind, call):
    """Each error body that Ollama is known to send has its kind, in the streaming path (chat) and in the plain one (choose)."""
    server.pages["/api/chat"] = Reply(status=status, error=text)
    async with talking(server) as talk:
        with pytest.raises(kind) as caught:
            await getattr(talk, call)()

    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"qwen at {server.url}: ")
    assert f"(HTTP {status})" in str(caught.value)
    assert "{" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind"), [(RUNNER, Died), (STOPPED, Died), (NESTED, PromptTooLong), ("model 'x' not found", ModelMissing), ("what?", Refused)]
)
async def test_an_error_in_the_middle_of_a_stream_is_translated(server, text, kind):
    """A status of 200 does not make an error line a text."""
    server.say(MODEL, Reply("Some words already", error=text))
    async with talking(server) as talk:
        with pytest.raises(kind):
            await talk.chat()


@pytest.mark.parametrize(
    "fault",
    [Reply("Some words", error=RUNNER), Reply("Some words", cut=True), Reply("Some words", unfinished=True)],
    ids=["the runner died", "the connection was reset", "the stream ended without done"],
)
async def test_a_model_that_went_away_is_asked_once_more(server, fault):
    """What had come before does not count, and the user's view is told to start anew."""
    server.say(MODEL, fault, "The whole answer.")
    async with talking(server) as talk:
        completion = await talk.chat()

    assert (completion.text, completion.stop) == ("The whole answer.", "stop")
    assert len([event for event in talk.events if isinstance(event, Restarted)]) == 1
    assert len(server.chats) == 2


@pytest.mark.parametrize("fault", [Reply("Some words", cut=True), Reply("Some words", unfinished=True), Reply(tokens=[], cut=True)])
async def test_a_model_that_goes_away_twice_has_died(server, fault):
    """A second death is a failure, and nobody is asked a third time."""
    server.say(MODEL, fault)
    async with talking(server) as talk:
        with pytest.raises(Died, match=f"qwen at {server.url}: "):
            await talk.chat()

    assert len(server.chats) == 2


async def test_after_a_death_the_model_is_loaded_before_it_is_asked_again(server):
    """/api/ps may still list a model whose process is gone: its reload belongs to the load's deadline, not to the first token's."""
    server.say(MODEL, Reply("Some words", error=RUNNER), "The whole answer.")
    async with talking(server) as talk:
        await talk.chat()

    assert [bool(body["messages"]) for body in server.bodies("/api/chat")] == [True, False, True]


@pytest.mark.parametrize("token", ["ha", " ha"])
async def test_a_repetition_that_ollama_stops_is_a_truncated_answer(server, token):
    """Ollama ends a stream without `done` after more than 30 equal tokens: the text is kept, not asked for again."""
    server.say(MODEL, Reply(tokens=["So", " funny", *[token] * 31], unfinished=True))
    async with talking(server) as talk:
        completion = await talk.chat()

    assert (completion.text, completion.stop) == ("So funny" + token * 31, "repetition")
    assert len(server.chats) == 1


async def test_a_short_repetition_without_an_end_is_a_death(server):
    """Fewer equal tokens are not what Ollama stops for: the server went away."""
    server.say(MODEL, Reply(tokens=["ha"] * 20, unfinished=True))
    async with talking(server) as talk:
        with pytest.raises(Died):
            await talk.chat()


async def test_a_line_of_a_megabyte_is_read(server):
    """The line reader of aiohttp gives up at 128 KiB."""
    word = "x" * 2**20
    server.say(MODEL, Reply(tokens=[word]))
    async with talking(server) as talk:
        assert (await talk.chat()).text == word


async def test_a_reply_without_an_end_is_cut_off(server):
    """A stream may not fill the memory, whether its lines are short or it has none."""
    server.say(MODEL, Reply(tokens=["word "] * 2000))
    async with talking(server, limits=HttpLimits(reply=100_000)) as talk:
        with pytest.raises(BadReply, match="longer than 100000 bytes"):
            await talk.chat()
    async with talking(server) as talk:
        server.pages["/api/chat"] = Reply(raw=b"x" * (17 * 2**20))
        with pytest.raises(BadReply, match="a line longer than 16777216 bytes"):
            await talk.chat()
        with pytest.raises(BadReply, match="longer than 16777216 bytes"):
            await talk.choose()


@pytest.mark.parametrize(
    "raw",
    [
        b"<html><body>Welcome to our portal</body></html>",
        b'data: {"message": {"content": "x"}}\n\n',
        b"[1, 2]\n",
        b"null\n",
        b'"done"\n',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"1" * 10_000,
        b'{"message": {"content": 7}, "done": false}\n',
        b'{"message": {"content": ["x"]}, "done": true}\n',
        b'{"done": false}\n',
        b'{"message": "text", "done": false}\n',
        b'{"response": "for another endpoint", "done": false}\n',
        b'{"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "load"}\n',
    ],
)
async def test_a_reply_of_another_kind_is_named_as_such(server, raw):
    """What is not the protocol is a `BadReply`, whatever it is, and is not asked for twice."""
    server.pages["/api/chat"] = Reply(raw=raw, headers={"Content-Type": "text/html"})
    async with talking(server) as talk:
        with pytest.raises(BadReply, match=f"qwen at {server.url}: "):
            await talk.chat()

    assert len(server.bodies("/api/chat")) == 1


async def test_odd_fields_do_no_harm(server):
    """Missing or absurd counts, log-probabilities of other types, blank lines and a last line without its end are all read."""
    records = [
        b"",
        b'{"message": {"content": "Fi", "thinking": null}, "logprobs": [{"logprob": "x"}, 3, {"logprob": NaN}]}',
        b'{"message": {"content": "ne \\ud800"}, "logprobs": {"a": 1}, "done": "yes"}',
        b'{"done": true, "eval_count": -5, "prompt_eval_count": "many", "done_reason": ["?"], "message": null}',
    ]
    server.pages["/api/chat"] = Reply(raw=b"\n".join(records))
    async with talking(server) as talk:
        completion = await talk.chat(logprobs=True)

    assert (completion.text, completion.stop, completion.tokens, completion.prompt_tokens) == ("Fine \ufffd", "stop", 2, 0)
    assert completion.confidence is None


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps", "/api/version"])
@pytest.mark.parametrize("raw", [b"{}", b'{"models": 3}', b'{"models": [1, {"model": 2}, null]}', b"no", b'{"version": {}}'])
async def test_odd_lists_do_no_harm(server, path, raw):
    """Health is told whatever the server's lists look like."""
    server.pages[path] = Reply(raw=raw)
    async with talking(server) as talk:
        health = await talk.model.check()

    assert isinstance(health.detail, str)
    assert health.detail


@pytest.mark.parametrize("call", ["chat", "choose"])
@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (301, BadReply, "it redirects to http://elsewhere/"),
        (401, Refused, "credentials"),
        (403, Refused, "HTTP 403"),
        (404, BadReply, "is the URL that of an Ollama server"),
        (405, BadReply, "is the URL that of an Ollama server"),
        (413, Refused, "HTTP 413"),
        (429, Busy, "try again later"),
        (500, Refused, "HTTP 500"),
        (502, Unreachable, r"HTTP 502 \(Bad luck\); this is a proxy's answer"),
        (503, Unreachable, "HTTP 503"),
        (504, Unreachable, "HTTP 504"),
    ],
)
async def test_a_proxys_page_is_translated(server, status, kind, words, call):
    """A proxy answers in HTML: its status decides, its title is quoted, and a redirection is not followed."""
    page = b"<html><head><title>Bad luck</title></head><body>" + b"<p>nothing</p>" * 10_000
    server.pages["/api/chat"] = Reply(status=status, raw=page, headers={"Content-Type": "text/html", "Location": "http://elsewhere/"})
    async with talking(server) as talk:
        with pytest.raises(kind, match=words) as caught:
            await getattr(talk, call)()

    assert type(caught.value) is kind
    assert "<" not in str(caught.value)


async def test_a_compressed_reply_is_read(server):
    """A proxy may compress although it was asked not to."""
    records = b'{"message": {"content": "Small"}, "done": false}\n{"done": true}\n'
    server.pages["/api/chat"] = Reply(raw=gzip.compress(records), headers={"Content-Encoding": "gzip"})
    async with talking(server) as talk:
        assert (await talk.chat()).text == "Small"


async def test_a_reply_that_is_only_said_to_be_compressed_is_named(server):
    """Bytes that cannot be unpacked are a `BadReply`, not a death: asking again would not help."""
    server.pages["/api/chat"] = Reply(raw=b"\x00\x01 no gzip", headers={"Content-Encoding": "gzip"})
    async with talking(server) as talk:
        with pytest.raises(BadReply, match="compressed"):
            await talk.chat()


async def test_a_servers_words_cannot_play_tricks_on_a_terminal(server):
    """Control characters and length of an error text are tamed."""
    server.pages["/api/chat"] = Reply(status=400, error="bad\x1b]0;title\x07\r\n" + "long " * 1000)
    async with talking(server) as talk:
        with pytest.raises(Refused) as caught:
            await talk.chat()

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


async def test_an_error_of_a_listener_is_its_own(server):
    """A front end whose output is gone is not mistaken for a server that is gone: nothing is asked again."""

    def listen(event):
        if isinstance(event, Token):
            raise BrokenPipeError("nobody reads")

    async with talking(server) as talk:
        with pytest.raises(BrokenPipeError, match="nobody reads"):
            await talk.model.chat([{"role": "user", "content": "Hi"}], options={}, on_event=listen)
        await server.until(lambda: server.in_progress == 0)

    assert len(server.chats) == 1
