import time
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from scheduler import doctor
from scheduler.demo import demo_types
from scheduler.doctor import examine
from scheduler.domain.findings import Finding, Level
from scheduler.services import definitions, runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order
from scheduler.store import connections

pytestmark = pytest.mark.anyio

HOLDER = """
insert into holders (name, kind, incarnation, host, pid, version, queues, slots, lease_until)
values ('line-2', 'worker', 'i', 'h', 1, %s, '{default}', 8, clock_timestamp() + %s::interval)
"""


async def start_runs(dsn: str) -> None:
    async with await connections.connect(dsn, name="test") as conn:
        await definitions.publish(conn, demo_types(), by="test")
        for name in ("single-task-process", "three-task-process", "failing-process"):
            await runs.start(conn, Catalog(), Order(type=name, input={}, by="test"))


def change(dsn: str, statement: str, *values: object) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement.encode(), values)


async def finding(dsn: str, folder: Path, check: str) -> Finding:
    return next(each for each in await examine(dsn, folder) if each.check == check)


async def test_a_sound_system_has_no_fault(dsn: str, tmp_path: Path) -> None:
    await start_runs(dsn)
    found = await examine(dsn, tmp_path)
    assert [each for each in found if each.level is Level.FAULT] == []
    assert {each.check for each in found} == {
        "database", "schema", "versions", "disk", "clock", "durability", "leases", "workers",
        "partitions", "counters",
    }  # fmt: skip


async def test_whatever_is_not_fine_comes_with_a_remedy(dsn: str, tmp_path: Path) -> None:
    for each in await examine(dsn, tmp_path):
        assert (each.level is Level.FINE) == (each.remedy == ""), each


async def test_the_quick_look_asks_only_for_the_database_and_its_schema(
    dsn: str, tmp_path: Path
) -> None:
    assert [each.check for each in await examine(dsn, tmp_path, quick=True)] == [
        "database",
        "schema",
    ]


async def test_a_database_that_is_away_is_the_one_finding(dsn: str, tmp_path: Path) -> None:
    [found] = await examine(make_conninfo(dsn, dbname="nowhere"), tmp_path)
    assert (found.check, found.level) == ("database", Level.FAULT)
    assert "nowhere" in found.says
    assert "\n" not in found.says


async def test_a_missing_migration_is_named(dsn: str, tmp_path: Path) -> None:
    change(dsn, "delete from schema_migrations where number = 3")
    [_, found] = await examine(dsn, tmp_path)
    assert found == Finding(
        "schema", Level.FAULT, "lacks 1 migrations, first 0003 holders", "run `procession migrate`"
    )


@pytest.mark.parametrize(
    "tampering",
    [
        "update runs set open = open + 1, total = total + 1 where type = 'three-task-process'",
        "update tasks set needed = needed + 1 where name = 'test-3-2'",
        "update tasks set open = open + 1 where name = 'test-3-2'",
    ],
)
async def test_a_counter_that_does_not_follow_from_the_tasks_names_its_run(
    dsn: str, tmp_path: Path, tampering: str
) -> None:
    await start_runs(dsn)
    change(dsn, tampering)
    found = await finding(dsn, tmp_path, "counters")
    with psycopg.connect(dsn) as conn:
        [run] = conn.execute("select id from runs where type = 'three-task-process'").fetchall()
    assert found.level is Level.FAULT
    assert found.says == f"do not follow from the tasks: {run[0]}"


async def test_a_lease_that_nobody_took_back_is_a_fault(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PATIENCE", timedelta())
    change(dsn, HOLDER, "0.1.0", "-1 hour")
    found = await finding(dsn, tmp_path, "leases")
    assert found.level is Level.FAULT
    assert "line-2 for 3600 s" in found.says


async def test_a_worker_of_another_version_is_named(dsn: str, tmp_path: Path) -> None:
    change(dsn, HOLDER, "0.0.1", "1 hour")
    found = await finding(dsn, tmp_path, "workers")
    assert (found.level, found.says) == (Level.WARNING, "of another version: line-2 (0.0.1)")


async def test_a_database_that_may_lose_commits_is_warned_of(dsn: str, tmp_path: Path) -> None:
    unsafe = make_conninfo(dsn, options="-c synchronous_commit=off")
    found = await finding(unsafe, tmp_path, "durability")
    assert found.level is Level.WARNING
    assert "synchronous_commit" in found.says


def test_a_nearly_full_disk_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_DISK", 1 << 60)
    assert doctor.disk(tmp_path / "not" / "made").level is Level.WARNING


async def test_a_clock_that_is_off_is_warned_of(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 60)
    found = await finding(dsn, tmp_path, "clock")
    assert found.level is Level.WARNING
    assert found.says.startswith("+60.")
