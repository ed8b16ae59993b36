"""What can be typed besides questions: the table, each command, what is kept of what was typed."""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import stat
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from msgspec import structs
from prompt_toolkit.history import History

from gork.config.ensemble import Ensemble, Member
from gork.config.settings import Settings, load_settings
from gork.conversation.thread import Conversation, Exchange
from gork.errors import TimedOut, UsageError
from gork.health import MemberRow
from gork.judging import explain
from gork.terminal import commands
from gork.terminal.attachments import TextFile
from gork.terminal.commands import Edited, Leave
from gork.terminal.ctrl_c import InterruptHandler, Stopped
from gork.terminal.drafts import Drafts
from gork.terminal.history import open_history
from gork.terminal.input import Line, unfenced
from gork.terminal.session import Backend, ConversationHooks, Request, Session, sampling
from gork.turn import Answer, Answered, Failed, Failure, Fallback, Question, Restarted, Stage, StageStarted, Token, Turn, Verdict
from tests.support.scripted_model import ScriptedModel
from tests.support.turns import SCHEMA

TEXTS = {"qwen-small": "Lyon\x1b[2J", "qwen": "Paris\n```\nindeed", "llama": "Nice"}


def turn(prompt: str = "capital?", winner: str = "qwen", **verdict: object) -> Turn:
    """A finished turn of three candidates, judged in one order."""
    answers = tuple(Answer(member=name, model=f"{name}:1b", text=text, tokens=3, seconds=1.5) for name, text in TEXTS.items())
    scores = {"qwen-small": -0.5, "qwen": 1.0, "llama": -0.5}
    said = {"winner": winner, "policy": "prior", "favourite": winner, "scores": scores, "margin": 1.5, "judge_calls": 1}
    return Turn(
        id="0123456789ab",
        question=Question(text=prompt),
        winner=next(answer for answer in answers if answer.member == winner),
        answers=answers,
        failures=(Failure(member="tiny", kind="timeout", message="tiny at http://tiny: too late"),),
        verdict=Verdict(**{**said, **verdict}),
        timings={"rewrite": 1.0, "answer": 2.0, "judge": 1.0, "total": 4.0},
        engine="embedded",
        ensemble="test",
        seed=7,
    )


class Desk:
    """A session whose lines are kept."""

    def __init__(
        self, tmp_path: Path, *, explain: object = None, conversation: Conversation | None = None, hooks: ConversationHooks | None = None
    ) -> None:
        self.lines: list[str] = []
        self.pieces: list[str] = []

        async def check() -> list[MemberRow]:
            return [MemberRow("qwen", "candidate", "qwen:1b", "http://there", "loaded")]

        self.asks: list[tuple[Question, Settings]] = []
        self.answers: list[Turn] = []
        """What comes of asking, one turn each time."""

        async def ask(question: Question, _: object, how: Settings, **_more: object) -> Turn:
            self.asks.append((question, how))
            return self.answers.pop(0)

        self.session = Session(
            backend=Backend(ask=ask, settings=load_settings({}, {"HOME": str(tmp_path)}), check=check, explain=explain),
            say=self.lines.append,
            show_piece=self.pieces.append,
            environ={"PATH": os.environ["PATH"]},
            interactive=True,
            conversation=conversation or Conversation(),
            hooks=hooks or ConversationHooks(),
        )

    async def run(self, text: str) -> object:
        """Run a command; returns what it asks the prompt to do."""
        self.lines.clear()
        command, argument = commands.read(text)
        return await command.run(self.session, argument)

    def asked(self, prompt: str = "capital?", finished: Turn | None = None, *, again: bool = False) -> None:
        """A question that was answered."""
        self.session.begin(Request(prompt, again=again))
        self.session.remember(prompt, finished or turn(prompt))

    @property
    def text(self) -> str:
        """What the last command said."""
        return "\n".join(self.lines)


@pytest.fixture
def desk(tmp_path):
    """A session in which nothing was asked yet."""
    return Desk(tmp_path)


