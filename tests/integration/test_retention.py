import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.chores.catalog import KINDS
from scheduler.domain import restraint
from scheduler.services import exports, retention, rollups
from scheduler.services.retention import Rule
from scheduler.store import connections
from scheduler.store import retention as stored
from tests.support import builders
from tests.support.api import Api, becomes, serving
from tests.support.chores import a_plane, carrying

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]
DAY = timedelta(days=1)
NIGHTS = builders.chain("nights", "", "")
DAYS = builders.chain("days", "")


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await connections.connect(dsn, name="test") as conn:
        await builders.publish(conn, NIGHTS, DAYS)
        yield conn


async def ended(conn: Conn, type: str, days: int, state: str = "COMPLETED") -> Any:
    """A run that began and ended so many days ago."""
    run = await builders.start(conn, type)
    at = datetime.now(UTC) - timedelta(days=days)
    millis = int(at.timestamp() * 1000)
    cursor = await conn.execute(
        "with t as (delete from tasks where run_id = %(run)s),"
        " h as (select 1)"
        " update runs set id = (lpad(to_hex(%(ms)s::bigint), 12, '0')"
        " || right(replace(id::text, '-', ''), 20))::uuid, state = %(state)s::run_state, open = 0,"
        " created_at = %(at)s, started_at = %(at)s,"
        " finished_at = %(at)s::timestamptz + interval '4 seconds'"
        " where id = %(run)s returning id",
        {"run": run, "ms": millis, "state": state, "at": at},
    )
    row = await cursor.fetchone()
    assert row
    return row[0]


async def runs(conn: Conn) -> set[Any]:
    cursor = await conn.execute("select id from runs")
    return {row[0] for row in await cursor.fetchall()}


async def at_once(seconds: float) -> None:
    await asyncio.sleep(0)


async def test_runs_go_by_age_state_and_type_and_living_ones_stay(conn: Conn) -> None:
    old = await ended(conn, "nights", 40)
    kept = {
        await ended(conn, "nights", 20),
        await ended(conn, "nights", 40, "FAILED"),
        await ended(conn, "days", 40),
        await builders.start(conn, "nights"),
    }
    rule = Rule(state="COMPLETED", keep_for=30 * DAY, others=("days",))
    assert await retention.prune(conn, rule, at_once) == 1
    assert old not in await runs(conn)
    assert await runs(conn) == kept


async def test_so_many_of_the_newest_stay_however_old(conn: Conn) -> None:
    ids = [await ended(conn, "nights", days) for days in (50, 49, 48, 47)]
    rule = Rule(state="COMPLETED", type="nights", keep_for=DAY, keep_last=3)
    assert await retention.prune(conn, rule, at_once) == 1
    assert await runs(conn) == set(ids[1:])
    few = Rule(state="COMPLETED", type="nights", keep_for=DAY, keep_last=10)
    assert await retention.prune(conn, few, at_once) == 0


async def test_what_is_still_of_use_stays(conn: Conn) -> None:
    latest = await ended(conn, "nights", 40)
    await conn.execute(
        "insert into process_records (id, type, current_run, created_by)"
        " values ('it', 'nights', %s, 'test')",
        [latest],
    )
    await conn.execute("update runs set record_id = 'it' where id = %s", [latest])
    await a_letter(conn, await ended(conn, "nights", 40))
    parent = await builders.start(conn, "nights")
    child = await ended(conn, "nights", 40)
    await conn.execute("update runs set parent_run = %s where id = %s", [parent, child])
    rule = Rule(state="COMPLETED", keep_for=30 * DAY)
    assert await retention.prune(conn, rule, at_once) == 0


