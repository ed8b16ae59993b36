"""Small models fall into a loop: the same words over and over, until the limit of their answer. Who is in one is ended."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gork.turn import Message

LEAST, TIMES = 600, 5
"""Characters of a loop until it is ended, and how often its words stand there at least.

Nobody means to read the same thing five times over 600 characters who has not asked for it; a table's empty rows are shorter.
"""
WINDOW = 1500
"""Characters of the end of a text that are read; a fifth of it is the longest loop that is found."""
_PROBE = 40
_WANTED = re.compile(r"\b(?:repeat\w*|times|copies|over and over|again and again|pattern|ascii)\b|\d\d", re.IGNORECASE)


def in_a_loop(text: str) -> bool:
    r"""Whether a text ends in the same characters over and over.

    >>> in_a_loop("So it goes. " * 60), in_a_loop("So it goes. " * 30), in_a_loop("".join(f"{n}, " for n in range(500)))
    (True, False, False)
    """
    text = text[-WINDOW:]
    if len(text) < LEAST:
        return False
    before = text.rfind(text[-_PROBE:], 0, -1)
    period = len(text) - _PROBE - before
    end = text[-max(LEAST, TIMES * period) :]
    return before >= 0 and len(end) >= TIMES * period and end[period:] == end[:-period]


def wants_repetition(messages: Sequence[Message]) -> bool:
    """Whether a prompt may want the same words many times: it says so, or has a number of two digits that may say how often.

    >>> [wants_repetition([{"role": "user", "content": text}]) for text in ("Write 'no' 50 times", "why is the sea salty")]
    [True, False]
    """
    return any(message["role"] != "assistant" and _WANTED.search(message["content"]) for message in messages[-1:])
