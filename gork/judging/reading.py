"""The judge's reading: it answers the question itself, in a few words, and each answer counts by how far it says the same.

It sees no candidate's answer, so no order, no letter and no injection can sway it; what the others cost in comparison: docs/choosing.md.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from gork.config.ensemble import Choosing
from gork.engines.model import Model
from gork.judging.objections import Contest, Reading
from gork.judging.prompts import own_messages
from gork.text.final_answer import final_answer, same
from gork.text.language import LIGHT
from gork.turn import OnEvent, Token

OWN_TOKENS: Final = 48
"""Most tokens of the judge's own answer."""


@dataclass(slots=True)
class Usage:
    """What one verdict cost the judge."""

    calls: int = 0
    tokens: int = 0
    """Read and written, including those that its cache may have held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSession:
    """The judge, how it is asked, and its time and usage, for one verdict."""

    judge: Model | None
    choosing: Choosing
    on_event: OnEvent
    ends: float
    """When the judge has to be done, in seconds of `time.monotonic()`."""
    answer_now: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the user waits for it no longer."""
    usage: Usage = field(default_factory=Usage)

    @property
    def reader(self) -> Model:
        """The judge. It is a bug to ask for it where there is none."""
        assert self.judge is not None, "the judge was asked where there is none"  # noqa: S101 - a bug, not a failure
        return self.judge

    @property
    def budget(self) -> int:
        """Tokens that one prompt of the judge may have."""
        return min(self.choosing.judge_tokens, self.reader.context - 64)

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return max(self.ends - time.monotonic(), 0.01)

    async def own_answer(self, question: str) -> str:
        """The judge's own answer in a few words; raises a `ModelError`."""
        member = self.reader.member
        completion = await self.reader.chat(
            own_messages(question, self.budget, member.examples),
            options={"temperature": 0.0, **member.options, "num_predict": OWN_TOKENS},
            # This is not an answer of the turn, so its tokens are not shown.
            on_event=lambda event: None if isinstance(event, Token) else self.on_event(event),
            limit_s=self.left_s,
        )
        self.usage.calls += 1
        self.usage.tokens += completion.prompt_tokens + completion.tokens
        return completion.text.strip()


async def read(contest: Contest, session: JudgeSession) -> Reading:
    """What the judge says of each answer, equal ones included. Raises a `ModelError`."""
    own = await session.own_answer(contest.question.text)
    return Reading(scores=_likeness(contest, own), own=own)


def _likeness(contest: Contest, own: str) -> dict[str, float]:
    """How far each answer says what the judge's own says (0 to 1): by the final answers where both have one, else by their words."""
    asked = frozenset(words_of(contest.question.text))
    final, words = final_answer(own, contest.question.text, contest.question.kind), content(own, asked)
    scores = {}
    for answer in contest.voters:
        other = contest.finals[answer.member]
        alike = float(same(final, other)) if final is not None and other is not None else None
        scores[answer.member] = _found(words, content(answer.text, asked)) if alike is None else alike
    return scores


def words_of(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"\w+", text.lower())


def content(text: str, asked: frozenset[str] = frozenset()) -> Counter[str]:
    """The words of a text that carry meaning and do not merely repeat what was `asked`.

    >>> sorted(content("The capital of France is Paris.", frozenset({"capital", "france"})))
    ['paris']
    """
    return Counter(word for word in words_of(text) if word not in LIGHT["en"] and word not in asked)


def _found(wanted: Counter[str], words: Counter[str]) -> float:
    """The share of the different `wanted` words that are among `words`."""
    return sum(word in words for word in wanted) / len(wanted) if wanted else 0.0
