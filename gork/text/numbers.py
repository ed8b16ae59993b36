"""Numbers as people write them: digits, number words, units.

The one table of number words: the guards, the checks and the bench read numbers through here.
"""

from __future__ import annotations

import re

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
"""A number in digits, with whatever commas and points it has."""

SMALL = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18,
    "nineteen": 19,
}  # fmt: skip
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
COUNTED = SMALL | TENS
"""The number words below a hundred, each with its value."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ORDINAL_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_OTHER_LANGUAGES = {
    2: "zwei deux два", 3: "drei trois tres tre три", 4: "vier quatre cuatro quattro четыре", 5: "fünf cinq cinco пять",
    6: "sechs seis шесть", 7: "sieben sept siete семь", 8: "acht huit ocho восемь", 9: "neun neuf nueve девять",
    10: "zehn dix diez десять", 11: "onze", 12: "zwölf douze doce", 20: "zwanzig vingt veinte", 30: "dreißig trente",
    50: "fünfzig cinquante", 100: "hundert cien сто", 1000: "tausend mille mil тысяча",
}  # fmt: skip
KEYS = {
    **{word: str(value) for word, value in COUNTED.items() if word != "one"},
    **{word: str(value) for word, value in SCALES.items() if value <= 1000},
    **{word: word for word in ("million", "billion", "trillion", "dozen", "half", "twice", "double")},
    **{word: f"{place}{_ORDINAL_ENDINGS.get(place, 'th')}" for place, word in enumerate(_ORDINALS, 1)},
    **{word: str(value) for value, words in _OTHER_LANGUAGES.items() for word in words.split()},
}
"""Number words of several languages, each with what it has in common with other spellings of the same number: "two", "zwei" and "2" are
"2". "One" is missing, since "which one" does not count anything."""

UNITS = {
    name: names[0]
    for line in (
        "% percent pct prozent", "°c c celsius centigrade", "°f f fahrenheit", "km kilometer kilometers kilometre kilometres kilometern",
        "mi mile miles", "m meter meters metre metres", "cm centimeter centimeters centimetre centimetres",
        "mm millimeter millimeters millimetre millimetres", "kg kilo kilos kilogram kilograms", "g gram grams",
        "lb lbs pound pounds", "oz ounce ounces",
        "gb gigabyte gigabytes", "mb megabyte megabytes", "kb kilobyte kilobytes", "tb terabyte terabytes", "ms millisecond milliseconds",
        "s sec secs seconds", "min mins minute minutes", "h hr hrs hour hours", "am a.m", "pm p.m", "ft foot feet",
        "l liter liters litre litres",
    )
    for names in [line.split()]
    for name in names
}  # fmt: skip
"""Units, each with the short form that stands for all of its names."""

_SPELLED = {word: value for word, value in SCALES.items() if value <= 10**6}
"""The scales that `spelt_to_digits` reads; a billion stays a word, since older texts mean a million millions by it."""
_NAMES = "|".join((*COUNTED, *_SPELLED))
_SPELT = rf"\b(?:{_NAMES})(?:(?:[ -]| and )(?:{_NAMES}))*\b"  # compiled when it is first used: the start does not need it
_ARTICLES = {"a single": 1, "a hundred": 100}
_BELOW_20 = "|".join(word for word, value in SMALL.items() if value)
COUNT = rf"a[ ]single|a[ ]hundred|(?:{'|'.join(TENS)})(?:-(?:{_BELOW_20}))?|{_BELOW_20}|[1-9]\d{{0,3}}"
"""How many of something, as a pattern without groups for matching in any case; `count` reads what it matches."""


def count(written: str) -> int:
    """How many that is, as `COUNT` matches it.

    >>> count("12"), count("a single"), count("Twenty-five")
    (12, 1, 25)
    """
    low = written.lower()
    return int(low) if low.isdigit() else _ARTICLES.get(low) or sum(COUNTED[word] for word in low.split("-"))


def spelt_to_digits(text: str) -> str:
    """A text with its number words as digits; words that do not join to one number become several.

    >>> spelt_to_digits("twenty-five plus one hundred and three"), spelt_to_digits("one two")
    ('25 plus 103', '1 2')
    """
    return re.sub(_SPELT, lambda match: _digits(match[0]), text, flags=re.IGNORECASE)


def _digits(spelt: str) -> str:
    done: list[str] = []
    total, current, last = 0, None, 0
    for word in re.split(r"[ -]", spelt.lower()):
        if word == "and":
            continue
        scale = _SPELLED.get(word)
        value = COUNTED.get(word, 0)
        if scale is not None:
            if scale == 100:
                current = (current or 1) * 100
            else:
                total, current = total + (current or 1) * scale, 0
        elif current is None or (current % 100 == 0 and last in {100, 1000, 10**6}) or (last in TENS.values() and 0 < value < 10):
            current = (current or 0) + value
        else:
            done.append(str(total + current))
            total, current = 0, value
        last = scale or value
    return " ".join([*done, str(total + (current or 0))])
