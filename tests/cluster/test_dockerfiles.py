"""What can be said of the Dockerfiles without building them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gork.config.ensemble import load_ensemble
from tests.support.paths import ROOT

MODELS = {"promptimizer": "promptimizer", "qwen_small": "qwen-small", "qwen": "qwen", "llama": "llama", "judge": "judge"}
"""The end of each model's Dockerfile, and the member that the image is for."""
FILES = ["final_script", *MODELS]
_LINE = re.compile(r"^ARG MODEL=(\S+)$", re.MULTILINE)


def dockerfile(name: str) -> str:
    """A Dockerfile's text."""
    return (ROOT / f"Dockerfile.{name}").read_text()


def program(name: str) -> str:
    """A checker that the development requirements install."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}") or shutil.which(name)
    assert found is not None, f"{name} is missing: pip install -r requirements-dev.txt"
    return found


def instructions(text: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions with their arguments, comments left out and continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in joined.splitlines()]


def final_stage(name: str) -> dict[str, list[str]]:
    """The instructions after the last FROM."""
    stage: dict[str, list[str]] = {}
    for word, rest in instructions(dockerfile(name)):
        if word == "FROM":
            stage = {}
        stage.setdefault(word, []).append(rest)
    return stage


@pytest.mark.skipif(sys.platform == "win32", reason="there is no hadolint wheel for Windows")
@pytest.mark.parametrize("name", FILES)
def test_hadolint_finds_nothing(name: str):
    """No finding of any severity; the one rule that is ignored has its reason beside it."""
    done = subprocess.run([program("hadolint"), f"Dockerfile.{name}"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout) == (0, "")
    for line in dockerfile(name).splitlines():
        if "hadolint ignore" in line:
            assert re.search(r"ignore=\w+ # \w+", line), line


def test_shellcheck_finds_nothing_in_the_script_of_the_builds():
    """bake_model.sh is clean, as a POSIX shell script."""
    script = ROOT / "deploy" / "bake_model.sh"
    done = subprocess.run([program("shellcheck"), str(script)], capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_model_is_the_only_line_in_which_the_five_differ():
    """One ARG MODEL line in each, five different ones, and without it the five texts are one."""
    texts = {name: dockerfile(name) for name in MODELS}

    assert all(len(_LINE.findall(text)) == 1 for text in texts.values())
    assert len({_LINE.findall(text)[0] for text in texts.values()}) == 5
    assert len({_LINE.sub("ARG MODEL", text) for text in texts.values()}) == 1


@pytest.mark.parametrize(("name", "member"), MODELS.items())
def test_the_shipped_default_is_the_ensembles_tag(name: str, member: str):
    """MODEL as shipped is what heavy-lite.yaml asks a laptop's Ollama for; who changes the one is free to leave the other."""
    tags = {each.name: each.model for each in load_ensemble("heavy-lite").members}

    assert _LINE.findall(dockerfile(name)) == [tags[member]]


@pytest.mark.parametrize("name", MODELS)
def test_the_servers_context_is_the_ensembles(name: str):
    """OLLAMA_CONTEXT_LENGTH is what heavy-lite.yaml counts on: no load option is sent to servers that have a URL."""
    (variables,) = [rest for rest in final_stage(name)["ENV"] if "OLLAMA" in rest]

    assert f"OLLAMA_CONTEXT_LENGTH={load_ensemble('heavy-lite').context} " in f"{variables} "


@pytest.mark.parametrize("name", FILES)
def test_images_start_as_a_numbered_user_without_a_shell(name: str):
    """USER is numeric and not root, as the kubelet can check; ENTRYPOINT, CMD and HEALTHCHECK are in exec form."""
    stage = final_stage(name)

    assert stage["USER"] == ["65532:65532"]
    assert all(rest.startswith("[") for word in ("ENTRYPOINT", "CMD") for rest in stage.get(word, []))
    assert re.search(r"CMD \[", stage["HEALTHCHECK"][0])


@pytest.mark.parametrize("name", FILES)
def test_bases_are_pinned(name: str):
    """Each FROM is an ARG of the file, whose default has a full tag."""
    given = dict(rest.split("=", 1) for word, rest in instructions(dockerfile(name)) if word == "ARG" and "=" in rest)
    bases = [rest.split()[0] for word, rest in instructions(dockerfile(name)) if word == "FROM"]

    assert bases
    for base in bases:
        assert re.fullmatch(r"\$\{\w+\}", base), base
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", given[base[2:-1]]), base


@pytest.mark.parametrize("name", FILES)
def test_the_classic_builder_understands_them(name: str):
    """No syntax line, no heredoc, no --mount, no --chmod: those need BuildKit."""
    text = dockerfile(name)

    assert not re.search(r"^#\s*syntax=|<<|--mount|--chmod|--link", text, re.MULTILINE)


def test_the_orchestrator_has_no_engine_inside():
    """It installs requirements-core.txt, which names neither the embedded engine nor the hub's client."""
    text = dockerfile("final_script")
    core = (ROOT / "requirements-core.txt").read_text()

    assert re.findall(r"-r (\S+)", text) == ["/tmp/requirements-core.txt"]  # noqa: S108 - a folder of the image
    assert not re.search(r"^(xllamacpp|huggingface_hub|gguf)", core, re.MULTILINE)


def test_everything_that_is_copied_is_sent_to_the_builder_and_nothing_else():
    """.dockerignore lets in what some Dockerfile copies from the context."""
    copied = {
        source
        for name in FILES
        for word, rest in instructions(dockerfile(name))
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()

    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def test_the_notices_say_what_the_licences_ask_for():
    """The sentences that the licences of Llama 3.2 and Gemma want in a notice, word for word, on one line each."""
    notice = (ROOT / "licences" / "NOTICE").read_text()

    assert "Llama 3.2 is licensed under the Llama 3.2 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved.\n" in notice
    assert "Built with Llama" in notice
    assert "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms\n" in notice
    for member in load_ensemble("heavy-lite").members:
        assert str(member.model) in notice


def test_the_sandbox_comes_with_its_licence_in_the_image_that_installs_it():
    """Monty's packages bring no licence text, and the MIT licence asks for it in all copies."""
    text = (ROOT / "licences" / "pydantic-monty.txt").read_text()

    assert "pydantic-monty>=" in (ROOT / "requirements-core.txt").read_text()
    assert "Permission is hereby granted" in text
    assert "Pydantic Services" in text
    assert ("COPY", "licences licences/") in instructions(dockerfile("final_script"))
