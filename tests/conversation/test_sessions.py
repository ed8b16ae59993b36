"""Sessions: what was saved is there again, whatever killed the program, filled the disk or wrote into the file."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gork.conversation import journal
from gork.conversation.session_folder import default_folder, listing
from gork.conversation.sessions import SessionLog, open_new, resume
from gork.errors import UsageError
from tests.support.fake_ollama import FakeOllama
from tests.support.heavy_lite import MODELS, likes_paris
from tests.support.paths import ROOT
from tests.support.program import Program
from tests.support.turns import turn

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and locks are POSIX's")


class Folder:
    """A folder of sessions, and what was said about them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []

    def new(self) -> SessionLog:
        return open_new(self.path, ensemble="heavy-lite", say=self.said.append)

    def saved(self, *exchanges: tuple[str, str]) -> SessionLog:
        """A session with these turns, closed."""
        log = self.new()
        for prompt, answer in exchanges:
            log.append(prompt, turn(prompt, answer))
        path = log.path
        log.close()
        assert path is not None
        return log

    def resume(self, wanted: str | None = None, *, save: bool = True):
        return resume(wanted, self.path, ensemble="heavy-lite", say=self.said.append, save=save)

    def file(self, session: str) -> Path:
        return self.path / f"{session}.jsonl"

    def history(self, wanted: str | None = None) -> list[tuple[str, str]]:
        """What a session continues with; the session is free again afterwards."""
        resumed = self.resume(wanted)
        resumed.log.close()
        return [(exchange.user, exchange.assistant) for exchange in resumed.conversation.exchanges]


@pytest.fixture
def folder(tmp_path):
    """A folder of sessions that is not there yet."""
    return Folder(tmp_path / "state" / "gork" / "sessions")


THREE = [("q1", "a1"), ("q2 with\ntwo lines", "a2 \u2028 \ud83d half"), ("q3", "a3 \x1b[31m")]


def test_a_session_comes_back_as_it_was_left(folder):
    """Own words and chosen answers, in order; half a character, which no model could be sent, is replaced."""
    log = folder.saved(*THREE)

    assert [THREE[0], (THREE[1][0], "a2 \u2028 ? half"), THREE[2]] == folder.history(log.id)
    assert [] == folder.said


def test_the_file_is_json_lines_with_a_header_and_whole_turns(folder):
    """Line 1 has version, id, time and ensemble; a turn has what --json prints, the prompt and whether it is kept."""
    log = folder.saved(("q1", "a1"))

    header, line = [json.loads(line) for line in folder.file(log.id).read_text().splitlines()]
    assert (1, log.id, "heavy-lite", None) == tuple(header[key] for key in ("gork_session", "id", "ensemble", "continues"))
    assert turn("q1", "a1").as_json() | {"kind": "turn", "prompt": "q1", "kept": True, "at": line["at"]} == line


def test_nobody_else_can_read_a_session(folder):
    """The folder is 0700, the file 0600, whatever the umask allows."""
    before = os.umask(0)
    try:
        log = folder.saved(("q1", "a1"))
    finally:
        os.umask(before)

    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.path.parent, folder.path, folder.file(log.id))]
    assert [0o700, 0o700, 0o600] == modes


def test_a_session_without_a_turn_leaves_no_file(folder):
    """Opening the prompt and leaving it is nothing to remember."""
    log = folder.new()
    log.cleared()
    log.close()

    assert [] == list(folder.path.iterdir())


def test_the_turn_is_on_the_disk_before_append_returns(folder, monkeypatch):
    """One write for each line, then a sync of the file; the folder is synced when the file is made."""
    calls = []
    real_write, real_sync = os.write, os.fsync
    monkeypatch.setattr(os, "write", lambda handle, data: (calls.append(("write", bytes(data).count(b"\n"))), real_write(handle, data))[1])
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append(("sync", stat.S_ISDIR(os.fstat(handle).st_mode))), real_sync(handle))[1])
    log = folder.new()
    log.append("q1", turn("q1", "a1"))
    log.close()

    assert [("sync", True), ("write", 1), ("sync", False), ("write", 1), ("sync", False)] == calls


