#!/usr/bin/env python3
"""Gork Heavy-Lite: one question in, the best of several small models' answers out.

                        ┌─> candidate ─┐
    you ─> promptimizer ┼─> candidate ─┼─> judge ─> the chosen answer, byte for byte
                        └─> candidate ─┘

    python final_script.py "What is quantum computing?"     one question (also from standard input)
    python final_script.py                                  a prompt that remembers the conversation
    python final_script.py --help                           everything else

This file is the orchestration: improve, ask all, keep what answered, judge, report. It knows models (`gork/engines/model.py`), not what
answers for them; it tells of itself through `on_event` and prints nothing. Models, settings, guards and
terminals are rooms of `gork/` (docs/architecture.md).
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from gork.computing.asking import (
    asks_program,
    can_be_computed,
    is_follow_up,
    kind_in_thread,
    program_messages,
    why_again,
    word_messages,
    working,
)
from gork.computing.results import Tried, of_questions_code, tried_on_examples, with_result, with_second
from gork.computing.sandbox import Limits as SandboxLimits
from gork.computing.sandbox import Sandbox
from gork.config.ensemble import ANSWER_TOKENS, Ensemble, Member
from gork.config.settings import Settings
from gork.engines.call import RunningCall
from gork.engines.model import Engine, Model
from gork.errors import GorkError, ModelError, NoAnswer
from gork.flow import Ask, Limits
from gork.judging.computed import by_computed
from gork.judging.decide import decide, shortlist
from gork.judging.json_form import check_form
from gork.judging.objections import Contest
from gork.judging.reading import JudgeSession
from gork.judging.rules import Rules, rules_for
from gork.judging.settled import settled
from gork.reading_ahead import get_ready
from gork.rewriting.prompt import rewrite_messages, why_not_rewritten, with_rewrite
from gork.terminal import cli, program
from gork.terminal.safe_text import tell
from gork.turn import (
    QUESTIONS_CODE,
    Answer,
    Answered,
    Failed,
    Failure,
    Finished,
    Judged,
    MemberState,
    Message,
    Notice,
    NotNeeded,
    NotRewritten,
    OnEvent,
    Question,
    Restarted,
    Rewritten,
    Stage,
    StageStarted,
    State,
    Turn,
    Verdict,
)
from gork.waiting import NOW, Asking, WaitingRoom, meanwhile, unless


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The models of an ensemble in their roles, ready to be asked."""

    engine: str
    ensemble: Ensemble
    promptimizer: Model | None
    candidates: tuple[Model, ...]
    judge: Model | None
    limits: Limits = field(default_factory=Limits)
    sandbox: Sandbox | None = None
    """Where programs are run; without one nothing is computed."""
    answer_now: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while a turn runs when its user wants the answer now."""

    @classmethod
    def of(cls, engine: str, ensemble: Ensemble, models: Mapping[str, Model]) -> Team:
        """The ensemble's members in their roles, found in `models` by their names."""
        return cls(
            engine=engine,
            ensemble=ensemble,
            promptimizer=models[ensemble.promptimizer.name] if ensemble.promptimizer else None,
            candidates=tuple(models[member.name] for member in ensemble.candidates),
            judge=models[ensemble.judge.name] if ensemble.judge else None,
        )

    def computes(self, question: Question) -> bool:
        """Whether a program is asked for or run for this question."""
        return self.sandbox is not None and can_be_computed(question)

    def messages(self, member: Member, question: Question) -> list[Message]:
        """What this candidate reads, the question last."""
        by_program = self.sandbox is not None and asks_program(member, question)
        return program_messages(member, question) if by_program else word_messages(member, question, self.ensemble)

    def settled(self, question: Question, rules: Rules, answers: Sequence[Answer], pending: Collection[str]) -> str | None:
        """What decides the turn whatever the `pending` members will say; None while it is open, or all are to be waited for."""
        if self.ensemble.choosing.wait == "all":
            return None
        programs = [model.name for model in self.candidates if self.sandbox is not None and asks_program(model.member, question)]
        return settled(question, answers, pending, rules=rules, programs=programs)

    def judge_session(self, on_event: OnEvent) -> JudgeSession:
        """The judge, ready to be asked for one verdict."""
        choosing, limit_s = self.ensemble.choosing, self.limits.judge
        return JudgeSession(judge=self.judge, choosing=choosing, on_event=on_event, limit_s=limit_s, answer_now=self.answer_now)

    def asks_ahead(self, rules: Rules) -> bool:
        """Whether the judge, which reads no answer, is asked beside the candidates: where no cores are shared, else it only slows them."""
        apart = self.judge is not None and self.judge.machine not in {model.machine for model in self.candidates}
        return apart and len(self.candidates) > 1 and rules.may_ask_judge


