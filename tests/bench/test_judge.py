"""The bench of judging: replies kept, policies compared on the same answers, figures that can be believed."""

from __future__ import annotations

import asyncio
import json
import lzma
import re
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_struct

from bench.judge import cases, compare, contests, fit, kept, readings
from bench.judge.concurrency import each
from bench.judge.contests import Ready
from bench.judge.questions import Item
from bench.judge.reply_cache import AbsentModel, CachedModel, ReplyStore
from bench.judge.statistics import at_least, paired_bootstrap
from final_script import Team
from gork.config.ensemble import Choosing, Ensemble, Member
from gork.config.measured import Wins, fingerprint, read_measured
from gork.engines.call import Completion, PartialCompletion
from gork.errors import ConfigError
from gork.judging.objections import Reading
from gork.turn import Answer, Kind, Question, Reason
from tests.support.judges import letters_liking
from tests.support.paths import ROOT
from tests.support.scripted_model import ScriptedModel
from tests.support.tiny_models import write_tiny

QUESTIONS = """name: mine
questions:
  - id: capital
    kind: fact
    ask: What is the capital of France?
    check: {says: Paris}
    right: [Paris.]
    wrong: [Lyon.]
  - id: sum
    kind: arithmetic
    ask: What is 1 + 1?
    check: {number: 2}
    right: ["2"]
    wrong: ["3"]
"""


class Holds:
    """A check that looks for one word."""

    def holds(self, answer: str, question: str) -> bool:
        return "Paris" in answer


def item(name: str = "capital", kind: str = "fact") -> Item:
    """A question whose right answers have Paris in them."""
    return Item(id=name, kind=kind, ask="What is the capital of France?", check=Holds(), right=("Paris",), wrong=("Lyon",))


def case(*texts: str, name: str = "capital", seed: int = 1) -> cases.Case:
    """Answers of a, b, c; those with Paris in them are right."""
    answers = tuple(Answer(member=member, model="m", text=text) for member, text in zip("abc", texts, strict=False))
    right = {answer.member: "Paris" in answer.text for answer in answers}
    return cases.Case(item=item(name), seed=seed, question=Question(text="What is the capital of France?"), answers=answers, right=right)


def team(judge: ScriptedModel | None, choosing: Choosing, store: ReplyStore) -> Team:
    """Three candidates and a judge, whose replies are kept."""
    candidates = tuple(ScriptedModel(name) for name in "abc")
    ensemble = Ensemble(
        name="three", candidates=tuple(m.member for m in candidates), judge=judge.member if judge else None, choosing=choosing
    )
    models = {model.name: CachedModel(model, store) for model in (*candidates, *([judge] if judge else []))}
    return Team.of("embedded", ensemble, models)


@pytest.fixture
def store(tmp_path):
    """A place for replies."""
    with ReplyStore(tmp_path / "replies.sqlite") as kept:
        yield kept


async def chat(model: CachedModel, text: str = "hi", **options: float) -> str:
    """One reply."""
    completion = await model.chat([{"role": "user", "content": text}], options=options, on_event=lambda _: None)
    return completion.text


