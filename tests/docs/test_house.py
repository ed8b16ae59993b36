"""The house rules of the tests themselves."""

from __future__ import annotations

import ast
import contextlib
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TESTS = ROOT / "tests"


def imports(source: str, package: str) -> Iterator[str]:
    """Dotted names of all that a module of `package` imports, the programs that it keeps in strings included."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*above, *([module] if module else [])])
                yield from (base, *(f"{base}.{alias.name}" for alias in names))
            case ast.Constant(value=str(text)) if "import" in text:
                with contextlib.suppress(SyntaxError):  # most strings are no programs
                    yield from imports(textwrap.dedent(text), package)


def imported_test_modules(path: Path, source: str) -> set[str]:
    """The test modules among what a file of the tests imports."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    named = {name for name in imports(source, package) if name.startswith("tests.")}
    return {name for name in named if name.rpartition(".")[2].startswith("test_") and (ROOT / (name.replace(".", "/") + ".py")).is_file()}


def test_no_test_module_is_imported():
    """What several tests share is in tests/support or in a conftest.py, so that a test can be changed without breaking another."""
    found = {
        str(path.relative_to(ROOT)): names
        for path in sorted(TESTS.rglob("*.py"))
        if (names := imported_test_modules(path, path.read_text()))
    }

    assert {} == found


@pytest.mark.parametrize(
    "source",
    [
        "from tests.docs.TEST import ROOT",
        "from tests.docs import TEST",
        "from . import TEST",
        "from .TEST import ROOT",
        "import tests.docs.TEST as house",
        "def test():\n    from tests.docs.TEST import ROOT",
        "PROGRAM = '''\n    import sys\n    from tests.docs.TEST import ROOT\n    print(ROOT)\n'''",
    ],
)
def test_every_form_of_such_an_import_is_found(source):
    """At the top, within a function, relative, of the module as a whole, or in a program that a test starts."""
    assert {"tests.docs.test_house"} == imported_test_modules(TESTS / "docs" / "test_other.py", source.replace("TEST", "test_house", 1))
