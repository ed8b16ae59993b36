"""How well an ensemble chooses among its candidates' answers, on questions whose answers can be checked.

    python -m bench.judge --ensemble starter                      the choice and what it is measured against, on the held-back half
    python -m bench.judge --ensemble ./my.yaml --engine ollama    your own models: is the ensemble worth more than its best member?
    python -m bench.judge --questions development mine.yaml sets/  files, folders of them, and the shipped names
    python -m bench.judge --questions development --fit           write the ensemble's table (never on the held-back half)
    python -m bench.judge --questions development --ablation --rewriting --waiting
    python -m bench.judge --questions development --from kept.json.xz    from kept replies, without models

The candidates answer once; replies are kept, and every way to choose is tried on the same ones. A run that was stopped (Ctrl-C, SIGTERM)
goes on where it was. On questions that the ensemble's table was counted on, and with --fit, everything that is fitted is cross-validated.
Exit codes: 0 measured, 1 nothing could be measured, 2 usage, 130 stopped.
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.judge import cases, compare, contests, fit, kept, readings, report, waiting
from bench.judge.questions import Item, QuestionSet, load_sets
from bench.judge.reply_cache import AbsentModel, CachedModel, ReplyStore
from bench.judge.statistics import mean, paired_bootstrap
from final_script import Team
from gork.computing.sandbox import Sandbox
from gork.config.ensemble import Ensemble, ensemble_file, own_ensembles
from gork.config.folders import config_home
from gork.config.measured import Measured, fingerprints, places
from gork.config.settings import Settings, load_settings
from gork.engines import choose
from gork.engines.weights.progress import Lines
from gork.errors import ConfigError, GorkError
from gork.turn import NotRewritten, Question

AT_ONCE, MOST_AT_ONCE = 4, 16


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.judge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ensemble", help="a shipped ensemble or a file; else the one that the program would take")
    parser.add_argument("--engine", choices=("auto", "ollama", "embedded"))
    what = "question files, folders of them, and the names of the shipped ones: development, held-back (the default)"
    parser.add_argument("--questions", nargs="+", default=["held-back"], metavar="FILE", help=what)
    parser.add_argument("--seeds", type=int, default=1, help="how often each question is asked (1)")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N questions of each kind of each set")
    parser.add_argument(
        "--at-once", type=int, default=AT_ONCE, metavar="N", help=f"how many questions are asked at the same time ({AT_ONCE})"
    )
    parser.add_argument("--no-compute", action="store_true", help="ask for no programs and run none")
    parser.add_argument("--no-judge", action="store_true", help="leave the judge out: the fastest run")
    parser.add_argument(
        "--ablation", action="store_true", help="what each reason that may overrule the favourite, each check and each guard is worth"
    )
    parser.add_argument("--readings", action="store_true", help="let the judge read in other ways too, and compare them (takes long)")
    parser.add_argument("--rewriting", action="store_true", help="ask the candidates without the promptimizer too, and compare")
    parser.add_argument("--samples", action="store_true", help="ask the best member twice more, to compare with a vote among its answers")
    parser.add_argument("--waiting", action="store_true", help="seconds saved by not waiting for members who can change nothing any more")
    parser.add_argument("--fit", action="store_true", help="write the ensemble's table, counted on these questions")
    parser.add_argument("--run-python", action="store_true", help="run what models wrote in Python, in a sandbox, to see whether it works")
    parser.add_argument("--cache", type=Path, help="where replies are kept (judge-replies.sqlite in the cache folder)")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="write replies and grades to a compressed file; what it has already is not asked again"
    )
    parser.add_argument("--from", type=Path, metavar="FILE", dest="kept", help="take replies and grades from such a file, and ask no model")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    found = parser.parse_args(given)
    if found.seeds < 1:
        parser.error("--seeds: must be 1 or more")
    if not 1 <= found.at_once <= MOST_AT_ONCE:
        parser.error(f"--at-once: must be 1 to {MOST_AT_ONCE}")
    if found.fit and "held-back" in found.questions:
        parser.error("--fit: the held-back half is for measuring what was fitted elsewhere; use --questions development or a file of yours")
    if found.keep is not None and found.rewriting:
        parser.error("--keep: has no prompts, which --rewriting compares; use one of them")
    if found.kept is not None and (found.rewriting or found.readings or found.samples or found.keep is not None):
        parser.error("--from: asks no model, so there is nothing for --rewriting, --readings, --samples and --keep")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Cases that are ready for choosing, and what could not be graded."""

    ready: Sequence[contests.Ready]
    asked: cases.Asked
    team: Team
    left_out: int = 0
    not_given: int = 0
    rewriting: report.Rewriting | None = None
    readings: Sequence[readings.Read] = ()


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
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts it in the background has it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    before: kept.Kept | None = None
    with asyncio.Runner() as runner:
        if arguments.kept is not None:
            loaded = kept.load(arguments.kept)
            found = runner.run(_from_kept(arguments, loaded, settings.ensemble, questions))
        else:
            before = _before(arguments, settings.ensemble)  # a file of other members is told of before anything is downloaded or started
            selected = runner.run(_select(settings, arguments.at_once))
            path = arguments.cache or choose.cache_of(selected.settings) / "judge-replies.sqlite"
            with ReplyStore(path) as store:
                found = runner.run(_measure(arguments, selected, store, questions, before))
                _say(f"{store.asked} replies asked of models, {store.kept} of those kept in {path} used")
    if not found.ready:
        _say("bench.judge: nothing could be measured")
        return 1
    ensemble, sets = found.team.ensemble, {questions.name: questions.sha256 for questions in questions}
    if arguments.keep is not None:
        now = _to_keep(found, sets)
        kept.write(arguments.keep, now if before is None else kept.joined(before, now))
    made = _report(arguments, found, ensemble, sets)
    print(report.text(made))
    if arguments.waiting:
        table_of = compare.as_shipped(ensemble, _tables(arguments, found, ensemble, sets)[0])
        print(f"\n{waiting.text(waiting.replays(found.ready, ensemble, table_of, computes=not arguments.no_compute))}")
    if arguments.out:
        arguments.out.write_text(json.dumps(made.as_json(), indent=1) + "\n", encoding="utf-8")
    if arguments.fit:
        _write_table(fit.written(fit.table(found.ready, ensemble, sets)), arguments.ensemble or ensemble.name)
    return 0


