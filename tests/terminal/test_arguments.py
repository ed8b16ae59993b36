"""The help, the verbs that only print, and completion: what a person who has just found the program reads first."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from gork.config.ensemble import read_ensemble, shipped_ensembles
from gork.config.settings import SETTINGS
from gork.errors import UsageError
from gork.terminal import arguments, program
from tests.support.program import Program


def test_every_setting_is_in_the_help_of_questions_or_of_the_service():
    """No flag is left without a line that explains it."""
    texts = (arguments.help_for(["--help"]) or "") + (arguments.help_for(["serve", "--help"]) or "")
    flags = [
        f"{one.flag}-file" if one.secret else f"--[no-]{one.flag[2:]}" if isinstance(one.default, bool) else one.flag
        for one in SETTINGS.values()
    ]

    assert [] == [flag for flag in flags if f" {flag} " not in texts.replace("\n", " ")]


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (["-h"], "--seed N "),
        (["--help"], "--engine {auto,ollama,openai,embedded}"),
        (["--help"], "--sessions PATH"),
        (["--help"], "--idle-exit SECONDS"),
        (["serve", "--help"], "--port N "),
        (["serve", "--help"], "(default: 8080)"),
        (["--port", "1", "serve", "-h"], "usage: final_script.py serve [OPTIONS]"),
        (["doctor", "--help"], "Maximum time for each model"),
        (["serve", "--help"], "(default: 127.0.0.1)"),
        (["serve", "--help"], "--[no-]optimize"),
        (["weights", "--help"], "weights path|remove NAME"),
    ],
)
def test_help_has_placeholders_defaults_and_a_page_for_each_verb(monkeypatch, asked, line):
    """What a value must look like, what holds without it, and for a verb only what it uses."""
    monkeypatch.setattr("sys.argv", ["final_script.py"])
    text = arguments.help_for(asked) or ""

    assert line in " ".join(text.split()) + " "
    assert ("--port" in text) == ("serve" in asked)


@pytest.mark.parametrize("columns", ["40", "60", "80"])
@pytest.mark.parametrize("verb", [None, *arguments.VERBS])
def test_the_help_is_broken_at_words_for_the_windows_width(monkeypatch, verb, columns):
    """Descriptions, commands, options and the end of it; only what is typed, which must be copied as it is, may be longer."""
    monkeypatch.setenv("COLUMNS", columns)
    text = arguments.help_for([*([verb] if verb else []), "-h"]) or ""
    typed = re.compile(r"usage: | {7}\S+ \w+ |  (python )?\S+ (completion|doctor|ensembles|pull|serve|wait|weights) ")

    assert [] == [line for line in text.splitlines() if len(line) > int(columns) and not typed.match(line)]


async def test_an_option_that_there_is_not_is_answered_with_the_nearest(run_here):
    """In one line, with exit code 2; without a near one the help is named."""
    code, out, err = await run_here("--quite", "hello")
    unlike = await run_here("--zzzzzz", "hello")
    missing = await run_here("--seed")

    assert (2, b"", 1) == (code, out, err.count("\n"))
    assert 'there is no option --quite, did you mean "--quiet"?' in err
    assert "--help" in unlike[2]
    assert "--seed: expected one argument" in missing[2]
    assert "--help" in missing[2]


async def test_what_cannot_be_continued_or_asked_is_said_before_weights_are_downloaded(tmp_path):
    """Half a gigabyte for a mistyped name would be too much: nothing is said of an engine or of a download."""
    program = Program(tmp_path)
    offline = ("--engine", "embedded", "--ensemble", "tiny", "--offline", "--cache", str(tmp_path / "empty"))
    session = await program.run(*offline, "--continue", "1999-nope", "hello")
    member = await program.run(*offline, "--only", "nobody", "hello")

    assert (2, b"") == session[:2] == member[:2]
    assert 'no session "1999-nope"' in session[2]
    assert 'no candidate "nobody"' in member[2]
    assert "engine:" not in session[2] + member[2]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["what", "--seed", "1", "is", "-q", "this"], ["what", "is", "this"]),
        (["what", "--seed", "1", "--", "is", "--list"], ["what", "is", "--list"]),
        (["--", "-x"], ["-x"]),
        (["-", "-q"], ["-"]),
        (["doctor", "--json", "llama"], ["doctor", "llama"]),
    ],
)
def test_words_stand_before_between_and_behind_flags(given, words):
    """They are one question in their order, or a verb with its words; behind -- all are words."""
    assert words == arguments.parsed(given)["question"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--list", "extra"], "--list takes no words: extra"),
        (["ensembles", "--list"], "--list takes no words: ensembles"),
        (["--show-config", "extra"], "--show-config takes no words: extra"),
        (["doctor", "-f", "x"], "-f goes with questions, not with doctor"),
        (["pull", "--system", "x"], "--system goes with questions, not with pull"),
        (["serve", "--only", "qwen"], "--only goes with questions, not with serve"),
        (["wait", "-o", "temperature=0"], "-o goes with questions, not with wait"),
        (["-o", "=1", "hello"], "give NAME=VALUE"),
        (["-f", "-", "hello"], "give the path of a file"),
    ],
)
async def test_nothing_that_was_given_is_left_unused(run_here, server, given, says):
    """Where a word or a flag would be ignored, that is said, with exit code 2, and nobody is asked."""
    code, out, err = await run_here(*given)

    assert (2, b"", [], 1) == (code, out, server.requests, err.count("\n"))
    assert says in err


async def test_a_question_may_follow_continue(run_here, server):
    """What stands alone behind it, or begins with a digit, is a session's id; other words are the question."""
    await run_here("--no-optimize", "--save", "one")
    code, _, err = await run_here("--no-optimize", "--continue", "and", "in", "Go?")
    assert (0, True) == (code, "there is no session to continue yet" in err)
    assert "and in Go?" == server.chats[-1]["messages"][-1]["content"]
    for given in (["--continue", "nope", "-i"], ["--continue", "1999", "hello"]):
        code, _, err = await run_here(*given)
        assert (2, True) == (code, f'no session "{given[1]}"' in err), err


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (["weights"], "weights"),
        (["weights", "path", "x"], "weights"),
        (["ensembles", "show", "x"], "ensembles"),
        (["serve and protect"], None),
        (["what", "is", "serve"], None),
    ],
)
def test_the_verb_is_told_from_a_question(words, verb):
    """It is the first word, alone or with words of its own; after -- all are a question."""
    found = arguments.verb_of(words, words)

    assert verb == (found and found.name)
    assert arguments.verb_of(words, ["--", *words]) is None


