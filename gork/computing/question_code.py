"""The Python in a question that asks what it prints, returns or is worth, made a program that prints just that.

The code is found where people put it: in a fence, between backticks, or in the middle of a sentence, where it is the first piece that
Python can read and that does something. What is asked of it (a call, a variable, the last value) is then printed as the interpreter
would show it.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from dataclasses import dataclass
from itertools import islice

from gork.computing.asked import (
    MOST_ASKED,
    Reader,
    asked_of,
    asked_variable,
    is_of_one_sentence,
    signed_pieces,
    wants_something_else,
)
from gork.computing.calls import prints
from gork.computing.certain import is_certain
from gork.computing.examples import leading_literal
from gork.text.code import python_tree
from gork.text.structure import split_code

_LONGEST = 20_000
_LONGEST_PROSE = 3000
"""Characters of words around the code; whoever writes more wants more than an output."""
_LONGEST_SENTENCE = 800
"""Characters of prose in which code is looked for word by word."""
_MOST_LINES = 60
_MOST_GIVEN = 10
_OTHER_LANGUAGE = re.compile(
    r"(?i)(?<!\w)(?:javascript|js|java|typescript|ruby|php|golang|rust|perl|lua|bash|sql|swift|kotlin|haskell|c\+\+|c#|node|excel|select)(?!\w)"
)
_OPENS_IN_LINE = re.compile(r"(?<=[^\s`>])[ \t]{0,4}(?=(?:```|~~~)[a-z0-9]{0,10}\n)")
_CLOSES_IN_LINE = re.compile(r"(?<=[^\s`])[ \t]{0,4}(?=```[ \t]{0,4}(?:\n|\Z))")
_INLINE = re.compile(r"`([^`\n]{1,400})`")
_QUOTED = re.compile(r"([\"'])([^\n]{1,200}?\))\1")
_STRAIGHT = str.maketrans("“”„‘’", '"""\'\'')
_PROMPT = re.compile(r"(?m)^[ \t]*(?:>>>|\.\.\.)(?: |$)")
_ASSERTED = re.compile(r"(?m)^[ \t]*assert[ \t]+(.{1,400}?)[ \t]*==[ \t]*\?{1,4}[ \t]*$")
_GIVEN = re.compile(r"(?<![\w.=(,])([A-Za-z_]\w{0,30})\s?=(?!=)\s?(?=\S)")
_WANTS_PRINTED = re.compile(r"\b(?:print|output|display|show|affich|ausg|gibt|imprim|stamp)\w*", re.IGNORECASE)
_WANTS_VALUE = re.compile(r"\b(?:return|value|evaluat)\w*", re.IGNORECASE)
_ALONE = "show, print = print, lambda *values, **options: None  # only what is asked for is shown"


@dataclass(frozen=True, slots=True)
class _Found:
    """Code of a question, and the words around it."""

    code: str
    tree: ast.Module
    prose: str


def program_of(question: str) -> str | None:
    r"""A program that prints what a question asks of its own code; None where there is none that can be run as it stands.

    None also where something else is asked about the code (a change, a count, a reason), and where what it prints may differ elsewhere.

    >>> program_of("what does len('hello') return"), program_of("x = 5; x += 3; what is x?"), program_of("what is a list?")
    ("print(repr(len('hello')))", 'x = 5; x += 3\nprint(repr(x))', None)
    """
    question = question[:_LONGEST]
    for text in dict.fromkeys((question, question.translate(_STRAIGHT))):
        if (found := _code_in(text)) is not None:
            program = _program(found)
            tree = python_tree(program) if program is not None else None
            return program if tree is not None and is_certain(tree) else None
    return None


def _program(found: _Found) -> str | None:
    names = _at_the_end(found.tree)
    if wants_something_else(found.prose, names):
        return None
    if (asserted := _ASSERTED.search(found.code)) is not None:
        return f"{found.code[: asserted.start()]}\nprint(repr({asserted[1]}))"
    asked = asked_of(found.prose, names)
    if asked.leaves_code or len(asked.expressions) > MOST_ASKED:
        return None
    if asked.expressions:
        return _showing(found, asked.expressions)
    printing = prints(found.tree)
    variable = None if printing and _WANTS_PRINTED.search(asked.rest) else asked_variable(asked.rest, names)
    if variable is not None:
        return _showing(found, (variable,))
    return found.code if printing else _shown_last(found)


