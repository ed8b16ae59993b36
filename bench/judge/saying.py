"""Checks of what an answer says: a phrase that it asserts, or the ideas that it mentions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.judge.tokens import (
    SETTING,
    Token,
    ends_sentence,
    find,
    is_boundary,
    phrase_tokens,
    sentence,
    skip,
    tokens,
)

Span = tuple[int, int]

_NOT = frozenset(
    {"not", "never", "neither", "nor", "cannot", "unlike", "isnt", "arent", "wasnt", "werent", "doesnt", "dont", "didnt", "cant"}
)
_THAN = {"than": {"rather", "other"}, "of": {"instead"}, "to": {"opposed"}}
_YET_SO = frozenset({"only", "just", "merely", "simply", "surprisingly", "to"})
_VERBS = frozenset(["is", "was", "are", "were", "does", "did", "do", "has", "have", "had", "can", "could", "would", "will", "should"])
_FALSE = frozenset({"wrong", "incorrect", "false"})
_MAYBE = frozenset({"maybe", "perhaps", "possibly"})
_FILLERS = (
    frozenset(
        {
            "the",
            "a",
            "an",
            "in",
            "it",
            "he",
            "she",
            "they",
            "that",
            "could",
            "might",
            "may",
            "can",
            "be",
            "is",
            "was",
            "are",
            "even",
            "also",
            "else",
            "probably",
            "either",
        }
    )
    | _MAYBE
    | SETTING
)
_OR = frozenset({"or", "/"})
_SAYS = frozenset({"is", "was", "are", "were", "be", ":", "=", "it's", "that's", "called", "answer"})
_NO_NAME = _NOT | _VERBS | _FILLERS | _OR | frozenset({"no", "non", "rather", "than", "instead", "of", "and", "but", "i", "yes"})
_NAME = 2
"""So many words may be a name that the question offers; more of them are its sentence, echoed."""
_FAR = 4
"""A negation reaches so many words: "not the city of Paris"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """The answer asserts one of the phrases, without a negation and without a hedge, and asserts no rival."""

    phrases: tuple[str, ...]
    never: tuple[str, ...] = ()

    def holds(self, answer: str, question: str) -> bool:
        """Whether it does."""
        text, asked = tokens(answer), tokens(question)
        accepted = _outermost([span for phrase in self.phrases for span in find(text, phrase_tokens(phrase))])
        names = [_name(text, span) for span in accepted]
        asserted = [name for name in names if not negated(text, name)]
        if not asserted or rivals(text, self.never, asked, accepted):
            return False
        declared = [span for phrase in self.never for span in find(text, phrase_tokens(phrase))]
        capitals = any(phrase[:1].isupper() for phrase in self.phrases)
        words = frozenset(token.folded for token in asked)
        hedged = [span for span in asserted if _Hedge(text, names, declared, words, capitals=capitals).around(span)]
        # Where the question offers both ("the red or the blue one?"), an answer that offers both again is none.
        offered = any(find(asked, phrase_tokens(phrase)) for phrase in self.phrases)
        echo = _Hedge(text, names, declared, frozenset(), capitals=capitals)
        clean = [span for span in asserted if span not in hedged and not (offered and echo.around(span))]
        # "Is it Paris or Lyon? It is Paris." has decided; "Paris or Lyon. Paris is large." has not.
        unsettled = [span for span in hedged if not _asks(text, span)]
        return any(span > unsettled[-1] and _concludes(text, span) for span in clean) if unsettled else bool(clean)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """The answer has a phrase of every group, or of `at_least` so many, matched as the beginning of a word; and asserts no rival."""

    groups: tuple[tuple[str, ...], ...]
    never: tuple[str, ...] = ()
    at_least: int | None = None

    def holds(self, answer: str, question: str) -> bool:
        """Whether it does."""
        text = tokens(answer)
        met = sum(any(find(text, phrase_tokens(phrase), beginning=True) for phrase in group) for group in self.groups)
        needed = len(self.groups) if self.at_least is None else self.at_least
        return met >= needed and not rivals(text, self.never, tokens(question), ())


