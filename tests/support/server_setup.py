"""What the tests of engines at servers have in common: a fake of each kind, an engine on it, and what its protocol calls things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gork.config.ensemble import Member
from gork.engines.call import Deadlines
from gork.engines.http import STANDARD_LIMITS, HttpLimits
from gork.engines.model import Engine
from gork.engines.openai.engine import OpenAIEngine
from tests.support import ollama_setup
from tests.support.fake_ollama import FakeOllama
from tests.support.fake_openai import FakeOpenAI
from tests.support.fake_server import FakeServer

MODEL = ollama_setup.MODEL


@dataclass(frozen=True)
class Kind:
    """One kind of server, and the engine for it."""

    name: str
    fake: Callable[[], FakeServer]
    member: Callable[[FakeServer], Member]
    lists: tuple[str, ...]
    """Paths of what is asked besides chats."""
    chunk: str
    """A chunk of a stream with %s in the place of its text, as JSON."""

    def where(self, server: FakeServer) -> str:
        """How messages name the server."""
        return server.base if isinstance(server, FakeOpenAI) else server.url

    def engine(
        self, server: FakeServer, *members: Member, deadlines: Deadlines = ollama_setup.SOON, limits: HttpLimits = STANDARD_LIMITS
    ) -> Engine:
        """An engine on these members, or on the one called qwen."""
        given = members or (self.member(server),)
        if self.name == "ollama":
            return ollama_setup.engine(*given, host=server.url, deadlines=deadlines, limits=limits)
        return OpenAIEngine(given, deadlines=deadlines, context=2048, environ={}, limits=limits)

    def framed(self, *records: bytes) -> bytes:
        """Records as a stream has them."""
        return b"".join(b"data: " + one + b"\n\n" for one in records) if self.name == "openai" else b"\n".join(records)


def _loaded_ollama() -> FakeOllama:
    fake = FakeOllama(MODEL)
    fake.loaded[MODEL] = 2048
    return fake


OLLAMA = Kind(
    name="ollama",
    fake=_loaded_ollama,
    member=lambda server: Member(name="qwen", model=MODEL),
    lists=("/api/tags", "/api/ps", "/api/version"),
    chunk='{"message": {"content": %s}, "done": false}',
)
OPENAI = Kind(
    name="openai",
    fake=lambda: FakeOpenAI(MODEL),
    member=lambda server: Member(name="qwen", api="openai", url=f"{server.url}/v1", model=MODEL),
    lists=("/v1/models", "/version"),
    chunk='{"choices": [{"index": 0, "delta": {"content": %s}}]}',
)


def settled(engine: Engine) -> Any:
    """The one model, taken for loaded: what is tested is the request after that."""
    model = engine.models["qwen"]
    model._fresh_until = float("inf")
    return model
