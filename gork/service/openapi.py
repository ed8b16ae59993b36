"""The service's API as an OpenAPI 3.1 document: requests from the records that bodies are checked against, replies by hand.

What is in here is what a client may rely on. Other fields that a client sends are ignored, other paths answer 404.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from gork import __version__
from gork.service import deliberate
from gork.service.dialects import ollama_records, openai_records
from gork.service.dialects.catalogue import LATEST, Catalogue
from gork.service.service import NAME, Service
from gork.service.streams import json_bytes

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
COUNT: Json = {"type": "integer", "minimum": 0}
TIME: Json = {"type": "string", "format": "date-time"}
FLAG: Json = {"type": "boolean"}
TEXTS: Json = {"type": "array", "items": TEXT}


def routes(service: Service) -> list[web.RouteDef]:
    """What it answers."""
    document = json_bytes(described(service))

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json", charset="utf-8")

    return [web.get("/openapi.json", handler)]


def described(service: Service) -> Json:
    """The document for a service: the models that it has are in it."""
    names = [model.name for model in Catalogue(service).models]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": NAME,
            "version": __version__,
            "description": "Several small local models answer as one: in Ollama's dialect below /api, in OpenAI's below /v1.",
        },
        "paths": _paths(),
        "components": {
            "schemas": {**_requests([*names, *(name + LATEST for name in names)]), **REPLIES},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Where the service has one."}},
        },
        "security": [{}, {"token": []}],
    }


def _requests(models: list[str]) -> Json:
    """The schemas of all bodies, with what the records leave to be checked later: a model is one of those that are there."""
    found: Json = {}
    for prefix, records in (
        ("Ollama", (ollama_records.ChatRequest, ollama_records.GenerateRequest, ollama_records.ShowRequest)),
        ("OpenAI", (openai_records.ChatRequest,)),
        ("", (deliberate.DeliberateRequest, deliberate.ExplainRequest)),
    ):
        _, schemas = msgspec.json.schema_components(records, ref_template=f"#/components/schemas/{prefix}{{name}}")
        found |= {prefix + name: schema for name, schema in schemas.items()}
    model: Json = {"type": "string", "enum": models}
    for name in ("OllamaChatRequest", "OllamaGenerateRequest", "OpenAIChatRequest"):
        found[name]["properties"]["model"] = model
        found[name]["required"] = ["model", *(key for key in found[name].get("required", ()) if key != "model")]
    show = {"model": model, "name": {**TEXT, "deprecated": True, "description": "What `model` was called once."}}
    found["OllamaShowRequest"] |= {"properties": show, "required": ["model"]}
    for name in ("OllamaChatRequest", "OllamaGenerateRequest"):
        found[name]["properties"]["think"] = {"anyOf": [{"type": ["boolean", "null"]}, {"enum": list(ollama_records.LEVELS)}]}
        found[name]["properties"]["format"] = {"anyOf": [{"type": ["object", "null"]}, {"enum": ["json", ""]}]}
    return found


def _object(required: Mapping[str, Json], optional: Mapping[str, Json] | None = None) -> Json:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _list(of: Json) -> Json:
    return {"type": "array", "items": of}


def _const(value: object) -> Json:
    return {"const": value}


_DETAILS = _object(
    {"parent_model": TEXT, "format": TEXT, "family": TEXT, "families": TEXTS, "parameter_size": TEXT, "quantization_level": TEXT}
)
_NAMED = {"name": TEXT, "model": TEXT, "size": COUNT, "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "details": _DETAILS}
_TIMES = ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
_END = {"model": TEXT, "created_at": TIME, "done": FLAG}
_ENDED = {"done_reason": {"enum": ["stop", "length", "load", "unload"]}, **dict.fromkeys(_TIMES, COUNT)}
_USAGE = _object({"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT})
_REASONING = {"reasoning": TEXT, "reasoning_content": TEXT}
_MODEL = _object({"id": TEXT, "object": _const("model"), "created": COUNT, "owned_by": TEXT})
_ERROR = {"message": TEXT, "type": TEXT, "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}}

REPLIES: Json = {
    "OllamaError": _object({"error": TEXT}),
    "OpenAIError": _object({"error": _object(_ERROR)}),
    "OllamaVersion": _object({"version": TEXT, "gork_heavy_lite": TEXT}),
    "OllamaTags": _object({"models": _list(_object({**_NAMED, "modified_at": TIME, "capabilities": TEXTS}))}),
    "OllamaRunning": _object({"models": _list(_object({**_NAMED, "expires_at": TIME, "size_vram": COUNT, "context_length": COUNT}))}),
    "OllamaModel": _object(
        {
            "modelfile": TEXT,
            "parameters": TEXT,
            "template": TEXT,
            "details": _DETAILS,
            "model_info": {"type": "object"},
            "capabilities": TEXTS,
            "modified_at": TIME,
        }
    ),
    "OllamaChatReply": _object(
        {**_END, "message": _object({"role": _const("assistant"), "content": TEXT}, {"thinking": TEXT})},
        _ENDED,
    ),
    "OllamaGenerateReply": _object({**_END, "response": TEXT}, {"thinking": TEXT, **_ENDED}),
    "OpenAIModel": _MODEL,
    "OpenAIModels": _object({"object": _const("list"), "data": _list(_MODEL)}),
    "OpenAICompletion": _object(
        {
            "id": TEXT,
            "object": _const("chat.completion"),
            "created": COUNT,
            "model": TEXT,
            "system_fingerprint": TEXT,
            "choices": _list(
                _object(
                    {
                        "index": COUNT,
                        "message": _object({"role": _const("assistant"), "content": TEXT}, _REASONING),
                        "finish_reason": {"enum": ["stop", "length"]},
                    }
                )
            ),
            "usage": _USAGE,
        }
    ),
    "Members": _object(
        {
            "name": TEXT,
            "version": TEXT,
            "engine": TEXT,
            "ensemble": TEXT,
            "description": TEXT,
            "members": _list(_object({"member": TEXT, "role": TEXT, "model": TEXT, "where": TEXT, "state": TEXT})),
        }
    ),
    "Readiness": _object({"ready": FLAG}),
}
"""What replies have at least."""

_NDJSON = {"application/x-ndjson": {"schema": TEXT}}
_SSE = {"text/event-stream": {"schema": {"type": "object", "properties": {"event": TEXT, "data": TEXT}}}}
_PLAIN = {"text/plain": {"schema": TEXT}}
_MISTAKES = {"400": "The request cannot be understood, or asks for what there is not.", "404": "There is no such model."}
_REFUSALS = {
    "401": "The service has a token, and it was not sent.",
    "403": "The request comes from a place that may not ask.",
    "408": "The request did not arrive in time.",
    "413": "The body is too large.",
}
_TROUBLE = {
    "502": "No model could answer.",
    "503": "As many are being answered as can be, or the service is being stopped: Retry-After says when to ask again.",
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json_of(name: str) -> Json:
    return {"application/json": {"schema": _ref(name)}}


def _operation(
    summary: str, content: Json, errors: Iterable[Mapping[str, str]], *, error: str = "OllamaError", body: str | None = None
) -> Json:
    """One operation: what it gives, what can go wrong, what it takes."""
    replies: Json = {"200": {"description": summary, "content": content}}
    for table in (*errors, _REFUSALS):
        replies |= {status: {"description": why, "content": _json_of(error)} for status, why in table.items()}
    operation: Json = {"summary": summary, "responses": replies}
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _json_of(body)}
    return operation


def _probe(summary: str) -> Json:
    return {
        "summary": summary,
        "security": [],
        "responses": {status: {"description": why} for status, why in {"200": "Yes.", "503": "No."}.items()},
    }


def _paths() -> Json:
    asking, task = (_MISTAKES, _TROUBLE), {"name": "X-OpenWebUI-Task", "in": "header", "schema": TEXT}
    task["description"] = "Set and not empty, one small model answers: for titles, tags and other side calls."
    page: Json = {"summary": "The page for browsers, `Ollama is running` for others", "security": []}
    page["responses"] = {"200": {"description": "Either of them.", "content": {"text/html": {"schema": TEXT}, **_PLAIN}}}
    openai = {"error": "OpenAIError"}
    chat = _operation("Answer a conversation", {**_json_of("OllamaChatReply"), **_NDJSON}, asking, body="OllamaChatRequest")
    generate = _operation("Answer a prompt", {**_json_of("OllamaGenerateReply"), **_NDJSON}, asking, body="OllamaGenerateRequest")
    complete = _operation("Answer a conversation", {**_json_of("OpenAICompletion"), **_SSE}, asking, body="OpenAIChatRequest", **openai)
    one = _operation("Describe a model", _json_of("OpenAIModel"), [_MISTAKES], **openai)
    one["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}]
    deliberate = _operation("Run a turn and send its events", _SSE, asking, body="DeliberateRequest")
    explain = _operation("Have the judge say why a turn ended as it did", _SSE, asking, body="ExplainRequest")
    for operation in (chat, generate, complete):
        operation["parameters"] = [task]
    return {
        "/": {"get": page},
        "/api/version": {"get": _operation("The version of Ollama whose API this is", _json_of("OllamaVersion"), [])},
        "/api/tags": {"get": _operation("List the models", _json_of("OllamaTags"), [])},
        "/api/ps": {"get": _operation("List the models that are in memory", _json_of("OllamaRunning"), [])},
        "/api/show": {"post": _operation("Describe a model", _json_of("OllamaModel"), [_MISTAKES], body="OllamaShowRequest")},
        "/api/chat": {"post": chat},
        "/api/generate": {"post": generate},
        "/v1/models": {"get": _operation("List the models", _json_of("OpenAIModels"), [], **openai)},
        "/v1/models/{model}": {"get": one},
        "/v1/chat/completions": {"post": complete},
        "/api/deliberate": {"post": deliberate},
        "/api/members": {"get": _operation("Say who answers, and whether each can", _json_of("Members"), [])},
        "/api/explain": {"post": explain},
        "/livez": {"get": _probe("Whether the service lives")},
        "/healthz": {"get": _probe("The same")},
        "/readyz": {"get": _probe("Whether it can answer")},
        "/metrics": {"get": {"summary": "Prometheus metrics", "responses": {"200": {"description": "All of them.", "content": _PLAIN}}}},
        "/openapi.json": {"get": _operation("This document", {"application/json": {"schema": {"type": "object"}}}, [])},
    }
