"""Many events at once: all that was acknowledged is there, nothing else is, and memory is bounded.

`PROCESSION_LONG=1` sends 50,000.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from tests.support.api import becomes
from tests.support.postgres import Databases
from tests.support.system import System, a_system, arguments_of, pids

pytestmark = pytest.mark.anyio

EVENTS = 50_000 if os.environ.get("PROCESSION_LONG") == "1" else 5_000
AT_ONCE, SENDERS = 250, 16
TEXT = "x" * 500
GROWTH = 150 << 20  # bytes that the server may grow by
LIMITS = {
    "PROCESSION_SERVER__EVENTS__BACKLOG": str(EVENTS // 10),
    "PROCESSION_SERVER__EVENTS__IN_HAND": str(1 << 20),
}
STARTED = {
    "name": "started",
    "tasks": [{"name": "it", "noop": True}],
    "triggers": [{"event": "burst.**", "input": {}}],
}


@pytest.fixture
def system(databases: Databases, tmp_path: Path) -> Iterator[System]:
    with a_system(databases, tmp_path, **LIMITS) as system:
        yield system


async def test_a_burst_is_stored_whole_in_bounded_memory(system: System) -> None:
    told: Counter[int] = Counter()
    batches = asyncio.Queue[int]()
    for begin in range(0, EVENTS, AT_ONCE):
        batches.put_nowait(begin)
    async with system.asking() as ask:
        await ask.publish(STARTED)
        before = memory_of(server_of(system))
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(send(ask.http, batches, told))
        grown = memory_of(server_of(system)) - before
        await becomes(partial(all_are_decided, system), within=120)
    print(dict(told), f"grown by {grown >> 20} MiB")
    assert await count(system, "events") == await count(system, "runs") == EVENTS
    assert told[202] == EVENTS // AT_ONCE
    assert grown < GROWTH


async def send(http: httpx.AsyncClient, batches: asyncio.Queue[int], told: Counter[int]) -> None:
    """Whoever is refused waits for as long as it is told, and sends the same again."""
    while not batches.empty():
        body = batch(batches.get_nowait())
        while (answer := await http.post("/events", json=body)).status_code != 202:
            assert answer.status_code == 429, answer.text
            told[429] += 1
            await asyncio.sleep(int(answer.headers["Retry-After"]))
        assert answer.json() == {"stored": AT_ONCE, "known": 0}
        told[202] += 1


def batch(begin: int) -> dict[str, Any]:
    return {
        "events": [
            {"source": "burst", "id": str(n), "type": "burst.came", "data": {"text": TEXT}}
            for n in range(begin, begin + AT_ONCE)
        ]
    }


async def all_are_decided(system: System) -> bool:
    return await count(system, "trigger_decisions") == EVENTS


async def count(system: System, table: str) -> int:
    url = system.environment["PROCESSION_DATABASE_URL"]
    async with await AsyncConnection.connect(url) as conn:
        row = await (await conn.execute(f"select count(*) from {table}".encode())).fetchone()
    return int(row[0]) if row else 0


def server_of(system: System) -> int:
    port = system.url.rpartition(":")[2]
    return next(pid for pid in pids() if port in arguments_of(pid) and "serve" in arguments_of(pid))


def memory_of(pid: int) -> int:
    """The most that it has had in memory, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise LookupError("the kernel does not say")
