"""By what a turn is decided: a table counts for what it was measured on, and for nothing else."""

from __future__ import annotations

from dataclasses import replace as changed

import pytest
from msgspec.structs import replace

from gork.config.ensemble import Choosing, Ensemble, Member, load_ensemble
from gork.config.measured import Certified, Favourites, Measured, Questions, Share, Wins, fingerprint
from gork.judging.decide import asks_judge, weigh
from gork.judging.objections import Contest, Reading
from gork.judging.rules import WITHOUT_TABLE, ranking_of, rules_for
from gork.turn import Answer, Kind, Question, Reason, Unmeasured

MEMBERS = tuple(Member(name=name, model=f"{name}:1b", system=f"You are {name}.") for name in ("a", "b", "c"))
JUDGE = Member(name="judge", model="judge:1b")
SURE = Certified(wins=40, losses=5)
TABLE = Measured(
    ensemble="three",
    members={member.name: fingerprint(member) for member in (*MEMBERS, JUDGE)},
    questions=Questions(count=500),
    favourites=Favourites(overall=("b", "a", "c"), by_kind={Kind.CODE: ("c", "b", "a")}),
    certified={
        Reason.AGREEMENT: Certified(wins=40, losses=10, by_kind={Kind.FACT: Wins(wins=9, losses=11)}),
        Reason.JUDGE: Certified(wins=60, losses=40),
        Reason.CHECKS: SURE,
    },
    computed_loses={Kind.COUNTING: Wins(wins=1, losses=20)},
    right={Kind.CODE: Share(right=30, cases=60)},
)
ENSEMBLE = Ensemble(name="three", candidates=MEMBERS, judge=JUDGE, choosing=Choosing(prior=("a", "b", "c")), measured=TABLE)
CODE = Question(text="write a function that reverses a list", kind=Kind.CODE)
OPEN = Question(text="why is the sky blue", kind=Kind.OPEN)


TOGETHER = replace(ENSEMBLE, measured=replace(TABLE, together=Wins(wins=11, losses=1)))


def with_changed(name: str, ensemble: Ensemble = ENSEMBLE) -> Ensemble:
    """The ensemble with another prompt for one member."""

    def other(member: Member) -> Member:
        return replace(member, system="Something else.") if member.name == name else member

    return replace(ensemble, candidates=tuple(map(other, MEMBERS)), judge=other(JUDGE))


def test_the_favourite_is_the_one_of_the_kind():
    """Of a kind without its own that of all questions; behind it the others, best first."""
    code, plain = rules_for(CODE, ENSEMBLE), rules_for(OPEN, ENSEMBLE)

    assert (("c", "b", "a"), Kind.CODE, 0.5) == (code.ranking, code.kind, code.sure)
    assert (("b", "a", "c"), None, None) == (plain.ranking, plain.kind, plain.sure)
    assert () == code.unmeasured
    assert ("b", "a", "c") == ranking_of(ENSEMBLE)


def test_only_what_is_certified_counts_the_surest_first():
    """In a kind that has enough cases of its own, only what is right there too."""
    assert (Reason.CHECKS, Reason.AGREEMENT, Reason.JUDGE) == rules_for(OPEN, ENSEMBLE).may_overrule
    assert (Reason.CHECKS, Reason.JUDGE) == rules_for(Question(text="who?", kind=Kind.FACT), ENSEMBLE).may_overrule


def test_what_was_computed_decides_unless_the_table_says_otherwise():
    """For the kinds in which it was certified to lose."""
    assert rules_for(OPEN, ENSEMBLE).computed_decides
    assert not rules_for(Question(text="sort: b, a", kind=Kind.COUNTING), ENSEMBLE).computed_decides


def test_without_a_table_the_configured_order_and_the_products_own_rules_count():
    """Nothing is called measured."""
    said = rules_for(CODE, replace(ENSEMBLE, measured=None))

    assert (("a", "b", "c"), WITHOUT_TABLE, False, ()) == (said.ranking, said.may_overrule, said.measured, said.unmeasured)


