"""The command line: flags from the table of settings, then a verb, one question, or a prompt that keeps the conversation.

`run` does what needs no event loop, `main` everything else: all that is opened for it is closed at its end, whatever ends it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gork import __version__
from gork.config.ensemble import alone, load_ensemble
from gork.config.settings import Layer, Settings, load_settings
from gork.config.show import show_config
from gork.engines import choose
from gork.engines.footprint import size_of
from gork.engines.ollama.offer import Offer
from gork.engines.weights.progress import Progress
from gork.errors import NoService, OutputError, UsageError
from gork.flow import Assemble
from gork.health import member_rows
from gork.judging import explain
from gork.reading_ahead import reader_ahead
from gork.terminal import arguments as command_line
from gork.terminal import attachments, container, oneshot, output, program, screen, session_options, verbs
from gork.terminal import input as prompt_input
from gork.terminal.commands.asking import changed_options
from gork.terminal.safe_text import counted, tell
from gork.terminal.session import Backend, sampling
from gork.turn import Question

if TYPE_CHECKING:
    from gork.remote import Remote


def run(arguments: Sequence[str] | None, assemble: Assemble) -> int:
    """Do what the command line says; returns the exit code. Raises a `GorkError`, or `KeyboardInterrupt` for a Ctrl-C."""
    screen.fill_closed()
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments), assemble)
    except output.OutputGone as gone:
        output.discard(1)
        if not gone.left:
            raise OutputError(f"standard output cannot be written: {gone.strerror}") from None
        return output.READER_LEFT


def _run(arguments: list[str], assemble: Assemble) -> int:
    if (text := command_line.help_for(arguments)) is not None:
        return _print(text.rstrip("\n"))
    given = command_line.parsed(arguments)
    own = {name: given.pop(name) for name in command_line.OWN}
    words = own["question"]
    verb = command_line.verb_of(words, arguments)
    if own["version"]:
        return _print(__version__)
    if words and (own["list"] or (own["show_config"] and verb is None)):
        raise UsageError(f"{'--list' if own['list'] else '--show-config'} takes no words: {' '.join(words)[:40]}")
    if verb is not None and verb.name == "completion":
        return _print(command_line.completion(words[1]))
    settings = load_settings({name: value for name, value in given.items() if value is not None}, os.environ)
    if own["show_config"]:
        return _print(show_config(settings))
    if own["list"]:
        return session_options.print_list(settings, _say)
    return _ask(own, settings, assemble) if verb is None else _do(verb, own, settings, assemble)


def _print(text: str) -> int:
    output.write(text)
    return 0


def _ask(own: Mapping[str, Any], settings: Settings, assemble: Assemble) -> int:
    """Answer one question or hold a conversation; returns the exit code. Raises a `GorkError`."""
    session, words = session_options.split_session_id(own["session"], own["question"])
    words = [] if words == ["-"] else words  # standard input, which is read anyway
    if sys.stdout is None:
        raise OutputError("standard output is closed: there is nowhere to write an answer")
    interactive = _wants_repl(words, interactive=own["interactive"], as_json=own["json"])
    files = [attachments.read(path) for path in own["files"] or ()]
    wish = Wish(
        prompt=None if interactive else _prompt(words, settings, files),
        files=tuple(files) if interactive else (),
        session=session,
        as_json=own["json"],
        system=own["system"] or "",
        options=_options(own["options"] or ()),
        only=own["only"],
    )
    return asyncio.run(main(settings, assemble, wish))


def _options(given: Sequence[str]) -> dict[str, object]:
    """Sampling options from NAME=VALUE. Raises a `UsageError`."""
    options: dict[str, object] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (equals and name.strip()):
            raise UsageError(f"-o {one[:40]}: give NAME=VALUE, such as temperature=0")
        options = changed_options(options, name.strip(), value.strip())
    return options


def _do(verb: command_line.Verb, own: Mapping[str, Any], settings: Settings, assemble: Assemble) -> int:
    """Do what a verb says; returns the exit code. Raises a `GorkError`."""
    of_questions = {"interactive": "-i", "session": "--continue", "files": "-f", "only": "--only", "system": "--system", "options": "-o"}
    if (flag := next((flag for name, flag in of_questions.items() if own[name] is not None and own[name] is not False), None)) is not None:
        raise UsageError(f"{flag} goes with questions, not with {verb.name}", fix=f"to ask that: {program.call()} -- {verb.name}")
    if own["json"] and not verb.as_json:
        raise UsageError(f"--json goes with a question or with doctor, not with {verb.name}")
    if settings.server is not None and (verb.name == "doctor" or _server_by_flag(settings)):
        _say(f"{verb.name} is about the models of this machine: the service at {settings.server} is not asked")
    return asyncio.run(verbs.run(verb.name, own["question"][1:], settings, assemble, as_json=own["json"], say=_say))


GREETING = " - /help"
"""Ends the line that a conversation begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for: one question, or a conversation if `prompt` is None."""

    prompt: str | None
    files: tuple[attachments.TextFile, ...] = ()
    """For the first question of a conversation."""
    session: str | None = None
    """The saved session to continue: None for a new one, `session_options.LATEST` for the one used last."""
    as_json: bool = False
    system: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    only: str | None = None


async def main(settings: Settings, assemble: Assemble, wish: Wish) -> int:
    """Ask one question, or hold a conversation; returns the exit code. Raises a `GorkError`."""
    async with AsyncExitStack() as stack:
        saved = session_options.SavedSessions(settings, _say)
        stack.callback(saved.close)
        # Before models are fetched and loaded: there may be no such conversation.
        resumed = None if wish.session is None else saved.begin(wish.session)
        backend = None if settings.server is None else await _service(settings, stack, interactive=wish.prompt is None)
        backend = backend or await _own_models(settings, assemble, stack, wish)
        ask, settings = backend.ask, backend.settings
        if wish.only is not None:
            alone(settings.ensemble, wish.only)  # is there one?
        if wish.prompt is None or wish.session is not None:
            log, conversation = resumed or saved.begin(None)
            if wish.prompt is None:
                from gork.terminal import repl  # noqa: PLC0415 - a single question starts without it

                opening = repl.Opening(
                    hooks=session_options.hooks_of(log),
                    saved=saved,
                    files=wish.files,
                    system=wish.system,
                    options=wish.options,
                    only=wish.only,
                )
                return await repl.run(backend, conversation=conversation, opening=opening)
            ask = session_options.remembered(ask, log, conversation, settings, _say)
        if wish.only is not None:
            settings = replace(settings, ensemble=alone(settings.ensemble, wish.only))
        prompt_input.check_prompt(wish.prompt, context=settings.ensemble.context)
        question = Question(text=wish.prompt, system=wish.system, options=sampling(wish.options))
        return await oneshot.run(ask, question, settings, as_json=wish.as_json)


def _wants_repl(words: Sequence[str], *, interactive: bool, as_json: bool) -> bool:
    if interactive and (words or as_json):
        raise UsageError("-i reads its questions from the input: leave out the question and --json")
    if as_json and not words and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError("--json needs a question, on the command line or from a pipe")
    return interactive or (not words and sys.stdin is not None and sys.stdin.isatty())


def _prompt(words: Sequence[str], settings: Settings, files: Sequence[attachments.TextFile]) -> str:
    """The question of the command line. Read before there is an event loop, so that Ctrl-C ends the reading."""
    piped = ""
    if sys.stdin is not None and not sys.stdin.isatty():
        piped = prompt_input.from_stdin(sys.stdin.buffer, _say)
    # A service says how much its models can read when it is asked; until then only the bound of all input holds.
    context = settings.ensemble.context if settings.server is None else prompt_input.MOST_BYTES
    return prompt_input.check_prompt(attachments.attached(files, prompt_input.join(piped, words)), context=context)


async def _own_models(settings: Settings, assemble: Assemble, stack: AsyncExitStack, wish: Wish) -> Backend:
    """The models of this process: an engine is chosen, opened, and closed with `stack`."""
    chosen = await choose.choose(settings)
    if wish.only is not None:
        alone(chosen.settings.ensemble, wish.only)  # is there one? Before anything is fetched for it
    selected = await choose.prepare(chosen, _frontend(_silence if settings.quiet else _say, interactive=wish.prompt is None))
    settings = selected.settings
    engine = await stack.enter_async_context(selected.open())
    return Backend(
        ask=assemble(settings, engine),
        settings=settings,
        check=lambda: member_rows(settings.ensemble, engine.models),
        explain=explain.explainer(settings.ensemble, engine.models),
        read_ahead=reader_ahead(engine.models),
        engine=engine.name,
    )


def _silence(_: str) -> None:
    """Say nothing: --quiet."""


def _say(line: str) -> None:
    tell(sys.stderr, line)


def _frontend(say: Callable[[str], None], *, interactive: bool) -> choose.Frontend:
    if not (interactive and screen.is_terminal(sys.stderr) and screen.is_terminal(sys.stdin)):
        return choose.Frontend(say=say, progress=_progress)
    return choose.Frontend(say=say, progress=_progress, ask_remedy=_ask_remedy, pull=_pull, brief=GREETING)


def _progress() -> Progress:
    return verbs.board(sys.stderr, os.environ, _say)


async def _pull(host: str, tags: list[str]) -> None:
    from gork.terminal.pull import pull_tags  # noqa: PLC0415 - only needed here

    await pull_tags(host, tags, _progress())


async def _ask_remedy(host: str, tags: list[str], there: Offer | None) -> choose.Remedy:
    """Ask the user about models that the local Ollama lacks; the end of the input means quit."""
    _say(f"Ollama at {host} does not have {counted(len(tags), 'model')} of this ensemble: {', '.join(tags)}")
    remedies: dict[str, choose.Remedy] = {"p": "pull", "s": "starter", "q": "quit", "n": "quit", "": "pull"}
    take = ""
    if there is not None:
        _say(f"It has {there.about}")
        remedies["t"], take = "there", "[t]ake those that are there, "
    starter = f"the small [s]tarter ensemble ({size_of(load_ensemble(choose.STARTER)) / 1e9:.1f} GB)"
    reader = prompt_input.PlainReader(sys.stdin.buffer, idle_s=0)
    while True:
        answer = await reader.ask(f"[P]ull them now, {take}use {starter}, or [q]uit? [P] ")
        if answer is None:
            return "quit"
        for key, remedy in remedies.items():
            if answer.lower() in {key, remedy}:
                return remedy


def _server_by_flag(settings: Settings) -> bool:
    return settings.origins["server"].layer is Layer.FLAG


async def _service(settings: Settings, stack: AsyncExitStack, *, interactive: bool) -> Backend | None:
    """A running service in place of models; None, with a line that says why, if the models of this process are to answer after all.

    They answer if no service is at an address from a variable or a file. An address given by flag is obligatory: then, and when a
    service is there but refuses, a `ServiceError` is raised.
    """
    from gork import remote  # noqa: PLC0415 - only needed for turns on a service

    origin = settings.origins["server"]
    try:
        service = await remote.reach(settings, again="/retry asks it again" if interactive else "ask again")
    except NoService as error:
        if _server_by_flag(settings):
            advice = f"start one there ({program.call()} serve), or leave out --server to have the models of this machine answer"
            raise NoService(f"{error}; {advice}") from None
        _say(f"{error}; the models of this machine answer instead ({origin} names the service)")
        return None
    if unused := remote.unused_flags(settings):
        _say(f"not used, since the service has its own: {', '.join(unused)} (they count without {origin})")
    stopped = await _place(service, stack) if interactive and container.is_guest(os.environ) else None
    if not settings.quiet:
        _say(f"{service.line}{GREETING if interactive else ''}")
    return Backend(
        ask=service.ask,
        settings=service.settings,
        check=service.check,
        explain=service.explain if service.settings.ensemble.judge is not None else None,
        read_ahead=service.read_ahead,
        engine=service.engine,
        stopped=stopped,
    )


async def _place(service: Remote, stack: AsyncExitStack) -> asyncio.Task[bool] | None:
    """Hold a place beside a service in this container until `stack` is closed. Raises a `ServiceError` if there is none left."""
    await stack.enter_async_context(container.not_stuck())
    try:
        place = await stack.enter_async_context(service.place())
    except NoService:
        return None
    if (said := container.first_words(os.environ, service.settings)) is not None:
        _say(said)
    return place
