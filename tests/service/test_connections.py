"""Connections: heads and bodies that do not come, clients that do not read or go away, more connections than there may be."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager

import pytest

from gork.service import connections
from gork.service.connections import most_connections
from gork.service.service import ServiceLimits
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.service_setup import MODELS, kinds, lines, serving

ASK = b'{"question": "What is up?"}'
HEAD = b"POST /api/test HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
PROBE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
async def ollama():
    """A server with all models."""
    async with FakeOllama(*MODELS) as server:
        yield server


@asynccontextmanager
async def connected(at, **options):
    """A connection without a client library."""
    host, port = at.url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port), **options)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def head_of(reader):
    """Status line and headers of a reply."""
    return await reader.readuntil(b"\r\n\r\n")


async def trickle(writer, data: bytes, every_s=0.02):
    """Send byte by byte until the other side has had enough; slower than any deadline of the test allows."""
    for byte in data:
        if writer.transport.is_closing():
            return
        writer.write(bytes([byte]))
        await asyncio.sleep(every_s)


# --- slow requests


@pytest.mark.parametrize("after_a_first_request", [False, True])
async def test_a_head_that_comes_byte_by_byte_is_cut(ollama, after_a_first_request):
    """However steadily it drips: after its time there is a 408 and the connection ends; also for a later request of a connection."""
    async with serving(ollama, request_timeout=0.3) as at, connected(at) as (reader, writer):
        if after_a_first_request:
            writer.write(PROBE)
            assert b" 200 " in await head_of(reader)
            assert await reader.readexactly(3) == b"ok\n"
        began = time.monotonic()
        dripping = asyncio.create_task(trickle(writer, HEAD * 10))
        reply = await reader.read()
        took = time.monotonic() - began
        dripping.cancel()
        await asyncio.wait({dripping})
        assert reply.startswith(b"HTTP/1.1 408 ")
        assert reply.count(b"HTTP/1.1") == 1
        assert 0.25 < took < 1.0
        assert (await at.metrics())["gork_refused_total{reason=slow}"] == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 27\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1b\r\n"])
async def test_a_body_that_comes_byte_by_byte_is_cut(ollama, framing):
    """After its time there is a 408 in the dialect's shape, and the connection ends; no model was asked."""
    async with serving(ollama, request_timeout=0.3) as at, connected(at) as (reader, writer):
        writer.write(HEAD + framing)
        began = time.monotonic()
        dripping = asyncio.create_task(trickle(writer, ASK))
        reply = await head_of(reader)
        took = time.monotonic() - began
        body = await reader.read()
        dripping.cancel()
        await asyncio.wait({dripping})
        assert reply.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body) == {"error": "the body did not come within 0.3 s"}
        assert 0.25 < took < 1.0
    assert not ollama.chats


async def test_a_slow_turn_is_no_slow_request(ollama):
    """The deadline is the request's: a turn that takes longer goes on."""
    gate = asyncio.Event()
    for model in "abc":
        ollama.say(model, Reply("late", gate=gate))
    async with serving(ollama, limits=ServiceLimits(heartbeat_s=0.1), request_timeout=0.2) as at, at.ask() as reply:
        seen = []
        async for kind, _ in lines(reply):
            seen.append(kind)
            if seen.count("beat") == 5:
                gate.set()
        assert seen[-1] == "finished"


async def test_a_connection_that_asks_nothing_more_is_closed(ollama):
    """Kept alive for a while, not for ever; one that never asked anything too."""
    async with serving(ollama, limits=ServiceLimits(idle_s=0.2)) as at, connected(at) as (silent, _), connected(at) as (reader, writer):
        writer.write(PROBE)
        assert b" 200 " in await head_of(reader)
        async with asyncio.timeout(3):
            assert await reader.read() == b"ok\n"
            assert await silent.read() == b""


# --- too many


async def test_idle_connections_make_room_for_new_ones(ollama):
    """At the limit the connection that has waited longest is closed: a flood of silent ones keeps no probe out."""
    async with serving(ollama, limits=ServiceLimits(connections=4)) as at:
        flood = []
        for _ in range(10):
            context = connected(at)
            reader, writer = await context.__aenter__()
            writer.write(b"GET /livez HTTP/1.1\r\nHost: lo")  # a head that never ends
            flood.append((context, reader))
        assert await at.text("/livez") == "ok\n"
        async with asyncio.timeout(3):
            for _, reader in flood[:6]:
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
        for context, _ in flood:
            await context.__aexit__(None, None, None)


