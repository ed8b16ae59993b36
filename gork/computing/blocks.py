"""The program in an answer that was asked for as one."""

from __future__ import annotations

from dataclasses import dataclass

from gork.computing.calls import prints
from gork.text.code import python_tree
from gork.text.structure import Block, split_code

_LONGEST = 20_000
"""Characters of an answer that are read."""


@dataclass(frozen=True, slots=True)
class NoProgram:
    """An answer without a program that can be run, and why not."""

    reason: str
    words: bool = False
    """Whether it is an answer in words, without any code."""


def program_in(text: str, *, complete: bool) -> str | NoProgram:
    r"""The one program in an answer: its only Python block, closed; or the whole answer where that is Python.

    >>> program_in("```python\nprint(2 + 3)\n```", complete=True), program_in("It is 5.", complete=True).words
    ('print(2 + 3)', True)
    """
    if len(text) > _LONGEST:
        return NoProgram(f"longer than {_LONGEST} characters")
    _, blocks = split_code(text)
    if not blocks:
        bare = text.strip()
        return bare if complete and _is_program(bare) else NoProgram("no code block", words=complete)
    closed = [block for block in blocks if block.closed and block.may_be_python]
    if len(closed) == len(blocks) == 1 and closed[0].text.strip():
        return closed[0].text
    return NoProgram(_why_not(blocks, closed))


def _is_program(source: str) -> bool:
    """Whether a text without a fence is a program: Python that calls `print`."""
    tree = python_tree(source) if "print(" in source else None
    return tree is not None and prints(tree)


def _why_not(blocks: tuple[Block, ...], closed: list[Block]) -> str:
    if not blocks[-1].closed:
        return "its code block was never closed"
    if len(blocks) > 1:
        return f"{len(blocks)} code blocks in place of one"
    return "an empty code block" if closed else f"its code is {blocks[0].language}, not Python"
