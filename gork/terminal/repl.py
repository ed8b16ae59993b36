"""The prompt that keeps the conversation: on a terminal with line editing, and with `-i` line by line from a pipe.

Read, ask, remember, show, until the input ends or a word ends it. Ctrl-C stops everything that takes time (`ctrl_c.py`), and the session
goes on afterwards.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from msgspec.structs import replace

from gork.config.ensemble import alone
from gork.config.settings import Settings
from gork.conversation.thread import Conversation, announce
from gork.errors import GorkError, UsageError
from gork.terminal import commands, container, oneshot, output, screen
from gork.terminal.attachments import TextFile, attached
from gork.terminal.commands import Edited, Leave, Outcome
from gork.terminal.ctrl_c import InterruptHandler, Stopped
from gork.terminal.drafts import Drafts
from gork.terminal.input import Cleared, Ended, Input, Line, PlainReader, Reader, can_edit, check_prompt, show, shown_on
from gork.terminal.output import make_progress, show_turn
from gork.terminal.safe_text import shown
from gork.terminal.screen import keeping_output
from gork.terminal.session import Backend, ConversationHooks, Request, Session, sampling
from gork.terminal.session_options import SavedSessions
from gork.turn import Question, Turn
from gork.waiting import meanwhile

LEAVING = frozenset({"exit", "quit"})
"""Words that end the session; the commands that do are in their table."""
HURRY = "Enter: answer now"
"""Stands beside the rows of a turn, where that key is heard."""
_PIPE_WIDTH = 120
_ANY = Request("")
_GONE = frozenset({errno.EIO, errno.EPIPE, errno.ENXIO, errno.EBADF})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a session begins."""

    hooks: ConversationHooks = field(default_factory=ConversationHooks)
    saved: SavedSessions | None = None
    files: Sequence[TextFile] = ()
    system: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    only: str | None = None


async def run(backend: Backend, *, conversation: Conversation | None = None, opening: Opening | None = None) -> int:
    """Hold a session, beginning with `conversation`; returns the exit code."""
    if sys.stdin is None:
        raise UsageError("there is no standard input to read questions from")
    repl = Repl(backend, conversation or Conversation(), opening or Opening())
    try:
        return await repl.run()
    except OSError as error:
        if error.errno not in _GONE:
            raise
        output.discard(1, 2)
        return output.READER_LEFT if error.errno == errno.EPIPE else 128 + getattr(signal, "SIGHUP", 1)


