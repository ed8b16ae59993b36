"""What clients see of a turn besides its answer, with one draft as it is written."""

from __future__ import annotations

import pytest

from gork.service.dialects.replies import ThinkingChannel
from gork.turn import Answer, Answered, Computed, Event, Failed, Failure, MemberState, Notice, Restarted, State, Token

OTHER = Answered(Answer(member="a", model="m", text="Lyon", tokens=1, seconds=1.0))
OTHERS_DRAFT = "**a** (1 tokens in 1.0 s)\n\nLyon\n\n"


def shown(*events: Event, live: str | None = "b") -> str:
    """Everything that comes of these events."""
    channel = ThinkingChannel(lambda text: text.replace("secret", "..."), live=live)
    return "".join(channel.of(event) for event in events)


def answered(text: str = "Paris it is", **more: object) -> Answered:
    """The live draft's end."""
    return Answered(Answer(member="b", model="m", text=text, tokens=3, seconds=2.0, **more))


def test_what_comes_meanwhile_waits_for_the_end_of_the_draft():
    """Another draft and a notice; the live one is not told again."""
    said = shown(Token("b", "Paris"), OTHER, Token("a", "x"), Notice("at secret"), Token("b", " it is"), answered())

    assert f"**b**\n\nParis it is\n\n{OTHERS_DRAFT}at ...\n\n" == said


def test_a_draft_that_nobody_saw_being_written_comes_whole():
    """As all others do."""
    assert "**b** (3 tokens in 2.0 s)\n\nParis it is\n\n" == shown(answered())
    assert OTHERS_DRAFT == shown(Token("b", "Paris"), Token("a", "x"), OTHER, live=None)


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (answered(stop="length", complete=False), "(cut: length)\n\n"),
        (answered(text="97", computed=Computed(program="print(97)", output="97")), "printed when it was run:\n\n```text\n97\n```\n\n"),
        (Failed(Failure(member="b", kind="died", message="gone at secret")), "failed: gone at ...\n\n"),
        (MemberState("b", State.NOT_NEEDED, "why"), "(not waited for)\n\n"),
    ],
)
def test_it_is_told_how_a_draft_ended_if_not_by_itself(end, told):
    """Before what has waited for it."""
    assert f"**b**\n\nPar\n\n{told}{OTHERS_DRAFT}" == shown(Token("b", "Par"), OTHER, end)


def test_a_draft_that_begins_again_has_its_heading_again():
    """What came before is not taken back; it is said that it does not count."""
    said = shown(Token("b", "Par"), Restarted("b", "died"), Token("b", "Paris"), answered("Paris"))

    assert "**b**\n\nPar\n\nb is asked again: died\n\n**b**\n\nParis\n\n" == said