class TestReading:
    @pytest.mark.parametrize("text", ["what?", " /help", "/etc/passwd is what?", "/", "//", "/* comment", "what /help", "/1", "\n/help"])
    def test_only_a_slash_and_a_name_make_a_command(self, text):
        """A blank before it, or anything but a name behind the slash, makes it a question."""
        assert commands.read(text) is None

    @pytest.mark.parametrize(
        ("text", "name", "argument"),
        [
            ("/help", "help", ""),
            ("/?", "help", ""),
            ("/HELP \n", "help", ""),
            ("/exit", "bye", ""),
            ("/raw one\n two ", "raw", "one\n two"),
            ("/set  seed  5", "set", "seed  5"),
        ],
    )
    def test_a_command_is_found_by_name_or_alias_with_its_argument(self, text, name, argument):
        """The rest of the input is the argument, several lines included."""
        command, given = commands.read(text)
        assert (name, argument) == (command.name, given)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("/hlep", 'no command /hlep, did you mean "/help"'),
            ("/" + "x" * 500, "no command /" + "x" * 40),
            ("/stats now", "/stats takes no argument"),
            ("/show", "Usage: /show N|MEMBER"),
        ],
    )
    def test_what_cannot_be_a_command_is_told(self, text, says):
        """An unknown name with the nearest known one; an argument that is missing or not wanted."""
        with pytest.raises(UsageError) as error:
            commands.read(text)
        assert str(error.value).startswith(says) or says in str(error.value)

    async def test_help_is_made_from_the_table(self, desk):
        """Every command, its argument and its aliases stand in it, and how to write several lines."""
        await desk.run("/help")

        for command in commands.COMMANDS:
            assert any(line.strip().startswith(command.usage) for line in desk.lines), command.name
            assert command.help in " ".join(desk.text.split()), command.name
            assert all(f"/{alias}" in desk.text for alias in command.aliases)
        assert '"""' in desk.text

    def test_names_and_aliases_are_given_once(self):
        """No two commands share a word."""
        words = [word for command in commands.COMMANDS for word in (command.name, *command.aliases)]
        assert len(words) == len(set(words)) == len(commands.BY_WORD)

    @pytest.mark.parametrize(
        ("text", "replaced", "words"),
        [
            ("/st", 3, ["/stats"]),
            ("/s", 2, ["/show", "/system", "/set", "/save", "/sessions", "/stats"]),
            ("/set opt", 3, ["optimize"]),
            ("/set optimize ", 0, ["true", "false"]),
            ("/set seed n", 1, ["none"]),
            ("/set timeout ", 0, []),
            ("/set seed none ", 0, []),
            ("/show ", 0, ["qwen-small", "qwen", "llama"]),
            ("/show qwen ", 0, []),
            ("/stats x", 1, []),
            ("/none x", 0, []),
            ("what /st", 0, []),
            ("/st\n/st", 0, []),
        ],
    )
    def test_completion_comes_from_the_table(self, desk, text, replaced, words):
        """Names first, then what the command takes."""
        desk.asked()
        assert (replaced, words) == commands.words(desk.session, text)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("/help", Line("/help")),
            ('"""/help"""', Line("/help", literal=True)),
            ('  """\na\n\n"""  ', Line("a", literal=True)),
            ('a """b"""', Line('a """b"""')),
            ('"""a', Line('"""a')),
            ('""""""', Line("", literal=True)),
        ],
    )
    def test_fences_are_taken_off(self, text, line):
        """What stands between them is never a command."""
        assert line == unfenced(text)


