"""OpenAI's newer `/v1/responses`: text in and out, streamed or whole, going on from an earlier response by its id.

The ids are made of the turn's: `resp_...` is the response, `msg_...` its answer, `rs_...` the way to it (drafts and verdict), which comes
as the summary of a reasoning item.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec
from aiohttp import web
from msgspec import field

from gork.errors import BadRequest, GorkError
from gork.service.bodies import read_body
from gork.service.dialects.messages import ChatMessage, PlainMessages, checked_text, offered_tools, plain_messages
from gork.service.dialects.openai_messages import (
    Count,
    OpenAICompletionDetails,
    OpenAIPromptDetails,
    OpenAIResponseFormat,
    OpenAISampling,
    drafts_of,
    event_of,
    format_of,
    refuse,
    sampling_in,
)
from gork.service.dialects.replies import ChatResult, answering
from gork.service.dialects.requests import TASK_HEADER, Catalogue, RequestOptions, understand
from gork.service.dialects.sampling import Number
from gork.service.responses import status_of
from gork.service.service import Service
from gork.service.turns import KeptTurn, TurnStore
from gork.turn import Message, Question, instructions

Json = dict[str, Any]


class OpenAITextForm(msgspec.Struct):
    """The form of the answer's text."""

    format: OpenAIResponseFormat | None = None


class OpenAIResponsesRequest(OpenAISampling, kw_only=True):
    """The body of `POST /v1/responses`."""

    model: str
    input: str | list[str | Json] | None = None
    """A text, or the items of a conversation."""
    instructions: str | None = None
    previous_response_id: str | None = None
    """The response that this one goes on from; kept for an hour, as far as there is room."""
    store: bool | None = None
    """False: nothing can go on from this one."""
    stream: bool | None = None
    max_output_tokens: Number | None = None
    text: OpenAITextForm | None = None
    tools: list[Any] | None = None
    tool_choice: str | Json | None = None
    metadata: Json | None = None
    background: bool | None = None
    conversation: str | Json | None = None
    prompt: Json | None = None


class OpenAIResponsesUsage(msgspec.Struct):
    """The chosen answer's own tokens."""

    input_tokens: Count
    input_tokens_details: OpenAIPromptDetails
    output_tokens: Count
    output_tokens_details: OpenAICompletionDetails
    total_tokens: Count


class OpenAIResponse(msgspec.Struct, kw_only=True):
    """What `POST /v1/responses` answers."""

    id: str
    object: Literal["response"] = "response"
    created_at: Count
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: bool = False
    error: dict[str, str] | None = None
    incomplete_details: dict[str, str] | None = None
    instructions: str | None
    max_output_tokens: Number | None
    metadata: Json
    model: str
    output: list[Json]
    parallel_tool_calls: bool = False
    previous_response_id: str | None
    reasoning: Json = field(default_factory=lambda: {"effort": None, "summary": None})
    store: bool
    temperature: Number | None
    text: Json = field(default_factory=lambda: {"format": {"type": "text"}})
    tool_choice: str = "none"
    tools: list[Any] = field(default_factory=list)
    top_p: Number | None
    truncation: Literal["disabled"] = "disabled"
    usage: OpenAIResponsesUsage | None
    user: str | None = None


def routes(service: Service) -> list[web.RouteDef]:
    """`/v1/responses`."""
    api = ResponsesApi(service)
    return [web.post("/v1/responses", api.respond)]


