"""Schemas of clients: what engines can do something with goes through, what would cost them too much or be passed over does not."""

from __future__ import annotations

import re

import pytest

from gork.errors import BadRequest
from gork.service.dialects.json_schema import LARGEST, MOST_PARTS, checked_schema
from tests.support.scripted_service import scripted_service

TEXT = {"type": "string"}
PERSON = {
    "type": "object",
    "properties": {
        "name": {**TEXT, "maxLength": 100},
        "type": {"enum": ["person", "car"]},
        "minItems": {"type": ["integer", "null"], "minimum": 0},
        "plate": {**TEXT, "pattern": "^[A-Z]{1,3}-[0-9]{4}$"},
        "children": {"type": "array", "items": {"$ref": "#"}, "minItems": 0, "maxItems": 10},
        "like": {"const": {"type": "car"}},
        "free": True,
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"pattern": TEXT},
    "default": {"type": "boat"},
}


def test_an_honest_schema_goes_through_unchanged():
    """Names of properties are no keywords, whatever they are; nor is what stands in constants."""
    assert checked_schema(PERSON, "format") is PERSON


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array", "items": TEXT, "minItems": 10**9}, "not a whole number from 0 to 1,000"),
        ({"type": "string", "maxLength": 1e300}, "not a whole number"),
        ({"type": "array", "minItems": -5}, "not a whole number"),
        ({"type": "array", "minItems": True}, "not a whole number"),
        ({"anyOf": [TEXT, {"items": {"not": {"minLength": 1001}}}]}, "not a whole number"),
        ({"properties": {"properties": {"minItems": 10**9}}}, "not a whole number"),
        ({"$ref": "#/const", "const": {"minItems": 10**9, "type": "array"}}, "not a whole number"),
        ({"$ref": "#/$defs", "$defs": {"minItems": 10**9, "type": "array"}}, "is not a schema"),
        ({"properties": {"a": "string"}}, "what stands under 'a' is not a schema"),
        ({"properties": {str(n): {**TEXT, "maxLength": 1000} for n in range(21)}}, "come to more than 20,000"),
        ({"anyOf": [{}] * MOST_PARTS}, "more than 2,000 parts"),
        ({"description": "x" * LARGEST}, "larger than 32,768 bytes"),
        ({"pattern": "^((a{1,50}){1,50})$"}, "come to more than 100"),
        ({"pattern": "^a{1,9999999999999}$"}, "come to more than 100"),
        ({"pattern": "^" + "a" * 200 + "$"}, "at most 200 characters"),
        ({"pattern": "a+"}, "does not begin with ^ and end with $"),
        ({"pattern": 3}, "not a text"),
        ({"type": "text"}, "a type is not one of array, boolean"),
        ({"type": 5}, "a type is not one of"),
        ({"type": ["string", {}]}, "a type is not one of"),
        ({"$ref": "http://127.0.0.1/x"}, "nothing is fetched"),
        ({"$ref": None}, "nothing is fetched"),
    ],
    ids=[str(number) for number in range(22)],
)
def test_what_costs_too_much_or_would_be_passed_over_is_refused(schema, why):
    """With the reason, and with the place in the request; so is the same deep inside of another."""
    for whole in (schema, {"type": "object", "properties": {"x": {"items": schema}}}):
        with pytest.raises(BadRequest, match=f"^the place:? .*{re.escape(why)}") as refused:
            checked_schema(whole, "the place")
        assert "the place" == refused.value.param


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/api/chat", {"format": {"type": "array", "minItems": 10**9}}),
        ("/v1/chat/completions", {"response_format": {"type": "json_schema", "json_schema": {"schema": {"minItems": 10**9}}}}),
    ],
)
async def test_both_dialects_look_at_schemas(path, form):
    """400, and no model is asked."""
    async with scripted_service() as server:
        status, _ = await server.ask(path, {"model": "qwen", "messages": [{"role": "user", "content": "hi"}], **form})

        assert (400, []) == (status, server.models["qwen"].asked)
