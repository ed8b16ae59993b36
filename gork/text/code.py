"""The code in an answer: fenced blocks, inline code, lines that are shell commands, the first SQL query."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from sqlite3 import complete_statement

from gork.text.language import word_set
from gork.text.structure import split_code

_INLINE = re.compile(r"(`{1,3})([^`\n]+)\1(?!`)")
_PROMPT = re.compile(r"\A[ \t]*(?:[\w.@~:/-]{0,40}\$|>)[ \t]+(?=\S)")
_COMMANDS = word_set("""
alias apt awk bash base64 cat cd chmod chown cmp comm cp crontab curl cut date dd df diff dig dirname docker du echo env
export file find for free git grep egrep fgrep gunzip gzip head history hostname id if ifconfig ip journalctl kill killall
kubectl less ln ls lsof man md5sum mkdir mktemp more mount mv nano nc netstat nl nproc paste pgrep ping pip pip3 pkill
printenv printf ps pwd python python3 rename rm rmdir rsync scp sed seq sha256sum sh shuf sleep sort split ss ssh stat sudo su
systemctl tac tail tar tee test time top touch tr tree type umask uname uniq unzip uptime wc wget whereis which while who
whoami xargs yes zip""")
_DEFINES = r"^[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+{0}\b|^{0}[ \t]*(?::[^=\n]*)?="
_LONGEST_SQL = 4000
_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))+", re.DOTALL)
_QUERY = re.compile(r"(?:select|with)\b", re.IGNORECASE)
_QUERY_LINE = re.compile(r"^[ \t]*(?:[$>*-][ \t]*)?((?:select|with)\b.*)", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_QUERY_ANYWHERE = re.compile(r"\bSELECT\b.*", re.DOTALL)


def fenced(answer: str) -> list[str]:
    r"""The blocks between fences; one that is never closed reaches to the end.

    >>> fenced("Like so:\n```python\nx = 1\n```\nand\n~~~\ny")
    ['x = 1', 'y']
    """
    return [block.text for block in split_code(answer)[1]]


def python_tree(code: str) -> ast.Module | None:
    r"""The tree of a text that is Python; None otherwise.

    CPython warns of much that models write (of "\d" in a string, say); nobody is told of it.

    >>> python_tree("It is five.") is None, python_tree("print(5)") is None
    (True, False)
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def inline(answer: str) -> list[str]:
    """The inline code: what stands between backticks within a line."""
    return [match[2].strip() for match in _INLINE.finditer(answer)]


def commands(answer: str) -> list[str]:
    """The pieces of an answer that are shell code, without prompts and comments."""
    prose, blocks = split_code(answer)
    pieces = [_bare(block.text) for block in blocks] + inline(prose)
    if not blocks:
        pieces += [line for line in (_bare(line) for line in answer.splitlines()) if line.split(maxsplit=1)[:1] and _is_command(line)]
    return [piece for piece in pieces if piece]


def _is_command(line: str) -> bool:
    first = line.split(maxsplit=1)[0]
    return first in _COMMANDS or first.startswith(("./", "~/"))


def _bare(block: str) -> str:
    lines = (_PROMPT.sub("", line, count=1) for line in block.splitlines())
    return "\n".join(line for line in lines if not line.lstrip().startswith("#")).strip()


def defining(answer: str, name: str) -> str:
    """The first fenced block that defines a name, else the whole answer."""
    definition = re.compile(_DEFINES.format(re.escape(name)), re.MULTILINE)
    for block in fenced(answer):
        if definition.search(block):
            return block
    return answer


def first_query(answer: str) -> str | None:
    """The first SELECT statement, without its semicolon; None if there is none.

    >>> first_query("Use SELECT name FROM t WHERE x = 'a;b'; It selects.")
    "SELECT name FROM t WHERE x = 'a;b'"
    """
    prose, blocks = split_code(answer)
    for piece in [*(block.text for block in blocks), *inline(answer)]:
        for statement in _statements(piece):
            if _QUERY.match(statement):
                return statement
    # A statement of another kind (INSERT ... SELECT) is not searched for a query inside it.
    for pattern, group in ((_QUERY_LINE, 1), (_QUERY_ANYWHERE, 0)):
        match = pattern.search(prose)
        if match and not (group == 0 and _inside_another(prose, match.start())):
            return next(_statements(re.split(r"\n[ \t]*\n", match[group], maxsplit=1)[0]), None)
    return None


def _inside_another(text: str, at: int) -> bool:
    """Whether a statement that writes begins before this place, in the same line and statement."""
    before = re.split(r"[;\n]", text[max(0, at - 300) : at])[-1]
    return re.search(r"\b(?:INSERT|REPLACE|CREATE|UPDATE|DELETE)\b", before) is not None


def _statements(code: str) -> Iterator[str]:
    """The statements of a piece of SQL without the comments before them; at most 50."""
    rest = code[:_LONGEST_SQL]
    for _ in range(50):
        rest = rest[match.end() :] if (match := _COMMENTS.match(rest)) else rest
        if not rest:
            return
        end = rest.find(";")
        while end != -1 and not complete_statement(rest[: end + 1]):
            end = rest.find(";", end + 1)
        yield (rest if end == -1 else rest[:end]).strip()
        if end == -1:
            return
        rest = rest[end + 1 :]
