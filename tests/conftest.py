"""Fixtures that several files of tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.real_ollama import lone_ollama, ollama_program, real_ollama

__all__ = ["lone_ollama", "ollama_program", "real_ollama"]  # fixtures: pytest finds them here


@pytest.fixture(scope="session")
def starter_gguf() -> Path:
    """The starter ensemble's weights."""
    given = os.environ.get("GORK_TEST_STARTER_GGUF")
    if not given:
        pytest.skip("GORK_TEST_STARTER_GGUF does not name the starter weights")
    return Path(given)
