"""What this program is called, for its messages: `gork` where it is installed, else `final_script.py`."""

from __future__ import annotations

import sys
from pathlib import PurePath

INSTALLED, SCRIPT = "gork", "final_script.py"


def name() -> str:
    """How its messages begin, and its usage."""
    return INSTALLED if PurePath(sys.argv[0]).stem.lower() == INSTALLED else SCRIPT


def call() -> str:
    """What a person types to start it."""
    return INSTALLED if name() == INSTALLED else f"python {SCRIPT}"
