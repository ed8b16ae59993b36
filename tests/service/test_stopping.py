"""How `serve` ends: real processes and real signals. What runs is finished or told that it is not; nothing is simply gone."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from gork.service.serve import serve
from gork.service.service import Service, ServiceLimits
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.heavy_lite import MODELS
from tests.support.program import Program
from tests.support.service_setup import engine_for, ensemble_at, settings_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its signals are others")

WRITERS = MODELS[1:4]


@dataclass
class Serve:
    """A service in a process of its own."""

    process: asyncio.subprocess.Process
    url: str
    client: aiohttp.ClientSession
    log: bytearray

    def deliberate(self, question="What is up?"):
        """Ask for a turn's events."""
        return self.client.post(f"{self.url}/api/deliberate", json={"question": question, "optimize": False})

    async def ready(self) -> int:
        """The status of /readyz."""
        async with self.client.get(f"{self.url}/readyz") as reply:
            return reply.status

    async def ended(self) -> int:
        """The exit code, when it has ended."""
        async with asyncio.timeout(20):
            return await self.process.wait()

    async def says(self, words: bytes) -> None:
        """Wait until its log has these words."""
        async with asyncio.timeout(20):
            while words not in self.log:
                await asyncio.sleep(0.01)

    def signal(self, number=signal.SIGTERM) -> float:
        """Send it; gives the time."""
        self.process.send_signal(number)
        return time.monotonic()


