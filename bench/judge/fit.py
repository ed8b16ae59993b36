"""The table of an ensemble (`gork/config/measured.py`), counted on development questions; never on those that it is judged by.

Favourites are counted where nothing was computed, since elsewhere they decide nothing. Each member's share in a kind is drawn towards its
share over all by `PSEUDO` cases; kinds with fewer than `LEAST_CASES` questions are pooled. Among near-equals the best of a small sample is
the luckiest: so the first of the ensemble's `prior` gives way to a better member only if that one's wins over it are more than chance, and
the favourite of all questions to that of a kind likewise. What may overrule the favourite is certified: the one-sided 95 % Clopper-Pearson
bound of wins / (wins + losses) is above a half. First all reasons together, in the order that holds without a table: one test needs fewer
cases than five. If that fails, each counts for itself, with Holm's correction.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import yaml
from msgspec.structs import replace

from bench.judge.contests import Ready
from bench.judge.statistics import at_least, holm
from gork.config.ensemble import Ensemble
from gork.config.measured import Certified, Favourites, Measured, Questions, Share, Wins, fingerprints
from gork.judging.rules import ENOUGH, Rules, prior_order, rules_for
from gork.turn import Kind, Reason

PSEUDO: Final = 20
LEAST_CASES: Final = 100
FOLDS: Final = 10
CHANCE: Final = 0.05
"""How likely a member's wins over the one in its place may be by chance."""


def table(found: Sequence[Ready], ensemble: Ensemble, sets: Mapping[str, str]) -> Measured:
    """The table that these cases give; `sets` are the question sets by name, with their hashes."""
    names = prior_order([member.name for member in ensemble.candidates], ensemble.choosing)
    in_words = [one for one in found if one.computed(names) is None]
    favourites = _favourites(in_words, names)
    counts = _counted(in_words, favourites)
    passed = holm({reason: at_least(said.wins, said.losses) for reason, said in counts.items()})
    computed = _against_computed(found, favourites)
    losing = holm({kind: at_least(said.losses, said.wins) for kind, said in computed.items()})
    measured = Measured(
        ensemble=ensemble.name,
        members=fingerprints(ensemble),
        questions=Questions(count=len({(one.case.item.set, one.case.item.id) for one in found}), sets=dict(sets)),
        favourites=favourites,
        together=_together(in_words, favourites),
        certified={reason: said for reason, said in counts.items() if reason in passed},
        uncertified={reason: said for reason, said in counts.items() if reason not in passed},
        computed_loses={kind: said for kind, said in computed.items() if kind in losing},
    )
    return _with_shares(measured, found, ensemble)


def ranking_for(favourites: Favourites, kind: Kind) -> tuple[str, ...]:
    """The members for this kind of question, best first."""
    return tuple(dict.fromkeys((*favourites.by_kind.get(kind, ()), *favourites.overall)))


def _favourites(found: Sequence[Ready], names: Sequence[str]) -> Favourites:
    """Who is best overall and by kind; `names` are the members in the order that holds where nothing else is known."""

    def share(cases: Sequence[Ready], name: str, *, towards: float | None = None) -> float:
        right = sum(one.case.right.get(name, False) for one in cases)
        return right / max(len(cases), 1) if towards is None else (right + PSEUDO * towards) / (len(cases) + PSEUDO)

    def ranked(cases: Sequence[Ready], incumbent: str) -> tuple[str, ...]:
        shrunk = {name: share(cases, name, towards=overall[name]) for name in names}
        best = sorted(names, key=lambda name: (-shrunk[name], names.index(name)))
        first = next((name for name in best if name == incumbent or at_least(*_duel(cases, name, incumbent)) < CHANCE), incumbent)
        return tuple(dict.fromkeys((first, *best)))

    overall = {name: share(found, name) for name in names}
    everyone = ranked(found, names[0])
    kinds: dict[Kind, list[Ready]] = defaultdict(list)
    for one in found:
        kinds[one.case.question.kind].append(one)
    small = [kind for kind, cases in kinds.items() if len(cases) < LEAST_CASES]
    pool = [one for kind in small for one in kinds[kind]]
    by_kind = {kind: ranked(cases, everyone[0]) for kind, cases in kinds.items() if kind not in small}
    if len(pool) >= LEAST_CASES:
        by_kind |= dict.fromkeys(small, ranked(pool, everyone[0]))
    return Favourites(overall=everyone, by_kind=dict(sorted(by_kind.items())))


