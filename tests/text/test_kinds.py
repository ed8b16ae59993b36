"""The kind of a question: which questions are computed, and which are not."""

from pathlib import Path

import pytest
import yaml

from bench.kinds import labelled
from gork.text.kinds import COMPUTABLE, Kind, kind_of

HERE = Path(__file__).parent


@pytest.mark.parametrize("file", ["everyday_kinds.yaml", "everyday_kinds_unseen.yaml"])
def test_of_everyday_questions_nine_in_ten_computable_ones_are_found_and_two_in_a_hundred_others_taken(file):
    questions = labelled(HERE / file)
    found = [kind_of(question.ask) in COMPUTABLE for question in questions if question.computable]
    taken = [kind_of(question.ask) in COMPUTABLE for question in questions if not question.computable]
    assert sum(found) >= 0.9 * len(found)
    assert sum(taken) <= 0.021 * len(taken)
