"""The embedded engine: llama.cpp in child processes, for machines without Ollama.

One child per weights file; members that share a file share its child, each with slots of its own, so that their streams are decoded in
one batch, the weights are in memory once, and their prompt caches stay apart. A child is spoken to over loopback HTTP: `/apply-template`
renders the chat as the file's own template says, `/completion` streams it byte for byte.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NoReturn

import aiohttp
from yarl import URL

from gork.config.durations import in_words
from gork.config.ensemble import Member
from gork.engines.call import Completion, Deadlines, PartialCompletion
from gork.engines.http import EventReader, Fault, FaultKind, HttpClient, Refusal, open_session, plain
from gork.engines.labels import read_labels
from gork.engines.llama.child import WORKER, Child, NotStarted
from gork.engines.llama.protocol import encoded, grammar_schema, llama_options, logprob_of, on_slot, top_of, whole
from gork.engines.model import Choice, Engine, Health, Model, Options
from gork.errors import (
    BadReply,
    Busy,
    ConfigError,
    Died,
    ModelError,
    ModelMissing,
    PromptTooLong,
    Refused,
    TimedOut,
    Unreachable,
)
from gork.turn import AnswerFormat, Message

_TOP = 100
"""Tokens read per label choice: enough that even a chatty model's labels are among them."""
_MAX_EVENT = 1 << 20
_NEWS_OF_ITS_END_S = 2.0


