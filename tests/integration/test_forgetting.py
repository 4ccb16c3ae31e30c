"""Nothing grows for ever: what is removed by whom, and that what is needed stays."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection, sql

from scheduler.services import retention, runs, upkeep
from scheduler.services.catalog import Catalog
from scheduler.store import connections, limits
from scheduler.store import retention as stored
from tests.support import builders
from tests.support.builders import one
from tests.support.timetables import a_schedule

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]
DAY = timedelta(days=1)
DOCUMENT = Path(__file__).parents[2] / "docs" / "retention.md"
LIMITED = """
name: limited
input: {type: object}
tasks: [{name: t, noop: true, limit: {key: "${{ input.machine }}", max: 1}}]
"""
GROUPED = """
name: grouped
input: {type: object}
concurrency: {key: "${{ input.customer }}", on_conflict: wait}
tasks: [{name: t, noop: true}]
"""
TABLES = """
select c.relname
  from pg_class c
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
"""


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await connections.connect(dsn, name="test") as conn:
        yield conn


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[Conn]:
    async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
        yield owner


async def at_once(seconds: float) -> None:
    """Does not wait at all: a pause is for others."""


async def test_of_each_table_it_is_written_down_who_removes_its_rows(conn: Conn) -> None:
    """A new table has to be decided on: a line in the table of docs/retention.md."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    told = [name for line in lines for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    cursor = await conn.execute(TABLES)
    there = {row[0] for row in await cursor.fetchall()}
    assert len(told) == len(set(told))
    assert set(told) == there


async def test_ticks_are_forgotten_after_their_term_but_not_those_that_wait(conn: Conn) -> None:
    await builders.publish(conn, builders.chain("one", ""))
    schedule = await a_schedule(conn, type="one")
    await conn.execute(
        "insert into ticks (schedule_id, tick, kind, state, reason, due_at, decided_at)"
        " select %s, at, 'time', (case when n = 60 then 'QUEUED' else 'SKIPPED' end)::tick_state,"
        "        'x', at, at"
        "   from generate_series(1, 60) n, lateral (select now() - n * interval '1 day' as at) m",
        [schedule],
    )
    await conn.execute(
        "insert into backfills (schedule_id, from_at, until_at, per_minute, at_once, made_by,"
        " ended_at)"
        " select %s, now() - interval '2 days', now(), 1, 1, 'ann', ended"
        "   from unnest(array[now(), now() - interval '50 days', null]) as ended",
        [schedule],
    )
    await retention.keep(conn, "ticks", 30 * DAY, by="test")
    await retention.forget(conn, at_once)
    assert await one(conn, "select count(*) from ticks") == 30
    assert await one(conn, "select count(*) from ticks where state = 'QUEUED'") == 1
    assert await one(conn, "select count(*) from backfills") == 2


async def test_hourly_counts_and_the_audit_log_go_when_somebody_says_so(
    conn: Conn, owner: Conn
) -> None:
    await owner.execute(
        "insert into run_rollups (hour, type, state, runs, seconds)"
        " select date_trunc('hour', now()) - n * interval '1 day', 'one', 'FAILED', 1, 1"
        "   from generate_series(1, 50) n"
    )
    await owner.execute(
        "insert into attempt_rollups"
        " (hour, type, attempts, again, failed, seconds, again_seconds, begun, waited)"
        " select hour, type, 1, 0, 0, 0, 0, 0, 0 from run_rollups"
    )
    await owner.execute(
        "insert into audit (at, actor, source, operation, entity, entity_id, action)"
        " select now() - (51 - n) * interval '1 day', 'ann', '', '', 'runs', n::text, 'change'"
        "   from generate_series(1, 50) n"
    )
    await retention.forget(conn, at_once)
    assert await counts(conn) == (50, 50, 50)
    for what in ("rollups", "audit"):
        await retention.keep(conn, what, 40 * DAY, by="test")
    await retention.forget(conn, at_once)
    assert await counts(conn) == (39, 39, 39)


