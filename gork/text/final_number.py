"""The number that an answer arrives at: stated ("the answer is 96"), after the last equals sign, or the last one that stands.

In digits, words and fractions; the numbers of lists, steps and ordinals do not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from gork.text.claims import negated
from gork.text.language import word_set
from gork.text.numbers import COUNTED, SCALES
from gork.text.tokens import SETTING, TextToken, ends_sentence, is_ordinal, sentence, skip, tokens

_CURRENCY = frozenset("$€£¥")
_STRONG = word_set("answer result solution")
_WEAK = word_set("total sum product difference quotient remainder average mean")
_ASKED = word_set("area perimeter volume median speed age change half double square root percentage price cost") | _WEAK
"""Nouns that state the answer where the question has them too."""
_COPULA = word_set("is are was were be = ≈ : equals makes gives becomes")
_LEAD = (
    word_set("""the a that it it's about approximately exactly roughly only therefore thus then now so equal to equals of be just
    number boxed \\ ( [ {""")
    | _CURRENCY
    | SETTING
    | {"=", "≈", ":", "\n"}
)
"""What may stand between a copula and its number."""
_OPERATORS = word_set("+ - * × x ÷ / · ^ times plus minus")
_LABELS = word_set("step question problem example part figure option line chapter")
_BESIDE = word_set("the a maybe perhaps possibly even about be could might it is either") | SETTING | _CURRENCY
"""What may stand between two numbers that are offered side by side."""
_MARKERS = re.compile(r"^[ \t]*(?:[>*+#-]{1,6}[ \t]+)?[*_]{0,3}([0-9]{1,2})[.)][*_]{0,3}[ \t]+(?=\S)", re.MULTILINE)
_FRACTION = re.compile(r"\\[dt]?frac\{([0-9]{1,9})\}\{([0-9]{1,9})\}")
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]{0,100}\}){1,200})\}")
"""What is boxed is the answer, whatever stands after it."""
_LATEX = str.maketrans({"\\": " "})
_LONGEST = 40


class Value(NamedTuple):
    """A number in a text, from its first token to the one after it."""

    value: Fraction
    start: int
    end: int
    word: bool


@dataclass(frozen=True, slots=True)
class FinalNumber:
    """The number that an answer arrives at, and whether it offers another one beside it ("96 or 98")."""

    value: Fraction
    hedged: bool


def final_number(answer: str, question: str = "") -> FinalNumber | None:
    """The final number of an answer, None if it has none; nouns of the question ("area") tell where it is stated.

    >>> final_number("12 * 8 = 96, so the answer is ninety-six."), final_number("96 or 98").hedged, final_number("Step 2")
    (FinalNumber(value=Fraction(96, 1), hedged=False), True, None)
    """
    boxed: list[str] = _BOXED.findall(answer)
    if boxed and (said := final_number(boxed[-1])) is not None:
        return said
    plain = _FRACTION.sub(r" \1/\2 ", _without_markers(answer)).replace("\\times", "×").replace("\\div", "÷").replace("\\cdot", "·")
    text = tokens(plain.translate(_LATEX))
    values = _values(text)
    final = _final(text, values, frozenset(token.folded for token in tokens(question)))
    return None if final is None else FinalNumber(final.value, _hedged(text, values, final))


def _without_markers(answer: str) -> str:
    """The answer without the numbers of a numbered list; "96. That is ..." is not one."""
    given = {int(match[1]) for match in _MARKERS.finditer(answer)}

    listed = given != {1} or len(re.findall(r"[0-9]+", answer)) > 1

    def kept(match: re.Match[str]) -> str:
        first = int(match[1]) == 1 and listed
        return "\n" if first or int(match[1]) - 1 in given else match.group()

    return _MARKERS.sub(kept, answer)


def _values(text: Sequence[TextToken]) -> dict[int, Value]:
    """The numbers of a text by their first token."""
    found: dict[int, Value] = {}
    at = 0
    while at < len(text):
        value = _digits(text, at) if text[at].kind == "number" else _spelled(text, at)
        if value is None:
            at += 1
            continue
        at = value.end
        if not _is_label(text, value):
            found[value.start] = value
    return found


def _is_label(text: Sequence[TextToken], value: Value) -> bool:
    """Whether a number is a label, an ordinal or an exponent: "Step 2", "12th", "cm^2"."""
    before = text[value.start - 1].folded if value.start else ""
    return before in _LABELS or before == "^" or is_ordinal(text, value.end)


def _digits(text: Sequence[TextToken], at: int) -> Value | None:
    if len(text[at].folded) > _LONGEST:
        return None
    value, end = Fraction(text[at].folded), at + 1
    below = _glued_below(text, end) if value.denominator == 1 else None
    if below:
        value, end = value / below, end + 2
    elif value.denominator == 1 and end < len(text) and text[end].kind == "number" and not text[end].glued and "." not in text[end].text:
        below = _glued_below(text, end + 1)  # "5 1/2"
        if below and len(text[end].folded) <= _LONGEST and 0 < int(text[end].folded) < below:
            value, end = value + Fraction(int(text[end].folded), below), end + 3
    if end < len(text) and text[end].folded in SCALES:
        value, end = value * SCALES[text[end].folded], end + 1
    return Value(-value if _minus(text, at) else value, at, end, word=False)


def _glued_below(text: Sequence[TextToken], at: int) -> int:
    """The denominator of a fraction that is written without blanks, 0 if this is not one."""
    if at + 1 >= len(text) or text[at].folded != "/" or not text[at].glued or not text[at + 1].glued:
        return 0
    below = text[at + 1].folded
    dated = at + 2 < len(text) and text[at + 2].folded == "/"
    return int(below) if below.isdecimal() and len(below) <= _LONGEST and not dated else 0


def _minus(text: Sequence[TextToken], at: int) -> bool:
    before = skip(text, at - 1, _CURRENCY, step=-1, most=1)
    if before < 0:
        return False
    operand = before > 0 and (text[before - 1].kind == "number" or text[before - 1].folded in COUNTED)
    signed = text[before].folded == "-" and before < at - 1 and text[before + 1].glued
    return not operand and (text[before].folded in {"minus", "negative"} or signed)


def _spelled(text: Sequence[TextToken], at: int) -> Value | None:
    """A number in words: "twenty-one", "two hundred and five"."""
    if text[at].folded not in COUNTED:
        return None
    total, part, end = 0, COUNTED[text[at].folded], at + 1
    while end < len(text):
        nxt = skip(text, end, frozenset({"-", "and"}), most=1)
        word = text[nxt].folded if nxt < len(text) else ""
        if word in SCALES and nxt == end and part < 10**9:
            part *= SCALES[word]
            total, part = (total + part, 0) if part >= 1000 else (total, part)
        elif word in COUNTED and _goes_on(total + part, COUNTED[word], joined=nxt != end):
            part += COUNTED[word]
        else:
            break
        end = nxt + 1
    return Value(Fraction(-(total + part) if _minus(text, at) else total + part), at, end, word=True)


def _goes_on(value: int, further: int, *, joined: bool) -> bool:
    """Whether "twenty" "one" and "two hundred" "and" "five" are one number; "two and five" are two."""
    if value >= 100 and value % 100 == 0:
        return further > 0
    return not (joined and value % 10) and value % 100 >= 20 and value % 10 == 0 and 0 < further < 10


def _final(text: Sequence[TextToken], values: Mapping[int, Value], asked: frozenset[str]) -> Value | None:
    """A stated answer, else what the last "=" gives, else the last number."""
    strong = weak = None
    for at, token in enumerate(text):
        telling = token.folded in _STRONG or (token.folded in _ASKED and token.folded in asked)
        if telling or token.folded in _WEAK:
            said = _stated(text, values, at)
            strong, weak = (said or strong, weak) if telling else (strong, said or weak)
    if strong or weak:
        return strong or weak
    for at in range(len(text) - 1, -1, -1):
        if text[at].folded in {"=", "≈"} and not (at and text[at].glued and text[at - 1].folded in {"<", ">", "!"}):
            given = _led(text, values, at + 1)
            if given:
                return given
    standing = [value for value in values.values() if not _operand(text, values, value) and not negated(text, (value.start, value.end))]
    telling_ones = [value for value in standing if not (value.word and text[value.start].folded == "one" and value.end == value.start + 1)]
    return next(reversed(telling_ones or standing), None)


def _operand(text: Sequence[TextToken], values: Mapping[int, Value], value: Value) -> bool:
    """Whether a number is an operand of a calculation: "12 times 8"."""
    goes_on = value.end < len(text) and text[value.end].folded in _OPERATORS and value.end + 1 in values
    follows = value.start >= 2 and text[value.start - 1].folded in _OPERATORS and text[value.start - 2].kind == "number"
    return goes_on or follows


def _stated(text: Sequence[TextToken], values: Mapping[int, Value], noun: int) -> Value | None:
    """The number that the sentence of a noun such as "answer" gives for it."""
    for at in range(noun + 1, min(noun + 16, len(text))):
        if ends_sentence(text, at):
            return None
        if text[at].folded in _COPULA:
            said = _led(text, values, at + 1)
            if said:
                return said
        if text[at].folded == "of" and at == noun + 1 and (said := values.get(skip(text, at + 1, _LEAD))):
            after = text[said.end].folded if said.end < len(text) else ""
            if after not in _OPERATORS | {"and", ","}:
                return said
    return None


def _led(text: Sequence[TextToken], values: Mapping[int, Value], at: int) -> Value | None:
    """The number at this token, or the result of the calculation here; None for a calculation without a result."""
    value = values.get(skip(text, at, _LEAD, most=10))
    if value is None and 0 <= (at := skip(text, at, _LEAD | {"-", "minus", "negative"}, most=10)) < len(text):
        value = values.get(at)
    pending = False
    for _ in range(_LONGEST):
        if value is None:
            break
        sign = _operator(text, values, value.end)
        if sign is None:
            break
        pending = text[sign].folded not in {"=", "≈"}
        following = values.get(skip(text, sign + 1, _LEAD, most=10))
        if following is None:
            break
        value = following
    return None if pending else value


def _operator(text: Sequence[TextToken], values: Mapping[int, Value], end: int) -> int | None:
    """The sign of a calculation that goes on here, over a unit or two: "5 apples + 7"."""
    for at in range(end, min(end + 6, len(text))):
        folded = text[at].folded
        if folded in {"=", "≈"}:
            return at
        if folded in _OPERATORS and skip(text, at + 1, _CURRENCY | SETTING) in values:
            return at
        if folded not in SETTING | {"%", ")"} and text[at].kind != "word":
            return None
    return None


def _hedged(text: Sequence[TextToken], values: Mapping[int, Value], final: Value) -> bool:
    """Whether another number is offered beside this one: "96 or 98", "96-98", "maybe 96, maybe 98"."""
    ends = {value.end: value for value in values.values()}
    after = final.end
    while after < min(final.end + 4, len(text)) and (text[after].kind == "word" or text[after].folded in SETTING | {"%"}):
        if text[after].folded == "or":
            break
        after += 1
    if after < len(text) and text[after].folded in {"or", "/"} | ({"-"} if after == final.end else set()):
        other = values.get(skip(text, after + 1, _BESIDE))
        if other and other.value != final.value:
            return True
    before = skip(text, final.start - 1, _BESIDE, step=-1)
    if before >= 0 and text[before].folded in {"or", "/"} | _OPERATORS:
        reach = range(before, max(before - 4, 0), -1) if text[before].folded == "or" else range(before, before - 1, -1)
        if any(at in ends and ends[at].value != final.value for at in reach):
            return True
    return _one_of_maybes(text, values, final)


def _one_of_maybes(text: Sequence[TextToken], values: Mapping[int, Value], final: Value) -> bool:
    start, end = sentence(text, final.start)
    guesses = [
        values[at + 1].value
        for at in range(start, min(end, len(text) - 1))
        if text[at].folded in {"maybe", "perhaps", "possibly"} and at + 1 in values
    ]
    return len(set(guesses)) > 1