class TestTurns:
    @pytest.mark.parametrize("text", ["/answers", "/show 1", "/why", "/retry"])
    async def test_before_any_turn_it_says_so(self, desk, text):
        """There is nothing to show yet."""
        with pytest.raises(UsageError, match=r"nothing has been (answered|asked) yet"):
            await desk.run(text)

    async def test_all_answers_are_shown_under_their_members(self, desk):
        """With the winner marked, and who failed."""
        desk.asked()
        await desk.run("/answers")

        heads = [line for line in desk.lines if line.startswith("---")]
        assert ["qwen-small", "qwen", "llama", "tiny"] == [head.split()[2].rstrip(",") for head in heads]
        assert [", chosen" in head for head in heads] == [False, True, False, False]
        assert {"Nice", "Paris", "indeed"} <= set(desk.lines)

    @pytest.mark.parametrize("wanted", ["2", "qwen"])
    async def test_one_answer_is_shown_by_number_or_member(self, desk, wanted):
        """Only that one."""
        desk.asked()
        await desk.run(f"/show {wanted}")

        assert "Paris" in desk.lines
        assert "Nice" not in desk.lines

    @pytest.mark.parametrize(("wanted", "says"), [("4", "there are: 1 qwen-small"), ("lama", 'did you mean "llama"'), ("0", "no answer 0")])
    async def test_an_answer_that_is_not_there_is_told(self, desk, wanted, says):
        """With what is there."""
        desk.asked()
        with pytest.raises(UsageError, match=says):
            await desk.run(f"/show {wanted}")

    async def test_why_gives_the_numbers_then_the_judges_words(self, tmp_path):
        """As they come; the verdict stays as it was."""

        async def explain(asked: Turn, on_event) -> str:
            on_event(Token("judge", "B is "))
            on_event(Token("judge", "right."))
            return "B is right."

        desk = Desk(tmp_path, explain=explain)
        desk.asked()
        before = desk.session.last
        await desk.run("/why")

        assert ["B is ", "right.", "\n"] == desk.pieces
        assert "qwen was chosen: it is the first of the configured order" in desk.lines[0]
        assert "A is qwen-small, B is qwen, C is llama" in desk.text
        assert desk.session.last is before

    async def test_why_asks_a_judge_who_was_not_needed_for_the_verdict(self, tmp_path):
        """Its word could not have changed the choice; who wants to hear it hears it afterwards."""

        async def explain(*_: object) -> str:
            return "B is right."

        desk = Desk(tmp_path, explain=explain)
        desk.asked(finished=turn(judge_calls=0, scores={}))
        await desk.run("/why")

        assert "the judge's word was not needed: it could not have changed the choice" in desk.text
        assert "A is qwen-small, B is qwen, C is llama" in desk.text

    @pytest.mark.parametrize(
        ("verdict", "says"),
        [
            (
                {"fallback": Fallback("refused", "the judge is tired"), "judge_calls": 0},
                "the judge did not decide: the judge is tired",
            ),
            ({"note": "one usable answer: nothing to judge", "judge_calls": 0}, "one usable answer: nothing to judge"),
        ],
    )
    async def test_why_asks_nobody_about_a_verdict_that_nobody_gave(self, tmp_path, verdict, says):
        """Then the reason is known without the judge."""

        async def explain(*_: object) -> str:
            raise AssertionError

        desk = Desk(tmp_path, explain=explain)
        desk.asked(finished=turn(**verdict))
        await desk.run("/why")

        assert says in desk.text
        assert "nothing for the judge to explain" in desk.text

    async def test_retry_asks_the_last_question_again_in_its_place(self, tmp_path):
        """The same words in the same way; its answer replaces the last one, also for a saved session; the history is that before it."""
        told: list[str] = []
        hooks = ConversationHooks(
            on_turn=lambda prompt, _: told.append(prompt), on_drop=lambda: told.append("drop"), on_clear=lambda: told.append("clear")
        )
        desk = Desk(tmp_path, hooks=hooks)
        desk.asked("one")
        desk.session.begin(Request("two", optimize=False))
        desk.session.remember("two", turn("two"))

        request = await desk.run("/retry")
        assert Request("two", optimize=False, again=True) == request
        before = desk.session.begin(request)
        assert ["one"] == [exchange.user for exchange in before.exchanges]
        desk.session.remember("two", turn("two", "llama"))

        assert [("one", TEXTS["qwen"]), ("two", "Nice")] == [(e.user, e.assistant) for e in desk.session.conversation.exchanges]
        await desk.run("/clear")
        assert ["one", "two", "drop", "two", "clear"] == told

    async def test_a_question_that_failed_is_retried_without_replacing_anything(self, desk):
        """Only a remembered turn is replaced; a retry that was stopped leaves the answer that was there."""
        desk.asked("one")
        desk.session.begin(Request("two"))

        assert 1 == len(desk.session.begin(await desk.run("/retry")))
        desk.session.remember("two", turn("two"))
        desk.session.begin(await desk.run("/retry"))  # stopped
        desk.session.begin(await desk.run("/retry"))
        desk.session.remember("two", turn("two", "llama"))

        assert ["one", "two"] == [exchange.user for exchange in desk.session.conversation.exchanges]

    async def test_raw_asks_now_or_next_without_a_rewrite(self, desk):
        """With a text now, without one the next question."""
        assert Request("do it", optimize=False) == await desk.run("/raw do it")
        assert not desk.session.raw_next
        assert await desk.run("/raw") is None
        assert desk.session.raw_next

    async def test_stats_count_wins_failures_and_times(self, desk):
        """Of this session."""
        await desk.run("/stats")
        assert "0 turns answered, 0 stopped, 0 without an answer" == desk.text
        desk.asked()
        desk.asked(finished=turn(winner="llama", close=True))
        desk.asked(
            finished=replace(
                turn(fallback=Fallback("refused", "tired")), timings={"rewrite": 3.0, "answer": 6.0, "judge": 1.0, "total": 10.0}
            )
        )
        await desk.run("/stats")

        assert ["qwen", "2", "3", "0", "0"] == next(line.split() for line in desk.lines if line.startswith("qwen "))
        assert ["tiny", "0", "0", "3", "0"] == next(line.split() for line in desk.lines if line.startswith("tiny"))
        assert "1 without a verdict, 1 close call, 3 incomplete" in desk.lines
        assert "mean times: rewrite 1.7 s, answer 3.3 s, judge 1.0 s, total 6.0 s" == desk.lines[-1]

    async def test_the_history_tells_what_no_longer_fits(self, tmp_path):
        """Of earlier sessions too."""
        desk = Desk(tmp_path, conversation=Conversation([Exchange("earlier", "said " * 5000)]))
        desk.asked("now")
        await desk.run("/history")

        assert ["1. earlier (no longer fits)", "2. now"] == desk.lines[::2]
        assert desk.lines[1].startswith("   earlier: said said")

    async def test_clear_forgets_the_conversation_only(self, desk):
        """The last turn can still be looked at."""
        desk.asked()
        await desk.run("/clear")
        await desk.run("/show qwen")
        assert "Paris" in desk.lines
        await desk.run("/history")
        assert "the conversation is empty" == desk.text

    async def test_models_are_listed_with_their_state(self, desk):
        """A table."""
        await desk.run("/models")
        assert [["member", "role", "model", "where", "state"], ["qwen", "candidate", "qwen:1b", "http://there", "loaded"]] == [
            line.split() for line in desk.lines
        ]

    async def test_bye_leaves(self, desk):
        """So do its aliases."""
        assert Leave.NOW is await desk.run("/quit")

    async def test_edit_begins_with_the_last_question(self, tmp_path):
        """Or with what stands behind it; without a terminal it is refused."""
        desk = Desk(tmp_path)
        desk.session.environ = {"EDITOR": "true", "PATH": os.environ["PATH"]}
        assert await desk.run("/edit") is None
        desk.asked("one\ntwo")
        assert Edited("one\ntwo") == await desk.run("/edit")
        assert Edited("x") == await desk.run("/edit x")
        desk.session.interactive = False
        with pytest.raises(UsageError, match="needs a terminal"):
            await desk.run("/edit x")