def _duel(cases: Sequence[Ready], one: str, other: str) -> tuple[int, int]:
    """How often only the one was right, and only the other."""
    rights = [(case.case.right.get(one, False), case.case.right.get(other, False)) for case in cases]
    return rights.count((True, False)), rights.count((False, True))


def _counted(found: Sequence[Ready], favourites: Favourites) -> dict[Reason, Certified]:
    """How often each reason was right against the favourite where it spoke, and how often that was; in these nothing was computed."""
    tallies: dict[Reason, dict[Kind, list[int]]] = {reason: defaultdict(lambda: [0, 0]) for reason in Reason}
    for one in found:
        verdict = one.weighed(Rules(ranking=ranking_for(favourites, one.case.question.kind), may_overrule=()))
        for said in verdict.objections:
            won, lost = one.case.right[said.member], one.case.right[verdict.winner]
            if won != lost:
                tallies[said.reason][one.case.question.kind][lost] += 1
    return {
        reason: Certified(
            wins=sum(wins for wins, _ in by_kind.values()),
            losses=sum(losses for _, losses in by_kind.values()),
            by_kind={kind: Wins(wins=wins, losses=losses) for kind, (wins, losses) in sorted(by_kind.items()) if wins + losses >= ENOUGH},
        )
        for reason, by_kind in tallies.items()
    }


def _together(found: Sequence[Ready], favourites: Favourites) -> Wins | None:
    """The wins and losses of the rules without a table against the favourite, None if they may be chance; in these nothing was computed."""
    wins = losses = 0
    for one in found:
        ranking = ranking_for(favourites, one.case.question.kind)
        favourite, chosen = (one.weighed(rules).winner for rules in (Rules(ranking=ranking, may_overrule=()), Rules(ranking=ranking)))
        won, lost = one.case.right[chosen], one.case.right[favourite]
        wins, losses = wins + (won and not lost), losses + (lost and not won)
    return Wins(wins=wins, losses=losses) if at_least(wins, losses) < CHANCE else None


def _against_computed(found: Sequence[Ready], favourites: Favourites) -> dict[Kind, Wins]:
    """How often what was computed was right and the best words were not, by kind."""
    tallies: dict[Kind, list[int]] = defaultdict(lambda: [0, 0])
    for one in found:
        ranking = ranking_for(favourites, one.case.question.kind)
        verdict = one.computed(ranking)
        words = [answer for answer in one.usable if answer.computed is None]
        if verdict is None or not words:
            continue
        best = min(words, key=lambda answer: ranking.index(answer.member))
        won, lost = one.case.right[verdict.winner], one.case.right[best.member]
        if won != lost:
            tallies[one.case.question.kind][lost] += 1
    return {kind: Wins(wins=wins, losses=losses) for kind, (wins, losses) in tallies.items()}


def _with_shares(measured: Measured, found: Sequence[Ready], ensemble: Ensemble) -> Measured:
    """The table with how often its choice is right, by kind."""
    ensemble = replace(ensemble, measured=measured)
    tallies: dict[Kind, list[int]] = defaultdict(lambda: [0, 0])
    for one in found:
        kind = one.case.question.kind
        tallies[kind][0] += one.case.right[one.verdict(rules_for(one.case.question, ensemble)).winner]
        tallies[kind][1] += 1
    shares = {kind: Share(right=right, cases=cases) for kind, (right, cases) in sorted(tallies.items()) if cases >= ENOUGH}
    return replace(measured, right=shares)


def cross_fitted(found: Sequence[Ready], ensemble: Ensemble) -> Callable[[Ready], Measured]:
    """For each case a table that was counted on the other folds' questions; a question's fold is drawn from its name."""

    def fold(one: Ready) -> int:
        name = f"{one.case.item.set}/{one.case.item.id}"
        return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % FOLDS

    tables = [table([one for one in found if fold(one) != number], ensemble, {}) for number in range(FOLDS)]
    return lambda one: tables[fold(one)]


def written(measured: Measured) -> str:
    """The table as its file has it."""
    told = {key: value for key, value in msgspec.to_builtins(measured).items() if value or key in {"members", "questions", "favourites"}}
    head = (
        "# Measured by `python -m bench.judge --fit` (docs/choosing.md): the best candidates first, and how often each reason was right\n"
        "# against the favourite (wins) or the favourite against it (losses). It holds for members with these hashes.\n"
    )
    return head + yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=130, default_flow_style=None)
