"""Public sets become question files that the bench reads and whose checks hold."""

from __future__ import annotations

import gzip
import json

import pytest

from bench.judge.convert import main
from bench.judge.graders import Right, Wrong
from bench.judge.questions import load_questions

SUMS = [
    {"question": "Ann has 3 pens and buys 1,000 more. How many has she?", "answer": "3 + 1000 = <<3+1000=1003>>1003\n#### 1,003"},
    {"question": "Half of 5?", "answer": "#### 2.5"},
]
CODE = [
    {
        "task_id": "HumanEval/0",
        "prompt": 'def add(a, b):\n    """Add."""\n',
        "entry_point": "add",
        "canonical_solution": "    return a + b\n",
        "test": (
            "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate('a', 'b') == 'ab', 'words'\n"
            "    assert candidate(1, 1)\n"
        ),
    },
    {
        "prompt": "def pair(a):\n",
        "entry_point": "pair",
        "canonical_solution": "    return (a, a)\n",
        "test": "def check(candidate):\n    assert candidate(1) == (1, 1)\n",
    },
]


def write(path, records, *, packed: bool = False) -> None:
    """A file of JSON lines."""
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(data) if packed else data)


def test_gsm8k_becomes_questions_with_a_number(tmp_path, capsys):
    """Its own answers are right, others wrong; separators and fractions are read."""
    write(tmp_path / "test.jsonl", SUMS)

    assert 0 == main(["gsm8k", str(tmp_path / "test.jsonl"), str(tmp_path / "gsm8k.yaml")])

    found = load_questions(tmp_path / "gsm8k.yaml")
    assert ["gsm8k-0", "gsm8k-1"] == [item.id for item in found.items]
    assert [Right(), Wrong()] == [found.items[0].grade(text) for text in ("She has 1003 pens.", "She has 1000.")]
    assert Right() == found.items[1].grade("2.5")
    assert "2 questions" in capsys.readouterr().out


def test_humaneval_becomes_functions_with_calls(tmp_path, capsys):
    """Only calls that are compared with a plain value; what has none is left out and counted."""
    write(tmp_path / "h.jsonl.gz", CODE, packed=True)

    assert 0 == main(["humaneval", str(tmp_path / "h.jsonl.gz"), str(tmp_path / "h.yaml")])

    [item] = load_questions(tmp_path / "h.yaml").items
    assert (("add(1, 2)", 3), ("add('a', 'b')", "ab")) == item.check.calls
    assert [Right(), Wrong()] == [item.grade(text) for text in (item.right[0], item.wrong[0])]
    assert "1 left out" in capsys.readouterr().out


def test_the_two_halves_have_every_question_once(tmp_path):
    """By the hash of its words, whatever the order; `--first` takes the first of them."""
    write(tmp_path / "x", [{"question": f"What is {number} + 1?", "answer": f"#### {number + 1}"} for number in range(40)])
    for half in ("even", "odd"):
        main(["gsm8k", str(tmp_path / "x"), str(tmp_path / f"{half}.yaml"), "--half", half])
    main(["gsm8k", str(tmp_path / "x"), str(tmp_path / "few.yaml"), "--first", "3"])

    even, odd = ({item.ask for item in load_questions(tmp_path / f"{half}.yaml").items} for half in ("even", "odd"))

    assert (40, set()) == (len(even | odd), even & odd)
    assert 10 < len(even) < 30
    assert 3 == len(load_questions(tmp_path / "few.yaml").items)


@pytest.mark.parametrize("content", ["no json\n", '{"ask": "x"}\n'])
def test_a_file_of_another_form_is_refused_in_one_line(tmp_path, capsys, content):
    """It says what it is not."""
    (tmp_path / "x").write_text(content)

    assert 2 == main(["gsm8k", str(tmp_path / "x"), str(tmp_path / "y.yaml")])
    assert "bench.judge.convert: " in capsys.readouterr().err
