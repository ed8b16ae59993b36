"""Every error that is safe to show to a person, drawn as a tree.

GorkError                  the base; catching it means "print the message, choose the exit code"
├── UsageError             what was asked for cannot be done as asked: flags, files, prompts (exit code 2)
│   └── ConfigError        one or more mistakes in settings or in an ensemble file, all of them listed
├── OutputError            what was asked for cannot be written to standard output
├── WeightsError           a GGUF file is missing, torn, of the wrong checksum, or cannot be fetched
├── EngineError            no engine can be started or chosen (models missing on a local Ollama, no xllamacpp)
├── ServiceError           a running service did not do what it was asked; names its URL
│   └── NoService          nothing of ours answers where a service was said to be
├── ModelError             one model could not answer; names the member and where it was asked
│   ├── Unreachable        no connection, or it broke before the answer began
│   ├── ModelMissing       the server is there, the model is not
│   ├── TimedOut           a deadline passed before anything usable had come
│   ├── Refused            the server said no: wrong request, unsupported, not allowed
│   ├── Busy               the server's own queue is full
│   ├── PromptTooLong      the prompt does not fit the model's context
│   ├── BadReply           the reply is not what the protocol promises
│   └── Died               the model's process or connection went away while it was at work
├── NoAnswer               no candidate answered; lists each with its reason (exit code 1)
├── QueueFull              the service: as many are waiting as may wait
├── Stopping               the service takes nothing new, or gave up what it was at, because it is being stopped
├── TurnStopped            the service: a turn was stopped by its client, or nobody came back for it
├── TurnTimedOut           the service: a whole turn did not end within its time
├── InternalError          the service: in place of a bug, whose traceback is in the log
└── BadRequest             the service: a request cannot be understood or done; names the field
    ├── NotFound           it names a model or a path that does not exist
    └── TurnedAway         it is refused before anything of it is read: access, size, time
        ├── Unauthorized   it lacks the token
        ├── WrongHost      it asks for the service by a name that is not the service's own
        ├── WrongOrigin    a web page of a foreign origin sent it
        ├── TooSlow        its body did not come in time
        └── TooLarge       its body is larger than what is read

A message says what happened, where (model and URL) and what to do next; the three are fields too (`what`, `where`, `fix`), so that
nothing has to read them out of a sentence. Bugs are not in this tree: they are ordinary exceptions and keep their traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class GorkError(Exception):
    """Safe to show to the user as it stands, one line unless it lists several mistakes.

    `what` is what happened, `fix` what to do about it (None where there is nothing to advise). The message is both.

    >>> str(GorkError("the disk is full", fix="free 100 MB"))
    'the disk is full; free 100 MB'
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, fix: str | None = None) -> None:
        self.what, self.fix = what, fix
        super().__init__(advised(what, fix))


def advised(what: str, fix: str | None) -> str:
    """What happened and what to do about it, as one sentence for people."""
    return what if fix is None else f"{what}; {fix}"


class UsageError(GorkError):
    """Raised when a flag, a prompt or a file asks for something that cannot be done."""

    exit_code: ClassVar[int] = 2


class ConfigError(UsageError):
    """Raised with every mistake found in settings or in an ensemble file, each naming its place."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(mistakes))


class OutputError(GorkError):
    """Raised when standard output is closed or cannot take what was asked for (a full disk)."""


class WeightsError(GorkError):
    """Raised when a weights file is missing, torn, not what its checksum says, or cannot be fetched."""


class EngineError(GorkError):
    """Raised when no engine can be chosen or started."""


class ModelError(GorkError):
    """Raised when one model cannot answer.

    `member` is the member's name, `where` the URL or file it was asked at, `what` the reason without either, `fix` the remedy.

    >>> str(ModelError("connection refused", member="qwen", where="http://qwen:11434", fix="is it running?"))
    'qwen at http://qwen:11434: connection refused; is it running?'
    """

    kind: ClassVar[str] = "error"

    def __init__(self, what: str, *, member: str, where: str, fix: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(f"{member} at {where}: {what}", fix=fix)
        self.what, self.member, self.where = what, member, where
        self.retry_after_s = retry_after_s
        """Seconds after which its server asks to be asked again; None where it did not say so."""
        self.said = ""
        """A server's own words about the request, where it found fault with that; for programs, never shown."""


