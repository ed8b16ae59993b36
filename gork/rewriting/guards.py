"""The guards: each compares a prompt with its rewrite and gives the reason why the rewrite is refused, or None.

They run in the order of the table `_GUARDS`, from cheap and certain to subtle, and the first reason is the one that is shown. A new guard
is one more function in that table.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, permutations

from gork.rewriting.tokens import Kind, Piece, Reading, read
from gork.text.language import (
    ASKING,
    AUXILIARIES,
    COURTESY,
    DENYING,
    FRAMING,
    LIGHT,
    ORDERED,
    TASKS,
    UNSPACED_ASKING,
    UNSPACED_DENYING,
    is_slip,
    language,
    script,
    stem,
)
from gork.text.structure import shown

_TEMPLATE = re.compile(
    r"<\|[^|<>\n]{0,40}\|>|<｜[^｜<>\n]{0,40}｜>|</?(?:s|think|start_of_turn|end_of_turn|bos|eos|unk|pad|tool_call|im_start|im_end)>"
    r"|\[/?INST\]|<</?SYS>>"
)
_LABEL = re.compile(r"[^\W\d_]{1,12}\s*[:：](?=\s)")
_EAGER = re.compile(
    r"(?:i(?:'m|’m|'ll|’ll|'d|’d|'ve|’ve)? (?:am|can|can't|cannot|will|would|have|think|don't|do not|understand|apologize|sorry|happy|glad)"
    r"|sure|certainly|of course|absolutely|here(?:'s|’s| is| are)|yes|no|as an ai|okay|great|sorry|thank you|you're|you are)\b",
    re.IGNORECASE,
)
_QUESTION_MARK = re.compile(r"[?？؟;]")
_KINDS: tuple[tuple[Kind, str], ...] = (("code", "code"), ("quotation", "quotation"), ("number", "number"), ("chunk", "piece"))
_MOVED = "changed the order of what it asks about"
_BY_LETTERS = {"Cyrillic": "ru", "Arabic": "ar"}


@dataclass(frozen=True)
class Pair:
    """A prompt and its rewrite, read once for all guards; `earlier` are the texts that the prompt leans on."""

    original: str
    rewrite: str
    earlier: Sequence[str]

    @cached_property
    def before(self) -> Reading:
        """The original's pieces."""
        return read(self.original)

    @cached_property
    def after(self) -> Reading:
        """The rewrite's pieces; quotation marks that the original does not have are only marks."""
        known = [*self.before.keys("quotation"), *(key for reading in self.known for key in reading.keys("quotation"))]
        return read(self.rewrite, known)

    @cached_property
    def known(self) -> tuple[Reading, ...]:
        """The pieces of what was said before."""
        return tuple(read(text) for text in self.earlier)

    @cached_property
    def tongues(self) -> tuple[str | None, str | None]:
        """The languages of both, where their light words tell."""
        texts = (frozenset(word.key for word in reading.words) for reading in (self.before, self.after))
        one, other = (language(words) for words in texts)
        return one, other

    @cached_property
    def tongue(self) -> str:
        """The language whose word tables are used for both."""
        letters = Counter(script(char) for char in self.original if char.isalpha())
        usual = _BY_LETTERS.get(max(letters, key=lambda name: letters[name], default="Latin"), "en")
        return usual if usual != "en" else next((name for name in self.tongues if name), "en")


def _characters(pair: Pair) -> str | None:
    template = _TEMPLATE.findall(pair.rewrite)
    if template and Counter(template) - Counter(_TEMPLATE.findall(pair.original)):
        return "has parts of a chat template"
    for char in set(pair.rewrite) - set(pair.original) - set("\n\t\u200c\u200d\ufe0f"):
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"} or char == "\ufffd":
            return "has control characters"
    return None


def _length(reading: Reading) -> float:
    return len(reading.pieces) + reading.characters.total() / 2


