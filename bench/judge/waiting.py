"""What it saves not to wait for members who can change nothing any more, replayed on answers and their seconds as they were kept.

Each answer comes when its seconds are over; after each the product's own rule (`gork/judging/settled.py`) says whether the turn is decided.
The seconds are those of the candidates alone: the rewrite before them and the judge after them are not in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced

from msgspec.structs import replace

from bench.judge.contests import Ready
from bench.judge.statistics import mean
from gork.computing.asking import asks_program
from gork.config.ensemble import Ensemble
from gork.config.measured import Measured
from gork.judging.decide import shortlist
from gork.judging.rules import Rules, rules_for
from gork.judging.settled import settled
from gork.terminal.views import table
from gork.turn import Answer

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One turn: its seconds if all are waited for and if not, and what came of it."""

    kind: str
    whole_s: float
    decided_s: float
    """Equal where nothing decides it before the last answer."""
    spared_tokens: int
    """What members that are not waited for wrote in the turn that waited for them; at most so many are spared."""
    right: bool
    still_right: bool
    """Whether the answer is right that is chosen among those that are there when it is decided."""

    @property
    def early(self) -> bool:
        """Whether it was decided before the last answer."""
        return self.decided_s < self.whole_s


def replays(found: Sequence[Ready], ensemble: Ensemble, table_of: Callable[[Ready], Measured | None], *, computes: bool) -> list[Replay]:
    """Every case as a turn that waits until it is decided; `computes`: programs were asked for."""
    made = []
    for one in found:
        rules = rules_for(one.case.question, replace(ensemble, measured=table_of(one)))
        asked = one.case.question
        programs = [member.name for member in ensemble.candidates if computes and asks_program(member, asked)]
        made.append(_replay(one, rules, programs))
    return made


def _replay(one: Ready, rules: Rules, programs: Collection[str]) -> Replay:
    question, coming = one.case.question, sorted(one.case.answers, key=_finished_s)
    failed = [failure.member for failure in one.case.failures]  # nobody knows when: they are waited for to the last
    whole_s = max(map(_finished_s, coming))
    there: list[Answer] = []
    for answer in coming:
        there.append(answer)
        pending = [*(other.member for other in coming if other not in there), *failed]
        if pending and settled(question, there, pending, rules=rules, programs=programs) is not None:
            break
    early = replaced(one, usable=shortlist(question, there).answers, _known={}) if len(there) < len(coming) else one
    return Replay(
        kind=str(question.kind),
        whole_s=whole_s,
        decided_s=max(map(_finished_s, there)),
        spared_tokens=sum(answer.tokens for answer in coming if answer not in there),
        right=one.case.right[one.verdict(rules).winner],
        still_right=one.case.right[early.verdict(rules).winner],
    )


def _finished_s(answer: Answer) -> float:
    """When an answer was there, from the moment that all were asked: its text, and the run of its program."""
    run_s = 0.0 if answer.computed is None or answer.model == "python" else answer.computed.seconds
    return answer.seconds + run_s


def text(found: Sequence[Replay]) -> str:
    """The table, by the kind of the question."""
    by_kind: dict[str, list[Replay]] = {ALL: list(found)}
    counts = Counter(one.kind for one in found)
    for kind, _ in counts.most_common():
        by_kind[kind] = [one for one in found if one.kind == kind]
    head = [
        "waiting until decided",
        "turns",
        "decided early",
        "s, all waited for",
        "s, until decided",
        "s saved a turn",
        "tokens spared",
        "right",
        "right early",
    ]
    rows = [
        [
            kind,
            str(len(turns)),
            f"{mean([float(one.early) for one in turns]):.0%}",
            f"{mean([one.whole_s for one in turns]):.2f}",
            f"{mean([one.decided_s for one in turns]):.2f}",
            f"{mean([one.whole_s - one.decided_s for one in turns]):.2f}",
            f"{mean([float(one.spared_tokens) for one in turns]):.0f}",
            f"{mean([float(one.right) for one in turns]):.1%}",
            f"{mean([float(one.still_right) for one in turns]):.1%}",
        ]
        for kind, turns in by_kind.items()
    ]
    rule = ["-" * max(map(len, column)) for column in zip(head, *rows, strict=True)]
    note = "the candidates' seconds, as they were kept; right early: chosen among the answers that are there when it is decided"
    return f"{table([head, rule, *rows])}\n({note})"
