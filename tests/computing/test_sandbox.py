"""The sandbox: what programs give, within which limits, and what is left of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio

from gork.computing import sandbox as sandbox_module
from gork.computing.sandbox import Broke, BrokeKind, Limits, Ran, Sandbox, without_noise
from tests.support.paths import ROOT
from tests.support.processes import is_gone


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Sandbox]:
    """One sandbox for the tests that only run programs."""
    async with Sandbox(Limits(seconds=0.5)) as made:
        yield made


async def output_of(sandbox: Sandbox, source: str, **how: object) -> str:
    """What a program that runs prints."""
    outcome = await sandbox.run(source, **how)
    assert isinstance(outcome, Ran), outcome
    return outcome.output


async def kind_of(sandbox: Sandbox, source: str, **how: object) -> BrokeKind:
    """How a program ends that does not run."""
    outcome = await sandbox.run(source, **how)
    assert isinstance(outcome, Broke), outcome
    return outcome.kind


def process_of(sandbox: Sandbox) -> int:
    """The process of the only worker that waits."""
    (worker,) = sandbox._idle
    assert worker._process is not None
    return worker._process.pid


def descendants(pid: int) -> list[int]:
    """Processes that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


async def until_gone(*pids: int) -> float:
    """Wait for the end of processes; returns the seconds that it took."""
    started = time.monotonic()
    async with asyncio.timeout(5):
        while not all(map(is_gone, pids)):
            await asyncio.sleep(0.005)
    return time.monotonic() - started


@pytest.mark.asyncio(loop_scope="module")
class TestOutput:
    @pytest.mark.parametrize(
        ("source", "output"),
        [
            ("print(6 * 7)", "42\n"),
            ("print('a')\nprint('b')", "a\nb\n"),
            ("6 * 7", "42\n"),
            ("x = 'ü'; x  # the word", "ü\n"),
            ("(1,\n 2)\n", "(1, 2)\n"),
            ("def f():\n    return [1, 2]\n\nf()", "[1, 2]\n"),
            ("print('printed')\n42", "printed\n"),
            ("'two ' \\\n'lines'", "two lines\n"),
            ("if __name__ == '__main__':\n    print('main')", "main\n"),
            ("\tprint(1)".strip(), "1\n"),
            ("print(0.1 + 0.2)", "0.30000000000000004\n"),
        ],
    )
    async def test_what_is_printed_counts_else_the_last_value(self, shared: Sandbox, source: str, output: str):
        """Exactly as it was printed; the value of a last expression only where nothing was."""
        assert await output_of(shared, source) == output

    @pytest.mark.parametrize("source", ["", "x = 1", "print()", "None", "def f(): pass\nf()", "print(None)", "# nothing"])
    async def test_nothing_and_none_are_empty(self, shared: Sandbox, source: str):
        """A program that forgot to return its result has not answered."""
        assert await kind_of(shared, source) is BrokeKind.EMPTY

    async def test_none_counts_where_it_is_asked_for(self, shared: Sandbox):
        """What does `print([].sort())` print? None."""
        assert await output_of(shared, "print([].sort())", none_counts=True) == "None\n"

    @pytest.mark.parametrize(
        ("source", "shown"),
        [
            ("print(12 * 1.05)", "12.6"),
            ("print(0.1 + 0.2, 1.1 * 3)", "0.3 3.3"),
            ("print([4.35 * 100, 'v1.10000000000000001'])", "[435.0, 'v1.10000000000000001']"),
            ("print(10 / 3)", "3.3333333333333335"),
            ("print('  indented\\nlines\\n\\n')", "  indented\nlines"),
            ("print(sum([0.1] * 1000))", "100.0"),
            ("print(2 ** 100)", "1267650600228229401496703205376"),
        ],
    )
    async def test_what_is_shown_has_no_binary_noise_and_no_white_space_around_it(self, shared: Sandbox, source: str, shown: str):
        """12.6, not 12.600000000000001; no digit is lost otherwise, and the exact output stays."""
        outcome = await shared.run(source)

        assert isinstance(outcome, Ran)
        assert outcome.shown == shown


@pytest.mark.parametrize("number", ["3.141592653589793", "0.1", "12.50", "1e-05", "0.30000000000000004e5", "2.718281828459045"])
def test_digits_that_are_no_noise_stay(number: str):
    """A number is changed only where its end is made of zeros or nines."""
    assert without_noise(number) == number


