"""An answer that its model did not end is told as such on every route, for the ensemble and for one member."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.scripted_service import ScriptedServer, scripted_service

ENSEMBLE = "gork-heavy-lite"
PROMPT, MESSAGES = {"prompt": "Tell me more."}, {"messages": [{"role": "user", "content": "Tell me more."}]}
Told = Callable[[dict[str, Any]], object]
ROUTES: dict[str, tuple[str, dict[str, Any], str, Told]] = {
    "Ollama chat": ("/api/chat", MESSAGES, "length", lambda said: said.get("done_reason")),
    "Ollama generate": ("/api/generate", PROMPT, "length", lambda said: said.get("done_reason")),
    "OpenAI chat": ("/v1/chat/completions", MESSAGES, "length", lambda said: said["choices"][0]["finish_reason"]),
    "OpenAI completions": ("/v1/completions", PROMPT, "length", lambda said: said["choices"][0]["finish_reason"]),
    "OpenAI responses": ("/v1/responses", {"input": "Tell me more."}, "incomplete", lambda said: said.get("response", said).get("status")),
}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """The service with models that each reach the limit of their length."""

    async def cut(draft):
        draft.add("It began when")
        return draft.completion("length")

    async with scripted_service(answers=dict.fromkeys("abc", cut)) as running:
        yield running


async def streamed(server: ScriptedServer, path: str, body: object) -> list[dict[str, Any]]:
    """The objects of a stream, lines of JSON or events."""
    async with server.post(path, body) as response:
        assert response.status == 200, await response.text()
        lines = (await response.text()).splitlines()
    told = [line.removeprefix("data: ") for line in lines if line.startswith(("data: {", "{"))]
    return [json.loads(line) for line in told]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("model", [ENSEMBLE, "a"])
async def test_every_route_says_that_an_answer_is_cut(server: ScriptedServer, model: str, route: str):
    """Whole replies and the ends of streams say that its length ended it."""
    path, question, expected, told = ROUTES[route]

    status, reply = await server.ask(path, {"model": model, "stream": False, **question})
    ends = [told(one) for one in await streamed(server, path, {"model": model, "stream": True, **question}) if one.get("choices") != []]

    assert (200, expected) == (status, told(reply))
    assert expected == ends[-1]
    assert expected not in ends[:-1]
