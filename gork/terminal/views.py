"""Turns as text: all answers of one, why its answer was chosen, a session's counts, a conversation as a document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from gork.conversation.thread import Exchange
from gork.health import MemberRow
from gork.terminal.output import cut
from gork.terminal.safe_text import counted, head
from gork.terminal.session import SessionStats
from gork.terminal.why import why
from gork.text.structure import in_fence
from gork.turn import Answer, Turn


def table(rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Rows in aligned columns; where a window has no room for them, each row for itself, with the titles of the first row in it.

    >>> print(table([("member", "won"), ("qwen", "1"), ("llama", "0")]))
    member  won
    qwen    1
    llama   0
    >>> print(table([("member", "won", "failed"), ("qwen", "1", "0"), ("llama", "0", "")], 18))
    qwen: won 1, failed 0
    llama: won 0
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(space) for cell, space in zip(row, widths, strict=True)).rstrip() for row in rows]
    if width is None or max(map(len, lines)) <= width:
        return "\n".join(lines)
    titles, *rest = rows
    named = ((row[0], [f"{title} {cell}" for title, cell in zip(titles[1:], row[1:], strict=True) if cell]) for row in rest)
    return "\n".join(f"{first}: {', '.join(cells)}" for first, cells in named)


def members(rows: Sequence[MemberRow], width: int) -> str:
    """The members, one a row."""
    head = ("member", "role", "model", "where", "state")
    return table([head, *((row.member, row.role, short(row.model), row.where, row.state) for row in rows)], width)


def short(model: str) -> str:
    """A model's name without what the cache puts behind it.

    >>> short("SmolLM2-135M-Instruct.Q4_1-b179c9523d0e6a0f.gguf"), short("qwen3:0.6b")
    ('SmolLM2-135M-Instruct.Q4_1', 'qwen3:0.6b')
    """
    return re.sub(r"(-[0-9a-f]{16})?\.gguf$", "", model)


def heading(number: int, answer: Answer, turn: Turn | None) -> str:
    """The line over one answer; without a turn, of one that was stopped."""
    remarks = [short(answer.model), f"{counted(answer.tokens, 'token')} in {answer.seconds:.1f} s"]
    if not answer.complete:
        remarks.append(f"cut short ({answer.stop})")
    if turn is not None and answer.member in turn.verdict.scores:
        remarks.append(f"the judge's reading {turn.verdict.scores[answer.member]:.2f}")
    chosen = ", chosen" if turn is not None and answer.member == turn.winner.member else ""
    return f"--- {number}. {answer.member}{chosen} ({', '.join(remarks)})"


def find(answers: Sequence[Answer], wanted: str) -> tuple[int, Answer] | None:
    """The answer with this number or of this member."""
    for number, answer in enumerate(answers, 1):
        if wanted in {str(number), answer.member}:
            return number, answer
    return None


def stats(of: SessionStats, width: int) -> str:
    """A session's counts and mean times."""
    lines = [f"{counted(of.turns, 'turn')} answered, {of.stopped} stopped, {of.unanswered} without an answer"]
    if not of.turns and not of.failures:
        return lines[0]
    names = sorted(of.answers | of.failures | of.not_needed, key=lambda name: (-of.wins[name], name))
    rows = [(name, *(str(count[name]) for count in (of.wins, of.answers, of.failures, of.not_needed))) for name in names]
    lines.append(table([("member", "won", "answered", "failed", "unneeded"), *rows], width))
    lines.append(f"{of.fallbacks} without a verdict, {counted(of.close, 'close call')}, {of.degraded} incomplete")
    if not of.turns:
        return "\n".join(lines)
    means = ", ".join(f"{stage} {seconds / of.turns:.1f} s" for stage, seconds in of.seconds.items())
    lines.append(f"mean times: {means}")
    return "\n".join(lines)


def as_json(exchanges: Sequence[Exchange], turns: Sequence[Turn | None]) -> str:
    """A conversation with its turns, as JSON; the turns of earlier sessions are null."""
    rows = [
        {"prompt": exchange.user, "answer": exchange.assistant, "turn": None if turn is None else turn.as_json()}
        for exchange, turn in zip(exchanges, turns, strict=True)
    ]
    return json.dumps({"version": 1, "exchanges": rows}, indent=2, allow_nan=False) + "\n"


def as_markdown(exchanges: Sequence[Exchange], turns: Sequence[Turn | None]) -> str:
    """A conversation as a document: questions, chosen answers, and the others folded away."""
    return "\n".join(line for pair in zip(exchanges, turns, strict=True) for line in _section(*pair))


def _section(exchange: Exchange, turn: Turn | None) -> Iterator[str]:
    yield "## Question\n"
    yield in_fence(exchange.user, "text") + "\n"
    yield "## Answer" + (f" ({turn.winner.member}, {turn.winner.model})" if turn else "") + "\n"
    yield exchange.assistant + "\n"
    if turn is None:
        return
    if (end := cut(turn.winner)) is not None:
        yield f"*{end}*\n"
    yield f"*{why(turn).splitlines()[0]}*\n"
    for answer in turn.answers:
        if answer.member != turn.winner.member:
            end = "" if answer.complete else ", cut"
            yield f"<details><summary>{answer.member} ({answer.model}{end})</summary>\n"
            yield in_fence(answer.text, "text") + "\n"
            yield "</details>\n"
    if turn.computed is not None:
        yield "<details><summary>computed by this program</summary>\n"
        yield in_fence(turn.computed.program, "python") + "\n"
        yield "</details>\n"
    for failure in turn.failures:
        yield f"- failed: {head(failure.message, 200)}\n"
    if turn.not_needed:
        yield f"- not waited for: {', '.join(turn.not_needed)}\n"
