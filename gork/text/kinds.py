"""The kind of a question, told by plain code: whether it can be computed, else what its answer looks like.

A question can be computed when it states a task (an operation, a conversion, a comparison, a count) together with what the task is to be
done with (numbers, dates, a word, a list). Each of `_FEATURES` is one piece of evidence for that, with a weight; wishes for prose and
questions for a way to do something weigh against it. What does not reach `_ENOUGH` is not computed, and what is not sure is open writing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gork.text import task_words as words
from gork.text.language import word_set
from gork.text.question_parts import QuestionParts, parts_of
from gork.text.questions import YES_OR_NO
from gork.turn import Kind

_ENOUGH = 4


@dataclass(frozen=True, slots=True)
class _Feature:
    """A piece of evidence; `kind` is what the question then is, None where it says only that there is something to compute, or not."""

    name: str
    kind: Kind | None
    weight: int
    holds: Callable[[QuestionParts], bool]


_NUMBER = r"[$€£]?\d[\d.,]{0,30}%?"
_EXPRESSION = re.compile(
    rf"""{_NUMBER} \s? \)* \s? (?:[+*×·÷^]|\*\*|//) \s? \(* \s? -?{_NUMBER}  # 2 + 3
    | \d\)* \s+ [-−–x/:] \s+ \(*\d                                       # 100 / 7, but not 24/7
    | \d \s? [-+*/×x÷] \s? \d{{1,30}} \s? =
    | \d \s? [-+*/] \s? \d+ \s? [-+*/] \s? \d+ \s? [=?]
    | \b\d{{1,9}}x\d{{1,9}}\b | \d[\w\s]{{1,9}}\s\+\s\d
    | \bsqrt\b | √ | \b\d{{1,9}}!(?=$|\s*[=?]) | [²³]""",
    re.VERBOSE,
)
_BARE_EXPRESSION = re.compile(
    r"\W*(?:what's|whats|what is|calc\w*|compute|solve|how much is)?[\d\s.,+*/()x×÷^%−-]{3,200}=?\s?\??\s*", re.IGNORECASE
)
_OPERATOR = re.compile(r"\d\)*\s?[-+*/x×÷^−]\s?\(*-?\d")
_TRUTH = re.compile(r"\b(?:true|false|and|or|not|xor)\b(?:[\s()]+\b(?:true|false|and|or|not|xor)\b)+", re.IGNORECASE)
_EQUATION = re.compile(r"\b\d*[a-z](?:\^\d)?\s?[-+*/=]\s?\d|\d\s?=\s?\d*[a-z]\b")
_OF_NUMBER = re.compile(
    r"\b(?:of|de|von|di|van|between|radius|base|side|edge|height|width|diameter|auf|over|than|by|as|under|below|above)\s[$€£]?\d|\b(?:is|was|ist|est|es)\s\d",
    re.IGNORECASE,
)
_NUMERAL = re.compile(r"\b0[xb][0-9a-f]+\b|\b[MDCLXVI]{4,15}\b")
_LIST_OF_THINGS = re.compile(r"\b(?:an?|two|three|four|five|six|\d{1,4})\s[\w\s]{2,30}?(?:,|\sand\b|\.)")
_ONE_LETTER = re.compile(
    r"\b(?:how many|how often does|times does|number of|count(?: the)?|wie viele|wie oft kommt|combien de|cuántas)"
    r"(?: letter)?\s[\"'“‘]?[a-z](?:[\"'”’]?s|[\"'”’])?\s(?!lot\b)",
    re.IGNORECASE,
)
"""One letter that is counted: "how many r's"."""


def _is_expression(question: QuestionParts) -> bool:
    if _EXPRESSION.search(question.prose) or _NUMERAL.search(question.prose):
        return True
    if question.has_infix:
        return True
    return bool(_OPERATOR.search(question.prose)) and bool(_BARE_EXPRESSION.fullmatch(question.prose))


def _combines_truth_values(question: QuestionParts) -> bool:
    """Whether truth values are combined; the words "true or false" alone only ask for one of them."""
    for match in _TRUTH.finditer(question.prose):
        run = re.findall(r"\w+", match[0].casefold())
        values = sum(word in {"true", "false"} for word in run)
        negated = "not" in run and (values > 1 or "(" in match[0])
        if negated or (values > 1 and run not in (["true", "or", "false"], ["false", "or", "true"])):
            return True
    return False


def _is_equation(question: QuestionParts) -> bool:
    return "=" in question.prose and bool(_EQUATION.search(question.prose))


def _operates(question: QuestionParts) -> bool:
    return question.has(words.OPERATION) and (question.has_number or "#" in question.words)


def _calculates(question: QuestionParts) -> bool:
    return question.has(words.CALCULATION) and (question.quantities >= 2 or bool(_OF_NUMBER.search(question.prose)))


def _computes_dates(question: QuestionParts) -> bool:
    """Dates that are related to each other or to a length of time: "days between", "90 days from", "what weekday is"."""
    if question.has_duration and not _NOW.isdisjoint(question.words) and not _SHIFTED.isdisjoint(question.words):
        return True
    if question.dates:
        return question.has(words.TIME_ASKED)
    if question.has(words.HOLIDAYS):
        return question.has(words.TIME_ASKED) and question.has(words.UNTIL)
    return question.has(words.WEEKDAYS) and question.has_duration and question.has(words.TIME_ASKED)


_NOW = frozenset({"today", "now", "tomorrow", "yesterday", "heute", "hoy", "aujourd'hui", "oggi"})
_SHIFTED = frozenset({"from", "before", "after", "ago", "ab", "vor", "plus"})


def _computes_times(question: QuestionParts) -> bool:
    return question.clock_times > 1 or (question.clock_times == 1 and question.has_duration)


def _has_age(question: QuestionParts) -> bool:
    return "born" in question.words and not {"age", "old"}.isdisjoint(question.words) and question.years > 1


def _works_on_text(question: QuestionParts) -> bool:
    """Whether letters or words of a text that the question states are counted, found or changed."""
    if _ONE_LETTER.search(question.text):
        return True
    stated = question.states_text
    if question.has(words.TEXT_WORK):
        counted = (question.has(words.AMOUNT) and bool(_IN_A_WORD.search(question.prose))) or _numbers_a_letter(question)
        is_it = bool(re.match(r"(?:is|are|ist|est|es)\s", question.prose, re.IGNORECASE)) and not question.has(words.MANNER)
        short = question.has(words.REVERSED) and 2 <= len(question.tokens) <= 4
        return stated or short or (counted and not {"alphabet", "english"} & question.words) or (is_it and len(question.tokens) < 8)
    return stated and question.has(words.TEXT_PARTS) and question.has(words.COUNTING)


_IN_A_WORD = re.compile(r"\b(?:in|word|wort|palabra|mot)\s+\w+(?:\s+have)?\W*$")
_VERB_WORD_BACKWARDS = 3
"""Tokens of "write lamp backwards"."""
_LETTER_OF = re.compile(r"\b(?:letter|character|buchstabe|lettre|letra|lettera)s?\s(?:of|in|von|de|di)\s\w+\W*$", re.IGNORECASE)


def _numbers_a_letter(question: QuestionParts) -> bool:
    """Whether a letter is asked for by its place: "the third letter of elephant"."""
    return question.has(words.COUNTING) and bool(_LETTER_OF.search(question.prose))


def _turns_a_text_round(question: QuestionParts) -> bool:
    """Whether the text that is to be written backwards stands there: to write it is no wish for prose."""
    return question.has(words.REVERSED) and (question.names_text or len(question.tokens) <= _VERB_WORD_BACKWARDS)


def _sorts(question: QuestionParts) -> bool:
    return (
        question.has(words.SORTING)
        and " sort of " not in question.line
        and (question.items >= 3 or question.words_after_colon >= 2 or question.quantities >= 3)
    )


def _counts_things(question: QuestionParts) -> bool:
    """Things in a list that are to be counted: "a chair, two tables and a lamp. How many ...?"."""
    return question.has(words.AMOUNT) and sum(1 for _ in _LIST_OF_THINGS.finditer(question.prose)) >= 3


def _wishes_for_prose(question: QuestionParts) -> bool:
    """Whether a clause begins with a wish for prose, or a person, a place or a reason is asked for."""
    for sentence in question.asking:
        begins, before = True, ""
        for word in sentence:
            if begins and word in words.PROSE and not (before == "," and word in words.PRONOUNS):
                return True
            begins, before = word in ".,?!:;" or (begins and (word in _BEFORE_WISH or word[0].isdecimal())), word
    return False


_WHAT = frozenset({"what", "what's", "whats", "which"})


def _asks_for_manner(question: QuestionParts) -> bool:
    """Whether a way, advice, a meaning or a judgement is asked for."""
    judged = question.asks(words.JUDGEMENT) and not question.has(words.AMOUNT) and _WHAT.isdisjoint(question.words)
    return judged or question.asks(words.MANNER) or bool(_MEANING.search(question.prose))


_BEFORE_WISH = word_set("please pls can could you u me hey hi bitte a an the some so and my")
_MEANING = re.compile(r"\bwhat\b.{1,80}\bmean\b", re.IGNORECASE | re.DOTALL)

_FEATURES = (
    _Feature("an expression", Kind.ARITHMETIC, 4, _is_expression),
    _Feature("truth values are combined", Kind.ARITHMETIC, 6, _combines_truth_values),
    _Feature("an equation", Kind.ARITHMETIC, 4, _is_equation),
    _Feature("an operation", Kind.ARITHMETIC, 3, _operates),
    _Feature("a percentage", Kind.ARITHMETIC, 2, lambda question: question.has(words.PERCENT) and question.has_number),
    _Feature("a calculation", Kind.ARITHMETIC, 2, _calculates),
    _Feature("a part or a function of a number", Kind.ARITHMETIC, 1, lambda question: bool(_OF_NUMBER.search(question.prose))),
    _Feature("numbers to compare", Kind.ARITHMETIC, 2, lambda question: question.has(words.COMPARISON) and question.quantities >= 2),
    _Feature("a sequence", Kind.ARITHMETIC, 3, lambda question: question.has(words.SEQUENCE) and question.quantities >= 3),
    _Feature("amounts in relation", Kind.ARITHMETIC, 1, lambda question: question.has(words.RELATION) and question.quantities >= 2),
    _Feature("a proportion", Kind.ARITHMETIC, 1, lambda question: question.has(words.PROPORTION) and question.quantities > 0),
    _Feature("a conversion", Kind.DATES, 4, QuestionParts.converts),
    _Feature("dates", Kind.DATES, 4, _computes_dates),
    _Feature("times of day", Kind.DATES, 4, _computes_times),
    _Feature("a leap year", Kind.DATES, 3, lambda question: " leap year " in question.line and question.has_number),
    _Feature("an age", Kind.DATES, 3, _has_age),
    _Feature("work on a text", Kind.COUNTING, 4, _works_on_text),
    _Feature("a text turned round", Kind.COUNTING, 4, _turns_a_text_round),
    _Feature("a list to sort", Kind.COUNTING, 4, _sorts),
    _Feature("things to count", Kind.COUNTING, 4, _counts_things),
    _Feature("a number", None, 1, lambda question: question.has_number),
    _Feature("two quantities", None, 1, lambda question: question.quantities >= 2),
    _Feature("three quantities", None, 1, lambda question: question.quantities >= 3),
    _Feature("asks for an amount", None, 2, lambda question: question.has(words.AMOUNT)),
    _Feature("asks for something", None, 1, lambda question: question.has(words.ASKING) and not question.has(words.AMOUNT)),
    _Feature("a wish for prose", None, -4, _wishes_for_prose),
    _Feature("a way, advice or a judgement", None, -4, _asks_for_manner),
)
_LETTERED = re.compile(r"(?:^|\s)\(?([A-Ha-h])[.):]\s")
_CODE_LIKE = re.compile(
    r"""
    [\w.]{1,40} \( (?!s\)) (?: [^()\n] | \( [^()\n]{0,60} \) ){0,80} \)  # a call, but not "letter(s)"
    | [\w"'\])] \[ [\w:-]{1,20} \]                                       # an index or a slice
    | \[ \w+ [ ] for [ ] \w+ [ ] in [ ] | \bfor [ ] \w+ [ ] in [ ] \w+
    | \b\w+ [ ] [-+*/]?= [ ] [\w"'\[{(]
    | \d [ ] (?://|%) [ ] \d""",
    re.VERBOSE,
)
_GIVES = "prints?|printed|returns?|returned|outputs?|shows?|gives?|evaluates?|get|gibt|imprime|result|value"
_ASKS_OUTPUT = re.compile(
    rf"""\b(?:what|whats|what's|que|qué|was)\b .{{0,120}} \b(?:{_GIVES})\b
    | \b(?:output|result|value|ausgabe|résultat) \s (?:of|is)\b
    | \b(?:output|result|prints|returns) \s* [?:]? \s* $
    | \b(?:prints|returns|gives|outputs) \s what\b
    | (?:->|=|→) \s* \? \s* $
    | \bevaluate\b | \bgibt\b .{{0,100}} \baus\b
    | \b(?:whats|what's|what\sis) \s (?: [a-z]\b (?!\s\w) | \w+\( | ["'“\[] )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_CODE_SURE = re.compile(r"\bdef \w+\(|\bfor \w+ in \w+\(|\bprint\(|\bconsole\.log\(")
_PRINTS = re.compile(r"^\s*print\(", re.MULTILINE)


def kind_of(question: str) -> Kind:
    """The kind of a question; of a long one the first 4000 and the last 1000 characters are read.

    >>> [str(kind_of(question)) for question in ("tip on 46.50 at 18%", "sort: pear, apple, fig", "12 miles in km", "best 5 books")]
    ['arithmetic', 'counting', 'dates', 'open']
    """
    parts = parts_of(question)
    if _asks_for_output(parts):
        return Kind.CODE_OUTPUT
    if _is_about_code(parts):
        return Kind.CODE
    if [letter.upper() for letter in _LETTERED.findall(parts.text)[:2]] == ["A", "B"]:
        return Kind.CHOICE
    found = _found(parts)
    if sum(feature.weight for feature in found) >= _ENOUGH:
        return max(found, key=lambda feature: feature.weight if feature.kind else 0).kind or Kind.ARITHMETIC
    return _kind_by_answer(parts)


def evidence(question: str) -> dict[str, int]:
    """The features of a question that speak for or against computing, each with its weight.

    >>> evidence("what's 15% of 240")["a percentage"]
    2
    """
    return {feature.name: feature.weight for feature in _found(parts_of(question))}


def _found(parts: QuestionParts) -> list[_Feature]:
    return [feature for feature in _FEATURES if feature.holds(parts)]


def _asks_for_output(parts: QuestionParts) -> bool:
    """Whether the question states code and asks what it gives."""
    if parts.code and not parts.prose.strip(" \n“”"):
        return bool(_PRINTS.search(parts.code))
    has_code = bool(parts.code) or bool(_CODE_LIKE.search(parts.text))
    if not has_code or parts.has(words.MANNER) or _wishes_for_prose(parts):
        return False
    return bool(_ASKS_OUTPUT.search(parts.prose if parts.fenced else _CODE_LIKE.sub("“”", parts.text)))


_CODE_PAIRS = (frozenset({"select", "table"}), frozenset({"shell", "command"}), frozenset({"terminal", "command"}))


def _is_about_code(parts: QuestionParts) -> bool:
    if parts.fenced or not words.CODE_LANGUAGES.isdisjoint(parts.words) or any(pair <= parts.words for pair in _CODE_PAIRS):
        return True
    start = frozenset(parts.tokens[:6])
    if _CODE_SURE.search(parts.text):
        return True
    return not (words.CODE_WISHES | {"how"}).isdisjoint(start) and not words.CODE_THINGS.isdisjoint(parts.tokens[:12])


def _kind_by_answer(parts: QuestionParts) -> Kind:
    """The kind of a question that cannot be computed."""
    if YES_OR_NO.search(parts.text):
        return Kind.CHOICE
    if parts.has(words.FORM):
        return Kind.FORM
    if parts.has(words.FACT) and not _asks_for_manner(parts) and len(parts.tokens) <= 25:
        return Kind.FACT
    return Kind.OPEN


_CONTINUES = re.compile(
    r"\W*(?:and|but|now|then|what about|how about|what if|or|also|und|oder|aber|jetzt|et|mais|y|e|o|ed|en|а|и)\b", re.IGNORECASE
)
_MOST_CONTINUING = 12


def continues(question: str) -> bool:
    """Whether a question goes on with a computation of the turn before it: short, beginning with a joining word, with a number.

    >>> continues("and with 5 percent?"), continues("und bei 30 %?"), continues("and why is that?"), continues("what is 5 percent of 80?")
    (True, True, False, False)
    """
    parts = parts_of(question)
    return (
        len(parts.tokens) <= _MOST_CONTINUING and parts.has_number and bool(_CONTINUES.match(parts.text)) and not _wishes_for_prose(parts)
    )
