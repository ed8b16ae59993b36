"""Sessions: what was saved is there again, whatever killed the program, filled the disk or wrote into the database."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gork.conversation.sessions import SessionLog, default_folder, listing, open_new, resume
from gork.errors import UsageError
from tests.support.fake_ollama import FakeOllama
from tests.support.heavy_lite import MODELS
from tests.support.paths import ROOT
from tests.support.program import Program
from tests.support.turns import turn

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and locks are POSIX's")


class Folder:
    """A folder of sessions, and what was said about them."""

    def __init__(self, path: Path) -> None:
        self.path, self.database = path, path / "sessions.db"
        self.said: list[str] = []

    def new(self) -> SessionLog:
        return open_new(self.path, self.said.append)

    def saved(self, *exchanges: tuple[str, str]) -> SessionLog:
        """A session with these turns, closed."""
        log = self.new()
        for prompt, answer in exchanges:
            log.append(prompt, turn(prompt, answer))
        log.close()
        assert log.notice is None
        return log

    def resume(self, wanted: str | None = None, *, save: bool = True, **limits: int):
        return resume(wanted, self.path, self.said.append, save=save, **limits)

    def history(self, wanted: str | None = None) -> list[tuple[str, str]]:
        """What a session continues with; the session is free again afterwards."""
        resumed = self.resume(wanted)
        resumed.log.close()
        return [(exchange.user, exchange.assistant) for exchange in resumed.conversation.exchanges]

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """What SQLite itself says or does."""
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            return db.execute(statement, values).fetchall()


@pytest.fixture
def folder(tmp_path):
    """A folder of sessions that is not there yet."""
    return Folder(tmp_path / "state" / "gork" / "sessions")


THREE = [("q1", "a1"), ("q2 with\ntwo lines", "a2 \u2028 \ud83d half"), ("q3", "a3 \x1b[31m")]


def test_a_session_comes_back_as_it_was_left(folder):
    """Own words and chosen answers, in order; lone surrogates, which no model could be sent, are replaced."""
    log = folder.saved(*THREE)

    assert [THREE[0], (THREE[1][0], "a2 \u2028 ? half"), THREE[2]] == folder.history(log.id)
    assert [] == folder.said


def test_a_record_is_json_with_the_whole_turn(folder):
    """What --json prints, lone surrogates included, the prompt and whether it is kept; SQLite's own functions can read it."""
    log = folder.saved(THREE[1])

    ((session, text, member),) = folder.sql("SELECT session, json, json_extract(json, '$.winner') FROM record")
    record = json.loads(text)
    assert (log.id, "a") == (session, member)
    assert turn(*THREE[1]).as_json() | {"kind": "turn", "prompt": THREE[1][0], "kept": True, "at": record["at"]} == record


def test_only_its_owner_can_read_a_session(folder):
    """The folders are 0700, every file in them is 0600 whatever the umask allows: SQLite's journal too, while it is there."""
    before = os.umask(0)
    try:
        log = folder.new()
        log.append("q1", turn("q1", "a1"))
        with contextlib.closing(sqlite3.connect(folder.database)) as db:
            db.execute("DELETE FROM record")
            files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir()}
            db.rollback()
    finally:
        os.umask(before)

    assert {"sessions.db": 0o600, "sessions.db-journal": 0o600, f"{log.id}.lock": 0o600} == files
    assert [0o700, 0o700] == [stat.S_IMODE(path.stat().st_mode) for path in (folder.path.parent, folder.path)]


def test_a_session_without_a_turn_leaves_no_file(folder):
    """Opening the prompt and leaving it is nothing to remember."""
    log = folder.new()
    log.cleared()
    log.close()

    assert [] == list(folder.path.iterdir())


def test_a_closed_session_leaves_the_database_alone(folder):
    """Neither its lock nor a journal."""
    folder.saved(*THREE)

    assert ["sessions.db"] == [path.name for path in folder.path.iterdir()]


def test_the_turn_is_committed_before_append_returns(folder):
    """Others see it, and nothing is left to be undone."""
    log = folder.new()
    for number in range(3):
        log.append("q", turn("q", "a"))
        assert [(number + 1,)] == folder.sql("SELECT count(*) FROM record")
        assert not (folder.path / "sessions.db-journal").exists()
    log.close()


