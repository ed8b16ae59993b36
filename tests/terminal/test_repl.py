"""The prompt as a person has it before them, on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import re
import signal
import stat
import sys
from pathlib import Path

import pytest

from gork.terminal.commands import COMMANDS
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.heavy_lite import ANSWERS, MODELS
from tests.support.paths import ROOT
from tests.support.pty_program import ALT_ENTER, CTRL_C, CTRL_D, CTRL_G, PROMPT, UP, on_terminal

KINDS = pytest.mark.parametrize("term", ["xterm", "dumb", None])
"""The terminals: one that can move its cursor, one that says it cannot, one that says nothing."""


def asked(server: FakeOllama, model: str = "llama3.2:1b") -> list[str]:
    """The last messages of the chats with one candidate: what it was asked."""
    return [body["messages"][-1]["content"] for body in server.chats if body["model"] == model]


def thread(server: FakeOllama, model: str = "llama3.2:1b") -> list[str]:
    """What the newest chat with one candidate had before and at its end, the system's part left out."""
    last = [body["messages"] for body in server.chats if body["model"] == model][-1]
    return [message["content"] for message in last if message["role"] != "system"]


class TestAsking:
    @KINDS
    @pytest.mark.parametrize("columns", [80, 40])
    async def test_a_question_is_answered_at_the_prompt(self, program, server, term, columns):
        """The prompt and the answer are what they have always been, on every kind of terminal; without a capable one no escapes."""
        async with on_terminal(program, columns=columns, TERM=term) as terminal:
            await terminal.prompt()
            shown = await terminal.ask("capital of france pls")
            terminal.press(CTRL_D)

            assert 0 == await terminal.end()
            assert "\nResponse: It is Paris.\n" in shown
            assert (term != "xterm") == (b"\x1b" not in terminal.raw)
            assert PROMPT.encode() in terminal.raw

    async def test_only_the_answer_is_on_standard_output(self, program):
        """With standard output in a file the prompt and everything about it are still seen, and the file has the answers alone."""
        out = program.home / "out"
        async with on_terminal(program, stdout=out) as terminal:
            await terminal.prompt()
            await terminal.ask("capital of france pls")
            await terminal.ask("/answers")
            terminal.press(CTRL_D)

            assert 0 == await terminal.end()
        assert b"Response: It is Paris.\n" == out.read_bytes()

    @pytest.mark.parametrize("word", ["exit", "Quit", "/exit", "/quit", "/bye", CTRL_D])
    async def test_it_is_left_by_the_usual_words_and_keys(self, program, server, word):
        """Nothing of it is asked."""
        async with on_terminal(program) as terminal:
            await terminal.prompt()
            terminal.press(word if word == CTRL_D else f"{word}\r")

            assert 0 == await terminal.end()
        assert [] == server.chats

    async def test_an_unknown_command_is_told_and_never_sent(self, program, server):
        """A near one is named; a path at the beginning of a line, or a blank before it, makes it a question."""
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            shown = await terminal.ask("/hlep me")
            assert 'there is no command /hlep, did you mean "/help"?' in shown
            assert [] == server.chats
            await terminal.ask("/etc/passwd is what?")
            await terminal.ask(" /hlep me")

        assert ["/etc/passwd is what?", " /hlep me"] == asked(server)

    async def test_a_pipe_does_not_wait_for_the_line_editor(self, program):
        """Neither one question nor `-i` on a pipe imports what only a terminal needs."""
        script = (
            f"import sys, runpy; sys.argv = ['x', *{{}}]\ntry: runpy.run_path({str(ROOT / 'final_script.py')!r}, run_name='__main__')\n"
        )
        script += "finally: print([name for name in sys.modules if name.split('.')[0] in ('prompt_toolkit', 'rich')], file=sys.stderr)"
        for arguments in (["hello there"], ["-i"]):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", script.format(arguments)),
                env={**program.env, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate(b"hello\n" if arguments == ["-i"] else b"")
            assert b"It is Paris." in out
            assert err.splitlines()[-1].endswith(b"[]")


class TestWriting:
    async def test_a_paste_of_several_lines_is_one_question(self, program, server):
        """Nothing is sent before Enter."""
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            terminal.press("\x1b[200~one\r\ntwo\rthree\x1b[201~")
            await terminal.see("three")
            assert [] == server.chats
            terminal.press("\r")
            await terminal.see("Response: ")

        assert ["one\ntwo\nthree"] == asked(server)

    @KINDS
    async def test_fences_hold_several_lines_together(self, program, server, term):
        '''Between """ and """ nothing is a command, and the fences are not sent.'''
        async with on_terminal(program, "--no-optimize", TERM=term) as terminal:
            await terminal.prompt()
            await terminal.enter('"""one')
            await terminal.see("\n...")
            await terminal.enter("/help")
            await terminal.ask('exit"""')

        assert ["one\n/help\nexit"] == asked(server)

    async def test_alt_enter_begins_a_new_line(self, program, server):
        """Enter alone sends both."""
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            await terminal.type("one")
            terminal.press(ALT_ENTER)
            await terminal.see("\n...")
            await terminal.ask("two")

        assert ["one\ntwo"] == asked(server)

    @pytest.mark.parametrize("term", ["xterm", "dumb"])
    async def test_the_users_editor_writes_the_question(self, program, server, term):
        """/edit begins with what is behind it; what was saved is asked, once it was seen where that is possible; the file is private."""
        editor = program.home / "my editor"
        editor.write_text('#!/bin/sh\nstat -c %a "$2" > mode\necho "$2" > name\necho " more" >> "$2"\n')
        editor.chmod(0o755)
        async with on_terminal(program, "--no-optimize", TERM=term, VISUAL=f"'{editor}' -x", EDITOR="false") as terminal:
            await terminal.prompt()
            await terminal.enter("/edit begin")
            if term == "xterm":
                await terminal.typed("begin\n...  more")
                assert [] == server.chats
                terminal.press("\r")
            await terminal.see("Response: ")
            await terminal.prompt()

        assert ["begin\n more"] == asked(server)
        assert "600\n" == (program.home / "mode").read_text()
        assert not Path((program.home / "name").read_text().strip()).exists()

    async def test_ctrl_g_edits_what_was_typed(self, program, server):
        """It comes back to the prompt, to be looked at."""
        editor = program.home / "editor"
        editor.write_text('#!/bin/sh\ncat "$1" > before\necho "from the editor" > "$1"\n')
        editor.chmod(0o755)
        async with on_terminal(program, "--no-optimize", EDITOR=str(editor)) as terminal:
            await terminal.prompt()
            await terminal.type("typed")
            terminal.press(CTRL_G)
            await terminal.see("from the editor")
            terminal.press("\r")
            await terminal.see("Response: ")

        assert ["from the editor"] == asked(server)
        assert "typed\n" == (program.home / "before").read_text()

    @pytest.mark.parametrize(
        ("editor", "says"), [("/no/such/editor", "does not exist: /no/such/editor"), ("'x", "cannot be understood"), ("false", "code 1")]
    )
    async def test_an_editor_that_fails_is_one_line(self, program, server, editor, says):
        """By command and by key; what was typed stays."""
        async with on_terminal(program, VISUAL=editor) as terminal:
            await terminal.prompt()
            assert says in await terminal.ask("/edit x")
            await terminal.type("typed")
            terminal.press(CTRL_G)
            await terminal.until(lambda: terminal.text.count(says) == 2)
            await terminal.typed("typed")
            terminal.press(CTRL_C + CTRL_D)

            assert 0 == await terminal.end()
        assert [] == server.chats

    async def test_tab_completes_commands_and_what_stands_behind_them(self, program):
        """Names of commands, members and settings."""
        async with on_terminal(program) as terminal:
            await terminal.prompt()
            await terminal.ask("capital of france pls")
            for keys, completed in (("/stat", "/stats"), ("/show lla", "/show llama"), ("/set hist", "/set history_tokens")):
                await terminal.type(keys)
                terminal.press("\t")
                await terminal.typed(completed)
                terminal.press(CTRL_C)
                await terminal.prompt()


def asked_about(body: dict, word: str) -> bool:
    """Whether a request puts a question with this word to a candidate; what is read ahead has none."""
    return body["model"] in ANSWERS and word in str((body.get("messages") or [""])[-1])


class TestStopping:
    @KINDS
    async def test_ctrl_c_stops_all_models_at_any_moment_of_a_turn(self, program, server, term):
        """While a model loads, rewrites, reads, writes, judges: the prompt is back, the models are let go, the session is intact."""
        never = asyncio.Event()
        moments = {
            "loading": lambda: server.load_gates.update({"granite4:350m": never}),
            "rewriting": lambda: server.say("granite4:350m", Reply("x", gate=never), "What is the capital of France?"),
            "reading": lambda: [server.say(model, Reply("x", gate=never), says) for model, says in ANSWERS.items()],
            "writing": lambda: [server.say(model, Reply("a b", pauses={1: never}), says) for model, says in ANSWERS.items()],
            "judging": lambda: (server.loaded.clear(), server.load_gates.update({"gemma3:1b": never})),
        }
        at_work = {
            "loading": lambda: any(body["model"] == "granite4:350m" for body in server.bodies("/api/chat")),
            "rewriting": lambda: server.in_progress == 1,
            "judging": lambda: 3 <= sum(asked_about(body, "moment") for body in server.bodies("/api/chat")) and server.in_progress <= 1,
        }
        async with on_terminal(program, TERM=term) as terminal:
            await terminal.prompt()
            for number, (moment, prepare) in enumerate(moments.items()):
                prepare()
                server.requests.clear()
                await terminal.enter(f"capital of italy at moment {number} pls")
                await server.until(at_work.get(moment, lambda: server.in_progress == 3), 20)
                terminal.signal(signal.SIGINT) if number % 2 else terminal.press(CTRL_C)
                terminal.press(CTRL_C)
                await terminal.see("Stopped.")
                await terminal.prompt()
                await server.until(lambda: server.in_progress == 0)
                never.set()
                server.load_gates.clear()
                shown = await terminal.ask(f"question {number}")
                never.clear()
                assert "Response: It is Paris." in shown, moment
                assert number == thread(server).count("It is Paris."), moment
            assert not any("moment" in text for text in thread(server))
            terminal.press(CTRL_D)

            assert 0 == await terminal.end()

    async def test_ctrl_c_in_one_breath_with_the_question_stops_it(self, program, server):
        """Keys that came before the turn had begun are not lost: the first question is stopped, the second asked."""
        async with on_terminal(program) as terminal:
            await terminal.prompt()
            terminal.press(f"one\r{CTRL_C}capital of france pls\r")
            await terminal.see("Stopped.")
            await terminal.see("Response: It is Paris.")

        assert ["What is the capital of France?"] == asked(server)

    @KINDS
    async def test_ctrl_c_at_the_prompt_says_how_to_leave(self, program, server, term):
        """What was typed is thrown away, as a shell does."""
        async with on_terminal(program, "--no-optimize", TERM=term) as terminal:
            await terminal.prompt()
            terminal.press(CTRL_C)
            await terminal.see("Type exit or press Ctrl-D to quit, /help")
            await terminal.prompt()
            await terminal.type("thrown away")
            terminal.press(CTRL_C)
            await terminal.prompt()
            await terminal.ask("kept")

        assert ["kept"] == asked(server)

    async def test_what_is_typed_during_a_turn_is_the_next_input(self, program, server):
        """It is not shown among the progress; a paste of several lines stays one."""
        gate = asyncio.Event()
        server.say("llama3.2:1b", Reply("late", gate=gate), "It might be Nice.")
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            await terminal.enter("first")
            await server.until(lambda: server.in_progress == 1 and len(server.chats) == 3, 20)
            terminal.press("\x1b[200~second\nquestion\x1b[201~")
            gate.set()
            await terminal.see("Response: It is Paris.")
            before = terminal.new
            await terminal.see(f"{PROMPT}second")
            terminal.press("\r")
            await terminal.see("Response: It is Paris.\n")
            await terminal.prompt()

        assert "second" not in before.partition("Response")[0]
        assert ["first", "second\nquestion"] == asked(server)

    @pytest.mark.parametrize("columns", [80, 40])
    async def test_enter_while_they_work_asks_for_the_answer_now(self, program, server, columns):
        """The rows name the key; what has been finished is judged, nobody else is waited for, and nothing of it is the next input."""
        server.say("llama3.2:1b", Reply("late", gate=asyncio.Event()))
        async with on_terminal(program, "--no-optimize", columns=columns) as terminal:
            await terminal.prompt()
            await terminal.enter("capital of france pls")
            await server.until(lambda: server.in_progress == 1 and len(server.chats) >= 3, 20)
            await terminal.see("Enter: answer now")
            terminal.press("\r")
            await terminal.see("Response: It is Paris.")
            await terminal.prompt()
            assert "llama" in await terminal.ask("/answers")

        assert ["llama3.2:1b"] == server.cancelled
        assert ["capital of france pls"] == asked(server)

    async def test_enter_behind_something_typed_belongs_to_it(self, program, server):
        """A question that is typed ahead, with its Enter, hurries nobody."""
        gate = asyncio.Event()
        server.say("llama3.2:1b", Reply("late", gate=gate), "It might be Nice.")
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            await terminal.enter("first")
            await server.until(lambda: server.in_progress == 1 and len(server.chats) >= 3, 20)
            terminal.press("second\r")
            gate.set()
            await server.until(lambda: len(asked(server)) == 2, 20)
            await terminal.see(f"{PROMPT}second")
            await terminal.prompt()

        assert [] == server.cancelled
        assert ["first", "second"] == asked(server)

    async def test_a_stopped_question_can_be_asked_again(self, program, server):
        """By /retry, and from the history of what was typed; it was not part of the conversation."""
        server.say("llama3.2:1b", Reply("late", gate=asyncio.Event()), "It might be Nice.")
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            await terminal.enter("first")
            await server.until(lambda: len(server.chats) == 3, 20)
            terminal.press(CTRL_C)
            await terminal.prompt()
            assert "the conversation is empty" in await terminal.ask("/history")
            assert "Response: It is Paris." in await terminal.ask("/retry")
            assert ["first"] == thread(server)
            terminal.press(UP * 3)
            await terminal.typed("first")

    async def test_ctrl_c_stops_a_command_too(self, program, server):
        """/why asks the judge, who may take long."""
        async with on_terminal(program) as terminal:
            await terminal.prompt()
            await terminal.ask("capital of france pls")
            server.say("gemma3:1b", Reply("Because it is", pauses={2: asyncio.Event()}))
            await terminal.enter("/why")
            await terminal.see("Because it")
            terminal.press(CTRL_C)
            await terminal.prompt()
            await server.until(lambda: "gemma3:1b" in server.cancelled)

            assert "stopped" in terminal.new
            server.say("gemma3:1b", "It is Paris.")
            assert "Response: It is Paris." in await terminal.ask("and again")


class TestEnding:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    @pytest.mark.parametrize("busy", [True, False])
    async def test_a_signal_ends_it_in_order(self, program, server, number, busy):
        """At the prompt and in a turn: the models are let go, the exit code names the signal."""
        for model in MODELS[1:4]:
            server.say(model, Reply("x", gate=asyncio.Event()))
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            if busy:
                await terminal.enter("hello")
                await server.until(lambda: server.in_progress == 3, 20)
            terminal.signal(number)

            assert 128 + number == await terminal.end()
            assert f"{number.name}: leaving" in terminal.text
        await server.until(lambda: server.in_progress == 0)

    @KINDS
    @pytest.mark.parametrize("busy", [True, False])
    @pytest.mark.parametrize("hears", [True, False])
    async def test_it_does_not_outlive_its_terminal(self, program, server, term, busy, hears):
        """Whether or not a hang-up is signalled, at the prompt and in a turn, it ends, without having spun."""
        for model in MODELS[1:4]:
            server.say(model, Reply("x", gate=asyncio.Event()))
        async with on_terminal(program, "--no-optimize", "--timeout", "60", TERM=term, hears_hangup=hears) as terminal:
            await terminal.prompt()
            if busy:
                await terminal.enter("hello")
                await server.until(lambda: server.in_progress == 3, 20)
            await terminal.hang_up()
            if busy and term != "xterm" and not hears:
                terminal.signal(signal.SIGTERM)  # nobody listens to the keyboard of such a terminal during a turn
            await terminal.gone()
        await server.until(lambda: server.in_progress == 0)

    @KINDS
    async def test_a_silent_prompt_ends_after_the_idle_limit(self, program, term):
        """It says so; a key begins the wait anew."""
        async with on_terminal(program, "--idle-exit", "1", TERM=term) as terminal:
            await terminal.prompt()

            assert 0 == await terminal.end()
            assert "nothing was typed for 1 s: leaving (idle_exit)" in terminal.text

    async def test_strictly_a_session_with_a_lesser_turn_ends_with_3(self, program, server):
        """--strict speaks for the whole session."""
        server.say("llama3.2:1b", Reply(status=500, error="out of luck"), "It might be Nice.")

        codes = [(await program.run("-i", *flags, stdin=b"one\ntwo\n"))[0] for flags in (["--strict"], [])]

        assert [3, 0] == codes

    async def test_a_reader_that_leaves_ends_it_quietly(self, program, server):
        """`-i | head -1`: no traceback when nobody wants the second answer."""
        process = await program.start("-i", "--no-optimize")
        process.stdin.write(b"one\n")
        assert b"Response: It is Paris.\n" == await process.stdout.readline()
        process.stdout._transport.close()
        process.stdin.write(b"two\n")
        process.stdin.close()
        err = await process.stderr.read()

        assert (141, False) == (await process.wait(), b"Traceback" in err)


class TestHistory:
    async def test_what_was_typed_is_there_the_next_time(self, program, server):
        """In a private file; a question that was stopped too."""
        async with on_terminal(program) as terminal:
            await terminal.prompt()
            await terminal.ask("/stats")
            terminal.press(CTRL_D)
            await terminal.end()
        async with on_terminal(program) as terminal:
            await terminal.prompt()
            terminal.press(UP)
            await terminal.typed("/stats")

        path = program.home / ".local" / "state" / "gork" / "history"
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)

    @pytest.mark.parametrize("off", [{"GORK_HISTORY": "false"}, {"HOME": None}, {"XDG_STATE_HOME": "/proc/none"}])
    async def test_without_a_file_it_is_kept_in_memory(self, program, off):
        """Switched off, without a home, where nothing can be written: recalled all the same; said once, unless it was asked for."""
        async with on_terminal(program, **off) as terminal:
            await terminal.prompt()
            await terminal.ask("/stats")
            await terminal.ask("/set seed")
            terminal.press(UP + UP)
            await terminal.typed("/stats")

            assert ("GORK_HISTORY" not in off) == terminal.text.count("kept in memory only")
        assert not list(program.home.rglob("history"))


