"""The full ensemble at a fake Ollama: the tags of its five models, and what they say when they are asked for the capital of France."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.fake_ollama import FakeOllama

MODELS = ("granite4:350m", "qwen3:0.6b", "qwen2.5-coder:1.5b", "llama3.2:1b", "gemma3:1b")
"""The promptimizer, the candidates and the judge."""
REWRITE = "What is the capital of France?"
ANSWERS = {"qwen3:0.6b": "It is Lyon.", "qwen2.5-coder:1.5b": "It is Paris.", "llama3.2:1b": "It might be Nice."}


def about_the_capital_of_france(fake: FakeOllama) -> None:
    """Have the models say what they say of the capital of France."""
    fake.say(MODELS[0], REWRITE)
    for model, text in ANSWERS.items():
        fake.say(model, text)
    fake.say(MODELS[-1], "It is right.")


@asynccontextmanager
async def heavy_lite() -> AsyncIterator[FakeOllama]:
    """A fake Ollama with the five models, which are asked about the capital of France."""
    async with FakeOllama(*MODELS) as fake:
        about_the_capital_of_france(fake)
        yield fake
