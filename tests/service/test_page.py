"""The page: what is served, and what somebody sees and does with a real Chromium on the real service."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from msgspec.structs import replace
from playwright.async_api import expect

from gork.config.settings import load_settings
from gork.engines.choose import ollama_engine
from gork.errors import Stopping
from gork.service.page import INDEX, POLICY, TYPES, VENDOR, WEB, Assets, assets
from gork.turn import Kind
from tests.support.fake_ollama import FakeOllama, Reply
from tests.support.heavy_lite import MODELS
from tests.support.page_browser import DESKTOP, PHONE, TABLET, Visitor, chromium, tab, visiting
from tests.support.program import Program
from tests.support.served import Served, serving, serving_fake

together = pytest.mark.asyncio(loop_scope="module")
"""Tests that share one Chromium, and so the loop that it is driven from."""

CANDIDATES = {"qwen-small": "qwen3:0.6b", "qwen": "qwen2.5-coder:1.5b", "llama": "llama3.2:1b"}
PARIS = "It is **Paris**.\n\n```python\nprint('Paris')\n```"
OWN = {name: asset.body.decode() for name, asset in assets().files.items() if not name.startswith(VENDOR)}
NAMED_ONLY = {
    "github.com/markedjs/marked",
    "github.com/highlightjs/highlight.js/wiki/security",
    "github.com/highlightjs/highlight.js/issues/2277",
    "github.com/babel/babel/blob/main/packages/babel-helpers/LICENSE",
    "www.w3.org/1998/Math/MathML",
    "www.w3.org/1999/xhtml",
    "www.w3.org/2000/svg",
}
"""Names that vendored files have in comments and messages, and XML's names for its vocabularies: nothing is fetched from there."""


class TestFiles:
    def test_what_others_wrote_is_unchanged_and_named(self):
        """Each vendored file has its checksum, each checksum its file, and each package its licence."""
        folder = WEB / "vendor"
        told = dict(reversed(line.split("  ")) for line in (folder / "checksums.txt").read_text().splitlines())
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"checksums.txt", "README.md"}
        packages = {path.parent for path in folder.glob("*/LICENSE")}
        versions = re.findall(r"`[\w@/-]+@\d+\.\d+\.\d+`", (folder / "README.md").read_text())

        assert set(told) == there
        assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in told} == told
        assert {path for path in folder.iterdir() if path.is_dir()} == packages
        assert len(packages) == len(versions)

    def test_no_file_names_a_foreign_host(self):
        """No address of another host is in what browsers get, but names that are no addresses to them."""
        for name, asset in assets().files.items():
            found = set(re.findall(r"https?://([^\s\"'`)<>,;]+)", asset.body.decode())) - {""}
            allowed = NAMED_ONLY if name.startswith(VENDOR) else {"www.w3.org/2000/svg"} if name == "icon.svg" else set()
            assert {address.rstrip(".") for address in found} <= allowed, name

    def test_all_of_it_is_small(self):
        """What every visitor loads is less than 110 kB on the wire; with what some answers need, less than 180 kB."""
        sizes = {name: len(asset.compressed) for name, asset in assets().files.items()}
        assert sum(sizes.values()) <= 180_000
        assert sum(size for name, size in sizes.items() if "/temml/" not in name and "/highlight/" not in name) <= 110_000

    def test_the_page_and_its_modules_name_files_that_exist(self):
        """Everything that the page loads, and that a module imports, is there."""
        named = re.findall(r"page/[0-9a-f]{12}/([\w./-]+)", OWN[INDEX])
        assert {"app.js", "early.js", "css/base.css"} <= set(named) <= set(assets().files)
        for name, source in OWN.items():
            for imported in re.findall(r"""(?:from|import)\(? ?["'`]\./([^"'`$]+)["'`]""", source):
                assert imported in assets().files, (name, imported)
        grammars = re.search(r"GRAMMARS = \{(.*?)\};", OWN["highlighting.js"], re.DOTALL)
        assert grammars is not None
        shipped = {path.name.removesuffix(".min.js") for path in (WEB / "vendor/highlight/languages").iterdir()}
        assert shipped == set(re.findall(r"(\w+): \[", grammars[1]))

    def test_the_version_changes_with_any_file(self, tmp_path):
        """A file that differs, or has another name, gives all of them other addresses."""
        (tmp_path / INDEX).write_text("%VERSION%")
        (tmp_path / "a.js").write_text("1")
        first = Assets.read(tmp_path)
        (tmp_path / "a.js").write_text("2")
        second = Assets.read(tmp_path)
        (tmp_path / "a.js").rename(tmp_path / "b.js")
        third = Assets.read(tmp_path)
        assert 3 == len({first.version, second.version, third.version})
        assert first.version.encode() == first.files[INDEX].body


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    """One Chromium for all tests."""
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(browser):
    """What most tests share: a fake Ollama, the real service on it, and a window that keeps the page's files."""
    async with FakeOllama(*MODELS) as fake, serving_fake(fake, seed=1) as served, await browser.new_context() as window:
        await window.grant_permissions(["clipboard-read", "clipboard-write"])
        yield fake, served, window


@pytest.fixture
def fake(house):
    """The fake Ollama with the five models, whose judge likes the answer with Paris in it."""
    server = house[0]
    server.models = list(MODELS)
    server.requests.clear()
    server.cancelled.clear()
    server.say("granite4:350m", "What is the capital of France?")
    server.say("qwen3:0.6b", "It is Lyon.")
    server.say("qwen2.5-coder:1.5b", PARIS)
    server.say("llama3.2:1b", "It might be Nice.")
    server.say("gemma3:1b", "The second one names the capital.")
    return server


@pytest.fixture
def served(house, fake):
    """The service on it."""
    return house[1]


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(house, served):
    """Somebody at a desk, in a tab of their own; this browser knows nothing of them yet."""
    async with tab(house[2], served.url) as somebody:
        yield somebody
        await somebody.page.evaluate("localStorage.clear()")


def hold(fake: FakeOllama, *members: str, after: int = 2, text: str = "One two three four five.") -> asyncio.Event:
    """Have members write some words and then wait for the event."""
    gate = asyncio.Event()
    for member in members or CANDIDATES:
        fake.say(CANDIDATES[member], Reply(text, pauses={after: gate}))
    return gate


