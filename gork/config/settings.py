"""All settings of one start, each with its origin: defaults < ensemble file < the user's file < environment < flags.

`Settings` is their schema: file keys, variables, flags, `--help` and the documentation are made from its fields. `load_settings` reads
the sources once. Which ensemble is used may be decided later, with the engine: `with_ensemble` then puts it in, and what the user said
of its members and of its other values stays above it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, field
from msgspec.structs import replace

from gork.config.ensemble import (
    CandidatesSee,
    Context,
    DecidedBy,
    Ensemble,
    JudgeTokens,
    Member,
    Orders,
    Seed,
    as_url,
    load_ensemble,
    misfits,
    shipped_ensembles,
    with_members,
)
from gork.config.load import (
    Layer,
    MemberPlace,
    Origin,
    Setting,
    Values,
    check_variables,
    config_path,
    read_config,
    read_environment,
    read_flags,
)
from gork.config.schema import FilePath, From, Help, Record, Secret, Wrong, describe, fields_of, suggestion
from gork.config.urls import base_url, host_url, parse_host
from gork.errors import ConfigError

__all__ = ["SETTINGS", "Layer", "Origin", "Setting", "Settings", "load_settings", "parse_host"]

FULL: Final = "heavy-lite"
"""The ensemble that stands in until an engine is chosen."""


def _secret(raw: object) -> Secret:
    if not isinstance(raw, str) or not re.fullmatch(r"[!-~]{1,4096}", raw):
        raise Wrong("must be a token: up to 4096 printable ASCII characters without blanks (its value is not shown)")
    return Secret(raw)


def _web_origins(raw: object) -> tuple[str, ...]:
    """A list, or a text with commas."""
    what, parts = "origins such as https://chat.example", raw
    if isinstance(raw, str):
        parts = [part.strip() for part in raw.split(",") if part.strip()]
    if not isinstance(parts, list | tuple) or len(parts) > 64:
        raise Wrong(f"must be {what}, not {describe(raw)}")
    for part in parts:
        if not isinstance(part, str) or not _WEB_ORIGIN.fullmatch(part):
            raise Wrong(f"must be {what} (scheme://host[:port], nothing else), not {describe(part)}")
    return tuple(parts)


_WEB_ORIGIN = re.compile(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?|https?://\[[0-9a-f:]{2,39}\](:[0-9]{1,5})?")
_EnsembleName = Annotated[str, Meta(min_length=1, max_length=4096, title="a name or a file")]
_OllamaHost = Annotated[str, as_url(host_url, "a host, host:port or URL")]
_ServerUrl = Annotated[str, as_url(base_url, "a URL such as http://127.0.0.1:8080")]
_HostName = Annotated[str, Meta(min_length=1, max_length=253, title="an address or a host's name")]
_WebOrigins = Annotated[tuple[str, ...], From(Any, _web_origins), Meta(title="origins such as https://chat.example")]
_Token = Annotated[Secret, From(Any, _secret), Meta(title="a token")]
_Seconds = Annotated[float, Meta(ge=0.1, le=86_400)]
_Tokens = Annotated[int, Meta(ge=0, le=1_000_000)]
_Idle = Annotated[float, Meta(ge=0, le=31_536_000)]
_Cores = Annotated[int, Meta(ge=1, le=1024)]
_Rate = Annotated[float, Meta(ge=0.1, le=1_000_000)]
_Port = Annotated[int, Meta(ge=0, le=65_535)]
_Turns = Annotated[int, Meta(ge=1, le=1000)]
_Queue = Annotated[int, Meta(ge=0, le=10_000)]
_Bytes = Annotated[int, Meta(ge=1024, le=1 << 30)]


class Settings(Record, frozen=True, kw_only=True):
    """What one start of the program goes by. Each field with a `Help` is a setting; the others say what came of them."""

    ensemble_name: Annotated[_EnsembleName | None, Help("A shipped ensemble's name, or an ensemble file.", key="ensemble")] = None
    """None leaves it to the choice of the engine."""
    engine: Annotated[Literal["auto", "ollama", "embedded"], Help("Where models answer.")] = "auto"
    ollama_host: Annotated[_OllamaHost, Help("The Ollama server of members that have no url of their own.", also="OLLAMA_HOST")] = (
        parse_host("")
    )
    seed: Annotated[Seed | None, Help("Seed of sampling and of the judge's orders; drawn for each turn if not given.")] = None
    optimize: Annotated[bool, Help("Whether the question is rewritten before it is asked.")] = True
    compute: Annotated[bool, Help("Whether members may answer by a program that is run here, in a sandbox.")] = True
    program_seconds: Annotated[float, Meta(ge=0.05, le=60), Help("Seconds that one program may run.")] = 1.0
    program_memory: Annotated[int, Meta(ge=1, le=4096), Help("Megabytes that one program may use.")] = 64
    program_output: Annotated[int, Meta(ge=64, le=1 << 20), Help("Bytes that one program may print.")] = 4096
    programs_at_once: Annotated[int, Meta(ge=1, le=64), Help("Programs that run at the same time, each in a process of its own.")] = 2
    strict: Annotated[bool, Help("Whether a turn that is less than a whole one ends with exit code 3.")] = False
    markdown: Annotated[bool, Help("Whether answers are formatted on a terminal; in a pipe they never are.")] = True
    history_tokens: Annotated[_Tokens, Help("Most tokens of earlier turns that models are given.")] = 1500
    save: Annotated[bool, Help("Whether the turns of the prompt that remembers are saved.")] = True
    sessions: Annotated[FilePath | None, Help("The folder they are saved in; one of the user's state if not given.")] = None
    history: Annotated[bool, Help("Whether what was typed at the prompt is kept in a file for the next time.")] = True
    idle_exit: Annotated[_Idle, Help("Seconds without a key at a terminal's prompt after which the program ends; 0 for never.")] = 14_400.0
    threads: Annotated[_Cores | None, Help("Cores to use; found out (CPU quota, affinity mask, machine) if not given.")] = None
    cache: Annotated[FilePath | None, Help("Where weights are kept; a folder of the user's cache if not given.")] = None
    offline: Annotated[bool, Help("Whether nothing may be fetched.")] = False
    context: Context | None = None
    """This and the next four stand above the ensemble's own values, which are in `ensemble` with them."""
    candidates_see: CandidatesSee | None = None
    policy: DecidedBy | None = None
    orders: Orders | None = None
    judge_tokens: JudgeTokens | None = None
    timeout: Annotated[_Seconds, Help("Seconds for a whole turn.")] = 300.0
    rewrite_timeout: Annotated[_Seconds, Help("Seconds for the rewrite.")] = 20.0
    candidate_timeout: Annotated[_Seconds, Help("Seconds for one candidate's answer; what it has written by then counts.")] = 180.0
    judge_timeout: Annotated[_Seconds, Help("Seconds for the judge at least; more if its reading speed asks for it.")] = 60.0
    connect_timeout: Annotated[_Seconds, Help("Seconds until a server must have accepted a connection.")] = 5.0
    load_timeout: Annotated[_Seconds, Help("Seconds for loading a model into memory.")] = 600.0
    first_token_timeout: Annotated[_Seconds, Help("Seconds until the first token, besides the time for reading the prompt.")] = 60.0
    prefill_rate: Annotated[_Rate, Help("Tokens of a prompt that the slowest model reads a second.")] = 10.0
    idle_timeout: Annotated[_Seconds, Help("Seconds from one token to the next.")] = 30.0
    drain_timeout: Annotated[_Seconds, Help("Seconds that running turns may take when the service is stopped.")] = 30.0
    server: Annotated[
        _ServerUrl | None, Help("A running service that answers instead of models here; used by questions and the prompt, not by serve.")
    ] = None
    host: Annotated[_HostName, Help("The address that serve listens on.")] = "127.0.0.1"
    port: Annotated[_Port, Help("The port that serve listens on; 0 for any that is free.")] = 8080
    turns: Annotated[_Turns, Help("Turns that the service works on at once; more where the models have processors of their own.")] = 1
    queue: Annotated[_Queue, Help("Turns that may wait for their start; beyond, clients are told to come back.")] = 16
    body_limit: Annotated[_Bytes, Help("Bytes of the largest request that the service reads.")] = 2 << 20
    request_timeout: Annotated[
        _Seconds, Help("Seconds within which a client must have sent the head, and then the body, of a request, and take what it is sent.")
    ] = 15.0
    drafts: Annotated[
        bool, Help("Whether other programs get drafts and verdict in the thinking channel, unless a request says otherwise.")
    ] = True
    cors: Annotated[_WebOrigins, Help("Origins whose pages may use the service, separated by commas.")] = ()
    log_format: Annotated[Literal["text", "json"], Help("How the service writes its log.")] = "text"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Help("From which level on it does.")] = "info"
    log_prompts: Annotated[bool, Help("Whether questions and answers stand in the log.")] = False
    token: Annotated[
        _Token | None,
        Help("Bearer token that clients of the service must send (for /api, /v1 and /metrics); sent where a server is used."),
    ] = None
    hub_token: Annotated[_Token | None, Help("Token for the model hub.")] = None

    ensemble: Ensemble
    """With the user's own values for its members, context and choosing in it."""
    members: Mapping[str, MemberPlace] = field(default_factory=dict)
    """What the user said of members, by name: it stands above any ensemble that has them."""
    origins: Mapping[str, Origin]
    """By setting's name, and "members.<name>.<key>"."""

    @property
    def ensemble_given(self) -> bool:
        """Whether the user chose the ensemble."""
        return self.ensemble_name is not None

    @property
    def ollama_host_given(self) -> bool:
        """Whether the user said where the local Ollama is."""
        return self.origins["ollama_host"].layer is not Layer.DEFAULT

    def with_ensemble(self, ensemble: Ensemble, origin: Origin | None = None) -> Settings:
        """The same settings with another ensemble, the user's own values above it; `origin` says who chose it.

        Raises a `ConfigError` if those values do not go together with it.
        """
        settings = _put_in(self, ensemble)
        if origin is not None:
            settings = replace(settings, origins={**settings.origins, "ensemble": origin})
        given = [str(settings.origins[name]) for name in (*OF_ENSEMBLE, *OF_CHOOSING) if getattr(settings, name) is not None]
        if mistakes := misfits(settings.ensemble):
            raise ConfigError([f"{', '.join(given)}: {mistake}" for mistake in mistakes])
        return settings


