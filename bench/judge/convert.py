"""Public question sets as question files (docs/questions.md).

    python -m bench.judge.convert gsm8k test.jsonl gsm8k.yaml --first 200
    python -m bench.judge.convert humaneval HumanEval.jsonl.gz humaneval.yaml

GSM8K is openai/grade-school-math (grade_school_math/data/test.jsonl), HumanEval is openai/human-eval (data/HumanEval.jsonl.gz), both under
the MIT licence. What is converted keeps its order; `--half even` or `odd` takes one half by the hash of each question's words, so that what
is tuned on one half can be measured on the other.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gork.errors import ConfigError

MOST_CALLS = 8
Item = dict[str, Any]


def gsm8k(record: Mapping[str, str]) -> Item | None:
    r"""A question whose answer is the number after ####.

    >>> gsm8k({"question": "What is 6 times 7?", "answer": "6 * 7 = <<6*7=42>>42\\n#### 42"})["check"]
    {'number': 42}
    """
    stated = record["answer"].rpartition("####")[2].strip().replace(",", "")
    number = float(stated)
    value: float = int(number) if number.is_integer() else number
    return {
        "kind": "arithmetic",
        "ask": record["question"],
        "check": {"number": value},
        "right": [f"The answer is {value}."],
        "wrong": [f"The answer is {value + 7}."],
    }


def humaneval(record: Mapping[str, str]) -> Item | None:
    """A function to complete, with the calls of its tests that compare with a plain value; None where there are none."""
    name = record["entry_point"]
    calls = list(_calls(record["test"], name))[:MOST_CALLS]
    if not calls:
        return None
    whole = record["prompt"] + record["canonical_solution"]
    return {
        "kind": "code",
        "ask": f"Complete this Python function. Give the whole function.\n```python\n{record['prompt'].strip()}\n```",
        "check": {"python": {"needs": name, "calls": [list(call) for call in calls]}},
        "right": [f"```python\n{whole}\n```"],
        "wrong": [f"```python\ndef {name}(*a):\n    return object()\n```"],
    }


def _calls(test: str, name: str) -> Iterator[tuple[str, Any]]:
    """The calls of a test with what they give: `assert candidate(1) == 2`."""
    for node in ast.walk(ast.parse(test)):
        match node:
            case ast.Assert(test=ast.Compare(left=ast.Call(func=ast.Name(id="candidate")) as call, ops=[ast.Eq()], comparators=[expected])):
                try:
                    value = ast.literal_eval(expected)
                    plain = json.loads(json.dumps(value))
                except (ValueError, TypeError):
                    continue
                if plain == value and not isinstance(value, tuple):
                    yield ast.unparse(call).replace("candidate", name, 1), value
            case _:
                pass


FORMATS: Mapping[str, Callable[[Mapping[str, str]], Item | None]] = {"gsm8k": gsm8k, "humaneval": humaneval}


def records(file: Path) -> Iterator[Mapping[str, str]]:
    """The lines of a file of JSON lines, compressed by gzip or not. Raises a `ConfigError`."""
    try:
        data = file.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
        for line in text.splitlines():
            if line.strip():
                yield json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError([f"{file}: cannot be read as JSON lines: {error}"]) from None


def converted(name: str, given: Iterator[Mapping[str, str]], *, half: str | None = None, first: int | None = None) -> tuple[Item, int]:
    """The question set that these records give, and how many of them have no answer that can be checked. Raises a `ConfigError`."""
    questions: list[Item] = []
    left_out = 0
    for number, record in enumerate(given):
        try:
            item = FORMATS[name](record)
        except (KeyError, ValueError, SyntaxError, AttributeError, TypeError) as error:
            raise ConfigError([f"record {number + 1} is none of {name}: {type(error).__name__}: {error}"]) from None
        if item is None:
            left_out += 1
        elif half is None or (hashlib.sha256(item["ask"].encode()).digest()[-1] % 2 == 0) == (half == "even"):
            questions.append({"id": f"{name}-{len(questions)}", **item})
    return {"name": name if half is None else f"{name}-{half}", "questions": questions[:first]}, left_out


def main(given: Sequence[str] | None = None) -> int:
    """Convert a file; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.judge.convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--half", choices=("even", "odd"), help="one half of the questions, by the hash of their words")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N")
    found = parser.parse_args(given)
    try:
        made, left_out = converted(found.format, records(found.source), half=found.half, first=found.first)
        found.target.write_text(yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=10_000), encoding="utf-8")
    except (ConfigError, OSError) as error:
        print(f"bench.judge.convert: {error}", file=sys.stderr)
        return 2
    print(f"{len(made['questions'])} questions in {found.target}; {left_out} left out, whose answers cannot be checked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
