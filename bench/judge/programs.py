"""Graders that run what a model wrote: a Python function is called, an SQL query is executed."""

from __future__ import annotations

import math
import sqlite3
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from bench.judge import sandbox
from bench.judge.graders import CheckFailed
from gork.text.code import defining, first_query

_EQUAL = 1e-6
_MOST_STEPS, _STEPS = 2_000, 1_000
"""A query ends after `_MOST_STEPS` times `_STEPS` steps of SQLite's virtual machine, well under a second."""
_LARGEST_VALUE = 100_000
_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_LEAVES_THE_DATABASE = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA, sqlite3.SQLITE_CREATE_VTABLE})

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonCalls:
    """The function that the answer defines gives what each call should give."""

    needs: str
    calls: tuple[tuple[str, Any], ...]

    def holds(self, answer: str, question: str) -> bool:
        """Whether it does; runs the answer's code. Raises a `CheckFailed` if there is no sandbox to run it in."""
        code = textwrap.dedent(defining(answer, self.needs)).strip("\n")
        results = sandbox.run_calls(code, [call for call, _ in self.calls])
        return all(
            isinstance(result, sandbox.Returned) and same(result.value, expected)
            for result, (_, expected) in zip(results, self.calls, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlRows:
    """The answer's first query gives these rows on a database after this setup."""

    setup: str
    rows: tuple[tuple[Scalar, ...], ...]
    ordered: bool = False

    def holds(self, answer: str, question: str) -> bool:
        """Whether it does. Raises a `CheckFailed` if the setup fails."""
        query = first_query(answer)
        if query is None:
            return False
        with closing(database(self.setup)) as db:
            db.set_authorizer(_only(lambda action: action in _READS))
            try:
                found = db.execute(query).fetchmany(len(self.rows) + 1)
            except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError):
                return False
        given, wanted = [_comparable(row) for row in found], [_comparable(row) for row in self.rows]
        return given == wanted if self.ordered else Counter(given) == Counter(wanted)


def database(setup: str) -> sqlite3.Connection:
    """An in-memory database after its setup. Raises a `CheckFailed` if SQLite refuses that."""
    db = sqlite3.connect(":memory:")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)
    db.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100)
    db.set_authorizer(_only(lambda action: action not in _LEAVES_THE_DATABASE))
    steps = iter(range(_MOST_STEPS))
    db.set_progress_handler(lambda: next(steps, None) is None, _STEPS)
    try:
        db.executescript(setup)
    except (sqlite3.Error, sqlite3.Warning) as error:
        db.close()
        raise CheckFailed(f"the setup is refused by SQLite: {error}") from None
    return db


def _only(allowed: Callable[[int], bool]) -> Callable[..., int]:
    def authorizer(action: int, *_: object) -> int:
        return sqlite3.SQLITE_OK if allowed(action) else sqlite3.SQLITE_DENY

    return authorizer


def _comparable(row: Sequence[object]) -> tuple[tuple[str, object], ...]:
    """A row whose numbers compare as numbers, up to rounding."""
    return tuple(("number", round(float(value), 6)) if isinstance(value, int | float) else (type(value).__name__, value) for value in row)


def same(given: object, expected: object) -> bool:
    """Whether a call's value is the expected one; fractions need to agree to a millionth.

    >>> same([1, 0.1 + 0.2], [1, 0.3]), same("1", 1), same(True, 1), same({"a": [1]}, {"a": [2]})
    (True, False, True, False)
    """
    if isinstance(given, list) and isinstance(expected, list):
        return len(given) == len(expected) and all(map(same, given, expected))
    if isinstance(given, dict) and isinstance(expected, dict):
        return given.keys() == expected.keys() and all(same(given[key], expected[key]) for key in expected)
    if isinstance(given, float) or isinstance(expected, float):
        numbers = isinstance(given, int | float) and isinstance(expected, int | float)
        try:
            return numbers and math.isclose(given, expected, rel_tol=_EQUAL, abs_tol=_EQUAL)  # type: ignore[arg-type] # both are
        except OverflowError:
            return False
    return given == expected
