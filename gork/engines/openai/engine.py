"""Models on any server with OpenAI's HTTP API: llama-server, vLLM, LM Studio, a gateway, a hosted service.

What they have in common is small, so what is not is found out and remembered:

- Before the first question, and after a pause, one token is asked for: it brings the model into memory under the load's deadline (servers
  that load on demand send nothing until they have), and it shows whether the server gives true log-probabilities.
- A field that a server refuses is left out when the request is sent again, and from then on.
- Everything is streamed: gateways stop the model behind them only for a client that leaves a stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gork.config.ensemble import Member
from gork.config.schema import Secret
from gork.engines.call import Completion, Deadlines, PartialCompletion
from gork.engines.client import ServerClient
from gork.engines.http import STANDARD_LIMITS, HttpLimits, plain
from gork.engines.labels import read_labels
from gork.engines.model import Choice, Health, Options
from gork.engines.openai.errors import OPENAI, StillLoading
from gork.engines.openai.protocol import (
    ASKED_FOR,
    FLAVOURS,
    UNKNOWN,
    ChunkReader,
    Ended,
    Nowhere,
    are_true,
    fields_of,
    label_format,
    refused_fields,
    response_format,
)
from gork.engines.records import Record, count, forced_label, likely_tokens, mapping, rows
from gork.engines.served import ServedEngine, ServedModel, Shared
from gork.errors import BadReply, ConfigError, Died, ModelError, ModelMissing, Refused, TimedOut, Unreachable
from gork.turn import AnswerFormat, Message

_TOP: Final = 20
"""What most servers list for one place at the most."""
_LABEL_TOKENS: Final = 32
"""For an object with a label in it, and a grammar that lets a model write blanks around it."""
_LOOK_AGAIN_S: Final = 1.0
"""Between two looks at a server that is loading."""
_MOST_REFUSALS: Final = 6
_HELLO: Final[Sequence[Message]] = [{"role": "user", "content": "Say OK."}]


class OpenAIEngine(ServedEngine):
    """Members at OpenAI-compatible servers; `context` is what one request can use unless the server says otherwise."""

    name = "openai"

    def __init__(
        self,
        members: Sequence[Member],
        *,
        deadlines: Deadlines,
        context: int,
        url: str | None = None,
        environ: Mapping[str, str] | None = None,
        limits: HttpLimits = STANDARD_LIMITS,
    ) -> None:
        """Plan it; nothing is asked yet. `url` is for members without one; keys are taken from `environ` by the members' names for them.

        Raises a `ConfigError`.
        """
        super().__init__(deadlines)
        environ = os.environ if environ is None else environ
        servers: dict[tuple[str, str, str], _Known] = {}
        places: list[tuple[Member, ServerClient, _Known, str | None]] = []
        for member in members:
            place = member.url or url
            if place is None:
                raise ConfigError([f"{member.name}: api: openai needs the server's url, such as http://127.0.0.1:8000/v1"])
            key, lack = _key(member, environ)
            client = ServerClient.of(
                place, member.name, OPENAI, self.session, limits=limits, brief_s=deadlines.brief, key=key, proxied=True
            )
            known = servers.setdefault((client.spot.where, member.model or "", member.key_env or ""), _Known())
            known.join(member)
            places.append((member, client, known, lack))
        for member, client, known, lack in places:
            self.models[member.name] = OpenAIModel(member, client, deadlines, known=known, context=context, lack=lack)


def _key(member: Member, environ: Mapping[str, str]) -> tuple[Secret | None, str | None]:
    """The member's key, or why there is none although one is named."""
    if member.key_env is None:
        return None, None
    value = environ.get(member.key_env, "").strip()
    if not value:
        return None, f"the variable {member.key_env}, which is to have its key, is not set"
    if not re.fullmatch(r"[!-~]{1,4096}", value):
        return None, f"the variable {member.key_env} has no key in it, but something with blanks or other characters"
    return Secret(value), None


