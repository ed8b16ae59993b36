"""The words that are no question: `doctor`, `pull`, `serve`, `wait` and `weights`, each with its engine opened as far as it needs one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TextIO

from gork.config.ensemble import load_ensemble
from gork.config.settings import Settings
from gork.engines import choose
from gork.engines.choose import Chosen
from gork.engines.model import Engine
from gork.engines.weights.progress import Lines, Progress
from gork.errors import EngineError, UsageError
from gork.flow import Assemble
from gork.terminal import pull, wait, weights

VERBS: Final = ("doctor", "pull", "serve", "wait", "weights")
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


def verb_of(words: Sequence[str], arguments: Sequence[str]) -> str | None:
    """The verb that a command line means, if it means one: the only word, without a -- that makes it a question."""
    if not words or words[0] not in VERBS or "--" in arguments:
        return None
    more = words[0] == "weights" and len(words) == 3 and words[1] in weights.ACTIONS
    return words[0] if len(words) == 1 or more else None


def run(words: Sequence[str], settings: Settings, assemble: Assemble, *, as_json: bool, say: Say) -> int:
    """Do what the verb, the first of the words, says; returns the exit code. Raises a `GorkError`."""
    verb = words[0]
    if as_json and verb != "doctor":
        raise UsageError(f"--json goes with a question or with doctor, not with {verb}")
    if verb == "weights":
        return weights.run(words[1:], settings, say)
    with asyncio.Runner() as runner:
        if verb == "serve":
            return _serve(settings, assemble, runner, say)
        if verb == "wait":
            return runner.run(_wait(_to_wait_for(settings, runner), _seconds(settings, wait.DEADLINE_S), say))
        chosen = choose.choose(settings, runner.run)
        engine = "Ollama" if chosen.engine == "ollama" else "embedded llama.cpp"
        say(f"engine: {engine}, ensemble {chosen.settings.ensemble.name} ({chosen.why})")
        if verb == "pull":
            return runner.run(pull.pull(chosen, board(sys.stderr, os.environ, say)))
        return runner.run(_doctor(chosen, as_json=as_json, say=say))


def board(stream: TextIO | None, environ: Mapping[str, str], say: Say) -> Progress:
    """Bars where a terminal can show them, else lines."""
    if stream is not None and stream.isatty() and environ.get("TERM", "dumb") not in {"dumb", "unknown", ""} and not environ.get("CI"):
        from gork.terminal.progress_bars import Bars  # noqa: PLC0415 - rich takes its time to import

        return Bars()
    return Lines(say)


def _seconds(settings: Settings, default: float) -> float:
    """--timeout, if it was given as a flag: everywhere else it is a turn's."""
    return settings.turn if settings.origins["timeout"] == "--timeout" else default


def _serve(settings: Settings, assemble: Assemble, runner: asyncio.Runner, say: Say) -> int:
    from gork.service import logs, serve  # noqa: PLC0415 - not needed by anything else

    with logs.logging_to(sys.stderr, settings):
        say = logs.speaker(settings, say)
        desk = choose.Desk(say=say, run=runner.run, progress=lambda: board(sys.stderr, os.environ, say))
        return runner.run(serve.run(choose.select(settings, desk), assemble, say))


async def _doctor(chosen: Chosen, *, as_json: bool, say: Say) -> int:
    from gork.terminal import doctor, doctor_table  # noqa: PLC0415 - not needed by the other verbs

    files = doctor.weights_files(chosen)
    engine = _engine(chosen, lambda: choose.embedded_engine(chosen.settings, files))
    async with engine:
        report = await doctor.examine(chosen, engine.models, say=say, each_s=_seconds(chosen.settings, doctor.EACH_S))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 200
    print(json.dumps(report.as_json()) if as_json else doctor_table.written(report, width))
    return report.exit_code


def _engine(chosen: Chosen, embedded: Callable[[], Engine]) -> Engine:
    return choose.ollama_engine(chosen.settings) if chosen.engine == "ollama" else embedded()


def _to_wait_for(settings: Settings, runner: asyncio.Runner) -> Chosen:
    """What is waited for: servers that were named are, even if nothing answers there yet."""
    if settings.engine == "auto" and settings.ollama_host_given:
        full = settings if settings.ensemble_given else settings.with_ensemble(load_ensemble(choose.FULL), "default")
        return Chosen(engine="ollama", settings=full, why=f"{settings.origins['ollama_host']} names it", local=True)
    return choose.choose(settings, runner.run)


async def _wait(chosen: Chosen, limit_s: float, say: Say) -> int:
    if chosen.engine == "embedded":
        names = [member.name for member in chosen.settings.ensemble.members if choose.ready_file(member, chosen.settings) is None]
        if names:
            raise EngineError(f"the weights of {', '.join(names)} are not in the cache, and waiting brings none: final_script.py pull")
        say(f"nothing to wait for: the embedded engine runs in this process ({chosen.why})")
        return wait.READY
    async with choose.ollama_engine(chosen.settings) as engine:
        return await wait.wait(engine.models, chosen.settings.ensemble, limit_s=limit_s, say=say)
