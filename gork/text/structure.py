"""The structure of a text: fenced code, list items, quotation marks, and the text without markup.

One definition of each for the whole program: the promptimizer's guards, the checks of answers and the bench all read texts through here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FENCED = r"```.*?(?:```|\Z)"
"""Fenced code as people type it, also in the middle of a line; needs `re.DOTALL`. `split_code` reads fences line by line."""
QUOTATION_MARKS = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“", "「": "」", "`": "`"}
"""Each opening quotation mark with its closing one."""

_FENCE = re.compile(r"[ \t>]{0,12}(`{3,}|~{3,})[ \t]*([^`\n]{0,40})$")
_ITEM = re.compile(r"^([ \t]*)(?:([-*+•–])|(\d{1,3})[.)])[ \t]+(?=\S)")

_PYTHON = frozenset({"", "python", "python3", "py", "py3", "pycon", "pyi"})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the language that its fence names (lower case, often empty), its text, and whether the fence is closed."""

    language: str
    text: str
    closed: bool

    @property
    def may_be_python(self) -> bool:
        """Whether its label is one of Python's, or it has none."""
        return self.language in _PYTHON


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a list: how far it is indented, its number if it has one, its text."""

    indent: int
    number: int | None
    text: str


def split_code(text: str) -> tuple[str, tuple[Block, ...]]:
    r"""The prose of a text (each fenced block replaced by one empty line) and the blocks; an unclosed block reaches to the end.

    >>> split_code("Like so:\n```python\nx = 1\n```\nDone.")
    ('Like so:\n\nDone.', (Block(language='python', text='x = 1', closed=True),))
    """
    prose: list[str] = []
    blocks: list[Block] = []
    inside: list[str] = []
    fence, language = "", ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if not fence and mark:
            fence, language, inside = mark[1], _language(mark[2]), []
            prose.append("")
        elif not fence:
            prose.append(line)
        elif mark and mark[1].startswith(fence) and not mark[2].strip():
            blocks.append(Block(language, "\n".join(inside), closed=True))
            fence = ""
        else:
            inside.append(line)
    if fence:
        blocks.append(Block(language, "\n".join(inside), closed=False))
    return "\n".join(prose), tuple(blocks)


def _language(after_fence: str) -> str:
    """The language that the words after an opening fence name, lower case; empty if they name none."""
    match = re.match(r"[\w+#.-]*", after_fence)
    return match[0].lower() if match else ""


def in_fence(text: str, language: str = "") -> str:
    """A text in a code fence that is longer than any run of backticks in it.

    >>> in_fence("x = 1", "python").splitlines()
    ['```python', 'x = 1', '```']
    """
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text)), 3)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def unwrapped(text: str) -> str:
    """The text without one fence or one pair of quotation marks around the whole of it.

    >>> unwrapped(' "Paris" '), unwrapped('"one" and "two"')
    ('Paris', '"one" and "two"')
    """
    text = text.strip()
    lines = text.splitlines()
    if len(lines) >= 2 and (mark := _FENCE.match(lines[0])) and lines[-1].strip() == mark[1]:
        return "\n".join(lines[1:-1]).strip()
    return text[1:-1].strip() if is_quoted(text) else text


def is_quoted(text: str) -> bool:
    """Whether the quotation marks at both ends of a text belong together, and are not those of two quotations.

    >>> is_quoted('"yes"'), is_quoted('"yes" or "no"'), is_quoted('""')
    (True, False, False)
    """
    if len(text) < 3 or QUOTATION_MARKS.get(text[0]) != text[-1]:
        return False
    inside = text[1:-1].strip()
    return bool(inside) and text[0] not in inside and text[-1] not in inside


def items(text: str) -> tuple[Item, ...]:
    """The items of the lists in a text."""
    found = []
    for line in text.splitlines():
        match = _ITEM.match(line)
        if match:
            found.append(Item(len(match[1].expandtabs(4)), int(match[3]) if match[3] else None, line[match.end() :]))
    return tuple(found)


def bare(text: str) -> str:
    """A text without Markdown's emphasis, headings, list markers and fences."""
    lines = [line for line in text.splitlines() if not ((mark := _FENCE.match(line)) and len(mark[2].split()) < 2)]
    return "\n".join(_ITEM.sub("", line.lstrip("#> "), count=1) for line in lines).replace("**", "").replace("__", "").replace("`", "")


def shown(text: str) -> str:
    """A piece of a text as it can stand in a one-line reason: printable, at most 40 characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[:200]).split())
    return line if len(line) <= 40 else f"{line[:39]}…"
