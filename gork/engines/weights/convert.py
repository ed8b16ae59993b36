"""A GGUF file in another quantisation: the same metadata byte for byte, its large tensors rewritten, its small ones as they were.

llama.cpp's kernels differ in speed (`bench/quantisation.py`); this turns a file whose quantisation is slow on CPUs into one that is
not, once, when it enters the cache. Only `gguf.quants` is used of the `gguf` package; memory stays below a few tens of megabytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from gork.engines.weights.gguf_header import MAGIC, TENSOR_TYPES, UINT32, Layout, TensorInfo, read_layout
from gork.errors import WeightsError

Quantisation = Literal["q8_0", "q4_0"]
VERSION = 1
"""To be raised when the same input gives another output: converted files in a cache are then made anew."""

_TYPES: dict[Quantisation, int] = {"q8_0": 8, "q4_0": 2}
_FILE_TYPES: dict[Quantisation, int] = {"q8_0": 7, "q4_0": 2}
_ELEMENTS_AT_ONCE = 1 << 21
_KEPT = ("_norm", "ffn_gate_inp", "ssm_conv1d", "shortconv", "position_embd", "token_types", "time_mix", "attn_rel_b", "altup", "laurel")
"""Parts of names of two-dimensional tensors that llama.cpp's own quantiser leaves alone too."""
_PRECIOUS = ("token_embd.weight", "output.weight")
"""Every token passes through these twice: they are never brought below eight bits here."""


def requantise(source: Path, target: Path, to: Quantisation, progress: Callable[[int, int], None]) -> None:
    """Write `source` to `target` with its matrices in the quantisation `to`; `progress` gets bytes read and bytes in all."""
    try:
        import gguf.quants  # noqa: F401, PLC0415 - numpy takes a quarter of a second: only a conversion pays it
    except ImportError as error:
        raise WeightsError(
            f"{source} cannot be converted to {to}: the package gguf is not usable ({error}); pip install -r requirements.txt"
        ) from None
    layout = read_layout(source)
    types = [_type_for(tensor, to) for tensor in layout.tensors]
    total = sum(tensor.size for tensor in layout.tensors)
    done = 0
    with source.open("rb") as reading, target.open("wb") as writing:
        writing.write(_head(layout, types, to))
        for tensor, kind in zip(layout.tensors, types, strict=True):
            writing.write(bytes(-writing.tell() % layout.alignment))
            for count in _rewrite(reading, writing, tensor, kind, source):
                done += count
                progress(done, total)
        writing.write(bytes(-writing.tell() % layout.alignment))


def _type_for(tensor: TensorInfo, to: Quantisation) -> int:
    wanted = 8 if tensor.name in _PRECIOUS else _TYPES[to]
    if (
        len(tensor.shape) < 2
        or tensor.shape[0] % 32
        or not tensor.name.endswith(".weight")
        or any(part in tensor.name for part in _KEPT)
        or tensor.type not in TENSOR_TYPES
        or TENSOR_TYPES[tensor.type][0].startswith("I")  # integers, and the IQ types that are made with a list of importances
    ):
        return tensor.type
    return wanted


def _head(layout: Layout, types: list[int], to: Quantisation) -> bytes:
    """Everything before the tensors' data: the file's own metadata with its type corrected, and where each tensor now lies."""
    metadata, pairs = bytearray(layout.metadata), layout.pairs
    for key, value in (("general.file_type", _FILE_TYPES[to]), ("general.quantization_version", 2)):
        if key in layout.found:
            if layout.found[key].kind == UINT32:  # what llama.cpp writes and reads; anything else it ignores
                struct.pack_into("<I", metadata, layout.found[key].begin, value)
        else:
            metadata += struct.pack("<Q", len(key)) + key.encode() + struct.pack("<II", UINT32, value)
            pairs += 1
    infos = bytearray()
    offset = 0
    for tensor, kind in zip(layout.tensors, types, strict=True):
        name = tensor.name.encode()
        infos += struct.pack("<Q", len(name)) + name + struct.pack("<I", len(tensor.shape))
        infos += struct.pack(f"<{len(tensor.shape)}QIQ", *tensor.shape, kind, offset)
        size = tensor.size if kind == tensor.type else math.prod(tensor.shape) // TENSOR_TYPES[kind][1] * TENSOR_TYPES[kind][2]
        offset += -(-size // layout.alignment) * layout.alignment
    return MAGIC + struct.pack("<IQQ", 3, len(types), pairs) + metadata + infos


def _rewrite(reading: BinaryIO, writing: BinaryIO, tensor: TensorInfo, kind: int, source: Path) -> Iterator[int]:
    """Copy a tensor, or rewrite it some rows at a time; yields the bytes read."""
    row = tensor.size // math.prod(tensor.shape[1:])
    rows = max(1, _ELEMENTS_AT_ONCE // tensor.shape[0])
    reading.seek(tensor.offset)
    left = tensor.size
    while left:
        piece = reading.read(min(left, rows * row))
        if not piece:
            raise WeightsError(f"{source} became shorter while it was converted; fetch it again")
        left -= len(piece)
        writing.write(piece if kind == tensor.type else _convert(piece, row, tensor, kind, source))
        yield len(piece)


def _convert(piece: bytes, row: int, tensor: TensorInfo, kind: int, source: Path) -> bytes:
    import numpy as np  # noqa: PLC0415 - see requantise
    from gguf.constants import GGMLQuantizationType  # noqa: PLC0415
    from gguf.quants import dequantize, quantize  # noqa: PLC0415

    try:
        values = dequantize(np.frombuffer(piece, dtype=np.uint8).reshape(-1, row), GGMLQuantizationType(tensor.type))
    except NotImplementedError:
        raise WeightsError(
            f"{source} holds tensors of the type {TENSOR_TYPES[tensor.type][0]}, which cannot be converted; take `convert` away"
        ) from None
    return bytes(quantize(values, GGMLQuantizationType(kind)).tobytes())
