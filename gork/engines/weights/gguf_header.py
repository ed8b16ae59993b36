"""What a GGUF file says about itself, read without numpy and without trusting it: whether it is whole, and what is in it.

Every count and length in the file is checked against a bound before anything is read or allocated for it. The reader of the `gguf`
package is not used here: it takes 2.6 s on a vocabulary of 49,152 tokens, imports numpy, and leaves a broken file to numpy's errors.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from gork.errors import WeightsError

MAGIC = b"GGUF"
_METADATA_LIMIT = 64 << 20  # a vocabulary of 262,144 tokens takes about 10 MB
_COUNT_LIMIT = 1 << 22
_TENSOR_LIMIT = 1 << 16
_TEXT_LIMIT = 1 << 20
_CHUNK = 1 << 20

UINT32, STRING, ARRAY = 4, 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

TENSOR_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""Name, elements in a block and bytes of a block, by the number that a file uses."""

_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L",
    14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
    36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What a weights file says about its model."""

    architecture: str
    context_length: int | None
    name: str | None
    quantisation: str
    """As `general.file_type` says it (Q4_K_M), else the type of most of the bytes."""
    chat_template: bool
    size: int
    """Of the file, in bytes."""


class TensorInfo(NamedTuple):
    """One tensor as the header describes it; `offset` counts from the start of the file."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    size: int


class Value(NamedTuple):
    """One value of the metadata: its type's number, where it begins in `Layout.metadata`, and itself (None for a list)."""

    kind: int
    begin: int
    value: object


class Layout(NamedTuple):
    """Where everything is in the file: what a conversion needs beside the header."""

    header: GgufHeader
    alignment: int
    pairs: int
    metadata: bytes
    """The key-value pairs, as they stand in the file."""
    found: dict[str, Value]
    tensors: tuple[TensorInfo, ...]


def read_gguf_header(path: Path) -> GgufHeader:
    """Say what is in a GGUF file; a `WeightsError` names the file if it is missing, torn or none."""
    return read_layout(path).header


