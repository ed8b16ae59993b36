"""The full ensemble at a fake Ollama: the tags of its five models, and what they say when they are asked for the capital of France."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.fake_ollama import FakeOllama
from tests.support.judges import letter_above

MODELS = ("granite4:350m", "qwen3:0.6b", "qwen2.5-coder:1.5b", "llama3.2:1b", "gemma3:1b")
"""The promptimizer, the candidates and the judge."""
REWRITE = "What is the capital of France?"
ANSWERS = {"qwen3:0.6b": "It is Lyon.", "qwen2.5-coder:1.5b": "It is Paris.", "llama3.2:1b": "It might be Nice."}


def likes_paris(prompt: str) -> dict[str, float]:
    """Log-probabilities of the letters: better for that of the answer with Paris in it."""
    liked = letter_above("Paris", prompt)
    return {f" {letter}": -1.0 - (letter != liked) for letter in "ABC"}


def about_the_capital_of_france(fake: FakeOllama) -> None:
    """Have the models say what they say of the capital of France, and the judge like the answer with Paris in it."""
    fake.say(MODELS[0], REWRITE)
    for model, text in ANSWERS.items():
        fake.say(model, text)
    fake.say(MODELS[-1], "It is right.")
    fake.lean(MODELS[-1], likes_paris)


@asynccontextmanager
async def heavy_lite() -> AsyncIterator[FakeOllama]:
    """A fake Ollama with the five models, which are asked about the capital of France."""
    async with FakeOllama(*MODELS) as fake:
        about_the_capital_of_france(fake)
        yield fake
