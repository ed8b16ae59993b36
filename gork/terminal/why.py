"""Why an answer was chosen, in words: whose is the favourite's, what was computed, what spoke against it, what the judge read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gork.terminal.output import computed
from gork.terminal.safe_text import one_line
from gork.turn import Reason, Turn, Unmeasured, Verdict

_WHY: Mapping[str, str] = {
    "computed": "the computed result decides",
    "favourite": "it is the favourite, and nothing that counts speaks against it",
    "prior": "it is the first of the configured order, and nothing that counts speaks against it",
    Reason.CHECKS: "automatic checks refute {favourite}'s answer and find nothing against this one",
    Reason.AGREEMENT: "others agree on an answer other than {favourite}'s",
    Reason.JUDGE: "the judge prefers it to {favourite}'s",
    Reason.CHECKS_AND_JUDGE: "automatic checks refute {favourite}'s answer, and the judge prefers this one",
    Reason.AGREEMENT_AND_JUDGE: "others agree on an answer other than {favourite}'s, and so does the judge",
}
_SPEAKS: Mapping[Reason, str] = {
    Reason.CHECKS: "automatic checks",
    Reason.AGREEMENT: "agreement of others",
    Reason.JUDGE: "the judge",
    Reason.CHECKS_AND_JUDGE: "automatic checks and the judge",
    Reason.AGREEMENT_AND_JUDGE: "agreement of others and the judge",
}
_UNMEASURED: Mapping[Unmeasured, str] = {
    Unmeasured.LANGUAGE: "questions in this language",
    Unmeasured.SYSTEM: "a client's system message",
    Unmeasured.OPTIONS: "a client's sampling options",
    Unmeasured.MEMBERS: "members that have changed since",
}


def why(turn: Turn) -> str:
    """Why the answer was chosen: whose is the favourite's, what was computed, what spoke against it, what the judge read."""
    said = turn.verdict
    why = said.note if said.note is not None else _WHY.get(said.policy, said.policy).format(favourite=said.favourite)
    lines = [f"{said.winner} was chosen: {why}"]
    if turn.computed is not None:
        lines.append(computed(turn.computed))
    elif said.note is None:
        lines += [f"  {line}" for line in (_favourite(said), *_against(said), *_judge(said))]
    if said.unmeasured:
        lines.append(f"  not measured for {' and '.join(_UNMEASURED[what] for what in said.unmeasured)}")
    return "\n".join(lines)


def _favourite(said: Verdict) -> str:
    """Who the favourite is, and why."""
    if not said.measured:
        return f"favourite: {said.favourite}, the first whose answer can be used in the configured order (nothing was measured for this)"
    of = f"questions of this kind ({said.favourite_kind})" if said.favourite_kind is not None else "all questions together"
    sure = "" if said.sure is None else f"; the choice was right in {said.sure:.0%} of such questions"
    return f"favourite: {said.favourite}, measured to be the best for {of}{sure}"


def _against(said: Verdict) -> Iterator[str]:
    """What spoke against the favourite's answer, and whether it counted."""
    if not said.objections:
        yield "against its answer: nothing"
    for one in said.objections:
        weight = "counts" if one.counts else "does not count, since it was not measured to be right more often"
        yield f"against its answer, for {one.member}'s: {_SPEAKS[one.reason]}{f' ({one.detail})' if one.detail else ''}; this {weight}"


def _judge(said: Verdict) -> Iterator[str]:
    """What the judge read."""
    if said.fallback is not None:
        yield f"the judge did not decide: {said.fallback.text}"
    elif not said.scores:
        yield "the judge's word was not needed: it could not have changed the choice"
    else:
        own = "" if said.judge_answer is None else f', its own answer is "{one_line(said.judge_answer)}"'
        scores = ", ".join(f"{member} {score:.2f}" for member, score in sorted(said.scores.items(), key=lambda item: -item[1]))
        yield f"the judge's reading{own}: {scores} (higher: more in favour of that answer)"
