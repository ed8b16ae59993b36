"""Answers on a terminal and in a pipe: formatted, harmless, whole; byte for byte."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import final_script
from gork.conversation.thread import Exchange
from gork.errors import EngineError
from gork.terminal import cli, screen, views
from gork.terminal.markdown import formatted
from gork.terminal.output import is_degraded, shortfall, summary
from gork.terminal.safe_text import columns_of, head, one_line, shown, tail, tell
from gork.turn import Answer, Failure, Fallback, Question, Turn, Verdict
from tests.support.escape_sequences import ROWS, sequences
from tests.support.fake_ollama import Reply
from tests.support.heavy_lite import MODELS
from tests.support.terminals import Terminal

PIECES = [
    *[
        "# ",
        "- ",
        "* ",
        "1. ",
        "> ",
        "```python\n",
        "```\n",
        "\n",
        "\n\n",
        "    ",
        "\t",
        "| a | b |\n|--|--|\n",
        "|",
        "**",
        "_",
        "`",
        "---",
    ],
    *["[", "](", ")", "http://e.org/%1b[31m", "<http://e.org/%9b1m>", "![", "<div>", "<!--", "&#27;", "&#x202e;", "&#155;", "&lt;", "\\"],
    *[
        "\x1b[31m",
        "\x1b]0;title\x07",
        "\x1b]8;;http://e.org\x1b\\",
        "\x9b2J",
        "\x9d0;t\x9c",
        "\x1bc",
        "\x1b[?1049h",
        "\x1bP+q\x1b\\",
        "\x1b",
    ],
    *["\r", "\x85", "\u2028", "\u202e", "\u2066", "\u200b", "\ud800", "\x7f", "日本", "👨‍👩‍👧", "é", "[bold]", ":smile:"],
]
ANSWERS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6), st.characters()), max_size=40).map("".join)
MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
RULE = "─" * 40
PYTHON_RULE = "── python " + RULE[10:]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def harmful(text: str) -> list[str]:
    """The characters that could drive a terminal or deceive its reader."""
    found = [char for char in text if (char < " " and char not in "\n\t") or "\x7f" <= char <= "\x9f"]
    return (
        found
        + [char for char in text if char in "\u061c\u200b\u200e\u200f\u2028\u2029\ufeff" or "\u202a" <= char <= "\u202e"]
        + [char for char in text if "\u2066" <= char <= "\u2069" or "\ud800" <= char <= "\udfff"]
    )


@MANY
@given(ANSWERS, st.integers(1, 120), st.sampled_from(["", "Response: "]))
@example("&#x1b;[31m<http://e.org/%1b]0;t%07>", 80, "")
@example("\x1b\x1b[31m[31m", 80, "")
def test_nothing_but_colours_leaves_the_layout_of_any_text(text, width, prefix):
    """Fed through a parser of escape sequences, only SGR is found; without colour not even that."""
    coloured = formatted(text, prefix=prefix, width=width, colour=True)
    plain = formatted(text, prefix=prefix, width=width, colour=False)

    assert (coloured is None) == (plain is None)
    if coloured is not None and plain is not None:
        assert [] == harmful(COLOUR.sub("", coloured))
        assert [] == harmful(plain)
        assert plain == COLOUR.sub("", coloured)


@MANY
@given(st.one_of(ANSWERS, st.text()))
def test_nothing_that_drives_a_terminal_stays_in_any_text(text):
    """The same for text that is shown as it was written, and for what stands in one row."""
    assert [] == harmful(shown(text))
    assert [] == harmful(one_line(text))
    assert not set("\n\t\r") & set(one_line(text))


@MANY
@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"], exclude_characters="\u034f\U000e0100"), max_size=200))
def test_ordinary_text_of_any_script_is_shown_as_it_is(text):
    """Cleaning takes away what it says and nothing else."""
    kept = "".join(char for char in text if not 0xE0000 <= ord(char) <= 0xE0FFF)

    assert kept == shown(text)
    assert "a\u200d\u200c\tb\n" == shown("a\u200d\u200c\tb\r\n")


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["# ", "- ", "3. ", "> ", "\n", "\n\n", "    ", "**", "`", "<div>", "</b>", "<!-- x -->", "[a]: /u\n", "|", "| a | b |"]
        ),
        st.sampled_from(["|--|--|\n", "\n```\n", "word ", "Zebra", "don't ", "日本", "x_y_z ", "[b](http://e.org/c) ", "![d](e) "]),
        st.sampled_from(['[b](c "Title") ', "![d](e 'Title') ", "<http://e.org/g>", "[é](http://ü.de/ö%41) ", "\\", "$$", "\\(", "\\)"]),
        st.sampled_from(["```", "~~~", "``` rst x\n", "```python\n", "1) ", "+ ", "* ", "\n===\n", "~~", "  \n", "\t", "007. "]),
    ),
    max_size=50,
).map("".join)


@MANY
@given(WORDS, st.integers(20, 120))
@example("| a | b |\n|--|--|\n| 1 | 2 | three |\n", 80)
@example("".join("| column " for _ in range(15)) + "|\n" + "|--" * 15 + "|\n" + "".join(f"| cell {n} " for n in range(15)) + "|\n", 40)
@example("| name | value | text |\n|--|--|--|\n| alpha | 1 | the first one of them all |\n", 20)
@example("| a | b |\n|--|--|\n| 1 | https://example.com/" + "x/" * 50 + " |\n", 80)
@example("| a | b |\n|--|--|\n| " + "word " * 20 + "| " + "x" * 60 + " |\n", 80)
@example("[a]: /u", 80)
@example("```3. \nx\n```", 80)
@example('[b](http://ü.de/ö "Title") ![d](e "Title")', 80)
@example("> " * 12 + "deep", 40)
@example("> " * 25 + "deep", 120)
def test_the_layout_loses_no_letter(text, width):
    """HTML, definitions, cells too many, narrow columns, deep lists: every letter and digit of the answer comes out, in its order."""

    def letters(of: str) -> list[str]:
        return [char for char in of if char.isalnum()]

    made = formatted(text, prefix="", width=width, colour=False)

    if made is not None and "|--|" not in text:  # in tables cells stand side by side
        assert letters(text) == letters(made)
    elif made is not None:
        assert sorted(letters(text)) == sorted(letters(made))


def test_an_address_for_which_a_table_has_no_room_stays_whole():
    """The table is then shown as it was written, so that the address can be copied."""
    address = "https://example.com/" + "path/" * 15
    made = formatted(f"| a | b |\n|--|--|\n| 1 | {address} |\n", prefix="", width=80, colour=False)

    assert f"| 1 | {address} |" in (made or "").splitlines()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("It is **Paris**.", ["Response: It is Paris."]),
        ("one\ntwo", ["Response: one", "two"]),
        ("- one\n- two", ["Response:", "", " • one", " • two"]),
        ("Use <b>.", ["Response: Use <b>."]),
        ("[x](http://e.org/a) <http://e.org/b>", ["Response: x (http://e.org/a) http://e.org/b"]),
        ("![x](http://e.org/a.png)", ["Response: x (http://e.org/a.png)"]),
        ("```python\nif x:\n    y()\n```", ["Response:", "", PYTHON_RULE, "if x:", "    y()", RULE]),
        ("3.", ["Response:", "", " 3."]),
        ("So \\(x = \\frac{1}{2}\\,\\) and *so* \\(y", ["Response: So \\(x = \\frac{1}{2}\\,\\) and so (y"]),
        ("\\[\n40 - 6 = 34 \\text{ euros}\n\\]", ["Response: \\[", "40 - 6 = 34 \\text{ euros}", "\\]"]),
        ("It costs $5 or $$a_1 * b_2$$.", ["Response: It costs $5 or $$a_1 * b_2$$."]),
        ("2. two\n7. seven\n\n1) one\n100) many", ["Response:", "", " 2. two", " 7. seven", "", "   1) one", " 100) many"]),
        ("# Title\ntext", ["Response:", "", "Title", "", "text"]),
    ],
)
def test_markdown_is_laid_out(text, lines):
    """Emphasis, lists, code, headings; links and pictures with their addresses; no blanks at the ends of lines."""
    assert "\n".join(lines) + "\n" == formatted(text, prefix="Response: ", width=60, colour=False)


@pytest.mark.parametrize("around", ["{}", "1. First:\n\n{}\n", "- a\n  - b\n\n{}"])
def test_code_can_be_copied_from_the_screen(around):
    """Between two rules, at the left edge, each line whole however narrow the window is; in a list too."""
    code = ["def f(x):", "", "    return " + "'long words '" * 9]
    indented = "\n".join(f"{'   ' if around[0] == '1' else ''}{line}" for line in ["```python", *code, "```"])
    made = formatted(around.format(indented), prefix="", width=50, colour=False).splitlines()

    first = made.index(PYTHON_RULE)
    assert [PYTHON_RULE, *code, RULE] == made[first : first + 5]


def test_code_has_its_colours():
    """A block that names its language is highlighted; a language that nobody knows is shown all the same."""
    made = formatted("```python\nreturn 'x'\n```\n```klingon\nqapla\n```", prefix="", width=60, colour=True)

    assert 2 < len(COLOUR.findall(made))
    assert "qapla" in made


def test_lines_are_broken_at_the_width():
    """At 40 columns no line is longer, and words stay whole."""
    made = formatted("The quick brown fox jumps over the lazy dog. " * 5, prefix="Response: ", width=40, colour=False)

    assert max(map(len, made.splitlines())) <= 40
    assert ["The", "quick", "brown", "fox"] == made.split()[1:5]


@MANY
@given(st.text(max_size=300), st.integers(0, 50))
def test_what_is_cut_to_a_width_never_exceeds_it(text, columns):
    """Head and tail of any text; each at its widest on any terminal."""
    for cut in (head(text, columns), tail(text, columns)):
        assert sum(map(columns_of, cut)) <= columns
        assert [] == harmful(cut)


def test_telling_a_stream_that_is_gone_is_no_error(capsys):
    """Standard error may be closed (2>&-): then nothing is printed, on stdout neither."""
    tell(None, "hello")

    assert ("", "") == capsys.readouterr()


class Stream:
    """As much of a stream as is looked at."""

    closed = False

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "environ", "moves", "colour", "is_formatted"),
    [
        (True, {"TERM": "xterm"}, True, True, True),
        (True, {"TERM": "xterm-256color", "NO_COLOR": "1"}, True, False, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True, True, True),
        (True, {"TERM": "dumb"}, False, False, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, False, True, True),
        (True, {"TERM": ""}, False, False, False),
        (True, {}, False, False, False),
        (False, {"TERM": "xterm"}, False, False, False),
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, False, True, False),
        (False, {"TERM": "xterm", "FORCE_COLOR": "0"}, False, False, False),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False, False),
    ],
)
def test_what_a_stream_can_show_follows_from_itself_and_the_environment(terminal, environ, moves, colour, is_formatted):
    """NO_COLOR takes colours, not rows; FORCE_COLOR brings colours, not rows; without TERM nothing is assumed."""
    able = screen.abilities(Stream(terminal=terminal), environ)

    assert (moves, colour, is_formatted) == (able.moves, able.colour, able.formatted)


def turn_of(*answers: Answer, failures: tuple[Failure, ...] = (), **verdict: object) -> Turn:
    """A finished turn."""
    made = Verdict(**{"winner": "a", "policy": "agreement", "favourite": "b", "margin": 0.5, "scores": {"a": 1.0, "b": 0.5}, **verdict})
    return Turn(
        id="0",
        question=Question(text="x"),
        winner=answers[0],
        answers=answers,
        failures=failures,
        verdict=made,
        timings={"rewrite": 0.0, "answer": 3.21, "judge": 0.4, "total": 3.61},
        engine="test",
        ensemble="test",
        seed=1,
    )


A, B = (Answer(member=name, model=name, text="x") for name in "ab")
LATE = Answer(member="b", model="b", text="x", complete=False, stop="deadline")
DEAD = Failure(member="c", kind="died", message="c at http://c: its process\x1b[2J ended\nbadly")


@pytest.mark.parametrize(
    ("turn", "above", "below"),
    [
        (turn_of(A, B), None, "chosen: a (two agree against b); answer 3.2 s, judge 0.4 s, total 3.6 s"),
        (turn_of(A, B, close=True), None, "chosen: a (two agree against b, a close call); answer 3.2 s, judge 0.4 s, total 3.6 s"),
        (
            turn_of(A, B, failures=(DEAD,)),
            "2 of 3 models answered; failed: c at http://c: its process ended badly",
            "chosen: a (two agree against b); answer 3.2 s, judge 0.4 s, total 3.6 s",
        ),
        (
            turn_of(A, LATE, fallback=Fallback("refused", "tired")),
            "b was cut short by its deadline",
            "chosen: a, the favourite, without the judge (tired); answer 3.2 s, judge 0.4 s, total 3.6 s",
        ),
        (turn_of(A, note="one usable answer"), None, "chosen: a (one usable answer); answer 3.2 s, judge 0.4 s, total 3.6 s"),
    ],
)
def test_a_turn_is_told_in_one_line_above_and_one_below(turn, above, below):
    """What is missing in it; who won, how clearly, how long it took."""
    assert (above, below) == (shortfall(turn), summary(turn))


@pytest.mark.parametrize(
    "turn",
    [
        dataclasses.replace(turn_of(A), not_needed=("b", "c")),
        turn_of(A, dataclasses.replace(LATE, stop="stopped")),
        turn_of(A, B, fallback=Fallback("answer_now", "you wanted it now")),
    ],
)
def test_what_the_user_wanted_so_or_what_was_decided_early_is_no_shortfall(turn):
    """Nothing is missing, and --strict has nothing to complain about."""
    assert (None, False) == (shortfall(turn), is_degraded(turn))


def test_who_was_not_needed_counts_among_those_who_were_asked():
    """Where somebody else failed."""
    turn = dataclasses.replace(turn_of(A, failures=(DEAD,)), not_needed=("b",))

    assert shortfall(turn).startswith("1 of 3 models answered; failed: c at")


def test_a_saved_conversation_says_which_answers_are_cut():
    """The chosen one in a line of its own, another beside its name."""
    turn = turn_of(Answer(member="a", model="a", text="x", tokens=512, complete=False, stop="length"), LATE)

    document = views.as_markdown([Exchange("q", turn.answer)], [turn])

    assert "*this answer is cut off: it reached its length limit (512 tokens)*" in document
    assert "<summary>b (b, cut)</summary>" in document


# --- the program on a terminal

MARKDOWN = "# Paris\n\nIt is **Paris**, see [here](http://e.org/a).\n\n```python\nprint('x')\n```"
EVIL = (
    "It is Paris.\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b1A \u202eback &#27;[5m \x1b]8;;http://evil.org\x1b\\link\x1b]8;;\x1b\\ \x7f\r done"
)


def everyone_says(server, text: str) -> None:
    """All candidates give this answer."""
    for model in MODELS[1:4]:
        server.say(model, text)


@pytest.mark.parametrize("columns", [80, 40])
async def test_an_answer_is_formatted_on_a_terminal(start, server, columns):
    """Markdown is laid out for the window, and the order is: what is asked, the answer, who won."""
    everyone_says(server, MARKDOWN)
    async with Terminal(columns, 24) as terminal:
        start(terminal, "capital of france pls")
        assert 0 == await terminal.exit_code()

        for line in ("Paris", "It is Paris, see here (http://e.org/a).", "print('x')"):
            assert line in terminal.lines
        assert terminal.text.index("asked as:") < terminal.text.index("It is Paris") < terminal.text.index("chosen: qwen")
        assert all(ROWS.fullmatch(sequence) for sequence in sequences(terminal.raw))


async def test_an_answer_stays_as_it_was_written_where_that_is_asked_for(start, server):
    """--no-markdown, and a terminal that can neither draw nor colour."""
    everyone_says(server, MARKDOWN)
    for arguments, term in ((["--no-markdown"], "xterm"), ([], "dumb"), ([], None)):
        async with Terminal(80, 24) as terminal:
            start(terminal, *arguments, "capital of france pls", term=term)
            await terminal.exit_code()

            assert "It is **Paris**, see [here](http://e.org/a)." in terminal.lines


@pytest.mark.parametrize(
    ("term", "env"), [("xterm", {}), ("xterm", {"NO_COLOR": "1"}), ("dumb", {}), (None, {}), ("dumb", {"FORCE_COLOR": "1"})]
)
@pytest.mark.parametrize("arguments", [(), ("--json",)])
async def test_nothing_that_a_model_writes_drives_the_terminal(start, server, term, env, arguments):
    """Answers, tails, error messages, JSON: what reaches the terminal is text, rows where there are rows, colours where they are wanted."""
    for model in MODELS[:3]:
        server.say(model, EVIL)
    server.say("llama3.2:1b", Reply(status=500, error=EVIL))
    async with Terminal(80, 24) as terminal:
        start(terminal, *arguments, "capital of france pls", term=term, **env)
        assert 0 == await terminal.exit_code()

        allowed = {"xterm": ROWS, "dumb": COLOUR if env else None, None: None}[term]
        found = [sequence for sequence in sequences(terminal.raw) if allowed is None or not allowed.fullmatch(sequence)]
        assert [] == found
        if "NO_COLOR" in env:
            assert not COLOUR.search(terminal.raw.decode())
        assert "It is Paris." in terminal.text
        assert [] == harmful(terminal.raw.decode().replace("\x1b", "").replace("\r", ""))


def test_an_error_message_cannot_drive_the_terminal(monkeypatch, capsys):
    """Whatever it quotes: the program's last words are cleaned like all others."""

    def fails(*_: object) -> int:
        raise EngineError("the server says: \x1b[2J\x9b1A\u202eevil\nand more")

    monkeypatch.setattr(cli, "run", fails)

    assert 1 == final_script.main([])
    assert ("", "final_script.py: the server says: evil\nand more\n") == capsys.readouterr()


