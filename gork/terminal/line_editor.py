"""The prompt of a terminal that can move its cursor: line editing, history, completion, several lines, the user's own editor.

Imported only for such a terminal: prompt_toolkit takes long to import.
"""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import History
from prompt_toolkit.input import create_input
from prompt_toolkit.input.base import Input as KeyInput
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import create_output
from prompt_toolkit.output.base import Output
from prompt_toolkit.shortcuts import CompleteStyle

from gork.errors import UsageError
from gork.terminal.editor import edit
from gork.terminal.input import CONTINUED, PROMPT, Cleared, Ended, Input, idle, is_open, unfenced

if sys.platform != "win32":
    import termios

    from prompt_toolkit.input.vt100 import Vt100Input, raw_mode

    from gork.terminal.screen import set_local_mode

Words = Callable[[str], tuple[int, Sequence[str]]]
"""For the text before the cursor: how much of its end is replaced, and by what it may be."""
Say = Callable[[str], None]
_WHERE = "\x1b[6n"
"""Asks a terminal where its cursor is: most reply, and the reply is read as a key of its own."""
_ENTER = frozenset({Keys.ControlM, Keys.ControlJ})
_MOST_TYPED = 20_000
"""Keys that are kept for the next prompt."""


class Presence:
    """Whether a terminal is at the other end. One that has ever told where its cursor is and does not any more is gone."""

    def __init__(self, ask: Callable[[], None], *, every_s: float = 120.0, first_s: float = 1.0) -> None:
        """`first_s`: until the prompt has the terminal, which would echo the answer before that."""
        self._ask, self._every_s, self._first_s = ask, every_s, first_s
        self._answers, self._unanswered = False, 0

    def answered(self) -> None:
        """Take in an answer."""
        self._answers, self._unanswered = True, 0

    async def lost(self) -> None:
        """Ask again and again; returns when nobody is there."""
        await asyncio.sleep(self._first_s)
        while not (self._answers and self._unanswered > 1):
            self._unanswered += 1
            self._ask()
            await asyncio.sleep(self._every_s)


