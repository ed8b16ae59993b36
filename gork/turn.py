"""The records of a turn, and the events that tell of it while it runs.

Nothing in here does anything: records are frozen, events are what `on_event` receives. The JSON form (`Turn.as_json`) is what `--json`
prints and what saved sessions and the service use; its schema is `docs/turn.schema.json`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, TypedDict

import msgspec


class Message(TypedDict):
    """One message of a chat, in the form both engines and both HTTP dialects use."""

    role: Literal["system", "user", "assistant"]
    content: str


def as_messages(exchanges: Iterable[tuple[str, str]]) -> list[Message]:
    """Exchanges (what a user says, what the assistant replies) as the messages of a chat."""
    return [
        message
        for user, assistant in exchanges
        for message in (Message(role="user", content=user), Message(role="assistant", content=assistant))
    ]


def instructions(*texts: str | None) -> list[Message]:
    r"""The texts that there are as one system message; no message without any.

    >>> instructions("Be brief.", None, "Speak French."), instructions("", None)
    ([{'role': 'system', 'content': 'Be brief.\n\nSpeak French.'}], [])
    """
    given = [text for text in texts if text]
    return [{"role": "system", "content": "\n\n".join(given)}] if given else []


AnswerFormat = Literal["json"] | Mapping[str, object]
"""The form that answers must have: any JSON object, or what a JSON schema says."""


class Kind(StrEnum):
    """What a question asks for, as plain code sees it (`gork/text/kinds.py`)."""

    ARITHMETIC = "arithmetic"
    COUNTING = "counting"
    """Counting, and other work on given words: letters, sorting, reversing."""
    DATES = "dates"
    """Dates, times and units."""
    CODE_OUTPUT = "code-output"
    """What a given piece of code gives."""
    CODE = "code"
    """Code to write."""
    CHOICE = "choice"
    """One of the options that the question gives; yes or no."""
    FACT = "fact"
    FORM = "form"
    """A text in a form that the question states."""
    OPEN = "open"
    """Everything else, and what is not sure."""


COMPUTABLE: Final = frozenset({Kind.ARITHMETIC, Kind.COUNTING, Kind.DATES, Kind.CODE_OUTPUT})
"""The kinds whose answers a program can compute."""


class Stage(StrEnum):
    """The stages of a turn, in order."""

    REWRITE = "rewrite"
    ANSWER = "answer"
    JUDGE = "judge"


class State(StrEnum):
    """What a member is doing just now."""

    WAITING = "waiting"
    LOADING = "loading"
    READING = "reading"
    WRITING = "writing"
    DONE = "done"
    FAILED = "failed"
    NOT_NEEDED = "not_needed"
    """Stopped, since nothing that it could still say would change the outcome, or since the user wants the answer now."""


class NotRewritten(StrEnum):
    """How it came that a question has no rewrite although one was wanted."""

    NOT_ASKED = "not_asked"
    """The promptimizer was not asked: the question would gain nothing."""
    REJECTED = "rejected"
    """Plain code rejected what it wrote."""
    FAILED = "failed"
    """Its model failed, or was too slow."""
    ANSWER_NOW = "answer_now"
    """The user wanted the answer now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the user asked, the rewrite if there is one, and the kept history before it (oldest first)."""

    text: str
    rewrite: str | None = None
    rewrite_refused: str | None = None
    """Why there is no rewrite, for people."""
    not_rewritten: NotRewritten | None = None
    """The same as a fact."""
    history: tuple[Message, ...] = ()
    system: str = ""
    """Instructions of a client for the candidates, besides their own."""
    options: Mapping[str, float | int | str | bool | tuple[str, ...]] = field(default_factory=dict)
    """Sampling options of a client for the candidates, above their own."""
    answer_format: AnswerFormat | None = None
    kind: Kind = Kind.OPEN
    program: str | None = None
    """The program behind the answer before this question, where that was computed: what a follow-up changes."""
    id: str = field(default_factory=lambda: secrets.token_hex(6), compare=False)
    """The turn's, from its beginning on: twelve hexadecimal digits."""

    @property
    def for_candidates(self) -> str:
        """The prompt that candidates get when they see only one of the two texts."""
        return self.rewrite if self.rewrite is not None else self.text

    def as_json(self) -> dict[str, object]:
        """The question and what came of its rewrite, JSON-ready."""
        return {
            "text": self.text,
            "rewrite": self.rewrite,
            "rewrite_refused": self.rewrite_refused,
            "not_rewritten": self.not_rewritten,
        }