class TestKeeping:
    async def test_what_was_asked_once_is_not_asked_again(self, store, tmp_path):
        """The same prompt and options give the kept reply, also in the next run; other options or another prompt ask the model."""
        inner = ScriptedModel(replies=["one", "two", "three", "four"])

        assert ["one", "one"] == [await chat(CachedModel(inner, store), seed=1) for _ in range(2)]
        assert ["two", "three"] == [await chat(CachedModel(inner, store), seed=2), await chat(CachedModel(inner, store), "ho", seed=1)]
        with ReplyStore(store.path) as again:
            assert "one" == await chat(CachedModel(inner, again), seed=1)
        assert (3, 1) == (store.asked, store.kept)

    async def test_a_reply_is_known_by_what_decides_it_alone(self, store, tmp_path):
        """Not by its member's name, its ensemble's context, where the weights lie or, where nothing is drawn, the seed."""
        (tmp_path / "here.gguf").write_bytes(b"weights")
        (tmp_path / "there.gguf").write_bytes(b"weights")
        first = ScriptedModel("a", replies=["one", "two"], weights=tmp_path / "here.gguf")
        second = ScriptedModel("b", replies=["three"], weights=tmp_path / "there.gguf")
        second.context_size = 512

        assert ["one", "one"] == [await chat(CachedModel(model, store), seed=1) for model in (first, second)]
        assert ["two", "two"] == [await chat(CachedModel(first, store), seed=seed, temperature=0) for seed in (1, 2)]

    async def test_a_reply_without_log_probabilities_is_asked_again_where_they_are_wanted_and_serves_where_they_are_not(self, store):
        """So that ensembles that read confidences and ensembles that do not share their replies."""
        inner = ScriptedModel(replies=["one", "two"])

        async def confidence(*, logprobs: bool) -> float | None:
            messages = [{"role": "user", "content": "hi"}]
            found = await CachedModel(inner, store).chat(messages, options={}, on_event=lambda _: None, logprobs=logprobs)
            return found.confidence

        assert await confidence(logprobs=False) is None
        inner.confidence = -0.5
        assert [-0.5, -0.5] == [await confidence(logprobs=True) for _ in range(2)]
        assert await confidence(logprobs=False) is None
        assert 2 == len(inner.asked)

    async def test_choices_are_kept_with_what_they_cost(self, store):
        """A kept choice has the same probabilities, mass, tokens and seconds."""
        judge = ScriptedModel(letters=letters_liking("Paris"))
        messages = [{"role": "user", "content": "Answer A:\n<<<\nParis\n>>>\nAnswer B:\n<<<\nLyon\n>>>"}]

        first, second = [
            await CachedModel(judge, store).choose(messages, "AB", lead_in="Best answer:", on_event=lambda _: None) for _ in range(2)
        ]

        assert first == second
        assert 1 == len(judge.chosen_from)

    async def test_new_weights_under_the_same_name_are_asked_anew(self, store, tmp_path):
        """The file's size and time are part of a reply's key."""
        file = tmp_path / "m.gguf"
        file.write_bytes(b"one")
        assert "old" == await chat(CachedModel(ScriptedModel(replies=["old"], weights=file), store))
        file.write_bytes(b"three")

        assert "new" == await chat(CachedModel(ScriptedModel(replies=["new"], weights=file), store))

    def test_a_place_that_cannot_be_written_is_refused_with_a_way_out(self, tmp_path):
        """It names the file and the option."""
        (tmp_path / "file").write_text("")

        with pytest.raises(ConfigError, match="--cache names another file"):
            ReplyStore(tmp_path / "file" / "replies.sqlite")


