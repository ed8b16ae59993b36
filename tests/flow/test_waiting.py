"""Who is waited for: scripted models, the real sandbox where something is computed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace as changed

import final_script
from final_script import Team
from gork.computing.sandbox import Sandbox
from gork.config.ensemble import Choosing, Ensemble, Wait
from gork.engines.call import Completion, PartialCompletion
from gork.errors import ModelError, NoAnswer
from gork.turn import (
    QUESTIONS_CODE,
    Answered,
    Event,
    Failed,
    MemberState,
    Notice,
    NotRewritten,
    Question,
    State,
    Turn,
)
from tests.support.scripted_model import ScriptedModel

COMPUTED = "What is 12 * 8 + 1?"
PROGRAM = "```python\nprint(12 * 8 + 1)\n```"
OPEN = "What is the capital of France?"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """The real one."""
    async with Sandbox() as made:
        await made.warm()
        yield made


@dataclass
class Writer:
    """A model that writes something and then goes on for ever, until it is stopped."""

    text: str = ""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    end: str = ""

    async def __call__(self, draft: PartialCompletion) -> Completion:
        if self.text:
            draft.add(self.text)
        self.begun.set()
        try:
            await self.go_on.wait()
        finally:
            self.stopped.set()
        draft.add(self.end)
        return draft.completion("stop")


Reply = str | ModelError | Callable[[PartialCompletion], Awaitable[Completion]]


def model(name: str, reply: Reply, *, program: bool = False) -> ScriptedModel:
    """A candidate."""
    ways = dict.fromkeys(("arithmetic", "code-output"), "program") if program else {}
    return ScriptedModel(name, replies=[reply], answers=ways)


def team(*candidates: ScriptedModel, sandbox: Sandbox | None = None, wait: Wait = "until-decided", **more: object) -> Team:
    """They, and a judge that likes Paris."""
    ensemble = Ensemble(name="test", candidates=tuple(one.member for one in candidates), choosing=Choosing(wait=wait))
    judge = ScriptedModel("judge", replies=["Paris"])
    return Team(
        **{"engine": "scripted", "ensemble": ensemble, "promptimizer": None, "candidates": candidates, "judge": judge, "sandbox": sandbox}
        | more
    )


async def run(asked: Team, text: str = OPEN, heard: Callable[[Event], None] = lambda _: None) -> tuple[Turn, list[Event]]:
    """One turn and its events."""
    events: list[Event] = []

    def told(event: Event) -> None:
        events.append(event)
        heard(event)

    async with asyncio.timeout(10):
        return await final_script.deliberate(Question(text=text), asked, told, seed=5), events


def not_needed(events: Sequence[Event]) -> list[str]:
    """Who was told not to be needed."""
    return [event.member for event in events if isinstance(event, MemberState) and event.state is State.NOT_NEEDED]


def notices(events: Sequence[Event]) -> str:
    """What the user was told."""
    return "\n".join(event.text for event in events if isinstance(event, Notice))


class TestDecided:
    """Nothing can change any more."""

    async def test_a_program_that_ran_ends_the_others(self, sandbox: Sandbox):
        """They are stopped at once, and are neither answers nor failures; what they wrote is dropped; it is said once."""
        words, silent = Writer("It is"), Writer()

        turn, events = await run(team(model("a", words), model("b", silent), model("c", PROGRAM, program=True), sandbox=sandbox), COMPUTED)

        assert (turn.answer, [answer.member for answer in turn.answers], turn.failures, turn.not_needed) == ("97", ["c"], (), ("a", "b"))
        assert words.stopped.is_set()
        assert silent.stopped.is_set()
        assert not_needed(events) == ["a", "b"]
        assert notices(events) == "c's program was run: a, b are not waited for"
        assert [event for event in events if isinstance(event, Failed)] == []
        assert turn.as_json()["not_needed"] == ["a", "b"]

    async def test_all_are_waited_for_where_the_ensemble_says_so(self, sandbox: Sandbox):
        """`wait: all`: an answer in words that says the same is preferred, and comes later here."""

        async def late(draft: PartialCompletion) -> Completion:
            await ran.wait()
            draft.add("12 times 8 is 96, and 1 more is 97.")
            return draft.completion("stop")

        def heard(event: Event) -> None:
            if isinstance(event, Answered):
                ran.set()

        ran = asyncio.Event()
        asked = team(model("a", late), model("c", PROGRAM, program=True), sandbox=sandbox, wait="all")
        turn, events = await run(asked, COMPUTED, heard)

        assert (turn.winner.member, turn.not_needed, not_needed(events)) == ("a", (), [])

    async def test_a_program_without_a_result_ends_nobody(self, sandbox: Sandbox):
        """The words decide."""
        turn, _ = await run(team(model("a", "It is 97."), model("c", "```python\nx = 1\n```", program=True), sandbox=sandbox), COMPUTED)

        assert (turn.answer, turn.not_needed) == ("It is 97.", ())

    async def test_a_second_program_that_can_outvote_the_first_is_waited_for(self, sandbox: Sandbox):
        """Nobody else is."""

        async def late(draft: PartialCompletion) -> Completion:
            await ran.wait()
            draft.add("```python\nprint(97)\n```")
            return draft.completion("stop")

        ran, words = asyncio.Event(), Writer("It is")
        asked = team(model("a", late, program=True), model("b", words), model("c", PROGRAM, program=True), sandbox=sandbox)
        turn, _ = await run(asked, COMPUTED, lambda event: ran.set() if isinstance(event, Answered) else None)

        assert (sorted(answer.member for answer in turn.answers), turn.not_needed) == (["a", "c"], ("b",))

    async def test_the_code_of_a_question_ends_everybody(self, sandbox: Sandbox):
        """Its result stands above all."""
        one, other = Writer("It prints"), Writer()

        turn, _ = await run(team(model("a", one), model("b", other), sandbox=sandbox), "What does print(0.1 + 0.2) print in Python?")

        assert (turn.winner.member, turn.not_needed) == (QUESTIONS_CODE, ("a", "b"))
        assert turn.answer == "0.30000000000000004"

    async def test_a_question_that_is_not_computed_waits_for_all(self, sandbox: Sandbox):
        """As long as nothing else is certified."""
        turn, events = await run(team(model("a", "Lyon"), model("b", "Paris"), model("c", "Paris!", program=True), sandbox=sandbox))

        assert (len(turn.answers), turn.not_needed, not_needed(events)) == (3, (), [])

    async def test_a_failure_that_leaves_nothing_open_ends_the_others(self, sandbox: Sandbox):
        """Two programs were asked for; the second cannot be had, so the first decides."""

        async def failing(draft: PartialCompletion) -> Completion:
            await ran.wait()
            raise ModelError("gone", member="a", where="x")

        ran, words = asyncio.Event(), Writer("It is")
        asked = team(model("a", failing, program=True), model("b", words), model("c", PROGRAM, program=True), sandbox=sandbox)
        turn, _ = await run(asked, COMPUTED, lambda event: ran.set() if isinstance(event, Answered) else None)

        assert ([answer.member for answer in turn.answers], [one.member for one in turn.failures], turn.not_needed) == (
            ["c"],
            ["a"],
            ("b",),
        )

    async def test_members_that_have_not_begun_are_not_asked(self, monkeypatch: pytest.MonkeyPatch):
        """What is decided before their task has had its first step needs them as little."""
        monkeypatch.setattr(final_script, "settled", lambda _question, answers, pending, **_: "decided" if answers else None)
        first, second = model("a", "Paris"), model("b", "Lyon")

        turn, _ = await run(team(first, second))

        assert (turn.answer, turn.not_needed, second.asked) == ("Paris", ("b",), [])


class TestAnswerNow:
    """The user wants the answer now."""

    async def test_what_is_finished_is_judged_and_the_others_are_cut(self):
        """Cut answers are kept and not judged beside a whole one; who wrote nothing is not needed. The judge's verdict is waited for."""
        writing, silent = Writer("Lyon, I would"), Writer()
        asked = team(model("a", "Nice"), model("b", "Paris"), model("c", writing), model("d", silent))
        turn_task = asyncio.create_task(run(asked))
        await asyncio.gather(writing.begun.wait(), silent.begun.wait())

        asked.answer_now.set()
        turn, events = await turn_task

        assert [(one.member, one.text, one.complete, one.stop) for one in turn.answers] == [
            ("a", "Nice", True, "stop"),
            ("b", "Paris", True, "stop"),
            ("c", "Lyon, I would", False, "stopped"),
        ]
        assert (turn.answer, turn.not_needed, turn.failures, turn.verdict.fallback) == ("Paris", ("d",), (), None)
        assert silent.stopped.is_set()
        assert "c had not finished: not judged" in notices(events)
        assert "you wanted the answer now: d is not waited for" in notices(events)

    async def test_one_finished_answer_is_taken_before_better_ones_that_are_cut(self):
        """A cut answer is chosen only where nothing is whole."""
        writing = Writer("Paris, of course, since")
        asked = team(model("a", "Lyon"), model("b", writing))
        turn_task = asyncio.create_task(run(asked))
        await writing.begun.wait()

        asked.answer_now.set()

        assert (await turn_task)[0].answer == "Lyon"

    async def test_where_nothing_is_finished_what_is_written_is_judged(self):
        """All of it is cut, and says so."""
        writers = [Writer("Lyon is"), Writer("Paris is")]
        asked = team(*(model(name, writer) for name, writer in zip("ab", writers, strict=True)))
        turn_task = asyncio.create_task(run(asked))
        await asyncio.gather(*(writer.begun.wait() for writer in writers))

        asked.answer_now.set()
        turn, events = await turn_task

        assert (turn.answer, turn.winner.stop, turn.not_needed) == ("Paris is", "stopped", ())
        assert "fewer than two answers are complete" in notices(events)

    async def test_where_nothing_is_written_the_first_answer_ends_the_waiting(self):
        """It says so; what the others have written by then is kept."""
        one, other = Writer(end="Lyon"), Writer()
        asked = team(model("a", one), model("b", other))
        said = asyncio.Event()
        turn_task = asyncio.create_task(run(asked, heard=lambda event: said.set() if isinstance(event, Notice) else None))
        await asyncio.gather(one.begun.wait(), other.begun.wait())

        asked.answer_now.set()
        await asyncio.wait_for(said.wait(), 5)
        assert not one.stopped.is_set()
        one.go_on.set()
        turn, events = await turn_task

        assert (turn.answer, turn.not_needed) == ("Lyon", ("b",))
        assert "nothing is written yet: the first answer will be taken" in notices(events)

    async def test_asked_for_again_it_takes_what_has_been_written_since(self):
        """A user who presses the key twice does not wait for a whole answer."""
        written = asyncio.Event()

        async def slow(draft: PartialCompletion) -> Completion:
            begun.set()
            await said.wait()
            draft.add("Paris")
            written.set()
            await asyncio.Event().wait()
            raise AssertionError

        begun, said = asyncio.Event(), asyncio.Event()
        asked = team(model("a", slow))
        turn_task = asyncio.create_task(run(asked, heard=lambda event: said.set() if isinstance(event, Notice) else None))
        await begun.wait()

        asked.answer_now.set()
        await asyncio.wait_for(written.wait(), 5)
        asked.answer_now.set()

        assert (await turn_task)[0].answer == "Paris"

    async def test_half_a_program_or_half_of_json_is_never_taken(self, sandbox: Sandbox):
        """It is of no use: who writes it is not needed once there is something else."""
        program, words = Writer("```python\nprint(12"), Writer("It is 97, since")
        asked = team(model("a", program, program=True), model("b", words), sandbox=sandbox)
        turn_task = asyncio.create_task(run(asked, COMPUTED))
        await asyncio.gather(program.begun.wait(), words.begun.wait())

        asked.answer_now.set()
        turn, _ = await turn_task

        assert ([answer.text for answer in turn.answers], turn.not_needed) == (["It is 97, since"], ("a",))

    async def test_a_rewrite_is_dropped_and_the_users_words_are_asked(self):
        """The wish stands: the first answer ends the waiting."""
        rewriter, slow = Writer("What is"), Writer()
        promptimizer = model("p", rewriter)
        asked = team(model("a", "Paris"), model("b", slow), promptimizer=promptimizer)
        turn_task = asyncio.create_task(run(asked, "capital of france pls"))
        await rewriter.begun.wait()

        asked.answer_now.set()
        turn, events = await turn_task

        assert (turn.question.rewrite, turn.question.rewrite_refused) == (None, "you wanted the answer now")
        assert turn.question.not_rewritten is NotRewritten.ANSWER_NOW
        assert rewriter.stopped.is_set()
        assert asked.candidates[0].asked[0][-1]["content"] == "capital of france pls"
        assert (turn.answer, turn.not_needed, not_needed(events)) == ("Paris", ("b",), ["p", "b"])

    async def test_the_judge_is_not_waited_for(self):
        """What decides without it decides, and it says so; the judge is stopped."""
        stopped = asyncio.Event()

        async def slow(_: PartialCompletion) -> Completion:
            asked.answer_now.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
            raise AssertionError

        asked = team(model("a", "Lyon"), model("b", "Paris"), judge=model("judge", slow))
        turn, events = await run(asked)

        assert turn.verdict.fallback is not None
        assert (turn.answer, turn.verdict.fallback.kind, not_needed(events)) == ("Lyon", "answer_now", ["judge"])
        assert stopped.is_set()
        assert [event for event in events if isinstance(event, Failed)] == []

    async def test_a_wish_that_comes_with_the_last_answer_holds_for_the_judge(self):
        """It is not lost."""
        asked = team(model("a", "Lyon"), model("b", "Paris"))

        def heard(event: Event) -> None:
            if isinstance(event, Answered) and event.answer.member == "b":
                asked.answer_now.set()

        turn, _ = await run(asked, heard=heard)

        assert turn.verdict.fallback is not None
        assert (turn.verdict.fallback.kind, asked.judge.asked) == ("answer_now", [])

    async def test_a_turn_without_any_answer_stays_one(self):
        """Wanting it now makes no answer of failures."""
        asked = team(model("a", ModelError("gone", member="a", where="x")))
        asked.answer_now.set()

        with pytest.raises(NoAnswer):
            await run(asked)

    async def test_the_flow_takes_the_wish_of_a_front_end(self):
        """Beside `on_event`."""
        from gork.config.settings import load_settings
        from tests.support.scripted_service import ScriptedEngine

        writer = Writer("Paris is")
        candidate = model("a", writer)
        ensemble = Ensemble(name="test", candidates=(candidate.member,))
        settings = changed(load_settings({}, {}), ensemble=ensemble, optimize=False)
        wish = asyncio.Event()
        async with ScriptedEngine([candidate]) as engine:
            turn_task = asyncio.create_task(final_script.assemble(settings, engine)(Question(text=OPEN), lambda _: None, answer_now=wish))
            await writer.begun.wait()
            wish.set()
            turn = await asyncio.wait_for(turn_task, 5)

        assert (turn.answer, turn.answers[0].stop) == ("Paris is", "stopped")


async def test_cancelling_a_turn_while_somebody_is_being_stopped_stops_all(sandbox: Sandbox):
    """Cancellation is never taken for the end of one member's waiting."""
    writer = Writer("x")
    task = asyncio.create_task(run(team(model("a", writer))))
    await writer.begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert writer.stopped.is_set()
