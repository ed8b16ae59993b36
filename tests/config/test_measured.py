"""What was measured of an ensemble: where its table lies, and that every mistake in it is named with its line."""

from __future__ import annotations

import pytest

from gork.config.ensemble import Member, load_ensemble, own_ensembles, shipped_ensembles
from gork.config.measured import fingerprint, places, read_measured
from gork.errors import ConfigError
from gork.turn import Kind, Reason

HASH = "ab" * 32
TABLE = f"""ensemble: mine
members: {{a: {HASH}, b: {HASH}}}
questions: {{count: 500, language: en, sets: {{development: {HASH}}}}}
favourites: {{overall: [b, a], by_kind: {{fact: [a, b]}}}}
certified: {{agreement: {{wins: 40, losses: 10, by_kind: {{fact: {{wins: 20, losses: 3}}}}}}}}
right: {{fact: {{right: 30, cases: 60}}}}
"""
ENSEMBLE = "name: mine\ncandidates: [{name: a, model: m}, {name: b, model: m}]\n"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The user's data folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "gork"


def test_a_table_is_read_with_all_that_it_says():
    """Favourites by kind, reasons with their counts, what it was counted on."""
    found = read_measured(TABLE, "x.yaml")

    assert (("b", "a"), ("a", "b")) == (found.favourites.overall, found.favourites.by_kind[Kind.FACT])
    assert 20 == found.certified[Reason.AGREEMENT].by_kind[Kind.FACT].wins
    assert (500, 0.5) == (found.questions.count, found.right[Kind.FACT].share)


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("overall: [b, a]", "overall: []", "x.yaml:4: favourites.overall: has no candidates' names, there must be at least 1"),
        ("wins: 40", "wins: -1", "x.yaml:5: certified.agreement.wins: must be a whole number from 0"),
        ("agreement:", "applause:", "x.yaml:5: certified.applause: must be one of "),
        ("fact: [a, b]", "riddle: [a, b]", "x.yaml:4: favourites.by_kind.riddle: must be one of "),
        (f"a: {HASH}", "a: 12", "x.yaml:2: members.a: must be a SHA-256 in hexadecimal digits, not 12"),
        ("ensemble: mine", "ensembles: mine", 'x.yaml:1: ensembles: unknown key, did you mean "ensemble"?'),
    ],
)
def test_a_mistake_in_a_table_is_named_with_its_place(old, new, mistake):
    """Nothing of it is guessed."""
    with pytest.raises(ConfigError) as caught:
        read_measured(TABLE.replace(old, new), "x.yaml")

    assert any(found.startswith(mistake) for found in caught.value.mistakes), caught.value.mistakes


@pytest.mark.parametrize("kept", ["certified", "uncertified"])
def test_a_reason_that_is_gone_is_left_out_with_a_line(kept):
    """A table of an earlier version is of use without it."""
    old = TABLE.replace("certified:", f"{kept}:").replace("agreement:", "confidence: {wins: 5, losses: 6}, agreement:")

    found = read_measured(old, "x.yaml")

    assert [Reason.AGREEMENT] == list(getattr(found, kept))
    assert f"x.yaml:5: {kept}.confidence: this reason is gone, it is left out" == found.notice
    assert not read_measured(TABLE, "x.yaml").notice
    with pytest.raises(ConfigError, match="notice: is no key of the file"):
        read_measured(f"{TABLE}notice: hello\n", "x.yaml")


def test_a_table_beside_the_ensembles_file_belongs_to_it(tmp_path, data):
    """Without one nothing was measured; one that is wrong is an error, not passed over."""
    file, table = tmp_path / "mine.yaml", tmp_path / "mine.measured.yaml"
    file.write_text(ENSEMBLE)
    assert load_ensemble(str(file)).measured is None

    table.write_text(TABLE)
    assert load_ensemble(str(file)).measured == read_measured(TABLE, "")

    table.write_text("ensemble: 3\n")
    with pytest.raises(ConfigError, match=r"mine\.measured\.yaml:1: "):
        load_ensemble(str(file))


def test_a_table_in_the_users_data_folder_stands_above_it(tmp_path, data):
    """It was made on this machine, because the other place could not be written."""
    (tmp_path / "mine.yaml").write_text(ENSEMBLE)
    (tmp_path / "mine.measured.yaml").write_text(TABLE)
    (data / "measured").mkdir(parents=True)
    (data / "measured" / "mine.measured.yaml").write_text(TABLE.replace("count: 500", "count: 7"))

    assert 7 == load_ensemble(str(tmp_path / "mine.yaml")).measured.questions.count
    assert [data / "measured" / "mine.measured.yaml", tmp_path / "mine.measured.yaml"] == places(tmp_path / "mine.yaml")


def test_a_table_is_no_ensemble(tmp_path):
    """Neither among the shipped ones nor among the user's own."""
    (tmp_path / "ensembles").mkdir()
    for name in ("mine.yaml", "mine.measured.yaml"):
        (tmp_path / "ensembles" / name).write_text(ENSEMBLE)

    assert ["mine"] == list(own_ensembles(tmp_path))
    assert not any("measured" in name for name in shipped_ensembles())


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"name": "other"}, True),
        ({"url": "http://x:1"}, True),
        ({"parallel": 4}, True),
        ({"model": "n"}, False),
        ({"system": "Be brief."}, False),
        ({"examples": (("a", "b"),)}, False),
        ({"options": {"temperature": 1.0}}, False),
        ({"answers": {Kind.DATES: "program"}}, False),
    ],
)
def test_a_member_is_known_by_what_decides_its_words(changes, same):
    """Weights, prompts, examples, sampling; not by its name, its place or its slots."""
    given = {"name": "a", "model": "m"}

    assert same == (fingerprint(Member(**given)) == fingerprint(Member(**{**given, **changes})))
