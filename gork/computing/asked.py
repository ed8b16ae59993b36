"""What the words around a piece of code ask for: a call of its function, an expression of its names, the value of a variable."""

from __future__ import annotations

import ast
import builtins
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Set
from dataclasses import dataclass

from gork.computing.examples import examples_in
from gork.text.code import python_tree

MOST_ASKED = 4
"""Expressions that are shown, each in its line; a question that names more is about something else."""
_MOST_TRIES, _MOST_READ = 1500, 15_000
_LONGEST_EXPRESSION = 200
_SPACE = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"[.?!](?=\s|\Z)")
_SIGN = re.compile(r"[(\[=+*/%<>-]|[A-Za-z_]\.[A-Za-z_]|\b(?:and|or|not|in|is)\b")
"""What code that does something has and most words have not."""
_VARIABLE = re.compile(
    r"(?i:\b(?:value (?:of|in)|variable|(?:does|do|will|would)|what(?:'s| is| are| will be)(?: in)?|equals?|contains?))\s+"
    r"(?:the (?:variable|list) )?(?=([A-Za-z_]\w{0,60})(?![\w(.\[])(\W|\Z))"
)
_QUOTED_NAME = re.compile(r"[`'\"]([A-Za-z_]\w{0,60})[`'\"]")
_ARTICLES = frozenset({"a", "A", "I", "i"})
_CODE = re.compile(
    r"\bprint\(|\bdef \w|\bfor \w{1,60} in [^\n]{1,80}:"
    r"|(?<![\w.])[A-Za-z_]\w{0,60}\s{0,3}(?:[-+*/%]|//|\*\*)?=(?![=>])\s{0,3}\S"
)
_SUPPOSED = re.compile(r"\b(?:if|when|with|for)\s+`?([A-Za-z_]\w{0,60})`?\s+(?:is|was|being|equals|becomes|starts|begins)\b", re.IGNORECASE)
_PLACES = "first|second|third|fourth|fifth|last|final|next|\\d{1,3}(?:st|nd|rd|th)"
_PARTS = "lines?|items?|elements?|values?|numbers?|characters?|letters?|outputs?|iterations?"
_ANOTHER = re.compile(
    rf"""\b(?:chang|replac|remov|delet|swap|modif|comment(?:ed)?\ out|convert|rewrit|translat|refactor|optimi[sz]|simplif|fix|correct
    |improv|ersetz|änder|entfern|remplac|modifi|supprim|cambi|reempla|elimin|sostitui|rimuov)
    |\b(?:instead|without|rather\ than|were|had|statt|ohne|sans|sin|senza|python\ ?2)\b
    |\b(?:{_PLACES})\ (?:{_PARTS})\b
    |\bhow\ (?:many|often|much|long|do|can|to)\b|\bnumber\ of\b
    |\bif\ (?:i|you|we|the\ user)\b(?!\ (?:type|run|enter|execut|evaluat|call|print|write|try))
    |\b(?:which|wh?at)\ (?:line|type|error|exception|values?\ of\ \w+\ (?:make|give|would))
    |\bdifferences?\b|\bdifferent\b|\bsame\b|\bcompar|\bcomplexity\b|\btype\ of\b|\bwrong\b|\bwhy\b""",
    re.IGNORECASE | re.VERBOSE,
)


