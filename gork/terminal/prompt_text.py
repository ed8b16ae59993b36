"""What a person or a pipe hands in as a prompt: read, joined, and refused with one clear line when no model could use it."""

from __future__ import annotations

import re
import select
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO

from gork.config.members import LONGEST_TOKEN_BYTES
from gork.errors import UsageError

MOST_BYTES = 4 * 1024 * 1024
"""More than this is not read from standard input at all."""
SILENCE_S = 1.0
_UNUSABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def _named(character: str) -> str:
    if character == "\0":
        return "a NUL character: is it a binary file?"
    if "\ud800" <= character <= "\udfff":
        return "a byte or half a character that is not valid Unicode: use UTF-8"
    return f"the control character U+{ord(character):04X}: remove it and ask again"


def check_prompt(text: str, *, context: int, what: str = "the prompt") -> str:
    """The prompt, unchanged; raises `UsageError` with one line for anything that no model can use.

    >>> check_prompt("What is this?", context=4096)
    'What is this?'
    """
    if not text.strip():
        raise UsageError(f'{what} is empty: ask something, for example: python final_script.py "What is quantum computing?"')
    if (bad := _UNUSABLE.search(text)) is not None:
        raise UsageError(f"{what} has at character {bad.start() + 1} {_named(bad[0])}")
    size = len(text.encode())
    if size > context * LONGEST_TOKEN_BYTES:
        raise UsageError(
            f"{what} has {size:,} bytes, far more than the models' context of {context:,} tokens holds"
            f" (about {context * 4:,} characters): shorten it"
        )
    return text


def from_stdin(stream: BinaryIO, say: Callable[[str], None]) -> str:
    """All of standard input, decoded; a pipe that stays silent for a second is mentioned, since it may never end."""
    if _is_silent(stream):
        say("waiting for standard input (end it with Ctrl-D, or use </dev/null)")
    data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UsageError(f"standard input has more than {MOST_BYTES:,} bytes: too much for any of the models")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input is not UTF-8 text (byte {error.start + 1}): is it a binary file?") from None


def _is_silent(stream: BinaryIO) -> bool:
    if sys.platform == "win32":
        return False  # select works on sockets only there
    try:
        return not select.select([stream], [], [], SILENCE_S)[0]
    except (OSError, ValueError):
        return False


def join(piped: str, words: Sequence[str]) -> str:
    r"""Standard input first, then the argument.

    >>> join("some text\n", ["summarise", "this"])
    'some text\n\nsummarise this'
    """
    return "\n\n".join(part for part in (piped.strip("\r\n"), " ".join(words)) if part.strip())
