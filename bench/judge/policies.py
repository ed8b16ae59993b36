"""Selection policies on the same answers: each as the product runs it, over every order in which the answers can be listed."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

import final_script
from bench.judge.cases import Case
from bench.judge.concurrency import each
from bench.judge.reply_cache import CachedModel
from final_script import Team
from gork.config.ensemble import Choosing
from gork.config.signals import JUDGE_SIGNALS, SIGNALS
from gork.engines.call import Completion
from gork.engines.model import Choice
from gork.turn import Answer, Verdict

MOST_LISTINGS = 24
"""That is all listings of four answers; of more answers this many are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One choice of the judge among letters: which slot it put first, and how much of its probability lay on the letters."""

    slot: int
    slots: int
    mass: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one policy in one case."""

    case: Case
    chances: Mapping[str, float]
    """By member: the share of the listings under which it was chosen."""
    verdict: Verdict
    """Under the first listing, the file's order of candidates."""
    calls: tuple[Call, ...] = ()
    read: int = 0
    """Tokens that the judge read for that verdict."""
    wrote: int = 0
    seconds: float = 0.0
    """Of the judge's time, as measured when its replies were made; 0 if it was not asked."""

    @property
    def right(self) -> float:
        """The share of the listings under which a right answer was chosen."""
        return math.fsum(chance for member, chance in self.chances.items() if self.case.right[member])

    @property
    def flips(self) -> float:
        """How often two listings elect different answers."""
        return 1.0 - math.fsum(chance * chance for chance in self.chances.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A policy under a name."""

    name: str
    choosing: Choosing
    listings: bool = True
    """Whether every listing is tried, or the file's order of candidates alone."""


def _heard(judge: CachedModel) -> tuple[tuple[Call, ...], int, int, float]:
    """What the judge was asked: its choices, tokens read and written, seconds."""
    calls = tuple(
        Call(slot=max(range(len(labels)), key=lambda at: said.probabilities[labels[at]]), slots=len(labels), mass=said.mass)
        for labels, said in judge.choices
    )
    replies: list[Choice | Completion] = [*(said for _, said in judge.choices), *judge.completions]
    wrote = len(calls) + sum(own.tokens for own in judge.completions)
    return calls, sum(reply.prompt_tokens for reply in replies), wrote, math.fsum(reply.seconds for reply in replies)


def contenders(default: Choosing, *, candidates: int, has_judge: bool, every: bool) -> list[Contender]:
    """The ensemble's own policy, and what it is measured against."""
    alone = [Contender(name=name, choosing=_alone(default, name)) for name in SIGNALS if name not in {"prior", *JUDGE_SIGNALS}]
    orders = math.factorial(candidates)
    all_orders = Contender(name=f"listwise, {orders} orders", choosing=_alone(default, "listwise", orders))
    found = [Contender(name="default", choosing=default), Contender(name="prior", choosing=_alone(default, "prior")), *alone]
    if default.policy == "combined":
        free = {name: weight for name, weight in default.weights.items() if name not in JUDGE_SIGNALS}
        if any(free.values()) and free != dict(default.weights):
            found.insert(1, Contender(name="default without its judge", choosing=structs.replace(default, weights=free)))
    if has_judge and candidates > 1:
        found.append(all_orders)
        if every:
            found += [Contender(name=f"listwise, {count} orders", choosing=_alone(default, "listwise", count)) for count in (1, candidates)]
            found += [Contender(name=name, choosing=_alone(default, name)) for name in SIGNALS if name in JUDGE_SIGNALS - {"listwise"}]
    return found


def _alone(choosing: Choosing, policy: str, orders: int | None = None) -> Choosing:
    return structs.replace(choosing, policy=policy, orders=orders or choosing.orders)


async def run(contender: Contender, team: Team, cases: Sequence[Case], *, at_once: int = 1) -> list[Outcome]:
    """Let one policy choose in every case, in `at_once` of them at the same time."""
    team = replace(team, ensemble=structs.replace(team.ensemble, choosing=contender.choosing))
    return await each(cases, lambda case: _choose(contender, team, case), at_once=at_once)


async def _choose(contender: Contender, team: Team, case: Case) -> Outcome:
    listings = _listings(case) if contender.listings else [list(case.answers)]
    judge = team.judge.afresh() if isinstance(team.judge, CachedModel) else None
    if judge is not None:
        team = replace(team, judge=judge)
    first = await _verdict(team, case, listings[0])
    calls, read, wrote, seconds = ((), 0, 0, 0.0) if judge is None else _heard(judge)
    winners = [first.winner, *[(await _verdict(team, case, listing)).winner for listing in listings[1:]]]
    chances = {member: winners.count(member) / len(winners) for member in set(winners)}
    return Outcome(case=case, chances=chances, verdict=first, calls=calls, read=read, wrote=wrote, seconds=seconds)


async def _verdict(team: Team, case: Case, listing: Sequence[Answer]) -> Verdict:
    return await final_script.judge(case.question, listing, team, lambda _: None, seed=case.seed)


def _listings(case: Case) -> list[list[Answer]]:
    """The orders in which the answers can be listed, the file's first."""
    found = list(itertools.islice(itertools.permutations(case.answers), 10_000))
    if len(found) > MOST_LISTINGS:
        found = [found[0], *random.Random(case.seed).sample(found[1:], MOST_LISTINGS - 1)]
    return [list(listing) for listing in found]
