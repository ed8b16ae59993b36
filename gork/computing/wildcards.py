"""`from math import *`, which the sandbox's interpreter does not know, as the names of it that a program uses."""

from __future__ import annotations

import ast
import importlib
import warnings

_MODULES = frozenset(
    {
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "itertools",
        "json",
        "math",
        "operator",
        "random",
        "re",
        "statistics",
        "string",
        "typing",
    }
)
"""Modules of Python whose names are looked up; importing them does nothing else."""


def named_imports(source: str) -> str:
    r"""The same program with each `import *` of a known module replaced, in its line, by the names that the program uses.

    >>> named_imports("from math import *\nprint(floor(sqrt(10)))")
    'from math import floor, sqrt\nprint(floor(sqrt(10)))'
    """
    if "*" not in source or "import" not in source:
        return source
    try:
        with warnings.catch_warnings(action="ignore"):  # of much that models write; nobody is told of it
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source  # the interpreter says what is wrong
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    lines = source.encode().splitlines(keepends=True)  # as the tree counts its columns
    wild = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*" and node.level == 0]
    for node in sorted(wild, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        if node.module in _MODULES:
            names = ", ".join(sorted(used & _exported(node.module)))
            _replace(lines, node, f"from {node.module} import {names}" if names else "pass")
    return b"".join(lines).decode()


def _exported(module: str) -> set[str]:
    found = importlib.import_module(module)
    return set(getattr(found, "__all__", None) or (name for name in dir(found) if not name.startswith("_")))


def _replace(lines: list[bytes], node: ast.ImportFrom, statement: str) -> None:
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    lines[first : last + 1] = [before + statement.encode() + after]
