"""What not waiting saves, replayed on answers and their seconds."""

from __future__ import annotations

from bench.judge import cases, waiting
from bench.judge.contests import Ready
from bench.judge.questions import Item
from gork.config.ensemble import Choosing, Ensemble, Member
from gork.turn import Answer, Computed, Failure, Kind, Question

ASKED = Question(text="What is 12 * 8 + 1?", kind=Kind.ARITHMETIC)
ENSEMBLE = Ensemble(
    name="three",
    candidates=(
        Member(name="a", model="a"),
        Member(name="b", model="b"),
        Member(name="c", model="c", answers={Kind.ARITHMETIC: "program"}),
    ),
    choosing=Choosing(),
)
WORDS = (
    Answer(member="a", model="a", text="It is 98.", tokens=40, seconds=4.0),
    Answer(member="b", model="b", text="It is 97.", tokens=90, seconds=9.0),
)


def program(output: str | None, *, seconds: float = 2.0) -> Answer:
    """What c's program gave, half a second after it was written."""
    computed = Computed(program="print()", output=output, seconds=0.5)
    return Answer(member="c", model="c", text=output or "print(", tokens=20, seconds=seconds, computed=computed)


def replayed(*answers: Answer, failures: tuple[Failure, ...] = (), computes: bool = True) -> waiting.Replay:
    """One turn."""
    item = Item(id="sum", kind="arithmetic", ask=ASKED.text, check=None, right=("97",), wrong=("98",))
    right = {answer.member: "97" in answer.text for answer in answers}
    case = cases.Case(item=item, seed=1, question=ASKED, answers=answers, right=right, failures=failures)
    ready = Ready(case=case, usable=answers)
    (found,) = waiting.replays([ready], ENSEMBLE, lambda _: None, computes=computes)
    return found


def test_a_turn_ends_when_its_program_has_run():
    """What the others wrote afterwards is spared; the result is the same."""
    found = replayed(*WORDS, program("97"))

    assert (found.whole_s, found.decided_s, found.spared_tokens, found.right, found.still_right) == (9.0, 2.5, 130, True, True)
    assert found.early


def test_a_turn_that_nothing_decides_ends_with_its_last_answer():
    """A program without a result, or one that nobody asked for."""
    found = [replayed(*WORDS, program(None)), replayed(*WORDS)]

    assert [(one.whole_s, one.decided_s, one.early, one.spared_tokens) for one in found] == 2 * [(9.0, 9.0, False, 0)]


def test_whoever_failed_is_waited_for_and_changes_nothing():
    """Nobody knows when it was."""
    assert replayed(program("97"), failures=(Failure(member="a", kind="died", message="gone"),)).decided_s == 2.5
    assert replayed(WORDS[0], failures=(Failure(member="c", kind="died", message="gone"),)).decided_s == 4.0


def test_the_table_has_a_row_for_each_kind():
    """Means over its turns, all kinds first."""
    rows = waiting.text([replayed(*WORDS, program("97")), replayed(*WORDS, program(None))]).splitlines()

    assert ["all", "2", "50%", "9.00", "5.75", "3.25", "65"] == rows[2].split()[:7]
    assert rows[3].startswith("arithmetic")
