"""What shells and files hand in is read as the text that it is, on any system."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gork.terminal.text_encoding import ToUtf8, decoded

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", ["What is this?", "What is this?\r\n", "Où est-ce ?\nIci.", "x"])
def test_a_text_is_read_in_each_of_its_encodings(text, encoding):
    """Marks are taken off, lines end with newlines."""
    assert text.replace("\r\n", "\n") == decoded(text.encode(encoding), what="it")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1), st.sampled_from(ENCODINGS), st.lists(st.integers(1, 9)))
def test_a_stream_may_be_cut_anywhere(text, encoding, cuts):
    """However its bytes arrive (a BOM may come in two pieces), the text is the same."""
    data, utf8, made = text.encode(encoding), ToUtf8(), b""
    if encoding in {"utf-16-le", "utf-16-be"}:
        cuts = []  # without a mark the first piece must show what it is
    for size in cuts:
        piece, data = data[:size], data[size:]
        if piece:
            made += utf8.take(piece, ended=False)
    if data:
        made += utf8.take(data, ended=False)
    made += utf8.take(b"", ended=True)

    assert text.encode() == made


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_chat_from_a_pipe_is_read_in_each_of_them(program, server, encoding):
    """`exit` behind a byte-order mark is still exit, and the last line needs no newline."""
    code, out, _ = await program.run("-i", "--no-optimize", stdin="capital of france pls\r\nexit\r\nnever asked".encode(encoding))

    assert (0, b"Response: It is Paris.\n") == (code, out)
    assert {"capital of france pls"} == {body["messages"][-1]["content"] for body in server.chats}


async def test_a_mark_before_exit_is_no_question(program, server):
    """At the beginning of the input, and at the beginning of a later line (`cat a b | gork -i`)."""
    for stdin in ("\ufeffexit\n", "\n\ufeffexit\nmore\n"):
        assert (0, b"") == (await program.run("-i", stdin=stdin.encode()))[:2]
    assert [] == server.chats


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_piped_question_is_read_in_each_of_them(program, server, encoding):
    """As PowerShell and cmd write it."""
    await program.run("--no-optimize", stdin="Wo ist das?\r\nUnd das?\r\n".encode(encoding))

    assert "Wo ist das?\nUnd das?" == server.chats[0]["messages"][-1]["content"]
