"""Programs found in answers and questions, and who is asked for one."""

import time

import pytest

from gork.computing.asking import asks_program, kind_in_thread, program_messages
from gork.computing.blocks import NoProgram, program_in
from gork.computing.examples import Example, check_examples, examples_in
from gork.computing.question_code import program_of
from gork.computing.results import of_questions_code, tried_on_examples, with_result
from gork.computing.sandbox import Sandbox
from gork.config.ensemble import Member
from gork.turn import Answer, Kind, Question

PROGRAM = "```python\nprint(2 + 3)\n```"


@pytest.fixture
async def sandbox():
    """One for all."""
    async with Sandbox() as made:
        yield made


@pytest.mark.parametrize(
    "text", [PROGRAM, "Here it is:\n```\nprint(2 + 3)\n```\nIt prints the sum.", "```py\nprint(2 + 3)\n```", "print(2 + 3)"]
)
async def test_the_one_block_of_an_answer_is_its_program(text):
    """With a label or without, or the answer itself where it is Python."""
    assert program_in(text, complete=True) == "print(2 + 3)"


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        (f"{PROGRAM}\n\n{PROGRAM}", True),
        ("```js\nconsole.log(5)\n```", True),
        ("```python\nprint(2 + 3", False),
        ("```python\n\n```", True),
        (f"{PROGRAM}\n```output\n5\n```", True),
        ("x" * 30_000, True),
    ],
)
async def test_what_is_no_single_closed_python_block_is_not_run(text, complete):
    """Several, another language, unclosed, empty, too long."""
    found = program_in(text, complete=complete)

    assert isinstance(found, NoProgram)
    assert not found.words


async def test_an_answer_without_code_is_an_answer_in_words():
    """It was asked for a program and wrote none: it is judged as words."""
    found = program_in("The answer is 5.", complete=True)

    assert isinstance(found, NoProgram)
    assert found.words


@pytest.mark.parametrize(
    ("question", "program"),
    [
        ("what does print(2**3 + 1) give", "print(2**3 + 1)"),
        ("what is the output of this code: for i in range(3): print(i)", "for i in range(3): print(i)"),
        (
            "```python\ndef f(x):\n    return x[::-1]\n```\nWhat does f('ab)c') return?",
            "def f(x):\n    return x[::-1]\nprint(repr(f('ab)c')))",
        ),
        ("x = 5; x += 3; x *= 2; what is x", "x = 5; x += 3; x *= 2\nprint(repr(x))"),
        ('whats "hello"[1:3] in python', 'print(repr("hello"[1:3]))'),
        (">>> len([1, 2])\n?", "print(repr(len([1, 2])))"),
        ("```python\nassert f(3) == ??\n```", "\nprint(repr(f(3)))"),
        ("output?\n```python\nx = 1\nprint(x)\n``` thanks", "x = 1\nprint(x)"),
    ],
)
async def test_the_code_of_a_question_becomes_a_program(question, program):
    """Where people put it, with what is asked of it printed as the interpreter shows it."""
    assert program_of(question) == program


@pytest.mark.parametrize(
    "question",
    [
        "what happened in 1969 (the moon)?",
        "what does console.log([1] + 1) print",
        "what does this print in javascript: print(1)",
        "```js\nlet x = 1\n```\nwhat is x?",
        "python: what is a list?",
        "how does python print text?",
        "( " * 500,
        "f(" * 2000,
    ],
)
async def test_words_and_other_languages_are_no_program(question):
    """And looking for one takes no time."""
    began = time.process_time()

    assert program_of(question) is None
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("question", "examples"),
    [
        ("f(2) -> 4 and f(3) == 9", [Example("f(2)", "4"), Example("f(3)", "9")]),
        (">>> add(1, 2)\n3\n>>> add(0, 0)\n0", [Example("add(1, 2)", "3"), Example("add(0, 0)", "0")]),
        ("assert rev('ab') == 'ba'", [Example("rev('ab')", "'ba'")]),
        ("is_even(3) should return False.", [Example("is_even(3)", "False")]),
        ("a function that returns 9 for 3", [Example("(3)", "9")]),
        ('g("5 apples", 19) -> 19 - 5 - 6 = 8', []),
        ("write f(x) that doubles x", []),
    ],
)
async def test_examples_are_read_as_people_write_them(question, examples):
    """A beginning of a calculation is no example."""
    assert list(examples_in(question)) == examples


