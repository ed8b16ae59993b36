"""What a client of a chat dialect asks: which model, and its messages as a question for the ensemble or for one member alone.

Both dialects come here with the same plain messages. Instructions may stand anywhere among them, the last of the others is the
question, and what was said before it is history: whole turns, the newest first, as many as fit.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from gork.computing.asking import kind_in_thread
from gork.config.ensemble import LONGEST_TOKEN_BYTES, OptionValue
from gork.config.settings import Settings
from gork.conversation.thread import Conversation, Exchange, announce, room_for_history
from gork.errors import BadRequest, NotFound
from gork.judging.rules import ranking_of, rules_for
from gork.service.dialects.messages import PlainMessages
from gork.service.logs import note
from gork.service.service import NAME, Service
from gork.turn import AnswerFormat, Message, Question, as_messages, instructions

LATEST = ":latest"
REGISTRY = "registry.ollama.ai/"
LIBRARY = "library/"
LONGEST_NAME = 256
SEEDS = 2**31
"""A request's seed is taken modulo this."""
TASK_HEADER = "X-OpenWebUI-Task"
"""Set and not empty, a request is a side call (a title, tags, follow-ups), which one small model answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One model as clients see it."""

    name: str
    member: str | None
    """The member that answers alone; None for the whole ensemble."""
    runs: str
    """The model that answers, as its engine calls it; the ensemble's name for the ensemble."""
    digest: str
    """Changes when the models change, or their instructions."""
    context: int
    capabilities: tuple[str, ...]


class Catalogue:
    """The models that clients can name: the ensemble, and each member alone."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.since = datetime.now(UTC)
        """When the service began to serve: nothing older is known of its models."""

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """The ensemble, then its members in the order of a turn."""
        ensemble = self._service.ensemble
        whole = ServedModel(
            name=NAME,
            member=None,
            runs=ensemble.name,
            digest=_digest(
                [replace(member, url=None) for member in ensemble.members], ensemble.choosing, ensemble.rewrite, ensemble.candidates_see
            ),
            context=ensemble.context,
            capabilities=("completion", "thinking"),
        )
        members = [
            ServedModel(
                name=member.name,
                member=member.name,
                runs=self._service.models[member.name].model,
                digest=_digest(replace(member, url=None)),
                context=self._service.models[member.name].context,
                capabilities=("completion",),
            )
            for member in ensemble.members
            if member.name != NAME
        ]
        return (whole, *members)

    def find(self, name: str | None) -> ServedModel:
        """The model of that name, in any case, with or without `:latest`. Raises `BadRequest` or `NotFound` in Ollama's words."""
        if not name:
            raise BadRequest("model is required", param="model")
        if len(name) > LONGEST_NAME:
            raise BadRequest("invalid model name", param="model")
        wanted = _plain_name(name)
        for model in self.models:
            if wanted == _plain_name(model.name):
                return model
        raise no_such_model(name)


def no_such_model(name: str) -> NotFound:
    """The error for a name that is not in the catalogue."""
    return NotFound(f"model '{name}' not found", param="model", code="model_not_found")


def _plain_name(name: str) -> str:
    """A model's name without what Ollama, too, takes for granted in one: its registry, its library, its tag and its case.

    >>> _plain_name("registry.ollama.ai/library/Qwen:latest"), _plain_name("qwen3:0.6b")
    ('qwen', 'qwen3:0.6b')
    """
    return name.lower().removeprefix(REGISTRY).removeprefix(LIBRARY).removesuffix(LATEST)


def tagged(name: str) -> str:
    """A model's name with its tag.

    >>> tagged("qwen"), tagged("qwen:latest"), tagged("qwen3:0.6b")
    ('qwen:latest', 'qwen:latest', 'qwen3:0.6b')
    """
    return name if ":" in name else name + LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What a request says besides its messages."""

    options: Mapping[str, OptionValue]
    seed: int | None = None
    answer_format: AnswerFormat | None = None
    drafts: bool | None = None
    """Whether drafts and verdict are wanted in the thinking channel; None leaves it to the settings."""
    live_draft: bool | None = None
    """Whether one of the drafts comes as it is written; None leaves it to the settings."""
    optimize: bool | None = None
    """Whether the question is rewritten; None leaves it to the settings."""
    notes: tuple[str, ...] = ()
    """Lines for the client: something of these is not as it asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderstoodRequest:
    """One request, checked and in the product's own terms."""

    member: str | None
    """The member that answers alone; None for the whole ensemble."""
    question: Question
    options: RequestOptions
    settings: Settings
    """The service's, with the request's seed, and with its word on rewriting."""
    plain: bool = False
    """Whether the member gets none of its own instructions."""
    notes: tuple[str, ...] = ()
    """Lines for the client: something was left out."""

    @property
    def drafts(self) -> bool:
        """Whether the thinking channel is open."""
        return self.settings.drafts if self.options.drafts is None else self.options.drafts

    @property
    def live_draft(self) -> str | None:
        """Whose draft comes as it is written: the favourite's for such questions, since its answer is the likeliest to be chosen."""
        wanted = self.settings.live_draft if self.options.live_draft is None else self.options.live_draft
        if not wanted or self.member is not None:
            return None
        asked = dataclasses.replace(self.question, kind=kind_in_thread(self.question))
        return rules_for(asked, self.settings.ensemble).ranking[0]


