"""What this program is called, for its messages: `gork` where it is installed, else `final_script.py`."""

from __future__ import annotations

import shlex
import sys
from pathlib import PurePath

from gork.config.settings import SETTINGS, Layer, Settings

INSTALLED, SCRIPT = "gork", "final_script.py"


def name() -> str:
    """How its messages begin, and its usage."""
    return INSTALLED if PurePath(sys.argv[0]).stem.lower() == INSTALLED else SCRIPT


def call() -> str:
    """What a person types to start it."""
    return INSTALLED if name() == INSTALLED else f"python {SCRIPT}"


def pull(settings: Settings) -> str:
    """What a person types to have fetched what these settings need: with the flags that chose it, since `pull` alone would choose anew."""
    given = [name for name in ("ensemble", "engine", "cache") if settings.origins[name].layer is Layer.FLAG]
    flags = [f"--{name} {shlex.quote(str(getattr(settings, SETTINGS[name].field)))}" for name in given]
    return " ".join([call(), "pull", *flags])
