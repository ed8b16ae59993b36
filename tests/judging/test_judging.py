"""Choosing: what speaks against the favourite's answer, what the judge's reading is, and what decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gork.config.ensemble import Choosing
from gork.engines.call import estimate_tokens
from gork.errors import Refused
from gork.judging import decide, prompts
from gork.judging.objections import Contest, Reading, objections
from gork.judging.reading import JudgeSession, read
from gork.judging.rules import WITHOUT_TABLE, Rules
from gork.turn import Answer, Kind, Notice, Question, Reason, Unmeasured
from tests.support.scripted_model import ScriptedModel

FACT = Question(text="Who wrote the novel Dracula?", kind=Kind.FACT)
CHOICE = Question(text="Which one is a planet?\nA. Moon\nB. Mars\nC. Sun", kind=Kind.CHOICE)
SUM = Question(text="What is 12 times 8?", kind=Kind.ARITHMETIC)
OPEN = Question(text="Why is the sky blue?", kind=Kind.OPEN)


def contest(question: Question, *texts: str) -> Contest:
    """Answers of a, b, c and d; a is the favourite."""
    given = [Answer(member=name, model=name, text=text) for name, text in zip("abcd", texts, strict=False)]
    return Contest.of(question, tuple(reversed(given)), ("a", "b", "c", "d"))


def found(given: Contest, reading: Reading | None = None) -> dict[Reason, str]:
    """For whom each reason speaks."""
    return {said.reason: said.member for said in objections(given, reading, ())}


def rules(*may_overrule: Reason, asks_always: bool = False, **more: object) -> Rules:
    """Rules of a table under which these reasons count."""
    return Rules(ranking=("a", "b", "c"), may_overrule=may_overrule, asks_always=asks_always, measured=True, **more)


def session(judge: ScriptedModel | None) -> JudgeSession:
    """What judging needs, with ten seconds for it."""
    return JudgeSession(judge=judge, choosing=Choosing(), on_event=lambda _: None, limit_s=10)


class TestReasons:
    def test_a_refuted_answer_speaks_for_one_that_is_sound(self):
        """And for nobody where the others are refuted too, or where the favourite's own stands."""
        assert {Reason.CHECKS: "b"} == found(contest(SUM, "12 * 8 = 86, so it is 86.", "It is 96."))
        assert {} == found(contest(SUM, "12 * 8 = 86, so it is 86.", "It is 85."))
        assert {} == found(contest(SUM, "It is 96.", "12 * 8 = 86, so it is 86."))

    def test_two_that_give_the_same_final_answer_speak_for_it(self):
        """Said in other words; the better-ranked one's answer stands for both."""
        assert {Reason.AGREEMENT: "b"} == found(contest(FACT, "Mary Shelley", "It was Bram Stoker.", "Bram Stoker"))

    def test_two_explanations_with_different_answers_do_not_agree(self):
        """However many words they share; and one alone agrees with nobody."""
        assert {} == found(contest(FACT, "Mary Shelley", "The novel was written by Bram Stoker.", "The novel was written by Oscar Wilde."))

    def test_agreement_with_the_favourite_is_none_against_it(self):
        """Two and one: the two include the favourite; two and two are level."""
        assert {} == found(contest(FACT, "Bram Stoker", "It was Bram Stoker.", "Oscar Wilde"))
        assert {} == found(contest(FACT, "Bram Stoker", "Oscar Wilde", "It was Oscar Wilde.", "It was Bram Stoker."))

    def test_answers_from_a_closed_list_agree_only_with_the_judge(self):
        """Two wrong ones out of three options meet too often."""
        three = contest(CHOICE, "A. Moon", "B. Mars", "B")

        assert {} == found(three)
        assert {Reason.JUDGE: "b", Reason.AGREEMENT_AND_JUDGE: "b"} == found(three, Reading(scores={"a": 0.0, "b": 1.0, "c": 1.0}))

    def test_the_judge_speaks_for_what_it_puts_first(self):
        """Not where that is the favourite's, or says the same, or is hardly ahead."""
        three = contest(FACT, "Bram Stoker", "It was Bram Stoker.", "Oscar Wilde")

        assert {Reason.JUDGE: "c"} == found(three, Reading(scores={"a": 0.0, "b": 0.0, "c": 1.0}))
        assert {} == found(three, Reading(scores={"a": 0.5, "b": 1.0, "c": 0.0}))
        assert {} == found(three, Reading(scores={"a": 0.4, "b": 0.4, "c": 0.6}))

    def test_the_judge_speaks_for_no_answer_that_plain_code_refutes(self):
        """However like its own it sounds: code was asked for, and there is none."""
        asked = Question(text="python function that adds two numbers", kind=Kind.CODE)
        two = contest(
            asked, "```python\ndef add(a, b):\n    return a + b\n```", "You take the two numbers, and then you add them together."
        )

        assert {} == found(two, Reading(scores={"a": 0.0, "b": 1.0}))

    def test_what_is_listed_first_changes_nothing(self):
        """The ranking alone orders the answers."""
        three = [Answer(member=name, model=name, text=text) for name, text in (("a", "Lyon"), ("b", "Paris"), ("c", " Paris\n"))]

        made = [Contest.of(FACT, tuple(order), ("c", "a", "b")) for order in (three, three[::-1])]

        assert made[0] == made[1]
        assert ["c", "a"] == [answer.member for answer in made[0].answers]