def _size(pair: Pair) -> str | None:
    if len(pair.rewrite) > 3 * len(pair.original) + 60 + (200 if pair.earlier else 0):
        return "is much longer than the prompt"
    before, after = _length(pair.before), _length(pair.after)
    if after > 2 * before + 6 + (16 if pair.earlier else 0):
        return "is much longer than the prompt"
    return "is much shorter than the prompt" if 3 * after < before - 2 else None


def _layout(pair: Pair) -> str | None:
    before, after = (sum(1 for line in text.splitlines() if line.strip()) for text in (pair.original, pair.rewrite))
    return "is laid out like an answer" if after > before else None


def _anew(pair: Pair) -> str | None:
    """The earlier question, asked once more in the place of the one that goes on with it: what is new may be a letter, or a light word."""
    after, original = ([piece.key for piece in reading.pieces] for reading in (pair.after, pair.before))
    again = after != original and any([piece.key for piece in reading.pieces] == after for reading in pair.known)
    return "only asks the earlier question again" if again else None


def _opening(pair: Pair) -> str | None:
    """The first words of an answer, with which a prompt does not begin, unless the original does."""
    for pattern in (_EAGER, _LABEL):
        match = pattern.match(pair.rewrite.lstrip())
        if match and not pair.original.lstrip().casefold().startswith(match[0].casefold()):
            return f'answers: it begins "{shown(match[0])}"'
    return None


def _letters(text: str) -> frozenset[str]:
    return frozenset(script(char) for char in set(text) if char.isalpha())


def _scripts(pair: Pair) -> str | None:
    before, after = _letters(pair.original), _letters(pair.rewrite)
    if lost := before - after:
        return f"lost the {min(lost)} script"
    if added := after - before - frozenset().union(*(_letters(text) for text in pair.earlier)):
        return f"is in the {min(added)} script"
    return None


def _tongue(pair: Pair) -> str | None:
    one, other = pair.tongues
    return f"is in another language ({other} for {one})" if one and other and one != other else None


def _parts(pair: Pair) -> str | None:
    """What has to survive literally: code, quotations, numbers, and everything that is not a plain word (URLs, paths, flags, versions)."""
    for kind, name in _KINDS:
        before, after = pair.before.keys(kind), pair.after.keys(kind)
        if kind == "chunk":
            upper = {key.upper(): key for key in before}
            after = Counter(key if key in before else upper.get(key, key) for key in after.elements())
        if kind == "number":
            before -= _texted(pair)
        known: Counter[str] = sum((reading.keys(kind) for reading in pair.known), Counter())
        for lost in before - after:
            return f"lost the {_called(lost, name)} {shown(_written(pair.before.pieces, kind, lost))}"
        for added in [key for key in after - before if key not in known]:
            return f"added the {_called(added, name)} {shown(_written(pair.after.pieces, kind, added) or added)}"
    lost_characters = pair.before.characters.keys() - pair.after.characters.keys()
    return f"lost {shown(min(lost_characters))}" if lost_characters else None


def _called(key: str, name: str) -> str:
    if name != "piece":
        return name
    if "://" in key or key.startswith("www."):
        return "URL"
    if "@" in key:
        return "address"
    return "path" if "/" in key or "\\" in key else "option" if key.startswith("-") else "number" if key[0].isdigit() else "name"


def _written(pieces: Iterable[Piece], kind: Kind, key: str) -> str:
    return next((piece.text for piece in pieces if piece.kind == kind and piece.key == key), "")


def _texted(pair: Pair) -> Counter[str]:
    """The digits of the original that were typed instead of a word: "how 2 sort" (to), "gift 4 mom" (for)."""
    found: Counter[str] = Counter()
    followed = {(one.key, stem(other.key)) for one, other in _neighbours(pair.after.pieces)}
    for digit, word in _neighbours(pair.before.pieces):
        meant = {"2": ("to", "i", "you", "we"), "4": ("for",)}.get(digit.text, ())
        if digit.kind == "number" and word.kind == "word" and any((key, stem(word.key)) in followed for key in meant):
            found[digit.key] += 1
    return found


def _neighbours(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Piece]]:
    """Each piece with the next one, without articles and possessives."""
    kept = [piece for piece in pieces if piece.key not in {"a", "an", "the", "my", "your"}]
    return pairwise(kept)