async def deliberate(question: Question, team: Team, on_event: OnEvent, *, seed: int | None = None, optimize: bool = True) -> Turn:
    """Improve the question, ask all candidates at once, let the judge choose, and report it all as a `Turn`.

    Candidates answer in words or, where the kind of the question has it so, by a program that is run here.

    Raises `NoAnswer` if no candidate answered; whatever else a model fails at is part of the turn. `seed` decides the sampling.
    Cancelling it stops every model.
    """
    seed = secrets.randbelow(2**31) if seed is None else seed
    team = replace(team, limits=team.limits.within_turn())
    started = time.perf_counter()

    question = replace(question, kind=kind_in_thread(question))
    if team.computes(question):
        team = replace(team, sandbox=await working(team.sandbox, on_event))
    if optimize:
        beginnings = [(model, team.messages(model.member, question)[:-1]) for model in team.candidates]
        async with meanwhile(get_ready(beginnings, writer=team.promptimizer)):
            question = await promptimize(question, team, on_event, seed=seed)
    improved = time.perf_counter()

    rules = rules_for(question, team.ensemble)
    async with team.judge_session(on_event) as session:
        if team.asks_ahead(rules):
            session.ask_ahead(question.text)
        results = await ask_all(question, team, rules, on_event, seed=seed)
        answers = [result for result in results if isinstance(result, Answer)]
        failures = [result for result in results if isinstance(result, Failure)]
        not_needed = [result.member for result in results if isinstance(result, NotNeeded)]
        answered = time.perf_counter()

        if not answers:
            raise NoAnswer([failure.message for failure in failures])
        verdict = await judge(question, answers, team, rules, session)
        judged = time.perf_counter()

    timings = {"rewrite": improved - started, "answer": answered - improved, "judge": judged - answered, "total": judged - started}
    turn = Turn(
        id=question.id,
        question=question,
        winner=next(answer for answer in answers if answer.member == verdict.winner),
        answers=tuple(answers),
        failures=tuple(failures),
        verdict=verdict,
        timings={stage: round(seconds, 3) for stage, seconds in timings.items()},
        engine=team.engine,
        ensemble=team.ensemble.name,
        seed=seed,
        not_needed=tuple(not_needed),
    )
    on_event(Finished(turn))
    return turn


async def promptimize(question: Question, team: Team, on_event: OnEvent, *, seed: int) -> Question:
    """Let the promptimizer rewrite the prompt; a rewrite that is refused, late or missing leaves the user's own words."""
    model = team.promptimizer
    if model is None:
        return question
    skip = why_not_rewritten(question, team.ensemble.rewrite)
    if skip is None and team.computes(question) and not is_follow_up(question):
        skip = "what can be computed is not rewritten"
    if skip is not None:
        question = replace(question, rewrite_refused=skip, not_rewritten=NotRewritten.NOT_ASKED)
    else:
        on_event(StageStarted(Stage.REWRITE, (model.name,)))
        try:
            options, messages = {"seed": seed, **model.member.options}, rewrite_messages(question, model.member)
            writing = model.chat(messages, options=options, on_event=on_event, limit_s=team.limits.rewrite)
            reply = await unless(team.answer_now, writing)
        except ModelError as error:
            on_event(Failed(Failure(member=model.name, kind=error.kind, message=str(error))))
            question = replace(question, rewrite_refused=str(error), not_rewritten=NotRewritten.FAILED)
        else:
            stopped = replace(question, rewrite_refused=NOW, not_rewritten=NotRewritten.ANSWER_NOW)
            question = stopped if reply is None else with_rewrite(question, reply)
            on_event(MemberState(model.name, State.NOT_NEEDED if reply is None else State.DONE))
    on_event(Rewritten(question))
    return question