def _write_table(text: str, name: str) -> None:
    """Write an ensemble's table beside its file, or into the user's data folder where that cannot be. Raises a `ConfigError`."""
    file = ensemble_file(name, own_ensembles(config_home(os.environ)))
    problem = ""
    for place in reversed(places(file)):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        except OSError as error:
            problem = f"{place}: {error.strerror}"
            continue
        _say(f"the table is in {place}")
        return
    raise ConfigError([f"the table cannot be written: {problem}"])


async def _select(settings: Settings, at_once: int) -> choose.Selected:
    """The engine, its members with slots for `at_once` questions where the engine is ours; a server's members are as their file says."""
    frontend = choose.Frontend(say=_say, progress=lambda: Lines(_say))
    chosen = await choose.choose(settings)
    if chosen.engine == "embedded":
        chosen = replace(chosen, settings=chosen.settings.with_ensemble(cases.widened(chosen.settings.ensemble, at_once)))
    return await choose.prepare(chosen, frontend)


async def _measure(
    arguments: argparse.Namespace, selected: choose.Selected, store: ReplyStore, questions: Sequence[QuestionSet], before: kept.Kept | None
) -> _Found:
    """Ask the models what is not kept, and make the cases ready."""
    ensemble, at_once = selected.settings.ensemble, arguments.at_once
    items, left_out = _chosen(questions, first=arguments.first, run_python=arguments.run_python)
    async with selected.open() as engine, Sandbox() as sandbox:
        team = cases.team_of(engine, ensemble, store, None if arguments.no_compute else sandbox)
        seeds = list(cases.seeds_from(1, arguments.seeds))
        known: Sequence[cases.Case] = ()
        if before is not None:
            known, _ = kept.cases(before, items)
            store.fill(before.replies)
        asked = await cases.ask(items, team, seeds, rewriting=True, at_once=at_once, told=_told("questions"), known=known)
        hear = not arguments.no_judge
        ready = await contests.ready(asked.cases, team, at_once=at_once, told=_told("readings"), hear_judge=hear)
        if arguments.samples:
            best, told = compare.best_alone(ready, ensemble), _told("questions with more samples")
            more = await cases.sampled([one.case for one in ready], team, best, at_once=at_once, told=told)
            ready = [replace(one, case=case) for one, case in zip(ready, more, strict=True)]
        rewriting = None
        if arguments.rewriting and team.promptimizer is not None:
            told = _told("questions without a rewrite")
            plain = await cases.ask(items, team, seeds, rewriting=False, at_once=at_once, told=told)
            without = await contests.ready(plain.cases, team, at_once=at_once, told=_told("readings"), hear_judge=hear)
            rewriting = _rewriting(ready, without, ensemble)
        read: Sequence[readings.Read] = ()
        if arguments.readings and team.judge is not None:
            read = await readings.compared(ready, team, at_once=at_once, told=_told("readings of one way"))
    return _Found(ready=ready, asked=asked, team=team, left_out=left_out, rewriting=rewriting, readings=read)


