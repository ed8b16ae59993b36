"""What a client of a chat dialect asks: its messages as a question, for the ensemble or for one member alone.

Both dialects come here with the same plain messages. Instructions may stand anywhere among them, the last of the others is the
question, and what was said before it is history: whole turns, the newest first, as much as models are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from gork.config.ensemble import OptionValue
from gork.config.settings import Settings
from gork.conversation.thread import Conversation, Exchange, announce
from gork.judging.decide import prior_order
from gork.service.errors import BadRequest
from gork.service.logs import note
from gork.service.service import Service
from gork.turn import AnswerFormat, Message, Question

LONGEST_TOKEN_BYTES = 16
"""No tokenizer makes fewer tokens of ordinary text than one for this many bytes: more than context x this cannot fit."""
SEEDS = 2**31
TASK_HEADER = "X-OpenWebUI-Task"
"""Set and not empty, a request is a side call (a title, tags, follow-ups), which one small model answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a request says besides its messages."""

    options: Mapping[str, OptionValue]
    seed: int | None = None
    answer_format: AnswerFormat | None = None
    drafts: bool | None = None
    """Whether drafts and verdict are wanted in the thinking channel; None leaves it to the settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, understood."""

    member: str | None
    """Who answers alone; None for the whole ensemble."""
    question: Question
    wishes: Wishes
    how: Settings
    plain: bool = False
    """Whether the member gets none of its own instructions."""
    notes: tuple[str, ...] = ()
    """What the client should be told: something was left out."""

    @property
    def drafts(self) -> bool:
        """Whether the thinking channel is open."""
        return self.how.drafts if self.wishes.drafts is None else self.wishes.drafts


def understand(service: Service, member: str | None, messages: Sequence[Message], wishes: Wishes, *, task: str | None = None) -> Asked:
    """The request of a client; `member` is None for the ensemble, `task` what a client calls its side call. Raises `BadRequest`."""
    settings = service.settings
    side_call = member is None and task is not None and bool(task.strip())
    member = smallest(service) if side_call else member
    system, history, text, notes = _sorted_out(messages)
    _check_size(system + text, settings.ensemble.context)
    kept = Conversation(history).kept(settings.history_tokens)
    cut = announce(kept)
    question = Question(
        text=text,
        history=kept.messages,
        system=system,
        options=wishes.options,
        answer_format=wishes.answer_format,
    )
    notes = (*notes, *((cut,) if cut else ()))
    for line in notes:
        note("a conversation was cut", why=line)
    how = settings if wishes.seed is None else replace(settings, seed=wishes.seed % SEEDS)
    plain = side_call or (member is not None and service.roles[member] != "candidate")
    return Asked(member=member, question=question, wishes=wishes, how=how, plain=plain, notes=notes)


def smallest(service: Service) -> str:
    """Who answers side calls: the candidate that stands last in the ensemble's order, where the best stand first."""
    ensemble = service.ensemble
    return prior_order([member.name for member in ensemble.candidates], ensemble.choosing)[-1]


def messages_for_member(service: Service, asked: Asked) -> list[Message]:
    """What a member reads that answers alone.

    A candidate gets what it gets in a turn: its own instructions before the client's, and its examples. Promptimizer and judge have
    instructions for their part in a turn alone, so they get the client's only, and so does whoever answers a side call.
    """
    if asked.member is None:
        raise ValueError("nobody answers alone")
    member, question = service.models[asked.member].member, asked.question
    own = None if asked.plain else member.system
    messages: list[Message] = []
    if instructions := [text for text in (own, question.system) if text]:
        messages.append({"role": "system", "content": "\n\n".join(instructions)})
    for user, assistant in () if asked.plain else member.examples:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    return [*messages, *question.history, {"role": "user", "content": question.text}]


def checked_text(text: str, place: str) -> str:
    """A text of a client, unchanged. Raises `BadRequest` for what no model can read."""
    if "\0" in text:
        raise BadRequest(f"{place} has a NUL character in it: is it a binary file?", param=place)
    return text


def _sorted_out(messages: Sequence[Message]) -> tuple[str, list[Exchange], str, tuple[str, ...]]:
    """Instructions, earlier turns, the question, and what is to be told. Raises `BadRequest`."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system" and message["content"].strip())
    talk = _joined([message for message in messages if message["role"] != "system"])
    if not talk:
        raise BadRequest("there is no message of the user's in messages", param="messages")
    if talk[-1]["role"] != "user":
        raise BadRequest("the last message must be the user's: an answer that has been begun is not continued here", param="messages")
    text = talk[-1]["content"]
    if not text.strip():
        raise BadRequest("the last message is empty", param="messages")
    notes: tuple[str, ...] = ()
    if talk[0]["role"] == "assistant":
        talk, notes = talk[1:], ("the conversation began with a message of the assistant's: it is left out of this turn",)
    pairs = zip(talk[:-1:2], talk[1:-1:2], strict=True)
    return system, [Exchange(user["content"], assistant["content"]) for user, assistant in pairs], text, notes


def _joined(messages: Sequence[Message]) -> list[Message]:
    """The messages with those of the same role in a row made one, since many chat templates refuse them."""
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
