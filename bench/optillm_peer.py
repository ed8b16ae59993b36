"""optillm's `bon` and `moa` as peers: its own proxy, as its users start it, on the servers that everybody else is measured on.

It is installed in an environment of its own (it requires several GB; `python -m venv .optillm && .optillm/bin/pip install optillm`) and
talks to one address. What stands there gives it what the product has: a request for n answers goes to the n candidates, each with its own
instructions, options and limit, all at once; everything else (ratings, critiques, the final answer) goes to the judge's server as it is.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from final_script import Team
from gork.engines.call import Completion
from gork.errors import EngineError
from gork.turn import Answered, Message, OnEvent, Question

APPROACHES: Final = ("bon", "moa")
MODEL: Final = "scale-model"
_STARTS_WITHIN_S: Final = 600.0
_ANSWERS_WITHIN_S: Final = 3600.0


class Front:
    """The address that optillm is given."""

    def __init__(self, team: Team, tokens: int) -> None:
        self._team, self._tokens = team, tokens
        self.question = Question(text="")
        """What is asked just now."""
        self.heard: OnEvent = lambda _: None

    def app(self) -> web.Application:
        """OpenAI's chat completions."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def _chat(self, request: web.Request) -> web.Response:
        asked = await request.json()
        wanted = asked.get("n") or 1
        completions = await self._drafts(wanted) if wanted > 1 else [await self._judge(asked)]
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": one.text},
                "finish_reason": "length" if one.stop == "length" else "stop",
            }
            for index, one in enumerate(completions)
        ]
        read, written = sum(one.prompt_tokens for one in completions), sum(one.tokens for one in completions)
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": int(time.time()), "model": MODEL}
        return web.json_response({**head, "choices": choices, "usage": usage})

    async def _drafts(self, count: int) -> list[Completion]:
        """The candidates' answers, as they are asked for in a turn."""

        async def draft(number: int) -> Completion:
            model = self._team.candidates[number % len(self._team.candidates)]
            options = {**model.member.options, "num_predict": self._tokens, "seed": 1 + number}
            completion = await model.chat(self._team.messages(model.member, self.question), options=options, on_event=lambda _: None)
            self.heard(Answered(model.answer(completion)))
            return completion

        return list(await asyncio.gather(*(draft(number) for number in range(count))))

    async def _judge(self, asked: Mapping[str, Any]) -> Completion:
        if self._team.judge is None:
            raise EngineError("the ensemble has no judge")
        messages: list[Message] = [{"role": one["role"], "content": str(one["content"] or "")} for one in asked["messages"]]
        options = {"temperature": float(asked.get("temperature", 0.0)), "num_predict": int(asked.get("max_tokens", self._tokens))}
        return await self._team.judge.chat(messages, options=options, on_event=lambda _: None)


class Optillm:
    """Its running proxy."""

    def __init__(self, url: str, front: Front, client: aiohttp.ClientSession) -> None:
        self._url, self._front, self._client = url, front, client

    async def ask(self, approach: str, question: Question, tokens: int, heard: OnEvent) -> str:
        """Have it answer a question in its way. Raises an `EngineError`."""
        self._front.question, self._front.heard = question, heard
        messages = [{"role": "user", "content": question.text}]
        body = {"model": f"{approach}-{MODEL}", "messages": messages, "max_tokens": tokens}
        async with self._client.post(f"{self._url}/v1/chat/completions", json=body) as reply:
            said = await reply.text()
            if reply.status != 200:
                raise EngineError(f"optillm's {approach} failed (HTTP {reply.status}): {said[:300]}")
            return str((await reply.json())["choices"][0]["message"]["content"])


def _program(environment: Path) -> Path:
    return environment.absolute() / "bin" / "optillm"


def lacking(environment: Path) -> str | None:
    """Why optillm is left out; None if it is there."""
    if _program(environment).is_file():
        return None
    return (
        f"optillm is not in {environment}, so bon and moa are left out (python -m venv {environment} && "
        f"{environment}/bin/pip install optillm, several GB; --optillm FOLDER if it is elsewhere)"
    )


@asynccontextmanager
async def optillm(environment: Path, team: Team, tokens: int) -> AsyncIterator[Optillm]:
    """Start it in front of these models. Raises an `EngineError` if it does not start."""
    async with AsyncExitStack() as stack:
        front = Front(team, tokens)
        runner = web.AppRunner(front.app(), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        client = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_ANSWERS_WITHIN_S)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = _free_port()
        flags = {"--base-url": f"http://127.0.0.1:{runner.addresses[0][1]}/v1", "--best-of-n": len(team.candidates), "--port": port}
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(_program(environment)),
                *(str(part) for flag in flags.items() for part in flag),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, "OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1", "HOME": str(folder)},
            )
        stack.push_async_callback(partial(_ended, process))
        url = f"http://127.0.0.1:{port}"
        await _until_it_listens(process, client, url, folder / "log")
        yield Optillm(url, front, client)


async def _until_it_listens(process: asyncio.subprocess.Process, client: aiohttp.ClientSession, url: str, log: Path) -> None:
    try:
        async with asyncio.timeout(_STARTS_WITHIN_S):
            while process.returncode is None:
                with suppress(aiohttp.ClientError):
                    async with client.get(url):
                        return
                await asyncio.sleep(0.5)
    except TimeoutError:
        pass
    raise EngineError(f"optillm does not start: {_last_words(log)}")


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


async def _ended(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(5):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
