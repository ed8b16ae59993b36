"""The user's own folders, by the XDG base directory rules: settings, what is kept between runs, what can be fetched again.

Each is the folder `gork` in the one that `$XDG_..._HOME` names, else in its usual place in the home folder; None where neither is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def config_home(environ: Mapping[str, str]) -> Path | None:
    """For settings: `$XDG_CONFIG_HOME/gork`, else `~/.config/gork`."""
    return _folder(environ, "XDG_CONFIG_HOME", ".config")


def state_home(environ: Mapping[str, str]) -> Path | None:
    """For sessions and the history of the prompt: `$XDG_STATE_HOME/gork`, else `~/.local/state/gork`."""
    return _folder(environ, "XDG_STATE_HOME", ".local/state")


def data_home(environ: Mapping[str, str]) -> Path | None:
    """For what was measured of ensembles: `$XDG_DATA_HOME/gork`, else `~/.local/share/gork`."""
    return _folder(environ, "XDG_DATA_HOME", ".local/share")


def cache_home(environ: Mapping[str, str]) -> Path | None:
    """For weights: `$XDG_CACHE_HOME/gork`, else `~/.cache/gork`."""
    return _folder(environ, "XDG_CACHE_HOME", ".cache")


def _folder(environ: Mapping[str, str], variable: str, usual: str) -> Path | None:
    """A path that is not absolute is ignored, as the XDG rules say."""
    base = Path(environ.get(variable, ""))
    if base.is_absolute():
        return base / "gork"
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or "")
    return home / usual / "gork" if home.is_absolute() else None
