"""The messages of clients as plain ones: what a client keeps of a conversation, whatever stands in it, as text by system, user, assistant.

One reader for all dialects. What a model that reads and writes text alone can do nothing with is left out of earlier turns, which is said,
and refused where it is the question itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from gork.config.settings import Settings
from gork.errors import BadRequest
from gork.turn import Message
from gork.wire import json_bytes

_Role = Literal["system", "user", "assistant", "tool"]
_ROLES: Final[Mapping[str, _Role]] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("assistant", "ai", "bot", "model"), "assistant"),
    **dict.fromkeys(("tool", "function"), "tool"),
}
"""By the role in lower case; every other one is the user's, as most chat templates take it."""
_SEEN = "vision"
_CAPABILITY: Final[Mapping[str, str]] = {
    **dict.fromkeys(("image_url", "input_image", "image"), _SEEN),
    **dict.fromkeys(("input_audio", "audio", "audio_url"), "audio"),
    **dict.fromkeys(("file", "input_file", "document"), "files"),
    **dict.fromkeys(("video", "video_url"), "video"),
}
"""By the type of a part that is not text, what a model would need for it."""
_NOT_SAID: Final = frozenset({"tool_use", "tool_call", "thinking", "reasoning", "redacted_thinking"})
"""Types of parts that are no part of what was said."""


