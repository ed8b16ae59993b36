"""When the answers that are there decide a turn, whatever the rest will say."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import pytest

from gork.judging.computed import by_computed
from gork.judging.decide import weigh
from gork.judging.objections import Contest, Reading
from gork.judging.rules import Rules
from gork.judging.settled import settled
from gork.turn import QUESTIONS_CODE, Answer, Computed, Kind, Question, Reason

QUESTION = Question(text="What is 12 * 8 + 1?", kind=Kind.ARITHMETIC)
PRIOR = ("a", "b", "c", "d")
RULES = Rules(ranking=PRIOR, asks_always=False)
FACT = Question(text="What is the capital of France?", kind=Kind.FACT)


def ran(member: str, output: str, **more: object) -> Answer:
    """An answer by a program that printed this."""
    return Answer(member=member, model="m", text=output, computed=Computed(program="print()", output=output), **more)


def said(member: str, text: str, **more: object) -> Answer:
    """An answer in words."""
    return Answer(member=member, model="m", text=text, **more)


def decides(answers: list[Answer], pending: str, programs: str = "") -> bool:
    """Whether these answers decide it; the names of members are single letters."""
    return why(answers, list(pending), set(programs)) is not None


def why(answers: list[Answer], pending: list[str], programs: set[str], rules: Rules = RULES, question: Question = QUESTION) -> str | None:
    """What decides it."""
    return settled(question, answers, pending, rules=rules, programs=programs)


def test_a_program_that_ran_decides_against_all_words():
    """Whoever comes later in words can only say the same or be passed over."""
    assert decides([ran("c", "97")], "ab")
    assert decides([said("a", "It is 98."), ran("c", "97")], "b")


def test_words_decide_nothing_as_long_as_anybody_is_asked():
    """Also where two say the same: without a measured table nobody knows what that is worth."""
    assert not decides([said("a", "It is 97."), said("b", "It is 97.")], "c")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            Answer(member="c", model="m", text="print(", computed=Computed(program="print(", output=None, problem="syntax")),
            "it gave nothing",
        ),
        (ran("c", "97", complete=False, stop="length"), "it was cut, and is left out where two others are complete"),
        (ran("c", "What is 12 * 8 + 1?"), "it only repeats the question, and is left out beside others"),
    ],
)
def test_a_result_that_may_be_left_out_of_judging_decides_nothing(answer: Answer, why: str):
    """Then the others are needed."""
    assert not decides([answer], "ab"), why


def test_the_questions_own_code_decides_at_once_and_is_waited_for():
    """It stands above every program of a member."""
    code = ran(QUESTIONS_CODE, "0.5")

    assert decides([code], "abc", programs="abc")
    assert why([ran("a", "97")], ["b", QUESTIONS_CODE], set()) is None


VALUES = ("1", "2", "3", "two\nlines")


@pytest.mark.parametrize(
    ("coming", "ever"), [("", True), ("a", True), ("b", True), ("d", True), ("ab", False), ("ad", False), ("cd", True)]
)
def test_it_is_settled_exactly_where_no_outcome_of_the_coming_programs_changes_the_result(coming: str, ever: bool):
    """Checked against everything that they could give, by the rule that chooses in the end."""
    there = [member for member in PRIOR if member not in coming]

    def result(*given: str) -> str:
        """What is computed where these members' programs gave this."""
        answers = [ran(member, output) for member, output in zip((*there, *coming), given, strict=False)]
        verdict = by_computed(QUESTION, answers, PRIOR)
        assert verdict is not None
        return next(answer.text for answer in answers if answer.member == verdict.computed_by)

    found = {
        given: decides([ran(member, output) for member, output in zip(there, given, strict=True)], coming, programs=coming)
        for given in product(VALUES, repeat=len(there))
    }
    right = {given: {result(*given, *more) for more in product(VALUES, repeat=len(coming))} == {result(*given)} for given in found}

    assert found == right
    assert any(found.values()) is ever


TABLE = replace(RULES, ranking=("a", "b", "c"), measured=True)


def by_rules(*reasons: Reason, **more: object) -> Rules:
    """The rules of a table in which these reasons are certified."""
    return replace(TABLE, may_overrule=reasons, **more)


