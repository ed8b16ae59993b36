r"""Text from models, servers and files, made safe for a terminal: nothing in it can drive the terminal or hide from the reader.

Removed are whole escape sequences, control characters other than newline and tab, characters that reorder their neighbours (bidi controls)
and those without any width. Joiners stay in answers, where scripts and emoji need them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TextIO

from gork.terminal.screen import is_terminal, size

_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, modes
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f\n]*(?:\x07|\x1b\\|\x9c)"  # OSC and its like: titles, links, clipboard
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # the short ones
)
_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_DROPPED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without newline and tab, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidi
    "\u00ad\u034f\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"  # without width
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_JOINERS = re.compile("[\u200c\u200d\ufe00-\ufe0f]")
_COLOUR_OFF = "\x1b[0m"
_PICTURES = frozenset({"So", "Sk", "Cn", "Co"})
"""Categories that some terminals give two columns."""


def shown(text: str) -> str:
    r"""The text without what a terminal would act on; lines are kept, lone surrogates are replaced.

    >>> shown("a\x1b[31mb\x1b]0;title\x07c\x9b2J\u202ed\r\ne\x1b")
    'abcd\ne'
    """
    text = _BREAKS.sub("\n", _SEQUENCES.sub("", text))
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", _DROPPED.sub("", text))


def one_line(text: str) -> str:
    r"""The text without what a terminal would act on, as one line.

    >>> one_line(" two\n\n\tlines\x07 ")
    'two lines'
    """
    return " ".join(shown(text).split())


def counted(number: int, what: str) -> str:
    """A number of things, for people.

    >>> counted(1, "token"), counted(2, "token")
    ('1 token', '2 tokens')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def columns_of(char: str) -> int:
    """The most columns that any terminal gives this character; a combining mark, which most put onto its neighbour, counts as one."""
    if char < "\x7f":
        return 1
    wide = char >= "\U0001f000" or unicodedata.east_asian_width(char) in "WF" or unicodedata.category(char) in _PICTURES
    return 2 if wide else 1


def head(text: str, columns: int) -> str:
    """The first part of a line that fits these columns on any terminal.

    >>> head("promptimizer", 8), head("qwen", 8), head("日本語", 4)
    ('promp...', 'qwen', '...')
    """
    line = _for_a_row(text[: 8 * columns + 64])
    whole = _fitting(line, columns)
    return whole if len(whole) == len(line) else _fitting(line, columns - 3) + "..."[: max(columns, 0)]


def tail(text: str, columns: int) -> str:
    """The last part of a line that fits these columns on any terminal.

    >>> tail("of the French Republic", 12), tail("日本語", 6)
    ('... Republic', '日本語')
    """
    line = _for_a_row(text[-(8 * columns + 64) :])[::-1]
    whole = _fitting(line, columns)
    return (whole if len(whole) == len(line) else _fitting(line, columns - 3) + "..."[: max(columns, 0)])[::-1]


def wrapped(line: str, columns: int) -> list[str]:
    """A line broken at blanks so that no part is wider; parts after the first are indented as it is. Longer words stay whole.

    >>> wrapped("  one two three", 9)
    ['  one two', '  three']
    """
    if sum(map(columns_of, line)) <= columns:
        return [line]
    indent = line[: len(line) - len(line.lstrip(" "))][: columns // 2]
    parts, now, width = [], indent, len(indent)
    for word in line.split():
        needed = sum(map(columns_of, word))
        if width > len(indent) and width + 1 + needed > columns:
            parts.append(now)
            now, width = indent, len(indent)
        now += word if width == len(indent) else f" {word}"
        width += needed + (width > len(indent))
    return [*parts, now]


def _for_a_row(text: str) -> str:
    return _JOINERS.sub("", unicodedata.normalize("NFC", one_line(text)))


def _fitting(line: str, columns: int) -> str:
    """The longest beginning of the line that fits."""
    left = columns
    for place, char in enumerate(line):
        left -= columns_of(char)
        if left < 0:
            return line[:place]
    return line


def tell(stream: TextIO | None, text: str, *, colour: str = "", clean: bool = False) -> None:
    """Write lines to a stream, broken at words if it is a terminal; nothing happens if the stream is closed or gone.

    A text that is `clean` has been laid out for the stream, and is neither cleaned nor broken.
    """
    if stream is None:  # 2>&-: printing to None would print to stdout
        return
    try:
        if not clean:
            lines = shown(text).split("\n")
            text = "\n".join(part for line in lines for part in wrapped(line, size(stream)[0])) if is_terminal(stream) else "\n".join(lines)
        # In one piece: `print` writes the line's end by itself, and between the two another stream's line may land on the same terminal.
        stream.write(f"{colour}{text}{_COLOUR_OFF}\n" if colour else f"{text}\n")
        stream.flush()
    except (OSError, ValueError):
        return
