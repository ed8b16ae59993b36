"""What an Ollama server has is found out and told: health, missing models, versions, pulls."""

from __future__ import annotations

import pytest

from gork.config.ensemble import Member
from gork.engines.ollama import library
from gork.errors import Died, ModelMissing, Unreachable
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.ollama_setup import MODEL, Talk, engine

LOCAL = Member(name="qwen", model=MODEL)


@pytest.fixture
async def server():
    """A fake Ollama with one model."""
    async with FakeOllama(MODEL) as fake:
        yield fake


async def test_check_tells_a_loaded_model_from_one_that_is_there(server):
    """Health has version and state; nothing is loaded by asking."""
    async with engine(LOCAL, host=server.url) as one:
        model = one.models["qwen"]
        before = await model.check()
        await Talk(model).chat()
        after = await model.check()

    assert (before.ok, before.loaded, before.version, before.state) == (True, False, "0.32.15", "installed, not loaded yet")
    assert (after.ok, after.loaded, after.state) == (True, True, "loaded")
    assert len(server.bodies("/api/chat")) == 2  # preload and chat


async def test_check_says_why_a_model_cannot_answer(server, unused_tcp_port):
    """Health names what is missing, and never raises."""
    missing, gone = Member(name="a", model="gone:1b"), Member(name="b", model="m", url=f"http://127.0.0.1:{unused_tcp_port}")
    async with engine(missing, gone, host=server.url) as one:
        first, second = await one.models["a"].check(), await one.models["b"].check()

    assert (first.ok, first.version) == (False, "0.32.15")
    assert "ollama pull gone:1b" in first.detail
    assert (second.ok, second.version) == (False, None)
    assert "is it running?" in second.detail


async def test_what_a_host_lacks_is_listed_once(server):
    """Tags are compared as Ollama does, and members with a URL are not looked for."""
    server.models.append("llama3.2:latest")
    members = [
        Member(name="a", model="Llama3.2"),
        Member(name="b", model="gemma3:1b"),
        Member(name="c", model="gemma3:1b"),
        Member(name="d", model="elsewhere:1b", url="http://other:1"),
    ]

    assert await library.missing(members, server.url) == ["gemma3:1b"]
    assert await library.installed(server.url) == (MODEL, "llama3.2:latest")


async def test_a_server_answers_with_its_version(server, unused_tcp_port):
    """What is no Ollama, or not there, gives None."""
    assert await library.answers(server.url, 1.0) == "0.32.15"
    assert await library.answers(f"http://127.0.0.1:{unused_tcp_port}", 1.0) is None
    server.pages["/api/version"] = Reply(raw=b"<html>Welcome</html>")
    assert await library.answers(server.url, 1.0) is None


async def test_a_pull_reports_its_progress(server):
    """Each record of the server is one report; the model is there afterwards."""
    layer = {"status": "pulling 0123456789ab", "total": 100}
    server.pulls["new:1b"] = [{"status": "pulling manifest"}, layer, {**layer, "completed": 40}, {"status": "success"}]
    seen = []
    await library.pull(server.url, "new:1b", seen.append)

    assert [(one.completed, one.total) for one in seen] == [(None, None), (0, 100), (40, 100), (None, None)]
    assert seen[1].status == "pulling 0123456789ab"
    assert await library.installed(server.url) == (MODEL, "new:1b")


@pytest.mark.parametrize(
    ("records", "kind", "words"),
    [
        ([{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}], ModelMissing, "file does not exist"),
        ([{"error": 'Get "https://r": dial tcp: lookup r on 10.0.0.1:53: no such host'}], Unreachable, "network access"),
        ([{"status": "pulling manifest"}], Died, "interrupted"),
    ],
)
async def test_a_pull_that_fails_says_why(server, records, kind, words):
    """Errors of a pull come in the middle of a stream whose status was 200."""
    server.pulls["new:1b"] = records
    with pytest.raises(kind, match=words) as caught:
        await library.pull(server.url, "new:1b", lambda _: None)

    assert str(caught.value).startswith(f"new:1b at {server.url}: ")
