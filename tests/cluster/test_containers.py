"""The six images, built from the Dockerfiles and run as the manifest says. Needs a Docker engine: pytest -m containers.

The models are pulled for real by the builds, from a registry that the tests serve: the starter's weights under the five models' names.
Where the base images cannot be pulled, stand-ins are made (tests/support/base_images.py says of what).
"""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import gork
from tests.support import tiny_models
from tests.support.base_images import OLLAMA, PYTHON, UBUNTU, BaseImages
from tests.support.docker_engine import Builds, Container, DockerFailed, docker, has_image, image, layer_files, skip_without_engine
from tests.support.model_images import DOCKERFILES, INSECURE, MODELS, default_model, package_index
from tests.support.model_registry import LICENCE, Registry
from tests.support.paths import ROOT
from tests.support.pods import pods

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1200)]

RELEASE = f"{gork.__version__}-test"


def tag(name: str) -> str:
    """The name under which the tests build an image: not the one that somebody may have in use."""
    return f"{name}:{RELEASE}"


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseImages]:
    """The images that the Dockerfiles start from."""
    skip_without_engine()
    brought = BaseImages(tmp_path_factory.mktemp("bases"))
    try:
        yield brought
    finally:
        brought.forget()
        print("\nbase images: ", brought.origins)


@pytest.fixture(scope="module")
def builds(bases: BaseImages) -> Iterator[Builds]:
    """What is built here, removed at the end."""
    made = Builds()
    try:
        yield made
    finally:
        for name, seconds in made.seconds.items():
            if has_image(name):
                print(f"{name}: {image(name)['Size'] / 1e6:.0f} MB, built in {seconds:.0f} s")
        made.forget()


@pytest.fixture(scope="module")
def registry(starter_gguf: Path) -> Iterator[Registry]:
    """A registry that has the starter's weights under the names of the five models."""
    with Registry() as served:
        for name in MODELS:
            served.add(default_model(name), starter_gguf)
        yield served


@pytest.fixture(scope="module")
def orchestrator(builds: Builds, bases: BaseImages) -> str:
    """The image final-script."""
    bases.bring(PYTHON)
    builds.build(tag("final-script"), DOCKERFILES["final-script"], PIP_INDEX_URL=package_index())
    return tag("final-script")


@pytest.fixture(scope="module")
def model_image(builds: Builds, bases: BaseImages, registry: Registry) -> Callable[[str], str]:
    """Builds the image of a member, once."""
    bases.bring(OLLAMA, UBUNTU)

    def built(name: str) -> str:
        if tag(name) not in builds.seconds:
            model = registry.full_name(default_model(name))
            builds.build(tag(name), DOCKERFILES[name], MODEL=model, PULL_FLAGS=INSECURE)
        return tag(name)

    return built


@pytest.fixture
def network() -> Iterator[str]:
    """A network without a way out, on which containers find each other by name."""
    name = f"gork-test-{uuid.uuid4().hex[:8]}"
    docker("network", "create", "--internal", name)
    try:
        yield name
    finally:
        docker("network", "rm", name, check=False)


def started(name: str, built: str, network: str, folder: Path, *more: str) -> Container:
    """The container of a pod, as the manifest has it, found by its Service's name."""
    flags = pods()[name].flags(folder)
    return Container.run("--network", network, "--network-alias", name, *flags, *more, built)


UP = ("/bin/ollama", "list")


# --- images


@pytest.mark.parametrize("name", MODELS)
def test_an_image_has_exactly_its_model_and_its_licences(name: str, model_image: Callable[[str], str], registry: Registry):
    """The build pulled the model; it is the only one there, listed under $MODEL, readable by anyone, with the publisher's licence text."""
    built = model_image(name)
    model = registry.full_name(default_model(name))

    assert default_model(name) in registry.pulled
    with Container.run("--network", "none", built) as container:
        container.until(container.answers(*UP))
        listed = container.exec(*UP).stdout.splitlines()[1:]
        assert [line.split()[0] for line in listed] == [model]
        assert container.exec("/bin/sh", "-c", 'echo "$MODEL"').stdout.strip() == model
        assert container.exec("/bin/sh", "-c", "find /models ! -perm -o+r -o -type d ! -perm -o+x").stdout == ""
        assert container.exec("cat", "/models/LICENCE").stdout.strip() == LICENCE
        assert container.exec("cat", "/licences/NOTICE").stdout == (ROOT / "licences" / "NOTICE").read_text()


@pytest.mark.parametrize("name", MODELS)
def test_no_layer_has_a_key_or_gpu_libraries(name: str, model_image: Callable[[str], str], tmp_path: Path):
    """Nothing that the build's server wrote for itself is in any layer, not even below a deletion; nor what is for GPUs."""
    names = [member.name for _, member in layer_files(model_image(name), tmp_path)]

    assert any(re.search(r"(^|/)models/blobs/sha256-[0-9a-f]{64}$", each) for each in names)  # so layers are really looked into
    assert any(each.endswith("usr/lib/ollama/llama-server") for each in names)
    assert [each for each in names if re.search(r"id_ed25519|/\.ollama|bake_model|serve\.log|-partial", each)] == []
    assert [each for each in names if re.search(r"usr/lib/ollama/(cuda|rocm|vulkan|mlx|include)", each)] == []