async def test_when_all_connections_are_at_work_the_next_is_told_so(ollama):
    """Nobody who is being answered is thrown out: the newcomer gets a 503 that says when to come back."""
    gate = asyncio.Event()
    for model in "abc":
        ollama.say(model, Reply("late", gate=gate))
    async with serving(ollama, limits=ServiceLimits(connections=2), turns=4) as at:
        async with at.ask() as one, at.ask() as other:
            async with connected(at) as (reader, _):
                reply = await reader.read()
                assert reply.startswith(b"HTTP/1.1 503 ")
                assert b"Retry-After: 5" in reply
            gate.set()
            assert (await kinds(one))[-1] == (await kinds(other))[-1] == "finished"
        assert (await at.metrics())["gork_refused_total{reason=connections}"] == 1


def test_connections_leave_files_for_the_models(monkeypatch):
    """As many as turns and line need and some more, but never more than half of what may be open."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    assert most_connections(1, 16) == 290
    assert most_connections(100, 1000) == 512
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert most_connections(100, 1000) == 2456


# --- clients that go away


@pytest.mark.parametrize("stream", [True, False])
async def test_a_closed_connection_stops_every_model_within_a_second(ollama, stream):
    """All three candidates are writing when the client goes: all three connections are closed, and the place is free."""
    pause = asyncio.Event()
    for model in "abc":
        ollama.say(model, Reply("one two three", pauses={2: pause}))
    async with serving(ollama, turns=1) as at:
        async with connected(at) as (reader, writer):
            body = json.dumps({"question": "x", "stream": stream}).encode()
            writer.write(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await ollama.until(lambda: ollama.in_progress == 3)
            if stream:
                await reader.readuntil(b"two")
        left = time.monotonic()
        await ollama.until(lambda: sorted(ollama.cancelled) == ["a", "b", "c"])
        assert time.monotonic() - left < 1.0
        async with asyncio.timeout(1):
            await at.service.idle()
        figures = await at.metrics()
    assert (figures["gork_turns_total{outcome=cancelled}"], figures["gork_inflight_turns"]) == (1, 0)
    assert [figures[f"gork_member_inflight{{member={member}}}"] for member in MODELS] == [0] * 5


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_only_shuts_its_sending_side_gets_the_whole_reply(ollama, path, stream):
    """Some do once they have asked; they are not taken for gone, however long the models take."""
    gate = asyncio.Event()
    ollama.say("a", Reply("Paris is the capital", pauses={1: gate}))
    asked = {"prompt": "x"} if path == "/api/generate" else {"input": "x", "messages": [{"role": "user", "content": "x"}]}
    body = json.dumps({"model": "a", "stream": stream, **asked}).encode()
    async with serving(ollama) as at, connected(at) as (reader, writer):
        writer.write(HEAD.replace(b"/api/test", path.encode()) + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.write_eof()
        await ollama.until(lambda: ollama.in_progress == 1)
        await asyncio.sleep(1.0)  # longer than it is looked for a client that is gone
        gate.set()
        reply = await reader.read()

    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"capital" in reply
    assert reply.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_of_a_dialect_that_leaves_stops_the_models(ollama, stream):
    """The same end of a connection from one that is gone: what is sent to it comes back."""
    ollama.say("a", Reply("Paris is the capital", pauses={1: asyncio.Event()}))
    body = json.dumps({"model": "a", "stream": stream, "messages": [{"role": "user", "content": "x"}]}).encode()
    async with serving(ollama) as at:
        async with connected(at) as (_, writer):
            writer.write(HEAD.replace(b"/api/test", b"/api/chat") + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await ollama.until(lambda: ollama.in_progress == 1)
        await ollama.until(lambda: ollama.cancelled == ["a"], seconds=1.5)


async def test_a_client_that_leaves_while_the_prompt_is_rewritten_stops_it(ollama):
    """In the first stage as in the others; no candidate is asked any more."""
    ollama.say("rewriter", Reply("Better?", gate=asyncio.Event()))
    async with serving(ollama, optimize=True) as at:
        async with at.client.post(f"{at.url}/api/test", json={"question": "wat is teh captial of germny?"}):
            await ollama.until(lambda: ollama.in_progress == 1)
        await ollama.until(lambda: ollama.cancelled == ["rewriter"], seconds=1.0)
    assert [chat["model"] for chat in ollama.chats] == ["rewriter"]


async def test_a_client_that_leaves_while_a_model_loads_frees_its_place(ollama):
    """The load goes on, since it is the engine's and the next turn needs it; the turn does not."""
    ollama.load_gates |= {model: asyncio.Event() for model in "abc"}
    async with serving(ollama, turns=1) as at:
        async with at.ask() as reply:
            async for kind, data in lines(reply):
                if kind == "member" and data["state"] == "loading":
                    break
        async with asyncio.timeout(1):
            await at.service.idle()
        assert ollama.cancelled == []
        for gate in ollama.load_gates.values():
            gate.set()
        async with at.ask() as reply:
            assert (await kinds(reply))[-1] == "finished"


