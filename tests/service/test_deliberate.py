"""The product's own API over real HTTP: what is asked reaches the models, what happens arrives as it does, nothing else gets through."""

from __future__ import annotations

import asyncio
import json
import re

import aiohttp
import jsonschema
import pytest

from gork.service.service import ServiceLimits
from gork.wire import decode, encode
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.heavy_lite import MODELS, heavy_lite
from tests.support.served import post, serving_fake
from tests.support.turns import SCHEMA

CANDIDATES = ("qwen-small", "qwen", "llama")
TAGS = dict(zip(("promptimizer", *CANDIDATES, "judge"), MODELS, strict=True))


@pytest.fixture
async def fake():
    """A fake local Ollama with the five models, whose judge likes the answer with Paris in it."""
    async with heavy_lite() as server:
        yield server


def asked(fake: FakeOllama, member: str = "llama") -> dict[str, object]:
    """The newest chat with a member."""
    return [body for body in fake.chats if body["model"] == TAGS[member]][-1]


class TestEvents:
    async def test_a_turn_arrives_as_its_events(self, fake):
        """First who answers, then every stage and token, at the end the turn as `--json` prints it, under the id of the header."""
        async with serving_fake(fake) as served:
            reply = await post(f"{served.url}/api/deliberate", {"question": "capital of france pls", "seed": 7})

        kinds = [kind for kind, _ in reply.events]
        accepted, turn = json.loads(reply.events[0][1]), json.loads(reply.events[-1][1])
        assert (200, "text/event-stream") == (reply.status, reply.headers["Content-Type"])
        assert ("no-store", "no") == (reply.headers["Cache-Control"], reply.headers["X-Accel-Buffering"])
        assert ("accepted", "finished") == (kinds[0], kinds[-1])
        assert 1 == kinds.count("finished")
        assert ["rewrite", "answer", "judge"] == [json.loads(data)["stage"] for kind, data in reply.events if kind == "stage"]
        assert {"accepted", "stage", "member", "token", "rewritten", "answered", "judged", "finished"} == set(kinds)
        assert {"promptimizer": "promptimizer", **dict.fromkeys(CANDIDATES, "candidate"), "judge": "judge"} == accepted["members"]
        assert ("ollama", "heavy-lite") == (accepted["engine"], accepted["ensemble"])
        assert turn["id"] == accepted["id"] == reply.headers["X-Turn-Id"]
        jsonschema.validate(turn, SCHEMA)
        assert ("It is Paris.", "qwen", 7) == (turn["answer"], turn["winner"], turn["seed"])

    async def test_every_event_can_be_read_back(self, fake):
        """What is sent is what `gork.wire` reads, nothing lost."""
        async with serving_fake(fake) as served:
            reply = await post(f"{served.url}/api/deliberate", {"question": "capital of france pls"})

        for kind, data in reply.events:
            event = decode(kind, data)
            assert event is not None
            assert (kind, json.loads(data)) == (encode(event)[0], json.loads(encode(event)[1]))

    async def test_a_word_arrives_while_the_models_still_write(self, fake):
        """Tokens are not collected: the first one is there before its model is allowed to go on."""
        go_on = asyncio.Event()
        fake.say(TAGS["qwen"], Reply("It is Paris.", pauses={1: go_on}))
        async with (
            serving_fake(fake, optimize=False) as served,
            aiohttp.ClientSession() as client,
            client.post(f"{served.url}/api/deliberate", json={"question": "q"}) as reply,
        ):
            async for line in reply.content:
                if line == b'data: {"member":"qwen","text":"It"}\n':
                    break
            assert not go_on.is_set()
            go_on.set()
            assert b'"answer":"It is Paris."' in await reply.read()

    async def test_silence_is_filled_with_comments(self, fake):
        """While nothing happens there is a comment at the pace of the beat, from before the first event on."""
        gate = asyncio.Event()
        for member in CANDIDATES:
            fake.say(TAGS[member], Reply("yes", gate=gate))
        async with (
            serving_fake(fake, limits=ServiceLimits(heartbeat_s=0.01), optimize=False) as served,
            aiohttp.ClientSession() as client,
            client.post(f"{served.url}/api/deliberate", json={"question": "q"}) as reply,
        ):
            assert b": beat\n" == await reply.content.readline()
            beats = 0
            async for line in reply.content:
                beats += line == b": beat\n"
                if beats == 3:
                    break
            gate.set()
            assert b"event: finished\n" in await reply.read()

    async def test_a_turn_without_an_answer_ends_with_the_reasons(self, fake):
        """The last event names every candidate's reason, and there is no finished turn."""
        for member in CANDIDATES:
            fake.say(TAGS[member], Reply(status=500, error="out of memory"))
        async with serving_fake(fake, optimize=False) as served:
            reply = await post(f"{served.url}/api/deliberate", {"question": "q"})

        kind, data = reply.events[-1]
        broken = json.loads(data)
        assert (200, "broken", "no_answer") == (reply.status, kind, broken["kind"])
        assert all(member in broken["message"] for member in CANDIDATES)
        assert 3 == [kind for kind, _ in reply.events].count("failed")

    async def test_half_a_character_from_a_model_does_not_break_the_stream(self, fake):
        """A model that writes a lone surrogate is read as everybody else."""
        fake.say(TAGS["qwen"], Reply("", tokens=("It is", " Paris \ud83d", ".")))
        async with serving_fake(fake, optimize=False) as served:
            reply = await post(f"{served.url}/api/deliberate", {"question": "q"})

        assert "finished" == reply.events[-1][0]
        assert "It is Paris \N{REPLACEMENT CHARACTER}." == json.loads(reply.events[-1][1])["answer"]

    async def test_a_mistake_of_ours_is_told_without_its_inside(self, fake, caplog):
        """An exception that is no `GorkError` ends the stream with a broken event; its text is for the log."""

        async def explain(_turn, _on_event):
            raise KeyError("secret")

        async with serving_fake(fake, explain=explain) as served:
            turn = json.loads((await post(f"{served.url}/api/deliberate", {"question": "q"})).events[-1][1])
            reply = await post(f"{served.url}/api/explain", {"turn": turn})

        assert ("broken", "error") == (reply.events[-1][0], json.loads(reply.events[-1][1])["kind"])
        assert b"secret" not in reply.raw
        assert "secret" in caplog.text


