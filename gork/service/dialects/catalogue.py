"""The models that clients of a chat dialect can name: the ensemble, and each member alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from gork.service.errors import BadRequest, NotFound
from gork.service.service import NAME, Service

LATEST = ":latest"
LONGEST_NAME = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One model as clients see it."""

    name: str
    member: str | None
    """Who answers alone; None for the whole ensemble."""
    runs: str
    """The model behind it, as its engine calls it; the ensemble's name for the ensemble."""
    digest: str
    """Changes when who answers changes, or what they are told."""
    context: int
    capabilities: tuple[str, ...]


class Catalogue:
    """What a service serves."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.since = datetime.now(UTC)
        """When the service began to serve: nothing older is known of its models."""

    @property
    def models(self) -> tuple[Served, ...]:
        """The ensemble, then its members in the order of a turn."""
        ensemble = self._service.ensemble
        whole = Served(
            name=NAME,
            member=None,
            runs=ensemble.name,
            digest=_digest([replace(member, url=None) for member in ensemble.members], ensemble.choosing, ensemble.candidates_see),
            context=ensemble.context,
            capabilities=("completion", "thinking"),
        )
        members = [
            Served(
                name=member.name,
                member=member.name,
                runs=self._service.models[member.name].model,
                digest=_digest(replace(member, url=None)),
                context=self._service.models[member.name].context,
                capabilities=("completion",),
            )
            for member in ensemble.members
            if member.name != NAME
        ]
        return (whole, *members)

    def find(self, name: str | None) -> Served:
        """The model of that name, with or without `:latest`. Raises `BadRequest` or `NotFound` in the words that Ollama has for it."""
        if not name:
            raise BadRequest("model is required", param="model")
        if len(name) > LONGEST_NAME:
            raise BadRequest("invalid model name", param="model")
        for model in self.models:
            if name.removesuffix(LATEST) == model.name:
                return model
        raise NotFound(f"model '{name}' not found", param="model", code="model_not_found")


def tagged(name: str) -> str:
    """A model's name with its tag.

    >>> tagged("qwen"), tagged("qwen:latest"), tagged("qwen3:0.6b")
    ('qwen:latest', 'qwen:latest', 'qwen3:0.6b')
    """
    return name if ":" in name else name + LATEST


def _digest(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