def test_a_file_cut_at_any_byte_of_its_last_record_keeps_everything_before(folder):
    """Cut at every byte: the turns before are there, the torn one is dropped and told, and the next turn is not glued to it."""
    log = folder.saved(*THREE)
    file = folder.file(log.id)
    content = file.read_bytes()
    last = content[:-1].rindex(b"\n") + 1
    for end in range(last, len(content) + 1):
        file.write_bytes(content[:end])
        resumed = resume(log.id, folder.path, ensemble="heavy-lite", say=folder.said.append)
        kept = 3 if end >= len(content) - 1 else 2
        torn = last < end < len(content) - 1
        resumed.log.append("next", turn("next", "answer"))
        resumed.log.close()

        assert (kept, torn) == (len(resumed.conversation), any("torn" in notice for notice in resumed.notices)), end
        again = journal.read(file)
        assert ([], False, kept + 2) == (again.bad, again.torn, len(again.records)), end
        assert "next" == again.records[-1][1]["prompt"]


KILLING = """
import json, os, random, signal, sys, time
from pathlib import Path
from gork.conversation import journal
from gork.conversation.sessions import open_new, resume
from tests.support.turns import turn

folder, seed = Path(sys.argv[1]), random.Random(7)
torn = lost = glued = saved = 0
session = None
for round_ in range(200):
    if round_ % 10 == 0:
        session = None  # else the last one goes on, with whatever the kill left at its end
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        if session is None:
            log = open_new(folder, ensemble="x", say=print)
            start = 0
        else:
            resumed = resume(session, folder, ensemble="x", say=print)
            log, start = resumed.log, len(resumed.conversation)
        for number in range(start, 10**6):
            log.append(str(number), turn(str(number), "x" * 50_000))
            os.write(writing, f"{log.id} {number}\\n".encode())
    os.close(writing)
    with os.fdopen(reading) as acknowledged:
        line = acknowledged.readline()
        for _ in range(seed.randrange(3)):
            line = acknowledged.readline()
        until = time.perf_counter() + seed.random() * 0.002
        while time.perf_counter() < until:
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        line = (acknowledged.read().splitlines() or [line])[-1]
    session, last = line.split()[0], int(line.split()[1])
    contents = journal.read(folder / f"{session}.jsonl")
    numbers = [int(record["prompt"]) for _, record in contents.records if record.get("kind") == "turn"]
    saved += 1
    torn += contents.torn
    glued += len(contents.bad)
    lost += numbers[: last + 1] != list(range(last + 1)) or numbers != list(range(len(numbers)))
print(json.dumps({"kills": saved, "torn": torn, "lost": lost, "glued": glued}))
"""


def test_two_hundred_kills_lose_no_turn_that_was_saved(tmp_path):
    """Kill -9 at random moments of saving: whatever was acknowledged is there, in order, and no line is ever glued to a torn one."""
    done = subprocess.run(
        [sys.executable, "-c", KILLING, str(tmp_path / "s")], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )

    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    assert {"kills": 200, "lost": 0, "glued": 0} == {key: found[key] for key in ("kills", "lost", "glued")}


FULL = """
import resource, sys
from pathlib import Path
from gork.conversation.sessions import open_new
from tests.support.turns import turn

resource.setrlimit(resource.RLIMIT_FSIZE, (12000, 12000))
log = open_new(Path(sys.argv[1]), ensemble="x", say=print)
for number in range(20):
    log.append(str(number), turn(str(number), "x" * 1000))
print("end", log.id)
"""


