"""How turns and their events travel: JSON for everything that goes over HTTP, and a kind with a JSON object for each event.

`/api/deliberate` sends events as server-sent events, to the page, to `--server` and to any other client. What comes in is checked
against the records that it becomes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, TypeVar

import msgspec

from gork.turn import (
    Answer,
    Answered,
    Event,
    Failed,
    Failure,
    Finished,
    Judged,
    MemberState,
    Notice,
    Question,
    Restarted,
    Rewritten,
    StageStarted,
    Token,
    Turn,
    Verdict,
)

_T = TypeVar("_T")


class BadEvent(ValueError):
    """Raised when something that came over the wire is not an event of a turn."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The service took the question; the first event of all. `members` has each member's role by its name.

    `token` is the turn's secret: whoever holds it may read on, and stop the turn. `likely` has the candidates, whoever will most likely be
    chosen for this question first.
    """

    id: str
    engine: str
    ensemble: str
    members: Mapping[str, str]
    token: str = ""
    likely: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Queued:
    """The turn waits for its start; `ahead` others come first."""

    ahead: int


BrokenKind = Literal["no_answer", "stopped", "cancelled", "refused", "error"]
"""Why a turn ended without an answer; "stopped" means that the service is being stopped, "cancelled" that this turn was."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The turn ended without an answer, and why; the last event, in place of `Finished`."""

    kind: BrokenKind
    message: str


@dataclass(frozen=True, slots=True)
class Explained:
    """All that the judge said about a turn that had ended; the last event of an explanation."""

    text: str


@dataclass(frozen=True, slots=True)
class Held:
    """A prompt has its place beside the service for as long as this stream lasts; `Broken` ends it when the service is being stopped."""


WireEvent = Event | Accepted | Queued | Broken | Explained | Held

_KINDS: Final[Mapping[str, type]] = {
    "accepted": Accepted,
    "queued": Queued,
    "stage": StageStarted,
    "member": MemberState,
    "token": Token,
    "restarted": Restarted,
    "rewritten": Rewritten,
    "answered": Answered,
    "failed": Failed,
    "judged": Judged,
    "notice": Notice,
    "finished": Finished,
    "broken": Broken,
    "explained": Explained,
    "held": Held,
}
_NAMES: Final = {record: kind for kind, record in _KINDS.items()}
_INNER: Final[Mapping[type, tuple[str, type]]] = {
    Answered: ("answer", Answer),
    Failed: ("failure", Failure),
}
"""Events that carry one record travel as that record."""


def json_bytes(value: object) -> bytes:
    r"""A value as compact JSON in UTF-8; lone surrogates, which UTF-8 cannot have, become U+FFFD.

    >>> json_bytes({"a": "b\ud800"})
    b'{"a":"b\xef\xbf\xbd"}'
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def encode(event: WireEvent) -> tuple[str, bytes]:
    r"""An event's kind and its JSON, on one line.

    >>> encode(Token("qwen", "a\nb"))
    ('token', b'{"member":"qwen","text":"a\\nb"}')
    """
    kind = _NAMES[type(event)]
    match event:
        case Finished(turn):
            return kind, json_bytes(turn.as_json())
        case Rewritten(question):
            return kind, json_bytes(question.as_json())
        case Judged(verdict):
            return kind, json_bytes({"winner": verdict.winner, **verdict.as_json()})
        case Answered() | Failed():
            return kind, json_bytes(getattr(event, _INNER[type(event)][0]))
        case _:
            return kind, json_bytes(event)


def decode(kind: str, data: bytes) -> WireEvent | None:
    """The event that a kind and its JSON are; None for a kind that is not known. Raises `BadEvent`."""
    record = _KINDS.get(kind)
    if record is None:
        return None
    raw = _json(data)
    if record is Finished:
        return Finished(turn_of(raw))
    if record is Rewritten:
        return Rewritten(_convert(raw, Question))
    if record is Judged:
        return Judged(_verdict_of(raw))
    if record in _INNER:
        event: WireEvent = record(_convert(raw, _INNER[record][1]))
        return event
    made: WireEvent = _convert(raw, record)
    return made


def turn_of(raw: object) -> Turn:
    """The turn that `Turn.as_json` made this of; its history is not part of it. Raises `BadEvent`."""
    values = _convert(raw, dict[str, Any])
    answers = _convert(values.get("answers"), tuple[Answer, ...])
    winner = next((answer for answer in answers if answer.member == values.get("winner")), None)
    if winner is None or winner.text != values.get("answer"):
        raise BadEvent("the chosen answer is not among the answers")
    turn_id = _convert(values.get("id"), str)
    kept = {field.name for field in fields(Turn)}
    parts = {
        "question": _convert({**_convert(values.get("question"), dict[str, Any]), "id": turn_id}, Question),
        "winner": winner,
        "answers": answers,
        "verdict": _verdict_of(values.get("verdict"), winner=winner.member),
    }
    return _convert({**{key: value for key, value in values.items() if key in kept}, **parts}, Turn)


def _verdict_of(raw: object, *, winner: str | None = None) -> Verdict:
    """The verdict that `Verdict.as_json` made this of; turns saved by earlier releases lack `fallback_kind`."""
    values = _convert(raw, dict[str, Any])
    text, kind = values.get("fallback"), values.pop("fallback_kind", None)
    fallback = None if text is None else {"kind": kind or "other", "text": text}
    return _convert({**values, "fallback": fallback, "winner": winner or values.get("winner")}, Verdict)


def _json(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent(f"it is not JSON: {error}") from None


def _convert(raw: object, to: type[_T]) -> _T:
    try:
        return msgspec.convert(raw, to)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadEvent(str(error)) from None
