"""The log: a line for each thing that happens, with its ids; readable, machine-readable on demand, and nobody else can write in it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re

import pytest
from msgspec.structs import replace

from gork.config.schema import Secret
from gork.config.settings import load_settings
from gork.service.logs import logging_to, note, speaker
from gork.service.request_context import RequestContext, current
from gork.service.service import ServiceLimits
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.service_setup import MODELS, kinds, lines, serving

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR)( turn=[0-9a-f]{12})?( request=[A-Za-z0-9._-]+)? \S.*")
TEXT, JSON = load_settings({}, {}), replace(load_settings({}, {}), log_format="json")


@pytest.fixture
async def ollama():
    """A server with all models."""
    async with FakeOllama(*MODELS) as server:
        for model in "abc":
            server.say(model, f"The secret answer of {model}.")
        yield server


@pytest.fixture
def log():
    """What was logged, as a list of lines whenever it is asked."""
    return io.StringIO()


def told(log) -> list[str]:
    """The lines so far."""
    return log.getvalue().splitlines()


async def test_a_turn_is_a_line_at_its_start_and_one_at_its_end(ollama, log):
    """Both have the turn's id, which is the reply's; the end has winner, times and tokens."""
    async with serving(ollama) as at:
        with logging_to(log, at.service.settings):
            async with at.ask(headers={"X-Request-Id": "my-request"}) as reply:
                await kinds(reply)
    turn = reply.headers["X-Turn-Id"]
    about = [line for line in told(log) if f" turn={turn} request=my-request " in line]
    assert len([line for line in about if " turn begins route=/api/test client=127.0.0.1 characters=11" in line]) == 1
    (end,) = [line for line in about if " turn answered " in line]
    for part in ("winner=", "total_s=", "answer_s=", "judge_s=", 'tokens="a:5 b:5 c:5"'):
        assert part in end


async def test_no_words_of_clients_and_models_are_in_it(ollama, log):
    """Questions and answers are nobody's business who reads the log."""
    async with serving(ollama) as at:
        with logging_to(log, at.service.settings):
            async with at.ask("A private question") as reply:
                await kinds(reply)
    assert "turn answered" in log.getvalue()
    assert "private" not in log.getvalue()
    assert "secret" not in log.getvalue()


async def test_they_are_if_that_is_asked_for(ollama, log):
    """`log_prompts`: the question at the start, the answer at the end, each on its one line."""
    async with serving(ollama, log_prompts=True) as at:
        with logging_to(log, at.service.settings):
            async with at.ask("A private\nquestion") as reply:
                await kinds(reply)
    assert 'question="A private\\nquestion"' in log.getvalue()
    assert 'answer="The secret answer of' in log.getvalue()


async def test_failures_refusals_and_leavings_are_lines_of_their_own(ollama, log):
    """A member that fails, a client without the token, one beyond the line, one that goes away."""
    ollama.say("b", Reply(status=500, error="out of order"))
    ollama.say("a", Reply("one two", pauses={1: asyncio.Event()}))
    async with serving(ollama, turns=1, queue=0, token=Secret("t0ken-of-mine")) as at:
        with logging_to(log, at.service.settings):
            async with at.client.post(f"{at.url}/api/test", headers={"Authorization": "Bearer wr0ng"}) as reply:
                assert reply.status == 401
            mine = {"Authorization": "Bearer t0ken-of-mine"}
            async with at.ask(headers=mine) as running:
                async for kind, _ in lines(running):
                    if kind == "token":
                        break
                async with at.ask(headers=mine) as reply:
                    assert reply.status == 503
            running.close()
            await ollama.until(lambda: "a" in ollama.cancelled)
            await at.service.idle()
    text = log.getvalue()
    assert re.search(r"INFO request=\w+ refused why=unauthorized path=/api/test", text)
    assert re.search(r"WARNING turn=\w+ request=\w+ refused route=/api/test client=127.0.0.1 why=\"1 running", text)
    assert re.search(r"WARNING turn=\w+ request=\w+ member failed member=b kind=refused why=\"b at http.*out of order", text)
    assert re.search(r"INFO turn=\w+ request=\w+ client left seconds=", text)
    assert "t0ken-of-mine" not in text
    assert "wr0ng" not in text


async def test_a_loading_model_is_told_when_it_loads_and_when_it_has(ollama, log):
    """Whoever follows the log of a cold start sees what it waits for."""
    async with serving(ollama) as at:
        with logging_to(log, at.service.settings):
            async with at.ask() as reply:
                await kinds(reply)
    assert re.search(r"member loads its model member=judge\n", log.getvalue())
    assert re.search(r"member has its model loaded member=judge seconds=", log.getvalue())


async def test_a_request_that_ends_in_5xx_is_told(ollama, log):
    """No answer at all: the line names each model's reason."""
    for model in "abc":
        ollama.say(model, Reply(status=500, error="out of order"))
    async with serving(ollama) as at:
        with logging_to(log, at.service.settings):
            async with at.client.post(f"{at.url}/v1/test", json={"question": "x", "stream": False}) as reply:
                assert reply.status == 502
    assert re.search(r"WARNING turn=\w+ request=\w+ request failed path=/v1/test status=502 why=\"no candidate answered", log.getvalue())
    assert all(LINE.fullmatch(line) for line in told(log))


