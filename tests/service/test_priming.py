"""The promptimizer's instructions are read before anybody asks, and again when something else threw them out."""

from __future__ import annotations

from msgspec.structs import replace

from gork.config.ensemble import with_members
from gork.rewriting.prompt import fixed_prefix
from gork.service.priming import primed
from gork.service.service import Service
from tests.support.fake_ollama import FakeOllama
from tests.support.service_setup import MODELS, engine_for, ensemble_at, serving, settings_for


def read_ahead(ollama: FakeOllama, service: Service) -> int:
    """How often the promptimizer's instructions alone were read."""
    member = service.ensemble.promptimizer
    assert member is not None
    return [body["messages"] for body in ollama.read_ahead].count(fixed_prefix(member))


async def test_they_are_read_after_the_start_and_again_in_idle_time():
    """At a configured URL, where the model is kept in memory."""
    async with FakeOllama(*MODELS) as ollama, serving(ollama) as at, primed(at.service, again_s=0.0):
        await ollama.until(lambda: read_ahead(ollama, at.service) >= 3)


async def test_nothing_is_read_ahead_while_a_turn_runs():
    """Whatever is in the cache then is there for that turn."""
    async with FakeOllama(*MODELS) as ollama, serving(ollama) as at:
        async with at.service.turns.queue.enter():
            assert at.service.busy
            async with primed(at.service, again_s=0.0):
                for _ in range(5):
                    await at.text("/readyz")
                assert read_ahead(ollama, at.service) == 0
        assert not at.service.busy


async def test_a_local_server_is_not_kept_busy():
    """It unloads what nobody asks, so nothing is asked that would keep a model in memory for ever."""
    async with FakeOllama(*MODELS) as ollama:
        ensemble = with_members(ensemble_at(ollama.url), lambda member: replace(member, url=None))
        settings = settings_for(ensemble)
        async with engine_for(replace(settings, ollama_host=ollama.url)) as engine:
            assert not engine.models["rewriter"].resident
