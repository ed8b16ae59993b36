"""A text taken apart as checks need it: code blocks, lines, list items, words, sentences, and what of a question is instruction."""

from __future__ import annotations

import re
from dataclasses import dataclass

QUOTED = re.compile(
    r""""[^"\n]{1,400}"|“[^“”\n]{1,400}”|«[^«»\n]{1,400}»|`[^`\n]{1,400}`|(?<!\w)'[^'\n]{1,400}'(?!\w)|(?<!\w)‘[^‘’\n]{1,400}’(?!\w)"""
)
"""A quotation or inline code, with its marks."""
_FENCE = re.compile(r"\s{0,6}(`{3,}|~{3,})\s*([\w+#.-]*)")
_ITEM = re.compile(r"^([ \t]*)(?:([-*+•–])|(\d{1,3})[.)])[ \t]+(?=\S)")
_DATA = re.compile(
    r"\b(?:translate|summari[sz]e|rewrite|rephrase|paraphrase|extract|classify|proofread|correct|fix|convert|analy[sz]e|count|sort|reverse"
    r"|text|sentence|paragraph|passage|following|below|review|e-?mail|article|message|tweet|comment|story|note)\b[^\n:]{0,160}:(?=\s+\S)",
    re.IGNORECASE,
)
_ABBREVIATION = re.compile(
    r"\b(?:e\.g|i\.e|etc|vs|cf|approx|Dr|Mr|Mrs|Ms|Prof|St|No|Inc|Ltd|Jr|Sr|a\.m|p\.m|U\.S|U\.K|[A-Z])\.", re.IGNORECASE
)
_END = re.compile(r"[.!?。！？]+[\"'”’)*_]*(?=\s|\Z)|[。！？]")
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


def take_apart(text: str) -> tuple[str, tuple[Block, ...]]:
    """The prose of a text (its fenced blocks replaced by empty lines) and the blocks."""
    prose: list[str] = []
    blocks: list[Block] = []
    inside: list[str] = []
    fence, language = "", ""
    for line in text.splitlines():
        match = _FENCE.match(line)
        if not fence and match and "`" not in line[match.end() :]:
            fence, language, inside = match[1], match[2].lower(), []
            prose.append("")
        elif fence and line.strip() == fence:
            blocks.append(Block(language, "\n".join(inside), closed=True))
            fence = ""
        elif fence:
            inside.append(line)
        else:
            prose.append(line)
    if fence:
        blocks.append(Block(language, "\n".join(inside), closed=False))
    return "\n".join(prose), tuple(blocks)


def instructions(question: str) -> str:
    """What a question asks for, without its quotations, code and the text that it brings along behind a colon.

    >>> instructions('Summarise in one word: "say it in ten words"')
    'Summarise in one word:'
    """
    prose = QUOTED.sub(" “” ", take_apart(question)[0])
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
    lines = [line for line in text.splitlines() if not _FENCE.fullmatch(line.rstrip())]
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
