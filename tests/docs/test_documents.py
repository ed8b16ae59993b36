"""What the documents promise is what the code has."""

from __future__ import annotations

import ast
import re

import pytest

from gork.config.ensemble import load_ensemble, read_ensemble
from gork.config.show import DOCUMENT, settings_document
from gork.terminal import arguments
from gork.terminal.commands import BY_WORD
from tests.support.paths import ROOT


def test_the_document_of_settings_is_the_one_that_the_settings_make():
    """docs/settings.md is what `python -m gork.config.show` writes."""
    assert DOCUMENT.read_text(encoding="utf-8") == settings_document()


def test_the_test_command_for_contributors_is_the_one_that_ci_calls():
    """CI and CONTRIBUTING cannot drift apart."""
    command = ".venv/bin/pip install -r requirements-dev.txt && .venv/bin/pytest"

    assert f"$ {command}\n" in (ROOT / "CONTRIBUTING.md").read_text()
    assert command in (ROOT / ".ci" / "run").read_text()


def test_the_readme_names_the_models_of_the_full_ensemble():
    """Every tag of heavy-lite stands in the README."""
    readme = (ROOT / "README.md").read_text()

    assert all(f"`{member.model}`" in readme for member in load_ensemble("heavy-lite").members)


def test_the_readme_is_read_in_five_minutes():
    """At most 200 lines of at most 120 columns: what is more has a document of its own."""
    lines = (ROOT / "README.md").read_text().splitlines()

    assert len(lines) <= 200
    assert [] == [line for line in lines if len(line) > 120]


def test_what_the_readme_says_can_be_typed():
    """Each command and flag of the program that stands in it exists."""
    readme = (ROOT / "README.md").read_text()
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", readme)) - {"--build", "--wait"}  # of docker compose
    known = set(re.findall(r"--[a-z-]+", arguments.completion("bash")))
    lines = [inline or shown for inline, shown in re.findall(r"`(gork [^`]*)`|^\$ (?:.*\| )?(gork .*)$", readme, re.MULTILINE)]
    typed = {word for line in lines if (word := line.split()[1]).isalpha()}
    commands = set(re.findall(r"`/([a-z]+)[ `]", readme))

    assert set() == flags - known
    assert typed <= set(arguments.VERBS)
    assert commands <= set(BY_WORD)


def test_the_readmes_ensemble_can_be_read():
    """It is a whole file."""
    (file,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    read_ensemble(file, "README.md")


def test_the_ensembles_in_the_document_of_members_can_be_read():
    """Each is a whole file."""
    text = (ROOT / "docs" / "members.md").read_text()
    files = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)

    assert len(files) == len([line for line in text.splitlines() if line.startswith("## ")])
    for file in files:
        read_ensemble(file, "docs/members.md")


def test_links_in_the_documents_lead_somewhere():
    """Relative links name files that are there."""
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("name", ["requirements-core.txt", "requirements-embedded.txt", "requirements.txt", "requirements-dev.txt"])
def test_no_requirement_names_a_package_index(name):
    """Packages come from wherever the user's pip gets them."""
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", (ROOT / name).read_text())


def gathers(function: ast.AsyncFunctionDef) -> bool:
    """Whether a function awaits `asyncio.gather`."""
    return any(
        isinstance(node, ast.Await) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "asyncio.gather"
        for node in ast.walk(function)
    )


def test_the_flow_can_be_read_in_one_sitting():
    """final_script.py has about 300 lines, and in them the one function that gathers the candidates' answers and the call of it."""
    text = (ROOT / "final_script.py").read_text()
    functions = {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.AsyncFunctionDef)}

    assert text.count("\n") <= 330
    (gathering,) = (function for function in functions.values() if gathers(function))
    assert "candidates" in {node.attr for node in ast.walk(gathering) if isinstance(node, ast.Attribute)}
    called = {ast.unparse(node.func) for node in ast.walk(functions["deliberate"]) if isinstance(node, ast.Call)}
    assert gathering.name in {"deliberate", *called}


def test_the_files_that_the_architecture_names_are_there():
    """docs/architecture.md sends nobody to a file that has moved: each path in backticks exists."""
    named = set(re.findall(r"`((?:gork|bench|tests|deploy)/[\w./-]+|final_script\.py)`", (ROOT / "docs" / "architecture.md").read_text()))

    assert len(named) > 30
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_architecture_draws_every_room():
    """A room that is added or renamed is drawn, too."""
    drawing = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    rooms = {path.name for path in (ROOT / "gork").iterdir() if path.name[0] not in "_."}

    assert [room for room in sorted(rooms) if room not in drawing] == []
