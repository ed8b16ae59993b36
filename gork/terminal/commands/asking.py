"""Commands about how the next questions are asked: settings, sampling options, instructions, files, members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from gork.config.ensemble import SamplingOptions, alone
from gork.config.schema import Wrong, fields_of, parse_value, suggestion
from gork.config.settings import SETTINGS, Layer, Origin, Setting, Settings
from gork.errors import UsageError
from gork.terminal import attachments, views
from gork.terminal.commands.table import Outcome
from gork.terminal.session import Session

CHANGEABLE = (
    *("optimize", "seed", "timeout", "rewrite_timeout", "candidate_timeout", "judge_timeout", "history_tokens", "strict"),
    *("markdown", "watch"),
)
OPTIONS: Mapping[str, object] = {
    name: one.kind for name, one in fields_of(SamplingOptions).items() if one.help is not None and name != "seed"
}
"""Sampling options of the candidates, by Ollama's names; their seed is the turn's."""
_UNSET = "none"
"""Clears what may be without a value."""
_SET_ORIGIN = Origin(Layer.COMMAND, "/set")
"""Where a value that was changed here comes from."""


async def models(session: Session, _argument: str) -> Outcome:
    """Show the members and whether each can answer."""
    session.tell(views.members(await session.backend.check(), session.width()))
    return None


async def set_(session: Session, argument: str) -> Outcome:
    """Show or change settings and sampling options."""
    name, value = _named(argument)
    if not name:
        for known in CHANGEABLE:
            session.say(_setting_line(session.settings, SETTINGS[known]))
        for option in session.options:
            session.say(_option_line(session, option))
        session.say(f"sampling (each member's own values): {', '.join(option for option in OPTIONS if option not in session.options)}")
    elif name in OPTIONS:
        if value:
            session.options = changed_options(session.options, name, value)
        session.say(_option_line(session, name))
    else:
        field = _setting(name)
        if value:
            session.settings = _changed(session.settings, field, value)
        session.say(_setting_line(session.settings, field))
    return None


def _named(argument: str) -> tuple[str, str]:
    """The name and the value of what is to be set, however it is spelled: as here, as on the command line, as in `ollama run`.

    >>> _named("temperature 0"), _named("--judge-timeout=5"), _named("parameter seed 7"), _named("")
    (('temperature', '0'), ('judge_timeout', '5'), ('seed', '7'), ('', ''))
    """
    spelled = argument.strip().removeprefix("parameter ").strip()
    name, _, value = spelled.replace("=", " ", 1).partition(" ")
    return name.lower().removeprefix("--").replace("-", "_"), value.strip()


def changed_options(options: Mapping[str, object], name: str, text: str) -> dict[str, object]:
    """Sampling options with a new value for this one, or without it. Raises a `UsageError` if the value does not fit."""
    if name not in OPTIONS:
        raise UsageError(f"no sampling option {name[:40]}{suggestion(name, OPTIONS)} (there are: {', '.join(OPTIONS)})")
    if text.lower() == _UNSET:
        return {known: value for known, value in options.items() if known != name}
    try:
        return {**options, name: parse_value(OPTIONS[name], text)}
    except Wrong as wrong:
        raise UsageError(f"{name} {wrong}") from None


def _option_line(session: Session, name: str) -> str:
    value = session.options.get(name)
    return f"{name} = {value:g}  (/set)" if isinstance(value, int | float) else f"{name} = {_UNSET}  (each member's own)"


def _setting(name: str) -> Setting:
    """The setting with this name; raises `UsageError` if it cannot be changed here."""
    if name in CHANGEABLE:
        return SETTINGS[name]
    can_set = f"here you can set {', '.join((*CHANGEABLE, *OPTIONS))}"
    if name in {"system", "only", "file"}:
        raise UsageError(f"/{name} does that")
    if name in SETTINGS:
        raise UsageError(f"{name} can only be set at start-up ({SETTINGS[name].flag}); {can_set}")
    near = suggestion(name, (*CHANGEABLE, *OPTIONS))
    raise UsageError(f"there is no setting {name[:40]}{near or f'; {can_set}'}")


def _setting_line(settings: Settings, field: Setting) -> str:
    """A setting with its value and its origin."""
    value = getattr(settings, field.field)
    spelled = str(value).lower() if isinstance(value, bool) else _UNSET if value is None else f"{value:g}"
    return f"{field.name} = {spelled}  ({settings.origins[field.name]})"


def _changed(settings: Settings, field: Setting, text: str) -> Settings:
    """The settings with a new value for this one; raises `UsageError` if the value does not fit."""
    if field.default is None and text.lower() == _UNSET:
        return with_value(settings, field, None)
    try:
        return with_value(settings, field, parse_value(field.kind, text))
    except Wrong as wrong:
        unset = f" (or {_UNSET})" if field.default is None else ""
        raise UsageError(f"{field.name} {wrong}{unset}") from None


def with_value(settings: Settings, field: Setting, value: object) -> Settings:
    """The settings with this value, given here."""
    changes = {field.field: value, "origins": {**settings.origins, field.name: _SET_ORIGIN}}
    return structs.replace(settings, **changes)


async def system(session: Session, argument: str) -> Outcome:
    """Show or change the instructions for the candidates."""
    if argument.strip():
        session.system = "" if argument.strip().lower() == _UNSET else argument.strip()
    session.say(f"instructions: {session.system}" if session.system else "no instructions besides the candidates' own")
    return None


async def only(session: Session, argument: str) -> Outcome:
    """Ask one candidate alone, or all of them again."""
    name = argument.strip().lower()
    if name in {"all", _UNSET}:
        session.only = None
    elif name:
        alone(session.settings.ensemble, name)  # is there one?
        session.only = name
    session.say(
        "asking all candidates" if session.only is None else f"asking only {session.only}, without rewriting (/only all: everyone again)"
    )
    return None


async def watch(session: Session, argument: str) -> Outcome:
    """Switch on or off that a draft is shown while it is written, or say whose."""
    name = argument.strip().lower()
    candidates = [member.name for member in session.settings.ensemble.candidates]
    if name in {"on", "off", ""}:
        shown = name == "on" if name else not session.settings.watch
    elif name in candidates:
        shown, session.watched = True, name
    else:
        raise UsageError(f"no candidate {name[:40]}{suggestion(name, candidates)} (there are: {', '.join(candidates)}; on, off)")
    session.settings = with_value(session.settings, SETTINGS["watch"], shown)
    session.say(f"{session.favourite}'s draft is shown while it is written" if shown else "drafts are not shown while they are written")
    return None


async def file(session: Session, argument: str) -> Outcome:
    """Attach a text file to the next question."""
    given = argument.strip().strip("'\"")
    if given.lower() == _UNSET:
        session.files.clear()
    elif given:
        session.files.append(attachments.read(given))
    if not session.files:
        session.say("no file is attached")
    for one in session.files:
        session.say(f"attached to the next question: {one.name} ({len(one.text):,} characters; /file none removes it)")
    return None


def settings(_session: Session, before: Sequence[str]) -> Sequence[str]:
    """Completions for /set."""
    if not before:
        return (*CHANGEABLE, *OPTIONS)
    if len(before) > 1:
        return ()
    if before[0] in OPTIONS:
        return (_UNSET,)
    if before[0] not in CHANGEABLE:
        return ()
    field = SETTINGS[before[0]]
    return ("true", "false") if isinstance(field.default, bool) else (_UNSET,) if field.default is None else ()


def candidates(session: Session, before: Sequence[str]) -> Sequence[str]:
    """Completions: the candidates."""
    return () if before else [member.name for member in session.settings.ensemble.candidates]
