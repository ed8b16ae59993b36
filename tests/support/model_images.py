"""The six images: their Dockerfiles, and what building them needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.support.paths import ROOT

DOCKERFILES = {
    "final-script": "Dockerfile.final_script",
    "promptimizer": "Dockerfile.promptimizer",
    "qwen-small": "Dockerfile.qwen_small",
    "qwen": "Dockerfile.qwen",
    "llama": "Dockerfile.llama",
    "judge": "Dockerfile.judge",
}
MODELS = [name for name in DOCKERFILES if name != "final-script"]
INSECURE = "--insecure"
"""The flag of a pull from a registry without TLS, which is what the tests serve."""


def default_model(name: str) -> str:
    """MODEL as its Dockerfile ships it."""
    found = re.search(r"^ARG MODEL=(\S+)$", (ROOT / DOCKERFILES[name]).read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def package_index() -> str:
    """The package index that this machine's pip uses."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False, timeout=60
    )
    return os.environ.get("PIP_INDEX_URL") or asked.stdout.strip() or "https://pypi.org/simple"