class TestAsking:
    def items(self, count: int) -> list[Item]:
        return [replace(item(f"q{number}"), ask=f"Question {number}, which is it?") for number in range(count)]

    async def test_several_questions_are_asked_at_once_and_no_more(self, store):
        """The cases come in the questions' order all the same."""
        at_work, most = 0, 0

        async def slow(partial: PartialCompletion) -> Completion:
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            for _ in range(5):
                await asyncio.sleep(0)
            at_work -= 1
            partial.add("Paris")
            return partial.completion("stop", tokens=1, prompt_tokens=1)

        asked = team(None, Choosing(), store)
        asked = replace(asked, candidates=(CachedModel(ScriptedModel("a", replies=[slow], parallel=64), store),))
        given = self.items(12)

        found = await cases.ask(given, asked, [1, 2], rewriting=True, at_once=3, told=lambda *_: None)

        assert 3 == most
        assert [*given, *given] == [one.item for one in found.cases]

    async def test_a_run_that_was_stopped_asks_only_what_is_missing(self, store):
        """What was answered before the end is kept, also with several questions at once."""
        stuck = asyncio.Event()

        async def answers_four(partial: PartialCompletion) -> Completion:
            if len(inner.asked) > 4:
                stuck.set()
                await asyncio.Event().wait()
            partial.add("Paris")
            return partial.completion("stop", tokens=1, prompt_tokens=1)

        inner = ScriptedModel("a", replies=[answers_four], parallel=3)
        asked = replace(team(None, Choosing(), store), candidates=(CachedModel(inner, store),))
        running = asyncio.create_task(cases.ask(self.items(10), asked, [1], rewriting=False, at_once=3, told=lambda *_: None))
        await stuck.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        inner.replies, before = ["Paris"], len(inner.asked)

        found = await cases.ask(self.items(10), asked, [1], rewriting=False, at_once=3, told=lambda *_: None)

        assert (10, 10 - 4) == (len(found.cases), len(inner.asked) - before)

    async def test_an_error_is_raised_as_it_is_and_ends_the_others(self):
        """So that the command says it in one line, and no request is left behind."""
        ended = []

        async def work(number: int) -> None:
            if number == 2:
                raise ConfigError(["a mistake"])
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(number)

        with pytest.raises(ConfigError, match="a mistake"):
            await each(range(5), work, at_once=3)

        assert [0, 1] == sorted(ended)

    def test_each_member_gets_slots_for_the_questions_at_once(self):
        """All members, with what their file says times the number."""
        plain = Ensemble(name="e", candidates=(Member(name="a", parallel=2), Member(name="b")), judge=Member(name="j"))

        wide = cases.widened(plain, 4)

        assert {"a": 8, "b": 4, "j": 4} == {member.name: member.parallel for member in wide.members}


def ready(*texts: str, name: str = "capital", kind: Kind = Kind.FACT, reading: dict[str, float] | None = None) -> Ready:
    """Answers of a, b, c, ready for choosing; those with Paris in them are right."""
    given = case(*texts, name=name)
    given = replace(given, question=replace(given.question, kind=kind))
    said = None if reading is None else Reading(scores=reading)
    return Ready(case=given, usable=given.answers, reading=said)


THREE = Ensemble(name="three", candidates=tuple(Member(name=name) for name in "abc"), judge=Member(name="judge"))


def many(count: int, *texts: str, prefix: str = "q", **more: object) -> list[Ready]:
    """The same answers to many questions."""
    return [ready(*texts, name=f"{prefix}{number}", **more) for number in range(count)]


class TestReadiness:
    async def test_the_judge_is_asked_where_its_word_can_matter_alone(self, store):
        """Not where all are right or all are wrong; what it gave is kept with the case."""
        judge = ScriptedModel("judge", replies=["Paris"])
        members = team(judge, Choosing(), store)

        found = await contests.ready([case("Lyon", "It is Paris", "Nice"), case("Lyon", "Nice", "Lille", name="x")], members, at_once=1)

        assert [True, False] == [one.reading is not None for one in found]
        assert 1 == len(judge.asked) == len(found[0].replies)
        assert ("b", 1.0) == max(found[0].reading.scores.items(), key=lambda item: item[1])

    async def test_what_is_left_out_before_judging_is_left_out_here(self, store):
        """As in a turn."""
        [found] = await contests.ready(
            [case("I'm sorry, but I can't help with that.", "It is Paris")], team(None, Choosing(), store), at_once=1
        )

        assert ["b"] == [answer.member for answer in found.usable]


