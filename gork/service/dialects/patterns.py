"""Patterns of clients' schemas, brought into the one form that the grammars of all engines keep.

Engines know regular expressions of the whole text, of plain characters, sets, groups and repetitions, and each fails in a way of its own at
the rest: one makes no grammar at all, another writes a quotation mark into a JSON string. So a pattern is parsed (by the parser of `re`,
which knows what JavaScript and Python have in common) and written anew.
"""

from __future__ import annotations

import re
import re._constants as op  # type: ignore[import-not-found] # Python's own parser has no public name
import re._parser as parser  # type: ignore[import-not-found] # same
from collections.abc import Sequence
from typing import Any

LONGEST = 4000
"""Characters of a pattern."""
MOST_PLACES = 1000
"""Characters that a pattern's repetitions come to: one after the other they add up, one within the other they multiply."""
_ANYTHING = r'[^"\\\x00-\x1f]'
"""What stands in a JSON string as it is: engines write `.` and negated sets into it without escaping."""
_UNWRITTEN = frozenset(map(ord, '"\\')) | frozenset(range(32))
"""Characters that JSON must escape, which grammars made of patterns do not."""
_SPECIAL = frozenset(map(ord, "^$.[]()|{}*+?"))
_CATEGORIES = {op.CATEGORY_DIGIT: "0-9", op.CATEGORY_WORD: "A-Za-z0-9_", op.CATEGORY_SPACE: r"\x20"}
_OPPOSITES = {op.CATEGORY_NOT_DIGIT: "0-9", op.CATEGORY_NOT_WORD: "A-Za-z0-9_", op.CATEGORY_NOT_SPACE: r"\x20"}
_NAMED_GROUP = re.compile(r"\(\?<(?=[A-Za-z_])")
_Nodes = Sequence[tuple[Any, Any]]


class Unkeepable(ValueError):
    """Raised when a pattern says what no grammar here keeps; the message says what that is."""


