"""JSON schemas of clients: what engines keep of them, bounded before an engine sees it.

An engine makes a grammar of a schema. What its grammar cannot say it passes over in silence, or it samples without any grammar; and the
grammar grows with the numbers in the schema. So every schema is reduced to what engines keep: a limit, a pattern or a keyword that cannot
be kept is left out, and that is said (clients check again what they get). Only what has no form to fall back to is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import unquote

import msgspec

from gork.errors import BadRequest
from gork.service.dialects.patterns import Unkeepable, whole_pattern

LARGEST: Final = 128 << 10
"""Bytes of a schema."""
MOST_PARTS: Final = 8000
"""Lists, mappings and values in it."""
MOST_OF: Final[Mapping[str, int]] = {**dict.fromkeys(("minItems", "maxItems"), 1000), **dict.fromkeys(("minLength", "maxLength"), 10_000)}
MOST_IN_ALL: Final = 20_000
"""Items of a list and characters of a text: in one limit, and in all limits of a schema together."""
MOST_NOTES: Final = 6

FORMATS: Final = frozenset({"date", "time", "date-time", "duration", "uuid", "email", "ipv4", "ipv6", "hostname"})
"""The formats that grammars know; any other says nothing of the form of a text."""
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_UNKEPT = frozenset(
    {"uniqueItems", "propertyNames", "not", "if", "then", "else", "contains", "minContains", "maxContains", "minProperties"}
    | {"maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedItems", "unevaluatedProperties"}
)
"""Keywords that grammars pass over, or fail at."""
_NAMED = frozenset({"properties", "$defs", "definitions"})
_CONSTANTS = frozenset({"const", "enum"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMAS = frozenset({"items", "additionalProperties"})
_NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})


@dataclass(frozen=True, slots=True)
class KeptSchema:
    """What engines keep of a schema, and a line for each part that they do not."""

    schema: Mapping[str, Any]
    notes: tuple[str, ...]


def kept_schema(schema: Mapping[str, Any], place: str) -> KeptSchema:
    """What engines keep of a client's schema. Raises `BadRequest`, naming the property, for one that says nothing an engine could do."""
    if len(msgspec.json.encode(schema)) > LARGEST:
        raise BadRequest(f"{place} is larger than {LARGEST:,} bytes", param=place)
    reduction = _Reduction(place)
    kept = reduction.schema(schema, ())
    reduction.check_references(kept)
    notes = tuple(f"{place}: {note}" for note in reduction.notes[:MOST_NOTES])
    if (more := len(reduction.notes) - MOST_NOTES) > 0:
        notes += (f"{place}: {more} more parts are not kept",)
    return KeptSchema(kept, notes)