class TestSaving:
    async def test_json_has_every_turn_as_the_program_prints_it(self, desk, tmp_path):
        """And what is known of earlier sessions' turns."""
        desk = Desk(tmp_path, conversation=Conversation([Exchange("earlier", "said")]))
        desk.asked("now \ud800")
        await desk.run(f"/save {tmp_path / 'it.json'}")

        saved = json.loads((tmp_path / "it.json").read_text())
        assert ["earlier", "now \ud800"] == [row["prompt"] for row in saved["exchanges"]]
        assert saved["exchanges"][0]["turn"] is None
        jsonschema.validate(saved["exchanges"][1]["turn"], SCHEMA)

    async def test_markdown_has_questions_answers_and_drafts(self, desk, tmp_path):
        """A text with a fence in it stays within its own."""
        desk.asked(finished=turn(winner="llama"))
        await desk.run(f"/save '{tmp_path / 'my file.md'}'")

        text = (tmp_path / "my file.md").read_text()
        assert "## Answer (llama, llama:1b)\n\nNice\n" in text
        assert "````text\nParis\n```\nindeed\n````" in text
        assert "- failed: tiny at http://tiny: too late" in text

    async def test_a_file_that_is_there_is_replaced_only_on_demand(self, desk, tmp_path):
        """It says how."""
        path = tmp_path / "it.md"
        path.write_text("mine")
        desk.asked()
        with pytest.raises(UsageError, match="/save --replace"):
            await desk.run(f"/save {path}")
        assert "mine" == path.read_text()
        await desk.run(f"/save --replace {path}")
        assert "Paris" in path.read_text()

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("it.txt", "ends in neither"),
            ("it", "ends in neither"),
            ("none/it.md", "No such file"),
            ("/proc/it.md", "cannot be saved"),
            ("\0.md", "cannot be"),
        ],
    )
    async def test_what_cannot_be_saved_is_told(self, desk, tmp_path, name, says):
        """One line each."""
        desk.asked()
        with pytest.raises(UsageError, match=says) as error:
            await desk.run(f"/save {tmp_path / name}")
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("text", ["/save", "/save --replace"])
    async def test_a_file_without_a_name_gets_one(self, desk, tmp_path, monkeypatch, text):
        """With the date in it, in the folder where one is."""
        monkeypatch.chdir(tmp_path)
        desk.asked()
        await desk.run(text)
        (file,) = tmp_path.glob("gork-*.md")
        assert "Paris" in file.read_text()
        assert f"saved: {file.name}" == desk.text

    async def test_an_empty_conversation_is_not_saved(self, desk, tmp_path):
        """No file is made."""
        with pytest.raises(UsageError, match="empty"):
            await desk.run(f"/save {tmp_path / 'it.md'}")
        assert [] == list(tmp_path.iterdir())


