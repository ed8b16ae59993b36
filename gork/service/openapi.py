"""The service's API as an OpenAPI 3.1 document, made from the records that requests are checked against and that replies are made of.

A client may rely on everything in it. Other fields that a client sends are ignored, other paths answer 404.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from gork import __version__
from gork.service import deliberate
from gork.service.dialects import ollama_messages as ollama
from gork.service.dialects import openai_completions, openai_responses
from gork.service.dialects import openai_messages as openai
from gork.service.dialects.requests import LATEST, TASK_HEADER, Catalogue
from gork.service.responses import OllamaError, OpenAIError, json_response
from gork.service.service import NAME, Readiness, Service

Json = dict[str, Any]

TEXT: Json = {"type": "string"}


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
    _, found = msgspec.json.schema_components(_RECORDS, ref_template="#/components/schemas/{name}")
    model: Json = {"type": "string", "enum": models}
    for name in ("OllamaChatRequest", "OllamaGenerateRequest", "OpenAIChatRequest", "OpenAITextRequest", "OpenAIResponsesRequest"):
        found[name]["properties"]["model"] = model
        found[name]["required"] = ["model", *(key for key in found[name].get("required", ()) if key != "model")]
    show = {"model": model, "name": {**TEXT, "deprecated": True, "description": "The old name of `model`."}}
    found["OllamaShowRequest"] |= {"properties": show, "required": ["model"]}
    for name in ("OllamaChatRequest", "OllamaGenerateRequest"):
        found[name]["properties"]["think"] = {"anyOf": [{"type": ["boolean", "null"]}, {"enum": list(ollama.LEVELS)}]}
        found[name]["properties"]["format"] = {"anyOf": [{"type": ["object", "null"]}, {"enum": ["json", ""]}]}
    return found


def _json_of(record: type) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{record.__name__}"}}}


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
_MODEL = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_TASK = {"name": TASK_HEADER, "in": "header", "schema": TEXT}
_TASK["description"] = "Set and not empty, one small model answers: for titles, tags and other side calls."

_TURN = (
    {"name": "turn", "in": "path", "required": True, "schema": TEXT, "description": "The id of the first event."},
    {"name": deliberate.TURN_HEADER, "in": "header", "required": True, "schema": TEXT, "description": "The token of the first event."},
)
_FROM = {"name": deliberate.LAST_EVENT, "in": "header", "schema": TEXT, "description": "The number of the last event that came."}
_NO_TURN = {"404": "No turn of that id and token is running, or ended in the last minutes."}
_NO_EVENT = {"400": "That is not the number of an event."}


_NO_PLACE = {"404": "It was asked from another machine.", "503": "There is no place left, or the service is being stopped."}


class _Operation(NamedTuple):
    """One operation: what it answers (if nothing, it is one that does something), what can go wrong, what it takes."""

    path: str
    summary: str
    reply: Json
    errors: Mapping[str, str] = {}
    body: type | None = None
    parameters: tuple[Json, ...] = ()

    def as_json(self) -> Json:
        error = _json_of(OpenAIError if self.path.startswith("/v1") else OllamaError)
        done = {"200": {"description": self.summary, "content": self.reply}} if self.reply else {"204": {"description": "It is so."}}
        replies: Json = dict(done)
        replies |= {status: {"description": why, "content": error} for status, why in {**self.errors, **_REFUSALS}.items()}
        operation: Json = {"summary": self.summary, "responses": replies, "parameters": list(self.parameters)}
        if self.body is None:
            return {"get" if self.reply else "post": operation}
        return {"post": {**operation, "requestBody": {"required": True, "content": _json_of(self.body)}}}


_CHAT, _GENERATE = {**_json_of(ollama.OllamaChatReply), **_NDJSON}, {**_json_of(ollama.OllamaGenerateReply), **_NDJSON}
_COMPLETION, _TEXT = {**_json_of(openai.OpenAICompletion), **_SSE}, {**_json_of(openai_completions.OpenAIText), **_SSE}
_RESPONSE = {**_json_of(openai_responses.OpenAIResponse), **_SSE}
_PULLED = {**_json_of(ollama.OllamaStatus), **_NDJSON}
_OPERATIONS = (
    _Operation("/api/version", "The version of Ollama whose API this is", _json_of(ollama.OllamaVersion)),
    _Operation("/api/tags", "List the models", _json_of(ollama.OllamaTags)),
    _Operation("/api/ps", "List the models that are in memory", _json_of(ollama.OllamaRunning)),
    _Operation("/api/show", "Describe a model", _json_of(ollama.OllamaShowReply), _MISTAKES, ollama.OllamaShowRequest),
    _Operation("/api/chat", "Answer a conversation", _CHAT, _ASKING, ollama.OllamaChatRequest, (_TASK,)),
    _Operation("/api/generate", "Answer a prompt", _GENERATE, _ASKING, ollama.OllamaGenerateRequest, (_TASK,)),
    _Operation("/api/pull", "Say that a model is there", _PULLED, _MISTAKES, ollama.OllamaPullRequest),
    _Operation("/v1/models", "List the models", _json_of(openai.OpenAIModels)),
    _Operation("/v1/models/{model}", "Describe a model", _json_of(openai.OpenAIModel), _MISTAKES, None, (_MODEL,)),
    _Operation("/v1/chat/completions", "Answer a conversation", _COMPLETION, _ASKING, openai.OpenAIChatRequest, (_TASK,)),
    _Operation("/v1/completions", "Answer a prompt", _TEXT, _ASKING, openai_completions.OpenAITextRequest, (_TASK,)),
    _Operation("/v1/responses", "Answer a conversation", _RESPONSE, _ASKING, openai_responses.OpenAIResponsesRequest, (_TASK,)),
    _Operation("/api/deliberate", "Run a turn and send its events", _SSE, _ASKING, deliberate.DeliberateRequest),
    _Operation("/api/deliberate/{turn}", "Send a turn's events once more", _SSE, _NO_TURN | _NO_EVENT, None, (*_TURN, _FROM)),
    _Operation("/api/deliberate/{turn}/stop", "Stop a turn", {}, _NO_TURN, None, _TURN),
    _Operation("/api/deliberate/{turn}/answer-now", "End a turn with what is written", {}, _NO_TURN, None, _TURN),
    _Operation("/api/read-ahead", "Have the models read what stands before a question", {}, _MISTAKES, deliberate.ReadAheadRequest),
    _Operation("/api/prompt", "Hold a place for a prompt in the service's own container, until either ends", _SSE, _NO_PLACE),
    _Operation("/api/members", "Say who answers, and whether each can", _json_of(deliberate.MemberList)),
    _Operation("/api/explain", "Have the judge say why a turn ended as it did", _SSE, _ASKING, deliberate.ExplainRequest),
    _Operation("/openapi.json", "This document", {"application/json": {"schema": {"type": "object"}}}),
)
_PROBES = {"/livez": "Whether the service lives", "/healthz": "The same", "/readyz": "Whether it can answer"}
_RECORDS = (
    *(operation.body for operation in _OPERATIONS if operation.body is not None),
    *(ollama.OllamaVersion, ollama.OllamaTags, ollama.OllamaRunning, ollama.OllamaShowReply),
    *(ollama.OllamaChatReply, ollama.OllamaGenerateReply, openai.OpenAIModels, openai.OpenAICompletion, openai.OpenAIChunk),
    *(ollama.OllamaStatus, openai_completions.OpenAIText, openai_responses.OpenAIResponse),
    *(deliberate.MemberList, OllamaError, OpenAIError, Readiness),
)


def _paths() -> Json:
    page: Json = {"summary": "The page for browsers, `Ollama is running` for others", "security": []}
    page["responses"] = {"200": {"description": "Either of them.", "content": {"text/html": {"schema": TEXT}, **_PLAIN}}}
    figures = {"summary": "Prometheus metrics", "responses": {"200": {"description": "All of them.", "content": _PLAIN}}}
    replies = {"200": {"description": "Yes."}, "503": {"description": "No."}}
    probes = {path: {"get": {"summary": summary, "security": [], "responses": replies}} for path, summary in _PROBES.items()}
    operations = {operation.path: operation.as_json() for operation in _OPERATIONS}
    return {"/": {"get": page}, **operations, **probes, "/metrics": {"get": figures}}
