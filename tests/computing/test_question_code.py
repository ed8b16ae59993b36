"""Code in a question: what is run, and what it gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gork.computing.question_code import program_of
from gork.computing.sandbox import Ran, Sandbox
from tests.support.cpu_time import least_cpu_seconds


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
        (f"```python\n{F}\n```\nWhat do f('ab') and f('cd') return?", "'ba'\n'dc'"),
        (f"```python\n{F}\n```\nf('ab') returns 'ba'. What does f('cd') return?", "'dc'"),
        (f"```python\n{F}\n```\nNow I call f('ab'). What do I get?", "'ba'"),
        (f"```python\n{F}\n```\nWhat is f(f('ab')) + f('c')?", "'abc'"),
        (f"```python\n{F}\n```\nWhat does f('a. b') return?", "'b .a'"),
        ("```python\nclass A:\n    def get(self):\n        return 3\n```\nWhat does A().get() return?", "3"),
        ("```python\nd = {'a': [1, 2]}\n```\nWhat is d['a'][1]?", "2"),
        ("```python\nx = 5\ny = 2\n```\nWhat is x // y?", "2"),
        ("```python\nx = 3\nfor i in range(2):\n    print(i)\n```\nWhat is the value of x after the loop?", "3"),
        ("```python\ndef f(x):\n    print('in f')\n    return x\n```\nWhat does f(2) return?", "2"),
        ("```python\ndef f(x):\n    print('in', x)\n```\nWhat does f(2) print?", "in 2"),
        ("What is printed?\n\n    def f(x):\n        x.append(4)\n\n    a = [1]\n    f(a)\n    print(a)\n", "[1, 4]"),
        ("What does this print? ```python\nprint('a')```", "a"),
        ("If x = [1, 2, 3], what is x[-1]?", "3"),
        ("Given lst = [3, 1, 2], what does sorted(lst, reverse=True) return?", "[3, 2, 1]"),
        ("in python a = 5, b = 2, what is a % b", "1"),
        ("what does ‘print(“a”)’ print", "a"),
        ('Can you tell me what "print(2+3*4)" prints?', "14"),
        ("My code is print(3+4*2). What will it show?", "11"),
        ("x = 5; x += 3; x *= 2; what is x", "16"),
        ('whats "hello"[1:3] in python', "'el'"),
        ("output?\n```python\nx = 1\nprint(x)\n``` thanks", "1"),
        (f"```python\n{F}\n```\nWhat does f('ab)c') return?", "'c)ba'"),
        ("what does round(2.5) return in python 3", "2"),
        ("```python\nseen = set()\nfor c in 'abca':\n    seen.add(c)\nprint(len(seen))\n```\nWhat is the output?", "3"),
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
        f"```python\n{F}\n```\nWhat does f(x) return?",
        "what happened in 1969 (the moon)?",
        "what does console.log([1] + 1) print",
        "how does python print text?",
        "Given the list [3, 1, 2], what does sorted(lst) return?",
        "what does print(3) print in Python 2?",
        "",
    ],
)
def test_what_cannot_be_run_as_it_stands_is_not(question: str):
    """Another language, no code, several pieces, code that shows nothing that is asked for."""
    assert program_of(question) is None


PRINTS = "```python\nx = 3\nfor i in range(4):\n    print('hi', i + x)\n```\n"


@pytest.mark.parametrize(
    "question",
    [
        "What does this print if I change x to 10?",
        "What is printed if x is 10?",
        "What is printed when x = 10?",
        "What does it print when range(4) is replaced with range(2)?",
        "What would be the output without the + x?",
        "What is the last line of the output?",
        "What is printed on the third line?",
        "How many times is hi printed?",
        "Why does it print hi 3?",
        "What is the difference to print('hi', 3)?",
    ],
)
def test_what_is_asked_beside_the_output_is_not_answered_with_it(question: str):
    """A change, a part, a count, a reason: the output of the code as it stands would be a wrong answer that looks computed."""
    assert program_of(PRINTS + question) is None


@pytest.mark.parametrize(
    "code",
    [
        "import random\nprint(random.randint(1, 6))",
        "from time import time\nprint(time())",
        "print(id([]))",
        "print({'b', 'a'})",
        "print(set('hello'))",
        "x = {3, 1} | {2}\nfor y in x:\n    print(y)",
        "print(list(set([5, 3, 9])))",
        "print(x for x in [1])",
        "m = map(str, [1])\nlist(m)\nprint(list(m))",
        "g = (x for x in [1])\nprint(sum(g), sum(g))",
        "print(zip([1]))",
    ],
)
def test_what_differs_from_run_to_run_or_from_cpython_is_not_run(code: str):
    """Chance, clocks, addresses; the order of sets; what CPython makes step by step and the sandbox at once."""
    assert program_of(f"What does this print?\n```python\n{code}\n```") is None


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("code", "gives"),
    [
        ("print(sorted(set('hello')))", "['e', 'h', 'l', 'o']"),
        ("print(2 in {1, 2}, {1, 2} == {2, 1})", "True True"),
        ("a = {1, 2}\nb = a | {3}\nprint(len(b), max(b))", "3 3"),
        ("print(sum(x for x in range(3)), ','.join(map(str, [1, 2])))", "3 1,2"),
        ("r = reversed([1, 2])\nprint([x for x in r])", "[2, 1]"),
        ("for a, b in zip([1], [2]):\n    print(a, b)", "1 2"),
    ],
)
async def test_what_is_certain_all_the_same_is_run(sandbox: Sandbox, code: str, gives: str):
    """Sets whose order does not show, steps that are read to the end."""
    source = program_of(f"What does this print?\n```python\n{code}\n```")
    assert source is not None
    outcome = await sandbox.run(source)

    assert isinstance(outcome, Ran), outcome
    assert outcome.shown == gives


@pytest.mark.parametrize(
    "piece",
    [
        "x = [",
        "(a ",
        "a(1)\n",
        "f(1), ",
        "not ",
        "x = x = ",
        "(",
        "f(",
        "x = 1 ",
        ">>> f\n",
        "a b c ",
        "1+",
        "-",
        "f(1).g(2) ",
        "`a` ",
        "print(",
        "assert f( == ??\n",
    ],
)
def test_no_question_takes_long_to_read(piece: str):
    """It is read on the service's own time, by whoever asks."""
    assert least_cpu_seconds(lambda: program_of(piece * (20_000 // len(piece)))) < 0.5


def test_reading_needs_no_event_loop():
    """Nothing is run yet."""
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert program_of("what does len('ab') return") == "print(repr(len('ab')))"
