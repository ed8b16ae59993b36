"""What every request goes through: names, origins, tokens, bodies, errors in the dialect of whoever asked, headers of every reply."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket

import aiohttp
import pytest

from gork.config.schema import Secret
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.service_setup import MODELS, kinds, samples, serving

TOKEN = "s3cret-t0ken"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - as a pod does
ALLOWED = "https://chat.example"


@pytest.fixture
async def ollama():
    """A server with all models."""
    async with FakeOllama(*MODELS) as server:
        yield server


async def raw(at, request: bytes, *, head_only=False) -> bytes:
    """The reply to bytes that no client library would send, up to the connection's end."""
    host, port = at.url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    reply = await (reader.readuntil(b"\r\n\r\n") if head_only else reader.read())
    writer.close()
    await writer.wait_closed()
    return reply


# --- names


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:1234", "localhost.", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "gork.localhost:8080"),
        *(
            "chat.example:443",
            "host.docker.internal:8080",
            "mybox.local",
            "192.168.1.20:8080",
            "10.0.0.7",
            "[::2]",
            socket.gethostname(),
            "",
        ),
    ],
)
async def test_this_machine_asks_by_any_of_its_names(ollama, host):
    """On loopback: localhost and its kin, addresses, names that no public DNS has, any port; a name that the user allows as an origin."""
    async with serving(ollama, cors=(ALLOWED,)) as at, at.client.get(f"{at.url}/livez", headers={"Host": host}) as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "internal",
        "host.docker.internal.evil.example",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/livez"), ("POST", "/v1/test"), ("OPTIONS", "/api/test"), ("GET", "/nothing")])
async def test_a_name_that_was_made_to_point_here_is_refused(ollama, host, method, path):
    """DNS rebinding: a page whose own name resolves to 127.0.0.1 asks by that name, and gets a 403 in the dialect's shape."""
    async with serving(ollama) as at:
        async with at.client.request(method, f"{at.url}{path}", headers={"Host": host}) as reply:
            body = await reply.json()
            assert reply.status == 403
        assert "does not answer to that name" in (body["error"]["message"] if path.startswith("/v1") else body["error"])
        assert (await at.metrics())["gork_refused_total{reason=host}"] == 1
    assert not ollama.chats


async def test_two_names_are_not_better_than_one(ollama):
    """A second Host header does not get a foreign name in."""
    async with serving(ollama) as at:
        reply = await raw(at, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert reply.split()[1] in {b"400", b"403"}


async def test_bound_to_all_addresses_there_is_no_name_that_is_wrong(ollama):
    """In a pod a kubelet asks by the pod's IP, and others by names that nobody here knows."""
    async with serving(ollama, host=(EVERYWHERE,)) as at:
        url = at.url.replace(EVERYWHERE, "127.0.0.1")
        async with at.client.get(f"{url}/livez", headers={"Host": "final-script.default.svc"}) as reply:
            assert reply.status == 200


# --- origins


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://localhost.evil.example", "null", "chrome-extension://abc", "https://chat.example.evil"],
)
async def test_a_foreign_page_can_have_nothing_done(ollama, origin):
    """A POST from a page of another origin is refused before its body is read, with or without a preflight."""
    async with serving(ollama, cors=(ALLOWED,)) as at:
        async with at.ask(headers={"Origin": origin, "Content-Type": "text/plain"}) as reply:
            assert reply.status == 403
            assert "--cors" in (await reply.json())["error"]
            assert "Access-Control-Allow-Origin" not in reply.headers
        async with at.client.options(f"{at.url}/api/test", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}) as reply:
            assert reply.status == 403
        assert (await at.metrics())["gork_refused_total{reason=origin}"] == 2
    assert not ollama.chats


