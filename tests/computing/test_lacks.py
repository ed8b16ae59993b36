"""What the sandbox would get wrong without a word, or would call a fault of the program: it is not known."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gork.computing.sandbox import Broke, BrokeKind, Ran, Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One for all."""
    async with Sandbox() as made:
        yield made


def class_with(method: str, gives: str) -> str:
    """A class with one method."""
    return f"class A:\n    def {method}(self, *_): return {gives}\n"


@pytest.mark.parametrize(
    "source",
    [
        class_with("__bool__", "False") + "print(bool(A()))",
        class_with("__len__", "3") + "print(len(A()))",
        class_with("__lt__", "True") + "print(sorted([A(), A()]) == [])",
        class_with("__ne__", "7") + "print(A() != 1)",
        class_with("__format__", "'F'") + "print(f'{A()}')",
        class_with("__getattr__", "7") + "print(A().anything)",
        class_with("__new__", "7") + "print(A())",
        "print(next(number for number in [5, 6]))",
    ],
)
async def test_what_the_sandbox_passes_over_is_not_known(sandbox: Sandbox, source: str):
    """CPython has a result for each: neither another one nor an error of the program may come of it."""
    outcome = await sandbox.run(source)

    assert isinstance(outcome, Broke), outcome
    assert outcome.kind is BrokeKind.NOT_KNOWN


@pytest.mark.parametrize(
    ("source", "output"),
    [
        (class_with("__eq__", "True") + "print(A() == 5)", "True\n"),
        (class_with("__repr__", "'seven'") + "print([A()])", "[seven]\n"),
        (class_with("__add__", "7") + "print(A() + 1)", "7\n"),
        (class_with("__call__", "7") + "print(A()())", "7\n"),
        (class_with("__contains__", "True") + "print(1 in A())", "True\n"),
        (class_with("__private", "7") + "print(1)", "1\n"),
    ],
)
async def test_special_methods_that_the_sandbox_calls_are_run(sandbox: Sandbox, source: str, output: str):
    """Most of them are."""
    outcome = await sandbox.run(source)

    assert isinstance(outcome, Ran), outcome
    assert outcome.output == output


@pytest.mark.parametrize("source", ["class A: pass\nprint(A())", "def f(): return 3\nprint('It is', f)", "lambda: 3"])
async def test_the_place_of_an_object_in_memory_is_no_result(sandbox: Sandbox, source: str):
    """A program that forgot to call its function has not answered, and no two runs say the same."""
    outcome = await sandbox.run(source)

    assert isinstance(outcome, Broke), outcome
    assert outcome.kind is BrokeKind.EMPTY
