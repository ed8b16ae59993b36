"""The table of all checks, and what their findings come to. A new check is one more function in `CHECKS`."""

from __future__ import annotations

import math
from collections.abc import Iterable

from gork.judging.checks import Check, Finding, arithmetic, code, form, options, prose

LONGEST = 20_000
"""Characters of a question and of an answer that are looked at."""
BOUND = 3.0
"""The most that all findings together say for or against an answer."""
CHECKS: tuple[Check, ...] = (
    arithmetic.asked_result,
    arithmetic.stated_equations,
    form.stated_forms,
    code.code,
    options.offered_options,
    options.extracted_things,
    prose.degeneration,
)


def findings(question: str, answer: str) -> tuple[Finding, ...]:
    """Everything that plain code finds in an answer to a question; the same for the same texts."""
    question, answer = (text[:LONGEST].replace("\r\n", "\n").replace("\0", " ") for text in (question, answer))
    return tuple(finding for check in CHECKS for finding in check(question, answer))


def soundness(question: str, answer: str) -> float:
    """How much the findings speak for an answer (to 3) or against it (to -3); 0 where nothing could be checked.

    >>> soundness("What is 12 times 8?", "96"), soundness("Why is the sky blue?", "Air scatters blue light most.")
    (2.0, 0.0)
    """
    return sum_of(findings(question, answer))


def sum_of(found: Iterable[Finding]) -> float:
    """What findings come to, at most `BOUND` in either direction."""
    return max(-BOUND, min(BOUND, math.fsum(finding.weight for finding in found)))