@together
class TestServing:
    @pytest_asyncio.fixture(loop_scope="module")
    async def client(self, served):
        """A client that unpacks nothing by itself."""
        async with aiohttp.ClientSession(served.url, auto_decompress=False, headers={"Accept-Encoding": "identity"}) as session:
            yield session

    async def test_browsers_get_the_page_and_programs_do_not(self, client):
        """The same address answers both, and says that it depends on what is accepted."""
        async with client.get("/", headers={"Accept": "text/html,*/*;q=0.8"}) as page, client.get("/") as other:
            assert ("text/html", "utf-8") == (page.content_type, page.charset)
            assert "Accept" in page.headers["Vary"]
            assert b"<!doctype html>" in await page.read()
            assert b"Ollama is running" == await other.read()

    async def test_the_page_allows_nothing_but_itself(self, client):
        """The policy names no other source, no inline script and no inline style, and demands the sanitiser."""
        async with client.get("/", headers={"Accept": "text/html"}) as page:
            policy = page.headers["Content-Security-Policy"]
            assert policy == POLICY
            assert page.headers["X-DNS-Prefetch-Control"] == "off"
            assert page.headers["Referrer-Policy"] == "no-referrer"
            assert page.headers["X-Content-Type-Options"] == "nosniff"
        for part in ("default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "base-uri 'none'"):
            assert part in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=|javascript:", OWN[INDEX])

    async def test_each_file_has_its_type_and_is_kept_for_ever_under_its_version(self, client):
        """Every file arrives as it is, with the type that browsers insist on; another version's address is asked again each time."""
        for name, asset in assets().files.items():
            if name == INDEX:
                continue
            async with client.get(f"/page/{assets().version}/{name}") as reply:
                assert (200, asset.body) == (reply.status, await reply.read())
                assert TYPES[Path(name).suffix] == reply.content_type
                assert "immutable" in reply.headers["Cache-Control"]
        async with client.get("/page/000000000000/app.js") as old:
            assert (200, "no-cache") == (old.status, old.headers["Cache-Control"])

    async def test_what_is_known_is_not_sent_again(self, client):
        """A client that has the page gets 304 and no body; one that has another does not."""
        html = {"Accept": "text/html"}
        async with client.get("/", headers=html) as page:
            tag = page.headers["ETag"]
        async with (
            client.get("/", headers={**html, "If-None-Match": tag}) as same,
            client.get("/", headers={**html, "If-None-Match": '"x"'}) as other,
        ):
            assert (304, b"") == (same.status, await same.read())
            assert (tag, 200) == (same.headers["ETag"], other.status)

    async def test_it_is_compressed_for_clients_that_accept_it(self, client):
        """Gzip for a client that accepts it, under another tag; plain for one that refuses it."""
        path = f"/page/{assets().version}/app.js"
        async with (
            client.get(path, headers={"Accept-Encoding": "br, gzip;q=0.5"}) as compressed,
            client.get(path, headers={"Accept-Encoding": "gzip;q=0, identity"}) as plain,
        ):
            assert "gzip" == compressed.headers["Content-Encoding"]
            assert "Content-Encoding" not in plain.headers
            assert compressed.headers["ETag"] != plain.headers["ETag"]
            assert len(await compressed.read()) < len(await plain.read())

    async def test_head_says_what_get_would(self, client):
        """HEAD has the same length and no body."""
        async with client.head(f"/page/{assets().version}/app.js", headers={"Accept-Encoding": "identity"}) as head:
            assert (200, b"") == (head.status, await head.read())
            assert len(assets().files["app.js"].body) == int(head.headers["Content-Length"])

    @pytest.mark.parametrize(
        "path", ["x/nothing.js", "x/index.html", "x/vendor/marked/LICENSE", "x/vendor/checksums.txt", "x/..%2f..%2fpage.py", "x/", "app.js"]
    )
    async def test_nothing_else_is_served(self, client, path):
        """What is no file of the page is not found, whatever the path tries."""
        async with client.get(f"/page/{path}") as reply:
            assert 404 == reply.status


@together
class TestTurn:
    async def test_answers_arrive_side_by_side_while_they_are_written(self, fake, visitor):
        """Words are there before any model is done: the favourite's draft in the answer's place, the others' side by side below."""
        gate = hold(fake)
        await visitor.ask("capital of france pls")
        for member in CANDIDATES:
            await expect(visitor.text(member)).to_have_text(re.compile("One two"))
            await expect(visitor.column(member)).to_have_attribute("aria-busy", "true")
            await expect(visitor.column(member).locator(".state")).to_contain_text(re.compile(r"Writing.*\ss"))
            assert 0 == await visitor.text(member).get_by_text("five").count()
        draft, one, other = [await visitor.column(member).bounding_box() for member in ("qwen", "qwen-small", "llama")]
        assert draft["y"] + draft["height"] < one["y"] == other["y"]
        assert one["x"] < other["x"]
        await expect(visitor.column("qwen").locator(".badge")).to_have_text("Draft")
        await expect(visitor.turn.locator(".asked")).to_have_text("Asked as: What is the capital of France?")
        await expect(visitor.card).to_have_count(0)
        gate.set()

        await expect(visitor.card).to_be_visible()
        for member in CANDIDATES:
            await expect(visitor.text(member)).to_have_text("One two three four five.")
            await expect(visitor.column(member)).not_to_have_attribute("aria-busy", "true")

    async def test_the_verdict_says_who_how_surely_and_by_what(self, fake, visitor):
        """One line names the winner; it opens: every score, what the judge itself would say, the favourite, times."""
        await visitor.ask_to_the_end("capital of france pls")
        await expect(visitor.card.locator(".verdict-line")).to_have_text(re.compile(r"^qwen's answer was chosen · .+ · \d+\.\d\ss$"))
        await expect(visitor.card.locator(".verdict-card")).to_be_hidden()
        await visitor.card.locator("summary").click()
        await expect(visitor.card.locator(".verdict-card")).to_be_visible()
        await expect(visitor.card.locator(".score")).to_have_count(3)
        await expect(visitor.card).to_contain_text("without seeing the answers: The second one names the capital.")
        await expect(visitor.card).to_contain_text("The favourite before anything was read: qwen")
        await expect(visitor.card).to_contain_text(re.compile(r"answers \d+\.\d\ss and judge"))
        await expect(visitor.turn.locator(".hero .column")).to_have_attribute("data-member", "qwen")
        await expect(visitor.column("qwen").locator(".state")).to_contain_text(re.compile(r"Done.*\d tokens"))

    async def test_a_fallback_is_no_verdict_and_says_so(self, fake, visitor):
        """When the judge fails, the card says that the configured order chose, and why."""
        fake.models.remove("gemma3:1b")
        await visitor.ask_to_the_end("capital of france pls")
        await expect(visitor.card.locator(".verdict-line")).to_contain_text("The favourite, without the judge: qwen")
        await expect(visitor.card.locator(".verdict-note").first).to_contain_text("The judge had no say:")
        await expect(visitor.turn.locator(".notices")).to_be_hidden()

    async def test_a_failed_model_says_why_and_the_others_go_on(self, fake, visitor):
        """Its column has the reason as text; the turn is answered."""
        fake.say("llama3.2:1b", Reply(status=500, error="<img src=x onerror=alert(1)> out of memory"))
        await visitor.ask_to_the_end("capital of france pls")
        await expect(visitor.column("llama").locator(".cut")).to_contain_text("<img src=x onerror=alert(1)> out of memory")
        await expect(visitor.column("llama").locator(".state")).to_contain_text("Failed")
        await expect(visitor.card).to_contain_text("qwen")
        await expect(visitor.card).to_contain_text("1 of 3 failed")
        await expect(visitor.turn.locator(".others")).to_have_text("1 other answer: qwen-small; llama failed")

    async def test_who_failed_has_not_answered(self, fake, visitor):
        """While a turn runs, answers and failures are counted apart."""
        gate = hold(fake, "qwen")
        fake.say("llama3.2:1b", Reply(status=500, error="no memory"))
        await visitor.ask("capital of france pls")
        await expect(visitor.status).to_have_text("1 of 3 has answered, 1 failed.")
        await expect(visitor.turn.locator(".steps")).to_contain_text("1 of 3")
        gate.set()
        await expect(visitor.card).to_be_visible()

    async def test_an_answer_that_is_cut_is_never_shown_as_if_it_were_whole(self, fake, visitor):
        """The chosen one and the others say so below their text, now and when the conversation is opened again."""
        for model in CANDIDATES.values():
            fake.say(model, Reply("It is Paris, which", done_reason="length"))
        await visitor.ask_to_the_end("capital of france pls")
        cut = visitor.turn.locator(".hero .cut")
        await expect(cut).to_have_text("Cut: it reached the limit of its length.")
        await visitor.page.reload()
        await expect(cut).to_have_text("Cut: it reached the limit of its length.")

    async def test_when_nobody_answers_the_reasons_are_told(self, fake, visitor):
        """No candidate: each with its reason, and the question can be asked again."""
        for model in CANDIDATES.values():
            fake.say(model, Reply(status=500, error="no memory"), Reply("It is Paris."))
        await visitor.ask("capital of france pls")
        await expect(visitor.turn.locator(".trouble")).to_contain_text("No model could answer this.")
        await expect(visitor.turn.locator(".cut").filter(has_text="no memory")).to_have_count(3)
        await expect(visitor.turn.locator(".columns .column")).to_have_count(3)
        await expect(visitor.turn.locator(".badge:visible, .others:visible")).to_have_count(0)
        await visitor.button("Ask again", within=visitor.turn.locator(".trouble")).click()
        await expect(visitor.card).to_be_visible()
        await expect(visitor.turn.locator(".trouble")).to_be_hidden()

    async def test_the_judge_can_be_asked_why_and_changes_nothing(self, visitor):
        """Its words come below the verdict, and the winner stays."""
        await visitor.ask_to_the_end("capital of france pls")
        await visitor.card.locator("summary").click()
        await visitor.button("Ask the judge why").click()
        await expect(visitor.card).to_contain_text("The second one names the capital.")
        await expect(visitor.card).to_contain_text("it did not affect the choice. A is qwen-small, B is qwen and C is llama.")
        await expect(visitor.card.locator(".verdict-line")).to_contain_text("qwen's answer was chosen")

    async def test_a_turn_in_line_says_how_many_are_before_it(self, fake, served, visitor):
        """Behind another client's turn the page says so, and is answered when that one is over."""
        gate = hold(fake)
        async with aiohttp.ClientSession(served.url) as other:
            first = asyncio.create_task(other.post("/api/deliberate", json={"question": "first"}))
            await fake.until(lambda: fake.in_progress == 3)
            await visitor.ask("second")
            await expect(visitor.status).to_have_text("Waiting in line: yours is next.")
            await expect(visitor.turn.locator(".column")).to_have_count(3)
            await expect(visitor.turn.locator(".badge:visible")).to_have_count(0)
            gate.set()
            await expect(visitor.card).to_be_visible()
            await (await first).read()

    async def test_models_are_told_the_conversation(self, fake, visitor):
        """The second question comes with the user's own words and the chosen answer of the first."""
        await visitor.ask_to_the_end("capital of france pls")
        await visitor.ask_to_the_end("and of Spain?")
        messages = [body for body in fake.chats if body["model"] == "llama3.2:1b"][-1]["messages"]
        assert ["capital of france pls", PARIS] == [message["content"] for message in messages if message["role"] != "system"][:2]


PROGRAM = "print('strawberry'.count('r'))"
LINES = "for number in range(3):\n    print('#' * number, number)"


def in_block(program: str) -> str:
    """A program as models write it."""
    return f"```python\n{program}\n```"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def computing(house):
    """The same models, of which qwen answers by a program what can be computed; all of them are waited for."""
    settings = load_settings({"port": "0"}, {"OLLAMA_HOST": house[0].url})
    ensemble = settings.ensemble
    ways = {Kind.ARITHMETIC: "program", Kind.COUNTING: "program"}
    members = tuple(replace(member, answers=ways) if member.name == "qwen" else member for member in ensemble.candidates)
    settings = settings.with_ensemble(replace(ensemble, candidates=members, choosing=replace(ensemble.choosing, wait="all")))
    async with ollama_engine(settings) as engine, serving(settings, engine) as served:
        yield served


@together
class TestComputed:
    @pytest_asyncio.fixture(loop_scope="module")
    async def visitor(self, house, fake, computing):
        """Somebody at a desk, on a page where programs are run."""
        async with tab(house[2], computing.url) as somebody:
            yield somebody

    async def test_an_output_is_the_answer_and_its_program_is_below_it(self, fake, visitor):
        """The program that was written gives way to what it printed, and is in the fold below; nobody was judged."""
        gate = asyncio.Event()
        fake.say("qwen2.5-coder:1.5b", Reply(in_block(PROGRAM), pauses={1: gate}))
        await visitor.ask("how many times does the letter r occur in strawberry?")
        await expect(visitor.text("qwen")).to_contain_text("python")
        gate.set()
        await expect(visitor.text("qwen")).to_have_text("3")
        await expect(visitor.card.locator(".verdict-line")).to_contain_text("Computed by qwen's program")
        await expect(visitor.card.locator(".verdict-note").first).to_have_text("qwen's program was run: its output is the answer")
        await expect(visitor.button("Ask the judge why")).to_be_hidden()
        await visitor.column("qwen").get_by_text("Computed by this program").click()
        await expect(visitor.column("qwen").locator(".computed code:visible")).to_have_text([PROGRAM])  # what it printed is the answer
        await expect(visitor.column("llama").get_by_text("Computed by this program")).to_be_hidden()

    async def test_words_that_say_the_same_win_with_the_program_below_them(self, fake, visitor):
        """The chosen answer is in words, and under it stands what computed the same."""
        fake.say("qwen2.5-coder:1.5b", in_block(PROGRAM))
        fake.say("llama3.2:1b", "The letter r occurs **3** times.")
        await visitor.ask_to_the_end("how many times does the letter r occur in strawberry?")
        await expect(visitor.card.locator(".verdict-line")).to_contain_text("llama's answer was chosen: a program computed the same")
        await expect(visitor.text("llama")).to_have_text("The letter r occurs 3 times.")
        await visitor.column("llama").get_by_text("Computed by this program").click()
        await expect(visitor.column("llama").locator(".computed code:visible")).to_have_text([PROGRAM, "3"])

    async def test_the_draft_that_is_shown_is_that_of_who_will_decide(self, fake, visitor, computing, monkeypatch):
        """Where the question can be computed, whoever writes the program; else the favourite."""
        ensemble = computing.service.ensemble
        ways = {"qwen": {}, "llama": {Kind.COUNTING: "program"}}
        members = tuple(replace(member, answers=ways.get(member.name, member.answers)) for member in ensemble.candidates)
        settings = computing.service.settings.with_ensemble(replace(ensemble, candidates=members))
        monkeypatch.setattr(computing.service, "settings", settings)
        hold(fake)
        for question, member in (("how many times does the letter r occur in strawberry?", "llama"), ("capital of france pls", "qwen")):
            await visitor.ask(question)
            await expect(visitor.text(member)).to_have_text(re.compile("One two"))
            await expect(visitor.turn.locator(".hero .column")).to_have_attribute("data-member", member)
            await visitor.page.keyboard.press("Escape")
            await expect(visitor.turn).to_have_attribute("data-status", "stopped")

    async def test_who_was_not_needed_says_so_and_shows_no_half_text(self, fake, visitor, computing, monkeypatch):
        """It is neither at work nor failed; after a reload it is the same."""
        ensemble = computing.service.ensemble
        deciding = replace(ensemble, choosing=replace(ensemble.choosing, wait="until-decided"))
        monkeypatch.setattr(computing.service, "settings", computing.service.settings.with_ensemble(deciding))
        hold(fake, "llama")
        gate = asyncio.Event()
        fake.say("qwen2.5-coder:1.5b", Reply(in_block(PROGRAM), pauses={1: gate}))
        await visitor.ask("how many times does the letter r occur in strawberry?")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        gate.set()
        await visitor.page.locator('[data-status="finished"]').last.wait_for()
        await fake.until(lambda: fake.cancelled == [CANDIDATES["llama"]])
        await expect(visitor.turn.locator(".others")).to_have_text("1 other answer: qwen-small; llama was not needed")
        for _ in range(2):
            column = visitor.column("llama")
            await expect(column.locator(".state")).to_contain_text("Not needed")
            await expect(column.locator(".cut")).to_have_text("qwen's program was run")
            await expect(column).not_to_have_attribute("aria-busy", "true")
            assert "" == await visitor.text("llama").inner_text()
            await expect(visitor.card.locator(".verdict-line")).not_to_contain_text("failed")
            await expect(visitor.turn.locator(".notices")).to_be_hidden()
            await visitor.come()

    async def test_lines_that_were_printed_are_shown_as_they_stand(self, fake, visitor):
        """An output of several lines is no Markdown, nor is one line of it; after a reload it is the same."""
        fake.say("qwen2.5-coder:1.5b", in_block("print('# one\\n\\n  ' + '*two*')"))
        await visitor.ask_to_the_end("how many times does the letter r occur in strawberry?")
        for _ in range(2):
            await expect(visitor.text("qwen").locator("pre")).to_have_text("# one\n\n  *two*")
            await expect(visitor.text("qwen").locator("h4, em")).to_have_count(0)
            await visitor.come()
        fake.say("qwen2.5-coder:1.5b", in_block("print('*' + str(1 + 2) + '*')"))
        await visitor.ask_to_the_end("how many times does the letter r occur in strawberry?")
        await expect(visitor.text("qwen")).to_have_text("*3*")

    async def test_a_program_that_did_not_run_says_so_in_one_line(self, fake, visitor):
        """The column keeps what the model wrote; a fold as of something computed is nowhere."""
        fake.say("qwen2.5-coder:1.5b", in_block("print(1 / 0)"))
        await visitor.ask_to_the_end("how many times does the letter r occur in strawberry?")
        await expect(visitor.column("qwen").locator(".cut")).to_have_text(re.compile("^Its program gave no result: .*division by zero"))
        await expect(visitor.text("qwen").locator("code")).to_have_text("print(1 / 0)")
        await expect(visitor.turn.get_by_text("Computed by this program").and_(visitor.page.locator(":visible"))).to_have_count(0)

    async def test_the_code_in_a_question_answers_for_itself(self, fake, visitor):
        """Its output is an answer of nobody's, which comes when the turn has begun, and decides."""
        gate = hold(fake, "llama")
        await visitor.ask(f"What does this print?\n\n{in_block(LINES)}")
        await expect(visitor.text("computed").locator("pre")).to_have_text(" 0\n# 1\n## 2")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        gate.set()
        await expect(visitor.card.locator(".verdict-line")).to_contain_text("Computed by the code in your question")
        await expect(visitor.column("computed").locator("h3")).to_have_text("the code in your question")
        await visitor.come()
        await expect(visitor.text("computed").locator("pre")).to_have_text(" 0\n# 1\n## 2")

    async def test_the_next_question_and_the_file_have_the_program(self, fake, visitor):
        """A follow-up is asked with the program; Markdown has output and program in fences."""
        fake.say("qwen2.5-coder:1.5b", in_block("print(200 * 15 / 100)"))
        await visitor.ask_to_the_end("what is 15 percent of 200?")
        await visitor.button("Export").click()
        async with visitor.page.expect_download() as download:
            await visitor.button("As Markdown").click()
        text = Path(await (await download.value).path()).read_text()
        assert "Computed by this program:\n\n```python\nprint(200 * 15 / 100)\n```\n\nIt printed:\n\n```text\n30" in text
        async with visitor.page.expect_request("**/api/deliberate") as asked:
            await visitor.ask_to_the_end("and with 20 percent?")
        assert (await asked.value).post_data_json["program"] == "print(200 * 15 / 100)"


@together
class TestAsking:
    async def test_stop_stops_all_models(self, fake, visitor):
        """The button is Stop while models write; pressing it, every model loses its client, and what was written stays."""
        hold(fake)
        await visitor.ask("capital of france pls")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        await visitor.button("Stop").click()
        await fake.until(lambda: sorted(fake.cancelled) == sorted(CANDIDATES.values()))
        await expect(visitor.turn.locator(".trouble")).to_contain_text("You stopped this turn.")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        await expect(visitor.column("llama")).to_contain_text("Unfinished")
        await expect(visitor.button("Send")).to_be_visible()

    async def test_escape_stops_and_the_box_keeps_the_focus(self, fake, visitor):
        """Esc is Stop, wherever one is."""
        hold(fake)
        await visitor.ask("capital of france pls")
        await expect(visitor.text("qwen")).to_have_text(re.compile("One two"))
        await visitor.page.keyboard.press("Escape")
        await fake.until(lambda: len(fake.cancelled) == 3)
        await expect(visitor.turn).to_have_attribute("data-status", "stopped")
        await expect(visitor.box).to_be_focused()

    async def test_enter_sends_but_not_with_shift_and_not_within_a_word(self, fake, visitor):
        """Shift-Enter is a new line; Enter that ends a composed word (IME) sends nothing, nor does an empty box, or one during a turn."""
        await visitor.box.press("Enter")
        await visitor.box.fill("one")
        await visitor.box.press("Shift+Enter")
        await visitor.box.press_sequentially("two")
        await visitor.box.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
        await visitor.box.dispatch_event("keydown", {"key": "Enter", "keyCode": 229})
        await expect(visitor.page.locator(".turn")).to_have_count(0)
        await expect(visitor.box).to_have_value("one\ntwo")
        gate = hold(fake)
        await visitor.box.press("Enter")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        await visitor.ask("too early")
        await expect(visitor.box).to_have_value("too early")
        await expect(visitor.status).to_contain_text("Your next question waits in the box.")
        gate.set()
        await expect(visitor.card).to_be_visible()
        await expect(visitor.page.locator(".question")).to_have_text(["one\ntwo"])

    async def test_the_arrow_brings_back_earlier_questions(self, visitor):
        """In an empty box, and only there: up goes back, down comes forward."""
        await visitor.ask_to_the_end("first")
        await visitor.ask_to_the_end("second")
        for key, expected in (
            ("ArrowUp", "second"),
            ("ArrowUp", "first"),
            ("ArrowUp", "first"),
            ("ArrowDown", "second"),
            ("ArrowDown", ""),
        ):
            await visitor.box.press(key)
            await expect(visitor.box).to_have_value(expected)
        await visitor.box.fill("mine")
        await visitor.box.press("ArrowUp")
        await expect(visitor.box).to_have_value("mine")

    async def test_the_rewrite_can_be_declined(self, fake, visitor):
        """With the switch off the models get the user's words; the choice outlives a reload."""
        await visitor.page.get_by_role("switch", name="Rewrite my prompt").press("Space")
        await visitor.ask_to_the_end("capital of france pls")
        await expect(visitor.turn.locator(".asked")).to_have_text(re.compile("^Asked in your own words"))
        assert "granite4:350m" not in {body["model"] for body in fake.chats}
        await visitor.come()
        await expect(visitor.page.get_by_role("switch", name="Rewrite my prompt")).not_to_be_checked()

    async def test_a_question_can_be_asked_again_in_several_ways(self, fake, visitor):
        """Again with another seed, or in one's own words: as versions that one can go between."""
        await visitor.ask_to_the_end("capital of france pls")
        fake.say("qwen2.5-coder:1.5b", "Paris, again.")
        await visitor.button("Ask again", within=visitor.turn).click()
        await expect(visitor.text("qwen")).to_have_text("Paris, again.")
        await expect(visitor.turn).to_have_attribute("data-status", "finished")
        seeds = {body["options"]["seed"] for body in fake.chats if body["model"] == "llama3.2:1b"}
        assert 2 == len(seeds)
        await visitor.button("Ask without rewriting").click()
        await expect(visitor.turn.locator(".versions")).to_contain_text("3 of 3")
        await expect(visitor.turn.locator(".asked")).to_have_text(re.compile("^Asked in your own words"))
        await visitor.button("Earlier version").click()
        await visitor.button("Earlier version").click()
        await expect(visitor.text("qwen")).to_contain_text("It is Paris.")
        await expect(visitor.page.locator(".turn")).to_have_count(1)

    async def test_a_question_can_be_edited(self, fake, visitor):
        """It goes back into the box, and Esc leaves all as it was; sent, the question and those after it stay as an earlier version."""
        await visitor.ask_to_the_end("first")
        await visitor.ask_to_the_end("second")
        await visitor.button("Edit", within=visitor.page.locator(".turn").first).click()
        await expect(visitor.box).to_have_value("first")
        await expect(visitor.page.locator("#editing")).to_contain_text("this one stays, with the 1 after it")
        await visitor.page.keyboard.press("Escape")
        await expect(visitor.page.locator("#editing")).to_be_hidden()
        await visitor.button("Edit", within=visitor.page.locator(".turn").first).click()
        await visitor.box.fill("third")
        await visitor.button("Send again").click()
        await expect(visitor.page.locator(".question")).to_have_text(["third"])
        await expect(visitor.card).to_be_visible()
        for _ in range(2):
            await visitor.button("Earlier version").click()
            await expect(visitor.page.locator(".question")).to_have_text(["first", "second"])
            await visitor.button("Later version").click()
            await expect(visitor.page.locator(".question")).to_have_text(["third"])
            await visitor.come()

    async def test_another_version_of_a_question_is_looked_at_from_its_beginning(self, browser, fake, served):
        """Whatever followed that version: the question stays on the screen, and not the end of what follows."""
        for model in CANDIDATES.values():
            fake.say(model, "\n\n".join(f"Paris, line {n}" for n in range(40)))
        async with visiting(browser, served.url, others=False) as visitor:
            for question in ("first", "second"):
                await visitor.ask_to_the_end(question)
            await visitor.button("Edit", within=visitor.page.locator(".turn").first).click()
            await visitor.box.fill("third")
            await visitor.box.press("Enter")
            await expect(visitor.page.locator(".question")).to_have_text(["third"])
            await expect(visitor.turn).to_have_attribute("data-status", "finished")
            await visitor.button("Earlier version").click()
            await expect(visitor.page.locator(".question").first).to_be_in_viewport()
            await expect(visitor.page.locator(".question").last).not_to_be_in_viewport()

    async def test_a_question_in_the_address_waits_in_the_box(self, fake, visitor):
        """It is filled in, not sent, and no longer in the address."""
        await visitor.come("?q=what%20is%20%3Cb%3E&x=1")
        await expect(visitor.box).to_have_value("what is <b>")
        assert f"{visitor.url}/?x=1" == visitor.page.url
        await expect(visitor.page.locator(".turn")).to_have_count(0)
        assert [] == fake.chats

    async def test_an_example_is_put_into_the_box(self, visitor):
        """The empty page says who answers, and has examples."""
        await expect(visitor.page.locator(".line-up")).to_contain_text("qwen2.5-coder:1.5b")
        await visitor.button("whats the diffrence between tcp and udp").click()
        await expect(visitor.box).to_have_value("whats the diffrence between tcp and udp")
        await expect(visitor.box).to_be_focused()

    async def test_a_conversation_has_settings(self, fake, served, visitor):
        """System message, temperature, seed and programs go with its questions, outlive a reload, and can be reset."""
        page = visitor.page
        await visitor.button("Settings").click()
        await page.get_by_label("System message").fill("Answer in one word.")
        await page.get_by_label("Temperature").fill("0.25")
        await page.get_by_label("Seed").fill("7")
        await page.get_by_role("switch", name="Let models answer by a program").press("Space")
        assert [] == await visitor.axe()
        await page.keyboard.press("Escape")
        await visitor.come()
        async with page.expect_request("**/api/deliberate") as asked:
            await visitor.ask_to_the_end("capital of france pls")
        body = (await asked.value).post_data_json
        assert ("Answer in one word.", {"temperature": 0.25}, 7, False) == tuple(
            body[name] for name in ("system", "options", "seed", "compute")
        )
        (chat,) = (said for said in fake.chats if said["model"] == "llama3.2:1b")
        assert 0.25 == chat["options"]["temperature"]
        assert chat["messages"][0]["content"].endswith("Answer in one word.")
        await visitor.button("Settings").click()
        await visitor.button("Reset").click()
        await visitor.button("Done").click()
        async with page.expect_request("**/api/deliberate") as asked:
            await visitor.ask_to_the_end("and of Spain?")
        assert {"system", "options", "compute", "members"}.isdisjoint((await asked.value).post_data_json)

    async def test_members_can_be_left_out(self, fake, visitor):
        """The last one stays in; those that are out are not asked, and it is so after a reload."""
        page = visitor.page
        await visitor.button("Settings").click()
        for name in ("qwen", "llama"):
            await page.get_by_role("checkbox", name=name, exact=True).uncheck()
        await expect(page.get_by_role("checkbox", name="qwen-small", exact=True)).to_be_disabled()
        await visitor.button("Done").click()
        await visitor.come()
        await visitor.ask_to_the_end("capital of france pls")
        await expect(visitor.turn.locator(".column h3")).to_have_text(["qwen-small"])
        assert [CANDIDATES["qwen-small"]] == [chat["model"] for chat in fake.chats if chat["model"] in CANDIDATES.values()]

    async def test_all_answers_can_be_shown_in_a_conversation(self, browser, served):
        """Also those of earlier questions; without that the chosen one alone."""
        async with visiting(browser, served.url, others=False) as visitor:
            await visitor.ask_to_the_end("capital of france pls")
            await expect(visitor.column("llama")).to_be_hidden()
            await visitor.button("Settings").click()
            await visitor.page.get_by_role("switch", name="Show all answers").press("Space")
            await visitor.button("Done").click()
            await visitor.ask_to_the_end("and of Spain?")
            await expect(visitor.page.locator('.column[data-member="llama"]').and_(visitor.page.locator(":visible"))).to_have_count(2)
            await visitor.button("New conversation").click()
            await visitor.ask_to_the_end("something else")
            await expect(visitor.column("llama")).to_be_hidden()

    async def test_text_files_that_are_dropped_become_part_of_the_question(self, visitor):
        """Each in a fence under its name; what is no text, or too large, is refused by name."""
        await visitor.box.fill("What is this?")
        await visitor.page.evaluate(
            """() => {
                const data = new DataTransfer();
                data.items.add(new File(["a = '```'\\n"], "a.py"));
                data.items.add(new File([new Uint8Array([255, 0, 1])], "b.bin"));
                data.items.add(new File(["x".repeat(70000)], "c.txt"));
                window.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
            }"""
        )
        await expect(visitor.box).to_have_value("What is this?\n\na.py:\n````\na = '```'\n````\n\n")
        await expect(visitor.status).to_have_text("Not added: b.bin is not a text file; c.txt is larger than 64 kB.")


@together
class TestUsing:
    async def test_an_answer_that_is_used_is_the_turns(self, fake, visitor):
        """It takes the answer's place, is copied, and is what the next question goes on from; the chosen one can be taken back."""
        await visitor.ask_to_the_end("capital of france pls")
        await visitor.button("Use the answer of llama").click()
        hero = visitor.turn.locator(".hero .column")
        await expect(hero).to_have_attribute("data-member", "llama")
        await visitor.button("Copy", within=hero.locator(".column-foot")).click()
        assert "It might be Nice." == await visitor.page.evaluate("navigator.clipboard.readText()")
        await visitor.ask_to_the_end("and of Spain?")
        messages = [body for body in fake.chats if body["model"] == "llama3.2:1b"][-1]["messages"]
        assert ["capital of france pls", "It might be Nice."] == [said["content"] for said in messages if said["role"] != "system"][:2]
        first = visitor.page.locator(".turn").first
        await first.locator(".others").click()
        await visitor.button("Use the answer of qwen", within=first).click()
        await expect(first.locator(".hero .column")).to_have_attribute("data-member", "qwen")
        await expect(first.locator(".verdict-line")).to_have_text(re.compile("^qwen's answer was chosen"))

    async def test_a_finished_draft_can_be_used_after_a_stop_and_after_a_reload(self, fake, visitor):
        """A turn that was stopped has its drafts; the one that is taken is part of the conversation, also after asking again."""
        hold(fake, "llama")
        await visitor.ask("capital of france pls")
        await expect(visitor.column("qwen-small")).to_have_attribute("data-state", "done")
        await expect(visitor.column("qwen")).to_have_attribute("data-state", "done")
        await visitor.page.keyboard.press("Escape")
        await expect(visitor.turn).to_have_attribute("data-status", "stopped")
        await visitor.come()
        await visitor.button("Use the answer of qwen-small").click()
        await expect(visitor.turn.locator(".hero .column")).to_have_attribute("data-member", "qwen-small")
        await expect(visitor.turn.locator(".trouble")).to_be_hidden()
        await expect(visitor.turn).to_contain_text("You use qwen-small's answer; the turn was not finished.")
        fake.say("llama3.2:1b", "It might be Nice.")
        await visitor.ask_to_the_end("and of Spain?")
        messages = [body for body in fake.chats if body["model"] == "llama3.2:1b"][-1]["messages"]
        assert "It is Lyon." in [said["content"] for said in messages]

    async def test_asking_again_keeps_what_was_written_before_a_stop(self, fake, visitor):
        """The stopped version is still there, with its drafts."""
        hold(fake)
        await visitor.ask("capital of france pls")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        await visitor.page.keyboard.press("Escape")
        for model in CANDIDATES.values():
            fake.say(model, "It is Paris.")
        await visitor.button("Ask again", within=visitor.turn.locator(".trouble")).click()
        await expect(visitor.card).to_be_visible()
        await visitor.button("Earlier version").click()
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))

    async def test_answer_now_waits_for_nobody_else(self, fake, visitor):
        """There is such a button as soon as a draft is finished; what others wrote is cut, and the turn has its verdict."""
        gate = hold(fake, "qwen")
        held = hold(fake, "llama")
        fake.say("qwen3:0.6b", Reply("It is Lyon.", pauses={3: gate}))
        await visitor.ask("capital of france pls")
        await expect(visitor.text("qwen-small")).to_have_text("It is Lyon.")
        await expect(visitor.button("Answer now")).to_be_hidden()
        gate.set()
        await expect(visitor.column("qwen")).to_have_attribute("data-state", "done")
        await visitor.button("Answer now").click()
        await fake.until(lambda: fake.cancelled == ["llama3.2:1b"])
        await expect(visitor.turn).to_have_attribute("data-status", "finished")
        await expect(visitor.column("llama")).to_contain_text("Cut: you wanted the answer now.")
        await expect(visitor.button("Answer now")).to_be_hidden()
        held.set()


