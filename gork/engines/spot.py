"""What goes wrong at a model server, told as one of our errors: the one place where that is decided, for every kind of server.

Three things arrive here: an HTTP status with its body, an error in the middle of a stream, and a fault of the transport. What the texts
and statuses of a kind of server mean is its own (`ServerKind`); everything that a server sends is shortened and stripped of control
characters and of the key that it was asked with before it is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gork.config.schema import Secret
from gork.engines.http import Fault, FaultKind, Refusal, error_of, plain, when_down
from gork.errors import BadReply, Busy, Died, ModelError, Refused, TimedOut, Unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKind:
    """What the errors of one kind of server mean."""

    question: str
    """What to ask oneself when a reply is none of its protocol."""
    down: str
    """What to do when nothing answers."""
    texts: tuple[tuple[re.Pattern[str], type[ModelError], str], ...]
    """Error texts by pattern, the first that matches counts: what they mean, and what to do ({tag}: the model; {key}: about its key)."""
    statuses: Mapping[int, tuple[type[ModelError], str]]
    """The same of statuses whose body says nothing."""
    decisive: Mapping[int, tuple[type[ModelError], str]]
    """Statuses that decide where the text is not known."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Who is asked, where, for which model: what every message names, and what faults and refusals mean there."""

    member: str
    where: str
    server: ServerKind
    tag: str = ""
    key: Secret | None = None
    """What it is asked with: a server may repeat it in its error."""

    def error(self, kind: type[ModelError], what: str, fix: str | None = None) -> ModelError:
        """Make an error of this kind about this spot."""
        return kind(what, member=self.member, where=self.where, fix=fix)

    def shown(self, text: str) -> str:
        """A server's words as a message may have them."""
        return plain(text if self.key is None else text.replace(self.key.reveal(), "***"))

    def broken(self, fault: Fault) -> ModelError:
        """Translate a fault of the transport. At work, a connection that breaks is a `Died`: asking once more may help."""
        kind, what, fix = _FAULTS[fault.kind]
        if fault.kind is FaultKind.BROKEN and not fault.at_work:
            kind = Unreachable
        told = self.shown(fault.detail)
        return self.error(kind, what.format(told), fix.format(down=when_down(self.where, self.server.down), question=self.server.question))

    def refused(self, refusal: Refusal) -> ModelError:
        """Translate a reply whose status is not 200."""
        error = self._refused(refusal)
        if refusal.retry_after_s is not None:
            if isinstance(error, Busy):
                error = self.error(type(error), error.what, f"it asks to wait {refusal.retry_after_s:.0f} s")
            error.retry_after_s = refusal.retry_after_s
        return error

    def _refused(self, refusal: Refusal) -> ModelError:
        status = refusal.status
        if 300 <= status < 400:
            target = f" to {self.shown(refusal.location)}" if refusal.location else ""
            what = f"it redirects{target} (HTTP {status}), which is not followed"
            return self.error(BadReply, what, "give the URL it should be asked at")
        try:
            record = json.loads(refusal.body)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict) and error_of(record) is not None:
            return self.told(record, status)
        said = self._headline(refusal)
        for pattern, kind, advice in self.server.texts:
            if said and pattern.search(said):
                return self.error(kind, f"HTTP {status} {said}", self._advice(advice))
        kind, advice = self.server.statuses.get(status, (Refused, "see the server's log"))
        error = self.error(kind, f"HTTP {status} {said}".strip(), self._advice(advice))
        error.said = said if status in _ABOUT_THE_REQUEST else ""
        return error

    def told(self, record: Mapping[str, object], status: int | None = None) -> ModelError:
        """Translate an error record, from a body or from the middle of a stream."""
        error = record.get("error")
        details = error if isinstance(error, dict) else record
        code = details.get("code")
        if status is None and isinstance(code, int) and 400 <= code < 600:
            status = code  # a proxy that had begun to answer says so in the stream
        text = error_of(record) or str(error)
        marks = " ".join(str(details[key]) for key in ("type", "code", "param") if isinstance(details.get(key), str | int))
        return self.from_text(text, status, marks=marks)

    def from_text(self, text: str, status: int | None = None, *, marks: str = "") -> ModelError:
        """Translate the text of an error; `marks` are the words for programs beside it."""
        what = f"{self.shown(_unnested(text)) or 'an error without a text'}{'' if status is None else f' (HTTP {status})'}"
        for pattern, kind, advice in self.server.texts:
            if pattern.search(text) or pattern.search(marks):
                return self.error(kind, what, self._advice(advice))
        kind, advice = self.server.decisive.get(status or 0, (Refused, "see the server's log"))
        error = self.error(kind, what, self._advice(advice))
        error.said = f"{marks} {text}" if status in _ABOUT_THE_REQUEST else ""
        return error

    def _advice(self, advice: str) -> str | None:
        key = "name the variable that has its key: `key_env: NAME`" if self.key is None else "is the key in its variable right?"
        return advice.format(tag=self.tag or "MODEL", key=key) or None

    def _headline(self, refusal: Refusal) -> str:
        """Give what a plain or HTML error page says in short."""
        text = refusal.body[:20_000].decode("utf-8", "replace")
        if "html" in refusal.content_type or text.lstrip()[:1] == "<":
            title = re.search(r"<title[^>]*>([^<]{1,200})", text, re.IGNORECASE)
            return f"({self.shown(title[1])})" if title else "(an HTML page)"
        return f"({self.shown(text)})" if text.strip() else ""


_ABOUT_THE_REQUEST = (400, 422)
_FAULTS: Mapping[FaultKind, tuple[type[ModelError], str, str]] = {
    FaultKind.NO_CONNECTION_IN_TIME: (Unreachable, "no connection in time", "{down}"),
    FaultKind.UNKNOWN_HOST: (Unreachable, "its host name is unknown", "check the URL"),
    FaultKind.NOT_SECURE: (Unreachable, "no secure connection ({})", "check the URL's scheme and its certificate"),
    FaultKind.NO_CONNECTION: (Unreachable, "{}", "{down}"),
    FaultKind.PROXY: (Unreachable, "the proxy in between cannot be used", "correct it or set NO_PROXY"),
    FaultKind.SILENT: (TimedOut, "it does not reply in time", "is it overloaded?"),
    FaultKind.LATE: (TimedOut, "it does not reply in time", "is it overloaded?"),
    FaultKind.NOT_HTTP: (BadReply, "what answers there does not speak HTTP ({})", "check the URL"),
    FaultKind.BAD_URL: (Unreachable, "its URL cannot be asked", "check it"),
    FaultKind.UNREADABLE: (BadReply, "its reply is compressed in a way that cannot be read", "is a proxy in between?"),
    FaultKind.TOO_LONG: (BadReply, "its reply is {}", "{question}"),
    FaultKind.NOT_JSON: (BadReply, "its reply {}", "{question}"),
    FaultKind.BROKEN: (Died, "the connection broke before the reply was complete", "see the server's log"),
}


def _unnested(text: str) -> str:
    """Give the message of an error that is itself JSON in a string (Ollama 0.30+ hands on what llama-server said)."""
    try:
        inner = json.loads(text)
        message = inner["error"]["message"]
    except (ValueError, RecursionError, TypeError, KeyError, IndexError):
        return text
    return message if isinstance(message, str) else text
