"""What is not judged: answers that are empty, refuse, repeat the question, or were cut short while complete ones are there."""

from __future__ import annotations

import pytest

from gork.judging.decide import shortlist
from gork.turn import Answer, Question

QUESTION = Question(text="What is the capital of France?")


def answers(*texts: str) -> list[Answer]:
    """Complete answers of a, b, c ..."""
    return [Answer(member=name, model=name, text=text) for name, text in zip("abc", texts, strict=False)]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "As an AI language model, I cannot assist with this request.",
        "I am unable to answer this question.",
        "I'm sorry for any confusion, but as a chatbot designed to assist, I don't have the capability to browse.",
        "Sorry, I won't provide that.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m sorry, but I can\N{RIGHT SINGLE QUOTATION MARK}t assist with that.",
    ],
)
def test_a_refusing_answer_is_not_judged(text):
    """A refusal is out while another answer is there, and a note says so."""
    kept = shortlist(QUESTION, answers(text, "Paris", "It is Paris."))

    assert ["b", "c"] == [answer.member for answer in kept.answers]
    assert ("a's answer refuses to answer: not judged",) == kept.notes


@pytest.mark.parametrize(
    "text",
    [
        "I can help: it is Paris.",
        "You can't go wrong with Paris.",
        "Sorry is a word.",
        "I don't have the time, but it is Paris.",
        "I cannot stress enough that it is Paris.",
    ],
)
def test_an_answer_that_only_sounds_like_a_refusal_is_judged(text):
    """Words of regret alone put no answer out."""
    assert 2 == len(shortlist(QUESTION, answers(text, "Paris")).answers)


def test_an_answer_that_repeats_the_question_is_not_judged():
    """An echo of the prompt or of its rewrite is no answer."""
    question = Question(text="capital of france pls", rewrite="What is the capital of France?")

    kept = shortlist(question, answers("what is the capital of France", "Capital of France, pls!", "Paris"))

    assert ["c"] == [answer.member for answer in kept.answers]


def test_when_every_answer_refuses_all_of_them_stay():
    """The prefilter never leaves nothing to choose from."""
    refusal = "I'm sorry, but I can't help with that."

    assert 2 == len(shortlist(QUESTION, answers(refusal, refusal)).answers)


def test_cut_answers_are_out_while_two_complete_ones_are_there():
    """Complete answers are judged among themselves."""
    cut = Answer(member="a", model="a", text="Par", complete=False)

    kept = shortlist(QUESTION, [cut, *answers("", "Paris", "It is Paris")[1:]])

    assert ["b", "c"] == [answer.member for answer in kept.answers]
    assert ("a's answer was cut short: not judged",) == kept.notes


def test_cut_answers_are_judged_when_fewer_than_two_are_complete_and_it_says_so():
    """With one complete answer the others count too."""
    cut = Answer(member="a", model="a", text="Par", complete=False)

    kept = shortlist(QUESTION, [cut, *answers("", "Paris")[1:]])

    assert ["a", "b"] == [answer.member for answer in kept.answers]
    assert "cut short are judged too" in kept.notes[0]
