"""What candidates have written in a turn that has not ended: it can be read and used when the turn was stopped or failed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from gork.turn import (
    STOPPED,
    Answer,
    Answered,
    Event,
    Failed,
    Failure,
    MemberState,
    OnEvent,
    Question,
    Restarted,
    Rewritten,
    Stage,
    StageStarted,
    State,
    Token,
    Turn,
    Verdict,
)


@dataclass(slots=True)
class Drafts:
    """Takes in the events of one turn on their way to what shows them."""

    question: Question
    on_event: OnEvent
    models: dict[str, str]
    """The candidates' models, by member."""
    failures: list[Failure] = field(default_factory=list)
    _answers: dict[str, Answer] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _tokens: dict[str, int] = field(default_factory=dict)
    _asked: Sequence[str] = ()
    _started: float = field(default_factory=time.monotonic)

    def __call__(self, event: Event) -> None:
        """Take in one event, and pass it on."""
        match event:
            case StageStarted(Stage.ANSWER, members):
                self._asked = members
            case Token(member, text) if member in self._asked:
                self._texts[member] = self._texts.get(member, "") + text
                self._tokens[member] = self._tokens.get(member, 0) + 1
            case Restarted(member) | MemberState(member, State.NOT_NEEDED):
                self._texts.pop(member, None)
                self._tokens.pop(member, None)
            case Answered(answer):
                self._answers[answer.member] = answer
            case Failed(failure):
                self.failures.append(failure)
            case Rewritten(question):
                self.question = question
            case _:
                pass
        self.on_event(event)

    def written(self) -> tuple[Answer, ...]:
        """The answers that were finished, and what there is of the others, in the candidates' order."""
        seconds = time.monotonic() - self._started
        found = []
        for member in self._asked:
            if member in self._answers:
                found.append(self._answers[member])
            elif text := self._texts.get(member, "").strip():
                tokens = self._tokens[member]
                found.append(
                    Answer(
                        member=member,
                        model=self.models.get(member, member),
                        text=text,
                        complete=False,
                        stop=STOPPED,
                        tokens=tokens,
                        seconds=round(seconds, 3),
                    )
                )
        return tuple(found)

    def turn(self, chosen: Answer, *, engine: str, ensemble: str, seed: int) -> Turn:
        """The turn as it would have ended if this answer had been chosen."""
        seconds = round(time.monotonic() - self._started, 3)
        return Turn(
            id=self.question.id,
            question=self.question,
            winner=chosen,
            answers=self.written(),
            failures=tuple(failure for failure in self.failures if failure.member in self._asked),
            verdict=by_hand(chosen.member),
            timings={"rewrite": 0.0, "answer": seconds, "judge": 0.0, "total": seconds},
            engine=engine,
            ensemble=ensemble,
            seed=seed,
        )


def by_hand(member: str, before: Verdict | None = None) -> Verdict:
    """The verdict of a user who took this member's answer."""
    policy = "prior" if before is None else before.policy
    return Verdict(winner=member, policy=policy, note="you chose it")
