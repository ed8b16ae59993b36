"""Events over the wire: what goes in comes out, and what is none is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gork.turn import (
    Answered,
    Failed,
    Failure,
    Finished,
    Judged,
    MemberState,
    Notice,
    NotRewritten,
    Question,
    Restarted,
    Rewritten,
    Stage,
    StageStarted,
    State,
    Token,
)
from gork.wire import Accepted, BadEvent, Broken, Explained, Queued, decode, encode, turn_of
from tests.support.turns import ANSWERS, TURN, VERDICT

EVENTS = [
    Accepted("0123456789ab", "ollama", "heavy-lite", {"a": "candidate"}),
    Queued(3),
    StageStarted(Stage.ANSWER, ("a", "b")),
    MemberState("a", State.LOADING, "asked again"),
    Token("a", "\n\ndata: x"),
    Restarted("a", "died"),
    Rewritten(Question(text="q", rewrite_refused="it answers", not_rewritten=NotRewritten.REJECTED)),
    Answered(ANSWERS[0]),
    Failed(Failure(member="c", kind="died", message="gone")),
    Judged(VERDICT),
    Notice("one line"),
    Finished(TURN),
    Broken("no_answer", "no candidate answered"),
    Explained("It is shorter."),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_out_as_it_went_in(event):
    """Every kind of event survives the wire, on one line each."""
    kind, data = encode(event)

    assert b"\n" not in data
    assert b"\r" not in data
    assert event == decode(kind, data)


def test_a_turn_that_came_back_says_the_same():
    """What `--json` prints is enough to make the turn of it again."""
    assert TURN == turn_of(json.loads(json.dumps(TURN.as_json())))


def test_a_kind_from_a_newer_service_is_left_out():
    """An event that this version does not know is None, whatever is in it."""
    assert decode("confetti", b"not json") is None


def test_what_a_newer_service_adds_to_an_event_is_left_out():
    """Unknown fields do not matter."""
    assert Token("a", "x") == decode("token", b'{"member":"a","text":"x","colour":"red"}')


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("token", b""),
        ("token", b"[]"),
        ("token", b'{"member":"a"}'),
        ("token", b'{"member":"a","text":1}'),
        ("token", b'{"member":"a","text":"\xff"}'),
        ("member", b'{"member":"a","state":"dancing"}'),
        ("queued", b'{"ahead":"2"}'),
        ("queued", b"[" * 100_000),
        ("finished", b"{}"),
        ("finished", json.dumps({**TURN.as_json(), "winner": "c"}).encode()),
        ("finished", json.dumps({**TURN.as_json(), "answer": "another"}).encode()),
        ("finished", json.dumps({**TURN.as_json(), "seed": None}).encode()),
    ],
)
def test_what_is_no_event_is_refused(kind, data):
    """Wrong shapes, wrong types, no UTF-8, endless nesting, an answer that nobody gave: a `BadEvent` each."""
    with pytest.raises(BadEvent):
        decode(kind, data)


@given(st.sampled_from([kind for kind, _ in map(encode, EVENTS)]), st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_no_json_breaks_the_reader(kind, value):
    """Whatever JSON comes, it is an event or a `BadEvent`."""
    try:
        decode(kind, json.dumps(value).encode())
    except BadEvent:
        return