async def test_a_members_state_is_told_when_it_changes(ollama, log):
    """Probes every few seconds are not a line each."""
    async with serving(ollama, limits=ServiceLimits(health_fresh_s=0.0)) as at:
        with logging_to(log, at.service.settings):
            for there in (True, True, False, False, True):
                ollama.models[:] = MODELS if there else [model for model in MODELS if model != "b"]
                await at.text("/readyz")
    about = [line.split(" member ", 1)[1] for line in told(log) if "member=b" in line]
    assert [line.partition(" member=")[0] for line in about] == ["can answer", "cannot answer", "can answer"]


@pytest.mark.parametrize("settings", [TEXT, JSON])
@pytest.mark.parametrize(
    "evil",
    [
        "x\n2026-01-01T00:00:00.000Z INFO turn answered winner=evil",
        'x" winner="evil',
        'x\\" winner="evil',
        "x y\\",
        "x\r\x1b[2Jx\x00\x9b\x85",
        "\u2028\u202e\ufeff\ud800",
        "x" * 100_000,
        "",
    ],
)
def test_nobody_can_forge_a_line(settings, evil, log):
    """Ends of lines, quotation marks, escape sequences, halves of characters, endless text: one line, of one event."""
    with logging_to(log, settings):
        note("turn answered", why=evil, winner="a")
        logging.getLogger("some.library").warning("about %s", evil)
    first, second = log.getvalue().split("\n")[:-1]
    assert (first + second).isprintable()
    assert len(first) < 30_000
    if settings is JSON:
        assert json.loads(first)["winner"] == "a"
        assert json.loads(first)["why"].startswith(evil[:1])
    else:
        assert LINE.fullmatch(first)
        assert re.search(r'INFO turn answered why=("([^"\\]|\\.)*"|[^\s"=\\]+) winner=a$', first)


def test_a_traceback_is_below_its_line_and_cannot_look_like_one(log):
    """In text its lines are indented, in JSON it is a field."""
    for settings in (TEXT, JSON):
        with logging_to(log, settings):
            try:
                raise ValueError("x\n2026-01-01T00:00:00.000Z INFO forged")
            except ValueError as error:
                note("something unexpected went wrong", level=logging.ERROR, error=error)
    *text, last = told(log)
    assert LINE.fullmatch(text[0])
    assert all(line.startswith("    ") for line in text[1:])
    assert "ValueError: x" in json.loads(last)["traceback"]


async def test_json_is_one_object_a_line_with_the_same_names(ollama, log):
    """For machines: time, level, message, ids, and the particulars with their types."""
    async with serving(ollama, log_format="json") as at:
        with logging_to(log, at.service.settings):
            async with at.ask() as reply:
                await kinds(reply)
    records = [json.loads(line) for line in told(log)]
    (end,) = [record for record in records if record["message"] == "turn answered"]
    assert (end["level"], end["logger"], end["turn"]) == ("info", "gork.service", reply.headers["X-Turn-Id"])
    assert isinstance(end["total_s"], float)
    assert end["request"] == reply.headers["X-Request-Id"]


def test_the_level_leaves_out_what_is_below_it(log):
    """From `warning` on, a quiet service writes nothing; what others log at info is never there."""
    with logging_to(log, replace(TEXT, log_level="warning")):
        note("turn begins")
        note("member failed", level=logging.WARNING)
        logging.getLogger("aiohttp.access").info("GET /")
    assert [line.split(" ", 2)[2] for line in told(log)] == ["member failed"]
    note("after the end", level=logging.ERROR)
    assert len(told(log)) == 1


def test_a_log_that_is_gone_stops_nothing(log):
    """A closed stream is nobody to tell, and no reason to fail or to write elsewhere."""
    with logging_to(log, TEXT):
        log.close()
        note("turn begins")


def test_lines_for_people_are_records_where_all_lines_are_json(log):
    """The start tells of engine and address: as they are for people, as JSON where a collector reads."""
    said: list[str] = []
    speaker(TEXT, said.append)("serving at http://127.0.0.1:8080")
    with logging_to(log, JSON):
        speaker(JSON, said.append)("serving at http://127.0.0.1:8080")
    assert said == ["serving at http://127.0.0.1:8080"]
    assert json.loads(log.getvalue())["message"] == said[0]


async def test_what_a_handler_starts_is_logged_under_its_ids(log):
    """The ids go with tasks; beside them other requests have their own."""

    async def later():
        await asyncio.sleep(0)
        note("later")

    async def visit(number):
        current.set(RequestContext(id=f"r{number}", route="/", client="c", turn=f"{number:012x}"))
        await asyncio.create_task(later())

    with logging_to(log, TEXT):
        await asyncio.gather(*(asyncio.create_task(visit(number)) for number in range(3)))
    assert sorted(line.split("INFO ")[1] for line in told(log)) == [f"turn={number:012x} request=r{number} later" for number in range(3)]
