"""What the verbs of the command line do, each with its engine opened as far as it needs one."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from gork.config.settings import Layer, Settings
from gork.engines import choose
from gork.engines.choose import Chosen
from gork.engines.weights.progress import Lines, Progress
from gork.errors import EngineError
from gork.flow import Assemble
from gork.terminal import output, program, screen

Say = Callable[[str], None]


async def run(verb: str, words: Sequence[str], settings: Settings, assemble: Assemble, *, as_json: bool, say: Say) -> int:
    """Do what the verb says, and the words after it; returns the exit code. Raises a `GorkError`."""
    match verb:
        case "serve":
            return await _serve(settings, assemble, say)
        case "wait":
            return await _wait(await _to_wait_for(settings), say)
        case "pull":
            from gork.terminal import pull  # noqa: PLC0415 - a question starts without it

            return await pull.pull(await _chosen(settings, say), board(sys.stderr, os.environ, say))
        case "doctor":
            return await _doctor(await _chosen(settings, say), as_json=as_json, say=say)
        case "weights":
            from gork.terminal import weights  # noqa: PLC0415 - a question starts without it

            return weights.run(words, settings, say)
        case "ensembles":
            from gork.terminal import ensembles  # noqa: PLC0415 - same

            return ensembles.run(words)
        case _:
            raise ValueError(f"no verb: {verb}")


async def _chosen(settings: Settings, say: Say) -> Chosen:
    chosen = await choose.choose(settings)
    say(f"engine: {chosen.title}, ensemble {chosen.settings.ensemble.name} ({chosen.why})")
    return chosen


def board(stream: TextIO | None, environ: Mapping[str, str], say: Say) -> Progress:
    """Bars where a terminal can show them, else lines."""
    if stream is not None and stream.isatty() and environ.get("TERM", "dumb") not in {"dumb", "unknown", ""} and not environ.get("CI"):
        from gork.terminal.progress_bars import Bars  # noqa: PLC0415 - rich takes long to import

        return Bars()
    return Lines(say)


def _seconds(settings: Settings, default: float) -> float:
    """--timeout, if it was given as a flag: everywhere else it is a turn's."""
    return settings.timeout if settings.origins["timeout"].layer is Layer.FLAG else default


async def _serve(settings: Settings, assemble: Assemble, say: Say) -> int:
    from gork.service import logs, serve  # noqa: PLC0415 - only needed here

    with logs.logging_to(sys.stderr, settings):
        say = logs.speaker(settings, say)
        frontend = choose.Frontend(say=say, progress=lambda: board(sys.stderr, os.environ, say))
        return await serve.run(await choose.select(settings, frontend), assemble, say)


async def _doctor(chosen: Chosen, *, as_json: bool, say: Say) -> int:
    from gork.terminal import doctor  # noqa: PLC0415 - only needed here

    chosen = await choose.with_gpus(chosen)
    async with choose.open_available(chosen) as engine:
        report = await doctor.examine(chosen, engine.models, say=say, each_s=_seconds(chosen.settings, doctor.EACH_S))
    width = shutil.get_terminal_size().columns if screen.is_terminal(sys.stdout) else 200
    output.write(json.dumps(report.as_json()) if as_json else doctor.as_text(report, width))
    return report.exit_code


async def _to_wait_for(settings: Settings) -> Chosen:
    """The chosen engine, except that a local Ollama which was named is waited for even if it does not answer yet."""
    if settings.engine == "auto" and settings.ollama_host_given:
        why = f"{settings.origins['ollama_host']} names it"
        return Chosen(engine="ollama", settings=choose.with_default_ensemble(settings), why=why, local=True)
    return await choose.choose(settings)


async def _wait(chosen: Chosen, say: Say) -> int:
    from gork.terminal import wait  # noqa: PLC0415 - only needed here

    if "embedded" in chosen.parts:
        names = [member.name for member in chosen.parts["embedded"] if choose.ready_file(member, chosen.settings) is None]
        if names:
            pull = program.pull(chosen.settings)
            raise EngineError(f"the weights of {', '.join(names)} are not in the cache, and wait downloads nothing: {pull}")
    if list(chosen.parts) == ["embedded"]:
        say(f"nothing to wait for: the embedded engine runs in this process ({chosen.why})")
        return wait.READY
    async with choose.open_available(chosen) as engine:
        return await wait.wait(engine.models, chosen.settings.ensemble, limit_s=_seconds(chosen.settings, wait.DEADLINE_S), say=say)
