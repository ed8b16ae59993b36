"""Outputs that take nothing: a reader that has left, a stream that was closed before the start, a disk that is full."""

from __future__ import annotations

import asyncio
import shlex
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.program import Program

PRINTING = [
    "--help",
    "--version",
    "--list",
    "--show-config",
    "ensembles",
    "ensembles show tiny",
    "weights",
    "doctor",
    "completion bash",
    "hello",
]
"""Command lines that print."""


async def in_shell(program: Program, arguments: str, redirection: str) -> tuple[int, str, str]:
    """Run the program as a shell does, with its exit code (not that of what reads its output)."""
    line = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'final_script.py'))} {arguments} {redirection}; exit ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", line),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=program.env,
        cwd=program.home,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("arguments", PRINTING)
async def test_a_reader_that_has_left_ends_it_quietly(program, arguments):
    """`| true`: the code is that of a program ended by SIGPIPE, or of success if the pipe took it all, and nothing is complained about."""
    code, _, err = await in_shell(program, arguments, "| true")

    assert code in {0, 141}
    assert not {"Traceback", "Exception", "BrokenPipe"} & set(err.replace(":", " ").split())


@pytest.mark.parametrize("arguments", [one for one in PRINTING if one != "--list"])  # there is nothing to list
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
async def test_an_output_that_takes_nothing_is_one_line(program, arguments, redirection):
    """Exit code 1 and the reason."""
    code, _, err = await in_shell(program, arguments, redirection)
    last = err.splitlines()[-1]

    assert (1, True) == (code, "standard output" in last), err
    assert "Traceback" not in err
    assert "Exception" not in err


@pytest.mark.parametrize("redirection", ["2>&-", "2</dev/null"])
async def test_a_chat_whose_prompt_cannot_be_shown_is_held_nevertheless(program, redirection):
    """Standard error is closed, or can only be read: the answers, and nothing else, are on standard output."""
    code, out, _ = await in_shell(program, "-i --no-optimize", f"{redirection} <<<$'capital of france pls\nexit'")

    assert (0, "Response: It is Paris.\n") == (code, out)


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "2>&- <&-"])
@pytest.mark.parametrize("arguments", ["--show-config", "doctor", "hello", "-i"])
async def test_other_closed_streams_change_nothing(program, arguments, closed):
    """Where standard error or standard input is closed, an answer is printed as ever; without an input there is no chat."""
    code, out, err = await in_shell(program, arguments, closed)

    assert "Traceback" not in err
    if arguments != "-i":
        assert (0, True) == (code, bool(out))
