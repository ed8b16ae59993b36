"""Who takes which role: the records of an ensemble file, and the reader of such files (`gork/config/ensembles/*.yaml` or a user's own)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from gork.config.members import ANSWER_TOKENS, NAME, Member, OptionValue, Weights, read_member
from gork.config.signals import JUDGE_SIGNALS, SIGNALS
from gork.config.urls import printable, quoted
from gork.config.values import Wrong, choice, number, path, suggestion, text, whole
from gork.config.yaml_file import Key, Located, Mistakes, Table, checked, read_document, read_file, read_list, read_mapping
from gork.errors import ConfigError

__all__ = ["Choosing", "Ensemble", "Member", "OptionValue", "Weights", "load_ensemble", "read_ensemble", "shipped_ensembles"]

MOST_CANDIDATES = 8
_SHIPPED = Path(__file__).parent / "ensembles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A logistic curve from a verdict's margin to how often such verdicts are right; `python -m bench.judge` measures it."""

    offset: float = 0.0
    slope: float = 0.0

    def sureness(self, margin: float) -> float:
        """How often a verdict with this margin is right, as it was measured.

        >>> Calibration(offset=0.5, slope=1.0).sureness(0.5)
        0.7310585786300049
        """
        return 1 / (1 + math.exp(-(self.offset + self.slope * margin)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choosing:
    """How the winner is chosen; `docs/decisions.md` has the measurements behind the defaults."""

    policy: str = "combined"
    """Which signals decide: "combined" for all of them with their `weights`, or the name of one."""
    orders: int = 1
    judge_tokens: int = 1500
    prior: tuple[str, ...] = ()
    """Candidates, best first: decides when there is no verdict. The file's order of candidates if not given."""
    weights: Mapping[str, float] = field(default_factory=lambda: {"listwise": 1.0, "agreement": 1.0})
    """Of the signals, when the policy is combined."""
    close: float = 0.5
    """Below this margin a verdict is called close."""
    calibration: Calibration | None = None
    """What margins are worth, where that was measured."""

    def sureness(self, margin: float) -> float | None:
        """How often a verdict with this margin was right where that was measured (0 to 1); None where it was not."""
        return None if self.calibration is None else self.calibration.sureness(margin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """The members of a turn and how they work together."""

    name: str
    candidates: tuple[Member, ...]
    promptimizer: Member | None = None
    judge: Member | None = None
    choosing: Choosing = field(default_factory=Choosing)
    candidates_see: Literal["rewrite", "both", "original"] = "rewrite"
    context: int = 4096
    description: str = ""

    @property
    def members(self) -> tuple[Member, ...]:
        """All members: promptimizer, candidates, judge."""
        return tuple(m for m in (self.promptimizer, *self.candidates, self.judge) if m is not None)


def _prior(place: Located, mistakes: Mistakes) -> tuple[str, ...]:
    return tuple(checked(read_list(place, "candidates' names", most=MOST_CANDIDATES, mistakes=mistakes), NAME, mistakes))


WEIGHTS: Table = {name: Key(number(0, 100), kind.help) for name, kind in SIGNALS.items()}


def _signals(place: Located, mistakes: Mistakes) -> dict[str, float]:
    """The weights of the signals; one that is not given weighs nothing."""
    signals = read_mapping(place, WEIGHTS, mistakes)
    if not any(signals.values()):
        mistakes.add(place, "at least one weight must be above 0")
    return signals


CALIBRATION: Table = {
    "offset": Key(number(-20, 20), "The logarithm of the odds that a verdict without any margin is right."),
    "slope": Key(number(0, 100), "How much each unit of margin adds to it."),
}


def _calibration(place: Located, mistakes: Mistakes) -> Calibration:
    return Calibration(**read_mapping(place, CALIBRATION, mistakes, required=("offset", "slope")))


CHOOSING: Table = {
    "policy": Key(choice("combined", *SIGNALS), "What decides: all signals, or one of them alone."),
    "orders": Key(whole(1, 120), "In how many orders the judge reads the answers."),
    "judge_tokens": Key(whole(64, 131_072), "Most tokens that the judge reads; longer answers lose their middle."),
    "prior": Key(_prior, "The candidates, best first: decides when there is no verdict. The file's order if not given."),
    "weights": Key(_signals, "How much each signal counts when the policy is combined."),
    "close": Key(number(0, 100), "Below this margin a verdict is called close."),
    "calibration": Key(_calibration, "What margins are worth, as measured: shown as how sure a verdict is."),
}


def _choosing(place: Located, mistakes: Mistakes) -> Choosing:
    return Choosing(**read_mapping(place, CHOOSING, mistakes))


def _candidates(place: Located, mistakes: Mistakes) -> tuple[Member, ...]:
    items = read_list(place, "candidates", most=MOST_CANDIDATES, mistakes=mistakes)
    if place.value == []:
        mistakes.add(place, f"names no candidate, there must be one to {MOST_CANDIDATES}")
    members = [read_member(item, mistakes) for item in items]
    return tuple(member for member in members if member is not None)


ENSEMBLE: Table = {
    "name": Key(NAME, "The ensemble's name."),
    "description": Key(text(longest=1000), "One sentence for people."),
    "promptimizer": Key(read_member, "The member that rewrites the question; without it the question stays as it is."),
    "candidates": Key(_candidates, f"One to {MOST_CANDIDATES} members, which are asked at once."),
    "judge": Key(read_member, "The member that chooses; without it the other signals and the prior order do."),
    "choosing": Key(_choosing, "How the winner is chosen."),
    "candidates_see": Key(choice("rewrite", "both", "original"), "Which form of the question candidates get."),
    "context": Key(whole(512, 1_048_576), "Tokens of prompt and answer together that one request can use."),
}


def read_ensemble(text: str, source: str) -> Ensemble:
    """The ensemble that a file's text describes; `source` names the file. Raises a `ConfigError` that lists every mistake."""
    mistakes = Mistakes(source)
    root = read_document(text, mistakes)
    if root is None:
        if not mistakes:
            mistakes.add(1, "is empty, an ensemble has at least a name and candidates")
        raise mistakes.error()
    values = read_mapping(root, ENSEMBLE, mistakes, required=("name", "candidates"))
    _check_names(root, mistakes)
    if not mistakes:
        ensemble = _capped(Ensemble(**values))
        for misfit in misfits(ensemble):
            mistakes.add(root, misfit)
        if not mistakes:
            return ensemble
    raise mistakes.error()


def load_ensemble(name_or_path: str) -> Ensemble:
    """The shipped ensemble of that name, else the one in the file of that name. Raises a `ConfigError` that lists every mistake.

    Paths of weights in a file are taken from the file's own folder.
    """
    names = shipped_ensembles()
    if name_or_path in names:
        shipped = _SHIPPED / f"{name_or_path}.yaml"
        return read_ensemble(read_file(shipped), f"{_SHIPPED.parent.name}/{_SHIPPED.name}/{shipped.name}")
    if not is_file_name(name_or_path):
        raise ConfigError(
            [f"no ensemble {quoted(name_or_path)}{suggestion(name_or_path, names)} (there are {', '.join(names)}, or give a file)"]
        )
    try:
        file = path().check(name_or_path)
        return _from_folder(read_ensemble(read_file(file), name_or_path), file.parent)
    except Wrong as wrong:
        raise ConfigError([f"{printable(name_or_path)}: {wrong}"]) from None


def is_file_name(name_or_path: str) -> bool:
    """Whether this means an ensemble file rather than a shipped ensemble."""
    if name_or_path in shipped_ensembles():
        return False
    marked = any(mark in name_or_path for mark in ("/", "\\", "\0")) or name_or_path.endswith((".yaml", ".yml"))
    return marked or Path(name_or_path).is_file()


def _from_folder(ensemble: Ensemble, folder: Path) -> Ensemble:
    """The ensemble with paths of weights that stand on their own. Raises `Wrong`."""

    def placed(member: Member) -> Member:
        if member.weights is None or member.weights.path is None:
            return member
        return replace(member, weights=replace(member.weights, path=str(folder / path().check(member.weights.path))))

    return with_members(ensemble, placed)


def with_members(ensemble: Ensemble, change: Callable[[Member], Member]) -> Ensemble:
    """The ensemble with every member changed."""
    return replace(
        ensemble,
        promptimizer=ensemble.promptimizer and change(ensemble.promptimizer),
        candidates=tuple(change(member) for member in ensemble.candidates),
        judge=ensemble.judge and change(ensemble.judge),
    )


def shipped_ensembles() -> tuple[str, ...]:
    """The names of the ensembles that come with the program."""
    return tuple(sorted(file.stem for file in _SHIPPED.glob("*.yaml")))


def misfits(ensemble: Ensemble) -> list[str]:
    """What does not go together: token limits that the context cannot hold, a policy without the member that it needs."""
    context, choosing, found = ensemble.context, ensemble.choosing, []
    if ensemble.judge is None and choosing.policy in JUDGE_SIGNALS:
        found.append(f"choosing.policy: {choosing.policy} needs a judge, and there is none")
    if ensemble.judge is not None and choosing.judge_tokens >= context:
        found.append(f"choosing.judge_tokens: {choosing.judge_tokens} do not fit a context of {context}")
    for member in ensemble.members:
        most = member.options.get("num_predict")
        if isinstance(most, int) and most >= context:
            found.append(f"{member.name}: options.num_predict: {most} do not fit a context of {context}")
    return found


def _capped(ensemble: Ensemble) -> Ensemble:
    """The ensemble with a limit on the answer of each candidate whose file gives none."""
    most = min(ANSWER_TOKENS, ensemble.context // 2)
    candidates = (replace(member, options={"num_predict": most, **member.options}) for member in ensemble.candidates)
    return replace(ensemble, candidates=tuple(candidates))


def _named(member: Located | None) -> Located | None:
    """The place of a member's name, None if it has none that is text."""
    name = member.value.get("name") if member is not None and isinstance(member.value, dict) else None
    return name if name is not None and isinstance(name.value, str) else None


def _check_names(root: Located, mistakes: Mistakes) -> None:
    """Whether every member has a name of its own, and `prior` has each candidate once."""
    if not isinstance(root.value, dict):
        return
    given = root.value.get("candidates")
    candidates = [_named(item) for item in given.value] if given is not None and isinstance(given.value, list) else []
    others = [_named(root.value.get(role)) for role in ("promptimizer", "judge")]
    seen: dict[str, int] = {}
    for name in sorted((name for name in (*candidates, *others) if name is not None), key=lambda place: place.line):
        if name.value in seen:
            mistakes.add(name, f"{quoted(name.value)} is taken, by the member in line {seen[name.value]}")
        seen.setdefault(name.value, name.line)
    choosing = root.value.get("choosing")
    prior = choosing.value.get("prior") if choosing is not None and isinstance(choosing.value, dict) else None
    if prior is not None and isinstance(prior.value, list) and None not in candidates:
        _check_prior(prior, [name.value for name in candidates if name is not None], mistakes)


def _check_prior(prior: Located, names: list[str], mistakes: Mistakes) -> None:
    given = [item.value for item in prior.value]
    for at, item in enumerate(prior.value):
        if isinstance(item.value, str) and item.value not in names:
            mistakes.add(item, f"{quoted(item.value)} is no candidate{suggestion(item.value, names)}")
        elif item.value in given[:at]:
            mistakes.add(item, f"{quoted(str(item.value))} is named more than once")
    if missing := [name for name in names if name not in given]:
        mistakes.add(prior, f"leaves out {printable(', '.join(missing))}: every candidate has its place in it")
