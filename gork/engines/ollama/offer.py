"""An ensemble of models that an Ollama has already: for those who use it with other models than ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gork.engines.http import plain
from gork.engines.records import Record, count, mapping, rows

MOST: Final = 3
BESIDE: Final = 450_000_000
"""Bytes of memory that a model takes beside its file: cache, buffers."""
_SHARE: Final = 0.9
"""Of the free memory that the models may take together."""
_NO_TEXT: Final = ("embed", "bert", "rerank", "minilm", "bge-", "clip", "whisper", "ocr", "guard")


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that is there: its tag, bytes and family."""

    tag: str
    size: int
    family: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Models that are there, in their roles; the same model may have several."""

    candidates: tuple[Installed, ...]
    judge: Installed
    promptimizer: Installed
    why: str

    @property
    def flags(self) -> str:
        """How it is typed."""
        named = ",".join(model.tag for model in self.candidates)
        return f"--models {named} --judge {self.judge.tag} --promptimizer {self.promptimizer.tag}"

    @property
    def about(self) -> str:
        """Who is in it, how large, and why these."""
        listed = ", ".join(f"{model.tag} ({model.size / 1e9:.1f} GB)" for model in self.candidates)
        return f"{listed} answer, {self.judge.tag} judges, {self.promptimizer.tag} rewrites: {self.why}"


def installed(reply: Record) -> list[Installed]:
    """The models of a reply to /api/tags that write text, as far as it says."""
    found = []
    for row in rows(reply, "models"):
        tag, details = row.get("model") or row.get("name"), mapping(row, "details")
        families = details.get("families")
        marks = f"{tag} {details.get('family')} {families if isinstance(families, list) else ''}".casefold()
        capabilities = row.get("capabilities")
        writes = "completion" in capabilities if isinstance(capabilities, list) else not any(mark in marks for mark in _NO_TEXT)
        size = count(row, "size")
        if isinstance(tag, str) and writes and size > 1_000_000 and "cloud" not in tag.rpartition(":")[2]:
            family = details.get("family")
            found.append(Installed(plain(tag), size, family if isinstance(family, str) else tag.partition(":")[0]))
    return found


def offer(models: Sequence[Installed], free: int | None) -> Offer | None:
    """An ensemble of the models that are there; None if none fits the memory. `free` is not known on some systems.

    The largest that fit together, of different families first, since models of one family make the same mistakes. The judge is one of
    another family where there is room for a fourth, else the largest of the three; the smallest rewrites.

    >>> there = [Installed("a:7b", 4_700_000_000, "a"), Installed("b:1b", 800_000_000, "b"), Installed("b:3b", 2_000_000_000, "b")]
    >>> offer(there, 16_000_000_000).flags
    '--models a:7b,b:3b,b:1b --judge a:7b --promptimizer b:1b'
    >>> offer(there, 5_000_000_000).flags
    '--models b:3b,b:1b --judge b:3b --promptimizer b:1b'
    >>> offer(there, 1_000_000_000) is None
    True
    """
    room = 8_000_000_000 if free is None else int(free * _SHARE)
    taken: list[Installed] = []
    judge: Installed | None = None
    ordered = sorted(models, key=lambda model: -model.size)
    for wanted in (True, False):  # first one of each family
        for model in ordered:
            new = model not in taken and (not wanted or model.family not in {other.family for other in taken})
            if len(taken) < MOST and new and model.size + BESIDE <= room:
                taken.append(model)
                room -= model.size + BESIDE
    if not taken:
        return None
    taken.sort(key=lambda model: -model.size)
    families = {model.family for model in taken}
    judge = next((model for model in ordered if model.family not in families and model.size + BESIDE <= room), None)
    memory = "" if free is None else f" of the {free / 1e9:.1f} GB that are free"
    used = sum(model.size + BESIDE for model in (*taken, *([judge] if judge else [])))
    kinds = "the largest that fit together" + (", of different families" if len(families) > 1 else "")
    return Offer(tuple(taken), judge or taken[0], taken[-1], f"{kinds}; about {used / 1e9:.1f} GB{memory}")
