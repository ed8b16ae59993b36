"""What was computed decides."""

from gork.judging.computed import by_computed
from gork.judging.decide import shortlist
from gork.turn import QUESTIONS_CODE, Answer, Computed, Kind, Question

QUESTION = Question(text="what is 12 times 8", kind=Kind.ARITHMETIC)
PRIOR = ("plain", "solver", "coder")


def program(member: str, output: str) -> Answer:
    """An answer that a program gave."""
    return Answer(member=member, model="m", text=output, computed=Computed(program="p", output=f"{output}\n"))


def words(member: str, text: str, *, complete: bool = True) -> Answer:
    """An answer in words."""
    return Answer(member=member, model="m", text=text, complete=complete)


def winner(*answers: Answer) -> str | None:
    """Whose answer is chosen, if something was computed."""
    verdict = by_computed(QUESTION, answers, PRIOR)
    return None if verdict is None else verdict.winner


def test_without_a_program_that_ran_nothing_is_decided():
    """Also where one was written that gave no result."""
    fruitless = Answer(member="coder", model="m", text="x", computed=Computed(program="p", output=None, problem="error"))

    assert winner(words("plain", "96"), fruitless) is None


def test_the_output_is_the_answer_where_no_words_say_the_same():
    """Although both others agree on another number."""
    assert winner(words("plain", "It is 86."), words("solver", "The answer is 86."), program("coder", "96")) == "coder"


def test_words_that_say_the_same_are_preferred():
    """They explain it; of several the best member's, and never a cut one."""
    assert winner(words("solver", "12 times 8 is 96."), words("plain", "12 * 8 = 96"), program("coder", "96")) == "plain"
    assert winner(words("plain", "12 * 8 = 96", complete=False), program("coder", "96")) == "coder"


def test_most_programs_decide_and_at_a_tie_the_best_member():
    """Numbers are compared as numbers."""
    assert winner(program("plain", "95"), program("solver", "96"), program("coder", "96.0")) == "solver"
    assert winner(program("plain", "95"), program("solver", "96")) == "plain"


def test_an_output_of_several_lines_agrees_with_nothing():
    """Neither with another one nor with words: which of its lines is the answer is not known."""
    assert winner(program("plain", "95"), program("solver", "1\n96"), program("coder", "1\n96")) == "plain"
    assert winner(words("plain", "It is 96."), program("coder", "1\n96")) == "coder"
    assert winner(words("plain", "It is 96."), program("coder", "96\n")) == "plain"


def test_the_questions_own_code_stands_above_programs():
    """It is what was asked about."""
    own = program(QUESTIONS_CODE, "97")
    verdict = by_computed(QUESTION, [program("plain", "96"), program("solver", "96"), own], PRIOR)

    assert verdict is not None
    assert (verdict.winner, verdict.computed_by) == (QUESTIONS_CODE, QUESTIONS_CODE)


def test_a_program_without_a_result_is_judged_only_when_it_stands_alone():
    """And the note says why."""
    fruitless = Answer(
        member="coder", model="m", text="x = 1", computed=Computed(program="x = 1", output=None, problem="empty: printed nothing")
    )

    short = shortlist(QUESTION, [fruitless, words("plain", "96")])
    assert [answer.member for answer in short.answers] == ["plain"]
    assert "printed nothing" in short.notes[0]
    assert shortlist(QUESTION, [fruitless]).answers == (fruitless,)
