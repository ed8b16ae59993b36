"""How quick the page is when a conversation is long: typing while three answers stream, and a reload; in a real Chromium.

    .venv/bin/python -m bench.page                     50 turns of three answers of 20 kB
    .venv/bin/python -m bench.page --turns 50 --kilobytes 2

The page is the service's own; what it asks is answered by a stand-in that needs no models and streams three answers of that length.
The conversation is imported from a file, as users import one. A key's time is from its event to the frame that shows it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Page, Request, async_playwright

from gork.service import page as served_page

MEMBERS = ("one", "two", "three")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PIECE = "Some words of an answer, **bold** ones too, with `code` in them. "
BETWEEN_PIECES_S = 0.03
KEYS = "this is typed while three models write their answers, and each key is timed. " * 2
TIMES = """() => {
    window.keyTimes = [];
    document.querySelector("#box").addEventListener("keydown", (event) => {
        const pressed = event.timeStamp;
        requestAnimationFrame(() => setTimeout(() => window.keyTimes.push(performance.now() - pressed)));
    });
}"""


def text_of(kilobytes: int) -> str:
    """An answer of that length: paragraphs, a list and code."""
    block = f"{PIECE * 4}\n\n- {PIECE}\n- {PIECE}\n\n```python\nprint('{PIECE}')\n```\n\n"
    return (block * (kilobytes * 1000 // len(block) + 1))[: kilobytes * 1000]


def turn_of(number: int, text: str) -> dict[str, Any]:
    """A finished turn, as the service tells it."""
    answers = [
        {"member": name, "model": f"{name}:1b", "text": text, "complete": True, "stop": "stop", "tokens": 9, "seconds": 1.0}
        for name in MEMBERS
    ]
    verdict = {
        "policy": "judge",
        "scores": {"one": 0.4, "two": 0.1, "three": -0.5},
        "margin": 0.3,
        "fallback": None,
        "judge_calls": 1,
    }
    timings = {"rewrite": 0.0, "answer": 1.0, "judge": 0.2, "total": 1.2}
    told = {"id": f"turn{number}", "question": {"text": f"Question {number}?", "rewrite": None, "rewrite_refused": None}, "answer": text}
    return told | {
        "winner": "one",
        "answers": answers,
        "failures": [],
        "verdict": verdict,
        "timings": timings,
        "ensemble": "stand-in",
        "seed": 1,
    }


def events_of(text: str) -> Iterator[bytes]:
    """The events of a turn whose three answers are this text."""

    def event(kind: str, data: object) -> bytes:
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()

    yield event("accepted", {"id": "running", "engine": "none", "ensemble": "stand-in", "members": dict.fromkeys(MEMBERS, "candidate")})
    yield event("stage", {"stage": "answer", "members": MEMBERS})
    for start in range(0, len(text), 60):
        yield b"".join(event("token", {"member": name, "text": text[start : start + 60]}) for name in MEMBERS)
    yield event("finished", turn_of(0, text))


def stand_in(text: str) -> web.Application:
    """A service with the real page and no models."""

    async def members(_: web.Request) -> web.Response:
        rows = [{"member": name, "role": "candidate", "model": f"{name}:1b", "where": "", "state": "ready", "ok": True} for name in MEMBERS]
        return web.json_response(
            {"name": "", "ensemble": "stand-in", "engine": "none", "description": "", "members": rows, "prior": MEMBERS}
        )

    async def deliberate(request: web.Request) -> web.StreamResponse:
        await request.read()
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        for event in events_of(text):
            await reply.write(event)
            await asyncio.sleep(BETWEEN_PIECES_S)
        return reply

    app = web.Application()
    app.add_routes([web.get("/", served_page.index), web.get(served_page.PREFIX + "{version}/{name:.+}", served_page.file)])
    app.add_routes([web.get("/api/members", members), web.post("/api/deliberate", deliberate)])
    return app


async def typed(page: Page) -> list[float]:
    """Type into the box; each key's milliseconds."""
    await page.evaluate(TIMES)
    box = page.locator("#box")
    for key in KEYS:
        await box.press(key if key != " " else "Space")
    times: list[float] = []
    while len(times) < len(KEYS):
        times = sorted(await page.evaluate("window.keyTimes"))
    await box.fill("")
    return times


def line(name: str, times: list[float]) -> str:
    """Percentiles of a list of milliseconds."""
    return f"{name}: p50 {statistics.median(times):.0f}, p95 {times[int(len(times) * 0.95)]:.0f}, max {times[-1]:.0f} ms"


async def measure(turns: int, kilobytes: int, folder: Path) -> None:
    """Print the figures for one size."""
    text = text_of(kilobytes)
    export = folder / "conversation.json"
    export.write_text(json.dumps({"turns": [turn_of(number, text) for number in range(1, turns + 1)]}))
    runner = web.AppRunner(stand_in(text))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        sizes: list[int] = []
        page.on("requestfinished", lambda request: asyncio.ensure_future(_add_size(request, sizes)))
        await page.goto(f"http://{host}:{port}/", wait_until="networkidle")
        print(f"first load: {len(sizes)} requests, {sum(sizes) / 1000:.0f} kB")
        await page.set_input_files("#import-file", export)
        await page.locator(".turn").nth(turns - 1).wait_for(timeout=120_000)
        await page.wait_for_timeout(3000)  # the database is written behind the page's back
        print(f"{turns} turns of {len(MEMBERS)} x {kilobytes} kB: {await page.evaluate('document.querySelectorAll(`*`).length')} elements")
        print(line("typing, nothing runs", await typed(page)))
        await page.locator("#box").fill("one more")
        await page.locator("#box").press("Enter")
        await page.locator(".turn:last-child .hero .prose p").nth(2).wait_for(timeout=60_000)
        print(line("typing while three answers stream", await typed(page)))
        await page.locator(".turn:last-child[data-status=finished]").wait_for(timeout=300_000)
        begun = time.perf_counter()
        await page.reload(wait_until="load")
        await page.locator(".turn").nth(turns).wait_for(timeout=120_000)
        await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))")
        print(f"reload: {time.perf_counter() - begun:.2f} s, {await page.locator('.turn').count()} of {turns + 1} turns there")
        await browser.close()
    await runner.cleanup()


async def _add_size(request: Request, sizes: list[int]) -> None:
    told = await request.sizes()
    sizes.append(told["responseBodySize"] + told["responseHeadersSize"])


def main() -> None:
    """Measure, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=50, metavar="N")
    parser.add_argument("--kilobytes", type=int, default=20, metavar="N")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(arguments.turns, arguments.kilobytes, Path(folder)))


if __name__ == "__main__":
    main()
