"""Servers that route events are killed at random, and each event starts each of its runs once.

`PROCESSION_LONG=1` asks for 100,000 events.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from scheduler.domain.trigger_reading import read_trigger
from scheduler.services import triggers
from scheduler.store.schedules import Target
from tests.chaos.test_kills import Part, Site
from tests.support.builders import chain, engine, publish
from tests.support.system import answers, free_port
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800)]

LONG = os.environ.get("PROCESSION_LONG") == "1"
EVENTS = 100_000 if LONG else 3_000
AT_ONCE = 500 if LONG else 100
TRIGGERS = 20
PATIENCE = 1200 if LONG else 160  # on a machine with much else to do
KILLS = 20 if LONG else 3


@pytest.fixture
async def site(dsn: str, tmp_path: Path) -> Site:
    async with await engine(dsn) as conn:
        await publish(conn, chain("one", ""))
        for number in range(TRIGGERS):
            spec = read_trigger({"name": f"t{number}", **rule(number)})
            await triggers.create(conn, Target(type="one"), spec, by="test")
    return Site(dsn, tmp_path)


def rule(number: int) -> dict[str, Any]:
    """Half of the triggers remember something, and each event is wanted by exactly one."""
    document: dict[str, Any] = {
        "event": f"t{number}.*",
        "input": {"n": "${{ event.data.n }}"},
    }
    if number % 4 == 1:
        document["dedup"] = {"key": "${{ event.data.n }}", "window": "1h"}
    if number % 4 == 3:
        document["when"] = "${{ event.data.n >= 0 }}"
    if number == 0:
        document["throttle"] = {"max": 1000, "per": "1s", "rest": "queue", "most": 100_000}
    return document


def event(number: int) -> dict[str, Any]:
    type = f"t{number % TRIGGERS}.came"
    return {"source": "test", "id": str(number), "type": type, "data": {"n": number}}


def a_server(site: Site, name: str) -> tuple[Part, int]:
    port = free_port()
    part = site.part(name, ["serve", "--port", str(port)])
    folder = {"PROCESSION_DATA_DIR": str(site.folder / name)}
    return replace(part, environment={**part.environment, **folder}), port


async def send_all(site: Site, ports: list[int], told: Counter[str]) -> None:
    """Each batch is sent until somebody acknowledges it. They are spread over the kills."""
    headers = {"Authorization": f"Bearer {site.token}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=30) as http:
        for begin in range(0, EVENTS, AT_ONCE):
            await until(partial(is_its_turn, begin, told), within=PATIENCE)
            batch = {"events": [event(n) for n in range(begin, min(begin + AT_ONCE, EVENTS))]}
            await until_acknowledged(http, ports, batch)


def is_its_turn(begin: int, told: Counter[str]) -> bool:
    return begin * KILLS <= (told["kills"] + 1) * EVENTS


async def until_acknowledged(
    http: httpx.AsyncClient, ports: list[int], batch: dict[str, Any]
) -> None:
    for attempt in range(100_000):
        url = f"http://127.0.0.1:{ports[attempt % len(ports)]}/api/v1/events"
        try:
            answer = await http.post(url, json=batch)
        except httpx.HTTPError:
            await asyncio.sleep(0.05)
            continue
        if answer.status_code == 202:
            return
        assert answer.status_code in (429, 503), answer.text
        await asyncio.sleep(0.1)


async def kill_now_and_then(servers: list[tuple[Part, int]], told: Counter[str]) -> None:
    """One that answers, at a random moment; then it is somebody's turn when all answer again."""
    chance = random.Random(EVENTS)
    while told["kills"] < KILLS:
        for _, port in servers:
            await until(partial(answers, f"http://127.0.0.1:{port}"), within=PATIENCE)
        await asyncio.sleep(chance.uniform(0, 1))
        chance.choice(servers)[0].signal(signal.SIGKILL)
        told["kills"] += 1


async def test_each_event_starts_its_run_once_while_servers_are_killed(site: Site) -> None:
    made = [a_server(site, name) for name in ("one", "two")]
    servers, ports = [part for part, _ in made], [port for _, port in made]
    told: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(PATIENCE))
        await stack.enter_async_context(site.running(*servers))
        killing = asyncio.create_task(kill_now_and_then(made, told))
        await send_all(site, ports, told)
        routed = "select count(*) from trigger_decisions where fate <> 'WAITING'"
        await site.until(routed, lambda rows: rows[0][0] >= EVENTS)
        killing.cancel()
    await check(site)
    print(dict(told))


async def check(site: Site) -> None:
    fates = await site.ask("select fate::text, count(*) from trigger_decisions group by fate")
    assert fates == [("STARTED", EVENTS)]
    inputs = await site.ask("select (input ->> 'n')::int from runs")
    assert Counter(n for (n,) in inputs) == Counter(range(EVENTS))
    assert await site.ask("select count(*) from event_backlog") == [(0,)]
    assert await site.ask("select count(*) from pending_starts") == [(0,)]
    pairs = "select count(*), count(distinct run_id) from trigger_decisions"
    assert await site.ask(pairs) == [(EVENTS, EVENTS)]
