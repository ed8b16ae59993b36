"""The final answer of an answer, and whether two answers agree."""

from __future__ import annotations

from fractions import Fraction
from time import process_time

import pytest

from gork.text.final_answer import (
    CodeAnswer,
    DateAnswer,
    DurationAnswer,
    ItemsAnswer,
    NumberAnswer,
    OptionAnswer,
    PhraseAnswer,
    TruthAnswer,
    ValueAnswer,
    final_answer,
    same,
)
from gork.turn import Kind

PLANETS = "Which planet is the largest?\nA) Mars\nB) Jupiter\nC) Venus"
SORT = "Sort these words alphabetically: pear fig apple"
CAPITAL = "What is the capital of France?"


@pytest.mark.parametrize(
    ("question", "kind", "answer", "final"),
    [
        ("what is 15% of 240", Kind.ARITHMETIC, "36.0", NumberAnswer(Fraction(36))),
        ("what is 15% of 240", Kind.ARITHMETIC, "15% of 240 is 0.15 × 240 = **36**.", NumberAnswer(Fraction(36))),
        ("whats half of 50", Kind.ARITHMETIC, "Half of 50 is 25, because 25 + 25 = 50.", NumberAnswer(Fraction(25))),
        ("How many days are there in 3 weeks?", Kind.DATES, "There are 21 days in 3 weeks.", NumberAnswer(Fraction(21))),
        ("which is larger 9.11 or 9.9", Kind.ARITHMETIC, "9.9 is larger than 9.11.", NumberAnswer(Fraction("9.9"))),
        ("Is 97 a prime number?", Kind.ARITHMETIC, "Yes, 97 is prime.", TruthAnswer(value=True)),
        ("Is 97 a prime number?", Kind.ARITHMETIC, "True", TruthAnswer(value=True)),
        ("Evaluate: not True or False", Kind.ARITHMETIC,
         "not True is False.\nFalse or False is False.\nThe answer is False.", TruthAnswer(value=False)),
        ("45 in binary", Kind.ARITHMETIC, "45 in binary is `101101`.", PhraseAnswer(("101101",))),
        ("45 in binary", Kind.ARITHMETIC, "0b101101", PhraseAnswer(("101101",))),
        ("1994 in roman numerals", Kind.ARITHMETIC, "1994 is written MCMXCIV.", PhraseAnswer(("mcmxciv",))),
        ("what is 3 + 4", Kind.ARITHMETIC, "It is 7 or 8.", None),
        (SORT, Kind.COUNTING, "['apple', 'fig', 'pear']", ItemsAnswer(("apple", "fig", "pear"))),
        (SORT, Kind.COUNTING, "[apple, fig, pear]\n\nThe list is sorted in ascending order.", ItemsAnswer(("apple", "fig", "pear"))),
        (SORT, Kind.COUNTING, "apple fig pear", ItemsAnswer(("apple", "fig", "pear"))),
        (SORT, Kind.COUNTING, "The sorted list is: apple, fig and pear.", ItemsAnswer(("apple", "fig", "pear"))),
        (SORT, Kind.COUNTING, "Sorted:\n1. apple\n2. fig\n3. pear", ItemsAnswer(("apple", "fig", "pear"))),
        ('reverse "stop"', Kind.COUNTING, 'The reverse of "stop" is "pots".', PhraseAnswer(("pots",))),
        ("is level a palindrome", Kind.COUNTING, "Yes, it reads the same both ways.", TruthAnswer(value=True)),
        ("what weekday is july 4 2026", Kind.DATES, "July 4, 2026 is a Saturday.", PhraseAnswer(("saturday",))),
        ("what date is 90 days after 5 november 2025", Kind.DATES, "It is February 3rd, 2026.", DateAnswer(2026, 2, 3)),
        ("what date is 90 days after 5 november 2025", Kind.DATES, "2026-02-03", DateAnswer(2026, 2, 3)),
        ("days between march 3 and april 17", Kind.DATES, "45 days, 0:00:00", NumberAnswer(Fraction(45))),
        ("from 9:45 to 17:20, how long is that", Kind.DATES, "7:35:00", DurationAnswer(Fraction(455))),
        ("from 9:45 to 17:20, how long is that", Kind.DATES, "That is 7 hours and 35 minutes.", DurationAnswer(Fraction(455))),
        ("what time is 100 minutes after 11:35 pm", Kind.DATES, "1:15 am", DurationAnswer(Fraction(75))),
        ("what does [1, 2] + [3] give", Kind.CODE_OUTPUT, "It returns `[1,2,3]`.", ValueAnswer("[1, 2, 3]")),
        ("what does {2: 'a', 2: 'b'} give", Kind.CODE_OUTPUT, "{2: 'a', 2: 'b'}", ValueAnswer('"{2: \'a\', 2: \'b\'}"')),
        ("what does 'a' * 3 give", Kind.CODE_OUTPUT, "```\n'aaa'\n```", ValueAnswer("'aaa'")),
        ("what does 'a' * 3 give", Kind.CODE_OUTPUT, 'The answer is "aaa".', ValueAnswer("'aaa'")),
        (PLANETS, Kind.CHOICE, "B", OptionAnswer("B")),
        (PLANETS, Kind.CHOICE, "b) Jupiter", OptionAnswer("B")),
        (PLANETS, Kind.CHOICE, "The answer is **(B)**.", OptionAnswer("B")),
        (PLANETS, Kind.CHOICE, "Jupiter is the largest planet, far larger than Earth.", OptionAnswer("B")),
        (PLANETS, Kind.CHOICE, "Mars and Venus are both small.", None),
        ("is the earth flat, yes or no", Kind.CHOICE, "No. It is round.", TruthAnswer(value=False)),
        ("Evaluate: not False. Answer True or False.", Kind.ARITHMETIC, "True or False.", None),
        ("Evaluate: not False. Answer True or False.", Kind.ARITHMETIC, "True/False", None),
        ("Evaluate: not False. Answer True or False.", Kind.ARITHMETIC, "It is True.\n\nTherefore, the answer is True or False.", None),
        ("is the earth flat, yes or no", Kind.CHOICE, "Yes, no doubt.", TruthAnswer(value=True)),
        (CAPITAL, Kind.FACT, "Paris", PhraseAnswer(("paris",))),
        (CAPITAL, Kind.FACT, "The capital of France is **Paris**.", PhraseAnswer(("paris",))),
        (CAPITAL, Kind.FACT, "Paris is the capital of France. It lies on the Seine.", PhraseAnswer(("paris",))),
        (CAPITAL, Kind.FACT, "Paris or Lyon.", None),
        (CAPITAL, Kind.FACT, "It is not Paris.", None),
        (CAPITAL, Kind.FACT, r"\boxed{\text{Paris}}", PhraseAnswer(("paris",))),
        ("Who wrote Harry Potter?", Kind.FACT,
         "The books were written by the author J. K. Rowling in 1997.", PhraseAnswer(("jk", "rowling"))),
        ("how many legs does an insect have", Kind.FACT, "Insects have six legs, three on each side.", NumberAnswer(Fraction(6))),
        ("when did the titanic sink", Kind.FACT, "It sank on 15 April 1912.", DateAnswer(1912, 4, 15)),
        ("a function that adds", Kind.CODE,
         "Sure:\n```python\ndef add(a,b):\n    '''Add.'''\n    return a+b # sum\n```",
         CodeAnswer("def add(a, b):\n    return a + b")),
        ("linux command for the folder", Kind.CODE, "Use `pwd`.", CodeAnswer("pwd")),
        ("write a poem", Kind.OPEN, "Roses are red.", None),
        ("3 bullets about cats", Kind.FORM, "- a\n- b\n- c", None),
        (CAPITAL, Kind.FACT, "", None),
    ],
)  # fmt: skip
def test_the_final_answer_is_read_however_it_is_put(question, kind, answer, final):
    """Bare, in a sentence, bold, boxed, in code marks; nothing where the answer does not decide."""
    assert final_answer(answer, question, kind) == final


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (NumberAnswer(Fraction("12.6")), NumberAnswer(Fraction("12.600000000000001"))),
        (NumberAnswer(Fraction("41.67")), NumberAnswer(Fraction(125, 3))),
        (PhraseAnswer(("neil", "armstrong")), PhraseAnswer(("armstrong",))),
        (PhraseAnswer(("cow",)), PhraseAnswer(("cows",))),
        (DateAnswer(None, 4, 15), DateAnswer(1912, 4, 15)),
        (NumberAnswer(Fraction(1912)), DateAnswer(1912, 4, 15)),
    ],
)
def test_answers_that_say_the_same_are_the_same(one, other):
    """In either order."""
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (NumberAnswer(Fraction(12)), NumberAnswer(Fraction(13))),
        (NumberAnswer(Fraction("3.33")), NumberAnswer(Fraction("3.34"))),
        (NumberAnswer(Fraction("0.001")), NumberAnswer(Fraction("0.003"))),
        (PhraseAnswer(("north", "korea")), PhraseAnswer(("korea",))),
        (PhraseAnswer(("paris",)), PhraseAnswer(("lyon",))),
        (ItemsAnswer(("a", "b")), ItemsAnswer(("b", "a"))),
        (OptionAnswer("A"), PhraseAnswer(("a",))),
        (DateAnswer(1911, 4, 15), DateAnswer(1912, 4, 15)),
    ],
)
def test_answers_that_say_something_else_are_not_the_same(one, other):
    """Near is not the same, and neither is another sort of answer."""
    assert not same(one, other)
    assert not same(other, one)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    "piece", ["a", "1", "(", "**", "`", "A) x ", "1, ", "answer is ", "\\boxed{", "not x or ", "10:00 h ", "\n", "- a\n", "```\n"]
)
def test_a_hundred_kilobytes_of_anything_end_soon(piece, kind):
    """Answers are untrusted: no pattern is slow on texts that were made for it."""
    began = process_time()
    final_answer((piece * 100_000)[:100_000], PLANETS + " 5 of 7 and 10:00?", kind)
    assert process_time() - began < 3
