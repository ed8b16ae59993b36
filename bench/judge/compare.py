"""Ways to choose among the same answers, and what each is worth: the product's own, and what it is measured against."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced

from msgspec.structs import replace

from bench.judge.contests import Ready, plurality
from bench.judge.fit import ranking_for
from bench.judge.statistics import Interval, mcnemar, mean, paired_bootstrap
from gork.config.ensemble import Ensemble
from gork.config.measured import Measured
from gork.judging.checks.table import CHECKS, LONGEST
from gork.judging.decide import asks_judge, weigh
from gork.judging.rules import place, prior_order, rules_for
from gork.turn import Reason

Chances = Mapping[str, float]
"""By member how likely its answer is chosen; a way that draws lots gives several."""
Way = Callable[[Ready], Chances]
SHIPPED, WITHOUT_TABLE, WITH_TABLE = "the choice as it ships", "the same without a table", "the same with a table"
SAMPLED = "best member alone, three samples and a vote"
APART = ("word-sorting", "object-counting", "boolean-expressions", "multistep-arithmetic", "cruxeval")
"""Sets that are templates, or whose own code is run: every table is printed without them too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way's figures over all cases."""

    name: str
    accuracy: float
    by_set: Mapping[str, float]
    gain: Interval
    """Accuracy of the choice as it ships minus this way's."""
    won: int
    """Cases in which the choice as it ships is right and this way is not."""
    lost: int
    chance: float
    """The two-sided exact McNemar test of these two."""
    tokens: float
    """The candidates', read and written, a turn."""
    seconds: float
    """The slowest candidate's."""

    def as_json(self) -> dict[str, object]:
        """For the file."""
        return {
            "way": self.name,
            "accuracy": round(self.accuracy, 4),
            "by_set": {name: round(share, 4) for name, share in self.by_set.items()},
            "gain_of_the_choice": self.gain.as_json(),
            "choice_right_way_wrong": self.won,
            "choice_wrong_way_right": self.lost,
            "mcnemar_p": round(self.chance, 5),
            "tokens_a_turn": round(self.tokens, 1),
            "seconds_a_turn": round(self.seconds, 2),
        }


def as_shipped(ensemble: Ensemble, table_of: Callable[[Ready], Measured]) -> Callable[[Ready], Measured | None]:
    """The table by which the product itself decides a case: none where the ensemble has none."""
    return table_of if ensemble.measured is not None else lambda _: None


def ways(found: Sequence[Ready], ensemble: Ensemble, table_of: Callable[[Ready], Measured]) -> dict[str, Way]:
    """Everything that is compared, by its name; `table_of` gives the table that may be used for a case."""
    shipped, ships_a_table = as_shipped(ensemble, table_of), ensemble.measured is not None
    names = [member.name for member in ensemble.candidates]
    prior = prior_order(names, ensemble.choosing)
    best = best_alone(found, ensemble)
    with_programs = {name: mean([right(one, _computed_or(name)(one)) for one in found]) for name in names}
    best_with = max(names, key=lambda name: with_programs[name])

    def by_kind(one: Ready) -> str:
        return ranking_for(table_of(one).favourites, one.case.question.kind)[0]

    return {
        SHIPPED: lambda one: chosen(one, ensemble, shipped(one)),
        WITHOUT_TABLE if ships_a_table else WITH_TABLE: lambda one: chosen(one, ensemble, None if ships_a_table else table_of(one)),
        **{name: _alone(name) for name in names},
        f"best member alone ({best})": _alone(best),
        **({SAMPLED: lambda one: {one.vote(best): 1.0}} if any(one.case.samples for one in found) else {}),
        f"best member, with programs ({best_with})": _computed_or(best_with),
        "best member by kind": lambda one: {by_kind(one): 1.0},
        "best member by kind, with programs": lambda one: _computed_or(*ranking_for(table_of(one).favourites, one.case.question.kind))(one),
        "random": lambda one: {answer.member: 1 / len(one.case.answers) for answer in one.case.answers},
        "plurality of final answers": lambda one: {_plurality(one, prior): 1.0},
        "oracle": lambda one: {max(one.case.answers, key=lambda answer: one.case.right[answer.member]).member: 1.0},
    }


def best_alone(found: Sequence[Ready], ensemble: Ensemble) -> str:
    """The candidate whose answers are right most often."""
    names = [member.name for member in ensemble.candidates]
    return max(names, key=lambda name: mean([float(one.case.right.get(name, False)) for one in found]))


def rows(found: Sequence[Ready], ensemble: Ensemble, table_of: Callable[[Ready], Measured]) -> list[Row]:
    """The figures of every way, over these cases; the choice as it ships comes first."""
    everyone = ways(found, ensemble, table_of)
    rights = {name: [right(one, way(one)) for one in found] for name, way in everyone.items()}
    questions = [(one.case.item.set, one.case.item.id) for one in found]
    shipped = rights[SHIPPED]
    sets = sorted({name for name, _ in questions})
    made = []
    for name, shares in rights.items():
        gains = [own - other for own, other in zip(shipped, shares, strict=True)]
        won, lost = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
        alone = name if name in {member.name for member in ensemble.candidates} else None
        made.append(
            Row(
                name=name,
                accuracy=mean(shares),
                by_set={
                    part: mean([share for share, (within, _) in zip(shares, questions, strict=True) if within == part]) for part in sets
                },
                gain=paired_bootstrap(gains, questions),
                won=won,
                lost=lost,
                chance=mcnemar(won, lost) if name != "random" else math.nan,
                tokens=mean([_tokens(one, alone) for one in found]),
                seconds=mean([_seconds(one, alone) for one in found]),
            )
        )
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablated:
    """What one reason is worth if it alone may overrule the favourite."""

    reason: Reason
    spoke: int
    """Cases in which it spoke, nothing being computed."""
    wins: int
    losses: int
    right: float
    """How often the answer that it spoke for was right."""
    accuracy: float
    """Over all cases, if it alone may overrule."""


