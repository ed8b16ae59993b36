"""Values of files, variables, flags and requests, read against the types of our records and their bounds (msgspec's `Meta`).

msgspec stops at its first mistake and knows no lines. So every value is converted alone here: each mistake is noted with its place and
in our words: what the value must be, and what was given. `Meta(title=...)` says what a value is where the type alone does not.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gork.config.urls import printable, quoted
from gork.config.yaml_file import Located, Mistakes

TRUE, FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
LONGEST_TEXT: Final = 100_000
Text = Annotated[str, Meta(min_length=1)]
Name = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,62}\Z", title="a name of lower-case letters, digits and dashes (at most 63)")]
_R = TypeVar("_R", bound=msgspec.Struct)


class Wrong(ValueError):
    """Raised with what is wrong with a value, worded to follow its place ("must be ...").

    `inside` is the place within the value where that is not the whole of it ("[2]").
    """

    def __init__(self, what: str, *, inside: str = "") -> None:
        self.what, self.inside = what, inside
        super().__init__(f"{inside}: {what}" if inside else what)


class From(NamedTuple):
    """Annotates a type whose values are written in another way: as `kind`, of which `make` makes the value. `make` raises `Wrong`."""

    kind: Any
    make: Callable[[Any], Any]


class At(NamedTuple):
    """Annotates a type that a function of its own reads: it notes its mistakes, and returns `UNSET` if nothing can be read."""

    read: Callable[[Located, Mistakes], Any]


class Help(NamedTuple):
    """Annotates a field with a line of help for people."""

    text: str
    key: str = ""
    """The name that people use, where it is not the field's."""
    also: str | None = None
    """Another program's environment variable that counts where ours is not set."""
    group: str = "asking"
    """The heading under which a setting's flag is listed."""
    placeholder: str = ""
    """What stands for its value in the help; made from the type if it is not given."""


INLINE: Final = "inline"
"""Annotates a record whose keys stand among those of the record that it is a part of."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a mapping in a file is read as; a field without a default is a key that must be there."""

    refused: ClassVar[Mapping[str, str]] = {}
    """Keys that it cannot have, and why."""

    @classmethod
    def check(cls, place: Located, mistakes: Mistakes) -> None:
        """Note what does not go together in a mapping that is read as this; `place.value` is a dict."""


def expanded(value: str) -> Path:
    """A path, ~ replaced by the home folder. Raises `Wrong`."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise Wrong(f"must be a path, and the home folder that {quoted(value)} begins with is not known") from None


FilePath = Annotated[Path, From(Annotated[Text, Meta(title="a path", max_length=4096)], expanded)]
"""With ~ for a home folder."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is never shown: `reveal` gives it, nothing else does."""

    _value: str

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"


def read_value(kind: Any, raw: object) -> Any:  # noqa: ANN401 - any type, and a value of it
    """The value of type `kind` that plain data (from JSON, from a flag) stands for. Raises `Wrong`.

    >>> read_value(Annotated[int, Meta(ge=0, le=9)], 12)
    Traceback (most recent call last):
        ...
    gork.config.schema.Wrong: must be a whole number from 0 to 9, not 12
    """
    mistakes = Mistakes("")
    value = read(kind, Located.of(raw), mistakes)
    for mistake in mistakes:
        raise Wrong(mistake.what, inside=mistake.path)
    return value


def parse_value(kind: Any, text: str) -> Any:  # noqa: ANN401 - as above
    """The value of type `kind` that the text of a variable or a flag means. Raises `Wrong`.

    >>> parse_value(bool, "yes"), parse_value(float, "1e3")
    (True, 1000.0)
    """
    base, raw = _plain(kind)[0], text
    if base is bool:
        word = text.lower()
        return read_value(kind, True if word in TRUE else False if word in FALSE else text)
    if base is int and re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return read_value(kind, int(text))
    if base is float and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", text):
        return read_value(kind, float(text))
    return read_value(kind, raw)


def read(kind: Any, place: Located, mistakes: Mistakes) -> Any:  # noqa: ANN401 - as above
    """The value of type `kind` at a place of a file; `UNSET` if there is none, and then the mistakes say why."""
    base, notes, kind = _plain(kind, place.value)
    for note in notes:
        if isinstance(note, At):
            return note.read(place, mistakes)
        if isinstance(note, From):
            value = read(note.kind, place, mistakes)
            return value if value is UNSET else _noted(note.make, value, place, mistakes)
    match get_origin(base):
        case origin if origin in {list, tuple}:
            return _read_list(origin, get_args(base)[0], notes, place, mistakes)
        case origin if origin is dict:
            key, item = get_args(base)
            return _read_mapping(key, item, place, mistakes)
    if isinstance(base, type) and issubclass(base, msgspec.Struct):
        return read_record(base, place, mistakes)
    return _noted(functools.partial(_convert, kind), place.plain(), place, mistakes)


