"""Running a range of past ticks after all: previewed, at a bounded pace, each tick once at most."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.domain.schedules import Plan
from scheduler.domain.ticks import LOOK_AGAIN, TickState
from scheduler.services.catalog import Catalog
from scheduler.services.firing import REFUSED
from scheduler.services.schedules import get as get_schedule
from scheduler.services.schedules import locked
from scheduler.services.ticking import plan_of, poke, start_run
from scheduler.store import backfills as stored
from scheduler.store import schedules, ticks
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

MOST = 10_000  # ticks of one backfill
SHOWN = 100
AT_A_TIME = 50  # ticks that have a run already and are passed over in one turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which ticks: from the first instant on, before the second."""

    start: datetime
    end: datetime
    per_minute: int = 60
    at_once: int = 1


@dataclass(frozen=True, slots=True)
class Preview:
    ticks: int  # in the range, outside of blackouts
    to_run: int
    first: list[datetime]  # of those that would be run


async def preview(conn: Conn, schedule: int, wish: Wish) -> Preview:
    row = await get_schedule(conn, schedule)
    return await look(conn, row, wish)


async def look(conn: Conn, row: Row, wish: Wish) -> Preview:
    if not wish.start < wish.end:
        raise Invalid("'until' is not behind 'from'", field="until")
    if wish.start >= row["now"]:
        raise Invalid("the range has not begun: a backfill is of the past", field="from")
    found = range_of(plan_of(row), wish, row["now"])
    have = await ticks.started(conn, row["id"], found)
    wanted = [tick for tick in found if tick not in have]
    return Preview(len(found), len(wanted), wanted[:SHOWN])


def range_of(plan: Plan, wish: Wish, now: datetime) -> list[datetime]:
    found: list[datetime] = []
    for tick in plan.upcoming(wish.start - timedelta(microseconds=1), min(wish.end, now)):
        found.append(tick)
        if len(found) > MOST:
            raise Invalid(
                f"there are more than {MOST} ticks in this range: choose a shorter one",
                field="until",
            )
    return found


async def start(conn: Conn, schedule: int, wish: Wish, *, by: str) -> Row:
    async with conn.transaction():
        row = await locked(conn, schedule)
        found = await look(conn, row, wish)
        if not found.first:
            raise Conflict("there is nothing to run in this range: each tick has its run, or none")
        made = await stored.create(
            conn,
            schedule,
            from_at=wish.start,
            until_at=min(wish.end, row["now"]),
            per_minute=wish.per_minute,
            at_once=wish.at_once,
            next_tick=found.first[0],
            by=by,
        )
        await poke(conn)
    return await get(conn, schedule, made)


async def get(conn: Conn, schedule: int, backfill: int) -> Row:
    found = await stored.get(conn, schedule, backfill)
    if found is None:
        raise NotFound(f"schedule {schedule} has no backfill {backfill}")
    return found


async def cancel(conn: Conn, schedule: int, backfill: int, *, by: str) -> Row:
    """Start nothing more of it; the runs that were started go on."""
    async with conn.transaction():
        await get(conn, schedule, backfill)
        if not await stored.cancel(conn, schedule, backfill, by=by):
            raise Conflict(f"backfill {backfill} has ended already")
    return await get(conn, schedule, backfill)


@dataclass(slots=True)
class Step:
    """How far one turn of a backfill came."""

    tick: datetime | None
    at: datetime
    living: list[UUID]
    started: int = 0
    passed_over: int = 0


async def step(conn: Conn, catalog: Catalog) -> int:
    """One turn of the backfill that is due the longest; 0 if none is."""
    async with conn.transaction():
        row = await stored.due(conn)
        if row is None:
            return 0
        done = await carry_out(conn, catalog, row)
        await stored.move(
            conn,
            row["id"],
            next_tick=done.tick,
            next_at=done.at,
            living=done.living,
            started=done.started,
            passed_over=done.passed_over,
        )
    return 1


async def carry_out(conn: Conn, catalog: Catalog, row: Row) -> Step:
    if row["record_id"]:
        await schedules.lock_records(conn, [row["record_id"]])
    living = await stored.living(conn, row["living"], row["record_id"])
    done = Step(row["next_tick"], row["now"], living)
    if len(living) >= (1 if row["record_id"] else row["at_once"]):
        done.at = row["now"] + LOOK_AGAIN
        return done
    source = {**row, "id": row["schedule_id"]}
    plan = plan_of(source)
    while done.tick is not None and done.passed_over < AT_A_TIME and not done.started:
        if not await ticks.started(conn, row["schedule_id"], [done.tick]):
            await fill(conn, catalog, source, plan, done)
        else:
            done.passed_over += 1
        done.tick = next(plan.upcoming(done.tick, row["until_at"]), None)
    if done.started:
        done.at = row["now"] + timedelta(minutes=1) / row["per_minute"]
    return done


async def fill(conn: Conn, catalog: Catalog, row: Row, plan: Plan, done: Step) -> None:
    """The run of one tick, or why there is none."""
    if done.tick is None:
        return
    state, reason, run = TickState.STARTED, f"backfill by {row['made_by']}", None
    try:
        async with conn.transaction():
            by = f"backfill by {row['made_by']}"
            run = await start_run(conn, catalog, row, plan, done.tick, by=by)
    except REFUSED as refusal:
        state, reason = TickState.FAILED, str(refusal)[:2000]
        done.passed_over += 1
    else:
        done.started += 1
        done.living.append(run)
    following = plan.after(done.tick)
    due = following and plan.due(following)
    await ticks.cut(conn, row["id"], done.tick, following=following, due=due)
    await ticks.fill(conn, row["id"], done.tick, state=state, reason=reason, run=run)
