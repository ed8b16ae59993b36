"""Untrusted programs, run by an interpreter that has no access to this machine, in processes of their own and within limits.

The interpreter is pydantic-monty (it knows a part of Python); `worker.py` is the process that keeps it. Nothing is started before it is
asked for, and nothing is left of a program that was cancelled or went too far: its process is killed and the next program gets another.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from gork.computing.wildcards import named_imports

WORKER = Path(__file__).with_name("worker.py")
_PACKAGE = "pydantic_monty"
_START_S = 15.0
"""How long a worker may take to start (0.1 s where nothing else runs)."""
_MARGIN_S = 1.5
"""What the whole of a run may take beyond the limits that the interpreter keeps itself; then its process is killed."""
_LONGEST_REQUEST = 100_000
"""Characters of a program; a model that writes for a whole answer stays far below."""
_KEPT_ENVIRONMENT = ("HOME", "USERPROFILE", "APPDATA", "PYTHONUSERBASE", "SYSTEMROOT", "PATH")
"""What a worker needs to find the package's program and to start; tokens and keys are not among it."""
_ADDRESS = re.compile(r"<\w[^\n]{0,200}? at 0x[0-9a-f]{1,16}>")
_FLOAT = re.compile(r"(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?(?!\w|\.\d)")


class BrokeKind(StrEnum):
    """Why there is no output."""

    SYNTAX = "syntax"
    """CPython cannot read it."""
    ERROR = "error"
    """It raised an exception."""
    NOT_KNOWN = "not_known"
    """It needs a module or a feature that the sandbox lacks; says nothing about whether it is right."""
    TIME = "time"
    MEMORY = "memory"
    OUTPUT = "output"
    """It printed more than is read."""
    EMPTY = "empty"
    """It printed nothing, or None, or an object that has no form but its place in memory."""
    UNAVAILABLE = "unavailable"
    """There is no sandbox here, or none could be started."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a program may use, and how many may run at once."""

    seconds: float = 1.0
    """Of execution. Showing the value of a last expression has the same time once more."""
    memory_mb: int = 64
    output_bytes: int = 4096
    at_once: int = 2
    """Worker processes at most; further programs wait for one."""


class Ran(msgspec.Struct, frozen=True):
    """A program that ended well."""

    output: str
    """What it printed, exactly."""
    seconds: float

    @property
    def shown(self) -> str:
        """The output as people write it: without white space around it and without binary noise in its numbers."""
        return _FLOAT.sub(lambda match: without_noise(match[0]), self.output.strip("\n").rstrip())


class Broke(msgspec.Struct, frozen=True):
    """A program without an output."""

    kind: BrokeKind
    message: str
    """One line for people."""
    seconds: float


Outcome = Ran | Broke


class Lack(msgspec.Struct, frozen=True):
    """There is no sandbox here."""

    reason: str
    """One line for people."""
    new: bool
    """Whether this is the first time that it is found; else it has been told."""


def without_noise(number: str) -> str:
    """A float as `repr` writes it, without the noise of its binary form; any other number as it is.

    >>> without_noise("12.600000000000001"), without_noise("0.7999999999999999"), without_noise("3.3333333333333335")
    ('12.6', '0.8', '3.3333333333333335')
    """
    value = float(number)
    if repr(value) != number:
        return number
    digits = sum(map(str.isdigit, number.partition("e")[0].lstrip("0.")))
    for kept in (15, 14, 13):
        shorter = repr(float(f"{value:.{kept}g}"))
        if len(number) - len(shorter) >= digits - kept + 3:  # rounding alone takes `digits - kept`; what else goes are zeros
            return shorter
    return number


