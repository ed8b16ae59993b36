"""All settings of one start, each with its origin: defaults < ensemble file < the user's file < environment < flags.

`load_settings` reads the layers once. Which ensemble is used may be decided later, with the engine: `with_ensemble` then puts it in,
and what the user said of its members and of its other values stays above it. `gork/config/fields.py` has the table of settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gork.config.ensemble import Ensemble, Member, load_ensemble, misfits, shipped_ensembles, with_members
from gork.config.fields import BY_NAME, FIELDS, MEMBER_KEYS
from gork.config.load import Layer, check_members, check_variables, config_path, read_config, read_environment, read_flags
from gork.config.urls import masked, parse_host, printable
from gork.config.values import Secret, Wrong
from gork.engines.call import Deadlines
from gork.errors import ConfigError

__all__ = ["FIELDS", "Settings", "load_settings", "parse_host", "show_config"]

FULL = "heavy-lite"
"""The ensemble that stands in until an engine is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one start of the program goes by."""

    ensemble: Ensemble
    """With the user's own values for its members, context and choosing in it."""
    ensemble_name: str | None
    """As the user gave it, a name or a file; None leaves it to the choice of the engine."""
    engine: Literal["auto", "ollama", "embedded"]
    ollama_host: str
    """The base URL of the local Ollama."""
    seed: int | None
    optimize: bool
    strict: bool
    markdown: bool
    history_tokens: int
    save: bool
    sessions: Path | None
    history: bool
    idle_exit: float
    threads: int | None
    cache: Path | None
    offline: bool
    turn: float
    rewrite: float
    candidate: float
    judge: float
    connect: float
    load: float
    first_token: float
    prefill_rate: float
    idle: float
    drain: float
    server: str | None
    """The base URL of a running service that answers instead of models here."""
    host: str
    """What `serve` listens on."""
    port: int
    turns: int
    queue: int
    body_limit: int
    request: float
    drafts: bool
    cors: tuple[str, ...]
    log_format: Literal["text", "json"]
    log_level: Literal["debug", "info", "warning", "error"]
    log_prompts: bool
    token: Secret | None
    hub_token: Secret | None
    origins: Mapping[str, str]
    """By setting's name, and "members.<name>.<key>": "default", "ensemble starter", "config.yaml:7", "GORK_SEED", "--seed"."""
    above: Layer
    """What the user said of the ensemble's values and members: it stands above any ensemble."""

    @property
    def ensemble_given(self) -> bool:
        """Whether the user chose the ensemble."""
        return self.ensemble_name is not None

    @property
    def ollama_host_given(self) -> bool:
        """Whether the user said where the local Ollama is."""
        return self.origins["ollama_host"] != "default"

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of one call to a model."""
        return Deadlines(connect=self.connect, load=self.load, first_token=self.first_token, prefill_rate=self.prefill_rate, idle=self.idle)

    def with_ensemble(self, ensemble: Ensemble, origin: str | None = None) -> Settings:
        """The same settings with another ensemble, the user's own values above it; `origin` says who chose it.

        Raises a `ConfigError` if those values do not go together with it.
        """
        origins = {**self.origins, **({} if origin is None else {"ensemble": origin})}
        settings = replace(self, **_with_above(ensemble, self.above, origins))
        if mistakes := _misfits(settings.ensemble, settings.origins):
            raise ConfigError(mistakes)
        return settings


def load_settings(flags: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    """The settings that flags (by setting's name, and "config"), environment and the user's file give together.

    Raises one `ConfigError` with the mistakes of all of them.
    """
    mistakes: list[str] = []
    layer = read_flags(flags, mistakes).over(read_environment(environ, mistakes)).over(_user_file(flags, environ, mistakes))
    name = layer.values["ensemble"].value if "ensemble" in layer.values else None
    try:
        ensemble = load_ensemble(name if name is not None else FULL)
    except ConfigError as error:
        # Which members there would be is not known, so no variable that may be of one is called unknown.
        raise ConfigError([*mistakes, *check_variables(environ, layer.members), *error.mistakes]) from None
    members = _known_members(ensemble, layer)
    mistakes += check_variables(environ, members) + check_members(_without_variables(layer), members)
    if mistakes:
        raise ConfigError(mistakes)

    values = {field.attribute or field.name: field.default for field in FIELDS if field.of == "settings" and field.name != "ensemble"}
    origins = dict.fromkeys(BY_NAME, "default")
    for key, given in layer.values.items():
        origins[key] = given.origin
        if key in BY_NAME and BY_NAME[key].of == "settings" and key != "ensemble":
            values[BY_NAME[key].attribute or key] = given.value
    settings = Settings(ensemble_name=name, above=layer, **values, **_with_above(ensemble, layer, origins))  # type: ignore[arg-type] # by the table
    return settings if name is None else settings.with_ensemble(ensemble)


def _user_file(flags: Mapping[str, object], environ: Mapping[str, str], mistakes: list[str]) -> Layer:
    try:
        found = config_path(flags.get("config"), environ)
    except Wrong as wrong:
        mistakes.append(str(wrong))
        return Layer()
    return read_config(found, mistakes) if found is not None else Layer()


def _known_members(ensemble: Ensemble, layer: Layer) -> list[str]:
    """Names of members that settings may speak of: those of the ensemble, and of the shipped ones, which may yet be chosen."""
    names = [member.name for member in ensemble.members]
    if any(name not in names for name in layer.members):
        names += [member.name for shipped in shipped_ensembles() for member in load_ensemble(shipped).members]
    return list(dict.fromkeys(names))


def _without_variables(layer: Layer) -> Layer:
    """The members' values that a settings file gives (their origins have a line); those of the environment are checked as variables."""
    inside = {name: {key: given for key, given in values.items() if ":" in given.origin} for name, values in layer.members.items()}
    return Layer(members=inside)


def _with_above(ensemble: Ensemble, above: Layer, origins: Mapping[str, str]) -> dict[str, Any]:
    """The ensemble with the user's values above it, and the origins of both."""
    source = f"ensemble {ensemble.name}"
    origins = {key: origin for key, origin in origins.items() if not key.startswith("members.")}
    origins |= {field.name: source for field in FIELDS if field.of != "settings"}
    origins |= {f"members.{member.name}.{key}": source for member in ensemble.members for key in MEMBER_KEYS}
    changes: dict[str, dict[str, Any]] = {"ensemble": {}, "choosing": {}}
    for field in FIELDS:
        if field.of != "settings" and field.name in above.values:
            changes[field.of][field.name], origins[field.name] = above.values[field.name]

    def placed(member: Member) -> Member:
        given = above.members.get(member.name, {})
        origins.update({f"members.{member.name}.{key}": value.origin for key, value in given.items()})
        return replace(member, **{key: value.value for key, value in given.items()})

    choosing = replace(ensemble.choosing, **changes["choosing"])
    return {"ensemble": replace(with_members(ensemble, placed), choosing=choosing, **changes["ensemble"]), "origins": origins}


def _misfits(ensemble: Ensemble, origins: Mapping[str, str]) -> list[str]:
    """What does not go together now that the user's values are in, with the values that may be the reason."""
    source = f"ensemble {ensemble.name}"
    reasons = [origins[field.name] for field in FIELDS if field.of != "settings" and origins[field.name] != source]
    return [f"{', '.join(reasons)}: {misfit}" for misfit in misfits(ensemble)]


def show_config(settings: Settings) -> str:
    """Every value with its origin; in itself a settings file that means the same (but for secrets, which are not shown)."""
    rows = [(f"{field.name}: {_shown(_value(settings, field.name))}", settings.origins[field.name]) for field in FIELDS if not field.secret]
    for field in FIELDS:
        if field.secret:
            given = getattr(settings, field.name) is not None
            rows.append((f"# {field.name}: ***" if given else f"{field.name}: null", settings.origins[field.name]))
    rows += [("members:", ""), *_member_rows(settings)]
    width = min(max(len(left) for left, _ in rows), 56)
    lines = [f"{left:<{width}}  # {printable(origin)}" if origin else left for left, origin in rows]
    return "\n".join([*lines, *_unused(settings)])


def _value(settings: Settings, name: str) -> object:
    field = BY_NAME[name]
    if name == "ensemble":
        return settings.ensemble_name or settings.ensemble.name
    if field.of == "settings":
        return getattr(settings, field.attribute or name)
    return getattr(settings.ensemble if field.of == "ensemble" else settings.ensemble.choosing, name)


def _member_rows(settings: Settings) -> Iterator[tuple[str, str]]:
    for member in settings.ensemble.members:
        yield f"  {member.name}:", ""
        for key in MEMBER_KEYS:
            value = getattr(member, key)
            yield (
                f"    {key}: {_shown(masked(value) if key == 'url' and value else value)}",
                settings.origins[f"members.{member.name}.{key}"],
            )
        if member.weights is not None:
            source = next((key for key in ("path", "pypi", "hub") if getattr(member.weights, key)), "path")
            yield f"    # {source}: {printable(str(getattr(member.weights, source)))}", f"ensemble {settings.ensemble.name}"


def _unused(settings: Settings) -> list[str]:
    """A line for each value that was given for a member which the ensemble does not have."""
    names = {member.name for member in settings.ensemble.members}
    return [
        f"# not used, there is no {name} in {settings.ensemble.name}: {printable(given.origin)}"
        for name, values in settings.above.members.items()
        if name not in names
        for given in values.values()
    ]


_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9./:_-]*[A-Za-z0-9]")
_NOT_TEXT = re.compile(r"(?i)yes|no|on|off|true|false|null")


def _shown(value: object) -> str:
    """A value as YAML has it, on one line."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, tuple):
        value = ", ".join(value)
    if isinstance(value, str | Path):
        text = str(value)
        if _PLAIN.fullmatch(text) and not _NOT_TEXT.fullmatch(text):
            return text
        return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'
    return json.dumps(value)
