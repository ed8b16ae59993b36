"""Question sets: files of questions whose answers can be checked (`bench/judge/questions/*.yaml` or a user's own)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bench.judge.check_syntax import read_check
from bench.judge.graders import Check, Grade, grade
from bench.judge.programs import PythonCalls
from gork.config.urls import printable, quoted
from gork.config.values import choice, text
from gork.config.yaml_file import Key, Located, Mistakes, Table, checked, read_document, read_file, read_list, read_mapping
from gork.errors import ConfigError

KINDS = ("fact", "arithmetic", "definition", "code", "text", "format")
_MOST_QUESTIONS, _MOST_EXAMPLES, _LONGEST_ASK, _LONGEST_EXAMPLE = 1000, 50, 8000, 20_000
_EXAMPLE = text("an answer", longest=_LONGEST_EXAMPLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question, how its answer is checked, and answers that try the check."""

    id: str
    kind: str
    ask: str
    check: Check
    right: tuple[str, ...]
    wrong: tuple[str, ...]

    def grade(self, answer: str) -> Grade:
        """The grade of an answer. Where the question `needs_python`, this runs the Python that the answer contains."""
        return grade(self.check, answer, self.ask)

    @property
    def needs_python(self) -> bool:
        """Whether grading runs Python that a model wrote."""
        return isinstance(self.check, PythonCalls)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionSet:
    """The questions of one file; `sha256` is that of its bytes."""

    name: str
    items: tuple[Item, ...]
    sha256: str


def _examples(place: Located, mistakes: Mistakes) -> tuple[str, ...]:
    items = read_list(place, "answers", most=_MOST_EXAMPLES, mistakes=mistakes)
    if place.value == []:
        mistakes.add(place, "has no answer, there must be at least one")
    return tuple(checked(items, _EXAMPLE, mistakes))


ITEM: Table = {
    "id": Key(text("an id of a-z, 0-9 and -", pattern=r"[a-z0-9-]{1,100}"), "Names the question; no other has the same."),
    "kind": Key(choice(*KINDS), "What sort of question it is."),
    "ask": Key(text("a question", pattern=r"(?s:\s*\S.*)", longest=_LONGEST_ASK), "The question as a user would type it."),
    "check": Key(read_check, "How an answer is checked."),
    "right": Key(_examples, "Answers that are right: they try the check."),
    "wrong": Key(_examples, "Answers that are nearly right: they try the check."),
}


def _items(place: Located, mistakes: Mistakes) -> tuple[Item, ...]:
    items: list[Item] = []
    first: dict[str, int] = {}
    entries = read_list(place, "questions", most=_MOST_QUESTIONS, mistakes=mistakes)
    if place.value == []:
        mistakes.add(place, "has no question, there must be at least one")
    for entry in entries:
        before = len(mistakes)
        values = read_mapping(entry, ITEM, mistakes, required=tuple(ITEM))
        name = values.get("id")
        if name is not None and name in first:
            mistakes.add(entry.value["id"], f"{quoted(name)} is taken, by the question in line {first[name]}")
        elif name is not None:
            first[name] = entry.line
        if len(mistakes) == before:
            items.append(Item(**values))
    return tuple(items)


SET: Table = {
    "name": Key(text("a name of a-z, 0-9, - and _", pattern=r"[a-z0-9_-]{1,100}"), "The set's name."),
    "questions": Key(_items, "The questions."),
}


def load_questions(path: Path) -> QuestionSet:
    """The questions of a file. Raises a `ConfigError` that lists every mistake with its line."""
    content = read_file(path)
    mistakes = Mistakes(str(path))
    root = read_document(content, mistakes)
    if root is None:
        if not mistakes:
            mistakes.add(1, "is empty, a question set has a name and questions")
        raise mistakes.error()
    values = read_mapping(root, SET, mistakes, required=("name", "questions"))
    if mistakes:
        raise mistakes.error()
    return QuestionSet(name=values["name"], items=values["questions"], sha256=_sha256(path, content))


def _sha256(path: Path, content: str) -> str:
    """The checksum of the file that had this content."""
    data = path.read_bytes()
    if data.decode("utf-8-sig", errors="replace") != content:
        raise ConfigError([f"{printable(str(path))}: changes while it is read; try again with a file that stays as it is"])
    return hashlib.sha256(data).hexdigest()
