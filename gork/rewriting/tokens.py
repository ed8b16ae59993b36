"""The tokenizer for prompts: the pieces that a rewrite has to keep (code, quotations, numbers with their units, names, words).

A prompt and its rewrite are read by the same rules, so that a rule which is wrong about one is wrong about the other too. What matters is
only that two texts of different meaning never become the same pieces.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from gork.text import numbers
from gork.text.language import ALIASES, KEYED, LIGHT, UNSPACED_LIGHT
from gork.text.numbers import UNITS
from gork.text.structure import FENCED

Kind = Literal["code", "quotation", "number", "chunk", "word"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a text. Two pieces of the same `kind` and `key` say the same; `text` is how it was written."""

    kind: Kind
    key: str
    text: str
    exact: bool = False
    """A name: neither an ending nor a typing slip may differ."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as its pieces, in order; the characters of scripts that put no spaces between words are counted one by one."""

    pieces: tuple[Piece, ...]
    characters: Counter[str]

    @property
    def words(self) -> tuple[Piece, ...]:
        """The words among the pieces."""
        return tuple(piece for piece in self.pieces if piece.kind == "word")

    def keys(self, kind: Kind) -> Counter[str]:
        """How often each piece of a kind occurs."""
        return Counter(piece.key for piece in self.pieces if piece.kind == kind)


_SPAN = re.compile(
    rf"""(?P<fence>{FENCED}) | (?P<code>`[^`\n]+`) | "(?P<q1>[^"]+)" | “(?P<q2>[^“”]+)” | „(?P<q3>[^„“”]+)[“”] | «(?P<q4>[^«»]+)»
    | ‹(?P<q5>[^‹›]+)› | 「(?P<q6>[^「」]+)」 | 『(?P<q7>[^『』]+)』
    | (?<!\w)'(?P<q8>(?:[^'\n]|(?<=\w)'(?=\w))+)'(?!\w) | (?<!\w)‘(?P<q9>(?:[^‘’\n]|(?<=\w)’(?=\w))+)’(?!\w)""",
    re.DOTALL | re.VERBOSE,
)
_PHRASES = (
    (re.compile(r"\b(?:(?:world war|ww) ?(?:1|i|one)|first world war|wwi)\b", re.IGNORECASE), "ww1"),
    (re.compile(r"\b(?:(?:world war|ww) ?(?:2|ii|two)|second world war|wwii)\b", re.IGNORECASE), "ww2"),
    (re.compile(r"\b(?:the )?(?:united states(?: of america)?|usa|u\.s\.a?)(?!\w)", re.IGNORECASE), "usa"),
    (re.compile(r"\b(?:united kingdom|u\.k\.)(?!\w)", re.IGNORECASE), "uk"),
    (re.compile(r"\bnew york city\b", re.IGNORECASE), "nyc"),
    (re.compile(r"\bartificial intelligence\b", re.IGNORECASE), "ai"),
    (re.compile(r"\btell me (?=(?:about|what|which|who|when|where|why|how|if)\b)", re.IGNORECASE), ""),
)
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30fa\u30fc-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_HIRAGANA = re.compile("[\u3040-\u309f]")
_HELD, _STOP = "\ue000", "\ue001"
"""Private-use characters that stand for a span that was set aside, and for the end of a sentence."""
_BREAK = re.compile(r"(?<![!?\s])[!?]+(?=[\s\"')\]*]|\Z)|[。！？…\n]|\.{3,}")
_COMMA = re.compile(r"(?<!\d),|,(?!\d)|[;؟،؛，、；：（）《》【】]")
_LETTERS = re.compile(r"[^\W\d_]+(?:[+#]{1,2})?")
_SPOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)+'?")
_NUMBER = re.compile(r"([-+]?\d[\d.,:]*)-?(°?[^\W\d_]+|%|°)?")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_CAMEL = re.compile(r"[^\W\d_A-Z]+[A-Z]")
_TRIM_LEFT, _TRIM_RIGHT = "(\"'“‘’«»„‚‹›*¿¡[", ".,:)\"'”’“«»‹›*]"
_DEGREES = frozenset({"degrees", "degree", "deg", "°"})
_MARKS = frozenset({"-", "–", "—", "?", "!", ".", ":", "/"})


