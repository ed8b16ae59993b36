"""A service of this program where an Ollama should be: it is named for what it is, and never asked to ask itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gork.config.settings import load_settings
from gork.engines.choose import choose
from gork.errors import EngineError
from tests.support.scripted_service import scripted_service
from tests.support.service_setup import engine_for, ensemble_at, settings_for


async def test_an_ollama_host_that_is_a_service_of_ours_is_named_for_what_it_is():
    """With the way to ask it, and never with models to pull there."""
    async with scripted_service() as server:
        with pytest.raises(EngineError, match=f"is a Gork Heavy-Lite service, not an Ollama: ask it with --server {server.url}"):
            await choose(load_settings({}, {"OLLAMA_HOST": server.url}))


async def test_a_member_at_a_service_of_ours_fails_at_once():
    """In its health and when it is asked; nothing is sent on."""
    async with scripted_service() as server:
        settings = replace(settings_for(ensemble_at(server.url)))
        async with engine_for(settings) as engine:
            model = engine.models["a"]
            health = await model.check()
            with pytest.raises(Exception, match="it is a Gork Heavy-Lite service, not an Ollama; ask it with --server"):
                await model.chat([{"role": "user", "content": "hi"}], options={}, on_event=lambda _: None)

        assert "ask it with --server" in health.detail
        assert not any(model.asked for model in server.models.values())
