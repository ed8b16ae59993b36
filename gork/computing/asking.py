"""Who is asked for a program, and how. The kind of a question decides it, never the model: a small model that may choose guesses."""

from __future__ import annotations

from gork.computing.sandbox import Sandbox
from gork.config.ensemble import Ensemble, Member
from gork.text.conversions import conversion_facts
from gork.text.kinds import continues, kind_of
from gork.text.structure import in_fence
from gork.turn import COMPUTABLE, Answer, Kind, Message, Notice, OnEvent, Question, as_messages, instructions

LEAST_TOKENS = 256
"""A client that wants fewer tokens than a program needs gets words."""


def kind_in_thread(question: Question) -> Kind:
    """The kind of a question; of one that goes on with a computation ("and with 5 percent?") that of what it goes on with.

    >>> asked = Question(text="and what about 5?", history=({"role": "user", "content": "what is 4 percent of 80?"},))
    >>> str(kind_in_thread(asked))
    'arithmetic'
    """
    kind = kind_of(question.text)
    if kind in COMPUTABLE or not is_follow_up(question):
        return kind
    for said in reversed(question.history):
        if said["role"] != "user":
            continue
        if (before := kind_of(said["content"])) in COMPUTABLE:
            return before
        if not continues(said["content"]):
            break
    return kind


def is_follow_up(question: Question) -> bool:
    """Whether a question leans on the one before it."""
    return bool(question.history) and continues(question.text)


def can_be_computed(question: Question) -> bool:
    """Whether a program may answer the question: its kind allows it, and its client wants no form that a program's output has not."""
    limit = question.options.get("num_predict")
    short = isinstance(limit, int) and 0 <= limit < LEAST_TOKENS
    return question.kind in COMPUTABLE and question.answer_format is None and "stop" not in question.options and not short


def asks_program(member: Member, question: Question) -> bool:
    """Whether this candidate answers the question by a program."""
    return member.answers.get(question.kind) == "program" and can_be_computed(question)


async def working(sandbox: Sandbox | None, on_event: OnEvent) -> Sandbox | None:
    """The sandbox, if programs run in it; else None, so that nobody is asked for one, and the reason is told once."""
    lack = await sandbox.lack() if sandbox is not None else None
    if lack is None:
        return sandbox
    if lack.new:
        on_event(Notice(f"nothing is computed by programs: {lack.reason}"))
    return None


def word_messages(member: Member, question: Question, ensemble: Ensemble) -> list[Message]:
    """What a member reads that answers in words: its own instructions and the client's, its examples, the kept history, the question."""
    messages = [*instructions(member.system, question.system), *as_messages(member.examples)]
    asked = question.text if ensemble.candidates_see == "original" else question.for_candidates
    if ensemble.candidates_see == "both" and question.rewrite is not None:
        asked = f"{question.text}\n\n(In other words: {question.rewrite})"
    return [*messages, *question.history, {"role": "user", "content": asked}]


def program_messages(member: Member, question: Question, *, again: bool = False) -> list[Message]:
    """What a member reads that is to write a program; the request for it stands last. It is another one when it is asked `again`.

    History is read only by a question that leans on it: short answers before the question make a small model answer in words. The last
    answer stands there as the program that computed it. What a conversion needs to know is told: a small model invents it.
    """
    prompt = member.program
    messages = instructions(prompt.system, question.system)
    asked = question.text
    if is_follow_up(question):
        messages += question.history
        asked = question.for_candidates
        if question.program is not None and messages[-1]["role"] == "assistant":
            messages[-1] = {"role": "assistant", "content": in_fence(question.program, "python")}
    if (facts := conversion_facts(asked)) is not None:
        asked += f"\n\nNote: {facts}."
    return [*messages, {"role": "user", "content": f"{asked}\n\n{prompt.again if again else prompt.request}"}]


def why_again(answer: Answer) -> str | None:
    """Why a member is asked for a program once more, in other words; None if it is not: its program gave a result, or it was cut.

    At temperature 0 the same words give the same program, and a small model that is told its mistake makes it again.
    """
    if answer.computed is None or answer.computed.output is not None or not answer.complete:
        return None
    return f"its program gave no result: {answer.computed.problem}"
