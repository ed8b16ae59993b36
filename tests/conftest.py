"""Fixtures that several files of tests share."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from gork.config.ensemble import load_ensemble
from gork.config.settings import load_settings
from gork.engines.choose import cache_of
from gork.engines.weights import cache
from gork.engines.weights.progress import Lines
from tests.support.real_ollama import lone_ollama, ollama_program, qwen_gguf, qwen_ollama, real_ollama

__all__ = ["lone_ollama", "ollama_program", "qwen_gguf", "qwen_ollama", "real_ollama"]  # fixtures: pytest finds them here

# Where it is set, each of the hundreds of programs that the tests start would compile all of the code again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_finish() -> None:
    """Leave what collecting has made to the end of the run: without this each full garbage collection walks thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def starter_gguf() -> Path:
    """The weights of the ensemble tiny, from the user's own cache; fetched as the program fetches them if they are not there."""
    judge = load_ensemble("tiny").judge
    assert judge is not None
    assert judge.weights is not None
    return cache.fetch(judge.weights, cache_of(load_settings({}, os.environ)), Lines(lambda line: print(line, file=sys.stderr)))
