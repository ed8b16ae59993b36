"""YAML files that people write, read with the line of every value; mistakes are collected with their places.

A file is untrusted. It is one document of at most 1 MiB, 10,000 values and 16 levels, without tags, so that reading it always ends and
never makes anything but text, numbers, true, false, lists and mappings. What an alias (*) repeats counts each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

import yaml

from gork.config.urls import printable, quoted
from gork.errors import ConfigError

LARGEST_FILE = 1 << 20
_MOST_VALUES, _DEEPEST, _LONGEST_NUMBER = 10_000, 16, 100
_PREFIX = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Located:
    """A value of a file with its place: None, bool, int, float, str, a list or a mapping of more of them."""

    value: Any
    line: int
    path: str

    @classmethod
    def of(cls, raw: object, path: str = "") -> Located:
        """Plain data that stands in no file, with the paths alone."""
        place = cls(raw, 0, path)
        if isinstance(raw, dict):
            return cls({str(key): cls.of(value, place.under(str(key))) for key, value in raw.items()}, 0, path)
        return cls([cls.of(item, f"{path}[{at}]") for at, item in enumerate(raw)], 0, path) if isinstance(raw, list) else place

    def plain(self) -> Any:  # noqa: ANN401 # whatever YAML can say
        """The value without the places."""
        if isinstance(self.value, dict):
            return {key: entry.plain() for key, entry in self.value.items()}
        return [item.plain() for item in self.value] if isinstance(self.value, list) else self.value

    def under(self, key: str) -> str:
        """The path of a key in this mapping."""
        return f"{self.path}.{printable(key[:80])}" if self.path else printable(key[:80])


class Mistake(NamedTuple):
    """What is wrong at one place of a file."""

    line: int
    path: str
    what: str
    column: int | None = None


class Mistakes:
    """The mistakes found in one file."""

    def __init__(self, source: str) -> None:
        self.source = printable(source)
        self._found: list[Mistake] = []

    def add(self, place: Located | int, what: str, *, column: int | None = None) -> None:
        """Note a mistake at a value, or at a line and column."""
        line, path = (place, "") if isinstance(place, int) else (place.line, place.path)
        self._found.append(Mistake(line, path, what, column))

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Mistake]:
        """All of them, in the order of the file."""
        return iter(sorted(self._found, key=lambda mistake: mistake.line))

    def texts(self) -> list[str]:
        """One line for each: file, line, key and what is wrong."""
        return [
            f"{self.source}:{line}{'' if column is None else f':{column}'}: {path and path + ': '}{what}"
            for line, path, what, column in self
        ]

    def error(self) -> ConfigError:
        """The mistakes as one error."""
        return ConfigError(self.texts())


def read_file(path: Path) -> str:
    """The text of a file. Raises a `ConfigError` that names it."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError([f"{printable(str(path))}: cannot be read: {reason}"]) from None
    if len(data) > LARGEST_FILE:
        raise ConfigError([f"{printable(str(path))}: is larger than {LARGEST_FILE >> 20} MiB; is it the right file?"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{printable(str(path))}:{line}: is not UTF-8 text; is it the right file?"]) from None


def read_document(text: str, mistakes: Mistakes) -> Located | None:
    """The document in `text`, None if there is nothing in it or if it is not YAML (then `mistakes` says so)."""
    if len(text) > LARGEST_FILE:
        mistakes.add(1, f"is larger than {LARGEST_FILE >> 20} MiB; is it the right file?")
        return None
    loader: _Bounded | None = None
    try:
        loader = _Bounded(text)
        root = loader.get_single_node()
        return None if root is None else _located(root, loader, "", root.start_mark.line + 1, mistakes)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        if isinstance(error, _Refused):
            mistakes.add(line, str(error.problem), column=column)
        elif isinstance(error, yaml.composer.ComposerError):
            mistakes.add(line, "only one document is allowed", column=column)
        else:
            mistakes.add(line, f"not YAML: {printable(str(error.problem or error.context))}", column=column)
    except yaml.reader.ReaderError as error:
        line, column = _line_and_column(text, error.position)
        mistakes.add(line, f"not YAML: the character U+{error.character:04X} is not allowed", column=column)
    except (ValueError, OverflowError):
        # PyYAML gives no mark for an escape such as "\U00110000".
        mistakes.add(loader.line + 1 if loader is not None else 1, "not YAML: an escape sequence names no character")
    finally:
        if loader is not None:
            loader.dispose()
    return None


class _Refused(yaml.MarkedYAMLError):
    """Raised for YAML that is not wrong, but more than is allowed here."""


class _Bounded(yaml.SafeLoader):
    """A safe loader that refuses what can make a small file large, deep or surprising."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._values = self._depth = self._deepest = 0
        self._anchored: dict[str, tuple[int, int]] = {}
        """Values in an anchored node, and levels below the one where it stands."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # the stub has no types here
        if isinstance(event, yaml.AliasEvent):
            return self._repeated(event, parent, index)
        if getattr(event, "tag", None) is not None:
            self._refuse("tags (!) are not allowed", event)
        if event.anchor in self.anchors:
            self._refuse(f"the anchor &{event.anchor} is given twice", event)
        above, self._deepest, before = self._deepest, self._depth + 1, self._values
        self._depth += 1
        self._count(1, self._depth, event)
        node = super().compose_node(parent, index)
        if event.anchor is not None:
            self._anchored[event.anchor] = (self._values - before, self._deepest - self._depth + 1)
        self._depth -= 1
        self._deepest = max(above, self._deepest)
        return node

    def _repeated(self, event: yaml.AliasEvent, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The node that an alias stands for, which must be complete."""
        if event.anchor not in self._anchored:
            self._refuse(f"the alias *{event.anchor} stands for nothing that was written before it as &{event.anchor}", event)
        values, levels = self._anchored[event.anchor]
        self._count(values, self._depth + levels, event)
        self._deepest = max(self._deepest, self._depth + levels)
        return super().compose_node(parent, index)

    def _count(self, values: int, depth: int, event: yaml.Event) -> None:
        self._values += values
        if self._values > _MOST_VALUES:
            self._refuse(f"more than {_MOST_VALUES} values; is it the right file?", event)
        if depth > _DEEPEST:
            self._refuse(f"nested more than {_DEEPEST} levels deep", event)

    def _refuse(self, why: str, event: yaml.Event) -> NoReturn:
        raise _Refused(problem=why, problem_mark=cast("yaml.Mark", event.start_mark))


def _located(node: yaml.Node, loader: _Bounded, path: str, line: int, mistakes: Mistakes) -> Located:
    """A node as a value with its place; the place of a mapping's value is that of its key."""
    match node:
        case yaml.MappingNode():
            place = Located({}, line, path)
            for key, value in node.value:
                _add_entry(place, key, value, loader, mistakes)
            return place
        case yaml.SequenceNode():
            items = [_located(item, loader, f"{path}[{at}]", item.start_mark.line + 1, mistakes) for at, item in enumerate(node.value)]
            return Located(items, line, path)
        case _:
            return Located(_scalar(node, loader, Located(None, line, path), mistakes), line, path)


def _add_entry(place: Located, key: yaml.Node, value: yaml.Node, loader: _Bounded, mistakes: Mistakes) -> None:
    line = key.start_mark.line + 1
    if not isinstance(key, yaml.ScalarNode):
        mistakes.add(Located(None, line, place.path), "a key must be text")
        return
    entry = _located(value, loader, place.under(key.value), line, mistakes)
    if key.value in place.value:
        first = place.value[key.value].line
        mistakes.add(entry, f"given twice, first in line {first}")
        return
    place.value[key.value] = entry


def _scalar(node: yaml.Node, loader: _Bounded, place: Located, mistakes: Mistakes) -> object:
    """What a plain word means in YAML 1.1, with dates left as text."""
    if node.tag.removeprefix(_PREFIX) not in {"null", "bool", "int", "float"}:
        return node.value
    if len(node.value) > _LONGEST_NUMBER:
        mistakes.add(place, f"is a number of more than {_LONGEST_NUMBER} digits")
        return None
    try:
        return loader.construct_object(node)
    except (ValueError, OverflowError):
        mistakes.add(place, f"{quoted(node.value)} is not a number (put it in quotes if it is meant as text)")
        return None


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
