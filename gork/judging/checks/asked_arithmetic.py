"""Arithmetic that a question asks for in so many words ("what is 12 times 8"), and whether an answer gives the result."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction

from gork.judging.checks.equations import normalised
from gork.judging.checks.finding import Finding, shown
from gork.text.numbers import agreement, evaluate, readings, spelt_to_digits
from gork.text.structure import bare, take_apart

_LEAD = re.compile(
    r"^(?:(?:hi|hello|hey|please|quick question|ok|so|now)[,!:]? )*(?:(?:can|could|would) you )?(?:please )?"
    r"(?:(?:tell me|calculate|compute|work out|evaluate|solve|find|give me|do you know|answer|question)[:,]? )?"
    r"(?:(?:what is|what's|whats|what are|how much is|how much are|how much's|what does|what do you get if you|what do you get when you"
    r"|the (?:value|result|answer) (?:of|to)|calculate|compute)[:,]? )?(?:the (?:value|result|answer) (?:of|to) )?(?:the )?",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"(?: (?:equal|make|come to|please|thanks))*\s*(?:[=≡]\s*)?[?.!\s]*(?:(?:just |only )?(?:answer|reply|respond|give|write|return"
    r"|output|state|say)"
    r"(?: me)?(?: with)?(?: just| only)? (?:the |a )?(?:final )?(?:single )?(?:number|result|answer|digits|numeral)(?: only| alone)?"
    r"|just the (?:number|answer|result)|(?:the )?number only)?[.!\s]*\Z",
    re.IGNORECASE,
)
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


def findings(question: str, answer: str) -> Iterator[Finding]:
    """Whether the result that the answer states is the one that was asked for; nothing where either is not understood entirely."""
    truth = asked(question)
    if truth is None or not answer.strip():
        return
    exact, label = truth
    prose, blocks = take_apart(answer)
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
            yield Finding(f"{label} is {_number(exact)}, which it does not say", -2.0)
    elif verdict == "right":
        yield Finding(f"gives {shown(last[0])} for {label}", 2.0)
    elif not right:
        if verdict == "wrong" and (exact.denominator == 1 or not (set("/") & set(text) or _CHECKING.search(text))):
            yield Finding(f"gives {shown(last[0])} for {label}, which is {_number(exact)}", -2.0)
    elif verdict == "wrong" and _is_final(text, last) and not _CHECKING.search(text[right[-1].end() :]):
        yield Finding(f"ends with {shown(last[0])} for {label}, which is {_number(exact)}", -2.0)
    elif not _FINAL.search(text[max(last.start() - 80, 0) : last.start()]):
        yield Finding(f"gives {_number(exact)} for {label}", 1.5)


def asked(question: str) -> tuple[Fraction, str] | None:
    """The result that a question asks for and how the task is called; None where the question says anything else besides.

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
    """9-11, 24/7 and 10/12/2024 are no tasks."""
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


def _number(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
