"""Layers go to a GPU where llama.cpp reports one; there is none here, so that the decision is tested on what it would report."""

from __future__ import annotations

import sys
import textwrap

import pytest

from gork.config.ensemble import Member
from gork.config.settings import load_settings
from gork.engines.call import Deadlines
from gork.engines.llama.engine import EmbeddedEngine
from gork.engines.llama.worker import accelerators, layers_for
from tests.support.ollama_setup import Talk
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


@pytest.mark.parametrize(
    ("asked", "given", "server"), [(None, -1, "embedded on NVIDIA L4"), (7, 7, "embedded on NVIDIA L4"), (0, 0, "embedded")]
)
async def test_a_child_puts_them_there_and_says_so(tmp_path, asked, given, server):
    """A child whose llama.cpp reports a GPU: what it is told, and what people are told of it."""
    worker = tmp_path / "worker.py"
    worker.write_text(
        textwrap.dedent(f"""
            import sys
            sys.path.insert(0, {str(sys.path[0])!r})
            import xllamacpp
            import gork.engines.llama.worker as worker

            class Server(xllamacpp.Server):
                def __new__(cls, params):
                    open({str(tmp_path / "layers")!r}, "w").write(str(params.n_gpu_layers))
                    return super().__new__(cls, params)

            cpu = xllamacpp.get_device_info()
            gpu = {{"name": "CUDA0", "description": "NVIDIA L4", "type": xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_GPU}}
            xllamacpp.get_device_info = lambda: [gpu, *cpu]
            xllamacpp.Server = Server
            worker.main()
            """)
    )
    file = write_tiny(tmp_path / "tiny.gguf", "qwen2")
    async with EmbeddedEngine(
        [Member(name="a")], files={"a": file}, context=512, cores=1, deadlines=Deadlines(), gpu_layers=asked, worker=worker
    ) as engine:
        talk = Talk(engine.models["a"])
        await talk.chat(num_predict=2)
        health = await talk.model.check()

    assert ((tmp_path / "layers").read_text(), talk.model.server) == (str(given), server)
    assert ("NVIDIA L4" in health.detail) == bool(given)


def test_the_setting_says_how_many():
    """All if it is not given."""
    assert (load_settings({}, {}).gpu_layers, load_settings({"gpu_layers": "20"}, {}).gpu_layers) == (None, 20)