async def test_more_than_one_look_holds_is_removed_in_small_transactions(
    conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOOK", 5)
    for bound in ("LEAST", "MOST"):
        monkeypatch.setattr(restraint, bound, 2 * 2)  # rows: each run and its task
    for _ in range(12):
        await ended(conn, "days", 40)
    pauses: list[float] = []
    told: list[int] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def tell(removed: int) -> None:
        told.append(removed)

    assert await retention.prune(conn, Rule(state="COMPLETED", keep_for=DAY), pause, tell) == 12
    assert told == [5, 10, 12, 12]
    assert len(pauses) == 7
    assert min(pauses) >= restraint.LEAST_REST


@pytest.mark.parametrize("type", [None, "days"])
async def test_what_was_looked_at_is_not_looked_at_again_at_once(
    conn: Conn, monkeypatch: pytest.MonkeyPatch, type: str | None
) -> None:
    """Runs that stay, as those of others, cost each later look no more than a part of them."""
    monkeypatch.setattr(retention, "LOOK", 5)
    monkeypatch.setattr(retention, "AGAIN", 10)
    letters = [await ended(conn, "days", 90 - n) for n in range(40)]
    for letter in letters:
        await a_letter(conn, letter)
    await retention.put(conn, type=type, state="COMPLETED", keep_for=DAY, keep_last=None, by="test")
    assert await looked_at(conn, monkeypatch) >= len(letters)
    assert await looked_at(conn, monkeypatch) <= 20
    # What holds one no longer is found by and by, wherever it lies.
    await conn.execute(
        "update dead_letters set state = 'DISCARDED' where run_id = %s", [letters[7]]
    )
    for _ in range(6):
        await looked_at(conn, monkeypatch)
    assert await runs(conn) == {*letters[:7], *letters[8:]}
    # A rule that is changed begins at the first run.
    await retention.put(
        conn, type=type, state="COMPLETED", keep_for=2 * DAY, keep_last=None, by="test"
    )
    assert await looked_at(conn, monkeypatch) >= len(letters) - 1


async def looked_at(conn: Conn, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many runs one chore looks at."""
    seen = 0
    real = retention.look

    async def look(*asked: Any) -> Any:
        nonlocal seen
        rows = await real(*asked)
        seen += len(rows)
        return rows

    with monkeypatch.context() as patched:
        patched.setattr(retention, "look", look)
        for rule in await retention.rules(conn):
            await retention.prune(conn, rule, at_once)
    return seen


async def a_letter(conn: Conn, run: Any) -> None:
    await conn.execute(
        "insert into dead_letters (run_id, task_id, round, type, task, error, fingerprint, input)"
        " values (%s, (select count(*) from dead_letters), 1, 'nights', 't', 'e', 'f', '{}')",
        [run],
    )


async def test_details_go_by_the_day_but_not_those_of_the_living_nor_of_the_last_days(
    conn: Conn, dsn: str
) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
        for days in (9, 5):
            day = (datetime.now(UTC) - timedelta(days=days)).date()
            await owner.execute(
                f"create table history_{day:%Y%m%d} partition of history"
                f" for values from ('{day} 00:00+0') to ('{day + DAY} 00:00+0')"
            )
    await stored.keep_details(conn, 7 * DAY, by="test")
    assert await retention.drop_details(conn, at_once) == 1
    assert await retention.drop_details(conn, at_once) == 0
    run = await builders.start(conn, "nights")
    await conn.execute(
        "update runs set created_at = now() - interval '6 days' where id = %s", [run]
    )
    await stored.keep_details(conn, 2 * DAY, by="test")
    assert await retention.drop_details(conn, at_once) == 0
    assert await stored.drop_partitions(conn, datetime.now(UTC).date() + 9 * DAY) == 1
    cursor = await conn.execute("select to_regclass('history_' || to_char(now(), 'YYYYMMDD'))")
    assert await cursor.fetchone() != (None,)


async def test_each_hour_is_counted_and_the_counts_outlive_the_runs(conn: Conn) -> None:
    for _ in range(3):
        await ended(conn, "nights", 1)
    await rollups.catch_up(conn)
    await rollups.catch_up(conn)
    await retention.prune(conn, Rule(state="COMPLETED", keep_for=timedelta(hours=1)), at_once)
    await rollups.catch_up(conn)
    cursor = await conn.execute("select type, runs, p50 from run_rollups")
    assert await cursor.fetchall() == [("nights", 3, 4.0)]


@pytest.fixture
async def api(dsn: str, conn: Conn) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


async def test_retention_is_set_over_the_api_and_carried_out_by_a_chore(
    api: Api, conn: Conn
) -> None:
    await ended(conn, "nights", 40)
    wish = {"type": "nights", "status": "COMPLETED", "keep_for": "30d", "keep_last": 1}
    assert (await api.admin.put("/retention/rules", json=wish)).json()["keep_last"] == 1
    wish = {"status": "COMPLETED", "keep_for": "30d"}
    assert (await api.admin.put("/retention/rules", json=wish)).status_code == 200
    assert len((await api.admin.get("/retention")).json()["rules"]) == 2
    await ended(conn, "days", 40)
    async with carrying(a_plane(api.url, KINDS)):
        await api.admin.post("/retention/run")
        await becomes(lambda: one_run(conn))
    for bad in ({**wish, "keep_for": "1s"}, {**wish, "keep_last": 3}, {**wish, "status": "READY"}):
        assert (await api.admin.put("/retention/rules", json=bad)).status_code == 422
    assert (await api.admin.put("/retention/details", json={"keep_for": "1d"})).status_code == 422


async def one_run(conn: Conn) -> bool:
    return len(await runs(conn)) == 1


@pytest.mark.parametrize("format", ["csv", "ndjson"])
async def test_runs_are_exported_whole_and_once_though_the_writer_is_cut_off(
    api: Api, conn: Conn, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PART", 2)
    ids = {str(await ended(conn, "nights", days)) for days in range(1, 8)}
    answer = await api.admin.post("/exports", json={"what": "runs", "format": format})
    made = answer.json()
    path = answer.headers["location"].removeprefix("/api/v1")
    assert (await api.admin.get(f"{path}/file")).status_code == 409
    # As if a server had been killed between two parts.
    await exports.write_part(conn, made["id"])
    async with carrying(a_plane(api.url, KINDS)):
        await becomes(lambda: is_done(api, path))
    text = (await api.admin.get(f"{path}/file")).text
    if format == "csv":
        found = [row["id"] for row in csv.DictReader(io.StringIO(text))]
    else:
        found = [json.loads(line)["id"] for line in text.splitlines()]
    assert len(found) == 7
    assert set(found) == ids


async def is_done(api: Api, path: str) -> Any:
    return (await api.admin.get(path)).json()["done_at"]


async def test_history_is_exported_in_the_order_of_each_run(api: Api, conn: Conn) -> None:
    await builders.start(conn, "nights")
    made = (await api.admin.post("/exports", json={"what": "history"})).json()
    while await exports.write_part(conn, made["id"]):
        pass
    text = (await api.admin.get(f"/exports/{made['id']}/file")).text
    seqs = [json.loads(line)["seq"] for line in text.splitlines()]
    assert seqs == sorted(seqs)
    assert len(seqs) > 0


def test_text_that_a_spreadsheet_would_carry_out_is_only_shown() -> None:
    assert exports.cell("=cmd()") == "'=cmd()"
    assert exports.cell("fine") == "fine"