def wants_something_else(words: str, names: Set[str]) -> bool:
    """Whether more than the code as it stands is asked about: a change to it, a part or a count of its output, a comparison, a reason.

    `names` are those that the code defines.

    >>> wants_something_else("what does it print if x is 5?", {"x"}), wants_something_else("what does it print?", {"x"})
    (True, False)
    """
    return _ANOTHER.search(words) is not None or any(match[1] in names for match in _SUPPOSED.finditer(words))


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, as Python, and the words that are left; a call of `print` is to be run, anything else to be shown."""

    expressions: tuple[str, ...]
    rest: str
    leaves_code: bool
    """Whether there is code among the words that are left: the question has more of it than was understood."""


def asked_of(words: str, names: Set[str]) -> Asked:
    """The expressions in the words around a piece of code that read the names that the code defines.

    >>> asked_of("What do f(1) and f(2) return? I think f(0) returns 0.", {"f"}).expressions
    ('f(1)', 'f(2)')
    """
    stated = {example.call for example in examples_in(words)}
    found: dict[str, bool] = {}
    rest: list[str] = []
    reader = Reader()
    for line in words.splitlines():
        start = 0
        while (piece := _first_expression(line, start, names, reader)) is not None:
            rest.append(line[start : piece.start])
            start = piece.end
            ending = _SENTENCE_END.search(line, start)
            for expression in piece.expressions:
                if expression not in stated:
                    found[expression] = found.get(expression, False) or (ending is not None and ending[0] == "?")
        rest.append(f"{line[start:]}\n")
    questions = [expression for expression, is_question in found.items() if is_question]
    left = "".join(rest)
    return Asked(tuple(questions or found), left, leaves_code=reader.exhausted or _CODE.search(left) is not None)


def asked_variable(words: str, names: Set[str]) -> str | None:
    """The variable whose value the words ask for, the last one that they name; an article is none.

    >>> asked_variable("What is the value of a? It is a number.", {"a"}), asked_variable("What is a list?", {"a"})
    ('a', None)
    """
    sentences = [sentence for line in words.splitlines() for sentence in _sentences(line)]
    for sentence in reversed([sentence for sentence in sentences if sentence.endswith("?")] or sentences):
        named = [(match.start(1), match[1], match[2]) for match in _VARIABLE.finditer(sentence)]
        quoted = [(match.start(1), match[1], "") for match in _QUOTED_NAME.finditer(sentence)]
        for at, name, after in sorted(named + quoted, reverse=True):
            if name in names and not (name in _ARTICLES and after == " " and not sentence[:at].rstrip().endswith("of")):
                return name
    return None


def _sentences(line: str) -> Iterator[str]:
    start = 0
    for match in _SENTENCE_END.finditer(line):
        yield line[start : match.end()]
        start = match.end()
    yield line[start:]


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    expressions: tuple[str, ...]


def _first_expression(sentence: str, start: int, names: Set[str], reader: Reader) -> _Piece | None:
    """The first piece of a sentence that is an expression of these names, as long as it can be."""
    for begin, end in signed_pieces(sentence, start):
        if reader.exhausted:
            return None
        text = sentence[begin:end].rstrip(" \t?.,;:!")
        bare = text.strip("`\"'“”") if text[:1] in "`\"'“" else text
        if expressions := _expressions(bare, reader.read(bare), names):
            return _Piece(begin, begin + len(text), expressions)
    return None


def is_of_one_sentence(tree: ast.AST, text: str) -> bool:
    """Whether a piece of a sentence is Python by intent: "f(3). What" is an attribute and "the list [1]" an index to Python alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript):
            whole, value = ast.get_source_segment(text, node), ast.get_source_segment(text, node.value)
            after = whole[len(value) :] if whole is not None and value is not None and whole.startswith(value) else ""
            if after[:1].isspace() or after[1:2].isspace():
                return False
    return True


def _expressions(text: str, tree: ast.Module | None, names: Set[str]) -> tuple[str, ...]:
    """What a piece of a sentence asks for; nothing if it is not an expression that reads one of the names and no unknown one."""
    match tree.body if tree is not None else None:
        case [ast.Expr(value=value)]:
            pass
        case _:
            return ()
    if not is_of_one_sentence(value, text):
        return ()
    if isinstance(value, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn | ast.Is | ast.IsNot) for op in value.ops):
        return ()  # "what is x in d": words
    joined = value.values if isinstance(value, ast.BoolOp) else value.elts if isinstance(value, ast.Tuple) else [value]
    known = names | set(dir(builtins))
    for part in joined:
        read = {node.id for node in ast.walk(part) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        made = {node.id for node in ast.walk(part) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        made |= {node.arg for node in ast.walk(part) if isinstance(node, ast.arg)}
        if isinstance(part, ast.Name | ast.Constant) or not read & names or not read <= known | made:
            return ()
    sources = (ast.get_source_segment(text, part) for part in joined)
    return tuple(source for source in sources if source is not None)


class Reader:
    """Reads pieces of a text as Python, until it has tried so many, or found so much of them to be Python, as a question may cost."""

    def __init__(self) -> None:
        self._tries, self._characters = _MOST_TRIES, _MOST_READ

    @property
    def exhausted(self) -> bool:
        """Whether no more is read."""
        return min(self._tries, self._characters) <= 0

    def read(self, code: str) -> ast.Module | None:
        """The tree of a piece that is Python; None if it is not, or no more is read."""
        if self.exhausted:
            return None
        tree = python_tree(code)
        self._tries -= 1
        self._characters -= 0 if tree is None else len(code)
        return tree


def signed_pieces(text: str, start: int = 0, *, longest: int = _LONGEST_EXPRESSION) -> Iterator[tuple[int, int]]:
    """The pieces of a text from the start of a word to the end of one that have a sign of code, the longest of each start first."""
    signs = [match.start() for match in _SIGN.finditer(text, start)]
    gaps = [match.span() for match in _SPACE.finditer(text, start)]
    ends = [*(before for before, _ in gaps), len(text)]
    for begin in (start, *(end for _, end in gaps if end < len(text))):
        sign = bisect_left(signs, begin)
        if sign == len(signs):
            return
        first, last = bisect_right(ends, signs[sign]), bisect_right(ends, begin + longest)
        yield from ((begin, ends[at]) for at in range(last - 1, first - 1, -1))
