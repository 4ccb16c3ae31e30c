"""The clock's loop: in time, woken by changes, and idle where nothing is due."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.domain.schedule_reading import read_schedule
from scheduler.loops import clock
from scheduler.loops.clock import Clock
from scheduler.services import records, schedules
from scheduler.services.catalog import Catalog
from scheduler.services.records import Draft
from scheduler.store.schedules import Target
from tests.integration.test_explain import conditioned, nodes, plan_of
from tests.support.api import becomes
from tests.support.builders import Conn, a_holder, carry_out, chain, engine, one, publish, start
from tests.support.timetables import a_schedule, due_since, tick_all
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

ONE = chain("one", "")
HOUR = timedelta(hours=1)
DORMANT = """
insert into schedules (
    name, type, spec, origin, next_tick, next_at, created_by, paused_at, paused_by
)
select 's' || n, 'one', '{"every": "1h"}', 'person', clock_timestamp() + n * interval '1 hour',
       case when n %% 2 = 0 then clock_timestamp() + n * interval '1 hour' end, 'ann',
       case when n %% 2 = 1 then clock_timestamp() end, case when n %% 2 = 1 then 'ann' end
  from generate_series(1, %s) n
"""
STARTED = "select count(*) from ticks where state = 'STARTED'"
LATENESS = """
select max(extract(epoch from decided_at - due_at))::float8 from ticks where state = 'STARTED'
"""


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, ONE)
        yield conn


@asynccontextmanager
async def ticking(dsn: str, clocks: int = 1) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(tick(dsn)) for _ in range(clocks)]
        yield
        for task in tasks:
            task.cancel()


async def tick(dsn: str) -> None:
    async with await engine(dsn) as mine:
        await Clock(Catalog()).work(mine)


async def started(conn: Conn, count: int) -> None:
    async def are_there() -> bool:
        return bool(await one(conn, STARTED) >= count)

    await becomes(are_there)


async def asleep(dsn: str) -> None:
    """Its last statement is the last before it sleeps; the owner sees everybody's."""
    last = "select exists (select from schedules where queued is not null)%"
    asked = "select count(*) from pg_stat_activity where state = 'idle' and query like %s"
    async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
        await becomes(lambda: one(owner, asked, last))


async def test_a_clock_sleeps_until_a_tick_is_due_and_not_until_it_polls(
    dsn: str, conn: Conn
) -> None:
    """Made while it sleeps its longest, and due before it would have looked again."""
    async with ticking(dsn):
        await asleep(dsn)
        await a_schedule(conn, type="one", every="1s")
        await started(conn, 3)
    assert await one(conn, LATENESS) < patience(1.0)


@pytest.mark.parametrize("of_record", [False, True])
async def test_a_tick_that_waits_for_a_run_starts_when_that_ends_and_not_at_the_next_look(
    dsn: str, conn: Conn, monkeypatch: pytest.MonkeyPatch, of_record: bool
) -> None:
    """The clock is told by the end itself, whoever started that run."""
    monkeypatch.setattr(clock, "WHILE_ONE_WAITS", 600.0)
    monkeypatch.setattr(clock, "LONGEST", 600.0)
    await records.create(conn, Catalog(), "it", Draft(type="one", input={}), by="ann")
    target = {"record": "it"} if of_record else {"type": "one"}
    schedule = await a_schedule(conn, **target, every="1h", overlap="queue_one")
    if of_record:
        await records.start(conn, Catalog(), "it", by="ann")
    else:
        await due_since(conn, schedule, HOUR)
        await tick_all(conn)
        await conn.execute("update ticks set tick = tick - interval '1 hour'")
    await due_since(conn, schedule, HOUR)
    async with ticking(dsn):
        await becomes(lambda: one(conn, "select count(*) from schedules where queued is not null"))
        await asleep(dsn)
        before = await one(conn, STARTED)
        holder = await a_holder(conn)
        assert await carry_out(conn, holder)
        await started(conn, before + 1)


async def test_a_label_that_is_no_schedule_keeps_no_run_from_its_end(conn: Conn) -> None:
    for label in ("none", "9" * 30, "-1", ""):
        await start(conn, "one", labels={"schedule": label})
    holder = await a_holder(conn)
    while await carry_out(conn, holder):
        pass
    assert await one(conn, "select count(*) from runs where state = 'COMPLETED'") == 4


async def test_two_clocks_start_each_tick_once(dsn: str, conn: Conn) -> None:
    async with ticking(dsn, clocks=2):
        for number in range(20):
            await a_schedule(conn, type="one", name=f"s{number}", every="1s")
        await started(conn, 60)
    assert await one(conn, STARTED) == await one(conn, "select count(*) from runs")


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("due", {"limit": 50}),
        ("next_due", {}),
        ("waiting", {"limit": 50}),
        ("to_stop", {"limit": 50}),
        ("is_any_waiting", {}),
        ("living", {"ids": [1, 2]}),
    ],
)
async def test_a_clock_reads_no_schedule_that_sleeps(
    dsn: str, conn: Conn, statement: str, values: dict[str, Any]
) -> None:
    await conn.execute(DORMANT.encode(), [20_000])
    async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
        await owner.execute("vacuum analyze schedules")
    plan = await plan_of(conn, "schedules", statement, values)
    due = [node for node in nodes(plan) if node.get("Index Name") == "schedules_due"]
    assert statement != "due" or "next_at" in due[0]["Index Cond"]
    partial = ("schedules_due", "schedules_waiting")
    for node in nodes(plan):
        if node.get("Relation Name") == "schedules":
            assert node["Node Type"] != "Seq Scan"
            assert node.get("Index Name") in partial or conditioned(node), node


async def test_a_poisoned_schedule_sleeps_and_says_why(dsn: str, conn: Conn) -> None:
    schedule = await a_schedule(conn, type="one", every="1h")
    await conn.execute(
        """update schedules set spec = '{"cron": "nonsense"}', next_tick = clock_timestamp(),"""
        " next_at = clock_timestamp()"
    )
    await Clock(Catalog()).tick(conn)
    found = await schedules.get(conn, schedule)
    assert (found["next_tick"], found["next_at"]) == (None, None)
    assert "nonsense" in await one(conn, "select reason from ticks where state = 'FAILED'")
    await schedules.change(conn, Catalog(), schedule, read_schedule({"every": "1m"}))
    assert (await schedules.get(conn, schedule))["next_at"] is not None


async def test_a_schedule_of_a_type_is_called_by_it(conn: Conn) -> None:
    target = Target(type="one")
    made = await schedules.create(conn, Catalog(), target, read_schedule({"every": "1h"}), by="x")
    assert (made["type"], made["record_id"], made["name"]) == ("one", None, "main")