class TestSetting:
    async def test_settings_are_shown_with_where_they_come_from(self, desk):
        """All that can be changed, or one."""
        await desk.run("/set")
        assert "optimize = true  (default)" == desk.lines[0]
        await desk.run("/set --history-tokens")
        assert ["history_tokens = none  (default)"] == desk.lines

    @pytest.mark.parametrize(
        ("text", "attribute", "value"),
        [
            ("optimize off", "optimize", False),
            ("optimize=off", "optimize", False),
            ("--history-tokens = 0", "history_tokens", 0),
            ("parameter seed 5", "seed", 5),
            ("seed 5", "seed", 5),
            ("timeout 20", "timeout", 20.0),
            ("history_tokens 0", "history_tokens", 0),
        ],
    )
    async def test_a_change_counts_from_the_next_question_on(self, desk, text, attribute, value):
        """And is shown as the session's own."""
        await desk.run(f"/set {text}")
        assert value == getattr(desk.session.settings, attribute)
        assert desk.text.endswith("(/set)")
        assert value != getattr(desk.session.backend.settings, attribute)

    async def test_a_seed_can_be_taken_back(self, desk):
        """None stands for one that is drawn for each turn."""
        await desk.run("/set seed 5")
        await desk.run("/set seed none")
        assert desk.session.settings.seed is None

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("seed x", 'seed must be a whole number from 0 to 2147483647, not the text "x" .or none.'),
            ("optimize none", "optimize must be true or false"),
            ("sede 5", 'no setting sede, did you mean "seed"'),
            ("context 5", "context can only be set at start-up .--context."),
            ("timeout nan", "timeout must be"),
            ("system Be brief.", "/system does that"),
        ],
    )
    async def test_a_wrong_change_is_told_and_changes_nothing(self, desk, text, says):
        """By the same checks as everywhere."""
        before = desk.session.settings
        with pytest.raises(UsageError, match=says):
            await desk.run(f"/set {text}")
        assert desk.session.settings is before

    async def test_sampling_options_are_changed_beside_the_settings(self, desk):
        """By Ollama's names, with its bounds; what was set is listed, and can be taken back."""
        await desk.run("/set temperature 0.5")
        await desk.run("/set num-predict 99")
        assert {"temperature": 0.5, "num_predict": 99} == dict(sampling(desk.session.options))
        await desk.run("/set")
        assert "temperature = 0.5  (/set)" in desk.lines
        await desk.run("/set temperature none")
        assert {"num_predict": 99} == dict(sampling(desk.session.options))
        with pytest.raises(UsageError, match="temperature must be a number from 0 to 5"):
            await desk.run("/set temperature hot")

    async def test_instructions_are_shown_changed_and_taken_back(self, desk):
        """Without an argument nothing changes."""
        await desk.run("/system Answer in French.")
        await desk.run("/system")
        assert ("Answer in French.", "instructions: Answer in French.") == (desk.session.system, desk.text)
        await desk.run("/system none")
        assert "" == desk.session.system

    async def test_one_candidate_alone_can_be_asked(self, desk):
        """It must be one."""
        await desk.run("/only llama")
        assert ("llama", "llama") == (desk.session.only, desk.session.favourite)
        for name in ("judge", "lama"):
            with pytest.raises(UsageError, match="no candidate"):
                await desk.run(f"/only {name}")
        await desk.run("/only all")
        assert desk.session.only is None

    async def test_whose_draft_is_watched_can_be_chosen(self, desk):
        """Off, on, and one member's; without an argument it is switched."""
        assert (True, "qwen") == (desk.session.settings.watch, desk.session.favourite)
        await desk.run("/watch")
        assert not desk.session.settings.watch
        await desk.run("/watch llama")
        assert (True, "llama") == (desk.session.settings.watch, desk.session.favourite)
        with pytest.raises(UsageError, match='did you mean "llama"'):
            await desk.run("/watch lama")

    async def test_files_are_attached_to_the_next_question(self, desk, tmp_path):
        """Text in any of its encodings; what is none is told, and a pipe that nobody writes to is not waited for."""
        (tmp_path / "a b.txt").write_bytes("Où ?\r\n".encode("utf-16"))
        (tmp_path / "data").write_bytes(b"\xff\xff\x00\x01")
        await desk.run(f"/file {tmp_path / 'a b.txt'}")
        assert [TextFile("a b.txt", "Où ?\n")] == desk.session.files
        (tmp_path / "blank").write_text(" \n")
        (tmp_path / "bell").write_text("a\x07b")
        os.mkfifo(tmp_path / "pipe")
        for name, says in (
            ("none", "does not exist"),
            (".", "a folder"),
            ("data", "binary file"),
            ("blank", "is empty"),
            ("bell", "character 2 of .*bell is the control character U.0007"),
            ("pipe", "a pipe or a device, not a file"),
        ):
            with pytest.raises(UsageError, match=says):
                await desk.run(f"/file {tmp_path / name}")
        assert (len(f"{tmp_path}/a"), [f"{tmp_path}/a b.txt"]) == commands.words(desk.session, f"/file {tmp_path}/a")
        await desk.run("/file none")
        assert [] == desk.session.files


