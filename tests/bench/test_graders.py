"""The graders tell right answers from wrong ones, near misses too, and never break on one."""

from __future__ import annotations

import builtins
import os
import re
import socket
import sys
import threading
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.judge import sandbox
from bench.judge.graders import (
    LONGEST_ANSWER,
    Bounds,
    Broken,
    CheckFailed,
    Matches,
    Mentions,
    Number,
    Right,
    Says,
    Shape,
    Wrong,
    grade,
)
from bench.judge.programs import PythonCalls, SqlRows

CAPITAL = "what is the capital of France"
PARIS = Says(phrases=("Paris",))
PARIS_NOT_LYON = Says(phrases=("Paris",), never=("Lyon",))
ADD = PythonCalls(needs="add", calls=(("add(2, 3)", 5), ("add(-1, 1)", 0)))
PEOPLE = "CREATE TABLE people (id INTEGER, name TEXT, age INTEGER); INSERT INTO people VALUES (1, 'Ada', 36), (2, 'Bo', 20);"
ADULTS = SqlRows(setup=PEOPLE, rows=(("Ada",),))


def graded(check, answer, ask=CAPITAL):
    """What an answer to this question gets."""
    return grade(check, answer, ask)


@pytest.mark.parametrize(
    "answer",
    [
        "Paris",
        "**Paris**.",
        "the capital is PARIS!",
        "‘Paris’",
        "It is Paris, not Lyon",
        "It isn't Lyon, it's Paris.",
        "It is not Lyon but Paris.",
        "Lyon is not the capital; Paris is",
        "Lyon isn't the capital. Paris is.",
        "No, it's Paris.",
        "There is no doubt that it is Paris.",
        "Not only is Paris the capital, it is also the largest city.",
        "Rather than Lyon, the capital is Paris.",
        "Is it Paris or Nice? It is Paris.",
        "Some say Paris or Nice. The capital is Paris.",
        "Maybe Paris.",
        "Paris (Île-de-France)",
        "Paris or the capital",
        "The capital\nis\n\nParis",
    ],
)
@pytest.mark.parametrize("check", [PARIS, PARIS_NOT_LYON])
def test_an_asserted_phrase_is_right(check, answer):
    """However it is set, and whatever else is denied."""
    assert graded(check, answer) == Right()


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "not Paris",
        "It isn’t Paris",
        "It is never Paris.",
        "It is not the city of Paris.",
        "I don't think it is Paris.",
        "Lyon rather than Paris",
        "Lyon instead of Paris",
        "It is no longer Paris",
        "Paris is not the capital.",
        "Paris isn't.",
        "neither Lyon nor Paris",
        "It is not Lyon, Paris, or Nice",
        "non-Paris",
        "Paris or Lyon",
        "Paris, or Lyon",
        "Lyon or Paris",
        "either Paris or Lyon",
        "Either Paris or another city",
        "Paris/Lyon",
        "Lyon / Paris",
        "Paris, Lyon, or Nice",
        "paris or lyon",
        'Paris or "lyon"',
        "Paris or 7",
        "It could be Paris or it could be Lyon",
        "maybe Paris, maybe Lyon",
        "Paris or Nice. Paris is large.",
        "parisian",
        "Paris's",
        "Pariss",
        "comparisons",
    ],
)
@pytest.mark.parametrize("check", [PARIS, PARIS_NOT_LYON])
def test_a_denied_or_hedged_phrase_is_wrong(check, answer):
    """So is one that is only part of a word."""
    assert graded(check, answer) == Wrong()


