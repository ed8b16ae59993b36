"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def starter_gguf() -> Path:
    """The starter model's weights, where the environment says they are."""
    given = os.environ.get("GORK_TEST_STARTER_GGUF")
    if not given:
        pytest.skip("GORK_TEST_STARTER_GGUF does not name the starter's weights")
    return Path(given)
