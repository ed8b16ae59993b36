"""The syntax of a question's check in a file: one main key says which grader it is for, the others belong to that one."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast

from bench.judge.graders import Bounds, Check, CheckFailed, Matches, Mentions, NotASchema, Number, Says, Shape, schema_check
from bench.judge.programs import PythonCalls, Scalar, SqlRows, database
from gork.config.values import Wrong, choice, describe, flag, suggestion, text, whole
from gork.config.values import number as number_of
from gork.config.yaml_file import Key, Located, Mistakes, Table, checked, read_list, read_mapping

_MOST, _LARGEST = 100, 1e15
_PHRASE = text("a phrase", pattern=r"(?s:\s*\S.*)", longest=1000)
_PATTERN = text("a regular expression", longest=2000)
_CALL = text("a Python expression", longest=1000)
_COUNT = whole(0, 10_000)


def _phrases(place: Located, mistakes: Mistakes) -> tuple[str, ...]:
    """One phrase or a list of them."""
    if not isinstance(place.value, list):
        return tuple(checked([place], _PHRASE, mistakes))
    if not place.value:
        mistakes.add(place, "has no phrase, there must be at least one")
    return tuple(checked(read_list(place, "phrases", most=_MOST, mistakes=mistakes), _PHRASE, mistakes))


def _groups(place: Located, mistakes: Mistakes) -> tuple[tuple[str, ...], ...]:
    if place.value == []:
        mistakes.add(place, "has no group of phrases, there must be at least one")
    return tuple(_phrases(item, mistakes) for item in read_list(place, "groups of phrases", most=_MOST, mistakes=mistakes))


def _finite(place: Located, mistakes: Mistakes) -> float:
    """A number; a whole one stays whole, since that says how near an answer must come."""
    try:
        number_of(-_LARGEST, _LARGEST).check(place.value)
    except Wrong as wrong:
        mistakes.add(place, str(wrong))
        return 0
    return cast("float", place.value)


def _bounds(place: Located, mistakes: Mistakes) -> Bounds:
    if not isinstance(place.value, dict):
        exact = next(checked([place], _COUNT, mistakes), 0)
        return Bounds(least=exact, most=exact)
    bounds = Bounds(**read_mapping(place, {"least": Key(_COUNT, "At least so many."), "most": Key(_COUNT, "At most so many.")}, mistakes))
    if not place.value:
        mistakes.add(place, 'needs "least" or "most"')
    if bounds.most is not None and bounds.least > bounds.most:
        mistakes.add(place, f"least is {bounds.least}, which is more than most, {bounds.most}")
    return bounds


def plain(place: Located) -> Any:  # noqa: ANN401 # whatever YAML can say
    """A value of a file without its places."""
    if isinstance(place.value, dict):
        return {key: plain(entry) for key, entry in place.value.items()}
    return [plain(item) for item in place.value] if isinstance(place.value, list) else place.value


def _schema(place: Located, mistakes: Mistakes) -> Mapping[str, Any]:
    schema = plain(place)
    if not isinstance(schema, dict):
        mistakes.add(place, f"must be a JSON schema (a mapping), not {describe(schema)}")
        return {}
    try:
        schema_check(schema)
    except NotASchema as error:
        mistakes.add(place, str(error))
    except CheckFailed:
        pass  # jsonschema is missing: the file may still be right, and grading an answer to the question says what is missing
    return cast("Mapping[str, Any]", schema)


SHAPE: Table = {
    "lines": Key(_COUNT, "Lines that are not empty."),
    "bullets": Key(_COUNT, "Lines that begin with - * • or N."),
    "words": Key(_bounds, "Words: a number, or least and most."),
    "sentences": Key(_bounds, "Sentences: a number, or least and most."),
    "begins": Key(_PHRASE, "What it begins with."),
    "ends": Key(_PHRASE, "What it ends with."),
    "case": Key(choice("upper", "lower"), "In which case all letters are."),
    "json": Key(_schema, "The JSON schema that it keeps."),
    "csv": Key(whole(1, 1000), "Items on one line with commas between them."),
    "with": Key(_phrases, "Text that stands in it."),
    "without": Key(_phrases, "Text that does not."),
}


def _shape(place: Located, mistakes: Mistakes) -> Shape:
    values = read_mapping(place, SHAPE, mistakes)
    if place.value == {}:
        mistakes.add(place, "states no format, known are: " + ", ".join(SHAPE))
    return Shape(**{{"json": "schema", "with": "having"}.get(key, key): value for key, value in values.items()})


def _calls(place: Located, mistakes: Mistakes) -> tuple[tuple[str, Any], ...]:
    calls = []
    for item in read_list(place, "calls", most=_MOST, mistakes=mistakes):
        if not isinstance(item.value, list) or len(item.value) != 2:
            mistakes.add(item, "must be a list of two: the call and what it gives")
            continue
        for call in checked(item.value[:1], _CALL, mistakes):
            if fault := _fault(call):
                mistakes.add(item.value[0], f"is not a Python expression: {fault}")
            calls.append((call, plain(item.value[1])))
    if place.value == []:
        mistakes.add(place, "has no call, there must be at least one")
    return tuple(calls)


def _fault(call: str) -> str:
    """Why this is not a Python expression, empty if it is one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(call.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
    return ""


PYTHON: Table = {
    "needs": Key(text("a Python name", pattern=r"[A-Za-z_][A-Za-z0-9_]{0,99}"), "What the answer has to define."),
    "calls": Key(_calls, "Pairs of a call and what it gives."),
}


def _python(place: Located, mistakes: Mistakes) -> PythonCalls:
    values = read_mapping(place, PYTHON, mistakes, required=tuple(PYTHON))
    return PythonCalls(needs=values.get("needs", "_"), calls=values.get("calls", ()))


def _rows(place: Located, mistakes: Mistakes) -> tuple[tuple[Scalar, ...], ...]:
    rows = []
    for item in read_list(place, "rows", most=_MOST, mistakes=mistakes):
        values = [cell.value for cell in read_list(item, "values", most=_MOST, mistakes=mistakes)]
        if any(isinstance(value, dict | list) for value in values):
            mistakes.add(item, "must be a list of texts and numbers")
            continue
        rows.append(tuple(values))
    if len({len(row) for row in rows}) > 1:
        mistakes.add(place, "has rows of different lengths")
    return tuple(rows)


SQL: Table = {
    "setup": Key(text("SQL statements", longest=20_000), "What makes the tables and their rows."),
    "rows": Key(_rows, "What the query gives."),
    "ordered": Key(flag(), "Whether the rows have to come in this order."),
}


def _sql(place: Located, mistakes: Mistakes) -> SqlRows:
    values = read_mapping(place, SQL, mistakes, required=("setup", "rows"))
    if "setup" in values:
        try:
            database(values["setup"]).close()
        except CheckFailed as error:
            mistakes.add(place.value["setup"], str(error))
    return SqlRows(**{"setup": "", "rows": (), **values})


def _pattern(place: Located, mistakes: Mistakes) -> str:
    """A regular expression, as text: it is compiled again when its flags are known."""
    for pattern in checked([place], _PATTERN, mistakes):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                re.compile(pattern)
        except (re.error, RecursionError, OverflowError, Warning) as error:
            mistakes.add(place, f"is not a regular expression: {error}")
            return ""
        return pattern
    return ""


def _patterns(place: Located, mistakes: Mistakes) -> tuple[str, ...]:
    items = read_list(place, "regular expressions", most=_MOST, mistakes=mistakes) if isinstance(place.value, list) else [place]
    return tuple(_pattern(item, mistakes) for item in items)


_NEVER = {"never": Key(_phrases, "Rivals: an answer that asserts one is wrong.")}
MAIN: Mapping[str, Table] = {
    "says": {"says": Key(_phrases, "Phrases, one of which is asserted."), **_NEVER},
    "mentions": {
        "mentions": Key(_groups, "Groups of phrases: one of each is in the answer."),
        "at_least": Key(whole(1, _MOST), "So many groups are enough."),
        **_NEVER,
    },
    "number": {"number": Key(_finite, "The final number."), "within": Key(number_of(0, _LARGEST), "How far off it may be.")},
    "matches": {
        "matches": Key(_pattern, "A regular expression."),
        "never": Key(_patterns, "Regular expressions that do not match."),
        "flags": Key(text("letters of i, m and s", pattern="[ims]{1,3}"), "i: any case, m: lines, s: over lines."),
        "fullmatch": Key(flag(), "Whether the whole answer matches."),
        "code": Key(flag(), "Whether only code is looked at."),
    },
    "shape": {"shape": Key(_shape, "The format.")},
    "python": {"python": Key(_python, "Calls of the function that the answer defines.")},
    "sql": {"sql": Key(_sql, "The rows that the answer's query gives.")},
}


def read_check(place: Located, mistakes: Mistakes) -> Check | None:
    """The check at this place, None if there is a mistake in it, which is then noted."""
    if not isinstance(place.value, dict):
        read_mapping(place, {}, mistakes)
        return None
    given = [key for key in MAIN if key in place.value]
    if len(given) != 1:
        unknown = "".join(suggestion(key, MAIN) for key in place.value if key not in MAIN)
        what = f"has {' and '.join(given)}, only one of them is allowed" if given else f"needs one of {', '.join(MAIN)}{unknown}"
        mistakes.add(place, what)
        return None
    before = len(mistakes)
    values = read_mapping(place, MAIN[given[0]], mistakes, required=(given[0],))
    if given[0] == "mentions" and values.get("at_least", 1) > len(values.get("mentions", ())) and len(mistakes) == before:
        mistakes.add(place.value["at_least"], "is more than there are groups")
    return _BUILT[given[0]](values) if len(mistakes) == before else None


def _number(values: Mapping[str, Any]) -> Number:
    value = values["number"]
    return Number(value=value, within=values.get("within", 0.0 if isinstance(value, int) else 0.005))


def _matches(values: Mapping[str, Any]) -> Matches:
    flags = re.RegexFlag(0)
    for letter in values.get("flags", ""):
        flags |= {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}[letter]
    return Matches(
        pattern=re.compile(values["matches"], flags),
        never=tuple(re.compile(pattern, flags) for pattern in values.get("never", ())),
        whole=values.get("fullmatch", False),
        code=values.get("code", False),
    )


_BUILT: Mapping[str, Callable[[Mapping[str, Any]], Check]] = {
    "says": lambda values: Says(phrases=values["says"], never=values.get("never", ())),
    "mentions": lambda values: Mentions(groups=values["mentions"], never=values.get("never", ()), at_least=values.get("at_least")),
    "number": _number,
    "matches": _matches,
    "shape": lambda values: cast("Shape", values["shape"]),
    "python": lambda values: cast("PythonCalls", values["python"]),
    "sql": lambda values: cast("SqlRows", values["sql"]),
}