@together
class TestText:
    async def test_markdown_is_rendered_and_code_coloured(self, fake, visitor):
        """Headings below the page's own, lists, tables, emphasis, code in colours; links leave the page alone."""
        fake.say(
            "qwen2.5-coder:1.5b",
            "# Paris\n\n- one\n- *two*\n\n| | b |\n|---|---|\n| 1 | 2 |\n\n"
            "```js\nconst x = 1;\n```\n\n```brainfuck\n+++\n```\n\nSee [it](https://example.org/a?b=1&c=2).\n",
        )
        await visitor.ask_to_the_end("capital of france pls")
        text = visitor.text("qwen")
        await expect(text.locator("h4")).to_have_text("Paris")
        await expect(text.locator("li em")).to_have_text("two")
        await expect(text.locator("tbody td")).to_have_text(["1", "2"])
        await expect(text.locator("th")).to_have_text(["b"])  # a corner without words heads nothing
        await expect(text.locator("code .hljs-keyword")).to_have_text("const")
        await expect(text.locator("code").nth(1)).to_have_text("+++")
        link = text.get_by_role("link", name="it")
        assert ["https://example.org/a?b=1&c=2", "_blank", "noopener noreferrer"] == [
            await link.get_attribute(name) for name in ("href", "target", "rel")
        ]

    FORMULAS = (
        r"Inline \(x^2\,dx\) and $E = mc^2$, display:",
        r"\[ x = \frac{-b \pm \sqrt{b^2-4ac}}{2a} \]",
        "$$\n\\begin{aligned}a &= b\\\\ c &= d\\end{aligned}\n$$",
        r"It costs $5 and $10, or \(\nonsense{\) and `\(code\)`.",
    )

    async def test_formulas_are_typeset_and_what_is_none_is_left(self, fake, visitor):
        """TeX between its delimiters is MathML; money is money; what is no TeX, and code, stay as they were written."""
        gate = asyncio.Event()
        fake.say("llama3.2:1b", Reply(tokens=[r"Half \(x^2", r"\,dx", r" and more"], pauses={2: gate}))
        fake.say("qwen2.5-coder:1.5b", "Paris.\n\n" + "\n\n".join(self.FORMULAS))
        await visitor.ask("capital of france pls")
        await expect(visitor.text("llama")).to_have_text(r"Half \(x^2\,dx")
        gate.set()
        text = visitor.text("qwen")
        await expect(text.locator("math")).to_have_count(4)
        await expect(text.locator("math mfrac msqrt")).to_have_count(1)
        await expect(text.locator("math mtr")).to_have_count(2)
        await expect(text.locator("p").last).to_have_text(r"It costs $5 and $10, or \(\nonsense{\) and \(code\).")
        await expect(visitor.card).to_be_visible()
        assert [] == await visitor.axe()

    async def test_no_formula_does_more_than_look_like_one(self, fake, visitor):
        """Neither links, nor classes and styles, nor markup, nor sizes beyond the text's, nor macros without an end."""
        odd = (
            r"\href{javascript:alert(1)}{x}",
            r"\class{verdict-card}{x}",
            r"\text{<img src=x onerror=alert(2)>}",
            r"\rule{9999em}{9999em}",
            r"\def\a{\a\a}\a",
            r"\includegraphics{https://evil.example/a.png}",
            r"\style{position:fixed}{x}",
            r"\color{red}{x}",
        )
        fake.say("qwen2.5-coder:1.5b", "Paris.\n\n" + "\n\n".join(f"\\[{each}\\]" for each in odd))
        await visitor.ask_to_the_end("capital of france pls")
        await expect(visitor.text("qwen").locator("math").first).to_be_visible()
        assert 0 == await visitor.text("qwen").locator("a, img, mglyph, [href], math [class], [style], .verdict-card").count()
        assert 20_000 > (await visitor.text("qwen").bounding_box())["height"]

    async def test_every_shipped_language_can_be_loaded(self, visitor):
        """Each grammar is taken by the highlighter, and colours something."""
        names = sorted(path.name.split(".")[0] for path in (WEB / "vendor/highlight/languages").iterdir())
        failed = await visitor.page.evaluate(
            """async ([names, base]) => {
                const { colour } = await import(`${base}/highlighting.js`);
                const home = document.createElement("div");
                for (const name of [...names, "c", "js", "html"]) {
                    const pre = home.appendChild(document.createElement("pre"));
                    const code = pre.appendChild(document.createElement("code"));
                    code.className = `language-${name}`;
                    code.textContent = '<a href="b">"text" 1 // # -- FROM if for</a>\\n- a: 1\\n$ ls "x"\\nRUN x';
                }
                await colour(home);
                const plain = (code) => !code.querySelector("[class^=hljs-]");
                return [...home.querySelectorAll("code")].filter(plain).map((code) => code.className);
            }""",
            [names, f"{visitor.url}/page/{assets().version}"],
        )
        assert [] == failed

    ATTACKS = (
        "<script>window.pwned = 1; alert(1)</script>",
        "<img src=x onerror=alert(2)><img src='https://evil.example/pixel.gif'>",
        "<svg onload=alert(3)><script>alert(4)</script></svg>",
        "<style>@import 'https://evil.example/a.css'; body{display:none}</style>",
        "<iframe src='https://evil.example/'></iframe><object data='https://evil.example/'></object>",
        "<link rel=stylesheet href='https://evil.example/b.css'><base href='https://evil.example/'>",
        "<form action='https://evil.example/'><input name=q><button>Send</button></form>",
        "<a href='javascript:alert(5)' onclick='alert(6)'>click</a>",
        "![picture](https://evil.example/c.png) ![data](data:image/svg+xml;base64,PHN2Zz4=)",
        "[bad](javascript:alert(7)) [worse](  JaVaScRiPt:alert(8)) [data](data:text/html,<script>alert(9)</script>)",
        "[vb](vbscript:x) [rel](/api/members) [proto](//evil.example/x) <javascript:alert(10)>",
        '```html\n<script>alert(11)</script>\n```\n\n```x" onmouseover="alert(12)\ncode\n```',
        '[a](https://evil.example/"onmouseover=alert(13)) `<b>`',
        '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(14)&gt;">',
        "<div class='verdict-card' id='box' style='position:fixed;inset:0'>The judge chose evil</div>",
        "&lt;script&gt;alert(15)&lt;/script&gt; <<script>alert(16)//<</script>",
    )

    async def test_what_models_write_can_do_nothing(self, fake, visitor):
        """No attack runs, draws over the page or asks another host for anything; raw HTML is shown as the text that it is."""
        text = "\n\n".join(self.ATTACKS)
        gate = asyncio.Event()
        fake.say("qwen2.5-coder:1.5b", Reply(f"Paris {text}", pauses={60: gate}))
        fake.say("qwen3:0.6b", Reply(tokens=[letter for attack in self.ATTACKS[:4] for letter in f"{attack}\n\n"]))
        fake.say("granite4:350m", "What is <img src=x onerror=alert(1)> the capital of France?")
        await visitor.ask("capital of <img src=x onerror=alert(1)> france pls")
        await expect(visitor.text("qwen")).to_contain_text("alert(1)")
        gate.set()
        await expect(visitor.card).to_be_visible()
        await expect(visitor.text("qwen")).to_contain_text("<script>window.pwned = 1; alert(1)</script>")
        await visitor.text("qwen").locator("code").last.hover()
        forbidden = (
            "script, img, svg, style, iframe, object, link, form, input, button:not(.code-head button), [style], [onclick], [onerror], [id]"
        )
        assert 0 == await visitor.turn.locator(".prose").locator(forbidden).count()
        assert 0 == await visitor.turn.locator(".question *, .asked img").count()
        addresses = await visitor.text("qwen").locator("a").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
        assert addresses
        assert all(address is None or address.startswith(("https://", "http://", "mailto:")) for address in addresses)
        assert await visitor.page.evaluate("window.pwned === undefined")
        await expect(visitor.page.locator(".verdict-card")).to_have_count(1)

    async def test_nothing_that_the_service_says_becomes_markup(self, visitor):
        """Names, models, states, remarks, notices, reasons: everything from the network is shown as it is."""
        odd = "<img src=x onerror=alert(1)>"
        row = {"member": odd, "role": "candidate", "model": odd, "where": odd, "state": f"cannot answer: {odd}", "ok": False}
        members = {"name": odd, "version": odd, "engine": odd, "ensemble": f"{odd} ·", "description": odd, "members": [row]}
        verdict = {"winner": odd, "policy": odd, "scores": {odd: 1.0}, "margin": 0, "fallback": odd, "close": False}
        events = [
            (
                "accepted",
                {"id": odd, "engine": odd, "ensemble": odd, "members": {odd: "candidate", "__proto__": "candidate", "j": "judge"}},
            ),
            ("notice", {"text": odd}),
            ("unheard", {"of": odd}),
            ("constructor", {}),
            ("stage", {"stage": "rewrite", "members": []}),
            ("rewritten", {"text": odd, "rewrite": None, "rewrite_refused": odd}),
            ("member", {"member": odd, "state": "loading", "detail": odd}),
            ("failed", {"member": "__proto__", "kind": odd, "message": odd}),
            ("failed", {"member": "j", "kind": odd, "message": odd}),
            ("token", {"member": odd, "text": "x"}),
            ("judged", verdict),
            ("broken", {"kind": odd, "message": odd}),
        ]
        stream = "".join(f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in events)
        await visitor.page.route("**/api/members", lambda route: route.fulfill(json=members))
        await visitor.page.route("**/api/deliberate", lambda route: route.fulfill(body=stream, content_type="text/event-stream"))
        await visitor.come()
        await expect(visitor.page.locator(".line-up")).to_contain_text(odd)
        await visitor.ask(odd)
        for part in (".question", ".asked", ".notices", ".trouble", ".verdict-line", ".verdict-note", ".scores"):
            await expect(visitor.turn.locator(part).first).to_contain_text(odd)
        for part in ("h3", ".model"):
            await expect(visitor.turn.locator(part).first).to_have_text(odd)
        await expect(visitor.status).to_have_text(f"No answer. {odd}")
        assert 0 == await visitor.page.locator("img").count()

    async def test_what_cannot_be_parsed_is_shown_as_it_is(self, fake, visitor):
        """Text nested a thousand deep is plain text and not an error."""
        deep = "Paris " + "> " * 8000 + "deep"
        fake.say("qwen2.5-coder:1.5b", Reply(tokens=[deep]))
        await visitor.ask_to_the_end("capital of france pls")
        await expect(visitor.text("qwen")).to_contain_text("Paris")
        visitor.complaints = [line for line in visitor.complaints if "shown as plain text" not in line]

    async def test_blocks_that_are_over_stay_while_the_last_one_grows(self, fake, visitor):
        """While a second paragraph is written, the first is the same element as before, so that it can be selected and read."""
        gates = [asyncio.Event(), asyncio.Event()]
        fake.say("llama3.2:1b", Reply(tokens=["First one.", "\n\n", "Second", " one", " grows."], pauses={3: gates[0], 4: gates[1]}))
        await visitor.ask("capital of france pls")
        paragraphs = visitor.text("llama").locator("p")
        await expect(paragraphs).to_have_text(["First one.", "Second"])
        await paragraphs.first.evaluate("element => { element.dataset.seen = 'yes' }")
        gates[0].set()
        await expect(paragraphs).to_have_text(["First one.", "Second one"])
        await expect(paragraphs.first).to_have_attribute("data-seen", "yes")
        gates[1].set()
        await expect(visitor.card).to_be_visible()
        await expect(paragraphs).to_have_text(["First one.", "Second one grows."])

    async def test_answers_and_code_are_copied_whole_when_they_are_complete(self, fake, visitor):
        """The button is there when the answer is, and gives what the model wrote, not what the page made of it."""
        gate = hold(fake, "llama")
        clipboard = "navigator.clipboard.readText()"
        await visitor.ask("capital of france pls")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        await expect(visitor.button("Copy", within=visitor.column("llama"))).to_have_count(0)
        gate.set()
        await expect(visitor.card).to_be_visible()
        await visitor.button("Copy", within=visitor.column("qwen").locator(".column-foot")).click()
        await expect(visitor.column("qwen").locator(".column-foot")).to_contain_text("Copied")
        assert PARIS == await visitor.page.evaluate(clipboard)
        await visitor.button("Copy the code", within=visitor.column("qwen")).click()
        await expect(visitor.column("qwen").locator(".code-head")).to_contain_text("Copied")
        assert "print('Paris')" == (await visitor.page.evaluate(clipboard)).strip()


