"""Settings that can be changed within a session: the few that one turn goes by, checked as everywhere else."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gork.config.schema import Wrong, parse_value, suggestion
from gork.config.settings import SETTINGS, Layer, Origin, Setting, Settings
from gork.errors import UsageError

CHANGEABLE = ("optimize", "seed", "timeout", "rewrite_timeout", "candidate_timeout", "judge_timeout", "history_tokens", "strict")
UNSET = "none"
"""Takes back a setting that may be without a value."""
ORIGIN = Origin(Layer.COMMAND, "/set")


def field_of(name: str) -> Setting:
    """The setting with this name (as it is, or spelled like its flag); raises `UsageError` if it cannot be changed here."""
    name = name.lower().removeprefix("--").replace("-", "_")
    if name in CHANGEABLE:
        return SETTINGS[name]
    if name in SETTINGS:
        raise UsageError(f"{name} is decided when the program starts ({SETTINGS[name].flag}); here you can set {', '.join(CHANGEABLE)}")
    raise UsageError(f"there is no setting {name[:40]}{suggestion(name, CHANGEABLE)}; you can set {', '.join(CHANGEABLE)}")


def shown(settings: Settings, field: Setting) -> str:
    """A setting with its value and where that comes from."""
    value = getattr(settings, field.field)
    spelled = str(value).lower() if isinstance(value, bool) else UNSET if value is None else f"{value:g}"
    return f"{field.name} = {spelled}  ({settings.origins[field.name]})"


def change(settings: Settings, field: Setting, text: str) -> Settings:
    """The settings with another value; raises `UsageError` with what it must be."""
    if field.default is None and text.lower() == UNSET:
        value: object = None
    else:
        try:
            value = parse_value(field.kind, text)
        except Wrong as wrong:
            unset = f" (or {UNSET})" if field.default is None else ""
            raise UsageError(f"{field.name} {wrong}{unset}") from None
    changes = {field.field: value, "origins": {**settings.origins, field.name: ORIGIN}}
    return replace(settings, **changes)


def values(name: str) -> Sequence[str]:
    """What may be completed as the value of a setting."""
    if name not in CHANGEABLE:
        return ()
    if isinstance(SETTINGS[name].default, bool):
        return "true", "false"
    return (UNSET,) if SETTINGS[name].default is None else ()
