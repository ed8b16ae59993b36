"""The containers of script_final.yaml as `docker run` flags: the same user, root, capabilities, limits, variables and mounts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

MANIFEST = ROOT / "script_final.yaml"
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One container of a Deployment and the pod around it."""

    container: dict[str, Any]
    spec: dict[str, Any]
    config: dict[str, dict[str, str]]
    """The manifest's ConfigMaps."""

    @property
    def image(self) -> str:
        """The image that it names."""
        return str(self.container["image"])

    @property
    def startup_command(self) -> list[str]:
        """The command of its startup probe."""
        return list(self.container["startupProbe"]["exec"]["command"])

    def flags(self, folder: Path) -> list[str]:
        """What `docker run` needs besides network and image; files of ConfigMaps are written to `folder`."""
        security = {**self.spec["securityContext"], **self.container["securityContext"]}
        limits = self.container["resources"]["limits"]
        memory = str(bytes_of(limits["memory"]))
        flags = ["--user", f"{security['runAsUser']}:{security['runAsGroup']}", "--memory", memory, "--memory-swap", memory]
        flags += ["--cpus", f"{cpus_of(limits['cpu']):g}"]
        flags += [word for capability in security["capabilities"]["drop"] for word in ("--cap-drop", capability)]
        if security["readOnlyRootFilesystem"]:
            flags.append("--read-only")
        if not security["allowPrivilegeEscalation"]:
            flags += ["--security-opt", "no-new-privileges"]
        for variable in self.container.get("env", []):
            if "value" not in variable:  # of a Secret that may be absent
                continue
            flags += ["--env", f"{variable['name']}={variable['value']}"]
        volumes = {volume["name"]: volume for volume in self.spec.get("volumes", [])}
        for mount in self.container.get("volumeMounts", []):
            flags += self._mount(volumes[mount["name"]], mount["mountPath"], folder)
        return flags

    def _mount(self, volume: dict[str, Any], path: str, folder: Path) -> list[str]:
        if "emptyDir" in volume:
            size = bytes_of((volume["emptyDir"] or {}).get("sizeLimit", "64Mi"))
            return ["--tmpfs", f"{path}:rw,nosuid,nodev,size={size}"]
        source = folder / volume["configMap"]["name"]
        source.mkdir(parents=True, exist_ok=True)
        for name, content in self.config[volume["configMap"]["name"]].items():
            (source / name).write_text(content)
            (source / name).chmod(0o644)
        source.chmod(0o755)
        return ["--volume", f"{source}:{path}:ro"]


def pods() -> dict[str, Pod]:
    """The containers of the manifest by name, init containers among them; skips where there is no manifest."""
    if not MANIFEST.exists():
        pytest.skip("script_final.yaml is not there")
    documents = [document for document in yaml.safe_load_all(MANIFEST.read_text()) if document]
    config = {each["metadata"]["name"]: each["data"] for each in documents if each["kind"] == "ConfigMap"}
    specs = [each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment"]
    return {
        container["name"]: Pod(container=container, spec=spec, config=config)
        for spec in specs
        for container in (*spec.get("initContainers", []), *spec["containers"])
    }


def bytes_of(quantity: str) -> int:
    """A quantity of memory.

    >>> bytes_of("2Gi"), bytes_of("384Mi"), bytes_of("1000")
    (2147483648, 402653184, 1000)
    """
    matched = re.fullmatch(r"(\d+)(Ki|Mi|Gi)?", quantity)
    assert matched is not None, quantity
    return int(matched[1]) * _UNITS.get(matched[2], 1)


def cpus_of(quantity: str | int) -> float:
    """A quantity of CPU.

    >>> cpus_of("900m"), cpus_of("2")
    (0.9, 2.0)
    """
    text = str(quantity)
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)
