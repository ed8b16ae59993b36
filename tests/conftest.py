"""Fixtures that several files of tests share."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from gork.config.ensemble import load_ensemble
from gork.config.settings import load_settings
from gork.engines.choose import cache_of
from gork.engines.weights import cache
from gork.engines.weights.progress import Lines
from tests.support.real_ollama import lone_ollama, ollama_program, qwen_gguf, qwen_ollama, real_ollama

__all__ = ["lone_ollama", "ollama_program", "qwen_gguf", "qwen_ollama", "real_ollama"]  # fixtures: pytest finds them here

# Where it is set, each of the hundreds of programs that the tests start would compile all of the code again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in two processes; what is named on the command line in this one, where a debugger works."""
    return 2 if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_configure() -> None:
    """Give each of several processes a core of its own: a model whose threads share one with anything else is many times slower."""
    worker, cores = os.environ.get("PYTEST_XDIST_WORKER"), sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if worker is not None and len(cores) > 1:
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write half letters that a test has logged in ASCII: between processes a report travels as UTF-8, which has none."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_collection_finish() -> None:
    """Leave what collecting has made to the end of the run: without this each full garbage collection walks thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def starter_gguf() -> Path:
    """The weights of the ensemble tiny, from the user's own cache; fetched as the program fetches them if they are not there."""
    judge = load_ensemble("tiny").judge
    assert judge is not None
    assert judge.weights is not None
    return cache.fetch(judge.weights, cache_of(load_settings({}, os.environ)), Lines(lambda line: print(line, file=sys.stderr)))
