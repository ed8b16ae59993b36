"""Python that a model wrote, run where it can do no harm by accident: a bare interpreter with limits, in an empty folder.

The code never sees what its calls should give: values come back over a pipe of their own and are compared by the caller. An audit hook
refuses files to write, processes, sockets and native code; the kernel limits time, memory and files; the process group is killed at the
end. It protects against mistakes of models, not against an attacker who looks for holes in CPython.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bench.judge.graders import CheckFailed

_LARGEST_RESULT = 1 << 20


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call gave, as JSON carries it: tuples are lists, keys are text."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """Why a call gave nothing."""

    what: str


# Runs in the child. Everything that it needs later is imported and bound before the model's code can change it.
_CHILD = r"""
import sys, os, json
def bounded():
    import resource
    for name, most in (("CPU", 2), ("AS", 512 << 20), ("FSIZE", 0), ("NPROC", 0), ("NOFILE", 16), ("CORE", 0)):
        limit = getattr(resource, "RLIMIT_" + name, None)
        if limit is None:
            continue
        hard = resource.getrlimit(limit)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(limit, (most, most))
        except (ValueError, OSError):
            if name in ("CPU", "FSIZE") or sys.platform == "linux":
                raise
def guarded():
    harmless = {"os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.putenv", "os.unsetenv"}
    modules = {
        "os", "shutil", "socket", "subprocess", "ctypes", "pty", "signal", "fcntl", "mmap", "syslog", "resource", "tempfile",
        "_posixsubprocess"
    }
    def hook(event, args):
        if event == "open":
            mode, flags = args[1], args[2]
            if (isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                raise PermissionError("no files are written here")
        elif event.partition(".")[0] in modules and event not in harmless:
            raise PermissionError("not allowed here: " + event)
    sys.addaudithook(hook)
def main():
    job, out = int(sys.argv[1]), int(sys.argv[2])
    write, leave, dumps = os.write, os._exit, json.dumps
    compiled, run, value_of = compile, exec, eval
    with os.fdopen(job, encoding="utf-8") as file:
        token, code, calls = json.load(file)
    def say(*what):
        data = (dumps([token, *what]) + "\n").encode()
        if len(data) > 100_000:
            raise ValueError("too large")
        while data:
            data = data[write(out, data):]
    bounded()
    guarded()
    say("ready")
    space = {"__name__": "answer", "__builtins__": __builtins__}
    def tried(at, what):
        try:
            say(at, "value", what())
        except BaseException as error:
            say(at, "raised", type(error).__name__[:100])
            return False
        return True
    if tried(-1, lambda: run(compiled(code, "answer", "exec"), space)):
        for at, call in enumerate(calls):
            tried(at, lambda: value_of(compiled(call, "call", "eval"), space))
    leave(0)
main()
"""


def run_calls(code: str, calls: Sequence[str], *, timeout_s: float = 5.0) -> list[Returned | Raised]:
    """What each call gives after the code has run, in `timeout_s` seconds together. Raises a `CheckFailed` if nothing can be run."""
    if os.name != "posix":
        raise CheckFailed("model-written Python needs Linux or macOS to be run within limits")
    token = secrets.token_hex(16)
    try:
        with tempfile.TemporaryDirectory(prefix="answer-") as folder, tempfile.TemporaryFile() as job:
            job.write(json.dumps([token, code, list(calls)]).encode())
            job.seek(0)
            output, code_of_exit = _run(job.fileno(), folder, timeout_s)
    except OSError as error:
        raise CheckFailed(f"no sandbox for model-written Python: {error.strerror or error}") from None
    said = list(_said(output, token))
    if ["ready"] not in said:
        raise CheckFailed(f"the sandbox for model-written Python did not start ({_ended(code_of_exit)})")
    return _results(said, len(calls), _ended(code_of_exit))


def _run(job: int, folder: str, timeout_s: float) -> tuple[bytes, int | None]:
    """What the child wrote into its pipe, and its exit code (None if it was out of time)."""
    reading, writing = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _CHILD, str(job), str(writing)],
            cwd=folder,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(job, writing),
            start_new_session=True,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    deadline = time.monotonic() + timeout_s
    try:
        output = _read(reading, deadline)
        if len(output) < _LARGEST_RESULT:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
        exit_code = child.returncode
    finally:
        os.close(reading)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return output, exit_code


def _read(reading: int, deadline: float) -> bytes:
    """What comes until the pipe is closed, the deadline passes or it is too much."""
    output = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while len(output) < _LARGEST_RESULT and selector.select(max(0.0, deadline - time.monotonic())):
            data = os.read(reading, 65_536)
            if not data:
                break
            output += data
    return bytes(output)


def _said(output: bytes, token: str) -> list[list[Any]]:
    """The lines that are the child's own, without their token."""
    found = []
    for line in output.split(b"\n"):
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, list) and said[:1] == [token]:
            found.append(said[1:])
    return found


def _results(said: Sequence[Sequence[Any]], calls: int, ended: str) -> list[Returned | Raised]:
    results: dict[int, Returned | Raised] = {}
    for line in said:
        match line:
            case [int(at), "value", value]:
                results[at] = Returned(value)
            case [int(at), "raised", str(name)]:
                results[at] = Raised(name)
            case _:
                pass
    whole = results.get(-1)
    missing = whole if isinstance(whole, Raised) else Raised(ended)
    return [results.get(at, missing) for at in range(calls)]


def _ended(exit_code: int | None) -> str:
    if exit_code is None:
        return "out of time, or gave too much"
    return f"killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