def read(text: str, quotations: Iterable[str] | None = None) -> Reading:
    """Read a text. With `quotations`, only these count as quotations; everything else in quotation marks is read as words.

    >>> [piece.key for piece in read("pls list 3 pods in k8s").pieces]
    ['please', 'list', '3', 'pods', 'in', 'kubernetes']
    """
    known = None if quotations is None else frozenset(quotations)
    held: list[Piece] = []

    def set_aside(match: re.Match[str]) -> str:
        span = match[0]
        if span[0] == "`":
            held.append(Piece("code", span, span, exact=True))
        else:
            content = next(group for name, group in match.groupdict().items() if group is not None and name[0] == "q")
            if known is not None and content not in known:
                return span
            held.append(Piece("quotation", content, content, exact=True))
        return f" {_HELD}{len(held) - 1} "

    plain = _SPAN.sub(set_aside, text.replace(_HELD, " ").replace(_STOP, " "))
    for phrase, short in _PHRASES:
        plain = phrase.sub(short, plain)
    runs = _UNSPACED.findall(plain)
    plain = _COMMA.sub(" ", _BREAK.sub(f" {_STOP} ", _UNSPACED.sub(" ", plain)))
    characters = Counter(char for run in runs for char in run if char not in UNSPACED_LIGHT and not _HIRAGANA.match(char))
    return Reading(tuple(_Reader(held).read(plain.split())), characters)


class _Reader:
    """Turns the chunks between blanks into pieces; what a chunk is depends on the ones before it."""

    def __init__(self, held: list[Piece]) -> None:
        self._held = held
        self._pieces: list[Piece] = []
        self._first = True
        """Whether the next chunk begins a sentence, where a capital letter does not mark a name."""

    def read(self, chunks: list[str]) -> list[Piece]:
        letters = [chunk for chunk in chunks if chunk[0].isalpha()]
        self._shouted = len(letters) > 3 and sum(chunk[0].isupper() for chunk in letters) > 0.7 * len(letters)
        for chunk in chunks:
            if chunk == _STOP:
                self._first = True
            elif chunk[0] == _HELD:
                self._pieces.append(self._held[int(chunk[1:])])
                self._first = False
            else:
                self._chunk(chunk)
        return self._pieces

    def _chunk(self, written: str) -> None:
        bare = written.lstrip(_TRIM_LEFT)
        ends = bare.endswith((".", ":", ".)", '."'))
        bare = bare.rstrip(_TRIM_RIGHT).replace("’", "'")
        if len(bare) <= 64:
            bare = unicodedata.normalize("NFC", bare)
        if bare and bare not in _MARKS:
            self._sort(bare)
            self._first = False
        self._first = self._first or ends

    def _sort(self, bare: str) -> None:
        low = bare.casefold()
        if self._is_unit(low):
            return
        if low in ALIASES:
            for word in ALIASES[low].split():
                self._word(word, bare)
        elif low in numbers.KEYS:
            self._pieces.append(Piece("number", numbers.KEYS[low], bare, exact=True))
        elif _LETTERS.fullmatch(bare):
            self._word(low, bare)
        elif _SPOKEN.fullmatch(bare):
            self._spoken(low, bare)
        elif "-" in bare and all(_LETTERS.fullmatch(part) for part in bare.split("-")):
            for part in bare.split("-"):
                self._word(part.casefold(), part)
        elif not self._number(bare):
            self._pieces.append(Piece("chunk", bare.casefold() if bare.isalnum() else bare, bare, exact=True))

    def _word(self, low: str, bare: str) -> None:
        if len(low) > 1 and low in UNITS and low not in {"am", "pm", "min", "foot", "feet"}:
            low = f"unit {UNITS[low]}"
        name = not self._first and not self._shouted and bare[0].isupper() and bare.partition("'")[0] != "I"
        before = self._pieces[-1].key if self._pieces else ""
        named = before in KEYED and low not in LIGHT["en"]  # "the file notes", but not "a file in Python"
        self._pieces.append(Piece("word", low, bare, exact=name or named or _CAMEL.match(bare) is not None))

    def _spoken(self, low: str, bare: str) -> None:
        """Words with apostrophes: don't, what's, l'eau."""
        parts = low.strip("'").split("'")
        if low.endswith("n't"):
            parts = [low[:-3], "not"]
        elif low.endswith("'ll"):
            parts = [low[:-3], "will"]
        for part in parts:
            self._word(part, bare if part == parts[0] else part)

    def _number(self, bare: str) -> bool:
        digits = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else "-" if char == "−" else char for char in bare)
        match = _NUMBER.fullmatch(digits)
        if match is None:
            return False
        value, unit = match.groups()
        value = value.replace(",", "") if _THOUSANDS.fullmatch(value) else value
        low = unit.casefold() if unit else ""
        if not unit or low in UNITS or "-" in bare[1:]:
            self._pieces.append(Piece("number", f"{value} {UNITS[low]}" if low in UNITS else value, bare, exact=True))
            if unit and low not in UNITS:
                self._sort(unit)
            return True
        return False

    def _is_unit(self, low: str) -> bool:
        """Join a unit to the number before it: "72 degrees Fahrenheit" is one piece, the same as "72 F"."""
        last = self._pieces[-1] if self._pieces else None
        if last is None or last.kind != "number" or " " in last.key:
            return False
        if low in UNITS:
            self._pieces[-1] = replace(last, key=f"{last.key} {UNITS[low]}", text=f"{last.text} {low}")
        return low in UNITS or low in _DEGREES
