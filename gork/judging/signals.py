"""What can be said of each answer: one small function for each signal, all with the same interface.

A signal looks at the rivals and gives each a number: more is better, and only differences count. Some ask the judge (`listwise`,
`pairwise`, `pointwise`, `reference`), the others cost nothing. A policy is a set of weights over them (`gork/judging/decide.py`).

One order of reading is no opinion: small judges prefer a slot whatever stands in it. So `listwise` reads several drawn orders, or has
the slots' own prior subtracted, and `pairwise` reads every pair in both orders.
"""

from __future__ import annotations

import itertools
import math
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gork.config.ensemble import Choosing
from gork.engines.call import estimate_tokens
from gork.engines.model import Choice, Model
from gork.errors import ModelError
from gork.judging.prompts import LEAD_IN, YES_NO, YES_NO_LEAD_IN, judge_messages, neutral_letters, own_messages, pointwise_messages
from gork.text.language import LIGHT
from gork.turn import Answer, Message, OnEvent, Question, Token

OWN_TOKENS = 48
"""Most tokens of the judge's own answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """The answers among which one is chosen: two or more, all different."""

    question: Question
    answers: tuple[Answer, ...]
    voters: tuple[Answer, ...]
    """The same and those that say the same in the same words: what agreement is counted among."""
    prior: tuple[str, ...]
    """All candidates' names, the configured best first."""
    share_weights: bool
    """Whether their confidences can be compared."""

    @property
    def texts(self) -> list[str]:
        """What they say."""
        return [answer.text for answer in self.answers]


@dataclass(slots=True)
class Spent:
    """What the judge was asked for one verdict."""

    calls: int = 0
    tokens: int = 0
    """Read and written, those that its cache may have held included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What judging needs besides the rivals."""

    judge: Model | None
    choosing: Choosing
    priors: SlotPriors
    rng: random.Random
    on_event: OnEvent
    ends: float
    """When the judge has to be done (`time.monotonic()`, seconds)."""
    spent: Spent = field(default_factory=Spent)

    @property
    def reader(self) -> Model:
        """The judge. It is a bug to ask for one that is not there."""
        assert self.judge is not None, "a signal that needs the judge was asked without one"  # noqa: S101 - a bug, not a failure
        return self.judge

    @property
    def budget(self) -> int:
        """Tokens that one prompt of the judge may have."""
        return min(self.choosing.judge_tokens, self.reader.context - 64)

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return max(self.ends - time.monotonic(), 0.01)

    async def choose(self, messages: Sequence[Message], labels: Sequence[str], lead_in: str = LEAD_IN) -> Choice:
        """Ask the judge for a label; raises a `ModelError`."""
        choice = await self.reader.choose(messages, labels, lead_in=lead_in, on_event=self.on_event, limit_s=self.left_s)
        self.spent.calls += 1
        self.spent.tokens += choice.prompt_tokens + 1
        return choice


@dataclass(frozen=True, slots=True)
class Said:
    """What a signal says of the rivals: one value each."""

    values: tuple[float, ...]
    orders: tuple[tuple[int, ...], ...] = ()
    """The orders in which the judge read them, as indexes."""
    mass: float | None = None
    """How much of the judge's probability lay on the labels, mean over its calls."""


Signal = Callable[[Rivals, Desk], Awaitable[Said | None]]
"""None when the signal cannot be had for these rivals."""


@dataclass(slots=True)
class SlotPriors:
    """What the judge says of slots whose content is the same everywhere: measured once per judge and set of letters."""

    _known: dict[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)

    async def of(self, letters: str, desk: Desk) -> tuple[float, ...]:
        """The log-probability of each slot's letter; raises a `ModelError`."""
        key = (desk.reader.weights_id, letters)
        if key not in self._known:
            messages = judge_messages("(no question)", ["(no answer)"] * len(letters), letters, 400, desk.reader.member.system)
            self._known[key] = _logs(await desk.choose(messages, letters), letters)
        return self._known[key]


def _logs(choice: Choice, labels: Sequence[str]) -> tuple[float, ...]:
    return tuple(math.log(max(choice.probabilities.get(label, 0.0), 1e-9)) for label in labels)


