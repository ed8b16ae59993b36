"""compose.yaml: the same images, models and limits as on Kubernetes, on one Docker engine. It is tried where an engine with compose is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from gork import __version__
from gork.config.ensemble import load_ensemble
from gork.config.settings import load_settings
from tests.cluster.manifest_objects import MANIFEST, documents
from tests.support.paths import ROOT

FILE = ROOT / "compose.yaml"
SERVICE = "gork"
DURATION = re.compile(r"\d+(s|m)")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services by their names, with what they share."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


def test_there_is_a_server_for_each_member_and_the_service(services):
    """The members of heavy-lite, each with its address as the service is told it."""
    ensemble = load_ensemble("heavy-lite")
    environment = services[SERVICE]["environment"]
    settings = load_settings({}, {name: str(value) for name, value in environment.items()})

    assert {member.name for member in ensemble.members} | {SERVICE} == set(services)
    assert {member.name: f"http://{member.name}:11434" for member in ensemble.members} == {
        member.name: member.url for member in settings.ensemble.members
    }
    assert set(services) - {SERVICE} == set(services[SERVICE]["depends_on"])
    assert {"service_healthy"} == {wanted["condition"] for wanted in services[SERVICE]["depends_on"].values()}


def test_the_service_knows_that_its_members_share_one_machine(services):
    """Their names are several; the judge would work beside the candidates, on their processors."""
    environment = services[SERVICE]["environment"]

    assert load_settings({}, {name: str(value) for name, value in environment.items()}).one_machine


def test_images_are_those_of_the_manifest_and_come_from_its_dockerfiles(services):
    """`make images` and `docker compose build` make the same, of this release."""
    used = set(re.findall(r"image: (\S+)", MANIFEST.read_text()))

    assert used == {one["image"] for one in services.values()}
    assert {__version__} == {one["image"].split(":")[1] for one in services.values()}
    for one in services.values():
        assert "." == one["build"]["context"]
        assert (ROOT / one["build"]["dockerfile"]).is_file()
        assert one["build"]["dockerfile"].removeprefix("Dockerfile.").replace("_", "-") == one["image"].split(":")[0]


def test_memory_limits_are_those_of_the_manifest(services):
    """Measured there."""
    limits = {}
    for each in documents(MANIFEST.read_text()):
        if each["kind"] == "Deployment":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            limits[container["image"]] = container["resources"]["limits"]["memory"]

    assert limits == {one["image"]: one["mem_limit"].replace("g", "Gi").replace("m", "Mi") for one in services.values()}


def test_one_port_is_published_on_this_machine_alone(services):
    """And models are on a network from which nothing gets out."""
    assert {SERVICE: ["127.0.0.1:8080:8080"]} == {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert {"default": {}, "models": {"internal": True}} == yaml.safe_load(FILE.read_text())["networks"]
    assert all(one["networks"] == ["models"] for name, one in services.items() if name != SERVICE)


def test_every_container_is_watched_and_confined(services):
    """A health check, a read-only root, no capabilities, a bound on processes."""
    for name, one in services.items():
        check = one["healthcheck"]
        assert check["test"][0] == "CMD", name
        assert all(DURATION.fullmatch(check[key]) for key in ("interval", "timeout", "start_period")), name
        assert (True, ["ALL"], ["no-new-privileges:true"]) == (one["read_only"], one["cap_drop"], one["security_opt"]), name
        assert one["pids_limit"], name


def compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Docker Compose on the file; the test is skipped where there is none."""
    if shutil.which("docker") is None or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("Docker Compose is not installed")
    return subprocess.run(["docker", "compose", "-f", str(FILE), *arguments], capture_output=True, text=True, check=False)


def test_compose_understands_the_file():
    """By its own schema."""
    made = compose("config", "--format", "json")
    assert made.returncode == 0, made.stderr
    assert SERVICE in json.loads(made.stdout)["services"]


@pytest.mark.containers
@pytest.mark.timeout(3600)
def test_it_starts_and_answers():
    """`up --wait` ends well, and the prompt inside asks the five models."""
    try:
        up = compose("up", "--build", "--wait", "--wait-timeout", "1800")
        assert up.returncode == 0, up.stderr[-2000:]
        asked = compose("exec", "-T", SERVICE, "python", "final_script.py", "What is the capital of France?")
        assert asked.returncode == 0, asked.stderr
        assert asked.stdout.strip()
    finally:
        compose("down", "--volumes")
