"""The command line's flags and verbs, the help of each, and completion for shells; flags of settings come from their table.

Every flag is understood beside every verb, so that a settings file and a command line can say the same; the help of a verb lists those
that it uses.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from gork.config.ensemble import shipped_ensembles
from gork.config.load import Setting
from gork.config.schema import placeholder, suggestion
from gork.config.settings import SETTINGS
from gork.errors import UsageError
from gork.terminal import program
from gork.terminal.layout import LEAST_BESIDE, paragraph, two_columns
from gork.terminal.session_options import LATEST

GROUPS: Final = {"asking": "asking", "models": "models", "limits": "limits (seconds, unless said otherwise)", "serve": "the service"}
"""Headings of the settings' flags, by the group that a setting names."""
_CONFIG = "A settings file (YAML)."
SHELLS: Final = ("bash", "zsh", "fish")
OWN: Final = ("question", "interactive", "json", "session", "list", "show_config", "version", "files", "only", "system", "options")
"""What a command line gives besides settings."""
_WIDEST = 100
_FLAGS_WIDTH = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A word that, first on the command line, asks for something other than an answer."""

    name: str
    help: str
    """For the list of verbs."""
    about: str = ""
    """More of it, for its own help."""
    forms: tuple[tuple[str, ...], ...] = ((),)
    """The words that may follow: capitals stand for any word, a|b for one of both; the longest last."""
    groups: tuple[str, ...] = ()
    """Groups of the settings that it uses."""
    settings: tuple[str, ...] = ()
    """Single settings that it uses, where it needs few of a group."""
    as_json: bool = False
    timeout: str | None = None
    """What --timeout is for it, if it is not a turn's."""
    examples: tuple[str, ...] = ()

    def takes(self, words: Sequence[str]) -> bool:
        """Whether these words may follow it."""
        return any(
            len(form) == len(words) and all(part.isupper() or word in part.split("|") for part, word in zip(form, words, strict=True))
            for form in self.forms
        )

    @property
    def usages(self) -> list[str]:
        """How it is typed, one form a line."""
        return [" ".join((program.name(), self.name, *form, "[OPTIONS]")) for form in self.forms]


VERBS: Final = {
    verb.name: verb
    for verb in (
        Verb(
            name="serve",
            help="answer browsers and other programs over HTTP, at http://127.0.0.1:8080",
            about="Ollama's API, OpenAI's API and a page for browsers, all at one address, until Ctrl-C or SIGTERM.",
            groups=("serve", "models", "limits"),
            settings=("seed", "optimize", "compute"),
            examples=("serve --port 9000", "serve --host 0.0.0.0 --token-file ./token"),
        ),
        Verb(
            name="doctor",
            help="test every model: what works, what is missing, how to fix it",
            about="Each model writes ten tokens.\n"
            "Exit codes: 0 all models work, 3 some do not but questions are answered without them, 1 no question can be answered.",
            groups=("models",),
            as_json=True,
            timeout="Maximum time for each model. (default: 120)",
            examples=("doctor", "doctor --ensemble heavy-lite --json"),
        ),
        Verb(
            name="pull",
            help="download the models that are missing",
            about="Ollama pulls them; for the embedded engine their weights are downloaded. Run it again to resume after an interruption.",
            settings=("ensemble", "engine", "ollama_host", "cache", "offline", "hub_token"),
            examples=("pull", "pull --engine embedded --ensemble heavy-lite"),
        ),
        Verb(
            name="wait",
            help="wait until the models can answer",
            about="Exit codes: 0 all models are ready, or when the time is up at least one candidate is; 1 none is.",
            settings=("ensemble", "engine", "ollama_host", "connect_timeout"),
            timeout="Maximum wait. (default: 900)",
            examples=("wait --timeout 60",),
        ),
        Verb(
            name="ensembles",
            help="list the ensembles: shipped ones and your own",
            about="Your own are the YAML files in ~/.config/gork/ensembles; refer to one by its file name without .yaml.\n"
            "show prints the file of an ensemble, to copy and change.",
            forms=((), ("show", "NAME")),
            examples=("ensembles", "ensembles show starter > mine.yaml"),
        ),
        Verb(
            name="weights",
            help="list the downloaded weights, their sizes and the ensembles that use them",
            about="path prints the path of a file (for ollama create), remove deletes the file.",
            forms=((), ("path|remove", "NAME")),
            settings=("ensemble", "cache"),
            examples=("weights", "weights remove SmolLM2-135M-Instruct.Q4_1"),
        ),
        Verb(
            name="completion",
            help="print a script that completes commands and options in your shell",
            about='bash: eval "$(gork completion bash)"\n'
            "zsh: gork completion zsh > a file _gork in a folder of your $fpath\n"
            "fish: gork completion fish | source",
            forms=(("|".join(SHELLS),),),
            examples=("completion bash >> ~/.bashrc",),
        ),
    )
}


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST) - 2


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=_FLAGS_WIDTH if _width() >= LEAST_BESIDE else 6, width=_width())

    def _split_lines(self, text: str, width: int) -> list[str]:
        return paragraph(text, width)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, argparse.BooleanOptionalAction):
            short = "".join(f"{flag}, " for flag in action.option_strings if not flag.startswith("--"))
            return short + next(f"--[no-]{flag[2:]}" for flag in action.option_strings if flag.startswith("--"))
        return "\n      ".join(paragraph(super()._format_action_invocation(action), self._width - 4))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "), fix=f"see {program.name()} --help")


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """The flags of a command line, and its words as `question`. Raises a `UsageError`."""
    given, rest = _parser().parse_known_args(arguments)
    literal = rest[rest.index("--") + 1 :] if "--" in rest else []
    rest = rest[: rest.index("--")] if "--" in rest else rest
    unknown = [word for word in rest if word.startswith("-") and word != "-"]
    # Words behind a flag are left over if there are words before it, too.
    given.question += [*(word for word in rest if word not in unknown), *literal]
    if unknown:
        known = [flag for action in _parser()._actions for flag in action.option_strings]  # noqa: SLF001 - no public way to list them
        flag = unknown[0].partition("=")[0]
        near = suggestion(flag, known)
        raise UsageError(f"there is no option {flag[:40]}{near}", fix=None if near else f"see {program.name()} --help")
    return vars(given)