def _code_in(question: str) -> _Found | None:
    """Code and words, wherever the code stands; None where there is none, or it is of another language, or too much beside it."""
    question = _OPENS_IN_LINE.sub("\n", question)
    prose, blocks = split_code(_CLOSES_IN_LINE.sub("\n", question) if _begins_block(question) else question)
    if _OTHER_LANGUAGE.search(prose) or len(prose) > _LONGEST_PROSE:
        return None
    if blocks:
        text, _, after = blocks[0].text.partition("\n```")  # people go on in the line of the closing fence
        code, prose = _without_prompts(text), f"{prose} {after}"
        tree = python_tree(_ASSERTED.sub("pass", code))
        python = len(blocks) == 1 and blocks[0].may_be_python
        return _Found(code, tree, prose) if python and tree is not None and tree.body else None
    for code in sorted(_INLINE.findall(prose), key=len, reverse=True):
        if (tree := _doing(code)) is not None:
            return _Found(code, tree, prose.replace(f"`{code}`", " "))
    if ">>> " in prose:
        code = _without_prompts("\n".join(line for line in prose.splitlines() if _PROMPT.match(line)))
        tree = _doing(code)
        return None if tree is None else _Found(code, tree, "")
    return _asserted_in(prose) or _lines_in(prose) or _given_in(prose) or _within_sentence(prose) or _quoted_in(prose)


def _begins_block(question: str) -> bool:
    return re.search(r"(?m)^[ \t>]*```[a-z0-9]{0,10}$", question) is not None


def _asserted_in(prose: str) -> _Found | None:
    """Lines of code without a fence that end with an assertion to be completed."""
    if (asserted := _ASSERTED.search(prose)) is None:
        return None
    starts = [0, *(match.end() for match in re.finditer(r"\n", prose[: asserted.start()]))]
    for start in starts[-_MOST_LINES:]:
        code = prose[start : asserted.end()]
        if (tree := python_tree(_ASSERTED.sub("pass", code))) is not None:
            return _Found(code, tree, "")
    return None


def _lines_in(prose: str) -> _Found | None:
    """Whole lines that are code together, indented or not: the first that are, as many as can be."""
    lines = prose.splitlines()
    if not 1 < len(lines) <= _MOST_LINES:
        return None
    filled = [at for at, line in enumerate(lines) if line.strip()]
    spans = ((start, end) for start in filled for end in reversed(filled) if end >= start)
    reader = Reader()
    for start, end in spans:
        if reader.exhausted:
            return None
        code = textwrap.dedent("\n".join(lines[start : end + 1])).rstrip()
        if (tree := _doing(code, reader)) is not None:
            return _Found(code, tree, "\n".join([*lines[:start], *lines[end + 1 :]]))
    return None


def _given_in(prose: str) -> _Found | None:
    """Variables that a sentence gives their values ("if x = [1, 2], what is x[0]?"), where it asks for an expression of them."""
    given: dict[str, str] = {}
    rest, at = [], 0
    for match in islice(_GIVEN.finditer(prose), _MOST_GIVEN + 1):
        if match.start() < at or prose.count("(", 0, match.start()) > prose.count(")", 0, match.start()):  # an argument of a call
            continue
        value = leading_literal(prose[match.end() : match.end() + _LONGEST_SENTENCE])
        if value is None or match[1] in given or len(given) == _MOST_GIVEN:
            return None
        given[match[1]] = value
        rest.append(prose[at : match.start()])
        at = match.end() + len(value)
    words = " ".join([*rest, prose[at:]])
    asked = asked_of(words, given.keys()) if given else None
    code = "\n".join(f"{name} = {value}" for name, value in given.items())
    tree = python_tree(code)
    if asked is None or not asked.expressions or asked.leaves_code or tree is None:
        return None
    return _Found(code, tree, words)


