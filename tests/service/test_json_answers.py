"""Answers that must be JSON: what has the form comes first, and nothing else is given for it."""

from __future__ import annotations

import json

import pytest

from tests.support.scripted_service import ScriptedServer, scripted_service

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "people": {"type": "integer"}}, "required": ["name", "people"]}
RIGHT = '{"name": "Lyon", "people": 500000}'
CHAT = {"model": "gork-heavy-lite", "messages": [{"role": "user", "content": "Which city?"}], "stream": False}


def cut(text):
    """A reply that a limit of tokens has ended."""

    async def reply(draft):
        draft.add(text)
        return draft.completion("length")

    return reply


async def asked(server: ScriptedServer, **more):
    """The status and the reply of one question."""
    return await server.ask("/api/chat", {**CHAT, "think": False, "format": SCHEMA, **more})


@pytest.mark.parametrize("form", [SCHEMA, "json"])
@pytest.mark.parametrize("wrong", ['{"name": "Paris", "pop', '```json\n{"name": "Paris"}\n```', "Paris."])
async def test_what_has_the_form_wins_whatever_the_judge_likes(wrong, form):
    """The judge likes Paris; two of three answers are not JSON."""
    async with scripted_service(answers={"a": wrong, "b": wrong + " Paris", "c": RIGHT}) as server:
        status, reply = await asked(server, format=form)

    assert (200, RIGHT) == (status, reply["message"]["content"])


async def test_json_of_another_form_does_not_count():
    """Parsing is not enough."""
    async with scripted_service(answers={"a": '{"name": "Paris", "people": "many"}', "b": '["Paris"]', "c": RIGHT}) as server:
        _, reply = await asked(server)

    assert RIGHT == reply["message"]["content"]


@pytest.mark.parametrize("model", ["gork-heavy-lite", "a"])
async def test_a_turn_in_which_nothing_fits_fails_with_the_reason(model):
    """Text that a client would take for JSON is never given silently, by the ensemble or by one member."""
    async with scripted_service(answers={"a": "Paris.", "b": '{"name": 1}'}) as server:
        status, reply = await asked(server, model=model)

    assert 502 == status
    assert "its answer does not count: it is not JSON" in reply["error"]


@pytest.mark.parametrize("model", ["gork-heavy-lite", "a"])
async def test_an_answer_that_the_clients_own_limit_cut_is_given_as_cut(model):
    """As Ollama does; only where nothing whole is there."""
    async with scripted_service(answers={"a": cut('{"name": "Par'), "b": "no"}) as server:
        status, reply = await asked(server, model=model, options={"num_predict": 5})
        unlimited, _ = await asked(server, model=model)

    assert (200, "length", '{"name": "Par') == (status, reply["done_reason"], reply["message"]["content"])
    assert 502 == unlimited


async def test_a_whole_answer_comes_before_one_that_was_cut():
    """Whatever the judge thinks of the part that is there."""
    async with scripted_service(answers={"a": cut('{"name": "Paris'), "b": cut('{"name": "Paris, France'), "c": RIGHT}) as server:
        _, reply = await asked(server, options={"num_predict": 5})

    assert RIGHT == reply["message"]["content"]


async def test_what_of_a_schema_is_not_kept_is_said_in_the_thinking_channel():
    """So that a user knows why an answer is not as the schema says."""
    form = {**SCHEMA, "properties": {**SCHEMA["properties"], "name": {"type": "string", "format": "uri"}}}
    async with scripted_service(answers={"a": RIGHT}) as server:
        _, reply = await asked(server, format=form, think=True)

    assert "format: properties/name: the format 'uri' is not kept" in reply["message"]["thinking"]
    assert json.loads(reply["message"]["content"])
