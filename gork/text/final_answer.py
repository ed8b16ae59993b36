"""The final answer of an answer: what it says in the end, apart from the words around it, so that two answers can be told to agree.

What is looked for is decided by the kind of the question: a number, a letter, yes or no, a date, a list, a name, a value, code. An answer
that does not decide ("96 or 98", "yes and no") has none, and neither have open texts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gork.text import task_words
from gork.text.claims import negated
from gork.text.code import commands, fenced, python_tree
from gork.text.final_number import final_number
from gork.text.language import LIGHT, word_set
from gork.text.numbers import NUMBER, spelt_to_digits
from gork.text.question_parts import QuestionParts, parts_of
from gork.text.questions import QUOTED, YES_OR_NO, instructions
from gork.text.structure import bare, items, split_code, unwrapped
from gork.text.tokens import TextToken, tokens
from gork.turn import Kind


@dataclass(frozen=True, slots=True)
class NumberAnswer:
    """A number."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class OptionAnswer:
    """One of the lettered options of the question, by its letter in upper case."""

    letter: str


@dataclass(frozen=True, slots=True)
class TruthAnswer:
    """Yes or true, no or false."""

    value: bool


@dataclass(frozen=True, slots=True)
class DateAnswer:
    """A date; the year is None where the answer names none."""

    year: int | None
    month: int
    day: int


@dataclass(frozen=True, slots=True)
class DurationAnswer:
    """A length of time, or a time of day since midnight, in minutes."""

    minutes: Fraction


@dataclass(frozen=True, slots=True)
class ItemsAnswer:
    """A list in its order, each item without case and punctuation."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PhraseAnswer:
    """A name or a short phrase: its words without case, articles and punctuation."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ValueAnswer:
    """What a piece of code gives, as Python writes it where it is one of Python's literals."""

    written: str


@dataclass(frozen=True, slots=True)
class CodeAnswer:
    """Code, without comments, docstrings and layout where it is Python, else without superfluous blanks."""

    normalised: str


FinalAnswer = (
    NumberAnswer | OptionAnswer | TruthAnswer | DateAnswer | DurationAnswer | ItemsAnswer | PhraseAnswer | ValueAnswer | CodeAnswer
)

