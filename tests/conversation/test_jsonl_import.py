"""Sessions of an earlier version, in files of JSON lines: taken over into the database once, and left as they are."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gork.conversation.sessions import listing, open_new, resume
from tests.support.paths import ROOT
from tests.support.turns import turn

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and locks are POSIX's")

SESSION = "20261128-220600-52wfn3"
SAMPLE = r"""
{"gork_session":1,"id":"20261128-220600-52wfn3","started":"2026-11-28T22:06:00+00:00","ensemble":"heavy-lite","continues":null}
{"kind":"turn","at":"2026-11-28T22:06:00+00:00","prompt":"forgotten","kept":true,"id":"0123456789ab","question":{"text":"forgotten","rewrite":null,"rewrite_refused":null},"answer":"a0","winner":"a","answers":[{"member":"a","model":"a:1b","text":"a0","complete":true,"stop":"stop","tokens":0,"prompt_tokens":0,"first_token_s":null,"seconds":0.0,"tokens_per_s":null,"confidence":null}],"failures":[],"verdict":{"policy":"prior","scores":{},"margin":0.0,"orders":[],"label_mass":null,"fallback":null,"close":false,"note":null,"sure":null,"judge_calls":0,"judge_tokens":0},"timings":{"total":1.0},"engine":"ollama","ensemble":"heavy-lite","seed":1}
{"kind":"cleared","at":"2026-11-28T22:06:00+00:00"}
{"kind":"turn","at":"2026-11-28T22:06:01+00:00","prompt":"q1 with\ntwo lines","kept":true,"id":"0123456789ab","answer":"a1 \u2028 \ud83d half","winner":"a"}
{"kind":"turn","at":"2026-11-28T22:06:02+00:00","prompt":"q2","kept":true,"id":"0123456789ab","answer":"bad","winner":"a"}
{"kind":"retracted","at":"2026-11-28T22:06:03+00:00"}
{"kind":"turn","at":"2026-11-28T22:06:04+00:00","prompt":"q2","kept":true,"id":"0123456789ab","answer":"better","winner":"a"}
{"kind":"turn","at":"2026-11-28T22:06:05+00:00","prompt":"q3","kept":false,"id":"0123456789ab","answer":"aside","winner":"a"}
""".lstrip()  # noqa: E501 - a line is a record
EXCHANGES = [("q1 with\ntwo lines", "a1 \u2028 ? half"), ("q2", "better")]


class Folder:
    """A folder with files of an earlier version, and what is said about them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        path.mkdir(parents=True)

    def write(self, session: str = SESSION, content: bytes = SAMPLE.encode(), *, used: int = 1_000_000_000) -> Path:
        """A file as an earlier version left it."""
        file = self.path / f"{session}.jsonl"
        file.write_bytes(content)
        os.utime(file, (used, used))
        return file

    def history(self, wanted: str | None = None) -> list[tuple[str, str]]:
        """What a session continues with; the session is free again afterwards."""
        resumed = resume(wanted, self.path, self.said.append)
        resumed.log.close()
        return [(exchange.user, exchange.assistant) for exchange in resumed.conversation.exchanges]

    def listed(self) -> list[tuple[str, int, str]]:
        """Ids, numbers of turns and first questions."""
        return [(found.id, found.turns, found.first) for found in listing(self.path, self.said.append)]


@pytest.fixture
def folder(tmp_path):
    """A folder that an earlier version made."""
    return Folder(tmp_path / "gork" / "sessions")


def test_a_session_of_an_earlier_version_goes_on(folder):
    """Own words and chosen answers, what was cleared, taken back or not kept left out; it is said once, and the file stays as it is."""
    file = folder.write()
    resumed = resume("20261128", folder.path, folder.said.append)
    resumed.log.append("q4", turn("q4", "a4"))
    resumed.log.close()

    assert (SESSION, ()) == (resumed.session, resumed.notices)
    assert [*EXCHANGES, ("q4", "a4")] == folder.history()
    assert ["imported sessions of an earlier version into sessions.db: 1; their files stay as they are"] == folder.said
    assert SAMPLE == file.read_text()


def test_the_list_has_them_by_the_time_of_their_files(folder):
    """Those used last first."""
    folder.write("20260102-000000-bbbbbb", used=1_000_000_000)
    folder.write("20260101-000000-aaa", used=1_000_000_100)
    log = open_new(folder.path, folder.said.append)
    log.append("new", turn("new", "a"))
    log.close()

    assert [(log.id, 1, "new"), ("20260101-000000-aaa", 3, "forgotten"), ("20260102-000000-bbbbbb", 3, "forgotten")] == folder.listed()