def test_a_disk_that_is_full_is_said_once_and_the_session_goes_on(folder):
    """The turns that fitted are whole, nothing torn is left behind, and no turn fails."""
    done = subprocess.run([sys.executable, "-c", FULL, str(folder.path)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)

    said, end = done.stdout.splitlines()
    assert "not saved from here on" in said
    contents = journal.read(folder.file(end.split()[1]))
    numbers = [record["prompt"] for _, record in contents.records[1:]]
    assert (False, [], [str(number) for number in range(len(numbers))]) == (contents.torn, contents.bad, numbers)
    assert 2 < len(numbers) < 6


def test_a_folder_that_cannot_be_is_said_at_once_and_only_once(tmp_path):
    """Nothing is written, nothing fails."""
    (tmp_path / "file").write_text("")
    said: list[str] = []
    log = open_new(tmp_path / "file" / "gork" / "sessions", ensemble="x", say=said.append)
    for number in range(3):
        log.append("q", turn("q", str(number)))
    log.cleared()

    assert (1, True) == (len(said), "not saved" in said[0])
    assert said[0] == log.notice


def test_without_a_home_there_is_no_folder():
    """A relative XDG_STATE_HOME does not count, as its specification says."""
    assert default_folder({}) is None
    assert default_folder({"XDG_STATE_HOME": "here"}) is None
    assert Path("/h/.local/state/gork/sessions") == default_folder({"HOME": "/h", "XDG_STATE_HOME": "here"})
    assert Path("/x/gork/sessions") == default_folder({"HOME": "/h", "XDG_STATE_HOME": "/x"})


def test_lines_that_cannot_be_read_are_skipped_and_named(folder):
    """Garbage, a record of an unknown kind and a turn without an answer: the turns around them are kept."""
    log = folder.saved(*THREE)
    lines = folder.file(log.id).read_bytes().splitlines(keepends=True)
    bad = [
        b"\x00\xff garbage\n",
        b'{"kind": "dream"}\n',
        b'{"kind": "turn", "prompt": 1, "answer": "a"}\n',
        b"[" * 100_000 + b"\n",
        b"[1]\n",
    ]
    folder.file(log.id).write_bytes(b"".join([*lines[:2], *bad, *lines[2:]]))

    resumed = folder.resume(log.id)
    assert 3 == len(resumed.conversation)
    assert [f"line {number} is skipped" in notice for number, notice in enumerate(resumed.notices, 3)] == [True] * 5


def test_a_file_of_a_newer_version_is_never_written_to(folder):
    """What is understood of it is continued in a new session."""
    log = folder.saved(*THREE[:1])
    file = folder.file(log.id)
    file.write_text(file.read_text().replace('"gork_session":1', '"gork_session":2'))
    before = file.read_bytes()

    resumed = folder.resume(log.id)
    resumed.log.append("q2", turn("q2", "a2"))
    resumed.log.close()

    assert before == file.read_bytes()
    assert any("newer version" in notice for notice in resumed.notices)
    assert [("q1", "a1"), ("q2", "a2")] == folder.history(resumed.log.id)


def test_a_cleared_conversation_stays_cleared(folder):
    """A session continues after its last /clear."""
    log = folder.new()
    log.append("q1", turn("q1", "a1"))
    log.cleared()
    log.append("q2", turn("q2", "a2"))
    log.close()

    assert [("q2", "a2")] == folder.history(log.id)


def test_a_retracted_turn_and_one_that_is_not_kept_are_not_continued(folder):
    """What was taken out of the conversation is still in the file, and not in the history."""
    log = folder.new()
    log.append("q1", turn("q1", "a1"))
    log.append("q2", turn("q2", "bad"))
    log.retracted()
    log.append("q2", turn("q2", "better"))
    log.append("q3", turn("q3", "aside"), kept=False)
    log.close()

    assert [("q1", "a1"), ("q2", "better")] == folder.history(log.id)


def test_the_second_process_on_a_session_saves_into_a_new_one_with_the_same_history(folder):
    """The first one's file is not touched, the second is told."""
    log = folder.saved(*THREE[:1])
    first, second = folder.resume(log.id), folder.resume(log.id)
    first.log.append("from the first", turn("q", "a"))
    second.log.append("from the second", turn("q", "b"))
    first.log.close()
    second.log.close()

    assert first.log.id == log.id != second.log.id
    assert "in use" in second.notices[0]
    assert [("q1", "a1"), ("from the first", "a")] == folder.history(log.id)
    assert [("q1", "a1"), ("from the second", "b")] == folder.history(second.log.id)


def test_continue_takes_the_session_that_was_used_last(folder):
    """Not the one that was begun last."""
    older, newer = folder.saved(("old", "a")), folder.saved(("new", "a"))
    os.utime(folder.file(newer.id), (1, 1))

    assert [("old", "a")] == folder.history()
    assert older.id != newer.id


def test_an_id_can_be_shortened_and_an_unknown_one_is_an_error_with_near_ones(folder):
    """A beginning that only one session has is enough."""
    for session in ("20260101-000000-aaa", "20260102-000000-bbb"):
        log = folder.saved((session, "a"))
        folder.file(log.id).rename(folder.file(session))

    assert [("20260102-000000-bbb", "a")] == folder.history("20260102")
    with pytest.raises(UsageError, match="beginning of 2 sessions"):
        folder.resume("2026")
    with pytest.raises(UsageError, match="20260102-000000-bbb"):
        folder.resume("20260103-000000-bbb")
    with pytest.raises(UsageError, match="no session"):
        folder.resume("../../etc/passwd")


def test_ids_sort_by_time_and_are_safe_as_file_names(folder):
    """Digits, small letters and dashes; no two are the same."""
    ids = [folder.new().id for _ in range(50)]

    assert 50 == len(set(ids))
    assert all(set(session) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") and len(session) == 22 for session in ids)
    assert sorted(session[:15] for session in ids) == [session[:15] for session in ids]


def test_the_list_shows_each_session_on_one_clean_line(folder):
    """Turns and the first question, without what a terminal would act on; what is no session is not listed."""
    log = folder.saved(("first\n\x1b[2Jquestion\u202e", "a"), ("second", "a"))
    (folder.path / "20260101-000000-zzz.jsonl").symlink_to("/etc/passwd")
    (folder.path / "notes.txt").write_text("mine")
    os.mkfifo(folder.path / "20260101-000000-yyy.jsonl")

    (listed,) = listing(folder.path)
    assert (log.id, 2) == (listed.id, listed.turns)
    assert listed.first.isprintable()
    assert listed.first.startswith("first ")


def test_a_pipe_in_the_place_of_a_session_does_not_hang(folder):
    """Only plain files are opened."""
    log = folder.saved(("q", "a"))
    folder.file(log.id).unlink()
    os.mkfifo(folder.file(log.id))

    with pytest.raises(OSError, match="not a plain file"):
        journal.read(folder.file(log.id))


def test_a_very_large_session_is_read_from_its_newest_part(folder, monkeypatch):
    """Reading is bounded, and what is left out is told."""
    log = folder.saved(*((f"q{number}", "x" * 1000) for number in range(20)))
    monkeypatch.setattr(journal, "LARGEST_FILE", 10_000)

    resumed = folder.resume(log.id)
    users = [exchange.user for exchange in resumed.conversation.exchanges]
    assert [f"q{number}" for number in range(20 - len(users), 20)] == users
    assert 1 < len(users) < 10
    assert any("oldest turns are left out" in notice for notice in resumed.notices)


@pytest.mark.parametrize("seed", range(20))
def test_no_content_of_a_file_raises_anything_but_our_error(folder, seed):
    """Bytes at random places of a session are changed: it opens, and what it gives is text."""
    log = folder.saved(*THREE)
    draw, content = random.Random(seed), bytearray(folder.file(log.id).read_bytes())
    for _ in range(30):
        content[draw.randrange(len(content))] = draw.randrange(256)
    folder.file(log.id).write_bytes(content)

    assert all(isinstance(text, str) for exchange in folder.history(log.id) for text in exchange)


@pytest.fixture
async def program(tmp_path):
    """The program beside a server whose models answer."""
    async with FakeOllama(*MODELS) as server:
        server.lean("gemma3:1b", likes_paris)
        made = Program(tmp_path, server.url)
        made.server = server
        yield made


async def test_a_continued_session_gives_the_models_what_was_said_before(program):
    """Two runs of the prompt on a pipe, then one question: each knows the turns before it."""
    await program.run("-i", "--no-optimize", stdin=b"first question\n")
    _, _, err = await program.run("-i", "--no-optimize", "--continue", stdin=b"second question\n")
    code, out, _ = await program.run("--no-optimize", "--continue", "third question")

    asked = [message["content"] for message in program.server.chats[-1]["messages"] if message["role"] == "user"]
    assert ["first question", "second question", "third question"] == asked
    assert (0, b"Hello there.\n") == (code, out)
    assert "goes on after 1 turn" in err
    code, out, _ = await program.run("--list")
    (line,) = out.decode().splitlines()
    assert (0, ["3", "first", "question"]) == (code, line.split()[3:])


async def test_no_save_leaves_nothing_behind_and_still_continues(program):
    """--no-save reads and does not write."""
    await program.run("-i", "--no-save", "--no-optimize", stdin=b"hello\n")
    assert not list(program.home.rglob("*.jsonl"))
    await program.run("-i", "--no-optimize", stdin=b"first question\n")
    (file,) = program.home.rglob("*.jsonl")
    before = file.read_bytes()
    await program.run("-i", "--no-save", "--no-optimize", "--continue", stdin=b"second question\n")

    assert before == file.read_bytes()
    assert "first question" in [message["content"] for message in program.server.chats[-1]["messages"]]


async def test_without_a_home_the_prompt_works_and_says_so_once(program):
    """As in a container whose user has none."""
    program.env.pop("HOME")
    code, out, err = await program.run("-i", "--no-optimize", stdin=b"one\ntwo\n")

    assert (0, 2, 1) == (code, out.count(b"Response: "), err.count("not saved"))


async def test_an_unknown_session_ends_with_2_and_nothing_is_asked(program):
    """Before any model is."""
    await program.run("-i", "--no-optimize", stdin=b"hello\n")
    asked = len(program.server.chats)
    code, out, err = await program.run("-i", "--continue", "19990101-000000-aaa", stdin=b"hello\n")

    assert (2, b"", asked) == (code, out, len(program.server.chats))
    assert "no session" in err
