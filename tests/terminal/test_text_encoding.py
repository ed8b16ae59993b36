"""What shells and files hand in is read as the text that it is, on any system."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gork.errors import UsageError
from gork.terminal.text_encoding import ToUtf8, decoded

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", ["What is this?", "What is this?\r\n", "Où est-ce ?\nIci.", "x", "one\rtwo\r\n\r"])
def test_a_text_is_read_in_each_of_its_encodings(text, encoding):
    """Marks are taken off, lines end with newlines."""
    assert text.replace("\r\n", "\n").replace("\r", "\n") == decoded(text.encode(encoding), what="it")


@given(st.text(st.sampled_from("ab \r\n"), min_size=1), st.sampled_from(ENCODINGS), st.lists(st.integers(1, 9)))
def test_a_stream_may_be_cut_anywhere(text, encoding, cuts):
    """However its bytes arrive (a BOM or the two characters at a line's end may come in two pieces), the text is the same."""
    if encoding in {"utf-16-le", "utf-16-be"}:
        text = "x" + text
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

    assert text.replace("\r\n", "\n").replace("\r", "\n").encode() == made


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("un café ?".encode("latin-1"), "it is not UTF-8 text (byte 7): convert it to UTF-8"),
        ("что это?".encode("cp1251"), "convert it to UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is it a binary file?"),
        (bytes(range(256)), "is it a binary file?"),
        ("hello".encode("utf-16") + b"x", "it is not UTF-16 text"),
    ],
)
def test_what_is_no_text_is_told_from_text_in_another_encoding(data, says):
    """The one is to be converted, the other is not meant for models."""
    with pytest.raises(UsageError, match=re.escape(says)):
        decoded(data, what="it")


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_chat_from_a_pipe_is_read_in_each_of_them(program, server, encoding):
    """`exit` behind a byte-order mark is still exit, and the last line needs no newline."""
    code, out, _ = await program.run("-i", "--no-optimize", stdin="capital of france pls\r\nexit\r\nnever asked".encode(encoding))

    assert (0, b"Response: It is Paris.\n") == (code, out)
    assert {"capital of france pls"} == {body["messages"][-1]["content"] for body in server.chats}


async def test_a_chat_from_a_pipe_may_end_its_lines_with_carriage_returns(program, server):
    """As old programs of a Mac write them: each line is a question, and `exit` is still exit."""
    code, out, _ = await program.run("-i", "--no-optimize", stdin=b"capital of france pls\rexit\rnever asked\r")

    assert (0, b"Response: It is Paris.\n") == (code, out)
    assert {"capital of france pls"} == {body["messages"][-1]["content"] for body in server.chats}


async def test_half_a_letter_at_the_end_of_a_pipe_is_not_asked(program, server):
    """A UTF-16 stream that was cut: its questions are answered, and the rest is told of."""
    _, out, err = await program.run("-i", "--no-optimize", stdin="capital of france pls\n".encode("utf-16") + b"x")

    assert b"Response: It is Paris.\n" == out
    assert "not valid Unicode" in err
    assert {"capital of france pls"} == {body["messages"][-1]["content"] for body in server.chats}


async def test_a_form_feed_is_part_of_a_text(program, server):
    """Sources and plain documents have them between pages."""
    code, _, _ = await program.run("--no-optimize", stdin=b"page one\n\x0cpage two")

    assert (0, "page one\n\x0cpage two") == (code, server.chats[0]["messages"][-1]["content"])


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