def _parser() -> argparse.ArgumentParser:
    made = _Parser(prog=program.name(), usage=_usage(None), add_help=False, allow_abbrev=False)
    made.add_argument("question", nargs="*")
    _add_own_flags(made)
    for name in GROUPS:
        _add_settings(made, name)
    return made


def verb_of(words: Sequence[str], arguments: Sequence[str]) -> Verb | None:
    """The verb of a command line, if its first word is one, without a -- that makes it a question.

    Raises a `UsageError` if words follow that the verb does not take: a question may begin with any word, and five models should not be
    asked what was meant for one verb.
    """
    if not words or "--" in arguments or words[0] not in VERBS:
        return None
    verb = VERBS[words[0]]
    if not verb.takes(words[1:]):
        typed = " ".join(words)
        raise UsageError(
            f'"{typed}" is not a command; usage: {" or ".join(verb.usages)}',
            fix=f'to ask it as a question: {program.call()} -- "{typed}"',
        )
    return verb


def help_for(arguments: Sequence[str]) -> str | None:
    """The help that a command line asks for with -h or --help: of its verb, or of questions; None if it asks for none."""
    before = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    if not {"-h", "--help"} & set(before):
        return None
    words = _parser().parse_known_args([given for given in before if given not in {"-h", "--help"}])[0].question
    verb = VERBS.get(words[0]) if words else None
    return (_question_help() if verb is None else _verb_help(verb)).format_help()


def completion(shell: str) -> str:
    """A shell's script for completion."""
    import shtab  # noqa: PLC0415 - only needed here

    made = _question_help(program.INSTALLED)
    verbs = made.add_subparsers(title="commands", dest="verb")
    for verb in VERBS.values():
        of_verb = verbs.add_parser(verb.name, help=verb.help)
        for place, part in enumerate(verb.forms[-1]):
            of_verb.add_argument(f"word{place}", choices=None if part.isupper() else part.split("|"), help=verb.about)
        _add_verb_flags(of_verb, verb)
    for each in (made, *verbs.choices.values()):
        for action in each._actions:  # noqa: SLF001 - as shtab's own documentation does
            if action.metavar in {"PATH", "FILE"}:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.dest == "ensemble":
                action.choices = shipped_ensembles()
            elif isinstance(action.metavar, str) and action.metavar.startswith("{"):
                action.choices = action.metavar.strip("{}").split(",")
    script: str = shtab.complete(made, shell)
    return script


def _usage(verb: Verb | None) -> str:
    if verb is not None:
        return "\n       ".join(verb.usages)
    return f"{program.name()} [OPTIONS] [QUESTION ...]\n       {program.name()} COMMAND [OPTIONS]"


