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

from gork.config.durations import setting_of
from gork.config.ensemble import (
    CandidatesSee,
    Context,
    Ensemble,
    JudgeTokens,
    Member,
    Seed,
    Wait,
    as_url,
    load_ensemble,
    misfits,
    own_ensembles,
    shipped_ensembles,
    with_members,
)
from gork.config.folders import config_home
from gork.config.from_models import ensemble_of, models_of
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
    what, parts = "origins such as https://chat.example or chrome-extension://ID", raw
    if isinstance(raw, str):
        parts = [part.strip() for part in raw.split(",") if part.strip()]
    if not isinstance(parts, list | tuple) or len(parts) > 64:
        raise Wrong(f"must be {what}, not {describe(raw)}")
    for part in parts:
        if not isinstance(part, str) or not _WEB_ORIGIN.fullmatch(part):
            raise Wrong(f"must be {what} (scheme://host[:port], nothing else), not {describe(part)}")
    return tuple(parts)


def _hosts(raw: object) -> tuple[str, ...]:
    """A list, or a text with commas; IPv6 addresses with their brackets or without.

    >>> _hosts("0.0.0.0, [::]")
    ('0.0.0.0', '::')
    """
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple) or not 1 <= len(parts) <= 16:
        raise Wrong(f"must be addresses or names of hosts, not {describe(raw)}")
    hosts = tuple(part.strip().removeprefix("[").removesuffix("]").lower() if isinstance(part, str) else "" for part in parts)
    if not all(re.fullmatch(r"[a-z0-9_.:%-]{1,253}", host) for host in hosts):
        raise Wrong(f"must be addresses or names of hosts, not {describe(raw)}")
    return hosts


