"""How much of the processor a piece of work takes.

Texts that were made to make a pattern slow show in seconds and minutes; that the machine is slow, or busy with something else, shows in
some of several runs. So what counts is the least of three, of the processor's time and not the clock's.
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time


def least_cpu_seconds(work: Callable[[], object]) -> float:
    """The processor's seconds of the quickest of three runs of this work."""
    took = []
    for _ in range(3):
        began = process_time()
        work()
        took.append(process_time() - began)
    return min(took)
