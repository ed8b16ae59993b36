"""What can be said of each answer: one small function for each signal, all with the same interface.

A signal looks at the answers of a contest and gives each a number: more is better, and only differences count. Some signals ask the
judge, the others cost nothing: `gork/config/signals.py` has the table of them. A policy is a set of weights over them
(`gork/judging/decide.py`).

One order of reading is not an opinion: small judges prefer a slot whatever stands in it. So `listwise` reads several drawn orders, or has
the slots' own prior subtracted, and `pairwise` reads every pair in both orders.
"""

from __future__ import annotations

import itertools
import math
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
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
class Contest:
    """A question and the answers among which one is chosen: two or more, all different."""

    question: Question
    answers: tuple[Answer, ...]
    voters: tuple[Answer, ...]
    """These answers and those that are equal to one of them: what agreement is counted among."""
    prior: tuple[str, ...]
    """All candidates' names, the configured best first."""
    share_weights: bool
    """Whether their confidences can be compared."""

    @property
    def texts(self) -> list[str]:
        """What they say."""
        return [answer.text for answer in self.answers]


@dataclass(slots=True)
class Usage:
    """What one verdict cost the judge."""

    calls: int = 0
    tokens: int = 0
    """Read and written, including those that its cache may have held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSession:
    """The judge, how it is asked, and its time and usage, for one verdict."""

    judge: Model | None
    choosing: Choosing
    priors: SlotPriors
    rng: random.Random
    on_event: OnEvent
    ends: float
    """When the judge has to be done, in seconds of `time.monotonic()`."""
    usage: Usage = field(default_factory=Usage)

    @property
    def reader(self) -> Model:
        """The judge. It is a bug to ask for it where there is none."""
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
        self.usage.calls += 1
        self.usage.tokens += choice.prompt_tokens + 1
        return choice


@dataclass(frozen=True, slots=True)
class SignalResult:
    """What a signal says: one value for each answer of the contest."""

    values: tuple[float, ...]
    orders: tuple[tuple[int, ...], ...] = ()
    """The orders in which the judge read them, as indexes."""
    mass: float | None = None
    """How much of the judge's probability was on the labels (0 to 1), mean over its calls."""


Signal = Callable[[Contest, JudgeSession], Awaitable[SignalResult | None]]
"""None when the signal is not available for this contest."""
SIGNAL_FUNCTIONS: dict[str, Signal] = {}
"""The function of each signal in the table of `gork/config/signals.py`, by its name."""


def signal(function: Signal) -> Signal:
    """Register a signal under its function's name."""
    SIGNAL_FUNCTIONS[function.__name__] = function
    return function


@dataclass(slots=True)
class SlotPriors:
    """What the judge says of slots that all have the same content: measured once per judge and set of letters."""

    _known: dict[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)

    async def of(self, letters: str, session: JudgeSession) -> tuple[float, ...]:
        """The log-probability of each slot's letter; raises a `ModelError`."""
        key = (session.reader.weights_id, letters)
        if key not in self._known:
            messages = judge_messages("(no question)", ["(no answer)"] * len(letters), letters, 400, session.reader.member.system)
            self._known[key] = _logs(await session.choose(messages, letters), letters)
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


async def _read(contest: Contest, order: Sequence[int], letters: str, session: JudgeSession) -> Choice:
    """Let the judge choose among the answers in an order, under `letters`; raises a `ModelError`."""
    texts = [contest.answers[index].text for index in order]
    return await session.choose(
        judge_messages(contest.question.text, texts, letters, session.budget, session.reader.member.system), letters
    )


@signal
async def listwise(contest: Contest, session: JudgeSession) -> SignalResult:
    """Let the judge read all answers in drawn orders and average what it says of each (nats), without the slots' own prior.

    When time runs out, the full runs of orders that were read count, since each answer stood once in each slot there. Raises a
    `ModelError` if not one full run was read.
    """
    texts = contest.texts
    slots = len(texts)
    letters = neutral_letters([contest.question.text, *texts])[:slots]
    orders = draw_orders(slots, session.choosing.orders, session.rng)
    own = (0.0,) * slots if is_balanced(orders) else await session.priors.of(letters, session)
    done: dict[tuple[int, ...], tuple[tuple[float, ...], float]] = {}
    for order in orders:
        try:
            choice = await _read(contest, order, letters, session)
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
    return SignalResult(tuple(scores), tuple(orders), math.fsum(done[order][1] for order in orders) / len(orders))


