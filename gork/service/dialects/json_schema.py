"""JSON schemas of clients: bounded before an engine sees them.

An engine makes a grammar of a schema, and the grammar grows with the numbers in it: asked for a list of a thousand million items,
llama.cpp worked until the memory was used up, even after its client had left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from gork.errors import BadRequest

LARGEST = 32 << 10
"""Bytes of a schema."""
MOST_PARTS = 2000
"""Lists, mappings and values in it."""
MOST_REPEATED, MOST_REPEATED_IN_ALL = 1000, 20_000
"""Items of a list or characters of a text: in one limit, and in all limits of a schema together."""
LONGEST_PATTERN, MOST_REPEATED_IN_PATTERN = 200, 100

_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength"})
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_CONSTANTS = frozenset({"const", "enum", "default", "examples"})
_NOT_A_SCHEMA = "(not a schema)"
_REPETITION = re.compile(r"\{(\d*),?(\d*)\}")


def checked_schema(schema: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """The schema, unchanged. Raises `BadRequest` for one that would cost an engine too much, or that an engine would ignore."""
    if len(msgspec.json.encode(schema)) > LARGEST:
        raise BadRequest(f"{place} is larger than {LARGEST:,} bytes", param=place)
    repeated = 0
    for number, (key, value) in enumerate(_parts(schema)):
        if number >= MOST_PARTS:
            raise BadRequest(f"{place} has more than {MOST_PARTS:,} parts", param=place)
        if key in _COUNTS:
            repeated += value if type(value) is int else 0
        if (wrong := _CHECKS.get(key, _fine)(value)) is not None:
            raise BadRequest(f"{place}: {wrong}", param=place)
    if repeated > MOST_REPEATED_IN_ALL:
        raise BadRequest(f"{place}: its limits come to more than {MOST_REPEATED_IN_ALL:,} items and characters", param=place)
    return schema


def _parts(value: Any, key: str = "", *, constant: bool = False) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """Every value of a schema with its keyword; names of properties are not keywords.

    In constants only what could cost something matters, since a $ref can point into them.
    """
    yield ("" if constant and key == "type" else key), value
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if key in _NAMED and not isinstance(inner, Mapping | bool):
                yield _NOT_A_SCHEMA, name
            yield from _parts(inner, "" if key in _NAMED else name, constant=constant or name in _CONSTANTS)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner, constant=constant)


def _fine(_: object) -> None:
    return None


def _wrong_type(value: object) -> str | None:
    types = value if isinstance(value, list) else [value]
    if all(isinstance(name, str) and name in _TYPES for name in types):
        return None
    return "a type is not one of " + ", ".join(sorted(_TYPES))


def _wrong_count(value: object) -> str | None:
    if type(value) is int and 0 <= value <= MOST_REPEATED:
        return None
    return f"a limit of items or characters is not a whole number from 0 to {MOST_REPEATED:,}"


def _wrong_reference(value: object) -> str | None:
    return None if isinstance(value, str) and value.startswith("#") else "a $ref does not begin with #, and nothing is fetched"


def _wrong_pattern(pattern: object) -> str | None:
    if not isinstance(pattern, str) or len(pattern) > LONGEST_PATTERN:
        return f"a pattern is not a text of at most {LONGEST_PATTERN} characters"
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return "a pattern does not begin with ^ and end with $: engines know only patterns of the whole text"
    product = 1
    for low, high in _REPETITION.findall(pattern):
        product *= max(int(low[:9] or 1), int(high[:9] or 1), 1)
    if product > MOST_REPEATED_IN_PATTERN:
        return f"the repetitions of a pattern come to more than {MOST_REPEATED_IN_PATTERN}"
    return None


_CHECKS: Mapping[str, Callable[[object], str | None]] = {
    "type": _wrong_type,
    "pattern": _wrong_pattern,
    "$ref": _wrong_reference,
    _NOT_A_SCHEMA: lambda name: f"what stands under {str(name)[:100]!r} is not a schema",
    **dict.fromkeys(_COUNTS, _wrong_count),
}
"""By keyword, the check of its value: what is wrong with it, or None."""
