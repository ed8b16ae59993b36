"""`import *` of a known module becomes the names that a program uses."""

from __future__ import annotations

import pytest

from gork.computing.sandbox import Ran, Sandbox
from gork.computing.wildcards import named_imports


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("from typing import *\ndef f(a: List[int]) -> int: ...", "from typing import List\ndef f(a: List[int]) -> int: ..."),
        ("from math import *\nfrom typing import *\nprint(pi)", "from math import pi\npass\nprint(pi)"),
        ("x = 'é'; from math import *; print(pow(2, 3))", "x = 'é'; from math import pow; print(pow(2, 3))"),
        ("if True:\n    from math import \\\n        *\n    print(e)", "if True:\n    from math import e\n    print(e)"),
        ("try:\n    from math import *\nfinally:\n    print(e)\r\n", "try:\n    from math import e\nfinally:\n    print(e)\r\n"),
        ("from os import *\nprint(getcwd())", "from os import *\nprint(getcwd())"),
        ("from .math import *\nprint(pi)", "from .math import *\nprint(pi)"),
        ("import math\nprint(2 * math.pi)", "import math\nprint(2 * math.pi)"),
        ("from math import * print(", "from math import * print("),
        ("'from math import *'", "'from math import *'"),
    ],
)
def test_the_names_that_are_used_are_named(source: str, named: str) -> None:
    """In the same line; what is no program, and what is not known, stays as it is."""
    assert named_imports(source) == named


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("from math import *\nprint(floor(sqrt(10)), pow(2, 3))", "3 8.0\n"),
        ("from collections import *\nprint(Counter('aab')['a'])", "2\n"),
        ("from typing import *\ndef f(a: Optional[List[int]]) -> int:\n    return len(a)\nprint(f([1]))", "1\n"),
    ],
)
async def test_the_sandbox_runs_them(source: str, output: str) -> None:
    """As Python does."""
    async with Sandbox() as sandbox:
        outcome = await sandbox.run(source)
    assert isinstance(outcome, Ran)
    assert outcome.output == output
