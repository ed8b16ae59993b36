"""Ollama's HTTP dialect: the models, and chat and generate, answered by the ensemble or by one member.

`/api/version` gives the version of Ollama whose API this follows, not this program's: clients compare it with the least that they need.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from msgspec import UNSET

from gork import __version__
from gork.engines.model import Options
from gork.errors import BadRequest, GorkError, NotFound
from gork.service import page
from gork.service.bodies import read_body
from gork.service.dialects.generate_context import Remembered, write_context
from gork.service.dialects.messages import PlainMessages, lacks, offered_tools, plain_messages
from gork.service.dialects.ollama_messages import (
    OllamaAnswer,
    OllamaChatReply,
    OllamaChatRequest,
    OllamaDetails,
    OllamaGenerateReply,
    OllamaGenerateRequest,
    OllamaListedDetails,
    OllamaListedModel,
    OllamaLoadedModel,
    OllamaPullRequest,
    OllamaRunning,
    OllamaShowReply,
    OllamaShowRequest,
    OllamaStatus,
    OllamaTags,
    OllamaVersion,
    drafts_of,
    format_of,
    kept_for,
    prompt_of,
    sampling_in,
)
from gork.service.dialects.replies import ChatResult, absent, answering
from gork.service.dialects.requests import (
    LATEST,
    TASK_HEADER,
    Catalogue,
    RequestOptions,
    ServedModel,
    no_such_model,
    tagged,
    understand,
)
from gork.service.responses import json_response
from gork.service.service import NAME, Service
from gork.turn import Question
from gork.wire import json_bytes

VERSION = "0.32.15"
"""Whose API this is. Clients refuse or hide features below some version of Ollama; ours, 0.1.0, would mean an Ollama of 2023."""
ARCHITECTURE = "gork"
UNKNOWN = "unknown"
"""Size and quantization: what is behind a model may be on another machine."""
NEVER = "2318-01-01T00:00:00Z"
"""When loaded models expire: not while the service runs. Ollama, too, gives a day three hundred years ahead for that."""
ABSENT = {
    "push": "models are not published by this service",
    "create": "models are not made by this service: write an ensemble file",
    "copy": "models are not copied by this service",
    "delete": "models are not deleted by this service",
    "blobs/{digest}": "this service keeps no blobs",
}
"""Parts of Ollama's API that are not offered, each with the reason."""
Body = OllamaChatRequest | OllamaGenerateRequest
Reply = OllamaChatReply | OllamaGenerateReply


def routes(service: Service) -> list[web.RouteDef]:
    """`/` and everything below /api that a real Ollama has."""
    api = OllamaApi(service)
    return [
        web.get("/", root),
        web.get("/api/version", api.version),
        web.get("/api/tags", api.tags),
        web.get("/api/ps", api.loaded),
        web.post("/api/show", api.show),
        web.post("/api/chat", api.chat),
        web.post("/api/generate", api.generate),
        web.post("/api/pull", api.pull),
        web.post("/api/embed", api.embed),
        web.post("/api/embeddings", api.embed),
        *absent("/api", ABSENT),
    ]


async def root(request: web.Request) -> web.StreamResponse:
    """The page for browsers; for other programs the words by which they recognise an Ollama."""
    if "text/html" in request.headers.get("Accept", "").lower():
        return await page.index(request)
    return web.Response(text="Ollama is running", headers={"Vary": "Accept"})


