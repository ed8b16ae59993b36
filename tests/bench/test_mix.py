"""An ensemble put together from the kept replies of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.judge import kept, mix
from gork.config.ensemble import Ensemble, Member
from gork.config.measured import fingerprints
from gork.errors import ConfigError
from gork.turn import QUESTIONS_CODE, Answer

LARGE, SMALL = Member(name="first", model="large:1b"), Member(name="only", model="small:135m")
JUDGE = Member(name="examiner", model="large:1b", system="You know.")
MIXED = Ensemble(
    name="mixed", candidates=(replace(SMALL, name="s"), replace(LARGE, name="l")), judge=replace(JUDGE, name="judge"), promptimizer=None
)


def case(name: str, *answers: str, right: tuple[str, ...], failed: tuple[str, ...] = ()) -> kept.KeptCase:
    """One question, answered by these members."""
    texts = tuple(Answer(member=member, model="m", text=f"{name} by {member}") for member in answers)
    return kept.KeptCase(set="mine", id=name, question=kept.hash_of(name), seed=1, answers=texts, right=right, failed=failed)


def file_of(name: str, *members: Member, cases: tuple[kept.KeptCase, ...], judge: str = "", **replies: str) -> kept.Kept:
    """What was kept of an ensemble."""
    candidates = tuple(member for member in members if member != JUDGE)
    prints = fingerprints(Ensemble(name=name, candidates=candidates, judge=JUDGE if JUDGE in members else None))
    return kept.Kept(
        version=1, ensemble=name, engine="embedded", members=prints, sets={"mine": "hash"}, cases=cases, judge=judge, replies=replies
    )


BIG = file_of(
    "big",
    LARGE,
    Member(name="second", model="other:1b"),
    JUDGE,
    cases=(
        case("capital", "first", "second", right=("first", "second")),
        case("code", "first", QUESTIONS_CODE, right=(QUESTIONS_CODE,)),
        case("big alone", "first", right=()),
    ),
    judge="weights",
    key="reply",
)
LITTLE = file_of("little", SMALL, cases=(case("code", "only", right=()), case("capital", right=(), failed=("only",))))


def test_members_are_found_by_what_decides_their_words() -> None:
    """Their answers, who was right and who failed come under the new names; only questions that all were asked are taken."""
    made = mix.mixed(MIXED, [LITTLE, BIG])
    capital, code = sorted(made.cases, key=lambda one: one.id)
    assert ["capital by first"] == [answer.text for answer in capital.answers]
    assert (("l",), ("s",)) == (capital.right, capital.failed)
    assert {"s": "code by only", "l": "code by first", QUESTIONS_CODE: "code by computed"} == {a.member: a.text for a in code.answers}
    assert (QUESTIONS_CODE,) == code.right
    assert ("mixed", fingerprints(MIXED), {"mine": "hash"}) == (made.ensemble, made.members, made.sets)


def test_the_judge_brings_what_it_gave() -> None:
    """From the file that was measured with it, under the name of its weights."""
    made = mix.mixed(MIXED, [LITTLE, BIG])
    assert ("weights", {"key": "reply"}) == (made.judge, dict(made.replies))


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ((replace(LARGE, system="Be brief."), SMALL), "first: none of the files was measured with these weights, prompts and options"),
        ((LARGE, SMALL), "no question in common"),
    ],
)
def test_what_was_not_measured_is_told(candidates: tuple[Member, ...], message: str) -> None:
    """Other prompts are another member; and members that were asked nothing in common can't be compared."""
    little = LITTLE if "brief" in (candidates[0].system or "") else file_of("little", SMALL, cases=(case("another", "only", right=()),))
    with pytest.raises(ConfigError, match=message):
        mix.mixed(Ensemble(name="mixed", candidates=candidates), [BIG, little])


def test_the_shipped_unequal_ensemble_is_made_of_the_kept_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command in its file, word for word."""
    file = Path(mix.__file__).with_name("unequal.yaml")
    line = next(line for line in file.read_text().splitlines() if line.startswith("#   python -m bench.judge.mix"))
    *words, _ = line.split()[4:]
    assert 0 == mix.main([*words, str(tmp_path / "mixed.xz")])
    assert "answered by large, middle, small" in capsys.readouterr().out
    assert 100 < len(kept.load(tmp_path / "mixed.xz").cases)