async def test_the_services_own_page_may_ask(ollama):
    """Its origin is the host that it asks; behind a proxy that speaks https as well."""
    async with serving(ollama) as at:
        own = at.url
        for origin, host in ((own, own.removeprefix("http://")), ("https://localhost", "localhost"), ("http://localhost", "localhost:80")):
            async with at.ask(headers={"Origin": origin, "Host": host}) as reply:
                assert reply.status == 200
                await kinds(reply)


async def test_a_page_of_an_allowed_origin_may_ask_and_read(ollama):
    """Its preflight names what it may send, and its replies say that it may read them, the refusals too."""
    async with serving(ollama, cors=(ALLOWED,), token=Secret(TOKEN)) as at:
        asked = {
            "Origin": ALLOWED,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, x-stainless-os, x-openwebui-task, a b, dangerously-allow-browser",
        }
        async with at.client.options(f"{at.url}/v1/test", headers=asked) as reply:
            assert reply.status == 204
            assert reply.headers["Access-Control-Allow-Origin"] == ALLOWED
            assert reply.headers["Access-Control-Allow-Headers"] == (
                "authorization, x-stainless-os, x-openwebui-task, dangerously-allow-browser"
            )
            assert "Access-Control-Allow-Private-Network" not in reply.headers
            assert "POST" in reply.headers["Access-Control-Allow-Methods"]
            assert "Origin" in reply.headers["Vary"]
        async with at.ask(headers={"Origin": ALLOWED}) as reply:
            assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (401, ALLOWED)
        async with at.ask(headers={"Origin": ALLOWED, "Authorization": f"Bearer {TOKEN}"}) as reply:
            assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, ALLOWED)
            assert "X-Turn-Id" in reply.headers["Access-Control-Expose-Headers"]
            await kinds(reply)


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost:3000", "https://127.0.0.1", "http://[::1]:5173", "http://0.0.0.0:80", "app://obsidian.md", "tauri://localhost"),
        *("app://", "file://", "http://tauri.localhost"),
        *("vscode-webview://1a2b", "chrome-extension://abcdefghijklmnop", "moz-extension://11111111-2222"),
    ],
)
async def test_pages_of_this_machine_and_of_programs_may_ask(ollama, origin):
    """As a real Ollama allows them; extensions of browsers where the user allowed them, one or all of a scheme."""
    async with serving(ollama, cors=("chrome-extension://abcdefghijklmnop", "moz-extension://*")) as at:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"}
        async with at.client.options(f"{at.url}/v1/test", headers=asked) as reply:
            assert (204, origin) == (reply.status, reply.headers["Access-Control-Allow-Origin"])
            assert "true" == reply.headers["Access-Control-Allow-Private-Network"]
        async with at.ask(headers={"Origin": origin}) as reply:
            assert (200, origin) == (reply.status, reply.headers["Access-Control-Allow-Origin"])


@pytest.mark.parametrize(("site", "status"), [("same-origin", 200), ("cross-site", 403), ("same-site", 403)])
async def test_the_page_behind_a_proxy_that_renames_the_host_may_ask(ollama, site, status):
    """Nginx passes its own name on; the browser says whose page it is, which no script can."""
    headers = {"Host": "127.0.0.1:8080", "Origin": "https://chat.example", "Sec-Fetch-Site": site}
    async with serving(ollama) as at, at.ask(headers=headers) as reply:
        assert status == reply.status


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/api/chat/completions", "/v1/chat/completions"),
        ("/v1/api/chat", "/api/chat"),
        ("/ollama/api/generate", "/api/generate"),
        ("/responses", "/v1/responses"),
    ],
)
async def test_a_wrong_base_url_is_answered_with_the_right_one(ollama, path, meant):
    """The commonest mistake, in the shape of the dialect that was meant."""
    async with serving(ollama) as at, at.client.post(f"{at.url}{path}", json={}) as reply:
        error = (await reply.json())["error"]
        assert 404 == reply.status
        assert f"the address is {meant}" in (error["message"] if meant.startswith("/v1") else error)