class TestReadings:
    async def test_every_way_is_tried_where_it_matters_and_says_what_it_cost(self, store):
        """Letters and Yes for the answer that is right; ties count in parts; forced answers by what they say in the end."""

        async def forced(partial: PartialCompletion) -> Completion:
            text = judge.formats[-1]["enum"][0] if judge.formats[-1] else "Paris"
            partial.add(json.dumps(text) if judge.formats[-1] else text, logprob=-0.1 if text == "Paris" else -1.0)
            return partial.completion("stop", tokens=1, prompt_tokens=10)

        def labels(messages: list[dict[str, str]], names: Sequence[str]) -> dict[str, float]:
            content = messages[-1]["content"]
            if "Yes" in names:
                return {"Yes": 0.9 if "Paris" in content else 0.1, "No": 0.1}
            return letters_liking("Paris")(messages, names)

        judge = ScriptedModel("judge", replies=[forced], letters=labels)
        members = team(judge, Choosing(), store)
        fact = case("Lyon", "It is Paris", "Nice")
        fact = replace(fact, question=replace(fact.question, kind=Kind.FACT))
        found = await contests.ready([fact, case("Lyon", "Nice", "Lille", name="x")], members, at_once=1)

        read = await readings.compared(found, members, at_once=1, told=lambda *_: None)

        assert list(readings.READINGS) == [one.name for one in read]
        assert [(1, 1.0, 1, 0)] * 3 == [(one.cases, one.right, one.wins, one.losses) for one in read[:3]]
        assert all(one.tokens > 0 for one in read)
        assert pytest.approx(1 / 3) == read[0].by_lot
        assert "own answer" in readings.text(read)


class TestFitting:
    def test_a_kind_has_its_own_favourite_and_small_ones_are_pooled(self):
        """Below a hundred questions a kind says too little."""
        facts = many(100, "Lyon", "Paris", "Lyon", prefix="f")
        code = many(100, "Paris", "Lyon", "Lyon", kind=Kind.CODE, prefix="c")
        forms, others = (many(60, "Lyon", "Lyon", "Paris", kind=kind, prefix=str(kind)) for kind in (Kind.FORM, Kind.OPEN))

        found = fit.table([*facts, *code, *forms, *others], THREE, {}).favourites

        assert {Kind.FACT: "b", Kind.CODE: "a", Kind.FORM: "c", Kind.OPEN: "c"} == {kind: best[0] for kind, best in found.by_kind.items()}
        assert "a" == found.overall[0]  # it stands first in `prior`, and 120 wins of c against 100 losses are chance
        assert {} == fit.table(facts[:60], THREE, {}).favourites.by_kind

    def test_a_small_lead_in_a_kind_does_not_outweigh_the_whole(self):
        """A member's share in a kind is drawn towards its share over all by twenty cases."""
        facts = [*many(51, "Paris", "Lyon", "Lyon", prefix="f"), *many(50, "Lyon", "Paris", "Lyon", prefix="g")]
        code = many(300, "Lyon", "Paris", "Lyon", kind=Kind.CODE, prefix="c")

        assert "b" == fit.table([*facts, *code], THREE, {}).favourites.by_kind[Kind.FACT][0]

    def test_the_first_of_prior_stays_where_another_was_only_luckier(self):
        """Six wins against two may be chance (14 %), nine against two are not (3 %)."""
        facts = [*many(100, "Paris", "Paris", "Lyon", prefix="f"), *many(2, "Paris", "Lyon", "Lyon", prefix="g")]

        luckier = fit.table([*facts, *many(6, "Lyon", "Paris", "Lyon", prefix="h")], THREE, {}).favourites
        better = fit.table([*facts, *many(9, "Lyon", "Paris", "Lyon", prefix="h")], THREE, {}).favourites

        assert [("a", "b", "c"), ("b", "a", "c")] == [luckier.overall, better.overall]
        assert ["a", "b"] == [found.by_kind[Kind.FACT][0] for found in (luckier, better)]

    def test_only_a_reason_that_wins_beyond_chance_is_certified(self):
        """Agreement here: 40 of 50 times right; a coin's 26 of 50 are not, and stand among what was tried."""
        wins = many(40, "Lyon", "It is Paris", "Paris", prefix="w")
        losses = many(10, "Paris", "It is Lyon", "Lyon", prefix="l")
        favourite = many(150, "Paris", "Lyon", "Nice", prefix="f")

        sure = fit.table([*wins, *losses, *favourite], THREE, {})
        coin = fit.table([*wins[:26], *many(24, "Paris", "It is Lyon", "Lyon", prefix="m"), *favourite], THREE, {})

        assert (Wins(wins=40, losses=10), None) == (sure.together, coin.together)
        assert {Reason.AGREEMENT} == set(sure.certified)
        assert (40, 10) == (sure.certified[Reason.AGREEMENT].wins, sure.certified[Reason.AGREEMENT].losses)
        assert {} == coin.certified
        assert 26 == coin.uncertified[Reason.AGREEMENT].wins

    def test_all_reasons_together_are_certified_with_fewer_cases_than_one_alone(self):
        """Five wins are not chance for one test (3 %), and may be for the best of five; four may be for one."""
        favourite = many(50, "Paris", "Lyon", "Nice", prefix="f")

        five, four = (fit.table([*many(count, "Lyon", "It is Paris", "Paris"), *favourite], THREE, {}) for count in (5, 4))

        assert (Wins(wins=5, losses=0), None) == (five.together, four.together)
        assert {} == five.certified

    def test_a_table_is_read_as_it_is_written(self, tmp_path):
        """Every count, and the hashes of the members that it holds for; kinds and reasons are what they were, not their names."""
        cases_ = [*many(30, "Lyon", "It is Paris", "Paris"), *many(100, "Paris", "Nice", "Lyon", prefix="f")]
        found = fit.table(cases_, THREE, {"mine": "0" * 64})

        read = read_measured(fit.written(found), "three.measured.yaml")

        assert found == read
        assert {Reason.AGREEMENT: Reason} == {reason: type(reason) for reason in read.certified}
        assert {Kind.FACT: Kind} == {kind: type(kind) for kind in read.favourites.by_kind}
        assert fingerprint(THREE.candidates[0]) == found.members["a"]

    def test_a_case_is_decided_by_a_table_that_never_saw_its_question(self):
        """With five questions that together are enough, the table of a fold with one of them lacks it."""
        found = [*many(5, "Lyon", "Paris", "Nice", prefix="w"), *many(50, "Lyon", "Nice", "Lille")]

        table_of = fit.cross_fitted(found, THREE)

        assert 54 >= table_of(found[0]).questions.count
        assert "a" == table_of(found[0]).favourites.overall[0]
        assert "b" in {table_of(one).favourites.overall[0] for one in found[5:]}