@pytest.mark.parametrize("text", ["Was ist die Hauptstadt von Frankreich und wie heißt sie?", "Какая столица Франции?", "法国的首都是什么"])
def test_a_question_in_another_language_goes_to_the_favourite_of_all_questions(text):
    """Whatever its kind, and nothing overrules it; the turn says so."""
    said = rules_for(Question(text=text, kind=Kind.CODE), ENSEMBLE)

    assert (("b", "a", "c"), None, ()) == (said.ranking, said.kind, said.may_overrule)
    assert (Unmeasured.LANGUAGE,) == said.unmeasured


@pytest.mark.parametrize(
    ("question", "what"),
    [
        (changed(OPEN, system="Speak as a pirate."), Unmeasured.SYSTEM),
        (changed(OPEN, options={"temperature": 1.5}), Unmeasured.OPTIONS),
    ],
)
def test_another_system_message_or_temperature_is_told(question, what):
    """The table stands, but how often the choice is right is not known."""
    said = rules_for(question, ENSEMBLE)

    assert ((what,), ("b", "a", "c")) == (said.unmeasured, said.ranking)
    assert (Reason.CHECKS, Reason.AGREEMENT, Reason.JUDGE) == said.may_overrule
    assert said.sure is None


def test_a_seed_or_a_limit_on_length_is_nothing_new():
    """They change neither who is best nor what is certified."""
    assert () == rules_for(changed(OPEN, options={"seed": 7, "num_predict": 64}), ENSEMBLE).unmeasured


def test_what_a_changed_member_takes_part_in_falls_away():
    """Its kinds go to the favourite of all questions, what candidates certified together counts no more."""
    said = rules_for(CODE, with_changed("c"))

    assert (("b", "a", "c"), None, ()) == (said.ranking, said.kind, said.may_overrule)
    assert (True, (Unmeasured.MEMBERS,)) == (said.measured, said.unmeasured)


def test_a_changed_judge_has_no_certified_word():
    """What needs no judge counts on."""
    said = rules_for(CODE, with_changed("judge"))

    assert ("c", "b", "a") == said.ranking
    assert (Reason.CHECKS, Reason.AGREEMENT) == said.may_overrule


def test_a_table_whose_favourite_has_changed_is_of_no_use():
    """It decides as without one, and says why."""
    said = rules_for(CODE, with_changed("b"))

    assert (("a", "b", "c"), WITHOUT_TABLE, False) == (said.ranking, said.may_overrule, said.measured)
    assert (Unmeasured.MEMBERS,) == said.unmeasured


def test_where_all_reasons_are_certified_together_they_count_as_without_a_table():
    """Whatever each is worth alone; without the judge only what is certified alone does."""
    assert WITHOUT_TABLE == rules_for(CODE, TOGETHER).may_overrule
    assert (Reason.CHECKS, Reason.AGREEMENT) == rules_for(CODE, with_changed("judge", TOGETHER)).may_overrule
    assert () == rules_for(CODE, with_changed("c", TOGETHER)).may_overrule


@pytest.mark.parametrize("name", ["starter", "pocket"])
def test_a_table_that_is_shipped_holds_for_its_members(name):
    """A member that is changed without measuring it again would make it void."""
    rules = rules_for(OPEN, load_ensemble(name))

    assert (True, ()) == (rules.measured, rules.unmeasured)
    assert rules.sure is not None


def test_the_judge_of_the_starter_is_asked_and_heard():
    """By the table that it is shipped with."""
    rules = rules_for(OPEN, load_ensemble("starter"))
    favourite, other = rules.ranking[:2]
    answers = (Answer(member=favourite, model="m", text="Magic does."), Answer(member=other, model="m", text="Air scatters blue light."))
    contest = Contest.of(OPEN, answers, rules.ranking)

    assert asks_judge(weigh(contest, rules, None), rules)
    verdict = weigh(contest, rules, Reading(scores={favourite: 0.0, other: 1.0}))
    assert (other, "judge") == (verdict.winner, verdict.policy)
