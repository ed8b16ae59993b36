"""The flow: improve, ask all, keep what answered, judge, report."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

import final_script
from final_script import Team
from gork.config.ensemble import Choosing, Ensemble
from gork.engines.call import Deadlines
from gork.errors import Died, NoAnswer, Refused, Unreachable
from gork.flow import Limits
from gork.turn import (
    Answered,
    Failed,
    Fallback,
    Finished,
    Judged,
    Notice,
    NotRewritten,
    Question,
    Restarted,
    Rewritten,
    StageStarted,
    Turn,
)
from tests.support.scripted_model import ScriptedModel


def team(
    *candidates: ScriptedModel, promptimizer: ScriptedModel | None = None, judge: ScriptedModel | None = None, **ensemble: object
) -> Team:
    """A team of scripted models, for which a judge that says Paris is the default."""
    judge = judge or ScriptedModel("judge", replies=["Paris"])
    records = Ensemble(name="test", candidates=tuple(c.member for c in candidates), **ensemble)
    return Team(engine="scripted", ensemble=records, promptimizer=promptimizer, candidates=candidates, judge=judge)


def three(*texts: str) -> list[ScriptedModel]:
    """Three candidates on weights of their own, one reply each."""
    return [ScriptedModel(name, replies=[text]) for name, text in zip("abc", texts, strict=True)]


async def run(asked: Team, text: str = "What is the capital of France?", **arguments: object) -> tuple[Turn, list[object]]:
    """One turn and its events."""
    events: list[object] = []
    question = arguments.pop("question", None) or Question(text=text)
    return await final_script.deliberate(question, asked, events.append, **{"seed": 5, **arguments}), events


def of_kind(events: list[object], kind: type) -> list:
    """The events of one kind, in order."""
    return [event for event in events if isinstance(event, kind)]


async def test_the_judges_choice_is_returned_byte_for_byte():
    """The answer is the chosen candidate's own text, odd bytes and blanks included."""
    text = "  Paris,\tit is\r\n\u202eof course \U0001f5fc\x00 \n"

    turn, events = await run(team(*three("Lyon it is", "Nice it is", text)))

    assert (text, "c", None) == (turn.answer, turn.winner.member, turn.verdict.fallback)
    assert ["a", "b", "c"] == [answer.member for answer in turn.answers]
    assert [turn] == [event.turn for event in of_kind(events, Finished)]


async def test_all_candidates_are_asked_before_any_has_answered():
    """The candidates work at the same time: each waits here until all have begun."""
    begun = asyncio.Barrier(3)

    async def reply(draft):
        await asyncio.wait_for(begun.wait(), 5)
        draft.add("Paris")
        return draft.completion("stop")

    turn, _ = await run(team(*[ScriptedModel(name, replies=[reply]) for name in "abc"]))

    assert 3 == len(turn.answers)


async def test_a_candidate_that_fails_is_named_and_touches_nobody():
    """Its failure is part of the turn; the others are judged."""
    failing = ScriptedModel("b", replies=[Unreachable("connection refused", member="b", where="http://b:11434")])

    turn, events = await run(team(three("Lyon", "-", "-")[0], failing, ScriptedModel("c", replies=["Paris"])))

    assert "Paris" == turn.answer
    assert [("b", "unreachable", "b at http://b:11434: connection refused")] == [(f.member, f.kind, f.message) for f in turn.failures]
    assert list(turn.failures) == [event.failure for event in of_kind(events, Failed)]


async def test_with_one_answer_nobody_is_judged_and_it_says_so():
    """One usable answer needs no judge."""
    failing = ScriptedModel("b", replies=[Refused("no", member="b", where="x")])
    asked = team(ScriptedModel("a", replies=["Paris"]), failing)

    turn, events = await run(asked)

    assert ("a", None) == (turn.verdict.winner, turn.verdict.fallback)
    assert [] == asked.judge.asked
    assert any("one usable answer" in event.text for event in of_kind(events, Notice))


async def test_without_any_answer_one_error_names_each_model_and_its_reason():
    """Nothing is made up when nobody answered."""
    failing = [ScriptedModel(name, replies=[Refused(f"no {name}", member=name, where="x")]) for name in "ab"]

    with pytest.raises(NoAnswer) as error:
        await run(team(*failing))

    assert ("a at x: no a", "b at x: no b") == error.value.reasons


