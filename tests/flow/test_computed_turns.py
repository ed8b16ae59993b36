"""Turns in which something is computed: scripted models, the real sandbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from msgspec.structs import replace

import final_script
from final_script import Team
from gork.computing import sandbox as sandbox_module
from gork.computing.sandbox import Limits, Sandbox
from gork.config.ensemble import Ensemble
from gork.config.settings import load_settings
from gork.errors import ModelError
from gork.turn import QUESTIONS_CODE, Answered, Notice, Question, Restarted, Turn
from tests.support.scripted_model import Reply, ScriptedModel
from tests.support.scripted_service import ScriptedEngine

ASKED = "What is 12 * 8 + 1?"
PROGRAM = "```python\nprint(12 * 8 + 1)\n```"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox with a short limit."""
    async with Sandbox(Limits(seconds=0.3)) as made:
        yield made


def coder(*replies: Reply) -> ScriptedModel:
    """A member that answers what can be computed by a program."""
    ways = dict.fromkeys(("arithmetic", "counting", "code-output"), "program")
    return ScriptedModel("coder", replies=replies, answers=ways)


def plain(text: str, name: str = "plain") -> ScriptedModel:
    """A member that answers in words."""
    return ScriptedModel(name, replies=[text])


def ensemble_of(candidates: Sequence[ScriptedModel]) -> Ensemble:
    """Their records; the configured order is the order in which they are given."""
    return Ensemble(name="test", candidates=tuple(model.member for model in candidates))


async def run(sandbox: Sandbox | None, *candidates: ScriptedModel, asked: str = ASKED, like: str = "never") -> tuple[Turn, list[object]]:
    """One turn and its events; the judge says `like`."""
    judge = ScriptedModel("judge", replies=[like])
    team = Team(engine="scripted", ensemble=ensemble_of(candidates), promptimizer=None, candidates=candidates, judge=judge, sandbox=sandbox)
    events: list[object] = []
    return await final_script.deliberate(Question(text=asked), team, events.append, seed=5), events


def notices(events: Sequence[object]) -> list[str]:
    """What the user was told."""
    return [event.text for event in events if isinstance(event, Notice)]


async def test_what_a_program_printed_is_the_answer_and_decides(sandbox: Sandbox):
    """Against two answers in words that agree and that the judge likes; program and output are part of the turn."""
    turn, events = await run(sandbox, plain("It is 98."), plain("98 it is", "other"), coder(PROGRAM), like="98")

    assert (turn.answer, turn.winner.member, turn.verdict.policy, turn.verdict.computed_by) == ("97", "coder", "computed", "coder")
    assert turn.computed is not None
    assert (turn.computed.program, turn.computed.output) == ("print(12 * 8 + 1)", "97\n")
    assert "97" in [event.answer.text for event in events if isinstance(event, Answered)]


async def test_words_that_say_what_was_computed_are_chosen_and_the_program_stays_with_the_turn(sandbox: Sandbox):
    """They explain it."""
    turn, _ = await run(sandbox, plain("It is 98."), plain("12 times 8 is 96, and 1 more is 97.", "other"), coder(PROGRAM))

    assert (turn.winner.member, turn.verdict.computed_by) == ("other", "coder")
    assert turn.computed is not None
    assert turn.computed.output == "97\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```python\nx = 12 * 8 + 1\n```", "empty"),
        ("```python\nwhile True: pass\n```", "time"),
        ("```python\nprint(12 * 8 +\n```", "syntax"),
        ("```python\nimport numpy\nprint(97)\n```", "not_known"),
        (f"{PROGRAM}\n{PROGRAM}", "2 code blocks"),
    ],
)
async def test_a_program_without_a_result_is_not_chosen_beside_words(sandbox: Sandbox, text: str, why: str):
    """And the turn says why."""
    turn, events = await run(sandbox, coder(text), plain("It is 98."), like="python")

    assert turn.answer == "It is 98."
    assert turn.computed is None
    assert any(why in said for said in notices(events)), notices(events)


GUESS, ENDLESS = "```python\nresult = 98\nprint(result)\n```", "```python\nwhile True: pass\n```"