@pytest.mark.parametrize(
    ("check", "ask", "answer", "right"),
    [
        (PARIS_NOT_LYON, CAPITAL, "Lyon. Paris is the second city.", False),
        (PARIS_NOT_LYON, "Paris or Lyon?", "Paris, since Lyon is smaller.", True),
        (PARIS_NOT_LYON, "Paris or Lyon?", "Paris or Lyon", False),
        (PARIS, "Paris or Lyon?", "Lyon or Paris", False),
        (Says(phrases=("New York City",), never=("New York",)), "which city", "New York City", True),
        (Says(phrases=("Everest", "Sagarmatha")), "highest", "Everest or Sagarmatha", True),
        (Says(phrases=("April",)), "month after March", "April or May", False),
        (Says(phrases=("April",)), "month after March", "It may be April.", True),
        (Says(phrases=("Rowling",)), "who wrote it", "It is by J. K. Rowling.", True),
        (Says(phrases=("Rowling",)), "who wrote it", "It was not J. K. Rowling.", False),
        (Says(phrases=("Armstrong",)), "who was first", "Armstrong or Neil Armstrong", True),
        (Says(phrases=("Armstrong",)), "who was first", "Yuri Gagarin or Neil Armstrong", False),
        (Says(phrases=("Pacific",)), "largest ocean", "The Pacific Ocean or the Atlantic", False),
        (Says(phrases=("Pacific",)), "largest ocean", "The Pacific Ocean is wrong.", False),
        (Says(phrases=("8",)), "how many", "8 legs or 6 legs", False),
        (Says(phrases=("1,000",)), "how many", "1000 of them", True),
        (Says(phrases=("1000",)), "how many", "about 1,000 metres", True),
        (Says(phrases=("1000",)), "how many", "1\u00a0000", True),
        (Says(phrases=("1000",)), "how many", "1,0001", False),
        (Says(phrases=("1990",)), "when", "in the 1990s", False),
        (Says(phrases=("5",)), "how many", "5km", True),
        (Says(phrases=("5",)), "how many", "the 5th", False),
        (Says(phrases=("5",)), "how many", "-5", False),
        (Says(phrases=("5",)), "how many", "5 or 6", False),
        (Says(phrases=("H2O",)), "formula", "It is H₂O.", True),
        (Says(phrases=("C++",)), "which language", "C++", True),
        (Says(phrases=("C",)), "which language", "C++", False),
        (Says(phrases=("twenty-one",)), "how many", "Twenty‑one", True),
        (Says(phrases=("Washington, D.C.",)), "where", "Washington DC", True),
        (Says(phrases=("₹",)), "sign", "It is ₹.", True),
    ],
)
def test_a_phrase_and_its_rivals_in_their_question(check, ask, answer, right):
    """Words of the question are no rivals, unless both are offered again; digits are read, not spelled."""
    assert graded(check, answer, ask) == (Right() if right else Wrong())


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Photosynthesis is how plants use sunlight to make sugar.", True),
        ("PHOTOSYNTHETIC cells do not make sugars without sun", True),
        ("Plants make sugar.", False),
        ("biophotosynthesis makes sugar", False),
        ("Photosynthesis makes sugar, animals do it.", False),
        ("Photosynthesis makes sugar, not animals", True),
        ("", False),
    ],
)
def test_mentions_are_the_beginnings_of_words_of_every_group(answer, right):
    """A rival that is asserted makes the definition wrong."""
    check = Mentions(groups=(("photosynth",), ("sugar", "glucose")), never=("animals",))

    assert graded(check, answer) == (Right() if right else Wrong())


