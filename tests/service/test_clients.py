"""The real `ollama` and `openai` clients on the real service with real models, as their users would meet it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import ollama
import openai
import pytest

from tests.support.paths import ROOT
from tests.support.processes import cpu_of, seconds_until_idle, worker_of
from tests.support.program import Program

MODEL = "gork-heavy-lite"
CANDIDATES = ("plain", "coder", "solver")
QUESTION = [{"role": "user", "content": "wat is teh captial of germny"}]
FIRST_BYTE_S, LONGEST_GAP_S = 6.0, 10.0
"""The head waits three seconds for the first sign of life."""
STOPS_WITHIN_S = 4.0
"""A second, the batch of a prompt that is being read, and the looks at a client that may only have stopped sending."""


@dataclass
class Served:
    """A running service."""

    url: str
    pid: int


@pytest.fixture(scope="module")
def served(starter_gguf, tmp_path_factory) -> Iterator[Served]:
    """`serve` with the starter ensemble, in a process of its own."""
    env = Program(tmp_path_factory.mktemp("home")).env | {"GORK_CACHE": str(starter_gguf.parent)}
    command = [
        sys.executable,
        str(ROOT / "final_script.py"),
        "--engine",
        "embedded",
        "--ensemble",
        "tiny",
        "--seed",
        "1",
        "--port",
        "0",
        "serve",
    ]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"serving at (http://\S+)", line):
                    break
            else:
                raise AssertionError("it does not serve")
            yield Served(found[1], process.pid)
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert 0 == process.returncode


class Wire(httpx.HTTPTransport):
    """A client's transport that takes the time of everything that comes in; comments in a stream count, which clients do not show."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps: list[float] = []
        """Seconds from one arrival to the next, the first from the request on."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and watch its reply."""
        began, self.gaps = time.monotonic(), []
        response = super().handle_request(request)
        watched = httpx.Response(response.status_code, headers=response.headers, stream=_Watched(response.stream, began, self.gaps))
        watched.extensions = response.extensions
        return watched


class _Watched(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, began: float, gaps: list[float]) -> None:
        self._stream, self._last, self._gaps = stream, began, gaps

    def __iter__(self) -> Iterator[bytes]:
        for data in self._stream:
            now = time.monotonic()
            self._gaps.append(now - self._last)
            self._last = now
            yield data

    def close(self) -> None:
        self._stream.close()


@pytest.fixture
def wire() -> Wire:
    """What the clients go through."""
    return Wire()


@pytest.fixture
def ollama_client(served, wire) -> Iterator[ollama.Client]:
    """The client of the `ollama` package."""
    with ollama.Client(host=served.url, transport=wire) as client:
        yield client


@pytest.fixture
def openai_client(served, wire) -> Iterator[openai.OpenAI]:
    """The client of the `openai` package."""
    with (
        httpx.Client(transport=wire, timeout=120) as http,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0, http_client=http) as client,
    ):
        yield client


@dataclass
class Heard:
    """What came through a stream: (thinking, content) for each part."""

    parts: list[tuple[str, str]]

    @property
    def thinking(self) -> str:
        """All of the thinking channel."""
        return "".join(thinking for thinking, _ in self.parts)

    @property
    def content(self) -> str:
        """All of the content."""
        return "".join(content for _, content in self.parts)


def drafts_in(thinking: str) -> dict[str, str]:
    """The drafts in a thinking channel, by their members' names."""
    heads = list(re.finditer(r"^\*\*([a-z]+)\*\* \(.*\)\n\n", thinking, re.MULTILINE))
    ends = [*(head.start() for head in heads[1:]), thinking.index("chosen: ")]
    return {head[1]: thinking[head.end() : end] for head, end in zip(heads, ends, strict=True)}


def check_stream(heard: Heard, wire: Wire) -> None:
    """In time, drafts before the content, and the content byte for byte the draft of whom the channel says was chosen."""
    drafts = drafts_in(heard.thinking)
    winner = heard.thinking.partition("chosen: ")[2].split()[0]
    first_content = next(index for index, (_, content) in enumerate(heard.parts) if content)

    assert wire.gaps[0] < FIRST_BYTE_S
    assert max(wire.gaps) < LONGEST_GAP_S
    assert set(CANDIDATES) == set(drafts)
    assert drafts[winner].startswith(heard.content + "\n\n")
    assert not any(thinking for thinking, _ in heard.parts[first_content:])


