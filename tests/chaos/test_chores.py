"""Servers are killed in the middle of each kind of chore: each ends done once in effect."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.chores.catalog import KINDS
from scheduler.services import chores, exports, notifications, runs_in_bulk
from scheduler.services import dead_letters_in_bulk as bulk
from scheduler.services.dead_letters import Wish
from scheduler.store import connections
from scheduler.store import dead_letter_selections as selections
from scheduler.store import notifications as stored
from scheduler.store import retention as rules
from scheduler.store.dead_letter_selections import Chosen
from tests.support import builders
from tests.support.api import becomes
from tests.support.chores import a_plane, carrying
from tests.support.postgres import Cluster
from tests.support.servers import ROOT

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]
Look = Callable[[], Awaitable[int]]
RUNS = 1500
FEWER = 300


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await connections.connect(dsn, name="test") as conn:
        await builders.publish(conn, builders.chain("one", ""))
        yield conn


@asynccontextmanager
async def a_server(dsn: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {name: text for name, text in os.environ.items() if "PROCESSION" not in name}
    environment |= {
        "PROCESSION_DATABASE_URL": dsn,
        "PROCESSION_DATA_DIR": str(folder / "data"),
        "PROCESSION_CHORES__SILENT_AFTER": "2s",
        "PROCESSION_HTTP__ALLOW_PRIVATE": '["127.0.0.0/8"]',
        "PYTHONPATH": str(ROOT),
    }
    argv = [sys.executable, "-m", "scheduler", "serve", "--port", "0"]
    with (folder / "serve.log").open("a") as log:
        server = await asyncio.create_subprocess_exec(
            *argv, env=environment, stdout=log, stderr=log
        )
    try:
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()


async def killed_at(dsn: str, folder: Path, look: Look, *marks: int) -> None:
    """A server is killed as soon as so much is done, and another one started, for each mark; the
    last one goes on to the end."""
    for mark in marks:
        async with a_server(dsn, folder):
            await reaches(look, mark)


async def reaches(look: Look, mark: int) -> None:
    async def is_reached() -> bool:
        return await look() >= mark

    await becomes(is_reached, within=60)


async def ended(conn: Conn, count: int = RUNS) -> None:
    await builders.start_many(conn, "one", count)
    await conn.execute("update tasks set state = 'COMPLETED', passed = true, open = 0")
    await conn.execute(
        "update runs set state = 'COMPLETED', open = 0, started_at = now(),"
        " finished_at = now() - interval '1 hour'"
    )


async def number(conn: Conn, statement: Any, *values: Any) -> int:
    cursor = await conn.execute(statement, list(values))
    [found] = await cursor.fetchone() or [0]
    return int(found or 0)


async def test_retention_removes_each_run_though_servers_are_killed_within_it(
    dsn: str, conn: Conn, tmp_path: Path
) -> None:
    await ended(conn)
    await rules.put(
        conn, None, "COMPLETED", keep_for=timedelta(minutes=1), keep_last=None, by="test"
    )

    async def removed() -> int:
        return RUNS - await number(conn, "select count(*) from runs")

    await killed_at(dsn, tmp_path, removed, 100, 500, RUNS)
    assert await number(conn, "select count(*) from tasks") == 0


@pytest.mark.nightly
async def test_an_export_holds_each_run_once_though_servers_are_killed_within_it(
    dsn: str, conn: Conn, tmp_path: Path
) -> None:
    await ended(conn, 6000)
    made = await exports.start(conn, "runs", "ndjson", {}, by="test")

    async def rows() -> int:
        return await number(conn, "select rows from exports where id = %s", made["id"])

    async def is_done() -> int:
        return await number(conn, "select count(*) from exports where done_at is not null")

    await killed_at(dsn, tmp_path, rows, 500, 2000)
    await killed_at(dsn, tmp_path, is_done, 1)
    cursor = await conn.execute("select data from export_parts order by number")
    lines = b"".join(row[0] for row in await cursor.fetchall()).splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert len(ids) == len(set(ids)) == 6000


@pytest.mark.nightly
async def test_each_letter_is_decided_on_once_though_servers_are_killed_within_it(
    dsn: str, conn: Conn, tmp_path: Path
) -> None:
    await ended(conn)
    await conn.execute(
        "insert into dead_letters (run_id, task_id, round, type, task, error, fingerprint, input)"
        " select id, row_number() over (), 1, 'one', 't', 'e', 'f', '{}' from runs"
    )
    selection = (await bulk.select(conn, Chosen(type="one"), all=False, by="test"))["id"]
    wish = Wish(action="discard", note="old")
    await selections.begin(conn, selection, action="discard", wish=wish.told(), by="test")
    await bulk.continue_later(conn, selection)

    async def decided() -> int:
        return await number(
            conn, "select count(*) from dead_letters_selected where result is not null"
        )

    await killed_at(dsn, tmp_path, decided, 100, 600, RUNS)
    progress = await selections.progress(conn, selection)
    assert progress == {"discarded": RUNS}


@pytest.mark.nightly
async def test_each_chosen_run_is_stopped_once_though_servers_are_killed_within_it(
    dsn: str, conn: Conn, tmp_path: Path
) -> None:
    await builders.start_many(conn, "one", FEWER)
    selection = (await runs_in_bulk.select(conn, all=True, by="test"))["id"]
    wish = runs_in_bulk.Wish(action="stop", why="no more")
    await runs_in_bulk.begin(conn, selection, wish, expected=FEWER, by="test")

    async def decided() -> int:
        return await number(conn, "select count(*) from runs_selected where result is not null")

    await killed_at(dsn, tmp_path, decided, 20, 120, FEWER)
    assert await number(conn, "select count(*) from runs_selected where result = 'done'") == FEWER
    assert await number(conn, "select count(*) from runs where state = 'STOPPED'") == FEWER
    told = "select count(*) from history where kind = 'run.stopped'"
    assert await number(conn, told) == FEWER


@pytest.mark.nightly
async def test_each_notification_arrives_though_servers_are_killed_while_they_deliver(
    dsn: str, conn: Conn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        seen.append(head.partition("procession-delivery: ")[2].partition("\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def arrived() -> int:
        # As if the leases of those who were killed had ended.
        await conn.execute(
            "update notification_deliveries set next_at = now()"
            " where state = 'PENDING' and tried_at < clock_timestamp() - interval '3 seconds'"
        )
        return len(await stored.deliveries(conn, status="DELIVERED", limit=999))

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        config = {"url": f"http://127.0.0.1:{port}/", "allow_private": True}
        await notifications.create_channel(conn, {"name": "hook", "webhook": config}, by="test")
        rule = {"name": "it", "event": "failed", "quiet": 0, "most_a_day": 10_000}
        rule["channels"] = ["hook"]
        await notifications.create_rule(conn, rule, by="test")
        for _ in range(150):
            await notifications.test(conn, "it", by="test")
        await killed_at(dsn, tmp_path, arrived, 5, 60, 150)
    assert len(set(seen)) == 150


async def test_a_server_that_is_killed_with_a_chore_leaves_it_to_another_that_lives(
    dsn: str, conn: Conn, tmp_path: Path
) -> None:
    """Nobody is needed, and nothing has to start anew."""
    await ended(conn)
    await rules.put(
        conn, None, "COMPLETED", keep_for=timedelta(minutes=1), keep_last=None, by="test"
    )
    (tmp_path / "other").mkdir()

    async def removed() -> int:
        return RUNS - await number(conn, "select count(*) from runs")

    async with a_server(dsn, tmp_path) as one:
        await reaches(removed, 50)
        async with a_server(dsn, tmp_path / "other"):
            one.kill()
            await reaches(removed, RUNS)
    assert await number(conn, "select count(*) from procrastinate_jobs where lock is not null") == 0


async def test_no_chore_is_left_in_the_hands_of_the_dead(
    dsn: str, conn: Conn, tmp_path: Path
) -> None:
    for n in range(20):
        await chores.defer(conn, "rollups", {"n": n})

    async def done() -> int:
        return 20 - await number(
            conn,
            "select count(*) from procrastinate_jobs"
            " where args ? 'n' and status in ('todo', 'doing', 'failed')",
        )

    await killed_at(dsn, tmp_path, done, 3, 20)
    assert await number(conn, "select count(*) from chore_history where state = 'FAILED'") == 0


async def test_a_chore_goes_on_after_the_database_was_away_for_twelve_seconds(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PART", 5)
    async with await connections.connect(cluster.dsn, name="test") as conn:
        await builders.publish(conn, builders.chain("one", ""))
        await ended(conn)
        made = await exports.start(conn, "runs", "ndjson", {}, by="test")
        async with await AsyncConnection.connect(cluster.dsn, autocommit=True) as owner:
            await owner.execute("checkpoint")

    async def rows() -> int:
        async with await connections.connect(cluster.dsn, name="test") as conn:
            return await number(conn, "select rows from exports where id = %s", made["id"])

    plane = a_plane(cluster.dsn, KINDS, silent_after=timedelta(seconds=30))
    async with carrying(plane):
        await reaches(rows, 50)
        await cluster.kill()
        await asyncio.sleep(12)
        await cluster.start()
        await reaches(rows, RUNS)
    async with await connections.connect(cluster.dsn, name="test") as conn:
        cursor = await conn.execute("select data from export_parts order by number")
        lines = b"".join(row[0] for row in await cursor.fetchall()).splitlines()
    assert len(lines) == len(set(lines)) == RUNS