BREAKABLE = """
    window.cut = new AbortController();
    const connected = window.fetch;
    window.fetch = (to, how) => {
        if (window.unplugged) return Promise.reject(new TypeError("no network"));
        return connected(to, { ...how, signal: AbortSignal.any([how.signal, window.cut.signal].filter(Boolean)) });
    };
"""
"""A network that can be taken away, with all that goes over it."""
KEPT_TURN = """(new Promise((resolve) => (indexedDB.open("gork", 1).onsuccess = (event) => {
    const turns = event.target.result.transaction("turns").objectStore("turns").getAll();
    turns.onsuccess = () => resolve(turns.result.at(-1).turn);
})))"""


@together
class TestKeeping:
    async def test_the_conversation_is_back_after_a_reload(self, visitor):
        """Answers, verdict and vote are there again, and the next question knows them."""
        await visitor.ask_to_the_end("capital of france pls")
        await visitor.button("Use the answer of llama").click()
        await visitor.come()
        await expect(visitor.card).to_contain_text("You use llama's answer · qwen's answer was chosen")
        await expect(visitor.text("qwen")).to_contain_text("It is Paris.")
        await expect(visitor.turn.locator(".hero")).to_contain_text("It might be Nice.")
        await expect(visitor.button("I prefer the answer of llama")).to_have_attribute("aria-pressed", "true")

    async def test_a_turn_goes_on_when_its_page_is_reloaded(self, fake, visitor):
        """No model is asked twice or stopped; what was written is there, what follows comes, and the verdict is the turn's."""
        gate = hold(fake)
        await visitor.ask("capital of france pls")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        await visitor.come()
        await expect(visitor.turn).to_have_attribute("data-status", "running")
        await expect(visitor.text("llama")).to_have_text(re.compile(r"^One two\s*$"))
        await expect(visitor.button("Stop")).to_be_visible()
        gate.set()
        await expect(visitor.text("llama")).to_have_text("One two three four five.")
        await expect(visitor.card).to_be_visible()
        assert ([], 3) == (fake.cancelled, sum(chat["model"] in CANDIDATES.values() for chat in fake.chats))
        await visitor.page.wait_for_function(f"{KEPT_TURN}.then((turn) => turn.status === 'finished' && turn.token === '')")

    async def test_a_turn_that_ended_meanwhile_is_there_when_one_comes_back(self, fake, visitor):
        """From another page: the conversation's verdict is that of the turn, which ran without a reader."""
        gate = hold(fake)
        await visitor.ask("capital of france pls")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        await visitor.page.goto(f"{visitor.url}/page/x/icon.svg")
        gate.set()
        await fake.until(lambda: fake.in_progress == 0)
        await visitor.come()
        await expect(visitor.card.locator(".verdict-line")).to_be_visible()
        await expect(visitor.text("llama")).to_have_text("One two three four five.")

    async def test_a_service_that_was_started_anew_does_not_know_the_turn(self, fake, served, visitor):
        """What had arrived is there, it says what happened, and asking again is one press."""
        gate = hold(fake)
        await visitor.ask("capital of france pls")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        served.service.live._running.clear()
        await visitor.come()
        await expect(visitor.turn.locator(".trouble")).to_contain_text("The service no longer knows this turn")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        gate.set()
        await visitor.button("Ask again", within=visitor.turn.locator(".trouble")).click()
        await expect(visitor.card).to_be_visible()
        await expect(visitor.page.locator(".turn")).to_have_count(1)

    async def test_a_page_that_was_left_before_the_service_had_the_question_says_so(self, fake, visitor):
        """The question is there, and can be asked again."""
        await visitor.page.route("**/api/deliberate", lambda _: None)
        await visitor.ask("capital of france pls")
        await visitor.come()
        await expect(visitor.turn.locator(".trouble")).to_contain_text("This turn was interrupted")
        await visitor.page.unroute_all(behavior="ignoreErrors")

    async def test_a_connection_that_breaks_is_made_again(self, browser, fake, served):
        """Nobody has to do anything: it says so, and the rest of the turn comes."""
        gate = hold(fake)
        async with visiting(browser, served.url) as visitor:
            await visitor.page.add_init_script(BREAKABLE)
            await visitor.come()
            await visitor.ask("capital of france pls")
            await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
            await visitor.page.evaluate("window.unplugged = true; window.cut.abort()")
            await expect(visitor.status).to_have_text("The connection was lost. Trying to go on …")
            await visitor.page.evaluate("window.unplugged = false; window.cut = new AbortController()")
            gate.set()
            await expect(visitor.card).to_be_visible()
            await expect(visitor.text("llama")).to_have_text("One two three four five.")
            assert [] == fake.cancelled

    async def test_what_is_not_sent_yet_is_kept_too(self, visitor):
        """A reload leaves what is in the box."""
        await visitor.box.fill("half a thou")
        await visitor.come()
        await expect(visitor.box).to_have_value("half a thou")

    async def test_something_odd_in_the_database_does_not_break_the_page(self, visitor):
        """What was kept and is not understood is left."""
        await visitor.ask_to_the_end("capital of france pls")
        await visitor.page.evaluate(
            """async () => {
                const done = (request) => new Promise((resolve) => (request.onsuccess = (event) => resolve(event.target.result)));
                const database = await done(indexedDB.open("gork", 1));
                const store = database.transaction("turns", "readwrite").objectStore("turns");
                const id = sessionStorage.getItem("gork.here");
                const range = IDBKeyRange.bound([id], [id, []]);
                const kept = await done(store.getAll(range));
                await done(store.put({ ...kept[0], turn: { key: kept[0].key, columns: 7 } }));
                database.close();
            }"""
        )
        await visitor.come()
        visitor.complaints = [line for line in visitor.complaints if "cannot be shown" not in line]
        await visitor.ask_to_the_end("and of Spain?")

    async def test_a_new_conversation_can_be_taken_back(self, visitor):
        """The page is empty, and Undo brings everything back."""
        await visitor.ask_to_the_end("capital of france pls")
        await visitor.button("New conversation").click()
        await expect(visitor.page.locator(".turn")).to_have_count(0)
        await expect(visitor.page.locator("#welcome")).to_be_visible()
        await visitor.button("Undo").click()
        await expect(visitor.card).to_contain_text("qwen")

    async def test_conversations_last_and_are_found_renamed_and_deleted(self, browser, served):
        """Another tab has them all: by their titles and by words of their questions."""
        async with await browser.new_context() as window:
            async with tab(window, served.url) as visitor:
                await visitor.ask_to_the_end("capital of france pls")
                await visitor.ask_to_the_end("and of Spain?")
                await visitor.button("New conversation").click()
                await visitor.ask_to_the_end("something else")
            async with tab(window, served.url) as visitor:
                page = visitor.page
                rows = page.locator("#conversations-list li")
                await visitor.button("Conversations").click()
                await expect(rows.locator(".conversation-title")).to_have_text(["something else", "capital of france pls"])
                assert [] == await visitor.axe()
                await page.get_by_role("searchbox", name="Search").fill("SPAIN")
                await expect(rows).to_have_count(1)
                await visitor.button("Rename capital of france pls").click()
                await page.get_by_role("textbox", name="Title").fill("Capitals")
                await page.keyboard.press("Enter")
                await expect(rows.get_by_role("button", name="Capitals").first).to_be_focused()
                await page.keyboard.press("Enter")
                await expect(page.locator(".question")).to_have_text(["capital of france pls", "and of Spain?"])
                await visitor.ask_to_the_end("and of Portugal?")
                await visitor.button("Conversations").click()
                await expect(rows.locator(".conversation-title")).to_have_text(["Capitals", "something else"])
                await visitor.button("Delete Capitals").click()
                await visitor.button("Really delete Capitals?").click()
                await expect(rows).to_have_count(1)
                await page.keyboard.press("Escape")
                await expect(page.locator(".turn")).to_have_count(0)

    async def test_two_tabs_do_not_overwrite_each_other(self, browser, served):
        """The conversation that went on in both is there twice, each with its own end, and the second tab says so."""
        async with await browser.new_context() as window, tab(window, served.url) as one:
            await one.ask_to_the_end("first")
            async with tab(window, served.url) as other:
                await other.button("Conversations").click()
                await other.page.locator("#conversations-list").get_by_text("first").click()
                await expect(other.card).to_be_visible()
                await other.ask_to_the_end("second, here")
                await one.ask_to_the_end("second, there")
                await expect(one.page.locator(".question")).to_have_text(["first", "second, there"])
                await one.come()
                await expect(one.page.locator(".question")).to_have_text(["first", "second, there"])
                await other.come()
                await expect(other.page.locator(".question")).to_have_text(["first", "second, here"])
                await other.button("Conversations").click()
                await expect(other.page.locator("#conversations-list li")).to_have_count(2)

    async def test_a_browser_that_keeps_nothing_says_so_and_the_page_goes_on(self, browser, served):
        """Without a database: a line that stays, and questions are answered."""
        async with visiting(browser, served.url) as visitor:
            await visitor.page.add_init_script("Object.defineProperty(window, 'indexedDB', { get() { throw new Error('forbidden'); } })")
            await visitor.come()
            await visitor.ask_to_the_end("capital of france pls")
            await expect(visitor.page.get_by_role("alert")).to_have_text(
                "This browser keeps nothing: the conversation lasts as long as this page."
            )
            await visitor.ask_to_the_end("and of Spain?")
            await visitor.button("Conversations").click()
            await expect(visitor.page.get_by_role("dialog")).to_contain_text("This browser keeps no conversations for this page.")

    async def test_a_browser_without_room_says_so_and_the_page_goes_on(self, browser, served):
        """A line that stays until there is room again; then what was not kept is."""
        async with visiting(browser, served.url) as visitor:
            session = await visitor.page.context.new_cdp_session(visitor.page)
            await session.send("Storage.overrideQuotaForOrigin", {"origin": served.url, "quotaSize": 1})
            await visitor.ask_to_the_end("capital of france pls")
            line = visitor.page.locator("#unkept")
            await expect(line).to_have_text("The browser has no room for this conversation: delete others, or export it.")
            await session.send("Storage.overrideQuotaForOrigin", {"origin": served.url})
            await visitor.ask_to_the_end("and of Spain?")
            await expect(line).to_be_hidden()
            await visitor.come()
            await expect(visitor.page.locator(".question")).to_have_text(["capital of france pls", "and of Spain?"])

    async def test_an_exported_conversation_can_be_imported(self, browser, served, tmp_path):
        """What was exported as JSON is there again, with its verdict and the answer that is used; anything else is refused."""
        files = []
        for name, text in (("export.json", ""), ("other.json", '{"turns": [{"question": {"text": "x"}, "answers": 7}]}')):
            files.append(tmp_path / name)
            files[-1].write_text(text)
        async with visiting(browser, served.url) as visitor:
            await visitor.ask_to_the_end("capital of france pls")
            await visitor.button("Use the answer of llama").click()
            await visitor.button("Export").click()
            async with visitor.page.expect_download() as download:
                await visitor.button("As JSON").click()
            await (await download.value).save_as(files[0])
        async with visiting(browser, served.url) as visitor:
            for path, line in ((files[1], "This file is no conversation"), (files[0], "The conversation is imported.")):
                await visitor.button("Conversations").click()
                async with visitor.page.expect_file_chooser() as chooser:
                    await visitor.button("Import …").click()
                await (await chooser.value).set_files(path)
                await expect(visitor.status).to_contain_text(line)
            for _ in range(2):
                await expect(visitor.card.locator(".verdict-line")).to_contain_text("You use llama's answer · qwen's answer was chosen")
                await expect(visitor.turn.locator(".hero")).to_contain_text("It might be Nice.")
                await visitor.come()

    async def test_votes_are_counted_against_the_judge(self, visitor):
        """A vote for the chosen answer agrees, one for another does not, a tie is not counted, and a vote can be taken back."""
        await visitor.ask_to_the_end("one")
        await visitor.button("I prefer the answer of qwen").click()
        await expect(visitor.turn.locator(".agreement")).to_have_text("You agreed with the judge in 1 of 1.")
        await visitor.ask_to_the_end("two")
        await visitor.button("Use the answer of llama", within=visitor.turn).click()
        await expect(visitor.turn.locator(".agreement")).to_have_text("You agreed with the judge in 1 of 2.")
        await visitor.button("They are equally good", within=visitor.turn).click()
        await expect(visitor.turn.locator(".agreement")).to_have_text("You agreed with the judge in 1 of 1.")
        await visitor.button("They are equally good", within=visitor.turn).click()
        await expect(visitor.status).to_have_text("Your vote is taken back.")

    async def test_the_conversation_can_be_saved_as_a_file(self, visitor):
        """As JSON with whole turns and the vote, and as Markdown with the answer that is used first."""
        await visitor.ask_to_the_end("capital of france pls")
        await visitor.button("Use the answer of llama").click()
        contents = []
        for name in ("As JSON", "As Markdown"):
            await visitor.button("Export").click()
            async with visitor.page.expect_download() as download:
                await visitor.button(name).click()
            contents.append(Path(await (await download.value).path()).read_text())
        (turn,) = json.loads(contents[0])["turns"]
        assert (PARIS, "qwen", "llama", 3) == (turn["answer"], turn["winner"], turn["vote"], len(turn["answers"]))
        assert contents[1].startswith("## capital of france pls\n")
        assert "llama" == turn["used"]
        assert contents[1].index("It might be Nice.") < contents[1].index("It is Lyon.") < contents[1].index("It is **Paris**.")


