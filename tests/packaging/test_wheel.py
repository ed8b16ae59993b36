"""The wheel, installed in a fresh environment and asked a question there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from gork import __version__
from tests.support.paths import ROOT
from tests.support.program import OUTSIDE

SOURCES = (
    "gork",
    "bench",
    "licences",
    "final_script.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    *(f"requirements{kind}.txt" for kind in ("", "-core", "-embedded")),
)
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.gguf", "*.egg-info")


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """Run a program to its end; returns what it printed."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(OUTSIDE)}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=outside | env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def sources(folder: Path) -> set[str]:
    """Copy what a wheel is built from; returns the program's files. A build in place would leave files behind for the next one."""
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / name, folder / name)
    return {str(path.relative_to(folder)) for room in ("gork", "bench") for path in (folder / room).rglob("*") if path.is_file()}


def test_the_package_requires_what_the_requirement_files_list():
    """One list: `pip install .` and `pip install -r requirements.txt` bring the same."""
    files = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]["dependencies"]["file"]
    listed = [line.split() for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("-r")]

    assert [["-r", file] for file in files] == listed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_has_every_file_and_answers_in_a_fresh_environment(tmp_path, starter_gguf):
    """`gork` and `gork-bench` are there, and a question is answered by models that it loads itself, far from the repository."""
    (tmp_path / "source").mkdir()
    (tmp_path / "elsewhere").mkdir()
    files = sources(tmp_path / "source")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path / "dist", tmp_path / "source", cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert files | {"final_script.py"} == inside

    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    commands, elsewhere = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin"), tmp_path / "elsewhere"
    run(commands / "python", "-m", "pip", "install", "-q", wheel, cwd=elsewhere)
    home = {"HOME": str(elsewhere), "GORK_CACHE": str(starter_gguf.parent)}

    assert f"{__version__}\n" == run(commands / "gork", "--version", cwd=elsewhere)
    assert run(commands / "gork", "--help", cwd=elsewhere).startswith("usage: gork [OPTIONS] [QUESTION ...]\n")
    assert "--ensemble" in run(commands / "gork-bench", "--help", cwd=elsewhere)
    asked = ("--engine", "embedded", "--ensemble", "tiny", "--seed", "1", "What is the capital of Italy?")
    assert "Rome" in run(commands / "gork", *asked, cwd=elsewhere, **home)
