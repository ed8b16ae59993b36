"""The program as its user meets it: a process with arguments, input, two outputs and an exit code."""

from __future__ import annotations

import asyncio
import os
import sys
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

    async def run(self, *arguments: str | bytes, stdin: bytes = b"", **env: str) -> tuple[int, bytes, str]:
        """Run it to its end: exit code, standard output as bytes, standard error as text."""
        process = await self.start(*arguments, **env)
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return process.returncode, out, err.decode()