async def test_a_capable_terminal_is_not_asked_where_its_cursor_is(program):
    """Some never answer, and are then warned about."""
    async with on_terminal(program) as terminal:
        await terminal.prompt()

        assert b"\x1b[6n" not in terminal.raw


LONG = "The quick brown fox jumps over the lazy dog and goes on running until the evening. " * 3


def whole_words(lines: list[str], text: str) -> bool:
    """Whether a text stands on these lines with all its words whole."""
    return " ".join(text.split()) in " ".join(" ".join(lines).split())


class TestReading:
    @pytest.mark.parametrize("columns", [80, 40])
    async def test_everything_is_broken_at_words(self, program, server, columns):
        """Help, answers that were not chosen, the line about the choice, errors; a table that has no room names its columns in each row."""
        server.say("llama3.2:1b", LONG)
        async with on_terminal(program, "--no-optimize", columns=columns, rows=60) as terminal:
            await terminal.prompt()
            await terminal.ask("capital of france pls")
            for text in ("/help", "/answers", "/why", "/hlep", "/set context 5", "/history", "/models", "/stats"):
                shown = (await terminal.ask(text)).splitlines()
                assert all(len(line) <= columns for line in shown)
                if text == "/answers":
                    assert whole_words(shown, LONG)
                if text == "/help":
                    assert all(whole_words(shown, command.help) for command in COMMANDS)
                if text == "/set context 5":
                    assert whole_words(shown, "context can only be set at start-up (--context)")
                if text == "/stats":
                    row = "qwen: won 1, answered 1, failed 0, unneeded 0" if columns == 40 else "qwen 1 1 0 0"
                    assert whole_words(shown, row)

    @pytest.mark.parametrize("columns", [80, 40])
    async def test_the_history_has_a_line_for_each_question_and_answer(self, program, server, columns):
        """However wide their letters are."""
        server.say("qwen2.5-coder:1.5b", "日本の首都は東京です。" * 9)
        async with on_terminal(program, "--no-optimize", "--only", "qwen", columns=columns) as terminal:
            await terminal.prompt()
            await terminal.ask("日本 👋 " * 20)
            await terminal.ask("/history")
            lines = terminal.lines

        first = next(number for number, line in enumerate(lines) if line.startswith("1. 日本"))
        assert ["   qwen: 日本", PROMPT[:5]] == [lines[first + 1][:11], lines[first + 2][:5]]

    async def test_a_conversation_begins_with_one_line(self, program, server):
        """Which ensemble, on what, and how to get help."""
        async with on_terminal(program, columns=80) as terminal:
            await terminal.prompt()
            host = server.url.removeprefix("http://")
            assert [f"heavy-lite (5 models) on Ollama at {host} - /help", PROMPT.rstrip()] == terminal.lines

    async def test_the_favourites_draft_is_seen_while_it_is_written_and_gone_afterwards(self, program, server):
        """The first in the configured order; what is chosen stands in its place at the end."""
        gate = asyncio.Event()
        server.say("qwen2.5-coder:1.5b", Reply("Perhaps it is **Lyon**, or so.", pauses={4: gate}))
        server.say("llama3.2:1b", "It is Paris.")
        server.say("gemma3:1b", "It is Paris.")
        async with on_terminal(program, "--no-optimize", columns=80) as terminal:
            await terminal.prompt()
            await terminal.enter("capital of france pls")
            await terminal.see("qwen writes:")
            await terminal.see("Perhaps it")
            gate.set()
            await terminal.prompt()
            shown = terminal.new

        assert re.search(r"^Response: (Perhaps it is Lyon, or so|It is Paris)\.$", shown, re.MULTILINE)
        assert "qwen writes:" not in shown

    async def test_no_draft_is_shown_where_nobody_watches(self, program, server):
        """--no-watch."""
        gate = asyncio.Event()
        server.say("qwen2.5-coder:1.5b", Reply("Perhaps it is Lyon.", pauses={2: gate}))
        async with on_terminal(program, "--no-optimize", "--no-watch") as terminal:
            await terminal.prompt()
            await terminal.enter("capital of france pls")
            await terminal.see("writing")
            assert "qwen writes:" not in terminal.text
            gate.set()
            await terminal.prompt()

    async def test_what_was_written_before_ctrl_c_can_be_used(self, program, server):
        """Finished or not; it is then what the models remember."""
        gate = asyncio.Event()
        server.say("llama3.2:1b", Reply("It is Nice, I think.", pauses={2: gate}), "Yes.")
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            await terminal.enter("capital of france pls")
            await server.until(lambda: server.in_progress == 1, 20)
            terminal.press(CTRL_C)
            await terminal.see("/use N to use it")
            await terminal.prompt()
            assert "It is Paris." in await terminal.ask("/answers")
            await terminal.ask("/use qwen")
            await terminal.ask("and of Italy?")

        assert ["capital of france pls", "It is Paris.", "and of Italy?"] == thread(server)

    async def test_between_turns_the_models_read_what_was_said(self, program, server):
        """Every one of them, once: the next prompt of a candidate begins with what it has read."""
        async with on_terminal(program) as terminal:
            await terminal.prompt()
            assert [] == server.read_ahead  # nothing is loaded into a server that others use too
            await terminal.ask("capital of france pls")
            await server.until(lambda: len(server.read_ahead) == len(MODELS), 20)
            await terminal.ask("/answers")
            await terminal.ask("and of Italy?")

        read = {body["model"]: body["messages"] for body in server.read_ahead[: len(MODELS)]}
        last = [body["messages"] for body in server.chats if body["model"] == "llama3.2:1b"][-1]
        assert set(MODELS) == read.keys()
        assert 1 == [body["messages"] for body in server.read_ahead if body["model"] == "llama3.2:1b"].count(last[:-1])
        assert last[:-1] == read["llama3.2:1b"]
        assert ["capital of france pls", "It is Paris."] == [message["content"] for message in last[-3:-1]]

    async def test_quietly_only_the_answer_is_shown(self, program):
        """No line about models, choice or rewriting."""
        async with on_terminal(program, "--quiet") as terminal:
            await terminal.prompt()
            shown = await terminal.ask("capital of france pls")

        assert "Response: It is Paris.\n" in shown
        assert not {"chosen", "asked as", "waiting"} & set(re.findall(r"chosen|asked as|waiting", shown))
        assert "heavy-lite" not in terminal.text

    async def test_a_terminal_is_told_to_copy(self, program):
        """The sequence reaches it, and nothing of it is seen."""
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            await terminal.ask("capital of france pls")
            shown = await terminal.ask("/copy")

        assert b"\x1b]52;c;SXQgaXMgUGFyaXMu\x07" in terminal.raw
        assert "52;" not in shown


