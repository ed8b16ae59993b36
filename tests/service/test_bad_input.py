"""Whatever comes in, the service answers in time, in the dialect's shape, and never with a 500; what is right gets its 200."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, response_schema_conformance, status_code_conformance

from gork.service.app import create_app
from gork.service.dialects.ollama import ABSENT as ABSENT_IN_OLLAMA
from gork.service.dialects.openai import ABSENT as ABSENT_IN_OPENAI
from tests.support.scripted_service import ANSWERS, scripted_service

POSTS = ("/api/chat", "/api/generate", "/api/show", "/v1/chat/completions", "/v1/completions", "/v1/responses")
MODEL = "gork-heavy-lite"
QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
IN_TIME_S = 10.0


class Client:
    """A plain client, which sends whatever bytes it is given, to a service in a thread of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def send(self, path: str, body: bytes, method: str = "POST") -> tuple[int, str, bytes]:
        """Status, content type and body of the reply."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=IN_TIME_S)
        try:
            connection.request(method, path, body=body, headers={"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.getheader("Content-Type", ""), response.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client to a service with instant models."""
    up, stop = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def serve() -> None:
        async with scripted_service(queue=1000, turns=100) as server:
            found.extend([asyncio.get_running_loop(), server.url])
            up.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    assert up.wait(IN_TIME_S)
    loop, url = found
    yield Client(url)
    loop.call_soon_threadsafe(stop.set)
    thread.join(IN_TIME_S)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def document(client) -> dict[str, Any]:
    """What the service publishes of itself."""
    status, _, body = client.send("/openapi.json", b"", "GET")
    assert 200 == status
    return json.loads(body)


def is_error(path: str, body: bytes) -> bool:
    """Whether a body is an error in the dialect of the path, and nothing else."""
    reply = json.loads(body)
    if path.startswith("/v1"):
        return list(reply) == ["error"] and list(reply["error"]) == ["message", "type", "param", "code"] and bool(reply["error"]["message"])
    return list(reply) == ["error"] and isinstance(reply["error"], str) and bool(reply["error"])


def refused(client: Client, path: str, body: bytes, *statuses: int) -> None:
    """Send it, and be refused in the dialect's shape."""
    status, content_type, reply = client.send(path, body)

    assert status in (statuses or (400,)), reply
    assert "application/json; charset=utf-8" == content_type
    assert is_error(path, reply), reply