def understand(
    service: Service, member: str | None, said: PlainMessages, options: RequestOptions, *, task: str | None = None
) -> UnderstoodRequest:
    """A client's request; `member` is None for the ensemble, `task` the value of `TASK_HEADER`. Raises `BadRequest`."""
    settings = service.settings
    side_call = member is None and task is not None and bool(task.strip())
    member = smallest(service) if side_call else member
    system, history, text, notes = _split(said.messages)
    _check_size(system + text, settings.ensemble.context)
    readers = settings.ensemble.candidates if member is None else (service.models[member].member,)
    context = min(service.models[reader.name].context for reader in readers)
    room = room_for_history(settings, readers, text, system=system, context=context)
    kept = Conversation(history).kept(room, settings.history_tokens)
    cut = announce(kept)
    question = Question(
        text=text,
        history=kept.messages,
        system=system,
        options=options.options,
        answer_format=options.answer_format,
    )
    notes = (*options.notes, *said.notes, *notes, *((cut,) if cut else ()))
    for line in notes:
        note("a request is not answered as it stands", why=line)
    return UnderstoodRequest(
        member=member,
        question=question,
        options=options,
        settings=_settings_of(settings, options),
        plain=side_call or (member is not None and service.roles[member] != "candidate"),
        notes=notes,
    )


def _settings_of(settings: Settings, options: RequestOptions) -> Settings:
    said: dict[str, object] = {} if options.seed is None else {"seed": options.seed % SEEDS}
    if options.optimize is not None:
        said["optimize"] = options.optimize
    return replace(settings, **said) if said else settings


def smallest(service: Service) -> str:
    """The member that answers side calls: the last candidate in the ensemble's order, where the best stand first."""
    return ranking_of(service.ensemble)[-1]


def messages_for_member(service: Service, request: UnderstoodRequest) -> list[Message]:
    """The messages for a member that answers alone.

    A candidate gets what it gets in a turn: its own instructions before the client's, and its examples. Promptimizer and judge have
    instructions for their part in a turn alone, so they get only the client's, and so does the member that answers a side call.
    """
    if request.member is None:
        raise ValueError("the request is for the ensemble")
    member, question = service.models[request.member].member, request.question
    own = None if request.plain else member.system
    examples = as_messages(() if request.plain else member.examples)
    return [*instructions(own, question.system), *examples, *question.history, {"role": "user", "content": question.text}]


def _split(messages: Sequence[Message]) -> tuple[str, list[Exchange], str, tuple[str, ...]]:
    """Instructions, earlier turns, the question, and lines about what was left out. Raises `BadRequest` where nothing is asked.

    Messages without text are none. The last of the user's is the question; instructions alone are asked as they stand.
    """
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system" and message["content"].strip())
    talk = _joined([message for message in messages if message["role"] != "system" and message["content"].strip()])
    notes: list[str] = []
    if len(talk) > 1 and talk[-1]["role"] == "assistant":
        notes.append("the last message is the assistant's: it is left out, since an answer that has been begun is not continued here")
        talk = talk[:-1]
    if len(talk) > 1 and talk[0]["role"] == "assistant":
        notes.append("the conversation began with a message of the assistant's: it is left out of this turn")
        talk = talk[1:]
    if not talk and not system:
        raise BadRequest("there is nothing to answer in messages: none has text", param="messages")
    if not talk:
        return "", [], system, ("there is no message of the user's: the instructions are asked as the question",)
    if talk[-1]["role"] == "assistant":
        notes.append("there is no message of the user's: the assistant's is asked as the question")
    pairs = zip(talk[:-1:2], talk[1:-1:2], strict=True)
    return system, [Exchange(user["content"], assistant["content"]) for user, assistant in pairs], talk[-1]["content"], tuple(notes)


def _joined(messages: Sequence[Message]) -> list[Message]:
    """The messages, with neighbours of the same role made one, since many chat templates refuse them."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1]["role"] == message["role"]:
            joined[-1] = {"role": message["role"], "content": f"{joined[-1]['content']}\n\n{message['content']}"}
        else:
            joined.append(message)
    return joined


def _check_size(text: str, context: int) -> None:
    size = len(text.encode())
    if size > context * LONGEST_TOKEN_BYTES:
        raise BadRequest(
            f"the question and its instructions have {size:,} bytes, far more than the models' context of {context:,} tokens holds: "
            "shorten them",
            param="messages",
            code="context_length_exceeded",
        )


def _digest(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
