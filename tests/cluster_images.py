"""The six images of the manifest, built and brought into the cluster's runtime by the command in GORK_TEST_IMPORT.

It gets one `docker save` stream on its standard input, as `k3s ctr images import -` takes it. Models that the tests of the images left
(GORK_TEST_KEEP_IMAGES=1 pytest -m containers) are taken as they are; else they are built here, with the starter's weights in the place of
each. The orchestrator is always built from the code as it is.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import gork
from tests.base_images import OLLAMA, PYTHON, UBUNTU, BaseImages
from tests.docker_engine import Builds, docker, has_image, image, skip_without_engine
from tests.model_registry import Registry
from tests.test_containers import DOCKERFILES, INSECURE, MODELS, default_model, package_index, tag


def bring(work: Path, weights: Callable[[], Path]) -> Mapping[str, str]:
    """Build what is not there, import all; returns what was done for each image."""
    skip_without_engine()
    bases, builds, did = BaseImages(work), Builds(), dict[str, str]()
    try:
        bases.bring(PYTHON)
        builds.build(tag("final-script"), DOCKERFILES["final-script"], PIP_INDEX_URL=package_index())
        missing = [name for name in MODELS if not has_image(tag(name))]
        if missing:
            bases.bring(OLLAMA, UBUNTU)
            with Registry() as registry:
                for name in missing:
                    model = registry.add(default_model(name), weights())
                    builds.build(tag(name), DOCKERFILES[name], MODEL=model, PULL_FLAGS=INSECURE)
        for name in DOCKERFILES:
            seconds = builds.seconds.get(tag(name))
            did[name] = "was there" if seconds is None else f"built in {seconds:.0f} s"
        _import(list(DOCKERFILES))
    finally:
        builds.forget()
        bases.forget()
    return did


def _import(names: list[str]) -> None:
    with _released(names) as released:
        with subprocess.Popen(["docker", "save", *released], stdout=subprocess.PIPE) as saving:
            done = subprocess.run(
                os.environ["GORK_TEST_IMPORT"],
                shell=True,  # noqa: S602 - whoever runs the tests names the command
                stdin=saving.stdout,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
        assert saving.returncode == 0
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
