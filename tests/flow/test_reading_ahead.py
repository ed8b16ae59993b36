"""What models read before they are asked: while the promptimizer writes, and between two turns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import final_script
from final_script import Team
from gork.config.ensemble import Ensemble
from gork.errors import Unreachable
from gork.reading_ahead import beginnings, reader_ahead
from gork.turn import Event, Question, Turn
from tests.support.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gork.engines.call import Completion, PartialCompletion
    from gork.turn import Message

HISTORY: tuple[Message, ...] = ({"role": "user", "content": "capital of italy"}, {"role": "assistant", "content": "Rome."})
ASKED = Question(text="capital of france pls", history=HISTORY, system="Be brief.")


class Reader(ScriptedModel):
    """A scripted model on a machine of this name, which notes what it reads ahead."""

    def __init__(self, name: str, machine: str, reply: object = "Paris", **member: object) -> None:
        super().__init__(name, replies=[reply], weights=name, **member)  # type: ignore[list-item] # a test's own reply
        self._machine = machine
        self.ahead: list[list[Message]] = []
        self.began, self.left = asyncio.Event(), asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.willing = True
        self.fails = False

    @property
    def machine(self) -> str:
        return self._machine

    async def reads_ahead(self) -> bool:
        return self.willing

    async def _prefill(self, messages: Sequence[Message]) -> None:
        if self.fails:
            raise Unreachable("gone", member=self.name, where="x")
        self.ahead.append(list(messages))
        self.began.set()
        try:
            await self.gate.wait()
        finally:
            self.left.set()


def team(*candidates: Reader, writer: ScriptedModel) -> Team:
    """They, a promptimizer, and a judge on the promptimizer's machine."""
    judge = Reader("judge", "", examples=(("capital of spain", "Madrid"),))
    ensemble = Ensemble(name="test", promptimizer=writer.member, candidates=tuple(model.member for model in candidates), judge=judge.member)
    return Team.of("scripted", ensemble, {model.name: model for model in (*candidates, writer, judge)})


async def run(asked: Team) -> Turn:
    """One turn."""
    events: list[Event] = []
    async with asyncio.timeout(60):
        return await final_script.deliberate(ASKED, asked, events.append, seed=5)


def writes_after(*events: Callable[[], bool] | asyncio.Event) -> Reader:
    """A promptimizer that writes when all of these have come."""

    async def reply(draft: PartialCompletion) -> Completion:
        for event in events:
            if isinstance(event, asyncio.Event):
                await event.wait()
            else:
                while not event():
                    await asyncio.sleep(0)
        draft.add("What is the capital of France?")
        return draft.completion("stop")

    return Reader("p", "", reply)


async def test_candidates_with_processors_of_their_own_read_while_the_promptimizer_writes():
    """What stands before the question: the prompt that follows begins with it."""
    one, other = Reader("a", "a.test", system="You are a."), Reader("b", "b.test", examples=(("x", "y"),))

    turn = await run(team(one, other, writer=writes_after(one.began, other.began)))

    assert turn.question.rewrite is not None
    for model in (one, other):
        assert [model.asked[0][:-1]] == model.ahead
        assert list(HISTORY) == model.ahead[0][-2:]


async def test_on_the_promptimizers_machine_they_are_only_loaded():
    """All at once, while it writes; reading would slow it down."""
    models = [Reader("a", "", system="You are a."), Reader("b", "", system="You are b.")]
    for model in models:
        model.is_loaded = False

    await run(team(*models, writer=writes_after(lambda: all(model.loads for model in models))))

    assert [(1, []), (1, [])] == [(model.loads, model.ahead) for model in models]


async def test_the_rewrite_is_not_waited_for_by_what_is_read_meanwhile():
    """It is cut off when the candidate is asked, so its slot is free."""
    slow = Reader("a", "a.test", system="You are a.")
    slow.gate.clear()

    turn = await run(team(slow, writer=writes_after(slow.began)))

    assert ("Paris", True) == (turn.answer, slow.left.is_set())


async def test_nothing_is_read_by_those_that_are_busy_or_unwilling_and_what_fails_is_not_told():
    """A model that is at work for somebody else, one whose reading would cost, one that is not there."""
    busy, unwilling, failing = (Reader(name, f"{name}.test", system="You are.") for name in "abc")
    unwilling.willing, failing.fails = False, True
    asked = team(busy, unwilling, failing, writer=Reader("p", ""))
    read = reader_ahead({model.name: model for model in (*asked.candidates, asked.promptimizer, asked.judge) if model is not None})

    async with busy._slots:
        await read(ASKED, asked.ensemble)

    assert [[], [], []] == [busy.ahead, unwilling.ahead, failing.ahead]


async def test_between_turns_every_member_reads_what_its_next_prompt_begins_with():
    """Promptimizer, candidates and judge: each prompt of the turn that follows starts with what was read."""
    asked = team(
        Reader("a", "", system="You are a."), Reader("b", "", "Lyon", examples=(("x", "y"),)), writer=Reader("p", "", "What is it?")
    )
    everybody = {model.name: model for model in (*asked.candidates, asked.promptimizer, asked.judge) if isinstance(model, Reader)}

    await reader_ahead(everybody)(ASKED, asked.ensemble)
    await run(asked)

    assert {"a", "b", "p", "judge"} == set(beginnings(ASKED, asked.ensemble))
    for model in everybody.values():
        assert model.ahead[0] == model.asked[0][: len(model.ahead[0])]
        assert len(model.ahead[0]) == len(model.asked[0]) - 1


async def test_a_member_without_anything_to_read_is_loaded():
    """So that the first question does not wait for that."""
    model = Reader("a", "")
    model.is_loaded = False

    await reader_ahead({"a": model})(Question(text=""), Ensemble(name="test", candidates=(model.member,)))

    assert (1, []) == (model.loads, model.ahead)
