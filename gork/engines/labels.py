"""Reading a choice among labels from the most likely next tokens; the same for every engine.

A label has several spellings as a token (`A`, ` A`, `A.`, `(A`, `"A`), and their probabilities are summed. A single letter is taken in
its own case only: ` a` is an article far more often than it is the label A. Longer labels are read in any case.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice

_DRESS = " \t\r\n\u2581\u0120\"'`*_()[]{}<>.,:;#-"
"""What may stand around a label inside its token: blanks (and the marks that some tokenizers write for them), quotes, brackets, stops."""
_MOST = 1000
"""Engines list 20 tokens or so; a list without end is not read to its end."""


def bare(token: str, labels: Sequence[str]) -> str | None:
    """Give the label that a token spells, or None.

    >>> bare(" A", ["A", "B"]), bare("(B)", ["A", "B"]), bare('"A', ["A", "B"])
    ('A', 'B', 'A')
    >>> bare("a", ["A", "B"]), bare("An", ["A", "B"]), bare(" ", ["A", "B"])
    (None, None, None)
    >>> bare(" yes", ["Yes", "No"])
    'Yes'
    """
    inner = token.strip(_DRESS)
    for label in labels:
        if inner == label or (len(label) > 1 and inner.casefold() == label.casefold()):
            return label
    return None


def read_labels(top: Iterable[tuple[str, float]], labels: Sequence[str]) -> tuple[dict[str, float], float] | None:
    """Give each label its share of the labels' probability, and that probability; None if no label is listed.

    `top` has tokens with their log-probabilities (natural logarithms), in any order. A label that is not listed is less likely than
    everything that is: it gets the least listed probability, or what the list leaves over if that is less still.

    >>> shares, mass = read_labels([(" A", -0.5), ("A", -2.0), ("The", -1.5), (" B", -3.0)], ["A", "B"])
    >>> {label: round(share, 3) for label, share in shares.items()}, round(mass, 3)
    ({'A': 0.937, 'B': 0.063}, 0.792)
    >>> shares, mass = read_labels([("B", -0.1), ("the", -4.0)], ["A", "B", "C"])
    >>> {label: round(share, 4) for label, share in shares.items()}, round(mass, 3)
    ({'A': 0.0195, 'B': 0.9611, 'C': 0.0195}, 0.905)
    >>> read_labels([("The", -0.1), ("I", -3.0)], ["A", "B"]) is None
    True
    >>> read_labels([("A", float("nan")), ("A", float("-inf"))], ["A", "B"]) is None
    True
    """
    listed: dict[str, float] = {}
    for token, logprob in islice(top, _MOST):
        if math.isfinite(logprob):
            listed[token] = math.exp(min(logprob, 0.0))  # the same token twice (the chosen one, say) counts once
    sums = dict.fromkeys(labels, 0.0)
    for token, probability in listed.items():
        if (label := bare(token, labels)) is not None:
            sums[label] += probability
    found = math.fsum(sums.values())
    if found <= 0.0:
        return None

    unlisted = max(1.0 - math.fsum(listed.values()), 1e-9)
    floor = min(*listed.values(), unlisted)
    raised = {label: probability or floor for label, probability in sums.items()}
    whole = math.fsum(raised.values())
    return {label: probability / whole for label, probability in raised.items()}, min(found, 1.0)
