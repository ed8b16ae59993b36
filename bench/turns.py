"""Seconds of a turn as a client of the service sees them, with an ensemble as it ships and without what ends turns early.

    .venv/bin/python -m bench.turns --ensemble starter --pairs 2

Three services of the same ensemble run side by side: as it ships, with `--no-compute`, and with `--no-compute --wait all`. Each question is
put to one after the other, so that only one works at a time; which begins changes from pair to pair. Medians are printed, of all
questions of a kind. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType

import aiohttp

from bench.service import finished, running

SERVICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"as it ships": (), "--no-compute": ("--no-compute",), "--no-compute --wait all": ("--no-compute", "--wait", "all")}
)
QUESTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "computed": (
            "A jacket costs 80 euros and is reduced by 15 percent. What does it cost now?",
            "I save 35 dollars a week. How much is that in 2 years of 52 weeks each?",
        ),
        "options": (
            "Which of these is a mammal? Reply with the letter alone.\nA) trout\nB) dolphin\nC) eagle\nD) frog",
            "Which gas do plants take in from the air? Reply with the letter alone.\nA) oxygen\nB) helium\nC) carbon dioxide\nD) neon",
        ),
        "fact": ("who painted the mona lisa", "what is the capital of australia"),
        "open": ("how do i remove a coffee stain from a shirt", "explain what a database index is"),
    }
)


async def seconds(client: aiohttp.ClientSession, url: str, question: str) -> float:
    """How long a turn takes, from the request to its last event. Raises if it has no answer."""
    began = time.perf_counter()
    await finished(client, url, {"question": question})
    return time.perf_counter() - began


async def measure(urls: Mapping[str, str], pairs: int) -> dict[str, dict[str, list[float]]]:
    """The seconds of each kind of question, by service."""
    found: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in urls} for kind in QUESTIONS}
    order = list(urls)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=900)) as client:
        for url in urls.values():
            await seconds(client, url, "say hello")  # the first turn of a start loads what the others have
        for pair in range(pairs):
            for kind, questions in QUESTIONS.items():
                for question in questions:
                    for name in order if pair % 2 == 0 else reversed(order):
                        found[kind][name].append(await seconds(client, urls[name], question))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensemble", default="starter")
    parser.add_argument("--pairs", type=int, default=2, help="how often each question is put to each service (2)")
    given = parser.parse_args(arguments)
    with ExitStack() as stack:
        urls = {}
        for name, flags in SERVICES.items():
            start = ("final_script.py", "serve", "--port", "0", "--ensemble", given.ensemble, "--log-level", "warning", *flags)
            _, urls[name] = stack.enter_context(running(*start, ready="serving at ", stream="stderr"))
        found = asyncio.run(measure(urls, given.pairs))
    print(f"{'':9}" + "".join(f"{name:>25}" for name in SERVICES))
    for kind, by_service in found.items():
        print(f"{kind:9}" + "".join(f"{statistics.median(values):23.1f} s" for values in by_service.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
