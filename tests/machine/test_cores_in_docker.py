"""Free cores inside a real container with a real CPU quota."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.support.paths import ROOT

IMAGE = os.environ.get("GORK_TEST_IMAGE", "python:3.11-slim")
"""Any image with a python3 of 3.11 or newer in it."""
PRINT = "from gork.machine import free_cores; found = free_cores(); print(found.count, found.why, sep='\\n')"

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module", autouse=True)
def image() -> str:
    """The image to run in; skips where there is no engine or no such image."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker program")
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"no Docker engine answers, or it has no image {IMAGE} (GORK_TEST_IMAGE names another)")
    return IMAGE


def cores_under(*limits: str) -> tuple[int, str]:
    """What `free_cores` finds in a container with these limits."""
    command = ["docker", "run", "--rm", "--network=none", "-v", f"{ROOT}:/app:ro", "-w", "/app", *limits, IMAGE, "python3", "-c", PRINT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    count, why = done.stdout.splitlines()
    return int(count), why


def test_a_quota_below_one_core_leaves_one():
    """--cpus 0.9 is one core, and the quota is the reason."""
    count, why = cores_under("--cpus", "0.9")

    assert count == 1
    assert "the CPU quota is 0.9" in why


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core cannot show that a quota is rounded down")
def test_a_quota_is_rounded_down():
    """--cpus 1.9 is one core, not two: a thread too many spins."""
    assert cores_under("--cpus", "1.9")[0] == 1


def test_without_a_limit_the_machine_counts():
    """No quota, no mask: all cores."""
    assert cores_under()[0] == os.cpu_count()


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has no mask to set")
def test_an_affinity_mask_counts():
    """--cpuset-cpus 0 is one core."""
    count, why = cores_under("--cpuset-cpus", "0")

    assert count == 1
    assert "affinity" in why
