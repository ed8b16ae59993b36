"""A prompt that was exec'd into a container: it ends with the service beside it, and nothing tells it that its window was closed."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager

import pytest

from gork.terminal.line_editor import Presence
from tests.support.heavy_lite import MODELS
from tests.support.program import Program
from tests.support.pty_program import CTRL_D, on_terminal
from tests.support.served import serving_fake

IN_POD = {"KUBERNETES_SERVICE_HOST": "10.43.0.1"}


@pytest.fixture
async def service(server):
    """A service that has room for one prompt."""
    async with serving_fake(server, prompts="1") as served:
        yield served


@asynccontextmanager
async def at_prompt(program: Program, url: str, **env: str):
    """A prompt in the service's pod."""
    async with on_terminal(program, "--no-optimize", GORK_SERVER=url, **(IN_POD | env)) as terminal:
        await terminal.prompt()
        yield terminal


async def test_an_idle_prompt_is_told_that_its_pod_is_going_and_how_to_come_back(program, service):
    """And that it would be so, beforehand, and that the conversation is lost; the service waits until it has left."""
    async with at_prompt(program, service.url) as terminal:
        assert "this session will be lost with this pod" in terminal.text
        await terminal.ask("capital of france pls")
        service.service.stop_taking()

        assert 0 == await terminal.end()
        await service.service.idle()
    told = " ".join(terminal.text.split())
    assert "this pod is being stopped (a restart, another image)" in told
    assert "`kubectl exec -it deployment/final-script -- python final_script.py`; the session was not kept" in told
    assert service.service.prompts.taken == 0


async def test_where_a_volume_is_given_the_conversation_is_named_and_goes_on(program, service, server, tmp_path):
    """GORK_DATA: the words at the end name the conversation, and with them it goes on at another service."""
    kept = {"GORK_DATA": str(tmp_path / "volume")}
    async with at_prompt(program, service.url, **kept) as terminal:
        assert "lives as long" not in terminal.text
        await terminal.ask("capital of france pls")
        service.service.stop_taking()
        assert 0 == await terminal.end()
    session = re.search(r"--continue\s+([0-9a-z-]+)`", terminal.text)
    assert session is not None
    async with (
        serving_fake(server) as other,
        on_terminal(program, "--continue", session[1], GORK_SERVER=other.url, **kept, **IN_POD) as terminal,
    ):
        await terminal.prompt()
        assert "after 1 turn" in terminal.text


async def test_a_turn_that_runs_is_finished_before_its_prompt_leaves(program, service, server):
    """What was asked before is answered."""
    gate = asyncio.Event()
    server.answer_with("llama3.2:1b", lambda _: (gate.set(), "It is Paris.")[1])
    async with at_prompt(program, service.url) as terminal:
        await terminal.enter("capital of france pls")
        await gate.wait()
        service.service.stop_taking()

        assert 0 == await terminal.end()
    assert "Response: It is Paris." in terminal.text
    assert "this pod is being stopped" in " ".join(terminal.text.split())


async def test_one_prompt_more_than_there_is_room_for_gets_one_line(program, service):
    """In place of one that the kernel ends; when one has left there is room again."""
    async with at_prompt(program, service.url) as first:
        code, out, err = await program.run("-i", GORK_SERVER=service.url, **IN_POD)
        assert (code, out) == (1, b"")
        assert "1 prompt is open here, which is all that its memory holds: end one first" in err
        first.press(CTRL_D)
        assert 0 == await first.end()
    async with at_prompt(program, service.url):
        pass


async def test_a_prompt_elsewhere_needs_no_place_and_outlives_the_service(program, service):
    """On a laptop nothing is stopped with the service."""
    async with on_terminal(program, GORK_SERVER=service.url) as terminal:
        await terminal.prompt()
        assert service.service.prompts.taken == 0
        service.service.stop_taking()
        assert "being stopped" in await terminal.ask("capital of france pls")


async def test_what_a_terminal_says_of_its_cursor_is_no_input(program, service):
    """It is asked, and its reply is not typed."""
    async with at_prompt(program, service.url) as terminal:
        await terminal.until(lambda: b"\x1b[6n" in terminal.raw, "the question")
        terminal.press("\x1b[5;40R")
        await terminal.type("/mod")
        terminal.press("\x1b[5;40R")
        await terminal.ask("els")
        assert "there is no command" not in terminal.text
        terminal.press(CTRL_D)
        assert 0 == await terminal.end()


class TestPresence:
    async def asked(self, answers: list[bool]) -> int:
        """How often a terminal is asked that answers so, and at last no more."""
        times, left = 0, list(answers)

        def ask() -> None:
            nonlocal times
            times += 1
            if left and left.pop(0):
                presence.answered()

        presence = Presence(ask, every_s=0.0, first_s=0.0)
        await presence.lost()
        return times

    async def test_a_terminal_that_answered_and_does_not_any_more_is_gone(self):
        """Two questions without an answer; one that is lost on the way does not matter."""
        assert 5 == await self.asked([True, True, True])
        assert 5 == await self.asked([True, False, True])

    async def test_a_terminal_that_never_answers_may_be_there(self):
        """Some never do: it cannot be told, so the limit of silence decides."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await self.asked([])


async def test_its_models_read_the_conversation_while_the_answer_is_read(program, service, server):
    """The service's models read the new history at the prompt, and the next question begins with it; nothing is read twice."""
    async with at_prompt(program, service.url) as terminal:
        assert server.read_ahead == []  # nothing is loaded into a server that others use too
        await terminal.ask("capital of france pls")
        await server.until(lambda: len(server.read_ahead) >= len(MODELS) - 1, 20)  # all but the promptimizer, which was not asked
        await terminal.ask("and of italy")
        last = next(body["messages"] for body in reversed(server.chats) if body["model"] == "llama3.2:1b")

    read = [body["messages"] for body in server.read_ahead if body["model"] == "llama3.2:1b"]
    assert read.count(last[:-1]) == 1
    assert "capital of france pls" in [message["content"] for message in last]