STOPPED: Final = "stopped"
"""Why an answer ended that its user stopped."""
QUESTIONS_CODE: Final = "computed"
"""The author of the answer that the code in a question gives; no member can have this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """A program that was to compute an answer, and what it printed when it was run."""

    program: str
    output: str | None
    """What it printed, byte for byte; None if it was not run, or did not come to a result."""
    seconds: float = 0.0
    problem: str | None = None
    """Why there is no output, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One candidate's answer. `text` is what the model wrote, byte for byte, without its thinking; or what its program printed."""

    member: str
    model: str
    text: str
    complete: bool = True
    stop: str = "stop"
    """Why it ended: "stop", "length", "deadline", "repetition"; `STOPPED` if its user wanted no more of it and took it nevertheless."""
    tokens: int = 0
    prompt_tokens: int = 0
    """What its model read for it: instructions, examples and history included."""
    first_token_s: float | None = None
    seconds: float = 0.0
    tokens_per_s: float | None = None
    computed: Computed | None = None
    """The program, where the answer was asked for as one."""

    @property
    def ran(self) -> bool:
        """Whether `text` is what a program printed."""
        return self.computed is not None and self.computed.output is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One member that could not do its part, and why; `kind` is from a bounded set (see `gork.errors`)."""

    member: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """A candidate that was not waited for: neither an answer nor a failure. It can be asked afterwards."""

    member: str


ANSWER_NOW: Final = "answer_now"
"""Kind of the fallback where the user wanted the answer before the judge had read."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """Why the favourite decided without the judge, who was asked.

    `kind` is that of the judge's failure (`ModelError.kind`), or `ANSWER_NOW`; `text` is for people.
    """

    kind: str
    text: str


class Reason(StrEnum):
    """What can speak against the favourite's answer and for another one (docs/choosing.md)."""

    CHECKS = "checks"
    """Plain code refutes it, and finds nothing against the other."""
    AGREEMENT = "agreement"
    """Two others or more give the same final answer, and the question does not offer the answers."""
    JUDGE = "judge"
    """The judge's reading is for the other."""
    CHECKS_AND_JUDGE = "checks-and-judge"
    AGREEMENT_AND_JUDGE = "agreement-and-judge"
    """Both; also where the question offers the answers."""

    @property
    def asks_judge(self) -> bool:
        """Whether it needs the judge's reading."""
        return self in {Reason.JUDGE, Reason.CHECKS_AND_JUDGE, Reason.AGREEMENT_AND_JUDGE}


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason against the favourite's answer, and for this member's."""

    reason: Reason
    member: str
    counts: bool
    """Whether it may overrule the favourite; without a table that is the product's own rule, else what was measured."""
    detail: str | None = None
    """For people: what was found."""


class Unmeasured(StrEnum):
    """What a turn has that the ensemble's table was not measured with."""

    LANGUAGE = "language"
    SYSTEM = "system"
    """A system message of a client."""
    OPTIONS = "options"
    """Sampling options of a client."""
    MEMBERS = "members"
    """Members that have changed since: another model, prompt or sampling."""


