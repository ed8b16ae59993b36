"""The promptimizer's prompt, and the guards between a small model's rewrite and the user's intent."""

import json
import re
import time

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gork.config.ensemble import Member
from gork.rewriting.prompt import (
    DEFAULT_SYSTEM,
    LONGEST,
    clean,
    is_clear,
    leans_on_history,
    refuse,
    rewrite_messages,
    worth_rewriting,
)
from gork.turn import Question
from tests.rewriting.promptimizer_cases import FOLLOW_UPS, PASS, REFUSE

WORDS = st.lists(
    st.sampled_from(["please", "show", "the", "color", "of", "apple", "tree", "near", "river", "bridge", "when", "moon", "rises"]),
    min_size=1,
    max_size=6,
).map(" ".join)


def history(*questions):
    """These questions, each answered with a shrug."""
    roles = [("user", question, "assistant", "It depends.") for question in questions]
    return tuple({"role": role, "content": text} for a, b, c, d in roles for role, text in ((a, b), (c, d)))


@pytest.mark.parametrize(("original", "rewrite"), PASS)
def test_a_rewrite_that_says_the_same_passes(original, rewrite):
    """Spelling, grammar and politeness may change."""
    assert refuse(original, rewrite) is None


@pytest.mark.parametrize(("original", "rewrite", "reason"), REFUSE)
def test_a_rewrite_that_says_something_else_is_refused(original, rewrite, reason):
    """The reason says what is wrong, in one short printable line."""
    said = refuse(original, rewrite)

    assert said is not None
    assert reason in said
    assert said.isprintable()
    assert len(said) < 100


@pytest.mark.parametrize(("earlier", "original", "rewrite", "reason"), FOLLOW_UPS)
def test_a_follow_up_may_take_its_words_from_the_history(earlier, original, rewrite, reason):
    """Only a prompt that leans on the history may be completed from it, and only with what is there."""
    said = refuse(original, rewrite, history(earlier))

    assert (said is None) if reason is None else (said is not None and reason in said)


def test_the_history_is_not_taken_for_granted():
    """Without the history the same completion is an addition."""
    assert refuse("and in python?", "How do I reverse a string in Python?") is not None


def test_what_was_said_long_ago_is_no_source():
    """Words from turns that the promptimizer does not see may not be put in."""
    said = refuse("how do i install it", "How do I install Docker?", history("what is docker", "why sky blue", "how to boil an egg"))

    assert said == 'added "Docker"'


@pytest.mark.parametrize("prompt", [original for original, *_ in (*PASS, *REFUSE)])
def test_every_ordinary_prompt_may_stay_as_it_is(prompt):
    """A model that changes nothing, or only the ends, is never accused of a loss."""
    assert refuse(prompt, prompt) is None
    assert refuse(prompt, f"  {prompt}\n") is None


@pytest.mark.parametrize("prompt", [original for original, *_ in PASS])
def test_every_prompt_survives_its_own_guards(prompt):
    """Past the shortcut for equal texts too, no guard finds fault with a prompt's own words."""
    assert refuse(prompt, f"{prompt} .") is None


