"""The kind of a question, told by plain code: whether it can be computed, and what form its answer has.

A question can be computed when it states a task (an operation, a conversion, a comparison, a count) together with what the task is to be
done with (numbers, dates, a word, a list). Each of `_FEATURES` is one piece of evidence for that, with a weight; wishes for prose speak
against it. What does not reach `_ENOUGH` is told by what its answer looks like, and what is not sure is open writing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from gork.text.numbers import COUNTED, KEYS
from gork.text.questions import QUOTED
from gork.text.structure import split_code


class Kind(StrEnum):
    """What a question asks for."""

    ARITHMETIC = "arithmetic"
    COUNTING = "counting"
    """Counting, sorting, reversing and other work on a text or a list that the question states."""
    DATES = "dates"
    """Dates, times and units."""
    CODE_OUTPUT = "code-output"
    """What a piece of code in the question gives."""
    CODE = "code"
    """Code to write."""
    CHOICE = "choice"
    """One of the options that the question states, yes or no, true or false."""
    FACT = "fact"
    FORM = "form"
    """A text of a stated form: three bullets, JSON, ten words."""
    OPEN = "open"
    """Open writing, and everything that is not sure."""


COMPUTABLE = frozenset({Kind.ARITHMETIC, Kind.COUNTING, Kind.DATES, Kind.CODE_OUTPUT})
"""The kinds that a short program answers."""

_HEAD, _TAIL = 4000, 1000
"""How much of a long question is read, in characters: a task stands before or after the text that it is about."""
_ENOUGH = 4


class _Terms:
    """Words and phrases that are looked for; `_` joins the words of a phrase, and scripts without blanks are found within a line."""

    def __init__(self, terms: str) -> None:
        split = terms.split()
        unspaced = [term for term in split if ord(term[-1]) > 0x2E80]
        spaced = [term for term in split if ord(term[-1]) <= 0x2E80]
        self.words = frozenset(term for term in spaced if "_" not in term)
        self._within = tuple(unspaced) + tuple(f" {term.replace('_', ' ')} " for term in spaced if "_" in term)

    def within(self, reading: _Reading) -> bool:
        """Whether one of them stands in the prose of a question."""
        return not self.words.isdisjoint(reading.words) or any(term in reading.line for term in self._within)


_UNITS = {
    word: dimension
    for dimension, words in {
        "length": """メートル センチ マイル フィート インチ km kilometer kilometers kilometre kilometres kilomètres kilometern kilómetros m meter meters metre metres mètres
            metern metros cm centimeters centimeter centimetres mm millimeters mi mile miles meilen millas ft foot feet pies pieds fuß
            inch inches zoll pulgadas yard yards mph kmh kph knots acre acres hectare hectares hektar sqm sqft""",
        "mass": """キロ ポンド グラム オンス kg kilo kilos kilogram kilograms g gram grams gramm grammes gramos mg lb lbs pound pounds pfund libras oz ounce ounces
            stone ton tons tonnes""",
        "volume": "l liter liters litre litres litros ml milliliters dl cl cup cups tablespoon tablespoons tbsp teaspoon teaspoons tsp "
        "gallon gallons pint pints quart quarts",
        "time": """時間 分 秒 second seconds sec secs sekunden secondes segundos minute minutes min mins minuten minutos hour hours h hr hrs stunde
            stunden heures horas day days tag tage tagen jours días week weeks wochen semaines semanas month months monate mois meses
            year years jahre ans años decade decades ms milliseconds""",
        "temperature": "c celsius f fahrenheit kelvin",
        "data": "bit bits byte bytes kb mb gb tb kilobytes megabytes gigabytes terabytes",
        "currency": "usd eur euro euros gbp dollar dollars yen jpy chf rupees inr",
    }.items()
    for word in words.split()
}
_UNSPACED_UNIT = re.compile(f"({'|'.join(unit for unit in _UNITS if ord(unit[0]) > 0x2E80)})")
_NO_COUNT = frozenset({"one", "once", "single", *(word for word, key in KEYS.items() if key[-1] in "tdh" and key[0].isdecimal())})
_NUMBER_WORDS = (frozenset(COUNTED) | frozenset(KEYS) | {"quarter", "thirds", "triple", "thrice", "hälfte", "moitié", "mitad"}) - _NO_COUNT
_LABELS = frozenset(
    """step chapter season episode part question problem page line version level grade area type iphone galaxy model windows route
    section article version number no phase class formula figure day python top ps xbox iso http error port user world_cup""".split()
)
"""A number after one of these is a name."""
_MONTHS = frozenset(
    """january february march april may june july august september october november december jan feb mar apr jun jul aug sep sept oct nov
    dec januar februar märz mai juni juli oktober dezember janvier février mars avril juin juillet août septembre octobre novembre
    décembre enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre""".split()
)
_HOLIDAYS = _Terms("christmas xmas easter halloween new_year new_years thanksgiving weihnachten silvester ostern noël navidad")
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]")
_NAMED = re.compile(r"(?<![A-Za-z])[A-Za-z]{1,6}-?\d+(?:\.\d+)*\b|\b\d{1,4}[A-Z]\b|\b\d+(?:st|nd|rd|th)\b|\b\d{2,4}0s\b|#\d+")
"""Numbers within names: "ps5", "GPT-4", "5G", "16th", "1920s"."""


@dataclass(frozen=True)
class _Reading:
    """A bounded question, with the parts of it that the features look at, each made when it is first asked for."""

    text: str

    @cached_property
    def code(self) -> str:
        """The fenced code and the inline code of a question."""
        return "\n".join([*(block.text for block in split_code(self.text)[1]), *re.findall(r"`([^`\n]{3,400})`", self.text)])

    @cached_property
    def prose(self) -> str:
        """The question without its fenced code, each quotation replaced by a pair of marks."""
        return QUOTED.sub(" “” ", split_code(self.text)[0])

    @cached_property
    def tokens(self) -> list[str]:
        return [token.casefold().replace("’", "'") for token in _TOKEN.findall(_UNSPACED_UNIT.sub(r" \1 ", _NAMED.sub(" # ", self.prose)))]

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(self.tokens)

    @cached_property
    def line(self) -> str:
        return f" {' '.join(self.tokens)} "

    @cached_property
    def numbers(self) -> int:
        """How many quantities are stated: numbers in digits and words, without years, dates and the numbers of names."""
        return sum(self._is_quantity(at) for at in range(len(self.tokens)))

    def _is_quantity(self, at: int) -> bool:
        token, before = self.tokens[at], self.tokens[at - 1] if at else ""
        if not token[0].isdecimal():
            return token in _NUMBER_WORDS
        return before not in _LABELS and not (_is_year(token) and before in _YEARS_AFTER)

    @cached_property
    def any_number(self) -> bool:
        return any(token[0].isdecimal() or token in _NUMBER_WORDS for token in self.tokens)

    @cached_property
    def items(self) -> int:
        """How many items the longest list has: commas of one line, or numbers or words after a colon."""
        return max((piece.count(",") + piece.count("、") + 1 for piece in self.prose.splitlines()), default=1)

    @cached_property
    def after_colon(self) -> int:
        """How many words stand after the first colon that a blank follows."""
        return len(re.split(r":\s", self.prose, maxsplit=1)[-1].split()) if re.search(r":\s", self.prose) else 0

    @cached_property
    def quoted(self) -> bool:
        return "“”" in self.prose


def _is_year(token: str) -> bool:
    return len(token) == 4 and token.isdecimal() and "1000" <= token <= "2100"


_YEARS_AFTER = (
    frozenset("in since from of until to the and born before after by between year im seit von bis en de depuis del desde ,".split())
    | _MONTHS
)

_ASKED = _Terms(
    """how_many how_much how_old how_long how_far how_fast how_tall how_heavy how_big how_often howmany howmuch wieviel wieviele wie_viel
    wie_viele wie_oft wie_alt wie_lange wie_weit combien cuánto cuánta cuántos cuántas cuanto cuantos quanto quanta quanti quante quantos
    quantas hoeveel сколько いくら いくつ 何 多少 几 几个"""
)
_WHAT = _Terms("what what's whats which calculate compute find determine solve evaluate was_ist qué cuál quel quelle = 等于 は? は？")
_RELATION = _Terms(
    """each every per total altogether together left remaining remain more less fewer than cost costs price pay paid change both
    same equally average rest pro je insgesamt zusammen chacun chaque cada"""
)
_STRONG_OPERATION = _Terms(
    """% percent percentage procent prozent percentages square_root sqrt cube_root squared cubed factorial gcd lcm hcf divisor divisible
    multiplied multiply divided divide subtract hypotenuse hex hexadecimal octal binary roman_numerals roman_numeral römisch modulo mod
    remainder median plus minus times mal geteilt fois moins multiplié divisé más dividido diviso multiplicado 乘以 除以 加 减 かける 割る
    割引 引き умножить делить разделить to_the_power_of to_the_power log sin cos tan compound_interest zinsen interest_rate fakultät
    quadratwurzel wurzel racine_carrée raíz_cuadrada fraction decimals add_up binär hexadezimal keer maal vezes menos"""
)
_WEAK_OPERATION = _Terms(
    """off discount rabatt remise descuento tip trinkgeld pourboire propina vat tax mwst tva iva interest loan mortgage prime primes primzahl
    average mean_of the_mean mittelwert durchschnitt moyenne promedio media sum summe somme suma product difference half third quarter double twice
    triple hälfte moitié mitad round simplify area perimeter circumference volume radius diameter diagonal rectangle triangle circle
    probability chance chances odds dice coin deck ways combinations permutations ratio split share add bmi mpg convert umrechnen decimal
    standard_deviation variance multiple multiples factors power exponent take_away save month salary fuel rate recipe speed"""
)
_LARGER = _Terms(
    "larger bigger greater smaller largest smallest biggest greatest higher größer kleiner más_grande mayor plus_grand maggiore 大きい"
)
_CONVERTING = frozenset("in to into as are is en zu nach à a auf = =? to? into? em per".split())
_SEQUENCE = _Terms("next comes_next continue sequence nächste suivant siguiente")
_SORTING = _Terms(
    """sort order alphabetical alphabetically alphabetize arrange sorted sortiere sortieren ordne alphabetisch trie trier classe range
    ordena ordenar alfabéticamente ordine descending ascending 並べ 排序 remove_duplicates unique"""
)
_REVERSING = _Terms(
    "reverse backwards backward reversed rückwärts umgekehrt à_l'envers al_revés invertir 逆 palindrome palindrom anagram anagrams"
)
_TEXT_PARTS = _Terms(
    """letter letters character characters vowel vowels consonant consonants word words sentence sentences syllables digit digits
    buchstabe buchstaben wörter lettre lettres mots letra letras palabras 文字 букв буквы times oft appear appears occur occurs vorkommt"""
)
_TEXT_WORK = _Terms(
    "uppercase lowercase rot13 caesar shift remove vowels last_letter last_letters first_letter first_letters join concatenate"
)
_COUNT = _Terms(
    "how_many how_often count number_of wie_viele wie_viel wie_oft wieviele combien cuántas cuántos quante 何 сколько 多少 几个"
)
_WHOLE = _Terms("alphabet language languages book novel bible english everyone")
"""What has letters and words that the question does not state."""
_SPANS = _Terms(
    """days_between weeks_between months_between days_until weeks_until days_till days_from days_since long_until many_days days_after
    weeks_from days_before weeks_after months_after days_later weeks_later weeks_before tage_vom tage_zwischen tage_bis viele_tage
    jours_entre combien_de_jours jours_avant días_hay días_entre días_faltan cuántos_días weeks_until weeks_between date day_of 何日"""
)
_WEEKDAY = _Terms(
    "weekday day_of_the_week what_day which_day wochentag welcher_tag quel_jour qué_día día_de_la_semana jour_de_la_semaine 何曜日 день_недели"
)
_WISHES = frozenset(
    """write explain describe summarize summarise translate tips ideas tell recommend suggest compare why who where should recipe make plan
    name tips best top draft compose create schreibe schreib erkläre nenne beschreibe warum wer wo übersetze écris explique donne
    décris traduis pourquoi qui escribe explica describe traduce quién dónde warum rewrite rephrase fix correct improve design ideas facts
    reasons good история почему кто где напиши 書いて""".split()
)
_HOW_TO = _Terms(
    """how_to give_me how_do how_can how_does how_2 how_did should_i can_i do_i_need what_is_a what_is_an what_are_the what_is_the_difference
    what_do_you_think wie_kann wie_mache comment_faire cómo_puedo why_is why_does why_do why_are 書いて ください"""
)


def _expression(r: _Reading) -> bool:
    return bool(_EXPRESSION.search(r.prose)) or (bool(_TIGHT.search(r.prose)) and _TIGHT_ALONE.fullmatch(r.prose.strip()) is not None)


_NUM = r"\(*\s?-?[$€£]?\d[\d.,]*%?\s?\)*"
_EXPRESSION = re.compile(
    rf"{_NUM}\s?(?:[+*×·÷^]|\*\*|mod)\s?{_NUM}|\d\)*\s+[-−–x/:]\s+\(*\d|\d\s?\*\s?\(|\d\s?[-+*/×x÷]\s?\d+\s?=|\d\s*[-+*/]\s*\d+\s*[-+*/]\s*\d+\s*[=?]"
    r"|\d+x\d+|\bsqrt\b|√|\b\d+!(?=$|\s*[=?])|²|³"
)
_TIGHT = re.compile(r"\d\s?[-+*/x×÷^]\s?\(*\d")
_TIGHT_ALONE = re.compile(r"(?:(?:what's|whats|what is|calc\w*|compute|solve|how much is)\s)?[\d\s.,+*/()x×÷^%-]+=?\s?\??", re.IGNORECASE)
_BOOLEAN = re.compile(r"\b(?:true|false|and|or|not|xor)\b(?:[\s()]+\b(?:true|false|and|or|not|xor)\b)+", re.IGNORECASE)


def _boolean(r: _Reading) -> bool:
    """An expression of truth values: not the mere words "true or false"."""
    for match in _BOOLEAN.finditer(r.prose):
        run = re.findall(r"\w+", match[0].casefold())
        values = sum(word in {"true", "false"} for word in run)
        if (
            values
            and len(run) > values
            and (len(run) > 3 or "not" in run or "and" in run)
            and (values > 1 or "not" in run and "(" in match[0])
        ):
            return True
    return False


_EQUATION = re.compile(r"\b\d*[a-z](?:\^\d)?\s?[-+*/=]\s?[\w\s^+*/().-]{1,60}=?|=\s?\d*[a-z]\b")


def _equation(r: _Reading) -> bool:
    return "=" in r.prose and r.any_number and bool(re.search(r"\b\d*[a-z](?:\^\d)?\s?[-+*/=]\s?\d|\d\s?=\s?\d*[a-z]\b", r.prose))


def _converts(r: _Reading) -> bool:
    """A number with a unit, and another unit of the same dimension without a number: "12 miles in km", "how many minutes in 3 hours"."""
    given: dict[str, str] = {}
    wanted: dict[str, str] = {}
    for at, token in enumerate(r.tokens):
        dimension = _UNITS.get(token)
        if dimension is None:
            continue
        before = [word for word in r.tokens[max(0, at - 3) : at] if word not in {"°", "degrees", "grad", "square", "cubic", "us"}]
        if before and (before[-1][0].isdecimal() or before[-1] in _NUMBER_WORDS):
            given[dimension] = token
        elif r.tokens[at - 1 : at] != ["/"]:
            wanted[dimension] = token
    return any(dimension in wanted for dimension in given)


_ISO = re.compile(r"\b\d{4}-\d{1,2}-\d{1,2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b")


def _dated(r: _Reading) -> bool:
    """Whether a date is stated: a month beside a number, an ISO date, a holiday."""
    return bool(_ISO.search(r.prose)) or (not _MONTHS.isdisjoint(r.words) and r.any_number) or _HOLIDAYS.within(r)


_CLOCK = re.compile(r"\b\d{1,2}[:.h]\d{2}\b|\b\d{1,2}\s?[ap]\.?m\b|\b\d{1,2} uhr\b", re.IGNORECASE)


def _clock(r: _Reading) -> bool:
    """A time of day with another one, a duration or a zone."""
    times = len(_CLOCK.findall(r.prose))
    asks = any(word in r.words for word in ("when", "time", "long", "uhr", "hours", "minutes", "wann", "lange", "heure", "hora"))
    more = any(word in r.words for word in ("h", "hours", "hour", "min", "minutes", "utc", "gmt", "stunden", "heures", "horas"))
    return bool(times) and asks and (times > 1 or more)


def _text_part(r: _Reading) -> bool:
    """Letters, words or occurrences to be counted in a text that the question states."""
    if not _COUNT.within(r) or _WHOLE.within(r):
        return False
    stated = r.quoted or r.after_colon > 0 or " the word " in r.line or bool(re.search(r"\b(?:in|kommt)\s+\w+\W*$", r.prose))
    return (_TEXT_PARTS.within(r) and stated) or bool(_ONE_LETTER.search(r.text))


_ONE_LETTER = re.compile(
    r"\b(?:how many|how often does|times does|number of|count(?: the)?|wie viele|wie oft kommt|combien de|cuántas)"
    r"(?: letter)?\s[\"'“‘]?[a-z][\"'”’]?s?\s(?!lot)",
    re.IGNORECASE,
)
"""One letter that is counted: "how many r's"."""


def _sorts(r: _Reading) -> bool:
    return _SORTING.within(r) and (r.items >= 3 or r.after_colon >= 2 or r.numbers >= 3)


def _reverses(r: _Reading) -> bool:
    return _REVERSING.within(r) and (r.quoted or r.after_colon > 0 or 2 <= len(r.tokens) <= 6) and not _HOW_TO.within(r)


def _letters(r: _Reading) -> bool:
    return (_TEXT_WORK.within(r) or (_TEXT_PARTS.within(r) and " of " in r.line)) and (r.quoted or r.items >= 3)


def _enumeration(r: _Reading) -> bool:
    """Things in a list that are to be counted: "a chair, two tables and a lamp. How many ...?"."""
    return _COUNT.within(r) and len(re.findall(r"\b(?:an?|two|three|four|five|\d+)\s[\w\s]{2,30}?(?:,|\sand\b|\.)", r.prose)) >= 3


@dataclass(frozen=True, slots=True)
class _Feature:
    """A piece of evidence that a question can be computed; `kind` is what it then is, None where it says only that much."""

    name: str
    kind: Kind | None
    weight: int
    holds: Callable[[_Reading], bool]


_FEATURES = (
    _Feature("an expression", Kind.ARITHMETIC, 4, _expression),
    _Feature("an expression of truth values", Kind.ARITHMETIC, 6, _boolean),
    _Feature("an equation", Kind.ARITHMETIC, 4, _equation),
    _Feature("an operation with a number", Kind.ARITHMETIC, 3, lambda r: _STRONG_OPERATION.within(r) and r.any_number),
    _Feature("a word of calculation", Kind.ARITHMETIC, 2, lambda r: _WEAK_OPERATION.within(r) and r.any_number),
    _Feature("numbers to compare", Kind.ARITHMETIC, 2, lambda r: _LARGER.within(r) and r.numbers >= 2),
    _Feature("a sequence", Kind.ARITHMETIC, 3, lambda r: _SEQUENCE.within(r) and r.numbers >= 3),
    _Feature("amounts in relation", Kind.ARITHMETIC, 1, lambda r: _RELATION.within(r) and r.numbers >= 2),
    _Feature("a conversion", Kind.DATES, 4, _converts),
    _Feature("a span of dates", Kind.DATES, 4, lambda r: _SPANS.within(r) and _dated(r)),
    _Feature("a weekday of a date", Kind.DATES, 4, lambda r: _WEEKDAY.within(r) and _dated(r) and r.any_number),
    _Feature("times of day", Kind.DATES, 4, _clock),
    _Feature("a leap year", Kind.DATES, 3, lambda r: " leap year " in r.line and r.any_number),
    _Feature(
        "an age", Kind.DATES, 3, lambda r: "born" in r.words and "age" in r.words | {"old"} and len(re.findall(r"\d{4}", r.prose)) > 1
    ),
    _Feature("parts of a text to count", Kind.COUNTING, 4, _text_part),
    _Feature("a list to sort", Kind.COUNTING, 4, _sorts),
    _Feature("a text to reverse", Kind.COUNTING, 4, _reverses),
    _Feature("letters of a text", Kind.COUNTING, 4, _letters),
    _Feature("things to count", Kind.COUNTING, 4, _enumeration),
    _Feature("one number", None, 1, lambda r: r.any_number),
    _Feature("two numbers", None, 1, lambda r: r.numbers >= 2),
    _Feature("three numbers", None, 1, lambda r: r.numbers >= 3),
    _Feature("an amount is asked for", None, 2, _ASKED.within),
    _Feature("something is asked for", None, 1, lambda r: not _ASKED.within(r) and (_WHAT.within(r) or bool(_ABOUT_NUMBER.match(r.prose)))),
    _Feature("a part or a function of a number", None, 1, lambda r: bool(_OF_NUMBER.search(r.prose))),
    _Feature("a wish for prose", None, -4, lambda r: _wishes(r)),
    _Feature("a way to do it", None, -4, _HOW_TO.within),
)


_ABOUT_NUMBER = re.compile(r"\s*(?:is|was|ist|est|es|are)\s\d", re.IGNORECASE)
_OF_NUMBER = re.compile(r"\b(?:of|de|von|di|van|between|radius|base)\s[$€£]?\d", re.IGNORECASE)


def _wishes(r: _Reading) -> bool:
    """Whether a sentence begins with a wish for prose, or a person, place or reason is asked for."""
    begin = True
    polite = {"please", "pls", "can", "could", "you", "u", "me", "hey", "hi", "bitte", "a", "an", "the", "what", "are", "is", "some"}
    for token in r.tokens:
        if begin and (token in _WISHES):
            return True
        begin = token in ".?!:;\n" or (begin and (token in polite or token[0].isdecimal()))
    return False


def evidence(question: str) -> dict[str, int]:
    """The features that speak for or against computing, each with its weight.

    >>> evidence("what's 15% of 240")
    {'an operation with a number': 3, 'one number': 1, 'two numbers': 1, 'something is asked for': 1, 'a part or a function of a number': 1}
    """
    reading = _Reading(_bounded(question))
    return {feature.name: feature.weight for feature in _FEATURES if feature.holds(reading)}


def _bounded(question: str) -> str:
    return question if len(question) <= _HEAD + _TAIL else f"{question[:_HEAD]}\n{question[-_TAIL:]}"


def kind_of(question: str) -> Kind:
    """The kind of a question.

    >>> [str(kind_of(question)) for question in ("tip on 46.50 at 18%", "sort: pear, apple, fig", "12 miles in km", "best 5 books")]
    ['arithmetic', 'counting', 'dates', 'open']
    """
    reading = _Reading(_bounded(question))
    if _writes_code(reading):
        return Kind.CODE
    if _gives_output(reading):
        return Kind.CODE_OUTPUT
    if _OPTIONS(reading):
        return Kind.CHOICE
    found = [feature for feature in _FEATURES if feature.holds(reading)]
    if sum(feature.weight for feature in found) >= _ENOUGH:
        own = [feature for feature in found if feature.kind]
        return max(own, key=lambda feature: feature.weight).kind or Kind.ARITHMETIC if own else Kind.ARITHMETIC
    return _told_by_answer(reading)


_CODE_THINGS = _Terms(
    """function program script query regex command code class method sql python javascript java bash css html funktion programm fonction
    función git docker kubectl api linux shell js c++ rust golang typescript react module library unit_test"""
)
_CODE_WISH = frozenset("write implement complete create fix refactor explain schreib schreibe écris escribe generate debug".split())
_OUTPUT = _Terms(
    """print prints printed return returns output outputs result value evaluate evaluates give gives get imprime gibt ausgabe affiche
    returned i_get what_is"""
)
_CODE_LIKE = re.compile(
    r"\w\((?:[^()\n]|\([^()\n]*\)){0,200}\)|\[::|\bfor \w+ in |\b\w+ [-+*/]?= |^def |\w\.\w+\(|\blambda\b|//|\[[^\]]*\]\[", re.MULTILINE
)


def _has_code(r: _Reading) -> bool:
    return bool(r.code) or bool(_CODE_LIKE.search(r.text))


def _writes_code(r: _Reading) -> bool:
    """Whether code is to be written, mended or explained."""
    wish = any(token in _CODE_WISH for token in r.tokens[:6])
    if {"select", "table"} <= r.words:
        return True
    return (wish or _HOW_TO.within(r)) and (_CODE_THINGS.within(r) or bool(r.code))


def _gives_output(r: _Reading) -> bool:
    return (
        _has_code(r) and _OUTPUT.within(r) and not _HOW_TO.within(r) and (bool(r.code) or "(" in r.text or "[" in r.text or ";" in r.text)
    )


_LETTERED = re.compile(r"(?:^|\s)\(?([A-Ha-h])[.):]\s")
_YES_NO = re.compile(
    r"\byes or no\b|\byes/no\b|\btrue or false\b|\btrue/false\b|\bja oder nein\b|\boui ou non\b|\bsí o no\b", re.IGNORECASE
)


def _OPTIONS(r: _Reading) -> bool:  # noqa: N802
    letters = [letter.upper() for letter in _LETTERED.findall(r.text)]
    return letters[:2] == ["A", "B"]


_FORM = _Terms(
    """bullet bullets json csv table markdown numbered_list comma_separated one_word one_sentence two_sentences three_sentences exactly
    at_most upper_case lower_case words_or_less in_one_word"""
)
_FACT = _Terms(
    """who whom whose when where which how_many how_much how_old how_tall how_far how_long capital population what_year wer wann wo wie_viele
    qui quand combien où quién cuándo dónde cuántos chi quando quanti кто когда где сколько"""
)


def _told_by_answer(r: _Reading) -> Kind:
    """The kind of a question that cannot be computed."""
    if _YES_NO.search(r.text):
        return Kind.CHOICE
    if _writes_code(r) or (_CODE_THINGS.within(r) and r.code):
        return Kind.CODE
    if _FORM.within(r):
        return Kind.FORM
    if _FACT.within(r) and not _wishes_prose(r) and len(r.tokens) <= 25:
        return Kind.FACT
    return Kind.OPEN


def _wishes_prose(r: _Reading) -> bool:
    return _HOW_TO.within(r)
