"""The thinking channel: what of a turn's events other programs are shown besides the answer, in words.

Drafts come whole, under their models' names, when they are finished: three texts at once would be unreadable as one stream.
"""

from __future__ import annotations

from gork.turn import Answer, Answered, Event, Failed, Judged, MemberState, Notice, Question, Restarted, Rewritten, State, Verdict
from gork.wire import Queued

END = "\n\n"
"""Behind every paragraph."""


class Thinking:
    """Puts a turn into words, paragraph by paragraph."""

    def __init__(self) -> None:
        self._loading: set[str] = set()
        self._verdict_told = False

    def of(self, event: Event | Queued) -> str | None:
        """The paragraph that an event is worth, if it is."""
        said = self._of_member(event) if isinstance(event, MemberState | Failed | Restarted) else self._of_turn(event)
        return None if said is None else said + END

    def _of_member(self, event: MemberState | Failed | Restarted) -> str | None:
        match event:
            case MemberState(member, State.LOADING) if member not in self._loading:
                self._loading.add(member)
                return f"{member}: loading its model"
            case MemberState():
                return None
            case Failed(failure):
                return f"{failure.member} failed: {failure.message}"
            case Restarted(member, why):
                return f"{member} is asked again: {why}"

    def _of_turn(self, event: Event | Queued) -> str | None:
        match event:
            case Queued(ahead):
                return f"waiting: {ahead} before this turn" if ahead else "waiting: this turn is the next"
            case Rewritten(question):
                return asked_as(question)
            case Answered(answer):
                return f"{heading(answer)}\n\n{answer.text}"
            case Judged(verdict):
                return chosen(verdict, told=self._verdict_told)
            case Notice(text, about_verdict):
                self._verdict_told |= about_verdict
                return text
            case _:
                return None


def asked_as(question: Question) -> str | None:
    """How the rewrite stage ended.

    >>> asked_as(Question(text="q", rewrite="Q?")), asked_as(Question(text="q", rewrite_refused="lost the number 3"))
    ('asked as: Q?', 'asked in your own words (lost the number 3)')
    """
    if question.rewrite is not None:
        return f"asked as: {question.rewrite}"
    return None if question.rewrite_refused is None else f"asked in your own words ({question.rewrite_refused})"


def heading(answer: Answer) -> str:
    """What stands above a draft.

    >>> heading(Answer(member="qwen", model="m", text="x", tokens=12, seconds=0.94))
    '**qwen** (12 tokens in 0.9 s)'
    """
    cut = "" if answer.complete else f", cut: {answer.stop}"
    return f"**{answer.member}** ({answer.tokens} tokens in {answer.seconds:.1f} s{cut})"


def chosen(verdict: Verdict, *, told: bool = False) -> str:
    """Who won, and how clearly; `told`: a notice has already said how the verdict came about.

    >>> chosen(Verdict(winner="qwen", policy="combined", margin=1.5, orders=(("qwen", "llama"),)))
    'chosen: qwen (margin 1.50, read in 1 order)'
    >>> chosen(Verdict(winner="qwen", policy="combined", note="one usable answer: nothing to judge"), told=True)
    'chosen: qwen'
    """
    how = _how(verdict, told=told)
    return f"chosen: {verdict.winner} ({how})" if how else f"chosen: {verdict.winner}"


def _how(verdict: Verdict, *, told: bool) -> str:
    if verdict.fallback is not None:
        return "fallback" if told else f"fallback, the configured order decided: {verdict.fallback.text}"
    if verdict.note is not None:
        return "" if told else verdict.note
    read = f", read in {len(verdict.orders)} order{'s' if len(verdict.orders) > 1 else ''}" if verdict.orders else ""
    return f"{verdict.clarity}{read}"