# --- properties ---------------------------------------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(13, 10**7).map(str),
    st.decimals(13, 9999, places=2).map(str),
    st.integers(1, 99).map("-{}".format),
    st.integers(1, 99).map("{}%".format),
    st.tuples(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30)).map(lambda v: "{}.{}.{}".format(*v)),
    st.dates().map(str),
    st.integers(13, 500).map("{}gb".format),
    st.integers(1000, 10**9).map("{:,}".format),
    st.integers(13, 999).map("${}".format),
)
URLS = st.builds(
    "{}://{}.{}/{}".format, st.sampled_from(["http", "https", "ftp"]), *[st.from_regex(r"[a-z][a-z0-9]{2,8}", fullmatch=True)] * 3
)
INSIDE = st.text(
    st.characters(codec="utf-8", exclude_characters="\"'“”„«»‹›「」『』‘’`", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=20
)
QUOTED = st.builds("{0[0]}{1}{0[1]}".format, st.sampled_from(['""', "“”", "«»", "„“", "「」", "``"]), INSIDE.filter(str.strip))
BLOCKS = st.text(st.characters(codec="utf-8", exclude_characters="`", categories=["L", "N", "P", "S"]), min_size=1, max_size=40).map(
    "```\n{}\n```".format
)
PIECES = st.one_of(NUMBERS, URLS, QUOTED, BLOCKS)


def altered(piece, draw):
    """The piece with one character taken out, doubled or exchanged for another of its kind."""
    spots = [i for i, char in enumerate(piece) if char.isalnum()]
    at = draw(st.sampled_from(spots)) if spots else 1
    other = draw(
        st.sampled_from(
            [char for char in "1234567890abcdefghijkxyz" if char.isdigit() == piece[at].isdigit() and char != piece[at].casefold()]
        )
    )
    return draw(st.sampled_from([piece[:at] + piece[at + 1 :], piece[:at] + piece[at] + piece[at:], piece[:at] + other + piece[at + 1 :]]))


@settings(deadline=None)
@given(WORDS, PIECES, WORDS)
def test_a_lost_piece_is_refused(before, piece, after):
    """A number, URL, quotation or code block that is missing from the rewrite refuses it, whatever else survives."""
    assert refuse(f"{before} {piece} {after}", f"{before} {after}") is not None


@settings(deadline=None)
@given(st.data(), WORDS, PIECES, WORDS)
def test_an_altered_piece_is_refused(data, before, piece, after):
    """One character more, less or other in a piece refuses the rewrite."""
    other = altered(piece, data.draw)
    assume(other != piece)

    assert refuse(f"{before} {piece} {after}", f"{before} {other} {after}") is not None


@settings(deadline=None)
@given(WORDS, PIECES, WORDS, st.one_of(st.text(max_size=80), WORDS))
def test_no_text_without_the_piece_gets_through(before, piece, after, rewrite):
    """Whatever a model writes instead, without the piece it is refused."""
    bare = re.sub(r"\D", "", piece)
    assume(piece[1:-1].strip() not in rewrite and (not bare or bare not in re.sub(r"\D", "", rewrite)))

    assert refuse(f"{before} {piece} {after}", rewrite) is not None


@settings(deadline=None)
@given(WORDS, PIECES, WORDS)
def test_an_added_piece_is_refused(before, piece, after):
    """A number, URL or code that neither the original nor the history has is an answer smuggled in."""
    assume(piece[0] not in '"“«„「')  # quotation marks around words of the original are harmless

    assert refuse(f"{before} {after}", f"{before} {piece} {after}") is not None


@settings(deadline=None)
@given(WORDS, PIECES, WORDS)
def test_a_kept_piece_is_not_missed(before, piece, after):
    """The guards don't cry wolf: with every piece in place a question mark more is fine."""
    assert refuse(f"{before} {piece} {after}", f"{before}  {piece}  {after} ?") is None


@settings(deadline=None)
@given(st.text(st.characters(), max_size=200), st.text(st.characters(), max_size=200))
@example("\ud800", "a\ud800")
@example("a\x00b", "A\x00b?")
@example("e\u0301" * 50, "é" * 50)
@example("\ue0000\ue000", "\ue000a")
@example("²", "2")
def test_any_two_texts_can_be_compared(original, rewrite):
    """Lone surrogates, NUL, combining marks, right-to-left and emoji never raise, and reasons are printable."""
    said = refuse(original, rewrite, ({"role": "user", "content": rewrite},))

    assert said is None or said.isprintable()
    assert worth_rewriting(original) is None or not refuse(original, original) or not any(map(str.isalnum, original))


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a ",
        '"',
        "'a ",
        "“a",
        "`a\n",
        "```",
        "1,",
        "!?",
        "e\u0301",
        "\u0301",
        "中",
        "x'",
        "\u202e",
        "(",
        "- ",
        "<|",
        "prompt: ",
        "{\n",
        "9" * 7,
    ],
)
def test_a_megabyte_is_judged_within_a_second(unit):
    """No text, long or nested, makes a guard slow."""
    long = unit * (1_000_000 // len(unit))
    within = unit * (LONGEST // len(unit))
    started = time.thread_time()

    refuse(long, long + "x")
    refuse("a b", long)
    refuse(within, f"{within}x", ({"role": "user", "content": long},))
    worth_rewriting(long)
    worth_rewriting(within)
    clean(long)

    assert time.thread_time() - started < 1


# --- cleaning -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "original", "text"),
    [
        (" What is DNS?\n", "", "What is DNS?"),
        ("Rewritten prompt: What is DNS?", "", "What is DNS?"),
        ("Sure, here is the improved prompt:\n\nWhat is DNS?", "", "What is DNS?"),
        ('Prompt: "What is DNS?"', "", "What is DNS?"),
        ("“What is DNS?”", "", "What is DNS?"),
        ('"Prompt: What is DNS?"', "", "What is DNS?"),
        ('"to be"', '"to be"', '"to be"'),
        ("Prompt: a joke", "prompt: joke", "Prompt: a joke"),
        ('"a" or "b"', "", '"a" or "b"'),
        ('""a""', "", '""a""'),
        ("Prompt:", "", "Prompt:"),
        ("What does 'prompt:' mean?", "", "What does 'prompt:' mean?"),
        ("a\n\n  b", "", "a\n\n  b"),
        ("", "", ""),
        ('"', "", '"'),
    ],
)
def test_only_the_wrapping_is_cleaned_away(reply, original, text):
    """Blanks, lead-ins and one pair of quotation marks go, the inside stays byte for byte."""
    assert clean(reply, original) == text


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([*"\"'“”‘’«»`", "Prompt: ", "Here is the rewrite:", "Sure, ", " ", "\n", "a", "b c"]), max_size=12).map(
        "".join
    ),
    st.text(max_size=5),
)
def test_cleaning_twice_is_cleaning_once(reply, original):
    """What is clean stays as it is, and it is a part of the reply."""
    once = clean(reply, original)

    assert clean(once, original) == once
    assert once in reply