def _denial(pair: Pair) -> str | None:
    denying = DENYING[pair.tongue]
    before, after = (
        sum(word.key in denying for word in reading.words) + sum(text.count(word) for word in UNSPACED_DENYING)
        for reading, text in ((pair.before, pair.original), (pair.after, pair.rewrite))
    )
    return None if before == after else "lost a negation" if before > after else "added a negation"


def _content(pair: Pair, reading: Reading) -> list[Piece]:
    passed = LIGHT[pair.tongue] | ASKING[pair.tongue] | DENYING[pair.tongue]
    return [word for word in reading.words if word.exact or word.key not in passed]


def _match(word: Piece, others: dict[str, list[Piece]], spare: Sequence[Piece]) -> str | None:
    """The stem in the rewrite that stands for this word, if there is one."""
    root = stem(word.key)
    if word.exact:
        same = [other for other in others.get(root, ()) if other.key in {word.key, f"{word.key}'s"}]
        camel = word.text.casefold() != word.text and not word.text.istitle() and not word.text.isupper()
        return root if same and (not camel or any(other.text == word.text for other in same)) else None
    if root in others:
        return root
    return next((stem(other.key) for other in spare if is_slip(word.key, other.key)), None)


def _meaning(pair: Pair) -> str | None:
    """Every word that carries meaning is kept (long prompts may lose one in twelve), and no new one is added."""
    before, after = _content(pair, pair.before), _content(pair, pair.after)
    others: dict[str, list[Piece]] = {}
    for word in after:
        others.setdefault(stem(word.key), []).append(word)
    roots = {stem(word.key) for word in before}
    spare = [word for word in after if stem(word.key) not in roots]
    droppable, matched, lost = COURTESY.get(pair.tongue, frozenset()), set[str](), list[Piece]()
    for word in before:
        if (found := _match(word, others, spare)) is not None:
            matched.add(found)
        elif word.exact or word.key not in droppable:
            lost.append(word)
    if lost and (len(lost) > len(before) // 12 or any(word.exact for word in lost)):
        return f'lost "{shown(lost[0].text)}"'
    known = {stem(word.key) for reading in pair.known for word in reading.words}
    new = [word for word in spare if stem(word.key) not in matched | known and word.key not in FRAMING.get(pair.tongue, frozenset())]
    if new:
        return f'added "{shown(new[0].text)}"'
    return _person(pair) or _repeats(pair, before, after, known) or _new_characters(pair)


def _person(pair: Pair) -> str | None:
    """Light words that matter: "like I'm 5" is not "like 5", and my boss is not yours."""
    before, after = ([word.key for word in reading.words] for reading in (pair.before, pair.after))
    if ("i", "am") in pairwise(_joined(before)) and ("i", "am") not in pairwise(_joined(after)):
        return 'lost "I am"'
    if "my" in before and {"my", "mine", "our"}.isdisjoint(after):
        return 'lost "my"'
    yours = {"your", "yours", "yourself"}
    return 'added "your"' if not yours.isdisjoint(after) and (yours | {"you"}).isdisjoint(before) else None


def _joined(keys: Sequence[str]) -> list[str]:
    """The words with "I'm" as "I am"."""
    return ["am" if key == "m" and at and keys[at - 1] == "i" else key for at, key in enumerate(keys)]


def _repeats(pair: Pair, before: Sequence[Piece], after: Sequence[Piece], known: set[str]) -> str | None:
    often = Counter(stem(word.key) for word in after) - Counter(stem(word.key) for word in before)
    seen = {stem(word.key) for word in before}
    twice = [word for word in after if often[stem(word.key)] > 0 and stem(word.key) in seen - known]
    return f'repeats "{shown(twice[0].text)}"' if twice else None


def _new_characters(pair: Pair) -> str | None:
    known = set[str]().union(*(reading.characters for reading in pair.known))
    new = pair.after.characters.keys() - pair.before.characters.keys() - known
    return f"added {shown(min(new))}" if new else None


def _order(pair: Pair) -> str | None:
    """Where words say which side is which ("from", "than", "not"), the pieces on both sides keep their order."""
    one, other = ([char for char in here if char in there] for here, there in permutations((pair.before.characters, pair.after.characters)))
    if one != other:
        return _MOVED
    relating = ORDERED | DENYING[pair.tongue] | {"to"}
    if relating.isdisjoint(word.key for word in pair.before.words):
        return None
    content = {id(word) for reading in (pair.before, pair.after) for word in _content(pair, reading)}
    rows = [
        [stem(piece.key) for piece in reading.pieces if piece.kind != "word" or id(piece) in content]
        for reading in (pair.before, pair.after)
    ]
    shared = {key for key in rows[0] if rows[0].count(key) == rows[1].count(key) == 1}
    one, other = ([key for key in row if key in shared] for row in rows)
    return None if one == other else _MOVED


def _asks(pair: Pair, reading: Reading, text: str) -> set[str]:
    same = {"which": "what", "whom": "who"}
    words = {same.get(word.key, word.key) for word in reading.words if word.key in ASKING[pair.tongue]}
    return words | {"?" for word in UNSPACED_ASKING if word in text}


def _gist(pair: Pair, reading: Reading) -> Piece | None:
    """The first word that is neither light nor polite."""
    return next((word for word in _content(pair, reading) if word.key not in COURTESY.get(pair.tongue, frozenset()) - TASKS), None)


def _asking(pair: Pair) -> str | None:
    """It asks for the same thing: "who" stays "who", and a request for a poem does not become "how do I write a poem"."""
    before, after = _asks(pair, pair.before, pair.original), _asks(pair, pair.after, pair.rewrite)
    known = {word.key for reading in pair.known for word in reading.words}
    if lost := before - after - ({"what"} if len(after) and before != {"what"} else set()):
        return f'no longer asks "{min(lost)}"' if "?" not in lost else "no longer asks"
    first = _gist(pair, pair.before)
    to_do = not before and first is not None and first.key in TASKS - {"explain"}
    added = after - before - known - (set() if to_do else {"what"})
    harmless = added == {"how"} and not before and (first is None or first.key not in TASKS)
    if pair.tongue == "en" and added and not harmless:
        return f'asks "{min(added)}", which the prompt does not'
    return None


def _is_question(pair: Pair, reading: Reading, text: str) -> bool:
    polite = COURTESY.get(pair.tongue, frozenset()) - TASKS
    first, second, *_ = [*(word.key for word in reading.words if word.key not in polite), "", ""]
    opens = pair.tongue == "en" and first in AUXILIARIES and (first, second) != ("do", "not")
    return opens or first in ASKING[pair.tongue] or _QUESTION_MARK.search(text) is not None


def _form(pair: Pair) -> str | None:
    """A question stays a question or becomes a request; nothing becomes a statement."""
    if _is_question(pair, pair.after, pair.rewrite):
        return None
    first, now = _gist(pair, pair.before), _gist(pair, pair.after)
    if _is_question(pair, pair.before, pair.original):
        return None if now and now.key in TASKS and pair.tongue == "en" else "states something where the prompt asks"
    if first and now and stem(first.key) != stem(now.key) and not is_slip(first.key, now.key):
        return "states something where the prompt asks"
    ending = now is not None and first is not None and now.key.endswith("ing") and not first.key.endswith("ing")
    verbs = {word.key for word in pair.after.words} & AUXILIARIES - {word.key for word in pair.before.words}
    return "states something where the prompt asks" if ending or (verbs and pair.tongue == "en") else None


_GUARDS = (_characters, _size, _layout, _opening, _scripts, _tongue, _denial, _parts, _meaning, _order, _asking, _form, _anew)


def refusal(original: str, rewrite: str, earlier: Sequence[str]) -> str | None:
    """The reason of the first guard that refuses the rewrite, None if none does."""
    pair = Pair(original, rewrite, earlier)
    return next((reason for guard in _GUARDS if (reason := guard(pair)) is not None), None)