_WEB_ORIGIN = re.compile(
    r"https?://([a-z0-9.-]{1,253}|\[[0-9a-f:]{2,39}\])(:[0-9]{1,5})?"
    r"|(?!https?:)[a-z][a-z0-9+.-]{1,40}://([a-zA-Z0-9._-]{1,253}|\*)"
)
"""Pages of the web by name; pages of programs also all of a scheme: `moz-extension://*`, since each installation has another name."""
_EnsembleName = Annotated[str, Meta(min_length=1, max_length=4096, title="a name or a file")]
_Models = Annotated[tuple[str, ...], From(Any, models_of), Meta(title="one to eight models")]
_Model = Annotated[str, Meta(min_length=1, max_length=4096, title="a model's name, or a GGUF file")]
_Layers = Annotated[int, Meta(ge=0, le=10_000)]
_Duration = Annotated[str, From(Any, setting_of), Meta(title='a duration such as "5m"')]
_OllamaHost = Annotated[str, as_url(host_url, "a host, host:port or URL")]
_OpenAIHost = Annotated[str, as_url(base_url, "a URL such as http://127.0.0.1:8000/v1")]
_ServerUrl = Annotated[str, as_url(base_url, "a URL such as http://127.0.0.1:8080")]
_Hosts = Annotated[tuple[str, ...], From(Any, _hosts), Meta(title="addresses or names of hosts")]
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

    ensemble_name: Annotated[
        _EnsembleName | None,
        Help("An ensemble's name (the command ensembles lists them), or a file.", key="ensemble", group="models", placeholder="NAME"),
    ] = None
    """None leaves it to the choice of the engine."""
    models: Annotated[
        _Models,
        Help(
            "An ensemble of these candidates, best first: names of models, or GGUF files for the embedded engine.",
            group="models",
            placeholder="MODEL[,MODEL...]",
        ),
    ] = ()
    judge: Annotated[
        _Model | None, Help("The judge for --models; without one the order of the candidates decides.", group="models", placeholder="MODEL")
    ] = None
    promptimizer: Annotated[
        _Model | None, Help("The model that rewrites the question, for --models.", group="models", placeholder="MODEL")
    ] = None
    engine: Annotated[
        Literal["auto", "ollama", "openai", "embedded"], Help("What runs the members that name no engine of their own.", group="models")
    ] = "auto"
    ollama_host: Annotated[
        _OllamaHost,
        Help("Ollama server for members without a URL of their own.", also="OLLAMA_HOST", group="models", placeholder="HOST[:PORT]"),
    ] = parse_host("")
    openai_host: Annotated[
        _OpenAIHost | None,
        Help("Server for members with api: openai and without a URL of their own.", group="models", placeholder="URL"),
    ] = None
    seed: Annotated[Seed | None, Help("Sampling seed. (default: a new one for each turn)")] = None
    optimize: Annotated[bool, Help("Rewrite the question before the candidates get it.")] = True
    compute: Annotated[bool, Help("Let members answer with a program, which is run here in a sandbox.")] = True
    program_seconds: Annotated[float, Meta(ge=0.05, le=60), Help("Maximum time for one program in the sandbox.", group="limits")] = 1.0
    program_memory: Annotated[int, Meta(ge=1, le=4096), Help("Maximum memory of one program, in megabytes.", group="limits")] = 64
    program_output: Annotated[int, Meta(ge=64, le=1 << 20), Help("Maximum output of one program, in bytes.", group="limits")] = 4096
    programs_at_once: Annotated[
        int, Meta(ge=1, le=64), Help("Programs that may run at the same time, each in its own process.", group="limits")
    ] = 2
    strict: Annotated[
        bool, Help("Exit with 3 if a turn was incomplete: a model failed, the chosen answer was cut off, or there was no verdict.")
    ] = False
    markdown: Annotated[bool, Help("Format answers on a terminal (never in a pipe).")] = True
    watch: Annotated[bool, Help("Show the favourite's draft on the terminal while it is written.")] = True
    quiet: Annotated[bool, Help("Print only the answer: no progress, no summary.")] = False
    history_tokens: Annotated[
        _Tokens | None, Help("Maximum history sent to the models, in tokens. (default: what fits beside question and answer)")
    ] = None
    save: Annotated[bool, Help("Save sessions: what is asked and answered at the prompt.")] = True
    data: Annotated[FilePath | None, Help("Folder for sessions and the prompt's history. (default: ~/.local/state/gork)")] = None
    sessions: Annotated[FilePath | None, Help("Folder for sessions. (default: sessions in the folder of --data)")] = None
    history: Annotated[bool, Help("Keep what is typed at the prompt for the next time, in a file.")] = True
    idle_exit: Annotated[_Idle, Help("Leave the prompt after this long without a key press; 0 for never.", placeholder="SECONDS")] = (
        14_400.0
    )
    threads: Annotated[
        _Cores | None, Help("CPU cores to use. (default: detected from CPU quota, affinity mask and machine)", group="models")
    ] = None
    cache: Annotated[FilePath | None, Help("Folder for weights. (default: ~/.cache/gork/weights)", group="models")] = None
    offline: Annotated[bool, Help("Download nothing.", group="models")] = False
    context: Context | None = None
    """This and the next three stand above the ensemble's own values, which are in `ensemble` with them."""
    candidates_see: CandidatesSee | None = None
    judge_tokens: JudgeTokens | None = None
    wait: Wait | None = None
    timeout: Annotated[_Seconds, Help("Maximum time for a turn.", group="limits")] = 300.0
    rewrite_timeout: Annotated[_Seconds, Help("Maximum time for the rewrite.", group="limits")] = 20.0
    candidate_timeout: Annotated[
        _Seconds, Help("Maximum time for one candidate's answer; what it has written by then counts.", group="limits")
    ] = 180.0
    judge_timeout: Annotated[_Seconds, Help("Minimum time for the judge; it gets more if it reads slowly.", group="limits")] = 60.0
    connect_timeout: Annotated[_Seconds, Help("Maximum time to connect to a server.", group="limits")] = 5.0
    gpu_layers: Annotated[
        _Layers | None,
        Help(
            "Layers of each embedded model to run on a GPU, where llama.cpp was built for one; 0 for none. (default: all)", group="models"
        ),
    ] = None
    one_machine: Annotated[
        bool,
        Help(
            "All members share one machine's processors, whatever their addresses say, as containers of one compose file do.",
            group="models",
        ),
    ] = False
    keep_alive: Annotated[
        _Duration,
        Help(
            "How long an embedded model stays in memory without a question, spelled as in Ollama; negative for forever. "
            "If given, also for a local Ollama.",
            group="models",
            placeholder="DURATION",
        ),
    ] = "5m"
    load_timeout: Annotated[_Seconds, Help("Maximum time to load a model into memory.", group="limits")] = 600.0
    first_token_timeout: Annotated[
        _Seconds, Help("Maximum wait for the first token, in addition to the time for reading the prompt.", group="limits")
    ] = 60.0
    prefill_rate: Annotated[_Rate, Help("Prompt tokens that the slowest model reads in a second.", group="limits", placeholder="N")] = 10.0
    idle_timeout: Annotated[_Seconds, Help("Maximum wait from one token to the next.", group="limits")] = 30.0
    server: Annotated[
        _ServerUrl | None,
        Help(
            "Ask a running service instead of the models of this machine (for questions and the prompt).", group="models", placeholder="URL"
        ),
    ] = None
    host: Annotated[
        _Hosts,
        Help(
            "Addresses to listen on, separated by commas; 0.0.0.0,:: for all of IPv4 and IPv6.",
            group="serve",
            placeholder="ADDRESS[,ADDRESS...]",
        ),
    ] = ("127.0.0.1",)
    port: Annotated[_Port, Help("Port to listen on; 0 for any free one.", group="serve")] = 8080
    turns: Annotated[
        _Turns, Help("Turns that run at the same time; more than 1 where the models have their own processors.", group="serve")
    ] = 1
    queue: Annotated[_Queue, Help("Turns that may wait in the queue; more get 503.", group="serve")] = 16
    prompts: Annotated[_Queue, Help("Maximum number of prompts in the service's own container; 0 for any number.", group="serve")] = 0
    body_limit: Annotated[_Bytes, Help("Maximum size of a request, in bytes.", group="serve")] = 2 << 20
    request_timeout: Annotated[
        _Seconds,
        Help("Maximum time for a client to send a request's headers, to send its body, and to read what it is sent.", group="serve"),
    ] = 15.0
    drain_timeout: Annotated[_Seconds, Help("Time for running and waiting turns to finish when the service is stopped.", group="serve")] = (
        30.0
    )
    drafts: Annotated[
        bool, Help("Send drafts and verdict to other programs as thinking, unless a request says otherwise.", group="serve")
    ] = True
    live_draft: Annotated[
        bool, Help("Send the favourite's draft there as it is written, the others when they are done.", group="serve")
    ] = False
    thinking_field: Annotated[
        Literal["reasoning_content", "reasoning"], Help("Field of OpenAI's dialect that carries drafts and verdict.", group="serve")
    ] = "reasoning_content"
    tools: Annotated[
        Literal["ignore", "refuse"], Help("What to do with tools that a request offers (the models only answer in words).", group="serve")
    ] = "ignore"
    cors: Annotated[
        _WebOrigins,
        Help(
            "Origins whose pages may use the service, besides this machine's and those of desktop programs, separated by commas.",
            group="serve",
            placeholder="ORIGIN[,ORIGIN...]",
        ),
    ] = ()
    log_format: Annotated[Literal["text", "json"], Help("Format of the log.", group="serve")] = "text"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Help("Minimum log level.", group="serve")] = "info"
    log_prompts: Annotated[bool, Help("Log questions and answers.", group="serve")] = False
    token: Annotated[
        _Token | None,
        Help("Bearer token that clients of the service must send (for /api, /v1 and /metrics); also sent to --server.", group="serve"),
    ] = None
    hub_token: Annotated[_Token | None, Help("Token for the model hub.", group="models")] = None

    ensemble: Ensemble
    """With the user's own values for its members, context and choosing in it."""
    members: Mapping[str, MemberPlace] = field(default_factory=dict)
    """What the user said of members, by name: it stands above any ensemble that has them."""
    origins: Mapping[str, Origin]
    """By setting's name, and "members.<name>.<key>"."""

    @property
    def ensemble_given(self) -> bool:
        """Whether the user chose the ensemble."""
        return self.ensemble_name is not None or bool(self.models)

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
OF_CHOOSING: Final = ("judge_tokens", "wait")
"""Settings that stand above what the ensemble file says."""


