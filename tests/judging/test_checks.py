"""What plain code finds in an answer: right and near-miss pairs for each kind of check, and silence where nothing can be known."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gork.judging.checks.table import BOUND, LONGEST, findings, soundness
from gork.text.expressions import evaluate

GOOD, BAD, SILENT = "good", "bad", "silent"


def expect(question: str, answer: str, verdict: str) -> None:
    """The sum of the weights has the sign that the case names; silence is a sum of nearly nothing."""
    total, what = soundness(question, answer), [(finding.what, finding.weight) for finding in findings(question, answer)]
    if verdict == GOOD:
        assert total > 0, what
    elif verdict == BAD:
        assert total <= -0.4, what
    else:
        assert -0.05 <= total <= 0.3, what


EQUATIONS = [
    ("12 * 8 = 96", GOOD), ("12 * 8 = 98", BAD), ("12 x 8 is 96", GOOD), ("12 x 8 is 98.", BAD), ("12 × 8 = 96", GOOD),
    ("12 × 8 = 86", BAD), ("96 ÷ 8 = 12", GOOD), ("96 ÷ 8 = 14", BAD), ("9 − 4 = 5", GOOD), ("9 − 4 = 6", BAD),
    ("15% of 80 = 12", GOOD), ("15% of 80 = 14", BAD), ("7 + 5 + 1 = 13", GOOD), ("7 + 5 + 1 = 14", BAD),
    ("$5 * 3 = $15", GOOD), ("$5 * 3 = $18", BAD), ("1/2 + 1/3 = 5/6", GOOD), ("1/2 + 1/3 = 2/5", BAD),
    ("2*3=6+1=7", GOOD), ("2*3=6+1=8", BAD), ("10/3 = 3.33", GOOD), ("10/3 = 3.43", BAD), ("1,000 + 500 = 1,500", GOOD),
    ("1,000 + 500 = 1,600", BAD), ("**12 * 8 = 98**", BAD), ("12 * 8 = **96**", GOOD), ("2**10 = 1024", GOOD), ("2**10 = 1000", BAD),
    ("2^3 = 8", GOOD), ("3² = 6", BAD), ("\\(12 \\times 8 = 96\\)", GOOD), ("$12 \\times 8 = 86$", BAD), ("So 12 + 30 = 43 apples.", BAD),
    ("5 apples + 3 apples = 9 apples", BAD), ("12 times 8 equals 96.", GOOD), ("12 plus 8 equals 21.", BAD), ("x = 5 + 3 = 9", BAD),
    ("1. 5 + 3 = 8\n2. 8 + 4 = 13", BAD), ("3,5 + 1,5 = 5", GOOD), ("96 = 12 * 8", GOOD), ("96 = 12 * 9", BAD),
    # What looks like a false equation and is none, or can't be known to be one:
    ("10 / 3 = 3", SILENT), ("x - 5 = 12", SILENT), ("2x + 3 = 7", SILENT), ("log2 8 + 1 = 4", SILENT), ("f(5) + 3 = 10", SILENT),
    ("5! + 1 = 121", SILENT), ("17 / 5 = 3 remainder 2", SILENT), ("90 / 60 = 1 hour 30 minutes", SILENT),
    ("1 hour + 30 minutes = 90 minutes", SILENT), ("24/7 is 7 days", SILENT), ("It is not true that 2 + 2 = 5", SILENT),
    ("In binary, 1 + 1 = 10", SILENT), ("0.1 + 0.2 = 0.30000000000000004", SILENT), ("9 + 4 = 1 (mod 12)", SILENT),
    ("if x == 5 + 3: y = 4", SILENT), ("The score was 3-2 = a win", SILENT), ("10:30 + 45 = 11:15", SILENT),
    ("```\n5 / 2 = 2\n```", SILENT), ("The square root of 16 + 2 = 6", SILENT), ("2 + 2 != 5", SILENT),
    ("3.14 * 2 = 6.3", SILENT), ("sin 30 + 1 = 1.5", SILENT), ("6/2(1+2) = 9", SILENT), ("2^30 = 1 billion", SILENT),
    ("9-5 = 8 hours", SILENT), ("100 + 10% = 110", SILENT), ("3 weeks * 7 = 21 days", SILENT), ("12 inches / 12 = 2 feet", SILENT),
    ("1.07 * 10^9 = 1073741824", SILENT), ("2 feet + 3 inches = 27 inches", SILENT), ("9 pens = 9 x 2 = 18 dollars", SILENT),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "verdict"), EQUATIONS)
def test_equations_of_an_answer_are_worked_out_again(answer, verdict):
    """False ones speak against an answer, true ones a little for it, and what is not surely one says nothing."""
    expect("How did you get there?", answer, verdict)


def test_a_false_equation_that_the_question_brought_along_is_not_the_answers_fault():
    """Who is asked about 2 + 2 = 5 may repeat it."""
    assert 0 == soundness('Where does "2 + 2 = 5" come from?', "The line 2 + 2 = 5 comes from a novel.")


TWELVE = "What is 12 times 8?"
ASKED = [
    *((TWELVE, text, GOOD) for text in ("96", "96.", "**96**", "The answer is ninety-six.", "12 * 8 = 96",
     "$$12 \\times 8 = \\boxed{96}$$")),
    *((TWELVE, text, GOOD) for text in ("12*8 = (10*8)+(2*8) = 80+16 = 96", "12 times 8 is 96. You can check: 96 / 8 = 12", "96.0")),
    (TWELVE, "It is 96, because 10 * 8 is 80 and 2 * 8 is 16.", GOOD), (TWELVE, "1. Multiply 12 by 8\n2. The result is 96.", GOOD),
    *((TWELVE, text, BAD) for text in ("98", "12 * 8 = 98", "96 or 98", "ninety-eight", "The product is 1,096.", "It's either 90 or 98.")),
    (TWELVE, "12*8=96. The answer is 98.", BAD), (TWELVE, "-96", BAD), (TWELVE, "I love numbers.", SILENT),
    ("12*8?", "96", GOOD), ("12*8?", "99", BAD), ("17 plus 25", "42", GOOD), ("17 plus 25", "41", BAD), ("half of 30", "15", GOOD),
    ("half of 30", "60", BAD), ("What is 15% of 80?", "12", GOOD), ("What is 15% of 80?", "15% of 80 is 14", BAD),
    ("square root of 81", "9", GOOD), ("square root of 81", "The square root of 81 is 8.", BAD), ("double 14", "28", GOOD),
    ("double 14", "14", BAD), ("5 squared", "25", GOOD), ("5 squared", "10", BAD), ("100 divided by 4", "25", GOOD),
    ("100 divided by 4", "24", BAD), ("how much is 9 minus 4", "5", GOOD), ("how much is 9 minus 4", "6", BAD),
    ("What is twenty-five plus seventeen?", "42", GOOD), ("What is twenty-five plus seventeen?", "43", BAD),
    ("What is 2 + 3 * 4? Answer with just the number.", "14", GOOD), ("What is 2 + 3 * 4? Answer with just the number.", "20", BAD),
    ("Calculate 7 × 6", "42", GOOD), ("Calculate 84 ÷ 2 please", "41", BAD), ("what is 1,200 / 4", "300", GOOD),
    ("subtract 4 from 9", "5", GOOD), ("subtract 4 from 9", "-5", BAD), ("what is 2 to the power of 5?", "32", GOOD),
    ("what is 2 to the power of 5?", "10", BAD), ("What is 10 divided by 4?", "2.5", GOOD), ("What is 10 divided by 4?", "2", SILENT),
    ("What is 10 divided by 3?", "3 1/3", SILENT), ("What is 10 divided by 3?", "3 remainder 1", SILENT),
    ("square root of 2", "1.414", GOOD),
    ("What is 1234 * 5678?", "7 006 652", GOOD), ("What is 10 - 5?", "10 - 5 = 4", BAD), ("What is 5 - 10?", "-5", GOOD),
    # Not understood entirely: nothing.
    ("What is 9/11?", "An attack in 2001.", SILENT), ("What is 24/7?", "All the time, 24 hours a day.", SILENT),
    ("What is half of 30 plus a bit?", "16", SILENT), ("What is 12 times 8 in hexadecimal?", "60", SILENT),
    ("If I have 12 boxes of 8, how many do I have if I lose 3?", "93", SILENT), ("What is 5?", "A number, like 6.", SILENT),
    ("What is 3 plus 4 apples?", "8 apples", SILENT), ("What is 2 + 2 in a base 3 system?", "11", SILENT),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer", "verdict"), ASKED)
def test_the_result_that_a_question_asks_for_has_to_be_the_answers(question, answer, verdict):
    """Right and wrong results weigh much; hedges are wrong; tasks that are not understood entirely weigh nothing."""
    expect(question, answer, verdict)


FORMS = [
    ("Describe the sea in one word.", "Vast", GOOD), ("Describe the sea in one word.", "Vast and blue", BAD),
    ("In one word, what is ice?", "Water.", GOOD), ("Answer in a single word: what is ice?", "It is frozen water.", BAD),
    ("Explain rain in one sentence.", "Rain is water that falls from clouds.", GOOD),
    ("Explain rain in one sentence.", "Rain is water. It falls from clouds. Then it flows away.", BAD),
    ("Explain rain in one sentence.", "Rain, e.g. in the U.S. or in London, is water.", SILENT),
    ("Explain rain in exactly two sentences.", "Rain is water. It falls from clouds.", GOOD),
    ("Explain rain in exactly two sentences.", "Rain is water.", BAD), ("Describe a cat in three words.", "Soft, quick, proud", GOOD),
    ("Describe a cat in three words.", "A soft animal that purrs", BAD), ("Write exactly three lines about snow.", "a\nb\nc", GOOD),
    ("Write exactly three lines about snow.", "It is cold\nand white", BAD),
    ("Describe a dog in at most 20 words.", "A loyal animal.", GOOD),
    ("Describe a dog in at most 5 words.", "A dog is a loyal animal that people love.", BAD),
    ("Explain gravity in no more than 10 words.", "Masses attract each other.", GOOD),
    ("Explain gravity in 10 words or less.", "Gravity is the force by which all things that have mass attract each other.", BAD),
    ("Explain gravity in fewer than 5 words.", "Masses attract each other always.", BAD),
    ("Describe spring in at least 8 words.", "Nice.", BAD), ("List two metals in exactly two bullet points.", "- iron\n- gold", GOOD),
    ("Give me the benefits of tea in exactly three bullet points.", "- calm\n- warm", BAD),
    ("List three fruits as a bulleted list.", "- apple\n- pear\n- plum", GOOD),
    ("List three fruits as a bulleted list.", "apple, pear and a plum", BAD),
    ("List three fruits as a numbered list.", "1. apple\n2. pear\n3. plum", GOOD),
    ("List three fruits as a numbered list.", "- apple\n- pear\n- plum", BAD),
    ("List three fruits in bullet points.", "* a\n* b\n* c", GOOD),
    ("Give Ann, aged 5, as JSON with keys name and age.", '{"name": "Ann", "age": 5}', GOOD),
    ("Give Ann, aged 5, as JSON with keys name and age.", '```json\n{"name": "Ann", "age": 5}\n```', GOOD),
    ("Give Ann, aged 5, as JSON with keys name and age.", '{"name": "Ann", "years": 5}', BAD),
    ("Give Ann, aged 5, as JSON with keys name and age.", "{name: Ann, age: 5}", BAD),
    ("Reply with valid JSON: a red apple", "A red apple", BAD),
    ("Name three colors as a comma-separated list.", "red, green, blue", GOOD),
    ("Name three colors as a comma-separated list.", "- red\n- green\n- blue", BAD),
    ("Answer in upper case: who wrote Faust?", "GOETHE", GOOD),
    ("Answer in all caps: who wrote Faust?", "Goethe", BAD), ("Reply in lowercase: who wrote Faust?", "goethe", GOOD),
    ("Reply in lowercase: who wrote Faust?", "Goethe", BAD), ('Explain tides. End with "Good night".', "The moon pulls. Good night!", GOOD),
    ('Explain tides. End with "Good night".', "The moon pulls on the sea.", BAD),
    ('Start your answer with "Indeed".', "Indeed, yes.", GOOD),
    ('Start your answer with "Indeed": is ice cold?', "Yes, it is.", BAD), ("Describe the sun without the letter e.", "A hot star", GOOD),
    ("Describe the sun without using the letter z.", "A hot star.", GOOD), ("Describe the sun without the letter t.", "A hot star.", BAD),
    ('Describe the sun. Do not use the word "hot".', "A hot star.", BAD), ('Describe the sun. Do not use the word "hot".', "A star.", GOOD),
    ("Is ice cold? Answer yes or no.", "Yes.", GOOD), ("Is ice cold? Answer yes or no.", "It depends on the weather.", BAD),
    ("Is ice cold? Answer only true or false.", "True", GOOD), ("Is ice cold, yes or no?", "Yes, it is.", GOOD),
    ("What is the capital of Italy? One word only.", "Rome", GOOD), ("What is the capital of Italy? One word only.", "It is Rome", BAD),
    ("Write a sentence that ends with the word 'moon'.", "Sure: I saw the moon.", GOOD),
    ("Write a sentence that ends with the word 'moon'.", "The moon is bright.", BAD),
    ("Write a sentence that does not contain the letter e.", "A cat sat.", GOOD),
    ("Write a sentence that does not contain the letter e.", "The cat.", BAD),
    ("Summarize in one sentence: He said to answer in upper case. Then he left.", "He wanted capitals and left.", GOOD),
    ("How can I describe my day in one word?", "You could say it was calm.", SILENT),
    # Forms that something else shall have, or that nobody asked for:
    ("How do I count the words in one line?", "Split it at blanks. Then count.", SILENT),
    ("What is JSON?", "A text format for data.", SILENT),
    ("How do I write a list as JSON in Python?", "Use the json module.", SILENT),
    ("Don't answer in one word. What is ice?", "Frozen water", SILENT),
    ("Describe each planet in one word.", "Mars: red\nVenus: hot", SILENT),
    ("How many letters are in one word?", "It differs a lot.", SILENT),
    ("How do I make a numbered list in Markdown?", "Put a number and a dot first.", SILENT),
    ("What is the difference between CSV and JSON?", "One is a table, one is a tree.", SILENT),
    ("Name a country without the letter a.", "A country without it is Egypt.", SILENT),
    ('Translate to German: "Answer in one word."', "Antworte mit einem Wort.", SILENT),
    ("Name three animals that start with 'c'.", "Here are some: cat, cow, crow", SILENT),
    ("Explain it in one or two sentences.", "It works. It is good.", SILENT),
    ("How do I convert text to upper case?", "Call upper on it.", SILENT),
    ("Answer in about 5 words: what is ice?", "It is water that is frozen.", SILENT), ("Write in one line of CSV.", "a\nb", SILENT),
    ("What is a yes or no question?", "One that asks whether.", SILENT),
    ("Tell me about bulleted lists.", "They have dots in front.", SILENT),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer", "verdict"), FORMS)
def test_a_form_that_a_question_states_is_kept_or_broken(question, answer, verdict):
    """Forms that the answer shall have count; forms that only occur in a question do not."""
    expect(question, answer, verdict)


ADD = "Write a Python function add(a, b) that returns the sum."
CODE = [
    (ADD, "```python\ndef add(a, b):\n    return a + b\n```", GOOD), (ADD, "def add(a, b):\n    return a + b", GOOD),
    (ADD, "```python\ndef add(a, b)\n    return a + b\n```", BAD), (ADD, "```\ndef add(a, b):\nreturn a + b\n```", BAD),
    (ADD, "```python\ndef plus(a, b):\n    return a + b\n```", BAD), (ADD, "```python\ndef add(a):\n    return a + 1\n```", BAD),
    (ADD, "```python\nadd = lambda a, b: a + b\n```", GOOD), (ADD, "```python\ndef add(a, b=0):\n    return a + b\n```", GOOD),
    (ADD, "You take both numbers and then you return the sum of them.", BAD),
    (ADD, "```python\ndef add(*numbers):\n    return sum(numbers)\n```", GOOD),
    ("Write a function called greet in Python", '```python\ndef greet(name):\n    return f"Hi {name}"\n```', GOOD),
    ("Write a function called greet in Python", "```python\ndef hello(name):\n    return name\n```", BAD),
    ("Write a Python function named clip that takes two arguments.", "```python\ndef clip(x):\n    return x\n```", BAD),
    ("Write an SQL query that counts the users.", "SELECT COUNT(*) FROM users;", SILENT),
    ("Write an SQL query that counts the users.", "```sql\nSELECT COUNT( FROM users WHERE;\n```", BAD),
    ("Write an SQL query that counts the users.", "SELECT FROM WHERE users", BAD),
    ("Write an SQL query that counts the users.", "You have to count all the users that there are.", BAD),
    ("Write a MySQL query for the users.", "```sql\nSHOW TABLES LIKE;\n```", SILENT),
    ("Write an SQL query for the users.", "```sql\nSELECT TOP 5 * FROM users\n```", SILENT),
    ("Write an SQL query for new users.", "```sql\nSELECT * FROM u WHERE d > now() - INTERVAL '1 day'\n```", SILENT),
    ("Write a bash script. It should output valid JSON.", "```bash\njq . a\n```", SILENT),
    ("Show a config.", '```json\n{"a": 1}\n```', SILENT), ("Show a config.", '```json\n{"a": 1,, }\n```', BAD),
    ("Show a config.", '```json\n{"a": ...}\n```', SILENT), ("What is an if?", "```python\nif x:\n```", SILENT),
    ("What is print?", "```python\n>>> print(1)\n1\n```", SILENT), ("What is print?", '```python\nprint("a" 1\n```', BAD),
    ("How do I install it?", "```python\npip install it\n```", SILENT), ("What is \\d?", '```python\nx = "\\d"\n```', SILENT),
    ("Explain what a Python function is.", "It is a named piece of a program that can be called.", SILENT),
    ("Write a bash command that lists files.", "ls -la", SILENT),
    ("Write a poem about a Python program.", "O snake of bits, so long.", SILENT),
    ("Write a JavaScript function that adds.", "Just take the first one and add the other.", BAD),
    ("Write a JavaScript function that adds.", "```js\nconst add = (a, b) => a + b;\n```", SILENT),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer", "verdict"), CODE)
def test_code_is_there_and_can_be_parsed_where_it_was_asked_for(question, answer, verdict):
    """Missing, unparsable and misnamed code speaks against an answer; other dialects, sessions and fragments do not."""
    total = soundness(question, answer)

    assert total > 0 if verdict == GOOD else total <= -0.4 if verdict == BAD else -0.05 <= total <= 0.4, findings(question, answer)


def test_code_is_parsed_and_never_run(tmp_path):
    """Neither Python nor SQL of an answer does anything."""
    target = tmp_path / "made"
    python = f"```python\nopen({str(target)!r}, 'w')\n```"
    sql = f"```sql\nATTACH '{target}' AS x; CREATE TABLE x.t(a); PRAGMA temp_store_directory = '{tmp_path}'\n```"

    findings("Write a Python program", python)
    findings("Write an SQL query", sql)

    assert not target.exists()


LOOP = "The sky is blue because of light. "
DEGENERATE = [
    ("Why is the sky blue?", LOOP * 6, BAD), ("Why is the sky blue?", f"{LOOP}Light of short waves is scattered most.", SILENT),
    ("Why?", "one two three four five six " * 12, BAD), ("What is a cat?", "a cat cat cat cat cat cat cat cat cat", BAD),
    ("Write a song about rain.", "Rain rain go away now\n" * 5, SILENT),
    ("What is the capital of Peru?", "What is the capital of Peru?", BAD),
    ("What is the capital of Peru?", "The capital of Peru is Lima.", SILENT), ("Repeat after me now", "Repeat after me now", SILENT),
    ("What is a whale?", "A whale is a large mammal that lives in the", BAD), ("What is a whale?", "A large mammal of the sea", SILENT),
    ("Which article stands before hour?", "The article that stands before the word hour is an", SILENT),
    ("What is a whale in the sea?", "Кит это большое морское млекопитающее", BAD),
    ("What is a whale in Russian?", "Кит это большое морское млекопитающее", SILENT),
    ("What is the largest animal that lives in the sea?",
     "El animal más grande que vive en el mar es la ballena azul, que es un mamífero", BAD),
    ("How do you say it in Spanish: the largest animal?", "El animal más grande que vive en el mar es la ballena azul", SILENT),
    ("Was ist das größte Tier, das es gibt?", "Das größte Tier, das es gibt, ist der Blauwal.", SILENT),
    ("Was ist das größte Tier, das es in dem Meer gibt?", "The largest animal that there is in the sea is of course the blue whale", BAD),
    ("What is the capital of Peru?", "I'm not sure, maybe it is Lima.", BAD),
    ("What is the capital of Peru?", "As an AI, I like Lima.", BAD),
    ("What is a series?", "\\[ " + " + ".join(f"a_{n}" for n in range(1, 24)) + r" = \frac{1}{2} \]", SILENT),
    ("What is a polynomial?", " + ".join(f"{n} x^{n}" for n in range(2, 50)), SILENT),
    ("Write an email saying I'm not sure.", "I'm not sure I can come.", SILENT), ("What is the sky?", "", SILENT),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer", "verdict"), DEGENERATE)
def test_an_answer_that_lost_its_way_is_noticed(question, answer, verdict):
    """Loops, echoes, cut ends, foreign languages and hedges speak against an answer."""
    expect(question, answer, verdict)


MAIL = "Extract the email address from: Call Jo at 555 or write to jo@ex.org today."
OFFERED = [
    ("Choose one: red or blue?", "Blue", GOOD), ("Choose one: red or blue?", "Green, of course", BAD),
    ("Choose one: red or blue?", "red or blue", BAD),
    ("Choose one: red or blue?", "It depends.", SILENT), ("Choose one: red or blue?", "Not red.", SILENT),
    ("Which of these is a planet: Mars, Rome or iron?", "Mars", GOOD),
    ("Which of these is a planet: Mars, Rome or iron?", "Mars, not Rome.", SILENT),
    ('Is this review positive or negative? "I loved it"', "Positive", GOOD),
    ('Is this review positive or negative? "I loved it"', "5 stars", BAD),
    ("Classify the text as spam or ham: win a prize", "Spam.", GOOD), ("Classify the text as spam or ham: win a prize", "An advert", BAD),
    ("Reply with either hot or cold: fire", "hot", GOOD), ("Reply with either hot or cold: fire", "hot or cold", BAD),
    (MAIL, "jo@ex.org", GOOD), (MAIL, "The address is jo@ex.org.", GOOD), (MAIL, "joe@ex.org", BAD), (MAIL, "No address.", SILENT),
    ("Find the URL in this text: see https://ex.org/a for more", "https://ex.org/a", GOOD),
    ("Find the URL in this text: see https://ex.org/a for more", "https://ex.org/b", BAD),
    ("Extract the phone number from this text: Call 555-0123 now", "555-0123", GOOD),
    ("Extract the phone number from this text: Call 555-0123 now", "(555) 0123", GOOD),
    ("Extract the phone number from this text: Call 555-0123 now", "555-0132", BAD),
    ("Extract the date from: We met on 5 March 2021.", "2021-03-05", SILENT),
    ("Extract the date from: We met on 5 March 2021.", "5 March 2022", BAD),
    ("Find the missing number in this sequence: 2, 4, 8", "6", SILENT),
    ("Find the date of Easter in this year: 2024", "31 March 2024", SILENT),
    ("Extract the price from this text: it costs $12.50", "$12.50", GOOD),
    ("Extract the price from this text: it costs $12.50", "$12", SILENT),
    ("How many numbers are in this text: 4 8 15", "There are 3", SILENT), ("Find the sum of the numbers in: 4, 8", "12", SILENT),
    ("Should I buy red or blue shoes?", "Green ones are nice.", SILENT), ("Is a tomato a fruit or a vegetable?", "It is a berry.", SILENT),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer", "verdict"), OFFERED)
def test_one_of_the_offered_options_and_nothing_that_is_not_in_the_text(question, answer, verdict):
    """One option named is for an answer, none or several against it; what was extracted has to stand in the question."""
    expect(question, answer, verdict)


ORDINARY = [
    (
        "Why is the sky blue?",
        (
            "The sky is blue because air molecules scatter short wavelengths of sunlight more than long ones. This is "
            "called Rayleigh scattering."
        ),
    ),
    (
        "How do I boil an egg?",
        "1. Bring a pot of water to a boil.\n2. Lower the eggs in gently.\n3. Wait 8 to 10 minutes.\n4. Cool them in ice water.\n\nEnjoy!",
    ),
    (
        "Who wrote Hamlet?",
        "William Shakespeare wrote *Hamlet*, probably between 1599 and 1601.",
    ),
    (
        "What is a black hole?",
        "A black hole is a region of space where gravity is so strong that nothing, not even light, can escape from it.",
    ),
    (
        "What's the capital of Australia?",
        "Canberra",
    ),
    (
        "Tell me about photosynthesis",
        "Plants turn light into chemical energy:\n\n6 CO2 + 6 H2O -> C6H12O6 + 6 O2\n\nIt happens in the **chloroplasts**.",
    ),
    (
        "How does a bicycle stay upright?",
        "Mostly because the rider steers into the fall; the trail of the front wheel helps, and so do gyroscopic effects.",
    ),
    (
        "What should I cook tonight?",
        "How about a simple pasta? Use 200 g of spaghetti, 2 cloves of garlic and 1/2 cup of olive oil.",
    ),
    (
        "Is coffee healthy?",
        "In moderation, yes: 3-4 cups a day are linked with a lower risk of several diseases. Too much can disturb your sleep, though.",
    ),
    (
        "When did the Berlin Wall fall?",
        "On 9 November 1989.",
    ),
    (
        "How do I list files in Linux?",
        "Use `ls`. With `ls -la` you also see hidden files and details.",
    ),
    (
        "What is the difference between TCP and UDP?",
        "| | TCP | UDP |\n|---|---|---|\n| reliable | yes | no |\n| ordered | yes | no |\n| fast | no | yes |",
    ),
    (
        "How do I reverse a list in Python?",
        "Call `my_list.reverse()` or slice it:\n\n```python\nprint([1, 2, 3][::-1])  # [3, 2, 1]\n```",
    ),
    (
        "What does the % operator do?",
        "It gives the remainder: 17 % 5 is 2, because 17 = 3 * 5 + 2.",
    ),
    (
        "Explain recursion",
        (
            "A function that calls itself.\n\n```python\ndef fact(n):\n    return 1 if n < 2 else n * fact(n - "
            "1)\n```\n\nfact(5) = 5 * 4 * 3 * 2 * 1 = 120."
        ),
    ),
    (
        "What is machine learning?",
        "Machine learning is a field of study in which programs learn from data instead of being told every rule.",
    ),
    (
        "Can you recommend a book?",
        "Sure! If you like science fiction, try *The Left Hand of Darkness* by Ursula K. Le Guin.",
    ),
    (
        "What is inflation?",
        "Inflation means that prices rise over time. If it is 2% a year, what costs $100 today costs $102 next year.",
    ),
    (
        "How tall is Mount Everest?",
        "8,848.86 metres (29,031.7 ft) above sea level.",
    ),
    (
        "What's a good name for a cat?",
        "- Luna\n- Milo\n- Pixel",
    ),
    (
        "Write a short poem about autumn.",
        "Leaves let go of every tree,\nleaves let go of every tree,\ngold and red and floating free,\nautumn comes for you and me.",
    ),
    (
        "Write an email to my boss that I am sick.",
        "Subject: Sick today\n\nHi Anna,\n\nI'm not feeling well and won't be able to work today.\n\nBest,\nTom",
    ),
    (
        "What time zone is Tokyo in?",
        "Japan Standard Time, UTC+9, all year: there is no daylight saving.",
    ),
    (
        "How many days are in a leap year?",
        "366",
    ),
    (
        "Translate 'good morning' to French.",
        "Bonjour",
    ),
    (
        "Was ist ein Algorithmus?",
        "Ein Algorithmus ist eine eindeutige Folge von Schritten, mit der man ein Problem löst.",
    ),
    (
        "为什么天空是蓝色的？",
        "因为空气分子对短波长的光散射得更多，所以我们看到蓝色的天空。",
    ),
    (
        "Pourquoi le ciel est-il bleu ?",
        "Parce que l'air diffuse davantage la lumière bleue que la lumière rouge.",
    ),
    (
        "What are the primary colors?",
        "Red, yellow and blue in painting; red, green and blue on screens.",
    ),
    (
        "What is the golden ratio?",
        "About 1.618: two lengths are in it if (a + b) / a = a / b, so that x² = x + 1.",
    ),
    (
        "How do I fix a flat tyre?",
        "Take the wheel off, find the hole, patch it, and pump it up again. If the hole is larger than 5 mm, replace the tube.",
    ),
    (
        "Should I learn Rust or Go?",
        "Both are good. Go is simpler and quick to learn; Rust gives you more control, at the price of a steeper start.",
    ),
    (
        "What is 5G?",
        "The fifth generation of mobile networks. It is up to 100 times faster than 4G, with delays near 1 ms.",
    ),
    (
        "How do I make a numbered list in HTML?",
        "```html\n<ol>\n  <li>One</li>\n</ol>\n```",
    ),
    (
        "What does SELECT do in SQL?",
        "It reads rows:\n\n```sql\nSELECT name FROM users WHERE age >= 18;\n```",
    ),
    (
        "How do vaccines work?",
        "They show your immune system a harmless part of a germ. It then remembers it, and reacts faster when the real one comes.",
    ),
    (
        "Plan a day in Rome",
        "**Morning**\n- Colosseum (2 h)\n- Forum\n\n**Afternoon**\n- Pantheon\n- Trevi Fountain\n\n**Evening**\n- Dinner in Trastevere",
    ),
    (
        "What is a good BMI?",
        "Between 18.5 and 24.9. BMI = weight / height², so 70 kg at 1.75 m is 70 / 1.75² = 22.9.",
    ),
    (
        "How do I convert Celsius to Fahrenheit?",
        "Multiply by 9/5 and add 32: 20 °C is 20 * 9/5 + 32 = 68 °F.",
    ),
]


@pytest.mark.parametrize(("question", "answer"), ORDINARY)
def test_ordinary_answers_to_open_questions_weigh_next_to_nothing(question, answer):
    """Where nothing can be checked nothing is found; correct sums in passing are worth a little."""
    assert 0 <= soundness(question, answer) <= 0.3, findings(question, answer)


CROOKED = st.lists(
    st.sampled_from(
        [
            *"0123456789()[]{}<>.,:;=+-*/%^$`'\"|\\\n \t",
            *(
                "×",
                "÷",
                "−",
                "≡",
                "²",
                "\0",
                "\ud800",
                "é",
                "中",
                "\u200b",
                "\\frac{1}{2}",
                "**",
                "```",
                "```python\n",
                "```sql\n",
                "```json\n",
            ),
            *(
                "what is ",
                "12 times 8",
                "half of ",
                " or ",
                "in one word",
                "as JSON with keys a, b",
                "end with ",
                "extract the email from: ",
                "a@b.c ",
            ),
            *(
                "Write a Python function f(a",
                "SELECT ",
                "def f(x):",
                "is ",
                "1,000",
                "0.5",
                "square root of ",
                "one hundred ",
                "yes or no",
                "choose one: ",
            ),
            *("without the letter ", "- a", "1. ", "I don't know", "numbered list", "the "),
        ]
    ),
    max_size=60,
).map("".join)


@settings(deadline=2000, max_examples=300)
@given(question=st.one_of(st.text(max_size=200), CROOKED), answer=st.one_of(st.text(max_size=300), CROOKED))
def test_no_pair_of_texts_breaks_the_checks(question, answer):
    """Nothing is raised, sums stay in their bounds, the same texts give the same findings, and reasons are one printable line."""
    found = findings(question, answer)

    assert found == findings(question, answer)
    assert -BOUND <= soundness(question, answer) <= BOUND
    assert all(finding.what.isprintable() and len(finding.what) < 160 for finding in found)


ENDLESS = [
    *(
        "write python ",
        "what is ",
        "(",
        "1+",
        "1 ",
        "1,",
        "12 * 8 = 96 ",
        '"',
        "'a ",
        "a, ",
        "jo@",
        "a.b@c.",
        "end with ",
        "in one word ",
        "\n",
        " ",
    ),
    *(
        "```python\n",
        "the ",
        "twenty ",
        "one hundred and ",
        "choose one: a, ",
        "classify as ",
        "http://",
        "e.g.",
        "A. ",
        "1) ",
        "=1",
        "1=1",
        "def f(",
    ),
    *(
        "write a function add(",
        "```json\n[[[[",
        "\\frac{1}{",
        "without the letter ",
        "5 apples + ",
        "- ",
        "[",
        "{",
        "x",
        "extract email from ",
        "|",
    ),
]


@pytest.mark.parametrize("piece", ENDLESS)
def test_a_piece_repeated_without_end_is_soon_looked_through(piece):
    """Texts far over the limit take no longer than those at it, and that is short."""
    long = piece * (2 * LONGEST // len(piece))
    begun = time.process_time()

    for question, answer in ((long, long), ("Write an SQL query as JSON in one word", long), (long, "x y z 12")):
        findings(question, answer)

    assert time.process_time() - begun < 5


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "code",
    [
        "```python\n" + "(" * 19000 + "\n```",
        "```python\nx=" + "-" * 19000 + "1\n```",
        "```json\n" + "[" * 19000 + "\n```",
        "```sql\nSELECT " + "(" * 4000 + "\n```",
        "```sql\nSELECT " + "1+" * 2400 + "1\n```",
        "SELECT " + "a||" * 1500 + "b",
        "1 = " + "(" * 90 + "1" + ")" * 90,
        "2 = 9**9**9**9",
        "2 = 9**64**2",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "1 = " + "9" * 19000,
    ],
)
def test_code_and_sums_made_to_hurt_do_no_harm(code):
    """Deep nesting and huge powers end at the bounds of the parsers."""
    begun = time.process_time()

    findings("Write an SQL query", code)
    findings(code, code)

    assert time.process_time() - begun < 3


def test_what_stands_behind_the_limit_is_not_looked_at():
    """Texts of any length cost what the first part of them costs."""
    assert findings("Why?", "x" * LONGEST + "\n12 * 8 = 98") == ()
    assert findings("Why?", "x" * 100 + "\n12 * 8 = 98") != ()


def test_powers_are_worked_out_within_bounds_only():
    """An exponent or a base over its bound is refused before anything is worked out."""
    assert evaluate("2 ** 64").value == 2**64
    assert evaluate("2 ** 65") is None
    assert evaluate("1000001 ** 2") is None
