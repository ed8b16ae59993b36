"""A form that a question states ("in one word", "as JSON", "end with ..."), kept or broken by an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from gork.judging.checks import Finding
from gork.judging.checks.code import asked_language, parses_as_json
from gork.text.numbers import COUNT, count
from gork.text.questions import instructions
from gork.text.sentences import sentence_range, sentence_start, words
from gork.text.structure import Item, bare, items, shown, split_code

_KEPT, _BROKEN = 0.7, -1.2
_UNIT = r"(?P<unit>words?|sentences?|lines?|bullet\ points?|bullets|items?|paragraphs?)"
_SIZED = re.compile(
    rf"""
    \b(?P<verb> in | with | using | use | exactly | only | just | of | as | into | to
             | at[ ]most | at[ ]least | no[ ]more[ ]than | not[ ]more[ ]than | no[ ]longer[ ]than | up[ ]to | under | fewer[ ]than
             | less[ ]than | maximum | max | a[ ]maximum[ ]of | minimum | at[ ]the[ ]most | more[ ]than | over | within
             | about | around | roughly | approximately
             | have | has | contain | containing | write | give | reply[ ]with | answer[ ]with | respond[ ]with | limit | be )
    (?: [ ](?: me | your[ ](?: answer | reply | response ) | exactly | only | just
             | at[ ]most | at[ ]least | no[ ]more[ ]than | up[ ]to | fewer[ ]than | less[ ]than | under
             | about | around | roughly | approximately | a[ ]maximum[ ]of | short | precisely | maximum | max | more[ ]than | to ) )*
    [ ](?P<count>{COUNT})[ -]
    (?: short[ ] | simple[ ] | plain[ ] | single[ ] | different[ ] | complete[ ] | full[ ] | concise[ ] | english[ ] )?
    {_UNIT}\b (?P<after>[^.!?\n]{{0,30}})
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""A stated size: "in at most 20 words", "give me exactly three short sentences"."""
_ONLY = re.compile(r"(?<=[.?!:,;] )((?:one|two|three|four|five|ten|\d{1,3}) (?:words?|sentences?|lines?))(?= only\b)", re.IGNORECASE)
_TIMES = re.compile(
    r"\b(?:not|n't|never|each|every|per|apiece|respectively|how many|which|whose|avoid|instead|without|than one|first|last|following"
    r"|between|or two|or more"
    r"|code|html|markdown|latex|excel|regex|file|files|python|csv|column|count)\b|n't\b",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"^\W*(?:how (?:do|can|to|would|should|does|did|many|is|are)|what (?:is|are|does|do|was) (?:the |a |an )?(?:json|csv|yaml"
    r"|difference|meaning|bulleted|numbered)"
    r"|why|is it|explain how|when|can i|should i|does|do i|who)\b",
    re.IGNORECASE,
)
_LISTED = re.compile(
    r"\b(?:as|in|into|using|with|use|make|give me|write|create|provide)(?: a| an| the)?(?: form of(?: a)?| format of(?: a)?)?(?: \w+){0,2}?"
    r" (?P<kind>bulleted|bullet[- ]point(?:ed)?|bullet|numbered|ordered)(?:[- ](?:list|points?|form|format|items?))s?\b",
    re.IGNORECASE,
)
_BULLETS = re.compile(r"\b(?:as|in|using|with) (?:(?:short|clear|simple|concise|brief|\w+) )?bullet(?:s| points)\b", re.IGNORECASE)
_JSON = re.compile(
    r"\bas (?:an? )?(?:single )?(?:valid |flat |raw |plain )*json\b|\b(?:in|using) (?:valid )?json format\b"
    r"|\b(?:reply|respond|answer|return|output|give|produce|write|provide)(?: \w+){0,4}? (?:in|with|as|only|valid|a|an) ?(?:only "
    r"|valid |a |an |single )*json\b",
    re.IGNORECASE,
)
_KEYS = re.compile(
    r"\b(?:keys?|fields|properties|attributes)(?: are| named| called| must be| should be)?:? (?P<keys>[\"'`“]?\w+[\"'`”]?(?:(?:,| and"
    r"|, and| &) ?[\"'`“]?\w+[\"'`”]?){0,7})"
)
_COMMAS = re.compile(
    r"\b(?:as|in|into) (?:a |one )?(?:single )?comma[- ]separated (?:list|line|form|format|values)?|\bseparated by commas\b", re.IGNORECASE
)
_CASE = re.compile(
    r"\b(?:answer|reply|respond|write|output|say|type|response|give)\b[^.!?\n\"“:]{0,60}?\b(?:in|using|use|with)(?: only| all| just"
    r"| entirely| full| your)*"
    r" (?P<case>upper ?-?case|capital letters|capitals|caps|all[- ]caps|lower ?-?case|small letters)\b",
    re.IGNORECASE,
)
_EDGE = re.compile(
    r"""
    (?: ^ | [.!?\n,;][ ]{0,2} | \band[ ] | \bplease[ ] | \bmust[ ] | \bshould[ ] | \balso[ ] | \balways[ ] | \bthen[ ]
      | (?P<some> \bsentence(?: [ ]about[ ]\w+ )?[ ](?: that | which )[ ] ) )
    (?P<edge> ends? | finish | conclude | starts? | begins? )
    (?: [ ](?: your | the | each[ ]of[ ]your | it )
        (?: [ ](?: answer | reply | response | message | sentence | text | output | paragraph | explanation | story ) )? )?
    [ ](?: with | by[ ]saying | off[ ]with )[ ](?: the[ ] )?(?: exact[ ] )?
    (?: words? | phrase | sentence | line | text | letters? | character | symbol )?[ ]?
    ["“'‘](?P<what>[^"“”\n]{1,80}?)["”'’](?![\w])
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""A stated beginning or end: "end with 'Done'", "a sentence that starts with ..."."""
_WITHOUT = re.compile(
    r"""
    \b(?: without(?: [ ]using | [ ]the[ ]use[ ]of | [ ]mentioning | [ ]saying | [ ]writing )?
        | do[ ]not[ ]use | don't[ ]use | don’t[ ]use | never[ ]use
        | (?: that | which | and )[ ](?: does[ ]not | doesn't | must[ ]not | should[ ]not )[ ](?: contain | use | include )
        | avoid(?: [ ]using )? | do[ ]not[ ]mention | don't[ ]mention )
    [ ]the[ ](?P<kind> letter | word | words )[ ]
    (?: ["“'‘`](?P<quoted>[^"“”‘’'`\n]{1,30})["”'’`]
      | (?P<plain>[A-Za-z]+)(?=\s*(?:[.,;!?\n]|\Z)) )
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""A word or letter that has to be left out: "without the letter e", "do not use the word 'very'"."""
_FREE = re.compile(
    r"\b(?:write|describe|explain|tell|compose|answer|reply|respond|summari[sz]e|rewrite|define|say|express)\b", re.IGNORECASE
)
_ONE_OF = re.compile(
    r"\b(?:answer|reply|respond)(?: \w+){0,3}?(?: with)?(?: only| just| either| simply| a)*:? [\"“']?(?P<pair>yes[\"”']? ?(?:or"
    r"|/) ?[\"“']?no|true[\"”']? ?(?:or|/) ?[\"“']?false)\b"
    r"|[(\s](?P<last>yes or no|yes/no|true or false|true/false)\)?[?.:]?\s*\Z|^\W*(?P<lead>yes or no|true or false)\s*[:,?]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Size:
    """How many units of something an answer has to have."""

    least: int
    most: int
    unit: str

    @property
    def span(self) -> str:
        """How many, in words."""
        if self.least == self.most:
            return str(self.least)
        return f"{self.least} to {self.most}" if self.most < 10**6 else f"{self.least} or more"


def stated_forms(question: str, answer: str) -> Iterator[Finding]:
    """Each form that the question states, kept (for the answer) or broken (against it)."""
    asked = instructions(question[:8000])
    if not answer.strip() or asked_language(question) is not None or _ABOUT.search(asked):
        return
    yield from _sized(asked, answer)
    yield from _listed(asked, answer)
    yield from _json(asked, question, answer)
    yield from _separated(asked, answer)
    yield from _cased(asked, answer)
    yield from _edged(question, answer)
    yield from _left_out(question, answer)
    yield from _one_of(asked, answer)


def _verdict(*, kept: bool, form: str) -> Finding:
    return Finding(f"{'keeps' if kept else 'breaks'} the form: {form}", _KEPT if kept else _BROKEN)


def sizes(asked: str) -> tuple[Size, ...]:
    """The sizes that an instruction states.

    >>> sizes("Answer in at most 20 words."), sizes("Explain it in one or two sentences.")
    ((Size(least=1, most=20, unit='word'),), ())
    """
    found = []
    asked = _ONLY.sub(r"in \1", asked)
    for match in _SIZED.finditer(asked):
        phrase, unit = match[0][: match.start("count") - match.start()].casefold(), match["unit"].casefold()
        sentence = asked[sentence_start(asked, match.start()) : match.start()][-160:] + match[0]
        number = count(match["count"])
        after = match["after"].casefold().strip()
        if _TIMES.search(sentence) and not re.search(r"\b(?:no|not) (?:more|longer) than\b", phrase):
            continue
        if re.search(r"\b(?:about|around|roughly|approximately|limit)\b", phrase) or after.startswith(
            ("of ", "of", "or so", "each", "that ", "long and", "from", "or more", "minimum")
        ):
            continue
        unit = {"bullet point": "bullet", "bullet points": "bullet", "bullets": "bullet"}.get(unit, unit.removesuffix("s"))
        if re.search(r"\b(?:fewer|less) than\b|\bunder\b", phrase):
            found.append(Size(1, number - 1, unit))
        elif re.search(
            r"\bat (?:the )?most\b|\bno(?:t)? (?:more|longer) than\b|\bup to\b|\bmax(?:imum)?\b|\bwithin\b", phrase
        ) or after.startswith(("or less", "or fewer", "at most", "max")):
            found.append(Size(1, number, unit))
        elif re.search(r"\bat least\b|\bminimum\b", phrase):
            found.append(Size(number, 10**6, unit))
        elif re.search(r"\b(?:more than|over)\b", phrase):
            found.append(Size(number + 1, 10**6, unit))
        elif re.search(
            r"\b(?:in|with|using|use|exactly|only|just|into|answer|reply|respond|as|precisely)\b", phrase
        ) and not after.startswith(("or ", "to ")):
            found.append(Size(number, number, unit))
    return tuple(found)


def _sized(asked: str, answer: str) -> Iterator[Finding]:
    stated = sizes(asked)
    if len(stated) > 2 or (
        len(stated) == 2 and (stated[0].unit == stated[1].unit or {size.unit for size in stated} & {"line", "item", "bullet"})
    ):
        return
    for size in stated:
        least, most = measured(answer, size.unit)
        if most == 0 or (size.unit in {"item", "bullet"} and most < 2 and size.least == 1):
            continue
        form = f"{size.span} {size.unit}(s)"
        if size.least <= least and most <= size.most:
            yield _verdict(kept=True, form=form)
        elif most < size.least or least > size.most:
            yield _verdict(kept=False, form=f"{form}, it has {least}")


def measured(answer: str, unit: str) -> tuple[int, int]:
    r"""The least and the most of a unit that an answer can be said to have.

    >>> measured("A well-known one.", "word"), measured("a\n\nb", "line")
    ((3, 4), (2, 2))
    """
    text = bare(answer)
    lines = [line for line in text.splitlines() if line.strip(" -*_|")]
    match unit:
        case "word":
            found = words(text)
            return len(found), sum(max(len(re.findall(r"[^\W_]+", word.replace("'", "").replace("’", ""))), 1) for word in found)
        case "sentence":
            return sentence_range(text)
        case "line":
            return len(lines), len(lines)
        case "paragraph":
            paragraphs = len([part for part in re.split(r"\n\s*\n", text) if part.strip()])
            return paragraphs, max(paragraphs, 1)
        case _:
            top = _top(items(answer))
            return len(top), len(top)


def _top(found: tuple[Item, ...]) -> list[Item]:
    least = min((item.indent for item in found), default=0)
    return [item for item in found if item.indent == least]


def _plain_sentence(asked: str, match: re.Match[str]) -> bool:
    """Whether the words around a form speak of the answer itself, not of something else with this form."""
    start = sentence_start(asked, match.start())
    return not _ABOUT.search(asked[start:]) and not _TIMES.search(asked[start : match.start()])


def _listed(asked: str, answer: str) -> Iterator[Finding]:
    match = _LISTED.search(asked) or _BULLETS.search(asked)
    if match is None or not _plain_sentence(asked, match):
        return
    numbered = match.groupdict().get("kind", "bullet").casefold() in {"numbered", "ordered"}
    found = items(answer)
    right = [item for item in found if (item.number is not None) == numbered]
    form = "a numbered list" if numbered else "a bulleted list"
    if len(right) >= 2:
        yield _verdict(kept=True, form=form)
        return
    markers = "<li>" in answer or re.search(r"^[ \t]*[^\w\s][ \t]*\w", answer, re.MULTILINE) is not None
    no_list = not found and len(answer.split()) >= 4 and not markers
    if no_list or (numbered and not right and len(found) >= 2):
        yield _verdict(kept=False, form=form)


def _json(asked: str, question: str, answer: str) -> Iterator[Finding]:
    match = _JSON.search(asked)
    if match is None or not _plain_sentence(asked, match):
        return
    blocks = split_code(answer)[1]
    if len(blocks) > 1:
        return
    text = blocks[0].text if blocks else answer.strip().strip("`")
    if not parses_as_json(text):
        start, end = min((at for at in map(text.find, "{[") if at >= 0), default=0), max(map(text.rfind, "}]"))
        if not blocks and parses_as_json(text[start : end + 1]):
            return
        yield _verdict(kept=False, form="JSON")
        return
    value = json.loads(text)
    keys = _keys(question)
    rows = value if isinstance(value, list) else [value]
    if keys and not all(isinstance(row, dict) for row in rows):
        yield _verdict(kept=False, form=f"JSON with the keys {shown(', '.join(keys))}")
    elif keys and (missing := [key for key in keys if any(key not in row for row in rows)]):
        if not any(missing[0] in json.dumps(row) for row in rows):
            yield _verdict(kept=False, form=f"JSON with the key {shown(missing[0])}")
    elif keys:
        yield _verdict(kept=True, form=f"JSON with the keys {shown(', '.join(keys))}")
    elif isinstance(value, dict | list):
        yield _verdict(kept=True, form="JSON")


def _keys(question: str) -> tuple[str, ...]:
    match = _KEYS.search(question)
    if match is None:
        return ()
    parts = re.split(r"[\s,&]+", match["keys"])
    names = [part.strip("\"'`“”") for part in parts if part.strip("\"'`“”") and part != "and"]
    usual = {"the", "for", "of", "with", "in", "to", "that", "are", "is", "from", "on", "which", "should", "must", "as", "each"}
    return () if usual & set(names) else tuple(names)


def _separated(asked: str, answer: str) -> Iterator[Finding]:
    match = _COMMAS.search(asked)
    if match is None or not _plain_sentence(asked, match):
        return
    lines = [line for line in bare(answer).splitlines() if line.strip()]
    if len(lines) == 1 and lines[0].count(",") >= 1:
        yield _verdict(kept=True, form="separated by commas")
    elif len(items(answer)) >= 2 and all("," not in item.text for item in items(answer)):
        yield _verdict(kept=False, form="separated by commas")


def _cased(asked: str, answer: str) -> Iterator[Finding]:
    match = _CASE.search(asked)
    if match is None or not _plain_sentence(asked, match):
        return
    upper = "lower" not in match["case"].casefold() and "small" not in match["case"].casefold()
    letters = [char for char in answer if char.lower() != char.upper()]
    wrong = sum(char.islower() if upper else char.isupper() for char in letters)
    form = "upper case" if upper else "lower case"
    if len(letters) >= 2 and wrong == 0:
        yield _verdict(kept=True, form=form)
    elif wrong >= 3 or wrong == len(letters) > 0 or (not upper and wrong and letters[0].isupper()):
        yield _verdict(kept=False, form=form)


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _edged(question: str, answer: str) -> Iterator[Finding]:
    """First or last words that the question wants; capitals, punctuation and quotation marks apart."""
    for match in list(_EDGE.finditer(split_code(question[:6000])[0]))[:3]:
        start = match["edge"].casefold().startswith(("start", "begin"))
        wanted, said = _folded(match["what"]), _folded(answer)
        if not wanted or re.search(r"\b(?:each|every|letters? )\b", match[0], re.IGNORECASE):
            continue
        parts = [said] if match["some"] is None else [said, *map(_folded, re.split(r"[.!?:\n\"“”]", answer))]
        padded = [f" {part} " for part in parts]
        kept = any(part.startswith(f" {wanted} ") if start else part.endswith(f" {wanted} ") for part in padded)
        yield _verdict(kept=kept, form=f'{"starts" if start else "ends"} with "{shown(match["what"])}"')


def _left_out(question: str, answer: str) -> Iterator[Finding]:
    for match in list(_WITHOUT.finditer(question[:6000]))[:3]:
        what = match["quoted"] or match["plain"]
        start = sentence_start(question, match.start())
        letter = match["kind"].casefold() == "letter"
        first = re.match(r"\W*(?:please )?(?:can you |could you )?(\w+)", question[start:], re.IGNORECASE)
        own = match[0].casefold().startswith(("do not", "don", "never", "avoid")) and len(question[start : match.start()].split()) < 2
        if not own and (first is None or not _FREE.fullmatch(first[1])):
            continue
        if (letter and len(what) != 1) or (not letter and " " in what.strip()):
            continue
        there = what.casefold() in answer.casefold() if letter else re.search(rf"\b{re.escape(what)}\b", answer, re.IGNORECASE) is not None
        yield _verdict(kept=not there, form=f'without the {match["kind"].casefold()} "{shown(what)}"')


def _one_of(asked: str, answer: str) -> Iterator[Finding]:
    match = _ONE_OF.search(asked)
    if match is None or re.search(r"\b(?:question|questions|game)\b", asked, re.IGNORECASE):
        return
    one, other = ("yes", "no") if "yes" in match[0].casefold() else ("true", "false")
    said = _folded(answer).split()
    if said[:1] and said[0] in {one, other} and {one, other} != set(said[:3:2]):
        yield _verdict(kept=True, form=f"{one} or {other}")
    elif not {one, other} & set(said) and len(said) >= 1:
        yield _verdict(kept=False, form=f"{one} or {other}")
