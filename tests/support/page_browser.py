"""A real Chromium on the page, and what a visitor does and sees there.

Whatever a test does, at its end nothing may have been asked of another host, no dialog may have opened, and the browser must not have
complained: no script error, nothing that the page's policy had to forbid.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, async_playwright, expect
from playwright.async_api import TimeoutError as Late

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DESKTOP, TABLET, PHONE = (1440, 900), (1024, 768), (390, 844)
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)

_NETWORK = re.compile(r"^Failed to load resource: (net::|the server responded with a status of)")
"""What the browser itself says of requests that failed: tests that have a service fail would not be tests otherwise."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The Chromium that is installed; the test is skipped where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no Chromium on PATH ({', '.join(PROGRAMS)})")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visitor:
    """Somebody who looks at the page of a service."""

    page: Page
    url: str
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Requests that came to nothing."""

    def __post_init__(self) -> None:
        page = self.page
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: self._asked(request.url))
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("requestfailed", lambda request: self.failed.append(f"{request.url} ({request.failure})"))
        page.on("popup", lambda popup: self.complaints.append(f"popup: {popup.url}"))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.url + "/", "data:", f"blob:{self.url}/")):
            self.foreign.append(url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _NETWORK.match(message.text):
            self.complaints.append(f"{message.type}: {message.text}")

    async def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    async def come(self, query: str = "") -> None:
        """Open the page, and wait until it knows who answers."""
        await self.page.goto(f"{self.url}/{query}", wait_until="load")
        try:
            await self.page.locator("#models-summary", has_text="·").wait_for()
        except Late as error:
            raise AssertionError(f"{error}\nfailed requests: {self.failed}\nthe browser says: {self.complaints}") from None

    @property
    def box(self) -> Locator:
        """Where questions are written."""
        return self.page.get_by_role("textbox", name="Your question")

    @property
    def status(self) -> Locator:
        """The line that screen readers read out."""
        return self.page.get_by_role("status")

    @property
    def turn(self) -> Locator:
        """The newest turn."""
        return self.page.locator(".turn").last

    @property
    def card(self) -> Locator:
        """The newest verdict: one line, which opens."""
        return self.turn.locator(".verdict-fold")

    def column(self, member: str) -> Locator:
        """A member's column in the newest turn."""
        return self.turn.locator(f'.column[data-member="{member}"]')

    def text(self, member: str) -> Locator:
        """What a member wrote."""
        return self.column(member).locator("> .prose")

    def button(self, name: str, *, within: Locator | None = None) -> Locator:
        """A button by its name."""
        return (within or self.page).get_by_role("button", name=name, exact=True)

    async def ask(self, question: str) -> None:
        """Write a question and send it: by Enter, on a touch screen by the button."""
        await self.box.fill(question)
        if await self.page.evaluate("matchMedia('(hover: none) and (pointer: coarse)').matches"):
            await self.button("Send").click()
        else:
            await self.box.press("Enter")

    async def ask_to_the_end(self, question: str) -> None:
        """The same, and wait for the verdict."""
        turns = await self.page.locator(".turn").count()
        await self.ask(question)
        await self.page.locator(".turn").nth(turns).and_(self.page.locator('[data-status="finished"]')).wait_for()

    async def axe(self) -> list[str]:
        """What axe-core finds, one line each."""
        found = await Axe().run(self.page)
        return [
            f"{finding['id']}: {node['html'][:120]} {node.get('failureSummary', '')[:200]}"
            for finding in found.response["violations"]
            for node in finding["nodes"]
        ]

    async def sideways(self) -> int:
        """By how many pixels the page can be scrolled sideways."""
        return await self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@asynccontextmanager
async def tab(window: BrowserContext, url: str, *, others: bool = True) -> AsyncIterator[Visitor]:
    """Somebody on the page in a new tab, with all answers open if `others`; at the end nothing may have happened that never should."""
    page = await window.new_page()
    if others:
        await page.add_init_script("localStorage.getItem('gork.others') ?? localStorage.setItem('gork.others', 'open')")
    await page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    visitor = Visitor(page, url)
    try:
        await visitor.come()
        yield visitor
        assert not visitor.foreign, visitor.foreign
        assert not visitor.complaints, visitor.complaints
    finally:
        await page.close()


@asynccontextmanager
async def visiting(
    browser: Browser, url: str, size: tuple[int, int] = DESKTOP, *, others: bool = True, **context: Any
) -> AsyncIterator[Visitor]:
    """Somebody in a browser of their own: another window, other colours, a phone."""
    async with await browser.new_context(**context) as window, tab(window, url, others=others) as visitor:
        await visitor.page.set_viewport_size({"width": size[0], "height": size[1]})
        yield visitor