class TestAskingOtherwise:
    async def test_instructions_options_and_files_go_along(self, program, server):
        """Those of the command line and those of the prompt."""
        (program.home / "notes.txt").write_text("Some notes.\n")
        async with on_terminal(program, "--no-optimize", "--system", "Be brief.", "-o", "temperature=0.5", "-f", "notes.txt") as terminal:
            await terminal.prompt()
            await terminal.ask("summarise this")
            first = [body for body in server.chats if body["model"] == "llama3.2:1b"][-1]
            await terminal.ask("/system Be long.")
            await terminal.ask("/set temperature 1")
            await terminal.ask("and this")
            second = [body for body in server.chats if body["model"] == "llama3.2:1b"][-1]

        assert "notes.txt:\n```\nSome notes.\n```\n\nsummarise this" == first["messages"][-1]["content"]
        assert ("Be brief." in first["messages"][0]["content"], 0.5) == (True, first["options"]["temperature"])
        assert ("Be long." in second["messages"][0]["content"], 1) == (True, second["options"]["temperature"])
        assert "and this" == second["messages"][-1]["content"]

    async def test_only_one_is_asked(self, program, server):
        """Neither the others nor the promptimizer nor the judge hear of it, until all are wanted again."""
        async with on_terminal(program, "--only", "llama") as terminal:
            await terminal.prompt()
            shown = await terminal.ask("capital of france pls")
            assert "Response: It might be Nice." in shown
            assert {"llama3.2:1b"} == {body["model"] for body in server.chats}
            await terminal.ask("/only all")
            assert "Response: It is Paris." in await terminal.ask("capital of france pls")

    async def test_a_saved_conversation_is_continued_from_within(self, program, server):
        """The one before stays saved as it was, and what follows goes to the loaded one."""
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            await terminal.ask("one")
            terminal.press(CTRL_D)
            assert 0 == await terminal.end()
        async with on_terminal(program, "--no-optimize") as terminal:
            await terminal.prompt()
            await terminal.ask("two")
            listed = await terminal.ask("/sessions")
            (earlier,) = (line.split()[0] for line in listed.splitlines() if line.endswith(" one"))
            assert "after 1 turn" in await terminal.ask(f"/load {earlier}")
            await terminal.ask("three")
            assert "no session" in await terminal.ask("/load 2020")
            assert f"{earlier} is the current session" in await terminal.ask(f"/load {earlier[:-2]}")
            terminal.press(CTRL_D)
            assert 0 == await terminal.end()

        assert ["one", "It is Paris.", "three"] == thread(server)
        _, out, _ = await program.run("--list")
        assert {("1", "two"), ("2", "one")} == {tuple(line.split()[-2:]) for line in out.decode().splitlines()}


async def test_a_single_question_takes_the_same_wishes(program, server):
    """-f, --system, -o, --only and --quiet without a prompt; what is wrong with one is told."""
    (program.home / "notes.txt").write_text("Some notes.")
    code, out, err = await program.run("-q", "--no-optimize", "--only", "llama", "-f", "notes.txt", "-o", "num_predict=9", "summarise")
    assert (0, b"It might be Nice.\n", "") == (code, out, err)
    (body,) = server.chats
    assert ("notes.txt:\n```\nSome notes.\n```\n\nsummarise", 9) == (body["messages"][-1]["content"], body["options"]["num_predict"])

    for arguments, says in (
        (["-o", "temperatur=1"], 'did you mean "temperature"'),
        (["-o", "x"], "NAME=VALUE"),
        (["-f", "none"], "does not exist"),
        (["--only", "x"], "no candidate"),
    ):
        code, _, err = await program.run(*arguments, "hello")
        assert (2, True) == (code, says in err), err
