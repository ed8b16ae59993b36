"""What plain code reads in a text: fences, lists, sentences, number words, the final number, claims."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gork.text.claims import negated
from gork.text.code import commands, defining, first_query, inline
from gork.text.expressions import agreement, evaluate
from gork.text.final_number import FinalNumber, final_number
from gork.text.numbers import COUNTED, KEYS, count, spelt_to_digits
from gork.text.questions import instructions
from gork.text.sentences import count_sentences, sentence_range
from gork.text.structure import Block, bare, items, split_code, unwrapped
from gork.text.tokens import find, phrase_tokens, tokens


@pytest.mark.parametrize(
    ("text", "prose", "blocks"),
    [
        ("a\n```python\nx\n```\nb", "a\n\nb", [Block("python", "x", closed=True)]),
        ("~~~\nx\n~~~", "", [Block("", "x", closed=True)]),
        ("````\n```\nx\n```\n````", "", [Block("", "```\nx\n```", closed=True)]),
        ("```\nx\n`````", "", [Block("", "x", closed=True)]),
        ("1. So:\n   ```SQL title\n   x\n   ```", "1. So:\n", [Block("sql", "   x", closed=True)]),
        ("> ```\n> x\n> ```", "", [Block("", "> x", closed=True)]),
        ("```\nx", "", [Block("", "x", closed=False)]),
        ("```\nx\n```\n```js\ny\n```", "\n", [Block("", "x", closed=True), Block("js", "y", closed=True)]),
        ("use ```x``` here", "use ```x``` here", []),
        ("no code", "no code", []),
    ],
)
def test_fences_part_code_from_prose(text, prose, blocks):
    """Backticks or tildes, indented or quoted; a closing fence is at least as long as the opening one and names no language."""
    assert (prose, tuple(blocks)) == split_code(text)


@given(st.lists(st.sampled_from(["```", "~~~", "````", "  ```", "> ~~~", "a", "b b", "`c`", "- d"]), max_size=12))
def test_no_line_is_lost_to_fences(lines):
    """Whatever stands before, between and after fences is in the prose or in a block, once; at most the last block is open."""
    prose, blocks = split_code("\n".join(lines))
    kept = "\n".join([prose, *(block.text for block in blocks)]).splitlines()

    assert all(lines.count(line) == kept.count(line) for line in ("a", "b b", "`c`", "- d"))
    assert all(block.closed for block in blocks[:-1])


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```\nyes\n```", "yes"),
        (" “yes” ", "yes"),
        ("`yes`", "yes"),
        ('"yes" or "no"', '"yes" or "no"'),
        ("yes", "yes"),
        ("'", "'"),
    ],
)
def test_one_fence_or_pair_of_quotation_marks_around_the_whole_is_taken_off(text, inside):
    """Two quotations at both ends are not one pair."""
    assert inside == unwrapped(text)


def test_items_have_their_indentation_and_number():
    """Bullets have no number; lines that are not items are left out."""
    found = items("Buy:\n- milk\n  2) eggs\nand go")

    assert [(0, None, "milk"), (2, 2, "eggs")] == [(item.indent, item.number, item.text) for item in found]


def test_bare_text_has_no_markup():
    """Emphasis, headings, list markers and fences are gone; the words stay."""
    assert "Title\none\ntwo\nx = 1" == bare("## Title\n- **one**\n- `two`\n```python\nx = 1\n```")


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ('Summarise in one word: "say it in ten words"', "Summarise in one word:"),
        ("Translate this text: answer in two words", "Translate this text:"),
        ("Fix it in one line:\n```\nin ten lines\n```", "Fix it in one line:"),
        ("Answer in two words.", "Answer in two words."),
    ],
)
def test_instructions_are_what_a_question_asks_for(question, asked):
    """The text that it is about states nothing."""
    assert asked == instructions(question)


@pytest.mark.parametrize(
    ("text", "least", "most", "exactly"),
    [
        ("Dr. Ames lives here. So does Jo.", 2, 3, 2),
        ("It is 5 p.m. in Rome.", 1, 2, 2),
        ("He works for Acme Inc. and sings.", 1, 2, 2),
        ("One line\nanother", 1, 1, 2),
        ("", 0, 0, 0),
    ],
)
def test_sentences_are_counted_within_a_range_or_exactly(text, least, most, exactly):
    """Abbreviations end no sentence; those that may are left open in the range."""
    assert ((least, most), exactly) == (sentence_range(text), count_sentences(text))


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("twenty-five plus seventeen", "25 plus 17"),
        ("one hundred and three", "103"),
        ("two thousand five hundred", "2500"),
        ("a billion", "a billion"),
        ("three four", "3 4"),
        ("someone often weighs nothing", "someone often weighs nothing"),
    ],
)
def test_number_words_become_digits(written, digits):
    """Joined to one number where they join; words that only contain a number word stay."""
    assert digits == spelt_to_digits(written)


def test_every_counted_word_is_the_number_that_it_says():
    """The table and its readers agree, also for tens with ones."""
    for word, value in COUNTED.items():
        assert str(value) == spelt_to_digits(word)
        assert value == count(word)
    assert (1, 100, 99, 340) == (count("a single"), count("A hundred"), count("ninety-nine"), count("340"))


def test_number_words_of_several_languages_have_one_key():
    """The key is what the word has in common with other spellings of its number."""
    assert {"2"} == {KEYS[word] for word in ("two", "zwei", "deux", "два")}
    assert ("3rd", "half") == (KEYS["third"], KEYS["half"])
    assert "one" not in KEYS


@pytest.mark.parametrize(
    ("answer", "value", "hedged"),
    [
        ("The answer is 12 × 8 = 96.", 96, False),
        ("1. Multiply.\n2. It is ninety-six.", 96, False),
        ("\\boxed{\\frac{1}{2}}", Fraction(1, 2), False),
        ("The total is \\(\\boxed{42}\\), for 3 people.", 42, False),
        ("\\[ \\boxed{42 \\text{ km}} \\]\n\nAsk me if you have 2 more questions.", 42, False),
        ("```python\nprint(6 * 7)\n```\nOutput:\n42", 42, False),
        ("96 or 98", 98, True),
        ("maybe 96, maybe 98", 98, True),
        ("not 96, but 98", 98, False),
    ],
)
def test_the_final_number_of_an_answer(answer, value, hedged):
    """Stated, worked out or last; and whether another one is offered beside it."""
    assert FinalNumber(Fraction(value), hedged) == final_number(answer)


@pytest.mark.parametrize("answer", ["", "no idea", "the 12th", "Step 2", "12 times 8"])
def test_an_answer_without_a_result_has_no_final_number(answer):
    """Labels, ordinals and open calculations are not results."""
    assert final_number(answer) is None


def test_the_questions_noun_tells_which_number_is_the_answer():
    """Where the question asks for the area, the area counts, not the number after it."""
    answer = "The area is 12. Each side is 3 and 4."

    assert (12, 4) == (final_number(answer, "What is the area?").value, final_number(answer).value)


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("not Paris", True),
        ("rather than Paris", True),
        ("Paris is wrong", True),
        ("It isn't Lyon, Paris, or Nice", True),
        ("not only Paris", False),
        ("not Lyon. Paris", False),
        ("Paris", False),
    ],
)
def test_a_phrase_is_denied_within_its_clause(text, denied):
    """A negation reaches a few words and over the items of a list, not over a full stop."""
    found = tokens(text)
    (span,) = find(found, phrase_tokens("Paris"))

    assert denied == negated(found, span)


def test_code_of_an_answer_is_found():
    """Fenced, inline and as commands; the block that defines a name; the first query."""
    answer = "Use `ls -l`:\n```bash\n$ ls -a  \n# all\n```\n```python\ndef f(): ...\n```\nSELECT a FROM b; done"

    assert ["ls -l"] == inline(answer)
    assert "ls -a" in commands(answer)
    assert "def f(): ..." == defining(answer, "f")
    assert "SELECT a FROM b" == first_query(answer)
    assert answer == defining(answer, "g")


def test_expressions_are_exact_and_bounded():
    """Fractions, not floats; what is too large or ambiguous has no value."""
    third = evaluate("1 / 3")

    assert third is not None
    assert Fraction(1, 3) == third.value
    assert "right" == agreement("0.33", third.value)
    assert evaluate("9 ** 9 ** 9") is evaluate("__import__('os')") is None