async def counts(conn: Conn) -> Any:
    cursor = await conn.execute(
        "select (select count(*) from run_rollups), (select count(*) from attempt_rollups),"
        " (select count(*) from audit)"
    )
    return await cursor.fetchone()


async def test_nobody_takes_away_what_people_did_in_the_last_month(conn: Conn, owner: Conn) -> None:
    await owner.execute(
        "insert into audit (at, actor, source, operation, entity, entity_id, action)"
        " values (now() - interval '29 days', 'ann', '', '', 'runs', '1', 'change')"
    )
    assert await stored.forget_audit(conn, timedelta(0), 1000) == 0


async def test_a_chore_that_failed_long_ago_goes_and_its_history_says_so(
    conn: Conn, owner: Conn
) -> None:
    await conn.execute(
        "insert into procrastinate_jobs (queue_name, task_name, status)"
        " values ('chores', 'old', 'todo'), ('chores', 'new', 'todo')"
    )
    await conn.execute("update procrastinate_jobs set status = 'doing'")
    await conn.execute("update procrastinate_jobs set status = 'failed'")
    await owner.execute(
        "update procrastinate_events e set at = at - interval '91 days'"
        "  from procrastinate_jobs j where j.id = e.job_id and j.task_name = 'old'"
    )
    assert await upkeep.forget_failed(conn, server="test") == 1
    assert await one(conn, "select task_name from procrastinate_jobs") == "new"
    assert await one(conn, "select chore || ' ' || state from chore_history") == "old DELETED"


async def test_with_a_run_goes_all_that_its_tasks_had(conn: Conn) -> None:
    """A task has no rows of its own that refer to it alone: they name the run as well."""
    await builders.publish(conn, builders.chain("one", ""))
    kept, run = await builders.start(conn, "one"), await builders.start(conn, "one")
    for each in (kept, run):
        task = await one(conn, f"select id from tasks where run_id = '{each}'")
        given = {"run": each, "task": task}
        await conn.execute(
            "insert into waits (task_id, run_id, type) values (%(task)s, %(run)s, 'x')", given
        )
        await conn.execute(
            "insert into approvals (run_id, task_id, attempt, message)"
            " values (%(run)s, %(task)s, 1, 'x')",
            given,
        )
        await conn.execute(
            "insert into file_contents (digest, size, data)"
            " values (sha256('x'), 1, 'x') on conflict do nothing"
        )
        await conn.execute(
            "insert into task_files (run_id, task_id, attempt, name, size, digest)"
            " values (%(run)s, %(task)s, 1, 'x', 1, sha256('x'))",
            given,
        )
    await conn.execute(
        "update tasks set state = 'COMPLETED', passed = true, open = 0 where run_id = %s", [run]
    )
    await conn.execute(
        "update runs set state = 'COMPLETED', open = 0, finished_at = now() where id = %s", [run]
    )
    assert await stored.remove(conn, [kept, run]) == 1
    for table in ("runs", "tasks", "waits", "approvals", "task_files"):
        assert await one(conn, f"select count(*) from {table}") == 1


# Places under limits

KEYS = "select count(distinct key) from limit_slots"


@pytest.fixture
async def limited(dsn: str) -> AsyncIterator[Conn]:
    async with await builders.engine(dsn) as conn:
        await builders.publish(conn, LIMITED, GROUPED)
        yield conn


async def carry_all_out(conn: Conn) -> None:
    holder = await builders.a_holder(conn)
    while await builders.carry_out(conn, holder) or await builders.a_promoter().tick(conn):
        pass


