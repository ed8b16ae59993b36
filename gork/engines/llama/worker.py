"""What runs in a child process: one llama.cpp server on one weights file, for as long as the parent holds our stdin open.

Run by path, never imported by the parent. It knows nothing of the rest of the program, so that a child starts quickly and a crash in
llama.cpp takes nothing else with it. One JSON line in (see `child.py`), one JSON line out: the server's URL, or why there is none.
With `--devices` it only says what layers of a model can be put on here.
The parent is gone when stdin ends; that holds for every way in which a process can end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from typing import Any, TextIO


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    said = _private_stdout()
    if sys.argv[1:] == ["--devices"]:
        said.write(json.dumps(reported()))
        said.close()
        os._exit(0)
    request = sys.stdin.buffer.readline()
    if not request.endswith(b"\n"):
        os._exit(1)  # the parent was gone before it had said what to do
    _end_with_the_parent()
    server, reply = serve(json.loads(request))
    said.write(json.dumps(reply) + "\n")
    said.close()
    if server is not None:
        sys.stdin.buffer.read()
    os._exit(0)  # dropping a server while one of its requests is open would hang for ever


def _private_stdout() -> TextIO:
    """Keep the real stdout for the one line, and let whatever llama.cpp prints join stderr."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return said


def _end_with_the_parent() -> None:
    """Let the kernel end us when stdin ends: llama.cpp holds the GIL while it loads, so no thread of ours could."""
    try:
        import fcntl  # noqa: PLC0415 - Windows has none; there a child outlives its parent until it has loaded
    except ImportError:
        return
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:  # it ended before the kernel was told
        os._exit(1)


def accelerators(reported: list[dict[str, Any]]) -> list[str]:
    """The devices that layers of a model can be put on, by their names for people, of those that llama.cpp reports."""
    kinds = ((str(getattr(device.get("type"), "name", "")), device) for device in reported)
    return [str(device.get("description") or device.get("name")) for kind, device in kinds if "GPU" in kind]  # also IGPU


def reported() -> list[str]:
    """The devices that llama.cpp reports here; none where there is no llama.cpp."""
    try:
        import xllamacpp  # noqa: PLC0415 - its absence is an answer, not a crash
    except ImportError:
        return []
    return accelerators(xllamacpp.get_device_info())


def layers_for(asked: int | None, devices: list[str]) -> int:
    """How many layers go to a device: none where there is none, else as many as were asked for; -1 for all, also if nothing was said."""
    return 0 if not devices else -1 if asked is None else asked


def serve(request: dict[str, Any]) -> tuple[object, dict[str, Any]]:
    """Start the server; it, and what is said of it."""
    try:
        import xllamacpp  # noqa: PLC0415 - its absence is an answer, not a crash
    except ImportError as error:
        return None, {"error": "no_engine", "what": str(error)}
    params = xllamacpp.CommonParams()
    params.model.path = request["path"]
    params.api_keys = [request["key"]]
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_parallel, params.kv_unified = request["slots"], False
    params.n_ctx = request["context"] * request["slots"]  # divided among the slots
    params.fit_params = False  # a smaller context than asked for would be a silent surprise
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = request["threads"]
    params.n_threads_http = 2 * request["slots"] + 2
    # Cancelling takes effect at the end of a batch, and a member that reads holds up those that write for as long.
    params.n_batch = params.n_ubatch = request["batch"]
    params.cache_ram_mib, params.n_ctx_checkpoints = 0, request["checkpoints"]
    params.swa_full = True  # else a prompt that differs after a common prefix is read from its start on models with a sliding window
    params.use_jinja, params.warmup, params.verbosity = True, False, -1
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    params.ui = params.endpoint_props = params.endpoint_metrics = False
    params.cors_origins = ""
    devices = accelerators(xllamacpp.get_device_info())
    params.n_gpu_layers = layers_for(request.get("gpu_layers"), devices)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        return None, {"error": "load", "what": str(error)}
    return server, {"url": server.listening_address, "devices": devices if params.n_gpu_layers else []}


if __name__ == "__main__":
    main()
