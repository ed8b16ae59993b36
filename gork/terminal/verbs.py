"""The verbs of the command line: `doctor`, `pull`, `serve`, `wait` and `weights`, each with its engine opened as far as it needs one."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TextIO, get_args

from gork.config.settings import Layer, Settings
from gork.engines import choose
from gork.engines.choose import Chosen
from gork.engines.weights.progress import Lines, Progress
from gork.errors import EngineError, UsageError
from gork.flow import Assemble

Verb = Literal["doctor", "pull", "serve", "wait", "weights"]
VERBS: Final[tuple[Verb, ...]] = get_args(Verb)
HELP = """\
verbs, each the only word of the command line (to ask one as a question: final_script.py -- wait):
  doctor   asks every model for one token and prints what is there, what is missing and the fix (--json: as JSON; --timeout S: each
           model's time, 120 if not given); exit codes: 0 all answer, 3 a question is answered without some, 1 none is
  pull     fetches the models that are missing; run it again to go on after a break
  serve    answers programs and browsers at http://127.0.0.1:8080 (--host, --port), until Ctrl-C or SIGTERM
  wait     waits until the models can answer (--timeout S: at most, 900 if not given); at the end one candidate suffices, else 1
  weights  lists the weights in the cache, their sizes and which ensemble uses them; weights path NAME prints where one is (for
           ollama create), weights remove NAME removes it
"""

Say = Callable[[str], None]


def verb_of(words: Sequence[str], arguments: Sequence[str]) -> Verb | None:
    """The verb of a command line, if it has one: the only word (`weights` takes two more), without a -- that makes it a question."""
    if not words or "--" in arguments:
        return None
    if len(words) == 3 and words[0] == "weights":
        from gork.terminal import weights  # noqa: PLC0415 - a question starts without it

        return "weights" if words[1] in weights.ACTIONS else None
    return next((verb for verb in VERBS if verb == words[0]), None) if len(words) == 1 else None


async def run(verb: Verb, words: Sequence[str], settings: Settings, assemble: Assemble, *, as_json: bool, say: Say) -> int:
    """Do what the verb says, and the words after it; returns the exit code. Raises a `GorkError`."""
    if as_json and verb != "doctor":
        raise UsageError(f"--json goes with a question or with doctor, not with {verb}")
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

    async with choose.open_available(chosen) as engine:
        report = await doctor.examine(chosen, engine.models, say=say, each_s=_seconds(chosen.settings, doctor.EACH_S))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    print(json.dumps(report.as_json()) if as_json else doctor.as_text(report, width))
    return report.exit_code


async def _to_wait_for(settings: Settings) -> Chosen:
    """The chosen engine, except that a local Ollama which was named is waited for even if it does not answer yet."""
    if settings.engine == "auto" and settings.ollama_host_given:
        why = f"{settings.origins['ollama_host']} names it"
        return Chosen(engine="ollama", settings=choose.with_default_ensemble(settings), why=why, local=True)
    return await choose.choose(settings)


async def _wait(chosen: Chosen, say: Say) -> int:
    from gork.terminal import wait  # noqa: PLC0415 - only needed here

    if chosen.engine == "embedded":
        names = [member.name for member in chosen.settings.ensemble.members if choose.ready_file(member, chosen.settings) is None]
        if names:
            raise EngineError(f"the weights of {', '.join(names)} are not in the cache, and waiting fetches none: final_script.py pull")
        say(f"nothing to wait for: the embedded engine runs in this process ({chosen.why})")
        return wait.READY
    async with choose.open_available(chosen) as engine:
        return await wait.wait(engine.models, chosen.settings.ensemble, limit_s=_seconds(chosen.settings, wait.DEADLINE_S), say=say)
