"""Questions asked of an ensemble: the flow of the product itself, its rewrite and its candidates, and whether each answer is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.judge.graders import Broken, Right
from bench.judge.questions import Item
from bench.judge.reply_cache import CachedModel, ReplyStore
from final_script import Limits, Team, ask_all, promptimize
from gork.config.ensemble import Ensemble
from gork.engines.model import Engine
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


def team_of(engine: Engine, ensemble: Ensemble, store: ReplyStore) -> Team:
    """The ensemble's models in their roles, their replies kept, and with generous deadlines."""
    models = {name: CachedModel(model, store) for name, model in engine.models.items()}
    limits = Limits(rewrite=120.0, candidate=900.0, judge=900.0, turn=3600.0)
    return replace(Team.of(engine.name, ensemble, models), limits=limits)


async def ask(items: Sequence[Item], team: Team, seeds: Sequence[int], *, rewriting: bool, told: Callable[[int, int], None]) -> Asked:
    """Ask every question with every seed, with the promptimizer's rewrite or without it; `told` is called with the progress."""
    cases, broken, lost = [], [], []
    wanted = [(item, seed) for seed in seeds for item in items]
    for number, (item, seed) in enumerate(wanted):
        told(number, len(wanted))
        question = Question(text=item.ask)
        if rewriting:
            question = await promptimize(question, team, _unheard, seed=seed)
        results = await ask_all(question, team, _unheard, seed=seed)
        answers = tuple(result for result in results if isinstance(result, Answer))
        failures = tuple(result for result in results if isinstance(result, Failure))
        grades = {answer.member: item.grade(answer.text) for answer in answers}
        mistakes = [f"{item.id}: {said.what}" for said in grades.values() if isinstance(said, Broken)]
        if mistakes:
            broken += mistakes
        elif not answers:
            lost.append(f"{item.id}: {'; '.join(failure.message for failure in failures)}")
        else:
            right = {name: isinstance(said, Right) for name, said in grades.items()}
            cases.append(Case(item=item, seed=seed, question=question, answers=answers, right=right, failures=failures))
    told(len(wanted), len(wanted))
    return Asked(cases=tuple(cases), broken=tuple(broken), lost=tuple(lost))


def _unheard(_: Event) -> None:
    """Drop the events of a turn."""


def seeds_from(first: int, count: int) -> Iterator[int]:
    """Seeds far enough apart that no two candidates get the same one: their seeds count up from the turn's."""
    return (first + 1000 * number for number in range(count))
