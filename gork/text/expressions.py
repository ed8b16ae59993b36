"""Arithmetic expressions in texts: evaluated exactly, and whether a stated result agrees with the exact one."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from gork.text.numbers import NUMBER

Agreement = Literal["right", "near", "wrong"]

_LONGEST = 200
_LARGEST = 10**60
_EXPRESSION = re.compile(r"[\d.+\-*/%() ]+")
_TOO_LONG = re.compile(r"\d{25}|\d{9}\.\d{8}|\d\.\d{16}")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PLAIN = re.compile(r"\d+(?:\.\d+)?")
_OPERATORS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.Mod: "%"}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The value of an expression, and the operators in it; a number that stands alone has none."""

    value: Fraction
    operators: frozenset[str]


def evaluate(expression: str) -> Evaluated | None:
    """Evaluate an expression of numbers, brackets and + - * / ** %; None where it is malformed, ambiguous, undefined or too large.

    >>> evaluate("2 * (3 + 4)").value, evaluate("-2 ** 2"), evaluate("1 / 0"), evaluate("9 ** 9 ** 9")
    (Fraction(14, 1), None, None, None)
    """
    expression = expression.strip()
    if len(expression) > _LONGEST or not _EXPRESSION.fullmatch(expression) or _TOO_LONG.search(expression):
        return None
    try:
        tree = ast.parse(expression, mode="eval").body
        value = _value(tree)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None
    kinds = frozenset(_OPERATORS[type(node.op)] for node in ast.walk(tree) if isinstance(node, ast.BinOp))
    return Evaluated(value, kinds) if abs(value) < _LARGEST else None


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.UnaryOp | ast.BinOp):
            return -_value(operand)
        case ast.UnaryOp(op=ast.USub(), operand=ast.BinOp(op=op) as operand) if not isinstance(op, ast.Pow):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _applied(op, _value(left), _value(right), chained=isinstance(right, ast.BinOp) and isinstance(right.op, ast.Pow))
        case _:
            raise ValueError("not arithmetic")


def _applied(operator: ast.operator, left: Fraction, right: Fraction, *, chained: bool) -> Fraction:
    if any(part > _LARGEST for value in (left, right) for part in (abs(value.numerator), value.denominator)):
        raise ValueError("too large")
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.Mod() if left >= 0 and right > 0 and left.denominator == right.denominator == 1:
            return left % right
        case ast.Pow() if not chained and right.denominator == 1 and abs(right) <= 64 and _is_small(left):
            return left**right.numerator
        case _:
            raise ValueError("not arithmetic, or ambiguous")


def _is_small(value: Fraction) -> bool:
    return abs(value.numerator) <= 10**6 and value.denominator <= 10**6


def readings(text: str) -> tuple[str, ...]:
    """An expression's numbers as Python writes them: with commas for thousands, and with commas as decimal points, where each can be.

    >>> readings("1,000 + 2.5"), readings("3,5 + 1"), readings("1,234 + 1")
    (('1000 + 2.5',), ('3.5 + 1',), ('1234 + 1', '1.234 + 1'))
    """
    numbers = NUMBER.findall(text)
    found = []
    if all(_PLAIN.fullmatch(number) or _THOUSANDS.fullmatch(number) for number in numbers):
        found.append(text.replace(",", ""))
    swapped = [number.translate(str.maketrans(".,", ",.")) for number in numbers]
    if "," in text and all(_PLAIN.fullmatch(number) or _THOUSANDS.fullmatch(number) for number in swapped):
        found.append(text.replace(".", "").replace(",", "."))
    return tuple(found)


def agreement(stated: str, truth: Fraction) -> Agreement:
    """Whether a number as it is written says `truth`: exactly or rounded (right), cut off or to the nearest whole (near), or not.

    >>> [agreement(stated, Fraction(10, 3)) for stated in ("3.33", "3.34", "3", "33")]
    ['right', 'near', 'near', 'wrong']
    """
    value = Fraction(stated)
    off = abs(value - truth)
    if off <= abs(truth) / 10**9:
        return "right"
    step = Fraction(1, 10 ** len(stated.partition(".")[2]))
    if truth.denominator == 1 and step == 1:
        return "wrong"
    if step < 1 and 2 * off <= step:
        return "right"
    return "near" if off < step or (step < 1 and off <= step) else "wrong"
