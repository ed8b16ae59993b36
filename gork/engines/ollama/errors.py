"""What goes wrong at an Ollama server, told as one of our errors: the one place where that is decided.

Three things arrive here: an HTTP status with its body, an `{"error": ...}` line in the middle of a stream, and a fault of the transport.
The rules name the versions of Ollama that their texts were read from. Everything a server sends is shortened and stripped of control
characters before it is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gork.engines.http import Fault, FaultKind, Refusal, error_text, plain
from gork.errors import BadReply, Busy, Died, ModelError, ModelMissing, PromptTooLong, Refused, TimedOut, Unreachable


@dataclass(frozen=True, slots=True)
class Spot:
    """Who is asked, where, for which model: what every message names, and what faults and refusals mean there."""

    member: str
    where: str
    tag: str = ""

    def error(self, kind: type[ModelError], what: str, fix: str | None = None) -> ModelError:
        """Make an error of this kind about this spot."""
        return kind(what, member=self.member, where=self.where, fix=fix)

    def broken(self, fault: Fault) -> ModelError:
        """Translate a fault of the transport. At work, a connection that breaks is a `Died`: asking once more may help."""
        kind, what, fix = _FAULTS[fault.kind]
        if fault.kind is FaultKind.BROKEN and not fault.at_work:
            kind = Unreachable
        return self.error(kind, what.format(fault.detail), fix)

    def refused(self, refusal: Refusal) -> ModelError:
        """Translate a reply whose status is not 200."""
        return from_status(self, refusal)


_OTHER = "is it an Ollama server?"
_DOWN = "is it running? (`ollama serve`)"
_FAULTS: Mapping[FaultKind, tuple[type[ModelError], str, str]] = {
    FaultKind.NO_CONNECTION_IN_TIME: (Unreachable, "no connection in time", _DOWN),
    FaultKind.UNKNOWN_HOST: (Unreachable, "its host name is not known", "check the URL"),
    FaultKind.NOT_SECURE: (Unreachable, "no secure connection ({})", "check the URL's scheme and its certificate"),
    FaultKind.NO_CONNECTION: (Unreachable, "{}", _DOWN),
    FaultKind.PROXY: (Unreachable, "the proxy on the way cannot be used", "correct it or set NO_PROXY"),
    FaultKind.SILENT: (TimedOut, "it does not reply in time", "is it overloaded?"),
    FaultKind.LATE: (TimedOut, "it does not reply in time", "is it overloaded?"),
    FaultKind.NOT_HTTP: (BadReply, "what answers there does not speak HTTP ({})", "check the URL"),
    FaultKind.BAD_URL: (Unreachable, "its URL cannot be asked", "check it"),
    FaultKind.UNREADABLE: (BadReply, "its reply is compressed in a way that cannot be read", "is a proxy in between?"),
    FaultKind.TOO_LONG: (BadReply, "its reply is {}", _OTHER),
    FaultKind.NOT_JSON: (BadReply, "its reply {}", _OTHER),
    FaultKind.BROKEN: (Died, "the connection broke before the reply was complete", "see the server's log"),
}


_TEXTS: tuple[tuple[re.Pattern[str], type[ModelError], str], ...] = (
    # 0.12.6-0.24: "the input length exceeds the context length"; 0.30+: a nested JSON with type exceed_context_size_error.
    (
        re.compile(r"exceed_context_size|exceeds the (available )?context|longer than the context|input length exceeds", re.IGNORECASE),
        PromptTooLong,
        "ask with less text or a larger context",
    ),
    (re.compile(r"server busy|maximum pending requests", re.IGNORECASE), Busy, "try again later"),
    (re.compile(r"requires more system memory", re.IGNORECASE), Refused, "free memory or use a smaller model"),
    (re.compile(r"timed out waiting for", re.IGNORECASE), TimedOut, "see the server's log"),
    (re.compile(r"lookup \S+.*no such host|dial tcp", re.IGNORECASE), Unreachable, "the server itself needs network access for this"),
    # 0.30+: llama-server, before: llama runner; the last three are what Go says of a connection to a runner that is gone.
    (
        re.compile(
            r"unexpectedly stopped|process (has terminated|no longer running)|error was encountered while running the model"
            r"|error reading llama-server|unexpected EOF|: EOF$|connection reset|broken pipe|forcibly closed|request canceled",
            re.IGNORECASE,
        ),
        Died,
        "see the server's log",
    ),
    (
        re.compile(r"model .*not found|pull model manifest: file does not exist", re.IGNORECASE),
        ModelMissing,
        "get it with `ollama pull {tag}`",
    ),
)


def from_text(spot: Spot, text: str, status: int | None = None) -> ModelError:
    """Translate the text of an `error` field."""
    code = "" if status is None else f" (HTTP {status})"
    told = _unnested(text)
    for pattern, kind, advice in _TEXTS:
        if pattern.search(text):
            return spot.error(kind, f"{plain(told)}{code}", advice.format(tag=spot.tag or "MODEL"))
    if status == 429:
        return spot.error(Busy, f"{plain(told)}{code}", "try again later")
    if status == 499:  # the server gave up a request that we had not
        return spot.error(Died, f"{plain(told)}{code}")
    return spot.error(Refused, f"{plain(told) or 'an error without a text'}{code}", "see the server's log")


def _unnested(text: str) -> str:
    """Give the message of an error that is itself JSON in a string (0.30+ hands on what llama-server said)."""
    try:
        inner = json.loads(text)
        message = inner["error"]["message"]
    except (ValueError, RecursionError, TypeError, KeyError, IndexError):
        return text
    return message if isinstance(message, str) else text


_NO_API = (BadReply, "is the URL that of an Ollama server?")
_NO_ENTRY = (Refused, "credentials belong in the URL, and an Ollama bound to loopback answers no other host name")
_NO_SERVER = (Unreachable, "this is a proxy's answer: is the Ollama that it stands for running?")
_STATUSES: Mapping[int, tuple[type[ModelError], str]] = {
    **dict.fromkeys((401, 403, 407), _NO_ENTRY),
    **dict.fromkeys((404, 405), _NO_API),
    **dict.fromkeys((502, 503, 504), _NO_SERVER),
    429: (Busy, "try again later"),
}
"""Statuses whose body is not Ollama's."""


def from_status(spot: Spot, refusal: Refusal) -> ModelError:
    """Translate a reply whose status is not 200."""
    status = refusal.status
    if 300 <= status < 400:
        target = f" to {plain(refusal.location)}" if refusal.location else ""
        return spot.error(BadReply, f"it redirects{target} (HTTP {status}), which is not followed", "give the URL it should be asked at")
    text = error_text(refusal.body)
    if text is not None:
        return from_text(spot, text, status)
    kind, advice = _STATUSES.get(status, (Refused, "see the server's log"))
    return spot.error(kind, f"HTTP {status} {_headline(refusal)}".strip(), advice)


def _headline(refusal: Refusal) -> str:
    """Give what a plain or HTML error page says in short."""
    text = refusal.body[:20_000].decode("utf-8", "replace")
    if "html" in refusal.content_type or text.lstrip()[:1] == "<":
        title = re.search(r"<title[^>]*>([^<]{1,200})", text, re.IGNORECASE)
        return f"({plain(title[1])})" if title else "(an HTML page)"
    return f"({plain(text)})" if text.strip() else ""