def whole_pattern(pattern: str) -> str:
    r"""The pattern as one of the whole text. Raises `Unkeepable`.

    >>> whole_pattern("^[A-Z]{2}-\\d+$"), whole_pattern("^K|9$")
    ('^[A-Z]{2}-[0-9]+$', '^(K[^"\\\\\\x00-\\x1f]*|[^"\\\\\\x00-\\x1f]*9)$')
    """
    if len(pattern) > LONGEST:
        raise Unkeepable(f"it is longer than {LONGEST:,} characters")
    try:
        parsed = parser.parse(_NAMED_GROUP.sub("(?P<", pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise Unkeepable(f"it is not a pattern that is known here ({error})") from None
    nodes = list(parsed)
    if parsed.state.flags & ~re.UNICODE:
        raise Unkeepable("it has flags")
    if (places := _places(nodes)) > MOST_PLACES:
        raise Unkeepable(f"its repetitions come to {places:,} characters, and {MOST_PLACES:,} are kept")
    return f"^{_whole(nodes, begun=False)}$"


def _whole(nodes: _Nodes, *, begun: bool) -> str:
    """What nodes match from the text's beginning, if that has `begun`, to its end: anything stands where they are not anchored."""
    if nodes and _is_at(nodes[0], op.AT_BEGINNING, op.AT_BEGINNING_STRING):
        nodes, begun = nodes[1:], True
    if nodes and nodes[-1][0] is op.BRANCH and (begun or len(nodes) == 1):
        alternatives = [_whole(list(nodes_of), begun=begun) for nodes_of in nodes[-1][1][1]]
        return f"{_sequence(nodes[:-1])}({'|'.join(alternatives)})"
    before = "" if begun else f"{_ANYTHING}*"
    if nodes and _is_at(nodes[-1], op.AT_END, op.AT_END_STRING):
        return before + _sequence(nodes[:-1])
    return f"{before}{_sequence(nodes)}{_ANYTHING}*"


def _is_at(node: tuple[Any, Any], *where: object) -> bool:
    return node[0] is op.AT and node[1] in where


def _sequence(nodes: _Nodes) -> str:
    return "".join(_one(kind, value) for kind, value in nodes)


def _one(kind: Any, value: Any) -> str:  # noqa: ANN401 - the parser's own values
    match kind:
        case op.LITERAL:
            text = _literal(value)
        case op.ANY:
            text = _ANYTHING
        case op.NOT_LITERAL:
            text = _set([(op.NEGATE, None), (op.LITERAL, value)])
        case op.IN:
            text = _set(value)
        case op.BRANCH:
            text = f"({'|'.join(_sequence(list(alternative)) for alternative in value[1])})"
        case op.SUBPATTERN if not value[1] and not value[2]:
            text = f"({_sequence(list(value[3]))})"
        case op.MAX_REPEAT | op.MIN_REPEAT:
            text = _repeated(*value)
        case _:
            raise Unkeepable("it has anchors within, looks ahead or behind, or refers back")
    return text


def _repeated(least: int, most: Any, nodes: Any) -> str:  # noqa: ANN401 - the parser's own values
    inner = _sequence(list(nodes))
    if len(nodes) != 1 or nodes[0][0] in {op.MAX_REPEAT, op.MIN_REPEAT}:
        inner = f"({inner})"
    if most is op.MAXREPEAT:
        return inner + {0: "*", 1: "+"}.get(least, f"{{{least},}}")
    if (least, most) == (0, 1):
        return f"{inner}?"
    return inner + (f"{{{least}}}" if least == most else f"{{{least},{most}}}")


def _literal(code: int) -> str:
    if code in _UNWRITTEN:
        raise Unkeepable(f"the character {chr(code)!r} is written otherwise in JSON")
    return f"\\{chr(code)}" if code in _SPECIAL else chr(code)


def _set(items: _Nodes) -> str:
    negated = bool(items) and items[0][0] is op.NEGATE
    items = items[1:] if negated else items
    opposites = [_OPPOSITES[value] for kind, value in items if kind is op.CATEGORY and value in _OPPOSITES]
    if not opposites:
        inner = "".join(_member(kind, value, negated=negated) for kind, value in items)
        return _all_but(inner) if negated else f"[{inner}]"
    if len(items) == 1:
        return f"[{opposites[0]}]" if negated else _all_but(opposites[0])
    if not negated and any(kind is op.CATEGORY and _CATEGORIES.get(value) in opposites for kind, value in items):
        return _ANYTHING  # such as [\\s\\S]
    raise Unkeepable("it has a set of characters that is made of what others are not")


def _all_but(inner: str) -> str:
    return f'[^{inner}"\\\\\\x00-\\x1f]'


def _member(kind: Any, value: Any, *, negated: bool) -> str:  # noqa: ANN401 - the parser's own values
    if kind is op.CATEGORY:
        return _CATEGORIES[value]
    low, high = (value, value) if kind is op.LITERAL else value
    if not negated and any(low <= code <= high for code in _UNWRITTEN):
        raise Unkeepable("a set of it has a character that is written otherwise in JSON")
    return _in_set(low) if low == high else f"{_in_set(low)}-{_in_set(high)}"


def _in_set(code: int) -> str:
    character = chr(code)
    return character if character.isalnum() or code > 127 else f"\\x{code:02x}"


def _places(nodes: _Nodes) -> int:
    """How many characters a grammar has to spell out."""
    return sum(_places_of(kind, value) for kind, value in nodes)


def _places_of(kind: Any, value: Any) -> int:  # noqa: ANN401 - the parser's own values
    if kind is op.BRANCH:
        return sum(_places(list(alternative)) for alternative in value[1])
    if kind is op.SUBPATTERN:
        return _places(list(value[3]))
    if kind in {op.MAX_REPEAT, op.MIN_REPEAT}:
        least, most, nodes = value
        times = int(least if most is op.MAXREPEAT else most)
        return max(times, 1) * _places(list(nodes))
    return 0 if kind is op.AT else 1
