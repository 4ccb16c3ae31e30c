"""Schedules in a database, and time that has passed for them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from scheduler.domain.durations import parse_duration
from scheduler.domain.schedule_reading import read_schedule
from scheduler.loops.clock import Clock
from scheduler.services import schedules, ticking
from scheduler.services.catalog import Catalog
from scheduler.store.rows import Row
from scheduler.store.schedules import Target
from tests.support.builders import Conn, one

HOURLY = {"cron": "0 * * * *"}
LONG = timedelta(minutes=10)


async def a_schedule(
    conn: Conn, *, type: str | None = None, record: str | None = None, **document: Any
) -> int:
    target = Target(type=type if record is None else None, record=record)
    spec = read_schedule(document or HOURLY)
    made = await schedules.create(conn, Catalog(), target, spec, by="ann")
    return int(made["id"])


async def due_since(conn: Conn, schedule: int, ago: timedelta) -> datetime:
    """As if nobody had been there for so long: its next tick is the first of that time."""
    await keep_ticks_away_from_now(conn, schedule)
    row = await schedules.get(conn, schedule)
    tick = ticking.plan_of(row).since(row["now"] - ago)
    assert tick is not None
    await conn.execute(
        "update schedules set next_tick = %s, next_at = %s where id = %s", [tick, tick, schedule]
    )
    return tick


async def keep_ticks_away_from_now(conn: Conn, schedule: int) -> None:
    """Half of a long interval: else a test of hours sees one more at the turn of an hour."""
    row = await schedules.get(conn, schedule)
    every = parse_duration(row["spec"].get("every", 0))
    if every > LONG and "anchor" not in row["spec"]:
        anchor = (row["now"] - 1000.5 * every).isoformat()
        await conn.execute(
            "update schedules set spec = spec || jsonb_build_object('anchor', %s::text)"
            " where id = %s",
            [anchor, schedule],
        )


async def tick_all(conn: Conn) -> int:
    """Let a clock decide on all that is due; in how many turns."""
    clock, turns = Clock(Catalog()), 0
    while await clock.tick(conn):
        turns += 1
        assert turns < 1000
    return turns


async def fates(conn: Conn, schedule: int) -> list[tuple[str, str | None]]:
    cursor = await conn.execute(
        "select state::text, reason from ticks where schedule_id = %s order by tick", [schedule]
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def states(conn: Conn, schedule: int) -> list[str]:
    return [state for state, _ in await fates(conn, schedule)]


async def runs_of(conn: Conn, schedule: int) -> list[UUID]:
    cursor = await conn.execute(
        "select run_id from ticks where schedule_id = %s and run_id is not null order by tick",
        [schedule],
    )
    return [row[0] for row in await cursor.fetchall()]


async def standing(conn: Conn, schedule: int) -> Row:
    return await schedules.get(conn, schedule)


async def count(conn: Conn, what: str) -> int:
    return int(await one(conn, f"select count(*) from {what}"))


async def seconds_pass(conn: Conn, seconds: float) -> None:
    """By the clock of the database, which is the only one that schedules know."""
    await conn.execute("select pg_sleep(%s)", [seconds])