def test_the_error_about_a_verb_names_the_program_as_it_was_started(monkeypatch):
    """Installed it is `gork`."""
    for argv, call in (
        ("/usr/bin/gork", "gork"),
        (r"C:\Scripts\gork.exe".replace("\\", "/"), "gork"),
        ("final_script.py", "python final_script.py"),
    ):
        monkeypatch.setattr("sys.argv", [argv])
        with pytest.raises(UsageError, match="-- ") as error:
            arguments.verb_of(["pull", "x"], [])
        assert f'{call} -- "pull x"' in str(error.value)
        assert call.endswith(program.name())


class TestEnsembles:
    async def test_shipped_ones_and_the_users_own_are_listed(self, program: Program):
        """A file in the settings folder is an ensemble by its name; one that is broken is named with its mistake."""
        folder = program.home / ".config" / "gork" / "ensembles"
        folder.mkdir(parents=True)
        (folder / "mine.yaml").write_text("name: mine\ndescription: My own.\ncandidates: [{name: a, model: 'a:1b'}]\n")
        (folder / "broken.yaml").write_text("name: broken\n")
        (folder / "tiny.yaml").write_text("name: tiny\ncandidates: [{name: a, model: 'a:1b'}]\n")
        code, out, _ = await program.run("ensembles")
        text = out.decode()

        assert 0 == code
        assert all(f"{name}  (" in text for name in shipped_ensembles())
        assert "mine  (1 candidate)" in text
        assert "My own." in text
        assert "broken  (cannot be used: " in text
        assert "tiny  (not used: a shipped one has this name" in text

    async def test_one_that_is_shown_can_be_copied_and_changed(self, program: Program, server):
        """What `show` prints is an ensemble file, and in its folder it can be named."""
        server.models.append("own:1b")
        code, out, _ = await program.run("ensembles", "show", "starter")
        read_ensemble(out.decode(), "shown")
        folder = program.home / ".config" / "gork" / "ensembles"
        folder.mkdir(parents=True)
        (folder / "mine.yaml").write_text("name: mine\ncandidates: [{name: a, model: 'own:1b'}]\n")
        asked, answer, _ = await program.run("--ensemble", "mine", "hello there")

        assert (0, 0) == (code, asked)
        assert answer

    async def test_an_unknown_name_is_answered_with_those_that_there_are(self, program: Program):
        """Exit code 2."""
        code, out, err = await program.run("ensembles", "show", "heavy-light")

        assert (2, b"") == (code, out)
        assert 'did you mean "heavy-lite"' in err


@pytest.mark.parametrize("shell", arguments.SHELLS)
def test_completion_is_a_script_that_its_shell_can_read(shell, tmp_path):
    """Commands, options and the names of ensembles are in it."""
    script = arguments.completion(shell)
    assert all(word in script for word in ("doctor", "ensemble", "starter", "no-optimize", "embedded"))
    if (found := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "script"
    file.write_text(script)
    subprocess.run([found, "-n", str(file)], check=True, env={"PATH": os.environ["PATH"]})


def test_bash_completes_verbs_flags_and_ensembles(tmp_path):
    """Asked as bash asks when Tab is pressed."""
    file = tmp_path / "script"
    file.write_text(arguments.completion("bash"))

    def completed(*words: str) -> set[str]:
        typed = " ".join(f"'{word}'" for word in words)
        ask = f'source {file}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _shtab_gork; echo "${{COMPREPLY[@]}}"'
        return set(subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout.split())

    assert {"doctor", "pull", "serve", "weights"} <= completed("gork", "")
    assert {"--ensemble", "--engine"} == completed("gork", "--en")
    assert {"tiny", "starter"} <= completed("gork", "--ensemble", "")
    assert {"auto", "ollama", "openai", "embedded"} == completed("gork", "--engine", "")
    assert {"path", "remove"} <= completed("gork", "weights", "")
