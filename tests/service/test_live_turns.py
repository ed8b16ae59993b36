"""Turns that go on without a reader: read on by whoever holds their token, bounded in time and number, and stopped where nobody asked."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from gork.errors import NotFound
from gork.service import live_turns
from gork.service.live_turns import EventLog
from gork.service.service import ServiceLimits
from gork.turn import Answer, Answered, MemberState, Notice, Restarted, State, Token
from tests.support.scripted_service import ANSWERS, gated, scripted_service


class Asked:
    """A turn as its client knows it."""

    def __init__(self, server, reply):
        self._server, self._reply = server, reply
        self.id = self.token = ""
        self.last = 0

    async def events(self, reply=None):
        """Its events as they come: number, kind, data."""
        number, kind = 0, ""
        async for line in (reply or self._reply).content:
            name, _, value = line.decode().strip().partition(": ")
            if name == "id":
                number = int(value)
            elif name == "event":
                kind = value
            elif name == "data":
                data = json.loads(value)
                if kind == "accepted":
                    self.id, self.token = data["id"], data["token"]
                self.last = number or self.last
                yield number, kind, data
                number = 0

    async def until(self, wanted, text=""):
        """Read until an event of that kind, with that text in it."""
        async for _, kind, data in self.events():
            if kind == wanted and text in json.dumps(data):
                return data
        raise AssertionError("it ended")

    def again(self, *, after=None, token=None, turn_id=None):
        """Ask for it once more."""
        headers = {"X-Turn-Token": self.token if token is None else token}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        return self._server.client.get(f"{self._server.url}/api/deliberate/{turn_id or self.id}", headers=headers)

    async def stop(self, token=None):
        """Have it stopped; gives the status."""
        return await self.tell("stop", token)

    async def tell(self, what, token=None):
        """Ask something of it; gives the status."""
        headers = {"X-Turn-Token": token or self.token}
        async with self._server.client.post(f"{self._server.url}/api/deliberate/{self.id}/{what}", headers=headers) as reply:
            return reply.status


@asynccontextmanager
async def running(*, keep=True, limits=None, **body):
    """A turn in which llama has written two words and waits for the gate."""
    gate = asyncio.Event()
    answers = {**ANSWERS, "llama": gated(gate, "Nice.", before="It might be ")}
    async with (
        scripted_service(answers=answers, limits=limits) as server,
        server.post("/api/deliberate", {"question": "capital of france pls", "keep": keep, **body}) as reply,
    ):
        asked = Asked(server, reply)
        await asked.until("token", "It might be")
        yield server, asked, gate


async def test_a_turn_that_is_kept_is_read_on_where_it_was():
    """After its client has left it runs; the next reader gets what follows the last event, with the whole turn at the end."""
    async with running() as (server, asked, gate):
        before = asked.last
        asked._reply.close()
        async with asked.again(after=before) as reply:
            assert (200, asked.id) == (reply.status, reply.headers["X-Turn-Id"])
            gate.set()
            events = [event async for event in asked.events(reply)]
        assert all(number > before for number, _, _ in events)
        assert "finished" == events[-1][1]
        assert ["It might be Nice."] == [data["text"] for _, kind, data in events if kind == "answered" and data["member"] == "llama"]
        assert {"stage": "judge", "members": ["judge"]} in [data for _, kind, data in events if kind == "stage"]
        assert 1 == len(server.models["llama"].asked)


async def test_a_turn_that_has_ended_is_read_for_some_minutes_more(monkeypatch):
    """From its beginning as well: what each answer says comes once, as a whole; then it is forgotten."""
    async with running() as (server, asked, gate):
        gate.set()
        await asked.until("finished")
        async with asked.again() as reply:
            events = [event async for event in asked.events(reply)]
        assert ("accepted", "finished") == (events[0][1], events[-1][1])
        assert {"promptimizer"} >= {data["member"] for _, kind, data in events if kind == "token"}
        assert sorted(ANSWERS) == sorted(data["member"] for _, kind, data in events if kind == "answered")
        async with asked.again(after=asked.last) as reply:
            assert [] == [event async for event in asked.events(reply)]
        server.service.live._ended._kept_s = -1.0
        async with asked.again() as reply:
            assert 404 == reply.status


async def test_only_whoever_holds_its_token_can_read_and_stop_it():
    """Another token and another id are the same 404; so is a turn that nobody asked to be kept."""
    async with running() as (server, asked, gate):
        for how in ({"token": "x"}, {"token": ""}, {"turn_id": "0" * 12}, {"token": "é"}):
            async with asked.again(**how) as reply:
                assert 404 == reply.status
        assert 404 == await asked.tell("stop", "x")
        async with asked.again(after="x") as reply:
            assert 400 == reply.status
        gate.set()
        await asked.until("finished")
    async with running(keep=False) as (server, asked, gate):
        async with asked.again() as reply:
            assert 404 == reply.status
        with pytest.raises(NotFound):
            server.service.live.find(asked.id, "")


async def test_whoever_holds_its_token_may_have_its_answer_now():
    """What is finished is judged at once, what llama wrote is kept as cut; a turn that has ended stays as it is."""
    async with running() as (_, asked, _):
        assert 404 == await asked.tell("answer-now", "x")
        assert 204 == await asked.tell("answer-now")
        turn = await asked.until("finished")
        assert [("It is **Paris**.\n", True), ("It might be ", False)] == [
            (answer["text"], answer["complete"]) for answer in turn["answers"] if answer["member"] != "qwen-small"
        ]
        assert ([], []) == (turn["failures"], turn["not_needed"])
        assert 204 == await asked.tell("answer-now")


async def test_a_member_that_is_not_needed_is_counted_apart():
    """It is no failure, and who reads on later is not sent what it had begun."""
    gate, silent = asyncio.Event(), asyncio.Event()
    answers = {**ANSWERS, "llama": gated(gate, "Nice.", reached=silent.set)}
    async with (
        scripted_service(answers=answers) as server,
        server.post("/api/deliberate", {"question": "capital of france pls", "keep": True}) as reply,
    ):
        asked = Asked(server, reply)
        await asked.until("answered", "Paris")
        await silent.wait()
        await asked.tell("answer-now")
        turn = await asked.until("finished")
        async with server.client.get(server.url + "/metrics") as metrics:
            lines = (await metrics.text()).splitlines()

    assert (["llama"], []) == (turn["not_needed"], turn["failures"])
    assert 'gork_not_needed_total{member="llama"} 1.0' in lines
    assert 'gork_not_needed_total{member="qwen"} 0.0' in lines
    assert 'gork_model_failures_total{kind="error",member="llama"} 0.0' in lines


def test_what_a_member_wrote_that_is_not_needed_is_forgotten():
    """Whoever reads from the beginning is told of it, and not sent its pieces."""
    log = EventLog(kept=True)
    for event in (Token("a", "It"), Token("b", "That"), MemberState("a", State.NOT_NEEDED, "decided")):
        log.add(event)

    _, data = log.after(0)

    assert (data.count(b"event: token"), data.count(b"not_needed")) == (1, 1)


async def test_two_turns_have_two_secrets():
    """And neither is the other's, nor the id."""
    async with running() as (server, asked, _), server.post("/api/deliberate", {"question": "x", "keep": True}) as reply:
        other = Asked(server, reply)
        await other.until("accepted")
        assert 4 == len({asked.id, asked.token, other.id, other.token})
        assert 32 == len(asked.token)
        async with asked.again(turn_id=other.id) as mixed:
            assert 404 == mixed.status