def rivals(text: Sequence[Token], never: Sequence[str], asked: Sequence[Token], accepted: Sequence[Span]) -> bool:
    """Whether one of these phrases is asserted; not a word or name that the question has itself, nor one inside an accepted phrase."""
    for phrase in never:
        wanted = phrase_tokens(phrase)
        if len(wanted) <= _NAME and find(asked, wanted):
            continue
        for span in find(text, wanted):
            if not any(start <= span[0] and span[1] <= end for start, end in accepted) and not negated(text, span):
                return True
    return False


def _name(text: Sequence[Token], span: Span) -> Span:
    """The phrase with what stands around it of a name ("Neil" of Armstrong, "Ocean" of Pacific) or of what a number counts."""
    start, end = span
    for _ in range(3):
        dot = start >= 2 and text[start - 1].folded == "." and not is_boundary(text, start - 1)
        before = start - 1 - dot
        if before < 0 or not _capital(text[before]):
            break
        start = before
    for _ in range(2):
        if end < len(text) and _capital(text[end]):
            end += 1
    last = text[span[1] - 1]
    if end == span[1] and last.kind == "number" and end < len(text) and text[end].kind == "word" and text[end].folded not in _NO_NAME:
        end += 1
    return start, end


def _capital(token: Token) -> bool:
    return token.kind == "word" and token.text[0].isupper() and token.folded not in _NO_NAME and not token.folded.endswith("n't")


def negated(text: Sequence[Token], span: Span) -> bool:
    """Whether a phrase is denied: "not Paris", "rather than Paris", "Paris is not"."""
    return _denied_before(text, span) or _denied_behind(text, span)


def _denied_before(text: Sequence[Token], span: Span) -> bool:
    start, end = span
    listed = _in_or_list(text, start, end)
    words, at = 0, start - 1
    while at >= 0 and words < (3 * _FAR if listed else _FAR):
        if is_boundary(text, at) and not (listed and text[at].folded == ","):
            return False
        if text[at].kind != "sign":
            if _denies(text, at, start):
                return True
            words += 1
        at -= 1
    return False


def _denies(text: Sequence[Token], at: int, start: int) -> bool:
    word, before = text[at].folded, text[at - 1].folded if at else ""
    behind = text[at + 1].folded
    if word in _NOT or word.endswith("n't"):
        return behind not in _YET_SO
    if word in {"no", "non"}:
        return skip(text, at + 1, SETTING | {"-", "longer", "more"}) == start
    return before in _THAN.get(word, ())


def _in_or_list(text: Sequence[Token], start: int, end: int) -> bool:
    """Whether a phrase is an item of "A, B, or C", through whose commas a negation reaches."""
    before = skip(text, start - 1, _FILLERS, step=-1)
    if before >= 0 and text[before].folded in {"or", "nor"}:
        return True
    if before < 0 or text[before].folded != ",":
        return False
    for at in range(end, min(end + 8, len(text))):
        if text[at].folded in {"or", "nor"}:
            return True
        if is_boundary(text, at) and text[at].folded != ",":
            break
    return False


def _denied_behind(text: Sequence[Token], span: Span) -> bool:
    at = skip(text, span[1], SETTING)
    if at >= len(text):
        return False
    verb = text[at].folded
    behind = text[at + 1].folded if at + 1 < len(text) else ""
    further = text[at + 2].folded if at + 2 < len(text) else ""
    if verb in _VERBS and (behind in _FALSE or (behind in {"not", "never"} and further not in _YET_SO)):
        return True
    return (verb.endswith("n't") or verb in {"isnt", "wasnt", "arent"}) and behind not in _YET_SO