class _Reduction:
    """One schema being reduced."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._parts = 0
        self._references: list[tuple[tuple[str, ...], str]] = []
        self._repeated = 0
        self.notes: list[str] = []

    def schema(self, given: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - JSON
        """One schema, which may be a mapping or a boolean, at its path."""
        self._count(path)
        if given is True:
            return {}  # the same, in the form that all engines know
        if given is False:
            self._refuse(path, "is false: nothing fits it")
        if not isinstance(given, Mapping):
            self._refuse(path, "is not a schema")
        kept: dict[str, Any] = {}
        for key, value in given.items():
            if key in _UNKEPT and value not in (None, False):
                self._note(path, f"{key} is not kept")
            elif value is not None or key in _CONSTANTS:  # null is what clients write for what they leave open
                self._keyword(key, value, path, kept)
        items = given.get("items")
        if items is False or (isinstance(items, list) and given.get("additionalItems") is False):
            most = len(kept.get("prefixItems", ()))  # what that says, in the form that all engines know
            kept["maxItems"] = min(kept.get("maxItems", most), most)
        if "format" in kept:
            kept.pop("pattern", None)  # the grammar of a format that is known says the same, and better
        if "oneOf" in kept and "anyOf" not in kept:
            kept["anyOf"] = kept.pop("oneOf")  # no grammar makes sure that only one of them holds
        if isinstance(patterned := given.get("patternProperties"), Mapping) and patterned:
            self._names_free(patterned, path, kept)
        if given.get("nullable") is True and isinstance(kept.get("type"), str):
            kept["type"] = [kept["type"], "null"]  # as OpenAPI 3.0 has it
        return kept

    def _names_free(self, patterned: Mapping[str, Any], path: tuple[str, ...], kept: dict[str, Any]) -> None:
        """`patternProperties`: what stands under the names is kept where it is the same for all, the names are not."""
        self._note(path, "the patterns of its names are not kept")
        inner = [self.schema(value, (*path, "patternProperties", name)) for name, value in patterned.items()]
        if kept.get("additionalProperties", False) is False:
            kept["additionalProperties"] = inner[0] if len(inner) == 1 else True

    def _keyword(self, key: str, value: Any, path: tuple[str, ...], kept: dict[str, Any]) -> None:  # noqa: ANN401 - JSON
        """One keyword; those that are not known say nothing of the form, and nothing may refer to them."""
        if key == "items" and isinstance(value, list):
            key = "prefixItems"  # its name in older drafts
        if key in _NAMED and isinstance(value, Mapping):
            kept[key] = {name: self.schema(inner, (*path, key, name)) for name, inner in value.items()}
        elif key in _LISTS and isinstance(value, list):
            kept[key] = [self.schema(inner, (*path, key, str(index))) for index, inner in enumerate(value)]
        elif key == "additionalProperties" and isinstance(value, bool):
            kept[key] = value
        elif key == "items" and value is False:
            return  # nothing follows `prefixItems`: see `schema`
        elif key in _SCHEMAS:
            kept[key] = self.schema(value, (*path, key))
        elif key in _NAMED | _LISTS:
            self._refuse((*path, key), "does not hold schemas")
        elif (read := _READERS.get(key)) is not None:
            read(self, key, value, path, kept)

    def constant(self, key: str, value: object, path: tuple[str, ...], kept: dict[str, Any]) -> None:
        """`const` and `enum`: values, whatever they are."""
        if key == "enum" and (not isinstance(value, list) or not value):
            self._refuse(path, "has an enum that is not a list of values")
        self._constant(value, path)
        kept[key] = value

    def required(self, key: str, value: object, path: tuple[str, ...], kept: dict[str, Any]) -> None:
        """`required`: names of properties."""
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self._refuse(path, "has a required that is not a list of names")
        self._constant(value, path)
        kept[key] = value

    def number(self, key: str, value: object, path: tuple[str, ...], kept: dict[str, Any]) -> None:
        """The bounds of a number."""
        if isinstance(value, bool) or not isinstance(value, int | float) or (key == "multipleOf" and value <= 0):
            self._note(path, f"{key} is not kept: it is not a number that a grammar could hold")
        else:
            kept[key] = value

    def _constant(self, value: object, path: tuple[str, ...]) -> None:
        """Count what stands in a value that is no schema."""
        self._count(path)
        for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
            self._constant(inner, path)

    def _count(self, path: tuple[str, ...]) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BadRequest(f"{self._place} has more than {MOST_PARTS:,} parts (the next at {_shown(path)})", param=self._place)

    def type_of(self, key: str, value: object, path: tuple[str, ...], kept: dict[str, Any]) -> None:
        """`type`: names of types, in any case."""
        names = [name.lower() if isinstance(name, str) else name for name in (value if isinstance(value, list) else [value])]
        if not all(isinstance(name, str) and name in _TYPES for name in names):
            self._refuse(path, "has a type that is not one of " + ", ".join(sorted(_TYPES)))
        kept[key] = names if isinstance(value, list) else names[0]

    def reference(self, key: str, value: object, path: tuple[str, ...], kept: dict[str, Any]) -> None:
        """`$ref`: to a place within the schema, of a definition."""
        if not isinstance(value, str) or not value.startswith("#"):
            self._refuse(path, "has a $ref that does not begin with #, and nothing is fetched")
        self._references.append((path, value))
        kept[key] = value

    def check_references(self, kept: Any) -> None:  # noqa: ANN401 - JSON
        """Refuse a schema that refers to what is not a schema in it: engines would make no grammar of it."""
        for path, reference in self._references:
            there: Any = kept
            steps = unquote(reference).removeprefix("#").removeprefix("/").split("/") if reference != "#" else []
            for step in (step.replace("~1", "/").replace("~0", "~") for step in steps):
                inside = there[int(step)] if isinstance(there, list) and step.isdecimal() and int(step) < len(there) else None
                there = there.get(step) if isinstance(there, Mapping) and step not in _CONSTANTS else inside
            if not isinstance(there, Mapping | bool) or (steps[-1:] and steps[-1] in _NAMED and steps[-2:-1] != ["properties"]):
                self._refuse(path, f"refers to {reference[:100]!r}, which is not a schema in it")

    def format(self, key: str, value: object, path: tuple[str, ...], kept: dict[str, Any]) -> None:
        """`format`: one that is known."""
        if value in FORMATS:
            kept[key] = value
        else:
            self._note(path, f"the format {str(value)[:40]!r} is not kept: it is any text")

    def pattern(self, key: str, value: object, path: tuple[str, ...], kept: dict[str, Any]) -> None:
        """`pattern`: in the form that engines know."""
        if not isinstance(value, str):
            self._refuse(path, "has a pattern that is not a text")
        try:
            kept[key] = whole_pattern(value)
        except Unkeepable as why:
            self._note(path, f"its pattern is not kept: {why}")

    def limit(self, key: str, value: object, path: tuple[str, ...], kept: dict[str, Any]) -> None:
        """A number of items or characters: a most that is too large limits nothing, a least that is too large cannot be reached."""
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if type(whole) is not int or whole < 0:
            self._refuse(path, f"has a {key} that is not a whole number from 0 on")
        too_large = whole > MOST_OF[key] or self._repeated + whole > MOST_IN_ALL
        if too_large and key.startswith("min"):
            self._refuse(path, f"has a {key} of {whole:,}: at most {MOST_OF[key]:,}, and {MOST_IN_ALL:,} in all limits together, are kept")
        if too_large:
            self._note(path, f"{key} is not kept: {whole:,} is more than grammars hold")
            return
        self._repeated += whole
        kept[key] = whole

    def _note(self, path: tuple[str, ...], what: str) -> None:
        self.notes.append(f"{_shown(path)}: {what}")

    def _refuse(self, path: tuple[str, ...], what: str) -> NoReturn:
        raise BadRequest(f"{self._place}: {_shown(path)} {what}", param=self._place)


def _shown(path: tuple[str, ...]) -> str:
    return "/".join(path)[-200:] if path else "the schema itself"


_READERS: Final[Mapping[str, Callable[[_Reduction, str, Any, tuple[str, ...], dict[str, Any]], None]]] = {
    "type": _Reduction.type_of,
    "$ref": _Reduction.reference,
    "format": _Reduction.format,
    "pattern": _Reduction.pattern,
    "required": _Reduction.required,
    **dict.fromkeys(_CONSTANTS, _Reduction.constant),
    **dict.fromkeys(_NUMBERS, _Reduction.number),
    **dict.fromkeys(MOST_OF, _Reduction.limit),
}
