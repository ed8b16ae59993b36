"""What the rewrite is worth where a prompt leans on the one before it ("and of italy?"): answers with it and without it.

    .venv/bin/python -m bench.follow_ups --ensemble starter

Each conversation is put to a service of the ensemble twice, with the same history and seed; candidates read the history either way. It
prints which answers are right, and which only because of the rewrite.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import aiohttp

from bench.judge.graders import Mentions
from bench.service import finished, running


class Conversation(NamedTuple):
    """A prompt, its answer, what follows on it, and words of which the right answer has one."""

    prompt: str
    answer: str
    follow_up: str
    needed: tuple[str, ...]


CONVERSATIONS = (
    Conversation("what is the capital of france", "The capital of France is Paris.", "and of italy?", ("Rome",)),
    Conversation("who wrote hamlet", "William Shakespeare wrote Hamlet.", "and war and peace?", ("Tolstoy",)),
    Conversation("which is the largest planet", "The largest planet is Jupiter.", "and the smallest one?", ("Mercury",)),
    Conversation("translate thank you to french", "Merci.", "and to spanish?", ("gracias",)),
    Conversation("what is the chemical symbol for gold", "The symbol for gold is Au.", "and for silver?", ("Ag",)),
    Conversation("when did the second world war end", "It ended in 1945.", "and the first one?", ("1918",)),
    Conversation("how do i list the files in a folder in linux", "Use `ls`.", "including hidden ones?", ("ls -a", "ls -la", "ls -al")),
    Conversation("what does http stand for", "HyperText Transfer Protocol.", "what about ftp", ("File Transfer Protocol",)),
    Conversation("how many legs does a spider have", "A spider has eight legs.", "and an insect?", ("six", "6")),
    Conversation("what is the opposite of hot", "Cold.", "and of tall?", ("short",)),
    Conversation("what is the past tense of go", "The past tense of go is went.", "and of eat", ("ate",)),
    Conversation("which language is spoken in brazil", "Portuguese.", "and in mexico?", ("Spanish",)),
    Conversation("which port does ssh use", "SSH uses port 22.", "and https?", ("443",)),
    Conversation("how do i create a branch in git", "Use `git branch NAME`.", "and delete it?", ("git branch -d", "git branch --delete")),
    Conversation("what is the currency of japan", "The yen.", "what about the uk?", ("pound",)),
    Conversation("how do i sort a list in python", "Use `sorted(items)`.", "and in javascript?", ("sort(", "items.sort", "array.sort")),
)


async def turn(client: aiohttp.ClientSession, url: str, said: Conversation, *, optimize: bool) -> dict[str, Any]:
    """The turn in which the follow-up is answered. Raises if it was not."""
    history = [{"role": "user", "content": said.prompt}, {"role": "assistant", "content": said.answer}]
    asked = {"question": said.follow_up, "history": history, "optimize": optimize, "seed": 1}
    return await finished(client, url, asked)


async def measure(url: str) -> None:
    """Ask all, and print."""
    counts = {True: 0, False: 0}
    only = 0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600)) as client:
        for said in CONVERSATIONS:
            right = {}
            for optimize in (True, False):
                answered = await turn(client, url, said, optimize=optimize)
                right[optimize] = Mentions(groups=(said.needed,)).holds(answered["answer"], said.follow_up)
                counts[optimize] += right[optimize]
                if optimize:
                    print(f"  {said.follow_up!r} -> {answered['question']['rewrite']!r}")
                print(f"    {'with' if optimize else 'without'}, {'right' if right[optimize] else 'wrong'}: {answered['answer'][:90]!r}")
            only += right[True] and not right[False]
    print(f"right of {len(CONVERSATIONS)}: {counts[True]} with the rewrite, {counts[False]} without; {only} only because of it")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensemble", default="starter")
    given = parser.parse_args(arguments)
    start = ("final_script.py", "serve", "--port", "0", "--ensemble", given.ensemble, "--log-level", "warning")
    with running(*start, ready="serving at ", stream="stderr") as (_, url):
        asyncio.run(measure(url))
    return 0


if __name__ == "__main__":
    sys.exit(main())
