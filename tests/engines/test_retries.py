"""A model that did not answer is asked again where that may help, within its time, and not where it would only make people wait."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from gork.config.ensemble import Member
from gork.engines.retries import Retries
from gork.errors import BadReply, Busy, Died, ModelError, Refused, Unreachable
from gork.turn import MemberState, Restarted, State
from tests.support.fake_ollama import FakeOllama
from tests.support.fake_server import Body, Reply
from tests.support.ollama_setup import MODEL, SOON, Talk, engine
from tests.support.server_setup import OLLAMA, OPENAI, settled

LOCAL = Member(name="qwen", model=MODEL)
PATIENT = replace(SOON, patience=30.0)


def error(kind: type[ModelError] = Unreachable, retry_after_s: float | None = None) -> ModelError:
    """An error of this kind."""
    return kind("connection refused", member="qwen", where="http://qwen:11434", retry_after_s=retry_after_s)


class Clock:
    """A clock that is moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def pauses(kind: type[ModelError], *, well_at: float | None, limit_s: float | None, retry_after_s: float | None = None, seed: int = 1):
    """The pauses of a call of which every try fails at once, until it is given up."""
    clock, given = Clock(), list[float]()
    retries = Retries(patience_s=60.0, clock=clock, rng=random.Random(seed))
    while len(given) < 100:
        left = None if limit_s is None else 100.0 + limit_s - clock.now
        pause = retries.pause(error(kind, retry_after_s), well_at=well_at, left_s=left)
        if pause is None:
            return given
        given.append(pause)
        clock.now += pause
    raise AssertionError("it never ends")


def test_the_pauses_grow_up_to_a_few_seconds_and_differ_from_caller_to_caller():
    """Many callers of one server that is back do not come all at once, and none of them long after."""
    one, other = (pauses(Unreachable, well_at=100.0, limit_s=None, seed=seed) for seed in (1, 2))

    assert one != other
    assert one[0] <= 0.4
    assert one[1] < 0.8
    assert all(2.0 <= pause <= 4.0 for pause in one[4:])
    assert 50 < sum(one) < 60


@pytest.mark.parametrize(("well_at", "limit_s", "most"), [(100.0, 20.0, 20.0), (50.0, None, 10.0), (30.0, None, 0.0), (None, 180.0, 0.0)])
def test_a_server_that_is_gone_is_waited_for_while_it_has_been_well_a_moment_ago(well_at, limit_s, most):
    """Within the call's time, and not at all where it has been away for longer or was never there."""
    waited = sum(pauses(Unreachable, well_at=well_at, limit_s=limit_s))

    assert most - 4.0 <= waited <= most


def test_a_busy_server_that_does_not_say_for_how_long_is_asked_a_few_times():
    """Whether or not it has ever answered: for most of a minute and further and further apart, at different times by each caller."""
    one, other = (pauses(Busy, well_at=None, limit_s=180.0, seed=seed) for seed in (1, 2))

    assert one != other
    assert 6 <= len(one) <= 9
    assert 30 < sum(one) < 60
    assert all(later > earlier for earlier, later in itertools.pairwise(one[:6]))


@pytest.mark.parametrize(("limit_s", "most"), [(20.0, 20.0), (None, 60.0)])
def test_a_busy_server_is_not_waited_for_beyond_the_call(limit_s, most):
    """A rewrite has less time than a busy server may take; a call without a limit is bounded too."""
    assert most / 2 < sum(pauses(Busy, well_at=None, limit_s=limit_s)) < most


def test_what_a_server_asks_to_wait_is_waited():
    """Never less, whatever kind of refusal it is; a wait that would outlast the call is not begun."""
    given = pauses(Refused, well_at=None, limit_s=32.0, retry_after_s=10.0)

    assert len(given) == 3
    assert all(10.0 <= pause <= 10.4 for pause in given)
    assert pauses(Busy, well_at=None, limit_s=20.0, retry_after_s=3600.0) == []