async def test_answers_are_tried_on_the_examples(sandbox):
    """Passed, failed, and what cannot be known."""
    examples = examples_in("f(2) -> 4, f(3) -> 6")
    said = [
        await check_examples(text, examples, sandbox)
        for text in (
            "```python\ndef f(x):\n    return 2 * x\n```",
            "```python\ndef f(x):\n    return x * x\n```",
            "```python\nimport fractions\ndef f(x):\n    return 2 * x\n```",
            "```python\ndef g(x):\n    return 2 * x\n```",
            "Use a function.",
        )
    ]

    assert [(one.passed, one.failed, one.unknown) for one in said] == [(2, 0, 0), (1, 1, 0), (0, 0, 2), (0, 0, 2), (0, 0, 2)]


async def test_code_that_passes_beats_code_that_fails(sandbox):
    """And where none passes, all are judged."""
    question = Question(text="write f: f(3) -> 6", kind=Kind.CODE)
    right = Answer(member="a", model="m", text="```python\ndef f(x):\n    return 2 * x\n```")
    wrong = Answer(member="b", model="m", text="```python\ndef f(x):\n    return x\n```")

    tried = await tried_on_examples(question, [wrong, right], sandbox)
    assert tried.answers == (right,)
    assert "b's code fails 1 of 1" in tried.notes[0]
    assert (await tried_on_examples(question, [wrong, wrong], sandbox)).answers == (wrong, wrong)


async def test_the_answer_of_a_program_is_what_it_printed(sandbox):
    """And nothing else; the program and its exact output are kept."""
    answer = await with_result(Answer(member="a", model="m", text="```python\nprint(4.2 * 3)\n```"), sandbox, seed=1)

    assert answer.text == "12.6"
    assert answer.ran
    assert answer.computed is not None
    assert (answer.computed.program, answer.computed.output) == ("print(4.2 * 3)", "12.600000000000001\n")


@pytest.mark.parametrize("text", ["```python\nx = 1\n```", "```python\n1 / 0\n```", f"{PROGRAM}\n{PROGRAM}"])
async def test_a_program_without_a_result_leaves_the_models_text(sandbox, text):
    """With the problem, and without an output."""
    answer = await with_result(Answer(member="a", model="m", text=text), sandbox, seed=1)

    assert answer.text == text
    assert not answer.ran
    assert answer.computed is not None
    assert answer.computed.problem


async def test_a_questions_own_code_is_run(sandbox):
    """Its output is an answer by `computed`."""
    question = Question(text="what does len('hello') return", kind=Kind.CODE_OUTPUT)
    answer = await of_questions_code(question, sandbox, seed=1)

    assert answer is not None
    assert (answer.member, answer.text) == ("computed", "5")


MEMBER = Member(name="coder", model="m", answers={"arithmetic": "program"})


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        (Question(text="q", kind=Kind.ARITHMETIC), True),
        (Question(text="q", kind=Kind.FACT), False),
        (Question(text="q", kind=Kind.DATES), False),
        (Question(text="q", kind=Kind.ARITHMETIC, answer_format="json"), False),
        (Question(text="q", kind=Kind.ARITHMETIC, options={"stop": ("x",)}), False),
        (Question(text="q", kind=Kind.ARITHMETIC, options={"num_predict": 20}), False),
        (Question(text="q", kind=Kind.ARITHMETIC, options={"num_predict": -1, "temperature": 1.0}), True),
    ],
)
async def test_the_kind_decides_who_writes_a_program(question, asked):
    """And a client's wish for a form, a stop text or few tokens keeps to words."""
    assert asks_program(MEMBER, question) is asked


async def test_a_follow_up_goes_on_with_the_last_program():
    """It has the kind of the question before it, and the member reads its last program in place of the number."""
    history = ({"role": "user", "content": "what is 4 percent of 80?"}, {"role": "assistant", "content": "3.2"})
    question = Question(text="and with 5 percent?", history=history, program="print(80 * 0.04)")

    assert kind_in_thread(question) is Kind.ARITHMETIC
    messages = program_messages(MEMBER, question)
    assert messages[-2]["content"] == "```python\nprint(80 * 0.04)\n```"
    assert messages[-1]["content"].startswith("and with 5 percent?\n\n")
    assert len(program_messages(MEMBER, Question(text="what is 5 * 5?", history=history))) == 1
