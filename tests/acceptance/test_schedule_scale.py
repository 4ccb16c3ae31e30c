"""Many schedules: all in time when many are due, and no work when none is.

`PROCESSION_LONG=1` asks for 10,000 within a minute, and prints how late they were.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from tests.support.builders import Conn, chain, engine, one, publish
from tests.support.system import PROCESSION, clean_environment, free_port
from tests.support.timetables import seconds_pass
from tests.support.waiting import patience

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

LONG = os.environ.get("PROCESSION_LONG") == "1"
MANY, WITHIN = (10_000, 60) if LONG else (500, 5)
DORMANT = 100_000 if LONG else 20_000
LOOKING = 30 if LONG else 4

# Each has one tick in the coming stretch of time, all at moments of their own.
SPREAD = """
with coming as (
    select date_trunc('second', clock_timestamp()) + interval '4 s' as begin
), made as (
    select n, begin + n * %(within)s * interval '1 s' / %(many)s as at
      from coming, generate_series(0, %(many)s - 1) n
)
insert into schedules (name, type, spec, origin, next_tick, next_at, created_by)
select 's' || n, 'one',
       jsonb_build_object(
           'every', '1h',
           'anchor', to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       ),
       'person', at, at, 'ann'
  from made
"""
SLEEPING = """
insert into schedules (name, type, spec, origin, next_tick, next_at, created_by)
select 'd' || n, 'one', '{"cron": "0 0 1 1 *"}', 'person', t, t, 'ann'
  from generate_series(1, %s) n, lateral (select clock_timestamp() + interval '90 days' as t) t
"""
LATENESS = """
select count(*), count(distinct run_id),
       percentile_cont(array[0.5, 0.99, 1]) within group (
           order by extract(epoch from t.decided_at - t.due_at)::float8
       )
  from ticks t
  join runs r on r.id = t.run_id
"""
DECIDED = "select count(*) from ticks"


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, chain("one", ""))
        yield conn


@asynccontextmanager
async def a_server(dsn: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        **clean_environment(),
        "PROCESSION_DATABASE_URL": dsn,
        "PROCESSION_DATA_DIR": str(folder),
    }
    server = await asyncio.create_subprocess_exec(
        *PROCESSION,
        "serve",
        "--port",
        str(free_port()),
        env=environment,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.send_signal(signal.SIGTERM)
        await server.wait()


async def is_listening(dsn: str) -> bool:
    async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
        found = "select count(*) from pg_stat_activity where application_name like %s"
        return bool(await one(owner, found, "%server clock%"))


async def ready(conn: Conn, dsn: str) -> None:
    async with asyncio.timeout(60):
        while not await is_listening(dsn):
            await seconds_pass(conn, 0.05)


async def test_all_schedules_that_are_due_are_fired_once_and_in_time(
    dsn: str, conn: Conn, tmp_path: Path
) -> None:
    async with a_server(dsn, tmp_path):
        await ready(conn, dsn)
        await conn.execute(SPREAD.encode(), {"many": MANY, "within": WITHIN})
        await conn.execute("notify procession_schedules")
        async with asyncio.timeout(patience(WITHIN + 60)):
            while await one(conn, DECIDED) < MANY:
                await seconds_pass(conn, 0.2)
    row = await (await conn.execute(LATENESS.encode())).fetchone()
    assert row is not None
    started, runs, (median, p99, most) = row
    print(f"{MANY} in {WITHIN} s: p50 {median:.3f} s, p99 {p99:.3f} s, max {most:.3f} s")
    assert started == runs == MANY
    assert not LONG or p99 < 5.0


async def test_schedules_that_sleep_cost_a_server_nothing(
    dsn: str, conn: Conn, tmp_path: Path
) -> None:
    """What the database reads for the clock while nothing is due, and what the server computes."""
    await conn.execute(SLEEPING.encode(), [DORMANT])
    async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
        await owner.execute("vacuum analyze schedules")
        async with a_server(dsn, tmp_path) as server:
            await ready(conn, dsn)
            await seconds_pass(conn, 2)
            before = await reads(owner), cpu_of(server.pid)
            await seconds_pass(conn, LOOKING)
            after = await reads(owner), cpu_of(server.pid)
    rows, seconds = after[0] - before[0], after[1] - before[1]
    print(f"{DORMANT} asleep, {LOOKING} s: {rows} rows read, {seconds:.2f} s of the processor")
    assert rows <= 2 * LOOKING
    assert not LONG or seconds < 0.1 * LOOKING


async def reads(owner: Conn) -> int:
    """Rows of schedules that anybody fetched, in whatever way."""
    await owner.execute("select pg_stat_force_next_flush()")
    found = "seq_tup_read + coalesce(idx_tup_fetch, 0)"
    return int(
        await one(owner, f"select {found} from pg_stat_user_tables where relname = 'schedules'")
    )


def cpu_of(pid: int) -> float:
    """Seconds of the processor that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
