"""llama.cpp's own server, as a person would run it: a process of its own with its own HTTP API, health page and all."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_RUN = """
import json, os, sys, xllamacpp
asked = json.loads(sys.argv[1])
said = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
params = xllamacpp.CommonParams()
params.model.path = asked["path"]
params.api_keys = asked["keys"]
params.hostnames, params.port = ["127.0.0.1"], 0
params.n_parallel, params.n_ctx = asked["slots"], asked["context"] * asked["slots"]
params.kv_unified, params.fit_params = False, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.use_jinja, params.warmup, params.verbosity = True, False, -1
params.model_alias = {asked["alias"]} if asked["alias"] else set()
params.endpoint_props = True
server = xllamacpp.Server(params)
said.write(server.listening_address + "\\n")
said.close()
sys.stdin.read()
os._exit(0)
"""


@asynccontextmanager
async def llama_server(path: Path, *, context: int = 2048, slots: int = 2, key: str | None = None, alias: str = "") -> AsyncIterator[str]:
    """Start it on these weights; gives the URL that ends in /v1."""
    asked = {"path": str(path), "context": context, "slots": slots, "keys": [key] if key else [], "alias": alias}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RUN, json.dumps(asked), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().strip()
        assert url, "llama-server did not start"
        yield f"{url}/v1"
    finally:
        process.stdin.close()
        await process.wait()
