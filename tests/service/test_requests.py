"""Clients' real requests: what each program sends, and what it must get. Adding one is adding a file below `requests/`.

A file is one request of one program, from a capture or from its source (`source`), with what the reply must have:

    client: n8n, node "Ollama Chat Model"
    version: 1.x
    source: LMOllama/description
    what: untouched defaults of all options
    request: {method: POST, path: /api/chat, headers: {}, body: {...}}      # or raw: the body as text, where it is not plain JSON
    expect:
      status: 200
      in_reply: [...]         # texts of the reply
      not_in_reply: [...]
      headers: {...}          # of the reply
      models_read: [...]      # texts that a candidate must have been given
      models_got: {...}       # options that a candidate must have been given

Besides, every reply with status 200 to a question has an answer that is not empty and ends as its dialect says, and one that was asked for
JSON is JSON of the schema that came.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.obedience import obedient
from tests.support.scripted_service import ScriptedServer, scripted_service

FOLDER = Path(__file__).parent / "requests"
FILES = sorted(FOLDER.rglob("*.yaml"))
TEXTS = frozenset({"content", "text", "input", "instructions", "prompt", "description", "id", "call_id", "tool_call_id", "system", "title"})
QUESTIONS = ("/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions", "/v1/responses")


def loaded(file: Path) -> dict[str, Any]:
    """One file."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def requests() -> dict[str, dict[str, Any]]:
    """All of them, by their names."""
    return {str(file.relative_to(FOLDER)): loaded(file) for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER).with_suffix("")))
async def test_a_clients_request_gets_what_the_client_needs(file):
    """In the real service, over models that answer at once and keep to the form that they are given."""
    case = loaded(file)
    async with scripted_service() as server:
        obedient(server)
        status, headers, reply = await sent(server, case["request"])
        check(case, status, headers, reply)
        check_models(case, server)


async def sent(server: ScriptedServer, request: dict[str, Any]) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the reply."""
    data = request["raw"].encode() if "raw" in request else json.dumps(request["body"]) if request.get("body") is not None else None
    headers = {"Content-Type": "application/json", **request.get("headers", {})}
    async with server.client.request(request["method"], server.url + request["path"], data=data, headers=headers) as reply:
        return reply.status, dict(reply.headers), await reply.text()


def check(case: dict[str, Any], status: int, headers: dict[str, str], reply: str) -> None:
    """What every reply must have, and what this one must."""
    expected = case["expect"]
    assert expected.get("status", 200) == status, reply
    for text in expected.get("in_reply", ()):
        assert text in reply
    for text in expected.get("not_in_reply", ()):
        assert text not in reply
    assert {name: headers.get(name) for name in expected.get("headers", {})} == expected.get("headers", {})
    path = case["request"]["path"].partition("?")[0]
    if status == 200 and path in QUESTIONS and not expected.get("no_answer"):
        answer = answer_of(path, reply)
        assert answer.strip()
        if wants_json(case["request"].get("body") or {}):
            json.loads(answer)


def answer_of(path: str, reply: str) -> str:
    """The answer in a reply, streamed or not, put together as clients do."""
    if reply.startswith(("data:", "event:")):
        events = [json.loads(line[6:]) for line in reply.splitlines() if line.startswith("data: {")]
        if path == "/v1/responses":
            assert "response.completed" == events[-1]["type"]
            assert list(range(len(events))) == [event["sequence_number"] for event in events]
            return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
        assert reply.endswith("data: [DONE]\n\n")
        choices = [event["choices"][0] for event in events if event["choices"]]
        assert choices[-1]["finish_reason"] == "stop"
        return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)
    rows = [json.loads(line) for line in reply.splitlines()]
    if path.startswith("/api/"):
        assert rows[-1]["done"] is True
        return "".join(row["message"]["content"] if "message" in row else row["response"] for row in rows)
    (row,) = rows
    if path == "/v1/responses":
        return "".join(part["text"] for item in row["output"] if item["type"] == "message" for part in item["content"])
    choice = row["choices"][0]
    return choice["text"] if "text" in choice else choice["message"]["content"]


def wants_json(body: dict[str, Any]) -> bool:
    """Whether a form is asked for."""
    form = body.get("response_format") or (body.get("text") or {}).get("format") if isinstance(body.get("text"), dict) else None
    form = form or body.get("response_format")
    return bool(body.get("format")) or (isinstance(form, dict) and form.get("type") in {"json_object", "json_schema"})


def check_models(case: dict[str, Any], server: ScriptedServer) -> None:
    """What a candidate must have been given."""
    expected = case["expect"]
    read = "\n".join(message["content"] for asked in server.models["qwen"].asked for message in asked)
    for text in expected.get("models_read", ()):
        assert text in read
    given = server.models["qwen"].options[-1] if server.models["qwen"].options else {}
    wanted = expected.get("models_got", {})
    assert wanted == {name: list(given[name]) if isinstance(given.get(name), tuple) else given.get(name) for name in wanted}


def test_there_are_enough_of_enough_clients_and_no_two_alike(requests):
    """Requests that differ in their texts alone would prove nothing twice."""
    shapes = Counter(
        json.dumps([case["request"]["method"], case["request"]["path"], told(case), shape(case)], sort_keys=True)
        for case in requests.values()
    )

    assert [] == [key for key, number in shapes.items() if number > 1]
    assert len(requests) >= 120
    assert len({case["client"] for case in requests.values()}) >= 25
    assert all(case["version"] and case["source"] and case["what"] for case in requests.values())


def told(case: dict[str, Any]) -> dict[str, str]:
    """The headers that say more than which program asks."""
    return {name: value for name, value in case["request"].get("headers", {}).items() if name.lower() not in {"user-agent", "accept"}}


def shape(case: dict[str, Any]) -> Any:
    """A request without its texts."""
    return case["request"]["raw"] if "raw" in case["request"] else _blank(case["request"].get("body"))


def _blank(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _blank(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_blank(inner, key) for inner in value]
    return "" if isinstance(value, str) and key in TEXTS else value
