"""The six images of the manifest, built and brought into the cluster's runtime by the command in GORK_TEST_IMPORT.

It gets one `docker save` stream on its standard input, as `k3s ctr images import -` takes it. Models are built with the starter's weights
in the place of each; those that are left from an earlier time (GORK_TEST_KEEP_IMAGES) are taken as they are. The orchestrator is always
built from the code as it is.

    GORK_TEST_KEEP_IMAGES=1 python -m tests.support.cluster_images   builds alone, for a cluster whose network lacks the engine's loopback
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import gork
from gork.config.ensemble import load_ensemble
from gork.config.settings import load_settings
from gork.engines.choose import cache_of
from gork.engines.weights import cache
from gork.engines.weights.progress import Lines
from tests.support.base_images import OLLAMA, PYTHON, UBUNTU, BaseImages
from tests.support.docker_engine import Builds, docker, has_image, image, skip_without_engine
from tests.support.model_images import DOCKERFILES, INSECURE, MODELS, default_model, package_index
from tests.support.model_registry import Registry


def tag(name: str) -> str:
    """The name under which these tests build an image: neither the released one nor that of other tests."""
    return f"{name}:{gork.__version__}-cluster"


@contextmanager
def built(work: Path, starter: Callable[[], Path]) -> Iterator[Mapping[str, str]]:
    """The images, there for as long as the block lasts; gives what was done for each."""
    bases, builds, did = BaseImages(work), Builds(), dict[str, str]()
    try:
        bases.bring(PYTHON)
        builds.build(tag("final-script"), DOCKERFILES["final-script"], PIP_INDEX_URL=package_index())
        missing = [name for name in MODELS if not has_image(tag(name))]
        if missing:
            bases.bring(OLLAMA, UBUNTU)
            with Registry() as registry:
                for name in missing:
                    model = registry.add(default_model(name), starter())
                    builds.build(tag(name), DOCKERFILES[name], MODEL=model, PULL_FLAGS=INSECURE)
        for name in DOCKERFILES:
            seconds = builds.seconds.get(tag(name))
            did[name] = "was there" if seconds is None else f"built in {seconds:.0f} s"
        yield did
    finally:
        builds.forget()
        bases.forget()


def bring(work: Path, starter: Callable[[], Path]) -> Mapping[str, str]:
    """Build the images and import them; returns what was done for each."""
    skip_without_engine()
    with built(work, starter) as did:
        _import(list(DOCKERFILES))
        return did


def _import(names: list[str]) -> None:
    command = os.environ["GORK_TEST_IMPORT"]  # of whoever runs the tests, for a shell
    with _released(names) as released, subprocess.Popen(["docker", "save", *released], stdout=subprocess.PIPE) as saving:
        done = subprocess.run(["/bin/sh", "-c", command], stdin=saving.stdout, capture_output=True, text=True, timeout=600, check=False)
        assert saving.wait() == 0
    assert done.returncode == 0, f"GORK_TEST_IMPORT: {done.stdout[-2000:]}{done.stderr[-2000:]}"


@contextmanager
def _released(names: list[str]) -> Iterator[list[str]]:
    """The images under the names that the manifest has; what had these names before has them again afterwards."""
    released = [f"{name}:{gork.__version__}" for name in names]
    before = {name: image(name)["Id"] for name in released if has_image(name)}
    try:
        for name, full in zip(names, released, strict=True):
            docker("tag", tag(name), full)
        yield released
    finally:
        for full in released:
            if full in before:
                docker("tag", before[full], full)
            else:
                docker("image", "rm", full, check=False)


def _starter() -> Path:
    judge = load_ensemble("tiny").judge
    assert judge is not None
    assert judge.weights is not None
    return cache.fetch(judge.weights, cache_of(load_settings({}, os.environ)), Lines(print))


if __name__ == "__main__":
    if not os.environ.get("GORK_TEST_KEEP_IMAGES"):
        sys.exit("without GORK_TEST_KEEP_IMAGES nothing would be left of them")
    with tempfile.TemporaryDirectory() as folder, built(Path(folder), _starter) as made:
        print(made)
