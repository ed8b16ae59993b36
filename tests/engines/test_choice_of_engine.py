"""What runs each member: what it says itself, what it names, what this machine has; and how members of several engines share it."""

from __future__ import annotations

import pytest

from gork.config.settings import load_settings
from gork.engines import choose
from gork.engines.llama.engine import EmbeddedEngine
from gork.engines.model import MixedEngine
from gork.engines.ollama.engine import OllamaEngine
from gork.engines.openai.engine import OpenAIEngine
from gork.engines.weights.progress import Lines
from gork.errors import ConfigError
from tests.support.fake_ollama import FakeOllama
from tests.support.tiny_models import write_tiny

MIXED = """
name: mixed
promptimizer: {name: fix, model: fixer, path: fix.gguf}
candidates:
  - {name: here, api: embedded, path: here.gguf}
  - {name: ollama, url: "http://one:11434", model: m}
  - {name: vllm, api: openai, url: "http://two:8000/v1", model: m}
  - {name: tag, model: only-a-tag}
  - {name: file, path: only-a-file.gguf}
judge: {name: judge, api: openai, url: "http://127.0.0.1:8080/v1"}
"""


@pytest.fixture
def settings_for(tmp_path):
    """Settings with this ensemble."""

    def load(text, environ=None, **flags):
        file = tmp_path / "ensemble.yaml"
        file.write_text(text)
        return load_settings({"ensemble": str(file), "ollama_host": "127.0.0.1:9", **flags}, environ or {})

    return load


def engines(chosen):
    """The engine of each member."""
    return {member.name: chosen.engine_of(member) for member in chosen.settings.ensemble.members}


async def test_what_of_a_table_is_not_used_is_said(settings_for, tmp_path):
    """In a line of its own, beside the one about the engine."""
    hash_ = "ab" * 32
    table = f"ensemble: one\nmembers: {{a: {hash_}}}\nquestions: {{count: 9}}\nfavourites: {{overall: [a]}}\n"
    (tmp_path / "ensemble.measured.yaml").write_text(f"{table}uncertified: {{confidence: {{wins: 5, losses: 6}}}}\n")
    said: list[str] = []

    settings = settings_for('{name: one, candidates: [{name: a, url: "http://one:11434", model: m}]}')
    await choose.prepare(await choose.choose(settings), choose.Frontend(say=said.append, progress=lambda: Lines(said.append)))

    assert [True, True] == ["ensemble one" in said[0], "ensemble.measured.yaml:5: uncertified.confidence: " in said[1]]
    assert 2 == len(said)


async def test_without_an_ollama_members_that_can_run_here_run_here(settings_for):
    """A member's own word counts first; one that names only a tag needs an Ollama, and says so when it is asked."""
    chosen = await choose.choose(settings_for(MIXED))

    assert engines(chosen) == {
        "fix": "embedded",
        "here": "embedded",
        "ollama": "ollama",
        "vllm": "openai",
        "tag": "ollama",
        "file": "embedded",
        "judge": "openai",
    }
    assert (chosen.name, chosen.title) == ("mixed", "Ollama + OpenAI API + embedded llama.cpp")


async def test_with_a_local_ollama_members_that_it_may_have_are_asked_there(settings_for):
    """What names both a tag and a file goes to the Ollama that answers; what names only a file does not."""
    async with FakeOllama("fixer", "only-a-tag") as server:
        chosen = await choose.choose(settings_for(MIXED, ollama_host=server.url))

    assert {name: engine for name, engine in engines(chosen).items() if name in {"fix", "tag", "file"}} == {
        "fix": "ollama",
        "tag": "ollama",
        "file": "embedded",
    }
    assert chosen.local


async def test_the_engine_setting_is_for_members_that_say_nothing(settings_for):
    """`--engine embedded` does not take a member away from the server that it names with api."""
    chosen = await choose.choose(settings_for(MIXED, engine="embedded"))

    assert {name for name, engine in engines(chosen).items() if engine == "openai"} == {"vllm", "judge"}
    assert "ollama" not in chosen.parts


async def test_servers_with_openais_api_alone_are_that_engine(settings_for):
    """No Ollama is looked for."""
    text = 'name: two\ncandidates:\n  - {name: a, api: openai, url: "http://one/v1"}\n  - {name: b, api: openai, url: "http://two/v1"}\n'
    chosen = await choose.choose(settings_for(text))

    assert (chosen.name, chosen.version) == ("openai", None)
    assert isinstance(choose.open_available(chosen), OpenAIEngine)


