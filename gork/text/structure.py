"""The parts of a text: fenced code, list items, words, sentences, and what of a question is the instruction.

One definition of each for the whole program: the promptimizer's guards, the checks of answers and the bench all read texts through here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FENCED = r"```.*?(?:```|\Z)"
"""Fenced code as people type it, also in the middle of a line; needs `re.DOTALL`. `split_code` reads fences line by line."""
QUOTED = re.compile(
    r"""
      "[^"\n]{1,400}" | “[^“”\n]{1,400}” | «[^«»\n]{1,400}» | `[^`\n]{1,400}`
    | (?<!\w)'[^'\n]{1,400}'(?!\w)
    | (?<!\w)‘[^‘’\n]{1,400}’(?!\w)
    """,
    re.VERBOSE,
)
"""A quotation or inline code, with its marks."""
QUOTATION_MARKS = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“", "「": "」", "`": "`"}
"""Each opening quotation mark with its closing one."""

_FENCE = re.compile(r"[ \t>]{0,12}(`{3,}|~{3,})[ \t]*([^`\n]{0,40})$")
_ITEM = re.compile(r"^([ \t]*)(?:([-*+•–])|(\d{1,3})[.)])[ \t]+(?=\S)")
_DATA = re.compile(
    r"""
    \b(?: translate | summari[sz]e | rewrite | rephrase | paraphrase | extract | classify | proofread | correct | fix | convert
         | analy[sz]e | count | sort | reverse
         | text | sentence | paragraph | passage | following | below
         | review | e-?mail | article | message | tweet | comment | story | note )\b
    [^\n:]{0,160} : (?=\s+\S)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""The words up to the colon that a question puts before the text that it is about."""

ABBREVIATIONS = ("e.g", "i.e", "etc", "vs", "cf", "approx", "Dr", "Mr", "Mrs", "Ms", "Prof", "St", "No", "Jr", "Sr")
"""Their full stop does not end a sentence."""
_MAY_END_SENTENCE = ("Inc", "Ltd", r"a\.m", r"p\.m", r"U\.S", r"U\.K", "[A-Z]")
"""Abbreviations whose full stop may end a sentence too; only `sentence_count`, which counts within a range, leaves it open."""
_ABBREVIATED = "|".join(re.escape(word) for word in ABBREVIATIONS)
_ABBREVIATION = re.compile(rf"\b(?:{_ABBREVIATED}|{'|'.join(_MAY_END_SENTENCE)})\.", re.IGNORECASE)
_ENDS_ABBREVIATED = re.compile(rf"(?:^|[\s(])(?:{_ABBREVIATED}|(?:[A-Za-z]\.)*[A-Z])\.$")
_END = re.compile(r"[.!?。！？]+[\"'”’)*_]*(?=\s|\Z)|[。！？]")
_END_IN_LINE = re.compile(r"(?<=[.!?])[\"')\]*_”’]{0,3}(?:[ \t]+|$)")
_WORD = re.compile(r"[^\W_]+(?:['’.,:/@&+-]+[^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the language that its fence names (lower case, often empty), its text, and whether the fence is closed."""

    language: str
    text: str
    closed: bool


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


def instructions(question: str) -> str:
    """What a question asks for, without its quotations, its code and the text that it brings along after a colon.

    >>> instructions('Summarise in one word: "say it in ten words"')
    'Summarise in one word:'
    """
    prose = QUOTED.sub(" “” ", split_code(question)[0])
    match = _DATA.search(prose)
    return " ".join((prose[: match.end()] if match else prose).split()).removesuffix(" “”")


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


def words(text: str) -> list[str]:
    """The words of a text; "well-known", "don't", "3.5" and "a@b.c" are one each.

    >>> words("It's well-known: pi is 3.14, or so.")
    ["It's", 'well-known', 'pi', 'is', '3.14', 'or', 'so']
    """
    return _WORD.findall(text)


def sentence_count(text: str) -> tuple[int, int]:
    """The least and the most sentences that a text can be read as.

    >>> sentence_count("Dr. Ames lives here. So do I"), sentence_count("Yes")
    ((2, 3), (1, 1))
    """
    text = text.strip()
    tail = 1 if text and not _END.search(text[-4:]) else 0
    most = len(_END.findall(text)) + tail
    calm = _ABBREVIATION.sub("x", text)
    sure = [match for match in _END.finditer(calm) if (rest := calm[match.end() : match.end() + 8].lstrip()) == "" or rest[0].isupper()]
    return min(max(len(sure) + tail, 1 if text else 0), most), most


def count_sentences(text: str) -> int:
    """The sentences of a text; the end of a line ends one too.

    >>> count_sentences('Dr. Who saw 3.5 m, e.g. here. "Really?" Yes!')
    3
    """
    count = 0
    for line in text.splitlines():
        start = 0
        for match in _END_IN_LINE.finditer(line):
            piece = line[start : match.start()]
            if _ENDS_ABBREVIATED.search(piece[-24:]) and match.end() < len(line):
                continue
            count += any(char.isalnum() for char in piece) and not re.fullmatch(r"\s*[0-9]{1,3}\.", piece)
            start = match.end()
        count += any(char.isalnum() for char in line[start:])
    return count


def shown(text: str) -> str:
    """A piece of a text as it can stand in a one-line reason: printable, at most 40 characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[:200]).split())
    return line if len(line) <= 40 else f"{line[:39]}…"


def sentence_start(text: str, at: int) -> int:
    """Where the sentence around a place begins: after the last mark that ends one, or after the last line's end."""
    return max(text.rfind(mark, 0, at) for mark in ".!?\n") + 1