_LONGEST = 20_000
_LONGEST_PHRASE = 8
_LETTERED = re.compile(r"(?:^|[\s(])\(?([A-Ha-h])[.):]\s+(\S.{0,300}?)(?=\s+\(?[B-Hb-h][.):]\s|\s*$)", re.MULTILINE)
_STATED = re.compile(
    r"""\banswer\b (?:\s+(?:here|to\s\w+\squestion))? \s* (?:is|would\sbe|:|=)+
    | \bthe\s(?:result|output|correct\s(?:answer|option))\sis\b
    | \banswer\W{1,4}$""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_BOXED = re.compile(r"\\boxed\{(?:\\text\{)?([^{}\n]{1,200})\}")
_BOLD = re.compile(r"(?:\*\*|__)([^*_\n]{1,200})(?:\*\*|__)")
_YES = word_set("yes true correct yep yeah ja wahr richtig oui vrai sí sì verdadero да はい 是")
_NO = word_set("no false incorrect nope nein falsch non faux falso нет いいえ 否")
_JOINING = word_set("or and nor oder und noch ou et o y или и")
_SLASHED = re.compile(r"\W*\w+\s*/")
_ASKS_TRUTH = re.compile(
    r"\A\W*(?:is|are|was|were|does|do|did|can|could|has|have|had|will|would|ist|sind|kann|hat|est|es|peut|puede)\b"
    rf"|{YES_OR_NO.pattern}",
    re.IGNORECASE,
)
_ARTICLES = word_set("the a an")
_MONTH_NAMES = "january february march april may june july august september october november december".split()  # noqa: SIM905
_MONTH = {name[:length]: number for number, name in enumerate(_MONTH_NAMES, 1) for length in (3, len(name))} | {"sept": 9}
_DAYS = word_set("monday tuesday wednesday thursday friday saturday sunday")
_MONTH_PATTERN = "|".join(sorted(_MONTH, key=len, reverse=True))
_DATES = (
    re.compile(r"\b(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})\b"),
    re.compile(
        rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\.?\s(?:of\s)?(?P<name>{_MONTH_PATTERN})\b\.?,?(?:\s(?P<year>\d{{4}})\b)?",
        re.IGNORECASE,
    ),
    re.compile(rf"\b(?P<name>{_MONTH_PATTERN})\b\.?\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s(?P<year>\d{{4}})\b)?", re.IGNORECASE),
    re.compile(r"\b(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})\b"),
)
_HOURS = re.compile(r"\b(\d{1,4})\s?(?:hours?|hrs?|h)\b(?:,?\s?(?:and\s)?(\d{1,2})\s?(?:minutes?|mins?|m)\b)?", re.IGNORECASE)
_CLOCK = re.compile(r"\b(\d{1,2}):(\d{2})(?::\d{2})?(?:\s?([ap])\.?m\b)?|\b(\d{1,2})\s?([ap])\.?m\b", re.IGNORECASE)
_NUMERAL_SYSTEMS: Mapping[str, re.Pattern[str]] = {
    "roman": re.compile(r"\b[MDCLXVI]+\b"),
    "römisch": re.compile(r"\b[MDCLXVI]+\b"),
    "hex": re.compile(r"\b(?:0x)?([0-9A-Fa-f]*[0-9][0-9A-Fa-f]*|[A-F]{1,8})\b"),
    "binary": re.compile(r"\b(?:0b)?([01]{2,64})\b"),
}
_COMPARED = re.compile(r"(-?\d[\d.,]{0,30}(?:/\d{1,9})?)\W{0,4}\s*(?:is|>|was|has)\b")
_CODE_SPAN = re.compile(r"`([^`\n]{1,300})`")


def final_answer(text: str, question: str, kind: Kind) -> FinalAnswer | None:
    """What an answer to a question of this kind says in the end; None where it does not decide, and for open texts.

    >>> final_answer("The capital of France is **Paris**.", "capital of france?", Kind.FACT)
    PhraseAnswer(words=('paris',))
    """
    text = text[:_LONGEST].strip()
    if not text or kind not in _READERS:
        return None
    return _READERS[kind](text, parts_of(question))


def same(one: FinalAnswer | None, other: FinalAnswer | None) -> bool:
    """Whether two final answers say the same: numbers up to rounding to two decimals, names also where one is part of the other.

    None, for what an answer says that could not be found out, is the same as nothing.

    >>> same(NumberAnswer(Fraction("41.67")), NumberAnswer(Fraction(125, 3))), same(PhraseAnswer(("mr", "bell")), PhraseAnswer(("bell",)))
    (True, True)
    """
    if one is None or other is None:
        return False
    match one, other:
        case NumberAnswer(first), NumberAnswer(second):
            return _same_number(first, second)
        case PhraseAnswer(first_words), PhraseAnswer(second_words):
            return _same_phrase(first_words, second_words)
        case DateAnswer(year=first_year), DateAnswer(year=second_year):
            years_agree = first_year == second_year or first_year is None or second_year is None
            return (one.month, one.day) == (other.month, other.day) and years_agree
        case (DateAnswer(year=year), NumberAnswer(number)) | (NumberAnswer(number), DateAnswer(year=year)):
            return number == year
        case _:
            return one == other


def _same_number(first: Fraction, second: Fraction) -> bool:
    """Two whole numbers are the same or not; else one may be the other, rounded to two decimals."""
    if first == second:
        return True
    if first.denominator == second.denominator == 1:
        return False
    return abs(first - second) <= min(Fraction(1, 200), abs(first) / 100)


_DISTINGUISHING = word_set("north south east west new not former non anti northern southern eastern western no or")


_MOST_MORE = 2
"""So many words one name may have more than the other: titles, first names."""


def _same_phrase(first: Sequence[str], second: Sequence[str]) -> bool:
    """The same words, or the beginning or the end of the other; "North Korea" is not "Korea"."""
    short, long = sorted((tuple(map(_singular, first)), tuple(map(_singular, second))), key=len)
    more = len(long) - len(short)
    if more > _MOST_MORE:
        return False
    extra = long[:more] if long[more:] == short else long[len(short) :] if long[: len(short)] == short else None
    return extra is not None and _DISTINGUISHING.isdisjoint(extra)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _conclusion(text: str) -> str:
    """The part of an answer that says what it says in the end: what is boxed, stated or bold, else its last line."""
    boxed: list[str] = _BOXED.findall(text)
    if boxed:
        return boxed[-1]
    stated = next(iter([*_STATED.finditer(text)][::-1]), None)
    if stated and (rest := text[stated.end() :].strip(" \n:*")):
        return rest.splitlines()[0]
    prose, blocks = split_code(text)
    bold: list[str] = [piece for piece in _BOLD.findall(prose) if not piece.rstrip().endswith(":")]
    if bold:
        return bold[-1].strip(" .")
    lines = [line for line in prose.splitlines() if line.strip()]
    return lines[-1] if lines else (blocks[-1].text if blocks else "")


def _number(text: str, question: QuestionParts) -> FinalAnswer | None:
    """The final number; where it only repeats the question's, the one new number beside it ("21 days in 3 weeks")."""
    text = _REASON.sub("", text)
    found = final_number(text, question.text)
    if found is None or found.hedged:
        return None
    if not _STATED.search(text) and not question.has(task_words.COMPARISON) and found.value in (stated := _numbers(question.text)):
        lines = text.strip().splitlines()
        new = _numbers(_SENTENCE_END.split(lines[-1].strip())[-1] if lines else "") - stated
        if len(new) == 1:
            return NumberAnswer(new.pop())
    return NumberAnswer(found.value)


_SENTENCE_END = re.compile(r"(?<=[^\W\d_A-Z][.!?])\s+(?=\S)|(?<=\d[.!?])\s+(?=[A-Z])")
_REASON = re.compile(r"(?<=[\w)%]),?\s(?:because|since)\s[^.!?\n]*", re.IGNORECASE)
"""What follows the answer as its reason."""


def _numbers(text: str) -> set[Fraction]:
    """The numbers in digits and English words, as far as they are unambiguous."""
    written = (number.replace(",", "") for number in NUMBER.findall(spelt_to_digits(text[:_LONGEST])))
    return {Fraction(number) for number in written if number.count(".") < 2 and len(number) < 40}


def _truth(text: str) -> TruthAnswer | None:
    """Yes or no, where the answer begins with it, or concludes with exactly one of them."""
    for part in (text, _conclusion(text)):
        words = tokens(part)
        said = [token.folded for token in words if token.kind == "word"]
        if said and said[0] in _YES | _NO and not _offers_both(said, part):
            return TruthAnswer(said[0] in _YES)
    ends = {token.folded in _YES for token in tokens(_conclusion(text)) if token.folded in _YES | _NO}
    return TruthAnswer(ends.pop()) if len(ends) == 1 else None


def _offers_both(said: Sequence[str], part: str) -> bool:
    """Whether it begins with both, as the question offers them: "True or False", "yes and no", "true/false"."""
    opposite = _NO if said[0] in _YES else _YES
    joined = said[1:2] and said[1] in _JOINING and said[2:3] and said[2] in opposite
    return bool(joined or (said[1:2] and said[1] in opposite and _SLASHED.match(part)))


def _arithmetic(text: str, question: QuestionParts) -> FinalAnswer | None:
    if _asks_truth(question):
        return _truth(text)
    for name, numeral in _NUMERAL_SYSTEMS.items():
        if any(word.startswith(name) for word in question.words) and not question.words & {"decimal", "dezimal"}:
            found = [match[match.lastindex or 0] for match in numeral.finditer(_conclusion(text))]
            if found:
                return PhraseAnswer((found[-1].lower().lstrip("0") or "0",))
    if question.has(task_words.COMPARISON):
        compared = _COMPARED.search(bare(text))
        if compared and (value := final_number(compared[1])):
            return NumberAnswer(value.value)
    return _number(text, question)


def _asks_truth(question: QuestionParts) -> bool:
    return bool(_ASKS_TRUTH.search(question.prose)) or {"true", "false"} <= question.words or "true" in question.words


_TIMEDELTA = re.compile(r"(-?\d{1,9}) days?, 0:00:00")
"""How Python prints a difference of dates."""


def _dates(text: str, question: QuestionParts) -> FinalAnswer | None:
    asked = question.words
    if delta := _TIMEDELTA.fullmatch(text):
        return NumberAnswer(Fraction(int(delta[1])))
    if _asks_truth(question):
        return _truth(text)
    if (
        {"weekday", "wochentag"} & asked
        or " what day " in question.line
        or " which day " in question.line
        or " day of the week " in question.line
    ):
        return _weekday(text)
    if {"date", "datum", "fecha"} & asked or (not asked & {"many", "long", "old"} and question.dates and "when" in asked):
        return _date(_conclusion(text)) or _date(text)
    if question.clock_times and not question.has(task_words.terms("in_minutes in_hours many")):
        return _time(_conclusion(text)) or _time(text) or _number(text, question)
    return _number(text, question)


def _weekday(text: str) -> FinalAnswer | None:
    """The only weekday of the conclusion, or of the whole answer."""
    for part in (_conclusion(text), text):
        named = {token.folded for token in tokens(part) if token.folded in _DAYS}
        if len(named) == 1:
            return PhraseAnswer((named.pop(),))
    return None


def _date(text: str) -> DateAnswer | None:
    """The last date of a text; dates in digits with slashes are ambiguous, so they are none."""
    found = [match for pattern in _DATES for match in pattern.finditer(text)]
    for match in sorted(found, key=lambda match: match.start(), reverse=True):
        parts = match.groupdict()
        month = _MONTH[parts["name"].lower()] if parts.get("name") else int(parts["month"])
        if 1 <= month <= 12 and 1 <= int(parts["day"]) <= 31:
            return DateAnswer(int(parts["year"]) if parts["year"] else None, month, int(parts["day"]))
    return None


def _time(text: str) -> DurationAnswer | None:
    """The last length of time in hours, else the last time of day."""
    if lengths := _HOURS.findall(text):
        hours, minutes = lengths[-1]
        return DurationAnswer(Fraction(int(hours) * 60 + int(minutes or 0)))
    if clocks := _CLOCK.findall(text):
        hour, minute, half, lone, lone_half = clocks[-1]
        half = (half or lone_half).lower()
        hours = int(hour or lone)
        hours = hours % 12 + (12 if half == "p" else 0) if half else hours
        return DurationAnswer(Fraction(hours * 60 + int(minute or 0)))
    return None


def _counting(text: str, question: QuestionParts) -> FinalAnswer | None:
    if question.has(task_words.SORTING):
        return _items(text)
    if question.has(task_words.AMOUNT) or {"count", "number"} & question.words:
        return _number(text, question)
    if _asks_truth(question):
        return _truth(text)
    quoted = [piece for piece in QUOTED.findall(_conclusion(text)) if piece[1:-1] not in question.text]
    return PhraseAnswer(_folded(quoted[-1])) if quoted else _phrase(text, question)


_BRACKETED = re.compile(r"\[([^\[\]\n]{3,4000})\]")


def _items(text: str) -> ItemsAnswer | None:
    """The items of the last list: of its lines, of a line's commas, or the words of a line; brackets and quotes are no part of them."""
    listed = [item.text for item in items(text)]
    if len(listed) < 2:
        bracketed: list[str] = _BRACKETED.findall(text)
        line = (bracketed[-1] if bracketed else _conclusion(text).rpartition(": ")[2]).strip("[](){}. ")
        separated = [
            piece for piece in re.split(r"\s*(?:,|;|<|>|→|->|、|\n)\s*(?:(?:and|und|et|y)\s+)?|\s+(?:and|und|et|y)\s+", line) if piece
        ]
        listed = separated if len(separated) > 1 else line.split()
    folded = tuple(" ".join(token.folded for token in tokens(item) if token.kind != "sign" or token.folded == "/") for item in listed)
    return ItemsAnswer(tuple(item for item in folded if item)) if len(folded) > 1 else None


def _output(text: str, question: QuestionParts) -> FinalAnswer | None:
    """The value that an answer states: what is between backticks or fences in its conclusion, else the conclusion."""
    blocks = fenced(text)
    conclusion = _conclusion(text)
    spans = _CODE_SPAN.findall(conclusion)
    if spans:
        written = spans[-1]
    elif blocks and not _BOXED.search(text) and not _STATED.search(text):
        written = blocks[-1]
    else:
        written = re.sub(r"^.{0,200}?\b(?:returns?|prints?|outputs?|gives?|is|be)\s*:?\s+(?=\S)", "", conclusion, flags=re.IGNORECASE)
    written = written.strip().removesuffix(".").strip("`* ")
    try:
        value = repr(ast.literal_eval(written))
        return ValueAnswer(repr(written) if _has_twins(written) else value)  # Python would print one of the twins
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return ValueAnswer(repr(written)) if written else None


def _has_twins(written: str) -> bool:
    """Whether a dictionary or a set in this value names a key or a member twice."""
    displays = [
        node.keys if isinstance(node, ast.Dict) else node.elts
        for node in ast.walk(ast.parse(written, mode="eval"))
        if isinstance(node, ast.Dict | ast.Set)
    ]
    return any(len({ast.dump(one) for one in display if one is not None}) < len(display) for display in displays)


def _choice(text: str, question: QuestionParts) -> FinalAnswer | None:
    options = {letter.upper(): _folded(option) for letter, option in _LETTERED.findall(question.text)}
    if options:
        return _option(text, options)
    return _truth(text) or _phrase(text, question)


def _option(text: str, options: Mapping[str, tuple[str, ...]]) -> OptionAnswer | None:
    """The letter that an answer gives, or that of the only option whose text it gives."""
    letters = "".join(options)
    conclusion = bare(_conclusion(text)).strip()
    for part in (conclusion, bare(text).strip()):
        if lettered := re.match(rf"\W*(?:option\s|answer\W{{1,4}})?\(?([{letters}])(?:\W|\Z)(?!\w+\s+is\b)", part, re.IGNORECASE):
            word = lettered[1].upper()
            if not (lettered[1] in "aA" and re.match(r"\W*[aA]\s\w", part)):  # "A dog" is no letter
                return OptionAnswer(word)
    if lettered := re.search(rf"\b(?:option|answer|choice)(?:\sis)?\W{{1,4}}([{letters}])\b", text, re.IGNORECASE):
        return OptionAnswer(lettered[1].upper())
    for part in (conclusion, text):
        said = _folded(part)
        found = [letter for letter, option in options.items() if option and _contains(said, option)]
        longest = [letter for letter in found if not any(letter != o and _contains(options[o], options[letter]) for o in found)]
        if len(longest) == 1:
            return OptionAnswer(longest[0])
    return None


def _contains(words: Sequence[str], wanted: Sequence[str]) -> bool:
    return any(tuple(words[at : at + len(wanted)]) == tuple(wanted) for at in range(len(words) - len(wanted) + 1))


def _folded(text: str) -> tuple[str, ...]:
    """The words and numbers of a text without case and articles."""
    return tuple(token.folded for token in tokens(bare(text)) if token.kind != "sign" and token.folded not in _ARTICLES)


def _fact(text: str, question: QuestionParts) -> FinalAnswer | None:
    counted = question.has(task_words.AMOUNT) or " what year " in question.line or " which year " in question.line
    if counted and (number := _counted(text, question) or _number(text, question)):
        return number
    if {"when", "wann", "quand", "cuándo", "date"} & set(question.tokens[:3]):
        return _date(text) or _number(text, question)
    return _phrase(text, question)


def _counted(text: str, question: QuestionParts) -> NumberAnswer | None:
    """The only number that stands before what the question counts: "six legs, three on each side"."""
    noun = re.search(r"\bhow many (\w{2,30})", question.line)
    if noun is None or _DENIES.search(text):
        return None
    found = {Fraction(number) for number in re.findall(rf"\b(\d{{1,15}})\s(?:\w+\s)?{re.escape(noun[1])}\b", spelt_to_digits(text.lower()))}
    return NumberAnswer(found.pop()) if len(found) == 1 else None


_DENIES = re.compile(r"\b(?:not|never|no)\b|n't\b")


def _phrase(text: str, question: QuestionParts) -> PhraseAnswer | None:
    """A name or short phrase: the conclusion, or what its sentence says beyond the question's words, or the name in it."""
    marked = bool(_BOXED.search(text) or _STATED.search(text) or _BOLD.search(text))
    first = _SENTENCE_END.split(text.splitlines()[0], maxsplit=1)[0]
    part = bare(unwrapped(_conclusion(text) if marked else _REASON.sub("", first)))
    said = [token for token in tokens(part) if token.kind != "sign" and token.folded not in _ARTICLES]
    asked = frozenset(token.folded for token in tokens(instructions(question.text).partition(": ")[0]))
    if _is_hedged(said, asked):
        return None
    if 0 < len(said) <= 3 and not any(token.folded in _COPULAS for token in said):
        return PhraseAnswer(_words(said))
    new = [token for token in said if token.folded.removesuffix("'s") not in asked | _COPULAS | _LIGHT]
    if len(new) > 3 and (name := _longest_name(said, asked)):
        return PhraseAnswer(name)
    return PhraseAnswer(_words(new)) if 0 < len(new) <= _LONGEST_PHRASE else None


def _words(said: Sequence[TextToken]) -> tuple[str, ...]:
    """The words of a phrase, initials as one: "J. K. Rowling" is "jk rowling"."""
    joined = re.sub(r"\b(\w) (?=\w\b)", r"\1", " ".join(token.folded for token in said))
    return tuple(joined.split())


def _is_hedged(said: Sequence[TextToken], asked: frozenset[str]) -> bool:
    """Whether a phrase offers two things or denies one, where the question does not do that itself."""
    either = any(token.folded in {"or", "oder", "ou"} for token in said)
    denied = "not" not in asked and any(negated(said, (at, at + 1)) for at, token in enumerate(said) if token.folded not in asked)
    return either or denied


_COPULAS = word_set("is are was were be it it's its this that's ist sind war est sont es son è они")
_LIGHT = LIGHT["en"] | word_set("called answer correct known")


def _longest_name(said: Sequence[TextToken], asked: frozenset[str]) -> tuple[str, ...]:
    """The longest run of words with capitals, and small words between them, that the question does not have."""
    runs: list[list[TextToken]] = [[]]
    for at, token in enumerate(said):
        capital = token.text[:1].isupper() and token.folded not in asked and (at > 0 or token.folded not in _LIGHT)
        between = bool(runs[-1]) and token.folded in {"van", "von", "de", "of", "da", "di"}
        if capital or between:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return _words(max(runs, key=len))


def _code(text: str, question: QuestionParts) -> CodeAnswer | None:
    del question
    blocks = fenced(text)
    source = max(blocks, key=len) if blocks else text
    tree = python_tree(source)
    if tree is None:
        pieces = commands(text) or ([source] if blocks else [])
        return CodeAnswer("\n".join(" ".join(line.split()) for line in pieces[0].splitlines() if line.strip())) if pieces else None
    if not blocks and len(text.splitlines()) < 2:
        pieces = commands(text)
        return CodeAnswer(" ".join(pieces[0].split())) if pieces else None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return CodeAnswer(ast.unparse(tree))


_READERS: Mapping[Kind, Callable[[str, QuestionParts], FinalAnswer | None]] = {
    Kind.ARITHMETIC: _arithmetic,
    Kind.COUNTING: _counting,
    Kind.DATES: _dates,
    Kind.CODE_OUTPUT: _output,
    Kind.CODE: _code,
    Kind.CHOICE: _choice,
    Kind.FACT: _fact,
}
