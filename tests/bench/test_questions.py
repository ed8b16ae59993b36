"""Question sets: the shipped ones keep what they promise, and a file with mistakes is refused with all of them."""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections import Counter

import pytest

from bench.judge.graders import Right, Wrong
from bench.judge.questions import KINDS, load_questions, load_sets
from gork.config.ensemble import load_ensemble, shipped_ensembles
from gork.errors import ConfigError
from tests.support.paths import ROOT

SHIPPED = ROOT / "bench" / "judge" / "questions"
HALVES = ("development", "held_back")
SETS = {half: load_questions(SHIPPED / f"{half}.yaml") for half in HALVES}
ITEMS = [pytest.param(item, id=item.id) for half in HALVES for item in SETS[half].items]

GOOD = """\
name: mine
questions:
  - id: fact-one
    kind: fact
    ask: what is the capital of japan
    check: {says: Tokyo, never: [Kyoto]}
    right: ["Tokyo."]
    wrong: ["Kyoto."]
"""


def written(tmp_path, text):
    """A file with this text."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def with_check(check):
    """A question set with one question that is checked so."""
    return GOOD.replace("check: {says: Tokyo, never: [Kyoto]}", f"check: {check}")


def mistakes(tmp_path, text):
    """What a file is refused for, without the folder it is in."""
    with pytest.raises(ConfigError) as refused:
        load_questions(written(tmp_path, text))
    return [mistake.removeprefix(f"{tmp_path}/") for mistake in refused.value.mistakes]


@pytest.mark.parametrize("item", ITEMS)
def test_the_answers_of_a_question_try_its_check(item):
    """Every right one is right and every wrong one is wrong, the code among them run."""
    assert {answer: item.grade(answer) for answer in item.right} == dict.fromkeys(item.right, Right())
    assert {answer: item.grade(answer) for answer in item.wrong} == dict.fromkeys(item.wrong, Wrong())


def test_no_question_is_a_worked_example_of_a_shipped_ensemble():
    """What a model was shown the answer of measures nothing."""
    asked = {" ".join(re.findall(r"\w+", item.ask.lower())) for half in HALVES for item in SETS[half].items}
    shown = {
        " ".join(re.findall(r"\w+", user.lower()))
        for name in shipped_ensembles()
        for member in load_ensemble(name).members
        if member is not load_ensemble(name).promptimizer
        for user, _ in member.examples
    }

    assert len(shown) >= 10
    assert not asked & shown


@pytest.mark.parametrize("half", HALVES)
def test_each_half_has_enough_of_every_kind(half):
    """At least 75 questions, of all six kinds, under the half's own name."""
    assert SETS[half].name == half.replace("_", "-")
    assert len(SETS[half].items) >= 75
    assert {item.kind for item in SETS[half].items} == set(KINDS)


def test_no_question_stands_twice_in_both_halves_together():
    """Neither its id nor what it asks, whatever case and punctuation."""
    items = [item for half in HALVES for item in SETS[half].items]
    ids = Counter(item.id for item in items)
    asks = Counter("".join(char for char in item.ask.casefold() if char.isalnum()) for item in items)

    assert [name for name, times in ids.items() if times > 1] == []
    assert [ask for ask, times in asks.items() if times > 1] == []


def test_the_held_back_half_is_the_one_that_was_committed():
    """Its checksum stands in a file of its own, in the form of sha256sum."""
    data = (SHIPPED / "held_back.yaml").read_bytes()
    noted = (SHIPPED / "held_back.sha256").read_text().split()

    assert noted == [hashlib.sha256(data).hexdigest(), "held_back.yaml"]
    assert SETS["held_back"].sha256 == noted[0]


