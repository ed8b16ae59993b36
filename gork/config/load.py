"""The sources of settings, each read alone: the user's file, the environment, the flags. Every value keeps where it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from gork.config.ensemble import Api, KeyVariable, MemberUrl, ModelName, is_file_name
from gork.config.folders import config_home
from gork.config.schema import FilePath, Name, Record, Secret, Wrong, fields_of, parse_value, read_keys, read_value, suggestion, what
from gork.config.urls import printable
from gork.config.yaml_file import Located, Mistakes, read_document, read_file
from gork.errors import ConfigError

PREFIX = "GORK_"
CONFIG_VARIABLE = PREFIX + "CONFIG"
EXEMPT = ("GORK_TEST_",)
"""Beginnings of variables that are not settings."""

_SERVICE_LINK = re.compile(r"GORK_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_LONGEST_SECRET_FILE = 1 << 16


class Layer(StrEnum):
    """What kind of place a value comes from."""

    DEFAULT = "default"
    ENSEMBLE = "ensemble"
    """The ensemble's file."""
    FILE = "file"
    """The user's settings file."""
    ENVIRONMENT = "environment"
    FLAG = "flag"
    COMMAND = "command"
    """Of the session: `/set`."""
    CHOICE = "choice"
    """The program's, or what a person answered when it asked."""
    SERVICE = "service"
    """A running service, for what it knows itself."""


class Origin(NamedTuple):
    """Where a value comes from; as text, what people are shown."""

    layer: Layer = Layer.DEFAULT
    place: str = ""
    """"config.yaml:7", "GORK_SEED", "--seed", the ensemble's name."""

    def __str__(self) -> str:
        return f"ensemble {self.place}" if self.layer is Layer.ENSEMBLE else self.place or self.layer.value


class Given(NamedTuple):
    """A value that the user gave."""

    value: Any
    origin: Origin


Values = dict[str, Given]
"""What one source gives: by a setting's name, and by "members.<name>.<key>"."""


class MemberPlace(Record, frozen=True, kw_only=True):
    """What settings can say of a member, above the ensemble file: `members: {qwen: {url: ...}}`, `GORK_QWEN_URL`."""

    url: MemberUrl | None = None
    model: ModelName | None = None
    api: Api | None = None
    key_env: KeyVariable | None = None


class Setting(NamedTuple):
    """One setting, as all sources know it."""

    name: str
    field: str
    """Its name in `Settings`."""
    kind: Any
    help: str
    default: Any
    secret: bool
    """Never shown, never a flag; `<name>_file` names a file that has it."""
    also: str | None
    """Another program's environment variable that counts where ours is not set."""
    group: str = "asking"
    """The heading under which its flag is listed: "asking", "models", "limits" or "serve"."""
    placeholder: str = ""
    """What stands for its value in the help; made from the type if it is empty."""

    @property
    def what(self) -> str:
        """What it must be, in words."""
        return what(self.kind)

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Its flag; true-or-false settings have a second one that begins with --no-."""
        return "--" + self.name.replace("_", "-")


Table = Mapping[str, Setting]


def config_path(flag: object, environ: Mapping[str, str]) -> Path | None:
    """The user's settings file; None if nothing names one and none is in its usual place. Raises `Wrong`."""
    for place, given in (("--config", flag), (CONFIG_VARIABLE, environ.get(CONFIG_VARIABLE, "").strip() or None)):
        if given is not None:
            try:
                path: Path = read_value(FilePath, given)
            except Wrong as wrong:
                raise Wrong(f"{place}: {wrong}") from None
            return path
    home = config_home(environ)
    usual = None if home is None else home / "config.yaml"
    return usual if usual is not None and usual.exists() else None


def read_config(file: Path, table: Table, mistakes: list[str]) -> Values:
    """The values of the user's settings file; paths in it are taken from its own folder. An empty file gives nothing."""
    try:
        text = read_file(file)
    except ConfigError as error:
        mistakes += error.mistakes
        return {}
    found = Mistakes(str(file))
    root = read_document(text, found)
    values: Values = {}
    if root is not None and root.value is not None:
        kinds = {name: setting.kind for name, setting in table.items()}
        kinds |= {f"{name}_file": FilePath for name, setting in table.items() if setting.secret}
        for name, value in read_keys({**kinds, "members": dict[Name, MemberPlace]}, root, found).items():
            if name == "members":
                values |= _members(value, root.value[name], file)
            else:
                values[name] = Given(_placed(name, value, file.parent), _line(file, root.value[name]))
        _settle_secrets(values, table, lambda name, wrong: found.add(root.value[name], wrong))
    mistakes += found.texts()
    return values


def _line(file: Path, place: Located) -> Origin:
    return Origin(Layer.FILE, f"{printable(str(file))}:{place.line}")


