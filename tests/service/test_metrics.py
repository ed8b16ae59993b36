"""The figures of /metrics, read with Prometheus' own parser after real turns."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gork.service.metrics import FALLBACKS, KINDS
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.service_setup import MODELS, kinds, lines, serving


@pytest.fixture
async def ollama():
    """A server with all models; the judge prefers the first slot by much."""
    async with FakeOllama(*MODELS) as server:
        for model in "abc":
            server.say(model, f"The answer of {model} is long enough.")
        yield server


async def answered(at, text="What is up?"):
    """A turn to its end."""
    async with at.ask(text) as reply:
        assert (await kinds(reply))[-1] == "finished"


async def test_everything_is_there_before_the_first_turn(ollama):
    """Series that may count are at zero from the start: a rate over them is right from the first event on."""
    async with serving(ollama) as at:
        figures = await at.metrics()
        async with at.client.get(f"{at.url}/metrics") as reply:
            assert reply.headers["Content-Type"].startswith("text/plain; version=")
    for name in (
        "gork_turns_total{outcome=answered}",
        "gork_turns_total{outcome=no_answer}",
        "gork_turn_duration_seconds_count",
        "gork_stage_duration_seconds_count{stage=judge}",
        "gork_tokens_total{kind=completion,member=a}",
        "gork_verdicts_total{member=c}",
        "gork_fallbacks_total{reason=timeout}",
        "gork_close_calls_total",
        "gork_inflight_turns",
        "gork_queued_turns",
        "gork_member_inflight{member=judge}",
        "gork_refused_total{reason=full}",
    ):
        assert figures[name] == 0, name
    assert figures["gork_info{engine=ollama,ensemble=test,version=0.1.0}"] == 1
    assert figures["process_resident_memory_bytes"] > 2**20


async def test_a_scraper_may_ask_for_the_newer_format(ollama):
    """OpenMetrics by content negotiation, as Prometheus does."""
    newer = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with serving(ollama) as at, at.client.get(f"{at.url}/metrics", headers=newer) as reply:
        assert reply.headers["Content-Type"].startswith("application/openmetrics-text")
        assert (await reply.text()).endswith("# EOF\n")


async def test_a_turn_is_counted_with_its_stages_tokens_and_verdict(ollama):
    """One answered turn: its outcome, the stages that it went through, what was read and written, who won."""
    ollama.say("rewriter", "What is the capital of Germany?")
    async with serving(ollama, optimize=True) as at:
        await answered(at, "wat is teh captial of germny?")
        figures = await at.metrics()
    assert figures["gork_turns_total{outcome=answered}"] == 1
    assert figures["gork_turn_duration_seconds_count"] == 1
    assert 0 < figures["gork_turn_duration_seconds_sum"] < 60
    for stage in ("rewrite", "answer", "judge"):
        assert figures[f"gork_stage_duration_seconds_count{{stage={stage}}}"] == 1
    assert figures["gork_tokens_total{kind=completion,member=a}"] == 7
    assert figures["gork_tokens_total{kind=prompt,member=a}"] > 5
    assert figures["gork_tokens_total{kind=completion,member=rewriter}"] == 6
    assert figures["gork_first_token_seconds_count{member=b}"] == 1
    assert sum(figures[f"gork_verdicts_total{{member={member}}}"] for member in "abc") == 1
    assert sum(figures[f"gork_fallbacks_total{{reason={reason}}}"] for reason in FALLBACKS) == 0
    assert [figures[f"gork_member_inflight{{member={member}}}"] for member in MODELS] == [0] * 5


async def test_a_stage_that_was_left_out_is_not_counted(ollama):
    """Without a rewrite there is no rewrite that took no time."""
    async with serving(ollama, optimize=False) as at:
        await answered(at)
        assert (await at.metrics())["gork_stage_duration_seconds_count{stage=rewrite}"] == 0


@pytest.mark.parametrize(
    ("break_judge", "reason"),
    [
        (lambda ollama: ollama.models.remove("judge"), "missing"),
    ],
)
async def test_a_turn_without_a_verdict_is_counted_with_its_reason(ollama, break_judge, reason):
    """The reason is one of a few words, whatever the message says."""
    for model, text in zip("abc", ("one", "two", "three"), strict=True):
        ollama.say(model, text)
    break_judge(ollama)
    async with serving(ollama) as at:
        await answered(at)
        figures = await at.metrics()
    assert {name for name in FALLBACKS if figures[f"gork_fallbacks_total{{reason={name}}}"]} == {reason}
    assert figures["gork_verdicts_total{member=a}"] == 1


async def test_a_candidates_failure_is_not_the_reason_of_a_fallback(ollama):
    """One candidate fails and the judge's model is gone: that alone is why it had no say."""
    ollama.say("b", Reply(status=500, error="out of order"))
    ollama.models.remove("judge")
    for model, text in zip("ac", ("one", "two"), strict=True):
        ollama.say(model, text)
    async with serving(ollama) as at:
        await answered(at)
        figures = await at.metrics()
    assert (figures["gork_fallbacks_total{reason=missing}"], figures["gork_fallbacks_total{reason=refused}"]) == (1, 0)


