"""The layers of settings, each read on its own: the user's file, the environment, the flags. Every value keeps where it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from gork.config.ensemble import is_file_name
from gork.config.fields import FIELDS, MEMBER_KEYS, PREFIX, Field
from gork.config.folders import config_home
from gork.config.members import NAME
from gork.config.urls import printable
from gork.config.values import Kind, Secret, Wrong, path, suggestion
from gork.config.yaml_file import Key, Located, Mistakes, Table, read_document, read_file, read_mapping
from gork.errors import ConfigError

CONFIG_VARIABLE = PREFIX + "CONFIG"
EXEMPT = ("GORK_TEST_",)
"""Beginnings of variables that are not settings."""

_SERVICE_LINK = re.compile(r"GORK_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_LONGEST_SECRET_FILE = 1 << 16


class Given(NamedTuple):
    """A value and where it was given: "config.yaml:7", "GORK_SEED", "--seed"."""

    value: Any
    origin: str


Values = Mapping[str, Given]


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer gives: settings by name, and members' values by member and key."""

    values: dict[str, Given] = field(default_factory=dict)
    members: dict[str, dict[str, Given]] = field(default_factory=dict)

    def over(self, lower: Layer) -> Layer:
        """Both layers as one, this one's values first."""
        names = [*lower.members, *(name for name in self.members if name not in lower.members)]
        members = {name: {**lower.members.get(name, {}), **self.members.get(name, {})} for name in names}
        return Layer({**lower.values, **self.values}, members)


def config_path(flag: object, environ: Mapping[str, str]) -> Path | None:
    """The user's settings file; None if nothing names one and none is in its usual place. Raises `Wrong`."""
    for origin, given in (("--config", flag), (CONFIG_VARIABLE, environ.get(CONFIG_VARIABLE, "").strip() or None)):
        if given is not None:
            try:
                return path().check(given)
            except Wrong as wrong:
                raise Wrong(f"{origin}: {wrong}") from None
    home = config_home(environ)
    usual = None if home is None else home / "config.yaml"
    return usual if usual is not None and usual.exists() else None


def read_config(file: Path, mistakes: list[str]) -> Layer:
    """The layer of the user's settings file. An empty file gives nothing."""
    try:
        text = read_file(file)
    except ConfigError as error:
        mistakes += error.mistakes
        return Layer()
    found, layer = Mistakes(str(file)), Layer()
    root = read_document(text, found)
    if root is not None and root.value is not None:
        layer.values.update(read_mapping(root, _config_table(file, layer), found))
        layer.values.pop("members", None)
        _settle_secrets(layer.values, lambda name, wrong: found.add(root.value[name], wrong))
    mistakes += found.texts()
    return layer


def _config_table(file: Path, layer: Layer) -> Table:
    """How each key of a settings file is read; paths in it are taken from its own folder."""

    def origin(place: Located) -> str:
        return f"{printable(str(file))}:{place.line}"

    def reader(kind: Kind[Any]) -> Callable[[Located, Mistakes], Given]:
        def read(place: Located, _: Mistakes) -> Given:
            value = kind.check(place.value)
            if isinstance(value, Path) or (kind is _ENSEMBLE.kind and is_file_name(value)):
                value = type(value)(file.parent / path().check(str(value)))
            return Given(value, origin(place))

        return read

    def member(place: Located, mistakes: Mistakes) -> dict[str, Given]:
        return read_mapping(place, {key: Key(reader(kind), "") for key, kind in MEMBER_KEYS.items()}, mistakes)

    def members(place: Located, mistakes: Mistakes) -> None:
        names = place.value if isinstance(place.value, dict) else {}
        table = {name: Key(member, "") for name in names if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name)}
        for name, entry in names.items():
            if name not in table:
                mistakes.add(entry, f"a member has {NAME.what}")
        known = Located({name: names[name] for name in table}, place.line, place.path) if names else place
        layer.members.update(read_mapping(known, table, mistakes))

    table = {setting.name: Key(reader(setting.kind), setting.help) for setting in FIELDS}
    table.update(
        {f"{setting.name}_file": Key(reader(path()), f"A file that has the {setting.name}.") for setting in FIELDS if setting.secret}
    )
    return {**table, "members": Key(members, "What stands above the ensemble file: the url and model of members, by name.")}


_ENSEMBLE = next(setting for setting in FIELDS if setting.name == "ensemble")


