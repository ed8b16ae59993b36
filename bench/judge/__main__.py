"""How well an ensemble chooses among its candidates' answers, on questions whose answers can be checked.

    python -m bench.judge --ensemble starter                      the default policy and the baselines, on the held-back half
    python -m bench.judge --ensemble ./my.yaml --engine ollama    your own models: does the ensemble beat its best member?
    python -m bench.judge --questions development mine.yaml sets/  files, folders of them, and the shipped names
    python -m bench.judge --questions development --all-policies --rewriting
    python -m bench.judge --questions development --fit           weights for a combination (never on the held-back half)

The candidates answer once; replies are kept, and every policy chooses among the same ones. A run that was stopped (Ctrl-C, SIGTERM) goes
on where it was. Accuracy counts over the cases whose answers differ in truth: elsewhere it does not matter which is chosen. Exit codes:
0 measured, 1 nothing could be measured, 2 usage, 130 stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.judge import cases, fit, metrics, policies, report
from bench.judge.questions import Item, QuestionSet, load_sets
from bench.judge.reply_cache import ReplyStore
from final_script import Team
from gork.computing.sandbox import Sandbox
from gork.config.settings import Settings, load_settings
from gork.config.signals import JUDGE_SIGNALS, SIGNALS
from gork.engines import choose
from gork.engines.weights.progress import Lines
from gork.errors import GorkError

AT_ONCE, MOST_AT_ONCE = 4, 16
_FREE = tuple(name for name in SIGNALS if name not in JUDGE_SIGNALS)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.judge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ensemble", help="a shipped ensemble or a file; else the one that the program would take")
    parser.add_argument("--engine", choices=("auto", "ollama", "embedded"))
    what = "question files, folders of them, and the names of the shipped ones: development, held-back (the default)"
    parser.add_argument("--questions", nargs="+", default=["held-back"], metavar="FILE", help=what)
    parser.add_argument("--seeds", type=int, default=2, help="how often each question is asked (2)")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N questions of each kind of each set")
    parser.add_argument(
        "--at-once", type=int, default=AT_ONCE, metavar="N", help=f"how many questions are asked at the same time ({AT_ONCE})"
    )
    parser.add_argument("--no-compute", action="store_true", help="ask for no programs and run none")
    parser.add_argument("--all-policies", action="store_true", help="every policy, not only the default and the baselines")
    parser.add_argument("--rewriting", action="store_true", help="ask the candidates without the promptimizer too, and compare")
    parser.add_argument("--fit", action="store_true", help="print weights and a calibration fitted on these questions")
    parser.add_argument("--run-python", action="store_true", help="run what models wrote in Python, in a sandbox, to see whether it works")
    parser.add_argument("--cache", type=Path, help="where replies are kept (judge-replies.sqlite in the cache folder)")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    found = parser.parse_args(given)
    if found.seeds < 1:
        parser.error("--seeds: must be 1 or more")
    if not 1 <= found.at_once <= MOST_AT_ONCE:
        parser.error(f"--at-once: must be 1 to {MOST_AT_ONCE}")
    if found.fit and "held-back" in found.questions:
        parser.error("--fit: the held-back half is for measuring what was fitted elsewhere; use --questions development or a file of yours")
    return found


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _told(what: str) -> Callable[[int, int], None]:
    """Progress on one line of a terminal, in tenths elsewhere."""
    began, terminal = time.monotonic(), sys.stderr.isatty()

    def told(done: int, whole: int) -> None:
        line = f"{what}: {done} of {whole}, {time.monotonic() - began:.0f} s"
        if terminal:
            print(f"\r{line}", end="\n" if done == whole else "", file=sys.stderr, flush=True)
        elif done % max(whole // 10, 1) == 0 or done == whole:
            _say(line)

    return told


def _chosen(sets: Sequence[QuestionSet], *, first: int | None, run_python: bool) -> tuple[list[Item], int]:
    """The questions that are asked, and how many are left out because their answers would have to be run."""
    everything = [item for questions in sets for item in questions.items]
    items = [item for item in everything if run_python or not item.needs_python]
    left_out = len(everything) - len(items)
    if first is not None:
        counts: Counter[tuple[str, str]] = Counter()
        kept = []
        for item in items:
            counts[item.set, item.kind] += 1
            if counts[item.set, item.kind] <= first:
                kept.append(item)
        items = kept
    return items, left_out


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    arguments = _arguments(given)
    try:
        return _run(arguments)
    except GorkError as error:
        _say(f"bench.judge: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("bench.judge: stopped; what was answered is kept, and the same command goes on from there")
        return 130


def _run(arguments: argparse.Namespace) -> int:
    questions = load_sets(arguments.questions)
    given = {name: value for name in ("ensemble", "engine") if (value := getattr(arguments, name)) is not None}
    settings = load_settings(given, os.environ)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with asyncio.Runner() as runner:
        selected = runner.run(_select(settings, arguments.at_once))
        path = arguments.cache or choose.cache_of(selected.settings) / "judge-replies.sqlite"
        with ReplyStore(path) as store:
            found = runner.run(_measure(arguments, selected, store, questions))
            _say(f"{store.asked} replies asked of models, {store.kept} of those kept in {path} used")
    if isinstance(found, str):
        print(found)
        return 0
    print(report.text(found))
    if arguments.out:
        arguments.out.write_text(json.dumps(found.as_json(), indent=1) + "\n", encoding="utf-8")
    return 0 if found.members.cases else 1


async def _select(settings: Settings, at_once: int) -> choose.Selected:
    """The engine, its members with slots for `at_once` questions where the engine is ours; a server's members are as their file says."""
    frontend = choose.Frontend(say=_say, progress=lambda: Lines(_say))
    chosen = await choose.choose(settings)
    if chosen.engine == "embedded":
        chosen = replace(chosen, settings=chosen.settings.with_ensemble(cases.widened(chosen.settings.ensemble, at_once)))
    return await choose.prepare(chosen, frontend)