class _Lost(Exception):
    """Raised when the connection to a child broke: why is found out by asking the process."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.kind)


class EmbeddedModel(Model):
    """One member on a child's slots; what its HTTP client says is translated here."""

    def __init__(self, member: Member, deadlines: Deadlines, *, engine: EmbeddedEngine, child: Child, slots: range, path: Path) -> None:
        super().__init__(member, deadlines)
        self._engine, self._path = engine, path
        self.child = child
        """The process that answers for it; shared with the members on the same file."""
        self._free = list(reversed(slots))
        self.reused_tokens = 0
        """Prompt tokens of the last request that were in the slot's cache already."""

    @property
    def model(self) -> str:
        """The name of the weights file."""
        return self._path.name

    @property
    def server(self) -> str:
        """No server of other people."""
        return f"embedded on {', '.join(self.child.devices)}" if self.child.devices else "embedded"

    @property
    def where(self) -> str:
        """The weights file's name: its folder is only of interest where the file itself is at fault, and is said there."""
        return self._path.name

    @property
    def context(self) -> int:
        """Tokens of prompt and completion together that one request can use."""
        return self.child.context

    @property
    def weights_file(self) -> Path:
        """The file that its child was started with."""
        return self.child.path

    async def _check(self) -> Health:
        """Whether the file and the engine are there; a child that runs is asked, none is started."""
        if importlib.util.find_spec("xllamacpp") is None:
            return Health(problem="xllamacpp is not installed", fix="pip install xllamacpp, or use --engine ollama")
        version = importlib.metadata.version("xllamacpp")
        if not self._path.is_file():
            return Health(problem=f"there is no weights file {self.child.path}", fix="fetch it again or correct the path", version=version)
        if not self.child.up:
            ended = f"ended after {in_words(self.child.keep_s)} without a question, starts again when it is asked"
            return Health(state=ended if self.child.rested else "starts when it is first asked", version=version)
        try:
            async with asyncio.timeout(self.deadlines.connect):
                await self._ask("/health")
        except TimeoutError:
            return Health(problem=f"its process does not answer within {self.deadlines.connect:g} s", loaded=True, version=version)
        except ModelError as error:
            return Health(problem=error.what, fix=error.fix, version=version)
        on = f" on {', '.join(self.child.devices)}" if self.child.devices else ""
        return Health(state=f"loaded{on}", loaded=True, version=version)

    async def _is_loaded(self) -> bool:
        return self.child.up

    async def _load(self) -> None:
        try:
            await self.child.ensure()
        except NotStarted as error:
            kinds = {"missing": ModelMissing, "refused": Refused, "died": Died, "late": TimedOut}
            raise kinds[error.cause](error.what, member=self.name, where=self.where, fix=error.fix) from None

    async def _stream(
        self,
        messages: Sequence[Message],
        options: Options,
        partial: PartialCompletion,
        *,
        answer_format: AnswerFormat | None,
        logprobs: bool,
    ) -> Completion:
        try:
            body = llama_options(options)
        except ValueError as error:
            raise self._error(Refused, str(error)) from None
        if answer_format is not None:
            body["json_schema"] = grammar_schema({"type": "object"} if answer_format == "json" else answer_format)
        with self._slot_of_ours() as slot:
            body |= {"prompt": await self.render(messages), "n_probs": int(logprobs)}
            last = await self._complete(slot, body, lambda event: partial.add(event["content"], logprob=logprob_of(event)))
        stop: Literal["length", "stop"] = "length" if last["stop_type"] == "limit" else "stop"
        return partial.completion(stop, tokens=last["tokens_predicted"], prompt_tokens=last["tokens_evaluated"])

    async def _complete(self, slot: int, body: Mapping[str, object], on_piece: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Stream one completion: each piece of text goes to `on_piece`, the closing event is returned.

        Always a stream that tells of its progress, even if only its end is wanted: llama.cpp notices that we left when it writes, so
        that this is what makes it stop at the end of a batch.
        """
        http = self._http()

        def take(event: tuple[str, bytes]) -> dict[str, Any] | None:
            kind, data = event
            return self._event(kind, http.object_of(data), on_piece)

        try:
            async with http.reply("/completion", encoded({**on_slot(slot), **body}), at_work=True) as reply:
                last = await reply.follow(EventReader(_MAX_EVENT), take)
        except _Lost as lost:
            await self._lost(lost.fault)
        if last is None:
            await self._lost(None)
        self._note_timings(last)
        return last

    def _event(self, kind: str, event: dict[str, Any], on_piece: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
        match event:
            case {"error": _}:
                raise self._refusal(200, event)
            case _ if kind == "error":
                raise self._refusal(200, {"error": event})
            case {"stop": False, "prompt_progress": _}:
                return None
            case {"stop": False, "content": str()}:
                on_piece(event)
                return None
            case {"stop": True, "stop_type": "eos" | "word" | "limit", "tokens_predicted": int(), "tokens_evaluated": int()}:
                return event
            case _:
                raise self._error(BadReply, f"its stream has an event of unknown shape: {plain(str(event))}")

    async def _choose(self, messages: Sequence[Message], labels: Sequence[str], lead_in: str) -> Choice:
        opened: Sequence[Message] = [*messages, {"role": "assistant", "content": lead_in}] if lead_in else messages
        # The grammar makes sure that a token comes that is neither the end nor part of a character; the probabilities are those before it.
        grammar = "root ::= " + " | ".join(json.dumps(label) for label in labels)
        pieces: list[dict[str, Any]] = []
        method: Literal["logprobs", "schema"] = "logprobs"
        began = asyncio.get_running_loop().time()
        with self._slot_of_ours() as slot:
            body = {"prompt": await self.render(opened), "n_predict": 1, "n_probs": _TOP, "temperature": 0.0, "grammar": grammar}
            # Read from its start: a cached prefix is computed in other batches, and the rounding moves a label's log-probability by as
            # much as a small judge's opinion does. Read afresh, the same prompt always gives the same numbers.
            body["cache_prompt"] = False
            last = await self._complete(slot, body, pieces.append)
            labelled = read_labels(top_of(pieces, "top_logprobs"), labels)
            if labelled is None:
                # No label is among the most probable tokens: read what the grammar leaves of the probabilities.
                pieces.clear()
                method, forced = "schema", {"post_sampling_probs": True, "samplers": ["temperature"], "temperature": 1.0, "seed": 0}
                await self._complete(slot, body | forced, pieces.append)
                labelled = read_labels(top_of(pieces, "top_probs"), labels)
        if labelled is None:
            raise self._error(BadReply, f"none of the labels {', '.join(labels)} can be read from it")
        shares, mass = labelled
        return Choice(
            probabilities=shares,
            mass=1.0 if method == "schema" else mass,
            method=method,
            prompt_tokens=last["tokens_evaluated"],
            seconds=asyncio.get_running_loop().time() - began,
        )

    async def _prefill(self, messages: Sequence[Message]) -> None:
        with self._slot_of_ours() as slot:
            prompt = await self.render(messages, {"add_generation_prompt": False})  # else what follows would differ from a later prompt
            await self._complete(slot, {"prompt": prompt, "n_predict": 0}, lambda event: None)

    @contextmanager
    def _slot_of_ours(self) -> Iterator[int]:
        """One of the member's slots that no other request of ours uses; the one used last, since its cache is the freshest."""
        slot = self._free.pop()
        try:
            with self.child.in_use():
                yield slot
        finally:
            self._free.append(slot)

    async def render(self, messages: Sequence[Message], more: Mapping[str, object] | None = None) -> str:
        """The prompt that the file's chat template makes of `messages`; a last message of the assistant's is left open, to be continued."""
        body = {"messages": list(messages), "chat_template_kwargs": {"enable_thinking": False}, **(more or {})}
        match await self._ask("/apply-template", body):
            case {"prompt": str(prompt)} if prompt:
                return prompt
        raise self._error(BadReply, "its chat template gives no prompt")

    async def _ask(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """One request with a short reply; a GET without a body."""
        try:
            return await self._http().record(path, None if body is None else encoded(body), at_work=True)
        except _Lost as lost:
            await self._lost(lost.fault)

    def _http(self) -> HttpClient:
        return HttpClient(session=self._engine.session, base=URL(self.child.url), translator=self, headers=self.child.headers)

    def broken(self, fault: Fault) -> Exception:
        """What a fault between us and the child means; a lost connection is looked into by `_lost`."""
        if fault.kind in (FaultKind.TOO_LONG, FaultKind.NOT_JSON):
            return self._error(BadReply, f"its reply {'is ' if fault.kind is FaultKind.TOO_LONG else ''}{fault.detail}")
        return _Lost(fault)

    def refused(self, refusal: Refusal) -> ModelError:
        """What a reply of the child means whose status is not 200."""
        try:
            reply = json.loads(refusal.body)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            reply = {"error": refusal.body.decode("utf-8", "replace")}
        return self._refusal(refusal.status, reply)

    def _refusal(self, status: int, reply: Mapping[str, Any]) -> ModelError:
        """The server's error as one of ours."""
        error = reply.get("error")
        error = error if isinstance(error, dict) else {"message": str(error)}
        if error.get("type") == "exceed_context_size_error":
            long, room = whole(error.get("n_prompt_tokens")), whole(error.get("n_ctx")) or self.context
            return self._error(PromptTooLong, f"the prompt has {long} tokens, its context {room}", "shorten it or raise `context`")
        kind = {400: Refused, 401: Refused, 403: Refused, 404: Refused, 501: Refused, 503: Busy}.get(status, BadReply)
        return self._error(kind, f"llama.cpp says: {plain(str(error.get('message', '')))}")

    async def _lost(self, fault: Fault | None) -> NoReturn:
        """Say why a connection broke: the process usually died, and may count as dead only a moment later."""
        ending = await self.child.ended(_NEWS_OF_ITS_END_S)
        if ending is not None:
            how, fix = ending
            raise self._error(Died, f"its process ended: {how}", fix)
        if fault is not None and fault.kind in (FaultKind.NO_CONNECTION, FaultKind.NO_CONNECTION_IN_TIME):
            raise self._error(Unreachable, "its process is running but accepts no connection")
        raise self._error(Died, "the connection to its process was lost")

    def _note_timings(self, reply: Mapping[str, Any]) -> None:
        timings = reply.get("timings")
        self.reused_tokens = whole(timings.get("cache_n")) if isinstance(timings, dict) else self.reused_tokens

    def _error(self, kind: type[ModelError], what: str, fix: str | None = None) -> ModelError:
        return kind(what, member=self.name, where=self.where, fix=fix)


class EmbeddedEngine(Engine):
    """llama.cpp on GGUF files, without a server to install."""

    name = "embedded"

    def __init__(
        self,
        members: Sequence[Member],
        *,
        files: Mapping[str, Path],
        context: int,
        cores: int,
        deadlines: Deadlines,
        together: Sequence[str] | None = None,
        beside: int = 0,
        keep_s: float = math.inf,
        gpu_layers: int | None = None,
        worker: Path = WORKER,
    ) -> None:
        """Plan the children; none is started yet.

        `files` has each member's GGUF file by name. `together` names the members that work at the same time (all, if not given): their
        children share the `cores`, also with so many models of other engines as are at work `beside` them; a child that works alone gets
        them all. A child ends after `keep_s` without a request, and starts again for the next. `worker` is the script that children run.
        `gpu_layers` of each model go to a device where the build has one (all, if not given). Raises a `ConfigError` that lists every
        mistake.
        """
        super().__init__()
        self._session: aiohttp.ClientSession | None = None
        self._deadlines, self._worker, self._gpu_layers = deadlines, worker, gpu_layers
        _check(members, files)
        shared: dict[Path, list[Member]] = {}
        for member in members:
            shared.setdefault(files[member.name].resolve(), []).append(member)
        names = {member.name for member in members} if together is None else set(together)
        crowd = {path for path, sharers in shared.items() if any(member.name in names for member in sharers)}
        each = max(1, cores // (len(crowd) + beside)) if crowd else cores
        self.children = [
            self._plan(path, sharers, files, context=context, threads=each if path in crowd else max(1, cores))
            for path, sharers in shared.items()
        ]
        for child in self.children:
            child.default_keep_s = child.keep_s = keep_s
        self.models = {member.name: self.models[member.name] for member in members}

    def keep(self, member: str | None, seconds: float) -> None:
        """What is kept is a file's child, for all members on it."""
        for name, model in self.models.items():
            if isinstance(model, EmbeddedModel) and member in {None, name}:
                model.child.keep_s = seconds
                model.child.watch()

    def _plan(self, path: Path, sharers: Sequence[Member], files: Mapping[str, Path], *, context: int, threads: int) -> Child:
        """The child of one file, and its members' models with their slots."""
        slots = sum(member.parallel for member in sharers)
        child = Child(
            path,
            slots=slots,
            context=context,
            threads=threads,
            load_s=self._deadlines.load,
            gpu_layers=self._gpu_layers,
            worker=self._worker,
        )
        first = 0
        for member in sharers:
            own = range(first, first + member.parallel)
            first += member.parallel
            self.models[member.name] = EmbeddedModel(member, self._deadlines, engine=self, child=child, slots=own, path=files[member.name])
        return child

    def session(self) -> aiohttp.ClientSession:
        """The engine's HTTP session, opened when it is first needed."""
        if self._session is None:
            self._session = open_session(self._deadlines.connect)
        return self._session

    async def close(self) -> None:
        """End all children."""
        try:
            await super().close()
        finally:
            await asyncio.gather(*(child.close() for child in self.children))
            if self._session is not None:
                await self._session.close()


def _check(members: Sequence[Member], files: Mapping[str, Path]) -> None:
    mistakes = [f"member {member.name}: the embedded engine has no weights file for it" for member in members if member.name not in files]
    for member in members:
        try:
            llama_options(member.options)
        except ValueError as error:
            mistakes.append(f"member {member.name}: {error}")
    if mistakes:
        raise ConfigError(mistakes)
