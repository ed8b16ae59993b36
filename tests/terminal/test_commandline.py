"""The program as its user meets it: a process with arguments, input, two outputs and an exit code."""

from __future__ import annotations

import asyncio
import json
import signal

import jsonschema
import pytest

from tests.support.fake_ollama import Reply
from tests.support.heavy_lite import MODELS
from tests.support.program import Program
from tests.support.turns import SCHEMA


async def test_the_answer_alone_is_on_stdout(program, server):
    """Whatever else there is to say goes to standard error."""
    code, out, err = await program.run("capital of france pls")

    assert (0, b"It is Paris.\n") == (code, out)
    assert "engine: Ollama, ensemble heavy-lite" in err
    assert "asked as: What is the capital of France?" in err
    assert "chosen: qwen " in err


async def test_the_three_candidates_work_at_the_same_time(program, server):
    """Read from the server: none gets its first token before all three are being answered."""
    gate = asyncio.Event()
    for model in MODELS[1:4]:
        server.say(model, Reply("It is Paris.", gate=gate))

    process = await program.start("capital of france pls")
    process.stdin.close()
    await server.until(lambda: server.in_progress == 3, 30)
    gate.set()
    out, _ = await process.communicate()

    assert (0, b"It is Paris.\n") == (process.returncode, out)


async def test_json_prints_one_turn_that_follows_its_schema(program):
    """--json is one line, valid against the published schema, and its answer is byte for byte one of the answers."""
    code, out, _ = await program.run("--json", "--seed", "7", "capital of france pls")

    turn = json.loads(out)
    jsonschema.validate(turn, SCHEMA)
    assert (0, 1, 7, None) == (code, out.count(b"\n"), turn["seed"], turn["verdict"]["fallback"])
    assert turn["answer"] == next(answer["text"] for answer in turn["answers"] if answer["member"] == turn["winner"])
    assert "What is the capital of France?" == turn["question"]["rewrite"]


CUT = {
    "length": (Reply("It began when", done_reason="length"), "It began when", "it reached its length limit (3 tokens)"),
    "repetition": (Reply(tokens=["It", *[" is"] * 31], unfinished=True), "It" + " is" * 31, "its model had started to repeat itself"),
}


@pytest.mark.parametrize("how", CUT)
@pytest.mark.parametrize("flag", ["--no-save", "--quiet", "--json"])
async def test_a_chosen_answer_that_is_cut_is_told_of(program, server, flag, how):
    """On standard error, even if it is to be quiet; as JSON in the turn too; and a strict script gets another exit code."""
    ended, written, why = CUT[how]
    for model in MODELS[1:4]:
        server.say(model, ended)

    code, out, err = await program.run(flag, "--strict", "tell me more")

    assert 3 == code
    assert [f"this answer is cut off: {why}"] == [line for line in err.splitlines() if "this answer is cut" in line]
    if flag == "--json":
        turn = json.loads(out)
        assert (written, [False] * 3) == (turn["answer"], [answer["complete"] for answer in turn["answers"]])
    else:
        assert f"{written}\n".encode() == out


async def test_standard_input_comes_first_then_the_argument(program, server):
    """A piped text and a question about it are one prompt."""
    await program.run("--no-optimize", "summarise", "this", stdin=b"Some text.\n")

    assert "Some text.\n\nsummarise this" == server.chats[0]["messages"][-1]["content"]


async def test_standard_input_alone_is_the_question(program, server):
    """Without an argument, or with a dash in its place, the pipe is the prompt."""
    for dash in ((), ("-",)):
        server.requests.clear()
        code, out, _ = await program.run("--no-optimize", *dash, stdin="Où est la tour Eiffel ?\n".encode())

        assert (0, b"It is Paris.\n") == (code, out)
        assert "Où est la tour Eiffel ?" == server.chats[0]["messages"][-1]["content"]


async def test_a_silent_pipe_is_mentioned(program):
    """A pipe that never ends does not make the program look dead."""
    process = await program.start("hello")
    async with asyncio.timeout(20):
        line = await process.stderr.readline()
    process.stdin.close()
    await process.communicate()

    assert b"waiting for standard input" in line


async def test_without_optimizing_the_promptimizer_is_not_asked(program, server):
    """--no-optimize sends the user's own words."""
    await program.run("--no-optimize", "capital of france pls")

    told = {body["model"]: body["messages"][-1]["content"] for body in server.chats if body["model"] != MODELS[-1]}
    assert dict.fromkeys(MODELS[1:4], "capital of france pls") == told


async def test_a_degraded_turn_is_answered_and_under_strict_ends_with_3(program, server):
    """One model failing is exit code 0, and 3 where the caller asked for strictness."""
    server.say("llama3.2:1b", Reply(status=500, error="out of luck"))

    relaxed, strict = await program.run("capital of france pls"), await program.run("--strict", "capital of france pls")

    assert [(0, b"It is Paris.\n"), (3, b"It is Paris.\n")] == [relaxed[:2], strict[:2]]
    assert "failed: llama at http://127.0.0.1:" in relaxed[2]
    assert "out of luck" in relaxed[2]


