"""What a conversion needs to know is told in its own direction, and only where a question is a conversion and nothing more."""

from __future__ import annotations

import pytest

from gork.computing.asking import program_messages
from gork.config.ensemble import Member
from gork.text.conversions import conversion_facts
from gork.turn import Question


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("72 miles in km", "km = miles * 1.609344"),
        ("a marathon is 42.195 km, how many miles is that", "miles = km * 0.621371192237"),
        ("how tall is 5 feet 11 inches in cm", "cm = feet * 30.48 + inches * 2.54"),
        ("how many pounds is 75 kg?", "pounds = kg * 2.20462262185"),
        ("12 oz in grams", "grams = oz * 28.349523125"),
        ("12 oz in ml", "ml = oz * 29.5735295625"),
        ("convert 100 km/h to mph", "mph = kmh * 0.621371192237"),
        ("how many weeks is 100 days", "weeks = days / 7"),
        ("whats 350 F in celsius", "celsius = (f - 32) * 5 / 9"),
        ("what is 350F in celsius", "celsius = (f - 32) * 5 / 9"),
        ("5L in gallons", "gallons = l * 0.264172052358"),
        ("whats -10 celsius in fahrenheit", "fahrenheit = celsius * 9 / 5 + 32"),
        ("Wie viele km sind 10 Meilen?", "km = meilen * 1.609344"),
        ("whats 255 in hex", "hex = hex(number)"),
        ("what is 19 as a binary number", "binary = bin(number)"),
    ],
)
def test_a_conversion_is_told_how(question, fact):
    """Units of length, mass, volume, speed, time and temperature, and numeral systems."""
    assert conversion_facts(question) == fact


@pytest.mark.parametrize(
    "question",
    [
        "He works 8 hours a day for 5 days. How many hours is that?",
        "how many minutes in 2 hours 15 minutes",
        "Tom runs 3 km every day. How many miles does he run in 2 weeks?",
        "The couch is 2 feet longer than twice the width of the rug, which is 3 feet wide. How many feet long is it?",
        "100 dollars in euros",
        "how many days are 3 months",
        "5 liters in kg",
        "what is 18% of 64.50",
        "which of 12 and 45 has more ones in binary",
        "what is a mile",
    ],
)
def test_what_is_more_or_less_than_a_conversion_is_told_nothing(question):
    """A story, what has no one size, and what measures something else."""
    assert conversion_facts(question) is None


def test_a_member_that_writes_a_program_is_told():
    """Between the question and the request for a program, which stands last."""
    member = Member(name="a", model="a", answers={"dates": "program"})
    asked, plain = (program_messages(member, Question(text=text))[-1]["content"] for text in ("72 miles in km", "what is 18% of 50"))

    assert asked.startswith("72 miles in km\n\nNote: km = miles * 1.609344.\n\n")
    assert asked.endswith(member.program.request)
    assert "Note" not in plain