class TestComparing:
    def rows(self, found: list[Ready], *, ships_a_table: bool = True) -> dict[str, compare.Row]:
        table = fit.table(found, THREE, {})
        ensemble = replace_struct(THREE, measured=table if ships_a_table else None)
        return {row.name: row for row in compare.rows(found, ensemble, lambda _: table)}

    def test_each_way_is_measured_on_the_same_cases(self):
        """Members, the best of them, the best of each kind, a lot, plurality, the oracle, and the choice."""
        facts = [*many(60, "Lyon", "Paris", "Nice", prefix="f"), *many(60, "Lyon", "It is Paris", "Paris", prefix="g")]
        code = many(120, "Paris", "Lyon", "Nice", kind=Kind.CODE, prefix="c")

        found = self.rows([*facts, *code])

        assert {"a": 0.5, "b": 0.5, "c": 0.25} == {name: found[name].accuracy for name in "abc"}
        assert 0.5 == found["best member alone (a)"].accuracy
        assert 1.0 == found["best member by kind"].accuracy == found["oracle"].accuracy == found[compare.SHIPPED].accuracy
        assert pytest.approx((1 / 3 * 180 + 2 / 3 * 60) / 240) == found["random"].accuracy
        assert (60 + 120) / 240 == found["plurality of final answers"].accuracy

    @pytest.mark.parametrize("ships_a_table", [True, False])
    def test_the_choice_is_the_one_that_ships(self, ships_a_table):
        """By its table, or by the rules without one where it has none; the other of the two stands beside it."""
        code = many(120, "Paris", "Lyon", "Nice", kind=Kind.CODE, prefix="c")
        found = self.rows([*many(100, "Lyon", "Paris", "Nice"), *code], ships_a_table=ships_a_table)

        beside = compare.WITHOUT_TABLE if ships_a_table else compare.WITH_TABLE
        with_table, without = (compare.SHIPPED, beside) if ships_a_table else (beside, compare.SHIPPED)
        assert {compare.WITHOUT_TABLE, compare.WITH_TABLE} & set(found) == {beside}
        assert (1.0, 120 / 220) == (found[with_table].accuracy, found[without].accuracy)

    def test_a_row_says_how_the_choice_differs_from_it(self):
        """In points with an interval, and in deciding cases with their exact test."""
        row = self.rows([*many(100, "Paris", "Lyon", "Nice"), *many(100, "Paris", "Paris", "Nice", prefix="x")])["b"]

        assert (0.5, 100, 0) == (row.gain.value, row.won, row.lost)
        assert row.chance < 1e-20
        assert 0.4 < row.gain.low < row.gain.high < 0.6

    def test_what_a_reason_is_worth_alone(self):
        """Where it spoke, how often it was right, and what it would make of all cases."""
        found = [*many(30, "Lyon", "It is Paris", "Paris"), *many(100, "Paris", "Nice", "Lyon", prefix="f")]
        table = fit.table(found, THREE, {})

        nothing, reasons = compare.ablation(found, THREE, lambda _: table)

        said = next(one for one in reasons if one.reason is Reason.AGREEMENT)
        assert (30, 30, 0, 1.0, 1.0) == (said.spoke, said.wins, said.losses, said.right, said.accuracy)
        assert pytest.approx(100 / 130) == nothing