def test_the_ollama_client_lists_shows_and_streams(wire, ollama_client):
    """The ensemble is a model among others, can think, and answers a chat in time, drafts first; afterwards it is listed as loaded."""
    listed = [model.model for model in ollama_client.list().models]
    shown = ollama_client.show(MODEL)
    heard = Heard(
        [(chunk.message.thinking or "", chunk.message.content or "") for chunk in ollama_client.chat(MODEL, messages=QUESTION, stream=True)]
    )

    assert [f"{MODEL}:latest", *(f"{name}:latest" for name in ("promptimizer", *CANDIDATES, "judge"))] == listed
    assert (["completion", "thinking"], 4096) == (shown.capabilities, shown.modelinfo["gork.context_length"])
    check_stream(heard, wire)
    assert "asked as: What is the capital of Germany?" in heard.thinking
    assert "Berlin" in heard.content
    assert f"{MODEL}:latest" in [model.model for model in ollama_client.ps().models]


def test_the_ollama_client_gets_whole_answers(ollama_client):
    """Chat and generate without streaming, the ensemble without drafts and a member alone, with counts and times."""
    chat = ollama_client.chat(MODEL, messages=QUESTION, think=False)
    generated = ollama_client.generate("coder", prompt="What is the capital of France?", options={"num_predict": 30, "temperature": 0})

    assert "Berlin" in chat.message.content
    assert chat.message.thinking is None
    assert "Paris" in generated.response
    for reply in (chat, generated):
        assert (True, "stop") == (reply.done, reply.done_reason)
        assert min(reply.prompt_eval_count, reply.eval_count, reply.prompt_eval_duration, reply.eval_duration) > 0
        assert reply.total_duration >= reply.eval_duration


def test_the_openai_client_lists_and_streams(wire, openai_client):
    """In time, drafts first, the content the chosen draft, usage at the end."""
    listed = [model.id for model in openai_client.models.list()]
    usages = []

    def parts() -> Iterator[tuple[str, str]]:
        stream = openai_client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True, stream_options={"include_usage": True})
        for chunk in stream:
            usages.append(chunk.usage)
            delta = chunk.choices[0].delta if chunk.choices else None
            yield (getattr(delta, "reasoning_content", None) or "", (delta and delta.content) or "")

    heard = Heard(list(parts()))

    assert MODEL == listed[0]
    check_stream(heard, wire)
    assert usages[-1].completion_tokens > 0
    assert usages[-1].total_tokens == usages[-1].prompt_tokens + usages[-1].completion_tokens


def test_the_openai_client_gets_a_whole_answer_and_clear_errors(openai_client):
    """Without streaming, with a schema; a wrong model and a wrong value are the client library's own exceptions."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
        "additionalProperties": False,
    }
    reply = openai_client.chat.completions.create(
        model="coder",
        messages=[{"role": "user", "content": "What is the capital of France? Answer as JSON."}],
        response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
        temperature=0,
        max_tokens=60,
    )

    assert re.fullmatch(r'\{\s*"city"\s*:\s*"[^"]*"\s*\}', reply.choices[0].message.content.strip())
    with pytest.raises(openai.NotFoundError, match="model 'gpt-4o' not found"):
        openai_client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    with pytest.raises(openai.BadRequestError) as wrong:
        openai_client.chat.completions.create(model=MODEL, messages=QUESTION, n=2)
    assert "n" == wrong.value.param


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
def test_a_dropped_connection_frees_the_engine(served, ollama_client, openai_client, dialect):
    """The client closes while the candidates write: llama.cpp's process is idle in time, and the next question is answered."""
    long = [{"role": "user", "content": "Explain in detail how a car engine works, and then how a train works."}]
    if dialect == "ollama":
        stream = ollama_client.chat(MODEL, messages=long, stream=True)
        next(chunk for chunk in stream if "asked " in (chunk.message.thinking or ""))
    else:
        stream = openai_client.chat.completions.create(model=MODEL, messages=long, stream=True)
        next(chunk for chunk in stream if "asked " in (getattr(chunk.choices[0].delta, "reasoning_content", None) or ""))
    worker = worker_of(served.pid)
    _until_busy(worker)
    stream.close()

    assert seconds_until_idle(worker) < STOPS_WITHIN_S
    assert "Paris" in ollama_client.generate("coder", prompt="What is the capital of France?").response


def _until_busy(pid: int) -> None:
    """Wait until a process has worked for a second: the candidates are writing."""
    before, end = cpu_of(pid), time.monotonic() + 30
    while cpu_of(pid) - before < 100:
        assert time.monotonic() < end, "it does nothing"
        time.sleep(0.05)
