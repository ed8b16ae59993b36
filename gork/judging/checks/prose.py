"""Answers that degenerated as prose: repetition, echoes of the question, cut ends, another language, hedging."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from gork.judging.checks import Finding
from gork.text.language import ASKING, DENYING, LIGHT, language, script
from gork.text.sentences import words
from gork.text.structure import bare, shown, split_code

_LOOPING = re.compile(
    r"\b(?:repeat\w*|times|poem|poems|song|lyrics|chorus|verse|chant|rhyme|mantra|again and again|list|table|copies|over and over|sing"
    r"|pattern|ascii|print|ha+|lorem|rap|haiku|ballad|villanelle|say|write)\b",
    re.IGNORECASE,
)
_COPYING = re.compile(
    r"\b(?:repeat|say|copy|echo|correct|fix|proofread|translate|rewrite|rephrase|paraphrase|spell\w*|quote|type|print|write|improve|edit"
    r"|grammar|convert|format|punctuat\w+|capitali[sz]e|lower|upper|output|return|transcribe|read|reply|respond|answer)\b",
    re.IGNORECASE,
)
_LINGUISTIC = re.compile(
    r"""
    \b(?: translat\w* | language | alphabet | script | letters? | characters? | kanji | hiragana | katakana | pinyin | symbols? | emoji
        | unicode | anthem | word[ ]for | how[ ]do[ ](?: you | i | we )[ ](?: say | write | spell ) | phrase | saying | proverb | lyrics
        | motto | idiom
        # languages by name
        | english | german | french | spanish | italian | portuguese | dutch | russian | arabic | chinese | mandarin | cantonese
        | japanese | korean | hindi | greek | hebrew | thai | latin | turkish | polish | ukrainian | persian | farsi | urdu | bengali
        | tamil | vietnamese | bilingual | multilingual | cyrillic | sanskrit | swedish | danish | norwegian | finnish | czech
        # the same in other languages
        | deutsch\w* | englisch\w* | übersetz\w* | traduc\w* | traduis\w* | traduire | anglais\w* | français\w* | inglés | español\w*
        | auf | französisch\w* | spanisch\w* | en )\b
    | перевед | перевод | 翻译 | 翻訳 | 英语 | 英語
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Questions about languages, whose answers may be in another one."""
_CREATIVE = re.compile(
    r"\b(?:write|draft|compose|story|poem|email|letter|dialogue|translate|rewrite|rephrase|paraphrase|summari[sz]e|correct|proofread|reply"
    r"|say|role|pretend|act as|quote|sentence|who are you|are you|your|you an?)\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:I(?:'m| am) not (?:\w+ )?(?:sure|certain)|I (?:do not|don't) (?:really )?know|as an? (?:AI|artificial intelligence"
    r"|(?:large )?language model)"
    r"|I have no idea|I(?:'m| am) just an AI)\b",
    re.IGNORECASE,
)
_OPEN_END = frozenset(
    ("the", "an", "and", "or", "because", "its", "their", "our", "my", "your", "whose", "if", "between", "than", "into", "which", "every")
)
_GRAMMAR = re.compile(
    r"\b(?:article|articles|conjunction|word|words|grammar|preposition|pronoun|determiner|blank|phrase|sentence)\b|_{2,}", re.IGNORECASE
)
_EAST = frozenset({"Han", "Kana", "Hangul"})


def degeneration(question: str, answer: str) -> Iterator[Finding]:
    """Signs of a model that degenerated."""
    prose = split_code(answer)[0]
    for check in (_repetition, _echo, _cut, _foreign, _hedge):
        if found := check(question, answer, prose):
            yield found


def _repetition(question: str, _: str, prose: str) -> Finding | None:
    """One sentence or line over and over, or few different runs of four words."""
    if _LOOPING.search(question):
        return None
    pieces = [" ".join(words(piece)).casefold() for piece in re.split(r"[.!?。！？]+(?=\s|\Z)|\n+", prose)]
    counts = Counter(piece for piece in pieces if piece.count(" ") >= 3)
    piece, often = counts.most_common(1)[0] if counts else ("", 0)
    if often >= 3 and often * 3 >= sum(counts.values()):
        return Finding(f'says "{shown(piece)}" {often} times', -1.5 if often < 5 else -2.0)
    # A letter alone is a variable: a formula may have it in each of its terms.
    spoken = [word.casefold() for word in words(prose) if not word[0].isdigit() and (len(word) > 1 or not word.isascii())]
    if len(spoken) >= 40:
        runs = Counter(zip(spoken, spoken[1:], spoken[2:], spoken[3:], strict=False))
        if len(runs) < 0.5 * runs.total():
            return Finding(f'repeats itself: "{shown(" ".join(runs.most_common(1)[0][0]))}" {max(runs.values())} times', -1.5)
    longest, length = 0, 0
    for one, other in pairwise(spoken):
        length = length + 1 if one == other else 0
        longest = max(longest, length)
    return Finding(f"says one word {longest + 1} times in a row", -1.5) if longest >= 7 else None


def _echo(question: str, answer: str, _: str) -> Finding | None:
    """The question and nothing else, once or several times."""
    asked, said = ([word.casefold() for word in words(text)] for text in (question, answer))
    if len(asked) < 3 or _COPYING.search(question) or len(said) % len(asked) or not said:
        return None
    return Finding("only repeats the question", -2.0) if said == asked * (len(said) // len(asked)) else None


def _cut(question: str, answer: str, prose: str) -> Finding | None:
    """An end in the middle: in an open block of code, or after "and the"."""
    blocks = split_code(answer)[1]
    if blocks and not blocks[-1].closed and blocks[-1].text.strip() and "`" not in question:
        return Finding("ends inside a block of code", -0.5)
    end = bare(prose).rstrip(" \n*_")
    last = re.search(r"([^\W\d_]+)(,?)\Z", end[-40:])
    if (blocks and answer.rstrip().endswith(("`", "~"))) or last is None or len(words(prose)) < 8 or _GRAMMAR.search(question):
        return None
    if last[1] in _OPEN_END:
        return Finding(f'ends in mid-sentence, after "{last[1]}"', -1.0)
    if (
        last[2]
        and len(words(prose)) >= 20
        and "," not in question[-2:]
        and not re.search(r"\b(?:letter|e-?mail|message)\b", question, re.IGNORECASE)
    ):
        return Finding("ends with a comma", -0.7)
    return None


def _foreign(question: str, answer: str, prose: str) -> Finding | None:
    """Another script or language than the question's, unless the question is about languages."""
    if _LINGUISTIC.search(question) or "`" in answer:
        return None
    asked, said = (Counter(_family(script(char)) for char in text[:4000] if char.isalpha()) for text in (question, prose))
    if asked.total() < 8 or said.total() < 12:
        return None
    one, other = asked.most_common(1)[0], said.most_common(1)[0]
    if one[0] == other[0]:
        return _tongue(question, prose) if one[0] == "Latin" else None
    sure = one[1] > 0.9 * asked.total() and other[1] > 0.7 * said.total()
    return Finding(f"is in the {other[0]} script, the question is in {one[0]}", -1.5) if sure else None


