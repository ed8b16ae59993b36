"""Equations that an answer states ("12 * 8 = 98"): worked out again, as far as they are read without doubt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from gork.judging.checks.finding import Finding, shown
from gork.text.language import stem
from gork.text.numbers import NUMBER, Agreement, Worked, agreement, evaluate, readings
from gork.text.structure import take_apart

_LATEX = (
    (re.compile(r"\\(?:times|cdot|ast)(?![a-z])"), " * "),
    (re.compile(r"\\div(?![a-z])"), " / "),
    (re.compile(r"\\[dt]?frac\{([\d., ]{1,20})\}\{([\d., ]{1,20})\}"), r"((\1)/(\2))"),
    (re.compile(r"\\(?:boxed|text|mathrm|mathbf)\{([^{}]{0,60})\}"), r" \1 "),
    (re.compile(r"\\(?:left|right|[,;!\[\]()])|\$"), ""),
)
_NOTATION = (
    (re.compile(r"(?<=[\d)])( ?)\*\*\1(?=[-\d(])"), "^"),
    (re.compile(r"\*\*|__|`"), ""),
    (re.compile(r"[=!<>:+*/%-]=|==+|[=-]>|<[=-]|≠"), "\0"),
    (re.compile(r"(?<=\d)²"), "^2"),
    (re.compile(r"(?<=\d)³"), "^3"),
    (re.compile(r"(?<=[\d)])[ \t]*(?:[×·∙⋅✕*]|\b(?:times|multiplied by)\b)[ \t]*(?=[\d(−-])"), " * "),
    (re.compile(r"(?<=[\d)])(?:[ \t]+x[ \t]+|x)(?=[\d(])", re.IGNORECASE), " * "),
    (re.compile(r"(?<=[\d)])[ \t]*(?:÷|\bdivided by\b)[ \t]*(?=[\d(−-])"), " / "),
    (re.compile(r"(?<=[\d)])[ \t]+(?:plus)[ \t]+(?=[\d(])"), " + "),
    (re.compile(r"(?<=[\d)])[ \t]+(?:minus|[–—])[ \t]+(?=[\d(])"), " - "),
    (re.compile("−"), "-"),
    (re.compile(r"(?<=[\d)])[ \t]+(?:equals|is equal to|makes)[ \t]+(?=[\d(-])"), " = "),
    (re.compile(r"(?<=[\d)])[ \t]+is[ \t]+(?=-?\d)"), " ≡ "),
    (re.compile(r"\b(\d+(?:\.\d+)?) ?(?:%|percent) of (\d[\d,]*(?:\.\d+)?)(?=[ \t]*[=≡])"), r"(\1 / 100 * \2)"),
    (re.compile(r"\b[Hh]alf of (\d[\d,]*(?:\.\d+)?)(?=[ \t]*[=≡])"), r"(\1 / 2)"),
)
_RUN = re.compile(r"(?:\d++(?:[.,]\d++)*+|\.\d++|[-+*/^%()=≡]|[ \t])++")
_SHARE = re.compile(r"\((\S+) / 100 \* (\S+)\)")
_COUNTED = re.compile(r"(?<=\d) ?([a-z]{2,20})(?=[ \t]*[-+*/=])")
_MARKER = re.compile(r"^[\s>#]*(?:[-*+•–]\s+|\(?\d{1,3}[.)]\s+(?=\S))?")
_OPENS = re.compile(
    r"(?:^|[:;,.!?(\[\"“'=]|\b(?:so|is|get|gets|have|that|then|calculate|compute|and|thus|therefore|because|since|has|means|hence|gives"
    r"|equation|know|answer|result|find|add|solve|simply|just|now|first|next|finally|equals|do|with|need|makes|yields))\s*\Z",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    r"\s*(?:\Z|[.,;!?)\]\"”'](?!\d)|\n|(?!squared|cubed|factorial|million|thousand|billion|trillion|hundred|dozen|remainder|mod|modulo|with"
    r"|rem|base|times|plus|minus|point|percent|out|more|less|hours?|days?|to|or|over|in|of|if|when|and)[a-z]{2,20}\b(?!\s*[\d(=+*/-]))",
    re.IGNORECASE,
)
_DOUBTED = re.compile(
    r"\b(?:wrong|incorrect|incorrectly|not|isn't|false|mistake|mistaken|error|never|if|suppose|imagine|instead|would|orwell|mod|modulo"
    r"|modular|binary|octal|hex|hexadecimal|base|bases|about|approximately|approx|roughly|around|nearly|almost|rounded|rounding|remainder"
    r"|joke|boolean|integer|floor|ceil|concatenat\w+|string|strings|clock|o'clock|am|pm|guess|claim|claims)\b|[≈~≠√]|\d!|n't\b",
    re.IGNORECASE,
)


def findings(question: str, answer: str) -> Iterator[Finding]:
    """At most three of the equations that are false, each against the answer; what holds speaks for it a little, once."""
    asked = set(NUMBER.findall(question))
    false: list[str] = []
    right = 0
    for line in take_apart(answer)[0].splitlines():
        for says, verdict in _judged(line, asked):
            if verdict == "right":
                right += 1
            elif verdict == "wrong" and says not in false and not _brought(says, question):
                false.append(says)
    for rank, says in enumerate(false[:3]):
        yield Finding(f"says {says}", -1.0 if rank == 0 else -0.5)
    if right and not false:
        yield Finding("its arithmetic is right", 0.2 if right == 1 else 0.3)


def normalised(text: str) -> str:
    """One line with its arithmetic in the notation of `evaluate` ("^" for powers), equals signs as "=" or, for "is", "≡"."""
    for pattern, plain in (*_LATEX, *_NOTATION):
        text = pattern.sub(plain, text)
    return text


def _brought(says: str, question: str) -> bool:
    return says.partition(",")[0].replace(" ", "") in normalised(question).replace(" ", "").replace("≡", "=")


def _judged(line: str, asked: set[str]) -> Iterator[tuple[str, Agreement]]:
    doubted = _DOUBTED.search(line) is not None
    plain = normalised(_MARKER.sub("", line[:4000], count=1))
    units = {stem(word) for word in _COUNTED.findall(plain)}
    if len(units) == 1:
        plain = _COUNTED.sub("", plain)
    for run in _RUN.finditer(plain):
        if "=" not in run[0] and "≡" not in run[0]:
            continue
        before, after = plain[max(run.start() - 30, 0) : run.start()], plain[run.end() : run.end() + 40]
        unit = re.match(r"([a-z]{2,20})", after)
        closes = _CLOSES.match(after) is not None and not (units and unit and stem(unit[1]) not in units)
        opens = _OPENS.search(before) is not None and not re.search(r"\d[:.,]\Z", before)
        for says, verdict in _links(run[0], asked, opens=opens, closes=closes, counted=bool(units)):
            if verdict == "right" or not doubted:
                yield says, verdict


def _links(run: str, asked: set[str], *, opens: bool, closes: bool, counted: bool) -> Iterator[tuple[str, Agreement]]:
    """Each two neighbours of a chain "a = b = c" that can be compared."""
    sides = re.split("([=≡])", run)
    texts, signs = [side.strip() for side in sides[::2]], sides[1::2]
    for at, (left, right) in enumerate(pairwise(texts)):
        first, last = at == 0, at == len(texts) - 2
        verdict = _compared(left, right, asked)
        if verdict is None:
            continue
        if verdict[1] == "wrong":
            loose = signs[at] == "≡" and not verdict[2] <= {"+", "*", "**"} and "100" not in left
            of_things = counted and NUMBER.fullmatch(left) is not None  # "9 pens = 9 * 2": what 9 pens cost is no 9
            if (first and not opens) or (last and not closes) or loose or of_things:
                continue
        elif (first and left[:1] in "+*/^%)") or (last and not closes):
            continue
        yield verdict[0], verdict[1]


def _compared(left: str, right: str, asked: set[str]) -> tuple[str, Agreement, frozenset[str]] | None:
    """What the link says, whether it is right, and the operators in it: in the reading of its commas that is kindest to it."""
    found: list[tuple[str, Agreement, frozenset[str]]] = []
    for reading in readings(f"{left} = {right}"):
        one, _, other = reading.partition(" = ")
        percent = other.endswith("%")
        worked, stated = (_worked(side.removesuffix("%") if percent else side) for side in (one, other))
        if worked is None or stated is None or not (worked.operators or stated.operators):
            continue
        operators = worked.operators | stated.operators
        verdict = _agreement(one, worked, other.removesuffix("%").strip(), stated, asked)
        if percent:
            shares = _agreement(one, Worked(worked.value * 100, worked.operators), other.removesuffix("%").strip(), stated, asked)
            verdict = "right" if "right" in {verdict, shares} else "near"
        truth = worked.value if worked.operators else stated.value
        says = shown(_SHARE.sub(r"\1% of \2", f"{left} = {right}"))
        found.append((f"{says}, which is {_written(truth)}", verdict, operators))
    rank = {"right": 0, "near": 1, "wrong": 2}
    return min(found, key=lambda entry: rank[entry[1]], default=None)


def _worked(side: str) -> Worked | None:
    return evaluate(side.replace("^", "**"))


def _agreement(left: str, worked: Worked, right: str, stated: Worked, asked: set[str]) -> Agreement:
    if worked.value == stated.value:
        return "right"
    if "/" in stated.operators and worked.value.denominator > 1 and stated.operators == {"/"}:
        return "wrong" if "." not in left else "near"
    if stated.operators and worked.operators:
        start = NUMBER.match(right)
        if start and Fraction(start[0]) == worked.value:
            return "right"  # "2 * 3 = 6 + 1 = 7": read on from the 6, as people write it
    number, truth = (left, stated) if not worked.operators else (right, worked)
    verdict = agreement(number.strip(), truth.value) if re.fullmatch(r"\d+(?:\.\d+)?", number.strip()) else "wrong"
    if verdict != "wrong":
        return verdict
    decimals = [found for found in NUMBER.findall(f"{left} {right}") if "." in found and found not in asked and found != number.strip()]
    off = abs(worked.value - stated.value) / max(abs(worked.value), abs(stated.value))
    return "near" if (decimals and off < Fraction(1, 50)) or "10**" in (left + right).replace("^", "**").replace(" ", "") else "wrong"


def _written(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    return f"{float(value):.6g}" if abs(value) < 10**15 else "another number"
