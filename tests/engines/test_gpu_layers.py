"""Layers go to a GPU where llama.cpp reports one; there is none here, so that the decision is tested on what it would report."""

from __future__ import annotations

import pytest

from gork.config.ensemble import Member
from gork.config.settings import load_settings
from gork.engines import choose
from gork.engines.call import Deadlines
from gork.engines.llama.devices import devices
from gork.engines.llama.engine import EmbeddedEngine
from gork.engines.llama.worker import accelerators, layers_for
from gork.engines.weights.progress import Lines
from gork.terminal import doctor
from tests.support.ollama_setup import Talk
from tests.support.paths import ROOT
from tests.support.tiny_models import write_tiny

xllamacpp = pytest.importorskip("xllamacpp")
KIND = xllamacpp.ggml_backend_dev_type
CPU = {"name": "CPU", "description": "AMD EPYC", "type": KIND.GGML_BACKEND_DEVICE_TYPE_CPU}
CUDA = {"name": "CUDA0", "description": "NVIDIA L4", "type": KIND.GGML_BACKEND_DEVICE_TYPE_GPU}
VULKAN = {"name": "Vulkan0", "description": "", "type": KIND.GGML_BACKEND_DEVICE_TYPE_IGPU}
BLAS = {"name": "BLAS", "description": "OpenBLAS", "type": KIND.GGML_BACKEND_DEVICE_TYPE_ACCEL}


@pytest.mark.parametrize(
    ("reported", "devices"), [([CPU], []), ([CUDA, CPU], ["NVIDIA L4"]), ([VULKAN, BLAS, CPU], ["Vulkan0"]), ([{}], []), ([], [])]
)
def test_devices_that_take_layers_are_told_from_those_that_do_not(reported, devices):
    """Processors and libraries for them take none."""
    assert accelerators(reported) == devices


@pytest.mark.parametrize(
    ("asked", "devices", "layers"), [(None, [], 0), (None, ["NVIDIA L4"], -1), (0, ["NVIDIA L4"], 0), (12, ["NVIDIA L4"], 12), (12, [], 0)]
)
def test_layers_go_where_there_is_a_device(asked, devices, layers):
    """All of them if nothing is said; none without a device, whatever is said."""
    assert layers_for(asked, devices) == layers


WITH_GPU = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import xllamacpp
import gork.engines.llama.worker as worker

class Server(xllamacpp.Server):
    def __new__(cls, params):
        open("layers", "w").write(str(params.n_gpu_layers))
        return super().__new__(cls, params)

cpu = xllamacpp.get_device_info()
gpu = {{"name": "CUDA0", "description": "NVIDIA L4", "type": xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_GPU}}
xllamacpp.get_device_info = lambda: [gpu, *cpu]
xllamacpp.Server = Server
worker.main()
"""
"""The worker on a machine whose llama.cpp reports a GPU; it writes down how many layers it was told to put there."""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """The worker on a machine with a GPU."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "worker.py"
    file.write_text(WITH_GPU)
    return file


@pytest.mark.parametrize(
    ("asked", "given", "server"), [(None, -1, "embedded on NVIDIA L4"), (7, 7, "embedded on NVIDIA L4"), (0, 0, "embedded")]
)
async def test_a_child_puts_them_there_and_says_so(tmp_path, worker, asked, given, server):
    """A child whose llama.cpp reports a GPU: what it is told, and what people are told of it."""
    file = write_tiny(tmp_path / "tiny.gguf", "qwen2")
    async with EmbeddedEngine(
        [Member(name="a")], files={"a": file}, context=512, cores=1, deadlines=Deadlines(), gpu_layers=asked, worker=worker
    ) as engine:
        talk = Talk(engine.models["a"])
        await talk.chat(num_predict=2)
        health = await talk.model.check()

    assert ((tmp_path / "layers").read_text(), talk.model.server) == (str(given), server)
    assert ("NVIDIA L4" in health.detail) == bool(given)


async def test_the_devices_are_those_that_llama_cpp_lists(worker):
    """Asked in a process of its own; the wheel that is tested with has none."""
    assert (await devices(worker), await devices()) == (("NVIDIA L4",), ())


@pytest.mark.parametrize("says", ["raise SystemExit(3)", "print('no JSON')", "print('7')", "import time; time.sleep(60)"])
async def test_a_list_of_devices_that_cannot_be_had_is_empty(tmp_path, says):
    """A driver that crashes or hangs: models are tried all the same, and tell what is wrong."""
    file = tmp_path / "worker.py"
    file.write_text(says)

    assert await devices(file, within_s=1.0) == ()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({}, "all layers on NVIDIA L4"),
        ({"gpu_layers": "20"}, "20 layers on NVIDIA L4"),
        ({"gpu_layers": "0"}, ""),
    ],
)
async def test_the_first_line_of_a_run_says_what_is_on_a_gpu(tmp_path, monkeypatch, worker, flags, said):
    """In full and in brief, before anything is loaded."""
    full, brief = await _first_lines(tmp_path, monkeypatch, worker, **flags)

    for line in (full, brief):
        assert (said in line, "NVIDIA L4" in line) == (True, bool(said))


async def test_layers_that_were_asked_for_and_have_no_gpu_are_said(tmp_path, monkeypatch):
    """Nothing of it is said where nobody asked."""
    none = tmp_path / "worker.py"
    none.write_text("print('[]')")
    asked, _ = await _first_lines(tmp_path, monkeypatch, none, gpu_layers="20")
    silent, _ = await _first_lines(tmp_path, monkeypatch, none)

    assert "no layers on a GPU (llama.cpp reports none here, so --gpu-layers 20 does nothing)" in asked
    assert "GPU" not in silent


@pytest.mark.parametrize(
    ("flags", "row"),
    [
        ({}, "gpu       all layers on NVIDIA L4"),
        ({"gpu_layers": "0"}, "gpu       not used (--gpu-layers 0)"),
    ],
)
async def test_doctor_reports_the_gpu(tmp_path, monkeypatch, worker, flags, row):
    """In words, and as data."""
    monkeypatch.setattr(choose, "devices", lambda: devices(worker))
    chosen = await choose.with_gpus(await choose.choose(_settings(tmp_path, compute=False, **flags)))
    report = await doctor.examine(chosen, {}, say=lambda line: None)

    assert row in doctor.as_text(report, 100).splitlines()
    assert report.as_json()["gpus"] == ([] if flags else ["NVIDIA L4"])


async def _first_lines(tmp_path, monkeypatch, worker, **flags):
    """What a run of an embedded member says first: in full, and at a prompt."""
    monkeypatch.setattr(choose, "devices", lambda: devices(worker))
    chosen = await choose.choose(_settings(tmp_path, **flags))
    lines: list[str] = []
    for greeting in (None, ""):
        await choose.prepare(chosen, choose.Frontend(say=lines.append, progress=lambda: Lines(say=lines.append), brief=greeting))
    return lines


def _settings(tmp_path, **flags):
    """Of an ensemble of one embedded member."""
    file, ensemble = write_tiny(tmp_path / "tiny.gguf", "qwen2"), tmp_path / "one.yaml"
    ensemble.write_text(f"name: one\ncandidates:\n  - {{name: a, api: embedded, path: {file}}}\n")
    return load_settings({"ensemble": str(ensemble), "threads": "2", **flags}, {})


def test_the_setting_says_how_many():
    """All if it is not given."""
    assert (load_settings({}, {}).gpu_layers, load_settings({"gpu_layers": "20"}, {}).gpu_layers) == (None, 20)
