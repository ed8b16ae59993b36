"""What an ensemble needs of a machine, and which one answers where there is no Ollama."""

from __future__ import annotations

from pathlib import Path

import pytest

from gork.config.ensemble import load_ensemble
from gork.config.settings import load_settings
from gork.engines import choose
from gork.engines.footprint import missing_bytes, shortage, size_of
from gork.machine import Memory

NOWHERE = {"OLLAMA_HOST": "127.0.0.1:1"}


def test_weights_that_members_share_count_once():
    """Five members on one file of 491 MB need 491 MB."""
    assert size_of(load_ensemble("starter")) == 491_400_064
    assert missing_bytes(load_ensemble("starter"), Path("/nowhere")) == 491_400_064


def test_an_ensemble_that_does_not_fit_memory_says_what_is_lacking():
    """Half a gigabyte is too little for a file of half a gigabyte and what comes beside it."""
    small = Memory(total=10**9, free=5 * 10**8, why="the limit of /pod")

    assert shortage(load_ensemble("starter"), Path("/"), small) == "starter needs 0.9 GB of memory, 0.5 GB are free (the limit of /pod)"
    assert shortage(load_ensemble("tiny"), Path("/"), Memory(total=2**33, free=2**33, why="the machine")) is None


async def test_without_ollama_the_starter_answers_whatever_lies_in_the_cache(tmp_path):
    """What answers does not depend on what else was tried: a full cache of other weights changes nothing."""
    for file in ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "anything.gguf"):
        (tmp_path / file).write_bytes(b"GGUF")
    chosen = await choose.choose(load_settings({"cache": str(tmp_path)}, NOWHERE))

    assert ("embedded", "starter") == (chosen.engine, chosen.settings.ensemble.name)
    assert "--ensemble pocket (1.1 GB)" in chosen.about_ensemble


async def test_where_memory_is_short_the_tiny_ensemble_answers_and_says_why(tmp_path, monkeypatch):
    """The smaller one, with the reason in the line that says what answers."""
    monkeypatch.setattr("gork.engines.choose.shortage", lambda ensemble, folder: f"{ensemble.name} needs a lot")
    chosen = await choose.choose(load_settings({"cache": str(tmp_path)}, NOWHERE))

    assert "tiny" == chosen.settings.ensemble.name
    assert chosen.why == "no Ollama answers at http://127.0.0.1:1; starter needs a lot"


@pytest.mark.parametrize("name", ["tiny", "starter", "pocket"])
def test_an_ensemble_says_what_it_costs(name):
    """The sizes of the shipped ensembles of one model are known before anything is fetched."""
    assert size_of(load_ensemble(name)) > 90_000_000