# --- whether to ask -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt",
    [
        *(original for original, _ in PASS if "```" not in original),
        "fix my code its slow",
        "a" * LONGEST,
        "what is `a[0]` in c",
        "E = mc^2?",
    ],
)
def test_prompts_are_asked_about(prompt):
    """Language, with a little code in it or none, goes to the promptimizer."""
    assert worth_rewriting(prompt) is None


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("", "no words"),
        (" \n\t", "no words"),
        ("?!", "no words"),
        ("a" * (LONGEST + 1), "longer"),
        ("why?\n```\nfor i in range(10):\n    print(i)\n```", "mostly code"),
        ("def f(x):\n    return x + 1\n\nprint(f(2))", "mostly code"),
        ("for(;;){ x += f(x); }", "mostly code"),
        ("#include <stdio.h>\nint main() {\n  puts(1);\n}", "mostly code"),
        ('Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    x = 1\nNameError: x', "mostly code"),
        ("SELECT a, b FROM t WHERE (a > 1);\nUPDATE t SET a = 2;", "mostly code"),
        (json.dumps({"a": [1, 2], "b": {"c": []}}), "mostly code"),
    ],
)
def test_some_prompts_are_left_alone(prompt, reason):
    """Code, emptiness and texts beyond a small model's reach are not rewritten."""
    assert reason in worth_rewriting(prompt)


# --- what the model reads -----------------------------------------------------------------------------------------------------------


def test_the_prompt_comes_last_and_bare():
    """Instructions, worked examples as earlier turns, then the prompt in the user's own words."""
    member = Member(name="p", system="Rewrite.", examples=(("a pls", "A?"), ("b pls", "B?")))

    messages = rewrite_messages(Question(text=" c\npls "), member)

    assert [(message["role"], message["content"]) for message in messages] == [
        ("system", "Rewrite."),
        ("user", "a pls"),
        ("assistant", "A?"),
        ("user", "b pls"),
        ("assistant", "B?"),
        ("user", " c\npls "),
    ]


def test_a_member_without_instructions_gets_the_default():
    """Any model can be named as the promptimizer."""
    assert rewrite_messages(Question(text="c"), Member(name="p"))[0] == {"role": "system", "content": DEFAULT_SYSTEM}


def test_a_prompt_that_leans_on_the_history_is_shown_with_it():
    """The last two questions, oldest first, each cut, and nothing older."""
    question = Question(text="and in Python?", history=history("first", "x" * 1000, "how do i sort in js"))

    assert (
        rewrite_messages(question, Member(name="p"))[-1]["content"]
        == f"Earlier prompt: {'x' * 300}\nEarlier prompt: how do i sort in js\nPrompt: and in Python?"
    )


def test_a_prompt_that_stands_alone_is_shown_alone():
    """A small model would mix the egg into the weather."""
    question = Question(text="what is the weather like in london", history=history("how do i boil an egg"))

    assert rewrite_messages(question, Member(name="p"))[-1]["content"] == question.text


@pytest.mark.parametrize(
    ("prompt", "leans"),
    [
        ("and in Python?", True),
        ("why?", True),
        ("how do i install it", True),
        ("when was he born", True),
        ("5 more pls", True),
        ("in german", True),
        ("und in berlin?", True),
        ("что это", True),
        ("how do i exit vim", False),
        ("what is kubernetes", False),
        ("capital of france pls", False),
        ("what is the weather like in london", False),
        ("was ist die hauptstadt von frankreich", False),
    ],
)
def test_prompts_that_lean_on_the_history_are_told_apart(prompt, leans):
    """Pronouns, a first word that goes on, and almost nothing said are the signs."""
    assert leans_on_history(prompt) is leans


@pytest.mark.parametrize(
    ("text", "clear"),
    [
        ("What is a volcano?", True),
        ("Explain it to a child. Use short sentences.", True),
        ("¿Cuál es la capital de Francia?", True),
        ('Translate "good morning" to Spanish.\n', True),
        ("what is a volcano", True),
        ("whats a volcano", True),
        ("hey pls can u tell me what a volcano is??", True),
        ("hallo, warum ist der himmel blau", True),
        ("translate good morning to spanish", True),
        ("is python older than java", True),
        ("什么是火山？", True),
        ("pls explain recycling", True),
        ("why", False),
        ("capital of france pls", False),
        ("please", False),
        ("volcano meaning", False),
        ("5 tips to sleep better.", False),
        ("?!", False),
        ("", False),
    ],
)
def test_a_prompt_that_says_what_it_wants_is_clear(text, clear):
    """It stands in sentences, or begins as a question or a request does; keywords do not."""
    assert is_clear(Question(text=text)) is clear
