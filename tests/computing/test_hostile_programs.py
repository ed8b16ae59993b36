"""Programs that mean harm: each ends in the named way, shows nothing of this machine, and the next program runs."""

from __future__ import annotations

import getpass
import os
import platform
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gork.computing.sandbox import Broke, BrokeKind, Limits, Outcome, Ran, Sandbox

SECRET = "the-host's-own-words"
SHORT = Limits(seconds=0.15)
"""For the endless ones, so that they end sooner."""
LONG = Limits(seconds=10)
"""For the others: what they run into first must not depend on how busy the machine is. Memory and output are the shipped limits."""

SYNTAX, ERROR, NOT_KNOWN, TIME, MEMORY, OUTPUT, EMPTY = (
    *(BrokeKind.SYNTAX, BrokeKind.ERROR, BrokeKind.NOT_KNOWN, BrokeKind.TIME, BrokeKind.MEMORY),
    *(BrokeKind.OUTPUT, BrokeKind.EMPTY),
)

PROGRAMS: dict[str, list[tuple[str, BrokeKind | str]]] = {
    "endless loops": [
        ("while True: pass", TIME),
        ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", TIME),
        ("try:\n    while True: pass\nfinally:\n    while True: pass", TIME),
        ("n = 0\nwhile n >= 0: n += 1", TIME),
        ("for a in iter(int, 1): pass", TIME),
        ("import itertools\nfor a in itertools.count(): pass", TIME),
        ("import time\nwhile True: time.sleep(1)", TIME),
        ("class A:\n    def __str__(self):\n        while True: pass\nA()", TIME),
        ("sum(i * i for i in range(10 ** 12))", TIME),
        ("x = iter(lambda: 0, 1)\nlist(map(str, x)) if False else [0 for _ in x if _]", TIME),
    ],
    "sleep": [
        ("import time\ntime.sleep(10 ** 6)\nprint('awake')", "awake\n"),
        ("import asyncio\nasyncio.run(asyncio.sleep(10 ** 6))\nprint('awake')", "awake\n"),
    ],
    "memory": [
        ("x = [0] * 10 ** 9", MEMORY),
        ("x = []\nwhile True: x.append('a' * 1000)", MEMORY),
        ("x = {}\nfor i in range(10 ** 9): x[i] = i", MEMORY),
        ("x = 'a' * 1000\nwhile True: x += x", MEMORY),
        ("x = bytes(10 ** 9)", MEMORY),
        ("x = []\nwhile True: x = [x, x, [0] * 1000]", MEMORY),
        ("x = list(range(10 ** 8))", MEMORY),
        ("try:\n    x = [0] * 10 ** 9\nexcept BaseException:\n    print('caught')", MEMORY),
        ("' '.join(['a' * 10 ** 6] * 1000)", MEMORY),
    ],
    "recursion": [
        ("def f(n): return f(n + 1)\nf(0)", ERROR),
        ("f = lambda: f()\nf()", ERROR),
        ("class A:\n    def __repr__(self): return repr(self)\nrepr(A())", ERROR),
        ("class A:\n    def __eq__(self, other): return self == other\nA() == A()", ERROR),
        ("def f(n): return g(n)\ndef g(n): return f(n)\nf(1)", ERROR),
        ("x = []\nfor i in range(100000): x = [x]\nx == [x]", ERROR),
        ("def f():\n    try: f()\n    finally: f()\nf()", TIME),
        ("exec('def f(): f()\\nf()')", ERROR),
    ],
    "huge integers and strings": [
        ("9 ** 9 ** 9", MEMORY),
        ("print(2 ** 100000)", ERROR),
        ("x = 2\nwhile True: x = x * x", MEMORY),
        ("1 << 10 ** 12", MEMORY),
        ("import math\nmath.factorial(10 ** 7)", TIME),
        ("int('9' * 10 ** 6)", ERROR),
        ("'{:>1000000000}'.format(1)", MEMORY),
        ("f'{1:>1000000000}'", MEMORY),
        ("'%1000000000d' % 1", MEMORY),
        ("'ab'.replace('', 'c' * 10 ** 8)", MEMORY),
        ("'a'.ljust(10 ** 10)", MEMORY),
        ("from decimal import Decimal\nDecimal(10) ** Decimal(10 ** 9)", ERROR),
    ],
    "nesting": [
        ("(" * 5000 + "1" + ")" * 5000, SYNTAX),
        ("[" * 100000 + "]" * 0, SYNTAX),
        ("-" * 50000 + "1", NOT_KNOWN),
        ("lambda: " * 5000 + "1", NOT_KNOWN),
        ("1" + "**1" * 20000, NOT_KNOWN),
        ("".join(" " * i + "if 1:\n" for i in range(200)) + " " * 200 + "pass", SYNTAX),
        ("eval('(' * 100000)", NOT_KNOWN),
        ("import json\njson.loads('[' * 100000)", ERROR),
        ("9" * 5000, SYNTAX),
        ("print(1)\0", SYNTAX),
    ],
    "files and environment": [
        ("print(open('/etc/passwd').read())", NOT_KNOWN),
        ("open('out.txt', 'w').write('x')", NOT_KNOWN),
        ("import os\nprint(os.environ)", NOT_KNOWN),
        ("import os\nprint(os.getenv('HOME'))", NOT_KNOWN),
        ("import os\nprint(os.listdir('/'))", NOT_KNOWN),
        ("from pathlib import Path\nprint(Path('/proc/self/environ').read_text())", NOT_KNOWN),
        ("from pathlib import Path\nprint(list(Path.home().iterdir()))", NOT_KNOWN),
        ("import os\nos.system('id')", NOT_KNOWN),
        ("import sys\nprint(sys.argv)", "['main.py']\n"),
    ],
    "network and imports": [
        ("import socket", NOT_KNOWN),
        ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1')", NOT_KNOWN),
        ("import subprocess\nsubprocess.run(['id'])", NOT_KNOWN),
        ("import ctypes", NOT_KNOWN),
        ("__import__('os').system('id')", NOT_KNOWN),
        ("import importlib\nimportlib.import_module('socket')", NOT_KNOWN),
        ("from multiprocessing import Process", NOT_KNOWN),
        ("import antigravity", NOT_KNOWN),
    ],
    "attribute tricks": [
        ("().__class__.__bases__[0].__subclasses__()", NOT_KNOWN),
        ("print.__globals__", ERROR),
        ("(lambda: 0).__code__", NOT_KNOWN),
        ("(lambda: 0).__globals__['__builtins__']", NOT_KNOWN),
        ("getattr(getattr((), '__cla' + 'ss__'), '__ba' + 'se__')", NOT_KNOWN),
        ("try:\n    1 / 0\nexcept Exception as e:\n    print(e.__traceback__.tb_frame.f_back.f_globals)", NOT_KNOWN),
        ("'{0.__class__.__init__.__globals__}'.format(1)", NOT_KNOWN),
        ("type('A', (), {}).__mro__[-1].__subclasses__()", NOT_KNOWN),
        ("globals()['__builtins__']", NOT_KNOWN),
    ],
    "output floods": [
        ("while True: print('x')", OUTPUT),
        ("print('x' * 10 ** 6)", OUTPUT),
        ("try:\n    while True: print('x' * 100)\nexcept BaseException:\n    print('caught')", OUTPUT),
        ("'-' * 20000", OUTPUT),
        ("[[1] * 1000] * 1000", OUTPUT),
        ("import sys\nwhile True: print('x', file=sys.stderr)", OUTPUT),
        ("print('ü' * 4000)", OUTPUT),
        ("while True: print(end='')", TIME),
    ],
    "Unicode": [
        ("'\\ud800'", "\ufffd\n"),
        ("print('\ud800')", SYNTAX),
        ("print('\\u202e' + 'abc')", "\u202eabc\n"),
        ("print('\\x1b]0;title\\x07\\x1b[2J')", "\x1b]0;title\x07\x1b[2J\n"),
        ("ｐｒｉｎｔ(1)", "1\n"),
        ("print('\\0')", "\0\n"),
        ("рrint(1)", ERROR),
        ("x = '\\U0001F600' * 10 ** 9", MEMORY),
        ("print('ﬃ'.upper(), 'ß'.upper(), len('e\\u0301'))", "FFI SS 2\n"),
    ],
    "exploding regular expressions": [
        ("import re\nprint(bool(re.match('(a+)+$', 'a' * 40 + 'b')))", "False\n"),
        ("import re\nprint(bool(re.match('(a|aa)+$', 'a' * 60 + 'b')))", "False\n"),
        ("import re\nprint(bool(re.match('(.*)*x', 'a' * 100)))", "False\n"),
        ("import re\nre.compile('(' * 10000)", ERROR),
        ("import re\nprint(re.sub('(a*)*(b)\\\\2', 'c', 'a' * 50))", NOT_KNOWN),
        ("import re\nre.compile('a{1000}' * 1000 + '{1000}')", ERROR),
    ],
}


