"""Options that a question offers ("positive or negative"), and things to be found in the text that comes with it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gork.judging.checks import Finding
from gork.text.numbers import NUMBER, spelt_to_digits
from gork.text.structure import bare, shown, split_code

_WORD = r"[^\W_][\w'’+#-]{0,30}"
_OPTION = rf"(?:[\"'“‘`]{_WORD}(?: {_WORD}){{0,3}}[\"'”’`]|{_WORD}(?: {_WORD}){{0,2}})"
_LIST = rf"(?P<options>{_OPTION}(?: ?, {_OPTION}){{0,8}},? (?:or|and) {_OPTION})"
_SINGLE = rf"(?P<pair>[\"'“]?{_WORD}[\"'”]?(?:, [\"'“]?{_WORD}[\"'”]?){{0,8}},? or [\"'“]?{_WORD}[\"'”]?)"
_CHOOSE = re.compile(
    r"\b(?:choose|pick|select)(?: exactly| only)? (?:one|from|between)(?: of)?(?: the following| these)?(?: (?:options|words|labels"
    r"|answers|choices))?"
    rf" ?[:,] ?{_LIST}\s*(?:[.?!\n(]|\Z)",
    re.IGNORECASE,
)
_WHICH = re.compile(rf"\bwhich (?:one )?of (?:these|the following)\b[^:?\n.]{{0,80}}: ?{_LIST}\s*(?:[.?!\n(]|\Z)", re.IGNORECASE)
_REPLY = re.compile(
    rf"\b(?:answer|reply|respond|say)(?: (?:only|just|simply|exactly))?(?: (?:with|by saying))?(?: (?:only|just|either|exactly"
    rf"|the word|one word))*:? {_SINGLE}(?: only)?\s*(?:[.?!\n(:]|\Z)",
    re.IGNORECASE,
)
_CLASSIFY = re.compile(
    r"\b(?:classify|label|categori[sz]e|rate|tag|mark)\b[^.?!\n:]{0,80}\bas(?: either| being)? "
    rf"{_SINGLE}\s*(?:[.?!\n(:]|\Z)",
    re.IGNORECASE,
)
_SENTIMENT = re.compile(
    r"\bis (?:this|the|that)[^.?!\n:]{0,60}? (?P<pair>positive or negative|negative or positive|positive, negative,? or neutral"
    r"|positive, neutral,? or negative|spam or not spam|ham or spam|spam or ham)\s*(?:[?:\n]|\Z)",
    re.IGNORECASE,
)
_CLOSED = (_CHOOSE, _REPLY, _CLASSIFY, _SENTIMENT)
_NEGATED = re.compile(
    r"(?:\b(?:not|never|neither|nor|no|without|isn't|than|instead of|rather than)|n't)(?: \w+){0,2} ?[\"'“*]*\Z", re.IGNORECASE
)
_LABEL = re.compile(r"\b(?:both|all|none|neither|depends|it depends|either)\b", re.IGNORECASE)

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_URL = re.compile(r"https?://[^\s<>\"'`)\]]{1,400}|www\.[^\s<>\"'`)\]]{1,400}")
_DIGITS = re.compile(r"\d+")
_THINGS = {"email": _EMAIL, "url": _URL}
_EXTRACT = re.compile(
    r"""
    \b(?: extract | find | pull[ ]out | identify | pick[ ]out | get | copy | list | give[ ]me | return | what[ ]is | what's | which )\b
    [^.?!\n:"“]{0,60}?
    \b(?P<thing> e-?mails? | urls? | links? | web[ ]address(?:es)? | phone[ ]numbers? | telephone[ ]numbers? | dates? | years?
              | prices? | amounts? | numbers? | order[ ]number | invoice[ ]number )\b
    (?P<rest>[^:"“\n]{0,80}) (?: : | (?=["“]) ) (?P<text>.{1,6000})
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""A thing to be found in the text that follows: "extract the email address from: ..."."""
_FROM = re.compile(r"\b(?:from|in|of|this|following|mentioned|below|text|sentence|message)\b", re.IGNORECASE)
_IN_TEXT = re.compile(r"\b(?:from|text|sentence|message|paragraph|passage|following|below|mentioned|list)\b", re.IGNORECASE)
_COMPUTED = re.compile(
    r"""
    \b(?: how[ ]many | missing | sequence | series | pattern | primes? | factors? | divisors? | gcd | lcm | greatest[ ]common
        | least[ ]common | median | mode | range | roots? | sum | total | average | mean | count | convert | add | multiply
        | difference | largest[ ]plus | format | next | days | weeks | between | until | ago | from[ ]now | later
        | rewrite | write | increment | round | square | double | product | example | invent | fake | generate | iso | replace | mask
        | anonymi[sz]e | code | function | regex | python | index | position | words | json | numbered | step )\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Words of tasks whose result does not stand in the text as it is."""
_MONTHS = re.compile(
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\b|\b(?:today|yesterday|tomorrow|noon)\b", re.IGNORECASE
)


def options(question: str) -> tuple[tuple[str, ...], bool]:
    """The options that a question offers, lower case, and whether it wants one of these words and nothing else.

    >>> options("Choose one: red or blue?")
    (('red', 'blue'), True)
    """
    found = [(match, pattern in _CLOSED) for pattern in (*_CLOSED, _WHICH) for match in pattern.finditer(question)]
    if len({match.group(1).casefold() for match, _ in found}) != 1:
        return (), False
    match, closed = found[0]
    parts = re.split(r"\s*,\s*(?:or |and )?| or | and ", match.group(1), flags=re.IGNORECASE)
    names = tuple(" ".join(part.strip(" \"'“”‘’`").casefold().split()) for part in parts)
    usable = 2 <= len(names) == len(set(names)) and all(
        1 <= len(name) <= 40 and name not in {"the", "a", "one", "more", "not"} for name in names
    )
    return (names, closed) if usable else ((), False)


def offered_options(question: str, answer: str) -> Iterator[Finding]:
    """Whether the answer names one of the options that the question offers."""
    if not answer.strip():
        return
    names, closed = options(question[:6000])
    if not names or set(names) in ({"yes", "no"}, {"true", "false"}):  # a form, checked as one
        return
    text = bare("\n".join([split_code(answer)[0], *(block.text for block in split_code(answer)[1])])).casefold().replace("’", "'")
    rest, named, negated = text, [], False
    for name in sorted(names, key=len, reverse=True):
        pattern = re.compile(rf"(?<![\w-]){re.escape(name)}(?:'s|s|es|ly)?(?![\w-])")
        if found := list(pattern.finditer(rest)):
            named.append(name)
            negated = negated or any(_NEGATED.search(rest[max(match.start() - 30, 0) : match.start()]) for match in found)
            rest = pattern.sub(lambda match: " " * len(match[0]), rest)
    if len(named) == 1 and not negated:
        yield Finding(f'names one of the options: "{shown(named[0])}"', 0.8)
    elif len(named) > 1 and closed and not negated and len(re.findall(r"\w+", rest)) <= 3:
        yield Finding("names several of the options and chooses none", -1.0)
    elif (
        not named and closed and len(text.strip(" .()!\n")) > 2 and not any(name[:4] in text for name in names) and not _LABEL.search(text)
    ):
        yield Finding(f"names none of the options ({shown(', '.join(names))})", -1.0)


def extracted_things(question: str, answer: str) -> Iterator[Finding]:
    """Whether what the answer took from the text in the question stands there."""
    question = question[:8000]
    match = _EXTRACT.search(question) if answer.strip() else None
    if match is None or _COMPUTED.search(question[: match.start("text")]):
        return
    thing, text = match["thing"].lower(), match["text"]
    if not _FROM.search(question[match.start() : match.start("text")]):
        return
    kind = "email" if "mail" in thing else "url" if thing.startswith(("url", "link", "web")) else "number"
    if kind == "number":
        if not _IN_TEXT.search(question[match.start() : match.start("text")]):
            return
        yield from _number(thing, text, answer)
        return
    there, given = ({_plain(found) for found in _THINGS[kind].findall(part)} for part in (text, answer))
    if not there or not given:
        return
    whole = {_plain(found) for found in _THINGS[kind].findall(question)}
    if invented := sorted(given - whole):
        yield Finding(f"gives {shown(invented[0])}, which the text does not have", -1.5)
    else:
        yield Finding(f"gives {shown(min(given))}, as the text has it", 0.8)


def _plain(found: str) -> str:
    return re.sub(r"^(?:https?://)?(?:www\.)?", "", found.casefold()).rstrip("./,;:!?)*_")


def _number(thing: str, text: str, answer: str) -> Iterator[Finding]:
    """Digits: each run of them stands in the text (a month's number may stand for its name)."""
    plain = spelt_to_digits(bare(answer))
    given = [run.lstrip("0") or "0" for run in _DIGITS.findall(plain)]
    there = {run.lstrip("0") or "0" for run in _DIGITS.findall(spelt_to_digits(text))}
    joined, said = "".join(_DIGITS.findall(text)), "".join(_DIGITS.findall(plain))
    if not given or not there:
        return
    months = thing.startswith("date") and _MONTHS.search(text + answer) is not None
    missing = [run for run in given if run not in there and not (months and int(run[:9]) <= 12)]
    if missing and said.lstrip("0") not in joined and joined not in said and not (thing.startswith("date") and len(given) < 2):
        if max(map(len, missing)) >= 2 or len(given) == 1:
            yield Finding(f"gives {shown(missing[0])}, which the text does not have", -1.2)
    elif not missing and set(NUMBER.findall(plain)) <= set(NUMBER.findall(spelt_to_digits(text))):
        yield Finding("takes its digits from the text", 0.3)
