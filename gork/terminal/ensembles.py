"""`ensembles`: which there are, shipped and the user's own; `ensembles show NAME` prints one, to be copied and changed."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gork.config.ensemble import Ensemble, ensemble_file, load_ensemble, own_ensembles, shipped_ensembles
from gork.config.folders import config_home
from gork.config.urls import printable
from gork.config.yaml_file import read_file
from gork.engines.footprint import files_of, size_of
from gork.errors import ConfigError
from gork.terminal import output, screen

_PIPE_WIDTH = 120


def run(words: Sequence[str]) -> int:
    """Do what the words after `ensembles` say; returns the exit code. Raises a `ConfigError` for a name that there is not."""
    own = own_ensembles(config_home(os.environ))
    if words:
        output.write(read_file(ensemble_file(words[1], own)).rstrip("\n"))
        return 0
    width = shutil.get_terminal_size().columns if screen.is_terminal(sys.stdout) else _PIPE_WIDTH
    output.write("\n".join(_listed(own, width)))
    return 0


def _listed(own: Mapping[str, Path], width: int) -> Iterator[str]:
    for name in shipped_ensembles():
        yield from _described(name, load_ensemble(name), width)
    for name, file in own.items():
        if name in shipped_ensembles():
            yield f"{printable(name)}  (not used: a shipped one has this name: {printable(str(file))})"
            continue
        try:
            yield from _described(name, load_ensemble(str(file)), width, f"{printable(str(file))} ")
        except ConfigError as error:
            yield f"{printable(name)}  (cannot be used: {printable(error.mistakes[0])})"


def _described(name: str, ensemble: Ensemble, width: int, place: str = "") -> Iterator[str]:
    """An ensemble's name with who is in it, and its description below."""
    files = files_of(ensemble)
    models = f"{len(ensemble.candidates)} candidates" if len(ensemble.candidates) > 1 else "1 candidate"
    models += f", {len(files)} model{'' if len(files) == 1 else 's'}" if files else ""
    known = files and all(weights.size for weights in files)
    size = f", {size_of(ensemble) / 1e9:.1f} GB" if known else ""
    yield f"{name}  ({models}{size})"
    text = f"{place}{ensemble.description}".strip()
    yield from textwrap.wrap(text, max(width - 1, 20), initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