def ablation(found: Sequence[Ready], ensemble: Ensemble, table_of: Callable[[Ready], Measured]) -> tuple[float, list[Ablated]]:
    """The accuracy if nothing may overrule the favourite, and what each reason alone makes of it."""
    silent = [replaced(rules_for(one.case.question, replace(ensemble, measured=table_of(one))), may_overrule=()) for one in found]
    verdicts = [one.verdict(rules) for one, rules in zip(found, silent, strict=True)]
    before = [one.case.right[verdict.winner] for one, verdict in zip(found, verdicts, strict=True)]
    made = []
    for reason in Reason:
        spoken = [next((said.member for said in verdict.objections if said.reason is reason), None) for verdict in verdicts]
        after = [old if said is None else one.case.right[said] for one, old, said in zip(found, before, spoken, strict=True)]
        changed = [(old, new) for old, new, said in zip(before, after, spoken, strict=True) if said is not None]
        made.append(
            Ablated(
                reason=reason,
                spoke=len(changed),
                wins=sum(new and not old for old, new in changed),
                losses=sum(old and not new for old, new in changed),
                right=mean([float(new) for _, new in changed]),
                accuracy=mean([float(truth) for truth in after]),
            )
        )
    return mean([float(truth) for truth in before]), made


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one check or guard found, over all answers."""

    name: str
    against: int
    """Answers that it spoke against."""
    against_right: float
    """How many of these were right all the same."""
    speaks_for: int
    for_right: float


def checked(found: Sequence[Ready]) -> list[Checked]:
    """Each check of the table and each guard of the shortlist: how often the answers that it speaks of are right."""
    tallies: dict[str, tuple[list[bool], list[bool]]] = {}
    for one in found:
        usable = {answer.member for answer in one.usable}
        for answer in one.case.answers:
            right = one.case.right[answer.member]
            if answer.member not in usable:
                tallies.setdefault("left out before judging", ([], []))[0].append(right)
            for check in CHECKS:
                weight = math.fsum(finding.weight for finding in check(one.case.question.text[:LONGEST], answer.text[:LONGEST]))
                if weight:
                    tallies.setdefault(check.__name__, ([], []))[weight > 0].append(right)
    return [
        Checked(
            name=name,
            against=len(against),
            against_right=mean([float(right) for right in against]),
            speaks_for=len(speaks_for),
            for_right=mean([float(right) for right in speaks_for]),
        )
        for name, (against, speaks_for) in sorted(tallies.items())
    ]


def judge_share(found: Sequence[Ready], ensemble: Ensemble, table_of: Callable[[Ready], Measured | None]) -> tuple[int, int]:
    """In how many turns the judge is asked, and in how many nothing was computed and answers differ."""
    asked = differing = 0
    for one in found:
        rules = rules_for(one.case.question, replace(ensemble, measured=table_of(one)))
        if rules.computed_decides and one.computed(rules.ranking) is not None:
            continue
        verdict = weigh(one.contest(rules.ranking), rules, None)  # what is known before the judge is asked
        differing += verdict.note is None
        asked += verdict.note is None and asks_judge(verdict, rules)
    return asked, differing


def right(one: Ready, chances: Chances) -> float:
    """How likely a right answer is chosen."""
    truths = {**one.case.right, **one.case.samples_right}
    return math.fsum(chance for member, chance in chances.items() if truths.get(member, False))


def chosen(one: Ready, ensemble: Ensemble, table: Measured | None) -> Chances:
    """The product's choice by this table, or without one."""
    ensemble = replace(ensemble, measured=table)
    return {one.verdict(rules_for(one.case.question, ensemble)).winner: 1.0}


def _alone(name: str) -> Way:
    return lambda one: {name: 1.0}


def _computed_or(*ranking: str) -> Way:
    """What was computed, else this member's answer (the next one's where it has none)."""

    def choose(one: Ready) -> Chances:
        everyone = [*ranking, *(answer.member for answer in one.usable if answer.member not in ranking)]
        computed = one.computed(everyone)
        return {computed.winner if computed is not None else ranking[0]: 1.0}

    return choose


def _plurality(one: Ready, prior: Sequence[str]) -> str:
    """The member whose final answer most answers give; the best-ranked one of these."""
    return plurality(one.case.question, sorted(one.case.answers, key=lambda answer: place(answer.member, prior)))


def _tokens(one: Ready, alone: str | None) -> float:
    return sum(answer.tokens + answer.prompt_tokens for answer in one.case.answers if alone in {None, answer.member})


def _seconds(one: Ready, alone: str | None) -> float:
    return max((answer.seconds for answer in one.case.answers if alone in {None, answer.member}), default=0.0)
