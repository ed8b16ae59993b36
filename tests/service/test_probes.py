"""Probes: alive while anything is, ready when a turn would be answered, and never held up by a model."""

from __future__ import annotations

import asyncio
import time

import pytest

from gork.service.service import ServiceLimits
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.service_setup import MODELS, serving


async def ready(at):
    """Status and body of /readyz."""
    async with at.client.get(f"{at.url}/readyz") as reply:
        return reply.status, await reply.json()


@pytest.mark.parametrize("path", ["/livez", "/healthz"])
async def test_livez_asks_no_model(path):
    """Being alive is the service's own affair: the models' server gets no request."""
    async with FakeOllama(*MODELS) as ollama, serving(ollama) as at:
        async with at.client.get(f"{at.url}{path}") as reply:
            assert (reply.status, await reply.text()) == (200, "ok\n")
        assert not ollama.requests


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
async def test_probes_answer_head_without_a_body(path):
    """HEAD has GET's status and nothing else."""
    async with FakeOllama(*MODELS) as ollama, serving(ollama) as at, at.client.head(f"{at.url}{path}") as reply:
        assert reply.status == 200
        assert await reply.read() == b""


async def test_readyz_says_who_can_answer():
    """With all models there it is 200, each member with its role and state."""
    async with FakeOllama(*MODELS) as ollama, serving(ollama) as at:
        status, body = await ready(at)

    assert status == 200
    assert body["ready"] is True
    assert list(body["members"]) == ["rewriter", "a", "b", "c", "judge"]
    assert body["members"]["judge"] == {"role": "judge", "ok": True, "detail": "installed, not loaded yet"}


@pytest.mark.parametrize(("there", "status"), [(("a",), 200), (("rewriter", "judge"), 503), ((), 503)])
async def test_one_candidate_is_enough_and_nothing_else_is(there, status):
    """Without a judge the configured order decides and without a promptimizer the user's words are asked; candidates are needed."""
    async with FakeOllama(*there) as ollama, serving(ollama) as at:
        found, body = await ready(at)

    assert found == status
    assert {name for name, member in body["members"].items() if member["ok"]} == set(there)
    assert "ollama pull b" in body["members"]["b"]["detail"]


async def test_a_hanging_model_server_holds_up_no_probe():
    """A server that takes connections and never replies: livez and readyz answer within a second, not ready."""
    async with FakeOllama(*MODELS) as ollama, serving(ollama) as at:
        ollama.answer_with("a", lambda _: Reply("x"))
        hang = asyncio.Event()
        ollama.pages |= {path: Reply(raw=b"{}", gate=hang) for path in ("/api/version", "/api/tags", "/api/ps")}
        began = time.monotonic()
        status, body = await ready(at)
        first = time.monotonic() - began
        assert await at.text("/livez") == "ok\n"
        took = time.monotonic() - began
        hang.set()

    assert status == 503
    assert body["members"]["a"] == {"role": "candidate", "ok": False, "detail": "not checked yet"}
    assert first < 1.0
    assert took < first + 0.2


async def test_a_check_that_hangs_ends_and_is_told():
    """After its time a member that did not reply counts as unable to answer, with the reason."""
    limits = ServiceLimits(health_check_s=0.05, health_wait_s=5.0)
    async with FakeOllama(*MODELS) as ollama, serving(ollama, limits=limits) as at:
        hang = asyncio.Event()
        ollama.pages["/api/version"] = Reply(raw=b"{}", gate=hang)
        status, body = await ready(at)
        hang.set()

    assert status == 503
    assert body["members"]["a"]["detail"] == "it does not reply within 0.05 s"


async def test_probes_within_seconds_ask_the_models_once():
    """What was found is kept for some seconds; many probes at once share one check."""
    async with FakeOllama(*MODELS) as ollama, serving(ollama) as at:
        answers = await asyncio.gather(*(ready(at) for _ in range(20)))
        assert {status for status, _ in answers} == {200}
        await ready(at)
        assert len(ollama.bodies("/api/version")) == len(MODELS)


async def test_what_was_found_long_ago_is_asked_again():
    """As soon as it is too old the next probe has the models checked once more."""
    async with FakeOllama(*MODELS) as ollama, serving(ollama, limits=ServiceLimits(health_fresh_s=0.0)) as at:
        await ready(at)
        await ready(at)
        assert len(ollama.bodies("/api/version")) == 2 * len(MODELS)


async def test_a_probe_that_is_broken_off_leaves_the_check_running():
    """A kubelet that gives up does not undo what was about to be found out."""
    async with FakeOllama(*MODELS) as ollama, serving(ollama, limits=ServiceLimits(health_wait_s=30.0)) as at:
        gate = asyncio.Event()
        ollama.pages["/api/version"] = Reply(raw=b'{"version":"1"}', gate=gate)
        probe = asyncio.create_task(ready(at))
        await ollama.until(lambda: len(ollama.requests) >= len(MODELS))
        probe.cancel()
        await asyncio.wait({probe})
        gate.set()
        await ollama.until(lambda: len(ollama.bodies("/api/ps")) == len(MODELS))
        status, _ = await ready(at)
        assert status == 200
        assert len(ollama.bodies("/api/version")) == len(MODELS)


async def test_a_service_that_stops_is_alive_and_not_ready():
    """As soon as it takes nothing new, readyz says so and why; livez does not, or it would be killed before it is done."""
    async with FakeOllama(*MODELS) as ollama, serving(ollama) as at:
        assert (await ready(at))[0] == 200
        at.service.stop_taking()
        status, body = await ready(at)
        assert (status, body["ready"], body["stopping"]) == (503, False, True)
        assert await at.text("/livez") == "ok\n"