@signal
async def pairwise(contest: Contest, session: JudgeSession) -> SignalResult:
    """Let the judge compare every two answers in both orders; an answer's value is its mean lead over the others (nats).

    Both orders of a pair cancel what the judge thinks of the slots. Raises a `ModelError`.
    """
    texts = contest.texts
    values = [0.0] * len(texts)
    masses = []
    letters = neutral_letters([contest.question.text, *texts])[:2]
    for pair in itertools.permutations(range(len(texts)), 2):
        choice = await _read(contest, pair, letters, session)
        first, second = _logs(choice, letters)
        for index, lead in zip(pair, (first - second, second - first), strict=True):
            values[index] += lead / 2 / (len(texts) - 1)
        masses.append(choice.mass)
    return SignalResult(tuple(values), mass=math.fsum(masses) / len(masses))


@signal
async def pointwise(contest: Contest, session: JudgeSession) -> SignalResult:
    """Let the judge say of each answer alone whether it is right: the log-odds of yes (nats). Raises a `ModelError`."""
    values, masses = [], []
    for text in contest.texts:
        choice = await session.choose(pointwise_messages(contest.question.text, text, session.budget), YES_NO, YES_NO_LEAD_IN)
        yes, no = _logs(choice, YES_NO)
        values.append(yes - no)
        masses.append(choice.mass)
    return SignalResult(tuple(values), mass=math.fsum(masses) / len(masses))


@signal
async def reference(contest: Contest, session: JudgeSession) -> SignalResult:
    """Let the judge answer the question itself, in a few words: how much each answer says the same (0 to 1). Raises a `ModelError`."""
    judge = session.reader
    completion = await judge.chat(
        own_messages(contest.question.text, session.budget, judge.member.examples),
        options={"temperature": 0.0, **judge.member.options, "num_predict": OWN_TOKENS},
        # This is not an answer of the turn, so its tokens are not shown.
        on_event=lambda event: None if isinstance(event, Token) else session.on_event(event),
        limit_s=session.left_s,
    )
    session.usage.calls += 1
    session.usage.tokens += completion.prompt_tokens + completion.tokens
    asked = frozenset(words_of(contest.question.text))
    own = content(completion.text, asked)
    return SignalResult(tuple(_found(own, content(text, asked)) for text in contest.texts))


@signal
async def agreement(contest: Contest, _: JudgeSession) -> SignalResult:
    """How much each answer says the same as the other candidates' answers (0 to 1)."""
    everyone = agreements([answer.text for answer in contest.voters])
    return SignalResult(tuple(everyone[contest.voters.index(answer)] for answer in contest.answers))


@signal
async def confidence(contest: Contest, _: JudgeSession) -> SignalResult | None:
    """How sure each model was of its own words: its mean log-probability a token (nats); only where the weights are the same."""
    values = [answer.confidence for answer in contest.answers if answer.confidence is not None]
    return SignalResult(tuple(values)) if contest.share_weights and len(values) == len(contest.answers) else None


@signal
async def prior(contest: Contest, _: JudgeSession) -> SignalResult:
    """Where each answer's member stands in the configured order: 0 for the best, one less for each place below it."""
    return SignalResult(tuple(-float(contest.prior.index(answer.member)) for answer in contest.answers))


@signal
async def brevity(contest: Contest, _: JudgeSession) -> SignalResult:
    """How short each answer is: minus the logarithm of its tokens. Small models that ramble are wrong more often."""
    return SignalResult(tuple(-math.log(16 + estimate_tokens(text)) for text in contest.texts))


@signal
async def checks(contest: Contest, _: JudgeSession) -> SignalResult:
    """What plain code finds for and against each answer (-3 to 3): equations, code, stated forms, degeneration."""
    from gork.judging.checks.table import soundness  # noqa: PLC0415 - its patterns take 30 ms to compile; the start does not wait for that

    return SignalResult(tuple(soundness(contest.question.text, text) for text in contest.texts))


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
