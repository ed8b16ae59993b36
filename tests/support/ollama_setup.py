"""What the tests of the Ollama engine have in common: an engine with short deadlines, and a log of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gork.config.ensemble import Member
from gork.engines.call import Deadlines
from gork.engines.http import STANDARD_LIMITS, HttpLimits
from gork.engines.model import Model
from gork.engines.ollama.engine import OllamaEngine
from gork.turn import Event, Message

MODEL = "tiny:1b"
SOON = Deadlines(connect=2.0, load=5.0, first_token=5.0, prefill_rate=1000.0, idle=5.0, patience=0.0)


def engine(
    *members: Member,
    host: str,
    deadlines: Deadlines = SOON,
    context: int = 2048,
    keep_s: float | None = None,
    limits: HttpLimits = STANDARD_LIMITS,
    **load_options: Any,
) -> OllamaEngine:
    """An engine on these members."""
    return OllamaEngine(members, host=host, deadlines=deadlines, load_options=load_options, context=context, keep_s=keep_s, limits=limits)


def asked(text: str = "What is up?") -> list[Message]:
    """A conversation of one question."""
    return [{"role": "user", "content": text}]


class Talk:
    """Calls to one model, and the events that came of them."""

    def __init__(self, model: Model) -> None:
        self.model, self.events = model, list[Event]()

    async def chat(self, text: str = "What is up?", *, limit_s: float | None = None, logprobs: bool = False, **options: Any):
        """Ask for a completion."""
        return await self.model.chat(asked(text), options=options, on_event=self.events.append, limit_s=limit_s, logprobs=logprobs)

    async def choose(self, labels: Sequence[str] = ("A", "B", "C"), *, text: str = "Which?", lead_in: str = "Answer:"):
        """Ask for a choice."""
        return await self.model.choose(asked(text), labels, lead_in=lead_in, on_event=self.events.append)

    def states(self) -> list[str]:
        """The states that the member went through."""
        return [str(event.state) for event in self.events if hasattr(event, "state")]