class TestAsking:
    async def test_what_is_asked_reaches_the_candidates(self, fake):
        """History, system, sampling options and the seed; without a rewrite where none is wanted."""
        body = {
            "question": "and in Go?",
            "history": [{"role": "user", "content": "Sort in C?"}, {"role": "assistant", "content": "qsort"}],
            "system": "Be brief.",
            "optimize": False,
            "seed": 41,
            "options": {"temperature": 0, "stop": ["END"], "num_predict": 9, "top_k": None},
        }
        async with serving_fake(fake) as served:
            reply = await post(f"{served.url}/api/deliberate", body)

        chat = asked(fake)
        assert "finished" == reply.events[-1][0]
        assert "Be brief." in chat["messages"][0]["content"]
        assert ["Sort in C?", "qsort", "and in Go?"] == [message["content"] for message in chat["messages"][-3:]]
        assert {"temperature": 0.0, "stop": ["END"], "num_predict": 9}.items() <= chat["options"].items()
        assert "top_k" not in chat["options"]
        assert 41 == json.loads(reply.events[-1][1])["seed"]
        assert TAGS["promptimizer"] not in [body["model"] for body in fake.chats]

    async def test_a_conversation_that_is_too_long_loses_its_oldest_turns(self, fake):
        """Whole turns go, what is left begins with the user, and a notice says how many went."""
        history = [{"role": role, "content": f"{role} {turn} " + "x" * 1000} for turn in range(9) for role in ("user", "assistant")]
        async with serving_fake(fake, history_tokens="1800", optimize=False) as served:
            reply = await post(f"{served.url}/api/deliberate", {"question": "q", "history": history})

        sent = [message["content"][:11].strip("x ") for message in asked(fake)["messages"] if message["role"] != "system"]
        assert ["user 7", "assistant 7", "user 8", "assistant 8", "q"] == sent
        assert "notice" == reply.events[1][0]
        assert b"The 7 oldest turns did not fit" in reply.events[1][1]

    async def test_timeouts_only_become_shorter(self, fake):
        """What a client wants is cut to the service's own."""
        seen = []
        async with serving_fake(fake, timeout="60", judge_timeout="20", candidate_timeout="30", rewrite_timeout="10") as served:

            async def ask(question, on_event, how, **_):
                seen.append((how.timeout, how.rewrite_timeout, how.candidate_timeout, how.judge_timeout))
                return await inner(question, on_event, how)

            inner, served.service.ask = served.service.ask, ask
            wanted = {"timeout": 5, "rewrite_timeout": 600, "candidate_timeout": 2.5}
            await post(f"{served.url}/api/deliberate", {"question": "q", **wanted})

        assert [(5, 10, 2.5, 20)] == seen

    @pytest.mark.parametrize(
        ("body", "what"),
        [
            (b"", "missing request body"),
            (b"question", "not valid JSON"),
            (b"[" * 100_000, "nested"),
            ([], "Expected `object`"),
            ({}, "question"),
            ({"question": 1}, "$.question"),
            ({"question": None}, "$.question"),
            ({"question": " \n"}, "the question is empty"),
            ({"question": "x" * 70_000}, "70,000 bytes"),
            ({"question": "q", "history": [{"role": "system", "content": "x"}]}, "$.history[0].role"),
            ({"question": "q", "history": [{"role": "user"}]}, "content"),
            ({"question": "q", "history": "x"}, "$.history"),
            ({"question": "q", "seed": -1}, "$.seed"),
            ({"question": "q", "seed": 1.5}, "$.seed"),
            ({"question": "q", "seed": 2**31}, "$.seed"),
            ({"question": "q", "timeout": 0}, "$.timeout"),
            ({"question": "q", "timeout": "5"}, "$.timeout"),
            ({"question": "q", "optimize": "no"}, "$.optimize"),
            ({"question": "q", "options": {"temprature": 1}}, 'did you mean "temperature"'),
            ({"question": "q", "options": {"temperature": 99}}, "options.temperature must be a number from 0 to 5, not 99"),
            ({"question": "q", "options": {"temperature": True}}, "options.temperature"),
            ({"question": "q", "options": {"num_predict": -1}}, "options.num_predict"),
            ({"question": "q", "options": {"num_ctx": 9}}, "options.num_ctx"),
            ({"question": "q", "options": {"stop": ["x"] * 17}}, "options.stop"),
            ({"question": "q", "options": {"stop": ""}}, "options.stop"),
            ({"question": "q", "options": {"stop": {"a": 1}}}, "$.options"),
        ],
    )
    async def test_what_cannot_be_asked_is_refused_with_its_place(self, fake, body, what):
        """A 400 in one line, before any model is asked."""
        async with serving_fake(fake) as served:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            reply = await post(f"{served.url}/api/deliberate", data=raw)

        assert 400 == reply.status
        assert "application/json" in reply.headers["Content-Type"]
        assert what in json.loads(reply.raw)["error"]
        assert [] == fake.chats


