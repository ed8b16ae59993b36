"""A judge with processors of its own is asked beside the candidates, whose answers it does not read."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import final_script
from final_script import Team
from gork.config.ensemble import Choosing, Ensemble
from gork.config.measured import Measured
from gork.errors import NoAnswer, Refused
from gork.judging.rules import rules_for
from gork.turn import Answered, Event, Failed, Judged, MemberState, Question, Stage, StageStarted, State, Turn
from tests.support.scripted_model import Reply, ScriptedModel

if TYPE_CHECKING:
    from gork.engines.call import Completion, PartialCompletion

TEXTS = ("Lyon it is", "Paris", "Nice")


class OnMachine(ScriptedModel):
    """A scripted model on a machine of this name."""

    def __init__(self, name: str, machine: str, *replies: Reply) -> None:
        super().__init__(name, replies=replies or ("Paris",), weights=name)
        self._machine = machine

    @property
    def machine(self) -> str:
        return self._machine


def team(*replies: Reply, judge: ScriptedModel | None = None, choosing: Choosing | None = None, measured: Measured | None = None) -> Team:
    """Candidates on a machine each, and a judge on one of its own."""
    names = "abcdefgh"[: len(replies)]
    candidates = {name: OnMachine(name, f"{name}.test", reply) for name, reply in zip(names, replies, strict=True)}
    judge = judge or OnMachine("judge", "judge.test")
    ensemble = Ensemble(
        name="test",
        candidates=tuple(model.member for model in candidates.values()),
        judge=judge.member,
        choosing=choosing or Choosing(),
        measured=measured,
    )
    return Team.of("scripted", ensemble, {**candidates, "judge": judge})


async def run(asked: Team, text: str = "What is the capital of France?") -> tuple[Turn, list[Event]]:
    """One turn and its events."""
    events: list[Event] = []
    async with asyncio.timeout(60):
        return await final_script.deliberate(Question(text=text), asked, events.append, seed=5), events


def states(events: list[Event], member: str = "judge") -> list[State]:
    """What a member went through."""
    return [event.state for event in events if isinstance(event, MemberState) and event.member == member]


def waits_for(event: asyncio.Event) -> Reply:
    """A reply that is written once the event has come."""

    async def reply(draft: PartialCompletion) -> Completion:
        await event.wait()
        draft.add("Paris")
        return draft.completion("stop")

    return reply


def telling(event: asyncio.Event, text: str = "Paris") -> Reply:
    """A reply that tells when it is written."""

    async def reply(draft: PartialCompletion) -> Completion:
        draft.add(text)
        event.set()
        return draft.completion("stop")

    return reply


def endless(begun: asyncio.Event, stopped: asyncio.Event) -> Reply:
    """A reply that never ends by itself."""

    async def reply(draft: PartialCompletion) -> Completion:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        raise AssertionError

    return reply


async def test_it_has_read_before_the_answers_are_there():
    """The candidate that is waited for writes only when the judge is done, and the judge's stage then takes nothing."""
    read = asyncio.Event()

    turn, events = await run(team("Lyon", waits_for(read), judge=OnMachine("judge", "judge.test", telling(read))))

    assert ("Paris", 1) == (turn.answer, turn.verdict.judge_calls)
    assert [State.READING, State.WRITING, State.DONE] == states(events)
    assert events.index(MemberState("judge", State.DONE)) < max(at for at, event in enumerate(events) if isinstance(event, Answered))


async def test_the_verdict_is_the_same_ahead_and_afterwards():
    """Everything that it says; the judge's stage begins when the answers are there, both times."""
    ahead, events = await run(team(*TEXTS))
    afterwards, later = await run(team(*TEXTS, judge=OnMachine("judge", "a.test")))

    assert replace(ahead.verdict, judge_seconds=0) == replace(afterwards.verdict, judge_seconds=0)
    for told in (events, later):
        stages = [
            event.stage if isinstance(event, StageStarted) else type(event) for event in told if isinstance(event, StageStarted | Judged)
        ]
        assert [Stage.ANSWER, Stage.JUDGE, Judged] == stages


