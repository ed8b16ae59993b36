"""The bench of judging: replies kept, policies compared on the same answers, figures that can be believed."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import replace
from pathlib import Path

import pytest

from bench.judge import cases, fit, metrics, policies, report
from bench.judge.concurrency import each
from bench.judge.questions import Item
from bench.judge.reply_cache import CachedModel, ReplyStore
from final_script import Team
from gork.config.ensemble import Choosing, Ensemble, Member
from gork.engines.call import Completion, PartialCompletion
from gork.errors import ConfigError
from gork.turn import Answer, Question, Verdict
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
        first = ScriptedModel("a", replies=["one", "two"], weights=str(tmp_path / "here.gguf"))
        second = ScriptedModel("b", replies=["three"], weights=str(tmp_path / "there.gguf"))
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
        assert "old" == await chat(CachedModel(ScriptedModel(replies=["old"], weights=str(file)), store))
        file.write_bytes(b"three")

        assert "new" == await chat(CachedModel(ScriptedModel(replies=["new"], weights=str(file)), store))

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

        asked = team(None, Choosing(policy="agreement"), store)
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
        asked = replace(team(None, Choosing(policy="agreement"), store), candidates=(CachedModel(inner, store),))
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


class TestComparing:
    async def outcomes(self, store, choosing: Choosing, *given: cases.Case, judge: ScriptedModel | None = None) -> list[policies.Outcome]:
        judge = judge or ScriptedModel(letters=letters_liking("Paris", slot_bias=4.0))
        return await policies.run(policies.Contender(name="x", choosing=choosing), team(judge, choosing, store), given)

    async def test_all_orders_never_flip_and_one_order_without_correction_would(self, store):
        """Listing the same answers otherwise changes nothing where every order is read."""
        [found] = await self.outcomes(store, Choosing(policy="listwise", orders=6), case("Lyon", "It is Paris", "Nice"))

        assert (0.0, 1.0) == (found.flips, found.right)
        assert {"b": 1.0} == found.chances

    async def test_flips_are_the_share_of_listings_that_disagree(self, store):
        """A judge who only knows slots where there is something to read, in one drawn order, elects each text in some listings."""

        def slots_alone(messages: list[dict[str, str]], labels: str) -> dict[str, float]:
            shares = (1 / 3, 1 / 3, 1 / 3) if "(no answer)" in messages[-1]["content"] else (0.7, 0.2, 0.1)
            return dict(zip(labels, shares, strict=True))

        judge = ScriptedModel(letters=slots_alone)
        noise = Choosing(policy="listwise", orders=1)

        [found] = await self.outcomes(store, noise, case("Lyon", "It is Paris", "Nice"), judge=judge)

        shares = found.chances.values()
        assert found.flips == pytest.approx(1 - sum(share**2 for share in shares))
        assert found.flips > 0.3
        assert found.right == found.chances.get("b", 0.0)

    async def test_the_judges_part_is_counted_for_one_verdict(self, store):
        """Calls, tokens and first places are those of the first listing, not of all that were tried."""
        [found] = await self.outcomes(store, Choosing(policy="listwise", orders=6), case("Lyon", "It is Paris", "Nice"))

        assert (6, 6, 60) == (found.verdict.judge_calls, len(found.calls), found.read)
        assert {0} == {call.slot for call in found.calls}

    async def test_every_policy_chooses_among_the_same_kept_answers(self, store):
        """No candidate is asked while policies are compared."""
        members = team(ScriptedModel(letters=letters_liking("Paris"), replies=["Paris"]), Choosing(orders=1), store)
        everyone = policies.contenders(members.choosing, candidates=3, has_judge=True, every=True)

        for contender in everyone:
            if contender.name not in {"checks", "pointwise"}:
                await policies.run(contender, members, [case("Lyon", "It is Paris", "Nice")])

        assert len({contender.name for contender in everyone}) == len(everyone)
        assert all(not model._inner.asked for model in members.candidates)

    def test_without_a_judge_no_policy_that_needs_one_is_tried(self):
        """The baselines that cost nothing remain."""
        names = {c.name for c in policies.contenders(Choosing(policy="agreement"), candidates=3, has_judge=False, every=True)}

        assert {"prior", "agreement", "confidence"} <= names
        assert not names & {"pairwise", "pointwise", "reference"}


def outcome(given: cases.Case, winner: str, margin: float = 1.0, sure: float | None = None) -> policies.Outcome:
    """One policy's choice."""
    verdict = Verdict(winner=winner, policy="combined", scores={"a": 1.0, "b": 0.0}, margin=margin, sure=sure)
    return policies.Outcome(case=given, chances={winner: 1.0}, verdict=verdict)


