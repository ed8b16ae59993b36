"""By what a turn is decided: the favourite for its kind of question, and what may overrule it.

With a table (`gork/config/measured.py`) both are what was measured, as far as it holds for this turn. Without one the favourite is the
first of the configured order, and what may overrule it is what does best on ensembles whose tables are withheld (docs/choosing.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gork.config.ensemble import Choosing, Ensemble
from gork.config.measured import Measured, fingerprint
from gork.text.language import language, script
from gork.text.tokens import tokens
from gork.turn import Kind, Question, Reason, Unmeasured

WITHOUT_TABLE: Final = (Reason.CHECKS, Reason.AGREEMENT_AND_JUDGE, Reason.AGREEMENT, Reason.JUDGE)
"""What may overrule the first of the configured order, the strongest first."""
ENOUGH: Final = 20
"""So many deciding cases of a kind say more of that kind than those of all kinds do."""
_NOT_SAMPLING: Final = frozenset({"seed", "num_predict", "stop"})
"""Options of a client that do not change how words are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decides one turn."""

    ranking: tuple[str, ...]
    """All candidates, the best first: the favourite is the first one whose answer can be used."""
    kind: Kind | None = None
    """The kind of question that the ranking was measured for; None where it is that of all questions."""
    may_overrule: tuple[Reason, ...] = WITHOUT_TABLE
    """The reasons that count, the strongest first."""
    computed_decides: bool = True
    asks_always: bool = True
    """Whether the judge is asked although its word would change nothing."""
    measured: bool = False
    unmeasured: tuple[Unmeasured, ...] = ()
    sure: float | None = None
    """How often the choice was right for such questions, where that was measured."""

    @property
    def hears_judge(self) -> bool:
        """Whether the judge's word can count."""
        return any(reason.asks_judge for reason in self.may_overrule)

    @property
    def may_ask_judge(self) -> bool:
        """Whether the judge will be asked, or may be, whatever the answers are."""
        return self.asks_always or self.hears_judge


def prior_order(candidates: Sequence[str], choosing: Choosing) -> list[str]:
    """All candidates, the configured best first; those that the file's `prior` leaves out follow in the file's order."""
    ranked = [name for name in choosing.prior if name in candidates]
    return ranked + [name for name in candidates if name not in ranked]


def place(member: str, ranking: Sequence[str]) -> int:
    """The rank of a member; what the question's own code gave stands above all."""
    return ranking.index(member) if member in ranking else -1


def ranking_of(ensemble: Ensemble) -> tuple[str, ...]:
    """All candidates, the best first, whatever is asked: as it was measured, else as it is configured."""
    prior = prior_order([member.name for member in ensemble.candidates], ensemble.choosing)
    table = ensemble.measured
    if table is None or not _holds(table, ensemble):
        return tuple(prior)
    return tuple(name for name in dict.fromkeys((*table.favourites.overall, *prior)) if name in prior)


def _holds(table: Measured, ensemble: Ensemble) -> bool:
    """Whether the table is of any use: the favourite of all questions is a candidate, and has not changed."""
    first = table.favourites.overall[0]
    return any(member.name == first and fingerprint(member) == table.members.get(first) for member in ensemble.candidates)


def rules_for(question: Question, ensemble: Ensemble) -> Rules:
    """The rules for a question. A table counts as far as it holds: for members that have not changed, for its language."""
    overall, table = ranking_of(ensemble), ensemble.measured
    always = ensemble.choosing.judge == "always"
    if table is None or not _holds(table, ensemble):
        return Rules(ranking=overall, asks_always=always, unmeasured=() if table is None else (Unmeasured.MEMBERS,))
    changed = _changed(table, ensemble)
    unmeasured = _unmeasured(question, table, changed)
    if Unmeasured.LANGUAGE in unmeasured:
        return Rules(ranking=overall, may_overrule=(), asks_always=always, measured=True, unmeasured=unmeasured)
    by_kind = [name for name in table.favourites.by_kind.get(question.kind, ()) if name in overall]
    if not by_kind or by_kind[0] in changed:
        by_kind = []
    shares = table.right.get(question.kind)
    return Rules(
        ranking=tuple(dict.fromkeys((*by_kind, *overall))),
        kind=question.kind if by_kind else None,
        may_overrule=_in_force(table, question.kind, ensemble, changed),
        computed_decides=question.kind not in table.computed_loses or not changed.isdisjoint(overall),
        asks_always=always,
        measured=True,
        unmeasured=unmeasured,
        sure=None if shares is None or unmeasured else shares.share,
    )


def _changed(table: Measured, ensemble: Ensemble) -> frozenset[str]:
    """The members that are not as they were measured, or were not measured at all."""
    return frozenset(member.name for member in ensemble.members if table.members.get(member.name) != fingerprint(member))


def _unmeasured(question: Question, table: Measured, changed: frozenset[str]) -> tuple[Unmeasured, ...]:
    """What the turn has that the table was not measured with."""
    found = {
        Unmeasured.LANGUAGE: not _speaks(question.text, table.questions.language),
        Unmeasured.SYSTEM: bool(question.system),
        Unmeasured.OPTIONS: not _NOT_SAMPLING.issuperset(question.options),
        Unmeasured.MEMBERS: bool(changed),
    }
    return tuple(what for what, is_so in found.items() if is_so)


def _speaks(text: str, wanted: str) -> bool:
    """Whether a text is in this language, as far as its words and letters tell; what cannot be told passes."""
    letters = [letter for letter in text if letter.isalpha()]
    if wanted == "en" and sum(script(letter) != "Latin" for letter in letters) * 2 > len(letters):
        return False
    found = language(frozenset(token.folded for token in tokens(text)))
    return found is None or found == wanted


def _in_force(table: Measured, kind: Kind, ensemble: Ensemble, changed: frozenset[str]) -> tuple[Reason, ...]:
    """The reasons that count: all, where that is certified; else the certified ones, unless a kind with cases enough speaks against it."""
    if not changed.isdisjoint(member.name for member in ensemble.candidates):
        return ()
    judge = ensemble.judge is not None and ensemble.judge.name not in changed
    if table.together is not None and judge:
        return WITHOUT_TABLE
    shares = {}
    for reason, counts in table.certified.items():
        own = counts.by_kind.get(kind)
        if own is not None and own.wins + own.losses >= ENOUGH and own.share <= 0.5:
            continue
        if judge or not reason.asks_judge:
            shares[reason] = counts.share
    return tuple(sorted(shares, key=lambda reason: (-shares[reason], reason)))
