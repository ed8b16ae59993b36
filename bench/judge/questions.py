"""Question sets: files of questions whose answers can be checked (`bench/judge/questions/*.yaml` or a user's own)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from msgspec import UNSET, Meta

from bench.judge.check_syntax import read_check
from bench.judge.graders import Check, Grade, grade
from bench.judge.programs import PythonCalls
from gork.config.schema import At, Text, read, read_keys
from gork.config.urls import printable, quoted
from gork.config.yaml_file import Located, Mistakes, read_document, read_file
from gork.errors import ConfigError

Kind = Literal["fact", "arithmetic", "definition", "code", "text", "format"]
KINDS: tuple[str, ...] = get_args(Kind)
_MOST_QUESTIONS, _MOST_EXAMPLES, _LONGEST_ASK, _LONGEST_EXAMPLE = 10_000, 50, 8000, 20_000

_HERE = Path(__file__).parent / "questions"
SHIPPED: Mapping[str, Path] = {"development": _HERE / "development.yaml", "held-back": _HERE / "held_back.yaml"}
"""The sets that come with the program, by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question, how its answer is checked, and answers that try the check."""

    id: str
    kind: str
    ask: str
    check: Check
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    set: str = ""
    """The name of its question set; with the id it names the question among those of all sets."""

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


_Examples = Annotated[
    tuple[Annotated[Text, Meta(max_length=_LONGEST_EXAMPLE, title="an answer")], ...],
    Meta(min_length=1, max_length=_MOST_EXAMPLES, title="answers"),
]
ITEM: Mapping[str, Any] = {
    "id": Annotated[str, Meta(pattern=r"\A[a-z0-9-]{1,100}\Z", title="an id of a-z, 0-9 and -")],
    "kind": Kind,
    "ask": Annotated[str, Meta(pattern=r"\S", max_length=_LONGEST_ASK, title="a question")],
    "check": Annotated[Check, At(read_check)],
    "right": _Examples,
    "wrong": _Examples,
}
"""The keys of a question: `right` and `wrong` are answers that try its check."""


_Entries = Annotated[
    tuple[Annotated[Located, At(lambda entry, _: entry)], ...], Meta(min_length=1, max_length=_MOST_QUESTIONS, title="questions")
]


def _items(place: Located, mistakes: Mistakes) -> tuple[Item, ...]:
    items: list[Item] = []
    first: dict[str, int] = {}
    entries = read(_Entries, place, mistakes)
    for entry in () if entries is UNSET else entries:
        before = len(mistakes)
        values = read_keys(ITEM, entry, mistakes, required=ITEM)
        name = values.get("id")
        if name is not None and name in first:
            mistakes.add(entry.value["id"], f"{quoted(name)} is taken, by the question in line {first[name]}")
        elif name is not None:
            first[name] = entry.line
        if len(mistakes) == before:
            items.append(Item(**values))
    return tuple(items)


SET: Mapping[str, Any] = {
    "name": Annotated[str, Meta(pattern=r"\A[a-z0-9_-]{1,100}\Z", title="a name of a-z, 0-9, - and _")],
    "questions": Annotated[tuple[Item, ...], At(_items)],
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
    values = read_keys(SET, root, mistakes, required=("name", "questions"))
    if mistakes:
        raise mistakes.error()
    items = tuple(replace(item, set=values["name"]) for item in values["questions"])
    return QuestionSet(name=values["name"], items=items, sha256=_sha256(path, content))


def load_sets(given: Sequence[str]) -> tuple[QuestionSet, ...]:
    """The sets of files, of all YAML files of folders, and of the program's own names (`SHIPPED`), in their order.

    Raises a `ConfigError` that lists every mistake of all files, and every name that two sets have.
    """
    sets: dict[str, tuple[QuestionSet, Path]] = {}
    mistakes: list[str] = []
    for path in dict.fromkeys(path for name in given for path in _files(name)):
        try:
            found = load_questions(path)
        except ConfigError as error:
            mistakes += error.mistakes
            continue
        _, taken = sets.setdefault(found.name, (found, path))
        if taken != path:
            mistakes.append(f"{printable(str(path))}: its name, {found.name}, is taken by {printable(str(taken))}")
    if mistakes:
        raise ConfigError(mistakes)
    return tuple(found for found, _ in sets.values())


def _files(name: str) -> list[Path]:
    """The files that a name on the command line stands for."""
    path = SHIPPED.get(name) or Path(name)
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml"})
    if not found:
        raise ConfigError([f"{printable(name)}: has no question set (*.yaml)"])
    return found


def _sha256(path: Path, content: str) -> str:
    """The checksum of the file that had this content."""
    data = path.read_bytes()
    if data.decode("utf-8-sig", errors="replace") != content:
        raise ConfigError([f"{printable(str(path))}: changes while it is read; try again with a file that stays as it is"])
    return hashlib.sha256(data).hexdigest()
