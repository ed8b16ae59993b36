"""A model that says the same over and over is ended where that is plain, unless the same may be wanted many times."""

from __future__ import annotations

import asyncio
import re

import pytest

from gork.engines.loops import LEAST, TIMES, in_a_loop, wants_repetition
from tests.support.fake_server import Reply
from tests.support.ollama_setup import MODEL, Talk, asked
from tests.support.server_setup import settled

SOUP = "   - 1/2 teaspoon dried parsley\n   - 1/2 teaspoon dried thyme\n"
BEGUN = "To make tomato soup, you can follow these steps:\n\n1. **Prepare the ingredients:**\n   - 1 large onion\n"
ENDLESS = re.findall(r"\s*\S+", BEGUN + SOUP * 60)


@pytest.fixture
async def server(kind):
    """A fake of that kind whose model falls into a loop and never ends."""
    async with kind.fake() as fake:
        fake.say(MODEL, Reply(tokens=ENDLESS, pauses={len(ENDLESS): asyncio.Event()}))
        yield fake


async def test_a_loop_is_ended_and_what_was_written_is_kept(kind, server):
    """The model would go on until its limit; the answer says that it is not whole, and why."""
    async with kind.engine(server) as one:
        completion = await Talk(settled(one)).chat("how do i make tomato soup", limit_s=20)

    assert (completion.stop, completion.complete) == ("repetition", False)
    assert completion.text.startswith(BEGUN.rstrip())
    assert in_a_loop(completion.text)
    assert len(completion.text) < len(BEGUN) + 2 * LEAST


@pytest.mark.parametrize("prompt", ["Repeat this line over and over", "Write 'I will not talk' 60 times", "draw an ascii fence"])
async def test_who_may_want_the_same_many_times_gets_it(kind, server, prompt):
    """Nothing ends such an answer but its own end or its time limit."""
    async with kind.engine(server) as one:
        completion = await Talk(settled(one)).chat(prompt, limit_s=1)

    assert completion.stop == "deadline"
    assert completion.text == "".join(ENDLESS)


async def test_json_is_left_alone(kind, server):
    """Half of a JSON value is of no use, and a list may have equal items."""
    async with kind.engine(server) as one:
        completion = await settled(one).chat(asked("Which?"), options={}, on_event=lambda _: None, limit_s=1, answer_format="json")

    assert completion.stop == "deadline"


@pytest.mark.parametrize(
    "unit",
    ["is a princess who ", "vast and ", "ha", "\n", "The French Revolution was a result of the Revolution of 1789. " * 3, "0.5, 0.5, 1, "],
)
def test_a_loop_is_found_whatever_its_length(unit):
    """It is found wherever in its words a text breaks off, and not before it is plain."""
    text = "Once there was something else. " + unit * (2 * max(LEAST, TIMES * len(unit)) // len(unit))

    assert all(in_a_loop(text[: len(text) - cut]) for cut in range(min(len(unit), 40)))
    assert not in_a_loop(text[: LEAST + 20])


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"{n}. Get enough sleep." for n in range(60)),
        "\n".join(f"| {n} | {n * n} | {n**3} |" for n in range(80)),
        "\n".join(f"    print(values[{n}])" for n in range(50)),
        "<tr><td></td><td></td></tr>\n" * 10,
        "A whole verse.\nAnother line of it.\n" * 4 + "The end of the song, which is another one. " * 2,
        SOUP * 20 + "Serve it hot.",
    ],
)
def test_what_is_no_loop_is_none(text):
    """Numbered lines, tables, code, a few equal rows, a refrain, a loop that was left."""
    assert not in_a_loop(text)


def test_only_the_last_prompt_tells_what_is_wanted():
    """What an earlier turn wanted is over, and what a model answered is no wish."""
    earlier = [{"role": "user", "content": "Say it 50 times"}, {"role": "assistant", "content": "50 times?"}]

    assert wants_repetition(earlier[:1])
    assert not wants_repetition([*earlier, {"role": "user", "content": "why is the sea salty"}])
    assert not wants_repetition([])