def test_a_file_of_ones_own_is_read(tmp_path):
    """All of its parts, and the checksum of its bytes."""
    path = written(tmp_path, "\ufeff" + GOOD)

    read = load_questions(path)

    assert (read.name, read.sha256) == ("mine", hashlib.sha256(path.read_bytes()).hexdigest())
    (item,) = read.items
    assert (item.id, item.kind, item.ask) == ("fact-one", "fact", "what is the capital of japan")
    assert (item.right, item.wrong, item.needs_python) == (("Tokyo.",), ("Kyoto.",), False)
    assert item.grade("It is Tokyo.") == Right()


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ("{says: [Tokyo, Tōkyō]}", "Tōkyō", "Tokyoite"),
        ("{mentions: [[sun], [star, ball]], at_least: 1}", "sunny", "moon"),
        ("{number: 96}", "96.0", "96.001"),
        ("{number: 0.5}", "0.504", "0.506"),
        ("{number: 5, within: 1}", "6", "7"),
        ("{matches: '^a.b$', flags: ims, never: [X]}", "y\nA\nb", "y\nA\nb\nx"),
        ("{matches: 'ls -l', code: true, fullmatch: true}", "`ls -l`", "ls -la"),
        ("{shape: {words: {least: 2}, sentences: 1, with: b, without: [c]}}", "a b.", "a b c."),
        ("{shape: {json: {type: object, required: [a]}}}", '{"a": 1}', "{}"),
        ("{shape: {csv: 2, lines: 1, bullets: 0, case: lower, begins: a, ends: b}}", "a,b", "a,B"),
        ("{python: {calls: [['f(1)', {a: [1, null, true]}]], needs: f}}", "def f(x): return {'a': (x, None, True)}", "def f(x): return x"),
        ("{sql: {setup: 'CREATE TABLE t (x)', rows: [], ordered: true}}", "SELECT x FROM t", "SELECT 1 FROM u"),
        ("{sql: {setup: 'CREATE TABLE t (x); INSERT INTO t VALUES (null)', rows: [[null]]}}", "SELECT * FROM t", "SELECT 0"),
    ],
)
def test_every_form_of_a_check_is_read(tmp_path, check, right, wrong):
    """And means what it says."""
    (item,) = load_questions(written(tmp_path, with_check(check))).items

    assert (item.grade(right), item.grade(wrong)) == (Right(), Wrong())
    assert item.needs_python == ("python" in check)


@pytest.mark.parametrize(
    ("check", "what"),
    [
        ("Tokyo", "must be a mapping (key: value), not the text “Tokyo”"),
        ("{}", "needs one of says, mentions, number, matches, shape, python, sql"),
        ("{say: Tokyo}", 'did you mean "says"?'),
        ("{says: Tokyo, number: 5}", "has says and number, only one of them is allowed"),
        ("{says: Tokyo, within: 1}", "check.within: unknown key"),
        ("{says: []}", "check.says: has no phrase"),
        ("{says: 7}", "check.says: must be a phrase, not 7 (put it in quotes)"),
        ("{says: ' '}", "check.says: must be a phrase"),
        ("{says: }", '"says" is missing'),
        ("{mentions: [sun], at_least: 2}", "check.at_least: is more than there are groups"),
        ("{mentions: sun}", "check.mentions: must be a list of groups of phrases"),
        ("{number: '5'}", "check.number: must be a number"),
        ("{number: .nan}", "check.number: must be a number"),
        ("{number: true}", "check.number: must be a number"),
        ("{number: 5, within: -1}", "check.within: must be a number from 0"),
        ("{matches: '(a'}", "check.matches: is not a regular expression: missing )"),
        ("{matches: a, never: ['[']}", "check.never[0]: is not a regular expression"),
        ("{matches: '[[a]'}", "check.matches: is not a regular expression: Possible nested set"),
        ("{matches: a, flags: x}", "check.flags: must be letters of i, m and s"),
        ("{shape: {}}", "check.shape: states no format"),
        ("{shape: {word: 5}}", 'check.shape.word: unknown key, did you mean "words"?'),
        ("{shape: {words: {least: 5, most: 2}}}", "check.shape.words: least is 5, which is more than most, 2"),
        ("{shape: {words: {}}}", 'check.shape.words: needs "least" or "most"'),
        ("{shape: {words: many}}", "check.shape.words: must be a whole number"),
        ("{shape: {json: {type: thing}}}", "check.shape.json: is not a JSON schema"),
        ("{shape: {json: [1]}}", "check.shape.json: must be a JSON schema (a mapping), not a list"),
        ("{python: {calls: [['f(', 1]], needs: f}}", "check.python.calls[0][0]: is not a Python expression"),
        ("{python: {calls: [['x = 1', 1]], needs: f}}", "check.python.calls[0][0]: is not a Python expression"),
        ("{python: {calls: [f()], needs: f}}", "check.python.calls[0]: must be a list of two"),
        ("{python: {calls: [[f, 1]], needs: 'f()'}}", "check.python.needs: must be a Python name"),
        ("{python: {calls: [], needs: f}}", "check.python.calls: has no call"),
        ("{python: {needs: f}}", '"calls" is missing'),
        ("{sql: {setup: 'CREATE TABEL t', rows: []}}", "check.sql.setup: the setup is refused by SQLite"),
        ("{sql: {setup: \"ATTACH 'x' AS y\", rows: []}}", "check.sql.setup: the setup is refused by SQLite: not authorized"),
        ("{sql: {setup: 'SELECT 1', rows: [1]}}", "check.sql.rows[0]: must be a list of values"),
        ("{sql: {setup: 'SELECT 1', rows: [[1], [1, 2]]}}", "check.sql.rows: has rows of different lengths"),
    ],
)
def test_a_check_that_cannot_work_is_refused_with_its_place(tmp_path, check, what):
    """Its line, its path and what is wrong with it."""
    (found, *_) = mistakes(tmp_path, with_check(check))

    assert found.startswith("mine.yaml:6: questions[0].check")
    assert what.replace("“", '"').replace("”", '"') in found


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path):
    """In the order of its lines, those of a question that has several too."""
    text = textwrap.dedent("""\
        nom: mine
        questions:
          - id: Fact One
            kind: facts
            ask: "  "
            check: {says: Tokyo}
            right: []
            wrong: Kyoto
          - id: two
            kind: fact
            ask: what
            check: {number: 1}
            right: ["1"]
            wrong: ["2"]
            hint: none
          - id: two
            kind: fact
            ask: what
            check: {number: 1}
            right: [1]
        """)

    found = [mistake.split(": ", 2)[:2] for mistake in mistakes(tmp_path, text)]

    assert found[0][0] == "mine.yaml:1"
    assert sorted(map(tuple, found)) == sorted(
        [
            ("mine.yaml:1", "nom"),
            ("mine.yaml:1", '"name" is missing'),
            ("mine.yaml:3", "questions[0].id"),
            ("mine.yaml:4", "questions[0].kind"),
            ("mine.yaml:5", "questions[0].ask"),
            ("mine.yaml:7", "questions[0].right"),
            ("mine.yaml:8", "questions[0].wrong"),
            ("mine.yaml:15", "questions[1].hint"),
            ("mine.yaml:16", "questions[2]"),
            ("mine.yaml:16", "questions[2].id"),
            ("mine.yaml:20", "questions[2].right[0]"),
        ]
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "mine.yaml:1: is empty"),
        ("- a", "mine.yaml:1: must be a mapping"),
        ("name: mine\nquestions: []", "questions: has no question"),
        ("name: mine\nquestions: {}", "questions: must be a list of questions"),
        ("name: mine\nquestions: [x]", "questions[0]: must be a mapping"),
        ("name: mine\nquestions: {{", "not YAML"),
        ("name: &a mine\nquestions: *b", "the alias *b stands for nothing"),
        ("name: mine", '"questions" is missing'),
    ],
)
def test_a_file_that_is_no_question_set_is_refused(tmp_path, text, what):
    """With one clear line, never with a traceback."""
    assert what in "\n".join(mistakes(tmp_path, text))


