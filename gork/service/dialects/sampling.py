"""Sampling options as clients send them: any number is taken, and brought within what engines know.

Clients spell "no limit" as -1 or 0, ask for more tokens than there are, and leave the defaults of other servers where they found them. The
bounds are those of ensemble files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.inspect import FloatType, IntType, StructType, UnionType, type_info

from gork.config.ensemble import OptionValue, SamplingOptions

Number = int | float
MOST_STOPS: Final = 256
LONGEST_STOP: Final = 1000
"""Texts that end an answer: each is looked for in all that a model writes."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Options that candidates get, the turn's seed, and a line for each option that is not as it was asked."""

    options: Mapping[str, OptionValue]
    seed: int | None
    notes: tuple[str, ...]


def sampling_of(given: Mapping[str, Number | None], stop: str | Sequence[object] | None, context: int) -> Sampling:
    """What is made of a client's options, by Ollama's names; `context` bounds an answer's tokens."""
    options: dict[str, OptionValue] = {}
    notes: list[str] = []
    seed = given.get("seed")
    for name, value in given.items():
        if value is None or name == "seed" or (name == "num_predict" and value <= 0):
            continue
        low, high, whole = _BOUNDS[name]
        if name == "num_predict":
            low, high = 1, context
        elif name == "top_k":
            value = max(value, 0)  # noqa: PLW2901 - below zero, too, means all tokens
        bounded = min(max(value, low), high)
        options[name] = int(bounded) if whole else float(bounded)
        if bounded != value:
            notes.append(f"{name} is {bounded:,.10g} here, not {value:,.10g}: that is as far as it goes")
    stops = [text for text in ([stop] if isinstance(stop, str) else stop or ()) if isinstance(text, str)]
    if kept := tuple(text for text in dict.fromkeys(stops) if 0 < len(text) <= LONGEST_STOP)[:MOST_STOPS]:
        options["stop"] = kept
    if len(kept) < len({text for text in stops if text}):
        notes.append(f"of the texts that end an answer {len(kept)} are kept: at most {MOST_STOPS}, of {LONGEST_STOP:,} characters")
    return Sampling(options, None if seed is None or seed < 0 else int(seed), tuple(notes))


def _bounds() -> dict[str, tuple[Number, Number, bool]]:
    """By option, the least, the most, and whether it is a whole number: as ensemble files have it."""
    record = type_info(SamplingOptions)
    found: dict[str, tuple[Number, Number, bool]] = {}
    for field in record.fields if isinstance(record, StructType) else ():
        kinds = field.type.types if isinstance(field.type, UnionType) else (field.type,)
        for kind in kinds:
            if isinstance(kind, IntType | FloatType) and kind.ge is not None and kind.le is not None:
                found[field.name] = (kind.ge, kind.le, isinstance(kind, IntType))
    return found


_BOUNDS: Final = _bounds()
