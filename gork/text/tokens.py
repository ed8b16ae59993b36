"""A text as words, numbers and signs, with one typography, so that a phrase is found however it was typeset.

For answers of models; the promptimizer's guards read prompts by rules of their own (`gork/rewriting/tokens.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

_SUPERSCRIPTS = str.maketrans({char: f"^{digit}" for digit, char in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")})
_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–−﹣－", "-"),
        **dict.fromkeys("—―", " - "),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", ""),
        "⁄": "/",
    }
)
# Blanks that only ever group digits; an ordinary blank or an apostrophe may as well separate two numbers.
_GROUPED = re.compile(r"(?<=[0-9])[\u00a0\u202f\u2009](?=[0-9]{3}(?![0-9]))")
_TOKEN = re.compile(
    r"""(?P<newline>\n)
    | (?P<acronym>(?<!\w)[^\W\d_](?:\.[^\W\d_]){1,6}\.?(?!\w))
    | (?P<number>(?:(?<![\w)\]}%.])-)?(?:(?:[0-9]{1,3}(?:,[0-9]{3}){1,10}(?![0-9])|[0-9]+)(?:\.[0-9]+)?|(?<![\w.])\.[0-9]+))
    | (?P<word>[^\W\d_](?:\+\+|\#)(?!\w)|[^\W\d_]\w*(?:'\w+)*)
    | (?P<sign>[^\s])""",
    re.VERBOSE,
)
SOFT = frozenset(",.'\"*_-")
"""Signs that may stand inside a phrase without changing it."""
SETTING = frozenset("'\"*_")
"""Signs that only set off a word: quotes and emphasis."""
_ENDS = frozenset(".!?\n")
_STOPS = frozenset(".;:!?,()\n")
_CONJUNCTIONS = frozenset({"but", "however", "although", "though", "while", "whereas", "because", "yet"})
_TITLES = frozenset({"dr", "mr", "mrs", "ms", "st", "prof", "mt", "no", "vs", "approx"})
"""Abbreviations that stand before a word; others lose their inner full stops when tokens are made."""
_MOST_FOUND, _LONGEST_SENTENCE = 300, 400
"""Bounds for texts that repeat one phrase or never end a sentence: they keep the time about linear in the length of the text."""
_ORDINAL = frozenset({"st", "nd", "rd", "th", "s"})


Span = tuple[int, int]
"""A run of tokens: its first token and the one after its last."""


class TextToken(NamedTuple):
    """A piece of a text; `glued` when no blank stands before it."""

    text: str
    folded: str
    kind: Literal["word", "number", "sign"]
    glued: bool


def normalised(text: str) -> str:
    r"""The text with one kind of quote, hyphen and digit.

    >>> normalised("It’s 5½ m², not “1 000”—ok")
    'It\'s 5 1/2 m^2, not "1 000" - ok'
    """
    text = "".join(_spelled(char) for char in _GROUPED.sub(",", text.replace("\r\n", "\n").replace("\r", "\n").translate(_SUPERSCRIPTS)))
    return unicodedata.normalize("NFKC", text.translate(_TYPOGRAPHY)).translate(_TYPOGRAPHY)


def _spelled(char: str) -> str:
    """A fraction that is one character, separated from the whole number before it."""
    return f" {char}" if char in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞" else char


def tokens(text: str) -> list[TextToken]:
    """The tokens of a text, in order.

    >>> [token.folded for token in tokens("The U.S. had 1,000 **dogs**.")]
    ['the', 'us', 'had', '1000', '*', '*', 'dogs', '*', '*', '.']
    """
    return list(_read(normalised(text)))


def _read(text: str) -> Iterator[TextToken]:
    end = -1
    for match in _TOKEN.finditer(text):
        piece, glued = match.group(), match.start() == end
        end = match.end()
        match match.lastgroup:
            case "number":
                yield TextToken(piece, piece.replace(",", ""), "number", glued)
            case "word":
                yield TextToken(piece, piece.casefold().rstrip("_") or "_", "word", glued)
            case "acronym":
                yield TextToken(piece, piece.casefold().replace(".", ""), "word", glued)
            case _:
                yield TextToken(piece, piece, "sign", glued)


def phrase_tokens(phrase: str) -> tuple[str, ...]:
    """What of a phrase has to be found: its words, numbers and the signs that distinguish it from others."""
    found = tokens(phrase)
    return tuple(t.folded for t in found if t.folded not in SOFT and t.folded != "\n") or tuple(t.folded for t in found)


def find(within: Sequence[TextToken], phrase: Sequence[str], *, beginning: bool = False) -> list[Span]:
    """Where a phrase stands; with `beginning`, its last word may go on.

    >>> find(tokens("New-York, new york; New Yorkers"), ("new", "york"))
    [(0, 3), (4, 6)]
    """
    if not phrase:
        return []
    found: list[tuple[int, int]] = []
    for start, token in enumerate(within):
        if len(found) == _MOST_FOUND:
            break
        if token.folded == phrase[0] or (beginning and len(phrase) == 1):
            end = _matched(within, start, phrase, beginning=beginning)
            if end is not None:
                found.append((start, end))
    return found


def _matched(within: Sequence[TextToken], start: int, phrase: Sequence[str], *, beginning: bool) -> int | None:
    at = start
    for nth, wanted in enumerate(phrase):
        if nth and at < len(within) and within[at].folded != wanted and (within[at].folded in SOFT or within[at].folded == "\n"):
            at += 1
        if at >= len(within):
            return None
        token = within[at]
        last = nth == len(phrase) - 1
        if token.folded != wanted and not (beginning and last and token.kind == "word" and token.folded.startswith(wanted)):
            return None
        at += 1
    return None if continued(within, at) else at


def continued(within: Sequence[TextToken], end: int) -> bool:
    """Whether the number that ends here is only the head of a word: 12th, 1990s, 3D."""
    if end >= len(within) or within[end - 1].kind != "number" or within[end].kind != "word" or not within[end].glued:
        return False
    return within[end].folded in _ORDINAL or (within[end].text.isupper() and len(within[end].text) == 1)


def is_ordinal(within: Sequence[TextToken], end: int) -> bool:
    """Whether the number that ends here is an ordinal or a decade: 12th, 1990s."""
    return end < len(within) and within[end].glued and within[end].folded in _ORDINAL


def is_boundary(within: Sequence[TextToken], at: int) -> bool:
    """Whether a clause ends at this token."""
    token = within[at]
    if token.folded == ".":
        before = within[at - 1] if at else token
        return not (before.folded in _TITLES or (len(before.text) == 1 and before.text.isupper()))
    return token.folded in _STOPS or token.folded in _CONJUNCTIONS or (token.folded == "-" and not token.glued)


def ends_sentence(within: Sequence[TextToken], at: int) -> bool:
    """Whether a sentence ends at this token."""
    return within[at].folded in _ENDS and is_boundary(within, at)


def sentence(within: Sequence[TextToken], at: int) -> Span:
    """The sentence around a token, without the token that ends it."""
    start = at
    while start and at - start < _LONGEST_SENTENCE and not ends_sentence(within, start - 1):
        start -= 1
    end = at
    while end < len(within) and end - at < _LONGEST_SENTENCE and not ends_sentence(within, end):
        end += 1
    return start, end


def skip(within: Sequence[TextToken], at: int, words: frozenset[str], *, step: int = 1, most: int = 8) -> int:
    """The first token from here on (or back, with `step` -1) that is not one of these words; after `most` of them at the latest."""
    for _ in range(most):
        # "May" is a month, "may" is not.
        if not 0 <= at < len(within) or within[at].folded not in words or within[at].text == "May":
            break
        at += step
    return at