def test_the_favourites_answer_is_enough_where_nothing_may_overrule_it():
    """And nobody else's is."""
    assert why([said("a", "It is Lyon.")], ["b", "c"], set(), by_rules(), FACT) is not None
    assert why([said("b", "It is Lyon."), said("c", "It is Lyon.")], ["a"], set(), by_rules(), FACT) is None


@pytest.mark.parametrize(
    "answer",
    [said("a", "Lyon, since", complete=False, stop="length"), said("a", "I'm sorry, I can't help with that."), said("a", FACT.text)],
)
def test_a_favourites_answer_that_may_be_left_out_is_not_enough(answer: Answer):
    """It was cut, refuses, or repeats the question."""
    assert why([answer], ["b", "c"], set(), by_rules(), FACT) is None


def test_a_program_that_is_still_to_come_is_waited_for_unless_words_are_better_there():
    """Where a program's result decides, the favourite's words do not."""
    answers, rules = [said("a", "It is 98.")], by_rules()

    assert why(answers, ["b", "c"], {"c"}, rules) is None
    assert why(answers, ["b", "c"], {"c"}, replace(rules, computed_decides=False)) is not None


def test_where_the_judge_is_always_asked_all_that_it_reads_is_waited_for():
    """Only what was computed ends the others."""
    assert why([said("a", "It is Lyon.")], ["b", "c"], set(), by_rules(asks_always=True), FACT) is None
    assert why([ran("a", "97")], ["b", "c"], set(), by_rules(asks_always=True)) is not None


def test_code_that_examples_are_stated_for_is_waited_for():
    """Who passes them is known when all are there."""
    asked = Question(text="Write a Python function double(x) that doubles a number, for example double(3) -> 6.", kind=Kind.CODE)
    code = said("a", "```python\ndef double(x):\n    return 2 * x\n```")

    assert why([code], ["b"], set(), by_rules(), asked) is None
    assert why([code], ["b"], set(), by_rules(), replace(asked, text="Write a Python function double(x).")) is not None


def test_two_that_agree_are_enough_where_that_is_certified():
    """What the favourite says is theirs, or is overruled; also where one of the two is the favourite, against whom one alone is nothing."""
    two, certified = [said("b", "Paris"), said("c", "It is Paris.")], by_rules(Reason.AGREEMENT)

    assert why(two, ["a"], set(), certified, FACT) is not None
    assert why(two, ["a"], set(), by_rules(Reason.CHECKS, Reason.AGREEMENT), FACT) is None
    assert why([said("a", "Paris"), said("c", "It is Paris.")], ["b"], set(), certified, FACT) is not None
    assert why([said("a", "Paris"), said("c", "It is Lyon.")], ["b"], set(), certified, FACT) is None
    assert why([said("a", "Paris")], ["b", "c"], set(), certified, FACT) is None


REASONS = (Reason.AGREEMENT, Reason.AGREEMENT_AND_JUDGE, Reason.CHECKS, Reason.JUDGE)


@pytest.mark.parametrize("reasons", [(), *((reason,) for reason in REASONS), *permutations(REASONS[:3], 2), REASONS])
def test_what_is_settled_is_never_changed_by_what_comes(reasons: tuple[Reason, ...]):
    """Checked against everything that the others and the judge could say."""
    rules, texts = by_rules(*reasons), ("Paris", "Lyon", "2 + 2 = 5, so it is Nice.")

    def chosen(answers: list[Answer], own: str) -> str:
        contest = Contest.of(FACT, tuple(answers), rules.ranking)
        reading = Reading(scores={answer.member: float(answer.text == own) for answer in contest.voters}, own=own)
        winner = weigh(contest, rules, reading if len(contest.answers) > 1 else None).winner
        return next(answer.text for answer in answers if answer.member == winner)

    checked = 0
    for there in ("a", "b", "ab", "bc", "ac"):
        coming = [name for name in "abc" if name not in there]
        for given in product(texts, repeat=len(there)):
            answers = [said(name, text) for name, text in zip(there, given, strict=True)]
            if why(answers, coming, set(), rules, FACT) is None:
                continue
            checked += 1
            ends = {
                chosen([*answers, *(said(name, text) for name, text in zip(coming, more, strict=True))], own)
                for more in product(texts, repeat=len(coming))
                for own in texts
            }
            assert len(ends) == 1, (given, there, ends)
    assert checked or Reason.JUDGE in reasons or Reason.AGREEMENT_AND_JUDGE in reasons
