"""Models that a server answers for, whatever it speaks: which model is meant there, who shares it, whether it is known to be in memory.

An engine of such models adds its protocol: `_tags`, and what every model has to do (`gork/engines/model.py`).
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, TypeVar

import aiohttp

from gork.config.ensemble import Member
from gork.engines.call import Deadlines
from gork.engines.client import ServerClient
from gork.engines.http import is_here, open_session
from gork.engines.model import Engine, Model
from gork.errors import Died, ModelError, ModelMissing, Refused, Unreachable

_T = TypeVar("_T")


class ServedEngine(Engine):
    """Members whose models are asked over HTTP, through one session."""

    def __init__(self, deadlines: Deadlines) -> None:
        super().__init__()
        self._deadlines = deadlines
        self._opened: aiohttp.ClientSession | None = None
        self._closed = False

    def session(self) -> aiohttp.ClientSession:
        """The session, opened when it is first needed: that is when a loop runs."""
        if self._closed:
            raise RuntimeError("the engine is closed")
        if self._opened is None:
            self._opened = open_session(self._deadlines.connect)
        return self._opened

    async def close(self) -> None:
        """Give up loads and close every connection; models that are writing stop."""
        await super().close()
        self._closed = True
        if self._opened is not None:
            await self._opened.close()


class Shared:
    """What members share that ask one server for one model: its slots."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(1)
        self._parallel = 1

    def join(self, member: Member) -> None:
        """Add a member."""
        self._parallel = max(self._parallel, member.parallel)
        self.slots = asyncio.Semaphore(self._parallel)


class ServedModel(Model):
    """One member's model at a server."""

    fresh_s: ClassVar[float]
    """A model that has just answered is not looked up again for so long."""
    get_one: ClassVar[str]
    """What to do about a server without any model."""

    def __init__(self, member: Member, client: ServerClient, deadlines: Deadlines, *, slots: asyncio.Semaphore, context: int) -> None:
        super().__init__(member, deadlines, slots)
        self._client = client if member.model is None else client.about(member.model)
        host = (client.base.host or "").casefold()
        self._host = "" if is_here(host) else host
        self._context = context
        self._tag = member.model
        self._fresh_until = 0.0
        self._suspect = False
        """The model's process went away: the server may not know it yet."""

    @property
    def model(self) -> str:
        """The model's name; before the server was first asked for it, where it will be asked."""
        return self._tag or f"the model at {self.where}"

    @property
    def where(self) -> str:
        """The server's URL, without credentials."""
        return self._client.spot.where

    @property
    def machine(self) -> str:
        """The host of the server's URL; this machine, if the user says that it is that."""
        return "" if self.one_machine else self._host

    @property
    def context(self) -> int:
        """Tokens that one request can use: what the server gives the model, once that is known."""
        return self._context

    @abc.abstractmethod
    async def _tags(self) -> Sequence[str]:
        """Ask which models the server has. Raises a `ModelError`."""

    @property
    def _is_fresh(self) -> bool:
        return time.monotonic() < self._fresh_until

    async def _name(self) -> str:
        """Give the name to ask for; found at the server if the member names none."""
        if self._tag is None:
            self._tag = self._only(await self._tags())
        return self._tag

    def _only(self, there: Sequence[str]) -> str:
        if not there:
            raise self._client.spot.error(ModelMissing, "the server has no model", self.get_one)
        if len(there) == 1:
            return there[0]
        raise self._client.spot.error(Refused, f"the server has {len(there)} models ({', '.join(there[:8])})", f"name one for {self.name}")

    async def _at_tag(self, ask: Callable[[str], Awaitable[_T]]) -> _T:
        """Ask with the model's name, and learn from how that ends whether the model is in memory."""
        try:
            result = await self._at_its_tag(ask)
        except ModelError as error:
            if self._unsettles(error):
                self._fresh_until, self._suspect = 0.0, isinstance(error, Died | Unreachable)
            raise
        self._fresh_until, self._suspect = time.monotonic() + self.fresh_s, False
        return result

    async def _at_its_tag(self, ask: Callable[[str], Awaitable[_T]]) -> _T:
        """Ask once more with another name if the server's only model has been exchanged since."""
        tag = await self._name()
        try:
            return await ask(tag)
        except ModelMissing:
            if self.member.model is not None:
                raise
            self._tag = None
            if await self._name() == tag:
                raise
        return await ask(await self._name())

    def _unsettles(self, error: ModelError) -> bool:
        """Whether after this error it has to be looked up again if the model is in memory."""
        return True
