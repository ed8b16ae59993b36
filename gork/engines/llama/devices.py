"""What llama.cpp can put a model's layers on besides the processor, by its own list, before anything is loaded."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from gork.engines.llama.child import WORKER, environment

_WITHIN_S: Final = 15.0
"""The first look at a GPU wakes its driver."""
_MOST_BYTES: Final = 1 << 16


async def devices(worker: Path = WORKER, within_s: float = _WITHIN_S) -> tuple[str, ...]:
    """Their names for people, asked in a process of its own: a driver that crashes takes nothing else with it.

    None where nothing is said: what is wrong with llama.cpp is told when a model is started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            str(worker),
            "--devices",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError:
        return ()
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        async with asyncio.timeout(within_s):
            said = await process.stdout.read(_MOST_BYTES)
            await process.wait()  # it ends by itself; to kill it in that moment would have asyncio complain
            listed = json.loads(said)
    except (TimeoutError, ValueError):
        return ()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return tuple(str(one)[:80] for one in listed) if isinstance(listed, list) else ()
