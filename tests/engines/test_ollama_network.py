"""No Ollama at the other end, or none that can be reached: each case is told apart, and soon."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gork.config.ensemble import Member
from gork.engines.call import Deadlines
from gork.errors import BadReply, TimedOut, Unreachable
from tests.support.fake_ollama import FakeOllama
from tests.support.ollama_setup import MODEL, SOON, Talk, engine

LOCAL = Member(name="qwen", model=MODEL)


async def test_nobody_there_is_unreachable(unused_tcp_port):
    """A refused connection names the URL and how to start a server."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with engine(LOCAL, host=url) as one:
        with pytest.raises(Unreachable, match=rf"qwen at {url}: .*is it running\? \(`ollama serve`\)"):
            await Talk(one.models["qwen"]).chat()


async def test_an_unknown_host_is_unreachable():
    """A name that does not resolve says so."""
    async with engine(LOCAL, host="http://no-such-host.invalid:11434") as one:
        with pytest.raises(Unreachable, match="its host name is unknown"):
            await Talk(one.models["qwen"]).chat()


@asynccontextmanager
async def listening(greeting: bytes | None):
    """A server that says this, or nothing, to whoever connects; its port."""
    gone = asyncio.Event()

    async def serve(_reader, writer):
        if greeting is not None:
            writer.write(greeting)
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        gone.set()
        server.close()
        await server.wait_closed()


async def test_a_connection_that_is_not_made_in_time_is_unreachable():
    """The connect deadline holds for the whole way to a connection, here its TLS handshake."""
    async with (
        listening(None) as port,
        engine(LOCAL, host=f"https://127.0.0.1:{port}", deadlines=Deadlines(connect=0.2)) as one,
    ):
        with pytest.raises(Unreachable, match="no connection in time"):
            await Talk(one.models["qwen"]).chat()


async def test_a_server_that_speaks_no_http_is_named():
    """Another program on the port is not mistaken for an Ollama that is down."""
    async with listening(b"SSH-2.0-OpenSSH_9.6\r\n") as port, engine(LOCAL, host=f"http://127.0.0.1:{port}") as one:
        with pytest.raises(BadReply, match="does not speak HTTP"):
            await Talk(one.models["qwen"]).chat()


async def test_plain_http_where_tls_is_wanted_is_unreachable():
    """`https://` at a plain server is told as what it is."""
    async with FakeOllama(MODEL) as server, engine(LOCAL, host=server.url.replace("http:", "https:")) as one:
        with pytest.raises(Unreachable, match="no secure connection"):
            await Talk(one.models["qwen"]).chat()


async def test_a_server_that_hangs_is_late():
    """A server that takes a connection and says nothing is given up by our own clock."""
    hurried = replace(SOON, brief=0.2)
    async with listening(None) as port, engine(LOCAL, host=f"http://127.0.0.1:{port}", deadlines=hurried) as one:
        with pytest.raises(TimedOut, match="does not reply in time"):
            await Talk(one.models["qwen"]).chat()


async def test_a_server_that_hangs_up_at_once_is_unreachable():
    """A connection that is closed without a reply is no answer and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]

        async def hang_up():
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                connection.close()

        task = asyncio.create_task(hang_up())
        async with engine(LOCAL, host=f"http://127.0.0.1:{port}") as one:
            with pytest.raises(Unreachable, match="the connection broke"):
                await Talk(one.models["qwen"]).chat()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