def draw_orders(slots: int, count: int, rng: random.Random) -> list[tuple[int, ...]]:
    """`count` different orders of `slots` answers (all of them if there are fewer), drawn so that every full run of `slots` orders
    has each answer once in each slot.

    >>> draw_orders(2, 9, random.Random(1))
    [(1, 0), (0, 1)]
    """
    orders: dict[tuple[int, ...], None] = {}
    wanted = min(count, math.factorial(slots))
    while len(orders) < wanted:
        base = list(range(slots))
        rng.shuffle(base)
        rotations = [tuple(base[turn:] + base[:turn]) for turn in range(slots)]
        if rotations[0] not in orders:
            orders.update(dict.fromkeys(rotations))
    return list(itertools.islice(orders, wanted))


def is_balanced(orders: Sequence[Sequence[int]]) -> bool:
    """Whether every answer stands equally often in every slot: then the slots' own prior cancels out."""
    counts = Counter((slot, answer) for order in orders for slot, answer in enumerate(order))
    return bool(orders) and len(counts) == len(orders[0]) ** 2 and len(set(counts.values())) == 1


async def _read(rivals: Rivals, order: Sequence[int], letters: str, desk: Desk) -> Choice:
    """Let the judge choose among the rivals of an order, under `letters`; raises a `ModelError`."""
    texts = [rivals.answers[index].text for index in order]
    return await desk.choose(judge_messages(rivals.question.text, texts, letters, desk.budget, desk.reader.member.system), letters)


async def listwise(rivals: Rivals, desk: Desk) -> Said:
    """Let the judge read all answers in drawn orders and average what it says of each (nats), free of the slots' own prior.

    When time runs out, the full runs of orders that were read count, since each answer stood once in each slot there. Raises a
    `ModelError` if there is none.
    """
    texts = rivals.texts
    slots = len(texts)
    letters = neutral_letters([rivals.question.text, *texts])[:slots]
    orders = draw_orders(slots, desk.choosing.orders, desk.rng)
    own = (0.0,) * slots if is_balanced(orders) else await desk.priors.of(letters, desk)
    done: dict[tuple[int, ...], tuple[tuple[float, ...], float]] = {}
    for order in orders:
        try:
            choice = await _read(rivals, order, letters, desk)
        except ModelError:
            orders = orders[: len(done) - len(done) % slots]
            if not orders:
                raise
            break
        done[order] = _logs(choice, letters), choice.mass
    scores = [0.0] * slots
    for order in orders:
        free = [log - prior for log, prior in zip(done[order][0], own, strict=True)]
        mean = math.fsum(free) / slots
        for slot, index in enumerate(order):
            scores[index] += (free[slot] - mean) / len(orders)
    return Said(tuple(scores), tuple(orders), math.fsum(done[order][1] for order in orders) / len(orders))


async def pairwise(rivals: Rivals, desk: Desk) -> Said:
    """Let the judge compare every two answers in both orders; an answer's value is its mean lead over the others (nats).

    Both orders of a pair cancel what the judge thinks of the slots. Raises a `ModelError`.
    """
    texts = rivals.texts
    values = [0.0] * len(texts)
    masses = []
    letters = neutral_letters([rivals.question.text, *texts])[:2]
    for pair in itertools.permutations(range(len(texts)), 2):
        choice = await _read(rivals, pair, letters, desk)
        first, second = _logs(choice, letters)
        for index, lead in zip(pair, (first - second, second - first), strict=True):
            values[index] += lead / 2 / (len(texts) - 1)
        masses.append(choice.mass)
    return Said(tuple(values), mass=math.fsum(masses) / len(masses))


async def pointwise(rivals: Rivals, desk: Desk) -> Said:
    """Let the judge say of each answer alone whether it is right: the log-odds of yes (nats). Raises a `ModelError`."""
    values, masses = [], []
    for text in rivals.texts:
        choice = await desk.choose(pointwise_messages(rivals.question.text, text, desk.budget), YES_NO, YES_NO_LEAD_IN)
        yes, no = _logs(choice, YES_NO)
        values.append(yes - no)
        masses.append(choice.mass)
    return Said(tuple(values), mass=math.fsum(masses) / len(masses))