def _question_help(prog: str | None = None) -> argparse.ArgumentParser:
    call = program.call()
    examples = {
        f'{call} "What is quantum computing?"': "one question",
        f'git diff | {call} "Summarise this"': "a question about standard input",
        f'{call} -f notes.txt "Summarise this"': "a question about a file",
        call: "interactive chat",
    }
    width = _width()
    about = [
        *paragraph("Several small local models answer your question; the best answer is picked.", width),
        "",
        "examples:",
        *two_columns(examples.items(), width),
        "",
        "commands:",
        *two_columns(((verb.name, verb.help) for verb in VERBS.values()), width),
        *paragraph(f"{program.name()} COMMAND --help describes a command and its options.", width, first="  ", indent="  "),
        *paragraph(f'To ask a question that begins with such a word: {call} -- "wait, what?"', width, first="  ", indent="  "),
    ]
    ending = [
        *paragraph("exit codes: 0 answered, 1 no answer, 2 wrong usage, 3 incomplete (only with --strict), 130 interrupted.", width),
        *paragraph(
            "Every setting is also an environment variable (GORK_SEED for --seed) and a key of a settings file (--config FILE, else "
            "~/.config/gork/config.yaml).",
            width,
        ),
    ]
    made = argparse.ArgumentParser(
        prog=prog or program.name(),
        usage=_usage(None),
        description="\n".join(about),
        epilog="\n".join(ending),
        formatter_class=_Formatter,
        allow_abbrev=False,
        add_help=False,
    )
    made.add_argument("-h", "--help", action="help", help="Show this help.")
    _add_own_flags(made)
    for name in ("asking", "models", "limits"):
        _add_settings(made.add_argument_group(GROUPS[name]), name)
    return made


def _verb_help(verb: Verb) -> argparse.ArgumentParser:
    examples = ["examples:", *(f"  {program.call()} {example}" for example in verb.examples)]
    about = [f"{verb.help[0].upper()}{verb.help[1:]}.", *verb.about.splitlines()]
    made = argparse.ArgumentParser(
        prog=program.name(),
        usage=_usage(verb),
        description="\n".join(line for part in about for line in paragraph(part, _width())),
        epilog="\n".join(examples),
        formatter_class=_Formatter,
        allow_abbrev=False,
        add_help=False,
    )
    made.add_argument("-h", "--help", action="help", help="Show this help.")
    _add_verb_flags(made, verb)
    return made


def _add_verb_flags(made: argparse.ArgumentParser, verb: Verb) -> None:
    if verb.as_json:
        made.add_argument("--json", action="store_true", help="Print JSON.")
    if verb.timeout is not None:
        made.add_argument("--timeout", metavar="SECONDS", help=verb.timeout)
    if verb.groups or verb.settings:
        made.add_argument("--config", metavar="FILE", help=_CONFIG)
    for name in verb.settings:
        _add_setting(made, SETTINGS[name])
    for name in verb.groups:
        _add_settings(made.add_argument_group(GROUPS[name]), name, without=("server",))


def _add_own_flags(made: argparse.ArgumentParser) -> None:
    """The flags that are no settings."""
    made.add_argument("-i", "--interactive", action="store_true", help="Interactive chat; reads line by line if the input is a pipe.")
    made.add_argument("--json", action="store_true", help="Print the whole turn as one line of JSON (docs/turn.schema.json).")
    made.add_argument(
        "--continue", dest="session", nargs="?", const=LATEST, metavar="ID", help="Continue the last session, or the one with this ID."
    )
    made.add_argument(
        "-f", "--file", dest="files", action="append", metavar="PATH", help="Put a text file before the question (repeatable)."
    )
    made.add_argument("--system", metavar="TEXT", help="Instructions for the candidates.")
    made.add_argument(
        "-o",
        "--option",
        dest="options",
        action="append",
        metavar="NAME=VALUE",
        help="A sampling option, such as temperature=0 (repeatable).",
    )
    made.add_argument("--only", metavar="NAME", help="Ask only this candidate, without rewriting.")
    made.add_argument("--list", action="store_true", help="List the saved sessions, last used first.")
    made.add_argument("--config", metavar="FILE", help=_CONFIG)
    made.add_argument("--show-config", action="store_true", help="Print every setting and where it comes from.")
    made.add_argument("--version", action="store_true", help="Print the version.")


def _add_settings(made: argparse._ActionsContainer, group: str, *, without: Sequence[str] = ()) -> None:
    for setting in SETTINGS.values():
        if setting.group == group and setting.name not in without:
            _add_setting(made, setting)


def _add_setting(made: argparse._ActionsContainer, setting: Setting) -> None:
    if setting.secret:
        made.add_argument(f"{setting.flag}-file", metavar="FILE", help=_escaped(f"{setting.help} Read from this file."))
    elif isinstance(setting.default, bool):
        short = ("-q",) if setting.name == "quiet" else ()
        made.add_argument(*short, setting.flag, action=argparse.BooleanOptionalAction, default=None, help=_described(setting))
    else:
        made.add_argument(setting.flag, metavar=setting.placeholder or placeholder(setting.kind), help=_described(setting))


def _described(setting: Setting) -> str:
    """The help of a flag, with its default."""
    default = setting.default
    if default is None or default == ():
        return _escaped(setting.help)
    shown = ", ".join(default) if isinstance(default, tuple) else str(default)
    if isinstance(default, bool):
        shown = "on" if default else "off"
    elif isinstance(default, float):
        shown = f"{default:g}"
    return _escaped(f"{setting.help} (default: {shown})")


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
