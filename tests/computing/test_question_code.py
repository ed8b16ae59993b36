"""Code in a question: what is run, and what it gives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gork.computing.question_code import program_of
from gork.computing.sandbox import Ran, Sandbox


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One for all."""
    async with Sandbox() as made:
        yield made


F = "def f(s):\n    return s[::-1]"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("question", "gives"),
    [
        ("What does this print?\n```python\nx = [1, 2, 3]\nprint(x[::-1])\n```", "[3, 2, 1]"),
        (f"```python\n{F}\n```\nWhat does f('abc') return?", "'cba'"),
        (f"```python\n{F}\nassert f('abc') == ??\n```", "'cba'"),
        (f"Complete:\n{F}\nassert f('abc') == ??", "'cba'"),
        (f"```python\n{F}\n```\nWhat does `print(f('abc'))` print?", "cba"),
        ("What is the value of x after this code?\n```\nx = 3\nx **= 2\n```", "9"),
        ("What is in d afterwards?\n```python\nd = {}\nd['a'] = 1\n```", "{'a': 1}"),
        ("what's the output of print('a'*3)", "aaa"),
        ("What does `sorted([3, 1, 2])[0]` evaluate to?", "1"),
        ("what will be printed:\nfor i in range(3):\n    print(i)", "0\n1\n2"),
        ("What does this return in Python?\n\ndef g(a, b=2):\n    return a ** b\n\ng(3)", "9"),
        (">>> len('abc')", "3"),
        ("what does [x*x for x in range(4)] give in python", "[0, 1, 4, 9]"),
        ("in python, what is bool('False')?", "True"),
        ("Was gibt print(len('hallo')) aus?", "5"),
        ("```python\ndef f(x):\n    x.sort()\n```\nWhat does f([2, 1]) return?", "None"),
    ],
)
async def test_the_code_is_run_as_it_stands(sandbox: Sandbox, question: str, gives: str):
    """Fenced or not; with the call that the words name, whose value is shown as the interpreter shows it."""
    source = program_of(question)
    assert source is not None
    outcome = await sandbox.run(source, none_counts=True)

    assert isinstance(outcome, Ran), outcome
    assert outcome.shown == gives


@pytest.mark.parametrize(
    "question",
    [
        "```js\nconsole.log(1)\n```\nWhat does it print?",
        'What does this C code print?\n```c\nprintf("%d", 1);\n```',
        "What does this JavaScript print?\n```\nprint(1)\n```",
        "Write a function that adds two numbers.",
        "How many times does this loop run?\n```python\nfor i in range(3):\n    pass\n```",
        "fix this: ```python\nprint(1\n```",
        "why does x = 1; print(y) fail?",
        "What is a list?",
        "```python\nprint(1)\n```\n```python\nprint(2)\n```\nWhich is better?",
        "",
    ],
)
def test_what_cannot_be_run_as_it_stands_is_not(question: str):
    """Another language, no code, several pieces, code that shows nothing that is asked for."""
    assert program_of(question) is None


@pytest.mark.parametrize(
    "piece", ["(", "f(", "x = 1 ", ">>> f\n", "a b c ", "1+", "-", "f(1).g(2) ", "`a` ", "print(", "assert f( == ??\n"]
)
def test_no_question_takes_long_to_read(piece: str):
    """It is read on the service's own time, by whoever asks."""
    started = time.perf_counter()
    program_of(piece * (20_000 // len(piece)))

    assert time.perf_counter() - started < 0.5


def test_reading_needs_no_event_loop():
    """Nothing is run yet."""
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert program_of("what does len('ab') return") == "print(repr(len('ab')))"