async def test_without_allowed_origins_no_reply_speaks_of_them(ollama):
    """CORS is off: a page that reads with GET gets nothing that its browser would let it see."""
    async with serving(ollama) as at, at.client.get(f"{at.url}/readyz", headers={"Origin": "https://evil.example"}) as reply:
        assert reply.status == 200
        assert not [name for name in reply.headers if name.lower().startswith("access-control")]


# --- tokens


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \udcff"],
)
async def test_without_the_token_nothing_is_told_and_nothing_done(ollama, header):
    """401 in the dialect's shape with how to authenticate; the body is not even read."""
    headers = {} if header is None else {"Authorization": header}
    async with serving(ollama, token=Secret(TOKEN)) as at:
        if header == "Bearer \udcff":  # bytes that are no UTF-8; no client library sends them
            reply = await raw(
                at,
                b"POST /v1/test HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nAuthorization: Bearer \xff\r\n\r\n{}",
                head_only=True,
            )
            assert reply.startswith(b"HTTP/1.1 401 ")
            return
        async with at.client.post(f"{at.url}/v1/test", data=b"no json", headers=headers) as reply:
            assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Bearer realm="gork-heavy-lite"')
            assert (await reply.json())["error"]["type"] == "authentication_error"
            assert TOKEN not in await reply.text()
        async with at.client.get(f"{at.url}/metrics", headers={"Authorization": f"bearer {TOKEN}"}) as reply:
            assert samples(await reply.text())["gork_refused_total{reason=unauthorized}"] == 1


