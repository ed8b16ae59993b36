"""Watches turns for whoever runs the service: one place that sees every event, the end, and what was refused.

What it sees goes into the log and the metrics. Questions and answers go nowhere unless the settings say so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gork.config.settings import Settings
from gork.engines.call import Completion
from gork.errors import GorkError, NoAnswer
from gork.service.admission import Full, Stopping
from gork.service.deadline import OutOfTime
from gork.service.logs import note
from gork.service.metrics import Metrics
from gork.service.request_context import current
from gork.turn import (
    Answer,
    Answered,
    Event,
    Failed,
    Judged,
    MemberState,
    OnEvent,
    Question,
    Restarted,
    Rewritten,
    StageStarted,
    State,
    Token,
    Turn,
)

T = TypeVar("T")
Run = Callable[[OnEvent], Awaitable[T]]

_AT_WORK = frozenset({State.LOADING, State.READING, State.WRITING})


class Watch:
    """Sees turns go by."""

    def __init__(self, metrics: Metrics, settings: Settings) -> None:
        self._metrics, self._settings = metrics, settings
        self.given_up = False
        """Whether what is cancelled from now on is so because the service stops."""

    async def turn(self, question: Question, run: Run[Turn], on_event: OnEvent) -> Turn:
        """Run a turn and take note of how it goes and ends."""
        text = question.text if self._settings.log_prompts else None
        note("turn begins", _whence(), characters=len(question.text), messages=len(question.history) or None, question=text)
        seen = _Seen(self._metrics)
        started, outcome = time.perf_counter(), "error"
        try:
            turn = await self._run(run, seen, on_event)
            outcome = "answered"
        except asyncio.CancelledError:
            outcome = "stopped" if self.given_up else "cancelled"
            raise
        except GorkError as error:
            outcome = "no_answer" if isinstance(error, NoAnswer) else "timeout" if isinstance(error, OutOfTime) else "error"
            self._over(outcome, started, why=str(error))
            raise
        finally:
            seconds = time.perf_counter() - started
            self._metrics.turns.labels(outcome).inc()
            self._metrics.turn_seconds.observe(seconds)
            if outcome in {"stopped", "cancelled"}:
                self._over(outcome, started)
        self._answered(turn, seen)
        return turn

    async def call(self, member: str, run: Run[Completion], on_event: OnEvent) -> Completion:
        """Have one member answer alone and take note of how that ends."""
        seen = _Seen(self._metrics)
        started, outcome = time.perf_counter(), "error"

        async def counted(told: OnEvent) -> Completion:
            completion = await run(told)
            seen.spent(member, completion.prompt_tokens, completion.tokens)
            return completion

        try:
            completion = await self._run(counted, seen, on_event)
            outcome = "answered"
        except asyncio.CancelledError:
            outcome = "stopped" if self.given_up else "cancelled"
            raise
        except OutOfTime:
            outcome = "timeout"
            raise
        finally:
            self._metrics.calls.labels(member, outcome).inc()
            note("call ends", _whence(), member=member, outcome=outcome, seconds=_since(started))
        return completion

    def refused(self, why: GorkError) -> None:
        """Take note of work that is not even begun."""
        self._metrics.refused.labels("full" if isinstance(why, Full) else "stopping").inc()
        note("refused", _whence(), why=str(why), level=logging.INFO if isinstance(why, Stopping) else logging.WARNING)

    def left(self, member: str | None = None) -> None:
        """Take note of a client that did not wait until it was its turn (or one member's, that it asked alone)."""
        (self._metrics.turns.labels("cancelled") if member is None else self._metrics.calls.labels(member, "cancelled")).inc()
        note("client left the line", _whence(), member=member)

    async def _run(self, run: Run[T], seen: _Seen, on_event: OnEvent) -> T:
        def told(event: Event) -> None:
            seen.take(event)
            on_event(event)

        try:
            return await run(told)
        finally:
            seen.end()

    def _answered(self, turn: Turn, seen: _Seen) -> None:
        verdict = turn.verdict
        for stage in seen.stages:
            self._metrics.stage_seconds.labels(stage).observe(turn.timings[stage])
        note(
            "turn answered",
            {f"{stage}_s": seconds for stage, seconds in turn.timings.items()},
            winner=turn.winner.member,
            margin=round(verdict.margin, 2) if verdict.scores else None,
            close=verdict.close or None,
            fallback=None if verdict.fallback is None else verdict.fallback.text,
            tokens=" ".join(f"{answer.member}:{answer.tokens}" for answer in turn.answers),
            failed=" ".join(failure.member for failure in turn.failures) or None,
            answer=turn.answer if self._settings.log_prompts else None,
        )

    def _over(self, outcome: str, started: float, why: str | None = None) -> None:
        what = {"cancelled": "client left", "stopped": "turn given up: the service stops", "no_answer": "turn without an answer"}
        level = logging.INFO if outcome == "cancelled" else logging.WARNING
        note(what.get(outcome, "turn failed"), level=level, seconds=_since(started), why=why)


class _Seen:
    """What was seen of one turn or call so far."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._pieces: dict[str, int] = {}
        """Tokens that members wrote and that no record has told of yet."""
        self._at_work: set[str] = set()
        self._reading_since: dict[str, float] = {}
        self._loading_since: dict[str, float] = {}
        self.stages: list[str] = []
        """Those that began."""

    def take(self, event: Event) -> None:
        """Take in one event; cheap for tokens, of which there are many."""
        if type(event) is Token:
            self._pieces[event.member] = self._pieces.get(event.member, 0) + 1
            return
        match event:
            case MemberState(member, state):
                self._state(member, state)
            case StageStarted(stage):
                self.stages.append(str(stage))
            case Answered(answer):
                self._answered(answer)
            case Failed(failure):
                self._work(failure.member, at_work=False)
                self._metrics.failed(failure.member, failure.kind)
                note("member failed", level=logging.WARNING, member=failure.member, kind=failure.kind, why=failure.message)
            case Restarted(member, why):
                self._reading_since.pop(member, None)
                note("member is asked again", level=logging.WARNING, member=member, why=why)
            case Rewritten(question) if question.rewrite_refused is not None:
                note("rewrite refused", level=logging.DEBUG, why=question.rewrite_refused)
            case Judged(verdict):
                self._metrics.judged(verdict)
            case _:
                return

    def spent(self, member: str, prompt: int, completion: int) -> None:
        """Count the tokens that a record tells of, in place of the pieces that were seen."""
        self._pieces.pop(member, None)
        self._metrics.tokens.labels(member, "prompt").inc(prompt)
        self._metrics.tokens.labels(member, "completion").inc(completion)

    def end(self) -> None:
        """Nothing more will be seen."""
        for member in list(self._at_work):
            self._work(member, at_work=False)
        for member, pieces in self._pieces.items():
            self._metrics.tokens.labels(member, "completion").inc(pieces)
        self._pieces.clear()

    def _answered(self, answer: Answer) -> None:
        self._work(answer.member, at_work=False)
        self.spent(answer.member, answer.prompt_tokens, answer.tokens)

    def _state(self, member: str, state: State) -> None:
        self._work(member, at_work=state in _AT_WORK)
        now = time.perf_counter()
        if state is State.LOADING:
            self._loading_since[member] = now
            note("member loads its model", member=member)
        elif state is State.READING:
            self._reading_since[member] = now
            if (since := self._loading_since.pop(member, None)) is not None:
                note("member has its model loaded", member=member, seconds=round(now - since, 1))
        elif state is State.WRITING and (since := self._reading_since.pop(member, None)) is not None:
            self._metrics.first_token.labels(member).observe(now - since)

    def _work(self, member: str, *, at_work: bool) -> None:
        if at_work == (member in self._at_work):
            return
        (self._at_work.add if at_work else self._at_work.discard)(member)
        self._metrics.member_inflight.labels(member).inc(1 if at_work else -1)


def _whence() -> dict[str, object]:
    """Where the request that is worked for came in."""
    visit = current.get()
    return {} if visit is None else {"route": visit.route, "client": visit.client}


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