@together
class TestTrouble:
    async def test_a_service_that_goes_away_is_told_and_the_question_kept(self, browser, fake):
        """In mid-turn: what arrived stays; when no attempt to go on has found it, the turn says so, and offers to ask again."""
        async with AsyncExitStack() as stack:
            served = await stack.enter_async_context(serving_fake(fake))
            hold(fake)
            async with visiting(browser, served.url) as visitor:
                await visitor.page.clock.install()
                await visitor.ask("capital of france pls")
                await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
                await stack.aclose()
                trouble = visitor.turn.locator(".trouble")
                await expect(visitor.status).to_have_text("The connection was lost. Trying to go on …")
                while not await trouble.is_visible():
                    async with visitor.page.expect_event("requestfailed"):
                        await visitor.page.clock.fast_forward(30_000)
                    await visitor.page.clock.run_for(500)
                await expect(trouble).to_contain_text("The service cannot be reached.")
                await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
                await visitor.button("Ask again", within=visitor.turn.locator(".trouble")).click()
                await expect(visitor.turn.locator(".trouble")).to_contain_text("The service cannot be reached.")

    async def test_a_service_that_is_being_stopped_says_so(self, fake, served: Served, visitor):
        """Its own words stand in the turn."""
        hold(fake)
        await visitor.ask("capital of france pls")
        await expect(visitor.text("llama")).to_have_text(re.compile("One two"))
        served.service.give_up(Stopping("the service is being stopped: ask again in a moment"))
        await expect(visitor.turn.locator(".trouble")).to_contain_text("The service is being stopped: ask again in a moment.")

    async def test_a_full_service_says_so(self, browser, fake):
        """A 503 is told with when to come back."""
        hold(fake)
        async with serving_fake(fake, queue=0) as served, aiohttp.ClientSession(served.url) as other:
            first = asyncio.create_task(other.post("/api/deliberate", json={"question": "first"}))
            await fake.until(lambda: fake.in_progress == 3)
            async with visiting(browser, served.url) as visitor:
                await visitor.ask("second")
                await expect(visitor.turn.locator(".trouble")).to_contain_text(re.compile(r"1 running.*try again in \d+ s"))
            (await first).close()

    @pytest.mark.parametrize(
        "body", ["event: accepted\ndata: {nonsense\n\n", "event: token\ndata: {}\n\n", "event: finished\ndata: 7\n\n", ""]
    )
    async def test_nonsense_from_the_service_is_trouble_in_the_turn(self, visitor, body):
        """What the page does not understand ends the turn with words, and the page goes on."""
        await visitor.page.route("**/api/deliberate", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
        await visitor.ask("capital of france pls")
        await expect(visitor.turn.locator(".trouble")).to_contain_text(re.compile("does not understand|connection to the service was lost"))
        visitor.complaints = [line for line in visitor.complaints if "not understood" not in line]
        await visitor.page.unroute("**/api/deliberate")
        await visitor.button("Ask again", within=visitor.turn.locator(".trouble")).click()
        await expect(visitor.card).to_be_visible()

    async def test_a_token_is_asked_for_and_kept_in_the_tab(self, browser, fake):
        """At first, when a wrong one was given, and not again after a reload; it is never part of an address."""
        settings = load_settings({}, {"OLLAMA_HOST": fake.url, "GORK_TOKEN": "secret-of-ours"})
        asked: list[str] = []
        async with ollama_engine(settings) as engine, serving(settings, engine) as served, await browser.new_context() as window:
            page = await window.new_page()
            visitor = Visitor(page, served.url)
            page.on("request", lambda request: asked.append(request.url))
            await page.goto(f"{served.url}/")
            dialog = page.get_by_role("dialog", name=re.compile("token"))
            await expect(dialog).to_be_visible()
            await visitor.button("Not now").click()
            await visitor.button("Token needed").click()
            await expect(dialog).to_be_visible()
            await visitor.button("Not now").click()
            await expect(page.get_by_role("dialog")).to_have_count(0)
            await visitor.ask("capital of france pls")
            await page.get_by_role("textbox", name="Token").fill("wrong")
            await page.keyboard.press("Enter")
            await expect(dialog).to_contain_text("does not accept this token")
            assert [] == fake.chats
            await page.get_by_role("textbox", name="Token").fill(" secret-of-ours ")
            await page.keyboard.press("Enter")
            await expect(visitor.card).to_contain_text("qwen")
            await page.reload()
            await expect(page.locator("#models-summary")).to_have_text(re.compile("·"))
            await expect(dialog).to_be_hidden()
            assert not any("secret" in url for url in asked)
            assert "secret" not in await page.evaluate("JSON.stringify(localStorage)")
            assert ([], []) == (visitor.foreign, visitor.complaints)

    @pytest.mark.parametrize("lost", ["votes.js", "base.css"])
    async def test_a_file_that_does_not_arrive_is_asked_for_again(self, visitor, lost):
        """A page that lost a part on its way loads itself once more, and works."""
        await visitor.page.route(f"**/{lost}", lambda route: route.abort(), times=1)
        await visitor.page.reload()
        await visitor.page.locator("#models-summary", has_text="·").wait_for()
        await visitor.ask_to_the_end("capital of france pls")
        assert lost in visitor.failed[0]

    async def test_a_file_that_never_arrives_is_told(self, visitor):
        """After the second time the page says that it is not whole, and leaves it at that."""
        await visitor.page.route("**/votes.js", lambda route: route.abort())
        await visitor.page.reload()
        await expect(visitor.page.get_by_role("alert")).to_contain_text("A part of this page did not arrive.")
        assert 2 == sum("votes.js" in url for url in visitor.failed)

    async def test_a_long_silence_is_explained(self, fake, visitor):
        """After some seconds in one state the column says what may be going on."""
        gate = asyncio.Event()
        fake.say("llama3.2:1b", Reply("It is Paris.", gate=gate))
        await visitor.page.clock.install()
        await visitor.ask("capital of france pls")
        await expect(visitor.column("llama").locator(".state")).to_contain_text("Reading")
        await expect(visitor.column("llama").locator(".cut")).to_be_hidden()
        await visitor.page.clock.fast_forward(15_000)
        await expect(visitor.column("llama").locator(".cut")).to_have_text(re.compile("takes a while to read"))
        gate.set()
        await expect(visitor.card).to_be_visible()
        await expect(visitor.column("llama").locator(".cut")).to_be_hidden()


@together
class TestEverybody:
    @pytest.mark.parametrize("size", [PHONE, (320, 568)])
    async def test_a_phone_has_the_answer_first_and_does_not_scroll_sideways(self, browser, fake, served, size):
        """The chosen answer is on the screen and the others are folded away below it; nothing is wider than the screen."""
        fake.say("qwen2.5-coder:1.5b", f"Paris {'x' * 300}\n\n```\n{'y' * 300}\n```\n\n|{'z' * 90}|b|\n|-|-|\n|{'w' * 90}|2|")
        async with visiting(browser, served.url, size, others=False, has_touch=True, is_mobile=True) as visitor:
            assert 0 == await visitor.sideways()
            send, box = [await visitor.page.locator(part).bounding_box() for part in ("#send", ".box")]
            assert send["x"] + send["width"] < box["x"] + box["width"]
            for name in ("settings", "conversations", "models"):
                await visitor.page.locator(f"#{name}-button").click()
                await expect(visitor.page.locator(f"#{name}-title")).to_be_focused()  # a box would bring up the keyboard
                await expect(visitor.page.locator(f"#{name}-title")).to_be_in_viewport()
                await visitor.page.keyboard.press("Escape")
            await visitor.box.fill("one")
            await visitor.box.press("Enter")
            await expect(visitor.box).to_have_value("one\n")
            await visitor.ask_to_the_end(f"capital of {'france' * 40} pls")
            await expect(visitor.text("qwen").get_by_text("Paris")).to_be_in_viewport()
            await expect(visitor.column("llama")).to_be_hidden()
            assert 0 == await visitor.sideways()
            await visitor.turn.locator(".others").click()
            await expect(visitor.text("llama")).to_have_text("It might be Nice.")
            await visitor.card.locator("summary").click()
            await expect(visitor.card.locator(".scores")).to_be_visible()
            assert 0 == await visitor.sideways()
            assert 16 <= float((await visitor.box.evaluate("box => getComputedStyle(box).fontSize")).removesuffix("px"))

    async def test_whether_the_other_answers_are_open_is_remembered(self, browser, served):
        """Folded at first, with their names; opened once, they are open for the next question, and after a reload."""
        async with visiting(browser, served.url, others=False) as visitor:
            await visitor.ask_to_the_end("capital of france pls")
            fold = visitor.button("2 other answers: qwen-small, llama")
            await expect(fold).to_have_attribute("aria-expanded", "false")
            await expect(visitor.column("llama")).to_be_hidden()
            await fold.click()
            await expect(visitor.text("llama")).to_have_text("It might be Nice.")
            await visitor.ask_to_the_end("and of Spain?")
            await expect(visitor.column("llama")).to_be_visible()
            await visitor.come()
            await expect(visitor.column("llama")).to_be_visible()

    async def test_while_a_turn_runs_the_others_are_one_line_each(self, browser, fake, served):
        """The favourite's draft is read; of the others one sees how far they are."""
        gate = hold(fake)
        async with visiting(browser, served.url, others=False) as visitor:
            await visitor.ask("capital of france pls")
            await expect(visitor.text("qwen")).to_have_text(re.compile("One two"))
            await expect(visitor.column("llama").locator(".state")).to_contain_text("Writing")
            await expect(visitor.text("llama")).to_be_hidden()
            assert 60 > (await visitor.column("llama").bounding_box())["height"]
            gate.set()
            await expect(visitor.card).to_be_visible()

    async def test_a_draft_that_is_being_read_does_not_give_way_to_a_better_guess(self, browser, fake, served):
        """The favourite fails while another one's draft is not being read: that takes its place; one that is being read stays."""
        gates = [asyncio.Event(), asyncio.Event()]
        fake.say("qwen2.5-coder:1.5b", Reply("It is Paris", pauses={2: gates[0]}, error="no memory"))
        fake.say("llama3.2:1b", Reply("It might be Nice. " * 9, pauses={12: gates[1]}))
        for touched, shown in ((False, "llama"), (True, "qwen")):
            async with visiting(browser, served.url, others=False) as visitor:
                await visitor.ask("capital of france pls")
                hero = visitor.turn.locator(".hero .column")
                await expect(visitor.text("qwen")).to_have_text(re.compile("It is"))
                if touched:
                    await visitor.text("qwen").click()
                gates[0].set()
                await expect(visitor.column("qwen").locator(".state")).to_contain_text("Failed")
                await expect(hero).to_have_attribute("data-member", shown)
                gates[0].clear()
                await visitor.page.keyboard.press("Escape")

    async def test_a_draft_that_is_being_read_stays_where_it_is_when_another_is_chosen(self, browser, fake, served):
        """Whoever scrolled within the turn keeps the text at the same place on the screen, is told, and can go to the answer."""
        gate = asyncio.Event()
        fake.say("qwen2.5-coder:1.5b", Reply("\n\n".join(f"line{n}" for n in range(60))))
        reasons = "It is Paris: " + ", ".join(f"reason{n}" for n in range(80))
        fake.say("llama3.2:1b", Reply(reasons, pauses={2: gate}))
        fake.say("gemma3:1b", reasons)
        async with visiting(browser, served.url, others=False) as visitor:
            await visitor.ask("capital of france pls")
            await expect(visitor.column("qwen")).to_have_attribute("data-state", "done")
            await visitor.page.mouse.move(700, 300)
            await visitor.page.mouse.wheel(0, -400)
            await visitor.page.wait_for_timeout(150)  # the wheel's own movement has no end that could be waited for
            line = visitor.text("qwen").get_by_text("line45", exact=True)
            before = await line.bounding_box()
            gate.set()
            await expect(visitor.turn.locator(".hero .column")).to_have_attribute("data-member", "llama")
            await expect(visitor.status).to_contain_text("Chosen of 3 answers: llama")
            assert before["y"] == pytest.approx((await line.bounding_box())["y"], abs=2)
            await visitor.button("See the answer").click()
            await expect(visitor.turn.locator(".instead")).to_contain_text("qwen's draft stood here; another answer was chosen.")
            await expect(visitor.turn.locator(".instead")).to_be_in_viewport()
            await expect(visitor.button("See the answer")).to_be_hidden()

    async def test_everything_can_be_done_with_keys(self, fake, visitor):
        """The skip link comes first and leads to the box; the list of keys opens by ? and closes by Esc; a vote needs no mouse."""
        page = visitor.page
        first = page.locator("a, button, input, textarea, [tabindex]").first
        await expect(first).to_have_text("Skip to the question box")
        await first.focus()
        await expect(first).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Shift+Tab")
        await expect(visitor.box).to_be_focused()
        await page.keyboard.type("what?")
        await expect(visitor.box).to_have_value("what?")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.keyboard.press("Enter")
        await expect(visitor.card).to_be_visible()
        await expect(visitor.box).to_be_focused()
        await visitor.button("I prefer the answer of qwen").focus()
        await page.keyboard.press("Space")
        await expect(visitor.turn.locator(".agreement")).to_contain_text("1 of 1")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()

    async def test_one_line_says_what_happens_and_the_answer_once(self, fake, visitor):
        """A polite status at each change of state; the answer's text once at its end; nothing that streams is announced."""
        gate = hold(fake, "llama")
        await visitor.page.evaluate(
            """() => {
                window.heard = [];
                const status = document.querySelector("[role=status]");
                const all = { childList: true, subtree: true, characterData: true };
                new MutationObserver(() => window.heard.push(status.textContent)).observe(status, all);
            }"""
        )
        await visitor.ask("capital of france pls")
        await expect(visitor.status).to_have_text("2 of 3 have answered.")
        gate.set()
        await expect(visitor.status).to_contain_text("Chosen of 3 answers: qwen")
        seen = "status => [...status.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data).join('')"
        assert "" == await visitor.status.evaluate(seen)  # the turn itself says it to those who see it
        heard = list(dict.fromkeys(await visitor.page.evaluate("window.heard")))
        order = [
            "Making your prompt clear.",
            "3 models are answering.",
            "2 of 3 have answered.",
            "The judge is at work.",
        ]
        assert order == [line for line in heard if line in order]
        assert 1 == sum("It is **Paris**." in line for line in heard)
        assert 0 == await visitor.page.locator(".turn [aria-live], .turn [role=status], .turn [role=alert]").count()

    async def test_the_colours_are_the_systems_or_the_users(self, browser, served):
        """Three states of one switch, kept over a reload, without a white moment."""
        async with visiting(browser, served.url, color_scheme="dark") as visitor:
            paper = "getComputedStyle(document.documentElement).backgroundColor"
            dark = await visitor.page.evaluate(paper)
            switch = visitor.page.locator("#theme")
            await switch.click()
            light = await visitor.page.evaluate(paper)
            await visitor.come()
            assert light == await visitor.page.evaluate(paper) != dark
            await switch.click()
            assert dark == await visitor.page.evaluate(paper)
            await switch.click()
            await expect(switch).to_have_attribute("aria-label", re.compile("as the system"))
            await visitor.page.emulate_media(color_scheme="light")
            assert light == await visitor.page.evaluate(paper)

    async def test_the_page_moves_only_with_those_at_its_end(self, fake, visitor):
        """Somebody who scrolled up stays where they are while text arrives."""
        gates = [asyncio.Event(), asyncio.Event()]
        long = [f"line {n}\n\n" for n in range(60)]
        fake.say("llama3.2:1b", Reply(tokens=[*long, "more\n\n", *long], pauses={60: gates[0], 121: gates[1]}))
        await visitor.ask("capital of france pls")
        await expect(visitor.text("llama")).to_contain_text("line 59")
        at_end = "document.documentElement.scrollHeight - innerHeight - scrollY < 80"
        assert await visitor.page.evaluate(at_end)
        await visitor.page.mouse.move(700, 300)
        await visitor.page.mouse.wheel(0, -900)
        await visitor.page.wait_for_timeout(100)  # the wheel's own movement has no end that could be waited for
        before = await visitor.page.evaluate("scrollY")
        gates[0].set()
        await expect(visitor.text("llama").get_by_text("line 59")).to_have_count(2)
        assert before == await visitor.page.evaluate("scrollY")
        gates[1].set()
        await expect(visitor.card).to_be_visible()

    async def test_a_new_question_is_on_the_screen_whatever_stands_above_it(self, browser, fake, served):
        """Answers of other sizes than the browser took them for do not move the page away from its end."""
        formulas = "\n\n".join(rf"\[ \frac{{{n}}}{{\sqrt{{x}}}} \]" for n in range(4))
        wide = f"Paris {'x' * 400}\n\n```python\nprint({'1 + ' * 60}1)\n```\n\n" + "|a|b|\n|-|-|\n" + "|1|2|\n" * 5
        async with visiting(browser, served.url, (1280, 800), others=False) as visitor:
            for number, text in enumerate((f"Paris\n\n{formulas}", wide, "Paris"), start=1):
                fake.say("qwen2.5-coder:1.5b", text)
                await visitor.ask_to_the_end(f"question {number}")
                await expect(visitor.turn.locator(".question")).to_be_in_viewport()
                await expect(visitor.button("See the answer")).to_be_hidden()

    async def test_what_is_opened_comes_onto_the_screen(self, browser, fake, served):
        """The other answers from their beginning, not their end; the verdict as a whole, not below the box."""
        long = "\n\n".join(f"line {n}" for n in range(60))
        for model in CANDIDATES.values():
            fake.say(model, f"Paris\n\n{long}")
        fake.say("qwen3:0.6b", f"Lyon\n\n{long}")
        async with visiting(browser, served.url, (1280, 800), others=False) as visitor:
            await visitor.ask_to_the_end("capital of france pls")
            await visitor.card.locator("summary").scroll_into_view_if_needed()
            await visitor.card.locator("summary").click()
            dock = (await visitor.page.locator(".box").bounding_box())["y"]
            card = visitor.card.locator(".verdict-card")
            await expect(card).to_be_in_viewport(ratio=1)
            bounds = await card.bounding_box()
            assert bounds["y"] + bounds["height"] < dock
            await visitor.page.mouse.move(640, 300)
            await visitor.page.mouse.wheel(0, 9000)
            await expect(visitor.turn.locator(".others")).to_be_in_viewport()
            await visitor.turn.locator(".others").click()
            await expect(visitor.column("qwen-small").locator("h3")).to_be_in_viewport()

    @pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (TABLET, "dark"), (PHONE, "light")])
    async def test_axe_finds_nothing(self, browser, fake, served, size, scheme):
        """Empty, while answers arrive, after the verdict, with a failure, in a second turn, and with a dialog open."""
        gate = hold(fake, "qwen-small")
        fake.say("llama3.2:1b", Reply(status=500, error="no memory"))
        async with visiting(browser, served.url, size, color_scheme=scheme, reduced_motion="reduce") as visitor:
            assert [] == await visitor.axe()
            await visitor.ask("capital of france pls")
            await expect(visitor.column("qwen")).to_have_attribute("data-state", "done")
            assert [] == await visitor.axe()
            gate.set()
            await expect(visitor.turn).to_have_attribute("data-status", "finished")
            assert [] == await visitor.axe()
            await visitor.ask_to_the_end("and of Spain?")
            await visitor.card.locator("summary").click()
            assert [] == await visitor.axe()
            await visitor.page.locator("#export-button").click()
            assert [] == await visitor.axe()
            await visitor.page.keyboard.press("Escape")
            await visitor.button("Edit", within=visitor.turn).click()
            await visitor.page.locator("#models-button").click()
            await expect(visitor.page.locator("#models-list tbody tr")).to_have_count(5)
            assert [] == await visitor.axe()


