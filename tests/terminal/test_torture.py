"""Ctrl-C at fifty seeded moments of real turns: the models stop, the prompt is back, the next question is answered."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import time

import pexpect
import pytest

from tests.support.paths import ROOT
from tests.support.processes import is_gone, seconds_until_idle, worker_of
from tests.support.program import Program

PROMPT = re.escape("Enter your query (or 'exit' to quit): ")
MOMENTS = {
    "loading": r"loading",
    "rewriting": r"rewrite +(reading|writing)",
    "reading": r"(plain|coder|solver) +reading",
    "writing": r"(plain|coder|solver) +writing",
    "judging": r"judge +(reading|writing)",
    "saving": r"Response:",
}
"""What stands on the screen when the moment has come."""
STOPS_WITHIN_S = 1.5
"""A second, and the batch of a prompt that is being read."""


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_ctrl_c_at_fifty_moments_never_costs_more_than_the_turn(tmp_path, starter_gguf):
    """Each time the engine is idle in time (read from its CPU), the prompt is back, and the next question is answered right."""
    rng = random.Random(20)
    env = Program(tmp_path).env | {"TERM": "xterm", "GORK_CACHE": str(starter_gguf.parent), "PROMPT_TOOLKIT_NO_CPR": "1"}
    command = [str(ROOT / "final_script.py"), "--ensemble", "tiny", "--seed", "1"]
    screen = pexpect.spawn(sys.executable, command, env=env, encoding="utf-8", codec_errors="replace", dimensions=(40, 100), timeout=60)
    screen.expect(PROMPT)
    hits: dict[str, int] = {}
    for number in range(50):
        moment = list(MOMENTS)[number % len(MOMENTS)]
        if moment == "loading" and number:
            os.kill(worker_of(screen.pid), signal.SIGKILL)  # so that it has to be loaded again
        question = "Explain in detail how a car engine works." if moment != "saving" else "What is the capital of France?"
        screen.send(f"{question} {number}\r" if moment != "saving" else f"{question}\r")
        screen.expect(MOMENTS[moment])
        time.sleep(rng.uniform(0, 0.3))
        screen.send("\x03")
        worker = None if moment == "loading" else worker_of(screen.pid)
        screen.expect(PROMPT, timeout=15)
        if worker is not None:
            assert seconds_until_idle(worker) < STOPS_WITHIN_S, moment
        hits[moment] = hits.get(moment, 0) + 1
        screen.send("/clear\r")
        screen.expect(PROMPT)
        screen.send("What is the capital of Italy?\r")
        screen.expect(r"Response: (.*?)chosen:")
        assert "Rome" in screen.match[1], (moment, screen.match[1])
        screen.expect(PROMPT)
    worker = worker_of(screen.pid)
    screen.send("exit\r")
    screen.expect(pexpect.EOF)
    screen.close()

    assert sum(hits.values()) == 50
    assert set(hits) == set(MOMENTS)
    assert screen.exitstatus == 0
    assert is_gone(worker)
