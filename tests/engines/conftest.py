"""What the tests of engines at servers share."""

from __future__ import annotations

import pytest

from tests.support.server_setup import OLLAMA, OPENAI


@pytest.fixture(params=[OLLAMA, OPENAI], ids=lambda kind: kind.name)
def kind(request):
    """The kind of server."""
    return request.param
