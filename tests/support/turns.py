"""Turns that tests send, save and compare, and the published schema of a turn."""

from __future__ import annotations

import json

from gork.turn import Answer, Failure, Question, Turn, Verdict
from tests.support.paths import ROOT

SCHEMA = json.loads((ROOT / "docs" / "turn.schema.json").read_text())

ANSWERS = (
    Answer(member="a", model="a:1", text="one\r\n\u2028two", tokens=3, prompt_tokens=7, first_token_s=0.1, seconds=1.5),
    Answer(member="b", model="b:1", text="", complete=False, stop="length"),
)
VERDICT = Verdict(winner="a", policy="judge", favourite="b", scores={"a": 1.0, "b": 0.0}, margin=1.0, judge_answer="one", judge_calls=1)
TURN = Turn(
    id="0123456789ab",
    question=Question(text="q", rewrite="Q?", id="0123456789ab"),
    winner=ANSWERS[0],
    answers=ANSWERS,
    failures=(Failure(member="c", kind="died", message="gone"),),
    verdict=VERDICT,
    timings={"rewrite": 0.1, "answer": 1.0, "judge": 0.5, "total": 1.6},
    engine="embedded",
    ensemble="starter",
    seed=1,
    not_needed=("d",),
)
"""A turn with something in every field."""


def turn(text: str, answer: str) -> Turn:
    """A turn with this question and one answer."""
    winner = Answer(member="a", model="a:1b", text=answer)
    return Turn(
        id="0123456789ab",
        question=Question(text=text),
        winner=winner,
        answers=(winner,),
        failures=(),
        verdict=Verdict(winner="a", policy="prior"),
        timings={"total": 1.0},
        engine="ollama",
        ensemble="heavy-lite",
        seed=1,
    )
