"""What a question states, as the telling of its kind sees it: its words, quantities, units, dates, lists, quotations and code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from gork.text import task_words
from gork.text.questions import QUOTED
from gork.text.structure import Block, split_code
from gork.text.task_words import Terms, is_unspaced

_HEAD, _TAIL = 4000, 1000
"""How much of a long question is read, in characters: a task stands before or after the text that it is about."""
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]")
_NAME = re.compile(r"(?<![A-Za-z])[A-Za-z]{1,6}-?\d+(?:\.\d+)*\b|\b\d{1,4}[ABD-EG-KM-Z]\b|\b\d+(?:st|nd|rd|th|er)\b|\b\d{2,4}0s\b|#\d+")
"""A number within a name, or an ordinal: "ps5", "GPT-4", "5G", "16th", "1920s"; but "350F", "20C" and "5L" are quantities."""
_FEET = re.compile(r"(\d)\s?['′]\s?(\d{1,2})\s?[\"″]?")
_UNSPACED_UNIT = re.compile("|".join(unit for unit in task_words.UNITS if is_unspaced(unit)))
_UNSPACED_QUOTED = re.compile(r"「[^「」\n]{1,400}」")
_INLINE_CODE = re.compile(r"`([^`\n]{3,400})`")
_THE_WORD = re.compile(r"\b(?:the word|das wort|le mot|la palabra|la parola)\s\w", re.IGNORECASE)
_DATE = re.compile(r"\b\d{4}-\d{1,2}-\d{1,2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b\d{1,2}\.\d{1,2}\.(?=\s|$)")
_CLOCK = re.compile(r"\b\d{1,2}[:h]\d{2}\b|\b\d{1,2}\s?[ap]\.?m\b|\b\d{1,2} uhr\b", re.IGNORECASE)
_SENTENCE_ENDS = frozenset(".?!。？！")
_BESIDE_UNIT = frozenset({"°", "º", "degrees", "degree", "degrés", "grad", "square", "cubic", "us", "fl", "fluid", "a", "an", "full"})
_CONVERTED = frozenset(
    {"in", "to", "into", "as", "en", "zu", "nach", "à", "a", "auf", "=", "は", "в", "は何", "では", "number", "and", "are", "is"}
)


@dataclass(frozen=True)
class QuestionParts:
    """A question of bounded length; each part is made when it is first looked at."""

    text: str

    @cached_property
    def _split(self) -> tuple[str, tuple[Block, ...]]:
        """What stands outside of fences, and the fenced blocks."""
        return split_code(self.text)

    @property
    def fenced(self) -> bool:
        """Whether it states a fenced block."""
        return bool(self._split[1])

    @cached_property
    def code(self) -> str:
        """Its fenced and inline code."""
        return "\n".join([*(block.text for block in self._split[1]), *_INLINE_CODE.findall(self.text)])

    @cached_property
    def prose(self) -> str:
        """It without fenced code, each quotation replaced by a pair of marks."""
        text = _FEET.sub(r"\1 feet \2 inches ", self._split[0])
        return _UNSPACED_QUOTED.sub(" “” ", QUOTED.sub(" “” ", text)).strip()

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The words, numbers and signs of its prose, in lower case; `#` for a number within a name."""
        prose = _UNSPACED_UNIT.sub(r" \g<0> ", _NAME.sub(" # ", self.prose))
        return tuple(token.replace("’", "'") for token in _TOKEN.findall(prose.casefold()))

    @cached_property
    def words(self) -> frozenset[str]:
        """Its tokens as a set."""
        return frozenset(self.tokens)

    @cached_property
    def line(self) -> str:
        """Its tokens with blanks around each."""
        return f" {' '.join(self.tokens)} "

    def has(self, terms: Terms) -> bool:
        """Whether one of these terms stands in its prose."""
        return terms.within(self.words, self.line)

    @cached_property
    def asking(self) -> tuple[tuple[str, ...], ...]:
        """The tokens of its first and its last sentence, in which it says what it wants; a story lies between them."""
        ends = [at for at, token in enumerate(self.tokens[:-1]) if token in _SENTENCE_ENDS]
        return (self.tokens[: ends[0] + 1], self.tokens[ends[-1] + 1 :]) if ends else (self.tokens,)

    def asks(self, terms: Terms) -> bool:
        """Whether one of these terms stands in a sentence in which it says what it wants."""
        return any(terms.within(frozenset(sentence), f" {' '.join(sentence)} ") for sentence in self.asking)

    def _is_number(self, at: int) -> bool:
        return 0 <= at < len(self.tokens) and (self.tokens[at][0].isdecimal() or self.tokens[at] in task_words.NUMBER_WORDS)

    @cached_property
    def has_number(self) -> bool:
        """Whether it states a number of any sort."""
        return any(self._is_number(at) for at in range(len(self.tokens)))

    @cached_property
    def quantities(self) -> int:
        """How many numbers it states that are neither years nor names ("chapter 3")."""
        return sum(self._is_number(at) and not self._is_name_or_year(at) for at in range(len(self.tokens)))

    def _is_name_or_year(self, at: int) -> bool:
        before = self.tokens[at - 1] if at else ""
        return before in task_words.NAMED_BY_NUMBER or (_is_year(self.tokens[at]) and before in task_words.BEFORE_YEAR)

    @cached_property
    def years(self) -> int:
        """How many years and dates in digits it states."""
        return sum(map(_is_year, self.tokens)) + len(_DATE.findall(self.prose))

    @cached_property
    def dates(self) -> int:
        """How many dates it states: numeric ones, and months with a number beside them."""
        tokens = self.tokens
        named = (at for at, token in enumerate(tokens) if token in task_words.MONTHS)
        return len(_DATE.findall(self.prose)) + sum(
            any(0 <= beside < len(tokens) and (tokens[beside] == "#" or tokens[beside][0].isdecimal()) for beside in self._beside(at))
            for at in named
        )

    def _beside(self, at: int) -> tuple[int, int]:
        """The tokens next to this one, over a full stop or "de" ("5. Mai", "5 de mayo")."""
        before = at - 2 if at and self.tokens[at - 1] in {".", "de", "of"} else at - 1
        return before, at + 1

    @cached_property
    def clock_times(self) -> int:
        """How many times of day it states."""
        return len(_CLOCK.findall(self.prose))

    @cached_property
    def has_duration(self) -> bool:
        """Whether it states a length of time ("90 days", "3h 25min") or an offset of a time zone."""
        return not {"utc", "gmt"}.isdisjoint(self.words) or any(
            "time" in task_words.UNITS.get(token, ()) and self._measured(at) for at, token in enumerate(self.tokens)
        )

    def _measured(self, unit: int) -> bool:
        """Whether a number stands before this unit."""
        before = unit - 1
        while before >= 0 and self.tokens[before] in _BESIDE_UNIT:
            before -= 1
        return self._is_number(before) or (before >= 0 and self.tokens[before] == "half")

    def converts(self) -> bool:
        """Whether a measured unit is to become another one that measures the same: "12 miles in km", "how many ml are 3 cups"."""
        return bool(self.conversions())

    def conversions(self) -> tuple[tuple[str, str], ...]:
        """The units that are given with a number, each with the one that it is to become."""
        units = [(at, token, task_words.UNITS[token]) for at, token in enumerate(self.tokens) if token in task_words.UNITS]
        given = [(token, dimensions) for at, token, dimensions in units if self._measured(at)]
        if not given:
            return ()
        wanted = [(token, dimensions) for at, token, dimensions in units if not self._measured(at) and self._is_wanted(at)]
        return tuple((one, other) for other, into in wanted for one, dimensions in given if dimensions & into)

    def _is_wanted(self, unit: int) -> bool:
        """Whether this unit is what something becomes: after "in", "to", or "how many", and not "of" something."""
        before = unit - 1
        while before > 0 and self.tokens[before] in _BESIDE_UNIT - {"a"}:
            before -= 1
        if before < 0 or self.tokens[unit + 1 : unit + 2] == ("of",):
            return False
        asked = any(
            self.line_before(unit).endswith(f" {phrase}") for phrase in ("how many", "wie viele", "combien de", "cuántos", "cuántas")
        )
        return asked or self.tokens[before] in _CONVERTED - {"a", "is", "are"} or is_unspaced(self.tokens[unit])

    def line_before(self, at: int) -> str:
        """The three tokens before this one."""
        return f" {' '.join(self.tokens[max(0, at - 3) : at])}"

    @cached_property
    def has_infix(self) -> bool:
        """Whether an operation in words stands between two numbers, over a unit: "17 plus 26", "100 divided by 7", "5 kg mal 3"."""
        for at, token in enumerate(self.tokens):
            if token in task_words.INFIX and (self._is_number(at - 1) or self._is_number(at - 2)):
                after = (
                    at
                    + 1
                    + (self.tokens[at + 1 : at + 2] != () and self.tokens[at + 1] in {"by", "durch", "par", "por", "entre", "door", "на"})
                )
                if self._is_number(after):
                    return True
        return False

    @cached_property
    def items(self) -> int:
        """How many items its longest list has, counted by the commas of a line."""
        return max((line.count(",") + line.count("、") + 1 for line in self.prose.splitlines()), default=1)

    @cached_property
    def words_after_colon(self) -> int:
        """How many words stand after the first colon."""
        return len(self.prose.partition(": ")[2].split())

    @cached_property
    def names_text(self) -> bool:
        """Whether it marks a text to work on: a quotation, or "the word ..."."""
        return "“”" in self.prose or bool(_THE_WORD.search(self.prose))

    @cached_property
    def states_text(self) -> bool:
        """Whether it states a text to work on: one that is marked, words after a colon, or a list."""
        return self.names_text or self.words_after_colon > 0 or self.items > 2


def _is_year(token: str) -> bool:
    return len(token) == 4 and token.isdecimal() and "1000" <= token <= "2100"


def parts_of(question: str) -> QuestionParts:
    """The parts of a question, of a long one those of its beginning and its end."""
    bounded = question if len(question) <= _HEAD + _TAIL else f"{question[:_HEAD]}\n{question[-_TAIL:]}"
    return QuestionParts(bounded)