def test_five_images_share_all_layers_but_the_models(model_image: Callable[[str], str]):
    """Only the last layer of each is its own, so that saved together they are hardly more than their models."""
    layers = [image(model_image(name))["RootFS"]["Layers"] for name in MODELS]

    assert len({tuple(each[:-1]) for each in layers}) == 1


def test_the_model_argument_decides_what_is_inside(builds: Builds, bases: BaseImages, registry: Registry, tmp_path: Path):
    """Another MODEL, nothing else changed, is another model in the image, and the probe loads that one."""
    bases.bring(OLLAMA, UBUNTU)
    weights = tmp_path / "tiny.gguf"
    tiny_models.write_tiny(weights, "qwen2")
    other = registry.add("other:tiny", weights, system="Another one.")
    builds.build(tag("swapped"), DOCKERFILES["judge"], MODEL=other, PULL_FLAGS=INSECURE)

    with Container.run("--network", "none", tag("swapped")) as container:
        container.until(container.answers(*UP))
        assert [line.split()[0] for line in container.exec(*UP).stdout.splitlines()[1:]] == [other]
        assert "Another one." in container.exec("/bin/ollama", "show", other).stdout
        container.exec("/bin/sh", "-c", 'exec /bin/ollama run "$MODEL" ""')
        assert other in container.exec("/bin/ollama", "ps").stdout


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nosuch:1b", "could not be pulled: Error: pull model manifest: file does not exist"),
        ("", "is empty"),
        ("two words", "is no model's name"),
    ],
)
def test_a_wrong_model_fails_the_build_with_one_line(model: str, said: str, builds: Builds, bases: BaseImages, registry: Registry):
    """The build ends with an error, one line says which MODEL and why, and no image is left."""
    bases.bring(OLLAMA, UBUNTU)
    full = registry.full_name(model) if ":" in model else model
    with pytest.raises(DockerFailed) as failed:
        builds.build(tag("wrong"), DOCKERFILES["judge"], MODEL=full, PULL_FLAGS=INSECURE)

    lines = {line[line.index("MODEL=") :] for line in str(failed.value).splitlines() if f"MODEL={full} " in line}
    assert len(lines) == 1, failed.value
    assert f"MODEL={full} {said}" in lines.pop()
    assert not has_image(tag("wrong"))


def test_the_orchestrator_has_no_engine_and_no_address_of_an_index(orchestrator: str):
    """It starts, says its version, has neither engine nor hub client in it, and does not tell where its packages came from."""
    version = docker("run", "--rm", "--network", "none", "--read-only", orchestrator, "python", "final_script.py", "--version")
    packages = docker("run", "--rm", "--network", "none", orchestrator, "python", "-m", "pip", "list", "--format=freeze").stdout

    assert version.stdout.strip() == gork.__version__
    assert "aiohttp==" in packages
    assert not re.search(r"^(xllamacpp|huggingface|gguf|pytest)", packages, re.MULTILINE | re.IGNORECASE)
    assert package_index() not in docker("history", "--no-trunc", orchestrator).stdout


def test_the_orchestrator_is_compiled(orchestrator: str):
    """Its root cannot be written, so every module of it is there compiled: an exec'd prompt does not compile it anew."""
    counts = (
        "import pathlib; all = list(pathlib.Path('gork').rglob('*.py')); print(len(all), len(list(pathlib.Path('gork').rglob('*.pyc'))))"
    )
    sources, compiled = docker("run", "--rm", "--network", "none", orchestrator, "python", "-c", counts).stdout.split()

    assert int(sources) == int(compiled) > 40