async def test_a_variable_can_move_a_member_to_another_kind_of_server(settings_for):
    """GORK_<MEMBER>_API beside GORK_<MEMBER>_URL, as a cluster's ConfigMap has them."""
    environ = {"GORK_A_API": "openai", "GORK_A_URL": "http://vllm:8000/v1", "GORK_A_KEY_ENV": "A_KEY"}
    text = "name: one\ncandidates: [{name: a, model: m}, {name: b, model: m}]\n"
    a, b = settings_for(text, environ).ensemble.candidates

    assert (a.api, a.url, a.key_env, b.api) == ("openai", "http://vllm:8000/v1", "A_KEY", None)


async def test_a_member_without_a_url_takes_the_general_one(settings_for):
    """`--openai-host`, else it is a mistake that names the member."""
    text = "name: one\ncandidates: [{name: a, api: openai, model: m}]\n"
    chosen = await choose.choose(settings_for(text, openai_host="http://127.0.0.1:8000/v1"))
    assert choose.open_available(chosen).models["a"].where == "http://127.0.0.1:8000/v1"

    with pytest.raises(ConfigError, match="a: api: openai needs the server's url"):
        choose.open_available(await choose.choose(settings_for(text)))


async def test_models_that_are_named_run_on_any_engine(files):
    """Names at the general server with OpenAI's API, beside a file in this program."""
    named = {"models": f"a,{files['x']}", "judge": "j", "engine": "openai", "openai_host": "http://127.0.0.1:8000/v1"}
    chosen = await choose.choose(load_settings(named, {}))
    engine = choose.open_available(chosen)

    assert engines(chosen) == {"a": "openai", "x": "embedded", "judge": "openai"}
    assert (engine.models["a"].model, engine.models["a"].where) == ("a", "http://127.0.0.1:8000/v1")
    assert engine.models["x"].where == files["x"].name


@pytest.fixture
def files(tmp_path):
    """Three tiny models."""
    return {name: write_tiny(tmp_path / f"{name}.gguf", "qwen2", seed=seed) for seed, name in enumerate(("x", "y", "z"))}


async def test_all_that_works_at_once_on_this_machine_shares_its_cores(settings_for, files):
    """Two embedded candidates, one at the local Ollama, one at a server on this machine, one elsewhere: a quarter of the cores each."""
    text = f"""
name: shared
candidates:
  - {{name: x, api: embedded, path: {files["x"]}}}
  - {{name: y, api: embedded, path: {files["y"]}}}
  - {{name: o, api: ollama, model: m}}
  - {{name: s, api: openai, url: "http://localhost:8000/v1"}}
  - {{name: far, api: openai, url: "http://gpu.example:8000/v1"}}
judge: {{name: judge, api: embedded, path: {files["z"]}}}
"""
    async with FakeOllama("m") as server:
        chosen = await choose.choose(settings_for(text, ollama_host=server.url, threads="8"))
        engine = choose.open_available(chosen)

    assert isinstance(engine, MixedEngine)
    children = {model.name: model.child.threads for model in engine.models.values() if hasattr(model, "child")}
    assert children == {"x": 2, "y": 2, "judge": 8}
    assert engine.models["o"]._load_options["num_thread"] == 2


async def test_a_mixed_engine_has_all_models_and_closes_all_its_engines(settings_for, files):
    """Also when one of them fails at that."""
    text = f"""
name: mixed
candidates:
  - {{name: x, api: embedded, path: {files["x"]}}}
  - {{name: o, api: ollama, model: m, url: "http://127.0.0.1:9"}}
  - {{name: s, api: openai, url: "http://127.0.0.1:9/v1"}}
"""
    engine = choose.open_available(await choose.choose(settings_for(text)))
    kinds = {type(one): one for one in engine._engines}
    async with engine:
        assert list(engine.models) == ["o", "s", "x"]
        kinds[OllamaEngine].session()
        kinds[OpenAIEngine].session()
        await kinds[EmbeddedEngine].children[0].ensure()
        sessions = [kinds[kind]._opened for kind in (OllamaEngine, OpenAIEngine)]

    assert all(session.closed for session in sessions)
    assert not kinds[EmbeddedEngine].children[0].up


@pytest.mark.parametrize(("flags", "machines"), [({}, {"here.test", "there.test", ""}), ({"one_machine": True}, {""})])
async def test_members_under_several_names_are_several_machines_unless_the_user_says_otherwise(settings_for, flags, machines):
    """Containers of one compose file have names of their own and share the processors of one machine."""
    text = """
name: apart
candidates:
  - {name: a, api: openai, url: "http://here.test:8000/v1", model: m}
  - {name: b, url: "http://there.test:11434", model: m}
judge: {name: judge, api: openai, url: "http://127.0.0.1:8000/v1", model: m}
"""
    frontend = choose.Frontend(say=lambda line: None, progress=lambda: Lines(say=lambda line: None))
    selected = await choose.select(settings_for(text, **flags), frontend)
    async with selected.open() as engine:
        assert {model.machine for model in engine.models.values()} == machines
