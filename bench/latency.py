"""What a turn waits for: a scale model of a cluster on one machine, and ways to come to one answer, side by side.

    .venv/bin/python -m bench.latency --turns 1

Five llama.cpp servers, one for each role, all with the starter's real weights and prompts, one thread each (`--ensemble unequal`: with
those of 1.5B, which is heavy-lite's `qwen`, 0.5B and 135M). With `own` each has a share of a processor of its own (a CPU quota, as a pod
has a limit; needs root and Linux), by default 0.35: two cores then carry all five without any of them being in another's way, and
everything takes about three times as long as on whole cores. With `shared` there is no quota: whoever is at work shares the machine's
cores. What this cannot show is a network.

Each turn is one question, asked in every way after the other, in an order that changes from turn to turn. Before each way all servers are
brought back to what they have read in idle time: their own instructions and nothing else.

    alone        the favourite, without rewrite, others and judge
    literal      rewrite (of every prompt), three answers gathered, the judge reads them all and writes the best one again
    one token    the same, but the judge says one letter
    afterwards   the product, the judge asked when the answers are there
    ahead        the product, the judge asked with the candidates
    bon, moa     optillm's, by its own proxy (bench/optillm_peer.py says how); left out, and said, where it is not installed

"first word" is the first one of an answer that is shown: of the favourite's draft in the product (another answer may be chosen), of what
the judge writes in `literal`, the whole answer in `one token`. Tokens are those that were really read (not from a cache) and written.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from msgspec.structs import replace as changed

import final_script
from bench.judge.reply_cache import WrappedModel
from bench.optillm_peer import APPROACHES, Optillm, lacking, optillm
from gork.config.ensemble import Choosing, Ensemble, Member, load_ensemble, with_members
from gork.config.settings import load_settings
from gork.engines.call import Completion, Deadlines, RunningCall
from gork.engines.choose import STARTER, ready_file
from gork.engines.llama.engine import EmbeddedEngine, EmbeddedModel
from gork.engines.model import Choice, Model, Options
from gork.errors import EngineError
from gork.flow import Limits
from gork.judging.rules import rules_for
from gork.reading_ahead import reader_ahead
from gork.turn import Answer, Answered, AnswerFormat, Event, Judged, Message, OnEvent, Question, Token

QUESTIONS: Final = (
    "why is teh sky blue",
    "explain how a vaccine works",
    "whats the difference between tcp and udp",
    "how do plants make oxygen",
    "why do ships float",
    "tell me how rainbows form",
    "how does a refrigerator cool",
    "why do we have leap years",
)
FOLLOW_UP: Final = "Say that again for a child of six, in three sentences."
LITERAL: Final = "You get a question and three answers to it. Find the best answer and write it again, word for word. Write nothing else."
LETTER: Final = "You get a question and three answers to it. Say which one is the best: its letter alone."
"""The peers' instructions, fixed before anything was measured."""
ENOUGH_S: Final = 900.0
UNEQUAL: Final = Path(__file__).parent / "judge" / "unequal.yaml"


class MeteredModel(WrappedModel):
    """A model at a server of its own, which counts what it really reads and writes."""

    def __init__(self, inner: EmbeddedModel, machine: str) -> None:
        super().__init__(inner)
        self._embedded = inner
        self.where_it_runs = machine
        self.read = self.written = 0

    @property
    def machine(self) -> str:
        """Its own, if it has a share of its own; "" else."""
        return self.where_it_runs

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        options: Options,
        on_event: OnEvent,
        limit_s: float | None = None,
        answer_format: AnswerFormat | None = None,
        logprobs: bool = False,
        call: RunningCall | None = None,
    ) -> Completion:
        """As the model itself."""
        completion = await self._inner.chat(
            messages, options=options, on_event=on_event, limit_s=limit_s, answer_format=answer_format, logprobs=logprobs, call=call
        )
        self.read += completion.prompt_tokens - self._embedded.reused_tokens
        self.written += completion.tokens
        return completion

    async def choose(
        self, messages: Sequence[Message], labels: Sequence[str], *, lead_in: str, on_event: OnEvent, limit_s: float | None = None
    ) -> Choice:
        """As the model itself."""
        choice = await self._inner.choose(messages, labels, lead_in=lead_in, on_event=on_event, limit_s=limit_s)
        self.read += choice.prompt_tokens
        self.written += 1
        return choice

    async def prefill(self, messages: Sequence[Message], *, on_event: OnEvent) -> None:
        """As the model itself."""
        await self._inner.prefill(messages, on_event=on_event)

    async def load(self) -> None:
        """As the model itself."""
        await self._inner.load()


