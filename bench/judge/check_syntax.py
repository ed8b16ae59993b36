"""The syntax of a question's check in a file: one main key says which grader it is for, the others belong to that one."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, cast

from msgspec import UNSET, Meta

from bench.judge.graders import Bounds, Check, CheckFailed, Matches, Mentions, NotASchema, Number, Says, Shape, schema_check
from bench.judge.programs import PythonCalls, Scalar, SqlRows, database
from gork.config.schema import At, From, Text, Wrong, describe, read, read_keys, read_value, suggestion
from gork.config.yaml_file import Located, Mistakes

_MOST, _LARGEST = 100, 1e15
_Count = Annotated[int, Meta(ge=0, le=10_000)]
_Finite = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
_Phrase = Annotated[str, Meta(pattern=r"\S", max_length=1000, title="a phrase")]
_OneOrMore = Annotated[list[_Phrase], Meta(min_length=1, max_length=_MOST, title="phrases")]
_Phrases = Annotated[tuple[str, ...], From(_Phrase | _OneOrMore, lambda given: (given,) if isinstance(given, str) else tuple(given))]
_Groups = Annotated[tuple[_Phrases, ...], Meta(min_length=1, max_length=_MOST, title="groups of phrases")]


def _number_as_written(raw: Any) -> float:  # noqa: ANN401 # whatever YAML can say
    """A number; a whole one stays whole, since that says how near an answer must come. Raises `Wrong`."""
    read_value(_Finite, raw)
    return cast("float", raw)


def _bounds(place: Located, mistakes: Mistakes) -> Any:  # noqa: ANN401 # `UNSET` where it cannot be read
    """An exact count, or the least and the most."""
    if not isinstance(place.value, dict):
        exact = read(_Count, place, mistakes)
        return exact if exact is UNSET else Bounds(least=exact, most=exact)
    bounds = Bounds(**read_keys({"least": _Count, "most": _Count}, place, mistakes))
    if not place.value:
        mistakes.add(place, 'needs "least" or "most"')
    if bounds.most is not None and bounds.least > bounds.most:
        mistakes.add(place, f"least is {bounds.least}, which is more than most, {bounds.most}")
    return bounds


def _schema(schema: Any) -> Mapping[str, Any]:  # noqa: ANN401 # whatever YAML can say
    if not isinstance(schema, dict):
        raise Wrong(f"must be a JSON schema (a mapping), not {describe(schema)}")
    try:
        schema_check(schema)
    except NotASchema as error:
        raise Wrong(str(error)) from None
    except CheckFailed:
        pass  # jsonschema is missing: the file may still be right, and grading an answer to the question says what is missing
    return schema


SHAPE: Mapping[str, Any] = {
    "lines": _Count,
    "bullets": _Count,
    "words": Annotated[Bounds, At(_bounds)],
    "sentences": Annotated[Bounds, At(_bounds)],
    "begins": _Phrase,
    "ends": _Phrase,
    "case": Literal["upper", "lower"],
    "json": Annotated[Mapping[str, Any], From(Any, _schema)],
    "csv": Annotated[int, Meta(ge=1, le=1000)],
    "with": _Phrases,
    "without": _Phrases,
}
"""What can be stated of a format: so many lines that are not empty, bullets (- * • or N.), words, sentences, items between commas ..."""


def _shape(place: Located, mistakes: Mistakes) -> Shape:
    values = read_keys(SHAPE, place, mistakes)
    if place.value == {}:
        mistakes.add(place, "states no format, known are: " + ", ".join(SHAPE))
    return Shape(**{{"json": "schema", "with": "having"}.get(key, key): value for key, value in values.items()})


def _call(place: Located, mistakes: Mistakes) -> Any:  # noqa: ANN401 # `UNSET` where it cannot be read
    """A call and what it gives."""
    if not isinstance(place.value, list) or len(place.value) != 2:
        mistakes.add(place, "must be a list of two: the call and what it gives")
        return UNSET
    call = read(Annotated[str, From(_Expression, _checked_call)], place.value[0], mistakes)
    return call if call is UNSET else (call, place.value[1].plain())


def _checked_call(call: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(call.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        fault = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        raise Wrong(f"is not a Python expression: {fault}") from None
    return call


_Expression = Annotated[Text, Meta(max_length=1000, title="a Python expression")]
_Calls = Annotated[tuple[Annotated[Any, At(_call)], ...], Meta(min_length=1, max_length=_MOST, title="calls")]
PYTHON: Mapping[str, Any] = {
    "needs": Annotated[str, Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_]{0,99}\Z", title="a Python name")],
    "calls": _Calls,
}
"""The name that the answer has to define, and calls of it with what they give."""


def _python(place: Located, mistakes: Mistakes) -> PythonCalls:
    values = read_keys(PYTHON, place, mistakes, required=PYTHON)
    return PythonCalls(needs=values.get("needs", "_"), calls=values.get("calls", ()))


def _rows(rows: list[Any]) -> tuple[tuple[Scalar, ...], ...]:
    if len({len(row) for row in rows}) > 1:
        raise Wrong("has rows of different lengths")
    return tuple(tuple(row) for row in rows)


def _cell(cell: Any) -> Scalar:  # noqa: ANN401 # whatever YAML can say
    if isinstance(cell, dict | list):
        raise Wrong(f"must be a text or a number, not {describe(cell)}")
    return cast("Scalar", cell)


_Row = Annotated[list[Annotated[Any, From(Any, _cell)]], Meta(max_length=_MOST, title="values")]
_Rows = Annotated[list[_Row], Meta(max_length=_MOST, title="rows")]


def _setup(statements: str) -> str:
    """What makes the tables and their rows. Raises `Wrong`."""
    try:
        database(statements).close()
    except CheckFailed as error:
        raise Wrong(str(error)) from None
    return statements


_Setup = Annotated[str, From(Annotated[Text, Meta(max_length=20_000, title="SQL statements")], _setup)]
SQL: Mapping[str, Any] = {"setup": _Setup, "rows": Annotated[tuple[Any, ...], From(_Rows, _rows)], "ordered": bool}


def _sql(place: Located, mistakes: Mistakes) -> SqlRows:
    return SqlRows(**{"setup": "", "rows": (), **read_keys(SQL, place, mistakes, required=("setup", "rows"))})


def _pattern(pattern: str) -> str:
    """A regular expression, as text: it is compiled again when its flags are known. Raises `Wrong`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise Wrong(f"is not a regular expression: {error}") from None
    return pattern


