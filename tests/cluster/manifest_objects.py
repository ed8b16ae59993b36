"""Kubernetes manifests for tests: the documents of one, its pods and containers, and quantities as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

from tests.support.paths import ROOT

Object = dict[str, Any]

MANIFEST = ROOT / "script_final.yaml"
OVERLAYS = ROOT / "deploy" / "overlays"

ORCHESTRATOR = "final-script"
MODELS = ("promptimizer", "qwen-small", "qwen", "llama", "judge")

_UNITS = {"": 1, "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class _Strict(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.constructor.ConstructorError(None, None, f"given twice: {', '.join(map(str, twice))}", node.start_mark)
        return super().construct_mapping(node, deep)


def documents(text: str) -> list[Object]:
    """The objects of a manifest; a key that is given twice is a `yaml.YAMLError`."""
    return [document for document in yaml.load_all(text, Loader=_Strict) if document is not None]


@dataclass(frozen=True)
class Workload:
    """A Deployment, with what its pods are made of."""

    object: Object

    @property
    def name(self) -> str:
        return self.object["metadata"]["name"]

    @property
    def spec(self) -> Object:
        return self.object["spec"]

    @property
    def labels(self) -> Mapping[str, str]:
        """Of its pods."""
        return self.spec["template"]["metadata"].get("labels", {})

    @property
    def pod(self) -> Object:
        """The spec of its pods."""
        return self.spec["template"]["spec"]

    @property
    def main(self) -> Object:
        """The container that serves."""
        return self.pod["containers"][0]

    @property
    def containers(self) -> list[Object]:
        """All of them, init containers too."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def is_model(self) -> bool:
        return self.name in MODELS


@dataclass(frozen=True)
class Manifest:
    """A manifest's objects, by kind."""

    objects: list[Object]

    def of(self, kind: str) -> list[Object]:
        return [one for one in self.objects if one.get("kind") == kind]

    @property
    def workloads(self) -> list[Workload]:
        return [Workload(one) for one in self.of("Deployment")]

    @property
    def models(self) -> list[Workload]:
        return [one for one in self.workloads if one.is_model]

    @property
    def orchestrator(self) -> Workload:
        return next(one for one in self.workloads if one.name == ORCHESTRATOR)

    @property
    def ensemble(self) -> str:
        """The text of the ensemble file that the orchestrator gets."""
        return self.of("ConfigMap")[0]["data"]["ensemble.yaml"]

    def containers(self) -> Iterator[tuple[str, Object]]:
        """Every container with its place, "qwen/qwen"."""
        for workload in self.workloads:
            for container in workload.containers:
                yield f"{workload.name}/{container['name']}", container


def environment(container: Object) -> dict[str, str]:
    """The variables that the manifest gives a container; each must be a text. Those of Secrets that may be absent are left out."""
    given = [one for one in container.get("env", []) if not one.get("valueFrom", {}).get("secretKeyRef", {}).get("optional")]
    return {one["name"]: one["value"] for one in given}


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a selector's labels are all there."""
    return all(labels.get(key) == value for key, value in selector.items())


def quantity(text: str | int) -> Decimal:
    """A resource quantity as a number of cores or bytes. Raises `KeyError` for a unit that there is not.

    >>> quantity("250m"), quantity("2Gi"), quantity(1)
    (Decimal('0.250'), Decimal('2147483648'), Decimal('1'))
    """
    digits = str(text).rstrip("mkMGiK")
    return Decimal(digits) * _UNITS[str(text)[len(digits) :]]


def walk(value: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every entry below `value`: its path, its key, its value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield f"{path}.{key}", str(key), entry
        yield from walk(entry, f"{path}.{key}")
