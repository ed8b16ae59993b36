"""One model in one role: its record, and the tables that say what an ensemble file may say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gork.config.values import number, text, url, whole
from gork.config.weights import MEMBER_WEIGHTS, Weights, read_weights, weights_from
from gork.config.yaml_file import Key, Located, Mistakes, Table, checked, read_list, read_mapping

ANSWER_TOKENS = 512
"""`num_predict` of a candidate whose file gives none: an answer without an end would hold up the turn and overrun the judge."""

MOST_EXAMPLES, MOST_STOPS = 32, 16

OptionValue = float | int | str | bool | tuple[str, ...]
"""One sampling option, under the name that Ollama gives it (temperature, top_p, num_predict, stop ...)."""


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
    "weights": Key(read_weights, "A GGUF file for the embedded engine, with its sources in order."),
    **MEMBER_WEIGHTS,
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
    about = sorted(given & (MEMBER_WEIGHTS.keys() - _SOURCES))
    if not given & (_SOURCES | {"url", "model", "weights"}):
        mistakes.add(place, "says nothing of its model: give a url, a model or weights (path, pypi or hub)")
    elif "weights" in given and given & MEMBER_WEIGHTS.keys():
        mistakes.add(place.value[min(given & MEMBER_WEIGHTS.keys())], "is said beside weights: write it there")
    elif about and not given & _SOURCES:
        mistakes.add(place.value[about[0]], "is about weights, and none are given (path, pypi or hub)")
    elif "wheel_sha256" in given and "pypi" not in given:
        mistakes.add(place.value["wheel_sha256"], "is about a wheel, and there is no pypi")
    short = {key: values.pop(key) for key in MEMBER_WEIGHTS if key in values}
    weights = values.pop("weights", None) or weights_from(**short)
    return Member(**values, weights=weights) if "name" in values else None