async def reference(rivals: Rivals, desk: Desk) -> Said:
    """Let the judge answer the question itself, in a few words: how much each answer says the same (0 to 1). Raises a `ModelError`."""
    judge = desk.reader
    completion = await judge.chat(
        own_messages(rivals.question.text, desk.budget, judge.member.examples),
        options={"temperature": 0.0, **judge.member.options, "num_predict": OWN_TOKENS},
        on_event=lambda event: None if isinstance(event, Token) else desk.on_event(event),  # no answer of the turn: nobody shows it
        limit_s=desk.left_s,
    )
    desk.spent.calls += 1
    desk.spent.tokens += completion.prompt_tokens + completion.tokens
    asked = frozenset(words_of(rivals.question.text))
    own = content(completion.text, asked)
    return Said(tuple(_found(own, content(text, asked)) for text in rivals.texts))


async def agreement(rivals: Rivals, _: Desk) -> Said:
    """How much each answer says the same as the other candidates' answers (0 to 1)."""
    everyone = agreements([answer.text for answer in rivals.voters])
    return Said(tuple(everyone[rivals.voters.index(answer)] for answer in rivals.answers))


async def confidence(rivals: Rivals, _: Desk) -> Said | None:
    """How sure each model was of its own words: its mean log-probability a token (nats); only where the weights are the same."""
    values = [answer.confidence for answer in rivals.answers if answer.confidence is not None]
    return Said(tuple(values)) if rivals.share_weights and len(values) == len(rivals.answers) else None


async def prior(rivals: Rivals, _: Desk) -> Said:
    """Where each answer's member stands in the configured order: 0 for the best, one less for each place behind it."""
    return Said(tuple(-float(rivals.prior.index(answer.member)) for answer in rivals.answers))


async def brevity(rivals: Rivals, _: Desk) -> Said:
    """How short each answer is: minus the logarithm of its tokens. Small models that ramble are wrong more often."""
    return Said(tuple(-math.log(16 + estimate_tokens(text)) for text in rivals.texts))


async def checks(rivals: Rivals, _: Desk) -> Said:
    """What plain code finds for and against each answer (-3 to 3): equations, code, stated forms, degeneration."""
    from gork.judging.checks.soundness import soundness  # noqa: PLC0415 - its patterns take 30 ms to compile, which no start should wait for

    return Said(tuple(soundness(rivals.question.text, text) for text in rivals.texts))


SIGNALS: Mapping[str, Signal] = {
    "listwise": listwise,
    "pairwise": pairwise,
    "pointwise": pointwise,
    "reference": reference,
    "agreement": agreement,
    "confidence": confidence,
    "brevity": brevity,
    "checks": checks,
    "prior": prior,
}


def words_of(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"\w+", text.lower())


def content(text: str, asked: frozenset[str] = frozenset()) -> Counter[str]:
    """The words of a text that carry meaning and do not merely repeat what was `asked`.

    >>> sorted(content("The capital of France is Paris.", frozenset({"capital", "france"})))
    ['paris']
    """
    return Counter(word for word in words_of(text) if word not in LIGHT["en"] and word not in asked)


def _found(wanted: Counter[str], words: Counter[str]) -> float:
    """The share of the different `wanted` words that are among `words`."""
    return sum(word in words for word in wanted) / len(wanted) if wanted else 0.0


def agreements(texts: Sequence[str]) -> list[float]:
    """For each text the mean unigram F1 with the others: how much it says the same as they do (0 to 1).

    >>> agreements(["it is Paris", "Paris it is", "Rome"])
    [0.5, 0.5, 0.0]
    """
    bags = [Counter(words_of(text)) for text in texts]
    sizes = [bag.total() for bag in bags]

    def f1(i: int, j: int) -> float:
        return 2 * (bags[i] & bags[j]).total() / (sizes[i] + sizes[j]) if sizes[i] + sizes[j] else 0.0

    others = max(len(texts) - 1, 1)
    return [sum(f1(i, j) for j in range(len(texts)) if j != i) / others for i in range(len(texts))]
