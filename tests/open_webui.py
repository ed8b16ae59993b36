"""Open WebUI itself, as pip gives it, in a real Chromium on the real service: a message on each kind of connection, and a screenshot.

    python tests/open_webui.py                                  # starts the service with the ensemble `tiny`
    python tests/open_webui.py --url http://127.0.0.1:8080      # asks one that runs

It is large (some 7 GB with what it requires), so it is no test of the suite: it is installed once, in an environment of its own below
`--folder`, and found there the next time. Nothing of it is changed but what an administrator enters when a connection is made, and what
looks for models and news in the internet. It needs Python 3.11 or 3.12, Chromium, and this project's requirements-dev.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as Late

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUESTION = "What is the capital of Italy?"
QUIET = {
    "OFFLINE_MODE": "true",
    "HF_HUB_OFFLINE": "1",
    "ENABLE_VERSION_UPDATE_CHECK": "false",
    "RAG_EMBEDDING_ENGINE": "ollama",
    "SCARF_NO_ANALYTICS": "true",
    "DO_NOT_TRACK": "true",
    "ANONYMIZED_TELEMETRY": "false",
    "WEBUI_AUTH": "false",
}
"""Open WebUI without an account, and without what it looks for elsewhere when it starts."""


class Failed(Exception):
    """Raised when a step comes to nothing; the message says which, and why."""


def main() -> int:
    """Install, start, ask on each kind of connection; 0 if each was answered."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--url", help="a service that runs; otherwise one is started")
    parser.add_argument("--kind", choices=("ollama", "openai"), action="append", help="of the connection; both if not given")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "gork-open-webui", help="where it is installed")
    parser.add_argument("--version", default="", help="of Open WebUI, such as 0.12.4; the newest if not given")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--wait", type=float, default=300, help="seconds for an answer")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    try:
        program = installed(asked.folder, asked.version)
        with service(asked.url, asked.folder) as url:
            for kind in asked.kind or ("ollama", "openai"):
                with open_webui(program, asked.folder, kind, url) as (page_url, version):
                    shot = asked.folder / f"open-webui-{version}-{kind}.png"
                    answer = answered(page_url, asked.question, kind, shot, asked.wait)
                print(f"Open WebUI {version}, {kind} connection: {answer[:100]!r}; {shot}", flush=True)
    except Failed as why:
        print(f"failed: {why}", file=sys.stderr)
        return 1
    return 0


def installed(folder: Path, version: str) -> Path:
    """The program, in an environment of its own."""
    environment = folder / "environment"
    program = environment / "bin" / "open-webui"
    if program.exists():
        return program
    print(f"installing Open WebUI in {environment}: this takes minutes", flush=True)
    what = f"open-webui=={version}" if version else "open-webui"
    uv = shutil.which("uv")  # it finds out in seconds which 261 packages fit together; pip needs the better part of an hour for that
    install = [uv, "pip", "install", "--python", environment / "bin" / "python"] if uv else [environment / "bin" / "pip", "install", "-q"]
    for command in ([sys.executable, "-m", "venv", environment], [*install, what]):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{' '.join(map(str, command))}: {done.stderr[-2000:]}")
    return program


@contextmanager
def service(url: str | None, folder: Path) -> Iterator[str]:
    """The service to be asked: the one at this URL, or one that is started."""
    if url is not None:
        yield url.rstrip("/")
        return
    port = free_port()
    command = [sys.executable, ROOT / "final_script.py", "serve", "--ensemble", "tiny", "--engine", "embedded", "--port", str(port)]
    with running(command, folder / "service.log", f"http://127.0.0.1:{port}/readyz", 300):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def open_webui(program: Path, folder: Path, kind: str, url: str) -> Iterator[tuple[str, str]]:
    """A fresh Open WebUI with one connection of this kind to the service; its address and its version."""
    with tempfile.TemporaryDirectory(dir=folder) as data:
        port = free_port()
        ollama = kind == "ollama"
        connection = {
            "ENABLE_OLLAMA_API": str(ollama),
            "OLLAMA_BASE_URL": url,
            "ENABLE_OPENAI_API": str(not ollama),
            "OPENAI_API_BASE_URL": f"{url}/v1",
            "OPENAI_API_KEY": "none",
        }
        given = {**QUIET, **connection, "DATA_DIR": data, "WEBUI_SECRET_KEY": "of this run"}
        address = f"http://127.0.0.1:{port}"
        command = [program, "serve", "--host", "127.0.0.1", "--port", str(port)]
        with running(command, folder / f"open-webui-{kind}.log", f"{address}/health", 600, given=given, folder=Path(data)):
            yield address, str(fetched(f"{address}/api/config")["version"])


