"""What a command is, what it can ask the prompt to do, and how its line is told from a question."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from gork.errors import UsageError
from gork.terminal.session import Request, Session


@dataclass(frozen=True, slots=True)
class Edited:
    """A text from the user's editor, to be put at the prompt before it is asked."""

    text: str


class Leave(Enum):
    """The session ends."""

    NOW = auto()


Outcome = Request | Edited | Leave | None


def no_words(_session: Session, _before: Sequence[str]) -> Sequence[str]:
    """Nothing to complete."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command."""

    name: str
    help: str
    run: Callable[[Session, str], Coroutine[Any, Any, Outcome]]
    argument: str = ""
    """As /help shows it: in brackets if it is optional, empty if the command takes none."""
    aliases: tuple[str, ...] = ()
    words: Callable[[Session, Sequence[str]], Sequence[str]] = no_words
    """Completions of the argument's next word, given the words before it."""
    path: bool = False
    """Whether its argument is a path, which is completed from the disk."""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.argument}".rstrip()

    def check(self, argument: str) -> str:
        """Return the argument; raises `UsageError` if it is missing, or if the command takes none."""
        if argument and not self.argument:
            raise UsageError(f"/{self.name} takes no argument")
        if self.argument and not argument and not self.argument.startswith("["):
            raise UsageError(f"Usage: {self.usage}")
        return argument