async def test_places_under_limits_that_nobody_may_ask_for_go_and_come_back(
    limited: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PLACES", 2)
    for n in range(3):
        await builders.start(limited, "limited", input={"machine": f"m{n}"})
        await builders.start(limited, "grouped", input={"customer": f"c{n}"})
    await builders.a_promoter().tick(limited)
    assert await retention.forget_places(limited, at_once) == 0
    await carry_all_out(limited)
    assert await one(limited, KEYS) == 6
    assert await retention.forget_places(limited, at_once) == 6
    await builders.start(limited, "limited", input={"machine": "m0"})
    await carry_all_out(limited)
    assert await one(limited, UNFINISHED) == 0


UNFINISHED = "select count(*) from runs where finished_at is null"


@pytest.mark.parametrize(
    ("type", "input"), [("limited", {"machine": "m"}), ("grouped", {"customer": "c"})]
)
async def test_who_is_held_before_it_has_its_place_finds_one_afterwards(
    limited: Conn, type: str, input: dict[str, Any]
) -> None:
    """While it is held nobody waits for the limit, and what it may ask for stays all the same."""
    first = await builders.start(limited, type, input=input)
    second = await builders.start(limited, type, input=input)
    await builders.a_promoter().tick(limited)
    await runs.hold(limited, Catalog(), second, by="ann")
    await carry_all_out(limited)
    assert await builders.state_of(limited, first) == "COMPLETED"
    assert await retention.forget_places(limited, at_once) == 0
    await runs.resume(limited, Catalog(), second, by="ann")
    await carry_all_out(limited)
    assert await builders.state_of(limited, second) == "COMPLETED"
    assert await retention.forget_places(limited, at_once) > 0


async def test_no_place_goes_while_somebody_is_about_to_ask_for_one(
    dsn: str, limited: Conn
) -> None:
    """Who found the places there, and has not yet said what waits for them, holds the table."""
    await builders.start(limited, "limited", input={"machine": "m"})
    await carry_all_out(limited)
    async with await builders.engine(dsn) as other, other.transaction():
        await limits.ensure(other, {await one(other, "select key from limit_slots"): 1})
        assert await retention.forget_places(limited, at_once) == 0
    assert await retention.forget_places(limited, at_once) == 1


# Days


async def test_a_day_that_began_before_its_partition_was_made_gets_its_rows(
    conn: Conn, owner: Conn
) -> None:
    """As after a week in which no server made partitions, and workers went on."""
    today = datetime.now(UTC).date()
    for table in ("attempts", "history", "output_chunks"):
        await owner.execute(drop(table, today))
    run = await builders_run(conn)
    before = await one(conn, "select count(*) from history_default")
    assert before > 0
    await owner.execute(
        "insert into output_chunks (task_id, attempt, start, stream, data) values (1, 1, 0, 1, 'x')"
    )
    await owner.execute(
        "insert into attempts (run_id, task_id, number, round, state, counted)"
        " values (%s, 1, 1, 1, 'SUCCEEDED', true)",
        [run],
    )
    assert await one(conn, "select keep_partitions()") == 3
    for table in ("attempts", "history", "output_chunks"):
        assert await one(conn, f"select count(*) from {table}_default") == 0
        assert await one(conn, f"select count(*) from {table}_{today:%Y%m%d}") > 0
    assert await one(conn, "select count(*) from history") == before
    await builders.start(conn, "one")  # `app` may write where the rows are now
    assert await one(conn, "select keep_partitions()") == 0


def drop(table: str, day: Any) -> sql.Composed:
    return sql.SQL("drop table {}").format(sql.Identifier(f"{table}_{day:%Y%m%d}"))


async def builders_run(conn: Conn) -> Any:
    await builders.publish(conn, builders.chain("one", ""))
    return await builders.start(conn, "one")


async def test_what_never_had_a_partition_goes_by_its_day_too(conn: Conn, owner: Conn) -> None:
    await owner.execute(
        "insert into history (run_id, seq, at, kind)"
        " select gen_random_uuid(), 1, now() - n * interval '1 day', 'x'"
        "   from generate_series(15, 24) n"
    )
    await stored.keep_details(conn, 20 * DAY, by="test")
    await retention.drop_details(conn, at_once)
    assert await one(conn, "select count(*) from history") == 6