@contextmanager
def running(
    command: list[Any], log: Path, ready: str, wait_s: float, *, given: Mapping[str, str] | None = None, folder: Path = ROOT
) -> Iterator[None]:
    """A program that serves, from when it is ready."""
    with log.open("wb") as output:
        told = {**os.environ, **(given or {})}
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=subprocess.STDOUT, env=told, cwd=folder)
        try:
            until = time.monotonic() + wait_s
            while not answers(ready):
                if process.poll() is not None:
                    raise Failed(f"{command[0]} ended with {process.returncode}: {log} says why")
                if time.monotonic() > until:
                    raise Failed(f"{command[0]} is not ready after {wait_s:g} s: {log} says more")
                time.sleep(1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answered(url: str, question: str, kind: str, shot: Path, wait_s: float) -> str:
    """The answer that a visitor reads, and a screenshot of it."""
    browser_program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_program is None:
        raise Failed(f"no Chromium on PATH ({', '.join(BROWSERS)})")
    model = "gork-heavy-lite" + (":latest" if kind == "ollama" else "")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_program)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        try:
            page.goto(f"{url}/?models={model}")
            box = page.locator("#chat-input")
            box.wait_for()
            welcomed(page)
            box.click()
            page.keyboard.type(question)
            page.keyboard.press("Enter")
            return finished(page, url, question, wait_s)
        except Late as error:
            raise Failed(f"{kind} connection: {error}") from None
        finally:
            page.screenshot(path=shot)
            browser.close()


def welcomed(page: Page) -> None:
    """Close what greets a new visitor, if anything does."""
    try:
        page.get_by_role("button", name=re.compile("let's go", re.IGNORECASE)).click(timeout=5_000)
    except Late:
        return


def finished(page: Page, url: str, question: str, wait_s: float) -> str:
    """The answer as Open WebUI has stored it, once it is whole and stands in the page."""
    token = str(page.evaluate("localStorage.token"))
    until = time.monotonic() + wait_s
    message: dict[str, Any] = {}
    while time.monotonic() < until:
        message = stored_answer(url, token, question) or {}
        if message.get("error"):
            raise Failed(f"Open WebUI shows an error: {message['error']}")
        if message.get("done") and (text := message.get("content", "")):
            answer = re.sub(r"<details.*?</details>", "", str(text), flags=re.DOTALL).strip()
            if not answer:
                raise Failed(f"the answer is empty beside its thinking: {text[:500]!r}")
            page.get_by_text(answer.splitlines()[0][:40].strip("*`# ")).last.wait_for()
            return answer
        time.sleep(1)
    raise Failed(f"no answer within {wait_s:g} s; what there is: {json.dumps(message)[:500]}")


def stored_answer(url: str, token: str, question: str) -> dict[str, Any] | None:
    """The assistant's message to this question, from the newest chat."""
    chats = fetched(f"{url}/api/v1/chats/", token)
    if not chats:
        return None
    history = fetched(f"{url}/api/v1/chats/{chats[0]['id']}", token)["chat"]["history"]["messages"].values()
    if not any(message["role"] == "user" and question in message["content"] for message in history):
        return None
    return next((dict(message) for message in history if message["role"] == "assistant"), None)


def fetched(url: str, token: str = "") -> Any:
    """The JSON at an address."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(url, headers=headers, timeout=30).raise_for_status().json()


def answers(url: str) -> bool:
    """Whether something there answers with 200."""
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