HELLO = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "prompt": "hi"}).encode()
MALFORMED = {
    "empty": b"",
    "blank": b" \n",
    "cut": HELLO[:-1],
    "cut in a text": HELLO[:20],
    "more behind it": HELLO + b"}",
    "two": HELLO + HELLO,
    "no JSON": b"<html>",
    "form": b"model=x&prompt=hi",
    "single quotes": HELLO.replace(b'"', b"'"),
    "comma": HELLO[:-1] + b",}",
    "NaN": b'{"model": NaN}',
    "infinite": b'{"model": 1e999}',
    "UTF-16": HELLO.decode().encode("utf-16"),
    "a list": b"[" + HELLO + b"]",
    "a text": b'"hi"',
    "a number": b"1",
    "null": b"null",
    "raw NUL": b'{"model": "a\0b"}',
    "raw newline": b'{"model": "a\nb"}',
    "deep lists": b"[" * 100_000,
    "deep and closed": b'{"model": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "deep where nobody looks": HELLO[:-1] + b', "x": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    "deep in a format": HELLO[:-1] + b', "format": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
    "number of many digits": b'{"model": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("path", POSTS)
def test_what_is_no_json_of_ours_is_a_400(client, path, body):
    """Broken, of the wrong kind, nested without end, no UTF-8: one clear error in the dialect's shape."""
    refused(client, path, body)


@pytest.mark.parametrize("path", POSTS)
def test_a_huge_body_is_refused(client, path):
    """413, whatever is in it."""
    refused(client, path, b'{"model": "' + b"x" * (3 << 20) + b'"}', 413)


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions"])
def test_text_that_no_model_can_read_is_a_400(client, path):
    """NUL, as JSON's escapes can bring it, in what the user says."""
    refused(client, path, HELLO.replace(b'"hi"', rb'"a\u0000b"'))


@pytest.mark.parametrize("piece", [rb"\ud83d", rb"\udc4d", rb"\ud83d\ud83d\ude00", b"\xff", b"\xe2\x82", b"caf\xe9"])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions"])
def test_halves_of_characters_are_taken(client, path, piece):
    """Clients cut texts anywhere and send other encodings; a conversation must not be dead for it."""
    status, _, reply = client.send(path, HELLO.replace(b'"hi"', b'"smile ' + piece + b' please"'))

    assert 200 == status, reply


@pytest.mark.parametrize(
    "body",
    [b'{"question": "a@"}', b'{"question": "q", "system": "a@"}', b'{"question": "q", "history": [{"role": "user", "content": "a@"}]}'],
)
def test_text_that_no_model_can_read_is_a_400_in_the_products_own_api_too(client, body):
    """In the question, in the instructions, in what was said before."""
    refused(client, "/api/deliberate", body.replace(b"@", rb"\u0000"))


@pytest.mark.parametrize("path", ["/api/nothing", "/api/", "/v1", "/v1/", "/v1/nothing", "/api/%00", "/v1/%2e%2e/x", "//", "/%ff"])
def test_what_is_not_there_is_a_404_in_the_dialects_shape(client, path):
    """No HTML, no plain text."""
    status, _, body = client.send(path, b"{}")

    assert status in {404, 405}
    assert is_error(path, body)


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/chat"), ("PUT", "/v1/chat/completions"), ("DELETE", "/api/tags")])
def test_a_wrong_method_is_a_405_in_the_dialects_shape(client, method, path):
    """As for an unknown path."""
    status, _, body = client.send(path, b"", method)

    assert 405 == status
    assert is_error(path, body)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_a_byte_order_mark_is_passed_over(client, path):
    """Programs on Windows write one before their JSON."""
    status, _, _ = client.send(path, b"\xef\xbb\xbf" + HELLO)

    assert 200 == status


class TestPublishedDocument:
    def test_it_is_valid_and_names_every_route(self, document):
        """Every path that the application has, but for what it has to refuse, and the page's own files; and its schemas are schemas."""
        import aiohttp.web

        absent = {f"/api/{path}" for path in (*ABSENT_IN_OLLAMA, "embed", "embeddings")} | {
            f"/v1/{path}" for path in (*ABSENT_IN_OPENAI, "embeddings")
        }
        has = {
            (route.method.lower(), route.resource.canonical)
            for route in self._app().router.routes()
            if isinstance(route.resource, aiohttp.web.Resource) and route.method != "HEAD"
        }
        public = {
            (method, path) for method, path in has if not path.startswith("/page/") and path not in {a.replace(":.*", "") for a in absent}
        }
        documented = {(method, path) for path, operations in document["paths"].items() for method in operations}

        assert public <= documented
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)

    @staticmethod
    def _app():
        async def make():
            async with scripted_service() as server:
                return create_app(server.service)

        return asyncio.run(make())

    def test_schemathesis_breaks_nothing(self, client, document):
        """Requests generated from the document, right and wrong ones: no 5xx, only the statuses and shapes that it names, and what is
        wrong is refused.
        """
        api = schemathesis.openapi.from_dict(document)
        checks = [not_a_server_error, status_code_conformance, response_schema_conformance, negative_data_rejection]
        tried = 0
        for found in api.get_all_operations():
            operation = found.ok()
            if operation.path in {"/livez", "/healthz", "/readyz", "/metrics", "/api/prompt"}:
                continue  # they take nothing, and the last one does not end
            strategy = st.one_of(
                operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
                operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
            )

            @settings(QUICK, max_examples=25)
            @given(strategy)
            def attack(case):
                response = case.call(base_url=client.url, timeout=IN_TIME_S)
                case.validate_response(response, checks=checks)

            attack()
            tried += 1
        assert tried >= 10