class TestLimits:
    async def test_who_leaves_stops_every_model(self, fake):
        """A closed connection reaches all three candidates as theirs."""
        gate = asyncio.Event()
        for member in CANDIDATES:
            fake.say(TAGS[member], Reply("It is Paris.", pauses={1: gate}))
        async with serving_fake(fake, optimize=False) as served:
            async with aiohttp.ClientSession() as client, client.post(f"{served.url}/api/deliberate", json={"question": "q"}):
                await fake.until(lambda: fake.in_progress == 3)
            await fake.until(lambda: fake.in_progress == 0, 1)

            assert sorted(TAGS[member] for member in CANDIDATES) == sorted(fake.cancelled)
            assert 0 == served.service.turns.queue.inside

    async def test_who_waits_is_told_how_many_are_ahead(self, fake):
        """The second of two turns is queued behind none, and begins when the first one ends."""
        gate = asyncio.Event()
        fake.answer_with(TAGS["qwen"], lambda body: Reply("yes", gate=gate if body["messages"][-1]["content"] == "first" else None))
        async with serving_fake(fake, optimize=False, turns="1", queue="1") as served, asyncio.TaskGroup() as group:
            url = f"{served.url}/api/deliberate"
            first = group.create_task(post(url, {"question": "first"}))
            await fake.until(lambda: fake.in_progress == 1)
            async with aiohttp.ClientSession() as client, client.post(url, json={"question": "second"}) as second:
                line = b""
                while not line.startswith(b"event: queued"):
                    line = await second.content.readline()
                assert b'data: {"ahead":0}\n' == await second.content.readline()
                full = await post(url, {"question": "third"})
                gate.set()
                assert b"event: finished" in await second.read()

        assert "finished" == first.result().events[-1][0]
        assert 503 == full.status
        assert re.fullmatch("[0-9]+", full.headers["Retry-After"])
        assert "1 running and 1 waiting" in json.loads(full.raw)["error"]

    async def test_a_service_that_is_being_stopped_says_so_in_the_stream(self, fake):
        """Whoever has a running turn then gets a last event for it."""
        gate = asyncio.Event()
        fake.say(TAGS["qwen"], Reply("It is Paris.", gate=gate))
        async with serving_fake(fake, optimize=False) as served, asyncio.TaskGroup() as group:
            asking = group.create_task(post(f"{served.url}/api/deliberate", {"question": "q"}))
            await fake.until(lambda: fake.in_progress > 0)
            from gork.errors import Stopping

            served.service.give_up(Stopping("the service is being stopped"))

        assert ("broken", {"kind": "stopped", "message": "the service is being stopped"}) == (
            asking.result().events[-1][0],
            json.loads(asking.result().events[-1][1]),
        )