class Repl:
    """One session at a prompt."""

    def __init__(self, backend: Backend, conversation: Conversation, opening: Opening) -> None:
        self._progress = make_progress(sys.stderr, os.environ, backend.settings.ensemble, quiet=backend.settings.quiet)
        self._session = Session(
            backend=backend,
            say=self._progress.say,
            show_piece=_show_piece,
            environ=os.environ,
            interactive=sys.stdin.isatty(),
            conversation=conversation,
            hooks=opening.hooks,
            width=lambda: screen.width(sys.stderr, os.environ) if screen.is_terminal(sys.stderr) else _PIPE_WIDTH,
            copy=_copier(),
            saved=opening.saved,
            files=list(opening.files),
            system=opening.system,
            options=opening.options,
            only=opening.only,
        )
        self._session.show_answer = lambda text: output.show_other(text, markdown=self._session.settings.markdown)
        self._reader = _open_reader(self._session)
        self._interrupts = InterruptHandler(self._reader.forget_typed)
        self._has_read: Question | None = None
        """What the models have read ahead last."""

    async def run(self) -> int:
        """Converse until something ends it; returns the exit code."""
        with keeping_output(sys.stdin), self._interrupts:
            await self._converse()
        ending, stats = self._interrupts.ending, self._session.stats
        if ending is not None:
            with suppress(OSError):
                self._session.say(f"{ending.name}: leaving")
            return 128 + ending
        degraded = self._session.settings.strict and (stats.degraded or stats.unanswered)
        return oneshot.DEGRADED if degraded else oneshot.ANSWERED

    async def _converse(self) -> None:
        prefill = ""
        while self._interrupts.ending is None:
            given = await self._read(prefill)
            prefill = ""
            match given:
                case Ended(why):
                    if why or self._session.interactive:
                        self._session.say(why)
                    return
                case Cleared(typed):
                    if not typed:
                        self._session.say("Type exit or press Ctrl-D to quit, /help for commands.")
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
            async with meanwhile(self._read_ahead()):
                return await self._interrupts.run(self._given(prefill))
        except Stopped:
            if self._session.interactive:
                show("\n")  # the cursor is still after the prompt
            return Cleared(typed=self._interrupts.ending is not None)

    async def _read_ahead(self) -> None:
        """Have the models read the conversation, once, while the user reads the answer and types: at the first prompt, load them."""
        session, ahead = self._session, self._session.backend.read_ahead
        history = session.conversation.kept_beside("", session.settings).messages
        coming = Question(text="", history=history, system=session.system)
        if ahead is not None and session.interactive and coming != self._has_read:
            await ahead(coming, _how(session).ensemble)
            self._has_read = coming

    async def _given(self, prefill: str) -> Input:
        """The next input; its end when what answers here is being stopped, and this prompt with it."""
        backend = self._session.backend
        if backend.stopped is None:
            return await self._reader.read(prefill=prefill)
        reading = asyncio.create_task(self._reader.read(prefill=prefill), name="read at the prompt")
        try:
            await asyncio.wait({reading, backend.stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() and not backend.stopped.result():
                return await reading
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.wait({reading})
        saved = self._session.saved
        session = None if saved is None or not self._session.conversation else saved.id
        return (
            Ended(container.last_words(self._session.environ, self._session.settings, session)) if reading.cancelled() else reading.result()
        )

    async def _take(self, line: Line) -> Outcome:
        """What an input asks the session to do; a command is run here."""
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
            return await self._interrupts.run(command.run(self._session, argument))
        except Stopped:
            self._session.say("stopped")
        except GorkError as error:
            self._session.tell(str(error))
        return None

    def _request(self, prompt: str) -> Request:
        session = self._session
        optimize = False if session.raw_next else None
        prompt = attached(session.files, prompt)
        session.raw_next = False
        session.files.clear()
        return Request(prompt, optimize=optimize)

    async def _ask(self, request: Request) -> None:
        session = self._session
        try:
            check_prompt(request.prompt, context=session.settings.ensemble.context)
        except UsageError as error:
            session.tell(str(error))
            return
        before = session.begin(request)
        kept = before.kept_beside(request.prompt, session.settings)
        question = Question(
            text=request.prompt,
            history=kept.messages,
            program=before.last_program,
            system=session.system,
            options=sampling(session.options),
        )
        how = _how(session, request)
        drafts = Drafts(question, self._progress, {member.name: member.model or member.name for member in how.ensemble.candidates})
        try:
            turn = await self._interrupts.run(self._turn(drafts, how, announce(kept)))
        except Stopped:
            session.stats.stopped += 1
            if self._interrupts.ending is None:
                session.say(f"Stopped. Not added to the conversation; /retry to ask again{self._keep(drafts)}.")
            return
        except GorkError as error:
            session.stats.unanswered += 1
            session.stats.failures.update(failure.member for failure in drafts.failures)
            session.tell(f"{error}{self._keep(drafts)}")
            return
        session.remember(request.prompt, turn)
        show_turn(turn, self._progress, prefix="Response: ", markdown=session.settings.markdown, quiet=session.settings.quiet)

    def _keep(self, drafts: Drafts) -> str:
        """Keep what was written in a turn that did not end; returns what to say of it."""
        if not drafts.written():
            return ""
        self._session.stopped = drafts
        return ", /answers to read what was written, /use N to use it"

    async def _turn(self, drafts: Drafts, how: Settings, notice: str | None) -> Turn:
        session = self._session
        watched = session.favourite if session.settings.watch else None
        answer_now = asyncio.Event()
        hint = HURRY if self._reader.hears_keys else ""
        with self._reader.during_turn(self._interrupts.stop, answer_now.set), self._progress.turn(how.ensemble, watched, hint):
            if notice is not None:
                session.say(notice)
            return await session.backend.ask(drafts.question, drafts, how, answer_now=answer_now)


def _how(session: Session, request: Request = _ANY) -> Settings:
    settings = session.settings
    if request.optimize is not None:
        settings = replace(settings, optimize=request.optimize)
    if session.only is not None:
        settings = replace(settings, ensemble=alone(settings.ensemble, session.only))
    return replace(settings, seed=secrets.randbelow(2**31)) if request.again else settings


def _open_reader(session: Session) -> Reader:
    settings, stream = session.settings, shown_on()
    if stream is None or not can_edit(session.environ, sys.stdin, stream):
        return PlainReader(sys.stdin.buffer, idle_s=settings.idle_exit)
    from gork.terminal.history import open_history  # noqa: PLC0415 - prompt_toolkit takes long to import
    from gork.terminal.line_editor import EditingReader  # noqa: PLC0415 - same

    history, why = open_history(session.environ, wanted=settings.history, folder=settings.data)
    if why is not None:
        session.say(why)
    return EditingReader(
        sys.stdin,
        stream,
        history=history,
        words=lambda text: commands.words(session, text),
        environ=session.environ,
        say=session.say,
        idle_s=settings.idle_exit,
        guest=container.is_guest(session.environ),
    )


def _copier() -> Callable[[str], None] | None:
    """What writes to a terminal that understands more than text; None if there is none."""
    stream = shown_on()
    if stream is None or not screen.abilities(stream, os.environ).moves:
        return None

    def write(sequence: str) -> None:
        stream.write(sequence)
        stream.flush()

    return write


def _show_piece(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(shown(text))
        sys.stderr.flush()
