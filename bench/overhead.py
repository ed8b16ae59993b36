"""What the orchestrator itself costs: CPU time for a turn and for a streamed token, and peak memory with many turns in flight.

    .venv/bin/python -m bench.overhead

The models are a fake Ollama in a process of its own that answers at once, so that everything measured is ours. CPU time is the whole
process's (user and system). The cost of a token is the slope between short and long answers of the candidates, the cost of a turn what is
left at zero tokens; the promptimizer and the judge write three words. Beside it stand the same five requests made with aiohttp alone, line
by line: what no program that asks five models so can save. Runs of all alternate; medians are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import aiohttp
from aiohttp import web

import final_script
from gork.config.ensemble import Choosing, Ensemble, Member
from gork.engines.call import Deadlines
from gork.engines.http import open_session
from gork.engines.ollama.engine import OllamaEngine
from gork.turn import Event, Question

SHORT, LONG = 10, 1010
CANDIDATES = ("a", "b", "c")
PROGRAM_REQUEST = "Answer by a program."
"""Who is asked with these words gets one, in place of tokens."""
WHAT_IS_ASKED = "What is it?"


def instant_ollama() -> web.Application:
    """An Ollama that has every model, answers at once with `num_predict` tokens (or a program), and judges by a fixed distribution."""

    async def chat(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        done = {"model": asked["model"], "done": True, "done_reason": "stop", "prompt_eval_count": 20, "eval_count": 1, "eval_duration": 1}
        if not asked.get("messages"):
            return web.json_response({**done, "done_reason": "load", "message": {"role": "assistant", "content": ""}})
        if asked.get("logprobs") and not asked.get("stream", True):
            top = [{"token": letter, "logprob": -1.0 - n / 10} for n, letter in enumerate("ABC")]
            said = {"message": {"role": "assistant", "content": "A"}, "logprobs": [{"token": "A", "logprob": -1.0, "top_logprobs": top}]}
            return web.json_response({**done, **said})
        reply = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await reply.prepare(request)
        words = [f" {asked['model']}{number}" for number in range(asked["options"]["num_predict"])]
        if asked["model"] not in CANDIDATES:
            words = ["What", " is", " it?"]
        if asked["messages"][-1]["content"].endswith(PROGRAM_REQUEST):
            words = ["```python\n", "print(12 * 8)\n", "```"]
        with contextlib.suppress(ConnectionResetError):  # who is not needed is left in the middle of a word
            for word in words:
                piece = {"model": asked["model"], "message": {"role": "assistant", "content": word}, "done": False}
                await reply.write(json.dumps(piece).encode() + b"\n")
            await reply.write(json.dumps({**done, "message": {"role": "assistant", "content": ""}}).encode() + b"\n")
        return reply

    async def listed(_: web.Request) -> web.Response:
        names = ["promptimizer", *CANDIDATES, "judge"]
        return web.json_response({"models": [{"name": f"{name}:latest", "model": f"{name}:latest"} for name in names]})

    app = web.Application()
    app.add_routes([web.post("/api/chat", chat), web.get("/api/ps", listed), web.get("/api/tags", listed)])
    return app


def serve() -> None:
    """The fake's own process: prints its port, ends when its input does."""

    async def main() -> None:
        runner = web.AppRunner(instant_ollama(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()

    asyncio.run(main())


def engine_at(url: str, tokens: int, parallel: int) -> tuple[Ensemble, OllamaEngine]:
    """A promptimizer, three candidates that write `tokens` tokens each, and a judge."""
    members = [Member(name=name, url=url, model=name, options={"num_predict": tokens}, parallel=parallel) for name in CANDIDATES]
    judge = Member(name="judge", url=url, model="judge", parallel=parallel)
    rewriter = Member(name="promptimizer", url=url, model="promptimizer", parallel=parallel, options={"num_predict": 10})
    ensemble = Ensemble(name="bench", promptimizer=rewriter, candidates=tuple(members), judge=judge, choosing=Choosing(judge="always"))
    return ensemble, OllamaEngine(ensemble.members, host=url, deadlines=Deadlines(connect=60.0, brief=60.0), load_options={}, context=4096)


async def turns(url: str, *, tokens: int, count: int, at_once: int) -> float:
    """CPU seconds a turn costs, over `count` turns."""
    ensemble, engine = engine_at(url, tokens, at_once)

    def ignore(_: Event) -> None:
        pass

    async with engine:
        models = engine.models
        team = final_script.Team(
            engine=engine.name,
            ensemble=ensemble,
            promptimizer=models["promptimizer"],
            candidates=tuple(models[name] for name in CANDIDATES),
            judge=models["judge"],
        )
        await final_script.deliberate(Question(text="warm up"), team, ignore)
        started = time.process_time()
        for _ in range(count // at_once):
            await asyncio.gather(*(final_script.deliberate(Question(text=WHAT_IS_ASKED), team, ignore) for _ in range(at_once)))
        return (time.process_time() - started) / (count // at_once * at_once)


async def bare(url: str, *, tokens: int, count: int) -> float:
    """CPU seconds of the five requests of a turn, made with aiohttp and nothing else: each line is read as JSON, its words are kept."""

    async def chat(session: aiohttp.ClientSession, model: str) -> str:
        asked = {"model": model, "messages": [{"role": "user", "content": WHAT_IS_ASKED}], "options": {"num_predict": tokens}}
        async with session.post(f"{url}/api/chat", json=asked) as response:
            return "".join([json.loads(line)["message"]["content"] async for line in response.content])

    async with open_session(60.0) as session:
        await chat(session, "promptimizer")
        started = time.process_time()
        for _ in range(count):
            await chat(session, "promptimizer")
            await asyncio.gather(*(chat(session, name) for name in CANDIDATES))
            await chat(session, "judge")
        return (time.process_time() - started) / count


class Costs:
    """CPU seconds of a turn with short answers and with long ones, pair by pair."""

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self._pairs: list[tuple[float, float]] = []

    def add(self, short: float, long: float) -> None:
        """Add a pair: a turn of `SHORT` tokens from each candidate, and one of `LONG`."""
        self._pairs.append((short, long))

    @property
    def token(self) -> float:
        """Of one token: the slope, the median of the pairs."""
        return statistics.median((long - short) / (len(CANDIDATES) * (LONG - SHORT)) for short, long in self._pairs)

    @property
    def turn(self) -> float:
        """Of a turn whose candidates write nothing, the median of the pairs."""
        return statistics.median(short - (long - short) * SHORT / (LONG - SHORT) for short, long in self._pairs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of runs (7)")
    parser.add_argument("--turns", type=int, default=20, help="turns in a run (20)")
    given = parser.parse_args(arguments)
    if given.serve:
        serve()
        return
    with subprocess.Popen(
        [sys.executable, "-m", "bench.overhead", "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        if server.stdout is None:
            raise RuntimeError("no pipe")
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        ours, requests = Costs(), Costs()
        for _ in range(given.rounds):
            ours.add(*(asyncio.run(turns(url, tokens=tokens, count=given.turns, at_once=1)) for tokens in (SHORT, LONG)))
            requests.add(*(asyncio.run(bare(url, tokens=tokens, count=given.turns)) for tokens in (SHORT, LONG)))
        idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        asyncio.run(turns(url, tokens=LONG, count=100, at_once=100))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"CPU per turn (rewrite, three answers, judge):{ours.turn * 1e3:6.2f} ms  (aim: 3)")
        print(f"  its five requests with aiohttp alone:      {requests.turn * 1e3:6.2f} ms")
        print(f"CPU per streamed token:                      {ours.token * 1e6:6.2f} µs  (aim: 20)")
        print(f"  with aiohttp alone:                        {requests.token * 1e6:6.2f} µs")
        print(f"peak RSS, one turn at a time:                {idle:6.1f} MiB")
        print(f"peak RSS, 100 turns in flight:               {peak:6.1f} MiB  (aim: 64)")


if __name__ == "__main__":
    main()
