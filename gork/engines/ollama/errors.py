"""What goes wrong at an Ollama server, told as one of our errors: the one place where that is decided.

Three things arrive here: an HTTP status with its body, an `{"error": ...}` line in the middle of a stream, and an exception of aiohttp.
The rules name the versions of Ollama that their texts were read from. Everything a server sends is shortened and stripped of control
characters before it is shown.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError

from gork.errors import BadReply, Busy, Died, ModelError, ModelMissing, PromptTooLong, Refused, TimedOut, Unreachable

_SHOWN = 300
"""Characters of a server's own words that a message quotes."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Who is asked, where, for which model: what every message names."""

    member: str
    where: str
    tag: str = ""

    def error(self, kind: type[ModelError], what: str, fix: str | None = None) -> ModelError:
        """Make an error of this kind about this spot."""
        return kind(what, member=self.member, where=self.where, fix=fix)


def plain(text: str) -> str:
    r"""Make a server's words fit for one line of a message.

    >>> plain("a\x1b[31m \n\n b" + "c" * 1000)[:12]
    'a [31m bcccc'
    """
    head = text[: 4 * _SHOWN]
    line = " ".join("".join(char if char.isprintable() else " " for char in head).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


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
_NO_SERVER = (Unreachable, "this is a proxy's answer: is the Ollama behind it running?")
_STATUSES: Mapping[int, tuple[type[ModelError], str]] = {
    **dict.fromkeys((401, 403, 407), _NO_ENTRY),
    **dict.fromkeys((404, 405), _NO_API),
    **dict.fromkeys((502, 503, 504), _NO_SERVER),
    429: (Busy, "try again later"),
}
"""Statuses whose body is not Ollama's."""


def from_status(spot: Spot, status: int, body: bytes, content_type: str, location: str | None = None) -> ModelError:
    """Translate a reply whose status is not 200."""
    if 300 <= status < 400:
        target = f" to {plain(location)}" if location else ""
        return spot.error(BadReply, f"it redirects{target} (HTTP {status}), which is not followed", "give the URL it should be asked at")
    text = error_field(body)
    if text is not None:
        return from_text(spot, text, status)
    kind, advice = _STATUSES.get(status, (Refused, "see the server's log"))
    return spot.error(kind, f"HTTP {status} {_headline(body, content_type)}".strip(), advice)


def error_field(body: bytes) -> str | None:
    """Give the `error` text of a JSON body: Ollama's own form, or the object of an OpenAI-like server; None if there is none."""
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = record.get("error") if isinstance(record, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else None


def _headline(body: bytes, content_type: str) -> str:
    """Give what a plain or HTML error page says in short."""
    text = body[:20_000].decode("utf-8", "replace")
    if "html" in content_type or text.lstrip()[:1] == "<":
        title = re.search(r"<title[^>]*>([^<]{1,200})", text, re.IGNORECASE)
        return f"({plain(title[1])})" if title else "(an HTML page)"
    return f"({plain(text)})" if text.strip() else ""


@contextmanager
def translated(spot: Spot, *, at_work: bool) -> Iterator[None]:
    """Turn what aiohttp raises into our errors. `at_work`: a model was asked, so a connection that breaks is a `Died`."""
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise _from_exception(spot, error, at_work=at_work) from None


def _from_exception(spot: Spot, error: Exception, *, at_work: bool) -> ModelError:
    kind: type[ModelError]
    match error:
        case aiohttp.ConnectionTimeoutError():
            kind, what, fix = Unreachable, "no connection in time", "is it running? (`ollama serve`)"
        case aiohttp.ClientConnectorDNSError():
            kind, what, fix = Unreachable, "its host name is not known", "check the URL"
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            kind, what, fix = Unreachable, f"no secure connection ({plain(str(error))})", "check the URL's scheme and its certificate"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno  # asyncio's own text for it ("Connect call failed (...)") says less than the system's
            reason = plain(os.strerror(number) if number else error.os_error.strerror or "no connection").lower()
            kind, what, fix = Unreachable, f"{reason}", "is it running? (`ollama serve`)"
        case TimeoutError():
            kind, what, fix = TimedOut, "it does not reply in time", "is it overloaded?"
        case aiohttp.ClientResponseError():
            kind, what, fix = BadReply, f"what answers there does not speak HTTP ({plain(error.message)})", "check the URL"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            kind, what, fix = Unreachable, "its URL cannot be asked", "check it"
        case aiohttp.ClientPayloadError() if isinstance(error.__cause__, ContentEncodingError):
            kind, what, fix = BadReply, "its reply is compressed in a way that cannot be read", "is a proxy in between?"
        case _:
            kind, what, fix = Died if at_work else Unreachable, "the connection broke before the reply was complete", "see the server's log"
    return spot.error(kind, what, fix)
