"""Examples in questions about code, and what answers make of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gork.computing.examples import MOST_EXAMPLES, Examined, Example, check_examples, examples_in
from gork.computing.sandbox import Limits, Sandbox
from tests.support.cpu_time import least_cpu_seconds


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One for all."""
    async with Sandbox(Limits(seconds=0.2)) as made:
        yield made


@pytest.mark.parametrize(
    ("question", "examples"),
    [
        ("Write f.\n```python\ndef f(n):\n    '''Double it.\n    >>> f(2)\n    4\n    '''\n```", [("f(2)", "4")]),
        ("Write double: double(2) -> 4, double(-1) -> -2", [("double(2)", "4"), ("double(-1)", "-2")]),
        ("Write f so that f(2) == 4.", [("f(2)", "4")]),
        ("assert f([1, 2]) == [2, 1]\nassert f([]) == []", [("f([1, 2])", "[2, 1]"), ("f([])", "[]")]),
        ("f('a, b') should return ['a', 'b']", [("f('a, b')", "['a', 'b']")]),
        ("is_even(4) returns True", [("is_even(4)", "True")]),
        ("square(4) ➞ 16", [("square(4)", "16")]),
        ("`square(4)` → `16`", [("square(4)", "16")]),
        ('f("x")  # returns "db1db"', [('f("x")', '"db1db"')]),
        ("A function that squares. It returns 9 for 3.", [("(3)", "9")]),
        ("Input: nums = [2, 7], target = 9\nOutput: [0, 1]\nExplanation: none", [("([2, 7], 9)", "[0, 1]")]),
        ('**Input:** s = "abc"\n**Output:** 3', [("('abc')", "3")]),
        ("For lst = [0, 81] the output should be 3", [("([0, 81])", "3")]),
        ('f("5 apples", 19) -> 19 - 5 = 14', [('f("5 apples", 19)', "14")]),
        ("def grades(gpa):\n    grade([4.0]) ==> ['A']\n    grade([3]) ==> ['B']", [("grades([4.0])", "['A']"), ("grades([3])", "['B']")]),
        ("def grades(gpa):\n    sum([4, 3]) == 7", [("sum([4, 3])", "7")]),
        ("def grades(gpa):\n    a(1) == 2\n    b(1) == 2", [("a(1)", "2"), ("b(1)", "2")]),
        ("def f(n):\n    list(f(2)) == [2]", [("list(f(2))", "[2]")]),
        ("def f(n): ...\ndef g(n): ...\nh(1) == 2", [("h(1)", "2")]),
    ],
)
def test_examples_are_found_as_people_state_them(question: str, examples: list[tuple[str, str]]):
    """A call, or the arguments of one, and a literal."""
    assert examples_in(question) == tuple(Example(*example) for example in examples)


@pytest.mark.parametrize(
    "question",
    [
        "Write a function that adds two numbers.",
        "def f(n): 3",
        "f(2) -> a list of two",
        "f(2) -> 2 + 2",
        "f(1) == f(2)",
        "Input: hello\nOutput: olleh",
        "Call f(2).",
        "",
    ],
)
def test_what_is_no_example_is_not_taken_for_one(question: str):
    """A wrong example would count against right answers."""
    assert examples_in(question) == ()


def test_no_more_examples_are_taken_than_are_tried():
    """Each is a run."""
    assert len(examples_in("\n".join(f"f({n}) -> {n}" for n in range(50)))) == MOST_EXAMPLES


@pytest.mark.parametrize("piece", ["f(1) ", "f(", "def f(", "'f(", "f(1): 1 - ", "Input: ", "for x = ", "returns ", ">>> f\n"])
def test_no_question_takes_long_to_read(piece: str):
    """It is read on the service's own time, by whoever asks."""
    assert least_cpu_seconds(lambda: examples_in(piece * (20_000 // len(piece)))) < 0.5


DOUBLE = "```python\ndef double(n):\n    return 2 * n\n```"
EXAMPLES = (Example("double(2)", "4"), Example("double('a')", "'aa'"))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("answer", "examined"),
    [
        (DOUBLE, Examined(passed=2)),
        (f"Like this:\n{DOUBLE}\nIt doubles.", Examined(passed=2)),
        ("def double(n):\n    return n + n", Examined(passed=2)),
        ("```python\ndef double(n):\n    return n ** 2\n```", Examined(passed=1, failed=1)),
        ("```python\ndef double(n):\n    print(n)\n```", Examined(failed=2)),
        ("```python\ndef double(n):\n    while True: pass\n```", Examined(failed=1, unknown=1)),
        ("```python\ndef double(n) return 2 * n\n```", Examined(failed=2)),
        ("```python\nimport numpy as np\ndef double(n):\n    return np.multiply(n, 2)\n```", Examined(unknown=2)),
        ("```python\ndef double(n):\n    yield n\n```", Examined(unknown=2)),
        ("```python\ndef twice(n):\n    return 2 * n\n```", Examined(unknown=2)),
        (
            "```python\nclass N:\n    def __bool__(self): return False\ndef double(n):\n    return 2 * n if N() else 0\n```",
            Examined(unknown=2),
        ),
        ("```python\ndef double(n):\n    return next(x for x in [2 * n])\n```", Examined(unknown=2)),
        ("It multiplies by two.", Examined(unknown=2)),
        ("```javascript\nfunction double(n) { return 2 * n }\n```", Examined(unknown=2)),
    ],
)
async def test_an_answer_is_tried_on_the_examples(sandbox: Sandbox, answer: str, examined: Examined):
    """Passed, failed, or not known: what the sandbox lacks never counts as wrong."""
    assert await check_examples(answer, EXAMPLES, sandbox) == examined


@pytest.mark.asyncio(loop_scope="module")
async def test_a_nameless_example_is_of_the_only_function(sandbox: Sandbox):
    """With two functions it cannot be told whose it is."""
    examples = (Example("(3)", "9"),)

    assert await check_examples("```python\ndef square(n):\n    return n * n\n```", examples, sandbox) == Examined(passed=1)
    assert await check_examples("```python\ndef a(n):\n    return 9\ndef b(n):\n    return 9\n```", examples, sandbox) == Examined(
        unknown=1
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_fractions_are_compared_as_numbers(sandbox: Sandbox):
    """0.1 + 0.2 is 0.3 to whoever wrote the example."""
    answer = "```python\ndef add(a, b):\n    return a + b\n```"

    assert await check_examples(answer, (Example("add(0.1, 0.2)", "0.3"),), sandbox) == Examined(passed=1)
