"""The promptimizer: how it is asked to rewrite a prompt, and the guards that refuse a bad rewrite.

It rewrites, it does not answer. A model of 135 or 350 million parameters often does otherwise: it answers, drops a number, or makes a
request for a poem a question about how poems are written. So a rewrite has to keep every piece of the original, add nothing that is
neither in the original nor in the history, and ask for the same thing. Where that is in doubt it is refused and the candidates get the
user's own words, which costs nothing but the improvement.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from gork.config.ensemble import Member, RewriteWhen
from gork.engines.call import Completion
from gork.rewriting.guards import refusal
from gork.rewriting.tokens import read
from gork.text.language import ASKING, AUXILIARIES, COURTESY, GOING_ON, LIGHT, POINTING, TASKS, UNSPACED_ASKING
from gork.text.structure import FENCED, QUOTATION_MARKS, is_quoted
from gork.turn import Message, NotRewritten, Question, as_messages

LONGEST = 6000
"""Characters of the longest prompt that is rewritten: longer ones need more context than small models have, and are clear enough."""

DEFAULT_SYSTEM = (
    "You rewrite the user's prompt so that it is clear and correct. You never answer it. Keep every number, name and detail. "
    "Reply with the rewritten prompt alone."
)

_TURNS, _CUT = 2, 300
"""How many exchanges of the history the promptimizer sees, and how many characters of each text."""
_LEAD_IN = re.compile(
    r"(?:\s*(?:(?:sure|certainly|of course|okay|ok)[,.!]\s*)?(?:here(?:'s|’s| is)\s+)?(?:(?:the|your|a|my)\s+)?"
    r"(?:(?:rewritten|rewrite|improved|corrected|clarified|revised|better)(?:\s+(?:user\s+)?(?:prompt|question|version|query|request))?"
    r"|prompt|question)\s*[:：])+\s*",
    re.IGNORECASE,
)
_FENCED = re.compile(FENCED, re.DOTALL)
_CODE_LINE = re.compile(
    r"""
    ^\s*(?:
        [\w.\[\]]+\s*[-+*/|&]?=\s*\S  # an assignment
      | (?: def | class | import | from | return | if | elif | else | for | while | try | except | with | const | let | var | function
          | func | fn | public | private | static | package | use | include | struct
          | SELECT | INSERT | UPDATE | DELETE | CREATE )\b.*[:;{(]  # a statement
      | \#include | [@<$>][\w/] | [})\]]+[;,]?\s*$ | .*[;{}]\s*$ | \s*return\b | \s*[\w.]+\(.*\)\s*$
      | // | /\* | \s+at[ ]\S+\( | Traceback[ ]\(  # comments and tracebacks
    )
    """,
    re.VERBOSE,
)
_SENTENCE_ENDS = frozenset(".?!")
_ASKING, _LIGHT, _POLITE = (frozenset().union(*table.values()) for table in (ASKING, LIGHT, COURTESY))
"""The words of all languages together."""
_SYMBOLS = frozenset("{}()[];=<>|&$\\+*/%^~")


def worth_rewriting(text: str) -> str | None:
    """None if the promptimizer is to be asked about this prompt, else the reason why not.

    >>> worth_rewriting("capital of france pls"), worth_rewriting("for(;;){ x += f(x); }")
    (None, 'it is mostly code or quoted text')
    """
    if not any(char.isalnum() for char in text):
        return "it has no words"
    if len(text) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    return "it is mostly code or quoted text" if _mostly_code(text) else None


def why_not_rewritten(question: Question, when: RewriteWhen) -> str | None:
    """None if the promptimizer is to be asked about a question, else the reason why not; `when` is the ensemble's `rewrite`."""
    if (why := worth_rewriting(question.text)) is not None:
        return why
    return "it is clear as it stands" if when == "when-unclear" and is_clear(question) else None


def is_clear(question: Question) -> bool:
    """Whether a prompt says what it wants and leans on nothing that was said before: a rewrite could only dress it otherwise.

    >>> is_clear(Question(text="hey whats a volcano")), is_clear(Question(text="volcano meaning pls"))
    (True, False)
    """
    if question.history and leans_on_history(question.text):
        return False
    return _is_in_sentences(question.text) or _says_what_it_wants(question.text)


def _is_in_sentences(text: str) -> bool:
    first = next((char for char in text if char.isalnum()), "")
    return first.isupper() and text.rstrip()[-1:] in _SENTENCE_ENDS


def _says_what_it_wants(text: str) -> bool:
    """Whether it begins, after words of courtesy, as a question or as a request; keywords ("capital of france") do neither."""
    if any(asking in text for asking in UNSPACED_ASKING):
        return True
    wanted = _ASKING | AUXILIARIES | TASKS
    polite = _POLITE - wanted
    words = [word.key for word in read(text).words if word.key not in polite]
    return len(words) > 1 and words[0] in wanted


def _mostly_code(text: str) -> bool:
    prose = _FENCED.sub("", text)
    letters = len("".join(text.split()))
    if 2 * (letters - len("".join(prose.split()))) >= letters:
        return True
    lines = [line for line in prose.splitlines() if line.strip()]
    code = sum(bool(_CODE_LINE.match(line)) for line in lines)
    if len(lines) > 1 and code * 2 >= len(lines):
        return True
    dense = "".join(prose.split())
    return len(lines) == 1 and sum(char in _SYMBOLS for char in dense) * 6 >= len(dense) >= 10


def rewrite_messages(question: Question, member: Member) -> list[Message]:
    """What the promptimizer reads: its instructions, the worked examples as earlier turns, and the prompt.

    A prompt that leans on what was said before is shown with the last turns; others are not, since a small model mixes them up.
    """
    earlier = _needed(question.text, question.history)
    lines = [f"Earlier prompt: {message['content']}" for message in earlier if message["role"] == "user"]
    prompt = "\n".join([*lines, f"Prompt: {question.text}"]) if lines else question.text
    return [*fixed_prefix(member), {"role": "user", "content": prompt}]


def fixed_prefix(member: Member) -> list[Message]:
    """What every rewrite begins with."""
    return [{"role": "system", "content": member.system or DEFAULT_SYSTEM}, *as_messages(member.examples)]


def leans_on_history(text: str) -> bool:
    """Whether a prompt is understood only with what was said before it.

    >>> leans_on_history("and in Python?"), leans_on_history("how do i exit vim")
    (True, False)
    """
    reading = read(text[:LONGEST])
    keys = [word.key for word in reading.words]
    if not keys or keys[0] in GOING_ON or not POINTING.isdisjoint(keys):
        return True
    return len(set(keys) - _LIGHT - _POLITE - _ASKING) < (1 if _ASKING & set(keys) else 2) and len(reading.pieces) < 4


def _needed(text: str, history: Sequence[Message]) -> list[Message]:
    """The last exchanges, each text cut, where the prompt leans on them."""
    recent: list[Message] = [{"role": m["role"], "content": m["content"][:_CUT]} for m in history[-2 * _TURNS :]]
    return recent if recent and leans_on_history(text) else []


def with_rewrite(question: Question, reply: Completion) -> Question:
    """The question with what the promptimizer made of it, or with the reason why that is refused."""
    rewrite = clean(reply.text, question.text)
    refused = refuse(question.text, rewrite, question.history) if reply.complete else "it was cut short"
    if refused:
        return replace(question, rewrite_refused=refused, not_rewritten=NotRewritten.REJECTED)
    return replace(question, rewrite=rewrite)


def asked_as(question: Question) -> str | None:
    """What the candidates are asked, for people; None where it is the user's own words and no rewrite was wanted.

    >>> asked_as(Question(text="q", rewrite="Q?")), asked_as(Question(text="q a", rewrite="q  a"))
    ('asked as: Q?', None)
    >>> asked_as(Question(text="q", rewrite_refused="lost the number 3", not_rewritten=NotRewritten.REJECTED))
    'asked in your own words: the rewrite was rejected (lost the number 3)'
    >>> asked_as(Question(text="q", rewrite_refused="it is clear as it stands", not_rewritten=NotRewritten.NOT_ASKED))
    """
    if question.rewrite is not None:
        return f"asked as: {question.rewrite}" if question.rewrite.split() != question.text.split() else None
    why = question.rewrite_refused
    if why is None or question.not_rewritten is NotRewritten.NOT_ASKED:
        return None
    told = {NotRewritten.REJECTED: f"the rewrite was rejected ({why})", NotRewritten.FAILED: f"the rewrite failed ({why})"}
    return f"asked in your own words: {why if question.not_rewritten is None else told.get(question.not_rewritten, why)}"


def clean(reply: str, original: str = "") -> str:
    r"""The rewrite in a reply, without blanks around it, a lead-in, or quotation marks around the whole; what `original` has too stays.

    >>> clean(' Rewritten prompt: "What is Kubernetes?"\n')
    'What is Kubernetes?'
    """
    keep_lead_in = _LEAD_IN.match(original) is not None
    bare = original.strip()
    keep_quotes = len(bare) > 1 and QUOTATION_MARKS.get(bare[0]) == bare[-1]
    text = reply.strip()
    if len(text) > 4 * LONGEST:
        return text  # the guards refuse that
    while True:
        before = text
        if not keep_lead_in and (match := _LEAD_IN.match(text)) and match.end() < len(text):
            text = text[match.end() :]
        if not keep_quotes and is_quoted(text):
            text = text[1:-1].strip()
        if text == before:
            return text


def refuse(original: str, rewrite: str, history: Sequence[Message] = ()) -> str | None:
    """None if the rewrite may take the original's place, else the reason why not, in a few words for people.

    >>> refuse("explain 3 causes of ww1 in 100 words", "Explain 3 causes of World War I.")
    'lost the number 100'
    """
    if not any(char.isalnum() for char in rewrite):
        return "is empty"
    if rewrite.strip() == original.strip():
        return None
    if len(original) > LONGEST:
        return "the prompt is too long to be checked against a rewrite"
    return refusal(original, rewrite, [message["content"] for message in _needed(original, history)])
