"""Graders: how the answer to a question of a set is known to be right. One class for each sort, all with the same interface.

The graders that run code are in `bench/judge/programs.py`. All of them read texts through `gork/text`, as the product does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NoReturn, Protocol

from gork.errors import GorkError
from gork.text.claims import Hedge, in_question, is_conclusion, negated, outermost, whole_name
from gork.text.code import commands
from gork.text.final_number import final_number
from gork.text.sentences import count_sentences
from gork.text.structure import unwrapped
from gork.text.tokens import Span, TextToken, find, normalised, phrase_tokens, tokens

LONGEST_ANSWER = 20_000
"""Characters of an answer that are looked at."""
_NAME = 2
"""So many words may be a name that the question offers; more of them are its sentence, echoed."""
_BULLET = re.compile(r"[ \t]*(?:[-*•‣–+]|[0-9]{1,3}[.)])[ \t]+\S")

Schema = Mapping[str, Any]


class CheckFailed(GorkError):
    """Raised when a grader itself cannot do its work; it says nothing about the answer."""


class NotASchema(CheckFailed):
    """Raised when the schema of a question is not a valid JSON schema."""


class Check(Protocol):
    """One stated truth about an answer."""

    def holds(self, answer: str, question: str) -> bool:
        """Whether the answer to this question is right. Raises a `CheckFailed` where that cannot be found out."""
        ...


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


def grade(check: Check, answer: str, question: str) -> Grade:
    """The grade of an answer to a question; a check that breaks is `Broken` with its error, never a wrong answer."""
    try:
        return Right() if check.holds(_encodable(answer[:LONGEST_ANSWER]), question) else Wrong()
    except CheckFailed as error:
        return Broken(str(error))
    except Exception as error:  # the outermost edge of patterns and data that others wrote
        return Broken(f"{type(error).__name__}: {error}"[:500])


def _encodable(answer: str) -> str:
    """The answer with replacement characters for what no encoding and no C string carries: lone surrogates and NUL."""
    return answer.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """The answer asserts one of the phrases, without a negation and without a hedge, and asserts no rival."""

    phrases: tuple[str, ...]
    never: tuple[str, ...] = ()

    def holds(self, answer: str, question: str) -> bool:
        """Whether it does."""
        text, asked = tokens(answer), tokens(question)
        accepted = outermost([span for phrase in self.phrases for span in find(text, phrase_tokens(phrase))])
        names = [whole_name(text, span) for span in accepted]
        asserted = [name for name in names if not negated(text, name)]
        if not asserted or _asserts_rival(text, self.never, asked, accepted):
            return False
        declared = [span for phrase in self.never for span in find(text, phrase_tokens(phrase))]
        capitals = any(phrase[:1].isupper() for phrase in self.phrases)
        words = frozenset(token.folded for token in asked)
        hedged = [span for span in asserted if Hedge(text, names, declared, words, capitals=capitals).around(span)]
        # Where the question offers both ("the red or the blue one?"), an answer that offers both again does not decide.
        offered = any(find(asked, phrase_tokens(phrase)) for phrase in self.phrases)
        echo = Hedge(text, names, declared, frozenset(), capitals=capitals)
        clean = [span for span in asserted if span not in hedged and not (offered and echo.around(span))]
        # "Is it Paris or Lyon? It is Paris." has decided; "Paris or Lyon. Paris is large." has not.
        unsettled = [span for span in hedged if not in_question(text, span)]
        return any(span > unsettled[-1] and is_conclusion(text, span) for span in clean) if unsettled else bool(clean)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """The answer has a phrase of every group, or of `at_least` so many, matched as the beginning of a word; and asserts no rival."""

    groups: tuple[tuple[str, ...], ...]
    never: tuple[str, ...] = ()
    at_least: int | None = None

    def holds(self, answer: str, question: str) -> bool:
        """Whether it does."""
        text = tokens(answer)
        met = sum(any(find(text, phrase_tokens(phrase), beginning=True) for phrase in group) for group in self.groups)
        needed = len(self.groups) if self.at_least is None else self.at_least
        return met >= needed and not _asserts_rival(text, self.never, tokens(question), ())


def _asserts_rival(text: Sequence[TextToken], never: Sequence[str], asked: Sequence[TextToken], accepted: Sequence[Span]) -> bool:
    """Whether a phrase of `never` is asserted. Names that the question has itself and those inside an accepted phrase do not count."""
    for phrase in never:
        wanted = phrase_tokens(phrase)
        if len(wanted) <= _NAME and find(asked, wanted):
            continue
        for span in find(text, wanted):
            if not any(start <= span[0] and span[1] <= end for start, end in accepted) and not negated(text, span):
                return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """The answer's final number is this one, give or take `within`, and no other is offered beside it."""

    value: float
    within: float = 0.0

    def holds(self, answer: str, question: str) -> bool:
        """Whether it is."""
        found = final_number(answer, question)
        near = Fraction(self.within) + Fraction(1, 10**9)
        return found is not None and not found.hedged and abs(found.value - Fraction(self.value)) <= near


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

    def holds(self, answer: str, question: str) -> bool:
        """Whether it does."""
        pieces = commands(answer) if self.code else [unwrapped(answer) if self.whole else answer]
        match = self.pattern.fullmatch if self.whole else self.pattern.search
        return any(match(piece) for piece in pieces) and not any(never.search(piece) for never in self.never for piece in pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The answer, without the blanks around it, keeps every format that is given here."""

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

    def holds(self, answer: str, question: str) -> bool:
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


def _even(text: str) -> str:
    return re.sub(r"\s+", " ", normalised(text))


def _in_case(text: str, case: Literal["upper", "lower"]) -> bool:
    changed = text.upper() if case == "upper" else text.lower()
    return text == changed and any(char.isalpha() for char in text)


def _items(text: str) -> int:
    """How many items are on the one line, 0 if there are more lines or an item is empty."""
    items = text.split(",")
    return len(items) if "\n" not in text and all(item.strip(" .") for item in items) else 0


def _keeps(text: str, schema: Schema) -> bool:
    try:
        value = json.loads(unwrapped(text), parse_constant=_no_constant)
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
