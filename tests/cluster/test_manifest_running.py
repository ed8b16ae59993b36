"""What the manifest tells its containers to do, done without a cluster: its commands, variables and probes on real processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.cluster.manifest_objects import MANIFEST, MODELS, Manifest, documents, environment
from tests.support.fake_ollama import FakeOllama
from tests.support.paths import ROOT
from tests.support.real_ollama import RealOllama


def manifest() -> Manifest:
    """The manifest's objects."""
    return Manifest(documents(MANIFEST.read_text()))


class Pod:
    """The orchestrator's pod with its commands as processes; the models' Services are scripted servers of this machine."""

    def __init__(self, folder: Path, models: Mapping[str, FakeOllama]) -> None:
        self.spec = manifest().orchestrator
        (folder / "ensemble.yaml").write_text(manifest().ensemble)
        self.folder = folder
        self.urls = {f"GORK_{name.upper().replace('-', '_')}_URL": server.url for name, server in models.items()}

    def variables(self, container: Mapping[str, object], **more: str) -> dict[str, str]:
        """What the container gets, with the places of this machine; `more` comes last."""
        given = environment(dict(container))
        places = {"HOME": str(self.folder), "GORK_ENSEMBLE": str(self.folder / Path(given["GORK_ENSEMBLE"]).name)}
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        return {**kept, **given, **places, **self.urls, **more}

    async def start(self, *command: str, **variables: str) -> asyncio.subprocess.Process:
        """Start a command of the pod."""
        program = [sys.executable if command[0] == "python" else command[0], *command[1:]]
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *program, cwd=ROOT, env=variables, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )


@pytest.fixture
async def pod(tmp_path) -> AsyncIterator[Pod]:
    """The pod beside five servers, each with one model of a name that nothing here knows."""
    async with AsyncExitStack() as stack:
        servers = {}
        for name in MODELS:
            model = f"swapped-{name}:7b"
            servers[name] = await stack.enter_async_context(FakeOllama(model))
            servers[name].say(model, f"An answer of {name}.")
        yield Pod(tmp_path, servers)


async def test_the_init_container_is_content_when_all_five_models_are_there(pod):
    """Its command, with its variables, ends with 0 and tells of each model; no model's name is known beforehand."""
    (wait,) = pod.spec.pod["initContainers"]

    process = await pod.start(*wait["command"], **pod.variables(wait))
    _, told = await process.communicate()

    assert process.returncode == 0, told
    assert b"all 5 models are ready" in told
    assert all(f"{name}: ready".encode() in told for name in MODELS)


async def test_the_probes_are_answered_and_an_execd_prompt_runs_its_turn_on_the_service(pod):
    """The pod's service answers every probe of the manifest with 200; a question asked beside it, as `kubectl exec` does, is its turn."""
    main = pod.spec.main
    service = await pod.start("python", "final_script.py", "serve", **pod.variables(main, GORK_PORT="0"))
    log = b""
    async with asyncio.timeout(60):
        while b"serving at " not in log:
            log += (line := await service.stderr.readline())
            assert line, log
    url = log.partition(b"serving at ")[2].split()[0].decode()
    async with aiohttp.ClientSession(url) as client:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            async with client.get(main[probe]["httpGet"]["path"]) as reply:
                assert reply.status == 200, (probe, await reply.text())

    execd = await pod.start("python", "final_script.py", "Which of you answers?", **pod.variables(main, GORK_SERVER=url))
    answer, told = await execd.communicate()
    service.terminate()
    _, rest = await service.communicate()

    assert execd.returncode == 0, told
    assert answer.startswith(b"An answer of ")
    assert service.returncode == 0
    assert rest.count(b" turn begins ") == rest.count(b" turn answered ") == 1


Probe = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def probe(lone_ollama: RealOllama) -> Probe:
    """Runs the startup probe of the models, as kubelet does, against a real server with one model."""
    command = manifest().models[0].main["startupProbe"]["exec"]["command"]
    here = [part.replace("/bin/ollama", lone_ollama.program) for part in command]
    environ = {**lone_ollama.environment, "OLLAMA_HOST": f"0.0.0.0:{lone_ollama.port}"}

    def run(model: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            here, env={**environ, "MODEL": model}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False
        )

    return run


@pytest.mark.ollama
def test_the_startup_probe_loads_the_model(probe, lone_ollama):
    """After it succeeded the model runs, without a question asked; before, nothing did."""
    assert lone_ollama.runners() == {}

    ran = probe("smollm2:135m")

    assert ran.returncode == 0, ran.stderr
    assert len(lone_ollama.runners()) == 1


@pytest.mark.ollama
@pytest.mark.parametrize("model", ["absent:1b", ""])
def test_the_startup_probe_fails_where_there_is_no_such_model(probe, lone_ollama, model):
    """A model that is not in the image never counts as started."""
    ran = probe(model)

    assert ran.returncode != 0
    assert lone_ollama.runners() == {}