def test_some_of_the_groups_can_be_enough():
    """`at_least` counts groups, not phrases."""
    check = Mentions(groups=(("one", "uno"), ("two",), ("three",)), at_least=2)

    assert graded(check, "one, then three") == Right()
    assert graded(check, "one, uno") == Wrong()


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (96, "96"),
        (96, "= 96.0"),
        (96, "12 * 8 = **96**"),
        (96, "The answer is 12 × 8 = 96."),
        (96, "The answer is 96, since 12 x 8 is 96 and 8 is even"),
        (96, "96. That is 12 times 8."),
        (96, "1. 12 x 8\n2. 96"),
        (98, "The answer is not 96, it's 98"),
        (12, "1. Anna has 20.\n2. She gives away 8.\n\nSo Anna has 12 apples left."),
        (12, "Step 1: 20 - 8 = 12\nStep 2: done"),
        (12, "The answer is:\n\n**12**"),
        (12, "\\boxed{12}"),
        (12, "12 cm^2"),
        (12, "12 cm²"),
        (12, "5 apples + 7 apples = 12 apples"),
        (7, "The sum of 3 and 4 is 7."),
        (24, "The total is $24 for 3 tickets"),
        (24, "Total: $24"),
        (50, "50%"),
        (1234567, "1,234,567"),
        (1234567, "1\u202f234\u202f567"),
        (-5, "-5"),
        (-5, "−5 °C"),
        (-5, "minus five"),
        (-5, "-$5"),
        (0.5, "1/2"),
        (0.5, "½"),
        (0.5, "\\frac{1}{2}"),
        (0.5, "1/2 or 0.5"),
        (5.5, "5 1/2"),
        (5.5, "5½"),
        (0, "zero"),
        (1, "one"),
        (21, "twenty-one"),
        (42, "forty two"),
        (205, "two hundred and five"),
        (100000, "100 thousand"),
        (12, "twelve (12)"),
        (4, "She gave 3 and has four left, a nice one."),
    ],
)
def test_the_final_number_is_found(number, answer):
    """In digits, words and fractions; stated, after an equals sign, or last."""
    assert graded(Number(value=number), answer, "how much is it") == Right()


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (96, ""),
        (96, "no idea"),
        (96, "98"),
        (96, "196"),
        (96, "96.5"),
        (96, "-96"),
        (96, "96 or 98"),
        (98, "96 or 98"),
        (96, "either 98 or 96"),
        (98, "96-98"),
        (96, "96/98"),
        (96, "96 apples or 98 apples"),
        (96, "The answer is 96 or 98"),
        (96, "not 96"),
        (96, "The answer is not 96."),
        (8, "The answer is 12 × 8"),
        (96, "12 x 8 = 96, and 96 + 2 = 98"),
        (98, "maybe 96, maybe 98"),
        (12, "the 12th"),
        (1, "1. Take it.\n2. Leave it."),
        (5, "10 minus 5"),
        (5, "minus five"),
        (2, "1/2"),
        (12, "H12"),
    ],
)
def test_another_or_a_hedged_number_is_wrong(number, answer):
    """Also one that only stands on the way to the final one."""
    assert graded(Number(value=number), answer, "how much is it") == Wrong()


def test_a_number_may_be_off_by_what_is_allowed():
    """Within, not beyond."""
    assert graded(Number(value=3.14, within=0.005), "3.1415") == Right()
    assert graded(Number(value=3.14, within=0.005), "3.15") == Wrong()
    assert graded(Number(value=10, within=1), "11") == Right()
    assert graded(Number(value=10, within=1), "11.1") == Wrong()


@pytest.mark.parametrize(
    ("check", "answer", "right"),
    [
        (Matches(pattern=re.compile("c.t")), "a cat", True),
        (Matches(pattern=re.compile("c.t")), "a Cat", False),
        (Matches(pattern=re.compile("c.t", re.IGNORECASE)), "a Cat", True),
        (Matches(pattern=re.compile("c.t"), never=(re.compile("dog"),)), "a cat and a dog", False),
        (Matches(pattern=re.compile("yes|no"), whole=True), ' "yes"\n', True),
        (Matches(pattern=re.compile("yes|no"), whole=True), "```\nyes\n```", True),
        (Matches(pattern=re.compile("yes|no"), whole=True), "yes, I do", False),
        (Matches(pattern=re.compile("ls -la"), code=True), "Use ls -la for that", False),
        (Matches(pattern=re.compile("ls -la"), code=True), "Use `ls -la` for that", True),
        (Matches(pattern=re.compile("ls -la"), code=True), "```bash\n$ ls -la\n```", True),
        (Matches(pattern=re.compile("ls -la"), code=True), "Open a shell:\nls -la", True),
        (Matches(pattern=re.compile("ls -la"), code=True), "ls -la", True),
        (Matches(pattern=re.compile("ls -la"), code=True), "Use ls -la:\n```\nls -l\n```", False),
        (Matches(pattern=re.compile(r"ls -(la|al)"), whole=True, code=True), "```\n# list all\n$ ls -al\n```", True),
        (Matches(pattern=re.compile(r"ls -(la|al)"), whole=True, code=True), "`ls -al | wc`", False),
        (Matches(pattern=re.compile("hi > f"), code=True), "echo hi > f", True),
        (Matches(pattern=re.compile("ls"), never=(re.compile("rm"),), code=True), "`ls` and `rm -r`", False),
    ],
)
def test_patterns_match_the_answer_or_its_code(check, answer, right):
    """Code is what is fenced, in backticks, or a line that begins with a command."""
    assert graded(check, answer) == (Right() if right else Wrong())


SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("shape", "right", "wrong"),
    [
        ({"lines": 2}, "a\n\nb\n", "a b"),
        ({"bullets": 3}, "Fruits:\n- a\n* b\n• c", "- a\n- b\nc"),
        ({"bullets": 2}, "1. a\n2. b", "1.a\n2.b"),
        ({"words": Bounds(least=1, most=1)}, " Paris. ", "It is"),
        ({"words": Bounds(least=2, most=3)}, "one - two", "one two three four"),
        ({"words": Bounds(most=2)}, "one", "one two three"),
        ({"sentences": Bounds(least=2, most=2)}, "Dr. Who saw 3.5 m, e.g. here. Really?", "One. Two. Three."),
        ({"sentences": Bounds(least=1, most=1)}, 'He said "No way!"', "He left. She stayed"),
        ({"begins": "Dear"}, "Dear Bo,", "dear Bo,"),
        ({"ends": "DONE"}, "That is it. DONE\n", "DONE."),
        ({"case": "upper"}, "IT IS 5.", "It IS"),
        ({"case": "lower"}, "it is", "5"),
        ({"schema": SCHEMA}, '```json\n{"name": "Bo"}\n```', '{"name": 5}'),
        ({"schema": SCHEMA}, '{"name": "Bo"}', 'Here: {"name": "Bo"}'),
        ({"schema": {}}, "5", "NaN"),
        ({"schema": {}}, "[]", "[" * 20_000),
        ({"schema": {}}, "{}", "9" * 20_000),
        ({"csv": 3}, "red, green, blue.", "red, green, "),
        ({"csv": 3}, "a,b,c", "a,\nb,c"),
        ({"having": ("Bo", "it’s")}, "It's BO", "It is Bo"),
        ({"without": (",",)}, "no such sign", "one, two"),
        ({"lines": 1, "ends": "!"}, "Yes!", "Yes!\nNo!"),
    ],
)
def test_a_stated_format_holds_or_not(shape, right, wrong):
    """Each format on its own, the blanks around the answer left out."""
    assert graded(Shape(**shape), right) == Right()
    assert graded(Shape(**shape), wrong) == Wrong()