class OllamaApi:
    """The routes of the dialect."""

    def __init__(self, service: Service) -> None:
        self._service, self._catalogue = service, Catalogue(service)
        self._since = _stamp(self._catalogue.since)

    async def version(self, _request: web.Request) -> web.Response:
        """Give the version of Ollama whose API this is, and this program's."""
        return json_response(OllamaVersion(VERSION, __version__))

    async def tags(self, _request: web.Request) -> web.Response:
        """List the models."""
        return json_response(OllamaTags([self._listed(model) for model in self._catalogue.models]))

    async def loaded(self, _request: web.Request) -> web.Response:
        """List the models that are in memory; the ensemble is if its candidates are."""
        up = {name for name, health in (await self._service.healths.refreshed()).items() if health.loaded}
        if up.issuperset(member.name for member in self._service.ensemble.candidates):
            up.add(NAME)
        return json_response(OllamaRunning([_loaded(model) for model in self._catalogue.models if model.name in up], __version__))

    async def show(self, request: web.Request) -> web.Response:
        """Describe one model."""
        asked = await read_body(request, OllamaShowRequest)
        name = asked.model or asked.name
        try:
            model = self._catalogue.find(name)
        except NotFound:
            raise no_such_model(tagged(name or "")) from None
        options = {} if model.member is None else self._service.models[model.member].member.options
        described = OllamaShowReply(
            modelfile=f"# {model.name}, served by {NAME} {__version__}\nFROM {model.runs}\n",
            parameters="\n".join(_parameter_lines(options)),
            system=(None if model.member is None else self._service.models[model.member].member.system) or UNSET,
            template="{{ .Prompt }}",
            details=OllamaDetails(*_details(model)),
            model_info={
                "general.architecture": ARCHITECTURE,
                "general.basename": model.name,
                f"{ARCHITECTURE}.context_length": model.context,
            },
            capabilities=list(model.capabilities),
            modified_at=self._since,
        )
        return json_response(described)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        body = await read_body(request, OllamaChatRequest)
        model = self._catalogue.find(body.model)
        tools = offered_tools(self._service.settings, body.model, body.tools, body.tool_choice)
        options = self._options(model, body, tools)
        return await self._answer(request, model, body, options, plain_messages(body.messages or (), body.model))

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """Answer a prompt."""
        body = await read_body(request, OllamaGenerateRequest)
        if not body.model:
            raise NotFound("model '' not found", param="model")
        model = self._catalogue.find(body.model)
        options = self._options(model, body, ())
        if body.suffix:
            raise lacks(body.model, "insert")
        if body.images:
            raise lacks(body.model, "vision")
        if body.raw or body.template:
            raise BadRequest("raw prompts and templates are one model's own: the members of an ensemble each have another")
        return await self._answer(request, model, body, options, prompt_of(body))

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """Refuse as an Ollama does whose model makes no embeddings."""
        body = await read_body(request, OllamaShowRequest)
        name = body.model or body.name
        self._catalogue.find(name)
        raise lacks(name, "embeddings")

    async def pull(self, request: web.Request) -> web.StreamResponse:
        """Say that a model is there, if it is: programs pull before they ask."""
        body = await read_body(request, OllamaPullRequest)
        name = body.model or body.name
        try:
            self._catalogue.find(name)
        except NotFound:
            names = ", ".join(model.name for model in self._catalogue.models)
            raise NotFound(f"model '{name}' is not here, and this service fetches none: it has {names}", param="model") from None
        if body.stream is False:
            return json_response(OllamaStatus("success"))
        lines = [json_bytes(OllamaStatus(status)) + b"\n" for status in ("pulling manifest", "success")]
        return web.Response(body=b"".join(lines), content_type=OllamaEncoder.content_type)

    def _options(self, model: ServedModel, body: Body, notes: tuple[str, ...]) -> RequestOptions:
        """What the request says besides its messages, checked even where nothing is asked."""
        kept_for(body.keep_alive)
        if body.logprobs or body.top_logprobs:
            raise BadRequest("log-probabilities are not given here: leave out logprobs and top_logprobs", param="logprobs")
        drafts = drafts_of(body.think)
        if drafts and "thinking" not in model.capabilities:
            raise lacks(body.model, "thinking")
        sampling = sampling_in(body.options, self._service.ensemble.context)
        form, unkept = format_of(body.format)
        notes = (*notes, *sampling.notes, *unkept)
        optimize = body.optimize if body.optimize is not None or body.options is None else body.options.optimize
        return RequestOptions(
            options=sampling.options,
            seed=sampling.seed,
            answer_format=form,
            drafts=drafts,
            live_draft=body.live_draft,
            optimize=optimize,
            notes=notes,
        )

    async def _answer(
        self, http: web.Request, model: ServedModel, body: Body, options: RequestOptions, said: PlainMessages
    ) -> web.StreamResponse:
        """Answer the messages. Clients send none to have a model loaded or unloaded: the ensemble decides that itself and only says so."""
        seconds = kept_for(body.keep_alive)
        if not said.messages:
            self._keep(model, seconds)
            return json_response(OllamaEncoder(body).reply(done=True, done_reason="unload" if seconds == 0 else "load"))
        request = understand(self._service, model.member, said, options, task=http.headers.get(TASK_HEADER))
        encoder = OllamaEncoder(body, request.question)
        async with answering(self._service, request) as pending:
            reply = await pending.send(http, encoder, stream=body.stream is not False)
        self._keep(model, seconds)
        return reply

    def _keep(self, model: ServedModel, seconds: float | None) -> None:
        if seconds is not None:
            self._service.engine.keep(model.member, seconds)

    def _listed(self, model: ServedModel) -> OllamaListedModel:
        return OllamaListedModel(
            name=model.name + LATEST,
            model=model.name + LATEST,
            modified_at=self._since,
            size=0,  # its weights may be on another machine
            digest=model.digest,
            details=OllamaListedDetails(*_details(model), model.context),
            capabilities=list(model.capabilities),
        )