@pytest.mark.parametrize(
    "path", ["/api/test", "/api", "/api/unknown", "/v1/models", "/metrics", "/%61pi/test", "//api/test", "/api/../api/test"]
)
async def test_every_spelling_of_a_guarded_path_needs_the_token(ollama, path):
    """What a path is written like makes no difference: without the token no turn and no figures."""
    async with serving(ollama, token=Secret(TOKEN)) as at:
        reply = await raw(at, f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
        assert reply.split()[1] in {b"401", b"404"}
    assert not ollama.chats


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz", "/"])
async def test_probes_and_the_page_need_no_token(ollama, path):
    """A kubelet has none, and the page asks for it."""
    async with serving(ollama, token=Secret(TOKEN)) as at, at.client.get(f"{at.url}{path}") as reply:
        assert reply.status != 401


async def test_with_the_token_all_is_as_without_one(ollama):
    """The scheme's spelling does not matter."""
    async with serving(ollama, token=Secret(TOKEN)) as at, at.ask(headers={"Authorization": f"BEARER  {TOKEN}"}) as reply:
        assert reply.status == 200
        assert (await kinds(reply))[-1] == "finished"


# --- bodies


@pytest.mark.parametrize("path", ["/api/test", "/v1/test"])
async def test_a_body_over_the_limit_is_refused_in_the_dialects_shape(ollama, path):
    """413, whether its length is announced or only found out; what would follow is not waited for."""
    async with serving(ollama, body_limit=1024) as at:

        async def pieces():
            for _ in range(64):
                yield b" " * 64

        for data in (b" " * 1025, pieces()):
            async with at.client.post(f"{at.url}{path}", data=data) as reply:
                body = await reply.json()
                assert (reply.status, reply.headers["Connection"]) == (413, "close")
                assert "1024" in (body["error"]["message"] if path.startswith("/v1") else body["error"])
        assert (await at.metrics())["gork_refused_total{reason=too_large}"] == 2


async def test_a_huge_announced_body_is_not_read(ollama):
    """A terabyte that is only announced: the refusal comes at once."""
    async with serving(ollama) as at:
        reply = await raw(at, b"POST /api/test HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1099511627776\r\n\r\n", head_only=True)
    assert reply.startswith(b"HTTP/1.1 413 ")


async def test_a_body_within_the_limit_may_be_compressed_and_one_beyond_it_may_not(ollama):
    """Gzip is understood, and a small file that unpacks to gigabytes is refused when the limit is reached."""
    async with serving(ollama, body_limit=4096) as at:
        fine = gzip.compress(json.dumps({"question": "What is up?"}).encode())
        async with at.client.post(f"{at.url}/api/test", data=fine, headers={"Content-Encoding": "gzip"}) as reply:
            assert reply.status == 200
            await kinds(reply)
        bomb = gzip.compress(b" " * 2_000_000)
        assert len(bomb) < 4096
        async with at.client.post(f"{at.url}/api/test", data=bomb, headers={"Content-Encoding": "gzip"}) as reply:
            assert reply.status == 413


@pytest.mark.parametrize(
    "head_and_body",
    [
        b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_a_body_that_cannot_be_read_is_a_400(ollama, head_and_body):
    """Broken framing or compression: one refusal, the connection ends, no traceback anywhere."""
    async with serving(ollama) as at:
        reply = await raw(at, b"POST /api/test HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + head_and_body)
    assert reply.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"Traceback" not in reply


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "missing request body"),
        (b"  \n", "missing request body"),
        (b"{", "the body is not valid JSON"),
        (b'{"question": 1}', "Expected `str`, got `int` - at `$.question`"),
        (b"[" * 1_000_000, "nested more than 64 deep"),
        (b'{"question": "x", "more": ' + b"[" * 70 + b"]" * 70 + b"}", "nested more than 64 deep"),
    ],
)
async def test_a_body_that_is_not_what_it_should_be_is_a_400_that_says_where(ollama, body, says):
    """Empty, torn, of a wrong type, no UTF-8, without an end to its nesting."""
    async with serving(ollama) as at, at.client.post(f"{at.url}/api/test", data=body) as reply:
        assert (reply.status, says in (await reply.json())["error"]) == (400, True)


async def test_many_brackets_are_no_deep_nesting(ollama):
    """A long conversation has hundreds of objects beside one another, and texts full of brackets and quotation marks."""
    messages = [{"role": "user", "content": '[[[[{{{{"\\"' * 20}] * 300
    async with serving(ollama) as at, at.client.post(f"{at.url}/api/test", json={"question": "What?", "messages": messages}) as reply:
        assert reply.status == 200
        await kinds(reply)


# --- errors


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/v1/nope", 404), ("GET", "/nope", 404), ("DELETE", "/api/test", 405)])
async def test_unknown_paths_and_methods_are_told_in_the_dialects_shape(ollama, method, path, status):
    """404 and 405 name what was asked for; 405 with what there is."""
    async with serving(ollama) as at, at.client.request(method, f"{at.url}{path}") as reply:
        error = (await reply.json())["error"]
        assert reply.status == status
        assert f"{method} {path}" in (error["message"] if path.startswith("/v1") else error)
        assert ("Allow" in reply.headers) == (status == 405)


@pytest.mark.parametrize("path", ["/api/bug", "/v1/bug"])
async def test_a_mistake_of_the_programs_own_is_a_500_without_a_traceback(ollama, path, caplog):
    """The client gets the request's id; the log has the traceback under it."""
    async with serving(ollama) as at:
        with caplog.at_level(logging.ERROR, "gork"):
            async with at.client.post(f"{at.url}{path}") as reply:
                text = await reply.text()
                assert reply.status == 500
        assert "secret of the program" not in text
        assert reply.headers["X-Request-Id"] in text
        assert (await at.metrics())[f"gork_requests_total{{route={path},status=500}}"] == 1
    assert "ZeroDivisionError: a secret of the program's own" in caplog.text


async def test_a_mistake_in_the_middle_of_a_stream_ends_it_without_its_end(ollama, caplog):
    """No second head in the middle of a body, and nothing that looks like a complete reply."""
    async with serving(ollama) as at:
        async with at.client.post(f"{at.url}/api/bug_in_stream") as reply:
            assert reply.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await reply.read()
        assert await at.text("/livez") == "ok\n"
    assert caplog.text.count("ZeroDivisionError: a secret") == 1
    assert "Error handling request" not in caplog.text


async def test_a_client_that_is_gone_is_no_mistake_of_the_program(ollama, caplog):
    """What cannot be sent any more is nobody's error: nothing in the log above debug."""
    caplog.set_level(logging.INFO, "gork")
    async with serving(ollama) as at:
        with pytest.raises(aiohttp.ClientError):
            async with at.client.post(f"{at.url}/api/gone") as reply:
                await reply.read()
        assert await at.text("/livez") == "ok\n"
    assert not caplog.records


async def test_no_answer_is_a_502_that_names_each_model(ollama):
    """All candidates fail: the turn's error, with the reason of each."""
    for model in "abc":
        ollama.say(model, Reply(status=500, error="out of order"))
    async with serving(ollama) as at, at.client.post(f"{at.url}/v1/test", json={"question": "x", "stream": False}) as reply:
        body = await reply.json()
    assert reply.status == 502
    assert body["error"]["type"] == "api_error"
    assert body["error"]["message"].count("out of order") == 3
    assert reply.headers["x-should-retry"] == "false"


async def test_beyond_the_line_clients_are_told_to_come_back(ollama):
    """503 with Retry-After, at once, in the dialect's shape; nothing of it is begun."""
    gate = asyncio.Event()
    for model in "abc":
        ollama.say(model, Reply("late", gate=gate))
    async with serving(ollama, turns=1, queue=0) as at:
        async with at.ask() as running:
            async with at.client.post(f"{at.url}/v1/test", json={"question": "x"}) as reply:
                assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
                assert "1 running and 0 waiting" in (await reply.json())["error"]["message"]
            figures = await at.metrics()
            assert (figures["gork_refused_total{reason=full}"], figures["gork_inflight_turns"]) == (1, 1)
            gate.set()
            assert (await kinds(running))[-1] == "finished"
        assert (await at.metrics())["gork_inflight_turns"] == 0


# --- headers


@pytest.mark.parametrize(("method", "path"), [("GET", "/livez"), ("POST", "/api/test"), ("GET", "/nope"), ("POST", "/api/bug")])
async def test_every_reply_has_the_headers_that_keep_browsers_careful(ollama, method, path):
    """Answers, streams and errors alike."""
    async with serving(ollama) as at, at.client.request(method, f"{at.url}{path}", json={"question": "x"}) as reply:
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert reply.headers["Cache-Control"] == "no-store"
        assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
        assert "Python" not in reply.headers["Server"]
        await reply.read()


async def test_a_request_has_an_id_and_a_turn_has_one_too(ollama):
    """The client's own id if it is a plain one, else a drawn one; the turn's is the one in the turn."""
    async with serving(ollama) as at:
        async with at.client.post(
            f"{at.url}/api/test", json={"question": "x", "stream": False}, headers={"X-Request-Id": "abc-1.2"}
        ) as reply:
            turn = await reply.json()
            assert (reply.headers["X-Request-Id"], reply.headers["X-Turn-Id"]) == ("abc-1.2", turn["id"])
        for forged in ("a b", "x" * 65, "é", 'a"b', "turn=1"):
            async with at.client.get(f"{at.url}/livez", headers={"X-Request-Id": forged}) as reply:
                assert len(reply.headers["X-Request-Id"]) == 12
                assert "X-Turn-Id" not in reply.headers


async def test_streams_are_not_to_be_collected_by_a_proxy(ollama):
    """Nginx holds a reply back unless it is told not to."""
    async with serving(ollama) as at:
        async with at.ask() as reply:
            assert reply.headers["X-Accel-Buffering"] == "no"
            await kinds(reply)
        async with at.client.get(f"{at.url}/livez") as reply:
            assert "X-Accel-Buffering" not in reply.headers
