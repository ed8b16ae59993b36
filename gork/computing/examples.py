"""Examples that a question states for the code that it wants: found in the question, and run against an answer."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from dataclasses import dataclass, replace
from itertools import islice

from gork.computing.calls import balanced_call
from gork.computing.sandbox import Broke, BrokeKind, Outcome, Ran, Sandbox
from gork.text.code import python_tree
from gork.text.structure import split_code

MOST_EXAMPLES = 8
_MOST_CALLS = 200
"""Calls of a question that are looked at: reading what follows one takes a millisecond."""
_MOST_ENDS = 40
_LONGEST = 20_000
_DOCTEST = re.compile(r"^[ \t]*>>> (.{1,400})\n[ \t]*(?!>>>|\.\.\.)(\S.{0,400})$", re.MULTILINE)
_DEFINED = re.compile(r"^[ \t]*def ([A-Za-z_]\w{0,60})\(", re.MULTILINE)
_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w{0,60})\(")
_GIVES = re.compile(
    r"`?\s*(?:[#;,]\s*)?(?:->|=>|==>|==|➞|→|=|:|(?:#\s*)?(?:(?:it|this|which)\s+)?(?:should|must|will|would)?\s*(?:returns?|gives?|be|is|equals?"
    r"|evaluates? to|yields?|outputs?)\s)\s*",
    re.IGNORECASE,
)
_FOR = re.compile(
    r"\b(?:returns?|give|gives|yields?)\s+(\S.{0,80}?)\s+(?:for|when given|if given|with|on)\s+(?:input\s+)?(\S.{0,80})", re.IGNORECASE
)
_INPUT = re.compile(
    r"(?:^[ \t>*]*(?:sample )?input[ \t*]*:[ \t*]*|\b(?:for|if|when) (?=\w{1,40} = ))(\S.{0,400}?)"
    r"(?:\n\s*[>*]*(?:(?:sample|expected) )?output[ \t*]*:[ \t*]*|,? (?:the|your) (?:output|result|answer) (?:should|must|will) be )"
    r"(\S.{0,400})$",
    re.IGNORECASE | re.MULTILINE,
)
"""An input and its output, in lines of their own as exercises have them, or in a sentence."""
_WORKED = re.compile(r"[\d\s.+*/()-]{1,200}=(?!=)([^=\n]{1,200})$")
"""A calculation with its result: "19 - 5 - 6 = 8"."""
_NOT_A_FAULT = frozenset({BrokeKind.NOT_KNOWN, BrokeKind.UNAVAILABLE, BrokeKind.MEMORY, BrokeKind.OUTPUT, BrokeKind.EMPTY})


@dataclass(frozen=True, slots=True)
class Example:
    """A call and what it must give, both as Python source; a call without a name (`(2)`) is of the answer's only function."""

    call: str
    expected: str


@dataclass(frozen=True, slots=True)
class Examined:
    """How many examples an answer's code met, failed and could not be tried on."""

    passed: int = 0
    failed: int = 0
    unknown: int = 0

    @property
    def passes(self) -> bool:
        """Whether it meets some and fails none."""
        return self.passed > 0 and self.failed == 0


def examples_in(question: str) -> tuple[Example, ...]:
    """The examples that a question states, at most eight: doctest lines, `f(2) -> 4`, asserts, input and output, "returns 4 for 2".

    >>> examples_in("write f that doubles: f(2) -> 4, f(3) should be 6")
    (Example(call='f(2)', expected='4'), Example(call='f(3)', expected='6'))
    >>> examples_in("write a function that squares a number. It returns 9 for 3.")
    (Example(call='(3)', expected='9'),)
    """
    question = question[:_LONGEST]
    found: dict[str, Example] = {}
    for call, expected in _DOCTEST.findall(question):
        _note(found, call.strip(), expected)
    for match in islice(_CALL.finditer(question), _MOST_CALLS):
        defines = question[: match.start()].rpartition("\n")[2].split()[-1:] in (["def"], ["class"])
        call = None if defines else balanced_call(question, match.start(), match.end() - 1)
        if call is not None and (gives := _GIVES.match(question, match.start() + len(call))) is not None:
            _note(found, call, question[gives.end() : gives.end() + 400].split("\n", 1)[0])
    if not found:
        for given, expected in _INPUT.findall(question):
            if (values := _arguments(given)) is not None:
                _note(found, values, expected)
    if not found:
        for expected, given in _FOR.findall(question):
            value = leading_literal(given)
            if value is not None:
                _note(found, f"({value})", expected)
    return _of_the_asked(tuple(found.values()), question)[:MOST_EXAMPLES]


