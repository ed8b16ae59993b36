"""The figures as a table for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.judge.metrics import Bin, Interval, Members, Row
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
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one run measured."""

    ensemble: str
    engine: str
    questions: Mapping[str, str]
    """The question sets by name, each with the SHA-256 of its file."""
    seeds: int
    best_single: str
    members: Members
    rows: Sequence[Row]
    bins: Sequence[Bin]
    """Over all cases."""
    bins_differing: Sequence[Bin]
    """Over those that differ in truth."""
    chosen: float
    """How often the answer that the ensemble's own policy chooses is right, over all cases."""
    answer_s: float
    """Seconds of the slowest candidate, mean over the cases: what judging is compared with."""
    broken: Sequence[str] = ()
    lost: Sequence[str] = ()
    left_out: int = 0
    rewriting: Rewriting | None = None

    def as_json(self) -> dict[str, object]:
        """JSON-ready; NaN becomes null."""
        return {
            "ensemble": self.ensemble,
            "engine": self.engine,
            "questions": dict(self.questions),
            "seeds": self.seeds,
            "best_single": self.best_single,
            **self.members.as_json(),
            "policies": [_finite(row.as_json()) for row in self.rows],
            "chosen": round(self.chosen, 4),
            "reliability": [_bin(b) for b in self.bins],
            "reliability_where_answers_differ_in_truth": [_bin(b) for b in self.bins_differing],
            "candidates_seconds": round(self.answer_s, 3),
            "checkers_that_failed": list(self.broken),
            "questions_without_answer": list(self.lost),
            "questions_left_out": self.left_out,
            "rewriting": None if self.rewriting is None else self.rewriting.as_json(),
        }


def _bin(found: Bin) -> dict[str, object]:
    return {
        "margin_from": round(found.least, 3),
        "margin_to": round(found.most, 3),
        "cases": found.count,
        "sure": None if found.sure is None else round(found.sure, 4),
        "right": round(found.right, 4),
    }


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _percent(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.0%}"


def _interval(interval: Interval) -> str:
    if not math.isfinite(interval.value):
        return "-"
    return f"{interval.value:+.2f} ({interval.low:+.2f} to {interval.high:+.2f})"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["-" * max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return table([head, rule, *rows]).split("\n")


def text(report: Report) -> str:
    """The report as people read it."""
    parts = [_candidates(report), _policies(report), _verdict(report), _reliability(report)]
    if report.rewriting is not None:
        parts.append(_rewriting(report.rewriting))
    troubles = [*(f"checker failed: {line}" for line in report.broken), *(f"no answer: {line}" for line in report.lost)]
    if report.left_out:
        troubles.append(f"{report.left_out} questions were left out: their answers are Python programs, which --run-python runs")
    return "\n\n".join([*parts, *(["\n".join(troubles)] if troubles else [])])


def _candidates(report: Report) -> str:
    found = report.members
    lines = [
        (
            f"{report.ensemble} on {report.engine}: {found.cases} cases of {', '.join(report.questions)} ({report.seeds} seeds), "
            f"{found.differing} of them with answers that differ in truth"
        )
    ]
    names = [*found.by_member, "random", "oracle", "choice"]
    overall = [*found.by_member.values(), found.lot, found.oracle, report.chosen]
    everything = ["all", str(found.cases), *map(_percent, overall)]
    lines.append(f"the chosen answer is right in {report.chosen:.1%} of all cases")
    for what, parts in (("kind", found.by_kind), ("set", found.by_set)):
        if what == "kind" or len(parts) > 1:
            rows = [
                [part, str(int(shares["cases"])), *(_percent(shares[name]) if name in shares else "-" for name in names)]
                for part, shares in parts.items()
            ]
            lines += ["", *_grid([f"right, by {what}", "cases", *names], [everything, *rows])]
    return "\n".join(lines)


def _policies(report: Report) -> str:
    head = [
        "policy",
        "right",
        "recovery (95 %)",
        "over best single (95 %)",
        "flips",
        "wins",
        "slots",
        "mass",
        "fallback",
        "calls",
        "read",
        "s",
    ]
    rows = [
        [
            row.name,
            _percent(row.accuracy.value),
            _interval(row.recovery),
            _interval(row.over_best),
            _percent(row.flips),
            " ".join(f"{member} {share:.0%}" for member, share in row.by_member.items()),
            " ".join(f"{slot} {share:.0%}" for slot, share in row.by_slot.items()) or "-",
            "-" if row.mass is None else f"{row.mass:.2f}",
            _percent(row.fallbacks),
            f"{row.calls:.1f}",
            f"{row.read:.0f}",
            f"{row.seconds:.2f}",
        ]
        for row in report.rows
    ]
    note = "over the cases that differ in truth; calls, tokens read and seconds are the judge's, a turn"
    return "\n".join([*_grid(head, rows), f"({note}; the candidates take {report.answer_s:.1f} s)"])


def _verdict(report: Report) -> str:
    """Whether the ensemble is better than its best member: said plainly, above all when it is not."""
    default = report.rows[0]
    lead, best = default.over_best, report.best_single
    if not math.isfinite(lead.value):
        return "No case differs in truth: on these questions it does not matter which answer is chosen."
    much = f"{lead.value:+.1%} of the cases that differ in truth, 95 % interval {lead.low:+.1%} to {lead.high:+.1%}"
    if lead.low > 0:
        return f"The ensemble beats its best single member, {best} ({much})."
    if lead.high < 0:
        return f"The ensemble does NOT beat its best single member: {best} alone is better ({much}). Set `policy: prior`, or ask it alone."
    return f"The ensemble does not beat its best single member, {best}, beyond noise ({much})."


def _reliability(report: Report) -> str:
    """What margins are worth: over all cases, where all answers can be wrong, and where it matters which is chosen."""
    parts = []
    for what, bins in (("all cases", report.bins), ("cases that differ in truth", report.bins_differing)):
        rows = []
        for found in bins:
            sure = "-" if found.sure is None else _percent(found.sure)
            rows.append([f"{found.least:.2f} to {found.most:.2f}", str(found.count), sure, _percent(found.right)])
        head = [f"margin, {what}", "cases", "said to be sure", "were right"]
        parts.append("\n".join(_grid(head, rows)) if rows else f"No verdicts in {what}.")
    return "\n\n".join(parts)


def _rewriting(found: Rewriting) -> str:
    refusals = sum(found.refused.values())
    kept = ", ".join(f"{count} {reason}" for reason, count in sorted(found.refused.items(), key=lambda pair: -pair[1]))
    return "\n".join(
        [
            f"promptimizer: {found.rewritten} of {found.asked} prompts rewritten, {refusals} kept as they were ({kept or '-'})",
            (
                f"candidates' accuracy with it {found.with_rewrite:.1%}, without it {found.without:.1%}: {_interval(found.gain)}; "
                f"{found.differing} cases had another prompt"
            ),
        ]
    )