class TestUsing:
    async def test_another_answer_takes_the_place_of_the_chosen_one(self, tmp_path):
        """In the conversation, on disk, and for /show; counts stay as they were."""
        told: list[object] = []
        hooks = ConversationHooks(on_turn=lambda _, turn: told.append(turn.winner.member), on_drop=lambda: told.append("drop"))
        desk = Desk(tmp_path, hooks=hooks)
        desk.asked("one")
        await desk.run("/use llama")

        assert [("one", "Nice")] == [(e.user, e.assistant) for e in desk.session.conversation.exchanges]
        assert (["qwen", "drop", "llama"], "you chose it", 1) == (told, desk.session.last.verdict.note, desk.session.stats.turns)
        jsonschema.validate(desk.session.last.as_json(), SCHEMA)

    async def test_what_was_written_before_a_stop_can_be_read_and_used(self, desk):
        """Finished answers whole, the others as far as they came; a restart begins them again."""
        desk.asked("one")
        request = Request("two")
        desk.session.begin(request)
        drafts = Drafts(Question(text="two"), lambda _: None, {"a": "a:1b", "b": "b:1b"})
        for event in (
            StageStarted(Stage.REWRITE, ("p",)),
            Token("p", "rewritten"),
            StageStarted(Stage.ANSWER, ("a", "b", "c")),
            Token("a", "fro"),
            Restarted("a", "died"),
            Token("a", "Ber"),
            Token("a", "lin"),
            Answered(Answer(member="b", model="b:1b", text="Bonn")),
            Failed(Failure(member="c", kind="died", message="c died")),
        ):
            drafts(event)
        desk.session.stopped = drafts
        await desk.run("/answers")
        assert {"Berlin", "Bonn", "--- failed: c died"} <= set(desk.lines)
        await desk.run("/use 1")

        assert [("one", TEXTS["qwen"]), ("two", "Berlin")] == [(e.user, e.assistant) for e in desk.session.conversation.exchanges]
        assert (False, "stopped") == (desk.session.last.winner.complete, desk.session.last.winner.stop)
        jsonschema.validate(desk.session.last.as_json(), SCHEMA)

    async def test_the_last_turn_can_be_taken_back(self, tmp_path):
        """One at a time; the next question then replaces nothing."""
        told: list[str] = []
        desk = Desk(tmp_path, hooks=ConversationHooks(on_turn=lambda prompt, _: told.append(prompt), on_drop=lambda: told.append("drop")))
        desk.asked("one")
        desk.asked("two")
        await desk.run("/undo")
        desk.asked("three")

        assert ["one", "three"] == [exchange.user for exchange in desk.session.conversation.exchanges]
        assert ["one", "two", "drop", "three"] == told
        await desk.run("/undo")
        await desk.run("/undo")
        with pytest.raises(UsageError, match="empty"):
            await desk.run("/undo")

    @pytest.mark.parametrize(
        ("text", "copied"), [("/copy", TEXTS["qwen"]), ("/copy code", "indeed\n"), ("/copy llama", "Nice"), ("/copy code 2", "indeed\n")]
    )
    async def test_an_answer_or_its_code_is_copied_by_the_terminal(self, desk, text, copied):
        """OSC 52, with the text in base64."""
        desk.asked()
        sent: list[str] = []
        desk.session.copy = sent.append
        await desk.run(text)

        assert [f"\x1b]52;c;{base64.b64encode(copied.encode()).decode()}\x07"] == sent

    async def test_what_cannot_be_copied_is_told(self, desk):
        """No terminal, no code, too much, several at once."""
        desk.asked()
        with pytest.raises(UsageError, match="needs a terminal"):
            await desk.run("/copy")
        desk.session.copy = lambda _: None
        with pytest.raises(UsageError, match="no code"):
            await desk.run("/copy code llama")
        with pytest.raises(UsageError, match="no answer 1 2"):
            await desk.run("/copy 1 2")
        desk.asked(finished=replace(turn(), winner=Answer(member="qwen", model="q", text="x" * 100_000)))
        with pytest.raises(UsageError, match="too long"):
            await desk.run("/copy")