def _tongue(question: str, prose: str) -> Finding | None:
    """Languages are recognised by their light words; both texts need enough of them."""
    before, after = ([word.casefold() for word in re.findall(r"[^\W\d_]+", text[:4000])] for text in (question, prose))
    tongue, spoken = language(frozenset(before)), language(frozenset(after))
    if tongue is None or spoken is None or tongue == spoken or len(after) < 10:
        return None
    light = {name: LIGHT[name] | ASKING[name] | DENYING[name] for name in (tongue, spoken)}
    hits = {name: sum(word in light[name] for word in after) for name in light}
    asks = {name: sum(word in light[name] for word in before) for name in light}
    sure = hits[spoken] >= max(4, len(after) / 4) and hits[tongue] * 4 <= hits[spoken] and asks[tongue] >= 3 > asks[spoken]
    return Finding(f"is in another language ({spoken}) than the question ({tongue})", -1.5) if sure else None


def _family(name: str) -> str:
    return "East Asian" if name in _EAST else name


def _hedge(question: str, answer: str, _: str) -> Finding | None:
    """Words that put the rest in doubt, unless the question asks for such words."""
    match = _HEDGE.search(answer[:400].replace("’", "'"))
    if match is None or _CREATIVE.search(question) or match[0].casefold() in question.casefold():
        return None
    return Finding(f'hedges ("{match[0]}")', -0.4)