async def test_an_empty_answer_is_a_failure():
    """Blank text never counts as an answer."""
    turn, _ = await run(team(ScriptedModel("a", replies=[" \n"]), ScriptedModel("b", replies=["Paris"])))

    assert ["b"] == [answer.member for answer in turn.answers]
    assert "it answered nothing" in turn.failures[0].message


async def test_a_bug_in_one_candidate_is_raised_and_the_others_are_stopped():
    """Only model errors are part of a turn; anything else flies, and no task is left behind."""
    stopped = asyncio.Event()

    async def broken(draft):
        raise ZeroDivisionError

    async def endless(draft):
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with pytest.raises(ZeroDivisionError):
        await run(team(ScriptedModel("a", replies=[broken]), ScriptedModel("b", replies=[endless])))

    assert stopped.is_set()


async def test_cancelling_a_turn_stops_every_model():
    """Cancellation reaches all candidates before `deliberate` ends."""
    begun, stopped = asyncio.Barrier(3), []

    async def endless(draft):
        try:
            await begun.wait()
            await asyncio.Event().wait()
        finally:
            stopped.append(1)

    asked = team(ScriptedModel("a", replies=[endless]), ScriptedModel("b", replies=[endless]))
    turn = asyncio.create_task(final_script.deliberate(Question(text="x"), asked, lambda _: None))
    await begun.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn

    assert [1, 1] == stopped


async def test_a_model_that_dies_is_asked_once_more_within_the_turn():
    """What came before the death does not count; a second death is a failure."""

    async def dying(draft):
        draft.add("Lyo")
        raise Died("its process ended", member="a", where="x")

    turn, events = await run(team(ScriptedModel("a", replies=[dying, "Paris"]), ScriptedModel("b", replies=[dying])))

    assert [("a", "Paris")] == [(answer.member, answer.text) for answer in turn.answers]
    assert [("b", "died")] == [(failure.member, failure.kind) for failure in turn.failures]
    assert {"a", "b"} == {event.member for event in of_kind(events, Restarted)}


async def test_the_candidates_get_the_rewrite_and_the_judge_the_users_own_words():
    """Memory and judging keep the original."""
    asked = team(*three("Lyon", "Paris", "Nice"), promptimizer=ScriptedModel("p", replies=["What is the capital of France?"]))

    turn, events = await run(asked, "capital of france pls")

    assert "What is the capital of France?" == turn.question.rewrite == of_kind(events, Rewritten)[0].question.rewrite
    assert all("What is the capital of France?" == model.asked[0][-1]["content"] for model in asked.candidates)
    assert ["capital of france pls"] == [messages[-1]["content"] for messages in asked.judge.asked]


async def test_a_refused_rewrite_leaves_the_users_words_and_is_reported():
    """A rewrite that lost a number never reaches a candidate."""
    asked = team(*three("Lyon", "Paris", "Nice"), promptimizer=ScriptedModel("p", replies=["Name some cities of France."]))

    turn, events = await run(asked, "Name 3 cities of France.")

    assert turn.question.rewrite is None
    assert "3" in of_kind(events, Rewritten)[0].question.rewrite_refused
    assert NotRewritten.REJECTED is turn.question.not_rewritten
    assert all("Name 3 cities of France." == model.asked[0][-1]["content"] for model in asked.candidates)


async def test_a_promptimizer_that_fails_does_not_fail_the_turn():
    """Its error is an event and the reason why there is no rewrite."""
    broken = ScriptedModel("p", replies=[Unreachable("connection refused", member="p", where="http://p")])

    turn, events = await run(team(*three("Lyon", "Paris", "Nice"), promptimizer=broken))

    assert "p at http://p: connection refused" == turn.question.rewrite_refused
    assert NotRewritten.FAILED is turn.question.not_rewritten
    assert "p" == of_kind(events, Failed)[0].failure.member


async def test_a_question_that_would_gain_nothing_is_not_given_to_the_promptimizer_and_that_is_no_rejection():
    """The fact says that nobody was asked, in the turn as `--json` prints it."""
    asked = team(*three("Lyon", "Paris", "Nice"), promptimizer=ScriptedModel("p"))

    turn, events = await run(asked, "x = [1]; print(x[0])")

    assert [] == asked.promptimizer.asked
    assert NotRewritten.NOT_ASKED is of_kind(events, Rewritten)[0].question.not_rewritten
    assert "not_asked" == turn.as_json()["question"]["not_rewritten"]