def _settings() -> dict[str, Setting]:
    table = {}
    for name, one in fields_of(Settings).items():
        if one.help is not None:
            above = " (default: from the ensemble)" if name in {*OF_ENSEMBLE, *OF_CHOOSING} else ""
            key, said = one.help.key or name, one.help
            secret = one.base is Secret
            table[key] = Setting(key, name, one.kind, said.text + above, one.default, secret, said.also, said.group, said.placeholder)
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
        named = _of_models(values)
        ensemble = named or load_ensemble(name if name is not None else FULL, own_ensembles(config_home(environ)))
    except ConfigError as error:
        # Which members there would be is not known, so no variable that may be of one is called unknown.
        raise ConfigError([*mistakes, *check_variables(environ, SETTINGS, members), *error.mistakes]) from None
    mistakes += _check_members(given, ensemble, environ)
    if mistakes:
        raise ConfigError(mistakes)
    origins = {**dict.fromkeys(SETTINGS, Origin()), **{name: origin for name, (_, origin) in given.items()}}
    settings = Settings(ensemble=ensemble, members=members, origins=origins, **values)
    return settings.with_ensemble(ensemble) if settings.ensemble_given else _put_in(settings, ensemble)


def _of_models(values: Mapping[str, Any]) -> Ensemble | None:
    """The ensemble of the models that were named, None if none were. Raises a `ConfigError`."""
    models, judge, promptimizer = values.get("models"), values.get("judge"), values.get("promptimizer")
    if not models:
        if judge or promptimizer:
            raise ConfigError([f"{'judge' if judge else 'promptimizer'}: goes with models"])
        return None
    if values.get("ensemble_name") is not None:
        raise ConfigError(["models: an ensemble is named too; one of them is enough"])
    try:
        return ensemble_of(models, judge=judge, promptimizer=promptimizer)
    except Wrong as wrong:
        raise ConfigError([f"models: a model {wrong}"]) from None


def _user_file(flags: Mapping[str, object], environ: Mapping[str, str], mistakes: list[str]) -> Values:
    try:
        found = config_path(flags.get("config"), environ)
    except Wrong as wrong:
        mistakes.append(str(wrong))
        return {}
    return read_config(found, SETTINGS, mistakes) if found is not None else {}


def _members(given: Values) -> dict[str, MemberPlace]:
    """What was given of members, by their names."""
    found: dict[str, dict[str, Any]] = {}
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
        given = {key: value for key in MemberPlace.__struct_fields__ if (value := getattr(said, key)) is not None}
        return replace(member, **given)

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