def test_files_that_only_their_owner_may_read_are_readable_inside(builds: Builds, orchestrator: str, tmp_path: Path):
    """A checkout under umask 077 builds an image that its user can run."""
    context = tmp_path / "context"
    shutil.copytree(ROOT / "gork", context / "gork", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("final_script.py", "LICENSE", "requirements-core.txt", ".dockerignore", DOCKERFILES["final-script"]):
        shutil.copy2(ROOT / name, context / name)
    for path in context.rglob("*"):
        if path.name != "requirements-core.txt":  # so that the installed packages come from the builder's cache
            path.chmod(0o700 if path.is_dir() else 0o600)
    builds.build(tag("private"), DOCKERFILES["final-script"], context=context, PIP_INDEX_URL=package_index())

    ran = docker("run", "--rm", "--network", "none", tag("private"), "python", "final_script.py", "--show-config")
    assert "drain_timeout" in ran.stdout


# --- as the manifest runs them


@pytest.mark.parametrize("name", MODELS)
def test_a_model_answers_under_the_manifests_limits(name: str, model_image: Callable[[str], str], network: str, tmp_path: Path):
    """With the user, root, capabilities and limits of its pod it starts, loads by its probe, answers, writes nothing but its key, stays
    below its memory limit, and ends at SIGTERM.
    """
    with started(name, model_image(name), network, tmp_path, "--health-interval", "1s") as container:
        container.until(container.answers(*UP))
        assert container.exec("/bin/ollama", "ps").stdout.splitlines()[1:] == []
        container.exec(*pods()[name].startup_command)
        assert len(container.exec("/bin/ollama", "ps").stdout.splitlines()) == 2
        said = container.exec("/bin/sh", "-c", 'exec /bin/ollama run "$MODEL" "Say hello."').stdout
        assert re.search(r"[A-Za-z]{3}", said), said
        container.until(lambda: container.state["Health"]["Status"] == "healthy")
        changed = docker("diff", container.id).stdout.split()[1::2]
        assert [path for path in changed if path not in {"/home", "/home/ollama", "/tmp"}] == []  # noqa: S108 - the container's own
        status = container.exec("cat", "/proc/1/status").stdout
        assert re.search(r"^Uid:\s+65532\s", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        print(f"{name}: peak {container.memory_peak_mib():.0f} MiB")
        code, seconds = container.stop()
        assert code == 0
        assert seconds < 10


def test_the_startup_probe_fails_for_a_model_that_is_not_there(model_image: Callable[[str], str], network: str, tmp_path: Path):
    """The probe's command does something: with another name in MODEL it ends with an error."""
    with started("judge", model_image("judge"), network, tmp_path, "--env", "MODEL=nosuch:1b") as container:
        container.until(container.answers(*UP))

        failed = container.exec(*pods()["judge"].startup_command, check=False)

        assert failed.returncode != 0


def test_a_model_without_a_writable_home_says_so(model_image: Callable[[str], str]):
    """Where the pod's emptyDir is forgotten the server ends, and its log names the folder."""
    with Container.run("--network", "none", "--read-only", model_image("judge")) as container:
        code = int(docker("wait", container.id).stdout)

        assert code != 0
        assert "/home/ollama" in container.logs


def test_six_containers_answer_a_question(
    orchestrator: str, model_image: Callable[[str], str], network: str, tmp_path: Path, record_property: Callable[[str, object], None]
):
    """The manifest's containers with the manifest's ConfigMap, on one network: `wait` ends when the models are up, the service becomes
    healthy, and a question exec'd into it is answered by all of them; SIGTERM ends it well.
    """
    for name in MODELS:
        model_image(name)
    with ExitStack() as stack:
        models = {name: stack.enter_context(started(name, model_image(name), network, tmp_path)) for name in MODELS}
        waiting = pods()["wait"]
        waited = docker(
            *("run", "--rm", "--network", network, *waiting.flags(tmp_path), orchestrator, *waiting.container["command"]), timeout=300
        )
        print(waited.stdout)
        assert "all 5 models are ready" in waited.stdout
        for name, container in models.items():
            container.exec(*pods()[name].startup_command)
        service = stack.enter_context(started("final-script", orchestrator, network, tmp_path, "--health-interval", "1s"))
        service.until(lambda: service.state["Health"]["Status"] == "healthy")
        began = time.monotonic()
        asked = docker(
            "exec", service.id, "python", "final_script.py", "--json", "--seed", "1", "What is the capital of France?", timeout=300
        )
        record_property("seconds", time.monotonic() - began)
        turn = json.loads(asked.stdout.splitlines()[-1])

        assert {answer["member"] for answer in turn["answers"]} == {"qwen-small", "qwen", "llama"}, asked.stdout
        assert turn["answer"]
        assert turn["failures"] == []
        print({"timings": turn["timings"], "verdict": turn["verdict"]})
        for name, container in {**models, "final-script": service}.items():
            print(f"{name}: peak {container.memory_peak_mib():.0f} MiB")
        code, seconds = service.stop()
        assert code == 0, service.logs
        assert seconds < 40


def test_wait_ends_at_sigterm_as_the_first_process(orchestrator: str, network: str, tmp_path: Path):
    """An init container that is told to end does, though a first process gets no default handlers."""
    waiting = pods()["wait"]
    command = waiting.container["command"]
    with Container.run("--network", network, *waiting.flags(tmp_path), orchestrator, *command) as container:
        container.until(lambda: "waiting at most" in container.logs)
        code, _ = container.stop()  # a lookup of a name that is under way may last some seconds

    assert code == 143


def test_a_wrong_ensemble_file_is_named_with_its_line(orchestrator: str, tmp_path: Path):
    """A ConfigMap with a mistake makes the container end, and its log says where the mistake is."""
    broken = tmp_path / "ensemble.yaml"
    broken.write_text("name: x\ncandidates:\n  - {name: a, modle: b}\n")
    broken.chmod(0o644)
    mounted = ("--volume", f"{broken}:/etc/gork/ensemble.yaml:ro", "--env", "GORK_ENSEMBLE=/etc/gork/ensemble.yaml")
    ran = docker("run", "--rm", "--network", "none", "--read-only", *mounted, orchestrator, check=False)

    assert ran.returncode != 0
    assert re.search(r"ensemble\.yaml.*3", ran.stdout), ran.stdout