def test_a_schema_fetches_nothing():
    """A reference to another document is a fault of the check, and nobody is asked for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        away = []
        asking = threading.Thread(target=lambda: away.append(graded(Shape(schema={"$ref": url}), "5")))
        asking.start()
        with pytest.raises(TimeoutError):
            server.accept()
    asking.join()

    assert isinstance(away[0], Broken)
    assert url in away[0].what


def test_a_missing_jsonschema_is_a_broken_check_that_says_how_to_get_it(monkeypatch):
    """It is a requirement of developers alone."""

    def missing(name, *rest, **named):
        if name == "jsonschema":
            raise ModuleNotFoundError("gone", name=name)
        return real(name, *rest, **named)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", missing)
    gone = graded(Shape(schema={}), "5")
    assert isinstance(gone, Broken)
    assert "pip install 'jsonschema" in gone.what


@pytest.mark.parametrize(
    "answer",
    [
        "def add(a, b):\n    return a + b",
        "Here:\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds.",
        "1. Like so:\n   ```python\n   def add(a, b):\n       return a + b\n   ```",
        "```\nprint(1)\n```\nand\n```\nadd = lambda a, b: a + b\n```",
        "~~~~python\ndef add(a, b):\n    return a + b\nif __name__ == '__main__':\n    print(add(*map(int, input().split())))",
        "```python\nfrom operator import add\ndef add(a, b, plus=add):\n    return plus(a, b) + 0.0\n```",
    ],
)
def test_a_function_that_gives_what_it_should_is_right(answer):
    """In a fence or without one, indented or cut off behind it."""
    assert graded(ADD, answer) == Right()


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Adding is easy.",
        "```python\ndef add(a, b):\n    return a - b\n```",
        "```python\ndef add(a, b):\n    print(a + b)\n```",
        "```python\ndef plus(a, b):\n    return a + b\n```",
        "def add(a, b):\n    return str(a + b)",
        "def add(a, b):\n    return a + b\nraise SystemExit(0)",
        "def add(a, b):\n    return 5",
        "def add(a, b) return a + b",
        "The code:\ndef add(a, b):\n    return a + b",
    ],
)
def test_code_that_gives_something_else_is_wrong(answer):
    """Printing is no result; prose without a fence is no code."""
    assert graded(ADD, answer) == Wrong()


HARMS = {
    "prints what a result looks like": 'print(\'["x", 0, "value", 5]\')\ndef add(a, b):\n    print(5)',
    "writes results of its own": "import os\nfor fd in range(3, 16):\n"
    '    try: os.write(fd, b\'["x",0,"value",5]\\n["x",1,"value",0]\\n\')\n    except OSError: pass\nos._exit(0)',
    "ends the process": "import os\nos._exit(0)",
    "recurses": "def add(a, b):\n    return add(a, b)",
    "eats memory": "x = []\nwhile True: x.append(' ' * 10**6)",
    "forks": "import os\nwhile True: os.fork()",
    "starts a program": "import subprocess\nsubprocess.run(['true'])\ndef add(a, b): return a + b",
    "opens a socket": "import socket\nsocket.socket()\ndef add(a, b): return a + b",
    "loads native code": "import ctypes\nctypes.CDLL(None)\ndef add(a, b): return a + b",
    "sends a signal": "import os\nos.kill(os.getppid(), 0)\ndef add(a, b): return a + b",
    "reads input": "input()\ndef add(a, b): return a + b",
    "gives a value that equals everything": "class A:\n    def __eq__(self, other): return True\ndef add(a, b): return A()",
    "gives far too much": "def add(a, b): return 'x' * 10**7",
    "closes all files": "import os\nos.closerange(0, 64)\ndef add(a, b): return a + b",
    "changes how values are evaluated": "import builtins, json\nbuiltins.eval = lambda *rest: 5\njson.dumps = lambda *rest: '5'",
    "is too deep to be parsed": "def add(a, b): return " + "-" * 15_000 + "a",
    "has half of a character": "def add(a, b): return a + b\n\ud800",
    "has a NUL": "def add(a, b): return a + b\n\0",
}


@pytest.mark.parametrize("code", HARMS.values(), ids=HARMS)
def test_code_that_misbehaves_is_a_wrong_answer(code):
    """It is stopped, and nothing that it prints, writes or ends with counts."""
    assert graded(ADD, code) == Wrong()


def test_code_that_never_ends_is_stopped():
    """A busy loop by the limit on processor time, a sleep by the clock; what came before it counts."""
    busy = sandbox.run_calls("def f():\n    while True: pass", ["1 + 1", "f()", "2"], timeout_s=100)
    asleep = sandbox.run_calls("import time\ntime.sleep(1000)", ["1"], timeout_s=0.5)

    assert busy == [sandbox.Returned(2), *[sandbox.Raised("killed by signal 9")] * 2]
    assert asleep == [sandbox.Raised("out of time, or gave too much")]


def test_code_sees_an_empty_folder_and_changes_no_file(tmp_path):
    """No environment, no file of the machine is written or removed."""
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    os.environ["ANSWER_SECRET"] = "known"
    look = "import os\ndef look(): return [os.listdir('.'), 'ANSWER_SECRET' in os.environ]"
    harm = f"def cut(): open({str(kept)!r}, 'w')\ndef gone():\n    import os\n    os.remove({str(kept)!r})"
    try:
        assert sandbox.run_calls(look, ["look()"]) == [sandbox.Returned([[], False])]
        assert sandbox.run_calls(harm, ["cut()", "gone()"]) == [sandbox.Raised("PermissionError")] * 2
    finally:
        del os.environ["ANSWER_SECRET"]
    assert kept.read_text() == "as it was"


def test_the_standard_library_is_there():
    """What everyday code imports works within the limits."""
    code = "import math, re, collections, itertools, functools, datetime, random, string, statistics, decimal, typing, dataclasses, json"

    assert sandbox.run_calls(code, ["(math.floor(2.5), collections.Counter('aab'), 1.5, None)"]) == [
        sandbox.Returned([2, {"a": 2, "b": 1}, 1.5, None])
    ]


def test_a_sandbox_that_cannot_start_is_broken(monkeypatch):
    """A missing or broken interpreter says nothing about the answer."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert isinstance(graded(ADD, "def add(a, b): return a + b"), Broken)

    monkeypatch.setattr(sys, "executable", "/bin/false")
    broken = graded(ADD, "def add(a, b): return a + b")
    assert broken == Broken("the sandbox for model-written Python did not start (ended with exit code 1)")