async def test_a_pipe_gets_the_bytes_that_the_model_wrote(program, server):
    """Not a byte more, even if colours are forced; the JSON has the same text."""
    everyone_says(server, EVIL + MARKDOWN)

    code, out, _ = await program.run("hello there", FORCE_COLOR="1", TERM="xterm")
    _, as_json, _ = await program.run("--json", "hello there", FORCE_COLOR="1", TERM="xterm")

    assert (0, (EVIL + MARKDOWN + "\n").encode()) == (code, out)
    assert EVIL + MARKDOWN == json.loads(as_json)["answer"]


async def test_a_thought_is_never_part_of_what_is_shown(start, server):
    """Thinking in its own field or in the text: not on the screen, not in the rows' tails, not in the pipe."""
    for model, reply in zip(
        MODELS[1:4], [Reply("It is Paris.", thinking="SECRET thought"), *["<think>SECRET</think>It is Paris."] * 2], strict=True
    ):
        server.say(model, reply)
    async with Terminal(80, 24) as terminal:
        start(terminal, "capital of france pls")
        assert 0 == await terminal.exit_code()

        assert "It is Paris." in terminal.lines
        assert b"SECRET" not in terminal.raw
        assert b"think>" not in terminal.raw


async def test_an_answer_too_deep_for_the_window_is_shown_as_it_was_written(start, server):
    """And one line says so."""
    everyone_says(server, "> " * 17 + "deep")
    async with Terminal(80, 24) as terminal:
        start(terminal, "capital of france pls")
        await terminal.exit_code()

        assert "> " * 17 + "deep" in terminal.lines
        assert "too deeply nested to be formatted" in terminal.text
