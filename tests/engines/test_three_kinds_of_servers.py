"""One ensemble on three kinds of servers at once, all real, on the smallest real weights: embedded, llama.cpp's own server, a service of
this program. Through the command line, through the service and both of its dialects, and through the page.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.llama_server import llama_server
from tests.support.page_browser import chromium, visiting
from tests.support.program import Program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LLAMA_KEY, TOKEN = "a-key-of-llama-server", "a-token-of-the-inner-service"
QUESTION = "What is the capital of France?"
PATIENT = ("--candidate-timeout", "600", "--timeout", "800", "--first-token-timeout", "500", "--idle-timeout", "300")
"""The inner service is silent until it has chosen, and the machine of a test may be busy."""


def inner(weights: Path) -> str:
    """The ensemble of the service that is a member."""
    return f"""
name: inner
candidates:
  - {{name: one, api: embedded, path: {weights}, options: {{num_predict: 16, temperature: 0}}}}
"""


def outer(weights: Path, llama: str, service: str) -> str:
    """An ensemble on three kinds of servers; llama-server judges too."""
    return f"""
name: three-kinds
candidates:
  - {{name: here, api: embedded, path: {weights}, options: {{num_predict: 16, temperature: 0}}}}
  - {{name: there, api: openai, url: "{llama}", key_env: LLAMA_KEY, system: Answer in one word., options: {{num_predict: 16}}}}
  - {{name: inner, api: openai, url: "{service}/v1", model: gork-heavy-lite, key_env: INNER_TOKEN}}
judge: {{name: judge, api: openai, url: "{llama}", key_env: LLAMA_KEY}}
choosing: {{judge: always}}
"""


class Three:
    """The three kinds, running, and the program on an ensemble of them."""

    def __init__(self, program: Program, ensemble: Path, llama: str, service: str) -> None:
        self.program, self.llama, self.service = program, llama, service
        self.flags = ("--ensemble", str(ensemble), "--no-optimize", "--threads", "1", "--seed", "1", *PATIENT)
        self.env = {"LLAMA_KEY": LLAMA_KEY, "INNER_TOKEN": TOKEN}

    async def run(self, *arguments: str) -> tuple[int, Any, str]:
        """Run it to its end: exit code, its JSON, standard error. The keys are in neither."""
        process = await self.program.start(*arguments, **self.env)
        out, err = await process.communicate(b"")
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        for secret in (LLAMA_KEY, TOKEN):
            assert secret.encode() not in out + err
        return process.returncode, json.loads(out), err.decode()


@pytest.fixture
async def three(tmp_path, starter_gguf):
    """All three."""
    within, ensemble = tmp_path / "inner.yaml", tmp_path / "outer.yaml"
    within.write_text(inner(starter_gguf))
    program = Program(tmp_path)
    async with (
        llama_server(starter_gguf, context=1024, key=LLAMA_KEY, alias="smol") as llama,
        program.serve("--threads", "1", "--ensemble", str(within), "--no-optimize", starts_within_s=300, GORK_TOKEN=TOKEN) as (_, service),
    ):
        ensemble.write_text(outer(starter_gguf, llama, service))
        yield Three(program, ensemble, llama, service)


async def test_a_turn_and_doctor_on_three_kinds_of_servers(three):
    """Each member answers, the judge chooses from log-probabilities, and doctor says of each what it is, where, and how fast."""
    code, turn, err = await three.run(*three.flags, "--json", QUESTION)
    ended, report, _ = await three.run("doctor", "--json", "--timeout", "600", *three.flags[:2], "--threads", "1")

    assert (code, turn["engine"], turn["failures"]) == (0, "mixed", []), err
    assert [answer["member"] for answer in turn["answers"]] == ["here", "there", "inner"]
    assert all(answer["text"].strip() and answer["tokens"] for answer in turn["answers"])
    assert turn["answer"] in [answer["text"] for answer in turn["answers"]]
    assert "engine: OpenAI API + embedded llama.cpp, ensemble three-kinds (as its members say)" in err

    members = {member["member"]: member for member in report["members"]}
    assert (ended, {name: member["problem"] for name, member in members.items()}) == (0, dict.fromkeys(members))
    told = {name: (member["server"], member["logprobs"], member["context"]) for name, member in members.items()}
    assert told == {
        "here": ("embedded", True, 4096),
        "there": ("llama-server", True, 1024),
        "inner": ("Gork Heavy-Lite", False, 4096),
        "judge": ("llama-server", True, 1024),
    }
    assert members["here"]["where"].endswith(".gguf")
    assert (members["there"]["where"], members["inner"]["where"]) == (three.llama, f"{three.service}/v1")
    assert all(member["first_token_s"] > 0 for member in members.values())
    assert all(members[name]["tokens_per_s"] > 0 for name in ("here", "there", "judge"))


async def test_a_service_and_its_page_on_three_kinds_of_servers(three):
    """Ollama's dialect, OpenAI's, and a visitor's real Chromium get an answer that one of the three has written."""
    async with three.program.serve("--threads", "1", *three.flags, "--drafts", starts_within_s=300, **three.env) as (_, url):
        async with aiohttp.ClientSession() as client:
            asked = {"model": "gork-heavy-lite", "stream": False, "messages": [{"role": "user", "content": QUESTION}]}
            async with client.post(f"{url}/api/chat", json=asked) as reply:
                ollama = await reply.json()
            async with client.post(f"{url}/v1/chat/completions", json=asked) as reply:
                openai = (await reply.json())["choices"][0]
            async with client.get(f"{url}/api/members") as reply:
                rows = {row["member"]: row["where"] for row in (await reply.json())["members"]}
        async with chromium() as browser, visiting(browser, url) as visitor:
            visitor.page.set_default_timeout(600_000)
            await visitor.ask_to_the_end(QUESTION)
            columns = {name: await visitor.text(name).inner_text() for name in ("here", "there", "inner")}
            engine = await visitor.page.locator("#models-summary").inner_text()

    assert (ollama["done"], openai["finish_reason"] in {"stop", "length"}) == (True, True)
    assert ollama["message"]["content"].strip()
    assert openai["message"]["content"].strip()
    for name in columns:
        assert f"{name}" in ollama["message"]["thinking"]
    assert (rows["there"], rows["inner"]) == (three.llama, f"{three.service}/v1")
    assert all(text.strip() for text in columns.values())
    assert "three-kinds" in engine