async def test_stop_stops_all_models_at_once():
    """Whoever reads it is told; the place in the queue is free again."""
    async with running() as (server, asked, _), asked.again(after=asked.last) as other:
        assert 204 == await asked.tell("stop")
        assert {"kind": "cancelled", "message": "this turn was stopped"} == await asked.until("broken")
        assert ["broken"] == [kind async for _, kind, _ in asked.events(other)]
        assert 0 == server.service.turns.queue.inside
        assert 204 == await asked.tell("stop")


async def test_a_turn_that_is_not_kept_ends_with_its_client():
    """As it always was: leaving stops all models."""
    async with running(keep=False) as (server, asked, _):
        assert 0 == asked.last
        asked._reply.close()
        async with asyncio.timeout(5):
            await server.service.idle()


async def test_a_turn_for_which_nobody_comes_back_is_stopped():
    """After its time without a reader; one that is read has no such limit."""
    async with running(limits=ServiceLimits(unattended_s=0.05)) as (server, asked, _):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await server.service.idle()
        asked._reply.close()
        async with asyncio.timeout(5):
            await server.service.idle()
        async with asked.again() as reply:
            assert "nobody was reading this turn any more" in (await reply.text())


async def test_only_some_turns_go_on_without_a_reader(monkeypatch):
    """Beyond their number the one that has waited longest gives way."""
    monkeypatch.setattr(live_turns, "MOST_UNATTENDED", 1)
    async with running() as (server, first, gate):
        turn = server.service.live.find(first.id, first.token)
        first._reply.close()
        while turn.ends is None:  # then nobody reads it
            await asyncio.sleep(0.01)
        async with server.post("/api/deliberate", {"question": "in line", "keep": True}) as reply:
            second = Asked(server, reply)
            await second.until("accepted")
        while turn.running:
            await asyncio.sleep(0.01)
        gate.set()
        async with first.again() as one, second.again() as other:
            assert "cancelled" in await one.text()
            assert "event: finished" in await other.text()


def answered(member, text):
    """A candidate's answer as an event."""
    return Answered(Answer(member=member, text=text, model="m"))


def test_a_log_that_is_kept_lets_go_of_what_has_come_as_a_whole():
    """Pieces of an answer go when it is there, or when it is begun anew; all else stays, under its number."""
    log = EventLog(kept=True)
    for event in (Notice("n"), Token("a", "one"), Token("b", "two"), answered("a", "one"), Token("b", "three"), Restarted("b", "why")):
        log.add(event)
    last, data = log.after(0)
    assert (6, [1, 4, 6]) == (last, [int(line[4:]) for line in data.split(b"\n") if line.startswith(b"id: ")])
    assert log.size == len(data)
    assert (6, b"") == log.after(6)


def test_a_log_that_is_not_kept_has_only_what_was_not_read():
    """Its events have no numbers, and are gone when they have been read."""
    log = EventLog(kept=False)
    log.add(Token("a", "one"))
    last, data = log.after(0)
    assert (1, b'event: token\ndata: {"member":"a","text":"one"}\n\n', 0) == (last, data, log.size)
    log.add(answered("a", "one"))
    assert log.after(last)[1].startswith(b"event: answered")