def _within_sentence(prose: str) -> _Found | None:
    """The first piece of a sentence that is Python and does something, as long as it can be."""
    prose, reader = prose[:_LONGEST_SENTENCE], Reader()
    for start, end in signed_pieces(prose, longest=_LONGEST_SENTENCE):
        if reader.exhausted:
            return None
        code = prose[start:end].rstrip(" \t\n?.,;:")
        if (tree := _doing(code, reader)) is not None and is_of_one_sentence(tree, code):
            return _Found(code, tree, f"{prose[:start]} {prose[end:]}")
    return None


def _quoted_in(prose: str) -> _Found | None:
    """Code between quotation marks."""
    for match in islice(_QUOTED.finditer(prose), _MOST_GIVEN):
        if (tree := _doing(match[2])) is not None:
            return _Found(match[2], tree, prose.replace(match[0], " "))
    return None


def _without_prompts(code: str) -> str:
    """Code without the interpreter's prompts, and without what it answered, where there are any."""
    if ">>> " not in code:
        return code
    return "\n".join(_PROMPT.sub("", line) for line in code.splitlines() if _PROMPT.match(line))


def _doing(code: str, reader: Reader | None = None) -> ast.Module | None:
    """The tree of a piece of text that is Python and more than words and numbers: a call, an index, a comprehension, a statement."""
    tree = python_tree(code) if reader is None else reader.read(code)
    if tree is None or not tree.body or (isinstance(tree.body[-1], ast.Expr) and isinstance(tree.body[-1].value, ast.Lambda)):
        return None
    doing = (
        *(ast.Call, ast.Subscript, ast.ListComp, ast.SetComp, ast.DictComp, ast.For, ast.While, ast.FunctionDef, ast.ClassDef, ast.IfExp),
        *(ast.Compare, ast.Assign, ast.AugAssign, ast.BinOp, ast.BoolOp, ast.JoinedStr),
    )
    nodes = list(ast.walk(tree))
    labelled = any(isinstance(node, ast.AnnAssign) and node.value is None for node in nodes)  # "python: f(1)", a word and a colon
    return tree if any(isinstance(node, doing) for node in nodes) and not labelled and _knows_its_names(tree) else None


def _bound(tree: ast.Module) -> set[str]:
    """The names that a piece of code defines, assigns, takes or imports."""
    bound = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound.update((alias.asname or alias.name).partition(".")[0] for alias in names)
            case _:
                pass
    return bound


def _at_the_end(tree: ast.Module) -> set[str]:
    """The names that are there when the code has run: those of its functions, not what they call their own."""
    functions = {part.name for part in tree.body if isinstance(part, ast.FunctionDef | ast.ClassDef)}
    others = [part for part in tree.body if not isinstance(part, ast.FunctionDef | ast.ClassDef)]
    return functions | _bound(ast.Module(others, []))


def _knows_its_names(tree: ast.Module) -> bool:
    """Whether every name that is read is a builtin or defined in the same piece: words of a sentence are not."""
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return read <= _bound(tree) | set(dir(builtins))


def _showing(found: _Found, expressions: tuple[str, ...]) -> str | None:
    """The program with expressions shown after it, each in a line; what it prints beside them is shown only where that is asked for."""
    printing = prints(found.tree)
    outside = any(prints(part) for part in found.tree.body if not isinstance(part, ast.FunctionDef | ast.ClassDef))
    printed = _WANTS_PRINTED.search(found.prose) is not None and not _WANTS_VALUE.search(found.prose)
    if printing and not outside and printed:  # "what does f(3) print?"
        return "\n".join([found.code, *expressions])
    show = "show" if printing else "print"
    if printing and "show" in _bound(found.tree):
        return None
    return "\n".join([*([_ALONE] if printing else []), found.code, *(_line(expression, show) for expression in expressions)])


def _line(expression: str, show: str) -> str:
    return f"{show}{expression[len('print') :]}" if expression.startswith("print(") else f"{show}(repr({expression}))"


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
