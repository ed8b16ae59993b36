"""Replies that are kept, so that policies are compared on the same answers and a second run asks no model for them again.

A reply's key is made of what decides it and of nothing else: the weights, the prompt, the options (the seed where anything is drawn), the
labels. So an ensemble under another name, or with one member changed, finds the replies of the others. The seconds that are kept with
a reply are those of the run that it was made in.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn, Self, cast

from gork.config.ensemble import Member
from gork.engines.call import Completion, Deadlines, PartialCompletion, RunningCall
from gork.engines.model import Choice, Health, Model, Options
from gork.errors import ConfigError, ModelMissing
from gork.turn import AnswerFormat, Message, OnEvent


class ReplyStore:
    """Replies by key, in a SQLite file."""

    def __init__(self, path: Path | None) -> None:
        """Open the file; without one, replies are kept in memory."""
        self.path = path
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")  # a process that is killed loses nothing; only a power cut may
            self._db.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)")
        except (OSError, sqlite3.Error) as error:
            raise ConfigError([f"{path}: replies cannot be kept there: {error}; --cache names another file"]) from None
        self.kept = self.asked = 0
        """How many replies came from the file, and how many from models."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply under a key."""
        row = self._db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else cast("dict[str, Any]", json.loads(row[0]))

    def fill(self, replies: Mapping[str, Any]) -> None:
        """Take over what was kept elsewhere."""
        self._db.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?)", [(key, json.dumps(reply)) for key, reply in replies.items()])

    def put(self, key: str, reply: dict[str, Any]) -> None:
        """Keep a reply."""
        self.asked += 1
        self._db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, json.dumps(reply)))


def identity(model: Model) -> str:
    """The identity of a model's weights in a key: the checksum of a file, or where a server's model is asked."""
    file = model.weights_file
    if file is None:
        return f"{model.where} {model.model}"
    found = file.stat()
    return _checksum(file, found.st_size, found.st_mtime_ns)


@functools.cache
def _checksum(file: Path, _size: int, _changed_ns: int) -> str:
    """The SHA-256 of a file, computed anew when its size or time has changed."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class _WithoutEngine(Model):
    """A model that no engine stands behind: what an engine would do fails."""

    def _lacks(self) -> NoReturn:
        raise NotImplementedError("what it wraps does this")

    async def _is_loaded(self) -> bool:
        self._lacks()

    async def _load(self) -> None:
        self._lacks()

    async def _stream(
        self,
        messages: Sequence[Message],
        options: Options,
        partial: PartialCompletion,
        *,
        answer_format: AnswerFormat | None,
        logprobs: bool,
    ) -> Completion:
        self._lacks()

    async def _choose(self, messages: Sequence[Message], labels: Sequence[str], lead_in: str) -> Choice:
        self._lacks()

    async def _prefill(self, messages: Sequence[Message]) -> None:
        self._lacks()


class WrappedModel(_WithoutEngine):
    """A model around another one, to which it leaves what it does not do itself."""

    def __init__(self, inner: Model) -> None:
        super().__init__(inner.member, inner.deadlines)
        self._inner = inner

    @property
    def model(self) -> str:
        """The model's own name."""
        return self._inner.model

    @property
    def where(self) -> str:
        """Where it is asked."""
        return self._inner.where

    @property
    def context(self) -> int:
        """Tokens of one request."""
        return self._inner.context

    @property
    def weights_file(self) -> Path | None:
        """The file of its weights."""
        return self._inner.weights_file

    async def _check(self) -> Health:
        """Whether the model can answer."""
        return await self._inner.check()


class CachedModel(WrappedModel):
    """A model whose replies are kept: what it is asked a second time comes from the store."""

    def __init__(self, inner: Model, store: ReplyStore, weights: str | None = None) -> None:
        """`weights` names its weights in the keys of replies; found out from the model itself if not given."""
        super().__init__(inner)
        self._store, self._weights = store, weights
        self.used: dict[str, dict[str, Any]] = {}
        """What it replied, by key."""

    @property
    def identity(self) -> str:
        """What names its weights in the keys of replies."""
        return self._weights if self._weights is not None else identity(self._inner)

    @property
    def seconds(self) -> float:
        """What its replies took when they were made."""
        return math.fsum(reply["seconds"] for reply in self.used.values())

    def afresh(self) -> CachedModel:
        """The same model without a record of what it replied, for one of several uses at the same time."""
        return CachedModel(self._inner, self._store, self._weights)

    def _key(self, *parts: object) -> str:
        text = json.dumps([self.identity, *parts], sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        options: Options,
        on_event: OnEvent,
        limit_s: float | None = None,
        answer_format: AnswerFormat | None = None,
        logprobs: bool = False,
        call: RunningCall | None = None,
    ) -> Completion:
        """Give the kept completion, or a new one. One that was cut before its own end is not kept."""
        decisive = {name: value for name, value in options.items() if name != "seed" or options.get("temperature") != 0}
        key = self._key("chat", list(messages), decisive, answer_format)
        known = self._store.get(key)
        if known is None or (logprobs and known["confidence"] is None):
            completion = await self._inner.chat(
                messages, options=options, on_event=on_event, limit_s=limit_s, answer_format=answer_format, logprobs=logprobs, call=call
            )
            if completion.stop not in {"deadline", "stopped"}:
                self._store.put(key, asdict(completion))
            self.used[key] = asdict(completion)
        else:
            self.used[key] = known
            self._store.kept += 1
            completion = Completion(**known)
            if not logprobs:  # it was kept by an ensemble that asked for them
                completion = replace(completion, confidence=None)
        return completion

    async def choose(
        self, messages: Sequence[Message], labels: Sequence[str], *, lead_in: str, on_event: OnEvent, limit_s: float | None = None
    ) -> Choice:
        """Give the kept choice, or a new one."""
        key = self._key("choose", list(messages), list(labels), lead_in)
        known = self._store.get(key)
        if known is None:
            choice = await self._inner.choose(messages, labels, lead_in=lead_in, on_event=on_event, limit_s=limit_s)
            self._store.put(key, asdict(choice))
            self.used[key] = asdict(choice)
        else:
            self.used[key] = known
            self._store.kept += 1
            choice = Choice(**known)
        return choice


class AbsentModel(_WithoutEngine):
    """A member of whom only kept replies are there: whatever it is asked besides, it fails at."""

    def __init__(self, member: Member) -> None:
        super().__init__(member, Deadlines())

    @property
    def model(self) -> str:
        """The model's own name."""
        return self.member.model or self.name

    @property
    def where(self) -> str:
        """Nowhere."""
        return "the file of kept replies"

    @property
    def context(self) -> int:
        """More than any prompt that was kept."""
        return 1 << 20

    async def _check(self) -> Health:
        """Not asked."""
        return Health(problem="only what was kept of it is there")

    async def _is_loaded(self) -> bool:
        return True

    async def _load(self) -> None:
        """Nothing to load."""

    def _lacks(self) -> NoReturn:
        raise ModelMissing("this was not kept", member=self.name, where=self.where)
