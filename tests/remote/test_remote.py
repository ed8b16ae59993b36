"""A running service in place of models here: what is asked there, what is shown of it, and what is told when it does not work."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from dataclasses import replace

import jsonschema
import pytest
from msgspec import structs

from gork import remote
from gork.config.settings import Settings, load_settings
from gork.engines.http import HttpLimits
from gork.errors import NoAnswer, NoService, ServiceError
from gork.service.service import ServiceLimits
from gork.turn import QUESTIONS_CODE, Answered, Event, Finished, Notice, Question, Token, Turn
from gork.wire import Accepted, Broken, Queued, encode
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.heavy_lite import MODELS
from tests.support.paths import ROOT
from tests.support.program import Program
from tests.support.pty_program import CTRL_C, CTRL_D, on_terminal
from tests.support.scripted_service import ANSWERS, gated, scripted_service
from tests.support.served import serving_fake
from tests.support.turns import SCHEMA, TURN

CANDIDATES = MODELS[1:4]
ROLES = {"a": "candidate", "b": "candidate", "c": "candidate", "d": "candidate"}
MEMBERS = {
    "version": "0.1.0",
    "engine": "ollama",
    "ensemble": "three",
    "members": [{"member": name, "role": role, "model": f"{name}:1", "where": "", "state": ""} for name, role in ROLES.items()],
}
BEGINNING = Accepted(TURN.id, "ollama", "three", ROLES)


@pytest.fixture
async def fake():
    """A fake local Ollama with the five models, whose judge likes the answer with Paris in it."""
    async with FakeOllama(*MODELS) as server:
        for model, says in zip(MODELS, ("What is the capital?", "It is Lyon.", "It is Paris.", "Nice.", "It is right."), strict=True):
            server.say(model, says)
        yield server


def told(url: str, **environ: str) -> Settings:
    """The settings of somebody who names this service."""
    return load_settings({"server": url}, environ)


def on_the_wire(*events: object) -> bytes:
    """Events as a service sends them."""
    return b"".join(b"event: %s\ndata: %s\n\n" % (kind.encode(), data) for kind, data in map(encode, events))


class Impostor:
    """What answers where a service should be: bytes of a test's choice, for each path its own."""

    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

    def __init__(self) -> None:
        self.says: dict[str, bytes] = {"/api/members": self.json(MEMBERS)}
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.stays = False
        """Whether the connection stays open behind what is said."""
        self.left = asyncio.Event()

    @staticmethod
    def json(value: object, status: str = "200 OK", headers: str = "") -> bytes:
        """A reply of JSON."""
        return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Connection: close\r\n\r\n{json.dumps(value)}".encode()

    def stream(self, *events: object) -> None:
        """Answer questions and explanations with these events."""
        self.says["/api/deliberate"] = self.says["/api/explain"] = self.HEAD + on_the_wire(*events)

    async def __aenter__(self) -> Impostor:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = re.search(rb"Content-Length: (\d+)", head)
        self.bodies.append(await reader.readexactly(int(length[1])) if length else b"")
        path = head.split()[1].decode()
        writer.write(self.says.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n"))
        try:
            await writer.drain()
            if self.stays and path != "/api/members":
                await reader.read()
                self.left.set()
        except ConnectionError:
            self.left.set()
        writer.close()


@pytest.fixture
async def impostor():
    """Something that answers at a port."""
    async with Impostor() as answering:
        yield answering


class TestTurns:
    async def test_the_wish_for_an_answer_now_reaches_the_models_there(self):
        """The turn ends with what is finished, and with what was cut."""
        begun, wish = asyncio.Event(), asyncio.Event()
        answers = {**ANSWERS, "llama": gated(asyncio.Event(), "Nice.", before="It might be ")}

        def heard(event: Event) -> None:
            if isinstance(event, Token) and event.member == "llama":
                begun.set()

        async with scripted_service(answers=answers) as server:
            there = await remote.reach(told(server.url))
            asked = asyncio.create_task(there.ask(Question(text="capital of france pls"), heard, answer_now=wish))
            await asyncio.wait_for(begun.wait(), 10)
            wish.set()
            turn = await asyncio.wait_for(asked, 10)

        assert ("It might be ", "stopped") == next((one.text, one.stop) for one in turn.answers if one.member == "llama")

    async def test_a_service_that_knows_no_such_wish_goes_on_and_it_is_said(self, impostor):
        """Another version, for example."""
        impostor.stream(BEGINNING)
        impostor.stays = True
        wish, said = asyncio.Event(), asyncio.Event()
        there = await remote.reach(told(impostor.url))
        wish.set()

        def heard(event: Event) -> None:
            if isinstance(event, Notice) and "is not to be had now" in event.text:
                said.set()

        asked = asyncio.create_task(there.ask(Question(text="q"), heard, answer_now=wish))
        await asyncio.wait_for(said.wait(), 10)
        assert not asked.done()
        asked.cancel()
        await asyncio.wait({asked})

    async def test_what_the_code_of_a_question_gives_comes_from_there_too(self):
        """Its author is no member of the ensemble."""
        async with scripted_service() as server:
            there = await remote.reach(told(server.url))
            events = []
            turn = await there.ask(Question(text="What does print(0.1 + 0.2) print in Python?"), events.append)

        assert (QUESTIONS_CODE, "0.30000000000000004") == (turn.winner.member, turn.answer)
        assert QUESTIONS_CODE in [event.answer.member for event in events if isinstance(event, Answered)]

    async def test_a_turn_there_is_a_turn_here(self, fake):
        """The answer, the verdict and every event are the service's; the id too."""
        events = []
        async with serving_fake(fake) as served:
            there = await remote.reach(told(served.url))
            turn = await there.ask(Question(text="capital of france pls"), events.append, structs.replace(there.settings, seed=5))

        assert ("It is Paris.", "qwen", 5) == (turn.answer, turn.winner.member, turn.seed)
        assert [Finished(turn)] == events[-1:]
        assert {"It", " is", " Paris.", " Lyon.", "Nice."} <= {event.text for event in events if isinstance(event, Token)}
        jsonschema.validate(turn.as_json(), SCHEMA)

    async def test_a_service_may_stand_below_a_path(self, impostor):
        """As behind an ingress."""
        impostor.says = {f"/gork{path}": reply for path, reply in impostor.says.items()}
        there = await remote.reach(told(f"{impostor.url}/gork/"))

        assert "three" == there.settings.ensemble.name

    async def test_who_answers_there_is_known_from_the_start(self, fake):
        """The ensemble with its roles, so that everybody has a row before anything happens; and one line for people."""
        async with serving_fake(fake) as served:
            there = await remote.reach(told(served.url))
            rows = await there.check()

        ensemble = there.settings.ensemble
        assert ("heavy-lite", 4096) == (ensemble.name, ensemble.context)
        assert ("promptimizer", "judge") == (ensemble.promptimizer.name, ensemble.judge.name)
        assert ["qwen-small", "qwen", "llama"] == [member.name for member in ensemble.candidates]
        assert f"engine: Ollama, ensemble heavy-lite (the service at {served.url}, version 0.1.0)" == there.line
        assert ["promptimizer", "qwen-small", "qwen", "llama", "judge"] == [row.member for row in rows]

    @pytest.mark.parametrize(
        ("flags", "sent"),
        [
            ({}, {}),
            ({"seed": "3"}, {"seed": 3}),
            ({"optimize": False}, {"optimize": False}),
            ({"optimize": True}, {"optimize": True}),
            (
                {"timeout": "9", "judge_timeout": "2", "rewrite_timeout": "1", "candidate_timeout": "3"},
                {"timeout": 9.0, "judge_timeout": 2.0, "rewrite_timeout": 1.0, "candidate_timeout": 3.0},
            ),
        ],
        ids=str,
    )
    async def test_only_what_was_said_travels(self, impostor, flags, sent):
        """A default of ours does not override what the service was told."""
        impostor.stream(BEGINNING, Finished(TURN))
        there = await remote.reach(load_settings({"server": impostor.url, **flags}, {}))
        history = ({"role": "user", "content": "half \ud800"}, {"role": "assistant", "content": "b"})
        await there.ask(Question(text="q", history=history), lambda _: None)

        body = json.loads(impostor.bodies[-1])
        assert ["half ?", "b"] == [message["content"] for message in body.pop("history")]
        assert {"question": "q", **sent} == body

    async def test_a_turn_in_line_says_so(self, impostor):
        """Each change of the place in line is a notice."""
        impostor.stream(BEGINNING, Queued(1), Queued(0), Finished(TURN))
        events = []
        await (await remote.reach(told(impostor.url))).ask(Question(text="q"), events.append)

        assert [
            Notice("the service is busy with another turn: this one waits in line, after 1 other"),
            Notice("the service is busy with another turn: this one waits in line"),
            Finished(TURN),
        ] == events

    async def test_time_in_line_is_no_time_of_the_turn(self, impostor, fake):
        """A turn may wait for longer than it may take, as long as the service shows that it is there."""
        first, gate = asyncio.Event(), asyncio.Event()
        fake.answer_with("qwen3:0.6b", lambda body: Reply("yes", gate=gate if body["messages"][-1]["content"] == "first" else None))
        async with (
            serving_fake(fake, optimize=False, turns="1", limits=ServiceLimits(heartbeat_s=0.02)) as served,
            asyncio.TaskGroup() as group,
        ):
            there = await remote.reach(told(served.url))
            asking = group.create_task(there.ask(Question(text="first"), lambda _: None))
            await fake.until(lambda: fake.in_progress == 1)
            short = structs.replace(there.settings, timeout=0.1, load_timeout=0.1)
            waiting = group.create_task(there.ask(Question(text="second"), lambda event: isinstance(event, Notice) and first.set(), short))
            await first.wait()
            await asyncio.wait({waiting}, timeout=0.5)
            assert not waiting.done()
            gate.set()

        assert ("yes", 3) == (next(a.text for a in asking.result().answers if a.member == "qwen-small"), len(waiting.result().answers))

    async def test_leaving_stops_the_models_there(self, fake):
        """Cancelling here closes the connection, and every model sees it."""
        gate = asyncio.Event()
        for model in CANDIDATES:
            fake.say(model, Reply("It is Paris.", pauses={1: gate}))
        async with serving_fake(fake, optimize=False) as served:
            there = await remote.reach(told(served.url))
            asking = asyncio.create_task(there.ask(Question(text="q"), lambda _: None))
            await fake.until(lambda: fake.in_progress == 3)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await fake.until(lambda: fake.in_progress == 0, 1)

        assert sorted(CANDIDATES) == sorted(fake.cancelled)

    async def test_nobody_answered_there_is_nobody_answered_here(self, fake):
        """The same error with each candidate's reason."""
        for model in CANDIDATES:
            fake.say(model, Reply(status=500, error="out of memory"))
        async with serving_fake(fake, optimize=False) as served:
            there = await remote.reach(told(served.url))
            with pytest.raises(NoAnswer, match=r"no candidate answered:\n  qwen-small at .*out of memory.*\n  qwen at ") as caught:
                await there.ask(Question(text="q"), lambda _: None)

        assert 3 == len(caught.value.reasons)

    async def test_the_judge_there_says_why(self, fake):
        """Its words as they come, and at the end."""
        events = []
        async with serving_fake(fake) as served:
            there = await remote.reach(told(served.url))
            turn = await there.ask(Question(text="q"), lambda _: None)
            assert "It is right." == await there.explain(turn, events.append)

        assert "It is right." == "".join(event.text for event in events if isinstance(event, Token))

    async def test_another_ensemble_than_at_the_start_is_told(self, impostor):
        """A service that was replaced in between goes on, and says whose answers these are."""
        impostor.stream(Accepted(TURN.id, "ollama", "others", {**ROLES, "b": "judge"}), Finished(TURN))
        events = []
        await (await remote.reach(told(impostor.url))).ask(Question(text="q"), events.append)

        assert [Notice("the service has another ensemble now: others"), Finished(TURN)] == events


class TestTrouble:
    async def ask(self, impostor: Impostor, **environ: str) -> Turn:
        """Ask what answers there."""
        there = await remote.reach(told(impostor.url, **environ), again="AGAIN")
        return await there.ask(Question(text="q"), lambda _: None)

    @pytest.mark.parametrize(
        ("reply", "what"),
        [
            (b"", "went away"),
            (
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                r"not a service .*\(it answers HTTP 404\): check the URL",
            ),
            (Impostor.json({"error": "not found"}, "404 Not Found"), "not a service of this program .it answers HTTP 404, not found"),
            (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", "not a service of this program"),
            (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "is the service that this proxy stands for running"),
            (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP"),
            (Impostor.json([]), "not a service of this program"),
            (Impostor.json({}), "not a service of this program"),
            (Impostor.json({**MEMBERS, "members": []}), "members that make no ensemble"),
            (Impostor.json({**MEMBERS, "members": MEMBERS["members"] * 2}), "members that make no ensemble"),
            (Impostor.json({**MEMBERS, "members": MEMBERS["members"] * 4}), "not a service of this program"),
            (Impostor.json({**MEMBERS, "members": [{**row, "role": "judge"} for row in MEMBERS["members"]]}), "no ensemble"),
            (Impostor.json({**MEMBERS, "members": [{**MEMBERS["members"][0], "member": "\x1b[31m"}]}), "not a service of this program"),
            (Impostor.json({**MEMBERS, "context": -1}), "not a service of this program"),
        ],
        ids=lambda value: value[:60].decode() if isinstance(value, bytes) else value[:30],
    )
    async def test_who_is_no_service_of_ours_is_told_at_the_start(self, impostor, reply, what):
        """Another program, another protocol, nobody behind a proxy: one line with the URL and what to look at."""
        impostor.says["/api/members"] = reply
        with pytest.raises(NoService, match=what) as caught:
            await self.ask(impostor)

        assert f"the service at {impostor.url} " in str(caught.value)
        assert str(caught.value).isprintable()

    async def test_nobody_at_all_is_told(self, unused_tcp_port):
        """A refused connection, by its name."""
        with pytest.raises(NoService, match=f"the service at http://127.0.0.1:{unused_tcp_port} cannot be reached: connection refused"):
            await remote.reach(told(f"http://127.0.0.1:{unused_tcp_port}"))

    async def test_a_name_that_nobody_knows_is_told(self):
        """So is a typing error in the host."""
        with pytest.raises(NoService, match="its host name is unknown"):
            await remote.reach(told("http://gork.invalid:8080"))

    @pytest.mark.parametrize(
        ("reply", "what"),
        [
            (Impostor.json({"error": "no"}, "401 Unauthorized"), "needs a token .HTTP 401.: set GORK_TOKEN or GORK_TOKEN_FILE"),
            (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "needs a token"),
            (Impostor.json({"error": "this host is not allowed"}, "403 Forbidden"), "refused this .HTTP 403.: this host is not allowed"),
            (
                b"HTTP/1.1 307 Moved\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
                "redirects to http://elsewhere/ .*not followed",
            ),
            (Impostor.json({"error": "too many"}, "503 Full", "Retry-After: 5\r\n"), "is busy: too many; try again in 5 s"),
            (Impostor.json({"error": "too many"}, "503 Full", "Retry-After: \x1b[2J\r\n"), "is busy: too many; try again later"),
            (Impostor.json({"error": "\x1b[31m" + "x" * 1000}, "500 Oops"), r"refused this .HTTP 500.: \[31mx{290}"),
        ],
        ids=lambda value: value[:30].decode() if isinstance(value, bytes) else value[:30],
    )
    async def test_a_service_that_refuses_is_told_as_one(self, impostor, reply, what):
        """There is a service, and models here do not answer in its place."""
        impostor.says["/api/members"] = reply
        with pytest.raises(ServiceError, match=what) as caught:
            await self.ask(impostor)

        assert not isinstance(caught.value, NoService)
        assert str(caught.value).isprintable()

    async def test_a_token_goes_to_the_service_alone(self, impostor):
        """As a bearer; not after a redirect, and into no message."""
        async with Impostor() as elsewhere:
            impostor.stream(BEGINNING, Finished(TURN))
            await self.ask(impostor, GORK_TOKEN="s3cret-token")
            assert [True, True] == [b"\r\nAuthorization: Bearer s3cret-token\r\n" in head for head in impostor.heads]

            impostor.says["/api/members"] = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n".encode()
            with pytest.raises(ServiceError, match="redirects") as redirected:
                await self.ask(impostor, GORK_TOKEN="s3cret-token")
            impostor.says["/api/members"] = Impostor.json({"error": "no"}, "401 Unauthorized")
            with pytest.raises(ServiceError, match="does not accept the token that it was sent") as refused:
                await self.ask(impostor, GORK_TOKEN="s3cret-token")

            assert [] == elsewhere.heads
            assert "s3cret" not in f"{redirected.value}{refused.value}"

    @pytest.mark.parametrize(
        ("stream", "what"),
        [
            (b"", "went away before the turn had ended: AGAIN"),
            (on_the_wire(BEGINNING, Token("a", "x")), "went away before the turn had ended: AGAIN"),
            (on_the_wire(BEGINNING, Broken("stopped", "whatever")), "is being stopped: AGAIN in a moment"),
            (on_the_wire(Broken("error", "it\x1b[31m broke")), r"gave up: it \[31m broke"),
            (on_the_wire(Token("a", "x")), "does not answer a question as it should"),
            (on_the_wire(Finished(TURN)), "does not answer a question as it should"),
            (on_the_wire(BEGINNING, Finished(replace(TURN, id="ffffffffffff"))), "a different turn from the one it started"),
            (on_the_wire(replace(BEGINNING, members={"a": "candidate"}), Finished(TURN)), "a different turn from the one it started"),
            (on_the_wire(replace(BEGINNING, id="\x1b[31m")), "impossible start"),
            (on_the_wire(replace(BEGINNING, members={f"m{number}": "candidate" for number in range(11)})), "impossible start"),
            (on_the_wire(BEGINNING) + b"event: token\ndata: {}\n\n", "sent an invalid token event"),
            (on_the_wire(BEGINNING) + b"event: finished\ndata: [\n\n", "sent an invalid finished event"),
        ],
        ids=range(12),
    )
    async def test_a_turn_that_does_not_end_well_is_told(self, impostor, stream, what):
        """Cut off, stopped, broken, or not the protocol: one line, with what can be done."""
        impostor.says["/api/deliberate"] = Impostor.HEAD + stream
        with pytest.raises(ServiceError, match=what) as caught:
            await self.ask(impostor)

        assert str(caught.value).isprintable()

    async def test_what_a_newer_service_tells_besides_is_left_out(self, impostor):
        """Unknown kinds, unknown fields, comments, other line ends, events in several lines: the turn comes through."""
        kind, data = encode(Finished(TURN))
        middle = data.index(b',"winner"')
        odd = b": hello\r\n\r\nid: 7\r\nretry: 1\r\nevent: confetti\r\ndata: no json\r\n\r\n"
        last = b"event:%s\r\ndata: %s\r\ndata: %s\r\n\r\n" % (kind.encode(), data[:middle], data[middle:])
        impostor.says["/api/deliberate"] = Impostor.HEAD + on_the_wire(BEGINNING) + odd + last

        assert TURN == await self.ask(impostor)

    async def test_members_that_were_not_announced_have_no_say(self, impostor):
        """A service cannot fill the screen with rows."""
        impostor.stream(BEGINNING, Token("stranger", "x"), Token("a", "y"), Finished(TURN))
        events = []
        await (await remote.reach(told(impostor.url))).ask(Question(text="q"), events.append)

        assert [Token("a", "y"), Finished(TURN)] == events

    @pytest.mark.parametrize(
        ("sent", "what"),
        [
            (b"event: token\ndata: " + b"x" * 2**20, "longer than it may be: a line longer than 262144 bytes"),
            (b"data: xxxxxxxxxxxxxxxxxxxxxxxxx\n" * 2**15, "longer than it may be: an event longer than 262144 bytes"),
            (on_the_wire(Token("a", "x" * 1000)) * 2**11, "longer than 1048576 bytes"),
            (b": beat\n\n" * 2**18, "longer than 1048576 bytes"),
        ],
        ids=["line", "event", "events", "beats"],
    )
    async def test_a_stream_without_an_end_is_left(self, impostor, sent, what):
        """Lines, events and the whole are bounded; what sends more is told and left."""
        impostor.says["/api/deliberate"] = Impostor.HEAD + on_the_wire(BEGINNING) + sent
        there = await remote.reach(told(impostor.url), limits=HttpLimits(line=2**18, reply=2**20))
        with pytest.raises(ServiceError, match=f"sent a reply {what}: is it another program"):
            await there.ask(Question(text="q"), lambda _: None)

    async def test_silence_is_not_waited_out(self, impostor):
        """A service that sends not even a heartbeat is gone or stuck; its connection is closed."""
        impostor.stream(BEGINNING)
        impostor.stays = True
        there = await remote.reach(told(impostor.url), again="AGAIN", silence_s=0.05)
        with pytest.raises(ServiceError, match=r"has sent nothing for 0\.05 s, it is gone or stuck: AGAIN"):
            await there.ask(Question(text="q"), lambda _: None)

        await asyncio.wait_for(impostor.left.wait(), 5)

    async def test_heartbeats_alone_do_not_go_on_for_ever(self, fake):
        """A turn that has begun ends at the latest when its own time and that of loading are over."""
        gate = asyncio.Event()
        for model in CANDIDATES:
            fake.say(model, Reply("yes", gate=gate))
        async with serving_fake(fake, optimize=False, limits=ServiceLimits(heartbeat_s=0.01)) as served:
            there = await remote.reach(told(served.url))
            with pytest.raises(ServiceError, match=r"did not finish within 0.2 s: ask again, or allow it more \(--timeout\)"):
                await there.ask(Question(text="q"), lambda _: None, structs.replace(there.settings, timeout=0.1, load_timeout=0.1))
            await fake.until(lambda: fake.in_progress == 0, 1)
            gate.set()

    async def test_a_mistake_of_the_listener_is_no_mistake_of_the_service(self, impostor):
        """What `on_event` raises comes out as it is, even where aiohttp has errors of the same kind."""

        def listener(_event):
            raise OSError("the terminal is gone")

        impostor.stream(BEGINNING, Token("a", "x"))
        there = await remote.reach(told(impostor.url))
        with pytest.raises(OSError, match="the terminal is gone"):
            await there.ask(Question(text="q"), listener)


class TestProxies:
    async def test_a_service_on_this_machine_is_asked_directly(self, impostor, monkeypatch, unused_tcp_port):
        """Whatever proxy the environment names."""
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_tcp_port}")
        there = await remote.reach(told(impostor.url.replace("127.0.0.1", "localhost")))

        assert "three" == there.settings.ensemble.name

    async def test_one_elsewhere_is_asked_through_the_proxy(self, impostor, monkeypatch):
        """As the environment says; a host in NO_PROXY is not."""
        monkeypatch.setenv("http_proxy", impostor.url)
        monkeypatch.setenv("no_proxy", "direct.invalid")
        impostor.says["http://gork.invalid:8080/api/members"] = Impostor.json(MEMBERS)
        there = await remote.reach(told("http://gork.invalid:8080"))
        with pytest.raises(NoService, match="its host name is unknown"):
            await remote.reach(told("http://direct.invalid:8080"))

        assert "three" == there.settings.ensemble.name

    @pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://me:secret@127.0.0.1:9"])
    async def test_a_proxy_that_does_not_work_is_told(self, monkeypatch, proxy):
        """Without its credentials."""
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(ServiceError, match=r"proxy.*NO_PROXY") as caught:
            await remote.reach(told("http://gork.invalid:8080"))

        assert "secret" not in str(caught.value)


@pytest.fixture
async def service(tmp_path, fake):
    """A running service on the fake Ollama."""
    home = tmp_path / "service"
    home.mkdir()
    async with Program(home, fake.url).serve() as running:
        yield running


@pytest.fixture
def program(tmp_path):
    """The program without any model beside it."""
    return Program(tmp_path)


class TestOneQuestion:
    async def test_the_answer_comes_from_there(self, program, service):
        """Answer on standard output, one line about who answers, the same progress as with models here."""
        code, out, err = await program.run("--server", service[1], "capital of france pls")

        assert (0, b"It is Paris.\n") == (code, out)
        assert f"engine: Ollama, ensemble heavy-lite (the service at {service[1]}, version " in err
        assert "answer: qwen-small, qwen, llama" in err
        assert "chosen: qwen " in err

    async def test_the_variable_does_what_the_flag_does(self, program, service):
        """With --json and standard input as well."""
        code, out, _ = await program.run("--json", "--seed", "7", stdin=b"capital of france pls", GORK_SERVER=service[1])

        turn = json.loads(out)
        jsonschema.validate(turn, SCHEMA)
        assert (0, 7, "capital of france pls") == (code, turn["seed"], turn["question"]["text"])

    async def test_a_session_goes_on_there(self, program, service, fake):
        """--continue sends what was said before and remembers what comes."""
        await program.run("-i", "--no-optimize", "--server", service[1], stdin=b"first\n")
        code, _, err = await program.run("--continue", "--no-optimize", "--server", service[1], "second")

        chat = [body for body in fake.chats if body["model"] == "llama3.2:1b"][-1]
        assert 0 == code
        assert "after 1 turn" in err
        assert ["first", "It is Paris.", "second"] == [message["content"] for message in chat["messages"][-3:]]

    async def test_a_prompt_with_i_runs_its_turns_there(self, program, service):
        """-i reads its questions from a pipe as ever."""
        code, out, _ = await program.run("-i", "--server", service[1], stdin=b"capital of france pls\nexit\n")

        assert (0, b"Response: It is Paris.\n") == (code, out)

    async def test_an_address_given_by_hand_is_meant(self, program, fake, unused_tcp_port):
        """Nobody there: exit code 1, and what to do; no model here is asked."""
        url = f"http://127.0.0.1:{unused_tcp_port}"
        code, out, err = await program.run("--server", url, "q", OLLAMA_HOST=fake.url)

        assert (1, b"") == (code, out)
        assert f"final_script.py: the service at {url} cannot be reached: connection refused; start one there" in err
        assert "leave out --server" in err
        assert [] == fake.requests

    async def test_an_address_of_the_environment_is_a_preference(self, program, fake, unused_tcp_port):
        """Nobody there: one line says why, and models here answer."""
        url = f"http://127.0.0.1:{unused_tcp_port}"
        code, out, err = await program.run("capital of france pls", OLLAMA_HOST=fake.url, GORK_SERVER=url)

        assert (0, b"It is Paris.\n") == (code, out)
        line = f"the service at {url} cannot be reached: connection refused; the models of this machine answer instead"
        line += " (GORK_SERVER names the service)"
        assert line == err.splitlines()[0]
        assert "engine: Ollama, ensemble heavy-lite (version" in err

    async def test_a_service_that_wants_a_token_is_no_reason_to_answer_here(self, program, fake, impostor):
        """Not even where the environment names it: somebody is to give the token."""
        impostor.says["/api/members"] = Impostor.json({"error": "no"}, "401 Unauthorized")
        code, out, err = await program.run("q", OLLAMA_HOST=fake.url, GORK_SERVER=impostor.url)

        assert (1, b"") == (code, out)
        assert "needs a token (HTTP 401): set GORK_TOKEN or GORK_TOKEN_FILE" in err
        assert [] == fake.requests

    @pytest.mark.parametrize("by_hand", [True, False])
    async def test_flags_that_say_nothing_to_a_service_are_named(self, program, service, by_hand):
        """Nobody is to believe that they did something; how to have them count is said too."""
        flags = ["--ensemble", "tiny", "--threads=2", "--no-optimize", "--timeout=60", "--no-markdown"]
        code, _, err = await program.run(*flags, *(["--server", service[1]] if by_hand else []), "q", GORK_SERVER=service[1])

        named = "--server" if by_hand else "GORK_SERVER"
        assert 0 == code
        assert f"not used, since the service has its own: --ensemble, --threads (they count without {named})\n" in err

    async def test_a_prompt_that_is_too_long_for_the_models_there_is_refused(self, program, service):
        """As it is for models here: exit code 2, nothing is sent."""
        code, _, err = await program.run("--server", service[1], stdin=b"x " * 40_000)

        assert 2 == code
        assert "far more than the models' context of 4,096 tokens holds" in err

    async def test_a_service_that_is_killed_is_told(self, program, service, fake):
        """Kill -9 in mid-turn: one line and exit code 1, no traceback."""
        gate = asyncio.Event()
        for model in CANDIDATES:
            fake.say(model, Reply("It is Paris.", pauses={1: gate}))
        process = await program.start("--no-optimize", "--server", service[1], "q")
        process.stdin.close()
        await fake.until(lambda: fake.in_progress == 3, 30)
        service[0].kill()
        out, err = await asyncio.wait_for(process.communicate(), 30)

        assert (1, b"") == (process.returncode, out)
        assert re.search(rb"\nfinal_script.py: the service at \S+ went away[^\n]*: ask again\n$", err), err

    async def test_ctrl_c_stops_the_models_there(self, program, service, fake):
        """130, and every model of the service is left."""
        gate = asyncio.Event()
        for model in CANDIDATES:
            fake.say(model, Reply("It is Paris.", pauses={1: gate}))
        process = await program.start("--no-optimize", "--server", service[1], "q")
        process.stdin.close()
        await fake.until(lambda: fake.in_progress == 3, 30)
        process.send_signal(signal.SIGINT)
        await fake.until(lambda: fake.in_progress == 0, 2)

        assert 130 == await asyncio.wait_for(process.wait(), 10)
        assert sorted(CANDIDATES) == sorted(fake.cancelled)

    async def test_doctor_says_that_it_is_about_models_here(self, program, fake, service):
        """It examines what would answer without the service."""
        _, out, err = await program.run("doctor", OLLAMA_HOST=fake.url, GORK_SERVER=service[1])

        assert f"doctor is about the models of this machine: the service at {service[1]} is not asked" in err
        assert b"qwen" in out

    async def test_without_a_service_nothing_of_it_is_imported(self, program, fake):
        """One question here does not wait for what only a service needs."""
        script = "import sys, runpy; sys.argv = ['x', 'hello there']\n"
        script += f"try: runpy.run_path({str(ROOT / 'final_script.py')!r}, run_name='__main__')\n"
        script += "finally: print([name for name in sys.modules if name in {'gork.remote', 'gork.wire'}], file=sys.stderr)"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script),
            env={**program.env, "PYTHONPATH": str(ROOT), "OLLAMA_HOST": fake.url},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()

        assert b"It is Paris.\n" == out
        assert b"[]" == err.splitlines()[-1]


def seeds_of(fake: FakeOllama) -> list[int]:
    """The seeds that a candidate was asked with."""
    return [body["options"]["seed"] for body in fake.chats if body["model"] == "qwen3:0.6b"]


class TestAtThePrompt:
    async def test_a_session_at_the_prompt_is_as_ever(self, program, service, fake):
        """Rows, answers, commands, memory: the second question has the first one before it."""
        async with on_terminal(program, "--server", service[1], "--no-optimize") as terminal:
            await terminal.prompt()
            assert f"the service at {service[1]}" in "".join(terminal.text.split("\n"))
            assert "Response: It is Paris." in await terminal.ask("first")
            assert "Response: It is Paris." in await terminal.ask("second")
            assert "It is Lyon." in await terminal.ask("/answers")
            assert "It is right." in await terminal.ask("/why")
            models = await terminal.ask("/models")
            assert re.search(r"judge +judge +gemma3:1b +http://\S+ +(loaded|installed)", models)
            assert "1. first" in await terminal.ask("/history")
            terminal.press(CTRL_D)
            assert 0 == await terminal.end()

        chat = [body for body in fake.chats if body["model"] == "llama3.2:1b"][-1]
        assert ["first", "It is Paris.", "second"] == [message["content"] for message in chat["messages"][-3:]]

    async def test_commands_change_what_is_asked_there(self, program, service, fake):
        """/raw, /set and /retry reach the models of the service."""
        async with on_terminal(program, "--server", service[1]) as terminal:
            await terminal.prompt()
            await terminal.ask("/set seed 11")
            await terminal.ask("/raw tell me")
            first = seeds_of(fake)[-1]
            await terminal.ask("/retry")
            again = seeds_of(fake)[-1]
            await terminal.ask("/set seed 11")
            await terminal.ask("What is the best capital of them all?")
            terminal.press(CTRL_D)
            assert 0 == await terminal.end()

        seeds = seeds_of(fake)
        assert {11, 12, 13} >= {first, seeds[0], seeds[2]}
        assert again not in {11, 12, 13}
        assert 1 == sum(body["model"] == "granite4:350m" for body in fake.chats)

    async def test_one_candidate_there_alone_can_be_asked(self, program, service, fake):
        """By /only and --only: nobody rewrites, nobody judges; the next question goes to all of them again."""
        async with on_terminal(program, "--server", service[1], "--only", "llama") as terminal:
            await terminal.prompt()
            assert "Response: Nice." in await terminal.ask("first")
            assert ["llama3.2:1b"] == [body["model"] for body in fake.chats]
            await terminal.ask("/only all")
            assert "another ensemble" not in await terminal.ask("second")
            assert "no candidate" in await terminal.ask("/only lama")

        assert set(MODELS[:4]) <= {body["model"] for body in fake.chats[1:]}

    async def test_enter_asks_the_service_for_the_answer_now(self, program, service, fake):
        """Who has not finished there is not waited for."""
        fake.say("llama3.2:1b", Reply("late", gate=asyncio.Event()))
        async with on_terminal(program, "--server", service[1], "--no-optimize") as terminal:
            await terminal.prompt()
            await terminal.enter("first")
            await fake.until(lambda: fake.in_progress == 1 and len(fake.chats) >= 3, 10)
            await terminal.see("Enter: answer now")
            terminal.press("\r")
            await terminal.see("Response: It is Paris.")
            await terminal.prompt()

        assert ["llama3.2:1b"] == fake.cancelled

    async def test_ctrl_c_stops_the_models_there_and_keeps_the_session(self, program, service, fake):
        """The next question is answered."""
        gate = asyncio.Event()
        fake.say("llama3.2:1b", Reply("It is slow.", pauses={1: gate}), "It is Nice.")
        async with on_terminal(program, "--server", service[1], "--no-optimize") as terminal:
            await terminal.prompt()
            await terminal.enter("first")
            await fake.until(lambda: fake.in_progress == 1 and len(fake.chats) == 3, 10)
            await terminal.see("done")
            terminal.press(CTRL_C)
            await fake.until(lambda: fake.in_progress == 0, 2)
            await terminal.see("Stopped. Not added to the conversation")
            assert ["llama3.2:1b"] == fake.cancelled
            await terminal.prompt()
            assert "Response: It is Paris." in await terminal.ask("second")
            terminal.press(CTRL_D)
            assert 0 == await terminal.end()

    @pytest.mark.parametrize(
        ("number", "what"), [(signal.SIGKILL, "went away"), (signal.SIGTERM, "is being stopped: /retry asks it again in a moment")]
    )
    async def test_a_service_that_goes_away_is_told_and_the_question_kept(self, program, fake, tmp_path, number, what):
        """/retry asks it again, of the service that is there then; what was said before is not lost."""
        gate = asyncio.Event()
        home = tmp_path / "service"
        home.mkdir()
        there = Program(home, fake.url)
        async with (
            there.serve("--drain-timeout", "0.1") as (process, url),
            on_terminal(program, "--server", url, "--no-optimize") as terminal,
        ):
            await terminal.prompt()
            await terminal.ask("first")
            for model in CANDIDATES:
                fake.say(model, Reply("It is Paris.", pauses={1: gate}), "It is Paris again.")
            await terminal.enter("second")
            await fake.until(lambda: fake.in_progress == 3, 10)
            process.send_signal(number)
            await terminal.see(what)
            await terminal.see("/retry asks it again")
            await terminal.prompt()
            await asyncio.wait_for(process.wait(), 10)
            assert "cannot be reached: connection refused" in await terminal.ask("/retry")
            async with there.serve("--port", url.rpartition(":")[2]):
                assert "Response: It is Paris again." in await terminal.ask("/retry")
            terminal.press(CTRL_D)
            assert 0 == await terminal.end()

        chat = [body for body in fake.chats if body["model"] == "llama3.2:1b"][-1]
        assert ["first", "It is Paris.", "second"] == [message["content"] for message in chat["messages"][-3:]]

    async def test_a_busy_service_is_told(self, program, fake, tmp_path):
        """The place in line is shown while waiting; beyond the line's end the reason, with when to ask again."""
        gate = asyncio.Event()
        fake.answer_with("llama3.2:1b", lambda body: Reply("It is Nice.", gate=gate if body["messages"][-1]["content"] == "slow" else None))
        home = tmp_path / "service"
        home.mkdir()
        async with Program(home, fake.url).serve("--turns", "1", "--queue", "1") as (_, url):
            slow = await program.start("--no-optimize", "--server", url, "slow")
            slow.stdin.close()
            await fake.until(lambda: fake.in_progress == 1, 30)
            async with on_terminal(program, "--server", url, "--no-optimize") as terminal:
                await terminal.prompt()
                await terminal.enter("second")
                await terminal.see("the service is busy with another turn: this one waits in line")
                code, _, err = await program.run("--server", url, "third")
                assert 1 == code
                assert re.search(r"the service at \S+ is busy: 1 running and 1 waiting.*; ask again in 5 s\n", err)
                gate.set()
                await terminal.see("Response: It is Paris.")
                await terminal.prompt()
                terminal.press(CTRL_D)
                assert 0 == await terminal.end()
            out, _ = await slow.communicate()
            assert b"It is Paris.\n" == out


async def test_a_real_turn_on_a_real_service(tmp_path, starter_gguf):
    """The starter's weights behind the service, the program in front of it: three answers, a verdict, one of them printed."""
    home = tmp_path / "service"
    home.mkdir()
    there = Program(home)
    there.env["GORK_CACHE"] = str(starter_gguf.parent)
    async with there.serve("--ensemble", "tiny", "--engine", "embedded") as (_, url):
        code, out, err = await Program(tmp_path).run("--json", "--seed", "3", "--server", url, "What is the capital of France?")

    turn = json.loads(out)
    jsonschema.validate(turn, SCHEMA)
    assert (0, "embedded", "tiny", 3) == (code, turn["engine"], turn["ensemble"], len(turn["answers"]))
    assert turn["answer"] in {answer["text"] for answer in turn["answers"]}
    assert "engine: embedded llama.cpp, ensemble tiny (the service at" in err
