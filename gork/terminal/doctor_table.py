"""The doctor's report as text: aligned, and no wider than the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gork.terminal.doctor import DEGRADED, FINE, Finding, Report

_NARROWEST = 12


class _Column(NamedTuple):
    title: str
    of: Callable[[Finding], str]
    right: bool = False
    dropped: int = 0
    """Columns with the highest number go first where the terminal is narrow; 0 stays."""


_COLUMNS = (
    _Column("member", lambda finding: finding.member),
    _Column("model", lambda finding: finding.model, dropped=2),
    _Column("version", lambda finding: finding.version or "-", dropped=4),
    _Column("loaded", lambda finding: "yes" if finding.loaded else "no", dropped=3),
    _Column("context", lambda finding: f"{finding.context:,}" if finding.context else "-", right=True, dropped=5),
    _Column(
        "first token", lambda finding: "-" if finding.first_token_s is None else f"{finding.first_token_s:.2f} s", right=True, dropped=1
    ),
    _Column("", lambda finding: "ok" if finding.ok else "FAILED"),
)


def written(report: Report, width: int) -> str:
    """The whole report; `width` is what the terminal has."""
    chosen, memory = report.chosen, report.memory
    lines = [
        f"engine    {'Ollama' if chosen.engine == 'ollama' else 'embedded llama.cpp'} ({chosen.why})",
        f"ensemble  {chosen.settings.ensemble.name}",
        f"cores     {report.cores.count} ({report.cores.why})",
    ]
    if memory is not None:
        lines.append(f"memory    {memory.free / 1e9:.1f} of {memory.total / 1e9:.1f} GB free ({memory.why})")
    if report.cache is not None:
        lines.append(f"weights   {report.cache}")
    lines += ["", *_table(report.findings, width)]
    problems = [finding for finding in report.findings if not finding.ok]
    if problems or report.warnings:
        lines.append("")
    for finding in problems:
        lines.append(f"{finding.member} at {finding.where}: {finding.problem}")
        if finding.fix:
            lines.append(f"  fix: {finding.fix}")
    lines += [f"warning: {warning}" for warning in report.warnings]
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in [*lines, "", _conclusion(report)])


def _conclusion(report: Report) -> str:
    answering, members = sum(finding.ok for finding in report.findings), len(report.findings)
    if report.exit_code == FINE:
        return f"All {members} members answer."
    if report.exit_code == DEGRADED:
        return f"{answering} of {members} members answer: questions are answered without the rest."
    return f"{answering} of {members} members answer, no candidate among them: no question can be answered."


def _table(findings: tuple[Finding, ...], width: int) -> list[str]:
    columns = list(_COLUMNS)
    while True:
        cells = [[column.title for column in columns], *([column.of(finding) for column in columns] for finding in findings)]
        widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
        over = sum(widths) + 2 * (len(columns) - 1) - width
        names = [at for at, column in enumerate(columns) if column.title in {"model", "member"}]
        widest = max(names, key=lambda at: widths[at])
        if over > 0 and widths[widest] - over >= _NARROWEST:  # a long file name is shortened before anything is left out
            widths[widest] -= over
            over = 0
        droppable = [column for column in columns if column.dropped]
        if over <= 0 or not droppable:
            break
        columns.remove(max(droppable, key=lambda column: column.dropped))
    return [
        "  ".join(_cell(text, size, right=column.right) for text, size, column in zip(row, widths, columns, strict=True)).rstrip()
        for row in cells
    ]


def _cell(text: str, size: int, *, right: bool) -> str:
    shown = text if len(text) <= size else text[: size - 3] + "..."
    return shown.rjust(size) if right else shown.ljust(size)