def _of_the_asked(examples: tuple[Example, ...], question: str) -> tuple[Example, ...]:
    """The examples; where all of them name one function and the question defines one, by another name, they are of that: a slip."""
    defined = set(_DEFINED.findall(question))
    named = {example.call.partition("(")[0] for example in examples}
    if len(defined) != 1 or len(named) != 1 or "" in named or named & {*defined, *dir(builtins)}:
        return examples
    (asked,), (slip,) = defined, named
    if any(f"{asked}(" in example.call for example in examples):
        return examples
    return tuple(replace(example, call=f"{asked}{example.call.removeprefix(slip)}") for example in examples)


def _arguments(given: str) -> str | None:
    """What a function is called with for an input, by position: "a = [4], k = 2" is `([4], 2)`; None for what is no Python literal."""
    tree = python_tree(f"f({given.strip().strip('`')})")
    match tree.body if tree is not None else None:
        case [ast.Expr(value=ast.Call(args=values, keywords=named))]:
            values = [*values, *(keyword.value for keyword in named)]
        case _:
            return None
    try:
        return f"({', '.join(repr(ast.literal_eval(value)) for value in values)})" if values else None
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None


def _note(found: dict[str, Example], call: str, said: str) -> None:
    worked = _WORKED.match(said.rstrip(" ."))
    expected = leading_literal(worked[1] if worked else said)
    if expected is not None and python_tree(call) is not None:
        found.setdefault(call, Example(call, expected))


def leading_literal(text: str) -> str | None:
    """The longest beginning of a line that is one of Python's literals; None if there is none."""
    text = text.strip().strip("`")
    ends = {len(text), *(match.start() for match in islice(re.finditer(r"[\s,.;)#`]", text), _MOST_ENDS))}
    for end in sorted(ends, reverse=True):
        piece = text[:end].rstrip(" .,;`")
        if re.match(r"\s*[-+*/%=]", text[end:]):  # the beginning of a calculation
            continue
        try:
            ast.literal_eval(piece)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        return piece
    return None


async def check_examples(answer: str, examples: tuple[Example, ...], sandbox: Sandbox) -> Examined:
    """Run the code of an answer on each example. What the sandbox lacks, and functions that the answer does not define, are unknown.

    So are the examples after one that took too long: each would cost as much again.
    """
    code = _code_of(answer)
    if code is None:
        return Examined(unknown=len(examples))
    tree = python_tree(code)
    if tree is None:
        return Examined(failed=len(examples))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    passed = failed = 0
    for example in examples:
        outcome = await _outcome(code, defined, example, sandbox)
        held = _holds(outcome)
        passed += held is True
        failed += held is False
        if isinstance(outcome, Broke) and outcome.kind is BrokeKind.TIME:
            break
    return Examined(passed, failed, len(examples) - passed - failed)


async def _outcome(code: str, defined: list[str], example: Example, sandbox: Sandbox) -> Outcome | None:
    """What the code gives with an example, "True" in the last line where it holds; None if the example is not of this code."""
    call = example.call
    if call.startswith("("):
        if len(defined) != 1:
            return None
        call = f"{defined[0]}{call}"
    elif not any(re.search(rf"(?<!\w){re.escape(name)}\(", call) for name in defined):
        return None
    close = "isinstance(got, (int, float)) and isinstance(wanted, (int, float)) and abs(got - wanted) < 1e-6"
    return await sandbox.run(f"{code}\ngot = {call}\nwanted = {example.expected}\nprint()\nprint(got == wanted or ({close}))", seed=0)


def _holds(outcome: Outcome | None) -> bool | None:
    match outcome:
        case Ran(output=output):
            return output.rstrip("\n").rpartition("\n")[2] == "True"
        case Broke(kind=kind):
            return None if kind in _NOT_A_FAULT else False
        case None:
            return None


def _code_of(answer: str) -> str | None:
    """The Python of an answer: its blocks one after the other, or the answer itself where that is code."""
    _, blocks = split_code(answer[:_LONGEST])
    if blocks:
        pieces = [textwrap.dedent(block.text) for block in blocks if block.may_be_python]
        defining = [piece for piece in pieces if re.search(r"(?m)^\s*(?:def|class)\s", piece)]
        return "\n".join(defining) if defining else None
    return answer if re.search(r"(?m)^(?:def|class)\s", answer) and python_tree(answer) is not None else None
