"""What scripted judges read, and which letters they like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.scripted_model import Letters


def texts_by_letter(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Which text stands under which letter in what the judge read."""
    return dict(re.findall(r"^Answer ([A-Z]):\n<<<\n(.*?)\n>>>", messages[-1]["content"], re.MULTILINE | re.DOTALL))


def letters_liking(word: str, *, slot_bias: float = 0.0, mass: float = 0.9) -> Letters:
    """Letters' probabilities: a little more for answers with `word` in them, and for the first letter `slot_bias` times more."""

    def letters(messages, labels):
        texts = texts_by_letter(messages)
        raw = {letter: (1.2 if word in texts[letter] else 1.0) * (1 + slot_bias * (letter == labels[0])) for letter in labels}
        total = sum(raw.values())
        return {letter: mass * value / total for letter, value in raw.items()}

    return letters
