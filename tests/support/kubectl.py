"""The `kubectl` program for the tests marked `cluster`: a namespace of their own in the cluster that GORK_TEST_KUBECONFIG names."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import pytest

RESTRICTED = ("enforce", "warn", "audit")


class KubectlFailed(AssertionError):
    """A kubectl command that ended with an error; what it wrote is the message."""


def skip_without_cluster() -> None:
    """Skip where no cluster is named; one that is named and does not answer is an error."""
    for name, what in (("GORK_TEST_KUBECONFIG", "a kubeconfig"), ("GORK_TEST_IMPORT", "a command that imports a `docker save` stream")):
        if not os.environ.get(name):
            pytest.skip(f"{name} does not name {what}")
    if shutil.which(program()) is None:
        pytest.skip(f"there is no `{program()}` program (GORK_TEST_KUBECTL names one)")


def program() -> str:
    """The kubectl to use."""
    return os.environ.get("GORK_TEST_KUBECTL", "kubectl")


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace of the cluster."""

    name: str

    def command(self, *words: str) -> list[str]:
        """A kubectl command for this namespace."""
        return [program(), "--kubeconfig", os.environ["GORK_TEST_KUBECONFIG"], "--namespace", self.name, *words]

    def run(self, *words: str, stdin: str | None = None, check: bool = True, timeout: float = 120.0) -> Done:
        """Run kubectl to its end."""
        ran = subprocess.run(self.command(*words), input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        if check and ran.returncode:
            raise KubectlFailed(f"kubectl {' '.join(words)[:200]}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        return Done(ran.returncode, ran.stdout, ran.stderr)

    def objects(self, *words: str) -> list[dict[str, Any]]:
        """What `kubectl get` finds."""
        found: list[dict[str, Any]] = json.loads(self.run("get", *words, "--output", "json").out)["items"]
        return found

    def pods(self, name: str | None = None) -> list[dict[str, Any]]:
        """The pods that are not being stopped, of one Deployment or of all."""
        chosen = [] if name is None else ["--selector", f"app.kubernetes.io/name={name}"]
        return [pod for pod in self.objects("pods", *chosen) if "deletionTimestamp" not in pod["metadata"]]

    def logs(self, of: str, *words: str) -> str:
        """What a container wrote so far; empty before it has begun."""
        ran = self.run("logs", of, *words, check=False)
        return ran.out if ran.code == 0 else ""

    def rolled_out(self, *names: str, seconds: float = 180.0) -> None:
        """Wait until Deployments have as many Ready pods as they should have."""
        for name in names:
            try:
                self.run("rollout", "status", f"deployment/{name}", f"--timeout={seconds:g}s", timeout=seconds + 30)
            except KubectlFailed as failed:
                raise KubectlFailed(f"{failed}\n{self.told()}") from None

    def gone(self, pod: str, seconds: float = 120.0) -> None:
        """Wait until a pod is no longer there."""
        self.run("wait", "--for=delete", f"pod/{pod}", f"--timeout={seconds:g}s", check=False, timeout=seconds + 30)
        assert self.run("get", "pod", pod, check=False).code != 0

    def told(self) -> str:
        """Pods and the latest events, for the message of a failed test."""
        events = self.run("get", "events", "--sort-by=.lastTimestamp", check=False).out.splitlines()[-25:]
        return "\n".join([self.run("get", "pods", "--output=wide", check=False).out, *events])

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
        """Ask again and again until a condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds:g} s: {what}\n{self.told()}"
            time.sleep(0.3)

    @contextmanager
    def following(self, *words: str) -> Iterator[Lines]:
        """Run kubectl beside the test and give its lines as they come, of both outputs; it is ended with the block."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self.command(*words), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, errors="replace"
        ) as process:
            try:
                yield Lines(process)
            finally:
                process.terminate()


class Lines:
    """The lines of a running command. Its outputs are read apart: two streams, of which one may fall into the other's line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.seen = process, list[str]()
        self._coming: queue.Queue[str | None] = queue.Queue()
        readers = [threading.Thread(target=self._read, args=(output,), daemon=True) for output in (process.stdout, process.stderr)]
        for reader in readers:
            reader.start()
        threading.Thread(target=self._end, args=(readers,), name="kubectl's lines", daemon=True).start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self._coming.put(line.rstrip("\n"))

    def _end(self, readers: Sequence[threading.Thread]) -> None:
        for reader in readers:
            reader.join()
        self._coming.put(None)

    def until(self, condition: Callable[[str], bool], what: str, seconds: float = 120.0) -> str:
        """Give the next line for which the condition holds."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self._coming.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not within {seconds:g} s: {what}\n" + "\n".join(self.seen)) from None
            assert line is not None, f"it ended without {what}:\n" + "\n".join(self.seen)
            self.seen.append(line)
            if condition(line):
                return line

    def ended(self, seconds: float = 180.0) -> tuple[int, list[str]]:
        """Wait for the command's end; returns its exit code and all lines."""
        end = time.monotonic() + seconds
        while (line := self._coming.get(timeout=max(0.0, end - time.monotonic()))) is not None:
            self.seen.append(line)
        return self.process.wait(), self.seen


@contextmanager
def restricted_namespace() -> Iterator[Namespace]:
    """A new namespace that enforces the Pod Security Standard `restricted` and warns of it; gone afterwards."""
    made = Namespace(f"gork-test-{uuid.uuid4().hex[:8]}")
    made.run("create", "namespace", made.name)
    try:
        made.run("label", "namespace", made.name, *(f"pod-security.kubernetes.io/{mode}=restricted" for mode in RESTRICTED))
        yield made
    finally:
        if not os.environ.get("GORK_TEST_KEEP_NAMESPACE"):
            made.run("delete", "namespace", made.name, timeout=180)