async def _measure(
    arguments: argparse.Namespace,
    selected: choose.Selected,
    store: ReplyStore,
    questions: Sequence[QuestionSet],
) -> report.Report | str:
    ensemble, at_once = selected.settings.ensemble, arguments.at_once
    items, left_out = _chosen(questions, first=arguments.first, run_python=arguments.run_python)
    async with selected.open() as engine, Sandbox() as sandbox:
        team = cases.team_of(engine, ensemble, store, None if arguments.no_compute else sandbox)
        seeds = list(cases.seeds_from(1, arguments.seeds))
        asked = await cases.ask(items, team, seeds, rewriting=True, at_once=at_once, told=_told("questions"))
        rewriting = None
        if arguments.rewriting and team.promptimizer is not None:
            told = _told("questions without a rewrite")
            plain = await cases.ask(items, team, seeds, rewriting=False, at_once=at_once, told=told)
            rewriting = _rewriting(asked.cases, plain.cases)
        differing = [case for case in asked.cases if case.differs]
        if arguments.fit:
            return await _fit(team, asked.cases)
        rows = await _compare(team, differing, every=arguments.all_policies, at_once=at_once)
        chosen = await policies.run(_own(team), team, asked.cases, at_once=at_once)
    return report.Report(
        ensemble=ensemble.name,
        engine=engine.name,
        questions={questions.name: questions.sha256 for questions in questions},
        seeds=arguments.seeds,
        best_single=team.prior[0],
        members=metrics.members(asked.cases, [model.name for model in team.candidates], chosen),
        rows=rows,
        bins=metrics.reliability(chosen),
        bins_differing=metrics.reliability([outcome for outcome in chosen if outcome.case.differs]),
        chosen=metrics.mean([outcome.right for outcome in chosen]),
        answer_s=metrics.mean([max(answer.seconds for answer in case.answers) for case in asked.cases]),
        broken=asked.broken,
        lost=asked.lost,
        left_out=left_out,
        rewriting=rewriting,
    )


def _own(team: Team) -> policies.Contender:
    """The ensemble's own policy, as a turn runs it."""
    return policies.Contender(name="default", choosing=team.choosing, listings=False)


async def _compare(team: Team, differing: Sequence[cases.Case], *, every: bool, at_once: int) -> list[metrics.Row]:
    """The metrics of every contender on the same cases."""
    rows: list[metrics.Row] = []
    everyone = policies.contenders(team.choosing, candidates=len(team.candidates), has_judge=team.judge is not None, every=every)
    told = _told("policies")
    for number, contender in enumerate(everyone):
        told(number, len(everyone))
        outcomes = await policies.run(contender, team, differing, at_once=at_once)
        rows.append(metrics.row(contender.name, outcomes, team.prior[0]))
    told(len(everyone), len(everyone))
    return rows


def _rewriting(rewritten: Sequence[cases.Case], plain: Sequence[cases.Case]) -> report.Rewriting:
    """The same questions and seeds with the promptimizer and without."""
    before = {case.key: case for case in plain}
    pairs = [(case, before[case.key]) for case in rewritten if case.key in before]
    gains = [metrics.random_choice(case) - metrics.random_choice(other) for case, other in pairs]
    refused = Counter(_sort_of(case.question.rewrite_refused) for case, _ in pairs if case.question.rewrite_refused)
    return report.Rewriting(
        asked=len(pairs),
        rewritten=sum(case.question.rewrite is not None for case, _ in pairs),
        refused=dict(refused),
        with_rewrite=metrics.mean([metrics.random_choice(case) for case, _ in pairs]),
        without=metrics.mean([metrics.random_choice(other) for _, other in pairs]),
        differing=sum(case.question.for_candidates != other.question.for_candidates for case, other in pairs),
        gain=metrics.bootstrap([case for case, _ in pairs], lambda at: metrics.mean([gains[index] for index in at])),
    )


def _sort_of(refusal: str) -> str:
    """The sort of a refusal, without the words that it is about.

    >>> _sort_of('lost the number 5'), _sort_of('added "word"'), _sort_of("is much longer than the prompt")
    ('lost', 'added', 'is much longer')
    """
    words = refusal.split()
    return words[0] if words[0] in {"lost", "added", "repeats"} else " ".join(words[:3]).rstrip(":")


async def _fit(team: Team, given: Sequence[cases.Case]) -> str:
    """Weights for all signals and for those that cost nothing, and a calibration of the file's own policy."""
    lines = []
    found = await fit.examples(team, [case for case in given if case.differs], tuple(SIGNALS) if team.judge is not None else _FREE)
    for names in (tuple(SIGNALS), ("listwise", *_FREE), ("reference", *_FREE), _FREE) if team.judge is not None else (_FREE,):
        weights = fit.fit_weights(found, names)
        lines.append(f"{fit.accuracy(found, weights):.3f} fitted, {fit.cross_validated(found, names):.3f} cross-validated: {weights}")
    outcomes = await policies.run(_own(team), team, given)
    said = [outcome for outcome in outcomes if outcome.verdict.scores]
    curve = fit.calibrate([o.verdict.margin for o in said], [o.case.right[o.verdict.winner] for o in said])
    lines.append(f"calibration of the file's own policy: offset {curve.offset}, slope {curve.slope} ({len(said)} verdicts)")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
