"""Replies with their grades in one compressed file, so that anybody recomputes every table in seconds, without models.

A question is named by its set, its id and the hash of its words; the words themselves stand in the question files alone. What the judge
gave is kept under the same keys as in the reply store.
"""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.judge.cases import Case
from bench.judge.questions import Item
from gork.computing.asking import kind_in_thread
from gork.errors import ConfigError
from gork.turn import Answer, Failure, Question

_LARGEST: Final = 64 << 20


class KeptCase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question asked with one seed."""

    set: str
    id: str
    question: str
    """The SHA-256 of its words."""
    seed: int
    answers: tuple[Answer, ...]
    right: tuple[str, ...]
    """The members whose answers are right."""
    failed: tuple[str, ...] = ()
    samples: tuple[Answer, ...] = ()
    """Further answers of one member."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    version: int
    ensemble: str
    engine: str
    members: Mapping[str, str]
    """By name, with the hash of what decides their words."""
    sets: Mapping[str, str]
    """The question sets, with the hashes of their files."""
    cases: tuple[KeptCase, ...]
    judge: str
    """What names the judge's weights in the keys of its replies."""
    replies: Mapping[str, Any]
    """What the judge gave, by key."""


def hash_of(question: str) -> str:
    """What names a question's words."""
    return hashlib.sha256(question.encode()).hexdigest()


def kept_case(case: Case) -> KeptCase:
    """A case as it is kept."""
    return KeptCase(
        set=case.item.set,
        id=case.item.id,
        question=hash_of(case.item.ask),
        seed=case.seed,
        answers=case.answers,
        right=tuple(sorted(member for member, right in {**case.right, **case.samples_right}.items() if right)),
        samples=case.samples,
        failed=tuple(failure.member for failure in case.failures),
    )


def joined(before: Kept, after: Kept) -> Kept:
    """Both: what was kept before of questions that `after` does not have, and all of `after`."""
    has = {(case.set, case.id, case.question, case.seed) for case in after.cases}
    older = tuple(case for case in before.cases if (case.set, case.id, case.question, case.seed) not in has)
    return msgspec.structs.replace(
        after,
        cases=(*older, *after.cases),
        sets={**before.sets, **after.sets},
        replies={**before.replies, **after.replies},
    )


def write(path: Path, kept: Kept) -> None:
    """Write the file. Raises a `ConfigError` where that cannot be done."""
    try:
        path.write_bytes(lzma.compress(msgspec.json.encode(kept), preset=9))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from None


def load(path: Path) -> Kept:
    """The content of a file. Raises a `ConfigError` where it is none."""
    try:
        data = lzma.LZMADecompressor().decompress(path.read_bytes(), max_length=_LARGEST)
        return msgspec.json.decode(data, type=Kept)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (lzma.LZMAError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: is not what --keep writes: {error}"]) from None


def cases(kept: Kept, items: Sequence[Item]) -> tuple[list[Case], int]:
    """The kept cases whose questions are among these, and how many are not."""
    by_name = {(item.set, item.id, hash_of(item.ask)): item for item in items}
    found = []
    for one in kept.cases:
        item = by_name.get((one.set, one.id, one.question))
        if item is None:
            continue
        question = Question(text=item.ask)
        found.append(
            Case(
                item=item,
                seed=one.seed,
                question=Question(text=item.ask, kind=kind_in_thread(question)),
                answers=one.answers,
                right={answer.member: answer.member in one.right for answer in one.answers},
                samples=one.samples,
                samples_right={sample.member: sample.member in one.right for sample in one.samples},
                failures=tuple(Failure(member=member, kind="error", message="failed when it was asked") for member in one.failed),
            )
        )
    return found, len(kept.cases) - len(found)
