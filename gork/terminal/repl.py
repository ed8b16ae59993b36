"""The prompt that keeps the conversation: on a terminal with line editing, and with `-i` line by line from a pipe.

Read, ask, remember, show, until the input ends or says so. Everything that takes time runs where Ctrl-C can stop it (`signals.py`), and
the session goes on afterwards.
"""

from __future__ import annotations

import errno
import os
import secrets
import signal
import sys
from contextlib import suppress

from msgspec.structs import replace

from gork.config.settings import Settings
from gork.conversation.thread import Conversation, announce
from gork.errors import GorkError, UsageError
from gork.terminal import commands, oneshot
from gork.terminal.actions import Edited, Leave, Outcome
from gork.terminal.answer_view import show_turn
from gork.terminal.ctrl_c import Signals, Stopped
from gork.terminal.input import Cleared, Ended, Input, Line, PlainReader, Reader, can_edit, shown_on
from gork.terminal.progress import make_progress
from gork.terminal.prompt_text import check_prompt
from gork.terminal.safe_text import shown
from gork.terminal.session import Backing, Hooks, Request, Session
from gork.terminal.tty_modes import keeping_output
from gork.turn import Question, Turn

LEAVING = frozenset({"exit", "quit"})
"""Words that leave; commands that do are in their table."""
GREETING = "/help lists the commands; Ctrl-C stops an answer; exit, quit or Ctrl-D leave"
_GONE = frozenset({errno.EIO, errno.EPIPE, errno.ENXIO, errno.EBADF})


async def run(backing: Backing, *, conversation: Conversation | None = None, hooks: Hooks | None = None) -> int:
    """Hold a session, beginning with `conversation`; returns the exit code."""
    if sys.stdin is None:
        raise UsageError("there is no standard input to read questions from")
    repl = Repl(backing, conversation or Conversation(), hooks or Hooks())
    try:
        return await repl.run()
    except OSError as error:
        if error.errno not in _GONE:
            raise
        _mute()
        return oneshot.NO_ANSWER if error.errno == errno.EPIPE else 128 + getattr(signal, "SIGHUP", 1)


def _mute() -> None:
    """Let nobody write to a terminal or pipe that is gone: not the ends of what is stopped now, nor the interpreter when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    for fd in (1, 2):
        with suppress(OSError):
            os.dup2(null, fd)


class Repl:
    """One session at a prompt."""

    def __init__(self, backing: Backing, conversation: Conversation, hooks: Hooks) -> None:
        self._progress = make_progress(sys.stderr, os.environ, backing.settings.ensemble)
        self._session = Session(
            backing=backing,
            say=self._progress.say,
            show_piece=_show_piece,
            environ=os.environ,
            interactive=sys.stdin.isatty(),
            conversation=conversation,
            hooks=hooks,
        )
        self._reader = _open_reader(self._session)
        self._signals = Signals(self._reader.forget_typed)

    async def run(self) -> int:
        """Converse until something ends it; returns the exit code."""
        if self._session.interactive:
            self._session.say(GREETING)
        with keeping_output(sys.stdin.fileno()), self._signals:
            await self._converse()
        ending, tally = self._signals.ending, self._session.tally
        if ending is not None:
            with suppress(OSError):
                self._session.say(f"{ending.name}: leaving")
            return 128 + ending
        less = self._session.settings.strict and (tally.degraded or tally.unanswered)
        return oneshot.DEGRADED if less else oneshot.ANSWERED

    async def _converse(self) -> None:
        prefill = ""
        while self._signals.ending is None:
            given = await self._read(prefill)
            prefill = ""
            match given:
                case Ended(why):
                    if why or self._session.interactive:
                        self._session.say(why)
                    return
                case Cleared(typed):
                    if not typed:
                        self._session.say("exit, quit or Ctrl-D leave; /help lists the commands")
                case Line():
                    outcome = await self._take(given)
                    if isinstance(outcome, Edited) and self._reader.prefills:
                        prefill = outcome.text
                    elif isinstance(outcome, Edited):
                        await self._ask(self._request(outcome.text))
                    elif isinstance(outcome, Request):
                        await self._ask(outcome)
                    elif outcome is Leave.NOW:
                        return

    async def _read(self, prefill: str) -> Input:
        try:
            return await self._signals.run(self._reader.read(prefill=prefill))
        except Stopped:
            if self._session.interactive:
                self._session.show_piece("\n")  # the cursor stands behind the prompt
            return Cleared(typed=self._signals.ending is not None)

    async def _take(self, line: Line) -> Outcome:
        """What an input asks for; commands that only show something have shown it."""
        if line.literal:
            return self._request(line.text)
        if line.text.strip().lower() in LEAVING:
            return Leave.NOW
        if not line.text.strip():
            return None
        try:
            found = commands.read(line.text)
            if found is None:
                return self._request(line.text)
            command, argument = found
            return await self._signals.run(command.run(self._session, argument))
        except Stopped:
            self._session.say("stopped")
        except GorkError as error:
            self._session.tell(str(error))
        return None

    def _request(self, prompt: str) -> Request:
        optimize = False if self._session.raw_next else None
        self._session.raw_next = False
        return Request(prompt, optimize=optimize)

    async def _ask(self, request: Request) -> None:
        session = self._session
        try:
            check_prompt(request.prompt, context=session.settings.ensemble.context)
        except UsageError as error:
            session.tell(str(error))
            return
        before = session.begin(request)
        try:
            turn = await self._signals.run(self._turn(request, before))
        except Stopped:
            session.tally.stopped += 1
            if self._signals.ending is None:
                session.say("stopped: this question is not part of the conversation (/retry asks it again)")
            return
        except GorkError as error:
            session.tally.unanswered += 1
            session.tell(str(error))
            return
        session.remember(request.prompt, turn)
        show_turn(turn, self._progress, prefix="Response: ", markdown=session.settings.markdown)

    async def _turn(self, request: Request, before: Conversation) -> Turn:
        session = self._session
        kept = before.kept(session.settings.history_tokens)
        question = Question(text=request.prompt, history=kept.messages)
        with self._reader.during_turn(self._signals.stop), self._progress.turn():
            if (cut := announce(kept)) is not None:
                session.say(cut)
            return await session.backing.ask(question, self._progress, _how(session.settings, request))


def _how(settings: Settings, request: Request) -> Settings:
    if request.optimize is not None:
        settings = replace(settings, optimize=request.optimize)
    return replace(settings, seed=secrets.randbelow(2**31)) if request.again else settings


def _open_reader(session: Session) -> Reader:
    settings, shown = session.settings, shown_on()
    if not can_edit(session.environ, sys.stdin, shown):
        return PlainReader(sys.stdin.buffer, idle_s=settings.idle_exit)
    from gork.terminal.editing import EditingReader  # noqa: PLC0415 - a pipe does not wait for the line editor's import
    from gork.terminal.history import open_history  # noqa: PLC0415 - same

    history, why = open_history(session.environ, wanted=settings.history)
    if why is not None:
        session.say(why)
    return EditingReader(
        sys.stdin,
        shown,
        history=history,
        words=lambda text: commands.words(session, text),
        environ=session.environ,
        say=session.say,
        idle_s=settings.idle_exit,
    )


def _show_piece(text: str) -> None:
    sys.stderr.write(shown(text))
    sys.stderr.flush()
