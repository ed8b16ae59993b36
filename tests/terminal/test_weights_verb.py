"""`weights`: what is in the cache, who uses it, where it is, and away with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gork.config.ensemble import load_ensemble
from gork.config.settings import Settings, load_settings
from gork.engines.weights.cache import fetch, place_in
from gork.engines.weights.progress import Lines
from gork.engines.weights.transfer import Limits
from gork.errors import UsageError
from gork.terminal import weights
from tests.support.fake_downloads import HUB, Hub, write_gguf

ENSEMBLE = f"name: mine\ncandidates: [{{name: a, hub: '{HUB}'}}, {{name: b, hub: '{HUB}'}}]\n"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An ensemble whose weights are in the cache."""
    (tmp_path / "mine.yaml").write_text(ENSEMBLE)
    given = {"cache": str(tmp_path / "cache"), "ensemble": str(tmp_path / "mine.yaml")}
    settings = load_settings(given, {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)})
    wanted = settings.ensemble.members[0].weights
    assert wanted is not None
    with Hub(write_gguf(tmp_path / "tiny.gguf", rows=2048, columns=512).read_bytes()) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        fetch(wanted, tmp_path / "cache", Lines(lambda _: None), limits=Limits(contact_s=60, connect_s=60))
    return settings


def test_the_cache_is_listed_with_sizes_and_users(settings: Settings, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """A row for each file: its name, its size, the ensembles that use it; what was begun is counted too."""
    (tmp_path / "cache" / "unfinished" / "x.part").write_bytes(bytes(2_000_000))

    assert weights.run([], settings, print) == 0

    assert capsys.readouterr().out.splitlines() == [
        "file                    size  used by",
        "tiny.gguf               4 MB  mine",
        "(unfinished downloads)  2 MB  resume with pull",
        "",
        f"6 MB in {tmp_path / 'cache'}",
    ]


@pytest.mark.parametrize("name", ["tiny", "tiny.gguf", "the name in the cache"])
def test_where_a_file_is_is_printed_alone(settings: Settings, capsys: pytest.CaptureFixture[str], name: str):
    """For `ollama create`: the path, and nothing else, on standard output."""
    (file,) = settings.cache.glob("*.gguf")

    assert weights.run(["path", file.name if name.startswith("the") else name], settings, print) == 0
    assert capsys.readouterr().out == f"{file}\n"


def test_a_file_can_be_removed(settings: Settings, capsys: pytest.CaptureFixture[str]):
    """It is gone with its record, its size is said, and the list is empty then."""
    said: list[str] = []

    weights.run(["remove", "tiny"], settings, said.append)
    weights.run([], settings, said.append)

    assert said[0].endswith("(4 MB)")
    assert [file for file in settings.cache.iterdir() if file.is_file()] == []
    assert "no weights" in capsys.readouterr().out


def test_an_unknown_name_is_answered_with_those_that_are_there(settings: Settings):
    """Nothing is removed for a name that is not quite right."""
    with pytest.raises(UsageError, match=r"no tin in .* \(there is tiny\.gguf\)"):
        weights.run(["remove", "tin"], settings, print)


def test_two_ensembles_that_share_a_file_share_its_place(tmp_path: Path):
    """The file of pocket is that of heavy-lite's member qwen: it lies in the cache once."""
    full = {member.name: member.weights for member in load_ensemble("heavy-lite").members}
    shared = load_ensemble("pocket").members[0].weights

    assert full["qwen"] is not None
    assert shared is not None
    assert place_in(full["qwen"], tmp_path) == place_in(shared, tmp_path)