def read_environment(environ: Mapping[str, str], mistakes: list[str]) -> Layer:
    """The layer of the environment; a variable that is empty or blank is not set."""
    # A Service named gork would have its cluster set GORK_PORT, to a URL.
    given = {name: value.strip() for name, value in environ.items() if value.strip() and not is_service_link(name, value.strip())}
    layer = Layer()

    def read(variable: str, kind: Kind[Any], into: dict[str, Given], key: str) -> None:
        try:
            into[key] = Given(kind.parse(given[variable]), variable)
        except Wrong as wrong:
            mistakes.append(f"{variable}: {wrong}")

    for setting in FIELDS:
        if variable := next((name for name in (setting.variable, setting.also) if name is not None and name in given), None):
            read(variable, setting.kind, layer.values, setting.name)
        if setting.secret and f"{setting.variable}_FILE" in given:
            read(f"{setting.variable}_FILE", path(), layer.values, f"{setting.name}_file")
    _settle_secrets(layer.values, lambda name, wrong: mistakes.append(f"{PREFIX}{name.upper()}: {wrong}"))

    for variable in sorted(given):
        if matched := re.fullmatch(r"GORK_([A-Z0-9][A-Z0-9_]{0,62})_(URL|MODEL)", variable):
            member = layer.members.setdefault(matched[1].lower().replace("_", "-"), {})
            read(variable, MEMBER_KEYS[matched[2].lower()], member, matched[2].lower())
    return layer


def read_flags(flags: Mapping[str, object], mistakes: list[str]) -> Layer:
    """The layer of the flags: by setting's name, text or already what it means; None is not given."""
    layer, left = Layer(), {name: value for name, value in flags.items() if value is not None and name != "config"}
    for setting in FIELDS:
        name, kind = (f"{setting.name}_file", path()) if setting.secret else (setting.name, setting.kind)
        if name not in left:
            continue
        value, flag = left.pop(name), _flag(setting, flags.get(name))
        try:
            layer.values[name] = Given(kind.parse(value) if isinstance(value, str) else kind.check(value), flag)
        except Wrong as wrong:
            mistakes.append(f"{flag}: {wrong}")
    _settle_secrets(layer.values, lambda name, wrong: mistakes.append(f"--{name.replace('_', '-')}: {wrong}"))
    if left:
        raise TypeError(f"no settings: {', '.join(left)}")
    return layer


def _flag(setting: Field, value: object) -> str:
    if setting.secret:
        return f"{setting.flag}-file"
    return f"--no-{setting.flag[2:]}" if value is False else setting.flag


def _settle_secrets(values: dict[str, Given], note: Callable[[str, str], None]) -> None:
    """Put what is in the files of secrets into their place."""
    for setting in FIELDS:
        file = values.pop(f"{setting.name}_file", None) if setting.secret else None
        if file is None:
            continue
        if setting.name in values:
            note(f"{setting.name}_file", f"{setting.name} is given too; one of them is enough")
            continue
        try:
            values[setting.name] = Given(_read_secret(setting, file.value), f"{file.origin}, {printable(str(file.value))}")
        except Wrong as wrong:
            note(f"{setting.name}_file", f"{printable(str(file.value))} {wrong}")


def _read_secret(setting: Field, file: Path) -> Secret:
    try:
        with file.open("rb") as opened:
            data = opened.read(_LONGEST_SECRET_FILE)
    except (OSError, ValueError) as error:
        raise Wrong(f"cannot be read: {error.strerror if isinstance(error, OSError) else error}") from None
    secret: Secret = setting.kind.check(data.decode("ascii", "replace").strip())
    return secret


def check_variables(environ: Mapping[str, str], members: Iterable[str]) -> list[str]:
    """A mistake for each variable that begins as ours do and is none: not a setting, not of a member, not set by a cluster."""
    known = (
        {setting.variable for setting in FIELDS} | {f"{setting.variable}_FILE" for setting in FIELDS if setting.secret} | {CONFIG_VARIABLE}
    )
    known |= {f"{PREFIX}{name.upper().replace('-', '_')}_{key.upper()}" for name in members for key in MEMBER_KEYS}
    return [
        f"{printable(name[:80])}: unknown variable{suggestion(name, sorted(known))}"
        for name, value in sorted(environ.items())
        if name.startswith(PREFIX)
        and value.strip()
        and name not in known
        and not name.startswith(EXEMPT)
        and not is_service_link(name, value)
    ]


def is_service_link(name: str, value: str) -> bool:
    """Whether a variable is one that Kubernetes sets for a Service whose name begins with "gork".

    >>> is_service_link("GORK_WEB_PORT", "tcp://10.0.0.1:80"), is_service_link("GORK_SERVICE_HOST", "10.0.0.1")
    (True, True)
    >>> is_service_link("GORK_WEB_PORT", "8080"), is_service_link("GORK_WEB_PORT_80_TCP_ADDR", "10.0.0.1")
    (False, True)
    """
    return bool(_SERVICE_LINK.fullmatch(name)) or (name.endswith("_PORT") and bool(re.match(r"(tcp|udp|sctp)://", value)))


def check_members(layer: Layer, members: Iterable[str]) -> list[str]:
    """A mistake for each member in a settings file that there is not; those of the environment are found with the variables."""
    names = list(members)
    return [
        f"{next(iter(given.values())).origin}: members.{name}: no such member{suggestion(name, names)}"
        for name, given in layer.members.items()
        if name not in names and given
    ]
