"""The keyboard of a POSIX terminal beneath the line editor: noticing that it is gone, and what is typed while a turn runs."""

from __future__ import annotations

import select
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.input.vt100 import Vt100Input, raw_mode
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

MOST_TYPED = 20_000
"""Keys that are kept for the next prompt."""


class Keyboard(Vt100Input):
    """The terminal's input. Each key that comes counts as a sign of life."""

    def __init__(self, stdin: TextIO, alive: Callable[[], None]) -> None:
        super().__init__(stdin)
        self._alive = alive
        self.typed: list[KeyPress] = []
        """Keys of the turn that runs."""

    def read_keys(self) -> list[KeyPress]:
        """Read what is there. A terminal that hung up is closed: its reads fail for ever, which the base class takes for a pause."""
        keys = super().read_keys()
        if keys:
            self._alive()
        elif self._hung_up():
            self.stdin_reader.closed = True
        return keys

    def _hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))

    @contextmanager
    def during_turn(self, stop: Callable[[], None]) -> Iterator[None]:
        """Collect keys for the next prompt, unseen; Ctrl-C is a signal, but one that was typed before this began comes as a key."""
        kept = self.typed = []

        def take(keys: list[KeyPress]) -> None:
            for key in keys:
                if key.key == Keys.ControlC:
                    kept.clear()
                    stop()
                elif len(kept) < MOST_TYPED:
                    kept.append(key)

        def on_ready() -> None:
            take(self.read_keys())
            if self.closed:
                stop()

        with _unseen(self.fileno()), self.attach(on_ready):
            take(get_typeahead(self))
            try:
                yield
            finally:
                store_typeahead(self, kept)


class _unseen(raw_mode):  # noqa: N801 - as the class it is made from
    """Keys one by one and without an echo, with Ctrl-C and its like still being signals."""

    @classmethod
    def _patch_lflag(cls, attrs: int) -> int:
        return super()._patch_lflag(attrs) | termios.ISIG