@pytest.mark.parametrize(
    "answer",
    [
        "SELECT name FROM people WHERE age > 30",
        "select name from people where age > 30;",
        "```sql\n-- adults\nSELECT name FROM people WHERE age > 30;\n```",
        "Use `SELECT name FROM people WHERE age > 30`.",
        "To select them: SELECT name FROM people WHERE age > 30; It filters.",
        "You can use\n\nSELECT name\nFROM people\nWHERE age > 30\n\nwhich filters.",
        "WITH old AS (SELECT * FROM people WHERE age > 30) SELECT name FROM old",
        "```sql\nCREATE TABLE x (y);\nSELECT upper('a') || 'da' UNION SELECT max(name) FROM people WHERE 'a;b' = name OR age = 36;\n```",
    ],
)
def test_a_query_that_gives_the_rows_is_right(answer):
    """The first SELECT of the answer counts."""
    assert graded(ADULTS, answer) == Right()


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "SELECT",
        "SELECT name FROM people",
        "SELECT name, age FROM people WHERE age > 30",
        "SELECT nome FROM people WHERE age > 30",
        "DELETE FROM people",
        "DELETE FROM people WHERE age < 30 RETURNING name",
        "INSERT INTO people SELECT 3, 'Cy', 40; ",
        "WITH old AS (SELECT 1) DELETE FROM people WHERE id = 1 RETURNING 'Ada'",
        "```sql\nPRAGMA table_info(people)\n```",
        "```sql\nATTACH DATABASE '/tmp/x' AS y; SELECT name FROM people\n```",
        "SELECT load_extension('x')",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n",
        "SELECT zeroblob(1000000000)",
        "SELECT '" + ";" * 19_000,
        "SELECT 'a\0b'",
        "SELECT '\ud800'",
    ],
)
def test_a_query_that_gives_others_writes_or_never_ends_is_wrong(answer):
    """Only reading is allowed, for a while, of small values."""
    start = time.monotonic()

    assert graded(ADULTS, answer) == Wrong()
    assert time.monotonic() - start < 5


def test_rows_compare_as_values_in_their_order_if_asked():
    """Numbers as numbers, texts as texts, each row as often as it should be."""
    one = SqlRows(setup=PEOPLE, rows=((36, "Ada"), (20, "Bo")))
    ordered = SqlRows(setup=PEOPLE, rows=one.rows, ordered=True)

    assert graded(one, "SELECT age * 1.0, name FROM people ORDER BY age") == Right()
    assert graded(ordered, "SELECT age, name FROM people ORDER BY age") == Wrong()
    assert graded(ordered, "SELECT age, name FROM people ORDER BY age DESC") == Right()
    assert graded(one, "SELECT CAST(age AS TEXT), name FROM people") == Wrong()
    assert graded(one, "SELECT age, name FROM people UNION ALL SELECT age, name FROM people") == Wrong()