def read_record(record: type[_R], place: Located, mistakes: Mistakes) -> _R | UnsetType:
    """The record that a mapping describes; values with a mistake are left out. `UNSET` if one is missing that must be there."""
    fields = fields_of(record)
    inline = {name: field.inline for name, field in fields.items() if field.inline is not None}
    kinds: dict[str, Any] = {}
    for name, field in fields.items():
        kinds |= dict.fromkeys(fields_of(inline[name])) if name in inline else {name: field.kind}
    required = [name for name, field in fields.items() if field.required]
    values = read_keys(kinds, place, mistakes, required=required, refused=getattr(record, "refused", {}))
    if not isinstance(place.value, dict):
        return UNSET
    given = {key: entry for key, entry in place.value.items() if entry.value is not None}
    for name, part in inline.items():
        if inside := {key: given[key] for key in given if key in fields_of(part)}:
            values[name] = read_record(part, Located(inside, place.line, place.path), mistakes)
    if issubclass(record, Record):
        record.check(place, mistakes)
    values = {name: value for name, value in values.items() if value is not UNSET}
    return record(**values) if all(name in values for name in required) else UNSET


def read_keys(
    kinds: Mapping[str, Any], place: Located, mistakes: Mistakes, *, required: Iterable[str] = (), refused: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The values of a mapping's keys, each of its type; left out are those with a mistake, with nothing (null), and of the type None."""
    if not isinstance(place.value, dict):
        mistakes.add(place, f"must be a mapping (key: value), not {describe(place.value)}")
        return {}
    values = {}
    for name, entry in place.value.items():
        if refused and name in refused:
            mistakes.add(entry, refused[name])
        elif name not in kinds:
            mistakes.add(entry, f"unknown key{suggestion(name, kinds) or ', known are: ' + ', '.join(kinds)}")
        elif entry.value is not None and kinds[name] is not None:
            values[name] = read(kinds[name], entry, mistakes)
    for name in required:
        if name not in place.value or place.value[name].value is None:
            mistakes.add(place, f'"{name}" is missing')
    return {name: value for name, value in values.items() if value is not UNSET}


class Field(NamedTuple):
    """One field of a record."""

    kind: Any
    base: Any
    """Its type without annotations and without None."""
    help: Help | None
    required: bool
    default: Any
    inline: type[msgspec.Struct] | None


@functools.cache
def fields_of(record: type[msgspec.Struct]) -> Mapping[str, Field]:
    """The fields of a record by their names."""
    hints, fields = get_type_hints(record, include_extras=True), {}
    for field in msgspec.structs.fields(record):
        base, notes, _ = _plain(hints[field.name])
        help_ = next((note for note in reversed(notes) if isinstance(note, Help)), None)
        inline = base if INLINE in notes else None
        fields[field.name] = Field(hints[field.name], base, help_, field.required, field.default, inline)
    return fields


def what(kind: Any) -> str:  # noqa: ANN401 - as above
    """What a value of a type is, in words.

    >>> what(Annotated[float, Meta(ge=0, le=1)]), what(Literal["a", "b"] | None)
    ('a number from 0 to 1', 'one of a, b')
    """
    base, notes, _ = _plain(kind)
    if title := next((note.title for note in reversed(notes) if isinstance(note, Meta) and note.title), None):
        return title
    if source := next((note for note in notes if isinstance(note, From)), None):
        return what(source.kind)
    if choices := _choices(base):
        return "one of " + ", ".join(choices)
    if base in {int, float}:
        low, high = _bound(notes, "ge"), _bound(notes, "le")
        return f"a whole number from {low} to {high}" if base is int else f"a number from {low:.12g} to {high:.12g}"
    return "true or false" if base is bool else "text"


def _choices(base: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    """The words of which one is a value of this type; none where it is no choice among words."""
    if get_origin(base) is Literal:
        return get_args(base)
    return tuple(base) if isinstance(base, type) and issubclass(base, StrEnum) else ()


def placeholder(kind: Any) -> str:  # noqa: ANN401 - as above
    """What stands for a value of a type in a line of help.

    >>> placeholder(Literal["a", "b"]), placeholder(int | None), placeholder(FilePath)
    ('{a,b}', 'N', 'PATH')
    """
    base, _, _ = _plain(kind)
    if get_origin(base) is Literal:
        return "{" + ",".join(get_args(base)) + "}"
    return {int: "N", float: "SECONDS", Path: "PATH"}.get(base, "TEXT")


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
    """What to add to the message about an unknown name: the nearest known one, if any is near."""
    near = difflib.get_close_matches(wrong[:200], list(known), n=1, cutoff=0.6)
    return f', did you mean "{printable(near[0])}"?' if near else ""


def _plain(kind: Any, raw: object = None) -> tuple[Any, list[Any], Any]:  # noqa: ANN401 - as above
    """A type without its annotations and without None; the annotations, the innermost first; the type that msgspec may be given.

    Of a type that is one thing or a list or mapping of them it is the one that `raw` is meant as. msgspec (0.22) is not given such a
    type: where a text in it has a pattern, it frees that pattern too often.
    """
    notes: list[Any] = []
    whole = kind
    while True:
        if get_origin(kind) is Annotated:
            kind, notes = get_args(kind)[0], [*get_args(kind)[1:], *notes]
        elif get_origin(kind) in {Union, UnionType}:
            options = [option for option in get_args(kind) if option is not type(None)]
            same = [option for option in options if _container(option) is (type(raw) if isinstance(raw, list | dict) else None)]
            kind = (same or options)[0]
            whole = kind if len(options) > 1 else whole
        else:
            return kind, notes, whole


def _container(kind: Any) -> type | None:  # noqa: ANN401 - as above
    """Whether values of a type are written as a list or a mapping."""
    base = _plain(kind)[0]
    if get_origin(base) in {list, tuple}:
        return list
    return dict if get_origin(base) is dict or (isinstance(base, type) and issubclass(base, msgspec.Struct)) else None


def _bound(notes: Iterable[Any], name: str) -> Any:  # noqa: ANN401 - as above
    return next((bound for note in notes if isinstance(note, Meta) and (bound := getattr(note, name)) is not None), None)


def _noted(make: Callable[[Any], Any], raw: object, place: Located, mistakes: Mistakes) -> Any:  # noqa: ANN401 - as above
    try:
        return make(raw)
    except Wrong as wrong:
        mistakes.add(place, str(wrong))
        return UNSET


def _convert(kind: Any, raw: Any) -> Any:  # noqa: ANN401 - as above
    """A value that is neither a list nor a mapping. Raises `Wrong`."""
    base, notes, _ = _plain(kind)
    if base is Any:
        return raw
    if isinstance(raw, str):
        if len(raw) > (longest := _bound(notes, "max_length") or LONGEST_TEXT):
            raise Wrong(f"must be {what(kind)} of at most {longest} characters, not of {len(raw)}")
        if "\0" in raw or any("\ud800" <= char <= "\udfff" for char in raw):
            raise Wrong(f"must be {what(kind)} without NUL characters and lone surrogates")
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        pass
    if base is str and raw == "":
        raise Wrong(f"must be {what(kind)}, but is empty")
    advice = " (put it in quotes)" if base is str and not isinstance(raw, str | list | dict) else ""
    advice = advice or (suggestion(raw, _choices(base)) if isinstance(raw, str) else "")
    raise Wrong(f"must be {what(kind)}, not {describe(raw)}{advice}")


def _read_list(make: Callable[[Any], Any], item: Any, notes: list[Any], place: Located, mistakes: Mistakes) -> Any:  # noqa: ANN401 - as above
    named = next((note.title for note in reversed(notes) if isinstance(note, Meta) and note.title), "values")
    if not isinstance(place.value, list):
        mistakes.add(place, f"must be a list of {named}, not {describe(place.value)}")
        return UNSET
    least, most, count = _bound(notes, "min_length") or 0, _bound(notes, "max_length") or len(place.value), len(place.value)
    if not least <= count <= most:
        mistakes.add(place, f"has {count or 'no'} {named}, there must be {f'at least {least}' if count < least else f'at most {most}'}")
    values = [read(item, entry, mistakes) for entry in place.value[:most]]
    return make(value for value in values if value is not UNSET)


def _read_mapping(key: Any, item: Any, place: Located, mistakes: Mistakes) -> Any:  # noqa: ANN401 - as above
    """A mapping whose keys are of a type, too."""
    keys, known = {}, {}
    for name, entry in (place.value if isinstance(place.value, dict) else {}).items():
        made = _noted(functools.partial(_convert, key), name, entry, mistakes)
        if made is not UNSET:
            keys[name], known[name] = made, entry
    if isinstance(place.value, dict):
        place = Located(known, place.line, place.path)
    return {keys[name]: value for name, value in read_keys(dict.fromkeys(known, item), place, mistakes).items()}
