"""The `docker` program for the tests marked `containers`: builds, containers that are gone at the end, and what is in an image's layers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.paths import ROOT

_IDS = re.compile(r"^ ---> ([0-9a-f]{12})$", re.MULTILINE)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


class DockerFailed(AssertionError):
    """A docker command that ended with an error; its output is the message."""


def docker(*words: str, timeout: float = 120.0, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one docker command; both outputs are in `stdout`."""
    done = subprocess.run(
        ["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout, check=False
    )
    if check and done.returncode:
        raise DockerFailed(f"docker {' '.join(words[:3])} ...: {done.stdout[-4000:]}")
    return done


def skip_without_engine() -> None:
    """Skip where no Docker engine answers."""
    if shutil.which("docker") is None:
        pytest.skip("there is no `docker` program")
    asked = docker("version", "--format", "{{.Server.Version}} {{.Server.Os}}", check=False)
    if asked.returncode:
        pytest.skip(f"no Docker engine answers: {asked.stdout.strip().splitlines()[-1]}")
    if not asked.stdout.strip().endswith(" linux"):
        pytest.skip(f"the Docker engine runs no Linux containers: {asked.stdout.strip()}")


def has_image(name: str) -> bool:
    """Whether the engine has this image."""
    return docker("image", "inspect", name, check=False).returncode == 0


def image(name: str) -> dict[str, Any]:
    """What the engine knows of an image."""
    return json.loads(docker("image", "inspect", name).stdout)[0]


@dataclass(slots=True)
class Builds:
    """Images built for the tests; all that a build left behind is removed at the end, unless something else uses it."""

    seconds: dict[str, float] = field(default_factory=dict)
    """The images by name, and how long each took."""
    stages: list[str] = field(default_factory=list)

    def build(self, tag: str, dockerfile: str, *, context: Path = ROOT, timeout: float = 1800.0, **build_args: str) -> str:
        """Build as the README says, on the host's network (a registry may be on its loopback); returns the output."""
        if os.environ.get("GORK_TEST_KEEP_IMAGES") == "reuse" and has_image(tag):
            self.seconds[tag] = 0.0
            return ""
        proxies = [word for name in _PROXIES if name in os.environ for word in ("--build-arg", name)]  # docker reads the values itself
        given = [word for name, value in build_args.items() for word in ("--build-arg", f"{name}={value}")]
        started = time.monotonic()
        words = ["build", "--network", "host", "--force-rm", "-f", str(context / dockerfile), "-t", tag, *proxies, *given, str(context)]
        done = docker(*words, timeout=timeout, check=False)
        self.stages += _IDS.findall(done.stdout)  # the classic builder keeps a stage as an image without a name
        if done.returncode:
            raise DockerFailed(done.stdout)
        self.seconds[tag] = time.monotonic() - started
        return done.stdout

    def forget(self) -> None:
        """Remove what was built, newest first; never an image that has another name.

        GORK_TEST_KEEP_IMAGES keeps it; with the value `reuse` the next run takes it instead of building.
        """
        if os.environ.get("GORK_TEST_KEEP_IMAGES"):
            return
        for name in self.seconds:
            docker("image", "rm", name, check=False)
        for stage in dict.fromkeys(reversed(self.stages)):
            if has_image(stage) and not image(stage)["RepoTags"] and not image(stage)["RepoDigests"]:
                docker("image", "rm", stage, check=False)


@dataclass(slots=True)
class Container:
    """A running container; leaving the block removes it."""

    id: str

    @classmethod
    def run(cls, *words: str) -> Self:
        """`docker run --detach` with these words."""
        return cls(docker("run", "--detach", *words, timeout=300).stdout.strip().splitlines()[-1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        docker("rm", "--force", "--volumes", self.id, check=False)

    def exec(self, *command: str, check: bool = True, timeout: float = 110.0) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as the probes of a pod do."""
        return docker("exec", self.id, *command, check=check, timeout=timeout)

    @property
    def logs(self) -> str:
        """What it wrote."""
        return docker("logs", self.id).stdout

    @property
    def state(self) -> dict[str, Any]:
        """Its state as `docker inspect` has it."""
        return json.loads(docker("inspect", self.id).stdout)[0]["State"]

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Poll until a condition holds; the container's log is what a failure tells."""
        end = time.monotonic() + seconds
        while not condition():
            state = self.state
            assert state["Running"], f"it ended with {state['ExitCode']}: {self.logs}"
            assert time.monotonic() < end, f"it did not become true in {seconds:g} s: {self.logs[-4000:]}"
            time.sleep(0.1)

    def answers(self, *command: str) -> Callable[[], bool]:
        """Whether a command in the container ends well."""
        return lambda: self.exec(*command, check=False).returncode == 0

    def stop(self, seconds: int = 30) -> tuple[int, float]:
        """SIGTERM; returns the exit code (137 if it did not end in time) and the seconds until the end."""
        started = time.monotonic()
        docker("stop", "--time", str(seconds), self.id, timeout=seconds + 60)
        return int(self.state["ExitCode"]), time.monotonic() - started

    def memory_peak_mib(self) -> float:
        """The most memory that it has used so far, page cache included, or nan where the kernel does not tell."""
        paths = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")
        for path in paths:
            read = self.exec("cat", path, check=False)
            if read.returncode == 0:
                return int(read.stdout) / 2**20
        return float("nan")


def layer_files(name: str, folder: Path) -> Iterator[tuple[int, tarfile.TarInfo]]:
    """Every entry of every layer of an image, with its layer's number: what a later layer deletes is there too."""
    archive = folder / "image.tar"
    docker("save", "-o", str(archive), name, timeout=300)
    with tarfile.open(archive) as outer:
        manifest = outer.extractfile("manifest.json")
        assert manifest is not None
        for number, layer in enumerate(json.load(manifest)[0]["Layers"]):
            content = outer.extractfile(outer.getmember(layer))
            assert content is not None
            with tarfile.open(fileobj=content) as inner:
                yield from ((number, member) for member in inner)
    archive.unlink()
