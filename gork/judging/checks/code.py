"""Code in an answer: whether it is there if it was asked for, parses, and defines the function that was named. Nothing is executed."""

from __future__ import annotations

import ast
import json
import re
import sqlite3
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import closing

from gork.judging.checks import Finding
from gork.text.code import python_tree
from gork.text.numbers import count
from gork.text.questions import QUOTED
from gork.text.structure import Block, shown, split_code

_LANGUAGES = (
    ("python", r"python ?[23]?(?:\.\d+)?"),
    ("sql", r"sql(?:ite)?(?: ?3)?|postgres(?:ql)?|mysql"),
    ("javascript", r"javascript|node\.?js"),
    ("shell", r"bash|shell"),
)
_ANY = "|".join(pattern for _, pattern in _LANGUAGES)
_THING = (
    r"(?:function|method|script|program|code|snippet|query|queries|statement|command|one-liner|class|lambda|regex|expression"
    r"|decorator|generator)s?"
)
_ASKED = re.compile(
    r"\b(?:write|create|give me|show me|implement|provide|generate|define|code)\b"
    rf"(?:[^.?!\n:]{{0,60}}\b(?P<first>{_ANY})\b[^.?!\n:]{{0,30}}\b{_THING}\b|[^.?!\n:]{{0,60}}\b{_THING}\b[^.?!\n:]{{0,120}}\b(?:in"
    rf"|using|with) (?P<second>{_ANY})\b)"
    rf"|\A\W{{0,5}}(?:(?:an?|the|simple|short|small)\s+){{0,3}}(?P<alone>{_ANY})\s+(?:\w+\s+){{0,2}}{_THING}\s+(?:that|to|which|for|returning"
    r"|taking|with)\b",  # as people type it: "python function that checks if a number is prime"
    re.IGNORECASE,
)
_NO_CODE = re.compile(
    r"\b(?:explain|describe|about|without (?:any )?code|no code|joke|poem|essay|story|article|docs?|documentation|comments?)\b",
    re.IGNORECASE,
)
_CODELIKE = re.compile(
    r"[`(){}=;|<>$\[\]\\]|(?<!\w)-{1,2}[a-z]|^[ \t]*\w+:[ \t]*$|^[ \t]*(?:def|import|lambda|print|return|echo|function|from|use"
    r"|show)[ \t]\S+[ \t]*$"
    r"|\b(?:select\b[^.]{1,200}?\bfrom|insert into|update \w+ set|delete from|create (?:table|view|index)|drop (?:table|view))\b",
    re.IGNORECASE | re.MULTILINE,
)
_NAMED = re.compile(
    r"\b(?:function|method)s? +(?:(?:called|named) +[`\"'“]?(?P<called>[A-Za-z_]\w{0,60})|[`\"'“](?P<quoted>[A-Za-z_]\w{0,60})"
    r"|(?P<open>[A-Za-z_]\w{0,60})(?=\())"
    r"[`\"'”]?(?P<list>\([\w\s,:=*\[\].'\"|]{0,200}\))?",
)
_NO_NAME = frozenset(
    ("by", "from", "when", "with", "in", "on", "after", "before", "at", "and", "or", "for", "to", "as", "the", "a", "an", "if", "it")
)
_TAKES = re.compile(
    r"\b(?:takes?|taking|accepts?|accepting|with) (?:exactly )?(one|two|three|four|[1-4]) (?:\w+ )?"
    r"(?:arguments?|parameters?|args?|params?)\b",
    re.IGNORECASE,
)
_FOREIGN_PYTHON = re.compile(
    r"^[ \t]*(?:>>>|\$ |In \[|pip3? |python3? |conda |!|%|Traceback)|…|^[ \t]*<[^>\n]+>|^[ \t]*\.\.\. ", re.MULTILINE
)
_HALF_PYTHON = (
    "expected an indented block",
    "unexpected indent",
    "unindent",
    "f-string",
    "invalid character",
    "'await' outside",
    "unexpected EOF",
)
_STATEMENT = re.compile(
    r"(?:select|with|insert|update|delete|create (?:temp |temporary )?(?:table|view|index|unique index)|replace)\b", re.IGNORECASE
)
_DIALECT = re.compile(
    r"""
    \b(?: top | ilike | interval | extract | auto_increment | serial | modify | rollup | delimiter | declare | begin | fetch | array
        | convert | for[ ]update | similar | date | time | timestamp | procedure | function | trigger | call | position | trim | overlay
        | substring | enum | engine | charset | comment | default | only | tablesample | ignore | duplicate | straight_join | lateral
        | pivot | unpivot | qualify | apply | go | nolock | partition | using | returning | any | all | some | materialized | percent
        | offset | grant | cascade | concurrently | unsigned | collate | identity | clustered | sounds | regexp | rlike | div | mod
        | binary | separator | within | grouping | cube | sets | output | into | limit )\b
    | :: | @ | \?\? | [{}<]\w+[>}] | \.\.\. | … | \[ | -> | \# | ~ | \bE'
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Words and signs of other databases' SQL, which SQLite may refuse although it is right."""
_KNOWN = re.compile(r"\b(?:limit|offset)\s+\d+|\bunion\s+all\b", re.IGNORECASE)
"""Uses of words of `_DIALECT` that SQLite reads too."""
_OTHER_BASES = re.compile(
    r"\b(?:mysql|mariadb|postgres\w*|oracle|t-?sql|sql server|mssql|bigquery|snowflake|spark|hive|redshift|duckdb|db2|pl/?sql)\b",
    re.IGNORECASE,
)


def asked_language(question: str) -> str | None:
    """The language in which a question wants code, if it plainly does.

    >>> asked_language("Write a Python function that adds two numbers"), asked_language("What is Python?")
    ('python', None)
    >>> asked_language("a short bash script to list files"), asked_language("python functions are slow for what reason?")
    ('shell', None)
    """
    prose = QUOTED.sub("“”", split_code(question[:4000])[0])
    match = _ASKED.search(prose)
    if match is None or _NO_CODE.search(match[0]):
        return None
    name = (match["first"] or match["second"] or match["alone"]).lower()
    return next(language for language, pattern in _LANGUAGES if re.fullmatch(pattern, name, re.IGNORECASE))


def code(question: str, answer: str) -> Iterator[Finding]:
    """Findings about the answer's code, or about its absence."""
    language = asked_language(question)
    blocks = split_code(answer)[1]
    if not answer.strip():
        return
    if (
        language
        and not blocks
        and not _CODELIKE.search(answer)
        and len(answer.split()) >= 6
        and (language != "shell" or answer.strip()[0].isupper())
    ):
        yield Finding(f"has no code, {language} was asked for", -1.5)
        return
    trees: list[ast.Module] = []
    if language == "python" and not blocks and (tree := python_tree(textwrap.dedent(answer))) and _is_code(tree):
        trees.append(tree)
    complaint = None
    for block in blocks[:20]:
        kind = {"py": "python", "python3": "python", "sqlite": "sql"}.get(block.language, block.language) or (
            language if len(blocks) == 1 else ""
        )
        problem = _problem(kind or "", block, question, wanted=kind == language)
        complaint = complaint or problem
        if kind == "python" and (tree := python_tree(textwrap.dedent(block.text))):
            trees.append(tree)
    if complaint:
        yield Finding(complaint, -1.5 if language else -0.7)
    elif language == "python" and any(map(_is_code, trees)):
        yield Finding("its Python can be parsed", 0.4)
    if language == "sql" and not blocks and _STATEMENT.match(answer.strip()) and (problem := _sql(answer, question)):
        yield Finding(problem, -1.5)
    if language == "python" and trees and not complaint:
        yield from _function(question, trees)


def _problem(kind: str, block: Block, question: str, *, wanted: bool) -> str | None:
    if not block.text.strip() or not block.closed:
        return None
    match kind:
        case "python":
            return _python(block.text, question, strict=wanted)
        case "json":
            return _json(block.text)
        case "sql":
            return _sql(block.text, question)
        case _:
            return None


def _is_code(tree: ast.Module) -> bool:
    """Whether a tree is more than words that happen to parse."""
    kinds = (
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Import,
        ast.ImportFrom,
        ast.Assign,
        ast.For,
        ast.Call,
        ast.Lambda,
        ast.ListComp,
    )
    return any(isinstance(node, kinds) for node in ast.walk(tree))


def _python(code: str, question: str, *, strict: bool) -> str | None:
    if _FOREIGN_PYTHON.search(code) or re.search(r"\bpython ?2", question, re.IGNORECASE):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(textwrap.dedent(code))
        except SyntaxError as error:
            if not strict and any(half in str(error.msg) for half in _HALF_PYTHON):
                return None
            if "f-string" in str(error.msg) or "invalid character" in str(error.msg):
                return None
            return f"its Python cannot be parsed: {shown(str(error.msg))}"
        except (ValueError, RecursionError, MemoryError):
            return None
    return None


def _json(text: str) -> str | None:
    if re.search(r"\.\.\.|…|//|/\*|<\w+>|^[ \t]*#", text, re.MULTILINE):
        return None
    if parses_as_json(text) or all(parses_as_json(line) for line in text.splitlines() if line.strip()):
        return None
    return "its JSON cannot be parsed"


def parses_as_json(text: str) -> bool:
    """Whether a text is one JSON value."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _sql(text: str, question: str) -> str | None:
    """A syntax error that SQLite's parser finds, in a statement without words and signs of other databases."""
    bare = re.sub(r"--[^\n]*|/\*.{0,400}?\*/", " ", text, flags=re.DOTALL)
    unquoted = re.sub(r"'[^']*'", "''", bare)
    if _OTHER_BASES.search(question) or len(text) > 5000:
        return None
    for statement, plain in zip(_statements(bare), _statements(unquoted), strict=False):
        if _STATEMENT.match(statement) and not (_DIALECT.search(_KNOWN.sub(" ", plain))):
            with closing(sqlite3.connect(":memory:")) as database:
                try:
                    database.execute(f"EXPLAIN {statement}")
                except sqlite3.OperationalError as error:
                    if re.search("syntax error|incomplete input|unrecognized token", str(error)):
                        return f"its SQL cannot be parsed: {shown(str(error))}"
                except (sqlite3.Error, sqlite3.Warning, ValueError):
                    pass
    return None


def _statements(text: str) -> list[str]:
    """At most ten statements of a script."""
    found, rest = [], ""
    for part in text.split(";")[:40]:
        rest += f"{part};"
        if sqlite3.complete_statement(rest):
            found.append(rest.strip().rstrip(";").strip())
            rest = ""
    return [statement for statement in found if statement][:10]


def _function(question: str, trees: list[ast.Module]) -> Iterator[Finding]:
    """Whether the function that was asked for by its name is defined, and takes as many arguments."""
    names = {match["called"] or match["quoted"] or match["open"]: match for match in _NAMED.finditer(question[:4000])}
    names = {name: match for name, match in names.items() if name.lower() not in _NO_NAME}
    if len(names) != 1:
        return
    [(name, match)] = names.items()
    defined = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assigned = {
        target.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    imported = {
        alias.asname or alias.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    found = [node for node in defined if node.name == name]
    if not found:
        if name not in assigned | imported and not any(
            isinstance(node, ast.ClassDef) and node.name == name for tree in trees for node in ast.walk(tree)
        ):
            yield Finding(f"does not define {shown(name)}", -1.2)
        return
    wanted = _wanted(match, question)
    if wanted is not None and not any(_can_take(node.args, wanted) for node in found):
        yield Finding(f"{shown(name)} does not take {wanted} arguments", -1.0)
    else:
        yield Finding(f"defines {shown(name)}", 0.5)


def _wanted(match: re.Match[str], question: str) -> int | None:
    if match["list"] is not None:
        inside = match["list"][1:-1].strip()
        if re.search(r"[*\[\]=.]", inside):
            return None
        return len(inside.split(",")) if inside else 0
    takes = _TAKES.findall(question[:4000])
    return count(takes[0]) if len(takes) == 1 else None


def _can_take(arguments: ast.arguments, count: int) -> bool:
    names = [*arguments.posonlyargs, *arguments.args]
    own = 1 if names and names[0].arg in {"self", "cls"} else 0
    most = len(names) - own
    return most - len(arguments.defaults) <= count and (count <= most or arguments.vararg is not None)