def test_a_check_that_breaks_is_not_a_wrong_answer():
    """Its error is what is told."""

    class Crashing:
        def holds(self, answer, question):
            raise KeyError(answer)

    class Refusing:
        def holds(self, answer, question):
            raise CheckFailed("there is no such thing")

    assert graded(Crashing(), "x") == Broken("KeyError: 'x'")
    assert graded(Refusing(), "x") == Broken("there is no such thing")
    assert isinstance(graded(SqlRows(setup="CREATE", rows=()), "SELECT 1"), Broken)


def test_an_interrupt_is_no_fault_of_the_check():
    """Ctrl-C while an answer is graded ends the program, it is not graded."""

    class Interrupted:
        def holds(self, answer, question):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        graded(Interrupted(), "x")


def test_only_so_much_of_an_answer_is_looked_at():
    """What stands behind it counts neither for nor against."""
    assert graded(PARIS, "x " * (LONGEST_ANSWER // 2) + "Paris") == Wrong()
    assert graded(PARIS, "x " * (LONGEST_ANSWER // 2 - 10) + "Paris") == Right()


EVERY_CHECK = [
    PARIS_NOT_LYON,
    Mentions(groups=(("par", "1"), ("a b c",)), never=("Lyon",)),
    Number(value=12),
    Matches(pattern=re.compile("x"), code=True, whole=True),
    Shape(lines=1, bullets=0, words=Bounds(), sentences=Bounds(), case="lower", csv=2, having=("a",), without=("b",)),
    Shape(schema=SCHEMA),
    ADULTS,
]
PIECES = (
    "Paris|Lyon|or|not|,|.|either|maybe|/|=|answer|is|12|1/2|-|$|twenty|one|hundred|*|**|`|```|\n|~~~|SELECT|;|'|\"|--|[|{|1.|½|²|(|: |x|"
    "\\frac{1}{2}|\0|\ud800|İ|ẞ|e.g.|≈|the|and|isn't|\u200b|١|٣"
)
REPEATED = (
    "Paris |Paris or |Paris or Lyon |Paris, |*|not |maybe Paris |either Paris |a.|1,111|1 + |1=|= 1 |answer is 1 + |answer |"
    "answer is 1 or |-5 |twenty |hundred |`|`a|```\n|- |1. |\n|\n\n|SELECT |SELECT ';|;|WITH |--|/*|(|[|{|{\"a\":|\"|'|Dr. |a'|½|x^|/|1/"
    "|_|$"
)
FRAGMENTS = st.lists(st.sampled_from(PIECES.split("|")), max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=300), FRAGMENTS.map(" ".join), FRAGMENTS.map("".join)))
@example("answer is 1/0")
@example("5 1/0")
@example("= ١")
@example("9" * 5000)
def test_no_answer_breaks_a_check(answer):
    """Each gives Right or Wrong for any text at all."""
    for check in EVERY_CHECK:
        assert not isinstance(graded(check, answer, f"{CAPITAL} {answer[:20]}"), Broken)


@pytest.mark.parametrize(
    "piece",  # one in four in an ordinary run, all of them with `-m "slow or not slow"`
    [pytest.param(piece, marks=pytest.mark.slow if at % 4 else ()) for at, piece in enumerate(REPEATED.split("|"))],
)
def test_the_longest_answers_are_graded_quickly(piece):
    """Whatever is said over and over, a check ends in about linear time."""
    answer = (piece * LONGEST_ANSWER)[:LONGEST_ANSWER]
    for check in EVERY_CHECK:
        for text in (answer, f"Paris {answer[:-10]} b"):
            start = time.process_time()
            graded(check, text)
            assert time.process_time() - start < 3, (check, text[:40])
