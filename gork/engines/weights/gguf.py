"""Whether a file is a whole GGUF file, found out without numpy and without trusting it.

Every count and length in the file is checked against a bound before anything is read or allocated for it. The reader of the `gguf`
package is not used here: it is slow on large vocabularies, imports numpy, and leaves a broken file to numpy's errors.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO, NoReturn

from gork.errors import WeightsError

MAGIC = b"GGUF"
_METADATA_LIMIT = 64 << 20  # a vocabulary of 262,144 tokens takes about 10 MB
_COUNT_LIMIT = 1 << 22
_TENSOR_LIMIT = 1 << 16
_TEXT_LIMIT = 1 << 20
_CHUNK = 1 << 20
_GLANCE, _SHORTEST = 512, 24

_NOT_GGUF = ("not a GGUF file (it does not begin with 'GGUF')", "use another file")
_OTHERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file that it stands for", "fetch the file: git lfs pull"),
    (b"<!doctype html", "a web page, not a GGUF file", "fetch the file itself, by its address for downloads"),
    (b"<html", "a web page, not a GGUF file", "fetch the file itself, by its address for downloads"),
)
"""By how they begin, other files that come in a GGUF file's place: what each is, and what to do."""
_PROJECTORS = frozenset({"clip", "mmproj"})
_ENCODERS = frozenset({"t5encoder", "gemma-embedding"})
"""Architectures that write nothing, besides all that are some BERT."""

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

TENSOR_BLOCKS: dict[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84), 11: (256, 110),
    12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50),
    20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip
"""Elements in a block and bytes of a block, by the number that a file uses for the type of a tensor."""


def check_whole(path: Path) -> None:
    """Read the header, and check that the file is as long as its tensors need.

    Raises a `WeightsError` that names the file if it is missing, torn, one part of a split model, or not a GGUF file.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise WeightsError(f"{path} is not a regular file", fix="name the GGUF file itself")
            _GgufReader(file, path, status.st_size).check()
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist", fix="correct the path, or fetch the GGUF file and put it there") from None
    except IsADirectoryError:
        raise WeightsError(f"{path} is a directory", fix="name the GGUF file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise WeightsError(f"{path} cannot be read: {reason}", fix="check the path and its permissions") from None


class _GgufReader:
    """Reads a header front to back, from a bounded buffer."""

    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        self.file, self.path, self.size = file, path, size
        self.buffer = bytearray()
        self.at = 0

    def torn(self, what: str) -> NoReturn:
        raise WeightsError(f"{self.path} is torn: {what}", fix="delete it and fetch it again")

    def malformed(self, what: str) -> NoReturn:
        raise WeightsError(f"{self.path} is not a usable GGUF file: {what}", fix="use another file")

    def check(self) -> None:
        if self.size == 0:
            raise WeightsError(f"{self.path} is empty", fix="delete it and fetch it again")
        if (begins := self.file.read(_GLANCE))[:4] != MAGIC or self.size < _SHORTEST:
            what, fix = next((told for mark, *told in _OTHERS if begins.lstrip().lower().startswith(mark)), _NOT_GGUF)
            raise WeightsError(f"{self.path} is {what}", fix=fix)
        self.buffer += begins
        self.take(len(MAGIC))
        version = self.number("<I")
        if version not in {2, 3}:
            self.malformed(f"its format version is {version:#x}, not 2 or 3 (an old or a big-endian file)")
        tensors, pairs = self.number("<Q"), self.number("<Q")
        if pairs > _TENSOR_LIMIT or not 0 < tensors <= _TENSOR_LIMIT:
            self.malformed(f"it claims {pairs:,} metadata entries and {tensors:,} tensors")
        found: dict[str, object] = {}
        for _ in range(pairs):
            key, kind = self.text(), self.number("<I")
            found.setdefault(key, self.value(kind))
        if not isinstance(architecture := found.get("general.architecture"), str) or not architecture:
            self.malformed("it names no architecture")
        if isinstance(parts := found.get("split.count"), int) and parts > 1:
            number = found.get("split.no")
            which = f"part {number + 1} of {parts}" if isinstance(number, int) else f"one of {parts} parts"
            self.malformed(f"it is {which} of a model (llama-gguf-split --merge joins them)")
        if architecture in _PROJECTORS:
            self.malformed(f"it is a projector for pictures or sound ({architecture}), no language model")
        if "bert" in architecture or architecture in _ENCODERS:
            self.malformed(f"it makes embeddings ({architecture}) and is no language model")
        self.check_tensors(tensors, found.get("general.alignment", 32))

    def check_tensors(self, count: int, alignment: object) -> None:
        """Read where each tensor lies, and check that the file reaches that far."""
        if not isinstance(alignment, int) or not 8 <= alignment <= _CHUNK or alignment & (alignment - 1):
            self.malformed(f"its alignment is {alignment!r}, not a power of two of at least 8")
        end = 0
        for _ in range(count):
            name, dimensions = self.text(), self.number("<I")
            if not 1 <= dimensions <= 4:
                self.malformed(f"a tensor of {dimensions} dimensions")
            shape = tuple(self.number("<Q") for _ in range(dimensions))
            kind, offset = self.number("<I"), self.number("<Q")
            end = max(end, offset + self.bytes_of(name, shape, kind))
        needed = -(-self.at // alignment) * alignment + end
        if needed > self.size:
            self.torn(f"it is {self.size:,} bytes long, its tensors need {needed:,}")

    def bytes_of(self, name: str, shape: tuple[int, ...], kind: int) -> int:
        if kind not in TENSOR_BLOCKS:
            return 1  # a type younger than this table: that its first byte is there is all that can be said
        block, size = TENSOR_BLOCKS[kind]
        if 0 in shape or shape[0] % block:
            self.malformed(f"its tensor {name[:64]!r} has the shape {shape}")
        return math.prod(shape) // block * size

    def value(self, kind: int) -> object:
        """Read a scalar or a text; arrays are passed over."""
        if kind in _SCALARS:
            return struct.unpack(_SCALARS[kind], self.take(struct.calcsize(_SCALARS[kind])))[0]
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            self.malformed(f"its metadata has a value of the unknown type {kind}")
        of, count = self.number("<I"), self.number("<Q")
        if count > _COUNT_LIMIT:
            self.malformed(f"its metadata has a list of {count:,} entries")
        if of in _SCALARS:
            self.skip(count * struct.calcsize(_SCALARS[of]))
        elif of == _STRING:
            for _ in range(count):
                self.skip(self.number("<Q"))
        else:
            self.malformed(f"its metadata has a list of the type {of}")
        return None

    def take(self, count: int) -> bytes:
        self.skip(count)
        return bytes(self.buffer[self.at - count : self.at])

    def skip(self, count: int) -> None:
        end = self.at + count
        if end > self.size:
            self.torn(f"its metadata ends after {self.size:,} bytes")
        if end > _METADATA_LIMIT:
            self.malformed(f"its metadata is larger than {_METADATA_LIMIT / 1e6:,.0f} MB")
        while len(self.buffer) < end:
            chunk = self.file.read(max(_CHUNK, end - len(self.buffer)))
            if not chunk:
                self.torn(f"its metadata ends after {len(self.buffer):,} bytes")
            self.buffer += chunk
        self.at = end

    def number(self, form: str) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return int(value)

    def text(self) -> str:
        length = self.number("<Q")
        if length > _TEXT_LIMIT:
            self.malformed(f"a text of {length:,} bytes in its metadata")
        return self.take(length).decode("utf-8", "replace")