def test_a_transaction_torn_at_any_byte_keeps_everything_before(folder, tmp_path):
    """Half of its pages are written: the turns before are there, and the next turn is saved after them."""
    log = folder.saved(*THREE)
    whole = folder.database.stat().st_size
    with contextlib.closing(sqlite3.connect(folder.database, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")  # pages go to the file before the transaction ends
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE record SET json = 'torn' || json")
        for _ in range(20):
            db.execute("INSERT INTO record (session, turn, json) VALUES (?, 1, ?)", (log.id, "x" * 10_000))
        torn = folder.database.stat().st_size
        for end in range(whole, torn + 1, 4111):
            killed = Folder(tmp_path / str(end) / "gork" / "sessions")
            shutil.copytree(folder.path, killed.path)  # what a killed process leaves
            os.truncate(killed.database, end)
            assert (killed.path / "sessions.db-journal").stat().st_size > 0
            resumed = killed.resume(log.id)
            resumed.log.append("next", turn("next", "answer"))
            resumed.log.close()

            assert (3, 4, []) == (len(resumed.conversation), len(killed.history(log.id)), killed.said), end
            assert [("ok",)] == killed.sql("PRAGMA integrity_check")
    assert torn > whole + 100_000


KILLING = """
import json, os, random, signal, sys, time
from pathlib import Path
from gork.conversation.sessions import open_new, resume
from tests.support.turns import turn

folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), random.Random(7)
said = []
torn = lost = saved = 0
session = None
for round_ in range(kills):
    if round_ % 10 == 0:
        session = None  # else the last one goes on, with whatever the kill left
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        if session is None:
            log, start = open_new(folder, print), 0
        else:
            resumed = resume(session, folder, print)
            log, start = resumed.log, len(resumed.conversation)
        for number in range(start, 10**6):
            log.append(str(number), turn(str(number), "x" * 20_000))
            if log.notice is not None:
                os._exit(1)
            os.write(writing, f"{log.id} {number}\\n".encode())
    os.close(writing)
    with os.fdopen(reading) as acknowledged:
        line = acknowledged.readline()
        for _ in range(seed.randrange(3)):
            line = acknowledged.readline()
        until = time.perf_counter() + seed.random() * 0.02
        while time.perf_counter() < until:
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        line = (acknowledged.read().splitlines() or [line])[-1]
    session, last = line.split()[0], int(line.split()[1])
    journal = folder / "sessions.db-journal"
    torn += journal.exists() and journal.stat().st_size > 0
    resumed = resume(session, folder, said.append, save=False)
    said += resumed.notices
    numbers = [int(exchange.user) for exchange in resumed.conversation.exchanges]
    saved += 1
    lost += numbers[: last + 1] != list(range(last + 1)) or numbers != list(range(len(numbers)))
modes = sorted({oct(path.stat().st_mode & 0o777) for path in folder.iterdir()})
print(json.dumps({"kills": saved, "torn": torn, "lost": lost, "said": said, "modes": modes}))
"""


@pytest.mark.parametrize("kills", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_no_kill_loses_a_turn_that_was_saved(tmp_path, kills):
    """Kill -9 at random moments of saving: whatever was acknowledged is there, in order, and every process after it can go on."""
    done = subprocess.run(
        [sys.executable, "-c", KILLING, str(tmp_path / "s"), str(kills)], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )

    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {"kills": kills, "lost": 0, "said": [], "modes": ["0o600"]} == {key: found[key] for key in ("kills", "lost", "said", "modes")}


FULL = """
import resource, sys
from pathlib import Path
from gork.conversation.sessions import open_new
from tests.support.turns import turn

resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))
log = open_new(Path(sys.argv[1]), print)
for number in range(50):
    log.append(str(number), turn(str(number), "x" * 1000))
print("end", log.id)
"""


def test_a_disk_that_is_full_is_said_once_and_the_session_goes_on(folder):
    """The turns that fitted are whole, and no turn fails."""
    done = subprocess.run([sys.executable, "-c", FULL, str(folder.path)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)

    assert 0 == done.returncode, done.stderr
    said, end = done.stdout.splitlines()
    assert "no longer being saved" in said
    numbers = [user for user, _ in folder.history(end.split()[1])]
    assert [str(number) for number in range(len(numbers))] == numbers
    assert 2 < len(numbers) < 40
    assert [("ok",)] == folder.sql("PRAGMA integrity_check")


SEVERAL = """
import sys
from pathlib import Path
from gork.conversation.sessions import open_new
from tests.support.turns import turn

log = open_new(Path(sys.argv[1]), print)
for number in range(8):
    log.append(str(number), turn(str(number), "a"))
log.close()
"""


def test_several_processes_at_once_save_every_turn(folder):
    """Each into its own session, from the first moment on, when there is no database yet."""
    writers = [
        subprocess.Popen([sys.executable, "-c", SEVERAL, str(folder.path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [("", None, 0)] * 3 == [(*writer.communicate(timeout=60), writer.returncode) for writer in writers]

    sessions = [listed.id for listed in listing(folder.path, folder.said.append)]
    assert (3, []) == (len(sessions), folder.said)
    assert [[str(number) for number in range(8)]] * 3 == [[user for user, _ in folder.history(session)] for session in sessions]


def test_a_folder_that_cannot_be_is_said_at_once_and_only_once(tmp_path):
    """Nothing is written, nothing fails."""
    (tmp_path / "file").write_text("")
    said: list[str] = []
    log = open_new(tmp_path / "file" / "gork" / "sessions", said.append)
    for number in range(3):
        log.append("q", turn("q", str(number)))
    log.cleared()

    assert (1, True) == (len(said), "not being saved" in said[0])
    assert said[0] == log.notice


def test_a_turn_that_is_too_large_is_said_once(folder):
    """What was saved before stays."""
    log = folder.saved(*THREE[:1])
    resumed = folder.resume(log.id)
    for answer in ("x" * (9 << 20), "small"):
        resumed.log.append("q", turn("q", answer))
    resumed.log.close()

    assert ["too large" in line for line in folder.said] == [True]
    assert [THREE[0]] == folder.history(log.id)


def test_without_a_home_there_is_no_folder():
    """A relative XDG_STATE_HOME does not count, as its specification says."""
    assert default_folder({}) is None
    assert default_folder({"XDG_STATE_HOME": "here"}) is None
    assert Path("/h/.local/state/gork/sessions") == default_folder({"HOME": "/h", "XDG_STATE_HOME": "here"})
    assert Path("/x/gork/sessions") == default_folder({"HOME": "/h", "XDG_STATE_HOME": "/x"})


def test_records_that_cannot_be_read_are_skipped_and_named(folder):
    """Garbage, a record of an unknown kind and a turn without an answer: the turns around them are kept."""
    log = folder.saved(*THREE)
    bad = [
        b"\x00\xff garbage",
        '{"kind": "dream"}',
        '{"kind": "turn", "prompt": 1, "answer": "a"}',
        "[" * 100_000,
        "[1]",
        " " * (9 << 20),
        5,
    ]
    for record in bad:
        folder.sql("INSERT INTO record (session, turn, json) VALUES (?, 1, ?)", log.id, record)
    resumed = folder.resume(log.id)

    assert 3 == len(resumed.conversation)
    assert [f"record {number} is skipped" in notice for number, notice in enumerate(resumed.notices[:5], 4)] == [True] * 5
    assert "2 more records are skipped" in resumed.notices[5]


def test_a_database_of_a_newer_version_is_never_written_to(folder):
    """It is said, the session goes on in memory, and one that was named is an error."""
    log = folder.saved(*THREE[:1])
    folder.sql("PRAGMA user_version = 2")
    before = folder.database.read_bytes()

    resumed = folder.resume()
    for number in range(2):
        resumed.log.append("q2", turn("q2", str(number)))
    resumed.log.close()
    assert before == folder.database.read_bytes()
    assert ["newer program" in line for line in (*resumed.notices, *folder.said)] == [True, True]
    with pytest.raises(UsageError, match="newer program"):
        folder.resume(log.id)
    with pytest.raises(UsageError, match="newer program"):
        listing(folder.path, folder.said.append)


@pytest.mark.parametrize("content", [b"no database at all " * 1000, b"SQLite format 3\0 and no more of it", None])
def test_a_damaged_database_is_set_aside_and_a_new_one_begins(folder, content):
    """One line says so; nothing is deleted; a database of other tables is damaged as well."""
    log = folder.saved(*THREE[:1])
    if content is None:
        folder.sql("DROP TABLE record")
        content = folder.database.read_bytes()
    folder.database.write_bytes(content)

    assert [] == folder.history()
    assert 1 == len(folder.said)
    assert "damaged" in folder.said[0]
    (aside,) = (path for path in folder.path.iterdir() if path.name.startswith("sessions.db.damaged-"))
    assert (aside.name in folder.said[0], content) == (True, aside.read_bytes())
    assert folder.saved(("new", "a")).id != log.id
    assert ([("new", "a")], 1) == (folder.history(), len(folder.said))


def test_a_database_that_is_damaged_meanwhile_does_not_end_the_session(folder):
    """What follows is saved in a new one, under the same id."""
    log = folder.new()
    log.append("q1", turn("q1", "a1"))
    folder.database.write_bytes(b"garbage" * 1000)
    log.append("q2", turn("q2", "a2"))
    log.close()

    assert ([("q2", "a2")], 1) == (folder.history(log.id), len(folder.said))


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


def test_a_process_that_was_killed_holds_nothing(folder):
    """Its session goes on under its id."""
    script = "import os\n" + FULL.replace('print("end", log.id)', "print(log.id, flush=True)\nos.kill(os.getpid(), 9)").replace("50", "1")
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder.path)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )

    resumed = folder.resume()
    assert (-9, done.stdout.strip(), ()) == (done.returncode, resumed.log.id, resumed.notices)
    resumed.log.close()
    assert ["sessions.db"] == [path.name for path in folder.path.iterdir()]


def test_continue_takes_the_session_that_was_used_last(folder):
    """Not the one that was begun last."""
    older, newer = folder.saved(("old", "a")), folder.saved(("new", "a"))
    assert [("new", "a")] == folder.history()
    resumed = folder.resume(older.id)
    resumed.log.cleared()
    resumed.log.append("old again", turn("old again", "a"))
    resumed.log.close()

    assert [("old again", "a")] == folder.history()
    assert [older.id, newer.id] == [listed.id for listed in listing(folder.path, folder.said.append)]


def test_an_id_can_be_shortened_and_an_unknown_one_is_an_error_with_near_ones(folder):
    """A beginning that only one session has is enough."""
    for session in ("20260101-000000-aaa", "20260102-000000-bbb"):
        log = folder.saved((session, "a"))
        folder.sql("UPDATE session SET id = ? WHERE id = ?", session, log.id)
        folder.sql("UPDATE record SET session = ? WHERE session = ?", session, log.id)

    assert [("20260102-000000-bbb", "a")] == folder.history("20260102")
    with pytest.raises(UsageError, match="matches 2 sessions"):
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


@pytest.mark.parametrize(
    ("what", "turns"),
    [(("turn", "turn"), 2), (("turn", "retracted", "turn"), 1), (("turn", "retracted"), 0), (("turn", "cleared", "turn"), 1)],
)
def test_the_list_counts_the_turns_that_would_be_continued(folder, what, turns):
    """Not those that were taken back or cleared away, so that both places say the same."""
    log = folder.new()
    act = {"turn": lambda: log.append("question", turn("question", "answer")), "retracted": log.retracted, "cleared": log.cleared}
    for one in what:
        act[one]()
    log.close()

    (listed,) = listing(folder.path, folder.said.append)
    assert (turns, turns) == (listed.turns, len(folder.history()))


def test_the_list_shows_each_session_on_one_clean_line(folder):
    """Turns and the first question, without what a terminal would act on; other files are not listed."""
    log = folder.saved(("first\n\x1b[2Jquestion\u202e", "a"), ("second", "a"))
    (folder.path / "20260101-000000-zzz.jsonl").symlink_to("/etc/passwd")
    (folder.path / "notes.txt").write_text("mine")
    os.mkfifo(folder.path / "20260101-000000-yyy.jsonl")

    (listed,) = listing(folder.path, folder.said.append)
    assert (log.id, 2, []) == (listed.id, listed.turns, folder.said)
    assert listed.first.isprintable()
    assert listed.first.startswith("first ")


def test_a_pipe_in_the_place_of_the_database_does_not_hang(folder):
    """Only plain files are opened."""
    folder.path.mkdir(parents=True)
    os.mkfifo(folder.database)

    with pytest.raises(UsageError, match="not a plain file"):
        listing(folder.path, folder.said.append)
    log = folder.new()
    log.append("q", turn("q", "a"))
    assert ["not a plain file" in line for line in folder.said] == [True]


def test_a_very_large_session_is_read_from_its_newest_part(folder):
    """Reading is bounded, and what is left out is told."""
    log = folder.saved(*((f"q{number}", "x" * 1000) for number in range(20)))

    resumed = folder.resume(log.id, largest=10_000)
    users = [exchange.user for exchange in resumed.conversation.exchanges]
    assert [f"q{number}" for number in range(20 - len(users), 20)] == users
    assert 1 < len(users) < 10
    assert any("oldest turns are left out" in notice for notice in resumed.notices)


@pytest.mark.parametrize("seed", range(40))
def test_no_content_of_the_database_raises_anything_but_our_error(folder, seed):
    """Bytes at random places are changed: it opens or says why not, what it gives is text, and the next turn is saved or that is said."""
    folder.saved(*THREE)
    draw, content = random.Random(seed), bytearray(folder.database.read_bytes())
    for _ in range(30):
        content[draw.randrange(len(content) if seed % 2 else 200)] = draw.randrange(256)
    folder.database.write_bytes(content)

    with contextlib.suppress(UsageError):
        assert all(isinstance(listed.first, str) for listed in listing(folder.path, folder.said.append))
    with contextlib.suppress(UsageError):
        resumed = folder.resume()
        assert all(isinstance(text, str) for exchange in resumed.conversation.exchanges for text in (exchange.user, exchange.assistant))
        resumed.log.append("next", turn("next", "a"))
        resumed.log.close()
        assert resumed.log.notice is not None or ("next", "a") == folder.history()[-1]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="for root nothing is read-only")
def test_sessions_in_a_folder_that_can_only_be_read_are_continued_in_memory(folder):
    """What was said is there, what follows is not saved, and that is said."""
    log = folder.saved(*THREE[:1])
    folder.database.chmod(0o400)
    folder.path.chmod(0o500)
    try:
        resumed = folder.resume(log.id)
        resumed.log.append("q2", turn("q2", "a2"))
    finally:
        folder.path.chmod(0o700)

    assert 1 == len(resumed.conversation)
    assert "cannot be written to" in resumed.notices[0]
    assert ["not saved" in line for line in folder.said] == [True]


def test_sqlite_is_imported_when_something_is_saved(folder):
    """A question that is not saved does not wait for it."""
    script = "import sys\nfrom pathlib import Path\nfrom gork.conversation.sessions import open_new\n"
    script += f"open_new(Path({str(folder.path)!r}), print)\nprint('sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)

    assert "False\n" == done.stdout


@pytest.fixture
async def program(tmp_path):
    """The program beside a server whose models answer."""
    async with FakeOllama(*MODELS) as server:
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
    assert "after 1 turn" in err
    code, out, _ = await program.run("--list")
    (line,) = out.decode().splitlines()
    assert (0, ["3", "first", "question"]) == (code, line.split()[3:])


async def test_no_save_leaves_nothing_behind_and_still_continues(program):
    """--no-save reads and does not write."""
    await program.run("-i", "--no-save", "--no-optimize", stdin=b"hello\n")
    assert not list(program.home.rglob("sessions*"))
    await program.run("-i", "--no-optimize", stdin=b"first question\n")
    (file,) = program.home.rglob("sessions.db")
    before = file.read_bytes()
    await program.run("-i", "--no-save", "--no-optimize", "--continue", stdin=b"second question\n")

    assert before == file.read_bytes()
    assert "first question" in [message["content"] for message in program.server.chats[-1]["messages"]]


async def test_without_a_home_the_prompt_works_and_says_so_once(program):
    """As in a container whose user has none."""
    program.env.pop("HOME")
    code, out, err = await program.run("-i", "--no-optimize", stdin=b"one\ntwo\n")

    assert (0, 2, 1) == (code, out.count(b"Response: "), err.count("not being saved"))


async def test_an_unknown_session_ends_with_2_and_nothing_is_asked(program):
    """Before any model is."""
    await program.run("-i", "--no-optimize", stdin=b"hello\n")
    asked = len(program.server.chats)
    code, out, err = await program.run("-i", "--continue", "19990101-000000-aaa", stdin=b"hello\n")

    assert (2, b"", asked) == (code, out, len(program.server.chats))
    assert "no session" in err
