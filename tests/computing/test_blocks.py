"""Which program of an answer is run, if any."""

from __future__ import annotations

import pytest

from gork.computing.blocks import NoProgram, program_in

PRINTS = "print(6 * 7)"


@pytest.mark.parametrize(
    "answer",
    [
        f"```python\n{PRINTS}\n```",
        f"Here it is:\n\n```py\n{PRINTS}\n```\n\nThe output is 42.",
        f"```\n{PRINTS}\n```",
        f"~~~Python\n{PRINTS}\n~~~",
        f"{PRINTS}\n",
    ],
)
def test_the_one_closed_block_is_the_program(answer: str):
    """Python or without a language; an answer without a fence counts where all of it is Python that prints."""
    assert program_in(answer, complete=True) == PRINTS


@pytest.mark.parametrize(
    ("answer", "complete", "why"),
    [
        (f"```python\n{PRINTS}\n```\n```python\n{PRINTS}\n```", True, "2 code blocks"),
        (f"```python\n{PRINTS}\n```\n```output\n42\n```", True, "2 code blocks"),
        ("```javascript\nconsole.log(42)\n```", True, "javascript"),
        (f"```python\n{PRINTS}", True, "never closed"),
        (f"```python\n{PRINTS}", False, "never closed"),
        ("```python\n\n```", True, "empty"),
        (PRINTS, False, "no code block"),
        (f"```python\n{'#' * 30_000}\n```", True, "longer"),
    ],
)
def test_what_is_no_program_says_why(answer: str, complete: bool, why: str):
    """Several blocks, another language, one that was cut: not run."""
    found = program_in(answer, complete=complete)

    assert isinstance(found, NoProgram)
    assert why in found.reason
    assert not found.words


@pytest.mark.parametrize("answer", ["It is 42.", "", "Use print() for that.", "x = 6 * 7", "print(6 * 7) gives 42"])
def test_an_answer_in_words_is_no_failed_program(answer: str):
    """It takes part as what it is."""
    found = program_in(answer, complete=True)

    assert isinstance(found, NoProgram)
    assert found.words


def test_what_cpython_warns_of_is_a_program_all_the_same():
    r"""A string with "\d" in it: nobody is told of a warning about what a model wrote."""
    source = 'print("\\d")'

    assert program_in(source, complete=True) == source