def test_sets_come_from_files_from_folders_and_by_their_names(tmp_path):
    """In the given order, a folder's by name, each once; every question knows its set."""
    (tmp_path / "more").mkdir()
    for name in ("b", "a"):
        (tmp_path / "more" / f"{name}.yaml").write_text(GOOD.replace("mine", name))
    (tmp_path / "more" / "notes.txt").write_text("no questions")
    mine = written(tmp_path, GOOD)

    sets = load_sets([str(mine), "development", str(tmp_path / "more"), str(mine)])

    assert ["mine", "development", "a", "b"] == [found.name for found in sets]
    assert all(item.set == found.name for found in sets for item in found.items)


def test_the_mistakes_of_all_files_are_told_at_once_and_a_name_stands_for_one_set(tmp_path):
    """A second set of a name would be lost in the figures of the first."""
    (tmp_path / "a.yaml").write_text(GOOD.replace("kind: fact", "kind: riddle"))
    (tmp_path / "b.yaml").write_text(GOOD)
    (tmp_path / "c.yaml").write_text(GOOD)
    (tmp_path / "empty").mkdir()

    with pytest.raises(ConfigError) as refused:
        load_sets([str(tmp_path)])

    assert ["a.yaml:4:", "c.yaml: its name, mine, is taken by"] == [
        re.sub(r"(?<=:4:).*|(?<=taken by).*", "", line.removeprefix(f"{tmp_path}/")) for line in refused.value.mistakes
    ]
    with pytest.raises(ConfigError, match="has no question set"):
        load_sets([str(tmp_path / "empty")])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A missing file, a folder and bytes that are no text."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path, binary):
        with pytest.raises(ConfigError, match=path.name):
            load_questions(path)
