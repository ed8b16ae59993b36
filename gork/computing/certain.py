"""Whether a program of the question's author prints the same wherever it runs, the sandbox included.

Chance, clocks and addresses differ from run to run, the order of a set from interpreter to interpreter; and what CPython makes step by step
(generators, `map`, `zip`) the sandbox makes at once, which shows where it is printed or read twice.
"""

from __future__ import annotations

import ast

_DIFFERS = frozenset(
    {"random", "secrets", "uuid", "time", "sys", "os", "gc", "platform", "threading", "asyncio", "id", "hash", "input", "open"}
)
_SETS = frozenset({"set", "frozenset"})
_STEPWISE = frozenset({"map", "filter", "zip", "enumerate", "reversed", "iter"})
_WITHOUT_ORDER = frozenset({"len", "sorted", "sum", "min", "max", "any", "all", "bool", "isinstance", *_SETS})
_CHANGES = frozenset({"add", "discard", "remove", "update", "clear", "issubset", "issuperset", "isdisjoint"})
_COMBINES = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})
_SHOWS_OBJECT = frozenset({"print", "repr", "str", "type", "len"})

_Parents = dict[ast.AST, ast.AST]


def is_certain(tree: ast.Module) -> bool:
    """Whether nothing is seen in a program that may print something else elsewhere; cautious, so a few that would not are refused.

    >>> [is_certain(ast.parse(code)) for code in ("print({3, 1})", "print(len({3, 1}))", "import random", "g = (i for i in [1])")]
    [False, True, False, False]
    """
    parents: _Parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    sets = _names_of_sets(tree)
    for node in ast.walk(tree):
        if _differs(node) or (_is_set(node, sets) and _order_shows(node, parents)):
            return False
        if _is_stepwise(node) and not _is_read_at_once(node, parents):
            return False
    return True


def _differs(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return any(alias.name.partition(".")[0] in _DIFFERS for alias in names)
        case ast.ImportFrom(module=module):
            return (module or "").partition(".")[0] in _DIFFERS
        case ast.Call(func=ast.Name(id=name)):
            return name in _DIFFERS
        case _:
            return False


def _names_of_sets(tree: ast.Module) -> frozenset[str]:
    """Names that a set is assigned to; a second look finds those of sets that were made of others."""
    names: frozenset[str] = frozenset()
    for _ in range(2):
        assigned = [(node.targets, node.value) for node in ast.walk(tree) if isinstance(node, ast.Assign) and _is_set(node.value, names)]
        names |= {target.id for targets, _ in assigned for target in targets if isinstance(target, ast.Name)}
    return names


def _is_set(node: ast.AST, names: frozenset[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return not isinstance(node, ast.Set) or len(node.elts) > 1
        case ast.Call(func=ast.Name(id=name)):
            return name in _SETS
        case ast.Call(func=ast.Attribute(value=value, attr=attr)):
            return attr in _COMBINES and _is_set(value, names)
        case ast.BinOp(left=left, right=right, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            return _is_set(left, names) or _is_set(right, names)
        case _:
            return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names


def _order_shows(node: ast.AST, parents: _Parents) -> bool:
    """Whether the order of a set may come to light where it stands."""
    match parents.get(node):
        case ast.Call(func=ast.Name(id=name)):
            return name not in _WITHOUT_ORDER
        case ast.Call(func=ast.Attribute(attr=attr)) | ast.Attribute(attr=attr):
            return attr not in _CHANGES | _COMBINES
        case ast.Assign(targets=targets):
            return not all(isinstance(target, ast.Name) for target in targets)
        case ast.IfExp(test=test):
            return test is not node
        case parent:
            return not isinstance(
                parent, ast.Compare | ast.BinOp | ast.BoolOp | ast.UnaryOp | ast.AugAssign | ast.If | ast.While | ast.Assert
            )


def _is_stepwise(node: ast.AST) -> bool:
    match node:
        case ast.GeneratorExp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _STEPWISE
        case _:
            return False


def _is_read_at_once(node: ast.AST, parents: _Parents) -> bool:
    """Whether what is made step by step is read once and to its end, where it stands or under a name."""
    match parents.get(node):
        case ast.Call(func=ast.Name(id=name)):
            return name not in _SHOWS_OBJECT
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            loads = [read for read in parents if isinstance(read, ast.Name) and isinstance(read.ctx, ast.Load) and read.id == name]
            reads = [read for read in loads if read not in set(ast.walk(value))]
            return len(reads) == 1 and _is_read_at_once(reads[0], parents)
        case parent:
            return isinstance(parent, ast.Call | ast.For | ast.comprehension | ast.Starred)