@together
class TestOnRealModels:
    async def test_the_starter_answers_on_the_page(self, browser, starter_gguf, tmp_path):
        """The program as it is started by hand: real models, real tokens, a real verdict."""
        program = Program(tmp_path)
        environment = {"GORK_CACHE": str(Path(starter_gguf).parent)}
        process = await program.start("serve", "--port", "0", "--engine", "embedded", "--ensemble", "tiny", "--seed", "1", **environment)
        try:
            assert process.stderr is not None
            async with asyncio.timeout(60):
                while (
                    not (found := re.search(rb"http://127\.0\.0\.1:\d+", line := await process.stderr.readline())) or b"serving" not in line
                ):
                    assert line, "the service ended"
            async with visiting(browser, found[0].decode()) as visitor:
                await expect(visitor.page.locator("#models-summary")).to_have_text("tiny · 1 model in 5 roles")
                await visitor.ask("how do vacines work, in two sentences")  # short facts may get three times the same answer
                for member in ("plain", "coder", "solver"):
                    await expect(visitor.text(member)).to_have_text(re.compile(r"\w"), timeout=60_000)
                await expect(visitor.card.locator(".verdict-line")).to_have_text(
                    re.compile("(plain|coder|solver)'s answer was chosen"), timeout=60_000
                )
                assert 2 <= await visitor.card.locator(".score").count()  # two answers may be the same
                await expect(visitor.card).to_contain_text("without seeing the answers")
        finally:
            process.terminate()
            await process.communicate()