def _placed(name: str, value: Any, folder: Path) -> Any:  # noqa: ANN401 - whatever a setting can be
    if name == "ensemble" and is_file_name(value):
        return str(folder / parse_value(FilePath, value))
    return folder / value if isinstance(value, Path) else value


def _members(given: Mapping[str, MemberPlace], place: Located, file: Path) -> Values:
    return {
        f"members.{name}.{key}": Given(value, _line(file, place.value[name].value[key]))
        for name, member in given.items()
        for key in MemberPlace.__struct_fields__
        if (value := getattr(member, key)) is not None
    }


def read_environment(environ: Mapping[str, str], table: Table, mistakes: list[str]) -> Values:
    """The values of the environment; a variable that is empty or blank is not set."""
    # A Service named gork would have its cluster set GORK_PORT, to a URL.
    given = {name: value.strip() for name, value in environ.items() if value.strip() and not is_service_link(name, value.strip())}
    values: Values = {}

    def read(variable: str, kind: Any, name: str) -> None:  # noqa: ANN401 - any type
        try:
            values[name] = Given(parse_value(kind, given[variable]), Origin(Layer.ENVIRONMENT, variable))
        except Wrong as wrong:
            mistakes.append(f"{variable}: {wrong}")

    for setting in table.values():
        if variable := next((name for name in (setting.variable, setting.also) if name is not None and name in given), None):
            read(variable, setting.kind, setting.name)
        if setting.secret and f"{setting.variable}_FILE" in given:
            read(f"{setting.variable}_FILE", FilePath, f"{setting.name}_file")
    _settle_secrets(values, table, lambda name, wrong: mistakes.append(f"{PREFIX}{name.upper()}: {wrong}"))

    for variable in sorted(given):
        if matched := re.fullmatch(r"GORK_([A-Z0-9][A-Z0-9_]{0,62})_(URL|MODEL|API|KEY_ENV)", variable):
            member, key = matched[1].lower().replace("_", "-"), matched[2].lower()
            read(variable, fields_of(MemberPlace)[key].kind, f"members.{member}.{key}")
    return values


def read_flags(flags: Mapping[str, object], table: Table, mistakes: list[str]) -> Values:
    """The values of the flags: by setting's name, text or already what it means; None is not given."""
    values: Values = {}
    left = {name: value for name, value in flags.items() if value is not None and name != "config"}
    for setting in table.values():
        name, kind = (f"{setting.name}_file", FilePath) if setting.secret else (setting.name, setting.kind)
        if name not in left:
            continue
        value = left.pop(name)
        flag = f"{setting.flag}-file" if setting.secret else f"--no-{setting.flag[2:]}" if value is False else setting.flag
        try:
            read = parse_value(kind, value) if isinstance(value, str) else read_value(kind, value)
            values[name] = Given(read, Origin(Layer.FLAG, flag))
        except Wrong as wrong:
            mistakes.append(f"{flag}: {wrong}")
    _settle_secrets(values, table, lambda name, wrong: mistakes.append(f"--{name.replace('_', '-')}: {wrong}"))
    if left:
        raise TypeError(f"no settings: {', '.join(left)}")
    return values


def _settle_secrets(values: Values, table: Table, note: Callable[[str, str], None]) -> None:
    """Put what is in the files of secrets into their place."""
    for setting in table.values():
        file = values.pop(f"{setting.name}_file", None) if setting.secret else None
        if file is None:
            continue
        if setting.name in values:
            note(f"{setting.name}_file", f"{setting.name} is given too; one of them is enough")
            continue
        path, origin = printable(str(file.value)), file.origin
        try:
            values[setting.name] = Given(_read_secret(setting, file.value), Origin(origin.layer, f"{origin.place}, {path}"))
        except Wrong as wrong:
            note(f"{setting.name}_file", f"{path} {wrong}")


def _read_secret(setting: Setting, file: Path) -> Secret:
    try:
        with file.open("rb") as opened:
            data = opened.read(_LONGEST_SECRET_FILE)
    except (OSError, ValueError) as error:
        raise Wrong(f"cannot be read: {error.strerror if isinstance(error, OSError) else error}") from None
    secret: Secret = parse_value(setting.kind, data.decode("ascii", "replace").strip())
    return secret


def check_variables(environ: Mapping[str, str], table: Table, members: Iterable[str]) -> list[str]:
    """A mistake for each variable that begins as ours do and is none: not a setting, not of a member, not set by a cluster."""
    known = {CONFIG_VARIABLE, *(setting.variable for setting in table.values())}
    known |= {f"{setting.variable}_FILE" for setting in table.values() if setting.secret}
    known |= {f"{PREFIX}{name.upper().replace('-', '_')}_{key.upper()}" for name in members for key in MemberPlace.__struct_fields__}
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
