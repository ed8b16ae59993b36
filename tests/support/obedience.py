"""Candidates that write the smallest JSON of the form that they are given, as engines with a grammar do; words where none is asked for."""

from __future__ import annotations

import json
from typing import Any

from gork.engines.call import Completion, PartialCompletion
from tests.support.json_samples import sample
from tests.support.scripted_service import ScriptedServer


def obedient(server: ScriptedServer) -> None:
    """Have every candidate of a scripted service keep to forms."""
    for name in ("qwen-small", "qwen", "llama"):
        model = server.models[name]
        model.replies = [_form_of(model, model.replies[0])]


def _form_of(model: Any, words: Any) -> Any:
    async def reply(draft: PartialCompletion) -> Completion:
        wanted = model.formats[-1]
        draft.add(words if wanted is None else json.dumps({} if wanted == "json" else sample(wanted)))
        return draft.completion("stop")

    return reply
