"""Words and sentences of a text, counted as readers count them."""

from __future__ import annotations

import re

ABBREVIATIONS = ("e.g", "i.e", "etc", "vs", "cf", "approx", "Dr", "Mr", "Mrs", "Ms", "Prof", "St", "No", "Jr", "Sr")
"""Their full stop does not end a sentence."""
_MAY_END_SENTENCE = ("Inc", "Ltd", r"a\.m", r"p\.m", r"U\.S", r"U\.K", "[A-Z]")
"""Abbreviations whose full stop may end a sentence too; only `sentence_range`, which counts within a range, leaves it open."""
_ABBREVIATED = "|".join(re.escape(word) for word in ABBREVIATIONS)
_ABBREVIATION = re.compile(rf"\b(?:{_ABBREVIATED}|{'|'.join(_MAY_END_SENTENCE)})\.", re.IGNORECASE)
_ENDS_ABBREVIATED = re.compile(rf"(?:^|[\s(])(?:{_ABBREVIATED}|(?:[A-Za-z]\.)*[A-Z])\.$")
_END = re.compile(r"[.!?。！？]+[\"'”’)*_]*(?=\s|\Z)|[。！？]")
_END_IN_LINE = re.compile(r"(?<=[.!?])[\"')\]*_”’]{0,3}(?:[ \t]+|$)")
_WORD = re.compile(r"[^\W_]+(?:['’.,:/@&+-]+[^\W_]+)*")


def words(text: str) -> list[str]:
    """The words of a text; "well-known", "don't", "3.5" and "a@b.c" are one each.

    >>> words("It's well-known: pi is 3.14, or so.")
    ["It's", 'well-known', 'pi', 'is', '3.14', 'or', 'so']
    """
    return _WORD.findall(text)


def sentence_range(text: str) -> tuple[int, int]:
    """The least and the most sentences that a text can be read as.

    >>> sentence_range("Dr. Ames lives here. So do I"), sentence_range("Yes")
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


def sentence_start(text: str, at: int) -> int:
    """Where the sentence around a place begins: after the last mark that ends one, or after the last line's end."""
    return max(text.rfind(mark, 0, at) for mark in ".!?\n") + 1