class _Known(Shared):
    """What has been found out about one model at one server, for all members that ask it."""

    def __init__(self) -> None:
        super().__init__()
        self.flavour = UNKNOWN
        self.logprobs: bool | None = None
        """Whether it gives true log-probabilities; None until it was asked."""
        self.streams_logprobs = True
        """A gateway may lose the end of a stream that has log-probabilities in it."""
        self.goes_on = True
        self.refused: set[str] = set()
        self.said: set[str] = set()
        """What the user has been told."""


class OpenAIModel(ServedModel):
    """One member's model at a server with OpenAI's API."""

    fresh_s = 240.0
    """Servers that load on demand keep a model for five minutes or more after a question."""
    get_one = "load one there"

    def __init__(
        self, member: Member, client: ServerClient, deadlines: Deadlines, *, known: _Known, context: int, lack: str | None = None
    ) -> None:
        super().__init__(member, client, deadlines, slots=known.slots, context=context)
        self._known, self._lack = known, lack
        self._version: str | None = None

    @property
    def server(self) -> str:
        """The kind of server, as far as it shows."""
        return self._known.flavour.title

    async def reads_ahead(self) -> bool:
        """Only where a server is known to be somebody's own: others may take money for every token."""
        return self._known.flavour.resident

    # --- what is there

    async def _check(self) -> Health:
        """Ask what the server lists; nothing is generated."""
        if self._lack is not None:
            return Health(problem=self._lack, fix="set it where this program is started")
        try:
            listed = await self._listed()
            name = self._tag or self._only([_id(row) for row in listed])
            if listed and not _lists(listed, name):
                there = ", ".join(_id(row) for row in listed[:8])
                raise self._client.spot.error(ModelMissing, f"it has no {name}", f"it has {there}: name one of them")
        except ModelError as error:
            return Health(problem=error.what, fix=error.fix, version=self._version)
        here = self._known.flavour.resident or self._is_fresh
        return Health(state="loaded" if here else "available", loaded=here, version=self._version)

    async def _tags(self) -> Sequence[str]:
        return [_id(row) for row in await self._listed()]

    async def _listed(self) -> list[Record]:
        """Ask which models there are, and learn what kind of server it is. A server without a list is asked if it takes chats."""
        try:
            listed = rows(await self._client.ask("/models", timeout_s=self._client.brief_s), "data")
        except BadReply:
            if not self._is_fresh:
                await self._takes_chats()
            return []
        listed = [row for row in listed if _id(row)]
        owner = next((str(row.get("owned_by")) for row in listed), "")
        self._known.flavour = FLAVOURS.get(owner, UNKNOWN)
        name = self._tag or (_id(listed[0]) if len(listed) == 1 else "")
        row = next((row for row in listed if _id(row) == name), listed[0] if len(listed) == 1 else {})
        self._context = count(row, "max_model_len") or count(row, "context_length") or self._context
        if owner in {"llamacpp", "vllm"}:
            await self._learn_from_root(owner)
        return listed

    async def _takes_chats(self) -> None:
        """Send a chat without anything in it, which is refused where chats are taken. Raises a `ModelError` where they are not."""
        try:
            await self._client.ask("/chat/completions", {}, timeout_s=self._client.brief_s)
        except Refused as error:
            if not error.said:  # not about the request, but about us
                raise

    async def _learn_from_root(self, owner: str) -> None:
        """Ask llama-server and vLLM for what they say beside their /v1: the context of a slot, the version."""
        path = "/props" if owner == "llamacpp" else "/version"
        try:
            reply = await self._client.root.ask(path, timeout_s=self._client.brief_s)
        except ModelError:  # switched off, or a gateway is in between
            return
        self._context = count(mapping(reply, "default_generation_settings"), "n_ctx") or self._context
        version = reply.get("build_info") or reply.get("version")
        self._version = plain(version) if isinstance(version, str) else None

    async def _is_loaded(self) -> bool:
        if self._suspect:
            try:
                await self._listed()
            except Unreachable:  # who is not there is not said to be loading
                raise
            except ModelError:  # what it cannot list it may answer for
                return False
        return self._is_fresh

    async def _load(self) -> None:
        """Ask for one token, which has the server load the model, and look at its log-probabilities."""
        if self._lack is not None:
            raise self._client.spot.error(Refused, self._lack, "set it where this program is started")
        try:
            async with asyncio.timeout(3 * self.deadlines.load):
                await self._at_tag(self._hear)
        except TimeoutError:
            raise self._client.spot.error(TimedOut, "it does not load its model in time", "see the server's log") from None

    async def _hear(self, tag: str) -> None:
        while True:
            with contextlib.suppress(ModelError):  # what it cannot list it may answer for
                await self._listed()
            if self._known.flavour.ensemble:
                self._known.logprobs = False
                return
            try:
                place, _ = await self._place(tag, _HELLO)
            except StillLoading:
                await asyncio.sleep(_LOOK_AGAIN_S)
            else:
                self._known.logprobs = place is not None and are_true(place)
                return

    def _unsettles(self, error: ModelError) -> bool:
        """Not what is wrong with one request, or with how many there are."""
        return isinstance(error, Died | Unreachable | ModelMissing | TimedOut | StillLoading)

    # --- requests

    async def _stream(
        self,
        messages: Sequence[Message],
        options: Options,
        partial: PartialCompletion,
        *,
        answer_format: AnswerFormat | None,
        logprobs: bool,
    ) -> Completion:
        fields = self._fields(options)
        if answer_format is not None:
            fields["response_format"] = response_format(answer_format)
        wanted = logprobs and bool(self._known.logprobs) and self._known.streams_logprobs
        if wanted:
            fields["logprobs"] = True

        async def ask(tag: str) -> Completion:
            reader = ChunkReader(partial, self._client.spot)
            try:
                ended = await self._send(tag, messages, fields, reader)
            except Died:
                if wanted and reader.marked:  # litellm: the finish reason is lost where log-probabilities are
                    self._known.streams_logprobs = False
                    del fields["logprobs"]
                raise
            completion = partial.completion(ended.stop, tokens=ended.tokens or None, prompt_tokens=ended.prompt_tokens)
            if not completion.text and completion.thinking and ended.stop == "length":
                fix = "give it a larger num_predict, or switch thinking off at the server"
                raise self._client.spot.error(BadReply, "it spent all its tokens on thinking", fix)
            return completion

        return await self._at_tag(ask)

    async def _choose(self, messages: Sequence[Message], labels: Sequence[str], lead_in: str) -> Choice:
        started = time.perf_counter()

        async def ask(tag: str) -> Choice:
            place, prompt_tokens = await self._place(tag, messages, lead_in) if self._known.logprobs else (None, 0)
            found = None if place is None else read_labels(likely_tokens(place), labels)
            if forced := found is None:
                if not self._known.logprobs:
                    self._tell("it gives no log-probabilities: its choice is read from an answer that a schema holds to the labels")
                found, prompt_tokens = await self._forced(tag, messages, labels)
            return Choice(
                probabilities=found[0],
                mass=found[1],
                method="schema" if forced else "logprobs",
                prompt_tokens=prompt_tokens,
                seconds=time.perf_counter() - started,
            )

        return await self._at_tag(ask)

    async def _place(self, tag: str, messages: Sequence[Message], lead_in: str = "") -> tuple[Record | None, int]:
        """Ask for one token; what was likely in its place, None if the server does not say, and the tokens of the prompt.

        Drawn at temperature 1 from everything: some servers give log-probabilities as they are after both.
        """
        fields = self._fields({"num_predict": 1, "temperature": 1.0, "top_p": 1.0})
        fields |= {"logprobs": True, "top_logprobs": _TOP, **self._known.flavour.afresh}
        reader = ChunkReader(Nowhere(), self._client.spot)
        prompt_tokens = await self._read(tag, messages, fields, reader, lead_in)
        return next((place for place in reader.places if rows(place, "top_logprobs")), None), prompt_tokens

    async def _forced(self, tag: str, messages: Sequence[Message], labels: Sequence[str]) -> tuple[tuple[dict[str, float], float], int]:
        """Ask for a label that a schema forces: the labels' shares with their mass, and the tokens of the prompt."""
        fields = self._fields({"num_predict": _LABEL_TOKENS, "temperature": 0.0})
        fields["response_format"] = label_format(labels)
        if self._known.logprobs:
            fields |= {"logprobs": True, "top_logprobs": _TOP}
        sink = Nowhere()
        reader = ChunkReader(sink, self._client.spot)
        prompt_tokens = await self._read(tag, messages, fields, reader)
        return forced_label(sink.text, reader.places, labels, self._client.spot), prompt_tokens

    async def _read(self, tag: str, messages: Sequence[Message], fields: dict[str, Any], reader: ChunkReader, lead_in: str = "") -> int:
        """Send a request of whose reply only the places and the text count; some gateways lose its finish reason.

        Gives the tokens of the prompt, 0 where the end of the reply was lost.
        """
        try:
            ended = await self._send(tag, messages, fields, reader, lead_in)
        except Died:
            if not (reader.marked and reader.places):
                raise
            return 0
        return ended.prompt_tokens

    async def _prefill(self, messages: Sequence[Message]) -> None:
        fields = self._fields({"num_predict": 1})

        async def ask(tag: str) -> None:
            await self._send(tag, messages, fields, ChunkReader(Nowhere(), self._client.spot))

        await self._at_tag(ask)

    def _fields(self, options: Options) -> dict[str, Any]:
        """The fields that a request has besides its messages."""
        fields, unknown = fields_of(options, self._known.flavour)
        if unknown:
            self._tell(f"{', '.join(unknown)}: not an option of this kind of server ({self._known.flavour.title}), not sent")
        return {**fields, "stream_options": {"include_usage": True}, **self._known.flavour.no_thinking}

    async def _send(
        self, tag: str, messages: Sequence[Message], fields: Mapping[str, Any], reader: ChunkReader, lead_in: str = ""
    ) -> Ended:
        """Send a chat; again without the fields that the server refuses, which are remembered."""
        client, refused = self._client.about(tag), set[str]()
        for attempt in range(_MOST_REFUSALS + 1):
            going_on = self._known.flavour.going_on if lead_in and self._known.goes_on else None
            body = self._body(tag, messages, fields, refused)
            if going_on is not None:
                body["messages"] = [*messages, {"role": "assistant", "content": lead_in}]
                body |= going_on
            try:
                ended = await client.events("/chat/completions", body, reader.take) or reader.broken_off()
            except Refused as error:
                if not error.said or attempt == _MOST_REFUSALS:
                    raise
                if going_on is not None:
                    self._known.goes_on = False
                    continue
                new = refused_fields(error.said, body)
                if not new:
                    raise
                refused |= new
            else:
                self._remember(refused)
                return ended
        raise AssertionError("the last attempt returns or raises")

    def _body(self, tag: str, messages: Sequence[Message], fields: Mapping[str, Any], refused: set[str]) -> dict[str, Any]:
        left_out = self._known.refused | refused
        body = {"model": tag, "messages": list(messages), "stream": True}
        body |= {name: value for name, value in fields.items() if name not in left_out}
        if "max_tokens" in left_out and "max_tokens" in fields and "max_completion_tokens" not in left_out:
            body["max_completion_tokens"] = fields["max_tokens"]  # the name that OpenAI's newer models know it by
        return body

    def _remember(self, refused: set[str]) -> None:
        """The server answers without these: they are not sent again. Those that somebody asked for are named."""
        self._known.refused |= refused
        for name in sorted(refused & ASKED_FOR):
            self._tell(f"it refuses {name}: left out from now on")

    def _tell(self, text: str) -> None:
        """Have the user told this once."""
        if text not in self._known.said:
            self._known.said.add(text)
            self.untold.append(f"{self.name} at {self.where}: {text}")


def _id(row: Record) -> str:
    name = row.get("id")
    return plain(name) if isinstance(name, str) else ""


def _lists(listed: Sequence[Record], name: str) -> bool:
    """Whether a list has a model: under its name, under a pattern (gateways: `openai/*`), or as the base of it (SGLang: `base:lora`)."""
    return any(
        fnmatch.fnmatchcase(name.casefold(), there) or name.casefold().startswith(f"{there}:")
        for there in (_id(row).casefold() for row in listed)
    )
