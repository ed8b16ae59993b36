"""Schemas of clients: engines get what they keep of them, what they do not keep is said, and little is refused."""

from __future__ import annotations

import re

import pytest

from gork.errors import BadRequest
from gork.service.dialects.json_schema import LARGEST, MOST_PARTS, kept_schema
from gork.service.dialects.patterns import Unkeepable, whole_pattern
from tests.support.scripted_service import scripted_service
from tests.support.zod_patterns import ZOD_DATE, ZOD_UUID

TEXT = {"type": "string"}
PERSON = {
    "type": "object",
    "properties": {
        "name": {**TEXT, "maxLength": 100},
        "type": {"enum": ["person", "car"]},
        "minItems": {"type": ["integer", "null"], "minimum": 0},
        "plate": {**TEXT, "pattern": "^[A-Z]{1,3}[0-9]{4}$"},
        "children": {"type": "array", "items": {"$ref": "#"}, "minItems": 0, "maxItems": 10},
        "like": {"const": {"type": "car"}},
        "free": {},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"pattern": TEXT},
}


def test_an_honest_schema_goes_through_as_it_is():
    """Names of properties are no keywords, whatever they are; nor is what stands in constants."""
    kept = kept_schema(PERSON, "format")

    assert (PERSON, ()) == (kept.schema, kept.notes)


@pytest.mark.parametrize(
    ("given", "kept", "note"),
    [
        ({**TEXT, "format": "uri"}, TEXT, "the format 'uri' is not kept"),
        ({**TEXT, "format": "uuid", "pattern": ZOD_UUID}, {**TEXT, "format": "uuid"}, None),
        ({**TEXT, "pattern": r"^(?=a)b$"}, TEXT, "its pattern is not kept: it has anchors within, looks ahead"),
        ({**TEXT, "pattern": r"^\p{L}+$"}, TEXT, "its pattern is not kept: it is not a pattern that is known"),
        ({**TEXT, "pattern": "^((a{1,50}){1,50})$"}, TEXT, "its repetitions come to 2,500"),
        ({**TEXT, "maxLength": 2083}, {**TEXT, "maxLength": 2083}, None),
        ({**TEXT, "maxLength": 10**9}, TEXT, "maxLength is not kept"),
        ({"type": "array", "maxItems": 2000}, {"type": "array"}, "maxItems is not kept"),
        ({"type": "array", "uniqueItems": True}, {"type": "array"}, "uniqueItems is not kept"),
        ({"type": "array", "uniqueItems": False}, {"type": "array"}, None),
        ({"type": "array", "items": [TEXT, {}]}, {"type": "array", "prefixItems": [TEXT, {}]}, None),
        ({"type": "array", "prefixItems": [TEXT], "items": False}, {"type": "array", "prefixItems": [TEXT], "maxItems": 1}, None),
        ({"type": "array", "items": [TEXT], "additionalItems": False}, {"type": "array", "prefixItems": [TEXT], "maxItems": 1}, None),
        (
            {"type": "array", "items": TEXT, "additionalItems": False},  # which says nothing beside one schema for all items
            {"type": "array", "items": TEXT},
            None,
        ),
        (
            {"type": "array", "prefixItems": [TEXT], "items": False, "maxItems": 5},
            {"type": "array", "prefixItems": [TEXT], "maxItems": 1},
            None,
        ),
        (True, {}, None),
        ({"type": "object", "additionalProperties": False}, {"type": "object", "additionalProperties": False}, None),
        ({"not": {}}, {}, "not is not kept"),
        ({"oneOf": [TEXT, {"type": "null"}]}, {"anyOf": [TEXT, {"type": "null"}]}, None),
        ({"type": "STRING", "nullable": True, "format": None}, {"type": ["string", "null"]}, None),
        (
            {"type": "object", "propertyNames": TEXT, "additionalProperties": {}},
            {"type": "object", "additionalProperties": {}},
            "propertyNames",
        ),
        ({"type": "object", "patternProperties": {"^a": TEXT}}, {"type": "object", "additionalProperties": TEXT}, "patterns of its names"),
        ({**TEXT, "title": "X", "default": "y", "examples": ["z"], "$schema": "http://json-schema.org/draft-07/schema#"}, TEXT, None),
        ({"type": "integer", "exclusiveMinimum": True}, {"type": "integer"}, "exclusiveMinimum is not kept"),
    ],
    ids=[str(number) for number in range(24)],
)
def test_what_no_grammar_keeps_is_left_out_and_said(given, kept, note):
    """With the property's name, at any depth."""
    found = kept_schema({"type": "object", "properties": {"x": {"type": "array", "items": given}}}, "format")

    assert {"type": "object", "properties": {"x": {"type": "array", "items": kept}}} == found.schema
    assert [note is not None] == [bool(found.notes)] or not note
    assert note is None or found.notes[0].startswith("format: properties/x/items")
    assert note is None or note in found.notes[0]


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array", "items": TEXT, "minItems": 10**9}, "has a minItems of 1,000,000,000"),
        ({"type": "string", "maxLength": 1e300}, None),
        ({"type": "array", "minItems": -5}, "not a whole number"),
        ({"type": "array", "minItems": True}, "not a whole number"),
        ({"properties": {"properties": {"minItems": 10**9}}}, "has a minItems of"),
        ({"$ref": "#/const", "const": {"minItems": 10**9, "type": "array"}}, "which is not a schema in it"),
        ({"$ref": "#/$defs", "$defs": {"minItems": 10**9, "type": "array"}}, "is not a schema"),
        ({"$ref": "#/$defs/no"}, "which is not a schema in it"),
        ({"properties": {"a": "string"}}, "is not a schema"),
        ({"properties": {"a": False}}, "properties/a is false: nothing fits it"),
        ({"properties": {str(n): {**TEXT, "minLength": 5000} for n in range(5)}}, "20,000 in all limits together"),
        ({"anyOf": [{}] * MOST_PARTS}, "more than 8,000 parts"),
        ({"enum": ["x" * LARGEST]}, "larger than 131,072 bytes"),
        ({"pattern": 3}, "a pattern that is not a text"),
        ({"type": "text"}, "has a type that is not one of array, boolean"),
        ({"type": 5}, "has a type that is not one of"),
        ({"type": ["string", {}]}, "has a type that is not one of"),
        ({"enum": []}, "has an enum that is not a list of values"),
        ({"required": "x"}, "has a required that is not a list of names"),
        ({"$ref": "http://127.0.0.1/x"}, "nothing is fetched"),
    ],
    ids=[str(number) for number in range(20)],
)
def test_what_says_nothing_that_an_engine_could_do_is_refused(schema, why):
    """With the reason and the place in the schema; a most that is out of reach is left out instead."""
    if why is None:
        assert {"type": "string"} == kept_schema(schema, "the place").schema
        return
    with pytest.raises(BadRequest, match=f"^the place:? .*{re.escape(why)}") as refused:
        kept_schema(schema, "the place")
    assert "the place" == refused.value.param


