"""Who is asked for a program, and what comes of it."""

import pytest

from gork.computing.asking import asks_program, kind_in_thread, program_messages
from gork.computing.constant import is_constant
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
    answer = await with_result(
        Answer(member="a", model="m", text="```python\nprint(4.2 * 3)\n```"), Question(text="4.2 * 3?"), sandbox, seed=1
    )

    assert answer.text == "12.6"
    assert answer.ran
    assert answer.computed is not None
    assert (answer.computed.program, answer.computed.output) == ("print(4.2 * 3)", "12.600000000000001\n")


async def test_an_unfit_output_is_no_result(sandbox):
    """So the member is asked again, and an answer in words can be chosen."""
    asked = Question(text="A book costs 13 dollars. I pay with a 20 dollar note. How much change do I get?")
    answer = await with_result(Answer(member="a", model="m", text="```python\nprint(13 - 20)\n```"), asked, sandbox, seed=1)

    assert not answer.ran
    assert answer.computed is not None
    assert (answer.computed.output, answer.computed.problem) == (None, "it gives a negative amount")


@pytest.mark.parametrize("text", ["```python\nx = 1\n```", "```python\n1 / 0\n```", f"{PROGRAM}\n{PROGRAM}"])
async def test_a_program_without_a_result_leaves_the_models_text(sandbox, text):
    """With the problem, and without an output."""
    answer = await with_result(Answer(member="a", model="m", text=text), Question(text="What is it?"), sandbox, seed=1)

    assert answer.text == text
    assert not answer.ran
    assert answer.computed is not None
    assert answer.computed.problem


@pytest.mark.parametrize(
    ("source", "output", "constant"),
    [
        ('print("planet")', "planet", True),
        ('print("45 in binary is 11111111")', "45 in binary is 11111111", True),
        ("# Count\nfruits = 3\nprint(fruits)", "3", True),
        ('n = 350\nprint(f"{n} F")', "350 F", True),
        ("print(str(-4))", "-4", True),
        ("print(-(-4))", "4", False),
        ("print(0xff)", "255", False),
        ("print(int(3.9))", "3", False),
        ('print(f"{3.14159:.1f}")', "3.1", False),
        ('print("It is 3.1.")', "It is 3.1.", True),
        ('print(int("101101", 2))', "45", False),
        ('print("planet"[::-1])', "tenalp", False),
        ('print("noon"[::-1])', "noon", False),
        ("print(len('abc'))", "3", False),
        ("print(5 * 1)", "5", False),
        ("print(3 > 2)", "True", False),
        ("for n in (1, 2):\n    print(n)", "1\n2", False),
        ("from datetime import date\nprint(date(2031, 7, 14).strftime('%A'))", "Monday", False),
    ],
)
def test_a_program_that_prints_what_stands_in_it_works_nothing_out(source, output, constant):
    """Whatever is called or operated on is work, and so is an output that is not in the source."""
    assert is_constant(source, output) is constant


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


async def test_follow_ups_on_follow_ups_are_computed_too():
    """Ten of them; each has the kind of the question that all go on with, and none that of a question before another one."""
    history = ({"role": "user", "content": "what is 4 percent of 80?"}, {"role": "assistant", "content": "3.2"})
    for number in range(10):
        asked = f"and what about {number}?"
        assert kind_in_thread(Question(text=asked, history=history)) is Kind.ARITHMETIC
        history += ({"role": "user", "content": asked}, {"role": "assistant", "content": "3"})
    history += ({"role": "user", "content": "Who wrote Faust?"}, {"role": "assistant", "content": "Goethe."})
    assert kind_in_thread(Question(text="and what about 5?", history=history)) is not Kind.ARITHMETIC
