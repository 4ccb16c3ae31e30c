"""A page that is open shows every change of state, however often its stream is cut."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.async_api import Browser, Page

from scheduler.app import create_app
from scheduler.services.access import Role
from scheduler.settings import ServerSettings
from tests.support.api import TWO, YAML, tokens_of
from tests.support.cutting import cutting
from ui import bell

pytestmark = pytest.mark.anyio

LONG = os.environ.get("PROCESSION_LONG") == "1"
ROUNDS, RUNS = (40, 25) if LONG else (2, 10)
WITHIN = 60_000  # milliseconds; a change that is missed is never shown, however long one waits
NEVER = 100_000.0

SHOWN = """([ids, word]) => {
  const rows = [...document.querySelectorAll("#rows tbody tr")];
  const shown = new Map(rows.map((row) => [
    row.querySelector("a.id").title, row.querySelector(".badge").textContent.trim()]));
  return ids.every((id) => shown.get(id) === word);
}"""


@asynccontextmanager
async def a_server(dsn: str) -> AsyncIterator[int]:
    """In this process, so that what is asked for now and then anyway can be turned off."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(dsn, ServerSettings()), log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def looking(chromium: Browser, home: str, token: str) -> AsyncIterator[Page]:
    """Somebody whose browser complains of each cut, which is as it should be."""
    context = await chromium.new_context()
    await context.add_cookies([{"name": "procession", "value": token, "url": home}])
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def all_become(page: Page, ids: list[str], word: str) -> None:
    await page.wait_for_function(SHOWN, arg=[ids, word], timeout=WITHIN)


async def insist(api: httpx.AsyncClient, path: str, body: dict[str, str]) -> Any:
    """Once more for as long as a busy machine is late."""
    while (answer := await api.post(path, json=body)).status_code == 503:
        pass
    assert answer.is_success, answer.text
    return answer.json()


async def all_do(api: httpx.AsyncClient, ids: list[str], verb: str) -> None:
    await asyncio.gather(*(insist(api, f"/runs/{id}/{verb}", {}) for id in ids))


@pytest.mark.timeout(3600 if LONG else 240)
async def test_a_page_misses_no_change_while_its_stream_is_cut_again_and_again(
    dsn: str, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "SAFETY", NEVER)
    tokens = await tokens_of(dsn)
    headers = {"Authorization": f"Bearer {tokens[Role.ADMIN]}"}
    async with a_server(dsn) as port, cutting(port, seed=7) as (home, cutter):
        base = f"http://127.0.0.1:{port}/api/v1"
        async with (
            httpx.AsyncClient(base_url=base, headers=headers, trust_env=False, timeout=60) as api,
            looking(chromium, home, tokens[Role.VIEWER]) as page,
        ):
            assert (await api.post("/process-types", content=TWO, headers=YAML)).is_success
            await page.goto(f"{home}/ui/runs")
            for _ in range(ROUNDS):
                started = await asyncio.gather(
                    *(insist(api, "/runs", {"type": "two"}) for _ in range(RUNS))
                )
                ids = [run["id"] for run in started]
                await all_become(page, ids, "running")
                for verb, word in (("hold", "held"), ("resume", "running"), ("stop", "stopped")):
                    await all_do(api, ids, verb)
                    await all_become(page, ids, word)
        assert cutter.cuts >= ROUNDS
        print(f"{ROUNDS * RUNS} runs, {ROUNDS * RUNS * 4} changes, {cutter.cuts} cuts")
