"""Whole turns on real engines: llama.cpp with the starter weights and with tiny models, and a real Ollama where there is one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time

import jsonschema
import pytest

import final_script
from final_script import Team
from gork.config.ensemble import Choosing, Ensemble, Member, load_ensemble
from gork.conversation.thread import Conversation
from gork.engines.call import Deadlines
from gork.engines.llama.engine import EmbeddedEngine
from gork.engines.model import Engine
from gork.engines.ollama.engine import OllamaEngine
from gork.judging.objections import Contest
from gork.judging.reading import JudgeSession, read
from gork.turn import Answer, Event, Question, Restarted, Token, Turn
from tests.support.program import Program
from tests.support.tiny_models import write_tiny
from tests.support.turns import SCHEMA


def team_on(engine: Engine, ensemble: Ensemble) -> Team:
    """The ensemble's members in their roles."""
    return Team.of(engine.name, ensemble, engine.models)


@pytest.fixture
async def starter(starter_gguf):
    """The starter ensemble on the embedded engine."""
    ensemble = load_ensemble("tiny")
    files = {member.name: starter_gguf for member in ensemble.members}
    together = [member.name for member in ensemble.candidates]
    async with EmbeddedEngine(
        ensemble.members, files=files, context=ensemble.context, cores=1, deadlines=Deadlines(), together=together
    ) as engine:
        yield team_on(engine, ensemble)


async def ask(team: Team, text: str, *history: dict[str, str], seed: int = 3, tokens: int = 48) -> tuple[Turn, list[Event]]:
    """One turn with answers of at most `tokens`, and its events."""
    events: list[Event] = []
    question = Question(text=text, history=history, options={"num_predict": tokens})
    turn = await final_script.deliberate(question, team, events.append, seed=seed)
    return turn, events


async def test_the_starter_answers_with_a_real_verdict(starter):
    """A turn on real weights: rewritten, three answers, a verdict that is no fallback, one answer byte for byte, the schema kept."""
    turn, _ = await ask(starter, "wat is teh captial of germny")

    jsonschema.validate(turn.as_json(), SCHEMA)
    assert turn.question.rewrite == "What is the capital of Germany?"
    assert (len(turn.answers), turn.failures, turn.verdict.fallback) == (3, (), None)
    assert turn.answer in [answer.text for answer in turn.answers]
    assert "Berlin" in turn.answer


async def test_three_candidates_on_one_file_write_at_the_same_time(starter):
    """Their tokens interleave: each has written before any has finished."""
    _, events = await ask(starter, "How do vaccines work?", tokens=24)

    writers = [event.member for event in events if isinstance(event, Token) and event.member in {"plain", "coder", "solver"}]
    last = {name: len(writers) - 1 - writers[::-1].index(name) for name in writers}
    assert max(writers.index(name) for name in last) < min(last.values())


async def test_the_real_judges_reading_does_not_depend_on_the_order_of_the_answers(starter):
    """It answers the question itself, and each text gets the same score wherever it is listed."""
    texts = ["The capital of France is Paris.", "I like turtles and old trains.", "Bananas are rich in potassium, they say."]
    question = Question(text="What is the capital of France?")
    scores = []
    for listing in (texts, texts[::-1]):
        given = tuple(Answer(member=str(number), model="m", text=text) for number, text in enumerate(listing))
        session = JudgeSession(judge=starter.judge, choosing=Choosing(), on_event=lambda _: None, limit_s=120)
        reading = await read(Contest.of(question, given, ("0", "1", "2")), session)
        scores.append({text: reading.scores[str(number)] for number, text in enumerate(listing)})

    assert scores[0] == scores[1]
    assert scores[0][texts[0]] > max(scores[0][texts[1]], scores[0][texts[2]])


async def test_what_was_said_is_remembered_on_real_weights(starter):
    """The second turn's candidates read the first; the conversation keeps the user's own words."""
    conversation = Conversation()
    first, _ = await ask(starter, "My name is Ada. What is 1+1?", tokens=24)
    conversation.add(first.question.text, first.answer)

    second, _ = await ask(starter, "What is my name?", *conversation.kept(1500).messages, tokens=24)

    assert any("Ada" in answer.text for answer in second.answers)


