"""What Ollama's dialect says of itself and its models: the root, version, tags, ps, show."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gork import __version__
from gork.service import page
from gork.service.bodies import read_body
from gork.service.dialects.catalogue import LATEST, Catalogue, Served, tagged
from gork.service.dialects.ollama_records import ShowRequest
from gork.service.errors import NotFound, json_response
from gork.service.service import NAME, Service

Record = dict[str, Any]
OLLAMA_VERSION = "0.32.15"
"""Whose API this is. Clients refuse or hide features below some version of Ollama; ours, 0.1.0, would mean an Ollama of 2023."""
ARCHITECTURE = "gork"
NEVER = "2318-01-01T00:00:00Z"
"""When loaded models expire: not while the service runs. Ollama, too, gives a day three hundred years ahead for that."""


def routes(service: Service, catalogue: Catalogue) -> list[web.RouteDef]:
    """What it answers."""
    about = _About(service, catalogue)
    return [
        web.get("/", root),
        web.get("/api/version", about.version),
        web.get("/api/tags", about.tags),
        web.get("/api/ps", about.loaded),
        web.post("/api/show", about.show),
    ]


async def root(request: web.Request) -> web.StreamResponse:
    """The page for browsers; for everybody else the words by which programs know an Ollama."""
    if "text/html" in request.headers.get("Accept", "").lower():
        return await page.index(request)
    return web.Response(text="Ollama is running", headers={"Vary": "Accept"})


class _About:
    """The routes that ask no model for an answer."""

    def __init__(self, service: Service, catalogue: Catalogue) -> None:
        self._service, self._catalogue = service, catalogue
        self._since = catalogue.since.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def version(self, _request: web.Request) -> web.Response:
        """Give the version of Ollama that this is like, and beside it our own."""
        return json_response({"version": OLLAMA_VERSION, "gork_heavy_lite": __version__})

    async def tags(self, _request: web.Request) -> web.Response:
        """List the models."""
        return json_response({"models": [self._tag(model) for model in self._catalogue.models]})

    async def loaded(self, _request: web.Request) -> web.Response:
        """List the models that are in memory; the ensemble is if its candidates are."""
        up = {name for name, health in (await self._service.healths.refreshed()).items() if health.loaded}
        if up.issuperset(member.name for member in self._service.ensemble.candidates):
            up.add(NAME)
        return json_response({"models": [self._running(model) for model in self._catalogue.models if model.name in up]})

    async def show(self, request: web.Request) -> web.Response:
        """Describe one model."""
        asked = await read_body(request, ShowRequest)
        name = asked.model or asked.name
        try:
            model = self._catalogue.find(name)
        except NotFound:
            raise NotFound(f"model '{tagged(name or '')}' not found", param="model", code="model_not_found") from None
        options = {} if model.member is None else self._service.models[model.member].member.options
        return json_response(
            {
                "modelfile": f"# {model.name}, served by {NAME} {__version__}\nFROM {model.runs}\n",
                "parameters": "\n".join(f"{key:<30} {value}" for key, value in options.items()),
                "template": "{{ .Prompt }}",
                "details": _details(model),
                "model_info": {
                    "general.architecture": ARCHITECTURE,
                    "general.basename": model.name,
                    f"{ARCHITECTURE}.context_length": model.context,
                },
                "capabilities": model.capabilities,
                "modified_at": self._since,
            }
        )

    def _tag(self, model: Served) -> Record:
        return {
            "name": model.name + LATEST,
            "model": model.name + LATEST,
            "modified_at": self._since,
            "size": 0,  # what is behind a model may be on another machine
            "digest": model.digest,
            "details": {**_details(model), "context_length": model.context},
            "capabilities": model.capabilities,
        }

    def _running(self, model: Served) -> Record:
        return {
            "name": model.name + LATEST,
            "model": model.name + LATEST,
            "size": 0,
            "digest": model.digest,
            "details": _details(model),
            "expires_at": NEVER,
            "size_vram": 0,
            "context_length": model.context,
        }


def _details(model: Served) -> Record:
    family = ARCHITECTURE if model.member is None else model.runs
    return {
        "parent_model": model.runs,
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": "",
        "quantization_level": "",
    }
