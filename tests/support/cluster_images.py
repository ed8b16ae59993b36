"""The six images of the manifest, built and brought into the cluster's runtime by the command in GORK_TEST_IMPORT.

It gets one `docker save` stream on its standard input, as `k3s ctr images import -` takes it. Models are built with the weights of `tiny`
in the place of each; those that are left from an earlier time (GORK_TEST_KEEP_IMAGES) are taken as they are. The orchestrator is always
built from the code as it is.

    GORK_TEST_KEEP_IMAGES=1 python -m tests.support.cluster_images   builds alone, for a cluster whose network lacks the engine's loopback
    GORK_TEST_KEEP_IMAGES=1 python -m tests.support.cluster_images --real   with weights of about the sizes of the five models (3.3 GB)
    ... --import                                                            and imports them, for python -m tests.cluster.restarts
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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

OF_ITS_SIZE: Final = {"promptimizer": "tiny", "qwen-small": "starter", "qwen": "pocket", "llama": "pocket", "judge": "starter"}
"""By model the shipped ensemble whose weights have about its size: 98 MB to 1.1 GB."""


def tag(name: str, kind: str = "cluster") -> str:
    """The name under which these tests build an image: neither the released one nor that of other tests."""
    return f"{name}:{gork.__version__}-{kind}"


@contextmanager
def built(work: Path, weights: Callable[[str], Path], kind: str = "cluster") -> Iterator[Mapping[str, str]]:
    """The images, there for as long as the block lasts; `weights` gives a model's file. Gives what was done for each."""
    bases, builds, did = BaseImages(work), Builds(), dict[str, str]()
    try:
        bases.bring(PYTHON)
        builds.build(tag("final-script", kind), DOCKERFILES["final-script"], PIP_INDEX_URL=package_index())
        missing = [name for name in MODELS if not has_image(tag(name, kind))]
        if missing:
            bases.bring(OLLAMA, UBUNTU)
            with Registry() as registry:
                for name in missing:
                    model = registry.add(default_model(name), weights(name))
                    builds.build(tag(name, kind), DOCKERFILES[name], MODEL=model, PULL_FLAGS=INSECURE)
        for name in DOCKERFILES:
            seconds = builds.seconds.get(tag(name, kind))
            did[name] = "was there" if seconds is None else f"built in {seconds:.0f} s"
        yield did
    finally:
        builds.forget()
        bases.forget()


def bring(work: Path, starter: Callable[[], Path]) -> Mapping[str, str]:
    """Build the images and import them; returns what was done for each."""
    skip_without_engine()
    with built(work, lambda _: starter()) as did:
        import_all()
        return did


def import_all(kind: str = "cluster") -> None:
    """Bring all six into the cluster's runtime."""
    names = list(DOCKERFILES)
    command = os.environ["GORK_TEST_IMPORT"]  # of whoever runs the tests, for a shell
    with _released(names, kind) as released, subprocess.Popen(["docker", "save", *released], stdout=subprocess.PIPE) as saving:
        done = subprocess.run(["/bin/sh", "-c", command], stdin=saving.stdout, capture_output=True, text=True, timeout=1800, check=False)
        assert saving.wait() == 0
    assert done.returncode == 0, f"GORK_TEST_IMPORT: {done.stdout[-2000:]}{done.stderr[-2000:]}"


@contextmanager
def _released(names: list[str], kind: str) -> Iterator[list[str]]:
    """The images under the names that the manifest has; what had these names before has them again afterwards."""
    released = [f"{name}:{gork.__version__}" for name in names]
    before = {name: image(name)["Id"] for name in released if has_image(name)}
    try:
        for name, full in zip(names, released, strict=True):
            docker("tag", tag(name, kind), full)
        yield released
    finally:
        for full in released:
            if full in before:
                docker("tag", before[full], full)
            else:
                docker("image", "rm", full, check=False)


def _weights(ensemble: str) -> Path:
    judge = load_ensemble(ensemble).judge
    assert judge is not None
    assert judge.weights is not None
    return cache.fetch(judge.weights, cache_of(load_settings({}, os.environ)), Lines(print))


def main() -> None:
    """Build, and import if that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true", help="with weights of about the real models' sizes")
    parser.add_argument("--import", action="store_true", dest="imports", help="import them by the command in GORK_TEST_IMPORT")
    given = parser.parse_args()
    if not (os.environ.get("GORK_TEST_KEEP_IMAGES") or given.imports):
        sys.exit("without GORK_TEST_KEEP_IMAGES or --import nothing would be left of them")
    kind = "cluster-real" if given.real else "cluster"
    with (
        tempfile.TemporaryDirectory() as folder,
        built(Path(folder), lambda name: _weights(OF_ITS_SIZE[name] if given.real else "tiny"), kind) as made,
    ):
        print(made)
        if given.imports:
            import_all(kind)


if __name__ == "__main__":
    main()