class TestMembers:
    async def test_the_members_are_listed_with_their_states(self, fake):
        """In the order of a turn; one whose model is missing says what to do."""
        fake.models.remove(TAGS["llama"])
        async with serving_fake(fake) as served, aiohttp.ClientSession() as client, client.get(f"{served.url}/api/members") as reply:
            said = await reply.json()

        rows = {row["member"]: row for row in said["members"]}
        assert ("gork-heavy-lite", "ollama", "heavy-lite", 4096) == (said["name"], said["engine"], said["ensemble"], said["context"])
        assert list(TAGS) == list(rows)
        assert ("judge", "gemma3:1b") == (rows["judge"]["role"], rows["judge"]["model"])
        assert "ollama pull llama3.2:1b" in rows["llama"]["state"]
        assert "installed" in rows["qwen"]["state"]

    async def test_nobody_waits_for_a_member_that_hangs(self, fake):
        """The list is there at once, and says which has not replied; once it has not for long enough, that it cannot answer."""
        gate = asyncio.Event()
        fake.pages["/api/version"] = Reply(gate=gate)
        states = []
        for limits in (ServiceLimits(health_wait_s=0.05), ServiceLimits(health_wait_s=5.0, health_check_s=0.2)):
            async with serving_fake(fake, limits=limits) as served, served.client.get(f"{served.url}/api/members") as reply:
                states.append({row["state"] for row in (await reply.json())["members"]})
        gate.set()

        assert [{"it has not replied yet"}, {"cannot answer: it does not reply within 0.2 s"}] == states


class TestExplaining:
    async def test_the_judge_says_why(self, fake):
        """Its words as they come, then all of them."""
        async with serving_fake(fake) as served:
            turn = json.loads((await post(f"{served.url}/api/deliberate", {"question": "q"})).events[-1][1])
            reply = await post(f"{served.url}/api/explain", {"turn": turn})

        words = [json.loads(data) for kind, data in reply.events if kind == "token"]
        assert {"judge"} == {word["member"] for word in words}
        assert "It is right." == "".join(word["text"] for word in words)
        assert ("explained", {"text": "It is right."}) == (reply.events[-1][0], json.loads(reply.events[-1][1]))
        assert "Answer B was chosen" in asked(fake, "judge")["messages"][-1]["content"]

    async def test_a_judge_that_fails_is_told(self, fake):
        """The last event has its reason."""
        async with serving_fake(fake) as served:
            turn = json.loads((await post(f"{served.url}/api/deliberate", {"question": "q"})).events[-1][1])
            fake.say(TAGS["judge"], Reply(status=500, error="out of memory"))
            reply = await post(f"{served.url}/api/explain", {"turn": turn})

        assert ("broken", "error") == (reply.events[-1][0], json.loads(reply.events[-1][1])["kind"])
        assert "out of memory" in json.loads(reply.events[-1][1])["message"]

    @pytest.mark.parametrize(
        "change",
        [
            {"winner": "nobody"},
            {"answers": []},
            {"seed": 2**40},
            {"seed": -1},
            {"verdict": None},
            {"question": {}},
            {"answers": "many"},
            {"answers": "twice"},
        ],
        ids=str,
    )
    async def test_what_is_no_turn_is_refused(self, fake, change):
        """A 400: nothing of it reaches the judge."""
        async with serving_fake(fake) as served:
            turn = json.loads((await post(f"{served.url}/api/deliberate", {"question": "q"})).events[-1][1])
            if change == {"answers": "many"}:
                change = {"answers": [*turn["answers"], *({**turn["answers"][0], "member": f"m{n}"} for n in range(30))]}
            elif change == {"answers": "twice"}:
                change = {"answers": turn["answers"] * 2}
            before = len(fake.chats)
            reply = await post(f"{served.url}/api/explain", {"turn": {**turn, **change}})

        assert 400 == reply.status
        assert "turn" in json.loads(reply.raw)["error"]
        assert before == len(fake.chats)

    async def test_without_a_judge_there_is_nobody_to_ask(self, fake, tmp_path):
        """A 404 that says so."""
        file = tmp_path / "two.yaml"
        file.write_text("name: two\ncandidates: [{name: a, model: 'llama3.2:1b'}, {name: b, model: 'qwen3:0.6b'}]\n")
        async with serving_fake(fake, ensemble=str(file)) as served:
            reply = await post(f"{served.url}/api/explain", {"turn": {}})

        assert 404 == reply.status
        assert "no judge" in json.loads(reply.raw)["error"]
