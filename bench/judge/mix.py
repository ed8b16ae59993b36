"""An ensemble whose members were measured in other ones: its replies, put together from kept files without asking a model.

    python -m bench.judge.mix ./unequal.yaml docs/pocket.kept.xz docs/starter.kept.xz docs/tiny.kept.xz --out unequal.kept.xz
    python -m bench.judge --ensemble ./unequal.yaml --from unequal.kept.xz --questions development FILES

A candidate is found by what decides its words (weights, prompts, sampling), whatever it is called there. Questions that all of them
answered with the same seed are taken. What the judge gave is taken from the file that has it; where that is too little (another answer
differs now), `--keep unequal.kept.xz` in place of `--from` asks the judge, and nobody else. Each candidate saw the rewrite of the ensemble
that it was measured in.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from bench.judge import kept
from bench.judge.kept import Kept, KeptCase
from gork.config.ensemble import Ensemble
from gork.config.measured import fingerprints
from gork.config.settings import load_settings
from gork.errors import ConfigError, GorkError
from gork.turn import QUESTIONS_CODE

_Key = tuple[str, str, str, int]


def mixed(ensemble: Ensemble, files: Sequence[Kept]) -> Kept:
    """What the files hold of this ensemble's members. Raises a `ConfigError` for a member that none of them has."""
    prints = fingerprints(ensemble)
    sources = {member.name: _source(member.name, prints[member.name], files) for member in ensemble.candidates}
    by_key = {name: {_key(case): (case, there) for case in file.cases} for name, (file, there) in sources.items()}
    first = by_key[ensemble.candidates[0].name]
    shared = [key for key in first if all(key in cases for cases in by_key.values())]
    if not shared:
        raise ConfigError(["the files have no question in common that was asked with the same seed"])
    asked = {key[0] for key in shared}
    judge = _source(ensemble.judge.name, prints[ensemble.judge.name], files)[0] if ensemble.judge is not None else None
    return Kept(
        version=files[0].version,
        ensemble=ensemble.name,
        engine=files[0].engine,
        members=prints,
        sets={name: sha256 for file, _ in sources.values() for name, sha256 in file.sets.items() if name in asked},
        cases=tuple(_case({name: cases[key] for name, cases in by_key.items()}) for key in shared),
        judge="" if judge is None else judge.judge,
        replies={} if judge is None else judge.replies,
    )


def _source(name: str, print_of: str, files: Sequence[Kept]) -> tuple[Kept, str]:
    """The file that holds a member, and the member's name there."""
    for file in files:
        for there, known in file.members.items():
            if known == print_of:
                return file, there
    raise ConfigError([f"{name}: none of the files was measured with these weights, prompts and options"])


def _key(case: KeptCase) -> _Key:
    return case.set, case.id, case.question, case.seed


def _case(found: Mapping[str, tuple[KeptCase, str]]) -> KeptCase:
    """One question of the new ensemble, of the cases of each member's own; its own code gives the same in all that ran it."""
    first, _ = next(iter(found.values()))
    ran = (case for case, _ in found.values() if any(answer.member == QUESTIONS_CODE for answer in case.answers))
    names = [*((name, case, there) for name, (case, there) in found.items()), (QUESTIONS_CODE, next(ran, first), QUESTIONS_CODE)]
    return msgspec.structs.replace(
        first,
        answers=tuple(replace(answer, member=name) for name, case, there in names for answer in case.answers if answer.member == there),
        right=tuple(sorted(name for name, case, there in names if there in case.right)),
        failed=tuple(name for name, case, there in names if there in case.failed),
        samples=(),
    )


def main(given: Sequence[str] | None = None) -> int:
    """Write the mixed file; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.judge.mix", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ensemble", help="the file of the ensemble")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what --keep wrote for the ensembles of its members")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args(given)
    try:
        settings = load_settings({"ensemble": arguments.ensemble}, os.environ)
        made = mixed(settings.ensemble, [kept.load(file) for file in arguments.files])
        kept.write(arguments.out, made)
    except GorkError as error:
        print(f"bench.judge.mix: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{len(made.cases)} questions, answered by {', '.join(member.name for member in settings.ensemble.candidates)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