class Sandbox:
    """Runs programs. Of one event loop; to be closed. Starts its first worker at the first `warm` or `run`."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Plan it; nothing is started."""
        self.limits = limits or Limits()
        self._places = asyncio.Semaphore(self.limits.at_once)
        self._starting = asyncio.Lock()
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._ended: set[asyncio.Task[None]] = set()
        self._missing: str | None = None
        self._works = False
        self._told: str | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the workers and what runs in them; nothing starts any more."""
        self._closed = True
        for worker in (*self._idle, *self._busy):
            self._end(worker)
        self._idle.clear()
        if self._ended:
            await asyncio.wait(self._ended)

    def lacking(self) -> str | None:
        """Why no program can be run here, as far as that is known without starting anything; None if nothing speaks against it."""
        if self._missing is None and importlib.util.find_spec(_PACKAGE) is None:
            self._missing = "pydantic-monty is not installed here: `pip install -r requirements-core.txt` gets it where there is a wheel"
        return self._missing

    async def warm(self) -> None:
        """Have a worker ready, so that the first program need not wait for it; says nothing if there can be none."""
        with contextlib.suppress(_Unavailable):
            async with self._places, self._starting:
                self._idle.append(await self._worker())

    async def lack(self) -> Lack | None:
        """Why programs cannot be run here; None if they can, as one has shown. What failed is tried again at the next call."""
        if self._works:
            return None
        reason = await self.available()
        if reason is None:
            self._works = True
            return None
        new, self._told = reason != self._told, reason
        return Lack(reason, new=new)

    async def available(self) -> str | None:
        """None if programs run here, tried by one; else the reason in one line."""
        outcome = await self.run("print(6 * 7)")
        if isinstance(outcome, Ran):
            return None if outcome.output == "42\n" else "it computes wrongly here"
        return outcome.message

    async def run(self, source: str, *, seed: int | None = None, none_counts: bool = False) -> Outcome:
        """Run a program: what it printed, or the value of its last expression if it printed nothing.

        `seed` is the start of its `random`. An output of "None" is taken for none, unless `none_counts`. Cancelled, it ends the
        program at once.
        """
        if len(source) > _LONGEST_REQUEST:
            return Broke(BrokeKind.NOT_KNOWN, f"longer than {_LONGEST_REQUEST} characters", 0.0)
        request = {
            "source": named_imports(source),
            "seed": seed,
            "timezone": _local_zone(),
            "seconds": self.limits.seconds,
            "memory_mb": self.limits.memory_mb,
            "output_bytes": self.limits.output_bytes,
        }
        try:
            outcome = await self._asked(request) or await self._asked(request)  # it may have died while it waited
        except _Unavailable as exc:
            self._works = False
            return Broke(BrokeKind.UNAVAILABLE, str(exc), 0.0)
        if outcome is None:
            return Broke(BrokeKind.NOT_KNOWN, "ended the process that ran it", 0.0)
        if isinstance(outcome, Ran) and outcome.output.strip() in ("", *(() if none_counts else ("None",))):
            return Broke(BrokeKind.EMPTY, "printed nothing", outcome.seconds)
        if isinstance(outcome, Ran) and _ADDRESS.search(outcome.output):
            return Broke(BrokeKind.EMPTY, "printed where an object is in memory", outcome.seconds)
        return outcome

    async def _asked(self, request: Mapping[str, object]) -> Outcome | None:
        """What one worker says; None if it died. Raises `_Unavailable`."""
        async with self._place() as worker:
            return await worker.ask(request, within_s=2 * self.limits.seconds + _MARGIN_S)

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[_Worker]:
        """A worker for one program; it is kept for the next one unless the program took it along or was cancelled."""
        async with self._places:
            async with self._starting:
                worker = await self._worker()
            self._busy.add(worker)
            try:
                yield worker
            except BaseException:
                worker.kill()
                raise
            finally:
                self._busy.discard(worker)
                if worker.up and not self._closed:
                    self._idle.append(worker)
                else:
                    self._end(worker)

    async def _worker(self) -> _Worker:
        """An idle worker, else a new one. Raises `_Unavailable`."""
        while self._idle:
            worker = self._idle.pop()
            if worker.up:
                return worker
            self._end(worker)
        if self._closed:
            raise _Unavailable("the sandbox was closed")
        if (lack := self.lacking()) is not None:
            raise _Unavailable(lack)
        worker = _Worker()
        try:
            await worker.start()
        except BaseException as exc:
            self._end(worker)
            if isinstance(exc, _Missing):
                self._missing = str(exc)
            raise
        return worker

    def _end(self, worker: _Worker) -> None:
        worker.kill()
        task = asyncio.create_task(worker.ended(), name="end of a sandbox worker")
        self._ended.add(task)
        task.add_done_callback(self._ended.discard)


class _Unavailable(Exception):
    """Raised when no worker can be had; its text says why."""


class _Missing(_Unavailable):
    """Raised when no worker can ever be had here."""


@dataclass(frozen=True, slots=True)
class Pipes:
    """What is said to a worker, and what it says."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader


class _Worker:
    """One process of `worker.py`, which runs one program at a time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self.up = False

    async def start(self) -> None:
        """Start it and wait until it can run programs. Raises `_Unavailable`."""
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-X", "utf8", str(WORKER), *filter(None, sys.path)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment,
                limit=2**20,
                start_new_session=True,  # Ctrl-C on the terminal is the caller's; its group can be killed with all that it started
            )
            async with asyncio.timeout(_START_S):
                hello = await self._reply()
        except OSError as exc:
            raise _Unavailable(f"its process could not be started: {exc}") from exc
        except TimeoutError:
            raise _Unavailable(f"its process did not start within {_START_S:g} s") from None
        if hello is None:
            raise _Unavailable("its process ended at once")
        if "unavailable" in hello:
            raise _Missing(f"pydantic-monty does not work here: {hello['unavailable']}")
        self.up = True

    async def ask(self, request: Mapping[str, object], *, within_s: float) -> Outcome | None:
        """Run one program; a worker that does not answer in time is killed. None if it died of itself."""
        process = self._running()
        try:
            async with asyncio.timeout(within_s):
                with contextlib.suppress(ConnectionError):  # it has just died; the reply says so
                    process.stdin.write(json.dumps(request).encode() + b"\n")
                    await process.stdin.drain()
                reply = await self._reply()
        except TimeoutError:
            self.kill()
            return Broke(BrokeKind.TIME, f"did not end within {within_s:g} s", within_s)
        if reply is None or "unavailable" in reply:
            self.kill()
            return None
        if "output" in reply:
            return Ran(reply["output"], reply["seconds"])
        return Broke(BrokeKind(reply["kind"]), reply["message"], reply["seconds"])

    async def _reply(self) -> dict[str, Any] | None:
        """The next line that it says; None if it ended instead."""
        try:
            line = await self._running().stdout.readline()
        except ValueError:  # longer than can be: nothing of ours
            return None
        return msgspec.json.decode(line, type=dict[str, Any]) if line.endswith(b"\n") else None

    def _running(self) -> Pipes:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("the worker was not started")
        return Pipes(process.stdin, process.stdout)

    def kill(self) -> None:
        """End it and the interpreter that it keeps, now."""
        self.up = False
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    async def ended(self) -> None:
        """Wait for the end of a process that was killed."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


def _local_zone() -> dict[str, object]:
    """The time zone of here and now, as an offset: a name would ask for a data base of zones, which slim images lack."""
    now = datetime.now().astimezone()
    offset = now.utcoffset()
    return {"offset_seconds": int(offset.total_seconds()) if offset else 0, "name": now.tzname() or "local"}