def read_layout(path: Path) -> Layout:
    """Read the header and where each tensor lies, and check that the file is as long as they need."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise WeightsError(f"{path} is not a regular file; name the GGUF file itself")
            return _Reader(file, path, status.st_size).layout()
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist; correct the path, or fetch the GGUF file and put it there") from None
    except IsADirectoryError:
        raise WeightsError(f"{path} is a directory; name the GGUF file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise WeightsError(f"{path} cannot be read: {reason}; check the path and its permissions") from None


class _Reader:
    """Reads a header front to back; everything that it was shown stays in one bounded buffer."""

    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        self.file, self.path, self.size = file, path, size
        self.buffer = bytearray()
        self.at = 0

    def torn(self, what: str) -> NoReturn:
        raise WeightsError(f"{self.path} is torn: {what}; delete it and fetch it again")

    def malformed(self, what: str) -> NoReturn:
        raise WeightsError(f"{self.path} is no GGUF file that can be used: {what}; use another file")

    def take(self, count: int) -> bytes:
        self.skip(count)
        return bytes(self.buffer[self.at - count : self.at])

    def skip(self, count: int) -> None:
        end = self.at + count
        if end > self.size:
            self.torn(f"its metadata ends after {self.size:,} bytes")
        if end > _METADATA_LIMIT:
            self.malformed(f"its metadata is larger than {_METADATA_LIMIT >> 20} MiB")
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

    def layout(self) -> Layout:
        if self.size == 0:
            raise WeightsError(f"{self.path} is empty; delete it and fetch it again")
        if self.size < 24 or self.take(4) != MAGIC:
            raise WeightsError(f"{self.path} is no GGUF file (it does not begin with 'GGUF'); use another file")
        version = self.number("<I")
        if version not in {2, 3}:
            self.malformed(f"its format version is {version:#x}, not 2 or 3 (an old or a big-endian file)")
        tensors, pairs = self.number("<Q"), self.number("<Q")
        if pairs > _TENSOR_LIMIT or not 0 < tensors <= _TENSOR_LIMIT:
            self.malformed(f"it claims {pairs:,} metadata entries and {tensors:,} tensors")
        start = self.at
        found: dict[str, Value] = {}
        for _ in range(pairs):
            key, kind = self.text(), self.number("<I")
            begin = self.at - start
            found.setdefault(key, Value(kind, begin, self.value(kind)))
        metadata = bytes(self.buffer[start : self.at])
        alignment = self.alignment(found)
        infos = self.tensors(tensors, alignment)
        return Layout(self.header(found, infos), alignment, pairs, metadata, found, infos)

    def value(self, kind: int) -> object:
        """Read a scalar or a text; arrays are passed over."""
        if kind in _SCALARS:
            return struct.unpack(_SCALARS[kind], self.take(struct.calcsize(_SCALARS[kind])))[0]
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            self.malformed(f"its metadata has a value of the unknown type {kind}")
        of, count = self.number("<I"), self.number("<Q")
        if count > _COUNT_LIMIT:
            self.malformed(f"its metadata has a list of {count:,} entries")
        if of in _SCALARS:
            self.skip(count * struct.calcsize(_SCALARS[of]))
        elif of == STRING:
            for _ in range(count):
                self.skip(self.number("<Q"))
        else:
            self.malformed(f"its metadata has a list of the type {of}")
        return None

    def alignment(self, found: dict[str, Value]) -> int:
        value = _plain(found, "general.alignment", 32)
        if not isinstance(value, int) or not 8 <= value <= _CHUNK or value & (value - 1):
            self.malformed(f"its alignment is {value!r}, not a power of two of at least 8")
        return value

    def tensors(self, count: int, alignment: int) -> tuple[TensorInfo, ...]:
        """Read where each tensor lies, and check that the file reaches as far."""
        raw: list[tuple[str, tuple[int, ...], int, int]] = []
        for _ in range(count):
            name, dimensions = self.text(), self.number("<I")
            if not 1 <= dimensions <= 4:
                self.malformed(f"a tensor of {dimensions} dimensions")
            shape = tuple(self.number("<Q") for _ in range(dimensions))
            raw.append((name, shape, self.number("<I"), self.number("<Q")))
        begin = -(-self.at // alignment) * alignment
        infos = tuple(TensorInfo(name, shape, kind, begin + offset, self.bytes_of(name, shape, kind)) for name, shape, kind, offset in raw)
        needed = max(info.offset + info.size for info in infos)
        if needed > self.size:
            self.torn(f"it is {self.size:,} bytes long, its tensors need {needed:,}")
        return infos

    def bytes_of(self, name: str, shape: tuple[int, ...], kind: int) -> int:
        if kind not in TENSOR_TYPES:
            return 1  # a type younger than this table: that its first byte is there is all that can be said
        _, block, size = TENSOR_TYPES[kind]
        if 0 in shape or shape[0] % block:
            self.malformed(f"its tensor {name[:64]!r} has the shape {shape}")
        return math.prod(shape) // block * size

    def header(self, found: dict[str, Value], tensors: tuple[TensorInfo, ...]) -> GgufHeader:
        architecture = _plain(found, "general.architecture")
        if not isinstance(architecture, str) or not architecture:
            self.malformed("it names no architecture")
        parts = _plain(found, "split.count")
        if isinstance(parts, int) and parts > 1:
            self.malformed(f"it is one of {parts} parts of a model (llama-gguf-split --merge joins them)")
        context = _plain(found, f"{architecture}.context_length")
        name = _plain(found, "general.name")
        file_type = _plain(found, "general.file_type")
        return GgufHeader(
            architecture=architecture,
            context_length=context if isinstance(context, int) else None,
            name=name if isinstance(name, str) else None,
            quantisation=(_FILE_TYPES.get(file_type) if isinstance(file_type, int) else None) or _most_of(tensors),
            chat_template="tokenizer.chat_template" in found,
            size=self.size,
        )


def _plain(found: dict[str, Value], key: str, default: object = None) -> object:
    return found[key].value if key in found else default


def _most_of(tensors: tuple[TensorInfo, ...]) -> str:
    bytes_by_type: dict[int, int] = {}
    for tensor in tensors:
        bytes_by_type[tensor.type] = bytes_by_type.get(tensor.type, 0) + tensor.size
    most = max(bytes_by_type, key=lambda kind: bytes_by_type[kind])
    return TENSOR_TYPES[most][0] if most in TENSOR_TYPES else f"type {most}"