class TestSamples:
    async def test_two_more_answers_of_one_member_vote_with_its_first(self, store):
        """Drawn warmer than the first, graded, kept in the file; the vote is a row of its own, beside the same member alone."""
        inner = ScriptedModel("b", replies=["It is Paris", "Paris"], options={"temperature": 0.2})
        members = team(None, Choosing(), store)
        members = replace(members, candidates=(members.candidates[0], CachedModel(inner, store), members.candidates[2]))
        first = ready("Lyon", "Nice", "Lille")

        [more] = await cases.sampled([first.case], members, "b", at_once=1, told=lambda *_: None)
        found = replace(first, case=more)

        assert [0.7, 0.7] == [options["temperature"] for options in inner.options]
        assert ("b", "b 2", 1.0) == (first.vote("b"), found.vote("b"), compare.right(found, {found.vote("b"): 1.0}))
        loaded = kept.KeptCase(**{name: getattr(kept.kept_case(more), name) for name in kept.KeptCase.__struct_fields__})
        assert (more.samples, ("b 2", "b 3")) == (loaded.samples, loaded.right)
        table = fit.table([found], THREE, {})
        rows = {row.name for row in compare.rows([found], THREE, lambda _: table)}
        assert compare.SAMPLED in rows
        assert compare.SAMPLED not in {row.name for row in compare.rows([first], THREE, lambda _: table)}


class TestStatistics:
    def test_seeds_of_one_question_are_drawn_together(self):
        """Asking the same question often makes no interval narrower."""
        gains = [float(number % 10 < 3) for number in range(10)]

        def width(times: int) -> float:
            found = paired_bootstrap(
                [gain for gain in gains for _ in range(times)], [("s", str(at)) for at in range(10) for _ in range(times)]
            )
            return found.high - found.low

        assert width(20) == pytest.approx(width(1), abs=0.05)

    def test_sets_are_strata(self):
        """Differences between sets are no noise: what is constant in each set has no interval at all."""
        gains = [1.0] * 20 + [0.0] * 20

        found = paired_bootstrap(gains, [("one" if at < 20 else "two", str(at)) for at in range(40)])

        assert (0.5, 0.5, 0.5) == (found.value, found.low, found.high)

    @pytest.mark.parametrize(("wins", "losses", "certain"), [(23, 8, True), (44, 23, True), (37, 27, False), (5, 0, True), (4, 0, False)])
    def test_certain_is_what_the_exact_bound_says(self, wins, losses, certain):
        """The one-sided 95 % Clopper-Pearson bound above a half (67 cases for a share of 65 %)."""
        assert certain == (at_least(wins, losses) < 0.05)


