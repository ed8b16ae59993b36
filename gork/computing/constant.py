"""Programs that print what stands in them: a model that guessed, and wrote its guess down as a program."""

from __future__ import annotations

import ast
import re

from gork.text.code import python_tree

_SHOWING = frozenset({"print", "str", "int", "float", "repr", "format"})
"""Calls that hand on what they are given."""
_WORK = (ast.BinOp, ast.BoolOp, ast.Compare, ast.Subscript, ast.For, ast.While, ast.comprehension, ast.AugAssign)


def is_constant(source: str, output: str) -> bool:
    r"""Whether a program works nothing out: it has no operation, and each word that it printed stands in its source.

    >>> is_constant('word = "planet"\nprint(word)', "planet\n"), is_constant('print("planet"[::-1])', "tenalp\n")
    (True, False)
    >>> is_constant("print(0xff)", "255\n")
    False
    """
    tree = python_tree(source)
    if tree is None or any(_works(node) for node in ast.walk(tree)):
        return False
    return all(re.search(rf"(?<![\w.]){re.escape(word)}(?!\w|\.\d)", source) for word in output.split())


def _works(node: ast.AST) -> bool:
    match node:
        case ast.UnaryOp(operand=operand):
            return not isinstance(operand, ast.Constant)
        case ast.Call(func=called):
            return not (isinstance(called, ast.Name) and called.id in _SHOWING)
        case _:
            return isinstance(node, _WORK)