class ChatMessage(msgspec.Struct):
    """One message, with the fields of all dialects."""

    role: str | None = None
    """In any case; one that is not known is the user's."""
    content: str | list[Any] | dict[str, Any] | None = None
    """A text, its parts, or null."""
    images: list[Any] | None = None
    tool_calls: list[Any] | None = None
    function_call: dict[str, Any] | None = None
    tool_name: str | None = None
    name: str | None = None
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class PlainMessages:
    """Messages in plain form, and a line for each kind of thing that was left out."""

    messages: tuple[Message, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Content:
    """What a message says: its text, and the capabilities that the rest of it would need, each with its place."""

    text: str
    needs: tuple[tuple[str, str], ...] = ()


def plain_messages(given: Sequence[ChatMessage], model: str | None, place: str = "messages") -> PlainMessages:
    """The messages in plain form. Raises `BadRequest` for a question that is not text, and for text that no model can read.

    What a tool gave is read as part of the user's turn; an assistant's message that only leads to a call is no answer, and is left out.
    """
    kinds = [_ROLES.get((message.role or "").strip().lower(), "user") for message in given]
    answered = max((index for index, kind in enumerate(kinds) if kind in {"assistant", "tool"}), default=-1)
    calls: dict[str, str] = {}
    messages: list[Message] = []
    notes: dict[str, None] = {}
    for index, (message, kind) in enumerate(zip(given, kinds, strict=True)):
        content = _content_of(message, f"{place}[{index}]")
        for capability, where in content.needs:
            if kind == "user" and index > answered:
                raise lacks(model, capability, where)
            notes["what is no text in earlier messages (pictures, sound, files) is left out: the models read text alone"] = None
        match kind:
            case "tool":
                notes["what tools gave earlier in the conversation is read as part of the questions; none is called here"] = None
                messages.append({"role": "user", "content": f"{_called(message, calls)}: {content.text}"})
            case "assistant":
                calls |= dict(_calls_of(message))
                leads_to_call = index + 1 < len(kinds) and kinds[index + 1] == "tool"
                messages.append({"role": "assistant", "content": "" if leads_to_call else content.text})
            case _:
                messages.append({"role": kind, "content": content.text})
    return PlainMessages(tuple(messages), tuple(notes))


def lacks(model: str | None, capability: str, place: str | None = None) -> BadRequest:
    """The error for a capability that a model does not have, in the words that clients look for."""
    return BadRequest(f'"{model}" does not support {capability}', param=place or capability, code="unsupported_parameter")


def offered_tools(
    settings: Settings, model: str | None, tools: Sequence[Any] | None, choice: str | Mapping[str, Any] | None
) -> tuple[str, ...]:
    """A line for tools that a request offers and that are ignored: a model may always do without them.

    Raises `BadRequest` where a call is required, or where the settings refuse tools.
    """
    wanted = _chosen(choice)
    if wanted == "required":
        raise lacks(model, "tools", "tool_choice")
    if not tools or wanted == "none":
        return ()
    if settings.tools == "refuse":
        raise lacks(model, "tools")
    number = f"{len(tools)} tools, and none" if len(tools) > 1 else "a tool, which"
    return (f"this request offers {number} is called: the question is answered in words",)


def _chosen(choice: str | Mapping[str, Any] | None) -> Literal["auto", "none", "required"]:
    """What a choice of tools comes to: one that is named is required, and so is every word that does not leave it open.

    >>> _chosen("AUTO"), _chosen({"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}), _chosen({"name": "weather"})
    ('auto', 'auto', 'required')
    """
    if isinstance(choice, Mapping):
        allowed = choice.get("allowed_tools")
        choice = choice.get("mode") or (allowed.get("mode") if isinstance(allowed, Mapping) else choice.get("type")) or "function"
    match str(choice or "auto").lower():
        case "auto":
            return "auto"
        case "none":
            return "none"
        case _:
            return "required"


def checked_text(text: str, place: str) -> str:
    """A text of a client, unchanged. Raises `BadRequest` for what no model can read."""
    if "\0" in text:
        raise BadRequest(f"{place} has a NUL character in it: is it a binary file?", param=place)
    return text


def _content_of(message: ChatMessage, place: str) -> _Content:
    here = f"{place}.content"
    if isinstance(message.content, dict) and not {"type", "text"} & set(message.content):
        return _Content(json_bytes(message.content).decode())  # what a tool gave, as it gave it
    pictures = ((_SEEN, f"{place}.images"),) if message.images else ()
    if message.content is None or isinstance(message.content, str):
        return _Content(checked_text(message.content or "", here), pictures)
    parts = message.content if isinstance(message.content, list) else [message.content]
    read = [_part(part, f"{here}[{index}]") for index, part in enumerate(parts)]
    return _Content("\n".join(part.text for part in read if part.text), pictures + tuple(need for part in read for need in part.needs))


def _part(part: object, place: str) -> _Content:
    """One part of a message's content."""
    text, need = "", None
    match part:
        case {"type": "tool_result", "content": inner}:
            return _content_of(ChatMessage(content=inner if isinstance(inner, str | list) else None), place)
        case str(said) | {"type": "text" | "input_text" | "output_text", "text": str(said)} | {"type": "refusal", "refusal": str(said)}:
            text = said
        case {"type": str(kind)} if kind in _CAPABILITY:
            need = _CAPABILITY[kind]
        case None | {"text": None}:
            pass
        case {"type": str(kind)} if kind in _NOT_SAID:
            pass
        case {"text": str(said)}:
            text = said
        case {"type": str(kind)}:
            need = f"parts of the type {kind[:40]!r}"
        case _:
            raise BadRequest(f"{place} is not a part that has text", param=place)
    return _Content(checked_text(text, place), () if need is None else ((need, place),))


def _calls_of(message: ChatMessage) -> Iterator[tuple[str, str]]:
    """The calls of an assistant's message, in words, by their ids and by their functions' names."""
    calls = [*(message.tool_calls or ()), *([{"function": message.function_call}] if message.function_call else ())]
    for call in calls:
        match call:
            case {"function": {"name": str(name), **function}}:
                given = function.get("arguments")
                shown = given if isinstance(given, str) else json_bytes(given).decode() if given else ""
                words = f"Result of {name}({shown})"
                yield str(call.get("id") or name), words
                yield name, words
            case _:
                continue  # of a form that has no name


def _called(message: ChatMessage, calls: dict[str, str]) -> str:
    """Which call a tool's message answers."""
    for key in (message.tool_call_id, message.tool_name, message.name):
        if key and key in calls:
            return calls[key]
    name = message.tool_name or message.name
    return f"Result of {name}" if name else next(reversed(calls.values()), "Result of a tool")
