"""Checks of an answer's form: a pattern that it matches, a format that was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from bench.judge.check import CheckFailed, NotASchema
from bench.judge.extracting import commands, unfenced
from bench.judge.tokens import normalised

_BULLET = re.compile(r"[ \t]*(?:[-*•‣–+]|[0-9]{1,3}[.)])[ \t]+\S")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*_”’]{0,3}(?:[ \t]+|$)")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|approx|Dr|Mr|Mrs|Ms|Prof|St|Jr|Sr|No|(?:[A-Za-z]\.)*[A-Z])\.$")

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many there may be."""

    least: int = 0
    most: int | None = None

    def hold(self, count: int) -> bool:
        """Whether so many are allowed."""
        return self.least <= count and (self.most is None or count <= self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The answer, or the code in it, matches a pattern and none of the others."""

    pattern: re.Pattern[str]
    never: tuple[re.Pattern[str], ...] = ()
    whole: bool = False
    code: bool = False

    def holds(self, answer: str, question: str) -> bool:  # the interface of all checks
        """Whether it does."""
        pieces = commands(answer) if self.code else [unfenced(answer) if self.whole else answer]
        match = self.pattern.fullmatch if self.whole else self.pattern.search
        return any(match(piece) for piece in pieces) and not any(never.search(piece) for never in self.never for piece in pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The answer, without blanks around it, has every format that is given here."""

    lines: int | None = None
    bullets: int | None = None
    words: Bounds | None = None
    sentences: Bounds | None = None
    begins: str | None = None
    ends: str | None = None
    case: Literal["upper", "lower"] | None = None
    schema: Schema | None = None
    csv: int | None = None
    having: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def holds(self, answer: str, question: str) -> bool:  # the interface of all checks
        """Whether it has. Raises a `CheckFailed` where the schema cannot be checked."""
        text = answer.strip()
        return (
            bool(text)
            and self._counts(text)
            and self._edges(text)
            and (self.case is None or _in_case(text, self.case))
            and (self.csv is None or _items(text) == self.csv)
            and (self.schema is None or _keeps(text, self.schema))
        )

    def _counts(self, text: str) -> bool:
        lines = [line for line in text.splitlines() if line.strip()]
        return (
            (self.lines is None or len(lines) == self.lines)
            and (self.bullets is None or sum(_BULLET.match(line) is not None for line in lines) == self.bullets)
            and (self.words is None or self.words.hold(count_words(text)))
            and (self.sentences is None or self.sentences.hold(count_sentences(text)))
        )

    def _edges(self, text: str) -> bool:
        even = _even(text)
        folded = even.casefold()
        return (
            (self.begins is None or even.startswith(_even(self.begins)))
            and (self.ends is None or even.endswith(_even(self.ends)))
            and all(_even(part).casefold() in folded for part in self.having)
            and not any(_even(part).casefold() in folded for part in self.without)
        )


def count_words(text: str) -> int:
    """The words of a text: what stands between blanks and has a letter or digit.

    >>> count_words("Well-known - it's 3.5 km")
    4
    """
    return sum(any(char.isalnum() for char in word) for word in text.split())


def count_sentences(text: str) -> int:
    """The sentences of a text; a line's end ends one too.

    >>> count_sentences('Dr. Who saw 3.5 m, e.g. here. "Really?" Yes!')
    3
    """
    count = 0
    for line in text.splitlines():
        start = 0
        for match in _SENTENCE_END.finditer(line):
            piece = line[start : match.start()]
            if _ABBREVIATION.search(piece[-24:]) and match.end() < len(line):
                continue
            count += any(char.isalnum() for char in piece) and not re.fullmatch(r"\s*[0-9]{1,3}\.", piece)
            start = match.end()
        count += any(char.isalnum() for char in line[start:])
    return count


def _even(text: str) -> str:
    return re.sub(r"\s+", " ", normalised(text))


def _in_case(text: str, case: Literal["upper", "lower"]) -> bool:
    changed = text.upper() if case == "upper" else text.lower()
    return text == changed and any(char.isalpha() for char in text)


def _items(text: str) -> int:
    """How many items stand on the one line, 0 if there are more lines or one is empty."""
    items = text.split(",")
    return len(items) if "\n" not in text and all(item.strip(" .") for item in items) else 0


def _keeps(text: str, schema: Schema) -> bool:
    try:
        value = json.loads(unfenced(text), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return schema_check(schema)(value)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def schema_check(schema: Schema) -> Callable[[object], bool]:
    """What checks a value against a JSON schema. Raises `NotASchema`, or a `CheckFailed` if jsonschema is missing."""
    try:
        import jsonschema  # noqa: PLC0415 # a requirement of developers alone
        from referencing import Registry  # noqa: PLC0415 # comes with it
    except ModuleNotFoundError as error:
        raise CheckFailed(f"JSON schemas need {error.name}: pip install 'jsonschema>=4.25,<5'") from None
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise NotASchema(f"is not a JSON schema: {error.message}") from None
    # An empty registry: a reference to another document is an error, nothing is fetched.
    checker = jsonschema.Draft202012Validator(schema, registry=Registry())
    return lambda value: bool(checker.is_valid(value))
