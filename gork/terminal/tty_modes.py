"""What a terminal does by itself when Ctrl-C is pressed, as far as we want it otherwise.

A terminal throws away its input and its output then, a moment after it has told the program of it: what the program answers at once (a
prompt, "stopped", the sequence that shows the cursor again) may be lost. So it keeps both, and we forget the input ourselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

try:
    import termios
except ImportError:  # Windows
    TERMINALS = False
else:
    TERMINALS = True


@contextlib.contextmanager
def keeping_output(fd: int) -> Iterator[None]:
    """Let the terminal throw nothing away at Ctrl-C."""
    if not TERMINALS:
        yield
        return
    try:
        _set_flush(fd, flush=False)
    except termios.error:  # no terminal
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # it may be gone
            _set_flush(fd, flush=True)


def forget_input(fd: int) -> None:
    """Throw away what was typed and not yet read."""
    if TERMINALS:
        with contextlib.suppress(termios.error):
            termios.tcflush(fd, termios.TCIFLUSH)


def _set_flush(fd: int, *, flush: bool) -> None:
    modes = termios.tcgetattr(fd)
    modes[3] = modes[3] & ~termios.NOFLSH if flush else modes[3] | termios.NOFLSH
    termios.tcsetattr(fd, termios.TCSANOW, modes)
