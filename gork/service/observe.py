"""Turns as logs and metrics see them: one place that observes every event, the end, and what was refused.

Questions and answers are logged only if the settings say so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gork.config.settings import Settings
from gork.engines.call import Completion
from gork.errors import GorkError, NoAnswer, QueueFull, Stopping, TurnTimedOut
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


class TurnObserver:
    """Logs and counts turns, and calls of one member alone."""

    def __init__(self, metrics: Metrics, settings: Settings) -> None:
        self._metrics, self._settings = metrics, settings
        self.given_up = False
        """Whether what is cancelled from now on is cancelled because the service stops."""

    async def turn(self, question: Question, run: Run[Turn], on_event: OnEvent) -> Turn:
        """Run a turn; log and count how it goes and ends."""
        text = question.text if self._settings.log_prompts else None
        note("turn begins", _request_fields(), characters=len(question.text), messages=len(question.history) or None, question=text)
        seen = _Observation(self._metrics)
        started, outcome = time.perf_counter(), "error"
        try:
            turn = await self._run(run, seen, on_event)
            outcome = "answered"
        except asyncio.CancelledError:
            outcome = "stopped" if self.given_up else "cancelled"
            raise
        except GorkError as error:
            outcome = "no_answer" if isinstance(error, NoAnswer) else "timeout" if isinstance(error, TurnTimedOut) else "error"
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
        """Have one member answer alone; log and count how that ends."""
        seen = _Observation(self._metrics)
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
        except TurnTimedOut:
            outcome = "timeout"
            raise
        finally:
            self._metrics.calls.labels(member, outcome).inc()
            note("call ends", _request_fields(), member=member, outcome=outcome, seconds=_since(started))
        return completion

    def refused(self, why: GorkError) -> None:
        """Log and count work that was refused before it began."""
        self._metrics.refused.labels("full" if isinstance(why, QueueFull) else "stopping").inc()
        note("refused", _request_fields(), why=str(why), level=logging.INFO if isinstance(why, Stopping) else logging.WARNING)

    def left(self, member: str | None = None) -> None:
        """Log and count a client that left the line, of turns or of calls of one member."""
        (self._metrics.turns.labels("cancelled") if member is None else self._metrics.calls.labels(member, "cancelled")).inc()
        note("client left the line", _request_fields(), member=member)

    async def _run(self, run: Run[T], seen: _Observation, on_event: OnEvent) -> T:
        def told(event: Event) -> None:
            seen.take(event)
            on_event(event)

        try:
            return await run(told)
        finally:
            seen.end()

    def _answered(self, turn: Turn, seen: _Observation) -> None:
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
            not_needed=" ".join(turn.not_needed) or None,
            answer=turn.answer if self._settings.log_prompts else None,
        )

    def _over(self, outcome: str, started: float, why: str | None = None) -> None:
        what = {"cancelled": "client left", "stopped": "turn given up: the service stops", "no_answer": "turn without an answer"}
        level = logging.INFO if outcome == "cancelled" else logging.WARNING
        note(what.get(outcome, "turn failed"), level=level, seconds=_since(started), why=why)


class _Observation:
    """What has been observed of one turn or call so far."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._pieces: dict[str, int] = {}
        """Tokens that members wrote and that no record has counted yet."""
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
                if state is State.NOT_NEEDED:
                    self._metrics.not_needed.labels(member).inc()
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
                note("not rewritten", level=logging.DEBUG, kind=question.not_rewritten, why=question.rewrite_refused)
            case Judged(verdict):
                self._metrics.judged(verdict)
            case _:
                return

    def spent(self, member: str, prompt: int, completion: int) -> None:
        """Count the tokens that a record states, in place of the pieces that were seen."""
        self._pieces.pop(member, None)
        self._metrics.tokens.labels(member, "prompt").inc(prompt)
        self._metrics.tokens.labels(member, "completion").inc(completion)

    def end(self) -> None:
        """End the observation: nothing more will come."""
        for member in list(self._at_work):
            self._work(member, at_work=False)
        for member, pieces in self._pieces.items():
            self._metrics.tokens.labels(member, "completion").inc(pieces)
        self._pieces.clear()

    def _answered(self, answer: Answer) -> None:
        self._work(answer.member, at_work=False)
        if answer.computed is not None:
            self._metrics.programs.labels("printed" if answer.ran else "failed").inc()
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


def _request_fields() -> dict[str, object]:
    """Route and client of the current request."""
    request = current.get()
    return {} if request is None else {"route": request.route, "client": request.client}


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