async def test_who_wants_the_answer_now_has_it_within_a_second_and_the_models_stop(tmp_path):
    """What was written is kept as cut; the one slot of each is free for the next question at once."""
    members = [Member(name=name, options={"num_predict": 3500, "temperature": 0}) for name in ("a", "b")]
    files = {member.name: write_tiny(tmp_path / f"{member.name}.gguf", "qwen2", seed=number) for number, member in enumerate(members)}
    ensemble = Ensemble(name="tiny", candidates=tuple(members), context=4096)
    written: set[str] = set()

    def heard(event: Event) -> None:
        if isinstance(event, Token):
            written.add(event.member)
            if written == {"a", "b"} and not wished:
                wished.append(time.monotonic())
                team.answer_now.set()

    wished: list[float] = []
    async with EmbeddedEngine(members, files=files, context=4096, cores=1, deadlines=Deadlines(), together=["a", "b"]) as engine:
        team = team_on(engine, ensemble)
        turn = await final_script.deliberate(Question(text="hi"), team, heard, seed=3)
        took = time.monotonic() - wished[0]
        again, _ = await ask(team, "hi", tokens=2)

    assert took < 1
    assert [("a", "stopped"), ("b", "stopped")] == [(answer.member, answer.stop) for answer in turn.answers]
    assert all(0 < answer.tokens < 3500 and answer.text for answer in turn.answers)
    assert (2, ()) == (len(again.answers), again.failures)


async def test_a_candidate_killed_in_mid_stream_is_asked_again_within_the_turn(tmp_path):
    """Three candidates on distinct weights: one loses its process, all three answer, and an event tells of it."""
    members = [Member(name=name, options={"num_predict": 1000, "temperature": 0}) for name in ("a", "b", "c")]
    members.append(Member(name="judge"))
    files = {member.name: write_tiny(tmp_path / f"{member.name}.gguf", "qwen2", seed=number) for number, member in enumerate(members)}
    ensemble = Ensemble(name="tiny", candidates=tuple(members[:3]), judge=members[3], context=4096)
    events: list[Event] = []

    async with EmbeddedEngine(members, files=files, context=4096, cores=1, deadlines=Deadlines(), together=["a", "b", "c"]) as engine:

        def kill_b(event: Event) -> None:
            events.append(event)
            if isinstance(event, Token) and event.member == "b" and not killed:
                killed.append(engine.models["b"].child.pid)
                os.kill(killed[0], signal.SIGKILL)

        killed: list[int] = []
        turn = await final_script.deliberate(Question(text="Say something."), team_on(engine, ensemble), kill_b, seed=1)

    assert ["a", "b", "c"] == [answer.member for answer in turn.answers]
    assert ["b"] == [event.member for event in events if isinstance(event, Restarted)]


@pytest.mark.ollama
async def test_the_same_five_members_answer_on_a_real_ollama(real_ollama):
    """The starter ensemble, unchanged, on Ollama: rewritten, three answers, a verdict that is no fallback."""
    ensemble = load_ensemble("tiny")
    load = {"num_ctx": 2048, "num_thread": 1}
    async with OllamaEngine(ensemble.members, host=real_ollama.url, deadlines=Deadlines(), load_options=load, context=2048) as engine:
        turn, _ = await ask(team_on(engine, ensemble), "wat is teh captial of germny")

    assert turn.question.rewrite == "What is the capital of Germany?"
    assert (len(turn.answers), turn.failures, turn.verdict.fallback) == (3, (), None)
    assert turn.answer in [answer.text for answer in turn.answers]


@pytest.mark.ollama
async def test_the_program_runs_the_full_ensemble_on_a_real_ollama(real_ollama, tmp_path):
    """Five tags on one server, from the command line: engine and reason on stderr, a whole turn as JSON."""
    code, out, err = await Program(tmp_path, real_ollama.url).run("--json", "--context", "2048", "What is the capital of France?")

    turn = json.loads(out)
    jsonschema.validate(turn, SCHEMA)
    assert (0, "ollama", "heavy-lite") == (code, turn["engine"], turn["ensemble"])
    assert len(turn["answers"]) == 3
    assert turn["verdict"]["fallback"] is None
    assert f"answers at {real_ollama.url}" in err


@pytest.mark.ollama
async def test_ctrl_c_frees_the_slots_of_a_real_ollama(real_ollama, tmp_path):
    """SIGINT while the candidates write: the program ends with 130, and within a second no runner uses CPU any more."""
    program = Program(tmp_path, real_ollama.url)
    process = await program.start("--no-optimize", "--context", "2048", "Write a very long story about the sea, in all detail.")
    process.stdin.close()
    lines = []
    async with asyncio.timeout(60):
        while b"answer:" not in b"".join(lines):
            lines.append(await process.stderr.readline())
        while sum(seconds > 0 for seconds in real_ollama.runners().values()) < 3:
            await asyncio.sleep(0.05)

    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    await asyncio.sleep(1)
    before = sum(real_ollama.runners().values())
    await asyncio.sleep(0.5)

    assert process.returncode == 130
    assert b"Traceback" not in err
    assert sum(real_ollama.runners().values()) - before < 0.1