@pytest.mark.parametrize("first", [GUESS, ENDLESS, "```python\nprint(total)\n```"])
async def test_a_program_without_a_result_is_asked_for_once_more_in_other_words(sandbox: Sandbox, first: str):
    """What the second one gives decides, and the drafts begin anew; a guess that is written down as a program is no result."""
    member = coder(first, PROGRAM)

    turn, events = await run(sandbox, member, plain("It is 98."), plain("98 it is", "other"), like="98")

    assert (turn.answer, turn.verdict.computed_by) == ("97", "coder")
    assert [asked[-1]["content"].removeprefix(ASKED).strip() for asked in member.asked] == [
        member.member.program.request,
        member.member.program.again,
    ]
    ((member_again, why),) = [(event.member, event.why) for event in events if isinstance(event, Restarted)]
    assert (member_again, why.partition(":")[0]) == ("coder", "its program gave no result")
    alone, _ = await run(sandbox, coder(PROGRAM))
    assert turn.winner.tokens > alone.winner.tokens


@pytest.mark.parametrize("second", [GUESS, ENDLESS, "It is 97.", ModelError("gone", member="coder", where="x")])
async def test_a_second_program_without_a_result_is_the_last(sandbox: Sandbox, second: Reply):
    """The first stays as it was, and words are chosen."""
    member = coder(GUESS, second, PROGRAM)

    turn, events = await run(sandbox, member, plain("It is 96."), like="98")

    assert (turn.answer, turn.computed, turn.failures) == ("It is 96.", None, ())
    assert turn.answers[0].text == GUESS
    assert len(member.asked) == 2
    assert any("works nothing out" in said for said in notices(events))


@pytest.mark.parametrize("text", ["It is 97.", PROGRAM])
async def test_who_wrote_words_or_a_program_with_a_result_is_asked_once(sandbox: Sandbox, text: str):
    """There is nothing to ask for."""
    member = coder(text)

    await run(sandbox, member, plain("It is 98."))

    assert len(member.asked) == 1


async def test_the_user_need_not_wait_for_a_second_program(sandbox: Sandbox):
    """Who wants the answer now gets what is there."""
    now = asyncio.Event()

    async def never(draft):
        now.set()
        await asyncio.Event().wait()

    candidates = (coder(GUESS, never), plain("It is 96."))
    team = Team(
        engine="scripted",
        ensemble=ensemble_of(candidates),
        promptimizer=None,
        candidates=candidates,
        judge=None,
        sandbox=sandbox,
        answer_now=now,
    )
    async with asyncio.timeout(20):
        turn = await final_script.deliberate(Question(text=ASKED), team, lambda _: None, seed=5)

    assert (turn.answer, turn.not_needed) == ("It is 96.", ("coder",))


async def test_a_program_that_was_cut_is_not_run(sandbox: Sandbox):
    """Its beginning may print, but it is not what was meant."""

    async def cut(draft):
        draft.add("```python\nprint(1)\nprint(12 * 8")
        return draft.completion("length")

    member = coder(cut)
    turn, events = await run(sandbox, member, plain("It is 98."))

    assert turn.answer == "It is 98."
    assert len(member.asked) == 1
    assert any("never closed" in said for said in notices(events))


async def test_a_program_without_a_result_is_the_answer_when_it_stands_alone(sandbox: Sandbox):
    """As the model wrote it; nothing is shown as computed."""
    turn, _ = await run(sandbox, coder("```python\nx = 97\n```"))

    assert (turn.answer, turn.computed) == ("```python\nx = 97\n```", None)


async def test_a_member_that_was_asked_for_a_program_and_answers_in_words_is_judged_as_words(sandbox: Sandbox):
    """An output that it made up itself is words."""
    turn, _ = await run(sandbox, coder("It prints 97."), plain("It is 98."), like="97")

    assert (turn.answer, turn.computed, turn.verdict.computed_by) == ("It prints 97.", None, None)


async def test_the_code_of_a_question_is_run_and_is_no_members_win(sandbox: Sandbox):
    """Its exact output is the answer."""
    turn, _ = await run(sandbox, plain("It prints 0.3."), asked="What does print(0.1 + 0.2) print in Python?")

    assert (turn.answer, turn.winner.member) == ("0.30000000000000004", QUESTIONS_CODE)


async def test_code_that_passes_the_questions_examples_is_chosen(sandbox: Sandbox):
    """Whatever the judge likes."""
    wrong, right = "```python\ndef double(x):\n    return x ** 2\n```", "```python\ndef double(x):\n    return x + x\n```"
    asked = "Write a Python function double(x) that doubles a number, for example double(3) -> 6."

    turn, events = await run(sandbox, plain(wrong), plain(right, "other"), asked=asked, like="**")

    assert turn.winner.member == "other"
    assert any("plain's code fails 1 of 1" in said for said in notices(events))