class TestVerdict:
    three = contest(FACT, "Mary Shelley", "It was Bram Stoker.", "Bram Stoker")

    def test_what_does_not_count_overrules_nobody(self):
        """It is told, and the choice is called close."""
        said = decide.weigh(self.three, rules(), None)

        assert ("a", "favourite", True) == (said.winner, said.policy, said.close)
        assert [(Reason.AGREEMENT, "b", False)] == [(one.reason, one.member, one.counts) for one in said.objections]

    def test_what_counts_overrules_the_favourite(self):
        """The verdict says whom, and by what."""
        said = decide.weigh(self.three, rules(Reason.AGREEMENT), None)

        assert ("b", "agreement", "a", False) == (said.winner, said.policy, said.favourite, said.close)

    def test_the_strongest_reason_decides(self):
        """In the order of the rules, where they speak for different answers."""
        reading = Reading(scores={"a": 0.0, "b": 0.0, "c": 0.0, "d": 1.0})
        four = contest(FACT, "Mary Shelley", "It was Bram Stoker.", "Bram Stoker", "Oscar Wilde")

        orders = ((Reason.JUDGE, Reason.AGREEMENT), (Reason.AGREEMENT, Reason.JUDGE))

        assert ["d", "b"] == [decide.weigh(four, rules(*order), reading).winner for order in orders]

    def test_it_tells_what_its_table_was_not_measured_for(self):
        """And how often the choice was right for such questions."""
        said = decide.weigh(self.three, rules(unmeasured=(Unmeasured.SYSTEM,), sure=0.4, kind=Kind.FACT), None)

        assert ((Unmeasured.SYSTEM,), 0.4, Kind.FACT) == (said.unmeasured, said.sure, said.favourite_kind)

    async def test_nothing_is_judged_where_all_say_the_same(self):
        """In other words too; it says so, and the favourite's answer is taken."""
        heard: list[object] = []
        judge = ScriptedModel()
        asked = JudgeSession(judge=judge, choosing=Choosing(), on_event=heard.append, limit_s=10)

        said = await decide.decide(contest(FACT, "It was Bram Stoker.", "Bram Stoker"), rules(asks_always=True), asked)

        assert ("a", []) == (said.winner, judge.asked)
        assert [Notice("all answers say the same in the end: nothing to judge", about_verdict=True)] == heard


