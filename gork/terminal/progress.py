"""Progress in plain lines on stderr: one for each change that a person would want to know, nothing for tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO, assert_never

from gork.turn import (
    Answered,
    Event,
    Failed,
    Finished,
    Judged,
    MemberState,
    Notice,
    Restarted,
    Rewritten,
    StageStarted,
    State,
    Token,
    Turn,
)


def make_progress(stream: TextIO, environ: Mapping[str, str]) -> PlainProgress:
    """The progress that suits the stream."""
    return PlainProgress(stream)


_SHOWN_STATES = {State.LOADING: "loading its model", State.WAITING: "waiting for a free slot"}


class PlainProgress:
    """An `on_event` that writes one line for each change."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Write one line, with what could move a terminal's cursor taken out."""
        print("".join(c if c.isprintable() else " " for c in text), file=self._stream, flush=True)

    def turn(self) -> AbstractContextManager[None]:
        """Entered while a turn runs."""
        return nullcontext()

    def __call__(self, event: Event) -> None:  # noqa: PLR0912  (one branch for each kind of event)
        """Take in one event."""
        match event:
            case StageStarted(stage, members):
                self.say(f"{stage}: {', '.join(members)}")
            case MemberState(member, state, detail):
                if state in _SHOWN_STATES:
                    self.say(f"  {member}: {detail or _SHOWN_STATES[state]}")
            case Restarted(member, why):
                self.say(f"  {member}: asked again ({why})")
            case Rewritten(question):
                if question.rewrite is not None:
                    self.say(f"  asked as: {question.rewrite}")
                elif question.rewrite_refused is not None:
                    self.say(f"  asked in your own words (rewrite refused: {question.rewrite_refused})")
            case Answered(answer):
                cut = "" if answer.complete else f", cut short ({answer.stop})"
                self.say(f"  {answer.member}: {answer.tokens} tokens in {answer.seconds:.1f} s{cut}")
            case Failed(failure):
                self.say(f"  {failure.member} failed: {failure.message}")
            case Notice(text):
                self.say(f"  {text}")
            case Judged(verdict):
                close = ", a close call" if verdict.close else ""
                self.say(
                    f"  chosen: {verdict.winner} (margin {verdict.margin:.2f}{close})" if verdict.scores else f"  chosen: {verdict.winner}"
                )
            case Finished(turn):
                self.say(summary(turn))
            case Token():
                pass
            case _:
                assert_never(event)


def summary(turn: Turn) -> str:
    """Who won and how long each stage took, in one line."""
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in turn.timings.items())
    return f"{turn.winner.member} answered ({len(turn.answers)} of {len(turn.answers) + len(turn.failures)} models; {stages})"