class TestNotNeeded:
    @pytest.fixture
    def decided(self, tmp_path):
        """A session whose last turn was decided without llama, who would have to be asked alone."""
        told: list[object] = []
        desk = Desk(
            tmp_path, hooks=ConversationHooks(on_turn=lambda _, turn: told.append(turn.not_needed), on_drop=lambda: told.append("drop"))
        )
        members = tuple(Member(name=name, model=f"{name}:1b") for name in TEXTS)
        desk.session.settings = structs.replace(desk.session.settings, ensemble=Ensemble(name="test", candidates=members))
        whole = turn()
        desk.asked(finished=replace(whole, answers=whole.answers[:2], not_needed=("llama",), failures=()))
        desk.answers = [replace(whole, answers=whole.answers[2:], winner=whole.answers[2])]
        desk.told = told
        return desk

    async def test_it_is_named_among_the_answers_and_in_the_counts(self, decided):
        """It has not failed."""
        await decided.run("/answers")
        assert "--- llama: not waited for (/show llama asks now)" == decided.lines[-1]
        await decided.run("/stats")
        assert ["llama", "0", "0", "0", "1"] in [line.split() for line in decided.text.splitlines()]

    async def test_it_is_asked_when_it_is_to_be_shown(self, decided):
        """Alone, with the turn's question and seed; its answer is the turn's from then on, on disk too, and can be used."""
        await decided.run("/show llama")
        (question, how), *more = decided.asks

        assert ("capital?", 7, ["llama"], "all", []) == (
            question.text,
            how.seed,
            [member.name for member in how.ensemble.candidates],
            how.ensemble.choosing.wait,
            more,
        )
        assert [
            "llama was not waited for: asking it now",
            "--- 3. llama (llama:1b, 3 tokens in 1.5 s, the judge's reading -0.50)",
            "Nice",
        ] == decided.lines
        assert [("llama",), "drop", ()] == decided.told
        assert [("capital?", TEXTS["qwen"])] == [(e.user, e.assistant) for e in decided.session.conversation.exchanges]
        await decided.run("/use llama")
        assert "Nice" == decided.session.conversation.exchanges[-1].assistant

    async def test_after_an_undo_its_answer_does_not_bring_the_turn_back(self, decided):
        """It is only looked at."""
        await decided.run("/undo")
        await decided.run("/show llama")

        assert ("Nice", []) == (decided.lines[-1], list(decided.session.conversation.exchanges))

    def test_completion_knows_it(self, decided):
        """For /show, not for /use: there is nothing yet that could be used."""
        assert "llama" in commands.words(decided.session, "/show ")[1]
        assert "llama" not in commands.words(decided.session, "/use ")[1]


class TestReasons:
    async def test_the_judge_is_asked_within_its_context_and_for_few_tokens(self):
        """The answers are data under letters; the chosen one is given, not asked for."""
        judge = ScriptedModel("judge", replies=["Because. "])
        judge.context_size = 900
        long = replace(turn(), answers=tuple(replace(answer, text=answer.text + " word" * 5000) for answer in turn().answers))

        assert "Because." == await explain.explain(long, judge, 100_000, lambda _: None)
        read = "".join(message["content"] for message in judge.asked[0])
        assert len(read) / 3 < 900 - explain.MOST_TOKENS
        assert "Answer B was chosen" in read
        assert "qwen" not in read
        assert explain.MOST_TOKENS == judge.options[0]["num_predict"]

    async def test_a_judge_that_fails_is_an_error_of_the_command_only(self):
        """The verdict does not depend on it."""
        late = TimedOut("too late", member="judge", where="there")
        with pytest.raises(TimedOut):
            await explain.explain(turn(), ScriptedModel("judge", replies=[late]), 1000, lambda _: None)


