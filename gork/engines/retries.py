"""When a model that did not answer is asked again: one rule for every engine.

- Its process went away while it was at work (`Died`): once more, at once.
- Its server says when to come back (`Retry-After`): as long as the call has time.
- Its server is busy and does not say for how long (`Busy`): a few times, further and further apart. A moment's crowd has gone by then, and
  a limit for each minute begins anew; a server that is still full is a reason to tell, not to have the others' answers wait.
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
_LONGEST_BUSY_S = 20.0
"""Every request to a busy server is one more that it has to turn away."""


_RANDOM = random.Random()
"""Of all calls: to seed one takes longer than most calls have for all of this."""


@dataclass(slots=True, kw_only=True)
class Retries:
    """The tries of one call. `patience_s`: how long a server is waited for that is gone, or is busy and does not say for how long."""

    patience_s: float
    clock: Callable[[], float] = time.monotonic
    rng: random.Random = _RANDOM
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
        if error.retry_after_s is not None:
            ends = self.began + self.patience_s if left_s is None else now + left_s
            pause = error.retry_after_s + self.rng.uniform(0, _FIRST_S)
        elif isinstance(error, Busy):
            ends, pause = self.began + self.patience_s, self._drawn(_LONGEST_BUSY_S)
        elif isinstance(error, Unreachable) and well_at is not None:
            ends, pause = well_at + self.patience_s, self._drawn(_LONGEST_S)
        else:
            return None
        if left_s is not None:
            ends = min(ends, now + left_s)
        return pause if now + pause < ends else None

    def told(self, error: ModelError) -> ModelError:
        """The error that the call ends with: the last one, and how often it was tried."""
        if self.tries < 2 or isinstance(error, Died):
            return error
        what = f"{error.what} (asked {self.tries} times in {self.clock() - self.began:.0f} s)"
        return type(error)(what, member=error.member, where=error.where, fix=error.fix, retry_after_s=error.retry_after_s)

    def _drawn(self, most_s: float) -> float:
        longest: float = min(_FIRST_S * 2.0 ** (self.tries - 1), most_s)
        return self.rng.uniform(longest / 2, longest)
