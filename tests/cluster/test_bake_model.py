"""deploy/bake_model.sh, run by itself: what the builds of the model images do, without a Docker engine. Needs `ollama`."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import tiny_models
from tests.support.model_registry import LICENCE, Registry
from tests.support.paths import ROOT
from tests.support.real_ollama import RealOllama

SCRIPT = ROOT / "deploy" / "bake_model.sh"

pytestmark = pytest.mark.ollama


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry with one tiny model."""
    weights = tiny_models.write_tiny(tmp_path / "tiny.gguf", "qwen2")
    with Registry() as served:
        served.add("tiny:1b", weights)
        yield served


def bake(models: Path, *words: str, host: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the script into a folder, on a free port, with everything else that it writes in another folder."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = f"127.0.0.1:{probe.getsockname()[1]}"
    temporary = models.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OLLAMA_", "LLAMA_ARG_"))}
    environment = {**kept, "OLLAMA_MODELS": str(models), "BAKE_HOST": host or free, "TMPDIR": str(temporary)}
    done = subprocess.run(
        ["sh", str(SCRIPT), *words], env=environment, capture_output=True, text=True, timeout=60, check=False, umask=0o077
    )
    assert list(temporary.iterdir()) == [], "the server's home, its key included, is gone whatever happened"
    return done


def test_the_model_is_there_with_its_licence_and_nothing_else(ollama_program: str, registry: Registry, tmp_path: Path):
    """Blobs, one manifest, the licence; readable by all; the digest of the manifest is in the log, since a tag can move."""
    models = tmp_path / "models"
    done = bake(models, registry.full_name("tiny:1b"), "--insecure")

    assert done.returncode == 0, done.stderr
    files = [path.relative_to(models).as_posix() for path in models.rglob("*") if path.is_file()]
    assert sorted({name.split("/")[0] for name in files}) == ["LICENCE", "blobs", "manifests"]
    assert [name for name in files if name.startswith("manifests/")] == [f"manifests/127.0.0.1:{registry.port}/library/tiny/1b"]
    assert sorted(name.removeprefix("blobs/").replace("-", ":") for name in files if name.startswith("blobs/")) == sorted(registry.blobs)
    assert (models / "LICENCE").read_text().strip() == LICENCE
    assert all(path.stat().st_mode & stat.S_IROTH for path in models.rglob("*"))
    assert "manifest sha256:" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", ["", "two words", "--help", "a;b", "a\nb", "$(id)"])
def test_what_is_no_name_is_refused_before_anything_starts(name: str, ollama_program: str, tmp_path: Path):
    """One line with MODEL and what is wrong; no folder is made."""
    done = bake(tmp_path / "models", name)

    assert done.returncode == 1
    assert done.stderr.startswith(f"MODEL={name} is ")
    assert not (tmp_path / "models").exists()


def test_no_argument_is_an_empty_model(ollama_program: str, tmp_path: Path):
    """Without a word it says what it needs."""
    assert "is empty: it must name a model" in bake(tmp_path / "models").stderr


def test_a_model_that_the_registry_lacks_is_one_line(ollama_program: str, registry: Registry, tmp_path: Path):
    """The registry's answer, in words, on one line, without a progress bar's control characters."""
    full = registry.full_name("nosuch:1b")
    done = bake(tmp_path / "models", full, "--insecure")

    assert done.returncode == 1
    assert done.stderr == f"MODEL={full} could not be pulled: Error: pull model manifest: file does not exist\n"


def test_a_registry_that_does_not_answer_is_one_line(ollama_program: str, tmp_path: Path):
    """Nobody listens there: the line names the address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    done = bake(tmp_path / "models", f"127.0.0.1:{port}/library/tiny:1b", "--insecure")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "connection refused" in done.stderr


def test_weights_that_are_not_what_the_manifest_says_fail(ollama_program: str, registry: Registry, tmp_path: Path):
    """A blob with another content than its digest: no image."""
    digest = next(each for each, content in registry.blobs.items() if isinstance(content, Path))
    content = registry.blobs[digest]
    assert isinstance(content, Path)
    changed = bytearray(content.read_bytes())
    changed[-1] ^= 1
    registry.blobs[digest] = bytes(changed)
    done = bake(tmp_path / "models", registry.full_name("tiny:1b"), "--insecure")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "digest mismatch" in done.stderr


def test_a_second_model_in_the_folder_fails(ollama_program: str, registry: Registry, tmp_path: Path):
    """An image with two models would leave the orchestrator to guess: it is refused."""
    models = tmp_path / "models"
    registry.add("other:1b", tiny_models.write_tiny(tmp_path / "other.gguf", "qwen2", seed=1))
    assert bake(models, registry.full_name("tiny:1b"), "--insecure").returncode == 0
    done = bake(models, registry.full_name("other:1b"), "--insecure")

    assert done.returncode == 1
    assert "is not the only model" in done.stderr


def test_a_server_that_is_already_there_is_left_alone(ollama_program: str, registry: Registry, tmp_path: Path):
    """With the machine's network a build could reach somebody's own server: it does not pull into that one."""
    home = tmp_path / "home"
    home.mkdir()
    server = RealOllama(ollama_program, home, home / "models")
    try:
        done = bake(tmp_path / "models", registry.full_name("tiny:1b"), "--insecure", host=f"127.0.0.1:{server.port}")
    finally:
        server.stop()

    assert done.returncode == 1
    assert "another server answers at" in done.stderr
    assert registry.pulled == []