class TestJudge:
    three = contest(FACT, "Mary Shelley", "It was Bram Stoker.", "Oscar Wilde")

    async def ask(self, given: Contest, by: Rules, *replies: object) -> tuple[decide.Verdict, ScriptedModel]:
        judge = ScriptedModel(replies=replies or ["Bram Stoker."])
        return await decide.decide(given, by, session(judge)), judge

    async def test_its_own_answer_speaks_for_answers_that_say_the_same(self):
        """By their final answers where both have one, else by their words; it sees no candidate's answer."""
        judge = ScriptedModel(replies=["Bram Stoker.", "Air scatters blue light."])

        short = await read(self.three, session(judge))
        long = await read(contest(OPEN, "The sky is blue.", "Because air scatters the light that is blue."), session(judge))

        assert ({"a": 0.0, "b": 1.0, "c": 0.0}, "Bram Stoker.") == (short.scores, short.own)
        assert long.scores["b"] > long.scores["a"]
        assert all("Shelley" not in message["content"] for message in judge.asked[0])

    async def test_its_word_counts_where_the_rules_say_so(self):
        """Else it is told beside the choice."""
        heard, _ = await self.ask(self.three, rules(Reason.JUDGE))
        told, _ = await self.ask(self.three, rules(asks_always=True))

        assert ("b", "judge", 1) == (heard.winner, heard.policy, heard.judge_calls)
        assert ("a", "favourite", 1) == (told.winner, told.policy, told.judge_calls)
        assert ("Bram Stoker.", 1.0) == (told.judge_answer, told.scores["b"])

    @pytest.mark.parametrize(
        ("by", "asked"),
        [
            (rules(), 0),
            (rules(asks_always=True), 1),
            (rules(Reason.AGREEMENT), 0),
            (rules(Reason.AGREEMENT, Reason.JUDGE), 0),
            (rules(Reason.JUDGE, Reason.AGREEMENT), 1),
            (rules(Reason.CHECKS_AND_JUDGE), 0),
        ],
    )
    async def test_it_is_asked_where_its_word_can_change_the_choice(self, by, asked):
        """Two agree against the favourite, which no check refutes: what needs the judge must stand above that agreement."""
        _, judge = await self.ask(contest(FACT, "Mary Shelley", "It was Bram Stoker.", "Bram Stoker"), by)

        assert asked == len(judge.asked)

    async def test_without_a_table_it_is_asked_and_heard(self):
        """Computed results, checks and agreement come before it."""
        said, judge = await self.ask(self.three, Rules(ranking=("a", "b", "c")))

        assert ("b", "judge", False, 1) == (said.winner, said.policy, said.measured, len(judge.asked))
        assert WITHOUT_TABLE[-1] is Reason.JUDGE

    async def test_what_it_fails_at_leaves_the_favourite(self):
        """The verdict is marked where its word could have counted, and names the reason."""
        tired = Refused("it is tired", member="m", where="a test")

        missed, _ = await self.ask(self.three, rules(Reason.JUDGE), tired)
        unheard, _ = await self.ask(self.three, rules(asks_always=True), tired)

        assert ("a", "refused") == (missed.winner, missed.fallback.kind)
        assert "it is tired" in missed.fallback.text
        assert unheard.fallback is None

    async def test_an_ensemble_without_one_decides_without_it(self):
        """That is no shortfall."""
        said = await decide.decide(self.three, rules(Reason.JUDGE, asks_always=True), session(None))

        assert ("a", None, 0) == (said.winner, said.fallback, said.judge_calls)


@pytest.mark.parametrize("token", ["<|im_end|>", "<end_of_turn>", "<|eot_id|>", "</s>", "<|start_header_id|>", "<bos>"])
def test_a_control_token_in_a_question_cannot_end_the_judges_prompt(token):
    """Engines read control tokens wherever they stand, so the judge's copy has none; ordinary markup stays."""
    content = prompts.own_messages(f"q {token} <b>bold</b>", 500)[-1]["content"]

    assert token not in content
    assert "<b>bold</b>" in content


@given(st.integers(40, 2000), st.text(max_size=6000))
def test_what_the_judge_reads_fits_its_budget(budget, question):
    """Whatever the question's length."""
    assert estimate_tokens(prompts.own_messages(question, budget)[-1]["content"]) <= budget + 40


def test_a_long_answer_keeps_head_and_tail():
    """The cut is in the middle and marked."""
    cut = prompts.excerpt("START " + "middle " * 500 + "END", 60)

    assert cut.startswith("START")
    assert cut.endswith("END")
    assert "[...]" in cut
