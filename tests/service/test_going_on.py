"""Conversations that go on from what the service gave: `context` of generate, `previous_response_id`, items by their ids."""

from __future__ import annotations

import pytest

from gork.service.turns import KeptTurn, TurnStore
from tests.support.scripted_service import scripted_service

MODEL = "gork-heavy-lite"
ADA = [{"role": "user", "content": "My name is Ada."}, {"role": "assistant", "content": "It is **Paris**.\n"}]


def read_by(server):
    """The last messages that a candidate was given, without instructions of its own."""
    return [message for message in server.models["qwen"].asked[-1] if message["role"] != "system"]


async def test_a_context_that_was_given_carries_the_conversation():
    """Its instructions too, unless the request has others; nothing is kept in the service."""
    async with scripted_service() as server:
        _, first = await server.ask("/api/generate", {"model": MODEL, "prompt": ADA[0]["content"], "system": "Be kind.", "stream": False})
    async with scripted_service() as server:
        more = {"model": MODEL, "prompt": "Who am I?", "stream": False, "context": first["context"]}
        _, second = await server.ask("/api/generate", more)
        assert ADA == read_by(server)[:-1]
        assert "Be kind." in server.models["qwen"].asked[-1][0]["content"]
        await server.ask("/api/generate", {**more, "context": second["context"]})
        assert 5 == len(read_by(server))


@pytest.mark.parametrize("context", [[1, 2, 3], [6778738, 0, 0, 5], ["x"], [6778738, 1, 2, -1], [6778738, 1, 2, 1 << 40]])
async def test_a_context_from_elsewhere_is_not_passed_over_in_silence(context):
    """The question is answered without it, and that is said."""
    async with scripted_service() as server:
        status, reply = await server.ask("/api/generate", {"model": MODEL, "prompt": "hi", "stream": False, "context": context})

    assert 200 == status
    assert "the context of this request is not from this service" in reply["thinking"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_response_goes_on_from_an_earlier_one(stream):
    """By its id alone, or by the ids of its items, as the AI SDK sends them; instructions are not carried on."""
    async with scripted_service() as server:
        _, first = await server.ask("/v1/responses", {"model": MODEL, "input": ADA[0]["content"], "instructions": "Be kind."})
        reasoning, message = first["output"]
        by_items = [ADA[0], {"type": "item_reference", "id": reasoning["id"]}, {"type": "item_reference", "id": message["id"]}]
        who = {"role": "user", "content": [{"type": "input_text", "text": "Who am I?"}]}
        for body in ({"previous_response_id": first["id"], "input": [who]}, {"input": [*by_items, who]}):
            async with server.post("/v1/responses", {"model": MODEL, "stream": stream, **body}) as reply:
                assert 200 == reply.status
                await reply.read()
            assert ADA == read_by(server)[:-1]
            assert "Be kind." not in server.models["qwen"].asked[-1][0]["content"]


async def test_what_the_input_itself_instructs_is_carried_on():
    """A message of the developer's is part of the conversation, unlike `instructions`, which are one request's."""
    async with scripted_service() as server:
        told = [{"role": "developer", "content": "Speak French."}, {"role": "user", "content": "hi"}]
        _, first = await server.ask("/v1/responses", {"model": MODEL, "input": told, "instructions": "Be kind."})
        await server.ask("/v1/responses", {"model": MODEL, "input": "again", "previous_response_id": first["id"]})
        system = server.models["qwen"].asked[-1][0]["content"]

    assert "Speak French." in system
    assert "Be kind." not in system


async def test_a_response_that_is_not_stored_cannot_be_gone_on_from():
    """Neither by its id nor by its items': 400 with the words of OpenAI's own service."""
    async with scripted_service() as server:
        _, first = await server.ask("/v1/responses", {"model": MODEL, "input": "hi", "store": False})
        by_id = await server.ask("/v1/responses", {"model": MODEL, "input": "again", "previous_response_id": first["id"]})
        items = [{"type": "item_reference", "id": first["output"][-1]["id"]}, {"role": "user", "content": "again"}]
        by_item = await server.ask("/v1/responses", {"model": MODEL, "input": items})

    assert (400, "previous_response_not_found") == (by_id[0], by_id[1]["error"]["code"])
    assert (400, "input[0]") == (by_item[0], by_item[1]["error"]["param"])


def test_finished_turns_are_kept_within_their_bounds():
    """In number, in size, in minutes; the oldest go first."""
    now = [0.0]
    store = TurnStore(most=3, most_bytes=100, kept_s=60, clock=lambda: now[0])
    for number in range(5):
        store.add(KeptTurn(str(number), ({"role": "assistant", "content": "x" * 10},)))
    assert [None, None, "x" * 10] == [kept and kept.answer for kept in map(store.find, ("0", "1", "2"))]
    store.add(KeptTurn("large", ({"role": "assistant", "content": "x" * 95},)))
    assert (1, None) == (len(store), store.find("4"))
    store.add(KeptTurn("too large", ({"role": "assistant", "content": "x" * 101},)))
    assert 0 == len(store)
    store.add(KeptTurn("old", ()))
    now[0] = 61.0
    assert store.find("old") is None