class ResponsesApi:
    """The route of responses."""

    def __init__(self, service: Service) -> None:
        self._service, self._catalogue = service, Catalogue(service)
        self._turns = service.finished

    async def respond(self, http: web.Request) -> web.StreamResponse:
        """Answer the items of a conversation."""
        body = await read_body(http, OpenAIResponsesRequest)
        model = self._catalogue.find(body.model)
        options = self._options(body)
        said = plain_messages([*messages_in(body.input, self._turns)], body.model, "input")
        talk = (*self._before(body.previous_response_id), *said.messages)
        asked = PlainMessages((*instructions(checked_text(body.instructions or "", "instructions")), *talk), said.notes)
        request = understand(self._service, model.member, asked, options, task=http.headers.get(TASK_HEADER))
        question = request.question

        def remember(answer: str) -> None:
            self._turns.add(KeptTurn(question.id, (*talk, {"role": "assistant", "content": answer})))

        encoder = ResponsesEncoder(body, question, (lambda _: None) if body.store is False else remember)
        async with answering(self._service, request) as pending:
            return await pending.send(http, encoder, stream=bool(body.stream))

    def _before(self, response_id: str | None) -> Sequence[Message]:
        """What was said before this request. Raises `BadRequest`."""
        if not response_id:
            return ()
        kept = self._turns.find(response_id.removeprefix("resp_"))
        if kept is None:
            raise BadRequest(
                f"Previous response with id '{response_id[:100]}' not found: responses are kept for an hour at most, and in memory alone",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return kept.messages

    def _options(self, body: OpenAIResponsesRequest) -> RequestOptions:
        refuse(
            {
                "background": (body.background, "background responses are not supported: stream, or wait for the answer"),
                "conversation": (body.conversation, "conversations are not kept here: use previous_response_id, or send the items"),
                "prompt": (body.prompt, "stored prompts are not supported: send instructions and input"),
            }
        )
        settings = self._service.settings
        tools = offered_tools(settings, body.model, body.tools, body.tool_choice)
        sampling = sampling_in(body, body.max_output_tokens, settings.ensemble.context)
        form, unkept = format_of(body.text.format if body.text is not None else None, "text.format")
        return RequestOptions(
            options=sampling.options,
            seed=sampling.seed,
            answer_format=form,
            drafts=drafts_of(body),
            optimize=body.optimize,
            live_draft=body.live_draft,
            notes=(*tools, *sampling.notes, *unkept),
        )


def messages_in(given: str | Sequence[str | Json] | None, turns: TurnStore[KeptTurn]) -> Iterator[ChatMessage]:
    """The items of an input as messages; items may refer to answers that are still kept. Raises `BadRequest`."""
    for index, item in enumerate([given] if isinstance(given, str) else given or ()):
        match item:
            case str(text) | {"type": "input_text" | "text", "text": str(text)}:
                yield ChatMessage(content=text)
            case {"type": "function_call" | "custom_tool_call" | "mcp_call", "name": name}:
                function = {"name": name, "arguments": item.get("arguments") or item.get("input")}
                yield ChatMessage(role="assistant", tool_calls=[{"id": item.get("call_id"), "function": function}])
            case {"type": "function_call_output" | "custom_tool_call_output", "output": output}:
                yield ChatMessage(role="tool", content=_content(output), tool_call_id=str(item.get("call_id")))
            case {"type": "item_reference", "id": str(reference)}:
                yield from _referred(reference, turns, f"input[{index}]")
            case {"type": "reasoning"}:
                continue
            case {"content": content} if item.get("type") in {None, "message"}:
                yield ChatMessage(role=str(item.get("role") or "user"), content=_content(content))
            case {"type": str(kind)} if kind.startswith("mcp_") or kind.endswith(("_call", "_call_output")) or kind == "compaction":
                continue  # of what the API has built in, and that left its words in an answer
            case _:
                raise BadRequest(f"input[{index}] is not an item that has text", param=f"input[{index}]")


def _content(value: object) -> str | list[Any] | None:
    return value if isinstance(value, str | list) or value is None else msgspec.json.encode(value).decode()


def _referred(reference: str, turns: TurnStore[KeptTurn], place: str) -> Iterator[ChatMessage]:
    """The answer that an item refers to; nothing for the reasoning that led to it."""
    kind, _, turn_id = reference.partition("_")
    if kind == "rs":
        return
    kept = turns.find(turn_id)
    if kept is None:
        raise BadRequest(f"Item with id '{reference[:100]}' not found: send the text itself", param=place)
    yield ChatMessage(role="assistant", content=kept.answer)


class ResponsesEncoder:
    """Replies in the form of responses: server-sent events by their types, numbered, each item opened, filled and closed."""

    content_type = "text/event-stream"

    def __init__(self, body: OpenAIResponsesRequest, question: Question, remember: Callable[[str], None]) -> None:
        self._body, self._id, self._remember = body, question.id, remember
        self._created = int(time.time())
        self._number = 0
        self._thoughts: list[str] = []
        self._texts: list[str] = []

    def begin(self) -> bytes:
        """The response, which has begun."""
        self._number, self._thoughts, self._texts = 0, [], []
        response = self._response("in_progress", [])
        return self._event("response.created", response=response) + self._event("response.in_progress", response=response)

    def thinking(self, text: str) -> bytes:
        """A piece of the reasoning item's summary."""
        opened = b""
        if not self._thoughts:
            opened = self._event("response.output_item.added", output_index=0, item=self._reasoning("", "in_progress"))
            part = {"type": "summary_text", "text": ""}
            opened += self._event("response.reasoning_summary_part.added", **self._at_summary, part=part)
        self._thoughts.append(text)
        return opened + self._event("response.reasoning_summary_text.delta", **self._at_summary, delta=text)

    def content(self, text: str) -> bytes:
        """A piece of the answer."""
        opened = self._opened()
        self._texts.append(text)
        return opened + self._event("response.output_text.delta", **self._at_text, delta=text, logprobs=[])

    def keep_alive(self) -> bytes:
        """Say again that it is in progress."""
        return self._event("response.in_progress", response=self._response("in_progress", []))

    def end(self, result: ChatResult) -> bytes:
        """Close the answer and the response."""
        self._remember(result.text)
        opened = self._opened()
        item = self._message(result.text, "completed")
        response = self._ended(result, "".join(self._thoughts).rstrip())
        return (
            opened
            + self._event("response.output_text.done", **self._at_text, text=result.text, logprobs=[])
            + self._event("response.content_part.done", **self._at_text, part=item["content"][0])
            + self._event("response.output_item.done", output_index=self._index, item=item)
            + self._event(f"response.{response.status}", response=response)
        )

    def error(self, error: GorkError, told: str) -> bytes:
        """The response has failed."""
        code = "server_error" if status_of(error) >= 500 else "invalid_request_error"
        response = self._response("failed", [], error={"code": code, "message": told})
        failed = self._event("error", code=code, message=told, param=None)
        return failed + self._event("response.failed", response=response)

    def whole(self, result: ChatResult, thinking: str) -> OpenAIResponse:
        """The response in one object."""
        self._remember(result.text)
        return self._ended(result, thinking)

    @property
    def _index(self) -> int:
        return 1 if self._thoughts else 0

    @property
    def _at_summary(self) -> Json:
        return {"item_id": f"rs_{self._id}", "output_index": 0, "summary_index": 0}

    @property
    def _at_text(self) -> Json:
        return {"item_id": f"msg_{self._id}", "output_index": self._index, "content_index": 0}

    def _opened(self) -> bytes:
        """Close the reasoning and open the answer, before its first piece."""
        if self._texts:
            return b""
        self._texts.append("")
        closed = b""
        if self._thoughts:
            text = "".join(self._thoughts).rstrip()
            part = {"type": "summary_text", "text": text}
            closed = self._event("response.reasoning_summary_text.done", **self._at_summary, text=text)
            closed += self._event("response.reasoning_summary_part.done", **self._at_summary, part=part)
            closed += self._event("response.output_item.done", output_index=0, item=self._reasoning(text, "completed"))
        item = {**self._message("", "in_progress"), "content": []}
        opened = self._event("response.output_item.added", output_index=self._index, item=item)
        empty: Json = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return closed + opened + self._event("response.content_part.added", **self._at_text, part=empty)

    def _reasoning(self, text: str, status: str) -> Json:
        summary = [{"type": "summary_text", "text": text}] if text else []
        return {"type": "reasoning", "id": f"rs_{self._id}", "status": status, "summary": summary}

    def _message(self, text: str, status: str) -> Json:
        content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        return {"type": "message", "id": f"msg_{self._id}", "status": status, "role": "assistant", "content": content}

    def _ended(self, result: ChatResult, thinking: str) -> OpenAIResponse:
        reasoning = [self._reasoning(thinking, "completed")] if thinking else []
        whole = result.stop == "stop"
        total = result.prompt_tokens + result.tokens
        usage = OpenAIResponsesUsage(result.prompt_tokens, OpenAIPromptDetails(), result.tokens, OpenAICompletionDetails(), total)
        output = [*reasoning, self._message(result.text, "completed" if whole else "incomplete")]
        details = None if whole else {"reason": "max_output_tokens"}
        return self._response("completed" if whole else "incomplete", output, incomplete_details=details, usage=usage)

    def _response(
        self,
        status: Literal["in_progress", "completed", "incomplete", "failed"],
        output: list[Json],
        **more: Any,  # noqa: ANN401
    ) -> OpenAIResponse:
        body = self._body
        return OpenAIResponse(
            id=f"resp_{self._id}",
            created_at=self._created,
            status=status,
            instructions=body.instructions,
            max_output_tokens=body.max_output_tokens,
            metadata=body.metadata or {},
            model=body.model,
            output=output,
            previous_response_id=body.previous_response_id,
            store=body.store is not False,
            temperature=body.temperature,
            top_p=body.top_p,
            **{"usage": None, **more},
        )

    def _event(self, kind: str, **values: Any) -> bytes:  # noqa: ANN401 - fields of events
        number, self._number = self._number, self._number + 1
        return event_of({"type": kind, "sequence_number": number, **values}, kind)
