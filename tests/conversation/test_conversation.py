"""What the models are told of earlier turns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gork.conversation.thread import Conversation, Exchange, Kept, announce
from gork.engines.call import estimate_prompt

TEXT = st.text(max_size=60)
EXCHANGES = st.lists(st.tuples(TEXT, TEXT), max_size=12)


def conversation(*turns):
    """A conversation of these (user, assistant) turns."""
    thread = Conversation()
    for user, assistant in turns:
        thread.add(user, assistant)
    return thread


def cost(*turns):
    """What these turns cost by the estimate that the engines use."""
    return sum(estimate_prompt(Exchange(*turn).messages) for turn in turns)


def test_a_new_conversation_has_nothing_to_tell():
    """Before the first turn ends there is no message and nothing was dropped."""
    assert Conversation().kept(1000) == Kept((), 0)


def test_the_third_turn_reads_both_earlier_turns_in_order():
    """Messages alternate user, assistant, oldest first, in the very words that were said."""
    thread = conversation(("hi  there\n", "Hello."), ("and u?", "Fine\t!"))

    assert [(message["role"], message["content"]) for message in thread.kept(1000).messages] == [
        ("user", "hi  there\n"),
        ("assistant", "Hello."),
        ("user", "and u?"),
        ("assistant", "Fine\t!"),
    ]


def test_the_oldest_turn_is_dropped_first():
    """A budget for one turn keeps the newest."""
    turns = [("a" * 30, "b" * 30), ("c" * 30, "d" * 30)]

    kept = conversation(*turns).kept(cost(turns[1]))

    assert (Exchange(*turns[1]).messages, 1) == (kept.messages, kept.dropped)


def test_a_turn_is_never_cut_in_half():
    """One token less than a turn needs leaves it out altogether."""
    turn = ("question", "answer")

    assert Kept((), 1) == conversation(turn).kept(cost(turn) - 1)


def test_a_budget_that_fits_exactly_keeps_the_turn():
    """The budget itself may be used up."""
    turn = ("question", "answer")

    assert conversation(turn).kept(cost(turn)).dropped == 0


def test_nothing_older_is_kept_behind_a_turn_that_does_not_fit():
    """A small old turn behind a large one is not pulled in: the thread would have a hole."""
    small, large, newest = ("a", "b"), ("c" * 900, "d"), ("e", "f")

    kept = conversation(small, large, newest).kept(cost(small, newest))

    assert (Exchange(*newest).messages, 2) == (kept.messages, kept.dropped)


@pytest.mark.parametrize("budget", [0, -1, -(10**9)])
def test_no_budget_keeps_nothing(budget):
    """A budget of nothing, or less, drops every turn, empty ones too."""
    assert Kept((), 2) == conversation(("", ""), ("a", "b")).kept(budget)


def test_what_was_handed_out_does_not_change():
    """A later turn or a clear leaves earlier histories as they were."""
    thread = conversation(("a", "b"))
    kept, exchanges = thread.kept(1000), thread.exchanges

    thread.add("c", "d")
    thread.clear()

    assert (Exchange("a", "b").messages, (Exchange("a", "b"),)) == (kept.messages, exchanges)


def test_changing_a_handed_out_message_does_not_reach_the_memory():
    """Whoever gets a message may alter it without rewriting history."""
    thread = conversation(("a", "b"))

    thread.kept(1000).messages[0]["content"] = "forged"

    assert thread.kept(1000).messages[0]["content"] == "a"


def test_clear_forgets():
    """After a clear the next turn is a first turn."""
    thread = conversation(("a", "b"))

    thread.clear()

    assert (Kept((), 0), (), 0) == (thread.kept(1000), thread.exchanges, len(thread))


def test_a_conversation_can_be_begun_from_earlier_turns():
    """What was saved can be taken up again."""
    thread = Conversation([Exchange("a", "b")])
    thread.add("c", "d")

    assert (Exchange("a", "b"), Exchange("c", "d")) == thread.exchanges


@pytest.mark.parametrize(
    ("kept", "line"),
    [
        (Kept((), 0), None),
        (Kept(Exchange("a", "b").messages, 1), "The oldest turn did not fit the models' context and was left out."),
        (Kept(Exchange("a", "b").messages, 3), "The 3 oldest turns did not fit the models' context and were left out."),
        (Kept((), 1), "The earlier turn did not fit the models' context and was left out: this question was asked without history."),
    ],
)
def test_dropped_turns_are_announced_in_one_line(kept, line):
    """People are told how many turns the models no longer see, and only then."""
    assert line == announce(kept)


@settings(deadline=None)
@given(EXCHANGES, st.integers(-10, 400))
def test_what_is_kept_is_the_longest_end_of_the_thread_that_fits(turns, budget):
    """Kept turns are a suffix, unaltered, alternating, within the budget, and one more would be too much."""
    kept = conversation(*turns).kept(budget)
    end = turns[kept.dropped :]

    assert [message for turn in end for message in Exchange(*turn).messages] == list(kept.messages)
    assert ["user", "assistant"] * len(end) == [message["role"] for message in kept.messages]
    assert not end or cost(*end) <= budget
    assert kept.dropped == 0 or cost(*turns[kept.dropped - 1 :]) > budget


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=20))
def test_any_text_can_be_remembered(text):
    """Lone surrogates and NUL are counted like anything else."""
    assert conversation((text, text)).kept(10**6).messages == Exchange(text, text).messages
