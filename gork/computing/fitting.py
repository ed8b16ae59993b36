"""Whether what a program printed can be the answer to its question at all."""

from __future__ import annotations

import re

from gork.text.questions import YES_OR_NO

_ASKS_TRUTH = re.compile(rf"(?:\A|[.!?]\s)\W*(?:is|are|was|were|does|do|did|has|have|had)\b|{YES_OR_NO.pattern}", re.IGNORECASE)
_ASKS_AMOUNT = re.compile(r"\bhow (?:many|much|long|old|far|fast|tall|high|deep|heavy|often|big)\b", re.IGNORECASE)
_ASKS_VALUE = re.compile(rf"\b(?:which|who|whose|when|where)\b|{_ASKS_AMOUNT.pattern}", re.IGNORECASE)
_BELOW_ZERO = re.compile(
    r"[-−–]\s?\d|\b(?:minus|negative|below|temperature\w*|degrees?|celsius|fahrenheit|cold\w*|elevation|sea level|profit\w*|loss\w*|gain\w*"
    r"|balance|account|debts?|owes?|overdrawn|net|difference|score\w*|points?)\b",
    re.IGNORECASE,
)
"""What a question says whose amount may lie below zero."""
_NEGATIVE = re.compile(r"-\d[\d.,]*")


def why_unfit(question: str, output: str) -> str | None:
    """Why an output cannot be what a question asks for; None if it may be.

    An amount is no less than zero, and who asks which or how many does not want to hear whether something is true.

    >>> why_unfit("Which is larger, 7.8 or 7.12?", "True")
    'it gives a truth value, which was not asked for'
    >>> why_unfit("I pay 13 dollars with a 20. How much change do I get?", "-7"), why_unfit("How much is 13 - 20?", "-7")
    ('it gives a negative amount', None)
    """
    said = output.strip()
    if said in {"True", "False"} and _ASKS_VALUE.search(question) and not _ASKS_TRUTH.search(question):
        return "it gives a truth value, which was not asked for"
    if _NEGATIVE.fullmatch(said) and _ASKS_AMOUNT.search(question) and not _BELOW_ZERO.search(question):
        return "it gives a negative amount"
    return None
