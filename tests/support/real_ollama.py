"""A real Ollama for the tests marked `ollama`: a server of its own on a free port, in a temporary home, with the starter's weights.

The weights are there under six names: `smollm2:135m` and those of the five models, so that the ensemble of five runs on it. Ollama runs
one process for each weights file, whatever its names; so each name gets a copy that differs in one word of its metadata.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.paths import ROOT

STARTER = "smollm2:135m"
QWEN = "qwen2.5-coder:1.5b"
FIVE = ("granite4:350m", "qwen3:0.6b", QWEN, "llama3.2:1b", "gemma3:1b")
_NAME_KEY = b"general.name"


class RealOllama:
    """A running `ollama serve`."""

    def __init__(self, program: str, home: Path, models: Path) -> None:
        self.log = home / "serve.log"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("OLLAMA_", "LLAMA_ARG_"))},
            "HOME": str(home),
            "OLLAMA_MODELS": str(models),
            "OLLAMA_HOST": self.url,
            "OLLAMA_NO_CLOUD": "1",
            "OLLAMA_NOPRUNE": "1",
            "OLLAMA_MAX_LOADED_MODELS": "6",
            "OLLAMA_CONTEXT_LENGTH": "2048",
            "OLLAMA_KEEP_ALIVE": "10m",
        }
        self.program = program
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([program, "serve"], env=self.environment, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._is_up, 20.0)

    def _is_up(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5.0).close()
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return False
        return True  # it listens when it can answer

    def create(self, tag: str, weights: Path, folder: Path | None = None) -> None:
        """Make a model of a weights file; what says so is written beside it, or into `folder`."""
        modelfile = (folder or weights.parent) / f"{weights.stem}.Modelfile"
        modelfile.write_text(f"FROM {weights}\n")
        made = subprocess.run(
            [self.program, "create", tag, "-f", str(modelfile)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert made.returncode == 0, made.stderr

    def runners(self) -> Mapping[int, float]:
        """The processes that run models, each with the seconds of CPU that it has used."""
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:  # gone in the meantime
                continue
            if int(fields[1]) == self.process.pid:
                found[int(stat.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def stop(self) -> None:
        """End the server and its runners at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10.0)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Poll a condition until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def ollama_program() -> str:
    """The `ollama` program."""
    program = shutil.which("ollama")
    if program is None:
        pytest.skip("no `ollama` on PATH")
    return program


@pytest.fixture(scope="session")
def real_ollama(ollama_program: str, starter_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOllama]:
    """A server that has the starter's weights under six names."""
    home = tmp_path_factory.mktemp("ollama")
    server = RealOllama(ollama_program, home, home / "models")
    try:
        _create_stand_ins(server, starter_gguf, home, (STARTER, *FIVE))
        yield server
    finally:
        server.stop()


def _create_stand_ins(server: RealOllama, starter: Path, home: Path, tags: Sequence[str]) -> None:
    """Make models of these names that have the starter's weights, each in a file of its own."""
    content = bytearray(starter.read_bytes())
    letter = content.index(_NAME_KEY) + len(_NAME_KEY) + 4 + 8  # behind the value's type and length stands the name
    for index, tag in enumerate(tags):
        weights = home / f"weights-{index}.gguf"
        content[letter] = ord("A") + index
        weights.write_bytes(content)
        server.create(tag, weights)
        weights.unlink()


@pytest.fixture(scope="session")
def qwen_gguf() -> Path:
    """The weights of heavy-lite's member qwen, where `weights path` says that they are; they are not fetched for a test."""
    said = subprocess.run(
        [sys.executable, str(ROOT / "final_script.py"), "weights", "path", "qwen2.5-coder-1.5b-instruct-q4_k_m"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if said.returncode != 0:
        pytest.skip("the weights of qwen are not in the cache: python final_script.py pull --engine embedded --ensemble pocket")
    return Path(said.stdout.strip())


@pytest.fixture(scope="session")
def qwen_ollama(ollama_program: str, starter_gguf: Path, qwen_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOllama]:
    """A server that has the real qwen, and the starter's weights under the names of the other four."""
    home = tmp_path_factory.mktemp("ollama-qwen")
    server = RealOllama(ollama_program, home, home / "models")
    try:
        server.create(QWEN, qwen_gguf, home)
        _create_stand_ins(server, starter_gguf, home, [tag for tag in FIVE if tag != QWEN])
        yield server
    finally:
        server.stop()


@pytest.fixture
def lone_ollama(ollama_program: str, real_ollama: RealOllama, tmp_path: Path) -> Iterator[RealOllama]:
    """A second server, which has the starter model only and may be killed."""
    shelf = Path(real_ollama.environment["OLLAMA_MODELS"])
    manifest = Path("manifests/registry.ollama.ai/library", *STARTER.split(":"))
    (tmp_path / "models" / manifest).parent.mkdir(parents=True)
    shutil.copy(shelf / manifest, tmp_path / "models" / manifest)
    (tmp_path / "models" / "blobs").symlink_to(shelf / "blobs")
    server = RealOllama(ollama_program, tmp_path, tmp_path / "models")
    try:
        yield server
    finally:
        server.stop()