async def ask_all(question: Question, team: Team, rules: Rules, on_event: OnEvent, *, seed: int) -> list[Answer | Failure | NotNeeded]:
    """Ask every candidate at the same time; the results are in the candidates' order, after them what the question's own code gives.

    Whoever can change nothing any more is not waited for.
    """
    on_event(StageStarted(Stage.ANSWER, tuple(model.name for model in team.candidates)))
    asked: dict[str, Asking] = {
        model.name: partial(ask, model, question, team, on_event, seed=seed + number) for number, model in enumerate(team.candidates)
    }
    if team.computes(question):
        asked[QUESTIONS_CODE] = partial(run_questions_code, question, team, on_event, seed=seed)
    room = WaitingRoom(asked, partial(team.settled, question, rules), team.answer_now, on_event)
    tasks = [asyncio.create_task(room.wait_for(name), name=f"ask {name}") for name in asked]
    heeding = asyncio.create_task(room.heed(), name="heed the user who wants the answer now")
    try:
        return [result for result in await asyncio.gather(*tasks) if result is not None]
    finally:  # gather alone leaves siblings running when one raises
        heeding.cancel()
        await asyncio.gather(*[task for task in tasks if task.cancel()], return_exceptions=True)


async def ask(model: Model, question: Question, team: Team, on_event: OnEvent, *, seed: int, call: RunningCall) -> Answer | Failure:
    """Ask one candidate, in words or for a program, which is run. What it can fail at becomes a `Failure` and never touches the others."""
    member = model.member
    sandbox = team.sandbox if asks_program(member, question) else None
    call.whole = sandbox is not None or question.answer_format is not None
    own = member.options if sandbox is None else member.program.options
    options = {"num_predict": ANSWER_TOKENS, "seed": seed, **own, **question.options}
    write = partial(model.chat, options=options, on_event=on_event, answer_format=question.answer_format, call=call)
    try:
        completion = await write(team.messages(member, question), limit_s=team.limits.candidate)
        check_form(completion, question, model)
    except ModelError as error:
        failure = Failure(member=model.name, kind=error.kind, message=str(error))
        on_event(Failed(failure))
        return failure
    answer = model.answer(completion)
    if sandbox is not None:
        answer = await with_result(answer, question, sandbox, seed=seed)
        if (why := why_again(answer)) is not None:
            on_event(Restarted(model.name, why))
            writing = write(program_messages(member, question, again=True), limit_s=team.limits.candidate - answer.seconds)
            answer = await with_second(answer, question, model, writing, sandbox, seed=seed)
    on_event(Answered(answer))
    return answer


async def run_questions_code(question: Question, team: Team, on_event: OnEvent, *, seed: int, call: RunningCall) -> Answer | None:
    """What the code in the question gives, as an answer of its own; None where there is none or it does not run."""
    call.end()  # there is none: no model is asked
    answer = await of_questions_code(question, team.sandbox, seed=seed) if team.sandbox is not None else None
    if answer is not None:
        on_event(Answered(answer))
    return answer


async def judge(question: Question, answers: Sequence[Answer], team: Team, rules: Rules, session: JudgeSession) -> Verdict:
    """Choose one of `answers`: what was computed, else the favourite's for this kind of question unless what counts speaks against it."""
    usable = shortlist(question, answers)
    tried = Tried(usable.answers) if team.sandbox is None else await tried_on_examples(question, usable.answers, team.sandbox)
    for note in (*usable.notes, *tried.notes):
        session.on_event(Notice(note))
    verdict = by_computed(question, tried.answers, rules.ranking) if rules.computed_decides else None
    if verdict is None:
        contest = Contest.of(question, tried.answers, rules.ranking)
        verdict = await decide(contest, rules, session)
    if verdict.fallback is not None:
        session.on_event(Notice(f"the judge had no say, the favourite decided: {verdict.fallback.text}", about_verdict=True))
    session.on_event(Judged(verdict))
    return verdict


def assemble(settings: Settings, engine: Engine) -> Ask:
    """The flow with everything but the question decided: what front ends get."""
    sandbox = Sandbox(
        SandboxLimits(
            seconds=settings.program_seconds,
            memory_mb=settings.program_memory,
            output_bytes=settings.program_output,
            at_once=settings.programs_at_once,
        )
    )
    engine.companions.push_async_callback(sandbox.aclose)

    async def ask_team(question: Question, on_event: OnEvent, how: Settings = settings, *, answer_now: asyncio.Event | None = None) -> Turn:
        team = replace(
            Team.of(engine.name, how.ensemble, engine.models),
            limits=Limits.of(how),
            sandbox=sandbox if how.compute else None,
            answer_now=answer_now or asyncio.Event(),
        )
        return await deliberate(question, team, on_event, seed=how.seed, optimize=how.optimize)

    return ask_team


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 answered, 1 no answer, 2 usage, 3 degraded under --strict, 130 interrupted)."""
    try:
        return cli.run(arguments, assemble)
    except GorkError as error:
        tell(sys.stderr, f"{program.name()}: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        tell(sys.stderr, f"{program.name()}: interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
