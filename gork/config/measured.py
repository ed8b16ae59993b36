"""What was measured of an ensemble: whose answers are best for which kind of question, and what may overrule them.

`python -m bench.judge --fit` writes it into a file beside the ensemble's (`starter.measured.yaml`), or into the user's data folder where
that cannot be written. It holds for members as they were: each is named with the hash of its weights, prompts, examples and sampling.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec
from msgspec import UNSET, Meta

from gork.config.folders import data_home
from gork.config.schema import Name, Record, Text, read_record
from gork.config.yaml_file import Located, Mistakes, read_document, read_file
from gork.turn import Kind, Reason

if TYPE_CHECKING:
    from gork.config.ensemble import Ensemble, Member

ENDING: Final = ".measured.yaml"
_Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", title="a SHA-256 in hexadecimal digits")]
_Count = Annotated[int, Meta(ge=0, le=10_000_000)]
_GONE: Final = "confidence"
"""A reason that tables of earlier versions have (docs/decisions.md)."""
_Names = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=8, title="candidates' names")]


class Wins(Record, frozen=True, kw_only=True):
    """How often one of two answers was right and the other wrong."""

    wins: _Count
    losses: _Count

    @property
    def share(self) -> float:
        """The share of wins; half where nothing was counted.

        >>> Wins(wins=3, losses=1).share, Wins(wins=0, losses=0).share
        (0.75, 0.5)
        """
        return self.wins / (self.wins + self.losses) if self.wins + self.losses else 0.5


class Certified(Wins, frozen=True, kw_only=True):
    """A reason's wins and losses against the favourite, over all questions and by kind."""

    by_kind: dict[Kind, Wins] = msgspec.field(default_factory=dict)


class Questions(Record, frozen=True, kw_only=True):
    """What it was measured on."""

    count: _Count
    language: Annotated[str, Meta(pattern=r"\A[a-z]{2}\Z", title="a language's two letters")] = "en"
    sets: dict[Text, _Hash] = msgspec.field(default_factory=dict)
    """The question sets by name, each with the SHA-256 of its file."""


class Favourites(Record, frozen=True, kw_only=True):
    """Candidates, best first."""

    overall: _Names
    by_kind: dict[Kind, _Names] = msgspec.field(default_factory=dict)


class Share(Record, frozen=True, kw_only=True):
    """How often something was right."""

    right: _Count
    cases: _Count

    @property
    def share(self) -> float | None:
        """The share; None where nothing was counted."""
        return self.right / self.cases if self.cases else None


class Measured(Record, frozen=True, kw_only=True):
    """One table."""

    ensemble: Name
    members: dict[Name, _Hash]
    """What it holds for: each member with the hash of what decides its words."""
    questions: Questions
    favourites: Favourites
    together: Wins | None = None
    """How often what is chosen without a table was right against the favourite, and how often that was; there if it is certified: then all
    reasons count, as without a table."""
    certified: dict[Reason, Certified] = msgspec.field(default_factory=dict)
    """What may overrule the favourite, with the counts that say so."""
    uncertified: dict[Reason, Certified] = msgspec.field(default_factory=dict)
    """What was tried and is not enough alone."""
    computed_loses: dict[Kind, Wins] = msgspec.field(default_factory=dict)
    """Kinds for which what was computed is certified to be worse than the favourite's words."""
    right: dict[Kind, Share] = msgspec.field(default_factory=dict)
    """How often the choice was right, by kind."""
    notice: str = ""
    """What of the file was not used, for people."""

    refused: ClassVar[Mapping[str, str]] = {"notice": "is no key of the file"}


def fingerprint(member: Member) -> str:
    """The hash of what decides a member's words: weights, prompts, examples, sampling; not its name, nor where it is asked."""
    weights = member.weights
    parts: list[Any] = [
        None if weights is None else weights.sha256 or weights.file,
        member.model,
        member.system,
        member.examples,
        dict(member.options),
        {str(kind): way for kind, way in member.answers.items()},
        [member.program.system, member.program.request, dict(member.program.options)],
        *([member.program.again] if member.answers else []),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=list).encode()).hexdigest()


def fingerprints(ensemble: Ensemble) -> dict[str, str]:
    """By member the hash of what decides its words."""
    return {member.name: fingerprint(member) for member in ensemble.members}


def read_measured(text: str, source: str) -> Measured:
    """The table that a file's text describes; `source` names the file. Raises a `ConfigError` that lists every mistake."""
    mistakes = Mistakes(source)
    root = read_document(text, mistakes)
    if root is None:
        if not mistakes:
            mistakes.add(1, "is empty, it must be what python -m bench.judge --fit writes")
        raise mistakes.error()
    gone = _without_gone(root)
    measured = read_record(Measured, root, mistakes)
    if mistakes or measured is UNSET:
        raise mistakes.error()
    if gone is None:
        return measured
    return msgspec.structs.replace(measured, notice=f"{mistakes.source}:{gone.line}: {gone.path}: this reason is gone, it is left out")


def _without_gone(root: Located) -> Located | None:
    """Take the reason that is gone out of a table; the place where it stood, if it did."""
    keys = root.value if isinstance(root.value, dict) else {}
    tables = [keys[name].value for name in ("certified", "uncertified") if name in keys]
    found = [table.pop(_GONE) for table in tables if isinstance(table, dict) and _GONE in table]
    return found[0] if found else None


def places(file: Path) -> list[Path]:
    """Where the table of the ensemble in this file can lie: in the user's data folder, beside the file. The first that there is counts."""
    name, data = f"{file.stem}{ENDING}", data_home(os.environ)
    return [*([data / "measured" / name] if data is not None else []), file.with_name(name)]


def load_measured(file: Path) -> Measured | None:
    """The table of the ensemble in this file; None where there is none. Raises a `ConfigError` for one that cannot be read."""
    for place in places(file):
        if place.is_file():
            return read_measured(read_file(place), str(place))
    return None