OF_ENSEMBLE: Final = ("context", "candidates_see")
OF_CHOOSING: Final = ("policy", "orders", "judge_tokens")
"""Settings that stand above what the ensemble file says."""


def _settings() -> dict[str, Setting]:
    table = {}
    for name, one in fields_of(Settings).items():
        if one.help is not None:
            above = " As the ensemble says if not given." if name in {*OF_ENSEMBLE, *OF_CHOOSING} else ""
            key = one.help.key or name
            table[key] = Setting(key, name, one.kind, one.help.text + above, one.default, one.base is Secret, one.help.also)
    return table


SETTINGS: Final[Mapping[str, Setting]] = _settings()
"""All settings by their names, in the order of the documentation."""


def load_settings(flags: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """The settings that flags (by setting's name, and "config"), environment and the user's file give together.

    Raises one `ConfigError` with the mistakes of all of them.
    """
    mistakes: list[str] = []
    of_flags, of_environment = read_flags(flags, SETTINGS, mistakes), read_environment(environ, SETTINGS, mistakes)
    given = {**_user_file(flags, environ, mistakes), **of_environment, **of_flags}
    values = {SETTINGS[name].field: value for name, (value, _) in given.items() if name in SETTINGS}
    members, name = _members(given), values.get("ensemble_name")
    try:
        ensemble = load_ensemble(name if name is not None else FULL)
    except ConfigError as error:
        # Which members there would be is not known, so no variable that may be of one is called unknown.
        raise ConfigError([*mistakes, *check_variables(environ, SETTINGS, members), *error.mistakes]) from None
    mistakes += _check_members(given, ensemble, environ)
    if mistakes:
        raise ConfigError(mistakes)
    origins = {**dict.fromkeys(SETTINGS, Origin()), **{name: origin for name, (_, origin) in given.items()}}
    settings = Settings(ensemble=ensemble, members=members, origins=origins, **values)
    return _put_in(settings, ensemble) if name is None else settings.with_ensemble(ensemble)


def _user_file(flags: Mapping[str, object], environ: Mapping[str, str], mistakes: list[str]) -> Values:
    try:
        found = config_path(flags.get("config"), environ)
    except Wrong as wrong:
        mistakes.append(str(wrong))
        return {}
    return read_config(found, SETTINGS, mistakes) if found is not None else {}


def _members(given: Values) -> dict[str, MemberPlace]:
    """What was given of members, by their names."""
    found: dict[str, dict[str, str]] = {}
    for key, (value, _) in given.items():
        if key not in SETTINGS:
            _, name, of_member = key.split(".")
            found.setdefault(name, {})[of_member] = value
    return {name: MemberPlace(**values) for name, values in found.items()}


def _check_members(given: Values, ensemble: Ensemble, environ: Mapping[str, str]) -> list[str]:
    """A mistake for each unknown variable, and for each member of the settings file that the ensemble does not have.

    Settings may speak of the ensemble's members, and of those of the shipped ones, which may yet be chosen.
    """
    names = [member.name for member in ensemble.members]
    if any(name not in names for name in _members(given)):
        names += [member.name for shipped in shipped_ensembles() for member in load_ensemble(shipped).members]
    names = list(dict.fromkeys(names))
    in_file: dict[str, Origin] = {}
    for key, (_, origin) in given.items():
        if key not in SETTINGS and origin.layer is Layer.FILE:
            in_file.setdefault(key.split(".")[1], origin)
    return check_variables(environ, SETTINGS, names) + [
        f"{origin}: members.{name}: no such member{suggestion(name, names)}" for name, origin in in_file.items() if name not in names
    ]


def _put_in(settings: Settings, ensemble: Ensemble) -> Settings:
    """The settings with an ensemble that has the user's values, and the origins of both."""

    def given(names: tuple[str, ...]) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(settings, name)) is not None}

    def placed(member: Member) -> Member:
        said = settings.members.get(member.name, MemberPlace())
        return replace(member, url=said.url or member.url, model=said.model or member.model)

    source = Origin(Layer.ENSEMBLE, ensemble.name)
    origins = {name: origin for name, origin in settings.origins.items() if origin.layer is not Layer.ENSEMBLE}
    for name in (*OF_ENSEMBLE, *OF_CHOOSING):
        origins[name] = settings.origins[name] if getattr(settings, name) is not None else source
    for member in ensemble.members:
        for key in MemberPlace.__struct_fields__:
            origins.setdefault(f"members.{member.name}.{key}", source)
    choosing = replace(ensemble.choosing, **given(OF_CHOOSING))
    ensemble = replace(with_members(ensemble, placed), choosing=choosing, **given(OF_ENSEMBLE))
    return replace(settings, ensemble=ensemble, origins=origins)
