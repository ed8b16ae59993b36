"""How well plain code tells what can be computed, by question set.

    .venv/bin/python -m bench.kinds [FILE ...]

Without files: our own development questions, the everyday ones of `tests/text/`, and the prompts of `bench.everyday`. A file is a question
set in the form of `bench/judge/questions/`, or a mapping from the name of a kind to its questions. Figures: of the questions that can be
computed, how many are found (at least 90 in 100); of the others, how many are taken for one (at most 2 in 100).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import yaml

from bench.everyday import PROMPTS
from gork.text.kinds import evidence, kind_of
from gork.turn import COMPUTABLE, Kind

_ROOT = Path(__file__).parent.parent
_OWN = (
    _ROOT / "bench/judge/questions/development.yaml",
    *sorted((_ROOT / "tests/text").glob("everyday_kinds*.yaml")),
)
_COMPUTED_TEXT = re.compile(r"(?:word-sorting|object-counting|boolean-expressions|cruxeval)-\d+|text-alphabet-.*|text-sort-.*")
"""The ids of questions whose kind in the file is `text` or `code` and which can be computed all the same."""
_EVERYDAY_COMPUTED = frozenset({"what is 12 times 8"})


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question, and whether it can be computed."""

    ask: str
    computable: bool


def labelled(path: Path) -> list[Labelled]:
    """The questions of a file, in either form. Raises `ValueError` for the name of a kind that there is not."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "questions" in content:
        return [
            Labelled(entry["ask"], entry["kind"] == "arithmetic" or bool(_COMPUTED_TEXT.fullmatch(entry["id"])))
            for entry in content["questions"]
        ]
    return [Labelled(ask, Kind(kind) in COMPUTABLE) for kind, asks in content.items() for ask in asks]


def report(name: str, questions: Sequence[Labelled], *, wrong: bool) -> tuple[int, int, int, int]:
    """Print the row of a set, with `wrong` the questions that were told wrongly; returns found, computable, taken, others."""
    told = [(question, kind_of(question.ask) in COMPUTABLE) for question in questions]
    can = [taken for question, taken in told if question.computable]
    cannot = [taken for question, taken in told if not question.computable]
    print(f"{name:32} {_share(can):>18} {_share(cannot):>18}")
    for question, taken in told:
        if wrong and taken != question.computable:
            print(f"    {'taken' if taken else 'missed'}: {question.ask[:300]!r} {evidence(question.ask)}")
    return sum(can), len(can), sum(cannot), len(cannot)


def _share(taken: Sequence[bool]) -> str:
    return f"{sum(taken)} of {len(taken)} ({100 * sum(taken) / len(taken):.1f} %)" if taken else "-"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="question files; by default our own")
    parser.add_argument("--wrong", action="store_true", help="show the questions that were told wrongly, with what was found in them")
    given = parser.parse_args(arguments)
    sets = [(path.stem, labelled(path)) for path in given.files or _OWN]
    if not given.files:
        sets.append(("bench.everyday", [Labelled(prompt, prompt in _EVERYDAY_COMPUTED) for prompt in PROMPTS]))
    print(f"{'set':32} {'computable found':>18} {'others taken':>18}")
    began = perf_counter()
    rows = [report(name, questions, wrong=given.wrong) for name, questions in sets]
    seconds = perf_counter() - began
    found, can, taken, cannot = (sum(column) for column in zip(*rows, strict=True))
    print(f"{'all':32} {_share([True] * found + [False] * (can - found)):>18} {_share([True] * taken + [False] * (cannot - taken)):>18}")
    print(f"{1000 * seconds / (can + cannot):.2f} ms a question")


if __name__ == "__main__":
    main()
