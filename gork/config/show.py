"""The settings for people: `--show-config`, and the table of `docs/settings.md` (`python -m gork.config.show` writes that file)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from gork.config.load import MemberPlace, Setting
from gork.config.settings import OF_CHOOSING, OF_ENSEMBLE, SETTINGS, Settings
from gork.config.urls import masked, printable

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9./:_-]*[A-Za-z0-9]")
_NOT_TEXT = re.compile(r"(?i)yes|no|on|off|true|false|null")


def show_config(settings: Settings) -> str:
    """Every value with its origin; in itself a settings file that means the same (but for secrets, which are not shown)."""
    rows = [(f"{name}: {_shown(_value(settings, one))}", str(settings.origins[name])) for name, one in SETTINGS.items() if not one.secret]
    for name, one in SETTINGS.items():
        if one.secret:
            given = getattr(settings, one.field) is not None
            rows.append((f"# {name}: ***" if given else f"{name}: null", str(settings.origins[name])))
    rows += [("members:", ""), *_member_rows(settings)]
    width = min(max(len(left) for left, _ in rows), 56)
    lines = [f"{left:<{width}}  # {printable(origin)}" if origin else left for left, origin in rows]
    return "\n".join([*lines, *_unused(settings)])


def _value(settings: Settings, one: Setting) -> object:
    if one.name == "ensemble":
        return None if settings.models else settings.ensemble_name or settings.ensemble.name
    if one.name in OF_ENSEMBLE:
        return getattr(settings.ensemble, one.name)
    return getattr(settings.ensemble.choosing if one.name in OF_CHOOSING else settings, one.field)


def _member_rows(settings: Settings) -> Iterator[tuple[str, str]]:
    for member in settings.ensemble.members:
        yield f"  {member.name}:", ""
        for key in MemberPlace.__struct_fields__:
            value = getattr(member, key)
            shown = _shown(masked(value) if key == "url" and value else value)
            yield f"    {key}: {shown}", str(settings.origins[f"members.{member.name}.{key}"])
        if member.weights is not None:
            size = f", {member.weights.size / 1e6:,.0f} MB" if member.weights.size else ""
            yield f"    # weights: {printable(member.weights.file)}{size}", f"ensemble {settings.ensemble.name}"
            for source in member.weights.sources:
                yield f"    #   {source.key}: {printable(str(source))}", ""


def _unused(settings: Settings) -> list[str]:
    """A line for each value that was given for a member which the ensemble does not have."""
    names = {member.name for member in settings.ensemble.members}
    return [
        f"# not used, there is no {name} in {settings.ensemble.name}: {printable(str(settings.origins[f'members.{name}.{key}']))}"
        for name, place in settings.members.items()
        if name not in names
        for key in MemberPlace.__struct_fields__
        if getattr(place, key) is not None
    ]


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


def settings_document() -> str:
    """The text of `docs/settings.md`: one row for each setting."""
    rows = [_HEAD, "| setting | variable | flag | is | default | |", "|---|---|---|---|---|---|"]
    for one in SETTINGS.values():
        variables = f"`{one.variable}`" + (f", `{one.also}`" if one.also else "") + (f", `{one.variable}_FILE`" if one.secret else "")
        flag = f"`{one.flag}-file`" if one.secret else f"`{one.flag}`"
        rows.append(f"| `{one.name}` | {variables} | {flag} | {one.what} | {_default(one.default)} | {one.help} |")
    return "\n".join(rows) + "\n"


def _default(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None else str(value).lower()


_HEAD = """\
<!-- Written by `python -m gork.config.show`; change gork/config/settings.py instead. -->

# Settings

One row for each; flags win over variables, variables over the settings file. Members' places are `GORK_<MEMBER>_URL`,
`_MODEL`, `_API` and `_KEY_ENV` (`GORK_QWEN_SMALL_URL` for `qwen-small`), or `members: {qwen: {url: ...}}` in the file.
"""


if __name__ == "__main__":
    DOCUMENT.write_text(settings_document(), encoding="utf-8")