_Pattern = Annotated[str, From(Annotated[Text, Meta(max_length=2000, title="a regular expression")], _pattern)]
_Patterns = Annotated[list[_Pattern], Meta(max_length=_MOST, title="regular expressions")]
MAIN: Mapping[str, Mapping[str, Any]] = {
    "says": {"says": _Phrases, "never": _Phrases},
    "mentions": {"mentions": _Groups, "at_least": Annotated[int, Meta(ge=1, le=_MOST)], "never": _Phrases},
    "number": {"number": Annotated[float, From(Any, _number_as_written)], "within": Annotated[float, Meta(ge=0, le=_LARGEST)]},
    "matches": {
        "matches": _Pattern,
        "never": _Pattern | _Patterns,
        "flags": Annotated[str, Meta(pattern=r"\A[ims]{1,3}\Z", title="letters of i, m and s")],
        "fullmatch": bool,
        "code": bool,
    },
    "shape": {"shape": Annotated[Shape, At(_shape)]},
    "python": {"python": Annotated[PythonCalls, At(_python)]},
    "sql": {"sql": Annotated[SqlRows, At(_sql)]},
}
"""By the main key: all keys of a check and what they are. `never`: an answer that asserts (or matches) it is wrong."""


def read_check(place: Located, mistakes: Mistakes) -> Check | None:
    """The check at this place, None if there is a mistake in it, which is then noted."""
    if not isinstance(place.value, dict):
        read_keys({}, place, mistakes)
        return None
    given = [key for key in MAIN if key in place.value]
    if len(given) != 1:
        unknown = "".join(suggestion(key, MAIN) for key in place.value if key not in MAIN)
        what = f"has {' and '.join(given)}, only one of them is allowed" if given else f"needs one of {', '.join(MAIN)}{unknown}"
        mistakes.add(place, what)
        return None
    before = len(mistakes)
    values = read_keys(MAIN[given[0]], place, mistakes, required=(given[0],))
    if given[0] == "mentions" and values.get("at_least", 1) > len(values.get("mentions", ())) and len(mistakes) == before:
        mistakes.add(place.value["at_least"], "is more than there are groups")
    return _BUILT[given[0]](values) if len(mistakes) == before else None


def _number(values: Mapping[str, Any]) -> Number:
    value = values["number"]
    return Number(value=value, within=values.get("within", 0.0 if isinstance(value, int) else 0.005))


def _matches(values: Mapping[str, Any]) -> Matches:
    flags, never = re.RegexFlag(0), values.get("never", ())
    for letter in values.get("flags", ""):
        flags |= {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}[letter]
    return Matches(
        pattern=re.compile(values["matches"], flags),
        never=tuple(re.compile(pattern, flags) for pattern in ([never] if isinstance(never, str) else never)),
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