class OllamaEncoder:
    """Replies in Ollama's form: one JSON object to a line."""

    content_type = "application/x-ndjson"

    def __init__(self, body: Body, question: Question | None = None) -> None:
        self._model, self._chats = body.model or "", isinstance(body, OllamaChatRequest)
        self._question = question
        self._began = time.perf_counter_ns()

    def begin(self) -> bytes:
        """Nothing: the first line is the first that says something."""
        return b""

    def thinking(self, text: str) -> bytes:
        """A line with text for the thinking channel."""
        return self._line(thinking=text)

    def content(self, text: str) -> bytes:
        """A line with text of the answer."""
        return self._line(text)

    def keep_alive(self) -> bytes:
        """A blank before the next line: an empty line of JSON would be a piece of the answer to some, a blank line an error to others."""
        return b" "

    def end(self, result: ChatResult) -> bytes:
        """The last line: the figures."""
        return json_bytes(self._last(result)) + b"\n"

    def error(self, _error: GorkError, told: str) -> bytes:
        """The last line of a stream that failed; with the fields of all others, for clients that read those first."""
        return json_bytes(self.reply(done=True, done_reason="error", error=told)) + b"\n"

    def whole(self, result: ChatResult, thinking: str) -> Reply:
        """Text, thinking and figures in one object."""
        return self._last(result, result.text, thinking)

    def reply(self, text: str = "", thinking: str = "", **more: Any) -> Reply:  # noqa: ANN401 - fields of the record
        """One object: a message for chat, two fields for generate."""
        thought = thinking or UNSET
        if self._chats:
            return OllamaChatReply(model=self._model, created_at=now(), message=OllamaAnswer("assistant", text, thought), **more)
        return OllamaGenerateReply(model=self._model, created_at=now(), response=text, thinking=thought, **more)

    def _line(self, text: str = "", thinking: str = "") -> bytes:
        return json_bytes(self.reply(text, thinking, done=False)) + b"\n"

    def _last(self, result: ChatResult, text: str = "", thinking: str = "") -> Reply:
        context = {} if self._chats or self._question is None else {"context": _context(self._question, result.text)}
        return self.reply(
            text,
            thinking,
            done=True,
            done_reason=result.stop,
            total_duration=time.perf_counter_ns() - self._began,
            load_duration=_ns(result.load_s),
            prompt_eval_count=result.prompt_tokens,
            prompt_eval_duration=_ns(result.first_token_s),
            eval_count=result.tokens,
            eval_duration=_ns(max(result.seconds - result.first_token_s, 0.0)),
            **context,
        )


def now() -> str:
    """The time as Ollama writes it.

    >>> len(now()), now()[-1]
    (27, 'Z')
    """
    return _stamp(datetime.now(UTC))


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _context(question: Question, answer: str) -> list[int]:
    """The conversation with this turn, as `context` holds it."""
    earlier = [message["content"] for message in question.history]
    exchanges = [*zip(earlier[::2], earlier[1::2], strict=True), (question.text, answer)]
    return write_context(Remembered(question.system, exchanges))


def _parameter_lines(options: Options) -> Iterator[str]:
    """Options as Ollama prints them: a line of key and value for each, texts in double quotes."""
    for key, value in options.items():
        for one in value if isinstance(value, tuple) else (value,):
            yield f"{key:<30} {json.dumps(one)}"


def _loaded(model: ServedModel) -> OllamaLoadedModel:
    return OllamaLoadedModel(
        name=model.name + LATEST,
        model=model.name + LATEST,
        size=0,
        digest=model.digest,
        details=OllamaDetails(*_details(model)),
        expires_at=NEVER,
        size_vram=0,
        context_length=model.context,
    )


def _details(model: ServedModel) -> tuple[str, str, str, list[str], str, str]:
    family = ARCHITECTURE if model.member is None else model.runs
    return model.runs, "gguf", family, [family], UNKNOWN, UNKNOWN


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
