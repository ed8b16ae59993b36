"""The smallest values that JSON schemas allow, as an engine that keeps to a schema might write them."""

from __future__ import annotations

import re._constants as op
import re._parser as parser
from collections.abc import Mapping
from typing import Any

FORMATS = {
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
    "date": "2024-02-29",
    "time": "12:00:00Z",
    "date-time": "2024-02-29T12:00:00Z",
    "duration": "P1D",
    "email": "ada@example.org",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "hostname": "localhost",
}


def sample(schema: Any, root: Any = None) -> Any:
    """A value that a schema allows; the schema is one that engines keep."""
    root = schema if root is None else root
    match schema:
        case bool() | {"const": None}:
            return None
        case {"$ref": str(reference)}:
            there = root
            for step in reference.removeprefix("#").removeprefix("/").split("/"):
                there = there[step] if step else there
            return sample(there, root)
        case {"const": value} | {"enum": [value, *_]}:
            return value
        case {"anyOf": [first, *_]}:
            return sample(first, root)
        case {"allOf": parts}:
            return {name: value for part in parts for name, value in sample(part, root).items()}
    return _of_type(schema, root)


def _of_type(schema: Mapping[str, Any], root: Any) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {name: sample(schema.get("properties", {}).get(name, {}), root) for name in schema.get("required", ())}
        case "array":
            first = [sample(part, root) for part in schema.get("prefixItems", ())]
            return first + [sample(schema.get("items", {}), root)] * max(schema.get("minItems", 0) - len(first), 0)
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case "boolean" | "null" as name:
            return {"boolean": True, "null": None}[name]
    return _text(schema)


def _text(schema: Mapping[str, Any]) -> str:
    if "pattern" in schema:
        return _matching(parser.parse(schema["pattern"]))
    return FORMATS.get(schema.get("format"), "x" * max(schema.get("minLength", 1), 1))


def _matching(nodes: Any) -> str:
    """A text that a pattern matches."""
    text = ""
    for kind, value in nodes:
        match kind:
            case op.LITERAL:
                text += chr(value)
            case op.IN:
                text += "x" if value[0][0] is op.NEGATE else chr(value[0][1][0] if value[0][0] is op.RANGE else value[0][1])
            case op.BRANCH:
                text += _matching(value[1][0])
            case op.SUBPATTERN:
                text += _matching(value[3])
            case op.MAX_REPEAT:
                text += _matching(value[2]) * value[0]
    return text
