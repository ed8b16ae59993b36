"""What cannot be the answer to a question is no result of a program."""

from __future__ import annotations

import pytest

from gork.computing.fitting import why_unfit


@pytest.mark.parametrize(
    "question",
    [
        "which is larger, 9.11 or 9.9?",
        "Who is older, Ben (41) or Anna (14)?",
        "how many times does the letter s appear in mississippi",
        "can you tell me which of 3/8 and 2/5 is bigger",
    ],
)
def test_a_truth_value_answers_no_which_and_no_how_many(question):
    """The model compared, where it should have chosen."""
    assert why_unfit(question, "True\n") == "it gives a truth value, which was not asked for"
    assert why_unfit(question, "9.9") is None


@pytest.mark.parametrize(
    "question",
    [
        "is 221 a prime number?",
        "Is there a prime which divides 91?",
        "not ( True ) and ( True ) is",
        "True or false: how many is a number",
        "What is 5 > 3 in Python?",
        "Here are two words, stone and notes. Are they anagrams of each other, which is to say of the same letters?",
    ],
)
def test_a_truth_value_answers_what_may_be_true(question):
    """A question of yes or no, a logical expression, and whatever else is not sure."""
    assert why_unfit(question, "False\n") is None


@pytest.mark.parametrize(
    "question",
    [
        "A book costs 13 dollars. I pay with a 20 dollar note. How much change do I get?",
        "I went to bed at 22:30 and got up at 7:45. How many minutes did I sleep?",
        "how long is it from 21:15 to 5:30",
    ],
)
def test_an_amount_is_not_negative(question):
    """Two numbers were subtracted the wrong way round, or midnight was forgotten."""
    assert why_unfit(question, "-885\n") == "it gives a negative amount"
    assert why_unfit(question, "885") is None
    assert why_unfit(question, "between -1 and 3") is None


@pytest.mark.parametrize(
    "question",
    [
        "How much is 5 - 12?",
        "how much is 5 minus 12",
        "The temperature was 3 degrees and fell by 9. How many degrees is it now?",
        "I bought it for 80 and sold it for 60. How much profit did I make?",
        "How much is on my account if I had 20 and paid 35?",
        "what is 20 take away 35",
    ],
)
def test_what_may_lie_below_zero_may_be_negative(question):
    """Subtractions, temperatures, money that is owed, and what asks for no amount."""
    assert why_unfit(question, "-15\n") is None
