"""An ensemble from the names of models alone: `--models a,b,c --judge d --promptimizer e`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from gork.config.ensemble import Ensemble, Member, ModelName, load_ensemble
from gork.config.schema import Wrong, parse_value
from gork.config.weights import weights_from

NAME: Final = "models"
_PROMPTS: Final = "heavy-lite"
"""The ensemble whose promptimizer and judge lend their instructions and examples."""


def ensemble_of(models: Sequence[str], *, judge: str | None = None, promptimizer: str | None = None) -> Ensemble:
    """The ensemble with these models as candidates, best first. Raises `Wrong` for what is no model.

    A model is a name, for an Ollama or a server with OpenAI's API, or a GGUF file for the embedded engine: its path, or its place on the
    model hub (owner/repository:file.gguf).

    >>> made = ensemble_of(["qwen3:0.6b", "Qwen/Qwen3-4B", "./x.gguf", "qwen3:0.6b"], judge="gemma3:1b")
    >>> [member.name for member in made.members]
    ['qwen3-0-6b', 'qwen3-4b', 'x', 'qwen3-0-6b-2', 'judge']
    >>> [(member.model, member.api) for member in made.members[1:3]]
    [('Qwen/Qwen3-4B', None), (None, 'embedded')]
    """
    lent, taken = load_ensemble(_PROMPTS), ["judge", "promptimizer"]
    candidates = []
    for text in models:
        name = _name(text, taken)
        taken.append(name)
        candidates.append(_placed(Member(name=name, options={"num_predict": 512}), text))
    assert lent.promptimizer is not None  # noqa: S101 - of a shipped file
    assert lent.judge is not None  # noqa: S101 - same
    return Ensemble(
        name=NAME,
        description=f"Of the models that were named: {', '.join(models)}.",
        promptimizer=None if promptimizer is None else _placed(lent.promptimizer, promptimizer),
        candidates=tuple(candidates),
        judge=None if judge is None else _placed(lent.judge, judge),
    )


def _placed(member: Member, text: str) -> Member:
    """The member on the model that a text means. Raises `Wrong`."""
    if not text.endswith(".gguf"):
        return replace(member, model=parse_value(ModelName, text), weights=None, api=None, url=None)
    on_hub = re.fullmatch(r"[^/\\:]+/[^/\\:]+(@[^/:]+)?:.+", text)
    weights = weights_from(hub=text) if on_hub else weights_from(path=text)
    return replace(member, model=None, weights=weights, api="embedded", url=None)


def _name(text: str, taken: Iterable[str]) -> str:
    """A member's name that tells its model, and that no other has."""
    last = re.split(r"[/\\:]" if text.endswith(".gguf") else r"/", text.removesuffix(".gguf"))[-1].removesuffix(":latest")
    name = re.sub(r"[^a-z0-9]+", "-", last.casefold()).strip("-")[:58] or "model"
    number = next(number for number in range(1, 100) if (name if number == 1 else f"{name}-{number}") not in taken)
    return name if number == 1 else f"{name}-{number}"


def models_of(text: object) -> tuple[str, ...]:
    """The models of a list, or of a text with commas. Raises `Wrong`."""
    parts = [part.strip() for part in text.split(",") if text.strip()] if isinstance(text, str) else text
    if not isinstance(parts, list | tuple) or len(parts) > 8 or not all(isinstance(part, str) and part for part in parts):
        raise Wrong("must be one to eight models, separated by commas: names, or GGUF files for the embedded engine")
    return tuple(parts)