plain = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=200).filter(lambda text: bool(text.strip()))
talk = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": plain}), max_size=6)
conversation = st.tuples(talk, plain).map(lambda parts: [*parts[0], {"role": "user", "content": parts[1]}])
share = st.floats(0, 1)
penalty = st.floats(-2, 2)
stops = plain | st.lists(plain, max_size=4)
names = st.sampled_from([MODEL, f"{MODEL}:latest", *ANSWERS, "judge", "promptimizer:latest"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(codec="utf-8")), st.lists, max_leaves=5
)
maybe = st.none()
ollama_options = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 5),
        "top_k": st.integers(0, 100),
        "top_p": share,
        "num_predict": st.integers(1, 9999) | st.sampled_from([-1, -2]),
        "stop": stops,
        "seed": st.integers(-1, 2**62),
        "num_ctx": st.integers(1, 9999),
        "repeat_penalty": st.floats(0, 10),
        "presence_penalty": penalty,
        "unheard_of": anything,
    },
)
shape = st.sampled_from(["json", "", None, {"type": "object"}])
ollama_chat = st.fixed_dictionaries(
    {"model": names, "messages": conversation},
    optional={
        "stream": st.booleans() | maybe,
        "format": shape,
        "options": ollama_options | maybe,
        "keep_alive": st.integers(-1, 999) | st.sampled_from(["5m", "1h30m", "0", "-1m"]) | maybe,
        "think": st.just(False) | maybe,
        "tools": st.just([]) | maybe,
        "unheard_of": anything,
    },
)
openai_chat = st.fixed_dictionaries(
    {"model": names, "messages": conversation},
    optional={
        "stream": st.booleans() | maybe,
        "stream_options": st.sampled_from([None, {}, {"include_usage": True}, {"include_usage": False}]),
        "temperature": st.floats(0, 2) | maybe,
        "top_p": share | maybe,
        "max_tokens": st.integers(1, 2**40) | maybe,
        "max_completion_tokens": st.integers(1, 9999),
        "seed": st.integers(-(2**62), 2**62),
        "stop": stops | maybe,
        "presence_penalty": penalty,
        "frequency_penalty": penalty,
        "response_format": st.sampled_from(
            [
                None,
                {"type": "text"},
                {"type": "json_object"},
                {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
            ]
        ),
        "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", None]),
        "n": st.just(1),
        "tools": st.just([]),
        "user": plain,
        "unheard_of": anything,
    },
)


class TestGeneratedRequests:
    def test_valid_ollama_chats_get_their_200(self, client):
        """Any conversation that ends with a question, any options within their bounds, anything unheard of beside them."""

        @QUICK
        @given(ollama_chat)
        def right(body):
            status, content_type, reply = client.send("/api/chat", json.dumps(body).encode())
            if body.get("format") not in (None, ""):  # the models of this service answer in prose, which is no JSON
                assert b"its answer does not count" in reply
                return
            lines = [json.loads(line) for line in reply.splitlines()]
            assert 200 == status, reply
            assert body["model"] == lines[-1]["model"]
            assert "".join(line["message"]["content"] for line in lines) in {
                *ANSWERS.values(),
                "It is right.",
                "What is the capital of France?",
            }
            assert content_type == ("application/json; charset=utf-8" if body.get("stream") is False else "application/x-ndjson")

        right()

    def test_valid_openai_chats_get_their_200(self, client):
        """The same in the other dialect."""

        @QUICK
        @given(openai_chat)
        def right(body):
            status, _, reply = client.send("/v1/chat/completions", json.dumps(body).encode())
            if (body.get("response_format") or {}).get("type", "text") != "text":
                assert b"its answer does not count" in reply
                return
            assert 200 == status, reply
            assert reply.endswith(b"data: [DONE]\n\n") if body.get("stream") else json.loads(reply)["choices"][0]["message"]["content"]

        right()

    @pytest.mark.parametrize("path", POSTS)
    def test_any_bytes_get_an_answer(self, client, path):
        """Noise, and right requests with a piece torn out or put in: 200 or a client's mistake, in time, in shape."""

        @QUICK
        @given(
            st.binary(max_size=300)
            | st.tuples(st.integers(0, len(HELLO)), st.integers(0, 20), st.binary(max_size=5)).map(
                lambda cut: HELLO[: cut[0]] + cut[2] + HELLO[cut[0] + cut[1] :]
            )
        )
        def noise(body):
            status, _, reply = client.send(path, body)
            assert status in {200, 400, 404}, reply
            assert status == 200 or is_error(path, reply)

        noise()

    @pytest.mark.parametrize("path", POSTS)
    def test_any_json_gets_an_answer(self, client, path):
        """Right names with any values: 200 or a client's mistake."""
        fields = [
            "model",
            "messages",
            "prompt",
            "stream",
            "options",
            "format",
            "think",
            "keep_alive",
            "tools",
            "system",
            "stop",
            "n",
            "seed",
        ]
        message = st.dictionaries(
            st.sampled_from(["role", "content", "images", "tool_calls"]), st.sampled_from(["user", "system"]) | anything
        )
        value = (
            anything
            | names
            | st.lists(message, max_size=3)
            | st.dictionaries(st.sampled_from(["temperature", "stop", "type", "effort"]), anything)
        )

        @QUICK
        @given(st.dictionaries(st.sampled_from(fields), value))
        def wrong(body):
            status, _, reply = client.send(path, json.dumps({"model": MODEL, **body}).encode())
            assert status in {200, 400, 404, 502}, reply
            assert status == 200 or is_error(path, reply)

        wrong()
