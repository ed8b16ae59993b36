"""Everyday prompts, asked as a user would, every turn kept as JSON.

It shows whether they are rewritten, judged, and answered byte for byte; the questions of a file, whose answers can be checked, are graded.

    .venv/bin/python -m bench.everyday --out turns.jsonl
    .venv/bin/python -m bench.everyday --questions bench/judge/questions/everyday_computed.yaml
    .venv/bin/python -m bench.everyday --show docs/everyday-starter.jsonl

Each prompt is a start of the program of its own. A rewrite counts as real when it differs from the prompt, and apart from that as more
than typography when it differs in more than case, punctuation and blanks.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.judge.graders import Right
from bench.judge.questions import Item, load_questions

PROMPTS = (
    "What is quantum computing?",
    "capital of france pls",
    "hey can u tell me what is kubernetes??",
    "how 2 reverse string in js",
    "explain 3 causes of ww1 in 100 words",
    "list pods in namespace prod with kubectl",
    "whats the diffrence between tcp and udp",
    "write a haiku about autumn",
    "how do i make pancakes",
    "who wrote romeo and juliet",
    "what is 12 times 8",
    "give me 5 tips to sleep better",
    "how do vaccines work",
    "python function that checks if a number is prime",
    "why is the sky blue",
    'translate "good morning" to spanish',
    "what does git rebase do",
    "whats the tallest mountain in the world",
    "how can i learn to play guitar fast",
    "summarize the plot of hamlet in 2 sentences",
)


def ask(prompt: str, seed: int, ensemble: str) -> dict[str, Any]:
    """One start of the program; raises if it does not answer."""
    program = Path(__file__).parent.parent / "final_script.py"
    command = [sys.executable, str(program), "--json", "--seed", str(seed), "--ensemble", ensemble, prompt]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    turn: dict[str, Any] = json.loads(done.stdout)
    return turn


def bare(text: str) -> str:
    """A text without case, punctuation and blanks."""
    return re.sub(r"\W", "", text).casefold()


def report(turns: Sequence[dict[str, Any]]) -> None:
    """Print what the turns show."""
    asked = [(turn["question"]["text"], turn["question"]["rewrite"]) for turn in turns]
    rewritten = [(text, rewrite) for text, rewrite in asked if rewrite is not None and rewrite != text]
    more = [pair for pair in rewritten if bare(pair[0]) != bare(pair[1])]
    verbatim = [turn for turn in turns if turn["answer"] in [a["text"] for a in turn["answers"] if a["member"] == turn["winner"]]]
    fallbacks = [turn for turn in turns if turn["verdict"]["fallback"]]
    for text, rewrite in asked:
        print(f"  {text!r} -> {rewrite!r}")
    print(f"rewritten: {len(rewritten)} of {len(turns)}, {len(more)} of them in more than case and punctuation")
    print(f"fallback verdicts: {len(fallbacks)}; answers byte for byte a candidate's: {len(verbatim)}")
    for stage in ("rewrite", "answer", "judge", "total"):
        seconds = [turn["timings"][stage] for turn in turns]
        print(f"{stage:>8}: median {statistics.median(seconds):5.1f} s, most {max(seconds):5.1f} s")


def grade(turns: Sequence[dict[str, Any]], items: Sequence[Item]) -> None:
    """Print which of the items' questions were answered right."""
    answered = {turn["question"]["text"]: turn for turn in turns}
    right = 0
    for item in items:
        turn = answered[item.ask]
        graded = item.grade(turn["answer"])
        right += isinstance(graded, Right)
        last = turn["answer"].strip().rpartition("\n")[2]
        print(f"  {type(graded).__name__.lower():6} {item.id}: {last[:80]!r} ({turn['winner']})")
    print(f"right: {right} of {len(items)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask, keep, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensemble", default="starter")
    parser.add_argument("--out", type=Path, help="where the turns are kept, one line of JSON each")
    parser.add_argument("--show", type=Path, help="report on kept turns instead of asking")
    parser.add_argument("--questions", type=Path, metavar="FILE", help="ask and grade these, in place of the twenty prompts")
    given = parser.parse_args(arguments)
    items = load_questions(given.questions).items if given.questions else ()
    if given.show:
        turns = [json.loads(line) for line in given.show.read_text(encoding="utf-8").splitlines()]
    else:
        turns = [ask(prompt, seed, given.ensemble) for seed, prompt in enumerate([item.ask for item in items] or PROMPTS, 1)]
    if given.out:
        given.out.write_text("".join(json.dumps(turn, ensure_ascii=False) + "\n" for turn in turns), encoding="utf-8")
    report(turns)
    if items:
        grade(turns, items)


if __name__ == "__main__":
    main()
