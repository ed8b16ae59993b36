"""JSON in and out: the field that is wrong in a body, and text that UTF-8 cannot have."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import msgspec
import pytest

from gork.errors import Refused
from gork.service.bodies import field_of
from tests.support.scripted_service import scripted_service

CHAT = {"model": "a", "messages": [{"role": "user", "content": "hi"}]}


class Inner(msgspec.Struct):
    """A record in a list."""

    role: Literal["user"]
    size: Annotated[int, msgspec.Meta(le=3)] = 0


class Outer(msgspec.Struct):
    """A record with every kind of place for a mistake."""

    model: str
    messages: Annotated[list[Inner], msgspec.Meta(min_length=1)] = []
    names: dict[str, int] = {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", None),
        (b"{}", "model"),
        (b'{"model": 1}', "model"),
        (b'{"model": "a", "messages": []}', "messages"),
        (b'{"model": "a", "messages": [{}]}', "messages[0].role"),
        (b'{"model": "a", "messages": [{"role": "user"}, {"role": "alien"}]}', "messages[1].role"),
        (b'{"model": "a", "messages": [{"role": "user", "size": 4}]}', "messages[0].size"),
        (b'{"model": "a", "names": {"b": "c"}}', "names[...]"),
    ],
)
def test_the_field_of_a_mistake_is_read_from_the_decoders_message(body, field):
    """For the library's own messages: this fails when it words them otherwise."""
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.json.decode(body, type=Outer)
    assert field == field_of(refused.value)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", CHAT),
        ("/api/generate", {"model": "a", "prompt": "hi"}),
        ("/v1/chat/completions", CHAT),
        ("/api/deliberate", {"question": "hi"}),
    ],
)
async def test_a_lone_surrogate_in_an_answer_arrives_as_a_replacement_character(path, body, stream):
    """One rule for every reply: valid UTF-8, whatever a model wrote."""
    async with (
        scripted_service(answers={"a": "half \ud800 of it", "b": "x"}) as server,
        server.post(path, {**body, "stream": stream}) as response,
    ):
        assert "half \ufffd of it" in joined(await response.read())


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_lone_surrogate_in_an_error_does_too(path, stream):
    """In the stream and as a reply of its own."""
    async with (
        scripted_service(answers={"a": Refused("half \ud800", member="a", where="a test"), "b": "x"}) as server,
        server.post(path, {**CHAT, "stream": stream}) as response,
    ):
        assert "half \ufffd" in (await response.read()).decode()


def joined(reply: bytes) -> str:
    """All texts of a reply's records, in order."""
    lines = [line.removeprefix("data: ") for line in reply.decode().splitlines()]
    return "".join(texts(json.loads(line)) for line in lines if line.startswith("{"))


def texts(value: object) -> str:
    """All texts within a value that name a part of an answer."""
    if isinstance(value, list):
        return "".join(map(texts, value))
    if not isinstance(value, dict):
        return ""
    return "".join(item if key in {"content", "response", "text"} and isinstance(item, str) else texts(item) for key, item in value.items())
