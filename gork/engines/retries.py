"""When a model that did not answer is asked again: one rule for every engine.

- Its process went away while it was at work (`Died`): once more, at once.
- Its server turns requests away for now (`Busy`, or a 429 or 503 with `Retry-After`): as long as the call has time.
- Its server is gone (`Unreachable`): while it has been well a moment ago, as when its pod is being restarted. One that was never there
  in this process, or has been away for longer, is not waited for: nobody would want to wait for it in every turn.

What the server asks to wait is waited; else the pauses grow, and are of random length, so that callers do not come back all at once.
A pause that would outlast the call is not begun: the reason that is known is a better answer than a deadline.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gork.errors import Busy, Died, ModelError, Unreachable

_FIRST_S = 0.4
_LONGEST_S = 4.0
"""A pod that is back is asked soon after."""


@dataclass(slots=True, kw_only=True)
class Retries:
    """The tries of one call. `patience_s`: how long a server that is gone is waited for, and a busy one where the call has no limit."""

    patience_s: float
    clock: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.Random)
    began: float = field(init=False)
    tries: int = 0
    died: bool = False

    def __post_init__(self) -> None:
        self.began = self.clock()

    def pause(self, error: ModelError, *, well_at: float | None, left_s: float | None) -> float | None:
        """Seconds until the model is asked again after this error; None if it is not.

        `well_at`: when it was last known to answer. `left_s`: what the call has left, None for a call without a limit.
        """
        now = self.clock()
        self.tries += 1
        if isinstance(error, Died):
            again, self.died = not self.died, True
            return 0.0 if again else None
        if isinstance(error, Busy) or error.retry_after_s is not None:
            ends = self.began + self.patience_s if left_s is None else now + left_s
        elif isinstance(error, Unreachable) and well_at is not None:
            ends = well_at + self.patience_s if left_s is None else min(well_at + self.patience_s, now + left_s)
        else:
            return None
        pause = self._drawn() if error.retry_after_s is None else error.retry_after_s + self.rng.uniform(0, _FIRST_S)
        return pause if now + pause < ends else None

    def told(self, error: ModelError) -> ModelError:
        """The error that the call ends with: the last one, and how often it was tried."""
        if self.tries < 2 or isinstance(error, Died):
            return error
        what = f"{error.what} (asked {self.tries} times in {self.clock() - self.began:.0f} s)"
        return type(error)(what, member=error.member, where=error.where, fix=error.fix, retry_after_s=error.retry_after_s)

    def _drawn(self) -> float:
        longest: float = min(_FIRST_S * 2.0 ** (self.tries - 1), _LONGEST_S)
        return self.rng.uniform(longest / 2, longest)
