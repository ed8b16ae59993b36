"""Commands about the answers of the last question: to read, use, copy and question them, and to ask again."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from gork.config.ensemble import alone
from gork.config.schema import suggestion
from gork.errors import NoAnswer, UsageError
from gork.judging.explain import letters_of
from gork.terminal import views
from gork.terminal.commands.table import Edited, Outcome
from gork.terminal.editor import edit as edit_text
from gork.terminal.output import computed
from gork.terminal.session import Request, Session
from gork.terminal.why import why as reasons
from gork.text.structure import split_code
from gork.turn import Answer, Event, MemberState, Restarted, State, Token, Turn

_MOST_COPIED = 100_000
"""Characters of base64: terminals ignore longer copies."""


def last(session: Session) -> Turn:
    """The last turn that was answered. Raises a `UsageError` if there is none."""
    if session.last is None:
        raise UsageError("nothing has been answered yet")
    return session.last


def _written(session: Session) -> tuple[Answer, ...]:
    """The answers to the last question: of the last turn, or what there was when it was stopped. Raises a `UsageError` without any."""
    return last(session).answers if session.stopped is None else session.stopped.written()


async def answers(session: Session, _argument: str) -> Outcome:
    """Show all answers to the last question."""
    turn = last(session) if session.stopped is None else None
    for number, answer in enumerate(_written(session), 1):
        session.say(views.heading(number, answer, turn))
        _show(session, answer)
    if turn is not None and turn.not_needed:
        session.say(f"--- {', '.join(turn.not_needed)}: not waited for (/show {turn.not_needed[0]} asks now)")
    for failure in turn.failures if turn is not None else session.stopped.failures if session.stopped is not None else ():
        session.say(f"--- failed: {failure.message}")
    if turn is None:
        session.say("The turn was not finished: /use N makes one of these the answer.")
    return None


async def show(session: Session, argument: str) -> Outcome:
    """Show one answer to the last question; a member that was not waited for is asked for its own now."""
    if session.stopped is None and session.last is not None and argument.strip() in session.last.not_needed:
        await _ask_afterwards(session, session.last, argument.strip())
    number, answer = _found(session, argument)
    session.say(views.heading(number, answer, last(session) if session.stopped is None else None))
    _show(session, answer)
    return None


async def _ask_afterwards(session: Session, turn: Turn, member: str) -> None:
    """Ask a member that was not waited for, and add its answer to the turn. Raises a `GorkError` if there is none."""
    session.say(f"{member} was not waited for: asking it now")
    how = structs.replace(session.settings, ensemble=alone(session.settings.ensemble, member), seed=turn.seed)
    question = replace(turn.question, history=session.before(turn).messages)  # a service's turn comes without it
    asked = await session.backend.ask(question, lambda event: _tell_wait(session, event), how)
    answer = next((answer for answer in asked.answers if answer.member == member), None)
    if answer is None:
        raise NoAnswer([failure.message for failure in asked.failures])
    session.add_answer(answer)


def _tell_wait(session: Session, event: Event) -> None:
    """Say what makes a member slow to begin."""
    match event:
        case MemberState(member, State.LOADING | State.WAITING as state, _):
            session.say(f"  {member}: {state}")
        case Restarted(member, reason):
            session.say(f"  {member}: retrying ({reason})")
        case _:
            pass


def _show(session: Session, answer: Answer) -> None:
    """An answer, and the program behind it."""
    if answer.computed is None:
        session.show_answer(answer.text)
    else:
        session.tell(computed(answer.computed))


def _found(session: Session, argument: str) -> tuple[int, Answer]:
    """The answer with this number or of this member. Raises a `UsageError`."""
    written = _written(session)
    found = views.find(written, argument.strip())
    if found is None:
        known = [answer.member for answer in written]
        numbered = ", ".join(f"{number} {name}" for number, name in enumerate(known, 1))
        raise UsageError(f"no answer {argument[:40]}{suggestion(argument, known)} (there are: {numbered})")
    return found


async def use(session: Session, argument: str) -> Outcome:
    """Make one of the answers the conversation's, in place of the chosen one or after a stop."""
    _, answer = _found(session, argument)
    session.use(answer)
    session.say(f"{answer.member}'s answer is now part of the conversation")
    return None


async def copy(session: Session, argument: str) -> Outcome:
    """Put an answer, or its code alone, into the clipboard of the terminal."""
    if session.copy is None:
        raise UsageError("/copy needs a terminal with clipboard support")
    words = argument.split()
    code = "code" in words
    words = [word for word in words if word != "code"]
    answer = _found(session, " ".join(words))[1] if words else last(session).winner if session.stopped is None else None
    if answer is None:
        raise UsageError("the turn was not finished: choose an answer with /copy N")
    text = _code_of(answer.text) if code else answer.text
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    if len(encoded) > _MOST_COPIED:
        raise UsageError("that is too long for a terminal's clipboard; use /save FILE")
    session.copy(f"\x1b]52;c;{encoded}\x07")
    session.say(f"copied {'the code' if code else 'the answer'} ({len(text)} characters), if your terminal allows it")
    return None


def _code_of(text: str) -> str:
    _, blocks = split_code(text)
    if not blocks:
        raise UsageError("there is no code in that answer; /copy copies all of it")
    return "\n\n".join(block.text for block in blocks) + "\n"


async def why(session: Session, _argument: str) -> Outcome:
    """Say why the last turn's answer was chosen, then let the judge say it in its own words, which change nothing."""
    turn = last(session)
    session.tell(reasons(turn))
    if turn.verdict.note is not None or turn.verdict.fallback is not None:
        session.say("There is nothing for the judge to explain: it did not choose this answer.")
        return None
    if session.backend.explain is None:
        session.say("this ensemble has no judge to explain it")
        return None
    legend = ", ".join(f"{letter} is {member}" for member, letter in letters_of(turn).items())
    session.say(f"The judge's explanation, written afterwards ({legend}):")

    def on_event(event: Event) -> None:
        if isinstance(event, Token):
            session.show_piece(event.text)
            return
        if isinstance(event, Restarted):
            session.show_piece("\n")
        _tell_wait(session, event)

    try:
        reason = await session.backend.explain(turn, on_event)
    finally:
        session.show_piece("\n")
    if not reason:
        session.say("the judge gave no explanation")
    return None


async def retry(session: Session, _argument: str) -> Outcome:
    """Ask the last question once more."""
    if session.request is None:
        raise UsageError("nothing has been asked yet")
    return replace(session.request, again=True)


async def raw(session: Session, argument: str) -> Outcome:
    """Ask this, or the next question, without a rewrite."""
    if argument.strip():
        return Request(argument, optimize=False)
    session.raw_next = True
    session.say("the next question will be asked without rewriting")
    return None


async def edit(session: Session, argument: str) -> Outcome:
    """Write in the user's own editor."""
    if not session.interactive:
        raise UsageError("/edit needs a terminal: ask the question here")
    before = argument or (session.request.prompt if session.request is not None else "")
    text = await edit_text(before, session.environ)
    if not text.strip():
        session.say("the text is empty: nothing was asked")
        return None
    return Edited(text)


def members(session: Session, before: Sequence[str]) -> Sequence[str]:
    """Completions: the members whose answers there are."""
    if before or (session.last is None and session.stopped is None):
        return ()
    return [answer.member for answer in _written(session)]


def members_to_show(session: Session, before: Sequence[str]) -> Sequence[str]:
    """Completions: the same, and those who were not waited for."""
    others = session.last.not_needed if session.last is not None and session.stopped is None and not before else ()
    return [*members(session, before), *others]
