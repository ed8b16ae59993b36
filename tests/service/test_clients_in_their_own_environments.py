"""Real clients of the newest versions, each in an environment of its own, against the service: what they list, ask, stream and parse.

Slow, since each is installed from its registry first; where no registry can be reached, or `node` is missing, that client is skipped. Run
with `-m slow`. GORK_CLIENTS keeps the environments for the next time.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.obedience import obedient
from tests.support.scripted_service import scripted_service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PROGRAMS = Path(__file__).parent / "clients"
PYTHON = {
    "ollama": ["ollama"],
    "openai": ["openai", "pydantic"],
    "langchain_ollama": ["langchain-ollama", "pydantic"],
    "litellm": ["litellm"],
}
NPM = {"ollama": ["ollama", "zod"], "openai": ["openai", "zod"], "ai": ["ai", "@ai-sdk/openai-compatible", "@ai-sdk/openai", "zod"]}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The service over models that keep to the form that they are given, in a thread."""
    up, stop = threading.Event(), asyncio.Event()
    found: list[object] = []

    async def serve() -> None:
        async with scripted_service(turns=8) as server:
            obedient(server)
            found.extend([asyncio.get_running_loop(), server.url])
            up.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    assert up.wait(20)
    loop, where = found
    yield str(where)
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)


@pytest.fixture(scope="module")
def environments(tmp_path_factory) -> Path:
    """Where the clients' environments are."""
    kept = os.environ.get("GORK_CLIENTS")
    return Path(kept) if kept else tmp_path_factory.mktemp("clients")


def run(*command: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    told = {**os.environ, "OPENAI_API_KEY": "none", **(env or {})}
    return subprocess.run([str(part) for part in command], env=told, cwd=cwd, capture_output=True, text=True, timeout=500, check=False)


def installed(done: subprocess.CompletedProcess[str]) -> None:
    """Skip where a registry cannot be reached."""
    if done.returncode:
        pytest.skip(f"cannot be installed here: {done.stderr[-300:]}")


@pytest.mark.parametrize("client", PYTHON)
def test_a_client_from_pypi(client, url, environments):
    """Its program exits with 0: everything that it asked for came as it should."""
    folder = environments / client
    if not folder.is_dir():
        installed(run(sys.executable, "-m", "venv", folder))
        installed(run(folder / "bin" / "pip", "install", "-q", *PYTHON[client]))
    done = run(folder / "bin" / "python", PROGRAMS / f"with_{client}.py", url)

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("node") is None or shutil.which("npm") is None, reason="node is not here")
@pytest.mark.parametrize("client", NPM)
def test_a_client_from_npm(client, url, environments):
    """The same, with zod's schemas."""
    folder = environments / f"npm-{client}"
    if not (folder / "node_modules").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        installed(run("npm", "install", "--silent", *NPM[client], cwd=folder))
    shutil.copy(PROGRAMS / f"with_{client}.mjs", folder / "program.mjs")  # modules are looked for beside the program
    done = run("node", "program.mjs", url, cwd=folder)

    assert 0 == done.returncode, done.stdout + done.stderr
