"""The figures as tables for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.judge.compare import Ablated, Checked, Row
from bench.judge.statistics import Interval
from gork.terminal.views import table


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriting:
    """How the promptimizer changes the candidates' accuracy, over the same questions and seeds."""

    asked: int
    rewritten: int
    refused: Mapping[str, int]
    """How often each reason kept the user's own words."""
    with_rewrite: float
    without: float
    differing: int
    """Cases in which the candidates read another prompt."""
    gain: Interval
    """In accuracy of all candidates' answers."""
    choice_with: float
    """How often the chosen answer was right over all questions."""
    choice_without: float

    def as_json(self) -> dict[str, object]:
        """For the file."""
        return {
            "asked": self.asked,
            "rewritten": self.rewritten,
            "refused": dict(self.refused),
            "accuracy_with": round(self.with_rewrite, 4),
            "accuracy_without": round(self.without, 4),
            "cases_with_another_prompt": self.differing,
            "gain": self.gain.as_json(),
            "choice_with": round(self.choice_with, 4),
            "choice_without": round(self.choice_without, 4),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """What each reason is worth alone, and each guard that leaves answers out."""

    nothing: float
    """The accuracy if nothing may overrule the favourite."""
    reasons: Sequence[Ablated]
    checks: Sequence[Checked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The comparison over some of the sets."""

    title: str
    cases: int
    differing: int
    """Cases in which usable answers differ in truth."""
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one run measured."""

    ensemble: str
    engine: str
    questions: Mapping[str, str]
    """The question sets by name, each with the SHA-256 of its file."""
    seeds: int
    fitted: str
    """Where the table comes from by which the choice was made, for people."""
    parts: Sequence[Part]
    judge_asked: int
    judge_could_be: int
    """In how many turns the judge is asked, and in how many nothing was computed and answers differ."""
    judge_tokens: float
    """What it reads and writes for one of them, mean."""
    judge_s: float
    candidates_s: float
    """The slowest candidate's seconds in the turns in which the judge was asked, mean."""
    ablation: Ablation | None = None
    broken: Sequence[str] = ()
    lost: Sequence[str] = ()
    left_out: int = 0
    not_given: int = 0
    """Kept cases whose questions were not given."""
    rewriting: Rewriting | None = None
    unread: int = 0
    """Cases in which the judge's word could matter and it gave none."""
    failed: Mapping[str, int] = field(default_factory=dict)
    """By member in how many cases it gave no answer, which counts as a wrong one."""

    @property
    def whole(self) -> Part:
        """Over all sets."""
        return self.parts[0]

    def as_json(self) -> dict[str, object]:
        """JSON-ready; NaN becomes null."""
        told = {
            "ensemble": self.ensemble,
            "engine": self.engine,
            "questions": dict(self.questions),
            "seeds": self.seeds,
            "fitted": self.fitted,
            "tables": [
                {"over": part.title, "cases": part.cases, "differing": part.differing, "ways": [row.as_json() for row in part.rows]}
                for part in self.parts
            ],
            "judge": {
                "asked": self.judge_asked,
                "differing_and_not_computed": self.judge_could_be,
                "tokens": round(self.judge_tokens, 1),
                "seconds": round(self.judge_s, 3),
                "candidates_seconds": round(self.candidates_s, 3),
            },
            "ablation": None
            if self.ablation is None
            else {
                "favourite_alone": round(self.ablation.nothing, 4),
                "reasons": {
                    str(one.reason): {"spoke": one.spoke, "wins": one.wins, "losses": one.losses, "accuracy": round(one.accuracy, 4)}
                    for one in self.ablation.reasons
                },
                "checks": {
                    one.name: {
                        "against": one.against,
                        "against_right": round(one.against_right, 4),
                        "for": one.speaks_for,
                        "for_right": round(one.for_right, 4),
                    }
                    for one in self.ablation.checks
                },
            },
            "checkers_that_failed": list(self.broken),
            "questions_without_answer": list(self.lost),
            "questions_left_out": self.left_out,
            "kept_cases_without_question": self.not_given,
            "readings_missing": self.unread,
            "answers_missing": dict(self.failed),
            "rewriting": None if self.rewriting is None else self.rewriting.as_json(),
        }
        return {name: _finite(value) for name, value in told.items()}


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _percent(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.1%}"


def _points(interval: Interval) -> str:
    if not math.isfinite(interval.value):
        return "-"
    return f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["-" * max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return table([head, rule, *rows])


def text(report: Report) -> str:
    """The report as people read it."""
    head = (
        f"{report.ensemble} on {report.engine}: {report.whole.cases} cases of {', '.join(report.questions)} ({report.seeds} seeds), "
        f"{report.whole.differing} of them with usable answers that differ in truth\n{report.fitted}"
    )
    parts = [head, *(_comparison(part) for part in report.parts), _by_set(report.whole), _verdict(report), _judge(report)]
    if report.ablation is not None:
        parts.append(_ablation(report.ablation))
    if report.rewriting is not None:
        parts.append(_rewriting(report.rewriting))
    troubles = [*(f"checker failed: {line}" for line in report.broken), *(f"no answer: {line}" for line in report.lost)]
    if report.left_out:
        troubles.append(f"{report.left_out} questions were left out: their answers are Python programs, which --run-python runs")
    if report.failed:
        each = ", ".join(f"{member} in {count}" for member, count in report.failed.items())
        troubles.append(f"members failed, which counts as a wrong answer: {each} of {report.whole.cases} cases")
    if report.unread:
        troubles.append(f"{report.unread} readings of the judge are missing: its model failed, or they were not kept")
    if report.not_given:
        troubles.append(f"{report.not_given} kept cases were left out: their questions are in none of the files that were given")
    return "\n\n".join([*parts, *(["\n".join(troubles)] if troubles else [])])


def _comparison(part: Part) -> str:
    head = [f"right, {part.title}", "all", "the choice is better by, points (95 %)", "wins", "losses", "p", "tokens", "s"]
    rows = [
        [
            row.name,
            _percent(row.accuracy),
            "" if row is part.rows[0] else _points(row.gain),
            "" if row is part.rows[0] else str(row.won),
            "" if row is part.rows[0] else str(row.lost),
            "" if row is part.rows[0] or not math.isfinite(row.chance) else f"{row.chance:.3f}",
            f"{row.tokens:.0f}",
            f"{row.seconds:.1f}",
        ]
        for row in part.rows
    ]
    note = "wins: the choice is right and this way is not; tokens and seconds are the candidates', a turn"
    return f"{_grid(head, rows)}\n({part.cases} cases; {note})"


def _by_set(part: Part) -> str:
    sets = list(part.rows[0].by_set)
    rows = [[row.name, *(f"{row.by_set[name]:.0%}" for name in sets)] for row in part.rows]
    return _grid(["right, by set", *sets], rows)


def _verdict(report: Report) -> str:
    """Whether the ensemble is better than its best member: said plainly, above all when it is not."""
    row = next(row for row in report.whole.rows if row.name.startswith("best member, with programs"))
    much = f"{_points(row.gain)} points"
    if row.gain.low > 0:
        return f"The ensemble beats its best member with programs ({much})."
    if row.gain.high < 0:
        return f"The ensemble is WORSE than its best member with programs ({much}): ask that one alone."
    return f"The ensemble and its best member with programs cannot be told apart ({much})."


def _judge(report: Report) -> str:
    cases = report.whole.cases
    if not report.judge_asked:
        return f"The judge is asked in no turn: its word would change nothing (answers differ in {report.judge_could_be} of {cases})."
    share = f"{report.judge_asked} of {cases} turns (nothing is computed and answers differ in {report.judge_could_be})"
    cost = f"{report.judge_tokens:.0f} tokens, {report.judge_s:.2f} s, the candidates {report.candidates_s:.2f} s"
    return f"The judge is asked in {share}; there it takes {cost}."


def _ablation(found: Ablation) -> str:
    rows = [
        [str(one.reason), str(one.spoke), str(one.wins), str(one.losses), _percent(one.right), _percent(one.accuracy)]
        for one in found.reasons
    ]
    head = ["if it alone may overrule", "spoke", "wins", "losses", "right where it spoke", "right in all"]
    told = [[one.name, str(one.against), _percent(one.against_right), str(one.speaks_for), _percent(one.for_right)] for one in found.checks]
    checks = _grid(["of answers", "against", "right all the same", "for", "right"], told)
    return f"{_grid(head, [['nothing may overrule', '', '', '', '', _percent(found.nothing)], *rows])}\n\n{checks}"


def _rewriting(found: Rewriting) -> str:
    refusals = sum(found.refused.values())
    kept = ", ".join(f"{count} {reason}" for reason, count in sorted(found.refused.items(), key=lambda pair: -pair[1]))
    return "\n".join(
        [
            f"promptimizer: {found.rewritten} of {found.asked} prompts rewritten, {refusals} kept as they were ({kept or '-'})",
            (
                f"candidates' accuracy with it {found.with_rewrite:.1%}, without it {found.without:.1%}: {_points(found.gain)} points; "
                f"{found.differing} cases had another prompt; the choice is right in {found.choice_with:.1%} and {found.choice_without:.1%}"
            ),
        ]
    )
