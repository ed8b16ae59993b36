"""The program beside a fake Ollama, for the tests of this folder."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import final_script
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


@pytest.fixture
def run_here(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Awaitable[tuple[int, bytes, str]]]:
    """As `program.run`, in this process: for what ends before anything is started, where a process for each case would take minutes."""

    def exit_code(arguments: list[str]) -> int:
        try:
            return final_script.main(arguments)
        except SystemExit as ended:  # argparse
            return int(ended.code or 0)

    async def run(*arguments: str | bytes, stdin: bytes = b"") -> tuple[int, bytes, str]:
        (program.home / "input").write_bytes(stdin)
        with (program.home / "input").open() as opened, monkeypatch.context() as patched:
            for name in set(os.environ) - set(program.env):
                patched.delenv(name)
            for name, value in program.env.items():
                patched.setenv(name, value)
            patched.chdir(program.home)
            patched.setattr(sys, "stdin", opened)
            code = await asyncio.to_thread(exit_code, [os.fsdecode(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return run