def _before(arguments: argparse.Namespace, ensemble: Ensemble) -> kept.Kept | None:
    """What the file that is to be written has already; it must be of the same members."""
    if arguments.keep is None or not arguments.keep.exists():
        return None
    loaded, now = kept.load(arguments.keep), fingerprints(ensemble)
    if loaded.members != now:
        others = sorted(name for name in loaded.members.keys() | now.keys() if loaded.members.get(name) != now.get(name))
        raise ConfigError([f"{arguments.keep}: is of other members ({', '.join(others)} differ); name another file"])
    return loaded


async def _from_kept(arguments: argparse.Namespace, loaded: kept.Kept, ensemble: Ensemble, questions: Sequence[QuestionSet]) -> _Found:
    """Make the cases of a file ready, without models."""
    items, left_out = _chosen(questions, first=arguments.first, run_python=True)
    given, not_given = kept.cases(loaded, items)
    names = sorted(member.name for member in ensemble.candidates)
    if names != sorted(name for name in loaded.members if name in names) or loaded.ensemble != ensemble.name:
        raise ConfigError([f"{arguments.kept}: holds replies of {loaded.ensemble}, not of {ensemble.name}"])
    with ReplyStore(None) as store:
        store.fill(loaded.replies)
        models = {member.name: CachedModel(AbsentModel(member), store, loaded.judge) for member in ensemble.members}
        async with Sandbox() as sandbox:
            team = replace(Team.of(loaded.engine, ensemble, models), sandbox=None if arguments.no_compute else sandbox)
            ready = await contests.ready(given, team, at_once=arguments.at_once, hear_judge=not arguments.no_judge)
    return _Found(ready=ready, asked=cases.Asked(cases=tuple(given), broken=()), team=team, left_out=left_out, not_given=not_given)


def _to_keep(found: _Found, sets: Mapping[str, str]) -> kept.Kept:
    team, judge = found.team, found.team.judge
    return kept.Kept(
        version=1,
        ensemble=team.ensemble.name,
        engine=team.engine,
        members=fingerprints(team.ensemble),
        sets=dict(sets),
        cases=tuple(kept.kept_case(one.case) for one in found.ready),
        judge=judge.identity if isinstance(judge, CachedModel) else "",
        replies={key: reply for one in found.ready for key, reply in one.replies.items()},
    )


def _tables(
    arguments: argparse.Namespace, found: _Found, ensemble: Ensemble, sets: Mapping[str, str]
) -> tuple[Callable[[contests.Ready], Measured], str]:
    """The table that may be used for each case, and where it comes from, for people."""
    table = ensemble.measured
    if table is None:
        fitted = f"it ships without a table; what is said with one is by {fit.FOLDS}-fold cross-validation"
        return fit.cross_fitted(found.ready, ensemble), fitted
    if arguments.fit or not set(sets.values()).isdisjoint(table.questions.sets.values()):
        return fit.cross_fitted(found.ready, ensemble), f"the table is counted on these questions: {fit.FOLDS}-fold cross-validation"
    return _always(table), "the table was counted on other questions"