def test_the_property_that_is_wrong_is_named():
    """A user of a schema with ten fields has to know which one."""
    with pytest.raises(BadRequest, match="properties/a/items/properties/b has a type"):
        kept_schema({"properties": {"a": {"items": {"properties": {"b": {"type": "text"}}}}}}, "format")


@pytest.mark.parametrize(
    ("pattern", "fits", "not_fits"),
    [
        (ZOD_UUID, "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        (ZOD_DATE, "2024-02-29T12:30:00Z", "2023-02-29T12:30:00Z"),
        (r"\d{5}", "ab12345c", "1234"),
        ("^ab.*", "abc", "cab"),
        (".*ab$", "cab", "abc"),
        ("^a.c$", "abc", 'a"c'),
        ("^a$|^b$", "b", "ab"),
        ("^K|9$", "x9", "9x"),
        (r"^\+?[1-9]\d{1,14}$", "+4912345", "0"),
        (r"^[\w.-]+@[^@\s]+$", "a.b-c@d", "a b@d"),
        (r"^[\s\S]*$", "anything", "\n"),
        (r"^(?<year>\d{4})$", "1999", "99"),
        (r"^\D+$", "ab", "a1"),
    ],
)
def test_patterns_mean_the_same_in_the_form_that_engines_know(pattern, fits, not_fits):
    """As far as JSON strings without escapes go."""
    written = whole_pattern(pattern)

    assert (True, False) == (bool(re.fullmatch(written[1:-1], fits)), bool(re.fullmatch(written[1:-1], not_fits)))
    assert (written[0], written[-1]) == ("^", "$")
    assert "." not in written.replace(r"\.", "")


@pytest.mark.parametrize("pattern", [r"a\bc", "(a)\\1", '"', "(?i)a", "(?i:a)", r"[\D5]", "[^]", "(", "a{1,99999}", "x" * 5000])
def test_what_no_engine_keeps_of_patterns_is_known_as_such(pattern):
    """A limit that is dropped is better than a text that is no JSON."""
    with pytest.raises(Unkeepable):
        whole_pattern(pattern)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/api/chat", {"format": {"type": "array", "minItems": 10**9}}),
        ("/v1/chat/completions", {"response_format": {"type": "json_schema", "json_schema": {"schema": {"minItems": 10**9}}}}),
        ("/v1/responses", {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"minItems": 10**9}}}, "input": "hi"}),
    ],
)
async def test_all_dialects_look_at_schemas(path, form):
    """400, and no model is asked."""
    async with scripted_service() as server:
        status, _ = await server.ask(path, {"model": "qwen", "messages": [{"role": "user", "content": "hi"}], **form})

        assert (400, []) == (status, server.models["qwen"].asked)