async def test_a_client_that_leaves_the_line_gives_up_its_place_there(ollama):
    """Those behind it move up and hear so; nothing is asked for it."""
    gate = asyncio.Event()
    ollama.answer_with("a", lambda body: Reply("late", gate=gate))
    async with serving(ollama, turns=1, queue=5) as at, at.ask("first") as first, connected(at) as (reader, writer):
        writer.write(HEAD + b'Content-Length: 22\r\n\r\n{"question": "second"}')
        await reader.readuntil(b'"ahead":0')
        async with at.ask("third") as third:
            events = lines(third)
            assert await anext(events) == ("queued", {"ahead": 1})
            writer.transport.abort()
            assert await anext(events) == ("queued", {"ahead": 0})
            gate.set()
            assert (await kinds(first))[-1] == "finished"
            assert [kind async for kind, _ in events][-1] == "finished"
        assert (await at.metrics())["gork_turns_total{outcome=cancelled}"] == 1
    assert not [chat for chat in ollama.chats if "second" in json.dumps(chat)]


async def test_a_client_that_does_not_read_is_dropped_and_its_models_stop(ollama):
    """When everything that can hold a stream is full, there is a bounded wait, and then the connection and the turn end."""
    flood = ["".join(map(str, range(n * 10_000, (n + 1) * 10_000))) for n in range(1, 401)]
    for model in "abc":
        ollama.say(model, Reply(tokens=flood, pauses={400: asyncio.Event()}))
    async with serving(ollama, request_timeout=0.3, turns=1) as at:
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.setblocking(False)
        host, port = at.url.removeprefix("http://").rsplit(":", 1)
        await asyncio.get_running_loop().sock_connect(lazy, (host, int(port)))
        await asyncio.get_running_loop().sock_sendall(lazy, HEAD + b"Content-Length: 27\r\n\r\n" + ASK)
        await ollama.until(lambda: ollama.in_progress == 3)
        await ollama.until(lambda: ollama.in_progress == 0, seconds=20)
        async with asyncio.timeout(2):
            await at.service.idle()
        lazy.close()
        assert (await at.metrics())["gork_turns_total{outcome=cancelled}"] == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system cannot be told")
async def test_the_system_watches_for_peers_that_are_gone_without_a_word(ollama, monkeypatch):
    """A laptop that was closed sends no goodbye: the connection is set up so that the system finds out within a minute."""
    seen = []
    made = connections.Connection.connection_made

    def spy(self, transport):
        made(self, transport)
        seen.append(transport.get_extra_info("socket"))

    monkeypatch.setattr(connections.Connection, "connection_made", spy)
    async with serving(ollama) as at:
        assert await at.text("/livez") == "ok\n"
        (sock,) = seen
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


# --- what is no HTTP


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100 + b"\r\n\r\n", b"GET /" + b"x" * 20_000],
)
async def test_what_is_no_http_is_one_line_and_no_traceback(ollama, garbage, caplog):
    """A TLS greeting, an unknown version, NULs, a line without an end: refused and counted, told in one line."""
    caplog.set_level("INFO", "gork")
    async with serving(ollama) as at:
        async with connected(at) as (reader, writer):
            writer.write(garbage)
            async with asyncio.timeout(3):
                reply = await reader.read()
        assert reply.startswith(b"HTTP/1.0 400 ")
        assert b"Traceback" not in reply
        assert (await at.metrics())["gork_refused_total{reason=bad_http}"] == 1
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert "refused" in [record.getMessage() for record in caplog.records]
