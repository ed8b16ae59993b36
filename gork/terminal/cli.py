"""The command line: flags from the table of settings, then one question or a prompt that keeps the conversation."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from gork import __version__
from gork.config.fields import FIELDS
from gork.config.settings import Settings, load_settings, show_config
from gork.engines import choose
from gork.engines.model import Engine
from gork.errors import UsageError
from gork.flow import Assemble
from gork.health import member_rows
from gork.judging import explain
from gork.terminal import oneshot, prompt_text, repl, server_option, session_options, verbs
from gork.terminal.pull import pull_tags
from gork.terminal.safe_text import tell
from gork.terminal.session import Backing, Hooks

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
    for field in FIELDS:
        if field.secret:
            settings.add_argument(f"{field.flag}-file", metavar="FILE", help=f"{field.help} Read from this file.")
        elif isinstance(field.default, bool):
            settings.add_argument(field.flag, action=argparse.BooleanOptionalAction, default=None, help=field.help)
        else:
            settings.add_argument(field.flag, metavar=field.kind.what.split()[-1].upper(), help=field.help)
    return made


def run(arguments: Sequence[str] | None, assemble: Assemble) -> int:
    """Parse, choose the engine, ask; returns the exit code. Raises a `GorkError` for what has no exit code of its own yet."""
    given = vars(parser().parse_args(arguments))
    words, interactive, as_json, show, listed, wanted = (
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
        if interactive or wanted is not None:
            raise UsageError(f"-i and --continue go with questions, not with {verb} (to ask that as a question: -- {verb})")
        server_option.tell_unused(verb, settings, _say)
        return verbs.run(verb, settings, assemble, as_json=as_json, say=_say)
    wanted, words = session_options.split_session_id(wanted, words)
    prompt = None if _wants_repl(words, interactive=interactive, as_json=as_json) else _prompt(words, settings)
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        again = "/retry asks it again" if prompt is None else "ask again"
        backing = runner.run(server_option.backing(settings, again=again, say=_say)) if settings.server is not None else None
        backing = backing or _here(settings, assemble, runner, stack, interactive=prompt is None)
        ask, settings = backing.ask, backing.settings
        if prompt is None or wanted is not None:
            log, conversation = session_options.begin(settings, wanted, _say)
            stack.callback(log.close)
            if prompt is None:
                hooks = Hooks(on_turn=log.append, on_drop=log.retracted, on_clear=log.cleared)
                return runner.run(repl.run(backing, conversation=conversation, hooks=hooks))
            ask = session_options.remembered(ask, log, conversation, settings, _say)
        prompt_text.check_prompt(prompt, context=settings.ensemble.context)
        return runner.run(oneshot.run(ask, prompt, settings, as_json=as_json))


def _wants_repl(words: Sequence[str], *, interactive: bool, as_json: bool) -> bool:
    if interactive and (words or as_json):
        raise UsageError("-i reads its questions from the input: leave out the question and --json")
    return interactive or (not words and sys.stdin is not None and sys.stdin.isatty())


def _prompt(words: Sequence[str], settings: Settings) -> str:
    piped = ""
    if sys.stdin is not None and not sys.stdin.isatty():
        piped = prompt_text.from_stdin(sys.stdin.buffer, _say)
    # How much a service's models can read is known when it has answered.
    context = settings.ensemble.context if settings.server is None else prompt_text.MOST_BYTES
    return prompt_text.check_prompt(prompt_text.join(piped, words), context=context)


def _here(settings: Settings, assemble: Assemble, runner: asyncio.Runner, stack: ExitStack, *, interactive: bool) -> Backing:
    """Models of our own: an engine that is chosen, and closed with `stack`."""
    selected = choose.select(settings, _desk(runner, interactive=interactive))
    settings = selected.settings
    engine = runner.run(_opened(selected.open))
    stack.callback(lambda: runner.run(engine.close()))
    return Backing(
        ask=assemble(settings, engine),
        settings=settings,
        check=lambda: member_rows(settings.ensemble, engine.models),
        explain=explain.explainer(settings.ensemble, engine.models),
    )


async def _opened(open_engine: Callable[[], Engine]) -> Engine:
    return await open_engine().__aenter__()


def _say(line: str) -> None:
    tell(sys.stderr, line)


def _desk(runner: asyncio.Runner, *, interactive: bool) -> choose.Desk:
    terminal = sys.stderr is not None and sys.stderr.isatty()
    asks = interactive and terminal and sys.stdin.isatty()

    def pull(host: str, tags: list[str]) -> None:
        pull_tags(host, tags, verbs.board(sys.stderr, os.environ, _say), runner.run)

    return choose.Desk(say=_say, run=runner.run, progress=terminal, ask_missing=_ask_missing if asks else None, pull=pull)


def _ask_missing(host: str, tags: list[str]) -> choose.Wish:
    """Ask a person about models that the local Ollama lacks; the end of the input means quit."""
    _say(f"The Ollama at {host} lacks {len(tags)} models: {', '.join(tags)}")
    wishes: dict[str, choose.Wish] = {"p": "pull", "s": "starter", "q": "quit"}
    while True:
        try:
            answer = input("[p]ull them now, use the small [s]tarter ensemble, or [q]uit? ").strip().lower()
        except EOFError:
            return "quit"
        for key, wish in wishes.items():
            if answer in {key, wish}:
                return wish