async def test_without_optimizing_the_promptimizer_is_not_asked():
    """`optimize=False` sends the user's words and asks nobody about them."""
    asked = team(*three("Lyon", "Paris", "Nice"), promptimizer=ScriptedModel("p"))

    turn, events = await run(asked, optimize=False)

    assert [] == asked.promptimizer.asked
    assert [] == of_kind(events, Rewritten)
    assert (None, None) == (turn.question.rewrite, turn.question.rewrite_refused)


@pytest.mark.parametrize(
    ("see", "content"),
    [
        ("rewrite", "What is the capital of France?"),
        ("original", "capital of france pls"),
        ("both", "capital of france pls\n\n(In other words: What is the capital of France?)"),
    ],
)
async def test_the_ensemble_file_decides_what_candidates_see(see, content):
    """The rewrite, the original, or both."""
    rewriter = ScriptedModel("p", replies=["What is the capital of France?"])
    asked = team(*three("Lyon", "Paris", "Nice"), promptimizer=rewriter, candidates_see=see)

    await run(asked, "capital of france pls")

    assert content == asked.candidates[0].asked[0][-1]["content"]


async def test_candidates_read_their_own_instructions_the_history_and_the_question():
    """System prompt, worked examples, kept history, question, in this order and nothing else."""
    history = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"})
    model = ScriptedModel("a", replies=["Paris"], system="Be terse.", examples=(("1+1?", "2"),))

    await run(team(model), question=Question(text="And France?", history=history))

    assert [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2"},
        *history,
        {"role": "user", "content": "And France?"},
    ] == model.asked[0]


async def test_candidates_have_a_token_cap_unless_their_file_says_otherwise():
    """512 by default; an own `num_predict` wins; each candidate gets a seed of its own."""
    models = [ScriptedModel("a", replies=["Paris"]), ScriptedModel("b", replies=["Lyon"], options={"num_predict": 7})]

    await run(team(*models), seed=40)

    assert {"num_predict": 512, "seed": 40} == models[0].options[0]
    assert {"num_predict": 7, "seed": 41} == models[1].options[0]


async def test_a_judge_that_fails_leaves_the_configured_order_and_it_is_marked():
    """The judge is no single point of failure, and its absence is never silent."""
    broken = Unreachable("connection refused", member="judge", where="http://judge")
    asked = team(*three("Lyon", "Paris", "Nice"), judge=ScriptedModel("judge", replies=[broken]), choosing=Choosing(prior=("c", "a", "b")))

    turn, events = await run(asked)

    assert ("c", Fallback("unreachable", "judge at http://judge: connection refused")) == (turn.verdict.winner, turn.verdict.fallback)
    assert any("the favourite decided" in event.text for event in of_kind(events, Notice))


async def test_an_ensemble_without_a_judge_is_decided_without_one():
    """No judge in the file: the first of the configured order, unless a check or two others speak against it."""
    turn, _ = await run(replace(team(*three("Lyon", "Paris", "Nice")), judge=None))

    assert ("a", None, "prior") == (turn.verdict.winner, turn.verdict.fallback, turn.verdict.policy)


@pytest.mark.parametrize("count", [1, 2, 8])
async def test_any_number_of_candidates_from_one_to_eight_can_answer(count):
    """Not just three."""
    texts = [f"City number {n}" for n in range(count - 1)] + ["Paris"]
    asked = team(
        *[ScriptedModel(f"m{n}", replies=[text]) for n, text in enumerate(texts)],
    )

    turn, _ = await run(asked)

    assert ("Paris", count) == (turn.answer, len(turn.answers))


async def test_the_seed_makes_a_turn_repeatable():
    """The candidates' seeds count up from the turn's, which the turn carries."""
    models = three("x", "y", "Paris")

    turn, _ = await run(team(*models), seed=7)

    assert 7 == turn.seed
    assert [7, 8, 9] == [model.options[0]["seed"] for model in models]


async def test_a_deadline_after_text_has_come_leaves_a_truncated_answer():
    """What a slow candidate wrote in time counts, marked as cut."""

    async def slow(draft):
        draft.add("Paris is")
        await asyncio.Event().wait()

    asked = team(ScriptedModel("a", replies=[slow]))
    asked.candidates[0].deadlines = Deadlines(idle=0.01)

    turn, _ = await run(asked)

    assert ("Paris is", False, "deadline") == (turn.answer, turn.winner.complete, turn.winner.stop)