async def test_when_nobody_answers_each_model_is_named_and_the_exit_code_is_1(program, server):
    """Three reasons, no traceback, nothing on stdout."""
    for model in MODELS[1:4]:
        server.say(model, Reply(status=500, error="out of luck"))

    code, out, err = await program.run("hello there")

    assert (1, b"") == (code, out)
    assert 3 <= err.count("out of luck")
    assert "no candidate answered" in err


async def test_a_turn_ends_within_its_timeout(program, server):
    """--timeout bounds a turn whose models never begin."""
    for model in MODELS[:4]:
        server.say(model, Reply("late", gate=asyncio.Event()))

    code, _, err = await program.run("--timeout", "2", "hello there")

    assert 1 == code
    assert 3 == err.partition("no candidate answered")[2].count("waited too long")


async def test_missing_models_end_with_the_commands_that_pull_them(program, server):
    """Without a terminal nobody is asked: exit code 1 and what to type."""
    server.models = ["qwen3:0.6b"]

    code, out, err = await program.run("hello")

    assert (1, b"") == (code, out)
    assert {f"ollama pull {tag}" for tag in MODELS if tag != "qwen3:0.6b"} == {
        line.strip() for line in err.splitlines() if "ollama pull" in line
    }


async def test_ctrl_c_stops_every_model_and_ends_with_130(program, server):
    """SIGINT in mid-turn: all three chats are closed on the server."""
    for model in MODELS[1:4]:
        server.say(model, Reply("It is Paris.", pauses={1: asyncio.Event()}))
    process = await program.start("--no-optimize", "hello")
    process.stdin.close()
    await server.until(lambda: server.in_progress == 3, 30)

    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    await server.until(lambda: len(server.cancelled) == 3)

    assert (130, b"", False) == (process.returncode, out, b"Traceback" in err)


async def test_a_line_by_line_prompt_on_a_pipe_keeps_the_conversation(program, server):
    """What reaches each model on turn 3 is exactly the kept history: the user's own words and the chosen answers."""
    code, out, _ = await program.run("-i", stdin=b"capital of france pls\nand of Italy?\n\nand of Spain?\nexit\n")

    assert (0, b"Response: It is Paris.\n" * 3) == (code, out)
    thread = [
        {"role": "user", "content": "capital of france pls"},
        {"role": "assistant", "content": "It is Paris."},
        {"role": "user", "content": "and of Italy?"},
        {"role": "assistant", "content": "It is Paris."},
    ]
    for model in MODELS[1:4]:
        third = [body["messages"] for body in server.chats if body["model"] == model][2]
        assert thread == [message for message in third if message["role"] != "system"][:-1]
    assert [] == server.read_ahead  # nobody reads the answers meanwhile


async def test_history_beyond_its_budget_is_cut_from_the_oldest_and_announced(program, server):
    """A small budget keeps the newest turns only, and says so."""
    questions = [f"question number {n} about something" for n in range(4)]
    _, _, err = await program.run("-i", "--no-optimize", "--history-tokens", "70", stdin="\n".join(questions).encode())

    last = [body["messages"] for body in server.chats if body["model"] == "llama3.2:1b"][-1]
    kept = [message["content"] for message in last if message["role"] == "user"]
    assert questions[-len(kept) :] == kept
    assert 1 < len(kept) < 4
    assert "left out" in err


async def test_a_failed_turn_is_not_remembered(program, server):
    """Memory holds what was answered, and the prompt goes on after a failure."""
    for model in MODELS[1:4]:
        server.say(model, Reply(status=500, error="out of luck"), "It is Paris.")

    code, out, err = await program.run("-i", "--no-optimize", stdin=b"first\nsecond\n")

    assert (0, b"Response: It is Paris.\n") == (code, out)
    assert "no candidate answered" in err
    assert ["second"] == [message["content"] for message in server.chats[-1]["messages"] if message["role"] == "user"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        ((), b"", "the prompt is empty"),
        (("",), b"", "the prompt is empty"),
        ((" \n\t ",), b"", "the prompt is empty"),
        ((), b"word " * 200_000, "shorten it"),
        ((), b"x" * 5_000_000, "standard input has more than"),
        (("a\x1b[31mred",), b"", "the control character U+001B"),
        ((), b"a\0b", "is it a binary file?"),
        ((), b"\x89PNG\r\n\x1a\n\xff\xfe", "standard input is not UTF-8"),
        ((b"caf\xe9",), b"", "not valid Unicode"),
        (("-i", "hello"), b"", "-i reads its questions from the input"),
        (("--engine", "magic", "hello"), b"", "magic"),
        (("--seed", "many", "hello"), b"", "--seed"),
        (("--seeed", "1", "hello"), b"", "--seeed"),
        (("--ensemble", "heavy-light", "hello"), b"", "heavy-lite"),
        (("--ensemble", "./none.yaml", "hello"), b"", "none.yaml"),
        (("--config", "none.yaml", "hello"), b"", "none.yaml"),
    ],
)
async def test_bad_arguments_end_with_2_and_one_clear_line(run_here, server, arguments, stdin, says):
    """Nothing is sent to a model, nothing is on stdout, and the message says what is wrong."""
    code, out, err = await run_here(*arguments, stdin=stdin)

    assert (2, b"") == (code, out)
    assert says in err
    assert [] == server.chats


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "my.yaml:1"),
        ("- a\n- b\n", "my.yaml:1"),
        ("name: x\n", "candidates"),
        ("name: x\ncandidates: []\n", "candidates"),
        ("name: x\ncandidates:\n  - {name: a, url: http://h:1}\n  - {name: a, url: http://h:2}\n", "my.yaml:4"),
        ("name: x\ncandidates:\n  - {name: a, url: 'http://'}\n", "my.yaml:3"),
        ("name: x\ncandidates:\n  - {name: a, modle: b}\n", 'did you mean "model"'),
    ],
)
async def test_a_bad_ensemble_file_ends_with_2_and_the_place_of_its_mistake(program, run_here, content, says):
    """The file and the line stand in the message."""
    (program.home / "my.yaml").write_text(content)

    code, out, err = await run_here("--ensemble", "./my.yaml", "hello")

    assert (2, b"") == (code, out)
    assert says in err


