"""Schemas of zod and pydantic on models that write: JSON of the schema each time, on the embedded engine and on a real Ollama.

Slow: about forty answers of the smallest real weights for each engine. Run with `-m slow`; the part of Ollama needs its program on PATH.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gork.config.settings import load_settings
from gork.engines.call import Deadlines
from gork.engines.choose import ollama_engine
from gork.engines.llama.engine import EmbeddedEngine
from gork.service.dialects.json_schema import kept_schema
from tests.support.json_samples import sample
from tests.support.served import Served, serving
from tests.support.zod_patterns import ZOD_DATE, ZOD_UUID

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TEXT: dict[str, Any] = {"type": "string", "maxLength": 40}
FIELDS: dict[str, dict[str, Any]] = {
    "zod string": {"type": "string", "minLength": 1, "maxLength": 60},
    "zod uuid": {"type": "string", "format": "uuid", "pattern": ZOD_UUID},
    "zod iso.datetime": {"type": "string", "format": "date-time", "pattern": ZOD_DATE},
    "zod iso.date": {"type": "string", "format": "date", "pattern": r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"},
    "zod ipv6": {"type": "string", "format": "ipv6"},
    "zod url": {**TEXT, "format": "uri"},
    "zod startsWith": {**TEXT, "pattern": "^ab.*"},
    "zod endsWith": {**TEXT, "pattern": ".*ab$"},
    "zod regex with lookaround": {**TEXT, "pattern": r"^(?=a)[a-z]+$"},
    "zod jwt": {**TEXT, "format": "jwt"},
    "zod record": {"type": "object", "propertyNames": TEXT, "additionalProperties": {"type": "integer"}, "maxProperties": 3},
    "zod literal union": {"anyOf": [{"const": "red"}, {"const": "green"}, {"type": "null"}]},
    "zod tuple": {"type": "array", "prefixItems": [TEXT, {"type": "integer"}], "items": False, "minItems": 2, "maxItems": 2},
    "pydantic HttpUrl": {"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083},
    "pydantic pattern": {"type": "string", "pattern": r"^\d{5}$"},
    "pydantic bounded int": {"type": "integer", "minimum": 0, "maximum": 120},
    "pydantic set": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "maxItems": 3},
    "pydantic optional": {"anyOf": [TEXT, {"type": "null"}], "default": None, "title": "Nick"},
    "pydantic enum": {"$ref": "#/$defs/Color"},
    "pydantic float": {"type": "number"},
    "pydantic nested list": {"type": "array", "items": {"$ref": "#/$defs/City"}, "maxItems": 2},
}
DEFINITIONS = {
    "Color": {"enum": ["red", "green", "blue"], "title": "Color", "type": "string"},
    "City": {
        "type": "object",
        "properties": {"name": TEXT, "population": {"type": "integer"}},
        "required": ["name", "population"],
        "additionalProperties": False,
    },
}


@asynccontextmanager
async def embedded(weights: Path) -> AsyncIterator[Served]:
    """The service over the ensemble tiny in this process's own llama.cpp."""
    settings = load_settings({"port": "0", "ensemble": "tiny", "engine": "embedded"}, {})
    ensemble = settings.ensemble
    files = {member.name: weights for member in ensemble.members}
    together = [member.name for member in ensemble.candidates]
    async with (
        EmbeddedEngine(ensemble.members, files=files, context=2048, cores=1, deadlines=Deadlines(), together=together) as engine,
        serving(settings, engine) as served,
    ):
        yield served


@asynccontextmanager
async def on_ollama(url: str) -> AsyncIterator[Served]:
    """The service over the five models of a real Ollama."""
    settings = load_settings({"port": "0", "threads": "1"}, {"OLLAMA_HOST": url})
    async with ollama_engine(settings) as engine, serving(settings, engine) as served:
        yield served


@pytest.fixture(params=["embedded", pytest.param("ollama", marks=pytest.mark.ollama)])
async def served(request, starter_gguf):
    """The service, and a member to ask by name, since one answer is enough to see a schema kept."""
    if request.param == "embedded":
        async with embedded(starter_gguf) as found:
            yield found, "plain"
    else:
        async with on_ollama(request.getfixturevalue("real_ollama").url) as found:
            yield found, "qwen"


async def test_every_schema_is_kept_by_real_models(served):
    """A field of each kind in both dialects: what comes is JSON of the schema as far as engines keep it, and whole."""
    found, member = served
    for field in FIELDS.values():
        schema = {"type": "object", "properties": {"x": field}, "required": ["x"], "additionalProperties": False, "$defs": DEFINITIONS}
        kept = kept_schema(schema, "format").schema
        for answer in (await asked_ollama(found, member, schema), await asked_openai(found, member, schema)):
            jsonschema.validate(json.loads(answer), kept, format_checker=jsonschema.FormatChecker())


async def test_a_whole_turn_is_json_of_the_schema(served):
    """Three candidates, all held to it; the chosen one is valid."""
    found, _ = served
    answer = await asked_openai(found, "gork-heavy-lite", {**DEFINITIONS["City"], "title": "City"})

    assert {"name", "population"} == set(json.loads(answer))


async def asked_ollama(served: Served, model: str, schema: dict[str, Any]) -> str:
    """The answer to a question with `format`."""
    example = json.dumps(sample(schema))
    body = {
        "model": model,
        "stream": False,
        "think": False,
        "format": schema,
        "options": {"temperature": 0, "seed": 1, "num_predict": 400},
        "messages": [{"role": "user", "content": f"Reply with JSON like this: {example}"}],
    }
    async with served.client.post(f"{served.url}/api/chat", json=body) as reply:
        found = await reply.json()
    assert (200, "stop") == (reply.status, found.get("done_reason")), (schema, found)
    return str(found["message"]["content"])


async def asked_openai(served: Served, model: str, schema: dict[str, Any]) -> str:
    """The answer to a question with `response_format`."""
    example = json.dumps(sample(schema))
    body = {
        "model": model,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}},
        "temperature": 0,
        "seed": 1,
        "max_completion_tokens": 400,
        "messages": [{"role": "user", "content": f"Give me another one like this: {example}"}],
    }
    async with served.client.post(f"{served.url}/v1/chat/completions", json=body) as reply:
        found = await reply.json()
    assert (200, "stop") == (reply.status, found["choices"][0]["finish_reason"]), (schema, found)
    return str(found["choices"][0]["message"]["content"])
