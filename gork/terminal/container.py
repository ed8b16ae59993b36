"""A prompt in a container: what it is told there, since it ends with that and may outlive the terminal that it was started from."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from gork.config.settings import Settings
from gork.machine import in_pod
from gork.waiting import meanwhile

AGAIN_IN_POD = "kubectl exec -it deployment/final-script -- python final_script.py"
_STUCK_S = 300
"""A process that has done nothing for so long is stuck in writing to a terminal that nobody reads any more."""
_BEAT_S = 60.0


def is_guest(environ: Mapping[str, str]) -> bool:
    """Whether this process was started into a container by a program outside of it (`kubectl exec`, `docker exec`)."""
    return in_pod(environ) or (sys.platform != "win32" and os.getppid() == 0)


def first_words(environ: Mapping[str, str], settings: Settings) -> str | None:
    """What is said of such a prompt before anything is asked; None where there is nothing to say."""
    if not is_guest(environ) or not settings.save or is_kept(settings):
        return None
    return f"this session will be lost with this {_thing(environ)}: GORK_DATA names no volume that it could be kept in"


def last_words(environ: Mapping[str, str], settings: Settings, session: str | None) -> str:
    """What is said when the container is going; `session` is the id of the saved one."""
    again = f"`{AGAIN_IN_POD}" if in_pod(environ) else "`python final_script.py"
    kept = "" if session is None or not is_kept(settings) else f" --continue {session}"
    lost = "" if kept or session is None else "; the session was not kept (GORK_DATA names no volume)"
    return f"this {_thing(environ)} is being stopped (a restart, another image): come back with {again}{kept}`{lost}"


def is_kept(settings: Settings) -> bool:
    """Whether sessions are kept in a place that was named for it."""
    return settings.save and (settings.data is not None or settings.sessions is not None)


@asynccontextmanager
async def not_stuck() -> AsyncIterator[None]:
    """Have the system end this process when it is stuck for some minutes.

    A terminal whose reader is gone takes some kilobytes and then nothing more: what writes to it never comes back.
    """
    if sys.platform == "win32":
        yield
        return

    async def beat() -> None:
        while True:
            signal.alarm(_STUCK_S)
            await asyncio.sleep(_BEAT_S)

    try:
        async with meanwhile(beat()):
            yield
    finally:
        signal.alarm(0)


def _thing(environ: Mapping[str, str]) -> str:
    return "pod" if in_pod(environ) else "container"
