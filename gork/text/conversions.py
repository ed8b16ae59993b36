"""What a conversion needs to know, told to a model that would invent it: one unit in another, by its legal definition; a numeral system."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gork.text.question_parts import parts_of

_MOST = 3
"""So many units of one question are told of: "5 feet 11 inches in cm" has two."""
_IN_SI: Mapping[str, Mapping[float, str]] = {
    "length": {
        1000: "km kilometer kilometers kilometre kilometres kilomètres kilometern kilómetros chilometri км",
        1: "m meter meters metre metres mètres metern metros м метров",
        0.01: "cm centimeter centimeters centimetre centimetres см",
        0.001: "mm millimeter millimeters мм",
        1609.344: "mi mile miles meilen millas miglia миль",
        0.3048: "ft foot feet pies fuss",
        0.0254: "inch inches zoll pulgadas",
        0.9144: "yard yards",
    },
    "mass": {
        1: "kg kilo kilos kilogram kilograms quilos кг",
        0.001: "g gram grams gramm grammes gramos grammi г",
        1e-6: "mg",
        0.45359237: "lb lbs pound pounds libras фунтов фунтах",
        0.028349523125: "oz ounce ounces onzas",
        6.35029318: "stone",
    },
    "volume": {
        1: "l liter liters litre litres litros litri литров",
        0.1: "dl",
        0.01: "cl",
        0.001: "ml milliliters",
        3.785411784: "gallon gallons galones",
        0.946352946: "quart quarts",
        0.473176473: "pint pints",
        0.2365882365: "cup cups",
        0.0295735295625: "oz floz",
        0.01478676478125: "tablespoon tablespoons tbsp",
        0.00492892159375: "teaspoon teaspoons tsp",
    },
    "area": {10_000: "hectare hectares hektar ha", 4046.8564224: "acre acres", 1: "sqm", 0.09290304: "sqft"},
    "speed": {0.44704: "mph", 1 / 3.6: "kmh kph", 1852 / 3600: "knots"},
    "time": {
        1: "second seconds sec secs sekunden secondes segundos секунд secondi",
        60: "minute minutes min mins minuten minutos minuti минут",
        3600: "hour hours h hr hrs stunde stunden heures horas uur uren часов",
        86_400: "day days tag tage tagen jours días dagen giorni дней дня суток",
        604_800: "week weeks woche wochen semaines semanas",
    },
    "pressure": {6894.757293168: "psi", 100_000: "bar", 101_325: "atm", 1000: "kpa"},
    "energy": {1: "joule joules", 1000: "kj", 4184: "kcal", 3600: "wh", 3_600_000: "kwh"},
}
"""By what is measured: the size of each unit in the first's SI unit (litres for volumes), US units where a name has several.

Left out is what has no one size: tons, calories, months, kilobytes, currencies.
"""
_SIZES = {(what, name): size for what, units in _IN_SI.items() for size, names in units.items() for name in names.split()}
_NUMERALS: Mapping[str, str] = {"binary": "bin", "hex": "hex", "hexadecimal": "hex", "octal": "oct", "binär": "bin", "binaire": "bin"}
_INTO_NUMERALS = re.compile(rf"\b(?:in|to|into|as|en)\s(?:an?\s)?({'|'.join(_NUMERALS)})\b", re.IGNORECASE)
_CELSIUS, _FAHRENHEIT = frozenset({"c", "celsius"}), frozenset({"f", "fahrenheit"})


def conversion_facts(question: str) -> str | None:
    """What a conversion needs to know, in its own direction and its own words; None for a question that is none, or is more.

    >>> conversion_facts("72 miles in km"), conversion_facts("how many pounds is 75 kg")
    ('km = miles * 1.609344', 'pounds = kg * 2.20462262185')
    >>> conversion_facts("whats 350 F in celsius"), conversion_facts("how many weeks is 100 days")
    ('celsius = (f - 32) * 5 / 9', 'weeks = days / 7')
    >>> conversion_facts("45 in binary")
    'binary = bin(number)'
    >>> conversion_facts("He works 8 hours a day for 5 days. How many hours is that?")
    """
    parts = parts_of(question.replace("km/h", "kmh"))
    if (numerals := _INTO_NUMERALS.search(parts.prose)) is not None and parts.quantities == 1:
        return f"{numerals[1].lower()} = {_NUMERALS[numerals[1].lower()]}(number)"
    pairs = parts.conversions()
    terms = [_term(given, wanted) for given, wanted in pairs]
    one_wanted = len({wanted for _, wanted in pairs}) == 1
    # A story has other numbers beside those that are converted, or has some in the wanted unit already, and wants more than this.
    alone = len(pairs) == parts.quantities and all(given != wanted for given, wanted in pairs)
    if not (one_wanted and alone and len(pairs) <= _MOST) or None in terms:
        return None
    return f"{pairs[0][1]} = {' + '.join(filter(None, terms))}"


def _term(given: str, wanted: str) -> str | None:
    """A unit in another; a division only by a whole number, since a small model multiplies by whatever stands there."""
    if given in _CELSIUS and wanted in _FAHRENHEIT:
        return f"{given} * 9 / 5 + 32"
    if given in _FAHRENHEIT and wanted in _CELSIUS:
        return f"({given} - 32) * 5 / 9"
    for what in _IN_SI:
        one, other = _SIZES.get((what, given)), _SIZES.get((what, wanted))
        if one is not None and other is not None:
            parts = other / one
            return f"{given} / {parts:.0f}" if parts > 1 and parts == round(parts) else f"{given} * {one / other:.12g}"
    return None