async def test_a_deadline_before_any_text_is_a_failure_that_says_what_it_waited_for():
    """The phase and its seconds stand in the message."""

    async def silent(draft):
        await asyncio.Event().wait()

    late = ScriptedModel("a", replies=[silent])
    late.deadlines = Deadlines(first_token=0.01, prefill_rate=1e9)

    turn, _ = await run(team(late, ScriptedModel("b", replies=["Paris"])))

    assert ("timeout", True) == (turn.failures[0].kind, "its first token (0.01 s)" in turn.failures[0].message)


async def test_loading_a_model_is_outside_every_other_deadline():
    """A candidate whose model loads longer than its own and the turn's limit answers all the same."""
    gate = asyncio.Event()

    class Loading(ScriptedModel):
        async def _load(self):
            asyncio.get_running_loop().call_later(0.15, gate.set)
            await gate.wait()
            await super()._load()

    slow = Loading("a", replies=["Paris"])
    slow.is_loaded = False

    turn, _ = await run(replace(team(slow), limits=Limits(candidate=0.05, turn=0.1)))

    assert "Paris" == turn.answer


async def test_giving_up_on_a_turn_does_not_abort_a_load():
    """The load belongs to the engine: the next turn finds the model loaded."""
    begun, gate = asyncio.Event(), asyncio.Event()

    class Loading(ScriptedModel):
        async def _load(self):
            begun.set()
            await gate.wait()
            await super()._load()

    slow = Loading("a", replies=["Paris"])
    slow.is_loaded = False
    first = asyncio.create_task(run(team(slow)))
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.set()

    turn, _ = await run(team(slow))

    assert ("Paris", 1) == (turn.answer, slow.loads)


async def test_waiting_for_a_slot_does_not_count_against_the_models_deadlines():
    """Two turns share one slot: the second waits longer than first-token and idle deadlines allow, and is answered."""
    deadlines = Deadlines(first_token=0.05, prefill_rate=1e9, idle=0.05)

    async def long(draft):
        for _ in range(8):
            draft.add("Paris ")
            await asyncio.sleep(0.02)
        return draft.completion("stop")

    model = ScriptedModel("a", replies=[long])
    model.deadlines = deadlines
    asked = team(model)

    turns = await asyncio.gather(run(asked), run(asked), run(asked))

    assert [True, True, True] == [turn.winner.complete for turn, _ in turns]


@pytest.mark.parametrize("turn_s", [1, 10, 60, 300, 3600])
def test_the_stages_limits_fit_the_turn_with_a_reserve_for_the_judge(turn_s):
    """Whatever --timeout says, rewriting, answering and judging together are within it."""
    limits = Limits(turn=turn_s).within_turn()

    assert limits.rewrite + limits.candidate + limits.judge == pytest.approx(turn_s)
    assert limits.judge >= min(60, turn_s / 4)
    assert min(limits.rewrite, limits.candidate) > 0


async def test_stages_are_announced_in_order():
    """Rewrite, answer, judge; each answer and the verdict are events."""
    asked = team(*three("Lyon", "Paris", "Nice"), promptimizer=ScriptedModel("p", replies=["What is the capital of France?"]))

    _, events = await run(asked, "capital of france pls")

    assert ["rewrite", "answer", "judge"] == [event.stage for event in of_kind(events, StageStarted)]
    assert 3 == len(of_kind(events, Answered))
    assert 1 == len(of_kind(events, Judged))


@pytest.mark.parametrize(
    ("text", "history", "rewrite", "asked"),
    [
        ("What is the capital of France?", (), "when-unclear", False),
        ("What is the capital of France?", (), "always", True),
        ("capital of france pls", (), "when-unclear", True),
        (
            "And of Italy?",
            ({"role": "user", "content": "What is the capital of France?"}, {"role": "assistant", "content": "Paris."}),
            "when-unclear",
            True,
        ),
    ],
)
async def test_an_ensemble_may_leave_alone_what_is_clear(text, history, rewrite, asked):
    """The candidates read it as it is, and the turn says why; what leans on an earlier prompt is rewritten all the same."""
    rewriter = ScriptedModel("p", replies=["What is the capital of Italy?"])
    turn, _ = await run(
        team(*three("Lyon", "Paris", "Nice"), promptimizer=rewriter, rewrite=rewrite), question=Question(text=text, history=history)
    )

    assert bool(rewriter.asked) is asked
    if not asked:
        assert (turn.question.rewrite, turn.question.not_rewritten) == (None, NotRewritten.NOT_ASKED)
        assert turn.question.rewrite_refused == "it is clear as it stands"
