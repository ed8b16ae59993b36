"""The program as its user meets it: a process with arguments, input, two outputs and an exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.paths import ROOT

OUTSIDE = ("GORK_", "OLLAMA_", "XDG_", "TERM", "CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
"""What would make a test depend on where the suite runs: settings, and what is said of the terminal around it."""


class Program:
    """Starts `final_script.py` with an environment of its own: no settings and no terminal from outside, Ollama at the given URL."""

    def __init__(self, home: Path, host: str = "http://127.0.0.1:9") -> None:
        self.home = home
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(OUTSIDE)}
        self.env |= {"HOME": str(home), "OLLAMA_HOST": host, "PYTHONUNBUFFERED": "1"}

    async def start(self, *arguments: str | bytes, **env: str) -> asyncio.subprocess.Process:
        """Start it with pipes on all three."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "final_script.py"),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.env | env,
            cwd=self.home,
        )

    @asynccontextmanager
    async def serve(
        self, *arguments: str, starts_within_s: float = 60.0, **env: str
    ) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
        """Run it as a service on a free port, if no other is given: the process, and its URL."""
        process = await self.start("serve", "--port", "0", *arguments, **env)
        assert process.stderr is not None
        reading = None
        try:
            said = b""
            async with asyncio.timeout(starts_within_s):
                while not said.startswith(b"serving at "):
                    said = await process.stderr.readline()
                    assert said, "it ended"
            reading = asyncio.create_task(process.stderr.read())  # else it would stop at a full pipe
            yield process, said.split()[-1].decode()
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(30):
                await process.wait()
                if reading is not None:
                    await reading

    async def run(self, *arguments: str | bytes, stdin: bytes = b"", **env: str) -> tuple[int, bytes, str]:
        """Run it to its end: exit code, standard output as bytes, standard error as text."""
        process = await self.start(*arguments, **env)
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return process.returncode, out, err.decode()
