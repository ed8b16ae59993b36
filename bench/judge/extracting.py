"""The code in an answer: fenced blocks, `inline`, or lines that are commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from sqlite3 import complete_statement

_FENCE = re.compile(r"[ \t>]{0,12}(`{3,}|~{3,})[ \t]*([^`\n]{0,40})$")
_INLINE = re.compile(r"(`{1,3})([^`\n]+)\1(?!`)")
_PROMPT = re.compile(r"\A[ \t]*(?:[\w.@~:/-]{0,40}\$|>)[ \t]+(?=\S)")
_COMMANDS = frozenset(
    # a hundred words, which would fill a page as a list
    """
    alias apt awk bash base64 cat cd chmod chown cmp comm cp crontab curl cut date dd df diff dig dirname docker du echo env
    export file find for free git grep egrep fgrep gunzip gzip head history hostname id if ifconfig ip journalctl kill killall
    kubectl less ln ls lsof man md5sum mkdir mktemp more mount mv nano nc netstat nl nproc paste pgrep ping pip pip3 pkill
    printenv printf ps pwd python python3 rename rm rmdir rsync scp sed seq sha256sum sh shuf sleep sort split ss ssh stat sudo su
    systemctl tac tail tar tee test time top touch tr tree type umask uname uniq unzip uptime wc wget whereis which while who
    whoami xargs yes zip
    """.split()  # noqa: SIM905
)
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
    return _parted(answer)[0]


def _parted(answer: str) -> tuple[list[str], str]:
    """The blocks between fences, and the lines outside them."""
    blocks: list[str] = []
    fence, lines, outside = "", list[str](), list[str]()
    for line in answer.splitlines():
        mark = _FENCE.match(line)
        if not fence and mark:
            fence, lines = mark[1], []
        elif not fence:
            outside.append(line)
        elif mark and mark[1].startswith(fence) and not mark[2].strip():
            blocks.append("\n".join(lines))
            fence = ""
        else:
            lines.append(line)
    return [*blocks, "\n".join(lines)] if fence else blocks, "\n".join(outside)


def inline(answer: str) -> list[str]:
    """What stands between backticks within a line."""
    return [match[2].strip() for match in _INLINE.finditer(answer)]


def unfenced(answer: str) -> str:
    """The answer without one fence or pair of quotes around the whole of it."""
    text = answer.strip()
    lines = text.splitlines()
    if len(lines) >= 2 and (mark := _FENCE.match(lines[0])) and lines[-1].strip() == mark[1]:
        return "\n".join(lines[1:-1]).strip()
    for opening, closing in ('""', "''", "``", "“”", "‘’", "«»"):
        if len(text) >= 2 and text[0] == opening and text[-1] == closing and closing not in text[1:-1]:
            return text[1:-1].strip()
    return text


def commands(answer: str) -> list[str]:
    """The pieces of an answer that are shell code, without prompts and comments."""
    blocks, outside = _parted(answer)
    pieces = [_bare(block) for block in blocks] + inline(outside if blocks else answer)
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
    blocks, outside = _parted(answer)
    for piece in [*blocks, *inline(answer)]:
        for statement in _statements(piece):
            if _QUERY.match(statement):
                return statement
    # A statement of another kind (INSERT ... SELECT) is not searched for a query inside it.
    text = outside if blocks else answer
    for pattern, group in ((_QUERY_LINE, 1), (_QUERY_ANYWHERE, 0)):
        match = pattern.search(text)
        if match and not (group == 0 and _inside_another(text, match.start())):
            return next(_statements(re.split(r"\n[ \t]*\n", match[group], maxsplit=1)[0]), None)
    return None


def _inside_another(text: str, at: int) -> bool:
    """Whether a statement that writes begins before this place, in the same sentence."""
    before = re.split(r"[;\n]", text[max(0, at - 300) : at])[-1]
    return re.search(r"\b(?:INSERT|REPLACE|CREATE|UPDATE|DELETE)\b", before) is not None


def _statements(code: str) -> Iterator[str]:
    """The statements of a piece of SQL, without comments before them; at most so many as anyone would write."""
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
