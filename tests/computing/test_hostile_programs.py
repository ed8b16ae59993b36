"""Programs that mean harm, or do it by accident: each ends in its named way, says nothing of the host, and the next program runs."""

import os

import pytest

from gork.computing.sandbox import Broke, BrokeKind, Limits, Ran, Sandbox

SECRET = "a-secret-of-the-host-7f3a"
STOPPED = {BrokeKind.TIME, BrokeKind.MEMORY, BrokeKind.OUTPUT, BrokeKind.NOT_KNOWN}
REFUSED = {BrokeKind.NOT_KNOWN, BrokeKind.ERROR, BrokeKind.SYNTAX, BrokeKind.EMPTY}
ANY = STOPPED | REFUSED

HOSTILE = {
    "endless loop": (
        {BrokeKind.TIME, BrokeKind.MEMORY},
        "while True: pass",
        "n = 0\nwhile n >= 0: n += 1",
        "for i in iter(int, 1): pass\nwhile True: i = 0",
        "def f(x):\n    while x: x = [x]\nf([1])",
        "a = [1]\nfor x in a: a[0] = a[0] + x\nwhile a: a[0] += 1",
        "import itertools\nfor i in itertools.count(): pass",
    ),
    "memory": (
        STOPPED,
        "x = [0] * 10**9",
        "x = 'a' * 10**9",
        "x = []\nwhile True: x.append('a' * 10000)",
        "x = {}\nfor i in range(10**8): x[i] = str(i) * 100",
        "x = list(range(10**8))\nx.sort()",
        "x = [[]]\nwhile True: x = [x, x[:], 'b' * 1000000]",
    ),
    "recursion": (
        ANY,
        "def f(n): return f(n + 1)\nf(0)",
        "f = lambda: f()\nf()",
        "def a(): return b()\ndef b(): return a()\na()",
        "class A:\n    def __repr__(self): return repr(self)\nprint(A())",
        "x = []\nx.append(x)\ndef d(y): return d(y[0])\nd(x)",
        "def f(n): return [f(n) for _ in range(2)]\nf(1)",
    ),
    "huge numbers and texts": (
        STOPPED | {BrokeKind.ERROR},
        "print(9**9**9)",
        "x = 2\nwhile True: x = x * x",
        "print(len(str(10**10**7)))",
        "print(1 << 10**10)",
        "import math\nprint(math.factorial(10**7))",
        "x = 'ab'\nwhile True: x = x + x",
    ),
    "nesting": (
        ANY,
        "(" * 5000 + ")" * 5000,
        "[" * 100000,
        "x = " + "-" * 20000 + "1",
        "\n".join(" " * i + "if True:" for i in range(200)) + "\n" + " " * 200 + "pass",
        "x = " + "+".join(["1"] * 90000)[:90000],
        "import json\njson.loads('[' * 100000)",
    ),
    "files and environment": (
        REFUSED,
        "print(open('/etc/passwd').read())",
        "import os\nprint(os.environ['GORK_TEST_SECRET'])",
        "import os\nprint(os.listdir('/'))",
        "import pathlib\nprint(pathlib.Path('/proc/self/environ').read_text())",
        "open('/tmp/gork-was-here', 'w').write('x')",
        "import os\nos.remove('/tmp/x')\nprint(os.getcwd())",
    ),
    "network and imports": (
        REFUSED,
        "import socket\nsocket.create_connection(('127.0.0.1', 80))",
        "import subprocess\nprint(subprocess.run(['id'], capture_output=True).stdout)",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1')",
        "import ctypes\nctypes.string_at(0)",
        "__import__('os').system('id')",
        "import importlib\nimportlib.import_module('posix').system('id')",
    ),
    "attribute tricks": (
        REFUSED,
        "print(().__class__.__bases__[0].__subclasses__())",
        "print((lambda: 0).__globals__)",
        "print([c for c in ().__class__.__mro__[1].__subclasses__()])",
        "print(''.__class__.__mro__[1].__init__.__globals__)",
        "getattr(__builtins__, 'eval')('__import__(\"os\")')",
        "def f(): pass\nprint(f.__code__.co_consts)",
    ),
    "output flood": (
        STOPPED,
        "while True: print('x')",
        "print('x' * 10**6)",
        "for i in range(10**6): print(i)",
        "print(list(range(10**5)))",
        "while True: print('', end='y')",
        "print('\\n' * 10**6)",
    ),
    "Unicode": (
        ANY,
        "print('\\ud800')\nx = 1 / 0",
        "p\u0440int(1)",
        "x = '\\N{no such name}'",
        "\0print(1)",
        "x = '\ud800'\n1 / 0",
        "ｅｖｉｌ = [0] * 10**9",
    ),
    "exploding regular expressions": (
        ANY,
        "import re\nre.match('(a+)+$', 'a' * 40 + 'b').group()",
        "import re\nre.match('(a|aa)+$', 'a' * 60 + 'b').group()",
        "import re\nre.match('(.*)*x', 'a' * 5000).group()",
        "import re\nre.compile('a{1,100000}' * 50)\n1 / 0",
        "import re\nre.match('(?:a?){60}a{60}', 'a' * 59).group()",
        "import re\nre.compile('(' * 5000).match('a').group()",
    ),
}
PROGRAMS = [(category, kinds, program) for category, (kinds, *programs) in HOSTILE.items() for program in programs]


@pytest.fixture(scope="module", autouse=True)
def secret():
    """Something of the host that no program may ever say."""
    os.environ["GORK_TEST_SECRET"] = SECRET
    yield
    del os.environ["GORK_TEST_SECRET"]


def test_there_are_fifty_and_five_of_each_category():
    """The table is as large as it is said to be."""
    assert len(PROGRAMS) >= 50
    assert all(len(programs) >= 5 for _, *programs in HOSTILE.values())


@pytest.mark.parametrize("category", HOSTILE)
async def test_hostile_programs_end_in_their_named_way_and_the_next_program_runs(category):
    """Nothing of the host is in what they say, and the sandbox works after each."""
    kinds, *programs = HOSTILE[category]
    async with Sandbox(Limits(seconds=0.25)) as sandbox:
        for program in programs:
            outcome = await sandbox.run(program)

            assert isinstance(outcome, Broke), (program[:60], outcome)
            assert outcome.kind in kinds, (program[:60], outcome)
            assert outcome.seconds < 3
            said = outcome.message
            assert SECRET not in said
            assert "root:" not in said
            assert await sandbox.run("print(6 * 7)") == Ran("42\n", pytest.approx(0, abs=2)), program[:60]