def _report(arguments: argparse.Namespace, found: _Found, ensemble: Ensemble, sets: Mapping[str, str]) -> report.Report:
    """The figures; what is fitted on these very questions is cross-validated."""
    ready = found.ready
    table_of, fitted = _tables(arguments, found, ensemble, sets)
    apart = [one for one in ready if not one.case.item.set.startswith(compare.APART)]
    parts = [_part("all sets", ready, ensemble, table_of)]
    if 0 < len(apart) < len(ready):
        parts.append(_part("without the templated sets", apart, ensemble, table_of))
    asked, could = compare.judge_share(ready, ensemble, compare.as_shipped(ensemble, table_of))
    heard = [one for one in ready if one.reading is not None]
    ablation = _ablation(ready, ensemble, table_of) if arguments.ablation else None
    return report.Report(
        ensemble=ensemble.name,
        engine=found.team.engine,
        questions=sets,
        seeds=len({one.case.seed for one in ready}),
        fitted=fitted,
        parts=parts,
        judge_asked=asked,
        judge_could_be=could,
        judge_tokens=mean([float(one.read_tokens) for one in heard]),
        judge_s=mean([one.read_s for one in heard]),
        candidates_s=mean([max(answer.seconds for answer in one.case.answers) for one in heard]),
        ablation=ablation,
        broken=found.asked.broken,
        lost=found.asked.lost,
        left_out=found.left_out,
        not_given=found.not_given,
        rewriting=found.rewriting,
        unread=sum(one.unread for one in ready),
        failed=Counter(failure.member for one in ready for failure in one.case.failures),
    )


def _always(table: Measured) -> Callable[[contests.Ready], Measured]:
    return lambda _: table


def _ablation(ready: Sequence[contests.Ready], ensemble: Ensemble, table_of: Callable[[contests.Ready], Measured]) -> report.Ablation:
    nothing, reasons = compare.ablation(ready, ensemble, table_of)
    return report.Ablation(nothing=nothing, reasons=reasons, checks=compare.checked(ready))


def _part(title: str, ready: Sequence[contests.Ready], ensemble: Ensemble, table_of: Callable[[contests.Ready], Measured]) -> report.Part:
    rows = compare.rows(ready, ensemble, table_of)
    return report.Part(title=title, cases=len(ready), differing=sum(one.differs for one in ready), rows=rows)


def _rewriting(rewritten: Sequence[contests.Ready], plain: Sequence[contests.Ready], ensemble: Ensemble) -> report.Rewriting:
    """The same questions and seeds with the promptimizer and without; the choice by the same cross-validated tables."""
    before = {one.case.key: one for one in plain}
    pairs = [(one, before[one.case.key]) for one in rewritten if one.case.key in before]
    table_of = compare.as_shipped(ensemble, fit.cross_fitted(rewritten, ensemble))

    def drawn(one: contests.Ready) -> float:
        return sum(one.case.truths) / len(one.case.truths)

    def chosen(one: contests.Ready, by: contests.Ready) -> float:
        return compare.right(one, compare.chosen(one, ensemble, table_of(by)))

    gains = [drawn(one) - drawn(other) for one, other in pairs]
    refused = Counter(_sort_of(one.case.question) for one, _ in pairs if one.case.question.rewrite_refused)
    return report.Rewriting(
        asked=len(pairs),
        rewritten=sum(one.case.question.rewrite is not None for one, _ in pairs),
        refused=dict(refused),
        with_rewrite=mean([drawn(one) for one, _ in pairs]),
        without=mean([drawn(other) for _, other in pairs]),
        differing=sum(one.case.question.for_candidates != other.case.question.for_candidates for one, other in pairs),
        gain=paired_bootstrap(gains, [(one.case.item.set, one.case.item.id) for one, _ in pairs]),
        choice_with=mean([chosen(one, one) for one, _ in pairs]),
        choice_without=mean([chosen(other, one) for one, other in pairs]),
    )


def _sort_of(question: Question) -> str:
    """Why a question has no rewrite, without the words that it is about.

    >>> said = ('lost the number 5', 'added "word"', "is much longer than the prompt")
    >>> [_sort_of(Question(text="q", rewrite_refused=why, not_rewritten=NotRewritten.REJECTED)) for why in said]
    ['lost', 'added', 'is much longer']
    """
    if question.not_rewritten is not NotRewritten.REJECTED:
        return str(question.not_rewritten)
    words = (question.rewrite_refused or "").split()
    return words[0] if words[0] in {"lost", "added", "repeats"} else " ".join(words[:3]).rstrip(":")


if __name__ == "__main__":
    sys.exit(main())
