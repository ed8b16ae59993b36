"""Whether a text asserts a phrase, denies it ("not Paris", "Paris is wrong"), or leaves it open ("Paris or Lyon").

English only; rules of thumb for answers of a few sentences. Phrases are spans of the tokens of `gork.text.tokens`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gork.text.language import word_set
from gork.text.tokens import SETTING, Span, TextToken, ends_sentence, is_boundary, sentence, skip

_NOT = word_set("not never neither nor cannot unlike isnt arent wasnt werent doesnt dont didnt cant")
_THAN = {"than": {"rather", "other"}, "of": {"instead"}, "to": {"opposed"}}
_YET_SO = word_set("only just merely simply surprisingly to")
"""After a "not" they make no denial: "not only Paris"."""
_VERBS = word_set("is was are were does did do has have had can could would will should")
_FALSE = word_set("wrong incorrect false")
_MAYBE = word_set("maybe perhaps possibly")
_FILLERS = word_set("the a an in it he she they that could might may can be is was are even also else probably either") | _MAYBE | SETTING
_OR = frozenset({"or", "/"})
_SAYS = word_set("is was are were be : = it's that's called answer")
_NO_NAME = _NOT | _VERBS | _FILLERS | _OR | word_set("no non rather than instead of and but i yes")
_FAR = 4
"""How many words a negation reaches over: "not the city of Paris"."""


def whole_name(text: Sequence[TextToken], span: Span) -> Span:
    """A phrase with the rest of its name ("Neil" before Armstrong, "Ocean" after Pacific) or with what a number counts."""
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


def _capital(token: TextToken) -> bool:
    return token.kind == "word" and token.text[0].isupper() and token.folded not in _NO_NAME and not token.folded.endswith("n't")


def negated(text: Sequence[TextToken], span: Span) -> bool:
    """Whether a phrase is denied: "not Paris", "rather than Paris", "Paris is not"."""
    return _denied_before(text, span) or _denied_after(text, span)


def _denied_before(text: Sequence[TextToken], span: Span) -> bool:
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


def _denies(text: Sequence[TextToken], at: int, start: int) -> bool:
    word, before = text[at].folded, text[at - 1].folded if at else ""
    after = text[at + 1].folded
    if word in _NOT or word.endswith("n't"):
        return after not in _YET_SO
    if word in {"no", "non"}:
        return skip(text, at + 1, SETTING | {"-", "longer", "more"}) == start
    return before in _THAN.get(word, ())


def _in_or_list(text: Sequence[TextToken], start: int, end: int) -> bool:
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


def _denied_after(text: Sequence[TextToken], span: Span) -> bool:
    at = skip(text, span[1], SETTING)
    if at >= len(text):
        return False
    verb = text[at].folded
    after = text[at + 1].folded if at + 1 < len(text) else ""
    further = text[at + 2].folded if at + 2 < len(text) else ""
    if verb in _VERBS and (after in _FALSE or (after in {"not", "never"} and further not in _YET_SO)):
        return True
    return (verb.endswith("n't") or verb in {"isnt", "wasnt", "arent"}) and after not in _YET_SO


@dataclass(frozen=True, slots=True)
class Hedge:
    """Finds what is offered beside a phrase: Lyon in "Paris or Lyon", "either Paris or Lyon", "maybe Paris, maybe Lyon"."""

    text: Sequence[TextToken]
    accepted: Sequence[Span]
    """The phrases that are not rivals of each other."""
    declared: Sequence[Span]
    """Phrases that are rivals, however they are written."""
    asked: frozenset[str]
    """Words of the question, which are not rivals."""
    capitals: bool
    """Whether the phrase has capitals by itself, so that a rival of it has them too."""

    def around(self, span: Span) -> bool:
        """Whether something else is offered beside the phrase."""
        return self._after(span) or self._before(span) or self._either(span) or self._maybes(span)

    def _after(self, span: Span) -> bool:
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
        """Whether capitals say nothing here, because the answer does without them."""
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


def outermost(spans: Sequence[Span]) -> list[Span]:
    """The spans in order, without those inside a longer one."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda span: (span[0], -span[1])):
        if not kept or span[1] > kept[-1][1]:
            kept.append(span)
    return kept


def in_question(text: Sequence[TextToken], span: Span) -> bool:
    """Whether a phrase stands in a question."""
    end = sentence(text, span[0])[1]
    return end < len(text) and text[end].folded == "?"


def is_conclusion(text: Sequence[TextToken], span: Span) -> bool:
    """Whether the phrase is what its sentence concludes ("It is Paris"), not what it is about ("Paris is large")."""
    start, end = sentence(text, span[0])
    before = skip(text, span[0] - 1, SETTING | {"the", "a", "an", "indeed", "actually", "therefore"}, step=-1)
    alone = before < start and skip(text, span[1], SETTING) >= end
    return alone or (before >= start and text[before].folded in _SAYS)