@dataclass(frozen=True, slots=True)
class _Hedge:
    """What makes "Paris or Lyon" of a phrase: something else that is offered beside it."""

    text: Sequence[Token]
    accepted: Sequence[Span]
    declared: Sequence[Span]
    asked: frozenset[str]
    capitals: bool

    def around(self, span: Span) -> bool:
        """Whether something else is offered beside the phrase."""
        return self._behind(span) or self._before(span) or self._either(span) or self._maybes(span)

    def _behind(self, span: Span) -> bool:
        text, loose = self.text, self._loose(span)
        at = skip(text, span[1], SETTING)
        for _ in range(4):  # "Paris, Lyon, or Nice": over the items up to the "or"
            joined = skip(text, at, frozenset({","}), most=1)
            if joined < len(text) and text[joined].folded in _OR:
                return self._rival(skip(text, joined + 1, _FILLERS | _OR), loose=loose)
            if joined == at or not self._rival(skip(text, joined, _FILLERS), loose=False):
                return False
            at = joined
            while at < len(text) and not is_boundary(text, at) and text[at].folded not in _OR:
                at += 1
        return False

    def _before(self, span: Span) -> bool:
        at = skip(self.text, span[0] - 1, _FILLERS, step=-1)
        if at < 0 or self.text[at].folded not in _OR:
            return False
        return self._rival(skip(self.text, at - 1, SETTING | {","}, step=-1), loose=self._loose(span))

    def _either(self, span: Span) -> bool:
        text, start = self.text, skip(self.text, span[0] - 1, _FILLERS - {"either"}, step=-1)
        if start < 0 or text[start].folded != "either":
            return False
        for at in range(span[1], min(span[1] + 10, len(text))):
            if ends_sentence(text, at):
                break
            if text[at].folded == "or":
                return self._rival(skip(text, at + 1, _FILLERS), loose=True)
        return False

    def _maybes(self, span: Span) -> bool:
        text, (start, end) = self.text, sentence(self.text, span[0])
        own = skip(text, span[0] - 1, _FILLERS - _MAYBE, step=-1)
        if own < start or text[own].folded not in _MAYBE:
            return False
        others = (at for at in range(start, end) if at != own and text[at].folded in _MAYBE)
        return any(self._rival(skip(text, at + 1, _FILLERS), loose=self._loose(span)) for at in others)

    def _loose(self, span: Span) -> bool:
        """Whether capitals tell nothing here: the answer does without them."""
        return self.capitals and self.text[span[0]].text[:1].islower()

    def _rival(self, at: int, *, loose: bool) -> bool:
        """Whether another answer stands at this token: a name, a number, something quoted."""
        if not 0 <= at < len(self.text):
            return False
        if any(start <= at < end for start, end in self.declared):
            return True
        token = self.text[at]
        if any(start <= at < end for start, end in self.accepted) or token.folded in self.asked:
            return False
        quoted = bool(at) and self.text[at - 1].folded in {'"', "'"}
        telling = token.text[:1].isupper() or quoted or loose
        return token.kind == "number" or (token.kind == "word" and token.text != "I" and telling)


def _outermost(spans: Sequence[Span]) -> list[Span]:
    """The spans in order, without those inside a longer one."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if not kept or span[1] > kept[-1][1]:
            kept.append(span)
    return kept


def _asks(text: Sequence[Token], span: Span) -> bool:
    """Whether a phrase stands in a question."""
    end = sentence(text, span[0])[1]
    return end < len(text) and text[end].folded == "?"


def _concludes(text: Sequence[Token], span: Span) -> bool:
    """Whether the phrase is what its sentence says, not what it speaks of."""
    start, end = sentence(text, span[0])
    before = skip(text, span[0] - 1, SETTING | {"the", "a", "an", "indeed", "actually", "therefore"}, step=-1)
    alone = before < start and skip(text, span[1], SETTING) >= end
    return alone or (before >= start and text[before].folded in _SAYS)