@asynccontextmanager
async def served(home, fake, *arguments, **env):
    """`final_script.py serve` on any port, its log kept."""
    process = await Program(home, fake.url).start("serve", "--port", "0", *arguments, **env)
    log = bytearray()
    async with asyncio.timeout(60):
        while b"serving at " not in log:
            log += (line := await process.stderr.readline())
            assert line, log.decode()
    url = re.search(r"serving at (http://[0-9.:]+)", log.decode())[1]

    async def keep():
        while piece := await process.stderr.read(65536):
            log.extend(piece)

    reading = asyncio.create_task(keep())
    try:
        async with aiohttp.ClientSession() as client:
            yield Serve(process, url, client, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


@pytest.fixture
async def fake():
    """A server with all models."""
    async with FakeOllama(*MODELS) as server:
        yield server


def hold(fake) -> asyncio.Event:
    """Have the candidates write one word, and the rest when the event is set."""
    gate = asyncio.Event()
    for model in WRITERS:
        fake.say(model, Reply("one two", pauses={1: gate}))
    return gate


async def until_writing(reply):
    """Read a turn's events until a candidate has written something."""
    await until_told(reply, "token")


async def until_told(reply, kind: str):
    """Read a turn's events until there is one of this kind."""
    async for line in reply.content:
        if line.startswith(f"event: {kind}".encode()):
            return
    raise AssertionError("it ended")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_service_ends_at_once(tmp_path, fake, number):
    """Within a second, with exit code 0, also with clients that keep their connections."""
    async with served(tmp_path, fake) as service:
        assert await service.ready() == 200
        began = service.signal(number)
        assert await service.ended() == 0
        assert time.monotonic() - began < 1.0
    assert f"service stops signal={number.name}".encode() in service.log
    assert b"service stopped" in service.log
    assert b"Traceback" not in service.log


async def test_a_running_turn_is_finished_and_nothing_new_is_begun(tmp_path, fake):
    """From the signal on: not ready, alive, no new turn (503, come back), the port open; the running turn gets its answer, then exit 0."""
    gate = hold(fake)
    async with served(tmp_path, fake, "--turns", "2") as service, service.deliberate() as reply:
        await until_writing(reply)
        service.signal()
        while await service.ready() == 200:
            await asyncio.sleep(0.01)
        async with service.client.get(f"{service.url}/livez") as probe:
            assert probe.status == 200
        for path, body in (
            ("/api/deliberate", {"question": "new"}),
            ("/v1/chat/completions", {"model": "gork-heavy-lite", "messages": [{"role": "user", "content": "new"}]}),
            ("/api/chat", {"model": "gork-heavy-lite", "messages": [{"role": "user", "content": "new"}]}),
            ("/api/chat", {"model": "qwen", "messages": [{"role": "user", "content": "new"}]}),
        ):
            async with service.client.post(f"{service.url}{path}", json=body) as refused:
                assert (refused.status, refused.headers["Retry-After"], refused.headers["Connection"]) == (503, "5", "close")
                assert "being stopped" in str((await refused.json())["error"])
        gate.set()
        rest = (await reply.content.read()).decode()
        assert "event: finished" in rest
        assert json.loads(rest.rpartition("data: ")[2])["answer"] == "one two"
        assert await service.ended() == 0


async def test_what_is_not_finished_in_time_is_told_so_in_each_dialect(tmp_path, fake):
    """After the drain time streams end with their dialect's error, which names the restart, and the models are stopped; exit 0."""
    hold(fake)
    messages = [{"role": "user", "content": "What is up?"}]
    async with served(tmp_path, fake, "--turns", "4", "--drain-timeout", "0.5", "--no-optimize") as service:
        body = {"model": "gork-heavy-lite", "messages": messages, "stream": True}
        async with (
            service.deliberate() as own,
            service.client.post(f"{service.url}/api/chat", json=body) as ollama,
            service.client.post(f"{service.url}/v1/chat/completions", json=body) as openai,
            asyncio.TaskGroup() as group,
        ):
            waiting = group.create_task(whole(service, {**body, "stream": False}))
            await until_writing(own)
            while b"turn begins" not in service.log or service.log.count(b"turn begins") < 4:
                await asyncio.sleep(0.01)
            began = service.signal()
            told = [(await reply.content.read()).decode() for reply in (own, ollama, openai)]
            took = time.monotonic() - began
            assert await service.ended() == 0
        status, text = waiting.result()
    assert 0.4 < took < 3.0
    assert 'event: broken\ndata: {"kind":"stopped","message":"the service was stopped or restarted' in told[0]
    assert "stopped or restarted" in json.loads(told[1].splitlines()[-1])["error"]
    assert "stopped or restarted" in told[2].rpartition("data: {")[2]
    assert status == 503
    assert "stopped or restarted" in text
    await fake.until(lambda: fake.in_progress == 0)
    assert service.log.count(b"turn given up: the service stops") == 4


async def whole(service, body):
    """A request that is answered as a whole: its status and text."""
    async with service.client.post(f"{service.url}/v1/chat/completions", json=body) as reply:
        return reply.status, await reply.text()


async def test_who_waits_in_line_has_its_turn(tmp_path, fake):
    """A turn that was taken is finished within the drain time, also one that had not begun when the service was stopped."""
    gate = hold(fake)
    async with served(tmp_path, fake, "--turns", "1") as service, service.deliberate() as first:
        await until_writing(first)
        async with service.deliberate("second") as second:
            await until_told(second, "queued")
            service.signal()
            await service.says(b"service stops signal=SIGTERM turns=1 waiting=1 ")
            gate.set()
            assert "event: finished" in (await first.content.read()).decode()
            assert "event: finished" in (await second.content.read()).decode()
        assert await service.ended() == 0


async def test_who_still_waits_in_line_at_the_end_of_the_drain_time_is_told(tmp_path, fake):
    """As those are whose turn runs: with an error that names the restart, counted as refused."""
    hold(fake)
    async with served(tmp_path, fake, "--turns", "1", GORK_DRAIN_TIMEOUT="1") as service, service.deliberate() as first:
        await until_writing(first)
        async with service.deliberate("second") as second:
            await until_told(second, "queued")
            service.signal()
            for reply in (first, second):
                assert '"kind":"stopped"' in (await reply.content.read()).decode()
        await service.says(b" refused ")
        assert await service.ended() == 0


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
async def test_a_second_signal_does_not_wait(tmp_path, fake, first, second):
    """Whoever presses Ctrl-C again means it: what runs is given up, its client told, and the process is gone at once."""
    hold(fake)
    async with served(tmp_path, fake) as service, service.deliberate() as reply:
        await until_writing(reply)
        service.signal(first)
        await service.says(b"service stops")
        began = service.signal(second)
        assert '"kind":"stopped"' in (await reply.content.read()).decode()
        assert await service.ended() == 128 + second
        assert time.monotonic() - began < 1.5
    await fake.until(lambda: fake.in_progress == 0)


async def test_a_client_that_leaves_while_it_drains_lets_it_end(tmp_path, fake):
    """When the last client is gone there is nothing to wait for."""
    hold(fake)
    async with served(tmp_path, fake) as service:
        async with service.deliberate() as reply:
            await until_writing(reply)
            service.signal()
            while await service.ready() == 200:
                await asyncio.sleep(0.01)
        reply.close()
        began = time.monotonic()
        assert await service.ended() == 0
        assert time.monotonic() - began < 1.5


async def test_a_port_that_is_taken_is_one_line_and_an_exit_code(tmp_path, fake):
    """No traceback, no service that does not listen."""
    async with served(tmp_path, fake) as service:
        code, out, err = await Program(tmp_path, fake.url).run("serve", "--port", service.url.rpartition(":")[2])
    assert (code, out) == (1, b"")
    assert "is in use; choose another with --port" in err.splitlines()[-1]


async def test_in_json_every_line_of_the_log_is_json(tmp_path, fake):
    """From the first line to the last, so that a collector can read it all."""
    async with served(tmp_path, fake, GORK_LOG_FORMAT="json") as service:
        async with service.deliberate() as reply:
            await reply.read()
        service.signal()
        assert await service.ended() == 0
    messages = [json.loads(line)["message"] for line in service.log.decode().splitlines()]
    assert [message for message in messages if message.startswith(("engine: ", "serving at ", "turn ", "service st"))] == [
        messages[0],
        f"serving at {service.url}",
        "service started",
        "turn begins",
        "turn answered",
        "service stops",
        "service stopped",
    ]


async def test_work_that_does_not_end_when_it_is_cancelled_does_not_hold_up_the_end(fake):
    """A model that cannot be stopped: after the last words the service ends all the same."""
    began, stuck = asyncio.Event(), asyncio.Event()

    async def never(question, on_event, how=None, **_):
        began.set()
        while not stuck.is_set():
            try:
                await stuck.wait()
            except asyncio.CancelledError:
                continue

    settings = settings_for(ensemble_at(fake.url), drain_timeout=0.1)
    async with engine_for(settings) as engine, aiohttp.ClientSession() as client:
        said = asyncio.Queue()
        service = Service(never, engine, settings, limits=ServiceLimits(last_words_s=0.2))
        serving = asyncio.create_task(serve(service, said.put_nowait))
        url = (await said.get()).rpartition(" ")[2]
        asking = asyncio.create_task(client.post(f"{url}/api/deliberate", json={"question": "x"}))
        await began.wait()
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await serving == 0
        stuck.set()
        (await asyncio.wait_for(asking, 5)).close()
        await service.idle()
