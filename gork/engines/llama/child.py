"""One llama.cpp child process: started when first needed, restarted after it died, ended with its parent.

The parent's end of the child's stdin is the leash: it is closed when the child is to go, and the kernel closes it when the parent
ends in whatever way. What the child must know (its API key too) goes through it, since arguments and environment can be read by others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from gork.errors import EngineError

WORKER = Path(__file__).with_name("worker.py")
_LAST_WORDS = 2000
"""Bytes of the child's stderr that are kept for the message about its end."""
_LEAVING_S = 1.0
_NO_ENGINE = (
    "the embedded engine needs xllamacpp, which cannot be imported here ({what}): `pip install xllamacpp` gets it where there "
    "is a wheel for it; elsewhere install Ollama and use --engine ollama"
)
_ILLEGAL = "this processor lacks an instruction that the xllamacpp wheel needs: use --engine ollama"
_KILLED = "unless somebody killed it, it ran out of memory: use smaller weights or a smaller context"


class NotStarted(Exception):
    """Raised when a child could not be started; says why without naming a member, since several may share it."""

    def __init__(self, cause: Literal["missing", "refused", "died", "late"], what: str, fix: str | None = None) -> None:
        self.cause, self.what, self.fix = cause, what, fix
        super().__init__(what)


class Child:
    """The process that serves one weights file to the members that share it."""

    def __init__(
        self,
        path: Path,
        *,
        slots: int,
        context: int,
        threads: int,
        load_s: float,
        gpu_layers: int | None = None,
        worker: Path = WORKER,
    ) -> None:
        """Plan it; `load_s` is how long it may load, `gpu_layers` go to a device where there is one, `worker` is the script it runs."""
        self._gpu_layers = gpu_layers
        self.devices: tuple[str, ...] = ()
        """What its layers are on besides the processor, once it has started."""
        self.path, self.slots, self.context, self.threads, self._load_s, self._worker = path, slots, context, threads, load_s, worker
        self._process: asyncio.subprocess.Process | None = None
        self._leash: int | None = None
        self._starting: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._last_words = b""
        self._closed = False
        self._resting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._requests = 0
        self.default_keep_s = self.keep_s = math.inf
        """How long it stays without a request."""
        self.rested = False
        """Whether it was ended for want of requests."""
        self.url, self.key = "", ""

    @property
    def up(self) -> bool:
        """Whether its server is there to be asked."""
        return bool(self.url) and self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    @property
    def headers(self) -> dict[str, str]:
        """What a request to its server must carry."""
        return {"Authorization": f"Bearer {self.key}"}

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep it while a request runs; its time without one begins after that, and is the usual one until somebody says otherwise."""
        self._requests += 1
        self.keep_s = self.default_keep_s
        self._unwatch()
        try:
            yield
        finally:
            self._requests -= 1
            self.watch()

    def watch(self) -> None:
        """Have its time without a request begin now, unless there is one."""
        self._unwatch()
        if self.keep_s < math.inf and not self._requests and self.up:
            self._timer = asyncio.get_running_loop().call_later(self.keep_s, self.rest)

    def rest(self) -> None:
        """End the process, so that its memory is free, until it is needed again; not while a request runs."""
        self._unwatch()
        if not self._requests and self.up:
            self.url, self.rested = "", True  # from here on it counts as gone
            self._resting = asyncio.create_task(self._stop(), name=f"end {self.path.name}")

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def ensure(self) -> None:
        """Start it unless it is up; those who come while it starts wait for the same start. Raises `NotStarted`, `EngineError`."""
        if self._starting is None or self._starting.done():
            if self.up:
                return
            if self._closed:  # else a request that sees its process go would bring it back
                raise NotStarted("refused", "the engine was closed")
            self._starting = asyncio.create_task(self._start(), name=f"start {self.path.name}")
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())  # the one who waits may be gone
        await asyncio.wait({self._starting})
        self._starting.result()

    async def ended(self, within_s: float) -> tuple[str, str | None] | None:
        """How the process ended and what to do about it, if it does so in time: its connection breaks a moment before it counts as dead."""
        if self._process is None:
            return "it was stopped", None
        try:
            async with asyncio.timeout(within_s):
                code = await self._process.wait()
        except TimeoutError:
            return None
        return _ending(code)

    async def close(self) -> None:
        """End it for good, also in the middle of a start."""
        self._closed = True
        self._unwatch()
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait({self._starting})
        await self._stop()

    async def _start(self) -> None:
        await self._stop()  # what is left of the one before
        self.rested = False
        if not self.path.is_file():
            raise NotStarted("missing", f"there is no file {self.path}", "fetch the weights again or correct the path")
        started = False
        try:
            await self._spawn()
            async with asyncio.timeout(self._load_s):
                await self._hear_url()
            started = True
        except TimeoutError:
            raise NotStarted("late", f"llama.cpp did not load the file within {self._load_s:g} s") from None
        finally:
            if not started:
                await self._stop()

    async def _spawn(self) -> None:
        theirs, self._leash = os.pipe()
        self.key = secrets.token_urlsafe(32)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the worker's folder holds modules of ours whose names others may want to import
                str(self._worker),
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
                start_new_session=True,  # a terminal's Ctrl-C and hang-up are ours alone
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise NotStarted("died", f"its process could not be started: {error}") from None
        finally:
            os.close(theirs)
        self._listening = asyncio.create_task(self._keep_last_words(self._process), name=f"stderr of {self.path.name}")
        request = {
            "path": str(self.path),
            "key": self.key,
            "slots": self.slots,
            "context": self.context,
            "threads": self.threads,
            "gpu_layers": self._gpu_layers,
            "batch": 64,
            "checkpoints": 2,
        }
        with contextlib.suppress(BrokenPipeError):  # dead already: its end is noticed where its reply is read
            os.write(self._leash, json.dumps(request).encode() + b"\n")

    async def _hear_url(self) -> None:
        assert self._process is not None  # noqa: S101 - _spawn has set it
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            line = await self._process.stdout.readline()
            reply = json.loads(line) if line else None
        except ValueError:  # too long a line, or no JSON
            reply = {}
        match reply:
            case {"url": str(url)} if url.startswith("http://127.0.0.1:"):
                self.url = url
                found = reply.get("devices") if isinstance(reply, dict) else None
                self.devices = tuple(str(one)[:80] for one in found) if isinstance(found, list) else ()
            case {"error": "no_engine", "what": what}:
                raise EngineError(_NO_ENGINE.format(what=what))
            case {"error": _}:
                what = "llama.cpp cannot load this file: it is damaged, not GGUF, or of an unknown kind"
                raise NotStarted("refused", what, f"delete {self.path} and fetch it again")
            case None:
                how, fix = _ending(await self._process.wait())
                raise NotStarted("died", f"its process ended while it loaded the file: {how}{self._said()}", fix)
            case _:
                raise NotStarted("died", "its process did not say where it listens" + self._said())

    def _said(self) -> str:
        lines = self._last_words.decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f" (it said: {last[:200]})" if last else ""

    async def _keep_last_words(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        self._last_words = b""
        while piece := await process.stderr.read(4096):
            self._last_words = (self._last_words + piece)[-_LAST_WORDS:]

    async def _stop(self) -> None:
        """End the process and wait for it; being cancelled in here leaves the rest of it to the next call."""
        resting, self._resting = self._resting, None
        if resting is not None and resting is not asyncio.current_task():
            await asyncio.wait({resting})
        self.url = ""
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None
        if self._process is not None:
            try:
                async with asyncio.timeout(_LEAVING_S):
                    await self._process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
            self._process = None
        if self._listening is not None:
            await asyncio.wait({self._listening})
            self._listening = None


def environment() -> dict[str, str]:
    """What a process with llama.cpp in it is started with."""
    return {**os.environ, "GGML_NO_BACKTRACE": "1", "PYTHONUTF8": "1"}


def _ending(code: int) -> tuple[str, str | None]:
    """How a process ended and what to do about it, for people.

    >>> _ending(-15), _ending(3)
    (('it was ended by SIGTERM', None), ('it exited with code 3', None))
    """
    if code >= 0:
        return f"it exited with code {code}", _ILLEGAL if code == 0xC000001D else None
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it was ended by {name}", {"SIGILL": _ILLEGAL, "SIGKILL": _KILLED}.get(name)
