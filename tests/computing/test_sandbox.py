"""The sandbox: what programs give, what they may use, and how its workers come and go."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gork.computing.sandbox import Broke, BrokeKind, Limits, Ran, Sandbox, without_noise

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def sandbox():
    """One with short limits."""
    async with Sandbox(Limits(seconds=0.5)) as made:
        yield made


async def ran(sandbox: Sandbox, source: str, **how) -> Ran:
    """The output of a program that must run."""
    outcome = await sandbox.run(source, **how)
    assert isinstance(outcome, Ran), outcome
    return outcome


async def test_the_output_is_exact_and_what_is_shown_has_no_binary_noise(sandbox):
    """12.600000000000001 is shown as 12.6; what was printed is kept."""
    outcome = await ran(sandbox, "print(4.2 * 3, 1 / 3)")

    assert outcome.output == "12.600000000000001 0.3333333333333333\n"
    assert outcome.shown == "12.6 0.3333333333333333"


@pytest.mark.parametrize("number", ["3.14", "0.1", "1e-07", "2.675", "100.0", "1.23456789012345"])
def test_numbers_without_noise_stay_as_they_are(number):
    """No digit that a program computed is lost."""
    assert without_noise(number) == number


async def test_the_value_of_a_last_expression_counts_and_nothing_is_empty(sandbox):
    """As at the interpreter's prompt; None and no output are empty."""
    assert (await ran(sandbox, "x = 5\nx * 3")).output == "15\n"
    for source in ("x = 5", "print()", "None", "print(None)"):
        outcome = await sandbox.run(source)
        assert isinstance(outcome, Broke)
        assert outcome.kind is BrokeKind.EMPTY
    assert (await ran(sandbox, "None", none_counts=True)).output == "None\n"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("print(", BrokeKind.SYNTAX),
        ("print(1 / 0)", BrokeKind.ERROR),
        ("import statistics\nprint(statistics.mean([1, 2]))", BrokeKind.NOT_KNOWN),
        ("print(undefined)", BrokeKind.ERROR),
    ],
)
async def test_what_the_sandbox_lacks_is_told_from_what_is_wrong(sandbox, source, kind):
    """A module that it does not have says nothing about whether a program is right."""
    outcome = await sandbox.run(source)

    assert isinstance(outcome, Broke)
    assert outcome.kind is kind


async def test_a_seed_decides_what_is_drawn(sandbox):
    """The same turn draws the same; another seed draws otherwise."""
    source = "import random\nprint(random.random())"
    first, again, other = [await ran(sandbox, source, seed=seed) for seed in (7, 7, 8)]

    assert first.output == again.output != other.output


async def test_variables_are_texts_that_the_program_finds(sandbox):
    """They are handed over, not written into the source."""
    assert (await ran(sandbox, "print(len(question))", variables={"question": "a'b\n\"c"})).output == "6\n"


async def test_a_cancelled_program_is_gone_within_a_second_and_the_next_one_runs():
    """Ctrl-C in the middle of an endless loop."""
    async with Sandbox(Limits(seconds=60)) as sandbox:
        await sandbox.warm()
        task = asyncio.create_task(sandbox.run("while True: pass"))
        done, _ = await asyncio.wait({task}, timeout=0.3)
        assert not done
        began = time.monotonic()
        task.cancel()
        await asyncio.wait({task})

        assert time.monotonic() - began < 1
        assert task.cancelled()
        assert (await ran(sandbox, "print(1)")).output == "1\n"


async def test_more_programs_than_places_wait_and_all_run():
    """No more workers than the limit says."""
    async with Sandbox(Limits(at_once=2)) as sandbox:
        outcomes = await asyncio.gather(*(sandbox.run(f"print({number})") for number in range(9)))

        assert [outcome.output for outcome in outcomes if isinstance(outcome, Ran)] == [f"{number}\n" for number in range(9)]
        assert len(sandbox._idle) <= 2


async def test_a_closed_sandbox_runs_nothing():
    """What comes after its end is told that there is none."""
    sandbox = Sandbox()
    await sandbox.aclose()
    outcome = await sandbox.run("print(1)")

    assert isinstance(outcome, Broke)
    assert outcome.kind is BrokeKind.UNAVAILABLE


_HOLDS = """
import asyncio
from gork.computing.sandbox import Limits, Sandbox
async def main():
    sandbox = Sandbox(Limits(seconds=60))
    await sandbox.warm()
    print(sandbox._idle[0]._process.pid, flush=True)
    await sandbox.run("while True: pass")
asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
def test_workers_end_with_a_parent_that_was_killed():
    """Kill -9 of the program in the middle of a program leaves no process."""
    with subprocess.Popen([sys.executable, "-c", _HOLDS], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        group = os.getpgid(worker)
        parent.send_signal(signal.SIGKILL)
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("the worker lives on")


def test_nothing_is_started_and_the_interpreter_is_not_imported_by_an_import():
    """`--help` costs nothing of it."""
    code = "import sys, gork.computing.results, gork.computing.asking; print('pydantic_monty' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert said.stdout == "False\n"


async def test_without_its_package_it_says_so_and_runs_nothing(monkeypatch):
    """Platforms without a wheel: the reason is known before anything is started."""
    monkeypatch.setattr("gork.computing.sandbox._PACKAGE", "no_such_package")
    async with Sandbox() as sandbox:
        lack = sandbox.lacking()
        outcome = await sandbox.run("print(1)")

    assert lack is not None
    assert "pydantic-monty" in lack
    assert isinstance(outcome, Broke)
    assert (outcome.kind, outcome.message) == (BrokeKind.UNAVAILABLE, lack)
