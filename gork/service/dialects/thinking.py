"""The thinking channel: which of a turn's events are shown to other programs besides the answer, in words.

Drafts come whole, under their models' names, when they are finished: three texts at once would be unreadable as one stream.
"""

from __future__ import annotations

from gork.turn import Answer, Answered, Event, Failed, Judged, MemberState, Notice, Question, Restarted, Rewritten, State, Verdict
from gork.wire import Queued

END = "\n\n"
"""After every paragraph."""


class ThinkingChannel:
    """Puts a turn into words, paragraph by paragraph."""

    def __init__(self) -> None:
        self._loading: set[str] = set()
        self._notices = ""

    def of(self, event: Event | Queued) -> str | None:
        """The paragraph for an event; None if it is not shown."""
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
                return rewrite_line(question)
            case Answered(answer):
                return f"{heading(answer)}\n\n{answer.text}"
            case Judged(verdict):
                return chosen(verdict, self._notices)
            case Notice(text):
                self._notices += f"{text}\n"
                return text
            case _:
                return None


def rewrite_line(question: Question) -> str | None:
    """How the rewrite stage ended.

    >>> rewrite_line(Question(text="q", rewrite="Q?")), rewrite_line(Question(text="q", rewrite_refused="lost the number 3"))
    ('asked as: Q?', 'asked in your own words (lost the number 3)')
    """
    if question.rewrite is not None:
        return f"asked as: {question.rewrite}"
    return None if question.rewrite_refused is None else f"asked in your own words ({question.rewrite_refused})"


def heading(answer: Answer) -> str:
    """The heading of a draft.

    >>> heading(Answer(member="qwen", model="m", text="x", tokens=12, seconds=0.94))
    '**qwen** (12 tokens in 0.9 s)'
    """
    cut = "" if answer.complete else f", cut: {answer.stop}"
    return f"**{answer.member}** ({answer.tokens} tokens in {answer.seconds:.1f} s{cut})"


def chosen(verdict: Verdict, said: str = "") -> str:
    """Who won, and how clearly; a reason that was `said` is not repeated.

    >>> chosen(Verdict(winner="qwen", policy="combined", margin=1.5, orders=(("qwen", "llama"),)))
    'chosen: qwen (margin 1.50, read in 1 order)'
    >>> chosen(Verdict(winner="qwen", policy="combined", fallback="the judge is down"), "no verdict: the judge is down")
    'chosen: qwen (fallback)'
    """
    return f"chosen: {verdict.winner}" + "".join(f" ({how})" for how in [_how(verdict, said)] if how)


def _how(verdict: Verdict, said: str) -> str:
    if verdict.fallback is not None:
        return "fallback" if verdict.fallback in said else f"fallback, the configured order decided: {verdict.fallback}"
    if verdict.note is not None:
        return "" if verdict.note in said else verdict.note
    read = f", read in {len(verdict.orders)} order{'s' if len(verdict.orders) > 1 else ''}" if verdict.orders else ""
    return f"{verdict.clarity}{read}"