class TestFigures:
    def mixed(self, count: int = 40) -> list[cases.Case]:
        return [case("Paris", "Lyon", "Nice", name=f"q{number}") for number in range(count)]

    def test_recovery_is_nought_for_a_lot_and_one_for_the_oracle(self):
        """And below nought for a policy that knows what is wrong."""
        given = self.mixed()
        best = metrics.row("best", [outcome(c, "a") for c in given], "b")
        worst = metrics.row("worst", [outcome(c, "b") for c in given], "b")
        thirds = metrics.row("lot", [outcome(c, "abc"[number % 3]) for number, c in enumerate(given[:39])], "b")

        assert (1.0, 1.0) == (best.accuracy.value, best.recovery.value)
        assert worst.recovery.value == pytest.approx(-0.5)
        assert thirds.recovery.value == pytest.approx(0.0)
        assert thirds.recovery.low < 0 < thirds.recovery.high

    def test_seeds_of_one_question_are_drawn_together(self):
        """Asking the same question often makes no interval narrower."""
        once = [case("Paris", "Lyon", name=f"q{number}") for number in range(10)]
        often = [case("Paris", "Lyon", name=f"q{number}", seed=seed) for number in range(10) for seed in range(20)]

        def width(given: list[cases.Case]) -> float:
            at = metrics.bootstrap(given, lambda picks: metrics.mean([float(given[i].item.id in {"q0", "q1", "q2"}) for i in picks]))
            return at.high - at.low

        assert width(often) == pytest.approx(width(once), abs=0.05)

    def test_members_random_and_oracle_are_over_all_cases(self):
        """An answer that is missing was not right."""
        given = [case("Paris", "Lyon"), case("Paris", "Paris"), case("Lyon", "Nice")]

        found = metrics.members(given, ["a", "b", "c"])

        assert {"a": 2 / 3, "b": 1 / 3, "c": 0.0} == pytest.approx(dict(found.by_member))
        assert (pytest.approx(0.5), pytest.approx(2 / 3), 1) == (found.lot, found.oracle, found.differing)

    def test_reliability_sets_what_was_said_beside_what_was_so(self):
        """Bins of equal size, from the smallest margins to the largest."""
        given = [
            outcome(c, "a" if number >= 20 else "b", margin=number / 10, sure=0.5 + number / 100) for number, c in enumerate(self.mixed())
        ]

        bins = metrics.reliability(given, 2)

        assert [(20, 0.0), (20, 1.0)] == [(part.count, part.right) for part in bins]
        assert bins[0].sure < bins[1].sure
        assert bins[0].most < bins[1].least


class TestFitting:
    def examples(self, count: int = 120) -> list[fit.Example]:
        """A signal that mostly tells the truth, and one that tells nothing."""
        rng = random.Random(1)
        found = []
        for number in range(count):
            right = tuple(slot == number % 3 for slot in range(3))
            rows = tuple({"good": rng.gauss(1.0 if was else 0.0, 0.7), "noise": rng.gauss(0, 1)} for was in right)
            found.append(fit.Example(id=f"q{number}", rows=rows, right=right))
        return found

    def test_a_signal_that_tells_the_truth_gets_the_weight(self):
        """The other stays near nothing; no weight is below nought."""
        weights = fit.fit_weights(self.examples(), ("good", "noise"))

        assert weights["good"] > 5 * weights["noise"] >= 0
        assert fit.cross_validated(self.examples(), ("good", "noise")) > 0.7

    def test_a_calibrated_margin_is_as_often_right_as_it_says(self):
        """The curve finds the odds that the data were made with; margins that mean nothing get a flat one."""
        rng = random.Random(2)
        margins = [rng.uniform(0, 3) for _ in range(4000)]
        right = [rng.random() < 1 / (1 + math.exp(-(-0.5 + 1.5 * margin))) for margin in margins]

        curve = fit.calibrate(margins, right)

        assert (-0.5, 1.5) == pytest.approx((curve.offset, curve.slope), abs=0.2)
        flat = fit.calibrate(margins, [margin < 1 for margin in margins])
        assert 0.0 == flat.slope


def whole_report(lead: metrics.Interval) -> str:
    """The text of a report whose default policy leads the best member by this."""
    given = [case("Paris", "Lyon", "Nice", name=f"q{number}") for number in range(10)]
    row = metrics.row("default", [outcome(c, "a") for c in given], "b")
    object.__setattr__(row, "over_best", lead)
    made = report.Report(
        ensemble="three",
        engine="embedded",
        questions={"mine": "0" * 64},
        seeds=1,
        best_single="b",
        members=metrics.members(given, list("abc")),
        rows=[row],
        bins=metrics.reliability([outcome(c, "a") for c in given]),
        bins_differing=metrics.reliability([outcome(c, "a") for c in given]),
        chosen=1.0,
        answer_s=1.0,
    )
    json.dumps(made.as_json(), allow_nan=False)
    return report.text(made)


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        (metrics.Interval(0.2, 0.1, 0.3), "beats its best single member, b "),
        (metrics.Interval(0.02, -0.1, 0.1), "does not beat its best single member, b, beyond noise"),
        (metrics.Interval(-0.2, -0.3, -0.1), "does NOT beat its best single member: b alone is better"),
    ],
)
def test_it_says_whether_the_ensemble_is_worth_more_than_its_best_member(lead, said):
    """Most of all when it is not."""
    assert said in whole_report(lead)


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
            f"name: mine\ncandidates:\n  - {members[0]}\n  - {members[1]}\njudge: {members[2]}\nchoosing: {{orders: 2}}\ncontext: 2048\n"
        )
        (tmp_path / "q.yaml").write_text(QUESTIONS)
        given = ["--ensemble", str(tmp_path / "mine.yaml"), "--engine", "embedded", "--questions", str(tmp_path / "q.yaml"), "--seeds", "1"]

        code, out, err = await bench(*given, "--out", str(tmp_path / "out.json"), cwd=tmp_path)
        again, out_again, err_again = await bench(*given, cwd=tmp_path)

        assert (0, 0) == (code, again), err
        assert "2 cases of mine (1 seeds)" in out
        assert 2 == json.loads((tmp_path / "out.json").read_text())["cases"]
        assert "\n0 replies asked of models" in f"\n{err_again}"
        assert out == out_again

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