def test_what_asking_again_cannot_mend_is_not_asked_again():
    """A refusal or a reply of another kind stays what it is."""
    assert pauses(Refused, well_at=100.0, limit_s=180.0) == pauses(BadReply, well_at=100.0, limit_s=180.0) == []


@pytest.fixture
async def server():
    """A fake Ollama with one loaded model."""
    async with FakeOllama(MODEL) as fake:
        fake.loaded[MODEL] = 2048
        yield fake


@pytest.mark.parametrize("kind", [OLLAMA, OPENAI], ids=lambda kind: kind.name)
async def test_a_busy_server_that_says_when_answers_in_the_end(kind):
    """429 and 503 with Retry-After, then the answer: the call is one, and the user is told what is waited for, whatever the server is."""
    async with kind.fake() as server, kind.engine(server) as one:
        server.say(
            MODEL,
            Reply(status=429, error="slow down", headers={"Retry-After": "0"}),
            Reply(status=503, error="upstream is restarting", headers={"Retry-After": "0"}),
            "Here it is.",
        )
        settled(one)
        talk = Talk(one.models["qwen"])
        completion = await talk.chat(limit_s=20.0)

    remarks = [event.detail for event in talk.events if isinstance(event, MemberState) and event.state is State.WAITING]
    assert completion.text == "Here it is."
    assert len(server.chats) == 3
    assert [remark.partition(": ")[2] for remark in remarks] == ["slow down (HTTP 429)", "upstream is restarting (HTTP 503)"]


async def test_a_server_that_is_restarted_in_the_middle_of_an_answer_is_asked_again(server):
    """Its connection breaks, nobody listens for a while, and when it is back the answer is had after all."""

    def broken_off(_body: Body) -> Reply:
        server.away = 6
        server.say(MODEL, "The whole answer.")
        return Reply("Half an", cut=True)

    server.answer_with(MODEL, broken_off)
    async with engine(LOCAL, host=server.url, deadlines=PATIENT) as one:
        talk = Talk(one.models["qwen"])
        completion = await talk.chat(limit_s=20.0)

    assert completion.text == "The whole answer."
    assert server.away == 0
    changes = [state for state, _ in itertools.groupby(talk.states())]
    assert changes == ["reading", "writing", "waiting", "loading", "reading", "writing"]
    assert talk.states().count("waiting") > 1
    assert [event.why for event in talk.events if isinstance(event, Restarted)] == ["the connection broke before the reply was complete"]


async def test_a_server_that_was_never_there_is_not_waited_for(unused_tcp_port):
    """Nobody who forgot to start Ollama waits for it."""
    async with engine(LOCAL, host=f"http://127.0.0.1:{unused_tcp_port}", deadlines=PATIENT) as one:
        talk = Talk(one.models["qwen"])
        with pytest.raises(Unreachable, match="connection refused"):
            await talk.chat(limit_s=20.0)

    assert talk.states() == []


async def test_a_server_that_stays_away_ends_with_its_own_reason(server):
    """Not with a deadline: what is known is said, and how often it was asked."""
    async with engine(LOCAL, host=server.url, deadlines=replace(SOON, patience=1.0)) as one:
        talk = Talk(one.models["qwen"])
        assert (await one.models["qwen"].check()).ok
        server.pages["/api/ps"] = Reply(status=502, raw=b"", headers={"Content-Type": "text/html"})
        with pytest.raises(Unreachable, match=r"HTTP 502 .*\(asked \d times in [01] s\)"):
            await talk.chat(limit_s=20.0)


async def test_a_second_death_is_final_also_for_a_patient_caller(server):
    """A model that dies of its question would die of it again and again."""
    server.say(MODEL, Reply("Half an", cut=True))
    async with engine(LOCAL, host=server.url, deadlines=PATIENT) as one:
        with pytest.raises(Died):
            await Talk(one.models["qwen"]).chat(limit_s=20.0)

    assert len(server.chats) == 2
