"""Cases made ready for choosing: what is usable, what was computed, what the judge says. From there on every choice is plain code.

It is the product's own code that makes them ready and that chooses (`final_script.judge`, step by step), so that tables, ablations and
cross-validation cost seconds, and no model is asked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.judge.cases import Case
from bench.judge.concurrency import each
from bench.judge.reply_cache import CachedModel
from final_script import Team
from gork.computing.results import tried_on_examples
from gork.errors import ModelError
from gork.judging.computed import by_computed
from gork.judging.decide import shortlist, weigh
from gork.judging.objections import Contest, Reading
from gork.judging.reading import read
from gork.judging.rules import Rules
from gork.text.final_answer import final_answer, same
from gork.turn import Answer, Question, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """One case, ready for choosing."""

    case: Case
    usable: tuple[Answer, ...]
    reading: Reading | None = None
    unread: bool = False
    """Whether the judge was asked and gave none."""
    read_tokens: int = 0
    """What the judge read and wrote for it."""
    read_s: float = 0.0
    replies: Mapping[str, dict[str, Any]] = field(default_factory=dict, compare=False)
    """What it replied, by key."""

    _known: dict[Hashable, Verdict | None] = field(default_factory=dict, compare=False, repr=False)
    """Verdicts that were made before: tables are printed several times over the same cases."""

    def computed(self, ranking: Sequence[str]) -> Verdict | None:
        """The verdict of what was computed."""
        known = tuple(ranking)
        if known not in self._known:
            self._known[known] = by_computed(self.case.question, self.usable, known)
        return self._known[known]

    def contest(self, ranking: Sequence[str]) -> Contest:
        """What is chosen among where nothing was computed."""
        return Contest.of(self.case.question, self.usable, tuple(ranking))

    def weighed(self, rules: Rules) -> Verdict:
        """The verdict as if nothing were computed."""
        if (known := self._known.get(rules)) is None:
            known = self._known[rules] = weigh(self.contest(rules.ranking), rules, self.reading)
        return known

    def verdict(self, rules: Rules) -> Verdict:
        """The product's verdict by these rules."""
        found = self.computed(rules.ranking) if rules.computed_decides else None
        return found or self.weighed(rules)

    def vote(self, name: str) -> str:
        """Who wins a vote among this member's answer and its further samples: what programs printed, else the final answers."""
        first = next((answer for answer in self.case.answers if answer.member == name), None)
        voters = [*([first] if first is not None else []), *self.case.samples]
        if not voters:
            return name
        computed = by_computed(self.case.question, voters, [voter.member for voter in voters])
        return computed.winner if computed is not None else plurality(self.case.question, voters)

    @property
    def differs(self) -> bool:
        """Whether it matters which of the usable answers is chosen."""
        return len({self.case.right[answer.member] for answer in self.usable}) == 2


def plurality(question: Question, standing: Sequence[Answer]) -> str:
    """The member whose final answer most of these give; the first one of those."""
    finals = {answer.member: final_answer(answer.text, question.text, question.kind) for answer in standing}

    def votes(answer: Answer) -> int:
        own = finals[answer.member]
        return sum(same(own, other) for other in finals.values())

    return max(standing, key=votes).member


async def ready(
    cases: Sequence[Case], team: Team, *, at_once: int, told: Callable[[int, int], None] = lambda *_: None, hear_judge: bool = True
) -> list[Ready]:
    """Make cases ready; the judge is asked where nothing was computed and its word can matter: where usable answers differ in truth."""

    async def one(case: Case) -> Ready:
        usable = shortlist(case.question, case.answers).answers
        if team.sandbox is not None:
            usable = (await tried_on_examples(case.question, usable, team.sandbox)).answers
        found = Ready(case=case, usable=usable)
        ranking = [model.name for model in team.candidates]
        if not hear_judge or team.judge is None or not found.differs or found.computed(ranking) is not None:
            return found
        judge = team.judge.afresh() if isinstance(team.judge, CachedModel) else team.judge
        session = replace(team.judge_session(lambda _: None), judge=judge)
        try:
            reading = await read(found.contest(ranking), session)
        except ModelError:
            return replace(found, unread=True)
        seconds, replies = (judge.seconds, judge.used) if isinstance(judge, CachedModel) else (0.0, {})
        return replace(found, reading=reading, read_tokens=session.usage.tokens, read_s=seconds, replies=replies)

    return await each(cases, one, at_once=at_once, told=told)
