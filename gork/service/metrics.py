"""The service's metrics for Prometheus. Labels are bounded: configured members, existing routes, reasons from fixed sets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from gork import __version__
from gork.errors import ModelError
from gork.service.admission import AdmissionQueue, PromptPlaces
from gork.turn import ANSWER_NOW, Stage, Verdict

OUTCOMES: Final = ("answered", "no_answer", "cancelled", "stopped", "timeout", "error")
PROGRAMS: Final = ("printed", "failed")
REFUSALS: Final = ("full", "stopping", "unauthorized", "host", "origin", "too_large", "slow", "bad_http", "connections")
OTHER: Final = "other"


def _kinds(error: type[ModelError]) -> list[str]:
    return [error.kind, *(kind for child in error.__subclasses__() for kind in _kinds(child))]


KINDS: Final = tuple(dict.fromkeys(_kinds(ModelError)))
FALLBACKS: Final = (ANSWER_NOW, *KINDS, OTHER)

# Small models on a processor or two: a turn takes from a second to its deadline of five minutes, and loading comes on top.
_TURN_S = (0.5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900)
_STAGE_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 600)
_FIRST_TOKEN_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 90, 120, 180, 300)


class Metrics:
    """All metrics; each is there from the start, at zero."""

    def __init__(
        self, roles: Mapping[str, str], *, turns: AdmissionQueue, calls: AdmissionQueue, prompts: PromptPlaces, engine: str, ensemble: str
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each one, of no use here
        self.registry = registry = CollectorRegistry()
        candidates = [member for member, role in roles.items() if role == "candidate"]

        self.turns = Counter("gork_turns", "Turns by how they ended.", ["outcome"], registry=registry)
        self.turn_seconds = Histogram(
            "gork_turn_duration_seconds", "Turns from their start (time in line is before it).", buckets=_TURN_S, registry=registry
        )
        self.stage_seconds = Histogram(
            "gork_stage_duration_seconds",
            "Stages that answered turns went through.",
            ["stage"],
            buckets=_STAGE_S,
            registry=registry,
        )
        self.first_token = Histogram(
            "gork_first_token_seconds",
            "From a request (its model loaded) to its first token.",
            ["member"],
            buckets=_FIRST_TOKEN_S,
            registry=registry,
        )
        self.tokens = Counter(
            "gork_tokens",
            "Tokens that candidates read (prompt) and members wrote (completion).",
            ["member", "kind"],
            registry=registry,
        )
        self.verdicts = Counter("gork_verdicts", "Answers chosen, by whose they are.", ["member"], registry=registry)
        self.fallbacks = Counter("gork_fallbacks", "Turns that the configured order decided, by the reason.", ["reason"], registry=registry)
        self.close_calls = Counter("gork_close_calls", "Verdicts with a small margin.", registry=registry)
        self.judge_tokens = Counter("gork_judge_tokens", "Tokens that the judge read and wrote for verdicts.", registry=registry)
        self.calls = Counter("gork_calls", "Requests to one member alone, by how they ended.", ["member", "outcome"], registry=registry)
        self.failures = Counter("gork_model_failures", "Failures of members.", ["member", "kind"], registry=registry)
        self.programs = Counter(
            "gork_programs", "Programs that were run for answers, by what came of them.", ["outcome"], registry=registry
        )
        self.not_needed = Counter(
            "gork_not_needed",
            "Members that were stopped, since a turn was decided or its user wanted the answer.",
            ["member"],
            registry=registry,
        )
        self.refused = Counter("gork_refused", "Requests that were turned away, by the reason.", ["reason"], registry=registry)
        self.requests = Counter("gork_requests", "HTTP requests by route and status.", ["route", "status"], registry=registry)
        held = Gauge("gork_prompts", "Prompts that have a place beside the service.", registry=registry)
        held.set_function(partial(getattr, prompts, "taken"))
        self.member_inflight = Gauge("gork_member_inflight", "Requests that a member works on.", ["member"], registry=registry)
        self.member_up = Gauge("gork_member_up", "Whether a member could answer when it was last checked.", ["member"], registry=registry)
        info = Gauge("gork_info", "What runs here.", ["version", "engine", "ensemble"], registry=registry)
        info.labels(__version__, engine, ensemble).set(1)

        for name, what, queue in (("turns", "Turns", turns), ("calls", "Requests to one member alone", calls)):
            inflight = Gauge(f"gork_inflight_{name}", f"{what} that are worked on.", registry=registry)
            inflight.set_function(partial(getattr, queue, "inside"))
            queued = Gauge(f"gork_queued_{name}", f"{what} that wait in line.", registry=registry)
            queued.set_function(partial(getattr, queue, "waiting"))
        ProcessCollector(registry=registry)

        for counter, labels in (
            (self.turns, OUTCOMES),
            (self.fallbacks, FALLBACKS),
            (self.refused, REFUSALS),
            (self.programs, PROGRAMS),
            (self.verdicts, candidates),
        ):
            for label in labels:
                counter.labels(label)
        for stage in Stage:
            self.stage_seconds.labels(str(stage))
        for member in roles:
            self.member_inflight.labels(member)
            self.tokens.labels(member, "completion")
            self.failures.labels(member, ModelError.kind)
            self.not_needed.labels(member)

    def failed(self, member: str, kind: str) -> None:
        """Count a member's failure."""
        self.failures.labels(member, kind if kind in KINDS else OTHER).inc()

    def judged(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.verdicts.labels(verdict.winner).inc()
        self.judge_tokens.inc(verdict.judge_tokens)
        if verdict.fallback is not None:
            self.fallbacks.labels(verdict.fallback.kind if verdict.fallback.kind in FALLBACKS else OTHER).inc()
        if verdict.close:
            self.close_calls.inc()