@pytest.mark.asyncio(loop_scope="module")
class TestEndings:
    @pytest.mark.parametrize(
        ("source", "kind"),
        [
            ("print(", BrokeKind.SYNTAX),
            ("print 1", BrokeKind.SYNTAX),
            ("1 / 0", BrokeKind.ERROR),
            ("raise ValueError('no')", BrokeKind.ERROR),
            ("undefined_name", BrokeKind.ERROR),
            ("'abc'.nothing_like_it()", BrokeKind.ERROR),
            ("def f(a): pass\nf(b=1)", BrokeKind.ERROR),
            ("raise NotImplementedError", BrokeKind.ERROR),
            ("assert 1 == 2", BrokeKind.ERROR),
            ("import fractions", BrokeKind.NOT_KNOWN),
            ("import numpy as np", BrokeKind.NOT_KNOWN),
            ("from math import no_such_thing", BrokeKind.NOT_KNOWN),
            ("input()", BrokeKind.NOT_KNOWN),
            ("def f():\n    yield 1\nlist(f())", BrokeKind.NOT_KNOWN),
            ("'abc'.translate({97: 98})", BrokeKind.NOT_KNOWN),
            ("str.maketrans('a', 'b')", BrokeKind.NOT_KNOWN),
            ("while True: pass", BrokeKind.TIME),
            ("[0] * 10 ** 9", BrokeKind.MEMORY),
            ("while True: print('x')", BrokeKind.OUTPUT),
            ("#" * 200_000, BrokeKind.NOT_KNOWN),
        ],
    )
    async def test_each_ending_has_its_kind(self, shared: Sandbox, source: str, kind: BrokeKind):
        """What the sandbox lacks is not known, what is wrong in CPython too is an error."""
        assert await kind_of(shared, source) is kind

    async def test_syntax_is_that_of_cpython(self, shared: Sandbox):
        """What CPython reads and the interpreter does not is not known; what CPython does not read is never run."""
        assert await kind_of(shared, "def f():\n    yield") is BrokeKind.NOT_KNOWN
        assert await kind_of(shared, "return 1") is BrokeKind.SYNTAX

    async def test_a_message_is_one_short_line(self, shared: Sandbox):
        """Programs choose the words of their errors."""
        outcome = await shared.run("raise ValueError('a\\n' * 1000 + '\\x1b[31m')")

        assert isinstance(outcome, Broke)
        assert outcome.message.isprintable()
        assert len(outcome.message) <= 300


@pytest.mark.asyncio(loop_scope="module")
class TestSurroundings:
    async def test_the_seed_decides_what_is_random(self, shared: Sandbox):
        """The same for the same seed, another for another."""
        source = "import random\nprint(random.random(), random.choice('abcdefgh'))"

        assert await output_of(shared, source, seed=7) == await output_of(shared, source, seed=7)
        assert await output_of(shared, source, seed=7) != await output_of(shared, source, seed=8)

    async def test_no_program_sees_what_one_before_it_left(self, shared: Sandbox):
        """Names, modules that were changed, the seed."""
        await shared.run("left = 1\nimport math\nmath.pi = 3\nprint(1)")

        assert await kind_of(shared, "left") is BrokeKind.ERROR
        assert await output_of(shared, "import math\nprint(math.pi)") == "3.141592653589793\n"

    @pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process cannot be set on Windows")
    @pytest.mark.parametrize("zone", ["UTC", "XYZ-11", "ABC+9:30"])
    async def test_the_clock_is_local(self, shared: Sandbox, monkeypatch: pytest.MonkeyPatch, zone: str):
        """`date.today()` near midnight is the user's day, not that of Greenwich."""
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        try:
            said = await output_of(shared, "from datetime import datetime\nprint(datetime.now().isoformat())")
            now = datetime.now()  # noqa: DTZ005 - the clock on the wall is what is compared
        finally:
            monkeypatch.undo()
            time.tzset()

        assert abs((now - datetime.fromisoformat(said.strip())).total_seconds()) < 3

    async def test_sleep_takes_no_time(self, shared: Sandbox):
        """It is not execution time for the interpreter, so it must not be time at all."""
        started = time.monotonic()

        assert await output_of(shared, "import time\nfor _ in range(50): time.sleep(3600)\nprint('awake')") == "awake\n"
        assert time.monotonic() - started < 1


