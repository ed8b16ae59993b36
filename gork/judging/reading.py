"""The judge's reading: it answers the question itself, in a few words, and each answer counts by how far it says the same.

It sees no candidate's answer, so no order, no letter and no injection can sway it, and it need not wait for any of them; what the other
ways to read cost in comparison: docs/choosing.md.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from gork.config.ensemble import Choosing
from gork.engines.model import Model
from gork.errors import ModelError
from gork.judging.objections import Contest, Reading
from gork.judging.prompts import own_messages
from gork.text.final_answer import final_answer, same
from gork.text.language import LIGHT
from gork.turn import MemberState, OnEvent, State, Token

OWN_TOKENS: Final = 48
"""Most tokens of the judge's own answer."""
_WORD = re.compile(r"\w+")


@dataclass(slots=True)
class Usage:
    """What one verdict cost the judge."""

    calls: int = 0
    tokens: int = 0
    """Read and written, including those that its cache may have held."""
    seconds: float = 0.0
    """In which it read and wrote, whoever else was at work meanwhile."""


@dataclass(slots=True, kw_only=True)
class JudgeSession:
    """The judge, how it is asked, and its time and usage, for one verdict. Leaving it stops a judge that is still at work."""

    judge: Model | None
    choosing: Choosing
    on_event: OnEvent
    limit_s: float
    """Seconds that it has for one reply."""
    answer_now: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the user waits for it no longer."""
    usage: Usage = field(default_factory=Usage)
    _ahead: asyncio.Task[str] | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._ahead is None:
            return
        if self._ahead.cancel() and kind is None:
            self.on_event(MemberState(self.reader.name, State.NOT_NEEDED))
        (ended,) = await asyncio.gather(self._ahead, return_exceptions=True)
        if kind is None and isinstance(ended, Exception) and not isinstance(ended, ModelError):
            raise ended

    @property
    def reader(self) -> Model:
        """The judge. It is a bug to ask for it where there is none."""
        assert self.judge is not None, "the judge was asked where there is none"  # noqa: S101 - a bug, not a failure
        return self.judge

    @property
    def budget(self) -> int:
        """Tokens that one prompt of the judge may have."""
        return min(self.choosing.judge_tokens, self.reader.context - 64)

    def ask_ahead(self, question: str) -> None:
        """Have it begin now, before anybody needs its answer; why it fails is told by whoever does."""
        self._ahead = asyncio.create_task(self._asked_ahead(question), name=f"ask {self.reader.name} ahead")

    async def _asked_ahead(self, question: str) -> str:
        try:
            return await self._asked(question)
        except ModelError:
            self.on_event(MemberState(self.reader.name, State.FAILED))
            raise

    async def own_answer(self, question: str) -> str:
        """The judge's own answer in a few words, asked for now unless that was done ahead; raises a `ModelError`."""
        return await (self._asked(question) if self._ahead is None else self._ahead)

    async def _asked(self, question: str) -> str:
        member = self.reader.member
        completion = await self.reader.chat(
            own_messages(question, self.budget, member.examples),
            options={"temperature": 0.0, **member.options, "num_predict": OWN_TOKENS},
            # This is not an answer of the turn, so its tokens are not shown.
            on_event=lambda event: None if isinstance(event, Token) else self.on_event(event),
            limit_s=self.limit_s,
        )
        self.usage.calls += 1
        self.usage.tokens += completion.prompt_tokens + completion.tokens
        self.usage.seconds += completion.seconds
        self.on_event(MemberState(self.reader.name, State.DONE))
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
    return _WORD.findall(text.lower())


def content(text: str, asked: frozenset[str] = frozenset()) -> Counter[str]:
    """The words of a text that carry meaning and do not merely repeat what was `asked`.

    >>> sorted(content("The capital of France is Paris.", frozenset({"capital", "france"})))
    ['paris']
    """
    return Counter(word for word in words_of(text) if word not in LIGHT["en"] and word not in asked)


def _found(wanted: Counter[str], words: Counter[str]) -> float:
    """The share of the different `wanted` words that are among `words`."""
    return sum(word in words for word in wanted) / len(wanted) if wanted else 0.0