@pytest.mark.parametrize(
    ("member", "says"),
    [
        ("{name: a, url: 'http://127.0.0.1:9', model: x}", "a at http://127.0.0.1:9: "),
        ("{name: a, url: 'http://no-such-host.invalid:11434', model: x}", "a at http://no-such-host.invalid:11434: "),
    ],
)
async def test_an_unreachable_model_is_named_with_its_url(program, member, says):
    """Exit code 1, the member and the URL in the message."""
    (program.home / "my.yaml").write_text(f"name: x\ncandidates:\n  - {member}\n")

    code, out, err = await program.run("--ensemble", "./my.yaml", "hello")

    assert (1, b"") == (code, out)
    assert says in err


async def test_a_model_that_is_not_on_its_server_is_named(program, server):
    """Exit code 1, the tag, the URL and the command that pulls it."""
    (program.home / "my.yaml").write_text(f"name: x\ncandidates:\n  - {{name: a, url: '{server.url}', model: 'nothing:1b'}}\n")

    code, _, err = await program.run("--ensemble", "./my.yaml", "hello")

    assert 1 == code
    assert "nothing:1b" in err
    assert server.url in err
    assert "pull" in err


@pytest.mark.parametrize(
    ("content", "says"), [(None, "missing.gguf"), (b"", "w.gguf"), (b"GGUF\x03\0\0\0" + b"\xff" * 16, "w.gguf"), (b"hello" * 100, "w.gguf")]
)
async def test_weights_that_are_missing_torn_or_no_gguf_are_named(program, content, says):
    """Exit code 1 and the file's name; no model is started."""
    path = program.home / says
    if content is not None:
        path.write_bytes(content)
    (program.home / "my.yaml").write_text(f"name: x\ncandidates:\n  - {{name: a, path: '{path}'}}\n")

    code, out, err = await program.run("--engine", "embedded", "--ensemble", "./my.yaml", "hello")

    assert (1, b"") == (code, out)
    assert says in err


async def test_an_engine_that_was_asked_for_and_is_not_there_is_an_error(program):
    """--engine ollama without an Ollama ends with 1 and what to do."""
    code, _, err = await Program(program.home).run("--engine", "ollama", "hello")

    assert 1 == code
    assert "no Ollama answers at http://127.0.0.1:9" in err
    assert "ollama serve" in err


async def test_show_config_prints_every_setting_with_its_origin(program):
    """Environment, flag and default are told apart; a token is not printed."""
    code, out, _ = await program.run("--show-config", "--seed", "3", GORK_ENGINE="ollama", GORK_TOKEN="hush-hush")

    lines = {line.split(":")[0]: line for line in out.decode().splitlines() if line.strip()}
    assert 0 == code
    assert "--seed" in lines["seed"]
    assert "GORK_ENGINE" in lines["engine"]
    assert "default" in lines["strict"]
    assert b"hush-hush" not in out


async def test_configured_urls_are_used_without_looking_for_a_local_ollama(program, server):
    """Members with a URL are asked there; load-time options are not sent to them, and keep_alive is the number -1."""
    env = {f"GORK_{name}_URL": server.url for name in ("PROMPTIMIZER", "QWEN_SMALL", "QWEN", "LLAMA", "JUDGE")}

    code, out, err = await Program(program.home).run("capital of france pls", **env)

    assert (0, b"It is Paris.\n") == (code, out)
    assert "members have a URL" in err
    assert {-1} == {body["keep_alive"] for body in server.bodies("/api/chat") if not body.get("_debug_render_only")}
    assert not any({"num_ctx", "num_thread"} & set(body.get("options", {})) for body in server.bodies("/api/chat"))


async def test_a_local_ollama_gets_the_same_load_time_options_in_every_call(program, server):
    """A difference would reload the model."""
    await program.run("--threads", "2", "capital of france pls")

    sent = {(body["options"].get("num_ctx"), body["options"].get("num_thread")) for body in server.bodies("/api/chat")}
    assert {(4096, 1)} == sent
    assert not any("keep_alive" in body for body in server.bodies("/api/chat"))
