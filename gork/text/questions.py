"""What a question asks for, apart from the text that it asks about."""

from __future__ import annotations

import re

from gork.text.structure import split_code

QUOTED = re.compile(
    r"""
      "[^"\n]{1,400}" | “[^“”\n]{1,400}” | «[^«»\n]{1,400}» | `[^`\n]{1,400}`
    | (?<!\w)'[^'\n]{1,400}'(?!\w)
    | (?<!\w)‘[^‘’\n]{1,400}’(?!\w)
    """,
    re.VERBOSE,
)
"""A quotation or inline code, with its marks."""
_DATA = re.compile(
    r"""
    \b(?: translate | summari[sz]e | rewrite | rephrase | paraphrase | extract | classify | proofread | correct | fix | convert
         | analy[sz]e | count | sort | reverse
         | text | sentence | paragraph | passage | following | below
         | review | e-?mail | article | message | tweet | comment | story | note )\b
    [^\n:]{0,160} : (?=\s+\S)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""The words up to the colon that a question puts before the text that it is about."""
YES_OR_NO = re.compile(
    r"\b(?:yes or no|yes/no|true or false|true/false|ja oder nein|wahr oder falsch|oui ou non|vrai ou faux|sí o no)\b", re.IGNORECASE
)
"""A question leaves two answers, and says so."""


def instructions(question: str) -> str:
    """What a question asks for, without its quotations, its code and the text that it brings along after a colon.

    >>> instructions('Summarise in one word: "say it in ten words"')
    'Summarise in one word:'
    """
    prose = QUOTED.sub(" “” ", split_code(question)[0])
    match = _DATA.search(prose)
    return " ".join((prose[: match.end()] if match else prose).split()).removesuffix(" “”")