class TestWorkers:
    async def test_nothing_starts_before_it_is_asked_for(self):
        """Neither by the import nor by making one."""
        async with Sandbox() as sandbox:
            before = descendants(os.getpid())
            await sandbox.run("")
            assert len(descendants(os.getpid())) == len(before) + 1
        async with Sandbox() as sandbox:
            assert descendants(os.getpid()) == before

    def test_importing_the_room_does_not_load_the_interpreter(self):
        """`--help` does not pay for it, and what it might do to a process it does to its own."""
        done = subprocess.run(
            [sys.executable, "-c", "import sys, final_script; print([name for name in sys.modules if 'monty' in name])"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stdout.strip() == "[]"

    async def test_a_warm_worker_is_used_by_the_next_program(self):
        """The one that started while the program was written."""
        async with Sandbox() as sandbox:
            await sandbox.warm()
            warm = process_of(sandbox)
            await sandbox.run("print(1)")

            assert process_of(sandbox) == warm

    @pytest.mark.parametrize(
        "source", ["while True: print('x')", "try:\n    while True: print('x' * 5000)\nexcept BaseException:\n    pass"]
    )
    async def test_a_flood_of_output_is_ended_as_it_comes(self, source: str):
        """Not only when the time is over."""
        async with Sandbox(Limits(seconds=20)) as sandbox:
            started = time.monotonic()

            assert await kind_of(sandbox, source) is BrokeKind.OUTPUT
            assert time.monotonic() - started < 5

    async def test_nothing_is_left_after_closing(self):
        """Neither the process nor the interpreter that it keeps, be it idle or busy."""
        sandbox = Sandbox()
        await sandbox.warm()
        idle = process_of(sandbox)
        left = [idle, *descendants(idle)]
        running = asyncio.create_task(sandbox.run("while True: pass"))
        await asyncio.sleep(0)
        await sandbox.aclose()

        assert len(left) == 2
        assert await until_gone(*left) < 1
        assert isinstance(await running, Broke)
        assert await kind_of(sandbox, "print(1)") is BrokeKind.UNAVAILABLE

    async def test_a_cancelled_program_is_ended_at_once_and_the_next_one_runs(self):
        """Ctrl-C during an endless loop gives the prompt back; the processor is free."""
        async with Sandbox(Limits(seconds=30)) as sandbox:
            await sandbox.warm()
            pid = process_of(sandbox)
            (interpreter,) = descendants(pid)
            running = asyncio.create_task(sandbox.run("while True: pass"))
            await asyncio.sleep(0.05)
            started = time.monotonic()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

            assert time.monotonic() - started < 0.5
            assert await until_gone(pid, interpreter) < 0.5
            assert await output_of(sandbox, "print(1)") == "1\n"

    async def test_a_worker_that_hangs_is_killed_from_outside(self, monkeypatch: pytest.MonkeyPatch):
        """The limits of the interpreter are not the last ones."""
        monkeypatch.setattr(sandbox_module, "_MARGIN_S", 0.1)
        async with Sandbox(Limits(seconds=0.05)) as sandbox:
            await sandbox.warm()
            os.kill(process_of(sandbox), signal.SIGSTOP)
            outcome = await sandbox.run("print(1)")

            assert isinstance(outcome, Broke)
            assert outcome.kind is BrokeKind.TIME
            assert await output_of(sandbox, "print(1)") == "1\n"

    async def test_a_worker_that_died_while_it_waited_costs_no_program(self):
        """By the memory killer, say: the program is given to another one."""
        async with Sandbox() as sandbox:
            await sandbox.warm()
            os.kill(process_of(sandbox), signal.SIGKILL)

            assert await output_of(sandbox, "print(1)") == "1\n"

    @pytest.mark.parametrize(("which", "kind"), [("worker", BrokeKind.TIME), ("interpreter", BrokeKind.NOT_KNOWN)])
    async def test_a_death_in_the_middle_of_a_program_says_nothing_against_it(self, which: str, kind: BrokeKind):
        """A worker's program is run once more (here to its limit); one whose interpreter went is not known; both are replaced."""
        async with Sandbox(Limits(seconds=0.4)) as sandbox:
            await sandbox.warm()
            pid = process_of(sandbox)
            running = asyncio.create_task(sandbox.run("while True: pass"))
            await asyncio.sleep(0.05)
            os.kill(pid if which == "worker" else descendants(pid)[0], signal.SIGKILL)
            outcome = await running

            assert isinstance(outcome, Broke)
            assert outcome.kind is kind
            assert await output_of(sandbox, "print(1)") == "1\n"

    async def test_workers_end_with_a_parent_that_is_killed(self, tmp_path: Path):
        """By -9, in the middle of a program that would run on."""
        script = tmp_path / "parent.py"
        script.write_text(
            textwrap.dedent("""
                import asyncio
                from gork.computing.sandbox import Limits, Sandbox

                async def main():
                    sandbox = Sandbox(Limits(seconds=60))
                    await sandbox.warm()
                    print(sandbox._idle[0]._process.pid, flush=True)
                    await sandbox.run("while True: pass")

                asyncio.run(main())
            """)
        )
        parent = await asyncio.create_subprocess_exec(
            sys.executable, str(script), env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
        )
        assert parent.stdout is not None
        worker = int(await parent.stdout.readline())
        left = [worker, *descendants(worker)]
        parent.kill()
        await parent.wait()

        assert len(left) == 2
        assert await until_gone(*left) < 1

    async def test_each_program_has_an_interpreter_of_its_own(self):
        """What one took of memory is given back with it, and what it did to its interpreter is gone."""
        async with Sandbox() as sandbox:
            await sandbox.warm()
            worker = process_of(sandbox)
            (first,) = descendants(worker)
            await sandbox.run("x = []\nwhile True: x.append('a' * 1000)")

            assert process_of(sandbox) == worker
            assert await until_gone(first) < 1

    async def test_no_more_run_at_once_than_may(self):
        """Further ones wait for their turn, and none is lost."""
        most, others = 0, len(descendants(os.getpid()))
        async with Sandbox(Limits(seconds=5, at_once=2)) as sandbox:
            running = [asyncio.create_task(sandbox.run(f"sum(range(200000))\nprint({number})")) for number in range(8)]
            while not all(task.done() for task in running):
                most = max(most, len(descendants(os.getpid())) - others)
                await asyncio.sleep(0.01)

            assert [(await task).output for task in running] == [f"{number}\n" for number in range(8)]
            assert most == 2

    async def test_a_worker_has_none_of_the_environment_s_secrets(self, monkeypatch: pytest.MonkeyPatch):
        """Who broke out of the interpreter would find no token there."""
        monkeypatch.setenv("GORK_TOKEN", "secret-of-the-host")
        async with Sandbox() as sandbox:
            await sandbox.warm()
            pid = process_of(sandbox)
            environments = [Path(f"/proc/{each}/environ").read_bytes() for each in (pid, *descendants(pid))]

            assert len(environments) == 2
            assert not [found for found in environments if b"GORK" in found or b"secret" in found]


class TestAvailable:
    async def test_here_it_is(self):
        """It computes, and rightly."""
        async with Sandbox() as sandbox:
            assert await sandbox.available() is None
            assert sandbox.lacking() is None

    async def test_without_the_package_it_says_what_is_missing(self, monkeypatch: pytest.MonkeyPatch):
        """On a platform without wheels nothing is tried, and no program counts as wrong."""
        monkeypatch.setattr(sandbox_module, "_PACKAGE", "no_such_package")
        async with Sandbox() as sandbox:
            reason = await sandbox.available()

            assert reason is not None
            assert "pydantic-monty is not installed" in reason
            assert sandbox.lacking() == reason
            assert await kind_of(sandbox, "print(1)") is BrokeKind.UNAVAILABLE
            await sandbox.warm()

    async def test_an_empty_package_of_the_same_name_is_found_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """Where no wheel fits, the index serves an empty version 0, which installs without a word."""
        (tmp_path / "pydantic_monty.py").write_text("")
        worker = tmp_path / "worker.py"
        future = "from __future__ import annotations\n"
        worker.write_text(sandbox_module.WORKER.read_text().replace(future, f"{future}import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"))
        monkeypatch.setattr(sandbox_module, "WORKER", worker)
        async with Sandbox() as sandbox:
            reason = await sandbox.available()

            assert reason is not None
            assert reason.startswith("pydantic-monty does not work here: ImportError")
            assert await kind_of(sandbox, "print(1)") is BrokeKind.UNAVAILABLE

    async def test_a_process_that_cannot_start_is_said_and_tried_again(self, monkeypatch: pytest.MonkeyPatch):
        """Too little memory for a process now is not a machine without the package."""
        async with Sandbox() as sandbox:
            with monkeypatch.context() as broken:
                broken.setattr(sys, "executable", "/no/such/python")
                assert await kind_of(sandbox, "print(1)") is BrokeKind.UNAVAILABLE

            assert await output_of(sandbox, "print(1)") == "1\n"

    async def test_a_lack_is_new_once_and_over_when_it_has_passed(self, monkeypatch: pytest.MonkeyPatch):
        """What is said to people is said once; a sandbox that works is not tried again before each question."""
        async with Sandbox() as sandbox:
            with monkeypatch.context() as broken:
                broken.setattr(sys, "executable", "/no/such/python")
                first, second = await sandbox.lack(), await sandbox.lack()
            assert first is not None
            assert second is not None
            assert (first.new, second.new, first.reason) == (True, False, second.reason)
            assert await sandbox.lack() is None
            monkeypatch.setattr(Sandbox, "run", None)
            assert await sandbox.lack() is None