def of_this_machine() -> set[str]:
    """Words that only this machine can have said."""
    words = {SECRET, str(Path.cwd()), sys.executable, socket.gethostname(), platform.release(), str(Path.home())}
    words |= {getpass.getuser() + ":", "root:", "uid=", "GORK_"}
    return {word for word in words if len(word) > 3}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandboxes() -> AsyncIterator[dict[bool, Sandbox]]:
    """Two for the whole table, for endless programs and for others: what one program does must not touch the next."""
    os.environ["GORK_SECRET"] = SECRET
    async with Sandbox(SHORT) as short, Sandbox(LONG) as long:
        yield {True: short, False: long}
    del os.environ["GORK_SECRET"]


def said(outcome: Outcome) -> str:
    """All that a program could make the sandbox say."""
    return outcome.output if isinstance(outcome, Ran) else outcome.message


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("source", "ending"), [pytest.param(*case, id=f"{kind} {at}") for kind, cases in PROGRAMS.items() for at, case in enumerate(cases)]
)
async def test_a_hostile_program_ends_in_its_way_and_the_next_one_runs(
    sandboxes: dict[bool, Sandbox], source: str, ending: BrokeKind | str
):
    """The named end; no word of this machine; an ordinary program gives the right answer afterwards."""
    sandbox = sandboxes[ending is TIME]
    outcome = await sandbox.run(source)

    assert (outcome.output if isinstance(outcome, Ran) else outcome.kind) == ending, outcome
    assert not [word for word in of_this_machine() if word in said(outcome)]
    assert len(said(outcome).encode()) <= SHORT.output_bytes
    assert "\n" not in (outcome.message if isinstance(outcome, Broke) else "")
    assert await sandbox.run("print(6 * 7)") == Ran("42\n", pytest.approx(0, abs=5))
