"""Arithmetic: the result that a question asks for, and the equations that an answer states."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from gork.judging.checks import Finding
from gork.text.expressions import Agreement, Evaluated, agreement, evaluate, readings
from gork.text.language import stem
from gork.text.numbers import NUMBER, spelt_to_digits
from gork.text.structure import bare, shown, split_code

_LEAD = re.compile(
    r"""
    ^(?: (?: hi | hello | hey | please | quick[ ]question | ok | so | now )[,!:]?[ ] )*
    (?: (?: can | could | would )[ ]you[ ] )? (?: please[ ] )?
    (?: (?: tell[ ]me | calculate | compute | work[ ]out | evaluate | solve | find | give[ ]me | do[ ]you[ ]know | answer | question )
        [:,]?[ ] )?
    (?: (?: what[ ]is | what's | whats | what[ ]are | how[ ]much[ ]is | how[ ]much[ ]are | how[ ]much's | what[ ]does
          | what[ ]do[ ]you[ ]get[ ]if[ ]you | what[ ]do[ ]you[ ]get[ ]when[ ]you
          | the[ ](?: value | result | answer )[ ](?: of | to )
          | calculate | compute )
        [:,]?[ ] )?
    (?: the[ ](?: value | result | answer )[ ](?: of | to )[ ] )? (?: the[ ] )?
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""The words before a task: a greeting, a request, a question word."""
_TAIL = re.compile(
    r"""
    (?: [ ](?: equal | make | come[ ]to | please | thanks ) )* \s* (?: [=≡]\s* )? [?.!\s]*
    (?: (?: just[ ] | only[ ] )?
        (?: answer | reply | respond | give | write | return | output | state | say )
        (?: [ ]me )? (?: [ ]with )? (?: [ ]just | [ ]only )?[ ](?: the[ ] | a[ ] )? (?: final[ ] )? (?: single[ ] )?
        (?: number | result | answer | digits | numeral ) (?: [ ]only | [ ]alone )?
      | just[ ]the[ ](?: number | answer | result )
      | (?: the[ ] )?number[ ]only )?
    [.!\s]*\Z
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""The words after a task: "equal?", "Answer with just the number."."""
_N = r"(-?\d[\d,]*(?:\.\d+)?)"
_FORMS = tuple(
    (re.compile(pattern.replace("N", _N), re.IGNORECASE), plain)
    for pattern, plain in (
        (r"half (?:of )?N", r"\1 / 2"),
        (r"(?:a|one|1) third of N", r"\1 / 3"),
        (r"(?:a|one|1) (?:quarter|fourth) of N", r"\1 / 4"),
        (r"(?:a|one|1) fifth of N", r"\1 / 5"),
        (r"(?:a|one|1) tenth of N", r"\1 / 10"),
        (r"(?:three|3) (?:quarters|fourths) of N", r"3 * \1 / 4"),
        (r"(?:two|2) thirds of N", r"2 * \1 / 3"),
        (r"(?:double|twice) N", r"2 * \1"),
        (r"(?:triple|thrice) N", r"3 * \1"),
        (r"N ?(?:%|percent|per cent) of N", r"\1 / 100 * \2"),
        (r"N squared", r"\1 ** 2"),
        (r"N cubed", r"\1 ** 3"),
        (r"square of N", r"\1 ** 2"),
        (r"cube of N", r"\1 ** 3"),
        (r"N (?:to|raised to) the (?:power (?:of )?N|N(?:st|nd|rd|th) power)", r"\1 ** \2\3"),
        (r"sum of N and N|add N (?:and|to) N|N added to N", r"\1\3\5 + \2\4\6"),
        (r"product of N and N|multiply N (?:by|and|with) N|N multiplied with N", r"\1\3\5 * \2\4\6"),
        (r"divide N by N|quotient of N and N|N over N", r"\1\3\5 / \2\4\6"),
        (r"subtract N from N|N subtracted from N|take N (?:away )?from N", r"\2\4\6 - \1\3\5"),
        (r"difference (?:between|of) N and N", r"DIFFERENCE \1 \2"),
        (r"remainder (?:when|of|if) N (?:is )?divided by N|N mod(?:ulo)? N", r"\1\3 % \2\4"),
        (r"(?:square root of|sqrt(?: of)?|√) ?\(?N\)?", r"ROOT \1"),
    )
)
_SIGNED = re.compile(r"(?<![\w.,:/])[-−]?\d+(?:[.,]\d+)*(?![\w]|[:/]\d)")
_RESULT = re.compile(
    r"(?:=|≡|≈|\b(?:is|are|equals|equal to|gives|get|makes|answer|result|total|sum|product|be)\b)[\s:$€£(\"'“~]*\Z", re.IGNORECASE
)
_FINAL = re.compile(r"\b(?:answer|result|therefore|thus|hence|final|so)\b[^.\n]{0,60}\Z", re.IGNORECASE)
_CHECKING = re.compile(
    r"\b(?:check|verify|verification|example|also|note|because|since|other|or|remainder|alternatively|not|instead|round|rounded|mistake"
    r"|about|approximately|roughly|around|almost|nearly|wrong|if|would)\b|n't\b|≈|~|\d *[rR] *\d",
    re.IGNORECASE,
)


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
    r"""
    \s* (?: \Z | [.,;!?)\]"”'](?!\d) | \n
        | (?! squared | cubed | factorial | million | thousand | billion | trillion | hundred | dozen
            | remainder | mod | modulo | with | rem | base | times | plus | minus | point | percent
            | out | more | less | hours? | days? | to | or | over | in | of | if | when | and )
          [a-z]{2,20}\b (?! \s*[\d(=+*/-] ) )
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What may follow an equation: an end, or what is counted ("= 5 apples"), but not words that change its value."""
_DOUBTED = re.compile(
    r"\b(?:wrong|incorrect|incorrectly|not|isn't|false|mistake|mistaken|error|never|if|suppose|imagine|instead|would|orwell|mod|modulo"
    r"|modular|binary|octal|hex|hexadecimal|base|bases|about|approximately|approx|roughly|around|nearly|almost|rounded|rounding|remainder"
    r"|joke|boolean|integer|floor|ceil|concatenat\w+|string|strings|clock|o'clock|am|pm|guess|claim|claims)\b|[≈~≠√]|\d!|n't\b",
    re.IGNORECASE,
)


def asked_result(question: str, answer: str) -> Iterator[Finding]:
    """Whether the answer gives the result that the question asks for in so many words ("what is 12 times 8").

    Nothing is found where the question or the answer is not understood entirely.
    """
    truth = asked(question)
    if truth is None or not answer.strip():
        return
    exact, label = truth
    prose, blocks = split_code(answer)
    text = normalised(bare("\n".join([prose, *(block.text for block in blocks)]) if not prose.strip() else prose))
    if not re.search(r"\d", text):
        text = spelt_to_digits(text)
    text = re.sub(r"(?<!\d)(\d{1,3})((?: \d{3})+)(?![\d])", lambda match: match[0].replace(" ", ""), text)
    stated = [(match, _says(match[0], exact)) for match in _SIGNED.finditer(text)]
    if not stated:
        return
    last, verdict = stated[-1]
    right = [match for match, says in stated if says == "right" and (match is last or _RESULT.search(text[: match.start()][-40:]))]
    if re.search(rf"{re.escape(last[0])} ?or\b|\b(?:or|maybe|perhaps|possibly|either|might be|could be)\b", text, re.IGNORECASE):
        others = [match for match, says in stated if says == "wrong" and match[0] not in question]
        if others and any(says == "right" for _, says in stated):
            yield Finding(f"wavers between results of {label}", -1.5)
        elif others and not right:
            yield Finding(f"{label} is {_written(exact)}, which it does not say", -2.0)
    elif verdict == "right":
        yield Finding(f"gives {shown(last[0])} for {label}", 2.0)
    elif not right:
        if verdict == "wrong" and (exact.denominator == 1 or not (set("/") & set(text) or _CHECKING.search(text))):
            yield Finding(f"gives {shown(last[0])} for {label}, which is {_written(exact)}", -2.0)
    elif verdict == "wrong" and _is_final(text, last) and not _CHECKING.search(text[right[-1].end() :]):
        yield Finding(f"ends with {shown(last[0])} for {label}, which is {_written(exact)}", -2.0)
    elif not _FINAL.search(text[max(last.start() - 80, 0) : last.start()]):
        yield Finding(f"gives {_written(exact)} for {label}", 1.5)


def asked(question: str) -> tuple[Fraction, str] | None:
    """The result that a question asks for, and its task in a few words; None where the question says anything else besides.

    >>> asked("What is 12 times 8?"), asked("What is half of 30 plus a bit?")
    ((Fraction(96, 1), '12 * 8'), None)
    """
    text = " ".join(question.split())
    if len(text) > 160:
        return None
    text = normalised(spelt_to_digits(text.rstrip("= ")).replace("×", " × "))
    body = _TAIL.sub("", _LEAD.sub("", text, count=1), count=1).strip(" ?.:=≡\"'“”")
    for form, plain in _FORMS:
        if match := form.fullmatch(body):
            return _formed(match.expand(plain), body)
    if re.fullmatch(r"\(([^()/]+) / 100 \* ([^()]+)\)|\(([^()/]+) / 2\)", body):
        body = body[1:-1]
    expressions = readings(body)
    if not expressions or not re.fullmatch(r"[\d.,+\-*/^() ]+", body) or _dated(body):
        return None
    worked = evaluate(expressions[0].replace("^", "**"))
    if worked is None or not worked.operators:
        return None
    return worked.value, shown(body)


def _dated(body: str) -> bool:
    """Dates and idioms look like tasks: 9-11, 24/7, 10/12/2024."""
    return re.fullmatch(r"\d+([-/.])\d+(?:\1\d+)*", body) is not None


def _formed(task: str, body: str) -> tuple[Fraction, str] | None:
    task = task.replace(",", "")
    kind, _, rest = task.partition(" ")
    if kind == "ROOT":
        number = Fraction(rest)
        if number < 0 or number > 10**12:
            return None
        top, bottom = math.isqrt(number.numerator), math.isqrt(number.denominator)
        exact = Fraction(top, bottom)
        return (exact if exact * exact == number else Fraction(math.sqrt(number)), shown(body))
    if kind == "DIFFERENCE":
        one, other = rest.split(" ")
        return abs(Fraction(one) - Fraction(other)), shown(body)
    worked = evaluate(task)
    return (worked.value, shown(body)) if worked else None


def _says(written: str, exact: Fraction) -> str:
    verdicts = [agreement(reading, exact) for reading in readings(written.replace("−", "-"))] or ["wrong"]
    return "right" if "right" in verdicts else "near" if "near" in verdicts else "wrong"


def _is_final(text: str, match: re.Match[str]) -> bool:
    before = text[max(match.start() - 80, 0) : match.start()]
    return _RESULT.search(before[-40:]) is not None and (_FINAL.search(before) is not None or text[match.end() :].strip(" .!*\n") == "")


def stated_equations(question: str, answer: str) -> Iterator[Finding]:
    """The equations that the answer states ("12 * 8 = 98"), evaluated again as far as they are read without doubt.

    At most three false ones count, each against the answer; those that hold speak for it a little, once.
    """
    asked = set(NUMBER.findall(question))
    false: list[str] = []
    right = 0
    for line in split_code(answer)[0].splitlines():
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
    """Each pair of neighbours in a chain "a = b = c" that can be compared."""
    sides = re.split("([=≡])", run)
    texts, signs = [side.strip() for side in sides[::2]], sides[1::2]
    for at, (left, right) in enumerate(pairwise(texts)):
        first, last = at == 0, at == len(texts) - 2
        verdict = _compared(left, right, asked)
        if verdict is None:
            continue
        if verdict[1] == "wrong":
            loose = signs[at] == "≡" and not verdict[2] <= {"+", "*", "**"} and "100" not in left
            of_things = counted and NUMBER.fullmatch(left) is not None  # "9 pens = 9 * 2": what 9 pens cost is not 9
            if (first and not opens) or (last and not closes) or loose or of_things:
                continue
        elif (first and left[:1] in "+*/^%)") or (last and not closes):
            continue
        yield verdict[0], verdict[1]


def _compared(left: str, right: str, asked: set[str]) -> tuple[str, Agreement, frozenset[str]] | None:
    """What the equation says, whether it is right, and its operators; of two readings of its commas the better one counts."""
    found: list[tuple[str, Agreement, frozenset[str]]] = []
    for reading in readings(f"{left} = {right}"):
        one, _, other = reading.partition(" = ")
        percent = other.endswith("%")
        worked, stated = (_evaluated(side.removesuffix("%") if percent else side) for side in (one, other))
        if worked is None or stated is None or not (worked.operators or stated.operators):
            continue
        operators = worked.operators | stated.operators
        verdict = _agreement(one, worked, other.removesuffix("%").strip(), stated, asked)
        if percent:
            shares = _agreement(one, Evaluated(worked.value * 100, worked.operators), other.removesuffix("%").strip(), stated, asked)
            verdict = "right" if "right" in {verdict, shares} else "near"
        truth = worked.value if worked.operators else stated.value
        says = shown(_SHARE.sub(r"\1% of \2", f"{left} = {right}"))
        found.append((f"{says}, which is {_written(truth)}", verdict, operators))
    rank = {"right": 0, "near": 1, "wrong": 2}
    return min(found, key=lambda entry: rank[entry[1]], default=None)


def _evaluated(side: str) -> Evaluated | None:
    return evaluate(side.replace("^", "**"))


def _agreement(left: str, worked: Evaluated, right: str, stated: Evaluated, asked: set[str]) -> Agreement:
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