class TestKept:
    async def test_kept_replies_give_the_same_tables_without_models(self, store, tmp_path):
        """The file has no question's words; a question that is not given is left out, one whose words differ too."""
        judge = ScriptedModel("judge", replies=["Paris"])
        members = team(judge, Choosing(), store)
        found = await contests.ready([case("Lyon", "It is Paris", "Nice")], members, at_once=1)
        told = kept.Kept(
            version=1,
            ensemble="three",
            engine="embedded",
            members={},
            sets={},
            cases=tuple(kept.kept_case(one.case) for one in found),
            judge=members.judge.identity,
            replies=found[0].replies,
        )

        kept.write(tmp_path / "kept.xz", told)
        loaded = kept.load(tmp_path / "kept.xz")
        again, missing = kept.cases(loaded, [replace(item(), ask="What is the capital of France?")])

        assert told == loaded
        assert b"capital of France" not in lzma.decompress((tmp_path / "kept.xz").read_bytes())
        assert (found[0].case.answers, found[0].case.right, 0) == (again[0].answers, again[0].right, missing)
        assert ([], 1) == kept.cases(loaded, [replace(item(), ask="What is the capital of Spain?")])

        with ReplyStore(None) as empty:
            for key, reply in loaded.replies.items():
                empty.put(key, reply)
            models = {
                member.name: CachedModel(AbsentModel(member), empty, loaded.judge)
                for member in (*members.ensemble.candidates, judge.member)
            }
            absent = Team.of("embedded", replace_struct(members.ensemble, judge=judge.member), models)
            [same] = await contests.ready(again, absent, at_once=1)
        assert same.reading == found[0].reading

    def test_a_file_that_is_none_is_refused(self, tmp_path):
        """In one line that names it."""
        (tmp_path / "x").write_bytes(b"no")

        with pytest.raises(ConfigError, match="is not what --keep writes"):
            kept.load(tmp_path / "x")


def one_of_many(number: int) -> str:
    """One of many short questions, as it stands in a file."""
    return f"  - {{id: q{number}, kind: fact, ask: name {number}, check: {{says: Paris}}, right: [Paris], wrong: [Lyon]}}\n"


def alone(cwd: Path) -> dict[str, str]:
    """An environment without the user's settings."""
    return {"PATH": "", "HOME": str(cwd), "GORK_CACHE": str(cwd), "GORK_THREADS": "1"}


