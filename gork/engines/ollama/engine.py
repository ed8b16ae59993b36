"""Models that a server with Ollama's HTTP API answers for: one on this machine, or a URL for each member.

Rules that come from how Ollama works (read and tried at 0.32):

- `think: false` always: without it a model that can think does, and may spend all its tokens on it.
- `truncate: false` always: the default cuts a prompt that is too long, silently, often at the question.
- `shift` never: a value other than the one a model was loaded with reloads the model.
- Options that belong to loading (`num_ctx`, `num_thread` ...) are the same in every call to a model, the preload included: another
  value, or a missing one, reloads it. Servers that members name by URL choose them for themselves: those get none.
- `keep_alive` is the number -1 at configured URLs (the string is an error): those are there for us. The server of this machine has a
  default of its own, which holds unless the user set another one or a client's request asks for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence

from gork.config.ensemble import LOAD_TIME, Member
from gork.engines.call import Completion, Deadlines, PartialCompletion, estimate_prompt
from gork.engines.client import ServerClient
from gork.engines.http import STANDARD_LIMITS, HttpLimits
from gork.engines.labels import read_labels
from gork.engines.model import Choice, Health, Options
from gork.engines.ollama.errors import OLLAMA
from gork.engines.ollama.library import loaded_row, normal, tags_of, version_of
from gork.engines.ollama.protocol import ChatReader, template
from gork.engines.records import Record, count, forced_label, likely_tokens, mapping, rows, text
from gork.engines.served import ServedEngine, ServedModel, Shared
from gork.errors import ModelError, ModelMissing
from gork.turn import AnswerFormat, Message

_TOP = 20
"""Ollama's most: how many tokens it lists for one place."""
_LABEL_TOKENS = 16
"""For a label in quotes, and a grammar that lets a model write blanks around it."""
_LONGEST_KEPT_S = 1e9
"""Ollama counts in nanoseconds; whoever asks for more than thirty years means for ever."""


class OllamaEngine(ServedEngine):
    """Members with a URL are asked there, all others at `host`; `context` is what one request can use unless the server says otherwise."""

    name = "ollama"

    def __init__(
        self,
        members: Sequence[Member],
        *,
        host: str,
        deadlines: Deadlines,
        load_options: Options,
        context: int,
        keep_s: float | None = None,
        limits: HttpLimits = STANDARD_LIMITS,
    ) -> None:
        """Plan it; nothing is asked yet. `keep_s` is how long `host` is to keep models without a question; None leaves that to it."""
        super().__init__(deadlines)
        self._telling: set[asyncio.Task[None]] = set()
        local = {"num_ctx": context, **load_options}
        runners: dict[tuple[str, str], _Runner] = {}
        places: list[tuple[Member, ServerClient, _Runner]] = []
        for member in members:
            client = ServerClient.of(member.url or host, member.name, OLLAMA, self.session, limits=limits, brief_s=deadlines.brief)
            runner = runners.setdefault((client.spot.where, normal(member.model or "")), _Runner())
            runner.join(member)
            runner.load = {} if member.url else local
            places.append((member, client, runner))
        for member, client, runner in places:
            self.models[member.name] = OllamaModel(
                member, client, deadlines, slots=runner.slots, load=runner.load, context=context, keep_s=keep_s
            )

    def keep(self, member: str | None, seconds: float) -> None:
        """Tell the server of this machine; what members find at their URLs is not ours to take out of memory."""
        for name, model in self.models.items():
            if isinstance(model, OllamaModel) and model.member.url is None and member in {None, name}:
                task = asyncio.create_task(model.kept_for(seconds), name=f"keep {name}")
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Also without what is still to be told."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await super().close()


class _Runner(Shared):
    """What members share that ask one server for one model: its slots, and the options it is loaded with."""

    def __init__(self) -> None:
        super().__init__()
        self.load: Options = {}


