"""The program beside a fake Ollama, for the tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.fake_ollama import FakeOllama
from tests.support.heavy_lite import heavy_lite
from tests.support.paths import ROOT
from tests.support.program import Program
from tests.support.terminals import Terminal


@pytest.fixture
async def server() -> AsyncIterator[FakeOllama]:
    """A fake local Ollama with the five models, whose judge likes the answer with Paris in it."""
    async with heavy_lite() as fake:
        yield fake


@pytest.fixture
def program(tmp_path: Path, server: FakeOllama) -> Program:
    """The program beside that server."""
    return Program(tmp_path, server.url)


@pytest.fixture
def start(program: Program) -> Callable[..., None]:
    """Starts the program in a terminal with one question."""

    def in_terminal(terminal: Terminal, *arguments: str, term: str | None = "xterm", **env: str) -> None:
        kept = {name: value for name, value in program.env.items() if name not in {"TERM", "CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS"}}
        kept |= env | ({} if term is None else {"TERM": term})
        terminal.start([sys.executable, str(ROOT / "final_script.py"), *arguments], kept, program.home)

    return in_terminal