async def bench(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    """Run the command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.judge", *arguments),
        cwd=ROOT,
        env=alone(cwd),
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(100):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


class TestCommand:
    async def test_any_ensemble_file_is_measured_and_the_second_time_from_kept_replies(self, tmp_path):
        """Tiny models of a user's own: a table, JSON, and no model asked again."""
        members = []
        for number, name in enumerate(("a", "b", "j")):
            write_tiny(tmp_path / f"{name}.gguf", "qwen2", seed=number)
            members.append(f"{{name: {name}, path: ./{name}.gguf, options: {{num_predict: 8, temperature: 0}}}}")
        (tmp_path / "mine.yaml").write_text(
            f"name: mine\ncandidates:\n  - {members[0]}\n  - {members[1]}\njudge: {members[2]}\ncontext: 2048\n"
        )
        (tmp_path / "q.yaml").write_text(QUESTIONS)
        given = ["--ensemble", str(tmp_path / "mine.yaml"), "--engine", "embedded", "--questions", str(tmp_path / "q.yaml"), "--seeds", "1"]

        code, out, err = await bench(*given, "--out", str(tmp_path / "out.json"), cwd=tmp_path)
        again, out_again, err_again = await bench(*given, cwd=tmp_path)

        assert (0, 0) == (code, again), err
        assert "2 cases of mine (1 seeds)" in out
        assert 2 == json.loads((tmp_path / "out.json").read_text())["tables"][0]["cases"]
        assert "\n0 replies asked of models" in f"\n{err_again}"
        assert out == out_again

        first = [*given, "--first", "1", "--keep", str(tmp_path / "kept.xz")]
        await bench(*first, cwd=tmp_path)
        elsewhere = [*given, "--keep", str(tmp_path / "kept.xz"), "--cache", str(tmp_path / "elsewhere.sqlite")]
        (tmp_path / "q.yaml").write_text(QUESTIONS + one_of_many(1))
        code, out, err = await bench(*elsewhere, cwd=tmp_path)
        assert (0, True) == (code, "3 cases of mine (1 seeds)" in out), err
        asked = {case.id for case in kept.load(tmp_path / "kept.xz").cases}
        assert {"capital", "sum", "q1"} == asked
        with sqlite3.connect(tmp_path / "elsewhere.sqlite") as store:
            assert 2 == store.execute("SELECT COUNT(*) FROM replies WHERE reply LIKE '%tokens_per_s%'").fetchone()[0], "of both candidates"

        told = kept.load(tmp_path / "kept.xz")
        without = replace_struct(told.cases[0], answers=told.cases[0].answers[:1], failed=("b",))
        kept.write(tmp_path / "kept.xz", replace_struct(told, cases=(without, *told.cases[1:])))
        _, out, _ = await bench(*given, "--from", str(tmp_path / "kept.xz"), cwd=tmp_path)
        assert "members failed, which counts as a wrong answer: b in 1 of 3 cases" in out

    @pytest.mark.slow
    async def test_a_run_that_is_ended_by_a_signal_goes_on_where_it_was(self, tmp_path):
        """SIGTERM as Ctrl-C: it says so in one line; the next start asks the rest."""
        write_tiny(tmp_path / "a.gguf", "qwen2", seed=1)
        (tmp_path / "mine.yaml").write_text(
            "name: mine\ncandidates: [{name: a, path: ./a.gguf, options: {num_predict: 32, temperature: 0}}]\ncontext: 512\n"
        )
        (tmp_path / "q").mkdir()
        (tmp_path / "q" / "many.yaml").write_text("name: many\nquestions:\n" + "".join(map(one_of_many, range(60))))
        given = ["--ensemble", "./mine.yaml", "--engine", "embedded", "--questions", "q", "--seeds", "1", "--cache", "kept.sqlite"]
        given[1], given[5], given[9] = (str(tmp_path / name) for name in ("mine.yaml", "q", "kept.sqlite"))

        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.judge", *given), cwd=ROOT, env=alone(tmp_path), stdout=DEVNULL, stderr=PIPE
        )
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while b"questions: 6 of 60" not in await process.stderr.readline():
                pass
            process.terminate()
            said = await process.stderr.read()
        assert (130, "bench.judge: stopped") == (await process.wait(), said.decode().strip().splitlines()[-1][:20])

        _, _, second = await bench(*given, cwd=tmp_path)

        asked, kept = (int(number) for number in re.findall(r"(\d+) (?:replies asked|of those kept)", second))
        assert 6 <= 60 - asked <= kept

    async def test_a_question_file_with_mistakes_is_refused_with_all_of_them_and_their_lines(self, tmp_path):
        """Nothing is asked of any model."""
        (tmp_path / "q.yaml").write_text(QUESTIONS.replace("kind: fact", "kind: riddle").replace("{number: 2}", "{nummer: 2}"))

        code, out, err = await bench("--ensemble", "tiny", "--questions", str(tmp_path / "q.yaml"), cwd=tmp_path)

        assert (2, "") == (code, out)
        assert "q.yaml:4:" in err
        assert "q.yaml:12:" in err

    async def test_nothing_is_fitted_on_the_held_back_half(self, tmp_path):
        """The option is refused there, with what to use instead."""
        code, _, err = await bench("--fit", cwd=tmp_path)

        assert 2 == code
        assert "--questions development" in err
