"""Compare one model in several quantisations on this machine's CPU: how fast each reads and writes, and how alike they think.

    python bench/quantisation.py FILE.gguf [--to q8_0 q4_0] [--part speed answers] [--threads 2] [--rounds 5] [--prompt-tokens 600]

Converts FILE as the cache would and loads each version in llama.cpp. Speed: the versions take turns, round by round, so that a busy
moment hits all of them: reading a prompt that no cache holds, and writing 64 tokens; medians, and the ratio to the shipped file
within each round. Answers: each version answers ten prompts at temperature 0, and, since texts part for good at the first token
that differs, is also asked for the next token at many places of the shipped version's answers: how often the most probable token is
the same, and how much of the probability of its 20 likeliest tokens is shared. The ratios are worth more than the speeds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gork.engines.weights.convert import requantise
from gork.engines.weights.gguf_header import read_gguf_header

PROMPTS = (
    "What is the capital of France?",
    "Explain quantum computing in two sentences.",
    "Write a Python function that reverses a string.",
    "What is 17 plus 25?",
    "Name three causes of the First World War.",
    "Translate 'good morning' into Spanish.",
    "Why is the sky blue?",
    "What does the HTTP status 404 mean?",
    "Write a haiku about autumn.",
    "How many days are in a leap year?",
)
WRITTEN = 64


class Speed(NamedTuple):
    """Tokens a second, reading and writing."""

    reading: float
    writing: float


class Version:
    """One file in a llama.cpp server of its own."""

    def __init__(self, name: str, file: Path, threads: int) -> None:
        import xllamacpp  # noqa: PLC0415 - the other uses of this file need no engine

        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_ctx, params.n_parallel, params.verbosity, params.use_jinja = 2048, 1, -1, True
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        self.name, self.size = name, file.stat().st_size
        self._server = xllamacpp.Server(params)
        self._url: str = self._server.listening_address

    def _ask(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own server on loopback
            f"{self._url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310 - same
            answer: dict[str, Any] = json.load(reply)
            return answer

    def speed(self, prompt: str) -> Speed:
        """Read `prompt` anew and write a fixed number of tokens."""
        body = {"prompt": prompt, "n_predict": WRITTEN, "ignore_eos": True, "temperature": 0, "cache_prompt": False}
        timings = self._ask("/completion", body)["timings"]
        return Speed(float(timings["prompt_per_second"]), float(timings["predicted_per_second"]))

    def answer(self, question: str) -> str:
        """Answer at temperature 0."""
        body = {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": WRITTEN, "cache_prompt": False}
        return str(self._ask("/v1/chat/completions", body)["choices"][0]["message"]["content"])

    def rendered(self, question: str) -> str:
        """Give the prompt as the model's own template writes it."""
        return str(self._ask("/apply-template", {"messages": [{"role": "user", "content": question}]})["prompt"])

    def next_token(self, prefix: str) -> dict[str, float]:
        """Give the probabilities of the likeliest next tokens."""
        body = {"prompt": prefix, "n_predict": 1, "n_probs": 20, "temperature": 0, "cache_prompt": True}
        top = self._ask("/completion", body)["completion_probabilities"][0]["top_logprobs"]
        return {str(entry["token"]): math.exp(float(entry["logprob"])) for entry in top}


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    prompt = " ".join(f"{question} ({number})" for number in range(1000) for question in PROMPTS)[: arguments.prompt_tokens * 4]
    with tempfile.TemporaryDirectory() as directory:
        files = {read_gguf_header(arguments.file).quantisation + " (as shipped)": arguments.file}
        for to in arguments.to:
            files[to] = Path(directory) / f"{to}.gguf"
            requantise(arguments.file, files[to], to, lambda _done, _total: None)
        versions = [Version(name, file, arguments.threads) for name, file in files.items()]
        if "speed" in arguments.part:
            _compare_speeds(versions, prompt, arguments.rounds)
        if "answers" in arguments.part:
            _compare_answers(versions)


def _compare_speeds(versions: Sequence[Version], prompt: str, rounds: int) -> None:
    speeds: dict[str, list[Speed]] = {version.name: [] for version in versions}
    for number in range(rounds + 1):
        for version in versions:
            speed = version.speed(prompt)
            if number:  # the first round warms pages and caches
                speeds[version.name].append(speed)
    _print_speeds(versions, speeds)


def _print_speeds(versions: Sequence[Version], speeds: Mapping[str, Sequence[Speed]]) -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs; medians, and the ratio round by round to the file as shipped")
    first = speeds[versions[0].name]
    for version in versions:
        mine = speeds[version.name]
        reading, writing = statistics.median(s.reading for s in mine), statistics.median(s.writing for s in mine)
        reads = statistics.median(a.reading / b.reading for a, b in zip(mine, first, strict=True))
        writes = statistics.median(a.writing / b.writing for a, b in zip(mine, first, strict=True))
        print(
            f"{version.name:20} {version.size / 1e6:7.1f} MB   reading {reading:7.1f} tok/s (x{reads:.2f})   "
            f"writing {writing:6.1f} tok/s (x{writes:.2f})"
        )


def _compare_answers(versions: Sequence[Version]) -> None:
    answers = {version.name: [version.answer(question) for question in PROMPTS] for version in versions}
    shipped, *converted = versions
    for version in converted:
        same, overlap = _agreement(shipped, version, answers[shipped.name])
        equal = sum(a == b for a, b in zip(answers[shipped.name], answers[version.name], strict=True))
        print(
            f"{version.name:20} next token the same at {same:.0%} of places, {overlap:.0%} of the probability shared; "
            f"{equal} of {len(PROMPTS)} answers equal"
        )
    for number, question in enumerate(PROMPTS):
        print(f"\n{question}")
        for name, texts in answers.items():
            print(f"  {name:20} {' '.join(texts[number].split())[:110]}")


def _agreement(shipped: Version, other: Version, answers: Sequence[str]) -> tuple[float, float]:
    """Compare the two at every third word of the shipped version's answers: share of equal first choices, mean shared probability."""
    same: list[bool] = []
    shared: list[float] = []
    for question, answer in zip(PROMPTS, answers, strict=True):
        prompt = shipped.rendered(question)
        for end in [0, *(match.end() for match in re.finditer(r"\S+", answer))][::3]:
            mine, theirs = shipped.next_token(prompt + answer[:end]), other.next_token(prompt + answer[:end])
            same.append(max(mine, key=lambda token: mine[token]) == max(theirs, key=lambda token: theirs[token]))
            shared.append(sum(min(probability, theirs.get(token, 0.0)) for token, probability in mine.items()) / sum(mine.values()))
    return statistics.mean(same), statistics.mean(shared)


class _Arguments(argparse.Namespace):
    file: Path
    to: list[Literal["q8_0", "q4_0"]]
    part: list[Literal["speed", "answers"]]
    threads: int
    rounds: int
    prompt_tokens: int


def _arguments() -> _Arguments:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--to", nargs="+", choices=("q8_0", "q4_0"), default=["q8_0", "q4_0"])
    parser.add_argument("--part", nargs="+", choices=("speed", "answers"), default=["speed", "answers"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, default=600)
    return parser.parse_args(namespace=_Arguments())


if __name__ == "__main__":
    main()