class TestSignals:
    async def test_a_stop_waits_until_the_cleaning_up_is_done(self):
        """And a second one at once does not disturb it."""
        begun, cleaned = asyncio.Event(), []

        async def work() -> None:
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                cleaned.append(True)

        with InterruptHandler() as signals:
            task = asyncio.create_task(signals.run(work()))
            await begun.wait()
            signals.stop()
            signals.stop()
            with pytest.raises(Stopped):
                await task
        assert [True] == cleaned

    async def test_a_result_that_came_before_the_stop_counts(self):
        """A finished turn is never thrown away."""
        with InterruptHandler() as signals:

            async def work() -> str:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    return "done"
                return ""

            task = asyncio.create_task(signals.run(work()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            signals.stop()
            assert "done" == await task

    async def test_nothing_runs_after_the_signal_that_ends_it(self):
        """Whatever would begin then is stopped before it begins."""
        with InterruptHandler() as signals:
            signals.end(15)
            with pytest.raises(Stopped):
                await signals.run(asyncio.sleep(0))

    async def test_the_handlers_of_before_are_put_back(self):
        """Within it they are ours."""
        import signal

        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        with InterruptHandler():
            assert before != [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def _history(home: Path, **limits: int) -> History:
    """The history of a home folder; none in a file is a failure."""
    history, why = open_history({"HOME": str(home)}, wanted=True, **limits)
    assert why is None
    return history


def _append(home: Path, name: str, count: int) -> None:
    history = _history(home)
    for number in range(count):
        history.append_string(f"{name}\n{number} " + "é" * 50)


class TestHistory:
    @pytest.fixture
    def file(self, tmp_path):
        """Where a home folder has it."""
        path = tmp_path / ".local" / "state" / "gork" / "history"
        path.parent.mkdir(parents=True)
        return path

    def test_entries_of_several_lines_come_back_newest_first(self, tmp_path):
        """Whatever is in them; what UTF-8 cannot hold is replaced."""
        entries = ["one", "two\nlines\n", '\x1b[31m\u2028\r"x"', '"""', "# no mark"]
        for entry in entries:
            _history(tmp_path).append_string(entry)
        _history(tmp_path).append_string("half \ud800")
        assert ["half ?", *entries[::-1]] == list(_history(tmp_path).load_history_strings())

    def test_several_programs_at_once_lose_and_tear_nothing(self, tmp_path):
        """Every entry of each is there, in order."""
        context = multiprocessing.get_context("spawn")
        writers = [context.Process(target=_append, args=(tmp_path, name, 300)) for name in "abc"]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

        entries = list(_history(tmp_path).load_history_strings())
        assert 900 == len(entries)
        for name in "abc":
            assert [f"{name}\n{number} " + "é" * 50 for number in range(300)] == [e for e in entries[::-1] if e.startswith(name)]

    def test_it_is_bounded_and_private(self, tmp_path, file):
        """A file that is too large is cut to its newest half, whole entries only; whoever made it, only its owner may read it."""
        for number in range(100):
            _history(tmp_path).append_string(f"{number}\nsecond line")
        file.chmod(0o644)
        entries = list(_history(tmp_path, most_bytes=2000).load_history_strings())

        assert [f"{number}\nsecond line" for number in range(99, 99 - len(entries), -1)] == entries
        assert 10 < len(entries) < 50
        assert 1000 >= file.stat().st_size
        assert 0o600 == stat.S_IMODE(file.stat().st_mode)
        assert ["history"] == [path.name for path in file.parent.iterdir()]

    def test_the_file_of_an_earlier_version_is_read_on(self, tmp_path, file):
        """A JSON string a line; also lines that such a version adds later, and one that is torn takes nothing with it."""
        file.write_bytes(b'"one"\n"two\\nlines \\u00e9\\ud800"\nnot json\n5\n\xff\xfe\n"torn')
        _history(tmp_path).append_string("three")
        with file.open("ab") as appended:
            appended.write(b'"four"\n')
        again = list(_history(tmp_path).load_history_strings())

        assert ["four", "three", "two\nlines é?", "one"] == again
        assert again == list(_history(tmp_path).load_history_strings())

    @pytest.mark.skipif(os.name != "posix", reason="needs a device that is full")
    def test_a_disk_that_is_full_ends_nothing(self, tmp_path, file):
        """The entry is kept in memory."""
        history = _history(tmp_path)
        file.unlink()
        file.symlink_to("/dev/full")
        history.append_string("typed")
        assert ["typed"] == history.get_strings()

    @pytest.mark.parametrize(("environ", "path"), [({"XDG_STATE_HOME": "/s"}, "s/gork"), ({"XDG_STATE_HOME": "s"}, "h/.local/state/gork")])
    def test_it_stands_where_state_belongs(self, tmp_path, environ, path):
        """A relative folder does not count."""
        state = environ["XDG_STATE_HOME"].replace("/s", f"{tmp_path}/s")
        _, why = open_history({"XDG_STATE_HOME": state, "HOME": f"{tmp_path}/h"}, wanted=True)
        assert (None, True) == (why, (tmp_path / path / "history").is_file())

    def test_without_a_home_it_is_kept_in_memory(self):
        """And a line says so."""
        history, why = open_history({}, wanted=True)
        history.append_string("typed")
        assert (["typed"], True) == (list(history.load_history_strings()), "no home folder" in str(why))


async def test_a_ctrl_c_between_two_things_is_for_the_second():
    """A question was entered and its turn has not begun: it does not begin. What is run after that runs."""
    handler = InterruptHandler()
    with handler:
        await handler.run(asyncio.sleep(0))
        handler.stop()
        handler.stop()

        with pytest.raises(Stopped):
            await handler.run(asyncio.Event().wait())
        assert await handler.run(asyncio.sleep(0, "done")) == "done"
