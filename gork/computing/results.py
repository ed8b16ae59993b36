"""What comes of programs: a candidate's answer that was asked for as one, and the answer that a question's own code gives."""

from __future__ import annotations

from dataclasses import replace

from gork.computing.blocks import NoProgram, program_in
from gork.computing.question_code import program_of
from gork.computing.sandbox import Ran, Sandbox
from gork.turn import QUESTIONS_CODE, Answer, Computed, Kind, Question


async def with_result(answer: Answer, sandbox: Sandbox, *, seed: int) -> Answer:
    """The answer that a program gives: its text is what the program printed.

    Without a program in it, it is an answer in words and stays as it is. A program that did not come to a result leaves the text of the
    model, with the problem: such an answer is chosen only when there is no other.
    """
    found = program_in(answer.text, complete=answer.complete)
    if isinstance(found, NoProgram):
        return answer if found.words else replace(answer, computed=Computed(program=answer.text, output=None, problem=found.reason))
    outcome = await sandbox.run(found, seed=seed)
    if isinstance(outcome, Ran):
        return replace(answer, text=outcome.shown, computed=Computed(program=found, output=outcome.output, seconds=outcome.seconds))
    problem = f"{outcome.kind}: {outcome.message}"
    return replace(answer, computed=Computed(program=found, output=None, seconds=outcome.seconds, problem=problem))


async def of_questions_code(question: Question, sandbox: Sandbox, *, seed: int) -> Answer | None:
    """The answer that the code in a question gives when it is run as it stands; None where there is none, or it did not run."""
    source = program_of(question.text) if question.kind is Kind.CODE_OUTPUT else None
    if source is None:
        return None
    outcome = await sandbox.run(source, seed=seed)
    if not isinstance(outcome, Ran):
        return None
    computed = Computed(program=source, output=outcome.output, seconds=outcome.seconds)
    return Answer(member=QUESTIONS_CODE, model="python", text=outcome.shown, seconds=outcome.seconds, computed=computed)
