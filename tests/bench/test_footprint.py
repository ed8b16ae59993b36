"""The bench of footprints: memory of whole families of processes, and rates of streams that are counted while all of them write."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import footprint
from bench.footprint import rate
from bench.processes import family_of, memory_of, watched
from gork.errors import GorkError
from tests.support.tiny_models import write_tiny

LINUX_ONLY = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc")
GRANDCHILD = "import sys; held = bytearray(b'x' * {size}); print('held', flush=True); sys.stdin.read()"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GRANDCHILD!r}.format(size=sys.argv[1])])"


@LINUX_ONLY
def test_memory_is_that_of_a_process_and_all_that_it_started():
    """What a grandchild holds is counted, as long as it does, and not that of others."""
    size = 60 << 20
    before = memory_of(os.getpid())
    with subprocess.Popen([sys.executable, "-c", CHILD, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        family = family_of(process.pid)
        with watched(process.pid) as looks:
            pass
        process.communicate("")

    assert family[0] == process.pid
    assert len(family) == 2
    assert looks[0].resident > 60
    assert looks[0].resident < 60 + 2 * before.resident
    assert 0 < looks[0].proportional <= looks[0].resident
    assert memory_of(process.pid) is None


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([[0, 1, 2, 3, 4], [1, 1.5, 2, 2.5, 3]], 3.0),
        ([[0, 1, 2, 3, 4]], 1.0),
        ([[0, 1, 2], [2, 3, 4]], None),
        ([[0, 1, 2], []], None),
        ([], None),
    ],
)
def test_a_rate_is_that_of_all_streams_together_while_all_write(moments, expected):
    """What comes before the last begins and after the first has ended is not counted; where they never write together there is no rate."""
    assert rate(moments) == expected


@LINUX_ONLY
def test_the_footprint_of_an_ensemble_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Seconds with and without an empty cache, memory and speed of an ensemble on real llama.cpp are printed, and are of the right size."""
    weights = write_tiny(tmp_path / "tiny.gguf", "qwen2")
    mine = tmp_path / "mine.yaml"
    members = "".join(f"  - {{name: {name}, path: {weights}, options: {{num_predict: 8}}}}\n" for name in "abc")
    mine.write_text(f"name: mine\ncandidates:\n{members}context: 1024\n")
    for name in [name for name in os.environ if name.startswith("GORK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))

    code = footprint.main(["--ensemble", str(mine), "--engine", "embedded", "--starts", "1", "--tokens", "40", "--download"])

    out = capsys.readouterr().out
    assert code == 0
    first, again, memory, speed = (float(number) for number in re.findall(r": +([0-9.]+)", out)[-4:])
    assert 0.1 < first < 60
    assert 0.1 < again < 60
    assert memory > weights.stat().st_size / (1 << 20)
    assert speed > 1


def test_a_program_that_gives_no_answer_is_an_error(tmp_path: Path):
    """Nothing is measured of a start that failed."""
    with pytest.raises(GorkError, match="ended with 2"):
        footprint.start(["--no-such-flag"], os.environ | {"HOME": str(tmp_path)})