async def test_failures_of_members_are_counted_by_their_kind(ollama):
    """One candidate fails, the turn is answered; all fail, it is not."""
    ollama.say("b", Reply(status=404, error="model 'b' not found"))
    async with serving(ollama) as at:
        await answered(at)
        assert (await at.metrics())["gork_model_failures_total{kind=missing,member=b}"] == 1
        for model in "ac":
            ollama.say(model, Reply(status=500, error="out of order"))
        async with at.ask() as reply:
            assert (await kinds(reply))[-1] == "error"
        figures = await at.metrics()
    assert figures["gork_model_failures_total{kind=refused,member=a}"] == 1
    assert (figures["gork_turns_total{outcome=answered}"], figures["gork_turns_total{outcome=no_answer}"]) == (1, 1)


async def test_what_is_going_on_is_seen_while_it_goes_on(ollama):
    """Turns that run and that wait, and who works on them."""
    pause = asyncio.Event()
    ollama.say("a", Reply("one two", pauses={1: pause}))
    async with serving(ollama, turns=1, queue=2) as at, at.ask() as first, at.ask() as second:
        async for kind, data in lines(first):
            if kind == "token" and data["member"] == "a":
                break
        figures = await at.metrics()
        assert (figures["gork_inflight_turns"], figures["gork_queued_turns"]) == (1, 1)
        assert figures["gork_member_inflight{member=a}"] == 1
        pause.set()
        assert [kind async for kind, _ in lines(first)][-1] == "finished"
        assert (await kinds(second))[-1] == "finished"
        figures = await at.metrics()
        assert (figures["gork_inflight_turns"], figures["gork_queued_turns"], figures["gork_member_inflight{member=a}"]) == (0, 0, 0)


async def test_tokens_of_a_turn_that_was_broken_off_are_counted_too(ollama):
    """What was written was work, also if nobody waited for its end."""
    pause = asyncio.Event()
    ollama.say("a", Reply("one two three", pauses={2: pause}))
    async with serving(ollama) as at:
        async with at.ask() as reply:
            async for kind, data in lines(reply):
                if kind == "token" and data == {"member": "a", "text": " two"}:
                    break
        reply.close()
        await ollama.until(lambda: ollama.cancelled == ["a"])
        await at.service.idle()
        figures = await at.metrics()
    assert figures["gork_tokens_total{kind=completion,member=a}"] == 2
    assert figures["gork_turns_total{outcome=cancelled}"] == 1


async def test_members_that_are_up_and_down(ollama):
    """A scrape asks them, as a probe does."""
    ollama.models.remove("b")
    async with serving(ollama) as at:
        figures = await at.metrics()
    assert (figures["gork_member_up{member=a}"], figures["gork_member_up{member=b}"]) == (1, 0)


async def test_one_member_alone_is_no_turn(ollama):
    """A request to one member has a counter of its own."""
    async with serving(ollama) as at:
        async with at.client.post(f"{at.url}/api/call", params={"member": "a"}) as reply:
            assert (await reply.json())["text"].startswith("The answer of a")
        figures = await at.metrics()
    assert figures["gork_calls_total{member=a,outcome=answered}"] == 1
    assert sum(value for name, value in figures.items() if name.startswith("gork_turns_total")) == 0
    assert figures["gork_tokens_total{kind=completion,member=a}"] == 7


async def test_nothing_that_clients_send_becomes_a_label(ollama):
    """Paths, names and ids from outside do not grow the exposition: routes are those that exist."""
    async with serving(ollama) as at:
        before = set(await at.metrics())
        for number in range(30):
            async with at.client.post(f"{at.url}/api/nothing{number}", headers={"X-Request-Id": f"id{number}"}) as reply:
                assert reply.status == 404
            async with at.client.get(f"{at.url}/v1/models/model{number}") as reply:
                assert reply.status == 404
        after = set(await at.metrics())
    assert {name.partition("{")[2] for name in after - before} == {
        "route=/metrics,status=200}",
        "route=unmatched,status=404}",
        "route=/v1/models/{model},status=404}",
    }


async def test_names_and_units_are_as_prometheus_has_them(ollama):
    """One prefix, base units, help for each."""
    async with serving(ollama) as at:
        families = list(text_string_to_metric_families(await at.text("/metrics")))
    assert {family.name.split("_")[0] for family in families} == {"gork", "process"}
    assert all(family.documentation for family in families)
    assert not [family.name for family in families if family.name.endswith("_created")]
    (turns,) = (family for family in families if family.name == "gork_turn_duration_seconds")
    buckets = {sample.labels.get("le") for sample in turns.samples}
    assert {"300.0", "600.0", "+Inf"} <= buckets


def test_kinds_of_failures_are_those_of_the_tree_of_errors():
    """A new kind of error is counted under its own name without anybody thinking of it."""
    assert set(KINDS) == {"error", "unreachable", "missing", "timeout", "refused", "busy", "too_long", "bad_reply", "wrong_form", "died"}


async def test_two_services_in_one_process_count_for_themselves(ollama):
    """There is no registry that everything shares."""
    async with serving(ollama) as one, serving(ollama) as other:
        await answered(one)
        assert (await one.metrics())["gork_turns_total{outcome=answered}"] == 1
        assert (await other.metrics())["gork_turns_total{outcome=answered}"] == 0
