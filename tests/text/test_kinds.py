"""The kind of a question: which questions are computed, and which are not."""

from pathlib import Path

import pytest

from bench.kinds import labelled
from gork.text.kinds import continues, evidence, kind_of
from gork.turn import COMPUTABLE, Kind
from tests.support.cpu_time import least_cpu_seconds

HERE = Path(__file__).parent
DEVELOPMENT = HERE.parent.parent / "bench/judge/questions/development.yaml"


@pytest.mark.parametrize("path", [*sorted(HERE.glob("everyday_kinds*.yaml")), DEVELOPMENT], ids=lambda path: path.stem)
def test_nine_in_ten_computable_questions_are_found_and_two_in_a_hundred_others_taken(path):
    """The aim of the feature, on every set of questions that is kept here."""
    questions = labelled(path)
    found = [kind_of(question.ask) in COMPUTABLE for question in questions if question.computable]
    taken = [kind_of(question.ask) in COMPUTABLE for question in questions if not question.computable]
    assert sum(found) >= 0.9 * len(found)
    assert sum(taken) <= 0.02 * len(taken)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("tip on a 46.50 bill at 18%", Kind.ARITHMETIC),
        ("is 9.11 bigger than 9.9", Kind.ARITHMETIC),
        ("not ( True ) and ( True ) is", Kind.ARITHMETIC),
        ("I have a grape, a banana, and two plums. How many fruits do I have?", Kind.COUNTING),
        ('how many r are in "strawberry"', Kind.COUNTING),
        ("days between march 3 and april 17", Kind.DATES),
        ("70 mph in km/h", Kind.DATES),
        ("what does print(2**3) give", Kind.CODE_OUTPUT),
        ("```python\nprint(sum([1, 2]))\n```", Kind.CODE_OUTPUT),
        ("write a python function that adds 2 numbers", Kind.CODE),
        ("explain this\n```python\nprint(1)\n```", Kind.CODE),
        ("Which is largest?\nA. 5\nB. 7\nC. 3", Kind.CHOICE),
        ("true or false: the sun is a star", Kind.CHOICE),
        ("how many legs does a spider have", Kind.FACT),
        ("name 3 colors as a json array", Kind.FORM),
        ("write a poem with 4 lines", Kind.OPEN),
        ("", Kind.OPEN),
    ],
)
def test_a_question_has_the_kind_of_its_task(question, kind):
    """One of each kind, and the cases at which two kinds meet."""
    assert kind_of(question) is kind


@pytest.mark.parametrize(
    ("computed", "asked"),
    [
        ("what is 15% of 240", "explain why 15% of 240 is not 40"),
        ("12 miles in km", "is running 12 miles a day healthy"),
        ("reverse the word stop", "how do i reverse a list"),
        ("what is the value of len('abc')", "what does len('abc') mean"),
    ],
)
def test_a_wish_for_words_about_numbers_is_not_computed(computed, asked):
    """What is to be explained, advised or judged is not computed, whatever numbers it has."""
    assert kind_of(computed) in COMPUTABLE
    assert kind_of(asked) not in COMPUTABLE


def test_numbers_inside_quotations_are_no_quantities():
    """A question about a quoted text is not a question about the numbers in it."""
    assert kind_of("How heavy is the dog? 'We have 2 cats and a brown dog of 18 kilos.'") not in COMPUTABLE


def test_names_years_and_ordinals_are_no_quantities():
    """Ordinals, the numbers of names and years count nothing."""
    assert "two quantities" not in evidence("who played for the ps5 team in 1995 and in 2002, and in chapter 3 of the 16th book")


@pytest.mark.parametrize(
    "question",
    ["write keyboard backwards", "write the word window backwards", "schreib lampe rückwärts", "whats the third letter of elephant"],
)
def test_a_word_that_stands_there_is_worked_on(question):
    """To write it backwards is no wish for prose, and its third letter is no fact."""
    assert kind_of(question) in COMPUTABLE


@pytest.mark.parametrize(
    "question",
    ["write a story backwards", "write a poem that reads the same backwards: about rain", "what is the last letter of the alphabet"],
)
def test_a_text_that_does_not_stand_there_is_not_worked_on(question):
    """It is to be written first, or to be known."""
    assert kind_of(question) not in COMPUTABLE


@pytest.mark.parametrize("question", ["and with 5 percent?", "what about 30?", "und bei 20 %?", "et pour 12 personnes ?", "y con 3?"])
def test_a_short_question_with_a_joining_word_and_a_number_goes_on(question):
    """Its kind is that of the turn before."""
    assert continues(question)


@pytest.mark.parametrize("question", ["and why?", "what is 5% of 80?", "and write 3 poems about it", "and so " + "on " * 20 + "5"])
def test_other_questions_do_not_go_on(question):
    """Without a number, a joining word or brevity it stands for itself."""
    assert not continues(question)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "1",
        "(",
        "a(",
        "1+",
        "what ",
        "what is print ",
        "'",
        '"',
        "a (b ",
        "not ( ",
        "a chair ",
        "1:00 ",
        "how many a ",
        "[x[",
        "1 / ",
        "```",
        "x = ",
        "秒",
        "mean ",
    ],
)
def test_no_hundred_kilobytes_take_much_longer_than_words(piece):
    """No pattern is slow on texts that were made for it, and of a long question only a part is read."""
    assert _seconds(piece) < 10 * _seconds("word ")


def _seconds(piece: str) -> float:
    """What the kind of this piece takes, repeated."""
    question = (piece * 100_000)[:100_000]
    return least_cpu_seconds(lambda: kind_of(question))