class OllamaModel(ServedModel):
    """One member's model at an Ollama server."""

    fresh_s = 5.0
    """Should another model have pushed it out by then, its reload counts as reading."""
    get_one = "get one with `ollama pull MODEL`"

    def __init__(
        self,
        member: Member,
        client: ServerClient,
        deadlines: Deadlines,
        *,
        slots: asyncio.Semaphore,
        load: Options,
        context: int,
        keep_s: float | None = None,
    ) -> None:
        asked = load.get("num_ctx")
        super().__init__(member, client, deadlines, slots=slots, context=asked if isinstance(asked, int) else context)
        self._load_options = load
        self._keep_s = math.inf if member.url is not None else keep_s

    @property
    def server(self) -> str:
        """An Ollama."""
        return "Ollama"

    async def _check(self) -> Health:
        """Ask for version, model and whether it is loaded; nothing is generated or loaded."""
        version = None
        try:
            version = await version_of(self._client)
            loaded = await loaded_row(self._client, await self._present()) is not None
        except ModelError as error:
            return Health(problem=error.what, fix=error.fix, version=version)
        return Health(state="loaded" if loaded else "installed, not loaded yet", loaded=loaded, version=version)

    async def _present(self) -> str:
        """Give the tag if the server has it now."""
        there = await self._tags()
        if self.member.model is None:
            self._tag = self._only(there)
        tag = await self._name()
        if normal(tag) not in {normal(other) for other in there}:
            raise self._client.spot.error(ModelMissing, f"{tag} is not installed", f"get it with `ollama pull {tag}`")
        return tag

    async def _tags(self) -> Sequence[str]:
        return await tags_of(self._client)

    @property
    def resident(self) -> bool:
        """At a configured URL, where it is kept loaded for ever."""
        return self.member.url is not None

    async def reads_ahead(self) -> bool:
        """On a server that others use too only while it is loaded: to load it might push one of theirs out."""
        return self.resident or await self._is_loaded()

    async def kept_for(self, seconds: float) -> None:
        """Have the server keep the loaded model for so long without a question, until the next one; 0 gives its memory back at once."""
        with contextlib.suppress(ModelError):  # the next question tells what is wrong there
            tag = await self._name()
            if await loaded_row(self._client, tag) is None:
                return
            body = {**self._body(tag, {}, messages=[], stream=False), **_kept(seconds)}
            await self._client.about(tag).ask("/api/chat", body, timeout_s=self._client.brief_s)
            if seconds == 0:
                self._fresh_until = 0.0

    async def _is_loaded(self) -> bool:
        if self._is_fresh:
            return True
        if self._suspect:
            await version_of(self._client)  # who is not there is not said to be loading
            return False
        row = await loaded_row(self._client, await self._name())
        if row is None:
            return False
        served = count(row, "context_length")
        asked = self._load_options.get("num_ctx")
        if served and asked is not None and served not in {asked, self._context}:
            return False  # another client loaded it with another context: ours reloads it
        self._learn(row)
        return True

    def _learn(self, row: Record) -> None:
        self._context = count(row, "context_length") or self._context

    async def _load(self) -> None:
        """Preload: a chat without messages. Ollama aborts a load when its client leaves, so this waits longer than any call does."""

        async def ask(tag: str) -> None:
            body = self._body(tag, {}, messages=[], stream=False)
            await self._client.about(tag).ask("/api/chat", body, timeout_s=3 * self.deadlines.load)
            if (row := await loaded_row(self._client, tag)) is not None:
                self._learn(row)

        await self._at_tag(ask)

    async def _stream(
        self,
        messages: Sequence[Message],
        options: Options,
        partial: PartialCompletion,
        *,
        answer_format: AnswerFormat | None,
        logprobs: bool,
    ) -> Completion:
        extra: Record = {**({"logprobs": True} if logprobs else {}), **({} if answer_format is None else {"format": answer_format})}

        async def ask(tag: str) -> Completion:
            client = self._client.about(tag)
            reader = ChatReader(partial, client.spot)
            body = self._body(tag, options, messages=list(messages), stream=True, **extra)
            return await client.lines("/api/chat", body, reader.take) or reader.broken_off()

        return await self._at_tag(ask)

    async def _choose(self, messages: Sequence[Message], labels: Sequence[str], lead_in: str) -> Choice:
        started = time.perf_counter()

        async def ask(tag: str) -> Choice:
            reply = await self._next_token(tag, messages, lead_in)
            places = rows(reply, "logprobs")
            found = read_labels(likely_tokens(places[0]), labels) if places else None
            if forced := found is None:
                reply = await self._forced(tag, messages, labels)
                content = text(mapping(reply, "message"), "content", self._client.spot)
                found = forced_label(content, rows(reply, "logprobs"), labels, self._client.spot)
            return Choice(
                probabilities=found[0],
                mass=found[1],
                method="schema" if forced else "logprobs",
                prompt_tokens=count(reply, "prompt_eval_count"),
                seconds=time.perf_counter() - started,
            )

        return await self._at_tag(ask)

    async def _next_token(self, tag: str, messages: Sequence[Message], lead_in: str) -> Record:
        """Ask for one token with its alternatives, after `lead_in` if the server shows the prompt that its template makes.

        The first request is for the rendered prompt; a server that does not know this takes it for what comes next best, a chat of
        one token without the lead-in. (A trailing assistant message would not do: templates open another turn after it.)
        """
        client = self._client.about(tag)
        options: Options = {"num_predict": 1, "temperature": 0}
        listed: Record = {"stream": False, "logprobs": True, "top_logprobs": _TOP}
        reply = await self._ask(client, "/api/chat", self._body(tag, options, messages=list(messages), _debug_render_only=True, **listed))
        prompt = template(reply)
        if prompt is None:
            return reply
        return await self._ask(client, "/api/generate", self._body(tag, options, prompt=prompt + lead_in, raw=True, **listed))

    async def _forced(self, tag: str, messages: Sequence[Message], labels: Sequence[str]) -> Record:
        """Ask for a label that a schema forces."""
        schema = {"type": "string", "enum": list(labels)}
        options: Options = {"num_predict": _LABEL_TOKENS, "temperature": 0}
        listed: Record = {"stream": False, "logprobs": True, "top_logprobs": _TOP}
        return await self._ask(
            self._client.about(tag), "/api/chat", self._body(tag, options, messages=list(messages), format=schema, **listed)
        )

    async def _ask(self, client: ServerClient, path: str, body: Record) -> Record:
        return await client.ask(path, body, timeout_s=None, at_work=True)  # the deadlines of the call bound it

    async def _prefill(self, messages: Sequence[Message]) -> None:
        """Read the prompt and drop one token: `num_predict: 0` would be no limit, or one token, depending on the version."""
        limit = self.deadlines.first_token + estimate_prompt(messages) / self.deadlines.prefill_rate

        async def ask(tag: str) -> None:
            body = self._body(tag, {"num_predict": 1}, messages=list(messages), stream=False)
            await self._client.about(tag).ask("/api/chat", body, timeout_s=limit, at_work=True)

        await self._at_tag(ask)

    def _body(self, tag: str, options: Options, **fields: object) -> Record:
        """Put a request together; load-time options are the model's own, whatever a call says."""
        asked = {key: value for key, value in options.items() if key not in LOAD_TIME}
        return {
            "model": tag,
            **fields,
            "think": False,
            "truncate": False,
            **_kept(self._keep_s),
            "options": {**asked, **self._load_options},
        }


def _kept(seconds: float | None) -> dict[str, object]:
    """The field that says how long a model is kept; none where that is left to the server.

    >>> _kept(None), _kept(math.inf), _kept(300.0), _kept(0)
    ({}, {'keep_alive': -1}, {'keep_alive': 300}, {'keep_alive': 0})
    """
    return {} if seconds is None else {"keep_alive": -1 if seconds > _LONGEST_KEPT_S else math.ceil(seconds)}