def test_a_file_that_was_taken_over_is_never_read_again(folder):
    """Also when it is written to afterwards; one that comes later is taken over as well."""
    file = folder.write()
    assert EXCHANGES == folder.history()
    file.write_text(SAMPLE * 2)
    folder.write("20260101-000000-aaa")

    assert [(SESSION, 3, "forgotten"), ("20260101-000000-aaa", 3, "forgotten")] == folder.listed()
    assert 2 == len(folder.said)
    assert [(SESSION, 3, "forgotten"), ("20260101-000000-aaa", 3, "forgotten")] == folder.listed()
    assert 2 == len(folder.said)


def test_a_file_that_is_torn_at_any_byte_gives_everything_before(folder):
    """What a program leaves that is killed while it saves: the last line is dropped and counted, the rest is kept."""
    content = SAMPLE.encode()
    start = content[:-1].rindex(b"\n") + 1
    last = SAMPLE.splitlines()[-1].replace('"kept":false', '"kept":true')
    content = content[:start] + last.encode() + b"\n"
    ends = range(start, len(content) + 1)
    for end in ends:
        folder.write(f"20261128-{end:06}-aaa", content[:end])
    found = {session: turns for session, turns, _ in folder.listed()}

    assert {f"20261128-{end:06}-aaa": 2 + (end >= len(content) - 1) for end in ends} == found
    assert f"({len(ends) - 3} damaged lines left out)" in folder.said[0]
    assert [*EXCHANGES, ("q3", "aside")] == folder.history(f"20261128-{len(content):06}-aaa")
    assert EXCHANGES == folder.history(f"20261128-{len(content) - 2:06}-aaa")


def test_lines_that_are_not_records_are_left_out(folder):
    """Garbage, very long lines, other JSON: the turns around them are kept."""
    lines = SAMPLE.encode().splitlines(keepends=True)
    bad = [b"\x00\xff garbage\n", b"[" * 100_000 + b"\n", b"[1]\n", b'"' + b"x" * (20 << 20) + b'"\n', b"\n", b'{"kind": "\xc3\xa9"}\n']
    folder.write(content=b"".join([*lines[:2], *bad, *lines[2:]]))
    resumed = resume(None, folder.path, folder.said.append)
    resumed.log.close()

    assert EXCHANGES == [(exchange.user, exchange.assistant) for exchange in resumed.conversation.exchanges]
    assert "(4 damaged lines left out)" in folder.said[0]
    assert ["record 2 is skipped" in notice for notice in resumed.notices] == [True]


LISTING = """
import sys
from pathlib import Path
from gork.conversation.sessions import listing

print(sum(listed.turns for listed in listing(Path(sys.argv[1]), lambda line: print(line, file=sys.stderr))))
"""


def test_several_programs_that_start_at_once_take_over_each_file_once(folder):
    """Before there is a database: every one of them finds all turns, and what they say they imported adds up to what is there."""
    for number in range(100):
        folder.write(f"20261128-{number:06}-aaa")
    command = [sys.executable, "-c", LISTING, str(folder.path)]
    programs = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [program.communicate(timeout=60) for program in programs]

    assert ["300\n"] * 4 == [out for out, _ in said]
    counts = [int(found) for _, err in said for found in re.findall(r": (\d+); their files stay", err)]
    assert 100 == sum(counts)  # each batch by the program that came first


def test_a_file_that_an_earlier_version_still_writes_to_is_taken_over_later(folder):
    """When that program has ended."""
    file = folder.write()
    with file.open("ab") as written:
        fcntl.flock(written, fcntl.LOCK_EX)
        assert ([], []) == (folder.listed(), folder.said)
        written.write(SAMPLE.splitlines()[-1].encode() + b"\n")

    assert [(SESSION, 4, "forgotten")] == folder.listed()


def test_a_database_that_cannot_be_made_is_said(folder):
    """The files are still there for the next time."""
    folder.write()
    (folder.path / "sessions.db").mkdir()

    resumed = resume(None, folder.path, folder.said.append)
    assert "cannot be imported" in folder.said[0]
    assert (0, None) == (len(resumed.conversation), resumed.session)