async def test_a_question_that_is_not_computed_starts_no_sandbox(sandbox: Sandbox):
    """It is as before, and costs nothing."""
    turn, _ = await run(sandbox, coder("Paris"), plain("Lyon"), asked="What is the capital of France?", like="Paris")

    assert (turn.answer, turn.verdict.computed_by) == ("Paris", None)
    assert sandbox._idle == []


async def test_without_a_sandbox_all_are_asked_in_words_and_that_is_said_once(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    """Nobody writes a program that cannot be run."""
    monkeypatch.setattr(sandbox_module, "_PACKAGE", "no_such_package")
    member = coder("97")

    first, said = await run(sandbox, member, plain("98"), like="97")
    second, said_again = await run(sandbox, member, plain("98"), like="97")

    assert (first.answer, second.answer) == ("97", "97")
    assert all("program" not in message["content"] for asked in member.asked for message in asked)
    assert [len([text for text in notices(events) if "pydantic-monty" in text]) for events in (said, said_again)] == [1, 0]


async def test_a_sandbox_that_turns_out_not_to_work_is_found_before_anybody_is_asked(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    """The package is there, but its processes do not start."""
    script = tmp_path / "worker.py"
    script.write_text("")
    monkeypatch.setattr(sandbox_module, "WORKER", script)

    turn, events = await run(sandbox, coder("97"), plain("98"), like="97")

    assert turn.answer == "97"
    assert all(answer.computed is None for answer in turn.answers)
    assert any("ended at once" in said for said in notices(events))


@pytest.mark.parametrize("compute", [True, False])
async def test_a_setting_decides_whether_anything_is_computed(compute: bool):
    """`--no-compute`: no program is asked for or run."""
    member, other, judge = coder(PROGRAM if compute else "97"), plain("98"), ScriptedModel("judge", replies=["98"])
    ensemble = replace(ensemble_of([member, other]), judge=judge.member)
    settings = replace(load_settings({}, {}), ensemble=ensemble, optimize=False, compute=compute)
    async with ScriptedEngine([member, other, judge]) as engine:
        turn = await final_script.assemble(settings, engine)(Question(text=ASKED), lambda _: None)

    assert (turn.verdict.policy == "computed") is compute
    assert any(answer.computed is not None for answer in turn.answers) is compute
    assert ("program" in member.asked[0][-1]["content"]) is compute


async def test_the_turns_seed_is_that_of_the_programs(sandbox: Sandbox):
    """The same turn draws the same."""
    draws = [
        (await run(sandbox, coder("```python\nimport random\nprint(random.randint(1, 10**9))\n```"), plain("98")))[0].answer
        for _ in range(2)
    ]

    assert draws[0] == draws[1]
    assert draws[0].isdigit()


async def test_what_is_computed_is_asked_in_the_users_words(sandbox: Sandbox):
    """A rewrite may lose a number; the promptimizer is not asked."""
    member, rewriter = coder(PROGRAM), ScriptedModel("rewriter", replies=["What is twelve times eight?"])
    team = Team(engine="scripted", ensemble=ensemble_of([member]), promptimizer=rewriter, candidates=(member,), judge=None, sandbox=sandbox)

    turn = await final_script.deliberate(Question(text=ASKED), team, lambda _: None, seed=5)

    assert (rewriter.asked, turn.question.rewrite) == ([], None)
    assert member.asked[0][-1]["content"].startswith(ASKED)


async def test_a_turn_that_is_cancelled_ends_its_program(sandbox: Sandbox):
    """Ctrl-C in the middle of an endless one; the next turn computes."""
    sandbox.limits = Limits(seconds=60)
    await sandbox.lack()
    written = asyncio.Event()

    async def endless(draft):
        draft.add("```python\nwhile True: pass\n```")
        written.set()
        return draft.completion("stop")

    task = asyncio.create_task(run(sandbox, coder(endless)))
    await written.wait()
    done, _ = await asyncio.wait({task}, timeout=0.2)
    assert not done
    began = time.monotonic()
    task.cancel()
    await asyncio.wait({task})

    assert time.monotonic() - began < 1
    assert (await run(sandbox, coder(PROGRAM)))[0].answer == "97"
