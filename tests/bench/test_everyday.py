"""What `bench.everyday` says of kept turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import everyday

QUESTIONS = """
name: two
questions:
  - {id: double, kind: arithmetic, ask: what is 2 times 3, check: {number: 6}, right: ["6"], wrong: ["5"]}
  - {id: half, kind: arithmetic, ask: half of 8, check: {number: 4}, right: ["4"], wrong: ["5"]}
"""


def turn(text: str, answer: str) -> str:
    """A turn as `--json` prints it."""
    return json.dumps(
        {
            "question": {"text": text, "rewrite": None},
            "answer": answer,
            "winner": "coder",
            "answers": [{"member": "coder", "text": answer}],
            "verdict": {"fallback": None},
            "timings": {"rewrite": 0.0, "answer": 1.0, "judge": 0.0, "total": 1.0},
        }
    )


def test_questions_of_a_file_are_graded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By their own checks, each turn by the question that it answers, in any order."""
    questions, turns = tmp_path / "two.yaml", tmp_path / "turns.jsonl"
    questions.write_text(QUESTIONS, encoding="utf-8")
    kept = [turn("half of 8", "It is 5."), turn("what is 2 times 3", "2 * 3\n= 6")]
    turns.write_text("\n".join(kept), encoding="utf-8")
    everyday.main(["--show", str(turns), "--questions", str(questions)])
    said = capsys.readouterr().out.splitlines()
    assert said[-3:] == ["  right  double: '= 6' (coder)", "  wrong  half: 'It is 5.' (coder)", "right: 1 of 2"]
