"""What comes of programs: a candidate's answer that was asked for as one, and the answer that a question's own code gives."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace

from gork.computing.blocks import NoProgram, program_in
from gork.computing.constant import is_constant
from gork.computing.examples import check_examples, examples_in
from gork.computing.fitting import why_unfit
from gork.computing.question_code import program_of
from gork.computing.sandbox import Ran, Sandbox
from gork.engines.call import Completion
from gork.engines.model import Model
from gork.errors import ModelError
from gork.turn import QUESTIONS_CODE, Answer, Computed, Kind, Question


async def with_result(answer: Answer, question: Question, sandbox: Sandbox, *, seed: int) -> Answer:
    """The answer that a program gives to a question: its text is what the program printed.

    Without a program in it, it is an answer in words and stays as it is. A program that did not come to a result leaves the text of the
    model, with the problem: such an answer is chosen only when there is no other.
    """
    found = program_in(answer.text, complete=answer.complete)
    if isinstance(found, NoProgram):
        return answer if found.words else replace(answer, computed=Computed(program=answer.text, output=None, problem=found.reason))
    outcome = await sandbox.run(found, seed=seed)
    if not isinstance(outcome, Ran):
        problem = f"{outcome.kind}: {outcome.message}"
    elif is_constant(found, outcome.output):
        problem = "it works nothing out: what it prints stands in it"
    elif (unfit := why_unfit(question.text, outcome.output)) is not None:
        problem = unfit
    else:
        return replace(answer, text=outcome.shown, computed=Computed(program=found, output=outcome.output, seconds=outcome.seconds))
    return replace(answer, computed=Computed(program=found, output=None, seconds=outcome.seconds, problem=problem))


async def with_second(
    first: Answer, question: Question, model: Model, writing: Awaitable[Completion], sandbox: Sandbox, *, seed: int
) -> Answer:
    """The answer of a member that is asked for a program once more: the one with a result, with the tokens and seconds of both.

    If the model fails at the second one, its first answer stands.
    """
    try:
        second = await with_result(model.answer(await writing), question, sandbox, seed=seed)
    except ModelError:
        return first
    return replace(
        second if second.ran else first,
        tokens=first.tokens + second.tokens,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        first_token_s=first.first_token_s,
        seconds=first.seconds + second.seconds,
    )


@dataclass(frozen=True, slots=True)
class Tried:
    """The answers that stand after they were tried on the question's examples, and one line on each that does not."""

    answers: tuple[Answer, ...]
    notes: tuple[str, ...] = ()


async def tried_on_examples(question: Question, answers: Sequence[Answer], sandbox: Sandbox) -> Tried:
    """Run answers that are code on the examples that the question states; where one passes them all, those that do not are left out.

    Failing alone decides nothing, since an example may have been misread: it counts beside an answer that passes.
    """
    examples = examples_in(question.text) if question.kind is Kind.CODE and len(answers) > 1 else ()
    if not examples:
        return Tried(tuple(answers))
    examined = {answer.member: await check_examples(answer.text, examples, sandbox) for answer in answers}
    passing = tuple(answer for answer in answers if examined[answer.member].passes)
    if not passing or len(passing) == len(answers):
        return Tried(tuple(answers))
    notes = []
    for answer in answers:
        said = examined[answer.member]
        if answer not in passing:
            why = f"fails {said.failed} of {len(examples)} examples of the question" if said.failed else "could not be run on the examples"
            notes.append(f"{answer.member}'s code {why}, and another one passes: not judged")
    return Tried(passing, tuple(notes))


async def of_questions_code(question: Question, sandbox: Sandbox, *, seed: int) -> Answer | None:
    """The answer that the code in a question gives when it is run as it stands; None where there is none, or it did not run."""
    source = program_of(question.text) if question.kind is Kind.CODE_OUTPUT else None
    if source is None:
        return None
    outcome = await sandbox.run(source, seed=seed, none_counts=True)
    if not isinstance(outcome, Ran):
        return None
    computed = Computed(program=source, output=outcome.output, seconds=outcome.seconds)
    return Answer(member=QUESTIONS_CODE, model="python", text=outcome.output.strip("\n"), seconds=outcome.seconds, computed=computed)