class Clock:
    """When what happened in one way, in seconds since it began."""

    def __init__(self, team: final_script.Team, favourite: str) -> None:
        self._began, self._models, self._favourite = time.perf_counter(), metered(team), favourite
        self._before = self._spent()
        self.first_word = self.last_token = self.verdict = self.total = 0.0

    def _spent(self) -> tuple[int, int]:
        return sum(model.read for model in self._models), sum(model.written for model in self._models)

    @property
    def now(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._began

    def heard(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case Token(member) if member == self._favourite and not self.first_word:
                self.first_word = self.now
            case Answered():
                self.last_token = self.now
            case Judged():
                self.verdict = self.now
            case _:
                pass

    def times(self) -> Times:
        """What there is to say once it is over."""
        self.total = self.now
        read, written = (after - before for after, before in zip(self._spent(), self._before, strict=True))
        verdict = self.verdict or self.total
        return Times(
            first_word=self.first_word or verdict,
            last_token=self.last_token,
            judged=verdict - self.last_token,
            total=self.total,
            read=read,
            written=written,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """One way to answer one question."""

    first_word: float
    last_token: float
    """Of the last candidate that was waited for."""
    judged: float
    """From there to the verdict."""
    total: float
    read: float
    written: float


def metered(team: final_script.Team) -> list[MeteredModel]:
    """The team's models."""
    return [model for model in (team.promptimizer, *team.candidates, team.judge) if isinstance(model, MeteredModel)]


Way = Callable[[Question, final_script.Team, Clock, int], Awaitable[None]]


async def alone(question: Question, team: final_script.Team, clock: Clock, tokens: int) -> None:
    """The favourite by itself."""
    model = team.candidates[0]
    completion = await model.chat(
        team.messages(model.member, question), options={**model.member.options, "num_predict": tokens, "seed": 1}, on_event=clock.heard
    )
    clock.heard(Answered(model.answer(completion)))


async def gathered(question: Question, team: final_script.Team, clock: Clock) -> list[Answer]:
    """The seed's beginning: a rewrite, three answers; none of them is shown."""

    def heard(event: Event) -> None:
        if isinstance(event, Answered):
            clock.heard(event)

    seed = replace(team, ensemble=changed(team.ensemble, choosing=Choosing(judge="always", wait="all"), rewrite="always"))
    question = await final_script.promptimize(question, seed, heard, seed=1)
    results = await final_script.ask_all(question, seed, rules_for(question, seed.ensemble), heard, seed=1)
    return [one for one in results if isinstance(one, Answer)]


def judges_prompt(rules: str, question: Question, answers: Sequence[Answer]) -> list[Message]:
    """What a judge reads that reads the answers."""
    parts = [f"Answer {letter}:\n{answer.text}" for letter, answer in zip("ABCDEFGH", answers, strict=False)]
    content = "\n\n".join([f"Question: {question.text}", *parts])
    return [{"role": "system", "content": rules}, {"role": "user", "content": content}]


async def literal(question: Question, team: final_script.Team, clock: Clock, tokens: int) -> None:
    """The judge writes the best answer again; its first word is the first that is shown."""
    answers = await gathered(question, team, clock)

    def heard(event: Event) -> None:
        if isinstance(event, Token) and not clock.first_word:
            clock.first_word = clock.now

    options: Options = {"temperature": 0.0, "num_predict": tokens}
    await judge_of(team).chat(judges_prompt(LITERAL, question, answers), options=options, on_event=heard)
    clock.verdict = clock.now


async def one_token(question: Question, team: final_script.Team, clock: Clock, _: int) -> None:
    """The judge says a letter."""
    answers = await gathered(question, team, clock)
    letters = "ABCDEFGH"[: len(answers)]
    await judge_of(team).choose(judges_prompt(LETTER, question, answers), letters, lead_in="Answer", on_event=lambda _: None)
    clock.verdict = clock.now


async def ours(question: Question, team: final_script.Team, clock: Clock, _: int, *, ahead: bool) -> None:
    """The product's turn; the judge is asked ahead where it seems to have a machine of its own."""
    judge, there = judge_of(team), {model.machine for model in team.candidates}
    judge.where_it_runs = "apart" if ahead else min(there)
    await final_script.deliberate(question, team, clock.heard, seed=1)


WAYS: Final[Mapping[str, Way]] = {
    "alone": alone,
    "literal": literal,
    "one token": one_token,
    "afterwards": lambda *given: ours(*given, ahead=False),
    "ahead": lambda *given: ours(*given, ahead=True),
}


def judge_of(team: final_script.Team) -> MeteredModel:
    """The judge, which there is."""
    if not isinstance(team.judge, MeteredModel):
        raise EngineError("the ensemble has no judge")
    return team.judge


async def first_tokens(text: str, team: final_script.Team, ensemble: Ensemble) -> dict[str, float]:
    """Seconds to the candidates' first token in a second turn (their mean), by what was read of the first one before."""
    favourite = team.candidates[0]
    first = await favourite.chat(
        team.messages(favourite.member, Question(text=text)), options=favourite.member.options, on_event=lambda _: None
    )
    history: tuple[Message, ...] = ({"role": "user", "content": text}, {"role": "assistant", "content": first.text})
    asked = Question(text=FOLLOW_UP, history=history, options={"num_predict": 3})
    read = reader_ahead({model.name: model for model in metered(team)})

    async def waited(*, optimize: bool) -> float:
        turn = await final_script.deliberate(asked, team, lambda _: None, seed=1, optimize=optimize)
        return statistics.mean(answer.first_token_s or 0.0 for answer in turn.answers)

    found = {}
    await read(Question(text=""), ensemble)
    found["nothing"] = await waited(optimize=False)
    await read(Question(text=""), ensemble)
    found["while the promptimizer writes"] = await waited(optimize=True)
    await read(Question(text=""), ensemble)
    began = time.perf_counter()
    await read(Question(text="", history=history), ensemble)
    found["(reading it between the turns)"] = time.perf_counter() - began
    found["between the turns"] = await waited(optimize=False)
    return found


# --- the servers


def roles(name: str, tokens: int) -> Ensemble:
    """An ensemble's members, who answer in words; the judge is always asked."""
    shipped = load_ensemble(str(UNEQUAL) if name == UNEQUAL.stem else name)

    def short(member: Member) -> Member:
        return changed(member, options={**member.options, "num_predict": tokens}) if member in shipped.candidates else member

    ensemble = with_members(shipped, short)
    return changed(ensemble, choosing=Choosing(judge="always", prior=shipped.choosing.prior), measured=None)


def peer(running: Optillm, approach: str) -> Way:
    """One of optillm's ways; what it shows first is its whole answer."""

    async def ask(question: Question, _: final_script.Team, clock: Clock, tokens: int) -> None:
        await running.ask(approach, question, tokens, clock.heard)
        clock.verdict = clock.now

    return ask


@contextmanager
def quota(engine: EmbeddedEngine, share: float | None) -> Iterator[None]:
    """Give each server so much of a processor and no more. Raises an `EngineError` where that cannot be."""
    if share is None:
        yield
        return
    groups = []
    root = next((path for path in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")) if (path / "cgroup.procs").is_file()), None)
    try:
        if root is None:
            raise EngineError("no control groups here: only --cpus shared")
        for child in engine.children:
            group = root / f"gork-latency-{os.getpid()}-{child.pid}"
            group.mkdir()
            groups.append(group)
            period = 20_000
            if (group / "cpu.cfs_quota_us").is_file():
                (group / "cpu.cfs_period_us").write_text(str(period), encoding="ascii")
                (group / "cpu.cfs_quota_us").write_text(str(round(share * period)), encoding="ascii")
            else:
                (group / "cpu.max").write_text(f"{round(share * period)} {period}", encoding="ascii")
            (group / "cgroup.procs").write_text(str(child.pid), encoding="ascii")
        yield
    except OSError as error:
        raise EngineError(f"no CPU quota for the servers: {error}; only --cpus shared") from None
    finally:
        for group in groups:
            for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
                (group.parent / "cgroup.procs").write_text(pid, encoding="ascii")
            group.rmdir()


async def measure(ensemble: Ensemble, weights: Mapping[str, Path], given: argparse.Namespace, cpus: str) -> None:
    """Ask all questions in all ways, and print."""
    with tempfile.TemporaryDirectory(dir=next(iter(weights.values())).parent) as folder:
        files = {name: Path(folder) / f"{name}.gguf" for name in weights}
        for name, file in files.items():
            os.link(weights[name], file)  # one file for each: that makes one server for each, and the bytes are in memory once
        deadlines = Deadlines(first_token=ENOUGH_S, idle=ENOUGH_S)
        engine = EmbeddedEngine(ensemble.members, files=files, context=ensemble.context, cores=1, deadlines=deadlines)
        async with engine:
            models: dict[str, Model] = {
                name: MeteredModel(model, name if cpus == "own" else "")
                for name, model in engine.models.items()
                if isinstance(model, EmbeddedModel)
            }
            await asyncio.gather(*(model.load() for model in models.values()))
            with quota(engine, given.share if cpus == "own" else None):
                limits = Limits(rewrite=ENOUGH_S, candidate=ENOUGH_S, judge=ENOUGH_S, turn=6 * ENOUGH_S)
                team = replace(final_script.Team.of("latency", ensemble, models), limits=limits)
                async with AsyncExitStack() as stack:
                    ways = dict(WAYS)
                    if lacking(given.optillm) is None:
                        running = await stack.enter_async_context(optillm(given.optillm, team, given.tokens))
                        ways |= {approach: peer(running, approach) for approach in APPROACHES}
                    await _asked(team, ensemble, ways, given, cpus)


async def _asked(team: final_script.Team, ensemble: Ensemble, ways: Mapping[str, Way], given: argparse.Namespace, cpus: str) -> None:
    idle = reader_ahead({model.name: model for model in metered(team)})
    found: dict[str, list[Times]] = {name: [] for name in ways}
    second: list[dict[str, float]] = []
    for number, text in enumerate(QUESTIONS[: given.turns]):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            await idle(Question(text=""), ensemble)
            clock = Clock(team, team.candidates[0].name)
            await ways[name](Question(text=text), team, clock, given.tokens)
            found[name].append(clock.times())
        await idle(Question(text=""), ensemble)
        second.append(await first_tokens(text, team, ensemble))
    _told(found, second, given, cpus)


def _told(found: Mapping[str, Sequence[Times]], second: Sequence[Mapping[str, float]], given: argparse.Namespace, cpus: str) -> None:
    how = f"each server {given.share:g} of a processor" if cpus == "own" else f"all on the {os.cpu_count()} processors of this machine"
    print(f"\n{cpus}: {how}; {given.turns} turns, answers of at most {given.tokens} tokens; medians")
    print(f"{'':12} {'first word':>10} {'last token':>10} {'to verdict':>10} {'total':>8} {'read':>6} {'written':>8}")
    for name, times in found.items():
        one = {field: statistics.median(getattr(each, field) for each in times) for field in Times.__slots__}
        judged = "" if name == "alone" else f"{one['judged']:8.2f} s"
        print(
            f"{name:12} {one['first_word']:8.2f} s {one['last_token']:8.2f} s {judged:>10} {one['total']:6.2f} s "
            f"{one['read']:6.0f} {one['written']:8.0f}"
        )
    print("\nsecond turn: seconds to a candidate's first token, by when the first turn was read")
    for name in second[0]:
        print(f"  {name:32} {statistics.median(each[name] for each in second):6.2f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, choices=range(1, len(QUESTIONS) + 1), help="questions, asked in every way (5)")
    parser.add_argument("--rewrite-all", action="store_true", help="rewrite all prompts, as `heavy-lite` does; all of these are clear")
    parser.add_argument("--tokens", type=int, default=96, help="most tokens of an answer (96)")
    parser.add_argument("--share", type=float, default=0.35, help="of a processor, for each server with a share of its own (0.35)")
    parser.add_argument("--cpus", choices=("own", "shared", "both"), default="both", help="what the servers run on (both)")
    parser.add_argument(
        "--ensemble",
        default=STARTER,
        choices=(STARTER, UNEQUAL.stem, "tiny"),
        help=f"whose members ({STARTER}; tiny only shows that it works)",
    )
    parser.add_argument("--optillm", type=Path, default=Path(".optillm"), help="the environment with optillm (.optillm)")
    given = parser.parse_args(arguments)
    ensemble, settings = roles(given.ensemble, given.tokens), load_settings({}, os.environ)
    if given.rewrite_all:
        ensemble = changed(ensemble, rewrite="always")
    ready = {member.name: ready_file(member, settings) for member in ensemble.members}
    weights = {name: file for name, file in ready.items() if file is not None}
    if (why := lacking(given.optillm)) is not None:
        print(why)
    try:
        if len(weights) < len(ready):
            name = UNEQUAL if given.ensemble == UNEQUAL.stem else given.ensemble
            raise EngineError(f"weights are not there: `python final_script.py pull --ensemble {name}`")
        for cpus in ("own", "shared") if given.cpus == "both" else (given.cpus,):
            asyncio.run(measure(ensemble, weights, given, cpus))
    except EngineError as error:
        print(f"bench.latency: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