class Unreachable(ModelError):
    """Raised when the server of a model cannot be connected to."""

    kind: ClassVar[str] = "unreachable"


class ModelMissing(ModelError):
    """Raised when a server does not have the model that was asked for."""

    kind: ClassVar[str] = "missing"


class TimedOut(ModelError):
    """Raised when a deadline passed before anything usable had come."""

    kind: ClassVar[str] = "timeout"


class Refused(ModelError):
    """Raised when a server answers that it will not do what it was asked."""

    kind: ClassVar[str] = "refused"


class Ourselves(Refused):
    """Raised when what answers as a model's server is a service of this program."""


class Busy(ModelError):
    """Raised when a server's own queue is full."""

    kind: ClassVar[str] = "busy"


class PromptTooLong(ModelError):
    """Raised when the prompt does not fit the model's context."""

    kind: ClassVar[str] = "too_long"


class BadReply(ModelError):
    """Raised when a reply is not what the protocol promises."""

    kind: ClassVar[str] = "bad_reply"


class WrongForm(ModelError):
    """Raised when an answer does not have the JSON form that was asked for."""

    kind: ClassVar[str] = "wrong_form"


class Died(ModelError):
    """Raised when a model's process or connection went away while it was at work; asking once more is worthwhile."""

    kind: ClassVar[str] = "died"


class ServiceError(GorkError):
    """Raised when a running service does not do what it was asked; the message names its URL."""


class NoService(ServiceError):
    """Raised when nothing of ours answers where a service was said to be."""


class NoAnswer(GorkError):
    """Raised when no candidate answered; `reasons` has one line for each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("no candidate answered:\n" + "\n".join(f"  {reason}" for reason in reasons))


class QueueFull(GorkError):
    """Raised when as many requests are waiting as may wait."""


class Stopping(GorkError):
    """Raised when the service takes nothing new, or gave up what it was at, because it is being stopped."""


class TurnStopped(GorkError):
    """Raised when a turn was stopped before its end: by whoever holds its token, or since nobody was left who would read it."""


class TurnTimedOut(GorkError):
    """Raised when a turn, or one member's answer, did not end within the service's limit for it."""


class InternalError(GorkError):
    """Raised in place of a bug: the log has the traceback, the client gets one line."""


class BadRequest(GorkError):
    """Raised when a request cannot be understood, or asks for what cannot be done.

    `param` is the field that is wrong, `code` a word for programs; None where there is none.
    """

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        self.param, self.code = param, code
        super().__init__(message)


class NotFound(BadRequest):
    """Raised when a request names a model or a path that does not exist."""


class TurnedAway(BadRequest):
    """Raised when a request is refused before anything of it is read; `reason` is its label in the metrics."""

    reason: ClassVar[str]


class Unauthorized(TurnedAway):
    """Raised when a request lacks the token that it needs."""

    reason: ClassVar[str] = "unauthorized"


class WrongHost(TurnedAway):
    """Raised when a request asks for the service by a name that is not its own."""

    reason: ClassVar[str] = "host"


class WrongOrigin(TurnedAway):
    """Raised when a web page of a foreign origin sends a request."""

    reason: ClassVar[str] = "origin"


class TooSlow(TurnedAway):
    """Raised when a request's body does not come in time."""

    reason: ClassVar[str] = "slow"


class TooLarge(TurnedAway):
    """Raised when a request's body is larger than what is read."""

    reason: ClassVar[str] = "too_large"
