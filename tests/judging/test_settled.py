"""When the answers that are there decide a turn, whatever the rest will say."""

from __future__ import annotations

from itertools import product

import pytest

from gork.judging.computed import by_computed
from gork.judging.settled import settled
from gork.turn import QUESTIONS_CODE, Answer, Computed, Kind, Question

QUESTION = Question(text="What is 12 * 8 + 1?", kind=Kind.ARITHMETIC)
PRIOR = ("a", "b", "c", "d")


def ran(member: str, output: str, **more: object) -> Answer:
    """An answer by a program that printed this."""
    return Answer(member=member, model="m", text=output, computed=Computed(program="print()", output=output), **more)


def said(member: str, text: str, **more: object) -> Answer:
    """An answer in words."""
    return Answer(member=member, model="m", text=text, **more)


def decides(answers: list[Answer], pending: str, programs: str = "") -> bool:
    """Whether these answers decide it; the names of members are single letters."""
    return settled(QUESTION, answers, list(pending), prior=PRIOR, programs=set(programs)) is not None


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
    assert settled(QUESTION, [ran("a", "97")], ["b", QUESTIONS_CODE], prior=PRIOR, programs=set()) is None


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