_CLARITY: Final[Mapping[str, str]] = {
    "computed": "computed",
    "favourite": "favourite",
    "prior": "first in the configured order",
    Reason.CHECKS: "checks refute {favourite}",
    Reason.AGREEMENT: "two agree against {favourite}",
    Reason.JUDGE: "the judge prefers it to {favourite}",
    Reason.CHECKS_AND_JUDGE: "checks and judge against {favourite}",
    Reason.AGREEMENT_AND_JUDGE: "two agree against {favourite}, and so does the judge",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which answer was chosen, and why."""

    winner: str
    policy: str
    """What decided: "computed", a `Reason`, "favourite" (measured) or "prior" (the configured order)."""
    favourite: str | None = None
    """Whose answer is taken where nothing that counts speaks against it; None where nothing had to be chosen."""
    favourite_kind: Kind | None = None
    """The kind of question for which that was measured; None where it is the favourite of all questions."""
    measured: bool = False
    """Whether a table stands behind it."""
    unmeasured: tuple[Unmeasured, ...] = ()
    objections: tuple[Objection, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    """The judge's reading, by member; empty if it was not asked."""
    margin: float = 0.0
    """How far its first place is ahead of its second."""
    judge_answer: str | None = None
    """The judge's own short answer, where it was asked for one."""
    fallback: Fallback | None = None
    close: bool = False
    """Whether something spoke for another answer and did not count for enough."""
    note: str | None = None
    sure: float | None = None
    """How often the choice was right for such questions, where that was measured (0 to 1)."""
    computed_by: str | None = None
    """Whose program's result decided, where one did: a member's name, or `QUESTIONS_CODE`."""
    judge_calls: int = 0
    judge_tokens: int = 0
    """What the judge read and wrote for it, what its cache held included."""
    judge_seconds: float = 0.0
    """In which it read and wrote that: after the candidates (then they are within the stage's seconds), or beside them."""

    @property
    def clarity(self) -> str:
        """How it came about, in a few words for people.

        >>> Verdict(winner="qwen", policy="favourite", favourite="qwen", favourite_kind=Kind.FACT, measured=True, sure=0.614).clarity
        'favourite for fact questions, 61% sure'
        >>> Verdict(winner="llama", policy="agreement", favourite="qwen", close=True).clarity
        'two agree against qwen, a close call'
        """
        said = _CLARITY.get(self.policy, self.policy).format(favourite=self.favourite)
        kind = "" if self.favourite_kind is None or self.policy != "favourite" else f" for {self.favourite_kind} questions"
        sure = "" if self.sure is None else f", {self.sure:.0%} sure"
        return f"{said}{kind}{sure}{', a close call' if self.close else ''}"

    def as_json(self) -> dict[str, object]:
        """The verdict in the form that `--json` prints, without its winner, which stands beside it."""
        told: dict[str, object] = msgspec.to_builtins(self)
        del told["winner"]
        reason = self.fallback
        return told | {
            "unmeasured": [str(what) for what in self.unmeasured],
            "objections": [msgspec.to_builtins(one) for one in self.objections],
            "fallback": reason.text if reason else None,
            "fallback_kind": reason.kind if reason else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question answered."""

    id: str
    question: Question
    winner: Answer
    answers: tuple[Answer, ...]
    failures: tuple[Failure, ...]
    verdict: Verdict
    timings: Mapping[str, float]
    engine: str
    ensemble: str
    seed: int
    not_needed: tuple[str, ...] = ()
    """The candidates that were not waited for."""

    @property
    def answer(self) -> str:
        """The chosen answer, byte for byte."""
        return self.winner.text

    @property
    def computed(self) -> Computed | None:
        """The program whose result decided, also where an answer in words was chosen that says the same; None where none did."""
        return next((answer.computed for answer in self.answers if answer.ran and answer.member == self.verdict.computed_by), None)

    def as_json(self) -> dict[str, object]:
        """The turn in the form that `--json` prints; JSON-ready, finite numbers only."""
        return {
            "id": self.id,
            "question": self.question.as_json(),
            "answer": self.answer,
            "winner": self.winner.member,
            "answers": [msgspec.to_builtins(answer) for answer in self.answers],
            "failures": [msgspec.to_builtins(failure) for failure in self.failures],
            "not_needed": list(self.not_needed),
            "verdict": self.verdict.as_json(),
            "timings": dict(self.timings),
            "engine": self.engine,
            "ensemble": self.ensemble,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins; `members` take part in it."""

    stage: Stage
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberState:
    """A member's state changed; `detail` is a short remark for people ("asked again: the model's process died")."""

    member: str
    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a member's text arrived (usually one token)."""

    member: str
    text: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """A member starts its text again: what had arrived before does not count."""

    member: str
    why: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The rewrite stage ended: with a rewrite, with one refused, or without either."""

    question: Question


@dataclass(frozen=True, slots=True)
class Answered:
    """A candidate finished."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """A member failed; the turn goes on without it."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict is known."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Notice:
    """One line that the user should see: something was cut, skipped, refused or decided otherwise than asked."""

    text: str
    about_verdict: bool = False
    """Whether it says how the verdict came about, which then need not be said again."""
    about_members: bool = False
    """Whether the members' states say the same, for those who show them."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The turn is over."""

    turn: Turn


Event = StageStarted | MemberState | Token | Restarted | Rewritten | Answered | Failed | Judged | Notice | Finished
OnEvent = Callable[[Event], None]
