"""The command line: flags from the table of settings, then a verb, one question, or a prompt that keeps the conversation.

`run` does what needs no event loop, `main` everything else: all that is opened for it is closed at its end, whatever ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from gork import __version__
from gork.config.settings import SETTINGS, Layer, Settings, load_settings
from gork.config.show import show_config
from gork.engines import choose
from gork.engines.weights.progress import Progress
from gork.errors import NoService, UsageError
from gork.flow import Assemble
from gork.health import member_rows
from gork.judging import explain
from gork.terminal import input as prompt_input
from gork.terminal import oneshot, session_options, verbs
from gork.terminal.safe_text import tell
from gork.terminal.session import Backend, ConversationHooks

DESCRIPTION = """\
Several small local models answer as one.

  python final_script.py "What is quantum computing?"        one question
  git diff | python final_script.py "Summarise this"         standard input first, then the question
  python final_script.py                                     a prompt that remembers the conversation
"""
EPILOG = f"""\
{verbs.HELP}
exit codes: 0 answered, 1 no answer, 2 wrong usage, 3 a turn that is less than a whole one (with --strict), 130 interrupted.
Every setting is also an environment variable (GORK_SEED for --seed) and a key of a settings file (--config FILE).
"""


def parser() -> argparse.ArgumentParser:
    """The flags; those of settings come from their table."""
    made = argparse.ArgumentParser(
        prog="final_script.py",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("question", nargs="*", help="what to ask; without it and with a terminal: a prompt that remembers")
    made.add_argument("-i", "--interactive", action="store_true", help="the prompt that remembers, line by line from a pipe too")
    made.add_argument("--json", action="store_true", help="print the whole turn as one line of JSON (docs/turn.schema.json)")
    made.add_argument(
        "--continue",
        dest="session",
        nargs="?",
        const=session_options.LATEST,
        metavar="ID",
        help="go on with the session used last, or this one",
    )
    made.add_argument("--list", action="store_true", help="print the saved sessions, those used last first, and stop")
    made.add_argument("--config", metavar="FILE", help="a settings file (YAML)")
    made.add_argument("--show-config", action="store_true", help="print every setting with where it comes from, and stop")
    made.add_argument("--version", action="version", version=__version__)
    settings = made.add_argument_group("settings")
    for field in SETTINGS.values():
        if field.secret:
            settings.add_argument(f"{field.flag}-file", metavar="FILE", help=f"{field.help} Read from this file.")
        elif isinstance(field.default, bool):
            settings.add_argument(field.flag, action=argparse.BooleanOptionalAction, default=None, help=field.help)
        else:
            settings.add_argument(field.flag, metavar=field.what.split()[-1].upper(), help=field.help)
    return made


def run(arguments: Sequence[str] | None, assemble: Assemble) -> int:
    """Do what the command line says; returns the exit code. Raises a `GorkError`, or `KeyboardInterrupt` for a Ctrl-C."""
    given = vars(parser().parse_args(arguments))
    words, interactive, as_json, show, listed, session = (
        given.pop(name) for name in ("question", "interactive", "json", "show_config", "list", "session")
    )
    settings = load_settings({name: value for name, value in given.items() if value is not None}, os.environ)
    if show:
        print(show_config(settings))
        return 0
    if listed:
        return session_options.print_list(settings, _say)
    verb = verbs.verb_of(words, sys.argv[1:] if arguments is None else arguments)
    if verb is not None:
        if interactive or session is not None:
            raise UsageError(f"-i and --continue go with questions, not with {verb} (to ask that as a question: -- {verb})")
        if settings.server is not None and (verb == "doctor" or _server_by_flag(settings)):
            _say(f"{verb} is about the models of this machine: the service at {settings.server} is not asked")
        return asyncio.run(verbs.run(verb, words[1:], settings, assemble, as_json=as_json, say=_say))
    session, words = session_options.split_session_id(session, words)
    prompt = None if _wants_repl(words, interactive=interactive, as_json=as_json) else _prompt(words, settings)
    return asyncio.run(main(settings, assemble, prompt=prompt, session=session, as_json=as_json))


async def main(settings: Settings, assemble: Assemble, *, prompt: str | None, session: str | None, as_json: bool) -> int:
    """Ask one question, or hold a conversation if `prompt` is None; returns the exit code.

    `session` is the saved session to continue: None for a new one, `session_options.LATEST` for the one used last.
    """
    async with AsyncExitStack() as stack:
        again = "/retry asks it again" if prompt is None else "ask again"
        backend = None if settings.server is None else await _service(settings, again=again)
        backend = backend or await _own_models(settings, assemble, stack, interactive=prompt is None)
        ask, settings = backend.ask, backend.settings
        if prompt is None or session is not None:
            log, conversation = session_options.begin(settings, session, _say)
            stack.callback(log.close)
            if prompt is None:
                from gork.terminal import repl  # noqa: PLC0415 - a single question starts without it

                hooks = ConversationHooks(on_turn=log.append, on_drop=log.retracted, on_clear=log.cleared)
                return await repl.run(backend, conversation=conversation, hooks=hooks)
            ask = session_options.remembered(ask, log, conversation, settings, _say)
        prompt_input.check_prompt(prompt, context=settings.ensemble.context)
        return await oneshot.run(ask, prompt, settings, as_json=as_json)


def _wants_repl(words: Sequence[str], *, interactive: bool, as_json: bool) -> bool:
    if interactive and (words or as_json):
        raise UsageError("-i reads its questions from the input: leave out the question and --json")
    return interactive or (not words and sys.stdin is not None and sys.stdin.isatty())


def _prompt(words: Sequence[str], settings: Settings) -> str:
    """The question of the command line. Read before there is an event loop, so that Ctrl-C ends the reading."""
    piped = ""
    if sys.stdin is not None and not sys.stdin.isatty():
        piped = prompt_input.from_stdin(sys.stdin.buffer, _say)
    # A service says how much its models can read when it is asked; until then only the bound of all input holds.
    context = settings.ensemble.context if settings.server is None else prompt_input.MOST_BYTES
    return prompt_input.check_prompt(prompt_input.join(piped, words), context=context)


async def _own_models(settings: Settings, assemble: Assemble, stack: AsyncExitStack, *, interactive: bool) -> Backend:
    """The models of this process: an engine is chosen, opened, and closed with `stack`."""
    selected = await choose.select(settings, _frontend(interactive=interactive))
    settings = selected.settings
    engine = await stack.enter_async_context(selected.open())
    return Backend(
        ask=assemble(settings, engine),
        settings=settings,
        check=lambda: member_rows(settings.ensemble, engine.models),
        explain=explain.explainer(settings.ensemble, engine.models),
    )


def _say(line: str) -> None:
    tell(sys.stderr, line)


def _frontend(*, interactive: bool) -> choose.Frontend:
    if not (interactive and sys.stderr is not None and sys.stderr.isatty() and sys.stdin is not None and sys.stdin.isatty()):
        return choose.Frontend(say=_say, progress=_progress)
    return choose.Frontend(say=_say, progress=_progress, ask_remedy=_ask_remedy, pull=_pull)


def _progress() -> Progress:
    return verbs.board(sys.stderr, os.environ, _say)


async def _pull(host: str, tags: list[str]) -> None:
    from gork.terminal.pull import pull_tags  # noqa: PLC0415 - only needed here

    await pull_tags(host, tags, _progress())


async def _ask_remedy(host: str, tags: list[str]) -> choose.Remedy:
    """Ask the user about models that the local Ollama lacks; the end of the input means quit."""
    _say(f"The Ollama at {host} lacks {len(tags)} models: {', '.join(tags)}")
    remedies: dict[str, choose.Remedy] = {"p": "pull", "s": "starter", "q": "quit"}
    reader = prompt_input.PlainReader(sys.stdin.buffer, idle_s=0)
    while True:
        answer = await reader.ask("[p]ull them now, use the small [s]tarter ensemble, or [q]uit? ")
        if answer is None:
            return "quit"
        for key, remedy in remedies.items():
            if answer.lower() in {key, remedy}:
                return remedy


def _server_by_flag(settings: Settings) -> bool:
    return settings.origins["server"].layer is Layer.FLAG


async def _service(settings: Settings, *, again: str) -> Backend | None:
    """A running service in place of models; None, with a line that says why, if the models of this process are to answer after all.

    They answer if no service is at an address from a variable or a file. An address given by flag is obligatory: then, and when a
    service is there but refuses, a `ServiceError` is raised.
    """
    from gork import remote  # noqa: PLC0415 - only needed for turns on a service

    origin = settings.origins["server"]
    try:
        service = await remote.reach(settings, again=again)
    except NoService as error:
        if _server_by_flag(settings):
            advice = "start one there (final_script.py serve), or leave out --server to have the models of this machine answer"
            raise NoService(f"{error}; {advice}") from None
        _say(f"{error}; the models of this machine answer instead ({origin} names the service)")
        return None
    if unused := remote.unused_flags(settings):
        _say(f"not used, since the service has its own: {', '.join(unused)} (they count without {origin})")
    _say(service.line)
    return Backend(
        ask=service.ask,
        settings=service.settings,
        check=service.check,
        explain=service.explain if service.settings.ensemble.judge is not None else None,
    )
