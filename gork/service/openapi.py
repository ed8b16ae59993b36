"""The service's API as an OpenAPI 3.1 document, made from the records that requests are checked against and that replies are made of.

A client may rely on everything in it. Other fields that a client sends are ignored, other paths answer 404.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from gork import __version__
from gork.service import deliberate
from gork.service.dialects import ollama_messages, openai
from gork.service.dialects.requests import LATEST, TASK_HEADER, Catalogue
from gork.service.responses import OllamaError, OpenAIError, json_response
from gork.service.service import NAME, Readiness, Service

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
RECORDS = (
    *(
        ollama_messages.OllamaChatRequest,
        ollama_messages.OllamaGenerateRequest,
        ollama_messages.OllamaShowRequest,
        openai.OpenAIChatRequest,
    ),
    *(deliberate.DeliberateRequest, deliberate.ExplainRequest, OllamaError, OpenAIError, Readiness, deliberate.Members),
    *(ollama_messages.OllamaVersion, ollama_messages.OllamaTags, ollama_messages.OllamaRunning, ollama_messages.OllamaModel),
    *(ollama_messages.OllamaChatReply, ollama_messages.OllamaGenerateReply),
    *(openai.OpenAIModel, openai.OpenAIModels, openai.OpenAICompletion, openai.OpenAIChunk),
)
_NDJSON = {"application/x-ndjson": {"schema": TEXT}}
_SSE = {"text/event-stream": {"schema": {"type": "object", "properties": {"event": TEXT, "data": TEXT}}}}
_PLAIN = {"text/plain": {"schema": TEXT}}
_MISTAKES = {"400": "The request cannot be understood, or asks for what cannot be done.", "404": "There is no such model."}
_REFUSALS = {
    "401": "The service has a token, and it was not sent.",
    "403": "The request comes from a place that may not ask.",
    "408": "The request did not arrive in time.",
    "413": "The body is too large.",
}
_ASKING = _MISTAKES | {
    "502": "No model could answer.",
    "503": "As many are being answered as can be, or the service is being stopped: Retry-After says when to ask again.",
}


def routes(service: Service) -> list[web.RouteDef]:
    """`/openapi.json`."""
    document = document_of(service)

    async def handler(_request: web.Request) -> web.Response:
        return json_response(document)

    return [web.get("/openapi.json", handler)]


def document_of(service: Service) -> Json:
    """The document for a service, with the names of the models that it has."""
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
            "schemas": _schemas([*names, *(name + LATEST for name in names)]),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Where the service has one."}},
        },
        "security": [{}, {"token": []}],
    }


def _schemas(models: list[str]) -> Json:
    """The schemas of all records, with what the records leave to later checks: which models there are, and Ollama's words."""
    _, found = msgspec.json.schema_components(RECORDS, ref_template="#/components/schemas/{name}")
    model: Json = {"type": "string", "enum": models}
    for name in ("OllamaChatRequest", "OllamaGenerateRequest", "OpenAIChatRequest"):
        found[name]["properties"]["model"] = model
        found[name]["required"] = ["model", *(key for key in found[name].get("required", ()) if key != "model")]
    show = {"model": model, "name": {**TEXT, "deprecated": True, "description": "The old name of `model`."}}
    found["OllamaShowRequest"] |= {"properties": show, "required": ["model"]}
    for name in ("OllamaChatRequest", "OllamaGenerateRequest"):
        found[name]["properties"]["think"] = {"anyOf": [{"type": ["boolean", "null"]}, {"enum": list(ollama_messages.LEVELS)}]}
        found[name]["properties"]["format"] = {"anyOf": [{"type": ["object", "null"]}, {"enum": ["json", ""]}]}
    return found


def _json_of(record: type) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{record.__name__}"}}}


def _operation(
    summary: str, content: Json, errors: Mapping[str, str] | None = None, *, error: type = OllamaError, body: type | None = None
) -> Json:
    """One operation: what it answers, what can go wrong, what it takes."""
    replies: Json = {"200": {"description": summary, "content": content}}
    replies |= {status: {"description": why, "content": _json_of(error)} for status, why in {**(errors or {}), **_REFUSALS}.items()}
    operation: Json = {"summary": summary, "responses": replies}
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _json_of(body)}
    return operation


def _probe(summary: str) -> Json:
    replies = {status: {"description": why} for status, why in {"200": "Yes.", "503": "No."}.items()}
    return {"summary": summary, "security": [], "responses": replies}


def _chat(content: Json, body: type, summary: str = "Answer a conversation", error: type = OllamaError) -> Json:
    task = "Set and not empty, one small model answers: for titles, tags and other side calls."
    header = {"name": TASK_HEADER, "in": "header", "schema": TEXT, "description": task}
    return {**_operation(summary, content, _ASKING, body=body, error=error), "parameters": [header]}


def _paths() -> Json:
    page: Json = {"summary": "The page for browsers, `Ollama is running` for others", "security": []}
    page["responses"] = {"200": {"description": "Either of them.", "content": {"text/html": {"schema": TEXT}, **_PLAIN}}}
    one = _operation("Describe a model", _json_of(openai.OpenAIModel), _MISTAKES, error=OpenAIError)
    one["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}]
    chat, generate = ({**_json_of(reply), **_NDJSON} for reply in (ollama_messages.OllamaChatReply, ollama_messages.OllamaGenerateReply))
    complete = {**_json_of(openai.OpenAICompletion), **_SSE}
    explain = "Have the judge say why a turn ended as it did"
    get: dict[str, Json] = {
        "/": page,
        "/api/version": _operation("The version of Ollama whose API this is", _json_of(ollama_messages.OllamaVersion)),
        "/api/tags": _operation("List the models", _json_of(ollama_messages.OllamaTags)),
        "/api/ps": _operation("List the models that are in memory", _json_of(ollama_messages.OllamaRunning)),
        "/v1/models": _operation("List the models", _json_of(openai.OpenAIModels), error=OpenAIError),
        "/v1/models/{model}": one,
        "/api/members": _operation("Say who answers, and whether each can", _json_of(deliberate.Members)),
        "/livez": _probe("Whether the service lives"),
        "/healthz": _probe("The same"),
        "/readyz": _probe("Whether it can answer"),
        "/metrics": {"summary": "Prometheus metrics", "responses": {"200": {"description": "All of them.", "content": _PLAIN}}},
        "/openapi.json": _operation("This document", {"application/json": {"schema": {"type": "object"}}}),
    }
    show = ollama_messages.OllamaShowRequest
    post: dict[str, Json] = {
        "/api/show": _operation("Describe a model", _json_of(ollama_messages.OllamaModel), _MISTAKES, body=show),
        "/api/chat": _chat(chat, ollama_messages.OllamaChatRequest),
        "/api/generate": _chat(generate, ollama_messages.OllamaGenerateRequest, "Answer a prompt"),
        "/v1/chat/completions": _chat(complete, openai.OpenAIChatRequest, error=OpenAIError),
        "/api/deliberate": _operation("Run a turn and send its events", _SSE, _ASKING, body=deliberate.DeliberateRequest),
        "/api/explain": _operation(explain, _SSE, _ASKING, body=deliberate.ExplainRequest),
    }
    return {
        **{path: {"get": operation} for path, operation in get.items()},
        **{path: {"post": operation} for path, operation in post.items()},
    }
