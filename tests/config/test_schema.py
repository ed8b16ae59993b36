"""How values are read against types: what every file, variable, flag and request goes through."""

from __future__ import annotations

import gc
from typing import Annotated, Literal

import pytest
from msgspec import UNSET, Meta

from gork.config.schema import INLINE, From, Record, Secret, Wrong, parse_value, read, read_value, what
from gork.config.yaml_file import Mistakes, read_document

_Word = Annotated[str, Meta(pattern=r"\A[a-z]+\Z", title="a word")]
_Words = Annotated[list[_Word], Meta(min_length=1, max_length=3, title="words")]


class _Size(Record, frozen=True, kw_only=True):
    width: Annotated[int, Meta(ge=1, le=9)] | None = None
    height: Annotated[int, Meta(ge=1, le=9)] | None = None


class _Box(Record, frozen=True, kw_only=True):
    name: _Word
    words: _Word | _Words | None = None
    size: Annotated[_Size | None, INLINE] = None
    shout: Annotated[str, From(_Word, str.upper)] | None = None


def box(text: str) -> tuple[object, list[str]]:
    """What a file is read as, and the mistakes in it."""
    mistakes = Mistakes("f")
    root = read_document(text, mistakes)
    assert root is not None
    return read(_Box, root, mistakes), mistakes.texts()


def test_a_record_is_read_with_what_is_inside_of_it():
    """Keys of an inline record stand beside the others; a value written another way is made; a list may be given for one."""
    made, mistakes = box("name: a\nwidth: 3\nshout: hey\nwords: [b, c]\n")

    assert (made, mistakes) == (_Box(name="a", size=_Size(width=3), shout="HEY", words=["b", "c"]), [])
    assert box("name: a\nwords: b\n")[0] == _Box(name="a", words="b")
    assert box("name: a\nwidth: null\n")[0] == _Box(name="a")


def test_every_mistake_is_noted_with_its_place():
    """One does not hide another, in whatever depth; what must be there and is not leaves no record."""
    made, mistakes = box("words: [b, 5, C, d]\nwidth: 10\nheigth: 2\nshout: ''\n")

    assert made is UNSET
    assert mistakes == [
        "f:1: words: has 4 words, there must be at most 3",
        "f:1: words[1]: must be a word, not 5 (put it in quotes)",
        'f:1: words[2]: must be a word, not the text "C"',
        'f:1: "name" is missing',
        "f:2: width: must be a whole number from 1 to 9, not 10",
        'f:3: heigth: unknown key, did you mean "height"?',
        "f:4: shout: must be a word, but is empty",
    ]


def test_a_type_of_two_forms_can_be_read_any_number_of_times():
    """A text with a pattern, or a list of them: msgspec's own reading of such a type would end the process."""
    for _ in range(50):
        assert read_value(_Word | _Words, "b") == "b"
        assert read_value(_Word | _Words, ["b"]) == ["b"]
        gc.collect()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (bool, "Yes", True),
        (bool, "off", False),
        (Annotated[int, Meta(ge=0, le=9)] | None, "+7", 7),
        (Annotated[float, Meta(ge=0, le=9)], ".5", 0.5),
        (Literal["a", "b"], "b", "b"),
        (_Word, "true", "true"),
    ],
)
def test_the_text_of_a_variable_is_read_as_its_type_says(kind, text, value):
    """true, yes, on and 1 are true; numbers are spelled as people do; text stays text."""
    assert parse_value(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text", "mistake"),
    [
        (bool, "maybe", 'must be true or false, not the text "maybe"'),
        (Annotated[int, Meta(ge=0, le=9)], "1.0", 'must be a whole number from 0 to 9, not the text "1.0"'),
        (Annotated[int, Meta(ge=0, le=9)], "9" * 30, f'must be a whole number from 0 to 9, not the text "{"9" * 30}"'),
        (Annotated[float, Meta(ge=0, le=9)], "nan", 'must be a number from 0 to 9, not the text "nan"'),
        (Literal["left", "right"], "rihgt", 'must be one of left, right, not the text "rihgt", did you mean "right"?'),
        (str, "a\0", "must be text without NUL characters and lone surrogates"),
        (str, "\ud800", "must be text without NUL characters and lone surrogates"),
        (_Words, "a", 'must be a list of words, not the text "a"'),
    ],
)
def test_a_text_that_is_not_of_its_type_is_refused_with_what_it_must_be(kind, text, mistake):
    """In one printable line."""
    with pytest.raises(Wrong) as caught:
        parse_value(kind, text)

    assert str(caught.value) == mistake


def test_plain_data_is_refused_with_the_place_inside_of_it():
    """As requests bring it: the index or key is in the message."""
    with pytest.raises(Wrong, match=r"^\[1\]: must be a word, not nothing"):
        read_value(_Words, ["a", None])
    with pytest.raises(Wrong, match=r"^must be a list of words, not a mapping$"):
        read_value(Annotated[_Words, Meta(title="words")], {"a": 1})


def test_words_for_a_type_come_from_its_title_or_its_bounds():
    """So that help, documentation and mistakes say the same."""
    assert what(_Word) == "a word"
    assert what(Annotated[str, From(_Word, str.upper)] | None) == "a word"
    assert what(Annotated[int, Meta(ge=1, le=2)]) == "a whole number from 1 to 2"
    assert what(bool | None) == "true or false"


def test_a_secret_shows_nothing_of_itself():
    """Neither as text nor in a record."""
    assert "hush" not in f"{Secret('hush')} {[Secret('hush')]!r}"
    assert Secret("hush").reveal() == "hush"