@pytest.mark.parametrize(("judge", "apart"), [("a.test", False), ("", True), ("judge.test", True)])
def test_it_needs_a_machine_without_candidates(judge, apart):
    """On the cores that candidates work on it would only slow them down."""
    asked = team(*TEXTS, judge=OnMachine("judge", judge))

    assert apart is asked.asks_ahead(rules_for(Question(text="?"), asked.ensemble))


async def test_on_shared_cores_it_is_asked_when_the_answers_are_there():
    """It begins after the last of them."""
    turn, events = await run(team(*TEXTS, judge=OnMachine("judge", "a.test")))

    begun = events.index(MemberState("judge", State.READING))
    assert turn.verdict.judge_calls == 1
    assert begun > max(events.index(event) for event in events if isinstance(event, MemberState) and event.member != "judge")


@pytest.mark.parametrize("choosing", [Choosing(judge="when-it-counts"), Choosing(judge="always")])
def test_it_is_asked_ahead_only_where_its_word_may_count(choosing):
    """Not by rules that hear no judge, unless it is to be asked always; not for one candidate."""
    heard = team(*TEXTS, choosing=choosing)
    rules = rules_for(Question(text="What is the capital of France?"), heard.ensemble)

    assert heard.asks_ahead(rules)
    assert not team("Paris", choosing=choosing).asks_ahead(rules)


async def test_it_is_stopped_when_it_is_not_needed():
    """Where all answers are the same, nobody waits for it, and it is told before the turn is."""
    begun, stopped = asyncio.Event(), asyncio.Event()

    turn, events = await run(team("Paris", "Paris", judge=OnMachine("judge", "judge.test", endless(begun, stopped))))

    assert (True, 0) == (stopped.is_set(), turn.verdict.judge_calls)
    assert State.NOT_NEEDED is states(events)[-1]
    assert turn.verdict.fallback is None


async def test_it_is_stopped_with_the_turn():
    """By whoever cancels it, and where no candidate answers."""
    begun, stopped = asyncio.Event(), asyncio.Event()
    judge = OnMachine("judge", "judge.test", endless(begun, stopped))
    task = asyncio.create_task(run(team(waits_for(asyncio.Event()), "Paris", judge=judge)))
    async with asyncio.timeout(60):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.is_set()

    failed = Refused("no", member="a", where="x")
    stopped.clear()
    with pytest.raises(NoAnswer):
        await run(team(failed, failed, judge=judge))
    assert stopped.is_set()


async def test_the_user_who_wants_the_answer_now_does_not_wait_for_it():
    """Once the answers are there; it is stopped, and the favourite decides."""
    begun, stopped = asyncio.Event(), asyncio.Event()
    asked = team("Lyon", "Paris", judge=OnMachine("judge", "judge.test", endless(begun, stopped)))
    events: list[Event] = []

    def told(event: Event) -> None:
        events.append(event)
        if isinstance(event, StageStarted) and event.stage is Stage.JUDGE:
            asked.answer_now.set()

    async with asyncio.timeout(60):
        turn = await final_script.deliberate(Question(text="What is the capital of France?"), asked, told, seed=5)

    assert ("Lyon", "answer_now") == (turn.answer, turn.verdict.fallback and turn.verdict.fallback.kind)
    assert stopped.is_set()
    assert states(events)[-1] is State.NOT_NEEDED


async def test_a_failure_ahead_is_told_where_its_word_was_wanted():
    """Its row ends at once; the reason stands in the verdict, and nowhere if nobody would have listened."""
    refused = Refused("tired", member="judge", where="x")

    turn, events = await run(team(*TEXTS, judge=OnMachine("judge", "judge.test", refused)))
    alike, quiet = await run(team("Paris", "Paris", judge=OnMachine("judge", "judge.test", refused)))

    assert "refused" == (turn.verdict.fallback and turn.verdict.fallback.kind)
    assert [State.READING, State.FAILED] == states(events) == states(quiet)
    assert ["judge"] == [event.failure.member for event in events if isinstance(event, Failed)]
    assert (None, []) == (alike.verdict.fallback, [event for event in quiet if isinstance(event, Failed)])


async def test_a_bug_in_it_is_raised_although_its_word_was_not_needed():
    """Only model errors are expected."""

    async def broken(draft: PartialCompletion) -> Completion:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(team("Paris", "Paris", judge=OnMachine("judge", "judge.test", broken)))
