"""The Python in a question that asks what it prints, returns or is worth, made a program that prints just that.

The code is found where people put it: in a fence, between backticks, or in the middle of a sentence, where it is the first piece that
Python can read and that does something. What is asked of it (a call, a variable, the last value) is then printed as the interpreter
would show it.
"""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from gork.computing.calls import balanced_call
from gork.text.structure import split_code

_LONGEST = 20_000
_LONGEST_SENTENCE = 800
"""Characters of prose in which code is looked for word by word."""
_MOST_TRIES = 3000
_OTHER_LANGUAGE = re.compile(
    r"(?i)(?<!\w)(?:javascript|js|java|typescript|ruby|php|golang|rust|perl|lua|bash|sql|swift|kotlin|haskell|c\+\+|c#|node|excel)(?!\w)"
)
_PYTHON = frozenset({"", "python", "python3", "py", "py3", "pycon", "pyi"})
_INLINE = re.compile(r"`([^`\n]{3,400})`")
_PROMPT = re.compile(r"(?m)^[ \t]*(?:>>>|\.\.\.)(?: |$)")
_ASSERTED = re.compile(r"(?m)^[ \t]*assert[ \t]+(.{1,400}?)[ \t]*==[ \t]*\?{1,4}[ \t]*$")
_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w{0,60})\(")
_VARIABLE = re.compile(r"\b(?:value of|is|what'?s|in|equals?|contains?|variable)\s+`?([A-Za-z_]\w{0,60})`?(?=\W|\Z)")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class _Found:
    """Code of a question, and the words around it."""

    code: str
    tree: ast.Module
    prose: str


def program_of(question: str) -> str | None:
    r"""A program that prints what a question asks of its own code; None where there is none that can be run as it stands.

    >>> program_of("what does len('hello') return"), program_of("x = 5; x += 3; what is x?"), program_of("what is a list?")
    ("print(repr(len('hello')))", 'x = 5; x += 3\nprint(repr(x))', None)
    """
    found = _code_in(question[:_LONGEST])
    if found is None:
        return None
    asserted = _ASSERTED.search(found.code)
    if asserted is not None:
        return f"{found.code[: asserted.start()]}\nprint(repr({asserted[1]}))"
    defined = {node.name for node in found.tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if (asked := _asked_call(found.prose, defined)) is not None:
        return f"{found.code}\n{asked}"
    if _prints(found.tree):
        return found.code
    assigned = {node.id for node in ast.walk(found.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for name in reversed(_VARIABLE.findall(found.prose)):
        if name in assigned:
            return f"{found.code}\nprint(repr({name}))"
    return _shown_last(found)


def _code_in(question: str) -> _Found | None:
    prose, blocks = split_code(question)
    if _OTHER_LANGUAGE.search(prose):
        return None
    if blocks:
        text, _, after = blocks[0].text.partition("\n```")  # people go on in the line of the closing fence
        code, prose = _without_prompts(text), f"{prose} {after}"
        tree = _read(_ASSERTED.sub("pass", code))
        python = len(blocks) == 1 and blocks[0].language in _PYTHON
        return _Found(code, tree, prose) if python and tree is not None and tree.body else None
    for code in sorted(_INLINE.findall(prose), key=len, reverse=True):
        if (tree := _doing(code)) is not None:
            return _Found(code, tree, prose.replace(f"`{code}`", " "))
    if ">>> " in prose:
        code = _without_prompts("\n".join(line for line in prose.splitlines() if _PROMPT.match(line)))
        tree = _doing(code)
        return None if tree is None else _Found(code, tree, "")
    return _within_prose(prose)


def _within_prose(prose: str) -> _Found | None:
    """The first piece of a sentence that is Python and does something, as long as it can be; lines of code stay together."""
    prose = prose[:_LONGEST_SENTENCE]
    for tries, (start, end) in enumerate(_pieces(prose)):
        if tries > _MOST_TRIES:
            return None
        code = prose[start:end].rstrip(" \t\n?.,;:")
        if (tree := _doing(code)) is not None:
            return _Found(code, tree, f"{prose[:start]} {prose[end:]}")
    return None


def _pieces(prose: str) -> Iterator[tuple[int, int]]:
    """Starts of words with the ends of words after them, the longest piece first."""
    gaps = [match.span() for match in _SPACE.finditer(prose)]
    starts = [0, *(end for _, end in gaps if end < len(prose))]
    ends = [*(start for start, _ in gaps), len(prose)]
    for start in starts:
        yield from ((start, end) for end in reversed(ends) if end > start)


def _without_prompts(code: str) -> str:
    """Code without the interpreter's prompts, and without what it answered, where there are any."""
    if ">>> " not in code:
        return code
    return "\n".join(_PROMPT.sub("", line) for line in code.splitlines() if _PROMPT.match(line))


def _read(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _doing(code: str) -> ast.Module | None:
    """The tree of a piece of text that is Python and more than words and numbers: a call, an index, a comprehension, a statement."""
    tree = _read(code)
    if tree is None or not tree.body:
        return None
    doing = (
        *(ast.Call, ast.Subscript, ast.ListComp, ast.SetComp, ast.DictComp, ast.For, ast.While, ast.FunctionDef, ast.Lambda),
        *(ast.Compare, ast.Assign, ast.AugAssign, ast.BinOp, ast.BoolOp, ast.JoinedStr),
    )
    nodes = list(ast.walk(tree))
    labelled = any(isinstance(node, ast.AnnAssign) and node.value is None for node in nodes)  # "python: f(1)", a word and a colon
    return tree if any(isinstance(node, doing) for node in nodes) and not labelled and _knows_its_names(tree) else None


def _knows_its_names(tree: ast.Module) -> bool:
    """Whether every name that is read is a builtin or defined in the same piece: words of a sentence are not."""
    read, known = set(), set(dir(builtins))
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                known.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                known.update((alias.asname or alias.name).partition(".")[0] for alias in names)
            case _:
                pass
    return read <= known


def _prints(tree: ast.Module) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(name, ast.Name) and name.id == "print" for name in calls)


def _asked_call(prose: str, defined: set[str]) -> str | None:
    """The line that prints the last call of a defined function that the words name; None if they name none."""
    line = None
    for match in _CALL.finditer(prose):
        call = balanced_call(prose, match.start(), match.end() - 1)
        if call is None or (tree := _read(call)) is None:
            continue
        called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        if match[1] == "print" and called & defined:
            return call
        if match[1] in defined:
            line = f"print(repr({call}))"
    return line


def _shown_last(found: _Found) -> str | None:
    """The program with its last value shown; None if it ends with a statement."""
    last = found.tree.body[-1]
    if not isinstance(last, ast.Expr):
        return None
    value = ast.get_source_segment(found.code, last.value)
    before = "\n".join(found.code.splitlines()[: last.lineno - 1])
    same_line = found.code.splitlines()[last.lineno - 1].encode()[: last.col_offset].decode()
    lines = [line for line in (before, same_line.rstrip(" ;"), f"print(repr({value}))") if line.strip()]
    return "\n".join(lines)