class EditingReader:
    """Reads with a line editor; ends a silence of `idle_s` seconds (0: never).

    A `guest` is a process in a container that was started from outside: nothing tells it that its terminal is gone, so it asks.
    """

    prefills = True
    hears_keys = sys.platform != "win32"

    def __init__(
        self,
        stdin: TextIO,
        shown: TextIO,
        *,
        history: History,
        words: Words,
        environ: Mapping[str, str],
        say: Say,
        idle_s: float,
        guest: bool = False,
    ) -> None:
        self._idle_s, self._environ, self._say = idle_s, environ, say
        self._silence: asyncio.Timeout | None = None
        self._editing: asyncio.Task[None] | None = None
        self._output = _output(shown)
        self._presence = Presence(self._ask_where) if guest else None
        self._input = _keyboard(stdin, self._alive, self._presence.answered if self._presence else _ignore)
        self._session: PromptSession[str] = PromptSession(
            message=[("fg:ansidefault", PROMPT)],  # with a style the blank at its end is drawn, not jumped over
            input=self._input,
            output=self._output,
            history=history,
            completer=_Words(words),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            multiline=Condition(lambda: is_open(get_app().current_buffer.text)),
            prompt_continuation=lambda _width, _number, is_soft_wrap: "" if is_soft_wrap else CONTINUED,
            key_bindings=self._keys(),
            enable_history_search=True,
        )

    async def read(self, *, prefill: str = "") -> Input:
        """Show the prompt and wait for an input."""
        if self._presence is None:
            return await self._edited(prefill)
        reading, lost = asyncio.create_task(self._edited(prefill)), asyncio.create_task(self._presence.lost())
        try:
            await asyncio.wait({reading, lost}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
            lost.result()
            return Ended("nobody is reading this terminal any more: leaving")
        finally:
            reading.cancel()
            lost.cancel()
            await asyncio.wait({reading, lost})

    async def _edited(self, prefill: str) -> Input:
        buffer = self._session.default_buffer
        try:
            async with asyncio.timeout(self._idle_s or None) as self._silence:
                text = await self._session.prompt_async(default=prefill, handle_sigint=False, set_exception_handler=False)
        except TimeoutError:
            return Ended(idle(self._idle_s))
        except KeyboardInterrupt:
            return Cleared(typed=bool(buffer.text))
        except EOFError:
            return Ended("the terminal is gone: leaving" if self._input.closed else "")
        finally:
            self._silence = None
        return unfenced(text)

    @contextmanager
    def during_turn(self, stop: Callable[[], None], hurry: Callable[[], None]) -> Iterator[None]:
        """Keep what is typed for the next prompt, a paste of several lines as one; an Enter before anything is typed calls `hurry`."""
        self._output.enable_bracketed_paste()
        self._output.flush()
        try:
            with _during_turn(self._input, stop, hurry):
                yield
        finally:
            self._output.disable_bracketed_paste()
            self._output.flush()

    def forget_typed(self) -> None:
        """Discard what was typed so far during a turn."""
        if sys.platform != "win32" and isinstance(self._input, Keyboard):
            self._input.typed.clear()

    def _ask_where(self) -> None:
        self._output.write_raw(_WHERE)
        self._output.flush()

    def _alive(self) -> None:
        if self._silence is not None and self._idle_s and not self._silence.expired():
            self._silence.reschedule(asyncio.get_running_loop().time() + self._idle_s)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("escape", "enter")
        def _newline(event: KeyPressEvent) -> None:
            event.current_buffer.newline(copy_margin=False)

        @keys.add("c-g")
        def _edit(event: KeyPressEvent) -> None:
            self._editing = event.app.create_background_task(self._edit_buffer())

        return keys

    async def _edit_buffer(self) -> None:
        buffer = self._session.default_buffer
        async with in_terminal():
            if self._silence is not None:
                self._silence.reschedule(None)  # the editor has the terminal: its time does not count as silence
            try:
                text = await edit(buffer.text, self._environ)
            except UsageError as error:
                self._say(str(error))
                return
            finally:
                self._alive()
        buffer.document = Document(text, len(text))


class _Words(Completer):
    def __init__(self, words: Words) -> None:
        self._words = words

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        replaced, words = self._words(document.text_before_cursor)
        return [Completion(word, start_position=-replaced) for word in words]


def _ignore() -> None:
    """Nobody waits for it."""


def _keyboard(stdin: TextIO, alive: Callable[[], None], replied: Callable[[], None]) -> KeyInput:
    return create_input(stdin) if sys.platform == "win32" else Keyboard(stdin, alive, replied)


def _during_turn(keyboard: KeyInput, stop: Callable[[], None], hurry: Callable[[], None]) -> AbstractContextManager[None]:
    if sys.platform != "win32" and isinstance(keyboard, Keyboard):
        return keyboard.during_turn(stop, hurry)
    return nullcontext()


def _output(shown: TextIO) -> Output:
    """The terminal's output, which is not asked for the cursor's place by the library: some never reply, and a late reply lands in the next
    program. In a container it is asked rarely, and while somebody could be reading (`Presence`).
    """
    output = create_output(stdout=shown)
    if hasattr(output, "enable_cpr"):
        output.enable_cpr = False
    return output


if sys.platform != "win32":

    class Keyboard(Vt100Input):
        """The terminal's input; calls `alive` for every key, and keeps what is typed while a turn runs.

        `replied` is called when the terminal has told where its cursor is; that is not a key.
        """

        def __init__(self, stdin: TextIO, alive: Callable[[], None], replied: Callable[[], None]) -> None:
            super().__init__(stdin)
            self._alive, self._replied = alive, replied
            self.typed: list[KeyPress] = []
            """Keys of the turn that is running."""

        def read_keys(self) -> list[KeyPress]:
            """Read the keys that have arrived.

            A terminal that hung up is marked as closed: its reads fail for ever, and the base class treats that as a pause.
            """
            come = super().read_keys()
            keys = [key for key in come if key.key != Keys.CPRResponse]
            if len(keys) < len(come):
                self._replied()
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
        def during_turn(self, stop: Callable[[], None], hurry: Callable[[], None]) -> Iterator[None]:
            """Collect keys for the next prompt, unseen; Ctrl-C is a signal, but one typed before this began arrives as a key."""
            kept = self.typed = []

            def take(keys: list[KeyPress], *, before: bool = False) -> None:
                for key in keys:
                    if key.key == Keys.ControlC:
                        kept.clear()
                        stop()
                    elif key.key in _ENTER and not kept and not before:
                        hurry()
                    elif len(kept) < _MOST_TYPED:
                        kept.append(key)

            def on_ready() -> None:
                take(self.read_keys())
                if self.closed:
                    stop()

            with _unseen(self.fileno()), self.attach(on_ready):
                take(get_typeahead(self), before=True)
                try:
                    yield
                finally:
                    store_typeahead(self, kept)

    @contextmanager
    def _unseen(fd: int) -> Iterator[None]:
        """Keys one by one and without an echo, with Ctrl-C and the like still being signals."""
        with raw_mode(fd):
            with suppress(termios.error):  # not a terminal
                set_local_mode(fd, termios.ISIG, on=True)
            yield
