"""Reading the probabilities of labels from the most probable next tokens, whatever engine gave them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def read_labels(top: Iterable[tuple[str, float]], labels: Sequence[str]) -> tuple[dict[str, float], float] | None:
    """Give each label its share (they sum to 1) and say what all of them had of the whole; None if `top` holds none of them.

    `top` are (token, log-probability). The spellings of a label with and without white space are summed. A label that is not in `top`
    gets the probability of the least probable token there: it cannot have more.

    >>> shares, mass = read_labels([("A", math.log(0.3)), (" A", math.log(0.3)), ("x", math.log(0.2))], "AB")
    >>> round(shares["A"], 2), round(shares["B"], 2), round(mass, 2)
    (0.75, 0.25, 0.6)
    """
    read = [(token.strip(), math.exp(logprob)) for token, logprob in top if math.isfinite(logprob) and logprob <= 1e-3]
    seen = {label: math.fsum(p for token, p in read if token == label) for label in labels}
    mass = math.fsum(seen.values())
    if mass <= 0:
        return None
    floor = min(p for _, p in read)
    filled = {label: p or floor for label, p in seen.items()}
    total = math.fsum(filled.values())
    return {label: p / total for label, p in filled.items()}, min(mass, 1.0)
