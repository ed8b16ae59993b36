"""What a value may be: one `Kind` for each sort of value, the same for ensemble files, settings files, variables and flags."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from gork.config.urls import BadUrl, base_url, masked, parse_host, printable, quoted
from gork.errors import ConfigError

T_co = TypeVar("T_co", covariant=True)

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
TRUE, FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})


class Wrong(ValueError):
    """Raised with what is wrong with a value, worded to follow its place ("must be ...")."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """A sort of value: what it is in words, the check of a value from YAML, and how the text of a variable or flag becomes one."""

    what: str
    check: Callable[[object], T_co]
    """Takes what YAML gives; raises `Wrong`."""
    from_yaml_of: Callable[[str], object] = str
    """Turns text into what YAML would have given for it; what cannot be turned is left for `check` to refuse."""

    def parse(self, text: str) -> T_co:
        """The value that a variable's or a flag's text means. Raises `Wrong`."""
        return self.check(self.from_yaml_of(text))


def whole(low: int, high: int) -> Kind[int]:
    """A whole number within bounds."""
    what = f"a whole number from {low} to {high}"

    def check(raw: object) -> int:
        if type(raw) is not int or not low <= raw <= high:
            raise Wrong(f"must be {what}, not {describe(raw)}")
        return raw

    return Kind(what, check, lambda text: int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else text)


def number(low: float, high: float) -> Kind[float]:
    """A finite number within bounds."""
    what = f"a number from {low:g} to {high:g}"

    def check(raw: object) -> float:
        # A whole number may be larger than any float; NaN is within no bounds.
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not low <= raw <= high:
            raise Wrong(f"must be {what}, not {describe(raw)}")
        return float(raw)

    return Kind(
        what, check, lambda text: float(text) if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", text) else text
    )


def flag() -> Kind[bool]:
    """True or false."""

    def check(raw: object) -> bool:
        if not isinstance(raw, bool):
            raise Wrong(f"must be true or false, not {describe(raw)}")
        return raw

    def from_text(text: str) -> object:
        word = text.lower()
        return True if word in TRUE else False if word in FALSE else text

    return Kind("true or false", check, from_text)


def choice(*options: str) -> Kind[str]:
    """One of a few words."""
    what = "one of " + ", ".join(options)

    def check(raw: object) -> str:
        if not isinstance(raw, str):
            raise Wrong(f"must be {what}, not {describe(raw)}")
        if raw not in options:
            raise Wrong(f"must be {what}, not {describe(raw)}{suggestion(raw, options)}")
        return raw

    return Kind(what, check)


def text(what: str = "text", *, pattern: str = r"(?s:.+)", longest: int = 100_000) -> Kind[str]:
    """Text of a certain form that any encoding can carry."""

    def check(raw: object) -> str:
        if not isinstance(raw, str):
            raise Wrong(f"must be {what}, not {describe(raw)}" + ("" if isinstance(raw, dict | list) else " (put it in quotes)"))
        if len(raw) > longest:
            raise Wrong(f"must be {what} of at most {longest} characters, not of {len(raw)}")
        if "\0" in raw or any("\ud800" <= char <= "\udfff" for char in raw):
            raise Wrong(f"must be {what} without NUL and without halves of characters")
        if not re.fullmatch(pattern, raw):
            raise Wrong(f"must be {what}, not {describe(raw)}" if raw else f"must be {what}, but is empty")
        return raw

    return Kind(what, check)


def path() -> Kind[Path]:
    """A path, with ~ for a home folder."""
    form = text("a path", longest=4096)

    def check(raw: object) -> Path:
        try:
            return Path(form.check(raw)).expanduser()
        except RuntimeError:
            raise Wrong(f"must be a path, and {describe(raw)} begins with a home folder that cannot be found out") from None

    return Kind("a path", check)


def url(what: str = "a URL such as http://qwen:11434") -> Kind[str]:
    """The base URL of a server."""
    return _as_url(what, base_url)


def origins() -> Kind[tuple[str, ...]]:
    """Web origins: a list, or a text with commas."""
    what = "origins such as https://chat.example"

    def check(raw: object) -> tuple[str, ...]:
        parts = [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple) or len(parts) > 64:
            raise Wrong(f"must be {what}, not {describe(raw)}")
        for part in parts:
            if not isinstance(part, str) or not re.fullmatch(
                r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?|https?://\[[0-9a-f:]{2,39}\](:[0-9]{1,5})?", part
            ):
                raise Wrong(f"must be {what} (scheme, host, port if it is no usual one, nothing behind them), not {describe(part)}")
        return tuple(parts)

    return Kind(what, check)


def host() -> Kind[str]:
    """The address of an Ollama server, in any spelling that OLLAMA_HOST may have."""

    def check(value: str) -> str:
        try:
            return parse_host(value)
        except ConfigError as error:
            raise BadUrl(str(error).partition('": ')[2] or str(error)) from None

    return _as_url("a host, host:port or URL", check)


def _as_url(what: str, read: Callable[[str], str]) -> Kind[str]:
    spelled = text(what, longest=2048)

    def check(raw: object) -> str:
        value = spelled.check(raw)
        try:
            return read(value)
        except BadUrl as error:
            raise Wrong(f"{quoted(masked(value))} {error}") from None

    return Kind(what, check)


def secret() -> Kind[Secret]:
    """A token; no message ever has it in it."""

    def check(raw: object) -> Secret:
        if not isinstance(raw, str) or not re.fullmatch(r"[!-~]{1,4096}", raw):
            raise Wrong("must be a token: up to 4096 printable ASCII characters without blanks (its value is not shown)")
        return Secret(raw)

    return Kind("a token", check)


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is never shown: `reveal` gives it, nothing else does."""

    _value: str

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"


def describe(raw: object) -> str:
    """A value as a message may show it."""
    if isinstance(raw, str):
        return f"the text {quoted(raw)}"
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, int):
        return str(raw) if abs(raw) < 10**20 else "a number of more than 20 digits"
    if isinstance(raw, float):
        return f"{raw:g}" if math.isfinite(raw) else "an infinite or undefined number"
    return "nothing" if raw is None else "a list" if isinstance(raw, list) else "a mapping"


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """What to put behind the message about an unknown name: the nearest known one, if any is near."""
    near = difflib.get_close_matches(wrong[:200], list(known), n=1, cutoff=0.6)
    return f', did you mean "{printable(near[0])}"?' if near else ""
