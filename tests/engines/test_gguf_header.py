"""A GGUF file is accepted if it is whole, and named in an error if it is not, whatever is in it."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gork.engines.weights.gguf import TENSOR_BLOCKS, check_whole
from gork.errors import WeightsError
from tests.support.fake_downloads import write_gguf


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A whole file."""
    return write_gguf(tmp_path / "tiny.gguf")


def test_a_whole_file_is_accepted(tiny: Path):
    """Nothing is wrong with it."""
    check_whole(tiny)


def test_sizes_of_tensors_are_those_of_the_gguf_package():
    """Our table of tensor types is the package's."""
    assert {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()} == TENSOR_BLOCKS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"GG", "not a GGUF file"),
        (b"PK\x03\x04" + bytes(100), "not a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html></html>", "a web page"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1 << 60), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 1 << 62), "a text of"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 100), "torn"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q1sIIQ", 1, b"a", 9, 8, 1 << 60), "a list of"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q1sIIQ", 1, b"a", 9, 9, 1), "a list of the type 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q1sI", 1, b"a", 77), "unknown type 77"),
    ],
)
def test_what_is_not_a_whole_gguf_file_is_named(tmp_path: Path, content: bytes | None, reason: str):
    """Missing, empty, another format, absurd counts: one line with the file's name and the reason."""
    path = tmp_path / "weights.gguf"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(WeightsError) as caught:
        check_whole(path)

    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_directory_is_named(tmp_path: Path):
    """A directory is not mistaken for a file."""
    with pytest.raises(WeightsError, match="is a directory"):
        check_whole(tmp_path)


def test_a_name_that_no_file_can_have_is_an_error_value():
    """NUL in a path is an expected mistake, not a bug."""
    with pytest.raises(WeightsError, match="cannot be read"):
        check_whole(Path("a\0b.gguf"))


def test_a_file_cut_anywhere_is_refused(tiny: Path, tmp_path: Path):
    """Whatever length a torn file has, its last byte included, it is refused."""
    whole = tiny.read_bytes()
    end = len(whole) - len(bytes(32))  # the writer pads the last tensor: nothing of it is in the last 32 bytes
    torn = tmp_path / "torn.gguf"
    for length in [*range(0, end, 211), end - 1]:
        torn.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"torn\.gguf"):
            check_whole(torn)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_headers_never_surprise(tiny: Path, tmp_path: Path, data: st.DataObject):
    """With any bytes of its header changed, a file is either accepted or refused by a WeightsError that names it."""
    content = bytearray(tiny.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 7000))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(content)

    refused: str | None = None
    try:
        check_whole(damaged)
    except WeightsError as error:
        refused = str(error)

    assert refused is None or "damaged.gguf" in refused


@pytest.mark.parametrize(
    ("architecture", "numbers", "reason"),
    [
        ("llama", {"split.count": 3}, "one of 3 parts"),
        ("llama", {"split.count": 3, "split.no": 1}, "part 2 of 3"),
        ("clip", {}, r"a projector for pictures or sound \(clip\), no language model"),
        ("nomic-bert", {}, r"makes embeddings \(nomic-bert\)"),
    ],
)
def test_what_is_no_whole_language_model_is_refused(tmp_path: Path, architecture: str, numbers: dict[str, int], reason: str):
    """One part of several, and files that belong to a model or to another kind, are not taken for the model."""
    writer = gguf.GGUFWriter(tmp_path / "part.gguf", architecture)
    for key, number in numbers.items():
        writer.add_uint16(key, number)
    writer.add_tensor("a.weight", np.zeros((2, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    with pytest.raises(WeightsError, match=reason):
        check_whole(tmp_path / "part.gguf")


def test_a_gigabyte_is_not_read_for_its_header(tmp_path: Path):
    """A sparse file of 1.3 GB is accepted, and refused when it is one byte shorter than its tensor."""
    path = tmp_path / "large.gguf"
    rows = 1_300_000_000 // 4 // 1024
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    head += struct.pack("<Q20sIQ5s", 20, b"general.architecture", 8, 5, b"llama")
    head += struct.pack("<Q8sIQQIQ", 8, b"a.weight", 2, 1024, rows, 0, 0)
    needed = -(-len(head) // 32) * 32 + rows * 1024 * 4
    with path.open("wb") as file:
        file.write(head)
        file.truncate(needed)

    check_whole(path)
    with path.open("r+b") as file:
        file.truncate(needed - 1)
    with pytest.raises(WeightsError, match="its tensors need"):
        check_whole(path)
