"""A finished turn in one line each: what was missing in it, and who won."""

from __future__ import annotations

from gork.terminal.safe_text import one_line
from gork.turn import Turn, Verdict


def is_degraded(turn: Turn) -> bool:
    """Whether the turn is less than a whole one: a model failed, an answer was cut short by a deadline, or nobody gave a verdict."""
    return bool(turn.failures) or turn.verdict.fallback is not None or any(a.stop == "deadline" for a in turn.answers)


def shortfall(turn: Turn) -> str | None:
    """What stands above the answer of a turn that is less than a whole one; None for a whole one."""
    if not is_degraded(turn):
        return None
    asked = len(turn.answers) + len(turn.failures)
    parts = [f"{len(turn.answers)} of {asked} models answered"] if turn.failures else []
    parts += [f"{failure.member} failed: {failure.message}" for failure in turn.failures]
    parts += [f"{answer.member} was cut short by its deadline" for answer in turn.answers if answer.stop == "deadline"]
    if turn.verdict.fallback is not None:
        parts.append("no verdict, the configured order chose")  # the line below the answer says why
    return one_line("; ".join(parts))


def summary(turn: Turn) -> str:
    """Who won, how clearly, and how long each stage took."""
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in turn.timings.items() if seconds >= 0.05 or stage == "total")
    return one_line(f"chosen: {turn.winner.member} ({_how(turn.verdict)}); {stages}")


def _how(verdict: Verdict) -> str:
    if verdict.fallback is not None:
        return f"no verdict: {verdict.fallback.text}"
    if verdict.note is not None:
        return verdict.note
    return verdict.clarity
