"""Whether an answer is right: the checks that a question can have, and the grade that one of them gives."""

from __future__ import annotations

from dataclasses import dataclass

from bench.judge.check import Check, CheckFailed
from bench.judge.code import PythonCalls, SqlRows
from bench.judge.numbers import Number
from bench.judge.questions import Item
from bench.judge.saying import Mentions, Says
from bench.judge.shapes import Matches, Shape

__all__ = [
    "LONGEST_ANSWER",
    "Broken",
    "Check",
    "CheckFailed",
    "Grade",
    "Matches",
    "Mentions",
    "Number",
    "PythonCalls",
    "Right",
    "Says",
    "Shape",
    "SqlRows",
    "Wrong",
    "grade",
]

LONGEST_ANSWER = 20_000
"""Characters of an answer that are looked at."""


@dataclass(frozen=True, slots=True)
class Right:
    """The check holds."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The check does not hold."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The check itself failed, so nothing is known about the answer."""

    what: str


Grade = Right | Wrong | Broken


def grade(item: Item, answer: str) -> Grade:
    """The grade of an answer; a check that breaks is `Broken` with its error, never a wrong answer.

    A question that needs Python runs what the answer has of it: ask `item.needs_python` first.
    """
    try:
        return Right() if item.check.holds(_carried(answer[:LONGEST_ANSWER]), item.ask) else Wrong()
    except CheckFailed as error:
        return Broken(str(error))
    except Exception as error:  # the outermost edge of patterns and data that others wrote
        return Broken(f"{type(error).__name__}: {error}"[:500])


def _carried(answer: str) -> str:
    """The answer with signs instead of what no encoding and no C string carries: halves of characters, NUL."""
    return answer.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
