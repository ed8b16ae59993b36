"""What an Ollama server has: its version, its models, what is loaded, and getting more of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from gork.config.ensemble import Member
from gork.engines.client import ServerClient
from gork.engines.http import open_session, plain
from gork.engines.ollama.errors import OLLAMA
from gork.engines.ollama.offer import Installed
from gork.engines.ollama.offer import installed as of_tags
from gork.engines.records import Record, count, rows
from gork.errors import Died, EngineError, ModelError, Ourselves

OWN_KEY = "gork_heavy_lite"
"""What a service of ours has in its replies besides Ollama's own fields."""
OWN_SERVICE = "a Gork Heavy-Lite service, not an Ollama"
_PULL_IDLE_S = 300.0
"""A pull reports several times a second, but is silent while it checks a large file."""


def normal(tag: str) -> str:
    """Give the form in which two names of one model are equal.

    >>> normal("Llama3.2"), normal("library/llama3.2:latest"), normal("host:5000/ns/m")
    ('llama3.2:latest', 'llama3.2:latest', 'host:5000/ns/m:latest')
    """
    name = tag.strip().casefold().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """How far a pull is: what is being done, and of a file that is being fetched its bytes."""

    status: str
    completed: int | None = None
    total: int | None = None


def _check_foreign(reply: Record, client: ServerClient) -> None:
    """See that it is not a service of ours that answers: it would ask itself, or another that asks it, without end."""
    if OWN_KEY in reply:
        raise client.spot.error(Ourselves, f"it is {OWN_SERVICE}", f"ask it with --server {client.spot.where}")


async def version_of(client: ServerClient) -> str | None:
    """Ask for the server's version; None if what answers does not say one. Raises a `ModelError`, `Ourselves` for a service of ours."""
    reply = await client.ask("/api/version", timeout_s=client.brief_s)
    _check_foreign(reply, client)
    version = reply.get("version")
    return plain(version) if isinstance(version, str) else None


async def tags_of(client: ServerClient) -> tuple[str, ...]:
    """Ask which models are there."""
    return tuple(_name(row) for row in rows(await client.ask("/api/tags", timeout_s=client.brief_s), "models") if _name(row))


async def loaded_row(client: ServerClient, tag: str) -> Record | None:
    """Ask for what /api/ps says of one model; None if it is not in memory."""
    reply = await client.ask("/api/ps", timeout_s=client.brief_s)
    _check_foreign(reply, client)
    running = rows(reply, "models")
    return next((row for row in running if normal(_name(row)) == normal(tag)), None)


def _name(row: Record) -> str:
    name = row.get("model") or row.get("name")
    return plain(name) if isinstance(name, str) else ""


async def answers(host: str, connect_s: float) -> str | None:
    """Give the version of the Ollama server at `host`; None if nothing that is one answers there.

    Raises an `EngineError` where a service of ours answers: asked for models it would only send the question on.
    """
    async with _client(host, "Ollama", connect_s) as client:
        try:
            async with asyncio.timeout(connect_s + 1.0):
                return await version_of(client)
        except Ourselves as error:
            raise EngineError(
                f"what answers at {host} is {OWN_SERVICE}: ask it with --server {host}, or set OLLAMA_HOST to an Ollama"
            ) from error
        except (ModelError, TimeoutError):
            return None


async def installed(host: str, connect_s: float = 5.0, *, asked_by: str = "Ollama") -> tuple[str, ...]:
    """Give the tags of the models that the server at `host` has. Raises a `ModelError`."""
    async with _client(host, asked_by, connect_s) as client:
        return await tags_of(client)


async def sizes(host: str, connect_s: float = 5.0) -> dict[str, int]:
    """Give the bytes of each model that the server at `host` has, by normal tag. Raises a `ModelError`."""
    async with _client(host, "Ollama", connect_s) as client:
        listed = rows(await client.ask("/api/tags", timeout_s=client.brief_s), "models")
    return {normal(_name(row)): count(row, "size") for row in listed}


async def writers(host: str, connect_s: float = 5.0) -> list[Installed]:
    """Give the models that the server at `host` has and that write text. Raises a `ModelError`."""
    async with _client(host, "Ollama", connect_s) as client:
        return of_tags(await client.ask("/api/tags", timeout_s=client.brief_s))


async def missing(members: Sequence[Member], host: str, connect_s: float = 5.0) -> list[str]:
    """Give the tags that members without a URL need and `host` lacks, each once, in order. Raises a `ModelError`."""
    there = {normal(tag) for tag in await installed(host, connect_s)}
    needed = {normal(member.model): member.model for member in members if member.url is None and member.model is not None}
    return [tag for name, tag in needed.items() if name not in there]


async def pull(host: str, tag: str, on_progress: Callable[[PullProgress], None], *, connect_s: float = 5.0) -> None:
    """Have the server at `host` fetch a model; what it has of it already is not fetched again. Raises a `ModelError`."""

    def take(record: Record) -> bool | None:
        status = record.get("status")
        total = count(record, "total")
        progress = PullProgress(
            status=plain(status) if isinstance(status, str) else "",
            completed=count(record, "completed") if total else None,  # absent at 0
            total=total or None,
        )
        on_progress(progress)
        return True if progress.status == "success" else None

    async with _client(host, tag, connect_s) as client:
        if not await client.about(tag).lines("/api/pull", {"model": tag, "stream": True}, take, idle_s=_PULL_IDLE_S):
            raise client.spot.error(Died, "the pull was interrupted", "pull again to resume")


@asynccontextmanager
async def _client(host: str, asked_by: str, connect_s: float) -> AsyncIterator[ServerClient]:
    async with open_session(connect_s) as session:
        yield ServerClient.of(host, asked_by, OLLAMA, _always(session))


def _always(session: aiohttp.ClientSession) -> Callable[[], aiohttp.ClientSession]:
    return lambda: session
