"""Questions asked of an ensemble: the flow of the product itself, its rewrite and its candidates, and whether each answer is right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import structs

from bench.judge.concurrency import each
from bench.judge.graders import Broken, Grade, Right
from bench.judge.questions import Item
from bench.judge.reply_cache import CachedModel, ReplyStore
from final_script import Team, ask_all, promptimize
from final_script import ask as ask_candidate
from gork.computing.asking import kind_in_thread
from gork.computing.sandbox import Sandbox
from gork.config.ensemble import Ensemble, Member
from gork.engines.call import RunningCall
from gork.engines.model import Engine
from gork.flow import Limits
from gork.judging.rules import rules_for
from gork.turn import Answer, Event, Failure, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question asked with one seed: what the candidates answered, and whether each answer is right."""

    item: Item
    seed: int
    question: Question
    answers: tuple[Answer, ...]
    right: Mapping[str, bool]
    """By member."""
    failures: tuple[Failure, ...] = ()
    samples: tuple[Answer, ...] = ()
    """Further answers of one member, to vote with its first one; each under a name of its own."""
    samples_right: Mapping[str, bool] = field(default_factory=dict)
    """By those names."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What names the case: set, question and seed."""
        return self.item.set, self.item.id, self.seed

    @property
    def differs(self) -> bool:
        """Whether it matters which answer is chosen."""
        return len(set(self.right.values())) == 2

    @property
    def truths(self) -> list[bool]:
        """Whether each answer is right, in the order of the answers."""
        return [self.right[answer.member] for answer in self.answers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """All questions asked, and what could not be graded."""

    cases: tuple[Case, ...]
    broken: tuple[str, ...]
    """One line for each check that failed: neither right nor wrong."""
    lost: tuple[str, ...] = ()
    """One line for each question that no candidate answered."""


def team_of(engine: Engine, ensemble: Ensemble, store: ReplyStore, sandbox: Sandbox | None) -> Team:
    """The ensemble's models in their roles, their replies kept, and with generous deadlines; programs run in `sandbox`, if there is one."""
    models = {name: CachedModel(model, store) for name, model in engine.models.items()}
    choosing = structs.replace(ensemble.choosing, wait="all")  # what is compared needs them all
    ensemble = structs.replace(ensemble, choosing=choosing)
    limits = Limits(rewrite=900.0, candidate=900.0, judge=900.0, turn=3600.0)
    return replace(Team.of(engine.name, ensemble, models), limits=limits, sandbox=sandbox)


@dataclass(frozen=True, slots=True)
class _Ungraded:
    """A question without a case, and why: its check is broken, or nobody answered."""

    broken: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def widened(ensemble: Ensemble, at_once: int) -> Ensemble:
    """The ensemble whose members each answer `at_once` requests at the same time."""

    def wide(member: Member) -> Member:
        return structs.replace(member, parallel=at_once * member.parallel)

    return structs.replace(
        ensemble,
        promptimizer=ensemble.promptimizer and wide(ensemble.promptimizer),
        candidates=tuple(map(wide, ensemble.candidates)),
        judge=ensemble.judge and wide(ensemble.judge),
    )


async def ask(
    items: Sequence[Item],
    team: Team,
    seeds: Sequence[int],
    *,
    rewriting: bool,
    at_once: int,
    told: Callable[[int, int], None],
    known: Sequence[Case] = (),
) -> Asked:
    """Ask every question with every seed, `at_once` of them at the same time, with the promptimizer's rewrite or without it.

    What is `known` is not asked again. `told` is called with the progress.
    """
    by_key = {case.key: case for case in known}

    async def asked(which: tuple[Item, int]) -> Case | _Ungraded:
        item, seed = which
        return by_key.get((item.set, item.id, seed)) or await _ask(item, seed, team, rewriting=rewriting)

    wanted = [(item, seed) for seed in seeds for item in items]
    found = await each(wanted, asked, at_once=at_once, told=told)
    ungraded = [one for one in found if isinstance(one, _Ungraded)]
    return Asked(
        cases=tuple(one for one in found if isinstance(one, Case)),
        broken=tuple(line for one in ungraded for line in one.broken),
        lost=tuple(line for one in ungraded for line in one.lost),
    )


async def _ask(item: Item, seed: int, team: Team, *, rewriting: bool) -> Case | _Ungraded:
    """Ask one question and grade the answers."""
    question = Question(text=item.ask)
    question = replace(question, kind=kind_in_thread(question))
    if rewriting:
        question = await promptimize(question, team, _unheard, seed=seed)
    results = await ask_all(question, team, rules_for(question, team.ensemble), _unheard, seed=seed)
    answers = tuple(result for result in results if isinstance(result, Answer))
    failures = tuple(result for result in results if isinstance(result, Failure))
    grades = {answer.member: await _graded(item, answer) for answer in answers}
    name = f"{item.set}/{item.id}"
    if broken := tuple(f"{name}: {said.what}" for said in grades.values() if isinstance(said, Broken)):
        return _Ungraded(broken=broken)
    if not answers:
        return _Ungraded(lost=(f"{name}: {'; '.join(failure.message for failure in failures)}",))
    right = {name: isinstance(said, Right) for name, said in grades.items()}
    return Case(item=item, seed=seed, question=question, answers=answers, right=right, failures=failures)


SAMPLES: Final = 3
"""How many answers of one member vote."""
_SAMPLED_AT: Final = 0.7
"""The temperature of further answers, where the member's own is lower: at 0 they would all be the first one."""


async def sampled(found: Sequence[Case], team: Team, name: str, *, at_once: int, told: Callable[[int, int], None]) -> list[Case]:
    """The cases with further answers of the candidate `name`, so that there are `SAMPLES` with its first one."""
    model = next(model for model in team.candidates if model.name == name)

    own = model.member.options.get("temperature")
    warm = max(_SAMPLED_AT, own) if isinstance(own, (int, float)) else _SAMPLED_AT

    async def one(case: Case) -> Case:
        question = replace(case.question, options={**case.question.options, "temperature": warm})
        answers = []
        for number in range(1, SAMPLES):
            result = await ask_candidate(model, question, team, _unheard, seed=case.seed + 100 * number, call=RunningCall())
            if isinstance(result, Answer):
                answers.append(replace(result, member=f"{name} {number + 1}"))
        grades = {answer.member: await _graded(case.item, answer) for answer in answers}
        return replace(case, samples=tuple(answers), samples_right={sample: isinstance(said, Right) for sample, said in grades.items()})

    return await each(found, one, at_once=at_once, told=told)


async def _graded(item: Item, answer: Answer) -> Grade:
    """The grade of an answer; one whose program is run for it is graded in a thread, so that the other questions go on."""
    return await asyncio.to_thread(item.grade, answer.text) if item.needs_python else item.grade(answer.text)


def _unheard(_: Event) -> None:
    """Drop the events of a turn."""


def seeds_from(first: int, count: int) -> Iterator[int]:
    """Seeds far enough apart that no two candidates get the same one: their seeds count up from the turn's."""
    return (first + 1000 * number for number in range(count))
