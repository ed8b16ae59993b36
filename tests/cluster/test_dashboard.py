"""The Grafana dashboard: every query of it is run by a real Prometheus against the real /metrics of a service that has answered turns."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.support.heavy_lite import heavy_lite
from tests.support.paths import ROOT
from tests.support.served import post, serving_fake

DASHBOARD = ROOT / "deploy" / "grafana" / "gork-heavy-lite.json"


def queries() -> list[str]:
    """The panels' queries, with what Grafana would put in for its variables."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"].replace("$__rate_interval", "1m").replace("$job", ".*") for panel in panels for target in panel["targets"]]


@asynccontextmanager
async def prometheus(folder: Path, target: str, port: int) -> AsyncIterator[str]:
    """A Prometheus that scrapes the target several times a second; its URL."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no `prometheus` on PATH (Debian: apt-get install prometheus)")
    scrape = {"job_name": "gork", "scrape_interval": "200ms", "scrape_timeout": "200ms", "static_configs": [{"targets": [target]}]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    flags = {"config.file": "prometheus.yaml", "storage.tsdb.path": "data", "web.listen-address": f"127.0.0.1:{port}"}
    process = await asyncio.create_subprocess_exec(
        program,
        *(f"--{name}={value}" for name, value in flags.items()),
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _ready(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}/api/v1/query"
    finally:
        process.kill()
        await process.wait()


async def _ready(url: str) -> None:
    """Waits until it has replayed its log and serves queries: before that it refuses connections, then answers 503 in plain text."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as client:
        while True:
            try:
                async with client.get(url) as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)


async def test_every_query_finds_something_in_the_real_metrics(tmp_path, unused_tcp_port):
    """After two turns; no query is wrong, and each finds at least one series with the labels that it groups by."""
    async with heavy_lite() as ollama, serving_fake(ollama) as served:
        for _ in range(2):
            assert (await post(f"{served.url}/api/deliberate", {"question": "What is the capital of France?"})).status == 200
        async with prometheus(tmp_path, served.url.removeprefix("http://"), unused_tcp_port) as url, aiohttp.ClientSession() as client:
            for query in queries():
                found = await _found(client, url, query)
                grouped = re.search(r"by \(([a-z, ]+)\)", query)
                names = set(grouped[1].split(", ")) - {"le"} if grouped else set[str]()
                assert all(names <= series["metric"].keys() for series in found), (query, found)


async def _found(client: aiohttp.ClientSession, url: str, query: str) -> list[dict]:
    """What a query finds, asked again until two scrapes are there for it."""
    async with asyncio.timeout(60):
        while True:
            async with client.get(url, params={"query": query}) as reply:
                told = await reply.text()
            assert reply.status == 200, (query, told)
            if found := json.loads(told)["data"]["result"]:
                return found
            await asyncio.sleep(0.1)


def test_the_dashboard_shows_what_was_asked_for():
    """Turn time by stage, who wins, who fails, what was computed, the queue; each panel has its own place."""
    text = " ".join(queries())
    names = (
        "gork_stage_duration_seconds_bucket",
        "gork_verdicts_total",
        "gork_model_failures_total",
        "gork_programs_total",
        "gork_queued_turns",
    )
    panels = json.loads(DASHBOARD.read_text())["panels"]

    assert [name for name in names if name not in text] == []
    assert (
        len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    )
