"""The table of all settings: what each may be, its default and its help. Files, variables, flags and the documentation are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from gork.config.ensemble import CHOOSING, ENSEMBLE
from gork.config.members import MODEL
from gork.config.urls import parse_host
from gork.config.values import Kind, choice, flag, host, number, origins, path, secret, text, url, whole

PREFIX = "GORK_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting."""

    name: str
    """As settings files have it."""
    kind: Kind[Any]
    help: str
    default: object = None
    attribute: str = ""
    """Its name in `Settings`, where that is another one."""
    secret: bool = False
    """Never shown, never a flag; `<name>_file` names a file that has it."""
    also: str | None = None
    """Another program's environment variable that counts where ours is not set."""
    of: Literal["settings", "ensemble", "choosing"] = "settings"
    """Where the value ends up: some settings stand above what the ensemble file says."""

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Its flag; true-or-false settings have a second one that begins with --no-."""
        return "--" + self.name.replace("_", "-")


def _seconds(name: str, default: float, of_what: str, attribute: str) -> Field:
    return Field(name=name, kind=number(0.1, 86_400), default=default, attribute=attribute, help=f"Seconds {of_what}.")


def _of(table: Literal["ensemble", "choosing"], name: str) -> Field:
    """A setting that stands above the ensemble file's own value."""
    key = (ENSEMBLE if table == "ensemble" else CHOOSING)[name]
    if not isinstance(key.read, Kind):
        raise TypeError(name)
    return Field(name=name, kind=key.read, help=f"{key.help} As the ensemble says if not given.", of=table)


FIELDS: tuple[Field, ...] = (
    Field(name="ensemble", kind=text("a name or a file", longest=4096), help="A shipped ensemble's name, or an ensemble file."),
    Field(name="engine", kind=choice("auto", "ollama", "embedded"), default="auto", help="Where models answer."),
    Field(
        name="ollama_host",
        kind=host(),
        default=parse_host(""),
        also="OLLAMA_HOST",
        help="The Ollama server of members that have no url of their own.",
    ),
    Field(name="seed", kind=whole(0, 2**31 - 1), help="Seed of sampling and of the judge's orders; drawn for each turn if not given."),
    Field(name="optimize", kind=flag(), default=True, help="Whether the question is rewritten before it is asked."),
    Field(name="strict", kind=flag(), default=False, help="Whether a turn that is less than a whole one ends with exit code 3."),
    Field(name="markdown", kind=flag(), default=True, help="Whether answers are formatted on a terminal; in a pipe they never are."),
    Field(name="history_tokens", kind=whole(0, 1_000_000), default=1500, help="Most tokens of earlier turns that models are given."),
    Field(name="save", kind=flag(), default=True, help="Whether the turns of the prompt that remembers are saved."),
    Field(name="sessions", kind=path(), help="The folder they are saved in; one of the user's state if not given."),
    Field(name="history", kind=flag(), default=True, help="Whether what was typed at the prompt is kept in a file for the next time."),
    Field(
        name="idle_exit",
        kind=number(0, 31_536_000),
        default=14_400.0,
        help="Seconds without a key at a terminal's prompt after which the program ends; 0 for never.",
    ),
    Field(name="threads", kind=whole(1, 1024), help="Cores to use; found out (CPU quota, affinity mask, machine) if not given."),
    Field(name="cache", kind=path(), help="Where weights are kept; a folder of the user's cache if not given."),
    Field(name="offline", kind=flag(), default=False, help="Whether nothing may be fetched."),
    _of("ensemble", "context"),
    _of("ensemble", "candidates_see"),
    _of("choosing", "policy"),
    _of("choosing", "orders"),
    _of("choosing", "judge_tokens"),
    _seconds("timeout", 300.0, "for a whole turn", "turn"),
    _seconds("rewrite_timeout", 20.0, "for the rewrite", "rewrite"),
    _seconds("candidate_timeout", 180.0, "for one candidate's answer; what it has written by then counts", "candidate"),
    _seconds("judge_timeout", 60.0, "for the judge at least; more if its reading speed asks for it", "judge"),
    _seconds("connect_timeout", 5.0, "until a server must have accepted a connection", "connect"),
    _seconds("load_timeout", 600.0, "for loading a model into memory", "load"),
    _seconds("first_token_timeout", 60.0, "until the first token, besides the time for reading the prompt", "first_token"),
    Field(name="prefill_rate", kind=number(0.1, 1_000_000), default=10.0, help="Tokens of a prompt that the slowest model reads a second."),
    _seconds("idle_timeout", 30.0, "from one token to the next", "idle"),
    _seconds("drain_timeout", 30.0, "that running turns may take when the service is stopped", "drain"),
    Field(
        name="server",
        kind=url("a URL such as http://127.0.0.1:8080"),
        help="A running service that answers instead of models here; used by questions and the prompt, not by serve.",
    ),
    Field(
        name="host", kind=text("an address or a host's name", longest=253), default="127.0.0.1", help="The address that serve listens on."
    ),
    Field(name="port", kind=whole(0, 65_535), default=8080, help="The port that serve listens on; 0 for any that is free."),
    Field(
        name="turns",
        kind=whole(1, 1000),
        default=1,
        help="Turns that the service works on at once; more where the models have processors of their own.",
    ),
    Field(
        name="queue", kind=whole(0, 10_000), default=16, help="Turns that may wait for their start; beyond, clients are told to come back."
    ),
    Field(name="body_limit", kind=whole(1024, 1 << 30), default=2 << 20, help="Bytes of the largest request that the service reads."),
    _seconds(
        "request_timeout",
        15.0,
        "within which a client must have sent the head, and then the body, of a request, and take what it is sent",
        "request",
    ),
    Field(
        name="drafts",
        kind=flag(),
        default=True,
        help="Whether other programs get drafts and verdict in the thinking channel, unless a request says otherwise.",
    ),
    Field(name="cors", kind=origins(), default=(), help="Origins whose pages may use the service, separated by commas."),
    Field(name="log_format", kind=choice("text", "json"), default="text", help="How the service writes its log."),
    Field(name="log_level", kind=choice("debug", "info", "warning", "error"), default="info", help="From which level on it does."),
    Field(name="log_prompts", kind=flag(), default=False, help="Whether questions and answers stand in the log."),
    Field(
        name="token",
        kind=secret(),
        secret=True,
        help="Bearer token that clients of the service must send (for /api, /v1 and /metrics); sent where a server is used.",
    ),
    Field(name="hub_token", kind=secret(), secret=True, help="Token for the model hub."),
)

BY_NAME = {field.name: field for field in FIELDS}

MEMBER_KEYS: dict[str, Kind[str]] = {"url": url(), "model": MODEL}
"""What settings can say of a member, above the ensemble file: `members: {qwen: {url: ...}}`, `GORK_QWEN_URL`."""


def settings_table() -> str:
    """The settings as a Markdown table, for the documentation."""
    rows = ["| setting | variable | flag | is | default | |", "|---|---|---|---|---|---|"]
    for field in FIELDS:
        variables = (
            f"`{field.variable}`" + (f", `{field.also}`" if field.also else "") + (f", `{field.variable}_FILE`" if field.secret else "")
        )
        shown = f"`{field.flag}-file`" if field.secret else f"`{field.flag}`"
        default = (
            ""
            if field.default is None
            else f"{field.default:g}"
            if isinstance(field.default, float)
            else ", ".join(field.default)
            if isinstance(field.default, tuple)
            else str(field.default).lower()
        )
        rows.append(f"| `{field.name}` | {variables} | {shown} | {field.kind.what} | {default} | {field.help} |")
    return "\n".join(rows)
